//! The certificates a sensor saw, each once: a bounded table keyed by the SHA-256 of the DER.
//!
//! A flow refers to a certificate by its number, so that a million flows with one certificate cost one entry. Reading
//! is lenient: whatever of a broken certificate can be understood is kept, and one that cannot be read at all still has
//! its entry, because that it was shown is a fact. Nothing is verified here and no clock is asked: validity is told for
//! a packet time.

mod der;

use std::net::{Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;
use sha2::{Digest, Sha256};

use crate::text::Text;
use der::Walk;

/// Certificates kept. A large site shows its peers a few thousand; what is more comes from scans or an attacker, and
/// flows that carry it simply have no number for it.
pub const CAPACITY: usize = 65_536;

/// Octets of names kept over all certificates. With 1 KiB a certificate, as real ones need, the table is full of
/// certificates first; names as long as the wire allows end here.
pub const NAME_OCTETS: usize = 64 * 1_024 * 1_024;

/// Alternative names kept of one certificate: public authorities issue at most 250 (Let's Encrypt: 100).
pub const ALTERNATIVE_NAMES: usize = 256;

/// Octets of alternative names kept of one certificate: 256 names of 64 octets.
const ALTERNATIVE_OCTETS: usize = 16 * 1_024;

/// A serial number has at most 20 octets (RFC 5280 4.1.2.2); old authorities made up to twice as much.
const SERIAL_OCTETS: usize = 64;

/// Validity of a certificate at one instant, as an observation counts it.
pub const UNKNOWN: u8 = 0;
pub const VALID: u8 = 1;
pub const EXPIRED: u8 = 2;
pub const NOT_YET: u8 = 3;

/// The second that a certificate ends with still counts, to its last nanosecond.
const LAST_SECOND: i64 = 999_999_999;

/// What a certificate says of itself. A field that could not be read is `None`, empty, or 0 for the times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    pub sha256: [u8; 32],
    /// The last, that is most specific, CN of the name (RFC 2818 3.1).
    pub subject_common_name: Option<Text>,
    /// DNS names and IP addresses, in the order of the extension.
    pub alternative_names: Vec<Text>,
    pub issuer_common_name: Option<Text>,
    /// ns since 1970, saturating: 9999-12-31, "no end" in RFC 5280 4.1.2.5, becomes `i64::MAX`.
    pub not_before: i64,
    pub not_after: i64,
    /// Upper-case hex without the sign octet.
    pub serial_number: String,
    /// "RSA", "ECDSA", …: the words that Elastic's own shippers put into this ECS field.
    pub public_key_algorithm: Option<&'static str>,
    /// Bits: of the modulus, of the prime, of the curve's field.
    pub public_key_size: Option<u32>,
    /// Names a place where its revocation list is (RFC 5280 4.2.1.13); `None` unless that could be read to its end.
    pub revocation_list: Option<bool>,
    /// The period of validity was read, so that the times mean something.
    pub readable: bool,
}

#[derive(Debug, Default)]
pub struct Certificates {
    numbers: HashMap<[u8; 32], u32>,
    entries: Vec<Certificate>,
    name_octets: usize,
}

impl Certificates {
    pub fn new() -> Self {
        Certificates::default()
    }

    /// The number of this certificate, new or known; `None` when the table is full. `u32::MAX` is never handed out.
    pub fn add(&mut self, der: &[u8]) -> Option<u32> {
        let sha256: [u8; 32] = Sha256::digest(der).into();
        if let Some(number) = self.numbers.get(&sha256) {
            return Some(*number);
        }
        if self.entries.len() >= CAPACITY || self.name_octets >= NAME_OCTETS {
            return None;
        }
        let number = u32::try_from(self.entries.len()).ok()?;
        let certificate = read(sha256, der);
        self.name_octets = self.name_octets.saturating_add(certificate.name_octets());
        self.entries.push(certificate);
        self.numbers.insert(sha256, number);
        Some(number)
    }

