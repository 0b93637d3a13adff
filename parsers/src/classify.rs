//! From bytes to service: who is asked in which order, what is kept while it is undecided, and when to stop.
//!
//! A TCP conversation is probed until one protocol shows real evidence in either direction; from then on that
//! protocol's reader is fed both directions in order until it has nothing more to learn, hands over (`Switch`: STARTTLS,
//! CONNECT, pseudo-TLS) or breaks. Then the buffers go and only counters remain. Datagrams each stand for themselves and
//! share a port (RFC 7983), so they are looked at for as long as the flow lives, each by its first byte.
//! Services come from bytes alone, never from ports.

use crate::certificate::Certificates;
use crate::facts::{Facts, Service, Side};
use crate::flow::stream::{Budget, Push, Stream};
use crate::proto::{dns, dtls, http, pseudo_tls, quic, rtp, sip, ssh, stun, tls, websocket, xmpp};
use crate::proto::{Context, Probe, Step, StreamReader};

/// Octets of one direction after which an undecided probe counts as a no: the longest that any probe needs is one whole
/// TLS record of a session joined late (RFC 5246 §6.2.3) and the header of the next.
const PROBE_LIMIT: usize = 18_442;
/// From so many octets on, an undecided probe is asked again only when a line or tag has ended or a quarter more has
/// come: a trickled request line is then read a few times, not once per octet.
const PATIENCE: usize = 256;
/// Unconsumed octets of one direction that a reader may wait on: four TLS records; no header of ours is longer.
const PENDING_LIMIT: usize = 65_536;
/// Protocol changes in one conversation: XMPP → TLS is one, pseudo-TLS → TURN is one, CONNECT → TLS is one.
const SWITCH_LIMIT: u8 = 4;
/// Datagrams of a flow that are shown to the slower probes while nothing is recognised.
const DATAGRAM_PROBES: u32 = 64;
/// Datagrams of a recognised flow that its reader is shown: first facts stand early.
const DATAGRAM_READS: u32 = 256;
/// Datagrams that may be RTP and still wait for those behind them: three in order make a source (`rtp`), in each of two
/// directions, and twice as many are needed where some are lost or overtaken. Beyond, they count as unrecognised.
const PERHAPS_MEDIA: u32 = 12;
/// Octets from the first byte of a stream after which "nothing recognised" is a statement.
const TELLING: u64 = 64;

/// What is shared by all flows of an engine while a packet is looked at.
pub struct Shared<'a> {
    pub budget: &'a mut Budget,
    pub certificates: &'a mut Certificates,
    /// Packet time, ns.
    pub time: i64,
}

/// How far the bytes could be read; feeds the observation's `evidence`.
#[derive(Debug, Default, Clone, Copy)]
pub struct Reading {
    /// A service was recognised in a stream seen from its first byte.
    pub from_start: bool,
    /// Seen from the first byte, `TELLING` octets or more, and nothing recognised.
    pub unrecognised: bool,
    /// That side sent one TLS alert and nothing else.
    pub alert_only: [bool; 2],
}

#[derive(Default)]
enum Talk {
    #[default]
    Silent,
    Stream(Box<Streams>),
    Datagrams(Box<Datagrams>),
}

#[derive(Default)]
pub struct Conversation {
    talk: Talk,
    reading: Reading,
}

#[derive(Default)]
struct Streams {
    streams: [Stream; 2],
    reader: Option<Box<dyn StreamReader>>,
    /// No probe can match this side any more.
    refused: [bool; 2],
    /// A hole came before what is pending.
    holed: [bool; 2],
    switches: u8,
    placed: [bool; 2],
    /// Pending octets that the probes have seen without deciding.
    probed: [usize; 2],
    /// Nothing more to learn; the streams only count what is missing.
    over: bool,
}

#[derive(Default)]
struct Datagrams {
    rtp: rtp::State,
    dtls: dtls::State,
    quic: quic::State,
    count: u32,
    /// Datagrams that may be the first of a media source.
    perhaps_media: u32,
    /// Of datagrams that nothing can be made of.
    octets: u64,
}

/// A TCP segment's payload and where it belongs.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    pub seq: u32,
    pub syn: bool,
    pub fin: bool,
    /// Acknowledgement number, if the ACK flag is set.
    pub ack: Option<u32>,
    pub payload: &'a [u8],
    /// Length by the header; more than the payload where the snap length cut it.
    pub declared: u32,
    /// Initial sequence numbers as far as the headers told, of this side and the other.
    pub isn: [Option<u32>; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Taken,
    /// The memory pool is full: make room and offer the segment again, or release this conversation.
    Refused,
}

