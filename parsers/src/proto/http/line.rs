//! The lines of an HTTP message taken apart: start lines, the target of a request, a media type. Pure; `http` knows what
//! they mean for a conversation.

use super::super::header::{self, Line};
use super::super::Probe;
use crate::facts::HttpAnswer;

/// RFC 9110 9.1 registers methods of up to 17 letters (UPDATEREDIRECTREF); Outlook Anywhere sends RPC_OUT_DATA.
const METHOD_LIMIT: usize = 24;
const VERSION: &[u8] = b"HTTP/1.";

/// `HTTP/1.x ddd`.
pub fn status_line(bytes: &[u8]) -> Probe {
    if VERSION.starts_with(bytes) {
        return Probe::More;
    }
    match bytes.strip_prefix(VERSION) {
        Some([b'0' | b'1', b' ', b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ' | b'\r' | b'\n', ..]) => Probe::Yes,
        Some([b'0' | b'1', b' ', digits @ ..]) if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            Probe::More
        }
        Some([b'0' | b'1'] | []) => Probe::More,
        _ => Probe::No,
    }
}

/// The number in a whole status line.
pub fn status(line: &[u8]) -> Option<u16> {
    match line.strip_prefix(VERSION)? {
        [b'0' | b'1', b' ', rest @ ..] => {
            let digits = rest
                .split(|&byte| byte == b' ')
                .next()
                .filter(|digits| digits.len() == 3)?;
            header::number(digits)
                .and_then(|code| u16::try_from(code).ok())
                .filter(|code| *code >= 100)
        }
        _ => None,
    }
}

pub fn probe_request(bytes: &[u8]) -> Probe {
    let head = bytes.get(..METHOD_LIMIT.saturating_add(1)).unwrap_or(bytes);
    let Some(space) = head.iter().position(|&byte| byte == b' ') else {
        return if bytes.len() <= METHOD_LIMIT && bytes.iter().all(in_method) {
            Probe::More
        } else {
            Probe::No
        };
    };
    let method = bytes.get(..space).unwrap_or_default();
    if !(1..=METHOD_LIMIT).contains(&method.len()) || !method.iter().all(in_method) {
        return Probe::No;
    }
    match header::start_line(bytes) {
        Line::Whole(line, _) if request(line).is_some() => Probe::Yes,
        Line::More if bytes.iter().all(|&byte| byte >= b' ' && byte != 0x7f || byte == b'\r') => Probe::More,
        _ => Probe::No,
    }
}

/// RFC 9110 5.6.2 allows more in a token; methods in use have letters, `_` and `-`.
fn in_method(byte: &u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-')
}

pub struct Request<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    /// HTTP/0.9: no version, no headers.
    pub bare: bool,
}

/// Takes a request line apart. The target may hold blanks, which clients should not but do send.
pub fn request(line: &[u8]) -> Option<Request<'_>> {
    let space = line.iter().position(|&byte| byte == b' ')?;
    let method = line.get(..space)?;
    let rest = line.get(space.checked_add(1)?..)?;
    if let [target @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1'] = rest {
        return (!target.is_empty()).then_some(Request {
            method,
            target,
            bare: false,
        });
    }
    // HTTP/0.9 has GET alone and a path without blanks; anything looser would be any text.
    let path = rest.starts_with(b"/") && rest.iter().all(u8::is_ascii_graphic);
    (method == b"GET" && path).then_some(Request {
        method,
        target: rest,
        bare: true,
    })
}

/// Authority and path of a request target (RFC 9112 3.2), query and fragment left out.
pub fn target_parts<'a>(method: &[u8], target: &'a [u8]) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
    if method == b"CONNECT" {
        return (target.split(|&byte| byte == b' ').next(), None);
    }
    let after_scheme = target
        .windows(3)
        .position(|part| part == b"://")
        .filter(|_| !target.starts_with(b"/"));
    let (authority, path) = match after_scheme.and_then(|at| target.get(at.saturating_add(3)..)) {
        Some(rest) => {
            let end = rest
                .iter()
                .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
                .unwrap_or(rest.len());
            (rest.get(..end), rest.get(end..).unwrap_or_default())
        }
        None => (None, target),
    };
    let path = path
        .split(|byte| matches!(byte, b'?' | b'#'))
        .next()
        .filter(|path| !path.is_empty());
    (authority, path)
}

/// Host without its port; an IPv6 literal keeps its brackets.
pub fn without_port(host: &[u8]) -> &[u8] {
    let host = host.rsplit(|&byte| byte == b'@').next().unwrap_or(host);
    match host.iter().rposition(|&byte| byte == b':') {
        Some(colon)
            if host
                .get(colon.saturating_add(1)..)
                .is_some_and(|port| port.iter().all(u8::is_ascii_digit)) =>
        {
            host.get(..colon).unwrap_or(host)
        }
        _ => host,
    }
}

/// What a body is by its Content-Type. The first two are the Autodiscover service's own ("Understanding Autodiscover").
pub fn body_kind(content_type: &[u8]) -> HttpAnswer {
    const KINDS: [(&[u8], HttpAnswer); 6] = [
        (
            b"application/vnd.microsoft.rtc.autodiscover+xml",
            HttpAnswer::Autodiscover,
        ),
        (
            b"application/vnd.microsoft.rtc.autodiscover+json",
            HttpAnswer::Autodiscover,
        ),
        (b"application/json", HttpAnswer::Data),
        (b"text/json", HttpAnswer::Data),
        (b"application/xml", HttpAnswer::Data),
        (b"text/xml", HttpAnswer::Data),
    ];
    let media_type = content_type
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let known = KINDS.iter().find(|(name, _)| media_type.eq_ignore_ascii_case(name));
    known.map_or(HttpAnswer::Content, |(_, kind)| *kind)
}
