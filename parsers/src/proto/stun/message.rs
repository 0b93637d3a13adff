//! One STUN or TURN message: what it takes to be one, and what it says.

use crate::cursor::Cursor;

/// RFC 5389 6, at offset 4.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// MS-TURN 2.2.2.8: the first attribute, always.
const MS_COOKIE: [u8; 8] = [0x00, 0x0f, 0x00, 0x04, 0x72, 0xc6, 0x4b, 0xc6];
const HEADER: usize = 20;
/// Attributes of one message that are walked over.
const ATTRIBUTES: usize = 64;
const MS_VERSION: u16 = 0x8008;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
/// RFC 8656 18.4 and MS-TURN 2.2.2.6.
const DATA: u16 = 0x0013;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 5389 and later: cookie, padded attributes.
    Rfc,
    /// RFC 3489: no cookie.
    Classic,
    /// MS-TURN: its own cookie, numbers of its own, no padding.
    Microsoft,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

#[derive(Debug)]
pub struct Message<'a> {
    pub dialect: Dialect,
    pub class: Class,
    /// RFC 5389 6; for MS-TURN the low byte of the type, which is what tells them apart there.
    number: u16,
    /// Octets 4 to 19, cookie included.
    pub id: [u8; 16],
    /// Octets of the whole message by its header.
    pub length: usize,
    attributes: &'a [u8],
}

/// What the first bytes of something that has no end of its own may be.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    No,
    More,
    /// Octets of the whole message.
    Yes(usize),
}

/// Reads a datagram. RFC 3489 is only accepted when it fits exactly; with a cookie a capture's snap length may have cut
/// the message and trailing octets do no harm (a legacy peer sends its second copy longer than its header says).
pub fn read_datagram(payload: &[u8]) -> Option<Message<'_>> {
    read(payload).or_else(|| classic(payload))
}

/// Reads a message with a cookie, cut short or not.
pub fn read(bytes: &[u8]) -> Option<Message<'_>> {
    let mut cursor = Cursor::new(bytes);
    let kind = cursor.u16().ok()?;
    let length = cursor.u16().ok()?;
    let id: [u8; 16] = cursor.array().ok()?;
    let rest = cursor.rest();
    let attributes = rest.get(..usize::from(length)).unwrap_or(rest);
    let multiple = length & 3 == 0;
    let length = HEADER.saturating_add(usize::from(length));
    if rest.starts_with(&MS_COOKIE) {
        if let Some((number, class)) = microsoft(kind) {
            return Some(Message {
                dialect: Dialect::Microsoft,
                class,
                number,
                id,
                length,
                attributes,
            });
        }
    }
    if kind & 0xc000 != 0 || !multiple || !id.starts_with(&COOKIE) {
        return None;
    }
    let (number, class) = split_type(kind);
    Some(Message {
        dialect: Dialect::Rfc,
        class,
        number,
        id,
        length,
        attributes,
    })
}

/// Whether bytes of a stream begin with an RFC 5389 message.
pub fn rfc_head(bytes: &[u8]) -> Head {
    if bytes.first().is_some_and(|first| first & 0xc0 != 0) || bytes.get(3).is_some_and(|low| low & 3 != 0) {
        return Head::No;
    }
    let cookie = bytes.get(4..).unwrap_or_default();
    let shared = cookie.len().min(COOKIE.len());
    if cookie.get(..shared) != COOKIE.get(..shared) {
        return Head::No;
    }
    match bytes {
        [_, _, high, low, _, _, _, _, ..] => {
            Head::Yes(HEADER.saturating_add(usize::from(u16::from_be_bytes([*high, *low]))))
        }
        _ => Head::More,
    }
}

