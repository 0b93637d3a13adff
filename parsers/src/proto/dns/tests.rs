//! Messages composed by RFC 1035 4.1 and its successors.

use super::super::splits::{every_split, every_truncation, probe_waits, tell, with_context};
use super::*;
use crate::facts::Facts;
use proptest::prelude::*;
use Side::{A, B};

/// Flags and counts as given, the rest as given.
fn message(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let head = [
        &[0x12, 0x34][..],
        &flags.to_be_bytes(),
        &counts.map(u16::to_be_bytes).concat(),
    ]
    .concat();
    [&head, rest].concat()
}

/// RFC 1035 4.1.2; `name` dotted.
fn asked(name: &str, kind: u16, class: u16) -> Vec<u8> {
    let labels = name
        .split('.')
        .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels
        .chain([0])
        .chain(kind.to_be_bytes())
        .chain(class.to_be_bytes())
        .collect()
}

/// 4.1.3, its name a pointer to the question's.
const ANSWER: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];

fn query() -> Vec<u8> {
    message(0x0100, [1, 0, 0, 0], &asked("_sip._tls.contoso.com", 33, 1))
}

fn response() -> Vec<u8> {
    message(
        0x8180,
        [1, 1, 0, 0],
        &[&asked("_sip._tls.contoso.com", 33, 1)[..], ANSWER].concat(),
    )
}

fn heard(side: Side, payload: &[u8]) -> Facts {
    let mut facts = Facts::default();
    with_context(&mut facts, |context| read_datagram(side, payload, context));
    facts
}

fn name(facts: Facts) -> String {
    let question = facts.dns.and_then(|dns| dns.question);
    question.map_or("-".to_owned(), |name| name.to_display())
}

#[test]
fn query_and_response() {
    let facts = heard(A, &query());
    assert_eq!((facts.services(), facts.opener), (&[Service::Dns][..], Some(A)));
    assert_eq!(name(facts), "_sip._tls.contoso.com");
    let facts = heard(A, &response());
    assert_eq!(facts.opener, Some(B));
    assert_eq!(name(facts), "_sip._tls.contoso.com");
    assert_eq!(
        name(heard(A, &message(0x0100, [1, 0, 0, 0], &[0, 0, 2, 0, 1]))),
        ".",
        "the root"
    );
    // RFC 6891: OPT puts a payload size where the class is.
    let edns = [&asked("a", 1, 1)[..], &[0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert!(probe_datagram(&message(0x0120, [1, 0, 0, 1], &edns)));
}

#[test]
fn its_kin_on_other_ports() {
    // RFC 6762: answers without a question, class with the top bit; several questions at once.
    let record = [
        &[3][..],
        b"foo",
        &[5],
        b"local",
        &[0, 0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 192, 0, 2, 1],
    ]
    .concat();
    let facts = heard(A, &message(0x8400, [0, 1, 0, 0], &record));
    assert!(facts.has(Service::Dns));
    assert_eq!(facts.opener, None, "an announcement, nobody asked");
    assert_eq!(name(facts), "-");
    let questions = [asked("a.local", 255, 0x8001), asked("b.local", 12, 1)].concat();
    assert_eq!(name(heard(A, &message(0, [2, 0, 0, 0], &questions))), "a.local");
    // RFC 4795: the conflict bit stands where AA does.
    assert!(probe_datagram(&message(0x0400, [1, 0, 0, 0], &asked("host", 28, 1))));
}

#[test]
fn either_may_be_damaged_but_not_both() {
    let whole = asked("www.example.com", 1, 1);
    assert!(probe_datagram(&message(0x0100, [1, 0, 0x7600, 0], &whole)), "counts");
    let mut broken = whole.clone();
    broken[4] = 0x86;
    let facts = heard(A, &message(0x0100, [1, 0, 0, 0], &broken));
    assert_eq!(name(facts), "www", "what could be read of it");
    assert!(!probe_datagram(&message(0x0100, [1, 0, 0x7600, 0], &broken)));
    assert!(
        !probe_datagram(&message(0x0100, [1, 0, 0x7600, 0], &[&whole[..], &[0]].concat())),
        "does not end there"
    );
    assert!(
        !probe_datagram(&message(0x0100, [1, 0, 0, 0], &[0xc0, 12, 0, 1, 0, 1])),
        "points at itself"
    );
}

#[test]
fn look_alikes_are_not_it() {
    let whole = asked("www.example.com", 1, 1);
    // RFC 1002 4.2.12: the same header, a name of 32 letters, type NB.
    let netbios = asked("CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0x20, 1);
    for (flags, counts, rest) in [
        (0x0110, [1, 0, 0, 0], &netbios),
        (0x0100, [0, 0, 0, 0], &whole),
        (0x0140, [1, 0, 0, 0], &whole),
        (0x7800, [1, 0, 0, 0], &whole),
        (0x0003, [1, 0, 0, 0], &whole),
        (0x8180, [0, 0, 0, 0], &whole),
        (0x8180, [0, 1, 0, 0], &whole),
    ] {
        let bytes = message(flags, counts, rest);
        assert!(!probe_datagram(&bytes), "{flags:04x} {counts:?}");
    }
    assert!(!probe_datagram(&[0; 12]) && !probe_datagram(&[0; 64]), "zeros");
    let kind = asked("CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 1, 1);
    assert!(
        probe_datagram(&message(0x0100, [1, 0, 0, 0], &kind)),
        "a host may be called that"
    );
    assert!(heard(A, b"GET / HTTP/1.1\r\n\r\n").services().is_empty());
}

#[test]
fn each_truncation_is_less() {
    let bytes = query();
    for length in 0..bytes.len() {
        // A snap length may cut a question, not a header.
        assert_eq!(probe_datagram(&bytes[..length]), length >= 12 + 5, "{length}");
    }
}

#[test]
fn over_tcp() {
    let prefixed = |message: Vec<u8>| [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    let (query, response) = (prefixed(query()), prefixed(response()));
    probe_waits(probe, &query);
    probe_waits(probe, &response);
    let turns = [(B, &query[..]), (A, &response[..])];
    let told = every_split(Reader::new, &turns);
    assert_eq!((told.facts.opener, told.step), (Some(B), Step::Done));
    assert_eq!(name(told.facts), "_sip._tls.contoso.com");
    every_truncation(Reader::new, &turns);
    assert_eq!(tell(&mut Reader::new(), [(A, &[0, 2, 1, 1][..])]).step, Step::Broken);
    for other in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 40],
        &[0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1],
        &[0, 16, 0, 0],
    ] {
        assert_eq!(probe(other), Probe::No, "{other:?}");
    }
    let many = query.repeat(usize::from(MESSAGES));
    assert_eq!(tell(&mut Reader::new(), [(A, &many[..])]).step, Step::Done);
}

proptest! {
    #[test]
    fn random_datagrams_are_none(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        // The identifier and the flags cannot make up for the counts.
        prop_assert!(!probe_datagram(&payload));
    }

    #[test]
    fn arbitrary_bytes_stay_in_bounds(
        counts in prop::array::uniform4(prop::sample::select(vec![0_u16, 1, 2, 400, 65535])),
        response in any::<bool>(),
        rest in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 3, 12, 63, 64, 0xc0, 0xff, b'a']), 0..60),
    ) {
        let bytes = message(if response { 0x8180 } else { 0x0100 }, counts, &rest);
        heard(A, &bytes);
        let stream = [&(bytes.len() as u16).to_be_bytes()[..], &bytes, &bytes].concat();
        probe(&stream);
        tell(&mut Reader::new(), [(A, &stream[..])]);
    }
}
