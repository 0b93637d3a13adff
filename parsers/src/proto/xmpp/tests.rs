//! Streams from RFC 6120 9; each conversation in every segmentation.

use super::super::splits::{every_split, every_truncation, probe_waits, tell, Told};
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

// RFC 6120 9.2: two servers.
const OPEN: &str = "<stream:stream from='im.example.com' to='example.net' version='1.0' xml:lang='en' \
    xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";
const ANSWER: &str = "<?xml version='1.0'?><stream:stream from='example.net' id='hTiXkW+ih9k2SqdGkk/AZi0OJ/Q=' \
    to='im.example.com' version='1.0' xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";
const FEATURES: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
    </stream:features>";
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

#[test]
fn two_servers_go_over_to_tls() {
    let turns = [
        (A, OPEN),
        (B, ANSWER),
        (B, FEATURES),
        (A, STARTTLS),
        (B, PROCEED),
        (A, "\x16\x03\x01"),
    ];
    let told = told(&turns);
    assert!(matches!(told.step, Step::Switch(_)));
    let server = ANSWER.len() + FEATURES.len() + PROCEED.len();
    assert_eq!(told.consumed, [OPEN.len() + STARTTLS.len(), server]);
    assert_eq!(
        (told.facts.services(), told.facts.opener),
        (&[Service::Xmpp][..], Some(A))
    );
    let xmpp = told.facts.xmpp.unwrap();
    assert_eq!((text(&xmpp.to), text(&xmpp.from)), ("example.net", "im.example.com"));
    assert_eq!(
        (text(&xmpp.namespace), xmpp.starttls),
        ("jabber:server", StartTls::Proceeded)
    );
    probe_waits(probe, OPEN.as_bytes());
    probe_waits(probe, ANSWER.as_bytes());
}

#[test]
fn proceed_may_have_an_end_tag() {
    let proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>";
    let told = told(&[(A, OPEN), (B, ANSWER), (B, proceed), (B, "\x16")]);
    assert!(matches!(told.step, Step::Switch(_)));
    assert_eq!(told.consumed[1], ANSWER.len() + proceed.len());
}

