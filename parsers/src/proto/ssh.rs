//! SSH by its identification string (RFC 4253 4.2), over TCP.
//!
//! Strategy: the string is all there is to read. A server may send lines of text before it; since the client may not,
//! one direction's string settles the flow and such lines are only looked through where they came in one piece.

use super::{Context, Probe, Step, StreamReader};
use crate::facts::{Service, Side};

/// Text before the string that is looked through; OpenSSH's client gives up after 1,024 lines, banners have a few.
const TEXT_LIMIT: usize = 8 * 1024;

/// `SSH-2.0-` or, for version 1 and those that speak both (1.99), `SSH-1.`.
pub fn probe(bytes: &[u8]) -> Probe {
    match string(bytes) {
        Probe::No => {
            // RFC 4253 4.2: UTF-8 text, each line ended; NUL is the mark of something else.
            let head = bytes.get(..TEXT_LIMIT).unwrap_or(bytes);
            let text = head.split(|&byte| byte == 0).next().unwrap_or_default();
            let mut lines = text.split_inclusive(|&byte| byte == b'\n').skip(1);
            if lines.any(|line| string(line) == Probe::Yes) {
                Probe::Yes
            } else {
                Probe::No
            }
        }
        known => known,
    }
}

fn string(bytes: &[u8]) -> Probe {
    const FORMS: [&[u8]; 3] = [b"SSH-2.0-", b"SSH-1.99-", b"SSH-1."];
    if FORMS.iter().any(|form| bytes.starts_with(form)) {
        Probe::Yes
    } else if FORMS.iter().any(|form| form.starts_with(bytes)) {
        Probe::More
    } else {
        Probe::No
    }
}

/// Nothing after the string is in clear that would matter.
#[derive(Debug, Default)]
pub struct Reader;

impl Reader {
    pub fn new() -> Self {
        Reader
    }
}

impl StreamReader for Reader {
    fn advance(&mut self, _side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        match probe(bytes) {
            Probe::Yes => {
                context.facts.recognise(Service::Ssh);
                Step::Done
            }
            Probe::More => Step::More(0),
            // The other direction's lines of text before its string.
            Probe::No => Step::More(bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, every_truncation, probe_waits, tell};
    use super::*;
    use proptest::prelude::*;
    use Side::{A, B};

    #[test]
    fn knows_each_version() {
        for banner in [
            &b"SSH-2.0-OpenSSH_9.7\r\n"[..],
            b"SSH-1.99-Cisco-1.25\n",
            b"SSH-1.5-1.2.27\n",
        ] {
            probe_waits(probe, banner);
            let told = every_split(Reader::new, &[(B, banner)]);
            assert_eq!((told.facts.services(), told.facts.opener), (&[Service::Ssh][..], None));
            every_truncation(Reader::new, &[(B, banner)]);
        }
    }

    #[test]
    fn a_server_may_speak_before_its_string() {
        assert_eq!(probe(b"Hello stranger\r\nno entry\r\nSSH-2.0-x\r\n"), Probe::Yes);
        assert_eq!(
            probe(b"SH-2.0-x\r\nHello SSH-2.0-x\r\n"),
            Probe::No,
            "only at the beginning of a line"
        );
        assert_eq!(probe(b"\0\nSSH-2.0-x\r\n"), Probe::No, "not in binary");
    }

    #[test]
    fn look_alikes_are_not_it() {
        for bytes in [
            &b"SSH-3.0-x\r\n"[..],
            b"ssh-2.0-x\r\n",
            b"SSH 2.0",
            b"220 mail ESMTP\r\n",
            b"S3-",
        ] {
            assert_eq!(probe(bytes), Probe::No);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            probe(&bytes);
            tell(&mut Reader::new(), [(A, &bytes[..])]);
        }
    }
}
