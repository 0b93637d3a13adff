//! ICMP in the flow table: queries are flows of their own, errors belong to the flow they quote (RFC 792, RFC 4443).

use super::gather::{Core, Origin, Share};
use crate::community_id::icmp_ports;
use crate::flow::key::Key;
use crate::packet::{Decoded, Ip, Quoted};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

impl Core {
    /// An echo request's sender opened, an echo reply's receiver did (RFC 792, RFC 4443 §4).
    pub(super) fn icmp_opener(&mut self, slot: u32, forward: bool, version: u8, kind: u8) {
        let Some(flow) = self.table.get_mut(slot) else { return };
        let side = flow.side(forward);
        match (version, kind) {
            (4, 8 | 10 | 13 | 15 | 17) | (6, 128 | 133 | 135) => {
                flow.facts.opened_by(side);
                flow.icmp_type = kind;
            }
            (4, 0 | 9 | 14 | 16 | 18) | (6, 129 | 134 | 136) => {
                flow.facts.opened_by(side.other());
                if flow.icmp_type == 0 {
                    flow.icmp_type = kind;
                }
            }
            _ => flow.icmp_type = kind,
        }
    }

    /// An ICMP error belongs to the flow it quotes, on the side that faces its addressee.
    pub(super) fn icmp_error(&mut self, pieces: &[(Origin, u32)], decoded: &Decoded<'_>, ip: &Ip<'_>, quoted: &Quoted) {
        let icmp = matches!(quoted.protocol, ICMP | ICMPV6);
        let (from, to, one_way) = if icmp {
            // The quoted "ports" are type and code.
            let kind = u8::try_from(quoted.source_port).unwrap_or(u8::MAX);
            icmp_ports(ip.version, kind, u8::try_from(quoted.destination_port).unwrap_or(0))
        } else {
            (quoted.source_port, quoted.destination_port, false)
        };
        let (key, sender_is_low) = Key::new(quoted.source, from, quoted.destination, to, quoted.protocol, one_way);
        let share = Share {
            key,
            forward: !sender_is_low,
            reversed: true,
            speaks: false,
            pieces,
            payload: 0,
            cut: ip.cut,
            vlan: decoded.vlan,
            tunnels: &decoded.tunnels,
        };
        let Some(slot) = self.count(share) else { return };
        if let Some(flow) = self.table.get_mut(slot) {
            let addressee = flow.side(sender_is_low);
            flow.unreachable[addressee.index()] |= quoted.unreachable;
        }
    }
}
