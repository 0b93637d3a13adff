//! SSL 2.0 (draft-hickman-netscape-ssl, 1995): its hellos are in clear, and one of them may still open a later version
//! (RFC 5246 E.2). A record is a length of 15 bits with the high bit set, or of 14 bits and a padding octet.
//!
//! Every length of a hello must fit the others, for these few octets are all that tells it from anything else.

use crate::cursor::Cursor;

pub const VERSION: u16 = 0x0002;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 4;
/// X.509, the only certificate type there is.
const X509: u8 = 1;

/// Octets of a ClientHello before its lists: type, version, three lengths.
const CLIENT_FIXED: u16 = 9;
/// Octets of a ServerHello before its lists: type, session id hit, certificate type, version, three lengths.
const SERVER_FIXED: u16 = 11;
/// Longest list of suites believed: 100 suites of 3 octets; real hellos have up to about 50.
const SUITES: u16 = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read<T> {
    /// The message and the octets it took.
    Message(T, usize),
    Short,
    Wrong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientHello {
    /// 0x0002, or the later version that is offered in this old form.
    pub version: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerHello<'a> {
    /// A former session goes on.
    pub resumed: bool,
    pub certificate: &'a [u8],
}

pub fn client_hello(bytes: &[u8]) -> Read<ClientHello> {
    let mut cursor = Cursor::new(bytes);
    match client_header(&mut cursor) {
        Header::Right(hello, length) if bytes.len() >= length => Read::Message(hello, length),
        Header::Right(..) | Header::Short => Read::Short,
        Header::Wrong => Read::Wrong,
    }
}

enum Header<T> {
    Right(T, usize),
    Short,
    Wrong,
}

/// Each field is checked as it is read, so that a wrong octet is known at once.
fn client_header(cursor: &mut Cursor<'_>) -> Header<ClientHello> {
    let bytes = cursor.rest();
    let at = |index: usize| bytes.get(index).copied();
    if at(0).is_some_and(|first| first & 0x80 == 0) || at(2).is_some_and(|kind| kind != CLIENT_HELLO) {
        return Header::Wrong;
    }
    let possible = match (at(3), at(4)) {
        (Some(0), minor) => minor.is_none_or(|minor| minor == 2),
        (Some(3), minor) => minor.is_none_or(|minor| minor <= 3),
        (Some(_), _) => false,
        (None, _) => true,
    };
    if !possible {
        return Header::Wrong;
    }
    let fields = || -> Option<[u16; 5]> {
        let mut reader = *cursor;
        let length = reader.u16().ok()? & 0x7fff;
        reader.u8().ok()?;
        let version = reader.u16().ok()?;
        Some([
            length,
            version,
            reader.u16().ok()?,
            reader.u16().ok()?,
            reader.u16().ok()?,
        ])
    };
    let Some([length, version, suites, session, challenge]) = fields() else {
        return Header::Short;
    };
    let sum = CLIENT_FIXED
        .checked_add(suites)
        .and_then(|sum| sum.checked_add(session)?.checked_add(challenge));
    let right = suites > 0
        && suites % 3 == 0
        && suites <= SUITES
        && matches!(session, 0 | 16)
        && (16..=32).contains(&challenge)
        && sum == Some(length);
    if !right {
        return Header::Wrong;
    }
    Header::Right(ClientHello { version }, usize::from(length) + 2)
}

pub fn server_hello(bytes: &[u8]) -> Read<ServerHello<'_>> {
    let at = |index: usize| bytes.get(index).copied();
    let wrong = at(0).is_some_and(|first| first & 0x80 == 0)
        || at(2).is_some_and(|kind| kind != SERVER_HELLO)
        || at(3).is_some_and(|hit| hit > 1)
        || at(4).is_some_and(|kind| kind > X509)
        || at(5).is_some_and(|major| major != 0)
        || at(6).is_some_and(|minor| minor != 2);
    if wrong {
        return Read::Wrong;
    }
    let mut cursor = Cursor::new(bytes);
    let mut fields = || -> Option<[u16; 4]> {
        let length = cursor.u16().ok()? & 0x7fff;
        cursor.skip(5).ok()?;
        Some([length, cursor.u16().ok()?, cursor.u16().ok()?, cursor.u16().ok()?])
    };
    let Some([length, certificate, suites, connection]) = fields() else {
        return Read::Short;
    };
    let sum = SERVER_FIXED
        .checked_add(certificate)
        .and_then(|sum| sum.checked_add(suites)?.checked_add(connection));
    if sum != Some(length) || suites % 3 != 0 {
        return Read::Wrong;
    }
    let Ok(mut body) = cursor.sub(usize::from(certificate) + usize::from(suites) + usize::from(connection)) else {
        return Read::Short;
    };
    let certificate = body.take(usize::from(certificate)).unwrap_or_default();
    Read::Message(
        ServerHello {
            resumed: at(3) == Some(1),
            certificate,
        },
        usize::from(length) + 2,
    )
}

/// Octets of the header and of the body of the record that begins here.
pub fn record(bytes: &[u8]) -> Option<(usize, usize)> {
    let [high, low] = Cursor::new(bytes).array().ok()?;
    if high & 0x80 != 0 {
        Some((2, usize::from(u16::from_be_bytes([high & 0x7f, low]))))
    } else {
        bytes.get(2)?;
        Some((3, usize::from(u16::from_be_bytes([high & 0x3f, low]))))
    }
}
