//! The two directions of a TCP connection: asked of every probe until one protocol shows evidence, then fed to its reader
//! in order until that has nothing more to learn, hands over or breaks.

use super::{Piece, Shared, TELLING};
use crate::facts::{Facts, Side};
use crate::flow::stream::Stream;
use crate::proto::{
    dns, ftp, http, imap, kerberos, ldap, mssql, openvpn, pop3, pseudo_tls, rdp, sip, smb, smtp, socks, ssh, stun, tls,
    vnc, websocket, xmpp,
};
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

/// Octets of a TLS alert record that is not encrypted.
const ALERT_RECORD: usize = 7;

/// The first octets of one direction, in whatever segments and how often they came.
#[derive(Default)]
pub(super) struct Greeting {
    octets: [Option<u8>; ALERT_RECORD],
}

impl Greeting {
    /// `place`: of the payload's first octet in the stream. What was captured first stays.
    pub(super) fn note(&mut self, place: u32, payload: &[u8]) {
        for (known, octet) in (0_u32..).zip(&mut self.octets) {
            let fresh = payload.get(known.wrapping_sub(place) as usize).copied();
            *octet = octet.or(fresh);
        }
    }

    /// One TLS alert record (RFC 5246 §7.2).
    fn is_alert(&self) -> bool {
        let octets = self.octets.map(Option::unwrap_or_default);
        matches!(octets, [21, 3, 0..=4, 0, 2, 1 | 2, _]) && self.octets.iter().all(Option::is_some)
    }
}

#[derive(Default)]
pub(super) struct Streams {
    pub(super) streams: [Stream; 2],
    pub(super) greetings: [Greeting; 2],
    pub(super) reader: Option<Box<dyn StreamReader>>,
    /// No probe can match this side any more.
    pub(super) refused: [bool; 2],
    /// A hole came before what is pending.
    pub(super) holed: [bool; 2],
    /// A service was recognised there, and no hole came before it.
    pub(super) found: [bool; 2],
    pub(super) switches: u8,
    pub(super) placed: [bool; 2],
    /// Pending octets that the probes have seen without deciding.
    pub(super) probed: [usize; 2],
    /// Nothing more to learn; the streams only count what is missing.
    pub(super) over: bool,
}

impl Streams {
    pub(super) fn unrecognised(&self) -> bool {
        Side::BOTH.iter().any(|side| {
            let (index, stream) = (side.index(), &self.streams[side.index()]);
            self.refused[index] && stream.from_start() && !self.holed[index] && stream.delivered() >= TELLING
        })
    }

    /// Whether a service was recognised in a stream seen from its first byte. Asked late, as a SYN may be captured late.
    pub(super) fn recognised_from_start(&self) -> bool {
        (self.found.iter().zip(&self.streams)).any(|(found, stream)| *found && stream.from_start())
    }

    /// Whether a side sent one TLS alert and nothing behind it, as far as is known.
    pub(super) fn is_alert_alone(&self, side: Side) -> bool {
        let (stream, greeting) = (&self.streams[side.index()], &self.greetings[side.index()]);
        greeting.is_alert() && stream.delivered().saturating_add(stream.missed()) <= ALERT_RECORD as u64
    }

    /// Tells a side's stream where it begins, the first time a packet of it is seen. A SYN is always told: one that comes
    /// late proves that what came before it was the beginning.
    pub(super) fn place(&mut self, side: Side, piece: Piece<'_>) {
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
    pub(super) fn settle(&mut self, side: Side, facts: &mut Facts, shared: &mut Shared<'_>) -> bool {
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
            if self.drive(side, facts, shared) {
                return true;
            }
        }
        false
    }

    /// Lets the reader, or the probes, see what is pending. True when there is nothing more to learn.
    pub(super) fn drive(&mut self, side: Side, facts: &mut Facts, shared: &mut Shared<'_>) -> bool {
        if self.switches > SWITCH_LIMIT {
            return true;
        }
        let mut next = [side, side.other()];
        loop {
            if self.reader.is_none() {
                match self.probe(side, facts) {
                    Some((found, reader)) => {
                        self.found[found.index()] |= !self.holed[found.index()];
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
    pub(super) fn read(&mut self, order: [Side; 2], facts: &mut Facts, shared: &mut Shared<'_>) -> Step {
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

/// The order of the probes. Pseudo-TLS comes before TLS, whose first bytes it borrows; framed STUN and what
/// stands behind it last, because their evidence is the weakest.
const PROBES: [(Ask, Make); 20] = [
    (pseudo_tls::probe, make::<pseudo_tls::Reader>),
    (tls::probe, make::<tls::Reader>),
    (xmpp::probe, make::<xmpp::Reader>),
    (sip::probe, make::<sip::Reader>),
    (http::probe, make::<http::Reader>),
    (ssh::probe, make::<ssh::Reader>),
    (stun::probe, make::<stun::Reader>),
    (dns::probe, make::<dns::Reader>),
    (kerberos::probe, make::<kerberos::Reader>),
    (openvpn::probe, make::<openvpn::Reader>),
    (rdp::probe, make::<rdp::Reader>),
    (smb::probe, make::<smb::Reader>),
    (smtp::probe, make::<smtp::Reader>),
    (ftp::probe, make::<ftp::Reader>),
    (imap::probe, make::<imap::Reader>),
    (pop3::probe, make::<pop3::Reader>),
    (ldap::probe, make::<ldap::Reader>),
    (mssql::probe, || {
        Box::new(mssql::Reader::new(make::<tls::Reader>(), tls::probe))
    }),
    (socks::probe, make::<socks::Reader>),
    (vnc::probe, make::<vnc::Reader>),
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
