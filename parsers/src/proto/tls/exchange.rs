//! What the messages of a handshake prove, whichever record layer carried them: certificates, mutual authentication,
//! resumption, establishment. Shared by TLS and DTLS.
//!
//! Each end is judged by its own messages, so that a capture of one direction still tells what that direction proves.
//! Nothing is concluded across a loss: an end that lost something is no longer `from_hello`.

use super::assembly::DRAFT_HELLO_RETRY;
use super::hello::{self, Carrier, ClientHello, ServerHello};
use super::note;
use crate::facts::{Facts, Mutual, Side, TlsFacts};
use crate::proto::Context;

/// Shortest record that can be a client's Finished under TLS 1.3: header, SHA-256 HMAC, content type and the shortest
/// tag (RFC 8446 4.4.4, 5.2; CCM_8). An alert under keys is 11 to 19 octets and ends a connection instead of making one.
const SHORTEST_FINISHED: usize = 4 + 32 + 1 + 8;

#[derive(Debug, Default)]
struct End {
    /// Began with a hello, and nothing has been lost since.
    from_hello: bool,
    changed_cipher: bool,
    /// A handshake or data record came after the ChangeCipherSpec.
    finished: bool,
    sent_certificate: bool,
    /// The Certificate message, until it is known whose it is: (any certificate in it, their numbers).
    certificate: Option<(bool, Vec<u32>)>,
}

#[derive(Debug)]
pub struct Exchange {
    carrier: Carrier,
    ends: [End; 2],
    /// A HelloRetryRequest was seen: the server's ChangeCipherSpec before its ServerHello means nothing (RFC 8446 D.4).
    retry: bool,
    certificate_request: bool,
    hello_done: bool,
    /// The client offered early data: its data records prove nothing until the server answered one.
    early_data: bool,
    /// TLS 1.3: the server sent data after its hello; after that the client did.
    server_data: bool,
    client_data: bool,
}

impl Exchange {
    pub fn new(carrier: Carrier) -> Self {
        Exchange {
            carrier,
            ends: Default::default(),
            retry: false,
            certificate_request: false,
            hello_done: false,
            early_data: false,
            server_data: false,
            client_data: false,
        }
    }

