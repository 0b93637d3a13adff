//! Media that are not encrypted are told from those that are, by themselves and inside of what a relay carries.

mod wire;

use _native::engine::{Engine, Limits};
use _native::observation::OBSERVATION;
use _native::tables::Tables;
use std::sync::Arc;
use wire::*;

const CLEAR: u32 = 1 << 8;

/// The observation's STUN bits of the one flow that these datagrams are.
fn stun(datagrams: &[Vec<u8>]) -> u32 {
    let limits = Limits {
        max_flows: 100,
        stream_memory: 1 << 20,
        positions: 0,
        from: None,
        to: None,
        part: None,
        joins: false,
    };
    let mut tables = Tables::default();
    tables.media_packets = 50;
    let mut engine = Engine::new(Arc::new(tables), limits);
    let capture = engine.add_capture(None);
    let frames: Vec<_> = (0..)
        .zip(datagrams)
        .map(|(at, datagram)| {
            let packet = udp((50_000, 3_478), datagram);
            (at * 20_000, ethernet(&ipv4(CLIENT, SERVER, 17, 1, 64, &packet)))
        })
        .collect();
    engine.feed(capture, &pcap(&frames));
    engine.close();
    let rows = engine.take(100);
    assert_eq!(rows.len(), 1);
    let place = OBSERVATION.iter().position(|name| *name == "stun").unwrap();
    engine.observations()[rows[0].observation as usize][place]
}

/// RFC 3550 §5.1: source 0x01020304, 20 ms of silence in PCMU, or as many octets of a multiplicative generator.
fn sound(count: u8, encrypted: bool) -> Vec<Vec<u8>> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..count)
        .map(|at| {
            let payload: Vec<u8> = (0..160)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    if encrypted {
                        (state >> 56) as u8
                    } else {
                        0xff
                    }
                })
                .collect();
            [&[0x80, 0, 0, at, 0, 0, at, 0xa0, 1, 2, 3, 4][..], &payload].concat()
        })
        .collect()
}

/// RFC 8656 §18: an Allocate request, then each packet in a Send indication's DATA, or on channel 0x4001.
fn relayed(packets: &[Vec<u8>], channel: bool) -> Vec<Vec<u8>> {
    let message = |kind: [u8; 2], attributes: &[u8]| {
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        [&kind[..], &length, &[0x21, 0x12, 0xa4, 0x42], &[5; 12], attributes].concat()
    };
    let carried = packets.iter().map(|packet| {
        let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
        match channel {
            true => [&[0x40, 1][..], &length, packet].concat(),
            false => message([0, 0x16], &[&[0, 0x13][..], &length, packet].concat()),
        }
    });
    std::iter::once(message([0, 3], &[])).chain(carried).collect()
}

#[test]
fn media_by_itself() {
    assert_eq!(stun(&sound(60, false)) & CLEAR, CLEAR);
    assert_eq!(stun(&sound(60, true)) & CLEAR, 0);
    assert_eq!(stun(&sound(49, false)) & CLEAR, 0, "fewer than the caller asks for");
}

#[test]
fn media_inside_of_turn() {
    for channel in [true, false] {
        assert_eq!(stun(&relayed(&sound(60, false), channel)) & CLEAR, CLEAR);
        assert_eq!(stun(&relayed(&sound(60, true), channel)) & CLEAR, 0);
    }
}

#[test]
fn channel_data_without_turn_is_nothing() {
    let carried = relayed(&sound(60, false), true);
    assert_eq!(stun(&carried[1..]) & CLEAR, 0);
}
