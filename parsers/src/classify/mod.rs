//! From bytes to service: who is asked in which order, what is kept while it is undecided, and when to stop.
//!
//! A TCP conversation is probed until one protocol shows real evidence in either direction; from then on that
//! protocol's reader is fed both directions in order until it has nothing more to learn, hands over (`Switch`: STARTTLS,
//! CONNECT, pseudo-TLS) or breaks. Then the buffers go and only counters remain. Datagrams each stand for themselves and
//! share a port (RFC 7983), so they are looked at for as long as the flow lives, each by its first byte.
//! Services come from bytes alone, never from ports.

mod datagram;
mod streams;

use crate::certificate::Certificates;
use crate::facts::{Facts, Side};
use crate::flow::stream::{Budget, Push, Stream};
use crate::proto::Context;
use datagram::Datagrams;
use streams::Streams;

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
        if let Talk::Stream(talk) = &self.talk {
            reading.from_start |= talk.recognised_from_start();
            reading.alert_only = Side::BOTH.map(|side| talk.is_alert_alone(side));
        }
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

    /// What is unrecognised by now stays so for want of trying.
    pub fn has_given_up(&self) -> bool {
        match &self.talk {
            Talk::Silent => false,
            Talk::Stream(talk) => talk.over,
            Talk::Datagrams(talk) => talk.has_given_up(),
        }
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
                over |= talk.settle(other, facts, shared);
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
            talk.greetings[side.index()].note(stream.place_of(seq), piece.payload);
            match stream.push(seq, piece.payload, piece.declared, shared.budget) {
                Push::Refused => return Heard::Refused,
                Push::Ready if !talk.over => over |= talk.drive(side, facts, shared),
                _ => {}
            }
            if !talk.over && !over {
                over |= talk.settle(side, facts, shared);
            }
        }
        if over {
            self.release(facts, shared.budget);
        }
        Heard::Taken
    }

    /// A datagram of `side`. cut: its end was not captured.
    pub fn datagram(&mut self, side: Side, payload: &[u8], cut: bool, facts: &mut Facts, shared: &mut Shared<'_>) {
        if let Talk::Silent = self.talk {
            self.talk = Talk::Datagrams(Box::default());
        }
        let Talk::Datagrams(talk) = &mut self.talk else { return };
        let mut context = Context {
            facts,
            certificates: shared.certificates,
            time: shared.time,
        };
        talk.read(side, payload, cut, &mut context);
        self.reading.from_start |= !facts.services().is_empty();
    }
}
