//! ClientHello and ServerHello (RFC 5246 7.4.1, RFC 8446 4.1; DTLS: RFC 6347 4.2.1), for TLS, DTLS and whatever else
//! carries the same messages.
//!
//! A hello is read in place and borrowed from; its fixed part must be whole, since it is what proves that this is a
//! hello at all. Extensions are read as far as they go: a list that lies about a length ends there, and what was read
//! before stands.

use crate::cursor::{Cursor, Short};

/// Handshake types (RFC 5246 7.4, RFC 6347 4.3.2, RFC 8446 4).
pub const HELLO_REQUEST: u8 = 0;
pub const CLIENT_HELLO: u8 = 1;
pub const SERVER_HELLO: u8 = 2;
pub const HELLO_VERIFY_REQUEST: u8 = 3;
pub const NEW_SESSION_TICKET: u8 = 4;
pub const CERTIFICATE: u8 = 11;
pub const SERVER_KEY_EXCHANGE: u8 = 12;
pub const CERTIFICATE_REQUEST: u8 = 13;
pub const SERVER_HELLO_DONE: u8 = 14;
pub const CERTIFICATE_VERIFY: u8 = 15;
pub const CLIENT_KEY_EXCHANGE: u8 = 16;
pub const FINISHED: u8 = 20;
pub const CERTIFICATE_URL: u8 = 21;
pub const CERTIFICATE_STATUS: u8 = 22;
pub const SUPPLEMENTAL_DATA: u8 = 23;

/// Extension types (IANA "TLS ExtensionType Values").
pub const SERVER_NAME: u16 = 0;
pub const SUPPORTED_GROUPS: u16 = 10;
pub const POINT_FORMATS: u16 = 11;
pub const SIGNATURE_ALGORITHMS: u16 = 13;
pub const APPLICATION_LAYER_PROTOCOL: u16 = 16;
pub const PRE_SHARED_KEY: u16 = 41;
pub const EARLY_DATA: u16 = 42;
pub const SUPPORTED_VERSIONS: u16 = 43;

/// Server random that makes a ServerHello a HelloRetryRequest (RFC 8446 4.1.3): SHA-256 of "HelloRetryRequest".
pub const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Extensions looked at in one hello. Real ones have up to about 25; a hello of the greatest length could carry 16,384
/// empty ones.
const EXTENSIONS: usize = 1_024;

/// What carries the hello; decides its shape and how versions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Tls,
    Dtls,
    Quic,
}

impl Carrier {
    /// Whether a hello may name this legacy version (Netscape's, drafts' and Facebook's early 1.3 included).
    pub fn speaks(self, version: u16) -> bool {
        match self {
            Carrier::Dtls => matches!(version, 0xfeff | 0xfefd | 0xfefc | 0x0100),
            Carrier::Tls | Carrier::Quic => version >> 8 == 0x03 || is_draft(version),
        }
    }
}

fn is_draft(version: u16) -> bool {
    matches!(version, 0x7f01..=0x7f1c | 0x7e01..=0x7e0f | 0xfb17..=0xfb1a)
}

/// The version that a number on the wire stands for: drafts of TLS 1.3 count as 1.3.
pub fn settled(version: u16) -> u16 {
    if is_draft(version) {
        0x0304
    } else {
        version
    }
}

/// GREASE values (RFC 8701): 0x0a0a, 0x1a1a, … 0xfafa.
pub fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// Big-endian 16-bit values of a vector; an odd octet at its end is left out.
pub fn numbers(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes
        .chunks_exact(2)
        .filter_map(|pair| <[u8; 2]>::try_from(pair).ok().map(u16::from_be_bytes))
}

#[derive(Debug, Clone, Copy)]
pub struct ClientHello<'a> {
    pub carrier: Carrier,
    pub version: u16,
    pub random: [u8; 32],
    pub session_id: &'a [u8],
    /// Pairs of octets.
    pub cipher_suites: &'a [u8],
    extensions: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
