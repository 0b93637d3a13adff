//! TLS told in every way it can be cut. The transcripts are real conversations (their heads say of what kind and where
//! from); what is expected of them follows from how they were made, the fingerprints from tshark.

mod probes;

use proptest::prelude::*;

use super::*;
use crate::certificate::Certificates;
use crate::facts::{Facts, Mutual, Service, Side, TlsFacts};
use crate::proto::splits::{every_split, every_truncation, probe_waits, tell, with_context, Told};
use crate::proto::{Context, Step, StreamReader};

type Turns = Vec<(Side, Vec<u8>)>;

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|character| !character.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

fn transcript(text: &str) -> Turns {
    let turn = |line: &str| match line.split_once(' ')? {
        (">", hex) => Some((Side::A, unhex(hex))),
        ("<", hex) => Some((Side::B, unhex(hex))),
        _ => None,
    };
    text.lines().filter_map(turn).collect()
}

macro_rules! transcript {
    ($name:literal) => {
        transcript(include_str!(concat!("transcripts/", $name, ".txt")))
    };
}

fn mutual() -> Turns {
    transcript!("tls12-mutual")
}

fn lend(turns: &Turns) -> Vec<(Side, &[u8])> {
    turns.iter().map(|(side, bytes)| (*side, bytes.as_slice())).collect()
}

fn told(turns: &Turns) -> Told {
    tell(&mut Reader::new(), lend(turns))
}

fn tls(told: &Told) -> &TlsFacts {
    told.facts.tls.as_deref().unwrap()
}

fn hex(bytes: Option<[u8; 16]>) -> String {
    bytes
        .unwrap_or_default()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// One record of TLS 1.2.
fn record(content: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[content, 3, 3][..], &length, body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, high, middle, low][..], body].concat()
}

/// A hello with one suite and these extensions.
fn client_hello(extensions: &[u8]) -> Vec<u8> {
    let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2f, 1, 0], &length, extensions].concat();
    message(hello::CLIENT_HELLO, &body)
}

fn server_hello() -> Vec<u8> {
    message(
        hello::SERVER_HELLO,
        &[&[3, 3][..], &[8; 32], &[0, 0xc0, 0x2f, 0]].concat(),
    )
}

#[test]
fn a_full_handshake_with_both_certificates() {
    let turns = mutual();
    let told = every_split(Reader::new, &lend(&turns));
    assert_eq!(told.step, Step::Done);
    assert_eq!(told.facts.services(), [Service::Tls]);
    assert_eq!(told.facts.opener, Some(Side::A));
    let facts = tls(&told);
    assert!(facts.client_hello && facts.server_hello && facts.established && !facts.resumed);
    assert_eq!((facts.version, facts.cipher), (0x0303, Some(0xc02c)));
    assert_eq!(facts.server_name.as_ref().unwrap().to_display(), "sip.example.com");
    assert_eq!(facts.next_protocol.as_ref().unwrap().to_display(), "http/1.1");
    assert_eq!(facts.mutual, Mutual::Yes);
    assert_eq!(facts.server_chain.len(), 2, "the leaf and its issuer");
    assert!(!facts.client_chain.is_empty());
    assert_eq!(facts.client, Some(Side::A));
    assert_eq!((facts.beyond_alert, facts.fatal_alert), ([true; 2], [false; 2]));
    assert_eq!(facts.change_cipher_spec, [true; 2]);
}

#[test]
fn both_chains_reach_the_table_leaf_first() {
    let mut facts = Facts::default();
    let mut certificates = Certificates::new();
    let mut reader = Reader::new();
    for (side, bytes) in mutual() {
        let mut context = Context {
            facts: &mut facts,
            certificates: &mut certificates,
            time: 0,
        };
        if reader.advance(side, &bytes, &mut context) == Step::Done {
            break;
        }
    }
    let name = |number: u32| {
        certificates
            .get(number)
            .unwrap()
            .subject_common_name
            .as_ref()
            .unwrap()
            .to_display()
    };
    let tls = facts.tls.unwrap();
    let names = |chain: &[u32]| chain.iter().map(|number| name(*number)).collect::<Vec<_>>();
    assert_eq!(names(&tls.server_chain), ["sip.example.com", "Test CA"]);
    assert_eq!(names(&tls.client_chain).first().unwrap(), "edge.example.org");
    assert_eq!(reader.memory(), 0, "nothing is held after the end");
}

