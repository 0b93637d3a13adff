//! From messages to facts: what TLS, DTLS and whoever else carries these messages note in the same way.
//!
//! First seen wins: a renegotiation or a second hello after a HelloRetryRequest changes nothing.

use super::fingerprint;
use super::hello::{ClientHello, ServerHello};
use crate::certificate::Certificates;
use crate::cursor::Cursor;
use crate::facts::{Facts, Mutual, Side, TlsFacts};
use crate::text::Text;

/// Certificates kept of one chain. Verifiers stop at depth 10 or less (RFC 5280 sets no limit); what comes behind says
/// nothing about the peer.
pub const CHAIN: usize = 16;

pub fn facts(facts: &mut Facts) -> &mut TlsFacts {
    facts.tls.get_or_insert_with(Box::default)
}

/// Which side is the client, from a message that only one of them sends.
pub fn client_is(side: Side, all: &mut Facts) {
    let tls = facts(all);
    if tls.client.is_none() {
        tls.client = Some(side);
        all.opened_by(side);
    }
}

/// Of `side`: who is the client by its hello that is not whole; `None` = there is none.
pub fn begun_hello(client: Option<Side>, side: Side, all: &mut Facts) {
    if let Some(begun) = facts(all).begun_hello.get_mut(side.index()) {
        *begun = client;
    }
}

/// `whole`: nothing is missing at its end, so that its fingerprints are true.
pub fn client_hello(hello: &ClientHello<'_>, whole: bool, side: Side, all: &mut Facts) {
    client_is(side, all);
    let tls = facts(all);
    if tls.client_hello {
        return;
    }
    tls.client_hello = true;
    tls.client_random = Some(hello.random);
    tls.server_name = hello.server_name().map(Text::from_wire);
    if whole {
        tls.ja3 = Some(fingerprint::ja3(hello));
        tls.ja4 = Some(fingerprint::ja4(hello));
    }
}

/// Not for a HelloRetryRequest.
pub fn server_hello(hello: &ServerHello<'_>, side: Side, all: &mut Facts) {
    client_is(side.other(), all);
    let tls = facts(all);
    if tls.server_hello {
        return;
    }
    tls.server_hello = true;
    tls.version = hello.chosen_version();
    tls.cipher = Some(hello.cipher_suite);
    tls.next_protocol = hello.protocol().map(Text::from_wire);
    tls.ja3s = Some(fingerprint::ja3s(hello));
    if hides_certificates(tls.version) && hello.takes_up_a_key() {
        tls.resumed = true;
    }
}

/// TLS 1.3 and DTLS 1.3 send everything after the ServerHello under keys.
pub fn hides_certificates(version: u16) -> bool {
    matches!(version, 0x0304 | 0xfefc)
}

/// `mutual` is decided once.
pub fn mutual(tls: &mut TlsFacts, answer: Mutual) {
    if tls.mutual == Mutual::Unknown {
        tls.mutual = answer;
    }
}

/// Body of a Certificate message in the form of TLS ≤ 1.2 (RFC 5246 7.4.2): the numbers of its certificates, leaf first,
/// as far as the list can be read.
pub fn chain(body: &[u8], certificates: &mut Certificates) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut list = Cursor::new(body);
    if list.u24().is_err() {
        return numbers;
    }
    while numbers.len() < CHAIN && !list.is_empty() {
        let Some(der) = list
            .u24()
            .ok()
            .and_then(|length| list.take(usize::try_from(length).ok()?).ok())
        else {
            break;
        };
        match certificates.add(der) {
            Some(number) => numbers.push(number),
            None => break,
        }
    }
    numbers
}

/// The Certificate message names at least one certificate.
pub fn shows_certificate(body: &[u8]) -> bool {
    Cursor::new(body).u24().is_ok_and(|length| length > 0)
}
