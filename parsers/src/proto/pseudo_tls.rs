//! Pseudo-TLS (MS-TURN 2.1.1): one fixed greeting each way that gets A/V traffic through devices which only admit TLS;
//! TURN in its own framing follows, nothing is encrypted.
//!
//! The greetings are told octet by octet, never by their lengths: ordinary minimal ClientHellos begin with the same nine
//! octets. To be asked before TLS, whose first octets these are.

use crate::facts::{Service, Side};
use crate::proto::tls::imitation::{Likeness, MS_TURN_HELLO, MS_TURN_REPLY};
use crate::proto::{Context, Probe, Step, StreamReader};

/// Whether one direction begins with the hello or the reply.
pub fn probe(bytes: &[u8]) -> Probe {
    match (MS_TURN_HELLO.compare(bytes), MS_TURN_REPLY.compare(bytes)) {
        (Likeness::Whole, _) | (_, Likeness::Whole) => Probe::Yes,
        (Likeness::Prefix, _) | (_, Likeness::Prefix) => Probe::More,
        (Likeness::Differs, Likeness::Differs) => Probe::No,
    }
}

/// Reads hello and reply; what comes behind them is another protocol's.
#[derive(Debug, Default)]
pub struct Reader {
    /// Who sent the hello that this reader consumed.
    client: Option<Side>,
}

impl Reader {
    pub fn new() -> Self {
        Reader::default()
    }
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        if bytes.is_empty() {
            return Step::More(0);
        }
        if self.client == Some(side) {
            // A client waits for the reply. When it goes on, the reply was not captured: what it sends is framed.
            return Step::Switch(0);
        }
        if self.client.is_none() {
            match MS_TURN_HELLO.compare(bytes) {
                Likeness::Whole => {
                    context.facts.recognise(Service::PseudoTls);
                    context.facts.opened_by(side);
                    context.facts.pseudo_tls.hello = true;
                    self.client = Some(side);
                    // The reply of a capture that holds the directions out of order.
                    if context.facts.pseudo_tls.reply || bytes.len() > MS_TURN_HELLO.length {
                        return Step::Switch(MS_TURN_HELLO.length);
                    }
                    return Step::More(MS_TURN_HELLO.length);
                }
                Likeness::Prefix => return Step::More(0),
                Likeness::Differs => {}
            }
        }
        match MS_TURN_REPLY.compare(bytes) {
            Likeness::Whole => {
                context.facts.recognise(Service::PseudoTls);
                context.facts.opened_by(side.other());
                context.facts.pseudo_tls.reply = true;
                Step::Switch(MS_TURN_REPLY.length)
            }
            Likeness::Prefix => Step::More(0),
            // The listener is something else, TLS perhaps: its own octets say what. Without a hello before it, this
            // side has just gone on where another reader left it.
            Likeness::Differs => Step::Switch(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::facts::PseudoTls;
    use crate::proto::splits::{every_split, every_truncation, probe_waits, tell};

    /// Made by hand after MS-TURN 2.1.1; the free octets are counted through.
    fn hello() -> Vec<u8> {
        let free: Vec<u8> = (0x10..0x30).collect();
        [
            &b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01"[..],
            &free,
            b"\x00\x00\x02\x00\x18\x01\x00",
        ]
        .concat()
    }

    fn reply() -> Vec<u8> {
        let free: Vec<u8> = (0x40..0x60).collect();
        let head = &b"\x16\x03\x01\x00\x4e\x02\x00\x00\x46\x03\x01"[..];
        [head, &free, b"\x20", &free, b"\x00\x18\x00\x0e\x00\x00\x00"].concat()
    }

    const FRAME: &[u8] = &[2, 0, 0, 44, 0, 3, 0, 24];

    #[test]
    fn hello_and_reply() {
        let (hello, reply) = (hello(), reply());
        assert_eq!((hello.len(), reply.len()), (50, 83));
        probe_waits(probe, &hello);
        probe_waits(probe, &reply);
        let told = every_split(Reader::new, &[(Side::A, &hello), (Side::B, &reply)]);
        assert!(matches!(told.step, Step::Switch(_)));
        assert_eq!(told.consumed, [50, 83]);
        assert_eq!(told.facts.services(), [Service::PseudoTls]);
        assert_eq!(told.facts.opener, Some(Side::A));
        assert_eq!(
            told.facts.pseudo_tls,
            PseudoTls {
                hello: true,
                reply: true,
                frame: false
            }
        );
        every_truncation(Reader::new, &[(Side::A, &hello), (Side::B, &reply)]);
    }

    #[test]
    fn what_follows_is_left_to_others() {
        let answer = [reply(), FRAME.to_vec()].concat();
        let told = tell(&mut Reader::new(), [(Side::A, &hello()[..]), (Side::B, &answer[..])]);
        assert_eq!(told.consumed, [50, 83]);
        // The reply was not captured: the client goes on.
        let told = every_split(Reader::new, &[(Side::A, &hello()), (Side::A, FRAME)]);
        assert!(matches!(told.step, Step::Switch(_)));
        assert_eq!(told.consumed, [50, 0]);
        assert_eq!(
            told.facts.pseudo_tls,
            PseudoTls {
                hello: true,
                reply: false,
                frame: false
            }
        );
    }

    #[test]
    fn a_reply_without_its_hello() {
        let told = every_split(Reader::new, &[(Side::B, &reply())]);
        assert_eq!(told.facts.opener, Some(Side::A), "who is answered opened it");
        assert_eq!(
            told.facts.pseudo_tls,
            PseudoTls {
                hello: false,
                reply: true,
                frame: false
            }
        );
    }

    #[test]
    fn a_listener_that_is_no_edge() {
        for answer in [
            &b"\x15\x03\x01\x00\x02\x02\x28"[..],
            b"\x16\x03\x01\x00\x31\x02\x00\x00\x2d",
            b"HTTP/1.1 400",
        ] {
            let told = every_split(Reader::new, &[(Side::A, &hello()), (Side::B, answer)]);
            assert!(matches!(told.step, Step::Switch(_)));
            assert_eq!(told.consumed, [50, 0], "the answer is to be recognised by others");
            assert_eq!(
                told.facts.pseudo_tls,
                PseudoTls {
                    hello: true,
                    reply: false,
                    frame: false
                }
            );
        }
    }

    /// Every octet that is given must be as given: 18 of the hello, 19 of the reply.
    #[test]
    fn one_other_octet_is_another_protocol() {
        for (greeting, fixed) in [(hello(), 18), (reply(), 19)] {
            let mut told_apart = 0;
            for at in 0..greeting.len() {
                let mut other = greeting.clone();
                other[at] ^= 0x01;
                told_apart += usize::from(probe(&other) == Probe::No);
            }
            assert_eq!(told_apart, fixed);
        }
        // Same lengths, other suite: an ordinary minimal ClientHello.
        let mut ordinary = hello();
        ordinary[47] = 0x05;
        assert_eq!(probe(&ordinary), Probe::No);
        assert_eq!(probe(&ordinary[..47]), Probe::More);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_harm(
            parts in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..90)), 0..6)
        ) {
            let sides = parts.iter().map(|(a, bytes)| (if *a { Side::A } else { Side::B }, bytes.as_slice()));
            tell(&mut Reader::new(), sides);
        }
    }
}