#[test]
fn offered_is_not_proceeded() {
    let offered = told(&[(A, OPEN), (B, ANSWER), (B, FEATURES)]);
    assert_eq!(offered.facts.xmpp.unwrap().starttls, StartTls::Offered);
    let refused = told(&[
        (A, OPEN),
        (B, ANSWER),
        (A, STARTTLS),
        (B, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
    ]);
    assert_eq!(refused.facts.xmpp.unwrap().starttls, StartTls::Offered);
    // Said by the wrong side, in a stanza, in text, in another namespace.
    for fake in [
        (A, PROCEED),
        (B, "<iq id='1'><proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></iq>"),
        (B, "<x a=\"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\"/>"),
        (
            B,
            "<x><![CDATA[<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>]]></x>",
        ),
        (B, "<proceed xmlns='other'/>"),
    ] {
        assert_eq!(
            told(&[(A, OPEN), (B, ANSWER), fake]).facts.xmpp.unwrap().starttls,
            StartTls::No,
            "{fake:?}"
        );
    }
}

#[test]
fn dialback_in_clear() {
    let open = "<stream:stream xmlns:stream=\"http://etherx.jabber.org/streams\" xmlns=\"jabber:server\" \
        xmlns:db=\"jabber:server:dialback\" to=\"b.test\" from=\"a.test\">";
    let told = told(&[(A, open), (A, "<db:result from='a.test' to='b.test'>98d6</db:result>")]);
    let xmpp = told.facts.xmpp.unwrap();
    assert_eq!(
        (text(&xmpp.to), text(&xmpp.from), xmpp.starttls),
        ("b.test", "a.test", StartTls::No)
    );
}

const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
const MESSAGE: &str = "<message from='juliet@im.example.com/balcony' to='romeo@example.net'><body>x</body></message>";

#[test]
fn what_goes_in_clear_is_noted() {
    let clear = |turns: &[(Side, &str)]| {
        let xmpp = told(&[&[(A, OPEN), (B, ANSWER), (B, FEATURES)], turns].concat())
            .facts
            .xmpp
            .unwrap();
        (xmpp.clear_stanza, xmpp.clear_sasl)
    };
    assert_eq!(clear(&[(A, MESSAGE)]), (true, false));
    assert_eq!(clear(&[(B, "<presence from='a@b.test'/>")]), (true, false));
    assert_eq!(clear(&[(A, "<iq type='get' id='1'><ping/></iq>")]), (true, false));
    assert_eq!(clear(&[(A, AUTH)]), (false, true));
    // RFC 6120 6.4.6 and 9.2.2: the answer to it, where the opener's side was not captured.
    let success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    assert_eq!(clear(&[(B, success)]), (false, true));
    // The stream begins anew after SASL, and its stanzas follow.
    assert_eq!(
        clear(&[(A, AUTH), (B, success), (A, OPEN), (B, ANSWER), (A, MESSAGE)]),
        (true, true)
    );
    for harmless in [
        "<db:result from='a.test' to='b.test'>98d6</db:result>",
        "<x><message to='a@b.test'/></x>",
        "<auth xmlns='other'/>",
        "</message>",
        "<messages/>",
        "<x><![CDATA[<message/>]]></x>",
        "<x a='<message/>'/>",
    ] {
        assert_eq!(clear(&[(A, harmless)]), (false, false), "{harmless}");
    }
    // Behind STARTTLS nothing is in clear, though it be readable.
    let proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'>";
    assert_eq!(
        clear(&[(A, STARTTLS), (B, PROCEED), (A, MESSAGE), (A, AUTH)]),
        (false, false)
    );
    assert_eq!(clear(&[(A, STARTTLS), (B, proceed), (A, MESSAGE)]), (false, false));
}

#[test]
fn an_answer_alone_names_the_other_side() {
    let told = told(&[(B, ANSWER)]);
    assert_eq!(told.facts.opener, Some(A));
    let xmpp = told.facts.xmpp.unwrap();
    assert_eq!(
        (text(&xmpp.to), text(&xmpp.namespace)),
        ("-", "jabber:server"),
        "the opener's header was not seen"
    );
}

#[test]
fn headers_in_other_dress() {
    let dressed = "\u{feff}\r\n<?xml version='1.0' encoding='UTF-8'?>\n<stream:stream\n\tto = \"a&amp;b.test\"\
        xmlns='jabber:client' from='x' xmlns:stream='http://etherx.jabber.org/streams' >";
    probe_waits(probe, dressed.replace("\"xmlns", "\" xmlns").as_bytes());
    let xmpp = told(&[(A, &dressed.replace("\"xmlns", "\" xmlns"))])
        .facts
        .xmpp
        .unwrap();
    assert_eq!((text(&xmpp.to), text(&xmpp.namespace)), ("a&b.test", "jabber:client"));
    assert_eq!(
        probe(dressed.as_bytes()),
        Probe::No,
        "attributes that run together are not well-formed"
    );
    // RFC 6120 4.8.4: the streams namespace may be the default one.
    let prefixed = "<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client' to='a'>";
    let xmpp = told(&[(A, prefixed)]).facts.xmpp.unwrap();
    assert_eq!(text(&xmpp.namespace), "jabber:client");
    assert_eq!(
        probe(b"<s:stream xmlns:s='http://etherx.jabber.org/streams'>"),
        Probe::Yes
    );
}

#[test]
fn stanzas_of_a_stream_joined_late() {
    for stanza in [
        "<iq type='set' id='purple1' to='a.test'><x/></iq>",
        "<presence to='room@conference.test/nick'/>",
        "<message from='a@b.test' type='chat'><body>x</body></message>",
        "</stream:stream>",
        "<db:verify from='a.test' to='b.test' id='1' type='valid'/>",
    ] {
        probe_waits(probe, stanza.as_bytes());
        let told = told(&[(A, stanza)]);
        assert_eq!((told.facts.services(), told.facts.opener), (&[Service::Xmpp][..], None));
        assert_eq!(text(&told.facts.xmpp.unwrap().namespace), "-");
    }
}

#[test]
fn look_alikes_are_not_it() {
    for other in [
        "<?xml version='1.0'?><rss version='2.0'>",
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://other.test/streams'>",
        "<stream to='a'>",
        "<html><head>",
        "<!DOCTYPE html>",
        "<policy-file-request/>",
        "<iq type='other' id='1'>",
        "<iq type='get'>",
        "<db:result to='a'>",
        "<db:other from='a' to='b'>",
        "<message to='nobody'>",
        "</stream>",
        "<methodCall>",
        "stream:stream",
        "<presence>",
    ] {
        assert_eq!(probe(other.as_bytes()), Probe::No, "{other}");
        let told = tell(&mut Reader::new(), [(A, other.as_bytes())]);
        assert_eq!((told.step, told.facts.services()), (Step::Broken, &[][..]), "{other}");
    }
}

#[test]
fn limits_hold() {
    let long = format!("<stream:stream to='{}", "a".repeat(TAG_LIMIT));
    assert_eq!(probe(&long.as_bytes()[..TAG_LIMIT - 1]), Probe::More);
    assert_eq!(probe(long.as_bytes()), Probe::No);
    assert_eq!(tell(&mut Reader::new(), [(A, long.as_bytes())]).step, Step::Broken);
    assert_eq!(probe(" ".repeat(SPACE_LIMIT + 1).as_bytes()), Probe::No);
    let chatter = format!("{OPEN}{}", "<db:verify/>".repeat(STREAM_LIMIT as usize / 12 + 1));
    assert_eq!(tell(&mut Reader::new(), [(A, chatter.as_bytes())]).step, Step::Done);
    let attributes = format!("<stream:stream {} to='late'>", "a='b' ".repeat(ATTRIBUTES));
    assert_eq!(probe(attributes.as_bytes()), Probe::No);
}

proptest! {
    #[test]
    fn arbitrary_bytes_stay_in_bounds(
        start in prop::sample::select(vec!["", "<", OPEN, ANSWER, "<iq type='get' id='1'>"]),
        parts in prop::collection::vec((any::<bool>(), "(?s:.{0,40})|(<|>|/|'|\"| |=|proceed|xmlns|<!\\[CDATA\\[){0,20}"), 0..12),
    ) {
        let segments = parts.iter().map(|(a, part)| (if *a { A } else { B }, part.as_bytes()));
        tell(&mut Reader::new(), std::iter::once((A, start.as_bytes())).chain(segments));
        for (_, part) in &parts {
            probe(format!("{start}{part}").as_bytes());
        }
    }
}
