//! Requests and answers from RFC 9112, RFC 9110 and RFC 6455; each conversation in every segmentation.

use super::super::splits::{every_split, every_truncation, probe_waits, tell, with_context, Told};
use super::*;
use proptest::prelude::*;
use Side::{A, B};

fn text(field: &Option<Text>) -> &str {
    field
        .as_ref()
        .map_or("-", |text| std::str::from_utf8(text.bytes()).unwrap())
}

fn told(turns: &[(Side, &str)]) -> Told {
    let turns: Vec<(Side, &[u8])> = turns.iter().map(|&(side, turn)| (side, turn.as_bytes())).collect();
    every_truncation(Reader::new, &turns);
    every_split(Reader::new, &turns)
}

// RFC 9112 2.1 (example of RFC 9110 3.9).
const GET: &str = "GET /hello.txt?x=1#y HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com:8080\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nHello World!";

#[test]
fn a_request_and_its_answer() {
    let told = told(&[(A, GET), (B, OK)]);
    assert_eq!(
        (told.facts.services(), told.facts.opener, told.step),
        (&[Service::Http][..], Some(A), Step::Done)
    );
    let http = told.facts.http.unwrap();
    assert_eq!(
        (text(&http.method), text(&http.domain), text(&http.path)),
        ("GET", "www.example.com", "/hello.txt")
    );
    assert_eq!((http.status, http.upgraded_websocket), (Some(200), false));
    probe_waits(probe, GET.as_bytes());
    probe_waits(probe, OK.as_bytes());
}

#[test]
fn an_answer_alone_tells_the_opener() {
    let told = told(&[(A, OK)]);
    assert_eq!(told.facts.opener, Some(B));
    assert_eq!(told.facts.http.unwrap().status, Some(200));
}

#[test]
fn a_capture_that_begins_with_an_answer() {
    let told = told(&[(B, OK), (B, "more of it"), (A, GET)]);
    assert_eq!((told.facts.opener, told.step), (Some(A), Step::Done));
    let http = told.facts.http.unwrap();
    assert_eq!((text(&http.domain), http.status), ("www.example.com", Some(200)));
}

#[test]
fn a_hole_in_a_body_is_none() {
    let mut facts = crate::facts::Facts::default();
    let mut reader = Reader::new();
    with_context(&mut facts, |context| reader.advance(B, OK.as_bytes(), context));
    assert!(reader.gap(B, 1000) && !reader.gap(A, 1000));
}

#[test]
fn targets_of_each_form() {
    let table = [
        ("GET http://user@proxy.test:3128/a/b?q HTTP/1.0", "proxy.test", "/a/b"),
        ("GET http://proxy.test HTTP/1.0", "proxy.test", "-"),
        ("OPTIONS * HTTP/1.1", "-", "*"),
        ("CONNECT mail.test:25 HTTP/1.0", "mail.test", "-"),
        ("CONNECT mail.test:25 / HTTP/1.0", "mail.test", "-"),
        ("GET /a b/c HTTP/1.1", "-", "/a b/c"),
        ("GET /login?next=http://x/ HTTP/1.1", "-", "/login"),
        (
            "RPC_OUT_DATA /rpc/rpcproxy.dll?s:6002 HTTP/1.1",
            "-",
            "/rpc/rpcproxy.dll",
        ),
        ("GET http://[2001:db8::1]:80/ HTTP/1.1", "[2001:db8::1]", "/"),
    ];
    for (line, domain, path) in table {
        let http = told(&[(A, &format!("{line}\r\n\r\n"))]).facts.http.unwrap();
        assert_eq!((text(&http.domain), text(&http.path)), (domain, path), "{line}");
    }
    let http = told(&[(A, "GET http://a.test/ HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n")])
        .facts
        .http
        .unwrap();
    assert_eq!(text(&http.domain), "[2001:db8::1]", "Host goes before the target");
}

#[test]
fn connect_hands_over_once_accepted() {
    let connect = "CONNECT server.test:443 HTTP/1.1\r\nHost: server.test:443\r\n\r\n";
    let accepted = "HTTP/1.1 200 Connection established\r\n\r\n";
    let told = told(&[(A, connect), (B, &format!("{accepted}220 mail"))]);
    assert!(matches!(told.step, Step::Switch(_)));
    assert_eq!(told.consumed, [connect.len(), accepted.len()]);
    // The client's hello may come before the answer was seen.
    let eager = format!("{connect}\x16\x03\x01");
    let bytes = [(A, eager.as_bytes()), (B, accepted.as_bytes())];
    assert_eq!(
        every_split(Reader::new, &bytes).consumed,
        [connect.len(), accepted.len()]
    );
}