/// Whether bytes of a stream begin with an MS-TURN message of `length` octets (its frame says how many).
pub fn microsoft_head(bytes: &[u8], length: usize) -> Head {
    match bytes {
        [high, low, ..] if microsoft(u16::from_be_bytes([*high, *low])).is_none() => return Head::No,
        [high, ..] if !matches!(high, 0 | 1) => return Head::No,
        _ => {}
    }
    if let [_, _, high, low, ..] = bytes {
        if HEADER.saturating_add(usize::from(u16::from_be_bytes([*high, *low]))) != length {
            return Head::No;
        }
    }
    let cookie = bytes.get(HEADER..).unwrap_or_default();
    let shared = cookie.len().min(MS_COOKIE.len());
    match cookie.get(..shared) == MS_COOKIE.get(..shared) {
        false => Head::No,
        true if shared < MS_COOKIE.len() => Head::More,
        true => Head::Yes(length),
    }
}

/// MS-TURN 2.2.1 compares whole numbers; the bit arithmetic of RFC 5389 would give other names.
fn microsoft(kind: u16) -> Option<(u16, Class)> {
    let class = match kind {
        0x0002 | 0x0003 | 0x0004 | 0x0006 => Class::Request,
        0x0102 | 0x0103 | 0x0104 | 0x0106 => Class::Success,
        0x0112 | 0x0113 | 0x0114 | 0x0116 => Class::Error,
        0x0115 => Class::Indication,
        _ => return None,
    };
    Some((kind & 0x000f, class))
}

/// Method and class of RFC 5389 6, whose bits are interleaved.
fn split_type(kind: u16) -> (u16, Class) {
    let class = match kind & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        0x0100 => Class::Success,
        _ => Class::Error,
    };
    ((kind & 0x000f) | (kind >> 1 & 0x0070) | (kind >> 2 & 0x0f80), class)
}

/// RFC 3489: nothing marks it, so everything must fit: a type of its list, the exact length, known attributes whose
/// lengths are theirs and fill the message.
fn classic(payload: &[u8]) -> Option<Message<'_>> {
    let mut cursor = Cursor::new(payload);
    let kind = cursor.u16().ok()?;
    let length = cursor.u16().ok()?;
    let id: [u8; 16] = cursor.array().ok()?;
    let attributes = cursor.rest();
    // RFC 3489 11.1: Binding and Shared Secret.
    if !matches!(kind, 0x0001 | 0x0101 | 0x0111 | 0x0002 | 0x0102 | 0x0112) || usize::from(length) != attributes.len() {
        return None;
    }
    // A request may have no attribute at all; its random id (9.2) is then all there is, and it is not zero.
    if attributes.is_empty() && (kind != 0x0001 || id == [0; 16]) {
        return None;
    }
    let mut cursor = Cursor::new(attributes);
    while !cursor.is_empty() {
        let attribute = cursor.u16().ok()?;
        let length = cursor.u16().ok()?;
        let value = cursor.take(usize::from(length)).ok()?;
        let fits = match attribute {
            // Addresses, 11.2.1 and following; 0x8020 is the XOR form of the drafts that followed.
            0x0001 | 0x0002 | 0x0004 | 0x0005 | 0x000b | 0x0020 | 0x8020 => {
                matches!((value.get(1), value.len()), (Some(1), 8) | (Some(2), 20))
            }
            0x0003 => matches!(value, [0, 0, 0, flags] if flags & !0x06 == 0),
            // User name and password, 11.2.6 and 11.2.7: multiples of four.
            0x0006 | 0x0007 => value.len() % 4 == 0,
            0x0008 => value.len() == 20,
            0x0009 => value.len() >= 4 && value.len() % 4 == 0,
            0x000a => value.len() % 4 == 0,
            // Text with the server's name, in the drafts that followed.
            0x8022 => value.len() % 4 == 0,
            // Twenty octets that Vovida's client, the first of all, puts there.
            0x0101 => value.len() == 20,
            _ => false,
        };
        if !fits {
            return None;
        }
    }
    let (number, class) = split_type(kind);
    let length = payload.len();
    Some(Message {
        dialect: Dialect::Classic,
        class,
        number,
        id,
        length,
        attributes,
    })
}

