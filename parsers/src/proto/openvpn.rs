//! OpenVPN (the protocol's description in OpenVPN's sources, `doc/doxygen/doc_protocol_overview.h` and `ssl_pkt.h`) by
//! the two resets that begin a session, over UDP or, behind a length of two octets, over TCP.
//!
//! Strategy: a reset has a session id of chance and little else, all of it known: numbers that start at nought or one, and
//! sizes that follow from the digest in use. Without a reset nothing is recognised: data is a cipher's.

use super::{Context, Probe, Step, StreamReader};
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

/// Opcode in the upper five bits, key number 0 in the lower three.
const CLIENT_V2: u8 = 7 << 3;
const SERVER_V2: u8 = 8 << 3;
const CLIENT_V3: u8 = 10 << 3;

/// Octets of the digest of `--tls-auth`: none, MD5, SHA-1, SHA-256, SHA-512.
const DIGESTS: [usize; 5] = [0, 16, 20, 32, 64];
/// Opcode and session id.
const START: usize = 9;
/// Number and time of a protected packet.
const REPLAY: usize = 8;
/// `--tls-crypt`: tag, then the encrypted rest of a client's reset (no acknowledgement, packet 0).
const TAG: usize = 32;
const CLIENT_REST: [u8; 5] = [0; 5];
/// One acknowledgement of packet 0, the client's session id, packet 0.
const SERVER_REST: usize = 1 + 4 + 8 + 4;
/// `--tls-crypt-v2`: the wrapped key ends in its length; `tls_crypt.h` limits it so.
const WRAPPED_KEY: std::ops::RangeInclusive<usize> = 34..=1_024;
/// Longest reset that a stream is waited for.
const LONGEST: usize = START + REPLAY + TAG + CLIENT_REST.len() + 1_024;

/// Whether the packet is a reset; of the client = true.
fn reset(packet: &[u8]) -> Option<bool> {
    let (&first, rest) = packet.split_first()?;
    let session = rest.get(..8)?;
    // Chance: none has more than two zero octets in eight but one in 2^18.
    if session.iter().filter(|octet| **octet == 0).count() > 2 {
        return None;
    }
    let body = packet.get(START..)?;
    let fits = match first {
        CLIENT_V2 => {
            is_plain(body, CLIENT_REST.len(), |rest| rest == CLIENT_REST) || is_wrapped(body, CLIENT_REST.len())
        }
        SERVER_V2 => {
            is_plain(body, SERVER_REST, |rest| {
                matches!(rest, [1, 0, 0, 0, 0, .., 0, 0, 0, 0])
            }) || is_wrapped(body, SERVER_REST)
        }
        CLIENT_V3 => is_wrapped_key(body),
        _ => false,
    };
    fits.then_some(first != SERVER_V2)
}

/// In clear, behind a digest and the packet's number or not.
fn is_plain(body: &[u8], length: usize, is_rest: impl Fn(&[u8]) -> bool) -> bool {
    DIGESTS.into_iter().any(|digest| {
        let before = if digest == 0 { 0 } else { digest + REPLAY };
        body.len() == before + length
            && body.get(before..).is_some_and(&is_rest)
            && (digest == 0 || body.get(digest..).is_some_and(is_first))
    })
}

/// `--tls-crypt`: the number is in clear, all else a cipher's.
fn is_wrapped(body: &[u8], length: usize) -> bool {
    body.len() == REPLAY + TAG + length && is_first(body)
}

fn is_wrapped_key(body: &[u8]) -> bool {
    let Some(key) = body.get(REPLAY + TAG + CLIENT_REST.len()..) else {
        return false;
    };
    let said = key
        .last_chunk::<2>()
        .map_or(0, |octets| usize::from(u16::from_be_bytes(*octets)));
    WRAPPED_KEY.contains(&said) && said == key.len() && is_first(body)
}

/// Number one, or of a client that can negotiate early 0x0f000001, and a time since 2001 (OpenVPN is no older).
fn is_first(replay: &[u8]) -> bool {
    let mut cursor = Cursor::new(replay);
    let (number, time) = (cursor.u32(), cursor.u32());
    matches!(number, Ok(1 | 0x0f00_0001)) && time.is_ok_and(|time| time >= 0x3a4f_c880)
}

fn note(side: Side, of_client: bool, context: &mut Context<'_>) {
    context.facts.recognise(Service::Openvpn);
    context.facts.opened_by(if of_client { side } else { side.other() });
}

/// True = it begins a session.
pub fn read_datagram(side: Side, payload: &[u8], context: &mut Context<'_>) -> bool {
    match reset(payload) {
        Some(of_client) => {
            note(side, of_client, context);
            true
        }
        None => false,
    }
}

/// Whether a TCP stream begins with a length and a reset.
pub fn probe(bytes: &[u8]) -> Probe {
    let mut cursor = Cursor::new(bytes);
    let Ok(length) = cursor.u16() else {
        return if matches!(bytes, [] | [0..=4]) {
            Probe::More
        } else {
            Probe::No
        };
    };
    let length = usize::from(length);
    if !(START + CLIENT_REST.len()..=LONGEST).contains(&length)
        || !matches!(cursor.rest(), [] | [CLIENT_V2 | SERVER_V2 | CLIENT_V3, ..])
    {
        return Probe::No;
    }
    match cursor.take(length) {
        Err(_) => Probe::More,
        Ok(packet) if reset(packet).is_some() => Probe::Yes,
        Ok(_) => Probe::No,
    }
}

