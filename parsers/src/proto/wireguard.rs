//! WireGuard ("WireGuard: Next Generation Kernel Network Tunnel", 5.4): four kinds of datagram, told by type and size.
//!
//! Strategy: a handshake message has a fixed size, a type of four octets and then octets that only a cipher makes. Data
//! of a tunnel joined late has little to go by: three in a row with one receiver and a counter that goes on are needed.

use super::Context;
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

const INITIATION: (u32, usize) = (1, 148);
const RESPONSE: (u32, usize) = (2, 92);
const DATA: u32 = 4;
/// Header and an empty packet's authentication tag: a keep-alive.
const SHORTEST_DATA: usize = 32;
/// Of 32 octets from a cipher 0.1 are zero on average; more than four in one of 2^30.
const ZEROS: usize = 4;
/// Data datagrams in order that make a tunnel; each adds 2^-32 for the receiver and 2^-24 or more for the counter.
const IN_ORDER: u8 = 3;
/// Counters that may be missing between two of them.
const MAX_DROPOUT: u64 = 64;

#[derive(Debug, Clone, Copy)]
struct Tunnel {
    receiver: u32,
    counter: u64,
    in_order: u8,
}

/// Per side, the tunnel whose data may be going by.
#[derive(Debug, Default, Clone, Copy)]
pub struct State([Option<Tunnel>; 2]);

/// Whether a key of 32 octets begins here.
fn is_key(cursor: &mut Cursor<'_>) -> Option<bool> {
    let key = cursor.take(32).ok()?;
    Some(key.iter().filter(|octet| **octet == 0).count() <= ZEROS)
}

/// 5.4.2 and 5.4.3; the second authenticator is zero unless the responder is under load, which is then told by the rest.
fn is_handshake(payload: &[u8], kind: (u32, usize)) -> bool {
    let mut cursor = Cursor::new(payload);
    let indices = if kind == INITIATION { 4 } else { 8 };
    let mut read = || {
        cursor.skip(4 + indices).ok()?;
        let ephemeral = is_key(&mut cursor)?;
        let authenticators = payload.len().checked_sub(32)?;
        let zero = payload.get(authenticators + 16..)?.iter().all(|octet| *octet == 0);
        Some(ephemeral && zero)
    };
    payload.len() == kind.1 && read() == Some(true)
}

/// 5.4.6: receiver and counter of a data datagram, which is padded to 16 octets.
fn data(payload: &[u8]) -> Option<(u32, u64)> {
    let mut cursor = Cursor::new(payload);
    cursor.skip(4).ok()?;
    let receiver = cursor.u32_le().ok()?;
    let counter = u64::from(cursor.u32_le().ok()?) | u64::from(cursor.u32_le().ok()?) << 32;
    (payload.len() >= SHORTEST_DATA && payload.len().is_multiple_of(16)).then_some((receiver, counter))
}

impl State {
    fn follow(&mut self, side: Side, (receiver, counter): (u32, u64)) -> bool {
        let Some(place) = self.0.get_mut(side.index()) else {
            return false;
        };
        let in_order = match place {
            Some(known) if known.receiver == receiver => {
                let ahead = counter.wrapping_sub(known.counter);
                if (1..=MAX_DROPOUT).contains(&ahead) {
                    known.in_order.saturating_add(1)
                } else {
                    1
                }
            }
            _ => 1,
        };
        *place = Some(Tunnel {
            receiver,
            counter,
            in_order,
        });
        in_order >= IN_ORDER
    }
}

/// True = it is WireGuard.
pub fn read_datagram(side: Side, payload: &[u8], state: &mut State, context: &mut Context<'_>) -> bool {
    let Ok(kind) = Cursor::new(payload).u32_le() else {
        return false;
    };
    let opener = match kind {
        1 if is_handshake(payload, INITIATION) => Some(side),
        2 if is_handshake(payload, RESPONSE) => Some(side.other()),
        DATA if data(payload).is_some_and(|data| state.follow(side, data)) => None,
        _ => return false,
    };
    context.facts.recognise(Service::Wireguard);
    if let Some(opener) = opener {
        context.facts.opened_by(opener);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::splits::with_context;
    use super::*;
    use crate::facts::Facts;
    use proptest::prelude::*;
    use Side::{A, B};

    fn told(datagrams: &[(Side, &[u8])]) -> Facts {
        let (mut facts, mut state) = (Facts::default(), State::default());
        for (side, payload) in datagrams {
            with_context(&mut facts, |context| read_datagram(*side, payload, &mut state, context));
        }
        facts
    }

    /// 5.4.2 or 5.4.3: type, indices, octets of a cipher, the second authenticator zero.
    fn handshake(kind: u8, length: usize) -> Vec<u8> {
        let mut message = vec![kind, 0, 0, 0];
        message.extend((message.len()..length - 16).map(|at| (at * 151 % 251) as u8 | 1));
        message.extend([0; 16]);
        message
    }

    fn data(receiver: u8, counter: u8) -> Vec<u8> {
        let mut data = vec![4, 0, 0, 0, receiver, 2, 3, 4, counter, 0, 0, 0, 0, 0, 0, 0];
        data.extend([0x5a; 32]);
        data
    }

    #[test]
    fn each_handshake_message_is_proof_and_tells_who_began() {
        let (initiation, response) = (handshake(1, 148), handshake(2, 92));
        for (message, opener) in [(&initiation, A), (&response, B)] {
            let facts = told(&[(A, message)]);
            assert_eq!(
                (facts.services(), facts.opener),
                (&[Service::Wireguard][..], Some(opener))
            );
        }
        for (wrong, why) in [
            (initiation[..147].to_vec(), "short"),
            ([&initiation[..], &[0]].concat(), "long"),
            ([&[1, 0, 0, 1], &initiation[4..]].concat(), "reserved octets"),
            ([&[1, 0, 0, 0][..], &[0; 144]].concat(), "no key"),
            ([&initiation[..132], &[9; 16]].concat(), "under load, alone no proof"),
        ] {
            assert!(told(&[(A, &wrong)]).services().is_empty(), "{why}");
        }
    }

    #[test]
    fn data_needs_three_in_order() {
        let [one, two, three, far] = [1, 2, 3, 200].map(|counter| data(1, counter));
        let other = data(9, 3);
        assert!(told(&[(A, &one), (A, &two), (A, &three)]).has(Service::Wireguard));
        assert!(!told(&[(A, &one), (A, &two)]).has(Service::Wireguard));
        assert!(
            !told(&[(A, &one), (B, &two), (A, &three)]).has(Service::Wireguard),
            "one side"
        );
        assert!(
            !told(&[(A, &one), (A, &two), (A, &other)]).has(Service::Wireguard),
            "one receiver"
        );
        assert!(
            !told(&[(A, &one), (A, &one), (A, &one)]).has(Service::Wireguard),
            "counters go on"
        );
        assert!(
            !told(&[(A, &one), (A, &two), (A, &far)]).has(Service::Wireguard),
            "without a leap"
        );
    }

    proptest! {
        /// 2^-32 for the type, and a size that one datagram in some hundreds has; behind a type that is right 16 octets of
        /// zero, or a counter that goes on.
        #[test]
        fn random_datagrams_are_not_it(
            kind in 1..=4_u8,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            prop_assert!(told(&[(A, &bytes), (A, &bytes)]).services().is_empty());
            let typed = [&[kind, 0, 0, 0][..], &bytes].concat();
            prop_assert!(told(&[(A, &typed), (A, &typed)]).services().is_empty());
        }
    }
}
