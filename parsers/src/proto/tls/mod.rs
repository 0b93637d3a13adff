//! TLS and SSL over a stream (RFC 5246, RFC 8446, and the versions before them).
//!
//! `probe` demands a hello that agrees with itself, or, of a session joined late, two records in a row; `Reader` follows
//! both directions until nothing can be learnt any more. The parts: `record` (framing), `assembly` (messages out of
//! fragments), `exchange` (what the messages prove), `hello` (ClientHello and ServerHello, shared with DTLS), `note` (messages to facts, shared too),
//! `fingerprint`, `version2` (SSL 2.0), `imitation` (fixed greetings that only look like TLS).

pub mod assembly;
pub mod exchange;
pub mod fingerprint;
pub mod hello;
pub mod imitation;
pub mod note;
mod reader;
pub mod record;
mod version2;

pub use reader::Reader;

use crate::proto::fault::{answer, Fault};
use crate::proto::Probe;
use imitation::Likeness;

/// A ClientHello has at least version, random, empty session id, one suite and one compression method.
const SHORTEST_CLIENT_HELLO: usize = 2 + 32 + 1 + 4 + 2;
/// A ServerHello of an early TLS 1.3 draft has version, random, suite and an empty list of extensions.
const SHORTEST_SERVER_HELLO: usize = 2 + 32 + 2 + 2;
/// A hello longer than this is none: ClientHellos with post-quantum keys and padding stay under 4 KiB; encrypted client
/// hello and many tickets may double that a few times.
const LONGEST_HELLO: usize = 1 << 16;

/// Whether the first octets of one direction are TLS.
pub fn probe(bytes: &[u8]) -> Probe {
    let mut undecided = false;
    for pattern in imitation::ALL {
        match pattern.compare(bytes) {
            Likeness::Whole => return Probe::No,
            Likeness::Prefix => undecided = true,
            Likeness::Differs => {}
        }
    }
    if undecided {
        return Probe::More;
    }
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        return probe_version2(bytes);
    }
    match probe_hello(bytes) {
        Probe::No => probe_records(bytes),
        answer => answer,
    }
}

/// A client that speaks SSL 2.0 waits after its hello: more octets behind it are an imitation (old Skype).
fn probe_version2(bytes: &[u8]) -> Probe {
    match version2::client_hello(bytes) {
        Ok((_, length)) if length == bytes.len() => Probe::Yes,
        Ok(_) => Probe::No,
        Err(Fault::Short) => Probe::More,
        Err(Fault::Wrong) => answer(&version2::server_hello(bytes)),
    }
}

/// The first handshake message is a hello whose length and version are possible. It may come in fragments of any size.
fn probe_hello(bytes: &[u8]) -> Probe {
    let mut prefix = [0_u8; 6];
    let mut filled = 0;
    let mut rest = bytes;
    while filled < prefix.len() {
        let header = match record::header(rest) {
            Ok(header) if header.content == record::HANDSHAKE => header,
            Err(Fault::Short) if rest.first().is_none_or(|content| *content == record::HANDSHAKE) => {
                return possible(prefix.get(..filled).unwrap_or_default(), Probe::More);
            }
            _ => return Probe::No,
        };
        let body = rest.get(record::HEADER..).unwrap_or_default();
        let (fragment, behind) = body.split_at_checked(usize::from(header.length)).unwrap_or((body, &[]));
        for (place, byte) in prefix.iter_mut().skip(filled).zip(fragment) {
            *place = *byte;
            filled += 1;
        }
        if fragment.len() < usize::from(header.length) && filled < prefix.len() {
            return possible(prefix.get(..filled).unwrap_or_default(), Probe::More);
        }
        rest = behind;
    }
    possible(&prefix, Probe::Yes)
}

/// `answer`, unless the first octets of the handshake message can never begin a hello.
fn possible(prefix: &[u8], answer: Probe) -> Probe {
    let at = |index: usize| prefix.get(index).copied();
    let shortest = match at(0) {
        None => return answer,
        Some(hello::CLIENT_HELLO) => SHORTEST_CLIENT_HELLO,
        Some(hello::SERVER_HELLO) => SHORTEST_SERVER_HELLO,
        Some(_) => return Probe::No,
    };
    if at(1).is_some_and(|high| high != 0) {
        return Probe::No;
    }
    if let (Some(middle), Some(low)) = (at(2), at(3)) {
        if !(shortest..LONGEST_HELLO).contains(&usize::from(u16::from_be_bytes([middle, low]))) {
            return Probe::No;
        }
    }
    // Version 3.x; ServerHellos of drafts said 7f nn.
    let draft = at(0) == Some(hello::SERVER_HELLO) && at(4) == Some(0x7f);
    if at(4).is_some_and(|major| major != 3) && !draft {
        return Probe::No;
    }
    answer
}

/// Records of a session joined late: the first one whole and sound, and after it the end of what there is or the header
/// of another. An empty record proves nothing (old Skype sends them before something else).
fn probe_records(bytes: &[u8]) -> Probe {
    let read = record::header(bytes);
    let Ok(header) = read else { return answer(&read) };
    if header.length == 0 {
        return Probe::No;
    }
    let body = bytes.get(record::HEADER..).unwrap_or_default();
    let sound = match (header.content, body) {
        (record::CHANGE_CIPHER_SPEC, [first, ..]) => header.length == 1 && *first == 1,
        (record::CHANGE_CIPHER_SPEC, []) => header.length == 1,
        (record::ALERT, [level, ..]) if header.length == 2 => matches!(*level, 1 | 2),
        _ => true,
    };
    if !sound {
        return Probe::No;
    }
    let Some(behind) = body.get(usize::from(header.length)..) else {
        return Probe::More;
    };
    if behind.is_empty() {
        return Probe::Yes;
    }
    answer(&record::header(behind))
}

#[cfg(test)]
mod tests;
