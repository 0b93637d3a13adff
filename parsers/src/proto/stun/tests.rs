//! The MS-TURN messages were composed by hand from MS-TURN 2.2 (their integrity values checked by a second
//! implementation); those marked *real* are octets of public captures; the STUN ones are RFC 5769's.

mod framings;

use super::super::splits::{every_split, every_truncation, probe_waits, tell, with_context};
use super::super::{Probe, Step, StreamReader};
use super::*;
use crate::facts::Facts;
use proptest::prelude::*;
use Side::{A, B};

const ALLOCATE: &str = "000300182112a4420102030405060708090a0b0c000f000472c64bc680080004000000028055000400010001";
const ALLOCATE_401: &str = "011300562112a4420102030405060708090a0b0c000f000472c64bc680080004000000020009001000000401556e617574686f72697a6564000e0008000101bbcb00711e001400140102030405060708090a0b0c0d0e0f10111213140015000a227274636d6564696122";
const DATA_INDICATION: &str =
    "011500200badcafe4142434445464748494a4b4c000f000472c64bc6001200080001c364c63364090013000880c9000100001001";
const SET_ACTIVE_OK: &str = "0106003c2112a4425152535455565758595a5b5c000f000472c64bc680500018d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e30000000200080014cd2911d4dd65050e52e88a9f4b24aaf63b146658";
/// Its length is odd: attributes are not padded.
const SEND: &str = "000400992112a4423132333435363738393a3b3c000f000472c64bc6800800040000000200060038020000248000000001cf1200606162636465666768696a6b6c6d6e6f7071727300000000808182838485868788898a8b8c8d8e8f90919293001100080001c364c633640980500018d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e300000001001300098068000168656c6c6f00080014f8de2e66fe87e812a94d3ac84b3807d7cd8e49ba";
/// Real: first Allocate of a cloud client, UDP 3478.
const CLOUD_ALLOCATE: &str = "000300302112a442b2343f6e67f41d58acba639f000f000472c64bc68037000400000002800800040000000680060004000000010010000400002ee08055000400020002";
/// Real: what an assessment tool sends, a token and no integrity.
const PROBE_ALLOCATE: &str = "000300542112a442d279aa56878648738f92ef58000f000472c64bc68008000400000004000600300400001c0009be5824e4c51c334cd23f50f15dce81ffa9be00000001eb1553bd75e2ca141e3631bbe3f54aa13245cbf9001000040000015e8006000400000001";
/// RFC 5769 2.1 and 2.2.
const BINDING: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
const BINDING_OK: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// Real: RFC 3489 requests, one with CHANGE-REQUEST, one with the attribute of the first client of all.
const CLASSIC: [&str; 2] = [
    "0001000802389232616b1a13fe1797626b3a20150003000400000004",
    "0001001845589a049d6523142743e224714a8c2e010100143132333435363738393031323334353637383900",
];
/// An SRTP packet, payload type 114.
const SRTP: &str = "8072303900001f400000abcd000102030405060708090a0b0c0d0e0f";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn datagrams(turns: &[(Side, &str)]) -> Facts {
    let mut facts = Facts::default();
    for (side, turn) in turns {
        let bytes = hex(turn);
        assert!(probe_datagram(&bytes), "{turn}");
        with_context(&mut facts, |context| read_datagram(*side, &bytes, context));
    }
    facts
}

/// The same request with another transaction id; the second Allocate of a client that has credentials (MS-TURN 2.2.2.7:
/// MESSAGE-INTEGRITY of 20 octets at the end).
fn allocate(id: u8, signed: bool) -> String {
    let id = format!("{id:02x}").repeat(12);
    match signed {
        false => format!("000300182112a442{id}000f000472c64bc680080004000000028055000400010001"),
        true => format!(
            "000300302112a442{id}000f000472c64bc68008000400000002805500040001000100080014{}",
            "5a".repeat(20)
        ),
    }
}

