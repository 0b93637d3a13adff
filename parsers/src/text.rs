//! Text from the wire: attacker's bytes on their way into JSON, terminals, HTML and logs.
//!
//! Kept as sent, in a box of their own and never more than `LIMIT` octets; made harmless only when shown, so that what
//! rules compare is what was on the wire. Shown means: valid UTF-8 stays, what is no UTF-8 becomes `\xNN`, and
//! characters that move a cursor, end a line or turn the reading direction become `\u{NNNN}`.

use std::fmt;
use std::fmt::Write;

/// Octets kept of one text. A host name has at most 255 (RFC 1035 2.3.4), a SIP URI that any server accepts a few
/// hundred; a text longer than this tells nothing more and would let one packet fill a row.
pub const LIMIT: usize = 1_024;

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text {
    bytes: Box<[u8]>,
    cut: bool,
}

impl Text {
    /// Copies at most `LIMIT` octets. A character that the limit would halve is left out whole.
    pub fn from_wire(bytes: &[u8]) -> Text {
        match bytes.get(..LIMIT) {
            Some(head) if bytes.len() > LIMIT => {
                let kept = head.get(..whole_characters(head)).unwrap_or(head);
                Text {
                    bytes: kept.into(),
                    cut: true,
                }
            }
            _ => Text {
                bytes: bytes.into(),
                cut: false,
            },
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// There was more of it on the wire.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Harmless wherever it is printed; see the head of this file.
    pub fn to_display(&self) -> String {
        let mut out = String::with_capacity(self.bytes.len());
        self.write_to(&mut out);
        out
    }

    /// Appends what `to_display` returns.
    pub fn write_to(&self, out: &mut String) {
        for chunk in self.bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if is_active(character) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{{{:04x}}}", u32::from(character));
                } else {
                    out.push(character);
                }
            }
            for byte in chunk.invalid() {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
}

/// Appends lower-case hexadecimal digits. The formatter of the standard library takes ten times as long for an octet.
pub fn write_hex(octets: &[u8], out: &mut String) {
    for octet in octets {
        for digit in [octet >> 4, octet & 0x0f] {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "\"{}\"{}",
            self.to_display(),
            if self.cut { "…" } else { "" }
        )
    }
}

/// Characters that act on whoever shows them instead of being shown: C0, DEL, C1, line and paragraph separator, and the
/// marks, embeddings, overrides and isolates of bidirectional text (Unicode UAX #9).
fn is_active(character: char) -> bool {
    matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Length of `head` without an unfinished UTF-8 sequence at its very end. Bytes that are wrong in any other way stay:
/// they are shown as they are.
fn whole_characters(head: &[u8]) -> usize {
    // The lead of an unfinished sequence is one of the last three octets.
    for at in (head.len().saturating_sub(3)..head.len()).rev() {
        let tail = head.get(at..).unwrap_or_default();
        if matches!(tail.first(), Some(0xc2..=0xf4)) {
            let unfinished = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
            return if unfinished { at } else { head.len() };
        }
    }
    head.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(bytes: &[u8]) -> String {
        Text::from_wire(bytes).to_display()
    }

    #[test]
    fn keeps_utf_8_as_sent() {
        assert_eq!(shown("sip:zoë@contoso.net;☎".as_bytes()), "sip:zoë@contoso.net;☎");
        assert_eq!(shown(b""), "");
        // A backslash of the wire is a character like any other.
        assert_eq!(shown(br"\x00"), r"\x00");
    }

    #[test]
    fn shows_bytes_that_are_no_utf_8() {
        assert_eq!(shown(b"a\xffb\xc3"), r"a\xffb\xc3");
        assert_eq!(shown(b"\xe2\x82x"), r"\xe2\x82x", "each byte of a broken sequence");
        assert_eq!(
            shown(b"\xed\xa0\x80"),
            r"\xed\xa0\x80",
            "surrogates are no UTF-8 (RFC 3629 3)"
        );
        assert_eq!(shown(b"\xc0\xaf"), r"\xc0\xaf", "nor are overlong forms");
    }

    #[test]
    fn disarms_every_active_character() {
        for (first, last) in [
            (0, 0x1f),
            (0x7f, 0x9f),
            (0x2028, 0x2029),
            (0x61c, 0x61c),
            (0x200e, 0x200f),
            (0x202a, 0x202e),
            (0x2066, 0x2069),
        ] {
            for code in first..=last {
                let character = char::from_u32(code).unwrap();
                assert_eq!(shown(character.to_string().as_bytes()), format!("\\u{{{code:04x}}}"));
            }
        }
        assert_eq!(shown(b"\x1b[2J\r\n"), r"\u{001b}[2J\u{000d}\u{000a}");
        // Their neighbours are ordinary: space, tilde, no-break space, zero-width joiner, narrow space.
        for character in [
            ' ', '~', '\u{a0}', '\u{200d}', '\u{2027}', '\u{202f}', '\u{2065}', '\u{206a}',
        ] {
            assert_eq!(shown(character.to_string().as_bytes()), character.to_string());
        }
    }

    #[test]
    fn cuts_at_the_limit_and_says_so() {
        let exact = Text::from_wire(&[b'a'; LIMIT]);
        assert!(!exact.is_cut());
        assert_eq!(exact.bytes().len(), LIMIT);
        let longer = Text::from_wire(&[b'a'; LIMIT + 1]);
        assert!(longer.is_cut());
        assert_eq!(longer.bytes().len(), LIMIT);
    }

    #[test]
    fn never_halves_a_character() {
        for character in ['é', '☎', '𝄞'] {
            let width = character.len_utf8();
            for room in 0..=width {
                let mut bytes = vec![b'a'; LIMIT - room];
                bytes.extend(character.to_string().as_bytes());
                bytes.extend(b"zzzzz");
                let text = Text::from_wire(&bytes);
                assert!(text.is_cut());
                let kept = if room == width { LIMIT } else { LIMIT - room };
                assert_eq!(text.bytes().len(), kept, "{character} with {room} octets left");
                assert!(std::str::from_utf8(text.bytes()).is_ok());
            }
        }
    }

    #[test]
    fn a_cut_in_bytes_that_are_no_utf_8_loses_nothing() {
        for tail in [&b"\xff"[..], b"\x80\x80", b"\xe0\x80", b"\xf5\x80\x80"] {
            let mut bytes = vec![b'a'; LIMIT - tail.len()];
            bytes.extend(tail);
            bytes.push(b'b');
            assert_eq!(Text::from_wire(&bytes).bytes().len(), LIMIT, "{tail:02x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..1_500)) {
            let text = Text::from_wire(&bytes);
            prop_assert!(text.bytes().len() <= LIMIT);
            prop_assert!(bytes.starts_with(text.bytes()));
            prop_assert!(!text.to_display().chars().any(is_active));
        }

        #[test]
        fn what_is_utf_8_stays_utf_8(sent in "\\PC{0,600}") {
            prop_assert!(std::str::from_utf8(Text::from_wire(sent.as_bytes()).bytes()).is_ok());
        }
    }
}