#[test]
fn a_refused_connect_may_try_again() {
    let connect = "CONNECT server.test:443 HTTP/1.1\r\n\r\n";
    let refused = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nauth";
    let accepted = "HTTP/1.1 200 OK\r\n\r\n";
    let told = told(&[(A, connect), (B, refused), (A, connect), (B, accepted), (A, "\x16\x03")]);
    assert!(matches!(told.step, Step::Switch(_)));
    assert_eq!(told.consumed, [2 * connect.len(), refused.len() + accepted.len()]);
    let rejected = self::told(&[(A, connect), (B, "HTTP/1.1 403 No\r\n\r\n")]);
    assert_eq!(rejected.step, Step::Done);
}

#[test]
fn an_upgrade_hands_over() {
    // RFC 6455 1.2.
    let ask = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let accept = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n";
    let told = told(&[(A, ask), (B, &format!("{accept}\u{1}"))]);
    assert_eq!(told.consumed, [ask.len(), accept.len()]);
    assert!(matches!(told.step, Step::Switch(_)) && told.facts.http.unwrap().upgraded_websocket);
    let other = accept.replace("WebSocket", "TLS/1.0");
    let told = self::told(&[(A, ask), (B, &other)]);
    assert!(matches!(told.step, Step::Switch(_)) && !told.facts.http.unwrap().upgraded_websocket);
    let told = self::told(&[(A, ask), (B, OK)]);
    assert_eq!(told.step, Step::Done, "not accepted");
}

/// Kinds by RFC 9110 15 and 8.3; media types of the Autodiscover service from "Understanding Autodiscover".
#[test]
fn kinds_of_answers() {
    let ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let kind = |request: &str, answer: &str| {
        let answer = format!("HTTP/1.1 {answer}\r\n\r\n<body>");
        told(&[(A, request), (B, &answer)]).facts.http.unwrap().answer.unwrap()
    };
    let table = [
        (
            "301 Moved\r\nLocation: https://a/\r\nContent-Type: text/html",
            HttpAnswer::Redirect,
        ),
        ("307 Temporary Redirect\r\nLocation: https://a/", HttpAnswer::Redirect),
        ("304 Not Modified", HttpAnswer::Empty),
        ("204 No Content", HttpAnswer::Empty),
        (
            "200 OK\r\nContent-Type: text/html\r\nContent-Length: 0",
            HttpAnswer::Empty,
        ),
        (
            "403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 6",
            HttpAnswer::Refusal,
        ),
        ("503 Service Unavailable", HttpAnswer::Refusal),
        (
            "200 OK\r\nContent-Type: text/html\r\nContent-Length: 6",
            HttpAnswer::Content,
        ),
        ("200 OK\r\nTransfer-Encoding: chunked", HttpAnswer::Content),
        (
            "200 OK\r\nContent-Type: application/json; charset=utf-8",
            HttpAnswer::Data,
        ),
        ("200 OK\r\ncontent-type: Text/XML", HttpAnswer::Data),
        (
            "200 OK\r\nContent-Type: application/vnd.microsoft.rtc.autodiscover+xml;v=1",
            HttpAnswer::Autodiscover,
        ),
    ];
    for (answer, expected) in table {
        assert_eq!(kind(ask, answer), expected, "{answer}");
    }
    let page = "200 OK\r\nContent-Type: text/html\r\nContent-Length: 6";
    assert_eq!(kind("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", page), HttpAnswer::Empty);
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n";
    assert_eq!(
        kind(upgrade, "101 Switching Protocols\r\nUpgrade: x"),
        HttpAnswer::Switch
    );
    assert_eq!(kind("CONNECT b:25 HTTP/1.1\r\n\r\n", "200 OK"), HttpAnswer::Switch);
}

#[test]
fn an_answer_to_an_unseen_request_has_no_kind() {
    assert_eq!(told(&[(B, OK)]).facts.http.unwrap().answer, None);
    assert_eq!(told(&[(B, OK), (A, GET)]).facts.http.unwrap().answer, None);
    let interim = told(&[(A, GET), (B, "HTTP/1.1 100 Continue\r\n\r\n")]);
    assert_eq!(interim.facts.http.unwrap().answer, None);
}

