//! Microsoft SQL Server by the packets that begin a session of TDS ([MS-TDS] 2.2.3.1, 2.2.6.4, 2.2.6.5), and the TLS that
//! its login goes through.
//!
//! Strategy: a packet header without a magic number, so that the content counts: a list of options that must begin with the
//! version and whose offsets must follow each other, or a login that repeats its length. The TLS handshake travels inside
//! PRELOGIN packets (3.2.5.1); it is unwrapped for the reader that the caller gives, so that this file imports none.

use super::fault::{answer, must, Fault};
use super::{Context, Probe, Step, StreamReader};
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

const HEADER: usize = 8;
const RESPONSE: u8 = 0x04;
const LOGIN7: u8 = 0x10;
const PRELOGIN: u8 = 0x12;
/// 2.2.6.5: VERSION to FEDAUTHREQUIRED and NONCEOPT.
const LAST_OPTION: u8 = 7;
const TERMINATOR: u8 = 0xff;
/// A PRELOGIN has some 100 octets.
const LONGEST_PRELOGIN: usize = 1_024;
/// Octets unwrapped for one direction and not taken by the reader inside: four TLS records, as `classify` has it.
const UNWRAPPED: usize = 65_536;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Prelogin,
    Answer,
    Login,
}

/// A session's first packet of either side, and the octets it took.
fn first(bytes: &[u8]) -> Result<(First, usize), Fault> {
    let mut cursor = Cursor::new(bytes);
    let kind = cursor.u8()?;
    must(matches!(kind, PRELOGIN | RESPONSE | LOGIN7))?;
    // 2.2.3.1.2: only the end of the message may be set.
    must(cursor.u8()? == 1)?;
    let length = usize::from(cursor.u16()?);
    must(length > HEADER)?;
    cursor.skip(3)?;
    must(cursor.u8()? == 0)?;
    if kind == LOGIN7 {
        must(usize::try_from(cursor.u32_le()?) == Ok(length - HEADER))?;
        // 2.2.6.4: 7.0 to 7.4, most significant octet last.
        cursor.skip(3)?;
        must((0x70..=0x74).contains(&cursor.u8()?))?;
        return Ok((First::Login, length));
    }
    must(length <= LONGEST_PRELOGIN)?;
    options(&mut cursor, length - HEADER)?;
    if bytes.len() < length {
        return Err(Fault::Short);
    }
    let kind = if kind == PRELOGIN {
        First::Prelogin
    } else {
        First::Answer
    };
    Ok((kind, length))
}

/// 2.2.6.5: token, offset and length of each option; the values follow in the same order.
fn options(cursor: &mut Cursor<'_>, room: usize) -> Result<(), Fault> {
    let mut expected = 0;
    let mut count: u8 = 0;
    loop {
        let token = cursor.u8()?;
        if token == TERMINATOR {
            break;
        }
        must(token <= LAST_OPTION && count <= LAST_OPTION && (count == 0) == (token == 0))?;
        let (offset, length) = (usize::from(cursor.u16()?), usize::from(cursor.u16()?));
        // The version has six octets; each value begins where the one before it ended.
        must(count > 0 && offset == expected || count == 0 && length == 6 && offset >= 6)?;
        expected = offset.saturating_add(length);
        must(expected <= room)?;
        count += 1;
    }
    must(count > 0)
}

pub fn probe(bytes: &[u8]) -> Probe {
    answer(&first(bytes))
}

#[derive(Debug, Default)]
struct Direction {
    begun: bool,
    /// Octets of the current PRELOGIN packet that are still to come.
    left: usize,
    unwrapped: Vec<u8>,
}

pub struct Reader {
    /// Reads the TLS inside, once it has begun.
    inner: Box<dyn StreamReader>,
    /// Whether octets may begin that TLS.
    begins: fn(&[u8]) -> Probe,
    inside: bool,
    directions: [Direction; 2],
}

impl Reader {
    pub fn new(inner: Box<dyn StreamReader>, begins: fn(&[u8]) -> Probe) -> Self {
        Reader {
            inner,
            begins,
            inside: false,
            directions: Default::default(),
        }
    }

