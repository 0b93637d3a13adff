//! Messages from RFC 3261 24 and RFC 4475; each conversation in every segmentation.

use super::super::splits::{every_split, every_truncation, probe_waits, tell, with_context};
use super::*;
use crate::facts::Facts;
use proptest::prelude::*;
use Side::{A, B};

// RFC 3261 24.2: Alice calls Bob.
const INVITE: &str = "INVITE sip:bob@biloxi.com SIP/2.0\r\n\
    Via: SIP/2.0/TCP pc33.atlanta.com;branch=z9hG4bK776asdhds\r\n\
    Max-Forwards: 70\r\n\
    To: Bob <sip:bob@biloxi.com>\r\n\
    From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n\
    Call-ID: a84b4c76e66710@pc33.atlanta.com\r\n\
    CSeq: 314159 INVITE\r\n\
    Contact: <sip:alice@pc33.atlanta.com>\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 7\r\n\r\nv=0\r\no=";
const RINGING: &str = "SIP/2.0 180 Ringing\r\n\
    To: Bob <sip:bob@biloxi.com>;tag=a6c85cf\r\n\
    From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n\
    Call-ID: a84b4c76e66710@pc33.atlanta.com\r\n\
    CSeq: 314159 INVITE\r\n\
    User-Agent: Softphone Beta1.5\r\n\
    Content-Length: 0\r\n\r\n";

fn text(field: &Option<Text>) -> &str {
    field
        .as_ref()
        .map_or("-", |text| std::str::from_utf8(text.bytes()).unwrap())
}

fn datagram(side: Side, payload: &str) -> Facts {
    let mut facts = Facts::default();
    with_context(&mut facts, |context| read_datagram(side, payload.as_bytes(), context));
    facts
}

#[test]
fn a_call_over_tcp() {
    let turns = [(A, INVITE.as_bytes()), (B, RINGING.as_bytes())];
    let told = every_split(Reader::new, &turns);
    assert_eq!(
        (told.facts.services(), told.facts.opener, told.step),
        (&[Service::Sip][..], Some(A), Step::Done)
    );
    let sip = told.facts.sip.unwrap();
    assert_eq!((text(&sip.method), sip.status), ("INVITE", Some(180)));
    assert_eq!(text(&sip.call_id), "a84b4c76e66710@pc33.atlanta.com");
    assert_eq!(text(&sip.from), "Alice <sip:alice@atlanta.com>;tag=1928301774");
    assert_eq!(text(&sip.to), "Bob <sip:bob@biloxi.com>");
    assert_eq!(text(&sip.user_agent), "Softphone Beta1.5");
    every_truncation(Reader::new, &turns);
    probe_waits(probe, INVITE.as_bytes());
    probe_waits(probe, RINGING.as_bytes());
}

#[test]
fn an_answer_alone_tells_method_and_opener() {
    let facts = datagram(B, RINGING);
    assert_eq!(facts.opener, Some(A));
    let sip = facts.sip.unwrap();
    assert_eq!((text(&sip.method), sip.status), ("INVITE", Some(180)));
    assert_eq!(text(&sip.to), "Bob <sip:bob@biloxi.com>;tag=a6c85cf");
}

#[test]
fn compact_and_folded_headers() {
    // RFC 3261 7.3.3 and the torture test of RFC 4475 3.1.1.1.
    let message = "OPTIONS sip:user@example.com SIP/2.0\r\n\
        TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n\
        f: \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n\
        i:intwsinv.ndaksdj@192.0.2.1\r\nl: 0\r\n\r\n";
    for facts in [
        datagram(A, message),
        every_split(Reader::new, &[(A, message.as_bytes())]).facts,
    ] {
        let sip = facts.sip.unwrap();
        assert_eq!(
            text(&sip.to),
            "sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n"
        );
        assert_eq!(
            text(&sip.from),
            "\"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com> ; tag = 98asjd8"
        );
        assert_eq!(text(&sip.call_id), "intwsinv.ndaksdj@192.0.2.1");
    }
}

#[test]
fn bodies_and_keep_alives_lie_between_messages() {
    let second = INVITE
        .replace("INVITE", "MESSAGE")
        .replace("Call-ID: a", "Call-ID: second");
    let stream = format!("{INVITE}\r\n\r\n{second}{second}");
    let told = every_split(Reader::new, &[(A, stream.as_bytes())]);
    assert_eq!((told.step, told.consumed[0]), (Step::More(stream.len()), stream.len()));
    assert_eq!(
        text(&told.facts.sip.unwrap().call_id),
        "a84b4c76e66710@pc33.atlanta.com"
    );
}

#[test]
fn a_hole_in_a_body_is_none() {
    let mut facts = Facts::default();
    let mut reader = Reader::new();
    let head = INVITE.as_bytes().strip_suffix(b"v=0\r\no=").unwrap();
    with_context(&mut facts, |context| reader.advance(A, head, context));
    assert!(reader.gap(A, 4));
    assert!(!reader.gap(A, 4), "only three octets are left");
    assert!(reader.gap(A, 3) && !reader.gap(B, 1));
    let step = with_context(&mut facts, |context| reader.advance(A, INVITE.as_bytes(), context));
    assert_eq!(step, Step::More(INVITE.len()));
}

