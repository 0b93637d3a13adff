//! QUIC (RFC 8999, RFC 9000, RFC 9369) and the versions of Google that came before it, by their first octets.
//!
//! Only long headers, which name their version, prove anything; short headers look like any datagram and count once the
//! flow is known. Nothing is decrypted. Who opened is told by packets that only a client or only a server sends.

use crate::cursor::{Cursor, Short};
use crate::facts::{Service, Side};
use crate::proto::Context;

/// Longest connection id of the versions known (RFC 9000 17.2).
const LONGEST_ID: u8 = 20;
/// A client's first datagram is at least this long, and its destination id at least eight octets (RFC 9000 14.1, 7.2).
const FIRST_DATAGRAM: usize = 1_200;
const SHORTEST_FIRST_ID: u8 = 8;
/// Shortest protected packet: packet number and sample (RFC 9001 5.4.2).
const SHORTEST_PACKET: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
    Either,
}

/// A pointer's worth of memory: whether the flow is known.
#[derive(Debug, Default)]
pub struct State {
    known: bool,
}

/// Whether a datagram of an unknown flow is QUIC.
pub fn probe(payload: &[u8]) -> bool {
    sender(payload).is_some()
}

pub fn read(side: Side, payload: &[u8], state: &mut State, context: &mut Context<'_>) {
    if state.known && context.facts.opener.is_some() {
        return;
    }
    let Some(sender) = sender(payload) else { return };
    state.known = true;
    context.facts.recognise(Service::Quic);
    match sender {
        Sender::Client => context.facts.opened_by(side),
        Sender::Server => context.facts.opened_by(side.other()),
        Sender::Either => {}
    }
}

/// Who can have sent this datagram; `None` = it is no QUIC that tells its version.
fn sender(payload: &[u8]) -> Option<Sender> {
    let first = *payload.first()?;
    let read = if first & 0x80 != 0 {
        long_header(payload)
    } else {
        public_header(payload)
    };
    read.ok().flatten()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Negotiation,
    /// RFC 9000, its drafts and Facebook's variants of them.
    First,
    /// RFC 9369: the same with other numbers for the packet types.
    Second,
    /// Google's Q046: ids' lengths in one octet.
    Google,
    /// Google's Q050, T050, T051: like the drafts.
    GoogleLate,
    /// 0x?a?a?a?a: no version, sent to exercise negotiation (RFC 9000 15).
    Reserved,
}

fn version(number: u32) -> Option<Version> {
    let [a, b, c, d] = number.to_be_bytes();
    match number {
        0 => Some(Version::Negotiation),
        1 | 0xff00_0011..=0xff00_0022 | 0xface_b000..=0xface_b0ff => Some(Version::First),
        0x6b33_43cf | 0x709a_50c4 => Some(Version::Second),
        _ if number & 0x0f0f_0f0f == 0x0a0a_0a0a => Some(Version::Reserved),
        _ => match (a, [b, c, d]) {
            (b'Q', [b'0', b'4', b'6' | b'7' | b'8']) => Some(Version::Google),
            (b'Q' | b'T', [b'0', b'5', digit]) if digit.is_ascii_digit() => Some(Version::GoogleLate),
            _ => None,
        },
    }
}

fn long_header(payload: &[u8]) -> Result<Option<Sender>, Short> {
    let mut cursor = Cursor::new(payload);
    let first = cursor.u8()?;
    let Some(version) = version(cursor.u32()?) else {
        return Ok(None);
    };
    // The fixed bit; negotiation leaves it open (RFC 9000 17.2.1).
    if first & 0x40 == 0 && version != Version::Negotiation {
        return Ok(None);
    }
    if version == Version::Google {
        return google_long_header(&mut cursor, payload.len());
    }
    let destination = cursor.u8()?;
    cursor.skip(usize::from(destination))?;
    let source = cursor.u8()?;
    cursor.skip(usize::from(source))?;
    if destination > LONGEST_ID || source > LONGEST_ID {
        return Ok(None);
    }
    let kind = (first >> 4) & 3;
    match version {
        Version::Negotiation => Ok(negotiation(cursor.rest())),
        Version::Reserved if payload.len() >= FIRST_DATAGRAM && destination >= SHORTEST_FIRST_ID => {
            Ok(Some(Sender::Client))
        }
        Version::Reserved => Ok(None),
        Version::Second => packet(kind.wrapping_sub(1) & 3, &mut cursor, destination),
        _ => packet(kind, &mut cursor, destination),
    }
}

