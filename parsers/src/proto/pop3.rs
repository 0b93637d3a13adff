//! POP3 (RFC 1939) up to the login or TLS (RFC 2595 4).
//!
//! Strategy: a server greets with `+OK` and a text (Redis says so, too, but without one); a client that begins with CAPA,
//! STLS or APOP is enough, one that begins with USER may be FTP's.

use super::lines::{self, Dialect, Known, Said};
use super::Probe;
use crate::facts::Service;

pub fn probe(bytes: &[u8]) -> Probe {
    match probe_client(bytes) {
        Probe::No => lines::command(bytes, &[b"+OK "]),
        known => known,
    }
}

fn probe_client(bytes: &[u8]) -> Probe {
    const ALONE: [&[u8]; 2] = [b"CAPA\r\n", b"STLS\r\n"];
    let shared = |word: &[u8]| word.len().min(bytes.len());
    match ALONE
        .into_iter()
        .find(|word| lines::begins(bytes, &word[..shared(word)]))
    {
        Some(word) if bytes.len() >= word.len() => Probe::Yes,
        Some(_) => Probe::More,
        None => lines::command(bytes, &[b"APOP "]),
    }
}

#[derive(Debug, Default)]
pub struct Pop3;

pub type Reader = lines::Reader<Pop3>;

impl Dialect for Pop3 {
    const SERVICE: Service = Service::Pop3;

    fn greets(line: &[u8]) -> bool {
        line.starts_with(b"+OK") || line.starts_with(b"-ERR")
    }

    fn client(&mut self, line: &[u8]) -> Said {
        if line.trim_ascii().eq_ignore_ascii_case(b"STLS") {
            Said::Asks
        } else if [&b"PASS "[..], b"APOP ", b"AUTH "]
            .iter()
            .any(|word| lines::begins(line, word))
        {
            Said::Over
        } else {
            Said::Nothing
        }
    }

    fn server(&mut self, line: &[u8], known: Known) -> Said {
        match known.asked {
            true if line.starts_with(b"+OK") => Said::Accepts,
            true if line.starts_with(b"-ERR") => Said::Refuses,
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

    /// RFC 2595 4.
    const TALK: [(Side, &[u8]); 4] = [
        (B, b"+OK POP3 server ready\r\n"),
        (A, b"STLS\r\n"),
        (B, b"+OK Begin TLS negotiation\r\n"),
        (A, b"\x16\x03\x01"),
    ];

    #[test]
    fn stls_hands_over_to_tls() {
        hands_over(Reader::default, Service::Pop3, &TALK);
    }

    #[test]
    fn a_password_in_clear_ends_it() {
        let clear: [(Side, &[u8]); 4] = [
            (B, b"+OK <1896.697170952@dbc.mtview.ca.us>\r\n"),
            (A, b"STLS\r\n"),
            (B, b"-ERR command not permitted\r\n"),
            (A, b"USER a\r\nPASS b\r\n"),
        ];
        assert!(matches!(every_split(Reader::default, &clear).step, Step::Done));
    }

    #[test]
    fn knows_both_sides_by_their_first_words() {
        for yes in [
            &b"+OK Dovecot ready.\r\n"[..],
            b"CAPA\r\n",
            b"stls\r\n",
            b"APOP mrose c4c9334bac560ecc\r\n",
        ] {
            probe_waits(probe, yes);
        }
        for no in [
            &b"+OK\r\n"[..],
            b"+PONG\r\n",
            b"CAPABLE\r\n",
            b"USER a\r\n",
            b"-ERR wrong\r\n",
        ] {
            assert_eq!(probe(no), Probe::No, "{no:?}");
        }
    }

    proptest! {
        /// Four octets and a line of text.
        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(probe(&bytes) != Probe::Yes);
            tell(&mut Reader::default(), [(A, &bytes[..]), (B, &bytes[..])]);
        }
    }
}