    pub fn get(&self, number: u32) -> Option<&Certificate> {
        self.entries.get(usize::try_from(number).ok()?)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether certificate `number` holds at `time` (ns since 1970): `VALID`, `EXPIRED`, `NOT_YET`; `UNKNOWN` when the
    /// certificate is not known or could not be read. Both ends are inclusive (RFC 5280 4.1.2.5).
    pub fn validity(&self, number: u32, time: i64) -> u8 {
        match self.get(number) {
            Some(certificate) if certificate.readable => {
                if time < certificate.not_before {
                    NOT_YET
                } else if time > certificate.not_after.saturating_add(LAST_SECOND) {
                    EXPIRED
                } else {
                    VALID
                }
            }
            _ => UNKNOWN,
        }
    }
}

impl Certificate {
    fn name_octets(&self) -> usize {
        let texts = self
            .alternative_names
            .iter()
            .chain(&self.subject_common_name)
            .chain(&self.issuer_common_name);
        texts.map(|text| text.bytes().len()).sum()
    }
}

fn read(sha256: [u8; 32], der: &[u8]) -> Certificate {
    let mut certificate = Certificate {
        sha256,
        ..Certificate::default()
    };
    // Certificate and, in it, TBSCertificate (RFC 5280 4.1). What stands before a fault is kept.
    if let Some(body) = Walk::new(der)
        .inside(der::SEQUENCE)
        .and_then(|mut outer| outer.inside(der::SEQUENCE))
    {
        fill(&mut certificate, body);
    }
    certificate
}

fn fill(certificate: &mut Certificate, mut body: Walk<'_>) -> Option<()> {
    const VERSION: u8 = 0xa0;
    const EXTENSIONS: u8 = 0xa3;
    const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
    body.pass(VERSION);
    certificate.serial_number = serial_number(body.expect(der::INTEGER)?);
    body.expect(der::SEQUENCE)?;
    certificate.issuer_common_name = common_name(body.inside(der::SEQUENCE)?);
    let mut validity = body.inside(der::SEQUENCE)?;
    let times = (
        validity.element().and_then(|from| der::time(&from)),
        validity.element().and_then(|to| der::time(&to)),
    );
    if let (Some(from), Some(to)) = times {
        certificate.not_before = nanoseconds(from);
        certificate.not_after = nanoseconds(to);
        certificate.readable = true;
    }
    certificate.subject_common_name = common_name(body.inside(der::SEQUENCE)?);
    public_key(certificate, body.inside(der::SEQUENCE)?);
    // Two unique identifiers that nobody uses may come first.
    let Some(extensions) = body.find(|element| element.tag == EXTENSIONS) else {
        certificate.revocation_list = body.is_at_end().then_some(false);
        return Some(());
    };
    let mut extensions = Walk::new(extensions.content).inside(der::SEQUENCE)?;
    let mut distribution = Some(false);
    for extension in extensions.by_ref() {
        let mut fields = Walk::new(extension.content);
        let identifier = fields.expect(der::OBJECT_IDENTIFIER);
        fields.pass(der::BOOLEAN);
        let value = fields.expect(der::OCTET_STRING);
        match identifier {
            Some(SUBJECT_ALTERNATIVE_NAME) => {
                value.and_then(|names| alternative_names(&mut certificate.alternative_names, names));
            }
            Some(CRL_DISTRIBUTION_POINTS) => distribution = value.and_then(names_a_place),
            Some(_) => {}
            None => distribution = None,
        }
    }
    certificate.revocation_list = distribution.filter(|named| *named || extensions.is_at_end());
    Some(())
}

fn nanoseconds(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000)
}

fn serial_number(raw: &[u8]) -> String {
    let magnitude = match raw {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => raw,
    };
    magnitude
        .iter()
        .take(SERIAL_OCTETS)
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// `name`: relative distinguished names, each a set of (type, value).
fn common_name(name: Walk<'_>) -> Option<Text> {
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    let pairs = name.flat_map(|set| Walk::new(set.content));
    let values = pairs.filter_map(|pair| {
        let mut pair = Walk::new(pair.content);
        (pair.expect(der::OBJECT_IDENTIFIER)? == COMMON_NAME)
            .then(|| pair.element())
            .flatten()
    });
    values.last().map(|value| text(&value))
}

/// Strings of two and four octets a character become UTF-8; all others are kept as sent.
fn text(value: &der::Element<'_>) -> Text {
    let wide: String = match value.tag {
        der::BMP_STRING => {
            let units = value
                .content
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)));
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        der::UNIVERSAL_STRING => {
            let units = value
                .content
                .chunks_exact(4)
                .map(|quad| quad.iter().fold(0, |unit, byte| unit << 8 | u32::from(*byte)));
            units
                .map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        _ => return Text::from_wire(value.content),
    };
    Text::from_wire(wide.as_bytes())
}