#[test]
fn without_a_certificate_of_the_client() {
    for turns in [transcript!("tls12"), transcript!("tls12-asked")] {
        let told = every_split(Reader::new, &lend(&turns));
        let facts = tls(&told);
        assert!(facts.established);
        assert_eq!(facts.mutual, Mutual::No);
        assert!(facts.client_chain.is_empty());
    }
    // Asked, and before the answer: open.
    let asked = transcript!("tls12-asked");
    let told = tell(&mut Reader::new(), lend(&asked).into_iter().take(2));
    assert_eq!(tls(&told).mutual, Mutual::Unknown);
}

#[test]
fn a_session_taken_up() {
    let told = every_split(Reader::new, &lend(&transcript!("tls12-resumed")));
    let facts = tls(&told);
    assert!(facts.resumed && facts.established);
    assert_eq!(facts.mutual, Mutual::Unknown);
    let told = every_split(Reader::new, &lend(&transcript!("tls13-resumed")));
    assert!(tls(&told).resumed && tls(&told).established);
}

#[test]
fn tls_1_3_hides_what_comes_after_the_hellos() {
    for turns in [transcript!("tls13"), transcript!("tls13-retry")] {
        let told = every_split(Reader::new, &lend(&turns));
        assert_eq!(told.step, Step::Done);
        let facts = tls(&told);
        assert!(facts.client_hello && facts.server_hello && facts.established && !facts.resumed);
        assert_eq!(
            (facts.version, facts.cipher, facts.mutual),
            (0x0304, Some(0x1302), Mutual::Unknown)
        );
        assert!(facts.server_chain.is_empty() && facts.next_protocol.is_none());
    }
}

#[test]
fn a_retry_is_no_server_hello() {
    let turns = transcript!("tls13-retry");
    let told = tell(&mut Reader::new(), lend(&turns).into_iter().take(3));
    assert!(tls(&told).client_hello && !tls(&told).server_hello);
    assert_eq!(tls(&told).version, 0);
}

#[test]
fn a_refusal_is_no_connection() {
    let told = every_split(Reader::new, &lend(&transcript!("tls12-refused")));
    let facts = tls(&told);
    assert_eq!(facts.fatal_alert, [true, false]);
    assert!(!facts.established);
    assert_eq!(facts.mutual, Mutual::No, "nobody asked for a certificate");
    let told = every_split(Reader::new, &lend(&transcript!("tls13-refused")));
    assert!(!tls(&told).established);
}

#[test]
fn each_direction_alone_tells_what_it_proves() {
    let turns = mutual();
    let only = |side: Side| -> Turns { turns.iter().filter(|(sender, _)| *sender == side).cloned().collect() };
    let client = every_split(Reader::new, &lend(&only(Side::A)));
    assert_eq!(tls(&client).mutual, Mutual::Yes);
    assert!(tls(&client).client_hello && !tls(&client).server_hello && !tls(&client).established);
    let server = every_split(Reader::new, &lend(&only(Side::B)));
    assert_eq!(server.facts.opener, Some(Side::A));
    assert_eq!(
        tls(&server).mutual,
        Mutual::Unknown,
        "asked; the answer is in the other direction"
    );
    assert_eq!((tls(&server).version, tls(&server).server_chain.len()), (0x0303, 2));
    assert!(!tls(&server).resumed);
    let turns = transcript!("tls12");
    let client: Turns = turns.into_iter().filter(|(sender, _)| *sender == Side::A).collect();
    assert_eq!(
        tls(&told(&client)).mutual,
        Mutual::No,
        "a client that is asked would have answered"
    );
}