/// Nothing after the first packet is in clear that would matter.
#[derive(Debug, Default)]
pub struct Reader;

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        let mut cursor = Cursor::new(bytes);
        let packet = cursor.u16().and_then(|length| cursor.take(usize::from(length)));
        match packet {
            Ok(packet) => match reset(packet) {
                Some(of_client) => {
                    note(side, of_client, context);
                    Step::Done
                }
                None => Step::Broken,
            },
            Err(_) => Step::More(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, every_truncation, probe_waits, with_context};
    use super::*;
    use crate::facts::Facts;
    use proptest::prelude::*;
    use Side::{A, B};

    const SESSION: [u8; 8] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
    /// Packet 1 of 2024.
    const NUMBER: [u8; 8] = [0, 0, 0, 1, 0x66, 0x00, 0x12, 0x34];

    fn told(payload: &[u8]) -> Facts {
        let mut facts = Facts::default();
        with_context(&mut facts, |context| read_datagram(A, payload, context));
        facts
    }

    fn join(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    fn server_rest() -> Vec<u8> {
        join(&[&[1, 0, 0, 0, 0], &SESSION, &[0; 4]])
    }

    /// Each form of both resets, with the side that began.
    fn resets() -> Vec<(Vec<u8>, Side)> {
        let key = join(&[&[0x3c; 300], &302_u16.to_be_bytes()]);
        vec![
            (join(&[&[0x38], &SESSION, &CLIENT_REST]), A),
            (join(&[&[0x38], &SESSION, &[0xaa; 20], &NUMBER, &CLIENT_REST]), A),
            (join(&[&[0x38], &SESSION, &[0xaa; 64], &NUMBER, &CLIENT_REST]), A),
            (join(&[&[0x38], &SESSION, &NUMBER, &[0xbb; 32], &[0xcc; 5]]), A),
            (join(&[&[0x50], &SESSION, &NUMBER, &[0xbb; 32], &[0xcc; 5], &key]), A),
            (join(&[&[0x40], &SESSION, &server_rest()]), B),
            (join(&[&[0x40], &SESSION, &[0xaa; 32], &NUMBER, &server_rest()]), B),
            (join(&[&[0x40], &SESSION, &NUMBER, &[0xbb; 32], &[0xcc; 17]]), B),
        ]
    }

    #[test]
    fn a_reset_is_proof_and_tells_who_began() {
        for (packet, opener) in resets() {
            let facts = told(&packet);
            assert_eq!(
                (facts.services(), facts.opener),
                (&[Service::Openvpn][..], Some(opener)),
                "{packet:x?}"
            );
            for cut in 0..packet.len() {
                assert!(!told(&packet[..cut]).has(Service::Openvpn), "{cut} octets");
            }
        }
    }

    #[test]
    fn over_tcp_a_length_stands_before_it() {
        for (packet, opener) in resets() {
            let stream = join(&[&u16::try_from(packet.len()).unwrap().to_be_bytes(), &packet]);
            probe_waits(probe, &stream);
            let told = every_split(|| Reader, &[(A, &stream)]);
            assert_eq!(
                (told.facts.services(), told.facts.opener),
                (&[Service::Openvpn][..], Some(opener))
            );
            every_truncation(|| Reader, &[(A, &stream)]);
        }
    }

    #[test]
    fn what_is_no_reset_is_refused() {
        let plain = join(&[&[0x38], &SESSION, &CLIENT_REST]);
        for (packet, why) in [
            (join(&[&[0x39], &plain[1..]]), "key number 1"),
            (join(&[&[0x38], &[0; 8], &CLIENT_REST]), "no session id"),
            (join(&[&plain[..9], &[0, 0, 0, 0, 1]]), "packet 1"),
            (
                join(&[
                    &[0x38],
                    &SESSION,
                    &[0xaa; 20],
                    &[0, 0, 0, 2],
                    &NUMBER[4..],
                    &CLIENT_REST,
                ]),
                "number 2",
            ),
            (
                join(&[&[0x38], &SESSION, &[0xaa; 20], &NUMBER[..4], &[0; 4], &CLIENT_REST]),
                "no time",
            ),
            (join(&[&[0x20], &SESSION, &CLIENT_REST]), "a control packet"),
        ] {
            assert!(!told(&packet).has(Service::Openvpn), "{why}");
        }
        assert_eq!(probe(b"\x00\x0e\x30"), Probe::No);
        assert_eq!(probe(b"GET "), Probe::No);
    }

    proptest! {
        /// 2^-40 for each: opcode 2^-8, and number one or five zero octets.
        #[test]
        fn random_datagrams_are_not_it(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(!told(&bytes).has(Service::Openvpn));
            for opcode in [0x38, 0x40, 0x50] {
                prop_assert!(!told(&[&[opcode][..], &bytes].concat()).has(Service::Openvpn));
            }
            prop_assert!(probe(&bytes) != Probe::Yes);
        }
    }
}
