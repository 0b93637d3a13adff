//! LDAP (RFC 4511) over TCP up to the bind or TLS (4.14), and over UDP as Active Directory uses it to find a domain
//! controller ([MS-ADTS] 6.3.3).
//!
//! Strategy: an envelope with a number, then an operation whose first fields must be those of that operation. Requests are
//! the client's, answers the server's; a bind ends what can be read, since what follows it may be under its keys.

use super::ber::{self, ENUMERATED, INTEGER, OCTET_STRING, SEQUENCE};
use super::fault::{answer, must, Fault};
use super::{Context, Probe, Step, StreamReader};
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// Longest message that is stepped over; Active Directory refuses above 10 MiB (MaxReceiveBuffer).
const LONGEST: usize = 10 * 1024 * 1024;
/// Messages of one side that are read: a client looks at the root entry before it asks for TLS.
const MESSAGES: u8 = 16;

const BIND_REQUEST: u8 = 0x60;
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const EXTENDED_REQUEST: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;
const BOOLEAN: u8 = 0x01;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Bind,
    Request,
    StartTls,
    Response,
    /// Answer to an extended request, and whether it succeeded.
    Extended(bool),
}

impl Operation {
    fn is_request(self) -> bool {
        matches!(self, Operation::Bind | Operation::Request | Operation::StartTls)
    }
}

/// The operation, and the octets of its message.
fn message(bytes: &[u8]) -> Result<(Operation, usize), Fault> {
    let mut cursor = Cursor::new(bytes);
    let length = ber::expect(&mut cursor, SEQUENCE)?;
    must(length <= LONGEST)?;
    let end = cursor.position().saturating_add(length);
    must((0..=i64::from(i32::MAX)).contains(&ber::number(&mut cursor, INTEGER)?))?;
    let (tag, length) = ber::head(&mut cursor)?;
    must(cursor.position().saturating_add(length) <= end)?;
    let operation = match tag {
        BIND_REQUEST => {
            must(matches!(ber::number(&mut cursor, INTEGER)?, 2 | 3))?;
            let name = ber::expect(&mut cursor, OCTET_STRING)?;
            must(name <= length)?;
            cursor.skip(name)?;
            // Simple, SASL; [MS-ADTS] 5.1.1.1.3: Sicily's three.
            must(matches!(cursor.u8()?, 0x80 | 0xa3 | 0x89..=0x8b))?;
            Operation::Bind
        }
        SEARCH_REQUEST => {
            let base = ber::expect(&mut cursor, OCTET_STRING)?;
            must(base <= length)?;
            cursor.skip(base)?;
            must((0..=3).contains(&ber::number(&mut cursor, ENUMERATED)?))?;
            must((0..=3).contains(&ber::number(&mut cursor, ENUMERATED)?))?;
            must(ber::number(&mut cursor, INTEGER)? >= 0)?;
            must(ber::number(&mut cursor, INTEGER)? >= 0)?;
            must(ber::expect(&mut cursor, BOOLEAN)? == 1)?;
            Operation::Request
        }
        SEARCH_ENTRY => {
            let name = ber::expect(&mut cursor, OCTET_STRING)?;
            must(name <= length)?;
            cursor.skip(name)?;
            ber::expect(&mut cursor, SEQUENCE)?;
            Operation::Response
        }
        EXTENDED_REQUEST => {
            // An OID in digits.
            let name = ber::expect(&mut cursor, 0x80)?;
            must((3..=128).contains(&name))?;
            let name = cursor.take(name)?;
            must(name.iter().all(|octet| octet.is_ascii_digit() || *octet == b'.'))?;
            if name == START_TLS {
                Operation::StartTls
            } else {
                Operation::Request
            }
        }
        // Answers to bind, search, modify, add, delete, rename, compare.
        0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | EXTENDED_RESPONSE => {
            let code = ber::number(&mut cursor, ENUMERATED)?;
            must((0..=4_096).contains(&code))?;
            let matched = ber::expect(&mut cursor, OCTET_STRING)?;
            must(matched <= length)?;
            cursor.skip(matched)?;
            ber::expect(&mut cursor, OCTET_STRING)?;
            if tag == EXTENDED_RESPONSE {
                Operation::Extended(code == 0)
            } else {
                Operation::Response
            }
        }
        _ => return Err(Fault::Wrong),
    };
    Ok((operation, end))
}

pub fn probe(bytes: &[u8]) -> Probe {
    answer(&message(bytes))
}

/// True = it is LDAP. Several messages may share a datagram: an entry, then the result.
pub fn read_datagram(side: Side, payload: &[u8], context: &mut Context<'_>) -> bool {
    let Ok((operation, end)) = message(payload) else {
        return false;
    };
    let rest = payload.get(end..);
    if !rest.is_some_and(|rest| rest.is_empty() || message(rest).is_ok()) {
        return false;
    }
    note(side, operation, context);
    true
}

fn note(side: Side, operation: Operation, context: &mut Context<'_>) {
    context.facts.recognise(Service::Ldap);
    context
        .facts
        .opened_by(if operation.is_request() { side } else { side.other() });
}

