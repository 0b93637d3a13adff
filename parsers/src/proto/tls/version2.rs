//! SSL 2.0 (draft-hickman-netscape-ssl, 1995): its hellos are in clear, and one of them may still open a later version
//! (RFC 5246 E.2). A record is a length of 15 bits with the high bit set, or of 14 bits and a padding octet.
//!
//! Every length of a hello must fit the others, for these few octets are all that tells it from anything else.

use crate::cursor::Cursor;
use crate::proto::fault::{must, Fault};

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

/// The message and the octets it took. Each field is checked as it is read, so that a wrong octet is known at once.
pub fn client_hello(bytes: &[u8]) -> Result<(ClientHello, usize), Fault> {
    let at = |index: usize| bytes.get(index).copied();
    must(at(0).is_none_or(|first| first & 0x80 != 0) && at(2).is_none_or(|kind| kind == CLIENT_HELLO))?;
    must(match (at(3), at(4)) {
        (Some(0), minor) => minor.is_none_or(|minor| minor == 2),
        (Some(3), minor) => minor.is_none_or(|minor| minor <= 3),
        (Some(_), _) => false,
        (None, _) => true,
    })?;
    let mut cursor = Cursor::new(bytes);
    let length = cursor.u16()? & 0x7fff;
    cursor.skip(1)?;
    let version = cursor.u16()?;
    let (suites, session, challenge) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
    let sum = CLIENT_FIXED
        .checked_add(suites)
        .and_then(|sum| sum.checked_add(session)?.checked_add(challenge));
    let right = suites > 0
        && suites % 3 == 0
        && suites <= SUITES
        && matches!(session, 0 | 16)
        && (16..=32).contains(&challenge)
        && sum == Some(length);
    must(right)?;
    cursor.skip(usize::from(suites) + usize::from(session) + usize::from(challenge))?;
    Ok((ClientHello { version }, cursor.position()))
}

/// As `client_hello`.
pub fn server_hello(bytes: &[u8]) -> Result<(ServerHello<'_>, usize), Fault> {
    let at = |index: usize| bytes.get(index).copied();
    let possible = at(0).is_none_or(|first| first & 0x80 != 0)
        && at(2).is_none_or(|kind| kind == SERVER_HELLO)
        && at(3).is_none_or(|hit| hit <= 1)
        && at(4).is_none_or(|kind| kind <= X509)
        && at(5).is_none_or(|major| major == 0)
        && at(6).is_none_or(|minor| minor == 2);
    must(possible)?;
    let mut cursor = Cursor::new(bytes);
    let length = cursor.u16()? & 0x7fff;
    cursor.skip(5)?;
    let (certificate, suites, connection) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
    let sum = SERVER_FIXED
        .checked_add(certificate)
        .and_then(|sum| sum.checked_add(suites)?.checked_add(connection));
    must(sum == Some(length) && suites % 3 == 0)?;
    let certificate = cursor.take(usize::from(certificate))?;
    cursor.skip(usize::from(suites) + usize::from(connection))?;
    let resumed = at(3) == Some(1);
    Ok((ServerHello { resumed, certificate }, cursor.position()))
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