#[test]
fn allocates_without_credentials_are_counted() {
    let unproved = |turns: &[(Side, String)]| {
        let turns: Vec<(Side, &str)> = turns.iter().map(|(side, turn)| (*side, turn.as_str())).collect();
        datagrams(&turns).stun.unwrap().allocates.total(0)
    };
    let asked = |id| (A, allocate(id, false));
    assert_eq!(unproved(&[asked(1), asked(2), asked(3)]), 3);
    assert_eq!(unproved(&[asked(1), asked(1), asked(1)]), 1, "sent again");
    let proved = (A, allocate(9, true));
    let refused = (B, ALLOCATE_401.to_owned());
    assert_eq!(
        unproved(&[asked(1), refused, proved.clone()]),
        0,
        "the challenge was taken up"
    );
    assert_eq!(unproved(&[asked(1), asked(2), proved.clone(), asked(3)]), 2);
    assert_eq!(unproved(&[proved.clone(), proved]), 0, "refreshed");
    assert_eq!(
        unproved(&[(A, PROBE_ALLOCATE.to_owned())]),
        1,
        "a name alone proves nothing"
    );
    assert_eq!(unproved(&[(A, BINDING.to_owned())]), 0);
}

#[test]
fn an_allocate_and_its_401_over_udp() {
    let facts = datagrams(&[(B, ALLOCATE), (A, ALLOCATE_401)]);
    assert_eq!(facts.services(), [Service::Turn]);
    assert_eq!(facts.opener, Some(B));
    let stun = facts.stun.unwrap();
    assert_eq!(
        (stun.method, stun.framing, stun.ms_version),
        (Some("allocate"), Some("udp"), Some(2))
    );
    assert_eq!(stun.transaction_id, hex("0102030405060708090a0b0c"));
    assert!(stun.ms_turn && stun.requests && stun.answered && stun.beyond_binding && stun.outstanding.is_empty());
}

#[test]
fn each_microsoft_message_names_its_method_and_opener() {
    let table = [
        (CLOUD_ALLOCATE, "allocate", A, Some(6)),
        (PROBE_ALLOCATE, "allocate", A, Some(4)),
        (SEND, "send", A, Some(2)),
        (DATA_INDICATION, "data", B, None),
        (SET_ACTIVE_OK, "set-active-destination", B, None),
    ];
    for (message, method, opener, version) in table {
        let facts = datagrams(&[(A, message)]);
        assert_eq!(
            (facts.services(), facts.opener),
            (&[Service::Turn][..], Some(opener)),
            "{method}"
        );
        let stun = facts.stun.unwrap();
        assert_eq!(
            (stun.method, stun.ms_version, stun.ms_turn),
            (Some(method), version, true)
        );
    }
    let stun = datagrams(&[(A, DATA_INDICATION)]).stun.unwrap();
    assert_eq!(
        stun.transaction_id,
        hex("0badcafe4142434445464748494a4b4c"),
        "no cookie: all sixteen octets"
    );
}

#[test]
fn a_binding_never_tells_who_opened() {
    let facts = datagrams(&[(A, BINDING), (A, BINDING)]);
    assert_eq!((facts.services(), facts.opener), (&[Service::Stun][..], None));
    let stun = facts.stun.unwrap();
    assert_eq!(
        (stun.method, stun.transaction_id),
        (Some("binding"), hex("b7e7a701bc34d686fa87dfae"))
    );
    assert!(stun.requests && !stun.answered && !stun.beyond_binding && !stun.ms_turn);
    assert_eq!(stun.outstanding.len(), 1, "a repetition is the same request");

    let stun = datagrams(&[(A, BINDING), (B, BINDING_OK)]).stun.unwrap();
    assert!(stun.answered && stun.beyond_binding);
    let stun = datagrams(&[(A, BINDING), (A, BINDING_OK)]).stun.unwrap();
    assert!(!stun.answered, "nobody answers himself");
    assert!(!stun.begun_by_answer);
    let stun = datagrams(&[(A, BINDING_OK), (B, BINDING)]).stun.unwrap();
    assert!(stun.begun_by_answer, "what it answers was not captured before");
    assert!(stun.answered && stun.early.is_empty(), "in the other order");
    let stun = datagrams(&[(A, BINDING_OK), (A, BINDING)]).stun.unwrap();
    assert!(!stun.answered, "nor in the other order");
}

