//! IMAP (RFC 9051, RFC 3501) up to the login or TLS (RFC 3501 6.2.1).
//!
//! Strategy: a server greets untagged; a client's commands bear a tag, whose answer bears it, too, so that the answer to
//! STARTTLS is known by it.

use super::lines::{self, Dialect, Known, Said};
use super::Probe;
use crate::facts::Service;

/// RFC 3501 7.1.
const GREETINGS: [&[u8]; 3] = [b"* OK ", b"* PREAUTH ", b"* BYE "];
/// Commands that come first, and none of which another protocol puts in second place.
const FIRST: [&[u8]; 4] = [b"CAPABILITY", b"STARTTLS", b"AUTHENTICATE ", b"LOGIN "];
/// Tags in use have one to ten octets.
const TAG_LIMIT: usize = 16;

/// Tag and what follows it.
fn split_tag(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = line.iter().position(|octet| *octet == b' ')?;
    let (tag, rest) = line.split_at_checked(blank)?;
    // Letters alone would be any text.
    let fits = (1..=TAG_LIMIT).contains(&tag.len())
        && tag.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'.')
        && tag.iter().any(|octet| !octet.is_ascii_alphabetic());
    fits.then_some((tag, rest.get(1..)?))
}

pub fn probe(bytes: &[u8]) -> Probe {
    match lines::command(bytes, &GREETINGS) {
        Probe::No => probe_client(bytes),
        known => known,
    }
}

fn probe_client(bytes: &[u8]) -> Probe {
    match split_tag(bytes) {
        Some((_, command)) => lines::command(command, &FIRST),
        None => {
            let may = bytes.len() <= TAG_LIMIT
                && bytes
                    .iter()
                    .all(|octet| octet.is_ascii_alphanumeric() || *octet == b'.');
            if may {
                Probe::More
            } else {
                Probe::No
            }
        }
    }
}

#[derive(Debug, Default)]
pub struct Imap {
    /// Of the STARTTLS that waits for its answer.
    tag: Vec<u8>,
}

pub type Reader = lines::Reader<Imap>;

impl Dialect for Imap {
    const SERVICE: Service = Service::Imap;

    fn greets(line: &[u8]) -> bool {
        line.starts_with(b"* ")
    }

    fn client(&mut self, line: &[u8]) -> Said {
        let Some((tag, command)) = split_tag(line) else {
            return Said::Nothing;
        };
        if command.trim_ascii().eq_ignore_ascii_case(b"STARTTLS") {
            self.tag = tag.to_vec();
            Said::Asks
        } else if lines::begins(command, b"LOGIN ") || lines::begins(command, b"AUTHENTICATE ") {
            Said::Over
        } else {
            Said::Nothing
        }
    }

    fn server(&mut self, line: &[u8], known: Known) -> Said {
        let answer = line
            .strip_prefix(&self.tag[..])
            .and_then(|rest| rest.strip_prefix(b" "));
        match answer {
            Some(answer) if known.asked => {
                if lines::begins(answer, b"OK") {
                    Said::Accepts
                } else {
                    Said::Refuses
                }
            }
            _ => Said::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, hands_over, probe_waits, tell};
    use super::super::Step;
    use super::*;
    use crate::facts::Side::{self, A, B};
    use proptest::prelude::*;

    /// RFC 3501 6.2.1.
    const TALK: [(Side, &[u8]); 6] = [
        (B, b"* OK IMAP4rev1 Service Ready\r\n"),
        (A, b"a001 CAPABILITY\r\n"),
        (
            B,
            b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na001 OK CAPABILITY completed\r\n",
        ),
        (A, b"a002 STARTTLS\r\n"),
        (B, b"a002 OK Begin TLS negotiation now\r\n"),
        (A, b"\x16\x03\x01"),
    ];

    #[test]
    fn starttls_hands_over_to_tls() {
        hands_over(Reader::default, Service::Imap, &TALK);
    }

    #[test]
    fn a_refusal_and_a_login_in_clear() {
        let clear: [(Side, &[u8]); 3] = [
            (A, b"1 STARTTLS\r\n"),
            (B, b"* OK hi\r\n1 BAD no\r\n"),
            (A, b"2 LOGIN a b\r\n"),
        ];
        assert!(matches!(every_split(Reader::default, &clear).step, Step::Done));
    }

    #[test]
    fn knows_both_sides_by_their_first_words() {
        for yes in [
            &b"* OK Dovecot ready.\r\n"[..],
            b"* BYE later\r\n",
            b"A1 CAPABILITY\r\n",
            b". login a b\r\n",
        ] {
            probe_waits(probe, yes);
        }
        for no in [
            &b"* hello\r\n"[..],
            b"PLEASE LOGIN a b\r\n",
            b"A1 NOOP\r\n",
            b"A1 CAP\r\n",
            b"GET / HTTP/1.0\r\n",
        ] {
            assert_eq!(probe(no), Probe::No, "{no:?}");
        }
    }

    proptest! {
        /// Five octets and a line of text, or a tag and ten letters.
        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(probe(&bytes) != Probe::Yes);
            tell(&mut Reader::default(), [(A, &bytes[..]), (B, &bytes[..])]);
        }
    }
}