impl Conversation {
    pub fn reading(&self, facts: &Facts) -> Reading {
        let mut reading = self.reading;
        if facts.services().is_empty() {
            match &self.talk {
                Talk::Stream(talk) => reading.unrecognised |= talk.unrecognised(),
                Talk::Datagrams(talk) => reading.unrecognised |= talk.octets >= TELLING,
                Talk::Silent => {}
            }
        }
        reading
    }

    /// Whether buffers may be held that the memory budget wants back.
    pub fn is_undecided(&self) -> bool {
        matches!(&self.talk, Talk::Stream(talk) if !talk.over)
    }

    /// No payload was seen.
    pub fn is_silent(&self) -> bool {
        matches!(self.talk, Talk::Silent)
    }

    /// Octets of both directions that never came.
    pub fn missed(&self) -> u64 {
        match &self.talk {
            Talk::Stream(talk) => talk.streams.iter().map(Stream::missed).fold(0, u64::saturating_add),
            _ => 0,
        }
    }

    /// Gives up reading: the budget is spent or nothing more is to be learnt.
    pub fn release(&mut self, facts: &Facts, budget: &mut Budget) {
        self.reading = self.reading(facts);
        if let Talk::Stream(talk) = &mut self.talk {
            talk.over = true;
            talk.reader = None;
            for stream in &mut talk.streams {
                stream.release(budget);
            }
        }
    }

    /// The flow has ended: everything is given back, and what was sent unseen counts as missed.
    pub fn end(&mut self, facts: &mut Facts, shared: &mut Shared<'_>) {
        if let Talk::Stream(talk) = &mut self.talk {
            if let Some(reader) = &mut talk.reader {
                // A message that lost its end in a hole is taken up at the next call, and no other will come.
                for side in Side::BOTH {
                    let mut context = Context {
                        facts: &mut *facts,
                        certificates: &mut *shared.certificates,
                        time: shared.time,
                    };
                    reader.advance(side, &[], &mut context);
                }
            }
        }
        let budget = &mut *shared.budget;
        self.release(facts, budget);
        if let Talk::Stream(talk) = &mut self.talk {
            for stream in &mut talk.streams {
                stream.end(budget);
            }
        }
    }

    /// A TCP segment of `side`.
    pub fn segment(&mut self, side: Side, piece: Piece<'_>, facts: &mut Facts, shared: &mut Shared<'_>) -> Heard {
        let other = side.other();
        if let Talk::Silent = self.talk {
            // Most flows of a scan never carry a byte: nothing is kept for them.
            if piece.declared == 0 {
                return Heard::Taken;
            }
            let mut talk = Box::<Streams>::default();
            if let [_, Some(isn)] = piece.isn {
                talk.streams[other.index()].syn(isn);
                talk.placed[other.index()] = true;
            }
            self.talk = Talk::Stream(talk);
        }
        let Talk::Stream(talk) = &mut self.talk else {
            return Heard::Taken;
        };
        let mut over = false;
        talk.place(side, piece);
        if let Some(ack) = piece.ack {
            if talk.streams[other.index()].acked(ack) && !talk.over {
                over |= talk.settle(other, facts, shared, &mut self.reading);
            }
        }
        let seq = if piece.syn {
            piece.seq.wrapping_add(1)
        } else {
            piece.seq
        };
        if piece.fin {
            talk.streams[side.index()].fin(seq.wrapping_add(piece.declared));
        }
        if piece.declared > 0 {
            let stream = &mut talk.streams[side.index()];
            if stream.delivered() == 0 {
                self.reading.alert_only[side.index()] = is_lone_alert(piece.payload);
            }
            match stream.push(seq, piece.payload, piece.declared, shared.budget) {
                Push::Refused => return Heard::Refused,
                Push::Ready if !talk.over => over |= talk.drive(side, facts, shared, &mut self.reading),
                _ => {}
            }
            if !talk.over && !over {
                over |= talk.settle(side, facts, shared, &mut self.reading);
            }
        }
        if over {
            self.release(facts, shared.budget);
        }
        Heard::Taken
    }

    /// A datagram of `side`.
    pub fn datagram(&mut self, side: Side, payload: &[u8], facts: &mut Facts, shared: &mut Shared<'_>) {
        if let Talk::Silent = self.talk {
            self.talk = Talk::Datagrams(Box::default());
        }
        let Talk::Datagrams(talk) = &mut self.talk else { return };
        talk.count = talk.count.saturating_add(1);
        if facts.services().is_empty() {
            if talk.perhaps_media < PERHAPS_MEDIA && rtp::probe_datagram(payload) {
                talk.perhaps_media += 1;
            } else {
                talk.octets = talk.octets.saturating_add(payload.len() as u64);
            }
        }
        let mut context = Context {
            facts,
            certificates: shared.certificates,
            time: shared.time,
        };
        talk.read(side, payload, &mut context);
        self.reading.from_start |= !facts.services().is_empty();
    }
}

