//! FTP's control connection (RFC 959) up to the password or TLS (RFC 4217).
//!
//! Strategy: a server greets with 220, as SMTP's does, and says FTP in its greeting or answers the first command with a
//! code that SMTP has not; a client that begins with AUTH TLS is enough, one that begins with USER may be POP3's or IRC's.

use super::lines::{self, Dialect, Known, Said};
use super::Probe;
use crate::facts::Service;

/// RFC 4217 4: TLS and its older names.
const AUTH: [&[u8]; 4] = [b"AUTH TLS", b"AUTH SSL", b"AUTH TLS-C", b"AUTH TLS-P"];
/// RFC 959 4.2.2, RFC 2228, RFC 2389: to USER, FEAT, SYST, AUTH; none of them occurs in SMTP.
const REPLIES: [u16; 7] = [211, 215, 230, 232, 234, 331, 332];

fn is_ftp(line: &[u8]) -> Option<bool> {
    // A mail server's host name may begin with ftp.
    if lines::contains(line, b"SMTP") {
        return Some(false);
    }
    lines::contains(line, b"FTP").then_some(true)
}

pub fn probe(bytes: &[u8]) -> Probe {
    match lines::command(bytes, &AUTH) {
        Probe::No => lines::greeting_220(bytes, is_ftp, &REPLIES),
        known => known,
    }
}

#[derive(Debug, Default)]
pub struct Ftp;

pub type Reader = lines::Reader<Ftp>;

impl Dialect for Ftp {
    const SERVICE: Service = Service::Ftp;

    fn greets(line: &[u8]) -> bool {
        line.first().is_some_and(u8::is_ascii_digit)
    }

    fn client(&mut self, line: &[u8]) -> Said {
        if AUTH.iter().any(|auth| line.trim_ascii().eq_ignore_ascii_case(auth)) {
            Said::Asks
        } else if lines::begins(line, b"PASS") {
            Said::Over
        } else {
            Said::Nothing
        }
    }

    fn server(&mut self, line: &[u8], known: Known) -> Said {
        match lines::final_code(line) {
            Some(234) if known.asked || !known.client_spoke => Said::Accepts,
            Some(230) => Said::Over,
            Some(400..) if known.asked => Said::Refuses,
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

    /// RFC 4217 12.
    const TALK: [(Side, &[u8]); 4] = [
        (B, b"220-Welcome\r\n any text\r\n220 FTP server ready\r\n"),
        (A, b"AUTH TLS\r\n"),
        (B, b"234 Enabling TLS Connection\r\n"),
        (A, b"\x16\x03\x01"),
    ];

    #[test]
    fn auth_hands_over_to_tls() {
        hands_over(Reader::default, Service::Ftp, &TALK);
    }

    #[test]
    fn a_password_in_clear_ends_it() {
        let clear: [(Side, &[u8]); 4] = [
            (B, b"220 (vsFTPd 3.0.3)\r\n"),
            (A, b"AUTH TLS\r\n"),
            (B, b"530 Please login with USER and PASS.\r\n"),
            (A, b"USER a\r\nPASS b\r\n"),
        ];
        assert!(matches!(every_split(Reader::default, &clear).step, Step::Done));
    }

    #[test]
    fn knows_both_sides_by_their_first_words() {
        for yes in [
            &b"220 Microsoft FTP Service\r\n"[..],
            b"220 (vsFTPd 3.0.3)\r\n",
            b"220-Hello\r\nanything\r\n220 you\r\n331 Password\r\n",
            b"220 files.example\r\n234 go on\r\n",
            b"auth tls\r\n",
        ] {
            probe_waits(probe, yes);
        }
        for no in [
            &b"220 ftp.example ESMTP\r\n"[..],
            b"220 mail.example\r\n250 mail.example\r\n",
            b"USER a\r\n",
            b"AUTH PLAIN\r\n",
            b"230 FTP\r\n",
        ] {
            assert_eq!(probe(no), Probe::No, "{no:?}");
        }
    }

    proptest! {
        /// Three digits, and a word or another three digits.
        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(probe(&bytes) != Probe::Yes);
            tell(&mut Reader::default(), [(A, &bytes[..]), (B, &bytes[..])]);
        }
    }
}