    /// Offers what was unwrapped to the reader inside. False = it has heard enough, or there is no TLS.
    fn read_inside(&mut self, side: Side, context: &mut Context<'_>) -> bool {
        for side in [side, side.other()] {
            let Some(own) = self.directions.get_mut(side.index()) else {
                return false;
            };
            if !self.inside && !own.unwrapped.is_empty() {
                match (self.begins)(&own.unwrapped) {
                    Probe::Yes => self.inside = true,
                    Probe::More => {}
                    Probe::No => return false,
                }
            }
            while self.inside && !own.unwrapped.is_empty() {
                match self.inner.advance(side, &own.unwrapped, context) {
                    Step::More(0) => break,
                    Step::More(taken) => drop(own.unwrapped.drain(..taken.min(own.unwrapped.len()))),
                    Step::Done | Step::Broken | Step::Switch(_) => return false,
                }
            }
            if own.unwrapped.len() > UNWRAPPED {
                return false;
            }
        }
        true
    }
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        let mut consumed: usize = 0;
        loop {
            let rest = bytes.get(consumed..).unwrap_or_default();
            let Some(own) = self.directions.get_mut(side.index()) else {
                return Step::Broken;
            };
            if rest.is_empty() {
                return Step::More(consumed);
            }
            if !own.begun {
                let (first, length) = match first(rest) {
                    Ok(read) => read,
                    Err(fault) => return fault.after(consumed),
                };
                context.facts.recognise(Service::Mssql);
                context
                    .facts
                    .opened_by(if first == First::Answer { side.other() } else { side });
                if first == First::Login {
                    return Step::Done;
                }
                own.begun = true;
                consumed = consumed.saturating_add(length);
                continue;
            }
            let taken = match (own.left, rest) {
                // Behind the handshake TLS is no longer wrapped.
                (0, [20..=23, 3, ..]) => rest.len(),
                (0, [PRELOGIN, 0 | 1, high, low, _, _, _, _, ..]) => {
                    own.left = usize::from(u16::from_be_bytes([*high, *low])).saturating_sub(HEADER);
                    consumed = consumed.saturating_add(HEADER);
                    continue;
                }
                (0, [PRELOGIN | 20..=23, ..]) if rest.len() < HEADER => return Step::More(consumed),
                (0, _) => return Step::Done,
                (left, _) => {
                    let taken = left.min(rest.len());
                    own.left = left.saturating_sub(taken);
                    taken
                }
            };
            own.unwrapped.extend_from_slice(rest.get(..taken).unwrap_or_default());
            consumed = consumed.saturating_add(taken);
            if !self.read_inside(side, context) {
                return Step::Done;
            }
        }
    }

    fn memory(&self) -> usize {
        let held: usize = self.directions.iter().map(|own| own.unwrapped.len()).sum();
        held.saturating_add(self.inner.memory())
    }
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, every_truncation, probe_waits, tell};
    use super::super::tls;
    use super::*;
    use proptest::prelude::*;
    use Side::{A, B};

    /// [MS-TDS] 4.1: Pre-Login Request.
    const REQUEST: &[u8] = b"\x12\x01\0\x2f\0\0\x01\0\0\0\x1a\0\x06\x01\0\x20\0\x01\x02\0\x21\0\x01\x03\0\x22\0\x04\x04\0\x26\0\x01\xff\x09\0\0\0\0\0\x01\0\xb8\x0d\0\0\x01";
    /// 4.2: Pre-Login Response.
    const ANSWER: &[u8] = b"\x04\x01\0\x2b\0\0\x01\0\0\0\x1a\0\x06\x01\0\x20\0\x01\x02\0\x21\0\x01\x03\0\x22\0\0\x04\0\x22\0\x01\xff\x09\0\0\0\0\0\x01\0\0";

    fn reader() -> Reader {
        Reader::new(Box::<tls::Reader>::default(), tls::probe)
    }

    fn wrapped(octets: &[u8]) -> Vec<u8> {
        let length = u16::try_from(octets.len() + HEADER).unwrap().to_be_bytes();
        [&[PRELOGIN, 1, length[0], length[1], 0, 0, 0, 0], octets].concat()
    }

    /// RFC 5246 7.4.1.2, RFC 6066 3: a ClientHello that asks for sql.example.
    fn client_hello() -> Vec<u8> {
        let name = b"\0\0\0\x10\0\x0e\0\0\x0bsql.example";
        let mut body = vec![3, 3];
        body.extend([0x42; 32]);
        body.extend(b"\0\0\x02\xc0\x2f\x01\0");
        body.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        body.extend(name);
        let length = u16::try_from(body.len()).unwrap();
        let mut record = vec![22, 3, 1];
        record.extend((length + 4).to_be_bytes());
        record.extend([1, 0]);
        record.extend(length.to_be_bytes());
        record.extend(body);
        record
    }

    #[test]
    fn the_tls_inside_is_read() {
        let hello = client_hello();
        let (one, two) = hello.split_at(30);
        let parts = [wrapped(one), wrapped(two)].concat();
        let talk = [(A, REQUEST), (B, ANSWER), (A, &parts[..])];
        let told = every_split(reader, &talk);
        assert_eq!(told.facts.services(), [Service::Mssql, Service::Tls]);
        assert_eq!(told.facts.opener, Some(A));
        let name = told.facts.tls.and_then(|tls| tls.server_name);
        assert_eq!(name.map(|name| name.bytes().to_vec()), Some(b"sql.example".to_vec()));
        every_truncation(reader, &talk);
    }

    #[test]
    fn each_first_packet_tells_who_opened() {
        let login = [&b"\x10\x01\0\x68\0\0\x01\0\x60\0\0\0\x04\0\0\x74"[..], &[0; 88]].concat();
        for (packet, opener) in [(REQUEST, A), (ANSWER, B), (&login, A)] {
            probe_waits(probe, packet);
            let told = every_split(reader, &[(A, packet)]);
            assert_eq!(
                (told.facts.services(), told.facts.opener),
                (&[Service::Mssql][..], Some(opener))
            );
        }
    }

    #[test]
    fn what_does_not_agree_is_refused() {
        for (at, value) in [(1, 0), (3, 0x1b), (7, 1), (8, 1), (10, 5), (12, 7), (15, 0x21)] {
            let mut wrong = REQUEST.to_vec();
            wrong[at] = value;
            assert_eq!(probe(&wrong), Probe::No, "octet {at}");
        }
        // 2.2.7.13: an answer to a login
        assert_eq!(probe(b"\x04\x01\0\x40\0\x33\x01\0\xe3\x1b"), Probe::No);
    }

    proptest! {
        /// 2^-45 and less: header 2^-24, the first option's token and length 2^-21.
        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(probe(&bytes) != Probe::Yes);
            let parts = [REQUEST, &wrapped(&bytes), &bytes].concat();
            tell(&mut reader(), [(A, &bytes[..]), (B, &parts[..])]);
            tell(&mut reader(), [(A, &parts[..])]);
        }
    }
}
