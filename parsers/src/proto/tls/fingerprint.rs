//! JA3, JA3S and JA4: what names a TLS implementation by the shape of its hello.
//!
//! JA3/JA3S (Salesforce, 2017): MD5 over decimal lists, GREASE left out. JA4 (FoxIO, BSD part of the suite): a readable
//! prefix and two truncated SHA-256 over sorted hexadecimal lists, so that a client which shuffles its extensions keeps
//! its fingerprint.

use std::fmt::Write;

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::text::write_hex;

use super::hello::{
    is_grease, numbers, Carrier, ClientHello, ServerHello, APPLICATION_LAYER_PROTOCOL, POINT_FORMATS, SERVER_NAME,
    SIGNATURE_ALGORITHMS, SUPPORTED_GROUPS,
};

/// MD5 of "version,ciphers,extensions,groups,point formats".
pub fn ja3(hello: &ClientHello<'_>) -> [u8; 16] {
    let mut text = format!("{},", hello.version);
    decimal(&mut text, numbers(hello.cipher_suites));
    text.push(',');
    decimal(&mut text, hello.extensions().map(|(kind, _)| kind));
    text.push(',');
    decimal(
        &mut text,
        numbers(hello.long_list(SUPPORTED_GROUPS).unwrap_or_default()),
    );
    text.push(',');
    decimal(
        &mut text,
        hello
            .short_list(POINT_FORMATS)
            .unwrap_or_default()
            .iter()
            .copied()
            .map(u16::from),
    );
    Md5::digest(text.as_bytes()).into()
}

/// MD5 of "version,cipher,extensions". The version is the one in the message's fixed part.
pub fn ja3s(hello: &ServerHello<'_>) -> [u8; 16] {
    let mut text = format!("{},{},", hello.version, hello.cipher_suite);
    decimal(&mut text, hello.extensions().map(|(kind, _)| kind));
    Md5::digest(text.as_bytes()).into()
}

fn decimal(text: &mut String, values: impl Iterator<Item = u16>) {
    for (index, value) in values.filter(|value| !is_grease(*value)).enumerate() {
        if index > 0 {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{value}");
    }
}

/// Three parts joined by "_", for example `t13d1516h2_8daaf6152771_e5627efa2ab1`.
pub fn ja4(hello: &ClientHello<'_>) -> Box<str> {
    let ciphers: Vec<u16> = numbers(hello.cipher_suites)
        .filter(|value| !is_grease(*value))
        .collect();
    let extensions: Vec<u16> = hello
        .extensions()
        .map(|(kind, _)| kind)
        .filter(|kind| !is_grease(*kind))
        .collect();
    let named = extensions.contains(&SERVER_NAME);
    let carrier = match hello.carrier {
        Carrier::Tls => 't',
        Carrier::Dtls => 'd',
        Carrier::Quic => 'q',
    };
    let mut text = format!(
        "{carrier}{}{}{:02}{:02}{}",
        version(hello),
        if named { 'd' } else { 'i' },
        ciphers.len().min(99),
        extensions.len().min(99),
        protocol(hello.first_protocol().unwrap_or_default()),
    );

    let mut listed = String::new();
    sorted_hex(&mut listed, ciphers);
    text.push('_');
    text.push_str(&short_hash(&listed));

    listed.clear();
    let hashed = extensions
        .into_iter()
        .filter(|kind| !matches!(*kind, SERVER_NAME | APPLICATION_LAYER_PROTOCOL));
    sorted_hex(&mut listed, hashed.collect());
    let signatures = hello.long_list(SIGNATURE_ALGORITHMS).unwrap_or_default();
    for (index, value) in numbers(signatures).filter(|value| !is_grease(*value)).enumerate() {
        listed.push(if index == 0 { '_' } else { ',' });
        write_hex(&value.to_be_bytes(), &mut listed);
    }
    text.push('_');
    text.push_str(&short_hash(&listed));
    text.into()
}

/// The highest version offered, in two characters.
fn version(hello: &ClientHello<'_>) -> &'static str {
    let offered = hello.supported_versions().filter(|value| !is_grease(*value));
    // DTLS counts downwards: 0xfefc is 1.3, 0xfeff is 1.0.
    let best = match hello.carrier {
        Carrier::Dtls => offered.min(),
        Carrier::Tls | Carrier::Quic => offered.max(),
    };
    match best.unwrap_or(hello.version) {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        0xfeff => "d1",
        0xfefd => "d2",
        0xfefc => "d3",
        _ => "00",
    }
}

/// First and last character of the first protocol offered; of its hexadecimal form when one of them is not alphanumeric.
fn protocol(name: &[u8]) -> String {
    match (name.first(), name.last()) {
        (Some(first), Some(last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() => {
            [char::from(*first), char::from(*last)].iter().collect()
        }
        (Some(first), Some(last)) => format!("{:x}{:x}", first >> 4, last & 0x0f),
        _ => "00".into(),
    }
}

fn sorted_hex(text: &mut String, mut values: Vec<u16>) {
    values.sort_unstable();
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_hex(&value.to_be_bytes(), text);
    }
}

fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "000000000000".into();
    }
    let digest = Sha256::digest(text.as_bytes());
    let mut short = String::with_capacity(12);
    write_hex(digest.get(..6).unwrap_or_default(), &mut short);
    short
}
