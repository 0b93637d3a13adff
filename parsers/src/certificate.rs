//! The certificates a sensor saw, each once: a bounded table keyed by the SHA-256 of the DER.
//!
//! A flow refers to a certificate by its number, so that a million flows with one certificate cost one entry. Reading
//! is lenient: whatever of a broken certificate can be understood is kept, and one that cannot be read at all still has
//! its entry, because that it was shown is a fact. Nothing is verified here and no clock is asked: validity is told for
//! a packet time.

use std::net::{Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;
use sha2::{Digest, Sha256};
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::der_parser::asn1_rs::{FromDer, Tag};
use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::nom::Parser;
use x509_parser::oid_registry::Oid;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::text::Text;

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
    /// "rsaEncryption", "id-ecPublicKey", …: the names of the OIDs, as Zeek prints them.
    pub public_key_algorithm: Option<&'static str>,
    /// Bits: of the modulus, of the prime, of the curve's field.
    pub public_key_size: Option<u32>,
    /// The DER was understood, so that the times mean something.
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
                } else if time > certificate.not_after {
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
    // Extensions are read one by one below, so that a broken one does not cost the others.
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    if let Ok((_, parsed)) = parser.parse(der) {
        fill(&mut certificate, &parsed);
    }
    certificate
}

fn fill(certificate: &mut Certificate, parsed: &X509Certificate<'_>) {
    certificate.readable = true;
    certificate.subject_common_name = common_name(parsed.subject());
    certificate.issuer_common_name = common_name(parsed.issuer());
    certificate.not_before = nanoseconds(parsed.validity().not_before.timestamp());
    // The whole last second counts.
    certificate.not_after = nanoseconds(parsed.validity().not_after.timestamp()).saturating_add(999_999_999);
    certificate.serial_number = serial_number(parsed.raw_serial());
    certificate.public_key_algorithm = algorithm(&parsed.public_key().algorithm.algorithm);
    certificate.public_key_size = key_size(parsed.public_key());
    for extension in parsed.extensions() {
        if extension.oid.to_id_string() == "2.5.29.17" {
            alternative_names(&mut certificate.alternative_names, extension.value);
        }
    }
}

fn nanoseconds(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000)
}

fn common_name(name: &X509Name<'_>) -> Option<Text> {
    let value = name.iter_common_name().last()?.attr_value();
    if value.tag() == Tag::BmpString {
        let units = value.data.chunks_exact(2).map(|pair| match pair {
            [high, low] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        });
        let text: String = char::decode_utf16(units)
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        return Some(Text::from_wire(text.as_bytes()));
    }
    Some(Text::from_wire(value.data))
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

fn alternative_names(names: &mut Vec<Text>, value: &[u8]) {
    let Ok((_, parsed)) = SubjectAlternativeName::from_der(value) else {
        return;
    };
    let mut octets = 0_usize;
    for name in &parsed.general_names {
        let text = match name {
            GeneralName::DNSName(host) => Text::from_wire(host.as_bytes()),
            // A DNS name that is no ASCII: shown as sent.
            GeneralName::Invalid(Tag(2), host) => Text::from_wire(host),
            GeneralName::IPAddress(bytes) => match address(bytes) {
                Some(text) => Text::from_wire(text.as_bytes()),
                None => continue,
            },
            _ => continue,
        };
        octets = octets.saturating_add(text.bytes().len());
        if names.len() >= ALTERNATIVE_NAMES || octets > ALTERNATIVE_OCTETS {
            return;
        }
        names.push(text);
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|sixteen| Ipv6Addr::from(sixteen).to_string())
}

/// Names of RFC 3279, 4055, 5480 and 8410.
fn algorithm(oid: &Oid<'_>) -> Option<&'static str> {
    Some(match oid.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" => "rsaEncryption",
        "1.2.840.113549.1.1.7" => "id-RSAES-OAEP",
        "1.2.840.113549.1.1.10" => "id-RSASSA-PSS",
        "1.2.840.10040.4.1" => "id-dsa",
        "1.2.840.10046.2.1" => "dhpublicnumber",
        "1.2.840.10045.2.1" => "id-ecPublicKey",
        "1.3.101.110" => "id-X25519",
        "1.3.101.111" => "id-X448",
        "1.3.101.112" => "id-Ed25519",
        "1.3.101.113" => "id-Ed448",
        _ => return None,
    })
}

fn key_size(key: &SubjectPublicKeyInfo<'_>) -> Option<u32> {
    match algorithm(&key.algorithm.algorithm)? {
        "id-ecPublicKey" => {
            let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
            curve_bits(&curve.to_id_string())
        }
        "id-X25519" => Some(255),
        "id-Ed25519" => Some(256),
        "id-X448" => Some(448),
        "id-Ed448" => Some(456),
        _ => match key.parsed().ok()? {
            PublicKey::RSA(rsa) => integer_bits(rsa.modulus),
            PublicKey::DSA(_) => dsa_prime_bits(key),
            _ => None,
        },
    }
}

/// The size of a DSA key is that of its prime p, first of its parameters (RFC 3279 2.3.2).
fn dsa_prime_bits(key: &SubjectPublicKeyInfo<'_>) -> Option<u32> {
    let parameters = key.algorithm.parameters.as_ref()?;
    let (_, prime) = x509_parser::der_parser::asn1_rs::Any::from_der(parameters.data).ok()?;
    integer_bits(prime.data)
}

fn curve_bits(oid: &str) -> Option<u32> {
    Some(match oid {
        "1.2.840.10045.3.1.1" => 192,
        "1.3.132.0.33" => 224,
        "1.2.840.10045.3.1.7" | "1.3.132.0.10" | "1.3.36.3.3.2.8.1.1.7" => 256,
        "1.3.132.0.34" | "1.3.36.3.3.2.8.1.1.11" => 384,
        "1.3.36.3.3.2.8.1.1.13" => 512,
        "1.3.132.0.35" => 521,
        _ => return None,
    })
}

/// Significant bits of a DER INTEGER's content.
fn integer_bits(content: &[u8]) -> Option<u32> {
    let zeros = content.iter().take_while(|byte| **byte == 0).count();
    let magnitude = content.get(zeros..)?;
    let first = magnitude.first()?;
    let bits = magnitude.len().checked_mul(8)?;
    u32::try_from(bits).ok()?.checked_sub(first.leading_zeros())
}
