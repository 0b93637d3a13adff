//! Both directions of a TLS connection, from the first record until nothing further can be learnt.
//!
//! Each side is a half of its own: where it is in the record layer, and in the messages inside. Octets are consumed as
//! they come, records and messages need not be whole. After a ChangeCipherSpec a side is opaque: its records are
//! counted by type only. Nothing is concluded from octets that were not seen: a hole in a message costs its content, a
//! hole over a record's end blinds that side, and the answers that need what was lost stay open.

use super::assembly::{Assembly, Message, DRAFT_HELLO_RETRY};
use super::hello::{self, Carrier, ClientHello, ServerHello};
use super::{note, record, version2};
use crate::facts::{Facts, Mutual, Service, Side, TlsFacts};
use crate::proto::{Context, Step, StreamReader};

/// Records in a row that tell nothing new, after which no more is expected: the longest silence inside a handshake is
/// 1.3 early data (16 KiB by default, a handful of records), and a one-way capture never ends a handshake.
const SILENT_RECORDS: u32 = 64;

/// Shortest record that can be a client's Finished under TLS 1.3: header, SHA-256 HMAC, content type and the shortest
/// tag (RFC 8446 4.4.4, 5.2; CCM_8). An alert under keys is 11 to 19 octets and ends a connection instead of making one.
const SHORTEST_FINISHED: u16 = 4 + 32 + 1 + 8;

#[derive(Debug, Default)]
struct Half {
    /// A record header of this side was read.
    started: bool,
    /// Began with a hello, and nothing has been lost since.
    from_hello: bool,
    /// Where records begin is not known any more.
    blind: bool,
    /// Content type of the record in progress, and octets of it still to come.
    content: u8,
    left: usize,
    /// First octet of an alert: its level.
    alert_level: Option<u8>,
    alert_length: u16,
    assembly: Assembly,
    /// A ClientHello that will never be whole, as far as it came.
    cut_hello: Option<Vec<u8>>,
    /// Handshake records are under keys, or their messages cannot be told apart.
    opaque: bool,
    /// Octets of handshake were taken for messages.
    handshake: bool,
    changed_cipher: bool,
    /// A handshake or data record came after the ChangeCipherSpec.
    finished: bool,
    /// The Certificate message, until it is known whose it is: (any certificate in it, their numbers).
    certificate: Option<(bool, Vec<u32>)>,
    sent_certificate: bool,
    /// SSL 2.0: records after the hello.
    records: u32,
}

/// `StreamReader` of TLS.
#[derive(Debug, Default)]
pub struct Reader {
    halves: [Half; 2],
    /// A HelloRetryRequest was seen: the server's ChangeCipherSpec before its ServerHello means nothing (RFC 8446 D.4).
    retry: bool,
    certificate_request: bool,
    hello_done: bool,
    /// The client offered early data: its data records prove nothing until the server answered one.
    early_data: bool,
    /// TLS 1.3: server sent data after its hello; client then did; server then did again.
    server_data: bool,
    client_data: bool,
    version2: bool,
    silent: u32,
}

enum Outcome {
    Step(Step),
    /// So many octets were read; go on.
    Read(usize),
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        context.facts.recognise(Service::Tls);
        note::facts(context.facts);
        self.take_up_cut_hellos(context.facts);
        let mut rest = bytes;
        loop {
            if self.is_over(context.facts) {
                return Step::Done;
            }
            let consumed = bytes.len() - rest.len();
            if rest.is_empty() {
                return Step::More(consumed);
            }
            let outcome = if self.half(side).blind {
                Outcome::Read(rest.len())
            } else if self.half(side).left > 0 {
                Outcome::Read(self.fragment(side, rest, context))
            } else {
                self.header(side, rest, context)
            };
            match outcome {
                Outcome::Step(Step::More(_)) => return Step::More(consumed),
                Outcome::Step(Step::Switch(_)) => return Step::Switch(consumed),
                Outcome::Step(step) => return step,
                Outcome::Read(count) => rest = rest.get(count..).unwrap_or_default(),
            }
        }
    }

    fn gap(&mut self, side: Side, lost: u64) -> bool {
        let half = self.half(side);
        half.from_hello = false;
        let lost = usize::try_from(lost).unwrap_or(usize::MAX);
        let handshake = half.content == record::HANDSHAKE && !half.opaque;
        if let (true, Some((hello::CLIENT_HELLO, body))) = (handshake, half.assembly.partial()) {
            half.cut_hello = Some(body.to_vec());
        }
        if half.left >= lost {
            // Inside one record: those after it are still found.
            half.left -= lost;
            half.opaque |= handshake && !half.assembly.hole(lost);
        } else {
            half.blind = true;
        }
        !self.halves.iter().all(|half| half.blind)
    }

    fn memory(&self) -> usize {
        self.halves.iter().map(|half| half.assembly.memory()).sum()
    }
}