/// One TLS alert record and nothing behind it (RFC 5246 §7.2).
fn is_lone_alert(payload: &[u8]) -> bool {
    matches!(payload, [21, 3, 0..=4, 0, 2, 1 | 2, _])
}

impl Datagrams {
    fn read(&mut self, side: Side, payload: &[u8], context: &mut Context<'_>) {
        let Some(&first) = payload.first() else { return };
        let facts = &*context.facts;
        let nothing = facts.services().is_empty();
        if facts.has(Service::Sip) {
            if self.count <= DATAGRAM_READS && sip::probe_datagram(payload) {
                sip::read_datagram(side, payload, context);
            }
            return;
        }
        if facts.has(Service::Dns) {
            return;
        }
        if facts.has(Service::Quic) {
            if self.count <= DATAGRAM_READS {
                quic::read(side, payload, &mut self.quic, context);
            }
            return;
        }
        if matches!(first, 0..=3 | 0xff) && stun::probe_datagram(payload) {
            stun::read_datagram(side, payload, context);
            return;
        }
        if facts.has(Service::Dtls) || (20..64).contains(&first) {
            let known = facts.has(Service::Dtls) && first < 128;
            if (known && self.count <= DATAGRAM_READS) || dtls::probe(payload) {
                dtls::read(side, payload, &mut self.dtls, context);
                return;
            }
        }
        if nothing && self.count <= DATAGRAM_PROBES {
            if quic::probe(payload) {
                quic::read(side, payload, &mut self.quic, context);
                return;
            }
            if dns::probe_datagram(payload) {
                dns::read_datagram(side, payload, context);
                return;
            }
            if sip::probe_datagram(payload) {
                sip::read_datagram(side, payload, context);
                return;
            }
        }
        if (128..192).contains(&first) {
            rtp::read_datagram(side, payload, &mut self.rtp, context);
        }
    }
}

impl Streams {
    fn unrecognised(&self) -> bool {
        Side::BOTH.iter().any(|side| {
            let (index, stream) = (side.index(), &self.streams[side.index()]);
            self.refused[index] && stream.from_start() && !self.holed[index] && stream.delivered() >= TELLING
        })
    }

    /// Tells a side's stream where it begins, the first time a packet of it is seen. A SYN is always told: one that comes
    /// late proves that what came before it was the beginning.
    fn place(&mut self, side: Side, piece: Piece<'_>) {
        let stream = &mut self.streams[side.index()];
        if piece.syn {
            stream.syn(piece.seq);
        } else if !self.placed[side.index()] {
            match piece.isn[0] {
                Some(isn) => stream.syn(isn),
                None => stream.start_at(piece.seq),
            }
        }
        self.placed[side.index()] = true;
    }

    /// Gives up the holes of `side` that nothing can fill any more, reading on behind each. True as `drive`.
    fn settle(&mut self, side: Side, facts: &mut Facts, shared: &mut Shared<'_>, reading: &mut Reading) -> bool {
        let index = side.index();
        while self.streams[index].gap_is_final() {
            let Some(lost) = self.streams[index].skip_gap(shared.budget) else {
                return false;
            };
            self.holed[index] = true;
            self.refused[index] = false;
            self.probed[index] = 0;
            if self.reader.as_mut().is_some_and(|reader| !reader.gap(side, lost)) {
                return true; // what was learnt stays
            }
            if self.drive(side, facts, shared, reading) {
                return true;
            }
        }
        false
    }

    /// Lets the reader, or the probes, see what is pending. True when there is nothing more to learn.
    fn drive(&mut self, side: Side, facts: &mut Facts, shared: &mut Shared<'_>, reading: &mut Reading) -> bool {
        if self.switches > SWITCH_LIMIT {
            return true;
        }
        let mut next = [side, side.other()];
        loop {
            if self.reader.is_none() {
                match self.probe(side, facts) {
                    Some((found, reader)) => {
                        reading.from_start |= self.streams[found.index()].from_start() && !self.holed[found.index()];
                        self.reader = Some(reader);
                        next = [found, found.other()];
                    }
                    None => return self.is_hopeless(),
                }
            }
            match self.read(next, facts, shared) {
                Step::More(_) => return false,
                Step::Done | Step::Broken => return true,
                Step::Switch(_) => {
                    self.switches += 1;
                    self.reader = facts
                        .http
                        .as_ref()
                        .is_some_and(|http| http.upgraded_websocket)
                        .then(|| {
                            Box::new(websocket::Reader::new(sip::probe_datagram, sip::read_datagram))
                                as Box<dyn StreamReader>
                        });
                    self.refused = [false; 2];
                    self.probed = [0; 2];
                    if self.switches > SWITCH_LIMIT {
                        return true;
                    }
                }
            }
        }
    }

