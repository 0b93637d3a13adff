//! SOCKS 5 (RFC 1928, RFC 1929): the way to a third host, and then whatever is spoken with that one.
//!
//! Strategy: three octets of greeting prove nothing, so that each side's negotiation must be whole: the client's up to its
//! request, the server's up to its reply. Version 4 is too short to be told from chance.

use super::fault::{answer, must, Fault};
use super::{Context, Probe, Step, StreamReader};
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

const VERSION: u8 = 5;
/// RFC 1928 3: none, user name and password. GSSAPI (1) wraps all that follows.
const NO_METHOD: u8 = 0;
const PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
/// Methods that a client offers; IANA knows nine, and the private ones begin at 0x80.
const METHODS: u8 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Request { connect: bool },
    Reply { granted: bool },
}

/// Address type, address and port (RFC 1928 4).
fn address(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    match cursor.u8()? {
        1 => cursor.skip(4)?,
        4 => cursor.skip(16)?,
        3 => {
            let length = usize::from(cursor.u8()?);
            must(length > 0)?;
            let name = cursor.take(length)?;
            must(name.iter().all(u8::is_ascii_graphic))?;
        }
        _ => return Err(Fault::Wrong),
    }
    Ok(cursor.skip(2)?)
}

fn request(cursor: &mut Cursor<'_>) -> Result<Said, Fault> {
    must(cursor.u8()? == VERSION)?;
    let count = cursor.u8()?;
    must((1..=METHODS).contains(&count))?;
    for _ in 0..count {
        must(matches!(cursor.u8()?, 0..=9 | 0x80..=0xfe))?;
    }
    // RFC 1929 2: the password is given in clear, as version 1.
    if cursor.rest().first() == Some(&1) {
        cursor.skip(1)?;
        for _ in ["name", "password"] {
            let length = usize::from(cursor.u8()?);
            cursor.skip(length)?;
        }
    }
    must(cursor.u8()? == VERSION)?;
    let command = cursor.u8()?;
    must((1..=3).contains(&command))?;
    must(cursor.u8()? == 0)?;
    address(cursor)?;
    Ok(Said::Request {
        connect: command == CONNECT,
    })
}

fn reply(cursor: &mut Cursor<'_>) -> Result<Said, Fault> {
    must(cursor.u8()? == VERSION)?;
    match cursor.u8()? {
        NO_METHOD => {}
        PASSWORD => {
            must(cursor.u8()? == 1)?;
            must(cursor.u8()? == 0)?;
        }
        _ => return Err(Fault::Wrong),
    }
    must(cursor.u8()? == VERSION)?;
    let code = cursor.u8()?;
    must(code <= 8)?;
    must(cursor.u8()? == 0)?;
    address(cursor)?;
    Ok(Said::Reply { granted: code == 0 })
}

/// One side's negotiation and the octets it took, whichever side it is.
fn negotiation(bytes: &[u8]) -> Result<(Said, usize), Fault> {
    let mut cursor = Cursor::new(bytes);
    let asked = request(&mut cursor);
    if let Ok(said) = asked {
        return Ok((said, cursor.position()));
    }
    let mut cursor = Cursor::new(bytes);
    match (reply(&mut cursor), asked) {
        (Ok(said), _) => Ok((said, cursor.position())),
        (Err(Fault::Short), _) | (_, Err(Fault::Short)) => Err(Fault::Short),
        (Err(wrong), _) => Err(wrong),
    }
}

pub fn probe(bytes: &[u8]) -> Probe {
    answer(&negotiation(bytes))
}

#[derive(Debug, Default)]
pub struct Reader {
    /// Has said what it wants: what follows belongs to the next protocol.
    asked: Option<Side>,
    connect: bool,
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        if self.asked == Some(side) {
            return Step::More(0);
        }
        let (said, length) = match negotiation(bytes) {
            Ok(read) => read,
            Err(fault) => return fault.after(0),
        };
        context.facts.recognise(Service::Socks);
        match said {
            Said::Request { connect } => {
                context.facts.opened_by(side);
                self.asked = Some(side);
                self.connect = connect;
                Step::More(length)
            }
            Said::Reply { granted } => {
                context.facts.opened_by(side.other());
                // A request that was not seen was most likely this one.
                if granted && (self.connect || self.asked.is_none()) {
                    Step::Switch(length)
                } else {
                    Step::Done
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, hands_over, probe_waits, tell};
    use super::*;
    use proptest::prelude::*;
    use Side::{A, B};

    /// RFC 1928 3, 4, 6: no authentication, a name and port 443; granted.
    const REQUEST: [&[u8]; 2] = [b"\x05\x01\0", b"\x05\x01\0\x03\x0bexample.org\x01\xbb"];
    const REPLY: [&[u8]; 2] = [b"\x05\0", b"\x05\0\0\x01\xc0\0\x02\x01\x04\x38"];

    #[test]
    fn a_granted_connection_hands_over() {
        let talk = [
            (A, REQUEST[0]),
            (B, REPLY[0]),
            (A, REQUEST[1]),
            (B, REPLY[1]),
            (A, &b"\x16\x03"[..]),
        ];
        hands_over(Reader::default, Service::Socks, &talk);
        probe_waits(probe, &REQUEST.concat());
        probe_waits(probe, &REPLY.concat());
    }

    #[test]
    fn with_a_password_and_refused() {
        // RFC 1929 2
        let talk: [(Side, &[u8]); 6] = [
            (A, b"\x05\x02\0\x02"),
            (B, b"\x05\x02"),
            (A, b"\x01\x01u\x02pw"),
            (B, b"\x01\0"),
            (A, b"\x05\x01\0\x01\xc0\0\x02\x07\0\x50"),
            (B, b"\x05\x05\0\x01\0\0\0\0\0\0"),
        ];
        let told = every_split(Reader::default, &talk);
        assert_eq!(told.facts.services(), [Service::Socks]);
        assert!(matches!(told.step, Step::Done));
    }

    #[test]
    fn beginnings_of_it_are_no_proof() {
        assert_eq!(probe(b"\x05\x01\0"), Probe::More);
        assert_eq!(probe(b"\x05\0"), Probe::More);
        for bytes in [
            &b"\x05\x01\0\x05\x04"[..],          // no such command
            b"\x05\0\x0b\x03",                   // DCE/RPC (C706 12.6): version 5.0, bind
            b"\x05\x01\0\x05\x01\0\x02",         // no such address
            b"\x05\0\x05\x09",                   // no such reply
            b"\x04\x01\x01\xbb\xc0\0\x02\x07\0", // version 4
        ] {
            assert_eq!(probe(bytes), Probe::No, "{bytes:x?}");
        }
    }

    proptest! {
        /// Seven octets that must be what they are: 2^-48.
        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(probe(&bytes) != Probe::Yes);
            let five = [&[5][..], &bytes].concat();
            tell(&mut Reader::default(), [(A, &bytes[..]), (B, &five[..])]);
        }
    }
}