impl Reader {
    pub fn new() -> Self {
        Reader::default()
    }

    fn half(&mut self, side: Side) -> &mut Half {
        let [a, b] = &mut self.halves;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    fn peer(&self, side: Side) -> &Half {
        let [a, b] = &self.halves;
        match side {
            Side::A => b,
            Side::B => a,
        }
    }

    /// A record header of `side` at the front of `rest`.
    fn header(&mut self, side: Side, rest: &[u8], context: &mut Context<'_>) -> Outcome {
        if self.version2 {
            return self.header_of_version2(side, rest, context.facts);
        }
        let header = match record::header(rest) {
            record::Read::Header(header) => header,
            record::Read::Short => return Outcome::Step(Step::More(0)),
            record::Read::Wrong => {
                mark_beyond_alert(side, note::facts(context.facts));
                if self.half(side).started {
                    return Outcome::Step(Step::Broken);
                }
                return self.first_of_another_kind(side, rest, context);
            }
        };
        self.silent = self.silent.saturating_add(1);
        let half = self.half(side);
        // Data before any handshake: joined late.
        half.opaque |= !half.started && header.content == record::APPLICATION_DATA;
        half.started = true;
        half.content = header.content;
        half.left = usize::from(header.length);
        half.alert_level = None;
        half.alert_length = header.length;
        if matches!(header.content, record::HANDSHAKE | record::APPLICATION_DATA) && half.changed_cipher {
            half.finished = true;
        }
        if header.content != record::ALERT {
            mark_beyond_alert(side, note::facts(context.facts));
        }
        if header.content == record::APPLICATION_DATA {
            self.data_record(side, header.length, note::facts(context.facts));
        }
        self.settle(context.facts);
        Outcome::Read(record::HEADER)
    }

    /// What `side` begins with is no record: SSL 2.0, or no TLS at all.
    fn first_of_another_kind(&mut self, side: Side, rest: &[u8], context: &mut Context<'_>) -> Outcome {
        let server_hello = match version2::client_hello(rest) {
            version2::Read::Message(hello, length) => {
                note::client_is(side, context.facts);
                note::facts(context.facts).client_hello = true;
                // What follows on this side is in the form that the server chooses.
                self.half(side).started = hello.version != version2::VERSION;
                self.half(side).from_hello = true;
                return Outcome::Read(length);
            }
            version2::Read::Short => return Outcome::Step(Step::More(0)),
            version2::Read::Wrong => version2::server_hello(rest),
        };
        match server_hello {
            version2::Read::Message(hello, length) => {
                self.version2 = true;
                note::client_is(side.other(), context.facts);
                let number = context
                    .certificates
                    .add(hello.certificate)
                    .filter(|_| !hello.certificate.is_empty());
                let tls = note::facts(context.facts);
                if !tls.server_hello {
                    tls.server_hello = true;
                    tls.version = version2::VERSION;
                    tls.resumed = hello.resumed;
                    tls.server_chain = number.into_iter().collect();
                }
                Outcome::Read(length)
            }
            version2::Read::Short => Outcome::Step(Step::More(0)),
            // The peer of a ClientHello that answers in something else: that is to be recognised in its own right.
            version2::Read::Wrong if self.peer(side).from_hello => Outcome::Step(Step::Switch(0)),
            version2::Read::Wrong => Outcome::Step(Step::Broken),
        }
    }

    /// After an SSL 2.0 ServerHello all that is left to see is that both sides went on: the client's key and Finished,
    /// the server's Verify and Finished.
    fn header_of_version2(&mut self, side: Side, rest: &[u8], facts: &mut Facts) -> Outcome {
        let Some((header, body)) = version2::record(rest) else {
            return Outcome::Step(Step::More(0));
        };
        let half = self.half(side);
        half.records = half.records.saturating_add(1);
        half.left = body;
        half.content = record::APPLICATION_DATA;
        self.silent = self.silent.saturating_add(1);
        if self.halves.iter().all(|half| half.records >= 2) {
            note::facts(facts).established = true;
        }
        Outcome::Read(header)
    }

    /// Octets of the record in progress; how many were taken.
    fn fragment(&mut self, side: Side, rest: &[u8], context: &mut Context<'_>) -> usize {
        let half = self.half(side);
        let part = rest.get(..half.left).unwrap_or(rest);
        half.left -= part.len();
        match half.content {
            record::CHANGE_CIPHER_SPEC => self.change_cipher_spec(side, note::facts(context.facts)),
            record::ALERT => self.alert(side, part, note::facts(context.facts)),
            record::HANDSHAKE if !half.opaque => self.handshake(side, part, context),
            _ => {}
        }
        part.len()
    }

    fn alert(&mut self, side: Side, part: &[u8], tls: &mut TlsFacts) {
        let half = self.half(side);
        // In clear an alert is two octets: level (2 = fatal) and description (RFC 5246 7.2).
        if half.changed_cipher || half.alert_length != 2 {
            return;
        }
        let level = match (half.alert_level, part.first()) {
            (None, Some(level)) => *half.alert_level.insert(*level),
            _ => return,
        };
        if level == 2 {
            if let Some(fatal) = tls.fatal_alert.get_mut(side.index()) {
                *fatal = true;
            }
        }
    }

    fn change_cipher_spec(&mut self, side: Side, tls: &mut TlsFacts) {
        if let Some(seen) = tls.change_cipher_spec.get_mut(side.index()) {
            *seen = true;
        }
        let (retry, hello_done) = (self.retry, self.hello_done);
        let half = self.half(side);
        if tls.client == Some(side.other()) {
            if !tls.server_hello && retry {
                return;
            }
            // RFC 5246 7.3: the server goes straight on to ChangeCipherSpec only when it takes up a session.
            let straight = half.from_hello && !hello_done && !half.sent_certificate && !half.changed_cipher;
            if tls.server_hello && straight && !note::hides_certificates(tls.version) {
                tls.resumed = true;
            }
        }
        half.changed_cipher = true;
        half.opaque = true;
    }

    /// TLS 1.3: everything after the hellos is in records of application data.
    fn data_record(&mut self, side: Side, length: u16, tls: &mut TlsFacts) {
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

    fn handshake(&mut self, side: Side, part: &[u8], context: &mut Context<'_>) {
        let half = self.half(side);
        let mut assembly = std::mem::take(&mut half.assembly);
        let mut fragment = part;
        if !half.handshake {
            half.handshake = true;
            // A side that does not begin with a hello was joined late; its first record may be under keys. Then what
            // stands for the type is any octet.
            if part.first().is_some_and(|kind| !is_message(*kind)) {
                half.opaque = true;
                return;
            }
        }
        while let Some(message) = assembly.next(&mut fragment) {
            self.message(side, &message, context);
            self.settle(context.facts);
        }
        self.half(side).assembly = assembly;
    }

    fn message(&mut self, side: Side, message: &Message<'_>, context: &mut Context<'_>) {
        self.silent = 0;
        match (message.kind, message.body) {
            (hello::CLIENT_HELLO, Some(body)) => {
                if let Some(hello) = ClientHello::read(Carrier::Tls, body) {
                    self.half(side).from_hello = true;
                    self.early_data |= hello.extension(hello::EARLY_DATA).is_some();
                    note::client_hello(&hello, true, side, context.facts);
                }
            }
            (DRAFT_HELLO_RETRY, Some(_)) if note::facts(context.facts).client_hello => self.retry = true,
            (hello::SERVER_HELLO, Some(body)) => match ServerHello::read(Carrier::Tls, body) {
                Some(hello) if hello.retry => {
                    self.retry = true;
                    note::client_is(side.other(), context.facts);
                }
                Some(hello) => {
                    self.half(side).from_hello = true;
                    note::server_hello(&hello, side, context.facts);
                    // Nothing in clear follows.
                    self.half(side).opaque |= note::hides_certificates(hello.chosen_version());
                }
                None => {}
            },
            (hello::CERTIFICATE, body) => {
                let half = self.half(side);
                half.sent_certificate = true;
                if let (None, Some(body)) = (&half.certificate, body) {
                    half.certificate = Some((note::shows_certificate(body), note::chain(body, context.certificates)));
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
                if !self.certificate_request && self.half(side).from_hello {
                    note::mutual(note::facts(context.facts), Mutual::No);
                }
            }
            (hello::CLIENT_KEY_EXCHANGE, _) => {
                note::client_is(side, context.facts);
                // RFC 5246 7.4.6: a client that is asked sends a Certificate, be it empty; only SSL 3.0 sent none.
                let half = self.half(side);
                if half.from_hello && !half.sent_certificate {
                    note::mutual(note::facts(context.facts), Mutual::No);
                }
            }
            (hello::CERTIFICATE_VERIFY, _) => note::client_is(side, context.facts),
            _ => {}
        }
    }

    /// What follows from facts that may come in either order.
    fn settle(&mut self, facts: &mut Facts) {
        let tls = note::facts(facts);
        let Some(client) = tls.client else { return };
        if let Some((shown, numbers)) = self.half(client).certificate.as_mut() {
            if tls.client_chain.is_empty() {
                tls.client_chain = std::mem::take(numbers);
            }
            note::mutual(tls, if *shown { Mutual::Yes } else { Mutual::No });
        }
        if let Some((_, numbers)) = self.half(client.other()).certificate.as_mut() {
            if tls.server_chain.is_empty() {
                tls.server_chain = std::mem::take(numbers);
            }
        }
        if tls.server_hello && !note::hides_certificates(tls.version) && self.halves.iter().all(|half| half.finished) {
            tls.established = true;
        }
    }

    /// A ClientHello that lost its end still names the client, and often the server.
    fn take_up_cut_hellos(&mut self, facts: &mut Facts) {
        for side in Side::BOTH {
            let Some(body) = self.half(side).cut_hello.take() else {
                continue;
            };
            if let Some(hello) = ClientHello::read(Carrier::Tls, &body) {
                note::client_hello(&hello, false, side, facts);
            }
        }
    }

    /// Nothing more can be learnt: established, or neither side was there from its hello on, or silence for long.
    fn is_over(&self, facts: &Facts) -> bool {
        let established = facts.tls.as_ref().is_some_and(|tls| tls.established);
        let late = self
            .halves
            .iter()
            .all(|half| half.opaque && !half.changed_cipher && !half.from_hello);
        let known = facts
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_hello || tls.server_hello);
        established || (late && !known) || self.silent > SILENT_RECORDS
    }
}

fn mark_beyond_alert(side: Side, tls: &mut TlsFacts) {
    if let Some(seen) = tls.beyond_alert.get_mut(side.index()) {
        *seen = true;
    }
}

/// Handshake types that go in clear in some version.
fn is_message(kind: u8) -> bool {
    matches!(
        kind,
        hello::HELLO_REQUEST
            | hello::CLIENT_HELLO
            | hello::SERVER_HELLO
            | hello::NEW_SESSION_TICKET
            | DRAFT_HELLO_RETRY
            | hello::CERTIFICATE..=hello::CLIENT_KEY_EXCHANGE
            | hello::CERTIFICATE_URL..=hello::SUPPLEMENTAL_DATA
    )
}