/// `kind` as RFC 9000 numbers it: 0 Initial, 1 0-RTT, 2 Handshake, 3 Retry.
fn packet(kind: u8, cursor: &mut Cursor<'_>, destination: u8) -> Result<Option<Sender>, Short> {
    let sender = match kind {
        0 => {
            let token = variable(cursor)?;
            let Ok(token_length) = usize::try_from(token) else {
                return Ok(None);
            };
            cursor.skip(token_length)?;
            // Only a client has a token to show (17.2.2); only a server answers to an id this short (7.2).
            if token > 0 {
                Sender::Client
            } else if destination < SHORTEST_FIRST_ID {
                Sender::Server
            } else {
                Sender::Either
            }
        }
        1 => Sender::Client,
        2 => Sender::Either,
        // A token and an integrity tag of 16 octets, only from a server (17.2.5).
        _ => return Ok((cursor.remaining() > 16).then_some(Sender::Server)),
    };
    // The length may exceed what was captured, not fall below what a packet needs.
    let length = variable(cursor)?;
    Ok((length >= SHORTEST_PACKET && !cursor.is_empty()).then_some(sender))
}

/// RFC 9000 16: the two upper bits of the first octet tell the size.
fn variable(cursor: &mut Cursor<'_>) -> Result<u64, Short> {
    let first = cursor.u8()?;
    let mut value = u64::from(first & 0x3f);
    for _ in 1..1_u8 << (first >> 6) {
        value = value << 8 | u64::from(cursor.u8()?);
    }
    Ok(value)
}

/// A list of versions, at least one of which is known (or reserved, as servers mix one in).
fn negotiation(list: &[u8]) -> Option<Sender> {
    let mut numbers = list.chunks_exact(4);
    if !numbers.remainder().is_empty() {
        return None;
    }
    let known = |number: &[u8]| {
        let number = <[u8; 4]>::try_from(number).map(u32::from_be_bytes).unwrap_or_default();
        number != 0 && (version(number).is_some() || is_public_version(&number.to_be_bytes()))
    };
    numbers.any(known).then_some(Sender::Server)
}

/// Q046: one octet with both lengths (0 = none, else that and three more), then the ids and a packet number.
fn google_long_header(cursor: &mut Cursor<'_>, length: usize) -> Result<Option<Sender>, Short> {
    let lengths = cursor.u8()?;
    let octets = |nibble: u8| if nibble == 0 { 0 } else { usize::from(nibble) + 3 };
    let (destination, source) = (octets(lengths >> 4), octets(lengths & 0x0f));
    cursor.skip(destination)?;
    cursor.skip(source)?;
    // One of the two is always empty: a client's packets carry the destination, a server's the source.
    Ok(match (destination, source) {
        (8, 0) => Some(Sender::Client),
        (0, 8) => Some(Sender::Server),
        _ if length >= FIRST_DATAGRAM => Some(Sender::Either),
        _ => None,
    })
}

fn is_public_version(number: &[u8]) -> bool {
    matches!(number, [b'Q', b'0', tens, units] if tens.is_ascii_digit() && units.is_ascii_digit())
}