#[test]
fn interim_answers_are_not_the_answer() {
    let post = "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n";
    let told = told(&[(A, post), (B, "HTTP/1.1 100 Continue\r\n\r\n"), (A, "body"), (B, OK)]);
    assert_eq!((told.step, told.facts.http.unwrap().status), (Step::Done, Some(200)));
}

#[test]
fn an_answer_before_the_request_has_ended() {
    let told = told(&[
        (A, "POST /x HTTP/1.1\r\n"),
        (B, "HTTP/1.1 400 Bad\r\n\r\n"),
        (A, "Host: late\r\n\r\n"),
    ]);
    let http = told.facts.http.unwrap();
    assert_eq!(
        (told.step, text(&http.domain), http.status),
        (Step::Done, "late", Some(400))
    );
}

#[test]
fn http_2_and_0_9() {
    let told = told(&[(A, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0")]);
    assert_eq!(
        (told.step, told.facts.services(), told.facts.opener),
        (Step::Done, &[Service::Http][..], Some(A))
    );
    probe_waits(probe, PREFACE);
    let told = self::told(&[(A, "GET /bad.html\r\n")]);
    assert_eq!(text(&told.facts.http.unwrap().path), "/bad.html");
}

#[test]
fn look_alikes_are_not_it() {
    for other in [
        "OPTIONS rtsp://host/media RTSP/1.0\r\n",
        "REGISTER sip:a@b SIP/2.0\r\n",
        "GET key\r\n",
        "GET /a b\r\n",
        "PUT /x\r\n",
        "HELO mail.test\r\n",
        "get / HTTP/1.1\r\n",
        "GET / HTTP/3.1\r\n",
        "HTTP/1.1 OK\r\n",
        "HTTP/2.0 200\r\n",
        "HTTP/1.1 2000 x\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX",
        " HTTP/1.1\r\n",
        "GET\u{1} / HTTP/1.1",
        "GET /\u{1}",
    ] {
        assert_eq!(probe(other.as_bytes()), Probe::No, "{other:?}");
    }
    let told = tell(&mut Reader::new(), [(A, GET.as_bytes()), (B, b"SSH-2.0-x\r\n")]);
    assert_eq!(told.step, Step::Broken, "the server speaks something else");
    let told = tell(
        &mut Reader::new(),
        [(A, GET.as_bytes()), (A, OK.as_bytes()), (B, GET.as_bytes())],
    );
    assert_eq!(told.step, Step::Broken, "both sides ask");
}

#[test]
fn limits_hold() {
    let line = format!("GET /{}", "a".repeat(header::LINE_LIMIT));
    assert_eq!(probe(&line.as_bytes()[..header::LINE_LIMIT - 1]), Probe::More);
    assert_eq!(probe(line.as_bytes()), Probe::No);
    let cookie = format!(
        "GET / HTTP/1.1\r\nCookie: {}\r\nHost: a\r\n\r\n",
        "c".repeat(3 * header::LINE_LIMIT)
    );
    for size in [cookie.len(), 1000] {
        let told = tell(&mut Reader::new(), cookie.as_bytes().chunks(size).map(|part| (A, part)));
        assert_eq!(text(&told.facts.http.unwrap().domain), "a");
    }
    let body = vec![b'x'; 1024];
    let download = std::iter::once((B, OK.as_bytes())).chain((0..IGNORE_LIMIT / 1024).map(|_| (B, &body[..])));
    assert_eq!(
        tell(&mut Reader::new(), download).step,
        Step::Done,
        "one direction only"
    );
    let fields = format!("GET / HTTP/1.1\r\n{}", "x: y\r\n".repeat(usize::from(FIELD_LIMIT) + 1));
    assert_eq!(tell(&mut Reader::new(), [(A, fields.as_bytes())]).step, Step::Done);
}

proptest! {
    #[test]
    fn arbitrary_bytes_stay_in_bounds(
        start in prop::sample::select(vec!["", "GET / HTTP/1.1\r\n", "CONNECT a:1 HTTP/1.1\r\n\r\n", "HTTP/1.1 407 x\r\n"]),
        parts in prop::collection::vec((any::<bool>(), "(?s:.{0,40})|(HTTP/1.1 |407|200|\r\n|: |[a-z]){0,20}"), 0..12),
    ) {
        let segments = parts.iter().map(|(a, part)| (if *a { A } else { B }, part.as_bytes()));
        tell(&mut Reader::new(), std::iter::once((A, start.as_bytes())).chain(segments));
        for (_, part) in &parts {
            probe(format!("{start}{part}").as_bytes());
        }
    }
}