#[test]
fn no_octet_too_few_does_harm() {
    for turns in [mutual(), transcript!("tls13-retry")] {
        every_truncation(Reader::new, &lend(&turns));
    }
}

/// tshark 4.0.17: tls.handshake.ja3, tls.handshake.ja3s over the same octets; JA4 as FoxIO publishes it for its
/// capture chrome-cloudflare-quic-with-secrets.pcapng, whose ClientHello this is.
#[test]
fn fingerprints() {
    let told = tell(&mut Reader::new(), lend(&mutual()));
    assert_eq!(hex(tls(&told).ja3), "3970be26546041f72d8a1ce7fd1dabea");
    assert_eq!(hex(tls(&told).ja3s), "e195432758194ce2d482396b82e0d48e");
    let chrome = transcript!("chrome-hello");
    let told = tell(&mut Reader::new(), lend(&chrome));
    assert_eq!(hex(tls(&told).ja3), "cd08e31494f9531f560d64c695473da9");
    assert_eq!(tls(&told).ja4.as_deref(), Some("t13d1516h2_8daaf6152771_e5627efa2ab1"));
    assert_eq!(
        tls(&told).server_name.as_ref().unwrap().to_display(),
        "cloudflare-quic.com"
    );
}

#[test]
fn messages_in_fragments_of_one_octet() {
    let flight = [server_hello(), message(hello::SERVER_HELLO_DONE, &[])].concat();
    let tiny: Vec<u8> = flight
        .iter()
        .flat_map(|byte| record(record::HANDSHAKE, &[*byte]))
        .collect();
    let turns = [
        (Side::A, record(record::HANDSHAKE, &client_hello(&[]))),
        (Side::B, tiny),
    ]
    .to_vec();
    assert_eq!(probe(&turns[1].1), Probe::Yes);
    let told = every_split(Reader::new, &lend(&turns));
    assert!(tls(&told).server_hello);
    assert_eq!(tls(&told).mutual, Mutual::No);
}

#[test]
fn an_alert_between_messages_changes_nothing() {
    let mut turns = mutual();
    turns.insert(1, (Side::B, record(record::ALERT, &[1, 112])));
    let told = every_split(Reader::new, &lend(&turns));
    assert_eq!(tls(&told).fatal_alert, [false; 2], "a warning");
    assert!(tls(&told).established);
}

#[test]
fn a_listener_that_only_refuses() {
    let hello = record(record::HANDSHAKE, &client_hello(&[]));
    let told = told(&[(Side::A, hello), (Side::B, record(record::ALERT, &[2, 40]))].to_vec());
    assert_eq!(tls(&told).fatal_alert, [false, true]);
    assert_eq!(tls(&told).beyond_alert, [true, false]);
}

#[test]
fn a_listener_that_answers_in_something_else() {
    let hello = record(record::HANDSHAKE, &client_hello(&[]));
    let turns = [(Side::A, hello), (Side::B, b"HTTP/1.1 400 Bad Request\r\n".to_vec())].to_vec();
    let told = told(&turns);
    assert_eq!(told.step, Step::Switch(0));
    assert_eq!(tls(&told).beyond_alert, [true, true]);
    // Without a ClientHello there is nothing that could follow.
    let data = record(record::APPLICATION_DATA, &[1, 2, 3]);
    let late = tell(
        &mut Reader::new(),
        [(Side::A, data.as_slice()), (Side::B, b"220 mail".as_slice())],
    );
    assert_eq!(late.step, Step::Broken);
}

#[test]
fn a_handshake_joined_in_its_middle() {
    // The hellos were not captured; who sends a CertificateRequest is the server all the same.
    let turns = mutual();
    let flight = &turns[1].1;
    let first = 5 + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
    let turns = [(Side::B, flight[first..].to_vec()), turns[2].clone()].to_vec();
    let told = every_split(Reader::new, &lend(&turns));
    let facts = tls(&told);
    assert_eq!(facts.client, Some(Side::A));
    assert!(!facts.client_hello && !facts.server_hello && !facts.resumed);
    assert_eq!(facts.mutual, Mutual::Yes);
    assert_eq!(facts.server_chain.len(), 2);
}