/// Google's versions up to Q043: flags, connection id, and, from the client until the server has answered, the version.
fn public_header(payload: &[u8]) -> Result<Option<Sender>, Short> {
    let mut cursor = Cursor::new(payload);
    let flags = cursor.u8()?;
    // Version (0x01) and an 8-octet id (0x08; 0x0c in old versions); no reset (0x02), no multipath (0x40).
    if flags & 0xcb != 0x09 {
        return Ok(None);
    }
    cursor.skip(8)?;
    let number = cursor.take(4)?;
    if !is_public_version(number) || cursor.is_empty() {
        return Ok(None);
    }
    // A list of versions is the server's answer; a client sends one, and a packet behind it.
    let rest = cursor.rest();
    let list = rest.len().is_multiple_of(4) && rest.chunks_exact(4).all(is_public_version);
    Ok(Some(if list { Sender::Server } else { Sender::Client }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::certificate::Certificates;
    use crate::facts::Facts;

    /// A datagram that begins like this and is filled up as clients do.
    fn datagram(head: &[u8], length: usize) -> Vec<u8> {
        let mut payload = head.to_vec();
        payload.resize(length, 0x5a);
        payload
    }

    fn unhex(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    fn opener(payload: &[u8]) -> Option<Side> {
        let (mut facts, mut certificates, mut state) = (Facts::default(), Certificates::new(), State::default());
        read(
            Side::A,
            payload,
            &mut state,
            &mut Context {
                facts: &mut facts,
                certificates: &mut certificates,
                time: 0,
            },
        );
        assert_eq!(facts.has(Service::Quic), probe(payload));
        facts.opener
    }

    /// First octets of public captures: zeek quic-interop-retry, nDPI quic-v2 (with a token, by tshark; and its answer),
    /// quic046, http_ipv6.
    #[test]
    fn real_first_datagrams() {
        let seen = [
            (
                "cd00000001084a8294bf9201d6cf000044d20279e98d1f36a7913dd46fd7",
                1_252,
                None,
            ),
            (
                "d66b3343cf080726272642fc2eb20811fffdea452422b832a196c2fa15ec",
                1_232,
                Some(Side::A),
            ),
            (
                "946b3343cf0811fffdea452422b808b844d6f71875fd1d00409eb9bdf089",
                1_232,
                None,
            ),
            (
                "c35130343650b4a4f9f5f42edd39000000019993d3b3cdfe6d824e9945e5",
                1_350,
                Some(Side::A),
            ),
            (
                "0d49bee2d3f0edccd65130323501d8697e21ab650d33f17a3cf300a0010004",
                1_392,
                Some(Side::A),
            ),
        ];
        for (head, length, expected) in seen {
            let payload = datagram(&unhex(head), length);
            // v2's server answer above lacks the fixed bit: a client that offered to do without it (RFC 9287).
            let without_fixed_bit = head.starts_with("94");
            assert_eq!(probe(&payload), !without_fixed_bit, "{head}");
            if probe(&payload) {
                assert_eq!(opener(&payload), expected, "{head}");
            }
        }
    }

    #[test]
    fn packets_that_one_side_alone_sends() {
        let token = [&[0xc0, 0, 0, 0, 1, 8][..], &[1; 8], &[0, 3, 9, 9, 9, 0x44, 0xd0]].concat();
        assert_eq!(
            opener(&datagram(&token, 1_250)),
            Some(Side::A),
            "an Initial with a token"
        );
        let early = [&[0xd0, 0, 0, 0, 1, 8][..], &[1; 8], &[0, 0x40, 0x64]].concat();
        assert_eq!(opener(&datagram(&early, 120)), Some(Side::A), "0-RTT");
        let answer = [&[0xc0, 0, 0, 0, 1, 0, 8][..], &[1; 8], &[0, 0x44, 0xd0]].concat();
        assert_eq!(
            opener(&datagram(&answer, 1_250)),
            Some(Side::B),
            "an Initial to an id too short for a first one"
        );
        let retry = [&[0xf0, 0, 0, 0, 1, 0, 8][..], &[1; 8], &[7; 40]].concat();
        assert_eq!(opener(&retry), Some(Side::B));
        let negotiation = [
            &[0x80, 0, 0, 0, 0, 2, 1, 1, 2, 2, 2][..],
            &[0x1a, 0x2a, 0x3a, 0x4a, 0, 0, 0, 1],
        ]
        .concat();
        assert_eq!(opener(&negotiation), Some(Side::B));
    }

    #[test]
    fn what_only_looks_like_quic() {
        let good = datagram(
            &[&[0xc0, 0, 0, 0, 1, 8][..], &[1; 8], &[0, 0, 0x44, 0xd0]].concat(),
            1_250,
        );
        assert!(probe(&good));
        let mut other = good.clone();
        other[0] = 0x80;
        assert!(!probe(&other), "without the fixed bit");
        let mut other = good.clone();
        other[4] = 2;
        assert!(!probe(&other), "a version nobody speaks");
        let mut other = good.clone();
        other[5] = 21;
        assert!(!probe(&other), "an id longer than any");
        assert!(
            !probe(&datagram(&[0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9], 1_250)),
            "a short header"
        );
        assert!(!probe(&datagram(&[0x80, 0x6f, 0, 1, 0, 0, 0, 1], 180)), "RTP");
        assert!(
            !probe(&[0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]),
            "a list of unknown versions"
        );
        assert!(!probe(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9]), "not in fours");
        assert!(!probe(&[]));
        for cut in 0..16 {
            assert!(!probe(&good[..cut]), "{cut} octets prove nothing");
        }
    }

    #[test]
    fn numbers_of_every_size() {
        // RFC 9000 A.1.
        for (octets, value) in [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ] {
            let mut cursor = Cursor::new(octets);
            assert_eq!(variable(&mut cursor), Ok(value));
            assert!(cursor.is_empty());
            assert!(variable(&mut Cursor::new(&octets[..octets.len() - 1])).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_harm(payload in proptest::collection::vec(any::<u8>(), 0..60), version in 0..6_usize) {
            probe(&payload);
            let versions = [[0, 0, 0, 0], [0, 0, 0, 1], [0x6b, 0x33, 0x43, 0xcf], *b"Q046", *b"Q050", [0x1a; 4]];
            let first = payload.first().copied().unwrap_or(0xc0);
            opener(&[&[first][..], &versions[version], payload.get(5..).unwrap_or_default()].concat());
        }
    }
}