/// Adds the names of a subjectAltName (RFC 5280 4.2.1.6).
fn alternative_names(names: &mut Vec<Text>, list: &[u8]) -> Option<()> {
    const DNS_NAME: u8 = 0x82;
    const IP_ADDRESS: u8 = 0x87;
    let mut octets: usize = 0;
    for name in Walk::new(list).inside(der::SEQUENCE)? {
        let text = match name.tag {
            DNS_NAME => Text::from_wire(name.content),
            IP_ADDRESS => match address(name.content) {
                Some(text) => Text::from_wire(text.as_bytes()),
                None => continue,
            },
            _ => continue,
        };
        octets = octets.saturating_add(text.bytes().len());
        if names.len() >= ALTERNATIVE_NAMES || octets > ALTERNATIVE_OCTETS {
            return None;
        }
        names.push(text);
    }
    Some(())
}

/// Whether one of the points has a name, whole or relative to the issuer's; a point may also name no more than who signs
/// the list, or why. `None` where that cannot be read.
fn names_a_place(points: &[u8]) -> Option<bool> {
    const NAME: u8 = 0xa0;
    let mut points = Walk::new(points).inside(der::SEQUENCE)?;
    let named = points.by_ref().any(|point| {
        let name = Walk::new(point.content)
            .inside(NAME)
            .and_then(|mut name| name.element());
        name.is_some_and(|name| !name.content.is_empty())
    });
    (named || points.is_at_end()).then_some(named)
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|sixteen| Ipv6Addr::from(sixteen).to_string())
}

/// SubjectPublicKeyInfo: algorithm with parameters, then the key in a bit string. Names and identifiers of RFC 3279, 4055,
/// 5480, 5639 and 8410.
fn public_key(certificate: &mut Certificate, mut info: Walk<'_>) -> Option<()> {
    let mut algorithm = info.inside(der::SEQUENCE)?;
    let identifier = algorithm.expect(der::OBJECT_IDENTIFIER)?;
    let (name, size) = match identifier {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last @ (0x01 | 0x07 | 0x0a)] => {
            let name = match last {
                0x01 => "RSA",
                0x07 => "RSAES-OAEP",
                _ => "RSASSA-PSS",
            };
            (name, modulus(info).and_then(der::bits))
        }
        [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01] => ("DSA", prime(algorithm).and_then(der::bits)),
        [0x2a, 0x86, 0x48, 0xce, 0x3e, 0x02, 0x01] => ("DH", prime(algorithm).and_then(der::bits)),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => {
            ("ECDSA", algorithm.expect(der::OBJECT_IDENTIFIER).and_then(curve_bits))
        }
        [0x2b, 0x65, 0x6e] => ("X25519", Some(255)),
        [0x2b, 0x65, 0x6f] => ("X448", Some(448)),
        [0x2b, 0x65, 0x70] => ("Ed25519", Some(256)),
        [0x2b, 0x65, 0x71] => ("Ed448", Some(456)),
        _ => return None,
    };
    certificate.public_key_algorithm = Some(name);
    certificate.public_key_size = size;
    Some(())
}

/// RSAPublicKey: modulus, exponent; in a bit string whose first octet counts unused bits.
fn modulus(mut info: Walk<'_>) -> Option<&[u8]> {
    let (_, key) = info.expect(der::BIT_STRING)?.split_first()?;
    Walk::new(key).inside(der::SEQUENCE)?.expect(der::INTEGER)
}

/// The size of a DSA or DH key is that of its prime, first of its parameters.
fn prime(mut algorithm: Walk<'_>) -> Option<&[u8]> {
    algorithm.inside(der::SEQUENCE)?.expect(der::INTEGER)
}

fn curve_bits(identifier: &[u8]) -> Option<u32> {
    Some(match identifier {
        // prime192v1, prime256v1
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01] => 192,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => 256,
        // secp224r1, secp256k1, secp384r1, secp521r1
        [0x2b, 0x81, 0x04, 0x00, 0x21] => 224,
        [0x2b, 0x81, 0x04, 0x00, 0x0a] => 256,
        [0x2b, 0x81, 0x04, 0x00, 0x22] => 384,
        [0x2b, 0x81, 0x04, 0x00, 0x23] => 521,
        // brainpoolP256r1, brainpoolP384r1, brainpoolP512r1
        [0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07] => 256,
        [0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0b] => 384,
        [0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0d] => 512,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