pub struct ServerHello<'a> {
    pub version: u16,
    pub cipher_suite: u16,
    pub session_id: &'a [u8],
    /// A HelloRetryRequest in the form of RFC 8446.
    pub retry: bool,
    extensions: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// `body`: the message after its handshake header. `None` = this is no ClientHello, or it ends before its
    /// extensions.
    pub fn read(carrier: Carrier, body: &'a [u8]) -> Option<ClientHello<'a>> {
        let mut cursor = Cursor::new(body);
        Self::fixed_part(carrier, &mut cursor).ok().flatten()
    }

    fn fixed_part(carrier: Carrier, cursor: &mut Cursor<'a>) -> Result<Option<ClientHello<'a>>, Short> {
        let version = cursor.u16()?;
        if !carrier.speaks(version) {
            return Ok(None);
        }
        let random = cursor.array()?;
        let session_id = short_vector(cursor)?;
        if carrier == Carrier::Dtls {
            short_vector(cursor)?;
        }
        let cipher_suites = long_vector(cursor)?;
        let compression = short_vector(cursor)?;
        // RFC 5246 7.4.1.2: at most 32 octets of session id, at least one suite and one compression method.
        if session_id.len() > 32 || cipher_suites.len() < 2 || cipher_suites.len() % 2 != 0 || compression.is_empty() {
            return Ok(None);
        }
        let extensions = extension_block(cursor);
        Ok(Some(ClientHello {
            carrier,
            version,
            random,
            session_id,
            cipher_suites,
            extensions,
        }))
    }

    /// (type, content) in the order sent.
    pub fn extensions(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        Extensions {
            cursor: Cursor::new(self.extensions),
            left: EXTENSIONS,
        }
    }

    pub fn extension(&self, kind: u16) -> Option<&'a [u8]> {
        self.extensions()
            .find(|(found, _)| *found == kind)
            .map(|(_, content)| content)
    }

    /// First name of type host_name (RFC 6066 3).
    pub fn server_name(&self) -> Option<&'a [u8]> {
        let mut list = Cursor::new(long_vector(&mut Cursor::new(self.extension(SERVER_NAME)?)).ok()?);
        while !list.is_empty() {
            let kind = list.u8().ok()?;
            let name = long_vector(&mut list).ok()?;
            if kind == 0 && !name.is_empty() {
                return Some(name);
            }
        }
        None
    }

    /// First protocol offered (RFC 7301 3.1).
    pub fn first_protocol(&self) -> Option<&'a [u8]> {
        first_protocol(self.extension(APPLICATION_LAYER_PROTOCOL)?)
    }

    /// Versions of supported_versions, in the order offered; empty where there are none.
    pub fn supported_versions(&self) -> impl Iterator<Item = u16> + 'a {
        let content = self.extension(SUPPORTED_VERSIONS).unwrap_or_default();
        numbers(short_vector(&mut Cursor::new(content)).unwrap_or_default())
    }

    /// Content of an extension that is one vector with a 16-bit length (groups, signature algorithms).
    pub fn long_list(&self, kind: u16) -> Option<&'a [u8]> {
        long_vector(&mut Cursor::new(self.extension(kind)?)).ok()
    }

    /// Content of an extension that is one vector with an 8-bit length (point formats).
    pub fn short_list(&self, kind: u16) -> Option<&'a [u8]> {
        short_vector(&mut Cursor::new(self.extension(kind)?)).ok()
    }
}

impl<'a> ServerHello<'a> {
    /// `body`: the message after its handshake header. `None` = no ServerHello, or not whole.
    pub fn read(carrier: Carrier, body: &'a [u8]) -> Option<ServerHello<'a>> {
        let mut cursor = Cursor::new(body);
        Self::whole(carrier, &mut cursor).ok().flatten()
    }

    fn whole(carrier: Carrier, cursor: &mut Cursor<'a>) -> Result<Option<ServerHello<'a>>, Short> {
        let version = cursor.u16()?;
        if !carrier.speaks(version) {
            return Ok(None);
        }
        let random = cursor.take(32)?;
        // Drafts of TLS 1.3 before 22 named themselves here and had neither session id nor compression.
        let early_draft = is_draft(version);
        let session_id = if early_draft { &[] } else { short_vector(cursor)? };
        let cipher_suite = cursor.u16()?;
        if !early_draft {
            cursor.u8()?;
        }
        if session_id.len() > 32 {
            return Ok(None);
        }
        let extensions = extension_block(cursor);
        Ok(Some(ServerHello {
            version,
            cipher_suite,
            session_id,
            retry: random == RETRY_RANDOM,
            extensions,
        }))
    }

    pub fn extensions(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        Extensions {
            cursor: Cursor::new(self.extensions),
            left: EXTENSIONS,
        }
    }

    pub fn extension(&self, kind: u16) -> Option<&'a [u8]> {
        self.extensions()
            .find(|(found, _)| *found == kind)
            .map(|(_, content)| content)
    }

    /// The version that will be spoken: that of supported_versions where there is one (RFC 8446 4.2.1).
    pub fn chosen_version(&self) -> u16 {
        let selected = self
            .extension(SUPPORTED_VERSIONS)
            .and_then(|content| Cursor::new(content).u16().ok());
        settled(selected.unwrap_or(self.version))
    }

    /// The protocol chosen by ALPN, where the ServerHello itself says it (TLS 1.2 and older).
    pub fn protocol(&self) -> Option<&'a [u8]> {
        first_protocol(self.extension(APPLICATION_LAYER_PROTOCOL)?)
    }

    /// A pre-shared key was accepted (RFC 8446 4.2.11): a resumption.
    pub fn takes_up_a_key(&self) -> bool {
        self.extension(PRE_SHARED_KEY).is_some()
    }
}

struct Extensions<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let kind = self.cursor.u16().ok()?;
        let content = long_vector(&mut self.cursor).ok()?;
        Some((kind, content))
    }
}

/// The extensions at the end of a hello, without their length. One that claims more than there is has what there is: the
/// hello may have been cut, and each extension is checked on its own.
fn extension_block<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    match cursor.u16() {
        Ok(length) => cursor.rest().get(..usize::from(length)).unwrap_or(cursor.rest()),
        Err(_) => &[],
    }
}

fn first_protocol(content: &[u8]) -> Option<&[u8]> {
    let list = long_vector(&mut Cursor::new(content)).ok()?;
    short_vector(&mut Cursor::new(list))
        .ok()
        .filter(|name| !name.is_empty())
}

fn short_vector<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Short> {
    let length = cursor.u8()?;
    cursor.take(usize::from(length))
}

fn long_vector<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Short> {
    let length = cursor.u16()?;
    cursor.take(usize::from(length))
}