#[test]
fn a_hole_inside_a_certificate_leaves_the_rest() {
    let turns = mutual();
    let mut facts = Facts::default();
    let mut reader = Reader::new();
    let flight = &turns[1].1;
    let first = 5 + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
    let (before, behind) = (first + 40, first + 140);
    let mut say = |reader: &mut Reader, side, bytes: &[u8]| {
        with_context(&mut facts, |context| reader.advance(side, bytes, context))
    };
    say(&mut reader, Side::A, &turns[0].1);
    assert_eq!(say(&mut reader, Side::B, &flight[..before]), Step::More(before));
    assert!(reader.gap(Side::B, 100));
    assert_eq!(
        say(&mut reader, Side::B, &flight[behind..]),
        Step::More(flight.len() - behind)
    );
    say(&mut reader, Side::A, &turns[2].1);
    say(&mut reader, Side::B, &turns[3].1);
    let tls = facts.tls.unwrap();
    assert!(tls.server_chain.is_empty(), "its content was lost");
    assert!(tls.established, "the records after the hole were found");
    assert_eq!(tls.mutual, Mutual::Yes);
}

#[test]
fn after_a_hole_nothing_is_concluded_from_what_is_absent() {
    let turns = transcript!("tls12");
    let mut facts = Facts::default();
    let mut reader = Reader::new();
    let flight = &turns[1].1;
    let first = 5 + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
    with_context(&mut facts, |context| reader.advance(Side::A, &turns[0].1, context));
    with_context(&mut facts, |context| {
        reader.advance(Side::B, &flight[..first + 40], context)
    });
    assert!(reader.gap(Side::B, 100));
    with_context(&mut facts, |context| {
        reader.advance(Side::B, &flight[first + 140..], context)
    });
    assert_eq!(
        facts.tls.as_ref().unwrap().mutual,
        Mutual::Unknown,
        "a CertificateRequest may have been lost"
    );
    // More than the record in progress: that side is blind, the other is not.
    assert!(reader.gap(Side::B, 1 << 40));
    assert!(!reader.gap(Side::A, 1 << 40));
}

#[test]
fn a_hello_cut_short_still_names_the_server() {
    let hello = mutual()[0].1.clone();
    let mut facts = Facts::default();
    let mut reader = Reader::new();
    with_context(&mut facts, |context| reader.advance(Side::A, &hello[..150], context));
    assert!(!facts.tls.as_ref().unwrap().client_hello);
    reader.gap(Side::A, u64::try_from(hello.len() - 150).unwrap());
    with_context(&mut facts, |context| reader.advance(Side::B, &[], context));
    let tls = facts.tls.unwrap();
    assert!(tls.client_hello);
    assert_eq!(tls.server_name.unwrap().to_display(), "sip.example.com");
    assert_eq!(tls.ja3, None, "a fingerprint of half a hello would be another's");
}

/// A snap length leaves the head of each hello: record, message header and version (RFC 5246 6.2.1, 7.4) name it.
#[test]
fn a_hello_that_began_proves_tls() {
    let turns = mutual();
    for (turn, side) in [(0, Side::A), (1, Side::B)] {
        let flight = &turns[turn].1;
        for kept in [11, 20, 42, 43] {
            assert_eq!(probe(&flight[..kept]), Probe::Yes);
            let told = every_split(Reader::new, &[(side, &flight[..kept])]);
            let facts = tls(&told);
            assert_eq!(facts.begun(), Some(Side::A), "{kept} octets of {side:?}");
            assert!(!facts.client_hello && !facts.server_hello && facts.version == 0);
        }
        let told = every_split(Reader::new, &[(side, flight)]);
        assert_eq!(tls(&told).begun(), None, "whole, it speaks for itself");
    }
}

