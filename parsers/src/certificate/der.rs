//! Just enough DER (X.690) to walk a certificate: elements one after the other, names, times, bits.
//!
//! Nothing recurses and nothing is believed: a walker asks for the element it expects and stops where it is not, so that
//! what stands before a fault can still be read. Where authorities are known to break the rules without leaving a doubt
//! about the meaning (time zones in UTCTime, missing seconds), so do we.

use crate::cursor::Cursor;

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OBJECT_IDENTIFIER: u8 = 0x06;
pub const UTC_TIME: u8 = 0x17;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const UNIVERSAL_STRING: u8 = 0x1c;
pub const BMP_STRING: u8 = 0x1e;
pub const SEQUENCE: u8 = 0x30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
}

/// Elements side by side.
#[derive(Debug, Clone, Copy)]
pub struct Walk<'a>(Cursor<'a>);

impl<'a> Walk<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Walk(Cursor::new(bytes))
    }

    /// The next element whatever its tag; `None` at the end, or where length or tag cannot be read: tags above 30 and
    /// indefinite lengths do not occur in certificates (X.690 10.1).
    pub fn element(&mut self) -> Option<Element<'a>> {
        let mut cursor = self.0;
        let tag = cursor.u8().ok()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let first = cursor.u8().ok()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x84 => {
                let mut length = 0_usize;
                for _ in 0..first & 0x7f {
                    length = length.checked_mul(256)?.checked_add(usize::from(cursor.u8().ok()?))?;
                }
                length
            }
            _ => return None,
        };
        let content = cursor.take(length).ok()?;
        self.0 = cursor;
        Some(Element { tag, content })
    }

    /// Content of the next element, if it has this tag; otherwise the walk stays where it is.
    pub fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let element = ahead.element().filter(|element| element.tag == tag)?;
        *self = ahead;
        Some(element.content)
    }

    /// Steps over the next element, if it has this tag.
    pub fn pass(&mut self, tag: u8) {
        self.expect(tag);
    }

    /// Nothing is left; false too where what is left cannot be read.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// A walk through the next element, if it has this tag.
    pub fn inside(&mut self, tag: u8) -> Option<Walk<'a>> {
        self.expect(tag).map(Walk::new)
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.element()
    }
}

/// Seconds since 1970 of a UTCTime or GeneralizedTime (RFC 5280 4.1.2.5); seconds, fractions and a zone may be there or
/// not.
pub fn time(element: &Element<'_>) -> Option<i64> {
    let mut rest = element.content;
    let year = match element.tag {
        UTC_TIME => match digits(&mut rest, 2)? {
            short @ 0..=49 => short + 2_000,
            short => short + 1_900,
        },
        GENERALIZED_TIME => digits(&mut rest, 4)?,
        _ => return None,
    };
    let (month, day) = (digits(&mut rest, 2)?, digits(&mut rest, 2)?);
    let (hour, minute) = (digits(&mut rest, 2)?, digits(&mut rest, 2)?);
    let second = digits(&mut rest, 2).unwrap_or(0);
    if let [b'.' | b',', fraction @ ..] = rest {
        let end = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = fraction.get(end..)?;
    }
    let zone = match rest {
        [] | [b'Z'] => 0,
        [sign @ (b'+' | b'-'), offset @ ..] => {
            let mut offset = offset;
            let minutes = digits(&mut offset, 2)? * 60 + digits(&mut offset, 2)?;
            if *sign == b'+' {
                minutes
            } else {
                -minutes
            }
        }
        _ => return None,
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3_600 + (minute - zone) * 60 + second)
}

/// A number of so many ASCII digits at the front.
fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (front, behind) = rest.split_at_checked(count)?;
    let mut value = 0;
    for byte in front {
        value = value * 10 + i64::from(char::from(*byte).to_digit(10)?);
    }
    *rest = behind;
    Some(value)
}

/// Days from 1970-01-01 in the Gregorian calendar. Counts from 1 March, so that the leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let before_year = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before_year + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Significant bits of an INTEGER's content.
pub fn bits(content: &[u8]) -> Option<u32> {
    let zeros = content.iter().take_while(|byte| **byte == 0).count();
    let magnitude = content.get(zeros..)?;
    let unused = magnitude.first()?.leading_zeros();
    u32::try_from(magnitude.len().checked_mul(8)?).ok()?.checked_sub(unused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tag: u8, text: &str) -> Option<i64> {
        time(&Element {
            tag,
            content: text.as_bytes(),
        })
    }

    /// Expected values: `date -u -d … +%s`.
    #[test]
    fn times_in_every_spelling() {
        assert_eq!(at(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(at(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(at(UTC_TIME, "500101000000Z"), Some(-631_152_000));
        assert_eq!(at(UTC_TIME, "0002290000Z"), Some(951_782_400), "no seconds");
        assert_eq!(at(UTC_TIME, "251115120000+0530"), Some(1_763_188_200));
        assert_eq!(at(UTC_TIME, "261115120000-0800"), Some(1_794_772_800));
        assert_eq!(at(GENERALIZED_TIME, "20240229120000Z"), Some(1_709_208_000));
        assert_eq!(at(GENERALIZED_TIME, "20240229120000.123Z"), Some(1_709_208_000));
        assert_eq!(at(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
        for wrong in [
            "",
            "7001",
            "70010100000",
            "701301000000Z",
            "700100000000Z",
            "700101006000Z",
            "7x0101000000Z",
        ] {
            assert_eq!(at(UTC_TIME, wrong), None, "{wrong}");
        }
        assert_eq!(at(INTEGER, "700101000000Z"), None);
    }

    #[test]
    fn walks_only_over_what_is_whole() {
        let mut walk = Walk::new(&[0x02, 1, 7, 0x30, 0x81, 2, 5, 0, 0x04, 3, 1, 2]);
        assert_eq!(walk.expect(SEQUENCE), None, "stays where it is");
        assert_eq!(walk.expect(INTEGER), Some(&[7][..]));
        assert_eq!(walk.expect(SEQUENCE), Some(&[5, 0][..]));
        assert_eq!(walk.element(), None, "three octets claimed, two there");
        assert!(!walk.is_at_end() && Walk::new(&[]).is_at_end());
        assert_eq!(Walk::new(&[0x30, 0x80, 0, 0]).element(), None, "indefinite length");
        assert_eq!(Walk::new(&[0x1f, 0x81, 1, 0]).element(), None, "long tag");
        assert_eq!(Walk::new(&[0x04, 0x85, 0, 0, 0, 0, 0]).element(), None);
        assert_eq!(Walk::new(&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff]).element(), None);
    }

    #[test]
    fn counts_bits_without_the_sign_octet() {
        assert_eq!(bits(&[0, 0x80, 0]), Some(16));
        assert_eq!(bits(&[0x7f]), Some(7));
        assert_eq!(bits(&[0, 0]), None);
        assert_eq!(bits(&[]), None);
    }
}