    fn end(&mut self, side: Side) -> &mut End {
        let [a, b] = &mut self.ends;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    pub fn is_from_hello(&self, side: Side) -> bool {
        let [a, b] = &self.ends;
        match side {
            Side::A => a.from_hello,
            Side::B => b.from_hello,
        }
    }

    pub fn has_changed_cipher(&self, side: Side) -> bool {
        let [a, b] = &self.ends;
        match side {
            Side::A => a.changed_cipher,
            Side::B => b.changed_cipher,
        }
    }

    /// A hello that is no message of this exchange (SSL 2.0 form) began `side`.
    pub fn began(&mut self, side: Side) {
        self.end(side).from_hello = true;
    }

    /// Something of `side` was lost.
    pub fn lost(&mut self, side: Side) {
        self.end(side).from_hello = false;
    }

    /// A whole message of `side`; its body, where it is at hand. True = nothing in clear follows on this side.
    pub fn message(&mut self, side: Side, kind: u8, body: Option<&[u8]>, context: &mut Context<'_>) -> bool {
        let mut hidden = false;
        match (kind, body) {
            (hello::CLIENT_HELLO, Some(body)) => {
                if let Some(hello) = ClientHello::read(self.carrier, body) {
                    self.end(side).from_hello = true;
                    self.early_data |= hello.extension(hello::EARLY_DATA).is_some();
                    note::client_hello(&hello, true, side, context.facts);
                }
            }
            (DRAFT_HELLO_RETRY, Some(_)) if note::facts(context.facts).client_hello => self.retry = true,
            (hello::SERVER_HELLO, Some(body)) => match ServerHello::read(self.carrier, body) {
                Some(hello) if hello.retry => {
                    self.retry = true;
                    note::client_is(side.other(), context.facts);
                }
                Some(hello) => {
                    self.end(side).from_hello = true;
                    note::server_hello(&hello, side, context.facts);
                    hidden = note::hides_certificates(hello.chosen_version());
                }
                None => {}
            },
            (hello::CERTIFICATE, body) => {
                let end = self.end(side);
                end.sent_certificate = true;
                if let (None, Some(body)) = (&end.certificate, body) {
                    end.certificate = Some((note::shows_certificate(body), note::chain(body, context.certificates)));
                }
            }
            (hello::SERVER_KEY_EXCHANGE, _) => note::client_is(side.other(), context.facts),
            (hello::CERTIFICATE_REQUEST, _) => {
                self.certificate_request = true;
                note::client_is(side.other(), context.facts);
            }
            (hello::SERVER_HELLO_DONE, _) => {
                self.hello_done = true;
                note::client_is(side.other(), context.facts);
                if !self.certificate_request && self.end(side).from_hello {
                    note::mutual(note::facts(context.facts), Mutual::No);
                }
            }
            (hello::CLIENT_KEY_EXCHANGE, _) => {
                note::client_is(side, context.facts);
                // RFC 5246 7.4.6: a client that is asked sends a Certificate, be it empty; only SSL 3.0 sent none.
                let end = self.end(side);
                if end.from_hello && !end.sent_certificate {
                    note::mutual(note::facts(context.facts), Mutual::No);
                }
            }
            (hello::CERTIFICATE_VERIFY, _) => note::client_is(side, context.facts),
            _ => {}
        }
        self.settle(context.facts);
        hidden
    }

    /// False = it means nothing: the server goes on in clear.
    pub fn change_cipher_spec(&mut self, side: Side, tls: &mut TlsFacts) -> bool {
        if let Some(seen) = tls.change_cipher_spec.get_mut(side.index()) {
            *seen = true;
        }
        let (retry, hello_done) = (self.retry, self.hello_done);
        let end = self.end(side);
        if tls.client == Some(side.other()) {
            if !tls.server_hello && retry {
                return false;
            }
            // RFC 5246 7.3: the server goes straight on to ChangeCipherSpec only when it takes up a session.
            let straight = end.from_hello && !hello_done && !end.sent_certificate && !end.changed_cipher;
            if tls.server_hello && straight && !note::hides_certificates(tls.version) {
                tls.resumed = true;
            }
        }
        end.changed_cipher = true;
        true
    }

    /// A record of handshake or data from `side`, in clear or not.
    pub fn record(&mut self, side: Side, facts: &mut Facts) {
        let end = self.end(side);
        end.finished |= end.changed_cipher;
        self.settle(facts);
    }

    /// `length` octets under TLS 1.3 keys, as which everything after the hellos goes.
    pub fn data_record(&mut self, side: Side, length: usize, tls: &mut TlsFacts) {
        if !tls.server_hello || !note::hides_certificates(tls.version) {
            return;
        }
        if tls.client == Some(side.other()) {
            tls.established |= self.client_data;
            self.server_data = true;
        } else if self.server_data && length >= SHORTEST_FINISHED {
            self.client_data = true;
            tls.established |= !self.early_data;
        }
    }

    /// What follows from facts that may come in either order.
    fn settle(&mut self, facts: &mut Facts) {
        let tls = note::facts(facts);
        let Some(client) = tls.client else { return };
        if let Some((shown, numbers)) = self.end(client).certificate.as_mut() {
            if tls.client_chain.is_empty() {
                tls.client_chain = std::mem::take(numbers);
            }
            note::mutual(tls, if *shown { Mutual::Yes } else { Mutual::No });
        }
        if let Some((_, numbers)) = self.end(client.other()).certificate.as_mut() {
            if tls.server_chain.is_empty() {
                tls.server_chain = std::mem::take(numbers);
            }
        }
        if tls.server_hello && !note::hides_certificates(tls.version) && self.ends.iter().all(|end| end.finished) {
            tls.established = true;
        }
    }
}
