//! Both directions of a TLS connection, from the first record until nothing further can be learnt.
//!
//! Each side is a half of its own: where it is in the record layer, and in the messages inside. Octets are consumed as
//! they come, records and messages need not be whole. After a ChangeCipherSpec a side is opaque: its records are
//! counted by type only. A hole inside a record costs the content of one message; a hole over a record's end blinds that
//! side, and the answers that need what was lost stay open. A hello that began and lost its rest still proves TLS.

use super::assembly::{Assembly, DRAFT_HELLO_RETRY};
use super::exchange::Exchange;
use super::hello::{self, Carrier, ClientHello};
use super::{note, record, version2};
use crate::facts::{Facts, Service, Side, TlsFacts};
use crate::proto::fault::Fault;
use crate::proto::{Context, Step, StreamReader};

/// Records in a row that tell nothing new, after which no more is expected: the longest silence inside a handshake is
/// 1.3 early data (16 KiB by default, a handful of records), and a one-way capture never ends a handshake.
const SILENT_RECORDS: u32 = 64;

/// SSL 2.0: each end sends two records after its hello before it is done (key and Finished; Verify and Finished).
const VERSION2_RECORDS: u32 = 2;

#[derive(Debug, Default)]
struct Half {
    /// A record header of this side was read.
    started: bool,
    /// Where records begin is not known any more.
    blind: bool,
    /// Content type and length of the record in progress, and octets of it still to come.
    content: u8,
    length: u16,
    left: usize,
    /// First octet of an alert was read.
    alert_level: bool,
    assembly: Assembly,
    /// A ClientHello that will never be whole, as far as it came.
    cut_hello: Option<Vec<u8>>,
    /// Handshake records are under keys, or their messages cannot be told apart.
    opaque: bool,
    /// Octets of handshake were taken for messages.
    handshake: bool,
    /// SSL 2.0: records after the hello.
    records: u32,
}

/// `StreamReader` of TLS.
#[derive(Debug)]
pub struct Reader {
    halves: [Half; 2],
    exchange: Exchange,
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
        self.exchange.lost(side);
        let half = self.half(side);
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

impl Default for Reader {
    fn default() -> Self {
        Reader::new()
    }
}

impl Reader {
    pub fn new() -> Self {
        Reader {
            halves: Default::default(),
            exchange: Exchange::new(Carrier::Tls),
            version2: false,
            silent: 0,
        }
    }

