//! SMB of all versions ([MS-CIFS] 2.2.3.1, [MS-SMB2] 2.2.1) over TCP, in the frames of the NetBIOS session service (RFC
//! 1002 4.3; [MS-SMB2] 2.1 without the session request, on 445).
//!
//! Strategy: four octets of frame, then a magic number of four; before that there may be a session request, whose two
//! encoded names nothing else has. Each header says whether it is an answer.

use super::fault::{answer, must, Fault};
use super::{Context, Probe, Step, StreamReader};
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

const SESSION_MESSAGE: u8 = 0x00;
const SESSION_REQUEST: u8 = 0x81;
/// Two names of 34 octets without scope (RFC 1002 4.3.2).
const REQUEST_LENGTH: u32 = 68;

/// RFC 1001 14.1: length 32, as many letters A to P, end of name.
fn netbios_name(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    must(cursor.u8()? == 32)?;
    for _ in 0..32 {
        must((b'A'..=b'P').contains(&cursor.u8()?))?;
    }
    must(cursor.u8()? == 0)
}

/// Whether the sender opened, as far as the first frame tells.
fn frame(bytes: &[u8]) -> Result<Option<bool>, Fault> {
    let mut cursor = Cursor::new(bytes);
    match cursor.u8()? {
        SESSION_REQUEST => {
            must(cursor.u24()? == REQUEST_LENGTH)?;
            netbios_name(&mut cursor)?;
            netbios_name(&mut cursor)?;
            return Ok(Some(true));
        }
        SESSION_MESSAGE => {}
        _ => return Err(Fault::Wrong),
    }
    let length = cursor.u24()?;
    let version = cursor.u8()?;
    must(length >= 32 && matches!(version, 0xfc..=0xff))?;
    for expected in *b"SMB" {
        must(cursor.u8()? == expected)?;
    }
    match version {
        // [MS-CIFS] 2.2.3.1: the reply bit of the flags. Servers send requests, too (broken locks), but not to negotiate.
        0xff => {
            let command = cursor.u8()?;
            cursor.skip(4)?;
            let reply = cursor.u8()? & 0x80 != 0;
            Ok((reply || command == 0x72).then_some(!reply))
        }
        // [MS-SMB2] 2.2.1.2: a header of 64 octets says so itself; then the bit of an answer.
        0xfe => {
            must(cursor.u16_le()? == 64)?;
            cursor.skip(2 + 4 + 2 + 2)?;
            Ok(Some(cursor.u32_le()? & 1 == 0))
        }
        // [MS-SMB2] 2.2.41 and 2.2.42: encrypted or compressed.
        _ => Ok(None),
    }
}

pub fn probe(bytes: &[u8]) -> Probe {
    answer(&frame(bytes))
}

/// The first frame tells all.
#[derive(Debug, Default)]
pub struct Reader;

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        match frame(bytes) {
            Ok(began) => {
                context.facts.recognise(Service::Smb);
                if let Some(sender) = began {
                    context.facts.opened_by(if sender { side } else { side.other() });
                }
                Step::Done
            }
            Err(fault) => fault.after(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, every_truncation, probe_waits, tell};
    use super::*;
    use proptest::prelude::*;
    use Side::{A, B};

    /// [MS-SMB2] 2.2.1.2 with the flags given.
    fn smb2(flags: u8) -> Vec<u8> {
        let mut frame = b"\0\0\0\x66\xfeSMB\x40\0\0\0\0\0\0\0\0\0\x1f\0".to_vec();
        frame.extend([flags, 0, 0, 0]);
        frame.extend([0; 82]);
        frame
    }

    fn session_request() -> Vec<u8> {
        let name = [&[32][..], &b"CKFDENECFDEFFCFGEFFCCACACACACACA"[..], &[0]].concat();
        [&[0x81, 0, 0, 68][..], &name, &name].concat()
    }

    #[test]
    fn requests_and_answers_tell_who_opened() {
        let smb1 =
            |command: u8, flags: u8| [b"\0\0\0\x33\xffSMB", &[command, 0, 0, 0, 0, flags][..], &[0; 37]].concat();
        for (frame, opener) in [
            (smb2(0), Some(A)),
            (smb2(1), Some(B)),
            (smb1(0x72, 0x18), Some(A)),
            (smb1(0x72, 0x98), Some(B)),
            (smb1(0x24, 0x18), None),
            (session_request(), Some(A)),
            ([&b"\0\0\0\x66\xfdSMB"[..], &[0; 98]].concat(), None),
        ] {
            let told = every_split(|| Reader, &[(A, &frame)]);
            assert_eq!(
                (told.facts.services(), told.facts.opener),
                (&[Service::Smb][..], opener),
                "{frame:x?}"
            );
            every_truncation(|| Reader, &[(A, &frame)]);
            probe_waits(probe, &frame);
        }
    }

    #[test]
    fn look_alikes_are_not_it() {
        for bytes in [
            &b"\0\0\0\x66\xfeSMC"[..],
            b"\0\0\0\x05\xffSMB",
            b"\x81\0\0\x44\x20abc",
            b"\x81\0\0\x45",
            b"\xffSMB",
            b"\x85\0\0\0",
        ] {
            assert_eq!(probe(bytes), Probe::No, "{bytes:x?}");
        }
    }

    proptest! {
        /// 2^-34 or less: magic number, and the octet before the length.
        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(probe(&bytes) != Probe::Yes);
            tell(&mut Reader, [(A, &bytes[..])]);
        }
    }
}
