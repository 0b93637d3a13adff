//! SMTP (RFC 5321) up to MAIL, AUTH or TLS (RFC 3207).
//!
//! Strategy: a server greets with 220, as FTP's does, and says SMTP in its greeting or answers the first command with 250;
//! a client begins with EHLO or HELO. The only other 220 there is agrees to TLS.

use super::lines::{self, Dialect, Known, Said};
use super::Probe;
use crate::facts::Service;

/// LMTP (RFC 2033) and others that greet alike do not name themselves so.
fn is_smtp(line: &[u8]) -> Option<bool> {
    lines::contains(line, b"SMTP").then_some(true)
}

pub fn probe(bytes: &[u8]) -> Probe {
    match lines::command(bytes, &[b"EHLO ", b"HELO "]) {
        Probe::No => lines::greeting_220(bytes, is_smtp, &[250]),
        known => known,
    }
}

#[derive(Debug, Default)]
pub struct Smtp {
    /// The first reply, which is the greeting, was read.
    replied: bool,
}

pub type Reader = lines::Reader<Smtp>;

impl Dialect for Smtp {
    const SERVICE: Service = Service::Smtp;

    fn greets(line: &[u8]) -> bool {
        line.first().is_some_and(u8::is_ascii_digit)
    }

    fn client(&mut self, line: &[u8]) -> Said {
        if line.trim_ascii().eq_ignore_ascii_case(b"STARTTLS") {
            Said::Asks
        } else if lines::begins(line, b"MAIL ") || lines::begins(line, b"AUTH ") {
            Said::Over
        } else {
            Said::Nothing
        }
    }

    fn server(&mut self, line: &[u8], known: Known) -> Said {
        let Some(code) = lines::final_code(line) else {
            return Said::Nothing;
        };
        let replied = std::mem::replace(&mut self.replied, true);
        match code {
            220 if replied && (known.asked || !known.client_spoke) => Said::Accepts,
            354 => Said::Over,
            400.. if known.asked => Said::Refuses,
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

    /// RFC 3207 6.
    const TALK: [(Side, &[u8]); 6] = [
        (B, b"220 mail.imc.org SMTP service ready\r\n"),
        (A, b"EHLO mail.example.com\r\n"),
        (
            B,
            b"250-mail.imc.org offers a warm hug of welcome\r\n250-8BITMIME\r\n250 STARTTLS\r\n",
        ),
        (A, b"STARTTLS\r\n"),
        (B, b"220 Go ahead\r\n"),
        (A, b"\x16\x03\x01"),
    ];

    #[test]
    fn starttls_hands_over_to_tls() {
        hands_over(Reader::default, Service::Smtp, &TALK);
    }

    #[test]
    fn a_refusal_and_mail_in_clear() {
        let refused: [(Side, &[u8]); 4] = [
            (A, b"EHLO a\r\nSTARTTLS\r\n"),
            (B, b"220 a ESMTP\r\n250 STARTTLS\r\n454 TLS not available\r\n"),
            (A, b"MAIL FROM:<a@b.example>\r\n"),
            (B, b"220 x\r\n"),
        ];
        let told = every_split(Reader::default, &refused);
        assert!(matches!(told.step, Step::Done), "{:?}", told.step);
    }

    #[test]
    fn what_the_client_says_before_a_refusal_is_read_behind_it() {
        let early = [b"NOOP ".as_slice(), &[b'a'; 100]].concat();
        let talk: [(Side, &[u8]); 7] = [
            (B, b"220 mail.imc.org SMTP service ready\r\n"),
            (A, b"STARTTLS\r\n"),
            (A, &early),
            (B, b"454 not now\r\n"),
            (A, b"\r\nSTARTTLS\r\n"),
            (B, b"250 fine\r\n220 go ahead\r\n"),
            (A, b"\x16\x03"),
        ];
        hands_over(Reader::default, Service::Smtp, &talk);
    }

    #[test]
    fn the_server_alone_is_enough() {
        let told = every_split(
            Reader::default,
            &[(B, b"220 a ESMTP\r\n250 STARTTLS\r\n220 ready\r\n\x16\x03")],
        );
        assert!(matches!(told.step, Step::Switch(_)));
        assert_eq!(told.facts.opener, Some(A));
    }

    #[test]
    fn knows_both_sides_by_their_first_words() {
        for yes in [
            &b"220 mail.example ESMTP Postfix\r\n"[..],
            b"220-mail.example\r\n220 Smtp here\r\n",
            b"220 mail.example\r\n250-mail.example\r\n",
            b"ehlo a.example\r\n",
            b"HELO [192.0.2.1]\r\n",
        ] {
            probe_waits(probe, yes);
        }
        for no in [
            &b"220 (vsFTPd 3.0.3)\r\n331 Please specify the password.\r\n"[..],
            b"221 SMTP\r\n",
            b"HELP\r\n",
            b"EHLO\x00",
            b"220\x01",
            b"2200 SMTP\r\n",
        ] {
            assert_eq!(probe(no), Probe::No, "{no:?}");
        }
    }

    proptest! {
        /// Five letters and a line of text: 2^-40 and less.
        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(probe(&bytes) != Probe::Yes);
            tell(&mut Reader::default(), [(A, &bytes[..]), (B, &bytes[..])]);
        }
    }
}
