//! VNC by the version that each side sends first (RFC 6143 7.1.1), twelve octets: `RFB 003.008` and a line feed.
//!
//! Both sides write the same form, so that nothing tells who opened. Apple's and others' numbers beyond 3.8 are in use.

use super::{Context, Probe, Step, StreamReader};
use crate::facts::{Service, Side};

const FORM: &[u8; 12] = b"RFB 000.000\n";

/// `RFB ddd.ddd` and a line feed, nothing behind it before the other side has spoken.
pub fn probe(bytes: &[u8]) -> Probe {
    let fits = FORM.iter().zip(bytes).all(|(form, byte)| match form {
        b'0' => byte.is_ascii_digit(),
        form => form == byte,
    });
    match (fits, bytes.len() >= FORM.len()) {
        (false, _) => Probe::No,
        (true, true) => Probe::Yes,
        (true, false) => Probe::More,
    }
}

/// Nothing more is read.
#[derive(Debug, Default)]
pub struct Reader;

impl StreamReader for Reader {
    fn advance(&mut self, _side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        match probe(bytes) {
            Probe::Yes => {
                context.facts.recognise(Service::Vnc);
                Step::Done
            }
            Probe::More => Step::More(0),
            Probe::No => Step::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, every_truncation, probe_waits};
    use super::*;
    use Side::{A, B};

    #[test]
    fn knows_each_version() {
        for version in [
            &b"RFB 003.003\n"[..],
            b"RFB 003.008\n",
            b"RFB 003.889\n",
            b"RFB 005.000\n",
        ] {
            probe_waits(probe, version);
            let told = every_split(|| Reader, &[(B, version), (A, version)]);
            assert_eq!((told.facts.services(), told.facts.opener), (&[Service::Vnc][..], None));
            every_truncation(|| Reader, &[(B, version)]);
        }
    }

    #[test]
    fn look_alikes_are_not_it() {
        for bytes in [
            &b"RFB 3.8\n"[..],
            b"RFB 003.008\r\n",
            b"RFC 003.008\n",
            b"rfb 003.008\n",
        ] {
            assert_eq!(probe(bytes), Probe::No);
        }
    }
}