/// `ff10`, length, session id of 8 octets, data (MS-TURN 2.2.3): the data. The length counts the id too.
pub fn multiplexed(payload: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(payload);
    if cursor.u16().ok()? != 0xff10 || usize::from(cursor.u16().ok()?) != cursor.remaining() {
        return None;
    }
    cursor.skip(8).ok()?;
    Some(cursor.rest())
}

/// RFC 8656 12.4: channel number 0x4000 to 0x4fff, length, data; over UDP padding may follow.
pub fn channel_data(payload: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(payload);
    if cursor.u16().ok()? & 0xf000 != 0x4000 {
        return None;
    }
    let length = usize::from(cursor.u16().ok()?);
    let data = cursor.take(length).ok()?;
    (cursor.remaining() < 4).then_some(data)
}

impl<'a> Message<'a> {
    pub fn method(&self) -> Option<&'static str> {
        Some(match (self.dialect, self.number) {
            (Dialect::Microsoft, 2) | (_, 2) => "shared-secret",
            (_, 3) => "allocate",
            (Dialect::Microsoft, 4) => "send",
            (Dialect::Microsoft, 5) => "data",
            (Dialect::Microsoft, 6) => "set-active-destination",
            (_, 1) => "binding",
            (_, 4) => "refresh",
            (_, 6) => "send",
            (_, 7) => "data",
            (_, 8) => "create-permission",
            (_, 9) => "channel-bind",
            // RFC 6062.
            (_, 10) => "connect",
            (_, 11) => "connection-bind",
            (_, 12) => "connection-attempt",
            _ => return None,
        })
    }

    pub fn is_binding_request(&self) -> bool {
        self.dialect != Dialect::Microsoft && self.number == 1 && self.class == Class::Request
    }

    pub fn is_binding_answer(&self) -> bool {
        let answers = matches!(self.class, Class::Success | Class::Error);
        self.dialect != Dialect::Microsoft && self.number == 1 && answers
    }

    pub fn is_allocate_request(&self) -> bool {
        self.dialect != Dialect::Classic && self.number == 3 && self.class == Class::Request
    }

    /// Whether somebody who has credentials signed it (RFC 8489 14.5 and 14.6; MS-TURN 2.2.2.7).
    pub fn has_integrity(&self) -> bool {
        self.attribute(MESSAGE_INTEGRITY).is_some() || self.attribute(MESSAGE_INTEGRITY_SHA256).is_some()
    }

    /// Whether the method is one of TURN (RFC 8656, RFC 6062).
    pub fn is_relay(&self) -> bool {
        self.dialect != Dialect::Classic && matches!(self.number, 3 | 4 | 6..=12)
    }

    /// Whether a relay's client sent it, or else the relay.
    pub fn is_of_client(&self) -> bool {
        let from_server = match (self.dialect, self.number) {
            (Dialect::Microsoft, 5) => true,
            (Dialect::Rfc, 7 | 12) if self.class == Class::Indication => true,
            _ => matches!(self.class, Class::Success | Class::Error),
        };
        !from_server
    }

    /// Twelve octets after a cookie, else all sixteen.
    pub fn transaction_id(&self) -> &[u8] {
        self.id.strip_prefix(&COOKIE).unwrap_or(&self.id)
    }

    /// Version of a Microsoft client or relay.
    pub fn ms_version(&self) -> Option<u32> {
        self.attribute(MS_VERSION)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// What is relayed in it.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.attribute(DATA)
    }

    /// The first attribute of this type.
    fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        let padded = self.dialect != Dialect::Microsoft;
        let mut cursor = Cursor::new(self.attributes);
        for _ in 0..ATTRIBUTES {
            let found = cursor.u16().ok()?;
            let length = usize::from(cursor.u16().ok()?);
            let value = cursor.take(length).ok()?;
            if found == kind {
                return Some(value);
            }
            if padded {
                cursor.skip(length.wrapping_neg() & 3).ok()?;
            }
        }
        None
    }
}