#[test]
fn junk_before_a_message_is_a_datagram_of_its_own() {
    let mut facts = Facts::default();
    for payload in [&b"\0\0\0\0"[..], b"\r\n\r\n", b"hello", INVITE.as_bytes(), b"\0"] {
        with_context(&mut facts, |context| read_datagram(B, payload, context));
    }
    assert_eq!((facts.services(), facts.opener), (&[Service::Sip][..], Some(B)));
    assert!(probe_datagram(format!("\r\n\r\n{INVITE}").as_bytes()));
    assert!(!probe_datagram(format!("{}{INVITE}", "\r\n".repeat(40)).as_bytes()));
}

#[test]
fn a_datagram_may_end_anywhere() {
    for length in 0..INVITE.len() {
        let facts = datagram(A, &INVITE[..length]);
        assert_eq!(
            facts.has(Service::Sip),
            length > "INVITE sip:bob@biloxi.com SIP/2.0".len()
        );
    }
    let sip = datagram(A, "BYE sip:a@b SIP/2.0\r\nCall-ID: cut").sip.unwrap();
    assert_eq!(text(&sip.call_id), "cut");
}

#[test]
fn every_method_that_is_known_and_some_that_are_not() {
    for method in METHODS {
        let line = [method, b" sips:a@b SIP/2.0\r\n"].concat();
        probe_waits(probe, &line);
    }
    assert_eq!(probe(b"COMET sip:a@b SIP/2.0\r\n"), Probe::Yes);
    assert_eq!(probe(b"COMET http://a/ SIP/2.0\r\n"), Probe::No);
    assert_eq!(probe(b"INVITE urn:service:sos SIP/2.0\r\n"), Probe::Yes, "RFC 5031");
}

#[test]
fn look_alikes_are_not_it() {
    for other in [
        "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n",
        "M-SEARCH * HTTP/1.1\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "OPTIONS rtsp://host/media RTSP/1.0\r\nCSeq: 1\r\n",
        "OPTIONS icap://icap.net/service ICAP/1.0\r\n",
        "REGISTER sip:a@b HTTP/1.1\r\n",
        "INVITE sip:a@b SIP/2.01\r\n",
        "INVITE  SIP/2.0\r\n",
        "MESSAGE host:5060 text\r\n",
        "SIP/2.0 OK\r\n",
        "SIP/2.0 9000 x\r\n",
        "SIP/3.0 200 OK\r\n",
        "HTTP/1.1 200 OK\r\n",
        "invite sip:a@b SIP/2.0\r\n",
        "RSP/2.0 STUN\r\n",
    ] {
        assert_eq!(probe(other.as_bytes()), Probe::No, "{other}");
        let told = tell(&mut Reader::new(), [(A, other.as_bytes())]);
        assert_eq!((told.step, told.facts.services()), (Step::Broken, &[][..]));
    }
    assert!(!probe_datagram(b"INVITE sip:a@b SIP/2.0"), "the line may go on");
}

#[test]
fn limits_hold() {
    assert_eq!(
        probe(format!("INVITE sip:{}", "a".repeat(URI_LIMIT - 4)).as_bytes()),
        Probe::More
    );
    assert_eq!(
        probe(format!("INVITE sip:{}", "a".repeat(URI_LIMIT)).as_bytes()),
        Probe::No
    );
    // A field without end is read in part and dropped as it comes, also in pieces.
    let long = format!(
        "BYE sip:a@b SIP/2.0\r\nVia: {}\r\nCall-ID: x\r\n\r\n",
        "v".repeat(3 * header::LINE_LIMIT)
    );
    for size in [long.len(), 1000] {
        let told = tell(&mut Reader::new(), long.as_bytes().chunks(size).map(|part| (A, part)));
        assert_eq!(
            (told.consumed[0], text(&told.facts.sip.unwrap().call_id)),
            (long.len(), "x")
        );
    }
    assert_eq!(text(&datagram(A, &long).sip.unwrap().call_id), "x");
    let endless = "BYE sip:a@b SIP/2.0\r\nl: 18446744073709551615\r\n\r\n";
    let body = vec![b'x'; 64 * 1024];
    let parts = (0..17).map(|_| (A, &body[..]));
    assert_eq!(
        tell(
            &mut Reader::new(),
            std::iter::once((A, endless.as_bytes())).chain(parts)
        )
        .step,
        Step::Done
    );
    let many = "BYE sip:a@b SIP/2.0\r\n\r\n".repeat(usize::from(ONE_WAY_LIMIT) + 1);
    assert_eq!(tell(&mut Reader::new(), [(A, many.as_bytes())]).step, Step::Done);
}

proptest! {
    #[test]
    fn arbitrary_bytes_stay_in_bounds(
        start in prop::sample::select(vec!["", "INVITE sip:a@b SIP/2.0\r\n", "SIP/2.0 200 OK\r\nl: 99999999999\r\n\r\n", "BYE "]),
        parts in prop::collection::vec((any::<bool>(), "(?s:.{0,40})|[\r\n: \ta-z0-9]{0,40}"), 0..12),
    ) {
        let segments = parts.iter().map(|(a, part)| (if *a { A } else { B }, part.as_bytes()));
        tell(&mut Reader::new(), std::iter::once((A, start.as_bytes())).chain(segments));
        for (_, part) in &parts {
            datagram(A, &format!("{start}{part}"));
        }
    }
}
