//! NTP and SNTP (RFC 5905, RFC 4330, [MS-SNTP]) by the header of 48 octets that all versions share.
//!
//! Strategy: there is no magic number, so that every field with a known range must lie in it: of 2^32 random datagrams of a
//! right length one passes. First octets of RTP (leap indicator 2 of a minute with 61 seconds) are left to media.

use super::Context;
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

const HEADER: usize = 48;
/// RFC 5905 11.1: distances beyond 16 s are useless; clients of Windows that were never synchronised say more.
const MAX_DISTANCE: u16 = 128;
/// RFC 7822 3: the shortest extension field.
const SHORTEST_FIELD: usize = 16;

const SYMMETRIC_PASSIVE: u8 = 2;
const CLIENT: u8 = 3;
const SERVER: u8 = 4;
const BROADCAST: u8 = 5;

/// The mode of a datagram that is NTP.
fn mode(payload: &[u8]) -> Option<u8> {
    let mut cursor = Cursor::new(payload);
    let first = cursor.u8().ok()?;
    let (leap, version, mode) = (first >> 6, first >> 3 & 7, first & 7);
    let stratum = cursor.u8().ok()?;
    let (poll, precision) = (cursor.u8().ok()?.cast_signed(), cursor.u8().ok()?.cast_signed());
    let (delay, _) = (cursor.u16().ok()?, cursor.u16().ok()?);
    let (dispersion, _) = (cursor.u16().ok()?, cursor.u16().ok()?);
    // RFC 5905 7.3; chrony reaches down to 2^-7 s, and as a client says 32 so as to tell nothing of its clock.
    let known = leap != 2
        && (2..=4).contains(&version)
        && (1..=BROADCAST).contains(&mode)
        && stratum <= 16
        && (-7..=17).contains(&poll)
        && ((-32..=0).contains(&precision) || precision == 32 && mode == CLIENT);
    if !known || delay >= MAX_DISTANCE || dispersion >= MAX_DISTANCE {
        return None;
    }
    cursor.skip(4 + 8 + 8 + 8).ok()?;
    // Only a client may leave out when it sent (RFC 4330 5).
    let transmitted = cursor.u64().ok()?;
    debug_assert_eq!(cursor.position(), HEADER);
    (ends_well(cursor) && (transmitted != 0 || mode == CLIENT)).then_some(mode)
}

/// Nothing, a message digest (RFC 1305 C.1, RFC 5905 7.3, [MS-SNTP] 2.2) or extension fields before one (RFC 7822 3).
fn ends_well(mut cursor: Cursor<'_>) -> bool {
    loop {
        if matches!(cursor.remaining(), 0 | 4 | 12 | 20 | 24 | 72) {
            return true;
        }
        let Ok(length) = cursor.skip(2).and_then(|()| cursor.u16()) else {
            return false;
        };
        let length = usize::from(length);
        if length < SHORTEST_FIELD || !length.is_multiple_of(4) || cursor.skip(length - 4).is_err() {
            return false;
        }
    }
}

/// True = it is NTP. A client asks and a server answers; of two symmetric peers the passive one was asked.
pub fn read_datagram(side: Side, payload: &[u8], context: &mut Context<'_>) -> bool {
    let Some(mode) = mode(payload) else { return false };
    context.facts.recognise(Service::Ntp);
    match mode {
        CLIENT => context.facts.opened_by(side),
        SERVER | SYMMETRIC_PASSIVE => context.facts.opened_by(side.other()),
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::splits::with_context;
    use super::*;
    use crate::facts::Facts;
    use proptest::prelude::*;

    fn told(payload: &[u8]) -> Facts {
        let mut facts = Facts::default();
        with_context(&mut facts, |context| read_datagram(Side::A, payload, context));
        facts
    }

    /// RFC 5905 A.1.2: a header from its fields; the four timestamps are of November 2026.
    fn packet(first: u8, stratum: u8) -> Vec<u8> {
        let mut packet = vec![
            first, stratum, 6, 0xec, 0, 0, 0x0b, 0x20, 0, 0, 0x05, 0x10, 192, 0, 2, 1,
        ];
        packet.extend([0xee, 0xb3, 0x55, 0x10, 0x80, 0, 0, 0].repeat(4));
        packet
    }

    #[test]
    fn client_and_server_tell_who_asked() {
        for (first, opener) in [
            (0x1b, Some(Side::A)),
            (0x23, Some(Side::A)),
            (0xe3, Some(Side::A)),
            (0x1c, Some(Side::B)),
            (0x24, Some(Side::B)),
            (0x22, Some(Side::B)),
            (0x21, None),
            (0x25, None),
        ] {
            let facts = told(&packet(first, 2));
            assert_eq!(
                (facts.services(), facts.opener),
                (&[Service::Ntp][..], opener),
                "{first:#x}"
            );
        }
    }

    #[test]
    fn an_sntp_client_may_send_zeros() {
        let mut bare = vec![0_u8; HEADER];
        bare[0] = 0x1b;
        assert!(told(&bare).has(Service::Ntp), "RFC 4330 5");
        bare[0] = 0x1c;
        assert!(!told(&bare).has(Service::Ntp), "a server says when it sent");
    }

    #[test]
    fn digests_and_extension_fields_may_follow() {
        for (extra, fits) in [
            (vec![0; 20], true),
            (vec![0; 24], true),
            (vec![0; 72], true),
            ([&[1, 4, 0, 36][..], &[7; 32]].concat(), true), // RFC 8915 5.3, NTS's unique identifier
            ([&[1, 4, 0, 36][..], &[7; 32], &[0; 20]].concat(), true),
            (vec![0; 7], false),
            ([&[1, 4, 0, 40][..], &[7; 32]].concat(), false),
        ] {
            assert_eq!(told(&[packet(0x23, 0), extra].concat()).has(Service::Ntp), fits);
        }
    }

    #[test]
    fn each_field_out_of_its_range_refuses_it() {
        for (at, value) in [
            (0, 0x26),
            (0, 0x0b),
            (0, 0xa3),
            (1, 17),
            (2, 18),
            (3, 1),
            (4, 1),
            (8, 1),
        ] {
            let mut packet = packet(0x24, 2);
            packet[at] = value;
            assert!(!told(&packet).has(Service::Ntp), "octet {at} = {value:#x}");
        }
        let whole = packet(0x24, 2);
        for cut in 0..HEADER {
            assert!(!told(&whole[..cut]).has(Service::Ntp), "{cut} octets");
        }
    }

    proptest! {
        /// 2^-32 for each: first octet 2^-4, stratum 2^-4, poll and precision 2^-3 each, distances 2^-9 each.
        #[test]
        fn random_datagrams_are_not_it(bytes in prop::collection::vec(any::<u8>(), HEADER..=HEADER)) {
            prop_assert!(!told(&bytes).has(Service::Ntp));
        }

        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            told(&bytes);
        }
    }
}
