//! Tags and lengths of BER (X.690 8.1) at the beginning of a message, as SNMP, Kerberos and LDAP have them. Shared by
//! their readers, knows none of them.
//!
//! Strategy: the octets are read from the front and never looked up twice, so that a beginning tells the same as the whole:
//! `Short` while it may still become right, `Wrong` as soon as it cannot.

use super::fault::{must, Fault};
use crate::cursor::Cursor;

pub const INTEGER: u8 = 0x02;
pub const OCTET_STRING: u8 = 0x04;
pub const ENUMERATED: u8 = 0x0a;
pub const SEQUENCE: u8 = 0x30;

/// Tag and length of the next element. High tags and indefinite lengths occur in none of the three; Active Directory
/// writes four octets of length where one would do.
pub fn head(cursor: &mut Cursor<'_>) -> Result<(u8, usize), Fault> {
    let tag = cursor.u8()?;
    must(tag & 0x1f != 0x1f)?;
    let length = match cursor.u8()? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => usize::from(cursor.u8()?),
        0x82 => usize::from(cursor.u16()?),
        0x83 => usize::try_from(cursor.u24()?).map_err(|_| Fault::Wrong)?,
        0x84 => usize::try_from(cursor.u32()?).map_err(|_| Fault::Wrong)?,
        _ => return Err(Fault::Wrong),
    };
    Ok((tag, length))
}

/// Length of the next element, which must have this tag.
pub fn expect(cursor: &mut Cursor<'_>, tag: u8) -> Result<usize, Fault> {
    must(cursor.rest().first().is_none_or(|found| *found == tag))?;
    head(cursor).map(|(_, length)| length)
}

/// The next element, which must have this tag and end where its surroundings do.
pub fn expect_last(cursor: &mut Cursor<'_>, tag: u8, end: usize) -> Result<(), Fault> {
    let length = expect(cursor, tag)?;
    must(cursor.position().checked_add(length) == Some(end))
}

/// An integer of at most five octets (unsigned 32 bits take that many), or an enumeration.
pub fn number(cursor: &mut Cursor<'_>, tag: u8) -> Result<i64, Fault> {
    let length = expect(cursor, tag)?;
    must((1..=5).contains(&length))?;
    let octets = cursor.take(length)?;
    let negative = octets.first().is_some_and(|first| first & 0x80 != 0);
    let start = if negative { -1 } else { 0 };
    Ok(octets.iter().fold(start, |value, octet| value << 8 | i64::from(*octet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_to_five_octets() {
        for (bytes, expected) in [
            (&[0x30, 5][..], (0x30, 5)),
            (&[0x30, 0x81, 200], (0x30, 200)),
            (&[0x30, 0x84, 0, 0, 0, 5], (0x30, 5)),
        ] {
            assert_eq!(head(&mut Cursor::new(bytes)), Ok(expected));
            for cut in 0..bytes.len() {
                assert_eq!(head(&mut Cursor::new(&bytes[..cut])), Err(Fault::Short));
            }
        }
        assert_eq!(head(&mut Cursor::new(&[0x30, 0x80])), Err(Fault::Wrong), "indefinite");
        assert_eq!(head(&mut Cursor::new(&[0x3f, 0x81, 1])), Err(Fault::Wrong), "high tag");
    }

    #[test]
    fn numbers_have_a_sign() {
        let number = |bytes: &[u8]| number(&mut Cursor::new(bytes), INTEGER);
        assert_eq!(number(&[2, 1, 5]), Ok(5));
        assert_eq!(number(&[2, 2, 0xff, 0x7f]), Ok(-129));
        assert_eq!(number(&[2, 5, 0, 0xff, 0xff, 0xff, 0xff]), Ok(0xffff_ffff));
        assert_eq!(number(&[2, 6, 0, 0, 0, 0, 0, 1]), Err(Fault::Wrong));
        assert_eq!(number(&[4, 1, 5]), Err(Fault::Wrong));
    }
}