    fn half(&mut self, side: Side) -> &mut Half {
        let [a, b] = &mut self.halves;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    /// A record header of `side` at the front of `rest`.
    fn header(&mut self, side: Side, rest: &[u8], context: &mut Context<'_>) -> Outcome {
        if self.version2 {
            return self.header_of_version2(side, rest, context.facts);
        }
        let header = match record::header(rest) {
            Ok(header) => header,
            Err(Fault::Short) => return Outcome::Step(Step::More(0)),
            Err(Fault::Wrong) => {
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
        half.length = header.length;
        half.left = usize::from(header.length);
        half.alert_level = false;
        if header.content != record::ALERT {
            mark_beyond_alert(side, note::facts(context.facts));
        }
        if matches!(header.content, record::HANDSHAKE | record::APPLICATION_DATA) {
            self.exchange.record(side, context.facts);
        }
        if header.content == record::APPLICATION_DATA {
            self.exchange
                .data_record(side, usize::from(header.length), note::facts(context.facts));
        }
        Outcome::Read(record::HEADER)
    }

    /// What `side` begins with is no record: SSL 2.0, or no TLS at all.
    fn first_of_another_kind(&mut self, side: Side, rest: &[u8], context: &mut Context<'_>) -> Outcome {
        match version2::client_hello(rest) {
            Ok((hello, length)) => {
                note::client_is(side, context.facts);
                note::facts(context.facts).client_hello = true;
                // What follows on this side is in the form that the server chooses.
                self.half(side).started = hello.version != version2::VERSION;
                self.exchange.began(side);
                return Outcome::Read(length);
            }
            Err(Fault::Short) => return Outcome::Step(Step::More(0)),
            Err(Fault::Wrong) => {}
        }
        match version2::server_hello(rest) {
            Ok((hello, length)) => {
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
            Err(Fault::Short) => Outcome::Step(Step::More(0)),
            // The peer of a ClientHello that answers in something else: that is to be recognised in its own right.
            Err(Fault::Wrong) if self.exchange.is_from_hello(side.other()) => Outcome::Step(Step::Switch(0)),
            Err(Fault::Wrong) => Outcome::Step(Step::Broken),
        }
    }

    /// After an SSL 2.0 ServerHello all that is left to see is that both sides went on.
    fn header_of_version2(&mut self, side: Side, rest: &[u8], facts: &mut Facts) -> Outcome {
        let Some((header, body)) = version2::record(rest) else {
            return Outcome::Step(Step::More(0));
        };
        let half = self.half(side);
        half.records = half.records.saturating_add(1);
        half.left = body;
        half.content = record::APPLICATION_DATA;
        self.silent = self.silent.saturating_add(1);
        if self.halves.iter().all(|half| half.records >= VERSION2_RECORDS) {
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
            record::CHANGE_CIPHER_SPEC => {
                let hides = self.exchange.change_cipher_spec(side, note::facts(context.facts));
                self.half(side).opaque |= hides;
            }
            record::ALERT => self.alert(side, part, note::facts(context.facts)),
            record::HANDSHAKE if !half.opaque => self.handshake(side, part, context),
            _ => {}
        }
        part.len()
    }

    fn alert(&mut self, side: Side, part: &[u8], tls: &mut TlsFacts) {
        let changed = self.exchange.has_changed_cipher(side);
        let half = self.half(side);
        // In clear an alert is two octets: level (2 = fatal) and description (RFC 5246 7.2).
        if changed || half.length != 2 || half.alert_level {
            return;
        }
        half.alert_level = true;
        if part.first() == Some(&2) {
            if let Some(fatal) = tls.fatal_alert.get_mut(side.index()) {
                *fatal = true;
            }
        }
    }

    fn handshake(&mut self, side: Side, part: &[u8], context: &mut Context<'_>) {
        let half = self.half(side);
        if !half.handshake {
            half.handshake = true;
            // A side that does not begin with a hello was joined late; its first record may be under keys. Then what
            // stands for the type is any octet.
            if part.first().is_some_and(|kind| !is_message(*kind)) {
                half.opaque = true;
                return;
            }
        }
        let mut assembly = std::mem::take(&mut half.assembly);
        let mut fragment = part;
        while let Some(message) = assembly.next(&mut fragment) {
            self.silent = 0;
            if message.body.is_some() {
                // Whole, it speaks for itself.
                note::begun_hello(None, side, context.facts);
            }
            let hidden = self.exchange.message(side, message.kind, message.body, context);
            self.half(side).opaque |= hidden;
        }
        if let Some(client) = assembly.partial().and_then(|begun| client_by(side, begun)) {
            note::begun_hello(Some(client), side, context.facts);
        }
        self.half(side).assembly = assembly;
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
        let (established, known) = match &facts.tls {
            Some(tls) => (tls.established, tls.client.is_some()),
            None => (false, false),
        };
        let late = !known && self.halves.iter().all(|half| half.opaque);
        established || late || self.silent > SILENT_RECORDS
    }
}

fn mark_beyond_alert(side: Side, tls: &mut TlsFacts) {
    if let Some(seen) = tls.beyond_alert.get_mut(side.index()) {
        *seen = true;
    }
}

/// The client by a hello of `side` that has begun: its kind, and a body as far as the version (RFC 5246 7.4.1).
fn client_by(side: Side, (kind, body): (u8, &[u8])) -> Option<Side> {
    let version = body.first_chunk().map(|octets| u16::from_be_bytes(*octets))?;
    match kind {
        _ if !Carrier::Tls.speaks(version) => None,
        hello::CLIENT_HELLO => Some(side),
        hello::SERVER_HELLO => Some(side.other()),
        _ => None,
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