#[test]
fn what_begins_otherwise_proves_none() {
    let hello = &mutual()[0].1;
    let late = record(record::APPLICATION_DATA, &[0; 30]);
    let request = record(record::HANDSHAKE, &message(hello::CERTIFICATE_REQUEST, &[0; 60]));
    for (bytes, why) in [
        (&hello[..10], "no version"),
        (&late[..], "data of a session joined late"),
        (&request[..40], "another message"),
    ] {
        let facts = every_split(Reader::new, &[(Side::A, bytes)]).facts;
        assert_eq!(facts.tls.and_then(|tls| tls.begun()), None, "{why}");
    }
    let mut other = hello[..30].to_vec();
    other[9] = 2;
    let facts = every_split(Reader::new, &[(Side::A, &other)]).facts;
    assert_eq!(facts.tls.and_then(|tls| tls.begun()), None, "no version of TLS");
    // Whole, and none.
    let none = record(record::HANDSHAKE, &message(hello::CLIENT_HELLO, &[3; 60]));
    let facts = every_split(Reader::new, &[(Side::A, &none)]).facts;
    assert_eq!(facts.tls.and_then(|tls| tls.begun()), None, "whole, and no hello");
}

#[test]
fn the_first_hello_counts() {
    let name = |host: &[u8]| {
        let length = u8::try_from(host.len()).unwrap();
        let extension = [&[0, 0, 0, length + 5, 0, length + 3, 0, 0, length][..], host].concat();
        record(record::HANDSHAKE, &client_hello(&extension))
    };
    let told = told(&[(Side::A, name(b"a.example")), (Side::A, name(b"b.example"))].to_vec());
    assert_eq!(tls(&told).server_name.as_ref().unwrap().to_display(), "a.example");
}

#[test]
fn a_message_longer_than_any_is_passed_over() {
    let long = message(hello::CERTIFICATE, &vec![0; assembly::LONGEST + 1]);
    let flight = [server_hello(), long, message(hello::SERVER_HELLO_DONE, &[])].concat();
    let records: Vec<u8> = flight
        .chunks(16_384)
        .flat_map(|part| record(record::HANDSHAKE, part))
        .collect();
    let mut reader = Reader::new();
    let mut facts = Facts::default();
    for part in records.chunks(1_460) {
        with_context(&mut facts, |context| reader.advance(Side::B, part, context));
        assert!(reader.memory() < 2 * 1_460);
    }
    assert_eq!(
        facts.tls.unwrap().mutual,
        Mutual::No,
        "ServerHelloDone was found behind it"
    );
}

#[test]
fn a_one_way_transfer_is_not_followed_for_ever() {
    let mut turns = vec![(Side::B, record(record::HANDSHAKE, &server_hello()))];
    turns.extend((0..100).map(|_| (Side::B, record(record::APPLICATION_DATA, &[0; 100]))));
    assert_eq!(told(&turns).step, Step::Done);
}

proptest! {
    #[test]
    fn any_octets_are_read_without_harm(
        parts in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..8)
    ) {
        let turns: Turns = parts.into_iter().map(|(a, bytes)| (if a { Side::A } else { Side::B }, bytes)).collect();
        for (_, bytes) in &turns {
            probe(bytes);
        }
        told(&turns);
    }

    /// Octets changed in a real conversation reach deeper than noise; holes of any size come on top.
    #[test]
    fn a_damaged_conversation_is_read_without_harm(
        changes in proptest::collection::vec((0..5_usize, any::<u16>(), any::<u8>()), 1..6),
        hole in (0..5_usize, any::<u16>()),
    ) {
        let mut turns = mutual();
        for (turn, at, value) in changes {
            let bytes = &mut turns[turn].1;
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        let mut facts = Facts::default();
        let mut reader = Reader::new();
        for (index, (side, bytes)) in turns.iter().enumerate() {
            let step = with_context(&mut facts, |context| reader.advance(*side, bytes, context));
            match step {
                Step::More(taken) | Step::Switch(taken) => prop_assert!(taken <= bytes.len()),
                Step::Done | Step::Broken => {}
            }
            if index == hole.0 {
                reader.gap(*side, u64::from(hole.1));
            }
        }
    }
}