#[test]
fn only_the_last_requests_are_waited_for() {
    let requests: Vec<String> = (0..20)
        .map(|n| BINDING.replace("b7e7a701", &format!("b7e7a7{n:02x}")))
        .collect();
    let turns: Vec<(Side, &str)> = requests.iter().map(|request| (A, request.as_str())).collect();
    let stun = datagrams(&turns).stun.unwrap();
    assert_eq!(stun.outstanding.len(), OUTSTANDING);
}

#[test]
fn relay_messages_of_the_rfcs() {
    // Types of RFC 8656 17 and RFC 6062 6.1, no attributes.
    let table = [
        ("0003", "allocate", A),
        ("0103", "allocate", B),
        ("0113", "allocate", B),
        ("0004", "refresh", A),
        ("0016", "send", A),
        ("0017", "data", B),
        ("0008", "create-permission", A),
        ("0109", "channel-bind", B),
        ("000a", "connect", A),
        ("000b", "connection-bind", A),
        ("001c", "connection-attempt", B),
    ];
    for (kind, method, opener) in table {
        let facts = datagrams(&[(A, &format!("{kind}00002112a442000102030405060708090a0b"))]);
        assert_eq!(
            (facts.services(), facts.opener),
            (&[Service::Turn][..], Some(opener)),
            "{method}"
        );
        let stun = facts.stun.unwrap();
        assert_eq!((stun.method, stun.ms_turn), (Some(method), false));
    }
}

#[test]
fn a_flow_that_turns_into_turn() {
    let facts = datagrams(&[
        (A, BINDING),
        (B, BINDING_OK),
        (A, "000300002112a442000102030405060708090a0b"),
    ]);
    assert_eq!(facts.services(), [Service::Stun, Service::Turn]);
    assert_eq!(facts.stun.unwrap().method, Some("binding"));
}

#[test]
fn without_a_cookie_everything_must_fit() {
    for message in CLASSIC {
        let facts = datagrams(&[(A, message)]);
        assert_eq!((facts.services(), facts.opener), (&[Service::Stun][..], None));
        let stun = facts.stun.unwrap();
        assert_eq!(stun.transaction_id, hex(&message[8..40]));
        let bytes = hex(message);
        for length in 0..bytes.len() {
            assert!(!probe_datagram(&bytes[..length]), "cut to {length}");
        }
        assert!(!probe_datagram(&[&bytes[..], &[0]].concat()), "something after it");
        assert_eq!(probe(&bytes), Probe::No, "not over TCP");
    }
    // RFC 3489 11.2.8 with an answer's three addresses.
    let answer = "0101002402389232616b1a13fe1797626b3a20150001000800019c40c0000201000400080001 0d96c0000202000500080001 0d97c0000203";
    assert!(probe_datagram(&hex(&answer.replace(' ', ""))));
    for wrong in [
        "0003000802389232616b1a13fe1797626b3a20150003000400000004", // not one of its types
        "0001000802389232616b1a13fe1797626b3a201500f3000400000004", // an attribute nobody knows
        "0001000802389232616b1a13fe1797626b3a20150003000400000008", // no such flag
        "0001000802389232616b1a13fe1797626b3a20150001000400000004", // an address of four octets
        "0101000002389232616b1a13fe1797626b3a2015",                 // an answer that says nothing
        "0001000000000000000000000000000000000000",                 // zeros
    ] {
        assert!(!probe_datagram(&hex(wrong)), "{wrong}");
    }
}

#[test]
fn look_alikes_are_not_it() {
    for wrong in [
        // The attribute in second place, with another length, with another value; no cookie anywhere else.
        "000300180000000001020304050607080a0b0c0d80080004000000020000f000472c64bc6805500040001",
        "00030018000000000102030405060708090a0b0c000f000572c64bc68008000400000002805500040001",
        "00030018000000000102030405060708090a0b0c000f000472c64bc780080004000000028055000400010001",
        // Length not a multiple of four; top bits set; a cookie one octet late.
        "000100022112a442b7e7a701bc34d686fa87dfae0000",
        "800100002112a442b7e7a701bc34d686fa87dfae",
        "00010000002112a442b7e7a701bc34d686fa87dfae",
        "",
    ] {
        assert!(!probe_datagram(&hex(wrong)), "{wrong}");
    }
    assert!(!probe_datagram(b"RSP/2.0 STUN\r\n\r\n"), "text on the STUN port");
}

