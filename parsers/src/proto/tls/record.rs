//! The TLS record layer: five octets in front of every fragment (RFC 5246 6.2.1, RFC 8446 5.1).
//!
//! Strict, because this is the evidence by which TLS is told from everything else: a content type that exists, a
//! version 3.x that was ever spoken, a length that a record may have.

use crate::proto::fault::{must, Fault};

pub const CHANGE_CIPHER_SPEC: u8 = 20;
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const APPLICATION_DATA: u8 = 23;
pub const HEARTBEAT: u8 = 24;

/// Octets of a record's header.
pub const HEADER: usize = 5;

/// Longest fragment: 2^14 of plaintext and 2,048 of compression, padding and MAC (RFC 5246 6.2.3).
pub const LONGEST: u16 = (1 << 14) + 2_048;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub content: u8,
    /// Major and minor: 0x0300 … 0x0304.
    pub version: u16,
    pub length: u16,
}

/// Reads a header; as soon as the octets at hand can never begin one, says so.
pub fn header(bytes: &[u8]) -> Result<Header, Fault> {
    let at = |index: usize| bytes.get(index).copied();
    must(at(0).is_none_or(|content| (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(&content)))?;
    must(at(1).is_none_or(|major| major == 3) && at(2).is_none_or(|minor| minor <= 4))?;
    let (Some(content), Some(major), Some(minor), Some(high), Some(low)) = (at(0), at(1), at(2), at(3), at(4)) else {
        must(at(3).is_none_or(|high| u16::from_be_bytes([high, 0]) <= LONGEST))?;
        return Err(Fault::Short);
    };
    let length = u16::from_be_bytes([high, low]);
    // A ChangeCipherSpec is one octet (RFC 5246 7.1), an alert in clear two, one under a cipher more; only application
    // data may be empty (RFC 5246 6.2.1, RFC 8446 5.1).
    let fits = match content {
        CHANGE_CIPHER_SPEC => length >= 1,
        ALERT => length >= 2,
        APPLICATION_DATA => true,
        _ => length >= 1,
    };
    must(length <= LONGEST && fits)?;
    Ok(Header {
        content,
        version: u16::from_be_bytes([major, minor]),
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_record_begins_with() {
        let expected = Header {
            content: HANDSHAKE,
            version: 0x0301,
            length: 45,
        };
        assert_eq!(header(&[0x16, 3, 1, 0, 0x2d, 1]), Ok(expected));
        assert_eq!(
            header(&[0x17, 3, 3, 0, 0]),
            Ok(Header {
                content: 23,
                version: 0x0303,
                length: 0
            })
        );
        for cut in 0..HEADER {
            assert_eq!(header(&[0x16, 3, 1, 0, 0x2d][..cut]), Err(Fault::Short), "{cut} octets");
        }
    }

    #[test]
    fn says_at_the_first_octet_that_cannot_be_right() {
        assert_eq!(header(&[0x13]), Err(Fault::Wrong));
        assert_eq!(header(&[0x19]), Err(Fault::Wrong));
        assert_eq!(header(&[0x16, 2]), Err(Fault::Wrong));
        assert_eq!(header(&[0x16, 3, 5]), Err(Fault::Wrong));
        assert_eq!(
            header(&[0x16, 3, 1, 0x49]),
            Err(Fault::Wrong),
            "longer than 2^14 + 2048 whatever follows"
        );
        assert_eq!(header(&[0x16, 3, 1, 0x48, 0x01]), Err(Fault::Wrong));
        assert_eq!(
            header(&[0x16, 3, 1, 0, 0]),
            Err(Fault::Wrong),
            "an empty handshake fragment is not allowed"
        );
        assert_eq!(header(&[0x15, 3, 1, 0, 1]), Err(Fault::Wrong), "no alert has one octet");
        let longest = Header {
            content: 23,
            version: 0x0303,
            length: LONGEST,
        };
        assert_eq!(header(&[0x17, 3, 3, 0x48, 0x00]), Ok(longest));
    }
}