#[derive(Debug, Default, Clone, Copy)]
struct Direction {
    /// Octets of the current message that have not come yet.
    skip: usize,
    messages: u8,
}

#[derive(Debug, Default)]
pub struct Reader {
    directions: [Direction; 2],
    /// Who asked for TLS and waits: its next octets are held.
    asked: Option<Side>,
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        let Some(own) = self.directions.get_mut(side.index()) else {
            return Step::Broken;
        };
        let mut consumed: usize = 0;
        loop {
            let rest = bytes.get(consumed..).unwrap_or_default();
            let skipped = own.skip.min(rest.len());
            own.skip -= skipped;
            consumed = consumed.saturating_add(skipped);
            let rest = bytes.get(consumed..).unwrap_or_default();
            if rest.is_empty() || own.skip > 0 || self.asked == Some(side) {
                return Step::More(consumed);
            }
            let (operation, length) = match message(rest) {
                Ok(read) => read,
                Err(fault) => return fault.after(consumed),
            };
            note(side, operation, context);
            own.messages = own.messages.saturating_add(1);
            match operation {
                Operation::Bind => return Step::Done,
                Operation::StartTls => self.asked = Some(side),
                Operation::Extended(done) if self.asked == Some(side.other()) => {
                    // TLS begins behind the whole answer.
                    if rest.len() < length {
                        return Step::More(consumed);
                    }
                    if done {
                        return Step::Switch(consumed.saturating_add(length));
                    }
                    self.asked = None;
                }
                _ if own.messages >= MESSAGES => return Step::Done,
                _ => {}
            }
            own.skip = length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, hands_over, probe_waits, tell, with_context};
    use super::*;
    use crate::facts::Facts;
    use proptest::prelude::*;
    use Side::{A, B};

    /// RFC 4511 4.2: anonymous bind, version 3.
    const BIND: &[u8] = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";
    /// 4.5.1: the root entry, as Active Directory's clients write it, lengths in four octets.
    const SEARCH: &[u8] = b"\x30\x84\0\0\0\x2d\x02\x01\x01\x63\x84\0\0\0\x24\x04\0\x0a\x01\0\x0a\x01\0\x02\x01\0\x02\x01\x78\x01\x01\0\x87\x0bobjectclass\x30\x84\0\0\0\0";
    const DONE: &[u8] = b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\0\x04\0\x04\0";
    /// 4.14.1 and 4.14.2.
    const START: &[u8] = b"\x30\x1d\x02\x01\x02\x77\x18\x80\x16\x31.3.6.1.4.1.1466.20037";
    const STARTED: &[u8] = b"\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\0\x04\0\x04\0";

    #[test]
    fn start_tls_hands_over_to_tls() {
        let talk = [(A, SEARCH), (B, DONE), (A, START), (B, STARTED), (A, &b"\x16\x03"[..])];
        hands_over(Reader::default, Service::Ldap, &talk);
    }

    #[test]
    fn a_refusal_and_a_bind() {
        let refused = b"\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x34\x04\0\x04\0";
        let told = every_split(Reader::default, &[(A, START), (B, refused), (A, BIND)]);
        assert!(matches!(told.step, Step::Done));
    }

    #[test]
    fn requests_and_answers_tell_who_opened() {
        for (message, opener) in [(BIND, A), (SEARCH, A), (START, A), (DONE, B), (STARTED, B)] {
            probe_waits(probe, message);
            let mut facts = Facts::default();
            assert!(with_context(&mut facts, |context| read_datagram(A, message, context)));
            assert_eq!((facts.services(), facts.opener), (&[Service::Ldap][..], Some(opener)));
        }
        // [MS-ADTS] 6.3.3.2: entry and result in one datagram
        let entry = b"\x30\x0b\x02\x01\x01\x64\x06\x04\0\x30\x02\x30\0";
        let mut facts = Facts::default();
        let both = [&entry[..], DONE].concat();
        assert!(with_context(&mut facts, |context| read_datagram(B, &both, context)));
        assert_eq!(facts.opener, Some(A));
        let torn = [&entry[..], b"\x30"].concat();
        assert!(!with_context(&mut Facts::default(), |context| read_datagram(
            B, &torn, context
        )));
    }

    #[test]
    fn other_sequences_are_not_it() {
        for bytes in [
            &b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x04\x04\x00\x80\x00"[..], // version 4
            b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x81\x00",      // no such authentication
            b"\x30\x27\x02\x01\x01\x04\x06public",                            // SNMP
            b"\x30\x82\x01\x0a\x30\x82",                                      // a certificate
            b"\x30\x05\x02\x01\x01\x60\x07",                                  // longer than its envelope
            b"\x30\x0c\x02\x01\xff",
        ] {
            assert_eq!(probe(bytes), Probe::No, "{bytes:x?}");
        }
    }

    proptest! {
        /// Four tags and as many small numbers: 2^-56 and less.
        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(probe(&bytes) != Probe::Yes);
            let sequence = [&[0x30][..], &bytes].concat();
            tell(&mut Reader::default(), [(A, &bytes[..]), (B, &sequence[..])]);
        }
    }
}
