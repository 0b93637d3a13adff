//! What makes packets one flow: addresses, protocol and ports, the same key for both directions.
//!
//! ICMP has no ports; its key holds the pair of types that belong together (echo request and reply …), as Community ID
//! does. A type without a counterpart makes a key of one direction only. VLAN tags are no part of a key: on the two
//! sides of a firewall or a trunk the same flow wears different ones.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::facts::Side;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    low: u128,
    high: u128,
    low_port: u16,
    high_port: u16,
    protocol: u8,
    version: u8,
}

/// The small fields as one number: each number costs a turn of the hash.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Key {
            low,
            high,
            low_port,
            high_port,
            protocol,
            version,
        } = *self;
        state.write_u128(low);
        state.write_u128(high);
        let ports = u64::from(low_port) << 16 | u64::from(high_port);
        state.write_u64(ports << 16 | u64::from(protocol) << 8 | u64::from(version));
    }
}

/// One end, as the key stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    address: u128,
    port: u16,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

impl Key {
    /// The key of a packet from `source` to `destination`, and whether the sender is the key's low end.
    /// `one_way` keeps the order of the ends, so that the reverse direction is another flow.
    pub fn new(
        source: IpAddr,
        source_port: u16,
        destination: IpAddr,
        destination_port: u16,
        protocol: u8,
        one_way: bool,
    ) -> (Key, bool) {
        let from = Place {
            address: number(source),
            port: source_port,
        };
        let to = Place {
            address: number(destination),
            port: destination_port,
        };
        let forward = one_way || from <= to;
        let (low, high) = if forward { (from, to) } else { (to, from) };
        let version = if source.is_ipv4() { 4 } else { 6 };
        let key = Key {
            low: low.address,
            high: high.address,
            low_port: low.port,
            high_port: high.port,
            protocol,
            version,
        };
        (key, forward)
    }

    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Address and port of a side; `a_is_low` says which end side A is.
    pub fn end(&self, side: Side, a_is_low: bool) -> (IpAddr, u16) {
        let low = (side == Side::A) == a_is_low;
        let (number, port) = if low {
            (self.low, self.low_port)
        } else {
            (self.high, self.high_port)
        };
        let address = if self.version == 4 {
            IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into())
        } else {
            IpAddr::V6(number.into())
        };
        (address, port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_have_one_key() {
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
        let (there, forward) = Key::new(a, 1000, b, 443, 6, false);
        let (back, backward) = Key::new(b, 443, a, 1000, 6, false);
        assert_eq!(there, back);
        assert_ne!(forward, backward);
        assert_eq!(there.end(Side::A, forward), (a, 1000));
        assert_eq!(there.end(Side::B, forward), (b, 443));
    }

    #[test]
    fn a_mapped_address_is_not_the_ipv4_one() {
        let v4: IpAddr = "10.0.0.1".parse().unwrap();
        let mapped: IpAddr = "::10.0.0.1".parse().unwrap();
        assert_ne!(
            Key::new(v4, 1, v4, 2, 17, false).0,
            Key::new(mapped, 1, mapped, 2, 17, false).0
        );
    }

    #[test]
    fn a_one_way_type_keeps_its_direction() {
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
        assert_ne!(Key::new(a, 9, b, 0, 1, true).0, Key::new(b, 9, a, 0, 1, true).0);
    }
}