    /// Feeds the reader both sides until neither moves.
    fn read(&mut self, order: [Side; 2], facts: &mut Facts, shared: &mut Shared<'_>) -> Step {
        let Some(reader) = &mut self.reader else {
            return Step::More(0);
        };
        loop {
            let mut moved = false;
            for side in order {
                let stream = &mut self.streams[side.index()];
                while !stream.pending().is_empty() {
                    let mut context = Context {
                        facts,
                        certificates: shared.certificates,
                        time: shared.time,
                    };
                    let pending = stream.pending();
                    let available = pending.len();
                    match reader.advance(side, pending, &mut context) {
                        Step::More(0) if available > PENDING_LIMIT => return Step::Broken,
                        Step::More(0) => break,
                        Step::More(count) => {
                            stream.consume(count.min(available), shared.budget);
                            moved = true;
                        }
                        Step::Switch(count) => {
                            stream.consume(count.min(available), shared.budget);
                            return Step::Switch(0);
                        }
                        end => return end,
                    }
                }
            }
            if !moved {
                return Step::More(0);
            }
        }
    }

    /// Asks all probes about both sides, the one that spoke last first.
    fn probe(&mut self, side: Side, facts: &Facts) -> Option<(Side, Box<dyn StreamReader>)> {
        let framed = facts.pseudo_tls.hello || facts.pseudo_tls.reply;
        for side in [side, side.other()] {
            let index = side.index();
            let pending = self.streams[index].pending();
            if self.refused[index] || pending.is_empty() || !is_worth_asking(pending, self.probed[index]) {
                continue;
            }
            self.probed[index] = pending.len();
            let answer = match framed.then(|| stun::probe_after_pseudo_tls(pending)) {
                Some(Probe::Yes) => Ok(make::<stun::Reader>()),
                Some(Probe::More) => Err(Probe::More),
                _ => probe_stream(pending),
            };
            match answer {
                Ok(reader) => return Some((side, reader)),
                Err(Probe::More) if pending.len() < PROBE_LIMIT => {}
                Err(_) => self.refused[index] = true,
            }
        }
        None
    }

    /// Nothing will be recognised any more: both sides refused, or one did and sent so much that waiting for the other
    /// side's first word costs more than it can tell.
    fn is_hopeless(&self) -> bool {
        let [a, b] = self.refused;
        let long = |side: usize| self.refused[side] && self.streams[side].delivered() >= PROBE_LIMIT as u64;
        (a && b) || long(0) || long(1)
    }
}

/// Whether the probes may say something new of `pending`, of which they have seen the first `seen` octets.
fn is_worth_asking(pending: &[u8], seen: usize) -> bool {
    let fresh = pending.get(seen..).unwrap_or_default();
    pending.len() < PATIENCE
        || fresh.len() >= seen / 4
        || pending.len() >= PROBE_LIMIT
        || fresh.iter().any(|octet| matches!(octet, b'\n' | b'>'))
}

type Ask = fn(&[u8]) -> Probe;
type Make = fn() -> Box<dyn StreamReader>;

fn make<R: StreamReader + Default + 'static>() -> Box<dyn StreamReader> {
    Box::<R>::default()
}

/// The order of the probes. Pseudo-TLS comes before TLS, whose first bytes it borrows; framed STUN last, because its
/// evidence is the weakest.
const PROBES: [(Ask, Make); 8] = [
    (pseudo_tls::probe, make::<pseudo_tls::Reader>),
    (tls::probe, make::<tls::Reader>),
    (xmpp::probe, make::<xmpp::Reader>),
    (sip::probe, make::<sip::Reader>),
    (http::probe, make::<http::Reader>),
    (ssh::probe, make::<ssh::Reader>),
    (stun::probe, make::<stun::Reader>),
    (dns::probe, make::<dns::Reader>),
];

/// The reader whose probe matches; `Err(More)` while one of them still may.
fn probe_stream(bytes: &[u8]) -> Result<Box<dyn StreamReader>, Probe> {
    let mut outcome = Probe::No;
    for (place, (probe, make)) in PROBES.into_iter().enumerate() {
        match probe(bytes) {
            Probe::Yes => return Ok(make()),
            // TLS would say yes to the first bytes of a pseudo-TLS hello.
            Probe::More if place == 0 => return Err(Probe::More),
            Probe::More => outcome = Probe::More,
            Probe::No => {}
        }
    }
    Err(outcome)
}