#[test]
fn with_a_cookie_a_cut_or_odd_message_is_one() {
    // The snap length cut it; an attribute lies about its length (RFC 5389 leaves that to the agent).
    assert!(probe_datagram(&hex(&BINDING[..60])));
    assert!(probe_datagram(&hex(
        "0101000c2112a442534f70436969354a6663317a0001ffff000111fc46c7802e"
    )));
}

#[test]
fn multiplexed_relay_data() {
    // ff10, length of id and data, id, an Allocate's answer.
    let inner = hex(ALLOCATE_401);
    let length = u16::try_from(inner.len() + 8).unwrap().to_be_bytes();
    let whole = [&[0xff, 0x10][..], &length, &[1, 2, 3, 4, 5, 6, 7, 8], &inner].concat();
    let mut facts = Facts::default();
    assert!(probe_datagram(&whole));
    with_context(&mut facts, |context| read_datagram(B, &whole, context));
    assert_eq!((facts.services(), facts.opener), (&[Service::Turn][..], Some(A)));
    assert!(facts.stun.unwrap().ms_turn);
    assert!(!probe_datagram(&whole[..whole.len() - 1]), "the length must fit");
    assert!(!probe_datagram(&hex("ff100004aabbccdd")), "no room for the id");
}

#[test]
fn what_a_relay_carries_is_found_in_each_wrapping() {
    let data = |wrapped: &str| relayed(&hex(wrapped)).map(<[u8]>::to_vec);
    assert_eq!(data("4001000401020304"), Some(vec![1, 2, 3, 4]));
    assert_eq!(data("4fff000101000000"), Some(vec![1]), "padded");
    assert_eq!(data("5000000401020304"), None, "RFC 8656 reserves these numbers");
    assert_eq!(data("40010008010203"), None, "cut");
    // RFC 8656: a Send indication with XOR-PEER-ADDRESS and three octets of DATA, padded.
    let send = "001600142112a442000102030405060708090a0b";
    let attributes = "001200080001a147e112a643 00130003aabbcc00".replace(' ', "");
    assert_eq!(data(&[send, &attributes].concat()), Some(vec![0xaa, 0xbb, 0xcc]));
    // MS-TURN: cookie first, no padding.
    let send = "000400112112a442000102030405060708090a0b";
    let attributes = "000f000472c64bc6 00130003aabbcc".replace(' ', "");
    let message = [send, &attributes].concat();
    assert_eq!(data(&message), Some(vec![0xaa, 0xbb, 0xcc]));
    assert_eq!(
        data(&["ff10002d0102030405060708", &message].concat()),
        None,
        "the length must fit"
    );
    let length = 8 + message.len() / 2;
    assert_eq!(
        data(&[&format!("ff10{length:04x}0102030405060708"), message.as_str()].concat()),
        Some(vec![0xaa, 0xbb, 0xcc])
    );
    assert_eq!(data("ff10000a0102030405060708aabb"), Some(vec![0xaa, 0xbb]));
    assert_eq!(data(ALLOCATE), None, "nothing is in it");
    assert!(!probe_datagram(&hex("4001000401020304")), "nothing on its own");
}

proptest! {
    #[test]
    fn arbitrary_bytes_stay_in_bounds(
        start in prop::sample::select(vec!["", ALLOCATE, "0200002c", "03000004", "0068000100542112a442", "000100002112a442"]),
        parts in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 0..12),
        hole in any::<bool>(),
    ) {
        let start = hex(start);
        let mut reader = Reader::new();
        if hole {
            reader.gap(A, 7);
        }
        let segments = parts.iter().map(|(a, part)| (if *a { A } else { B }, &part[..]));
        tell(&mut reader, std::iter::once((A, &start[..])).chain(segments));
        let mut facts = Facts::default();
        for (_, part) in &parts {
            let whole = [&start[..], part].concat();
            probe(&whole);
            probe_after_pseudo_tls(&whole);
            relayed(&whole);
            with_context(&mut facts, |context| read_datagram(A, &whole, context));
        }
    }
}
