//! One sensor: captures in, ended flows out. The only place where the layers meet.
//!
//! Captures of one sensor are merged in packet time: a packet is taken only when every open capture has one to offer, so
//! that any chunking gives the same order; live, the caller's clock says how far nobody waits any more. Each packet is
//! counted exactly once under one name (`ledger`), and the names add up to the packets read. Ended flows become `Record`s
//! with their observation interned; the caller takes them in batches. Live, flows leave in several rows (`live`).

mod gather;
mod icmp;
mod intake;
mod ledger;
mod live;

use std::sync::Arc;

use gather::Core;
pub use ledger::{Accounting, Ledger, Quality, Totals, ACCOUNTING, QUALITY};

use crate::capture::filter::Program;
use crate::capture::{Capture, Next, Peek};
use crate::certificate::Certificates;
use crate::flow::record::Record;
use crate::observation::Observation;
use crate::tables::Tables;

pub struct Limits {
    pub max_flows: usize,
    pub stream_memory: usize,
    /// First packets of a flow whose places are kept.
    pub positions: usize,
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// Live: a flow's packets leave in a row after so many ns, also where nothing else changes.
    pub part: Option<i64>,
    /// Whether records have what joins the legs of one conversation.
    pub joins: bool,
}

pub struct Engine {
    captures: Vec<Capture>,
    core: Core,
    /// Up to this time packets are taken without waiting for captures that have none.
    advanced: i64,
}

impl Engine {
    pub fn new(tables: Arc<Tables>, limits: Limits) -> Engine {
        Engine {
            captures: Vec::new(),
            core: Core::new(tables, limits),
            advanced: i64::MIN,
        }
    }

    /// Announces a capture; only its pcapng interface `interface` is read, if given.
    pub fn add_capture(&mut self, interface: Option<u32>) -> u32 {
        self.add(Capture::new(interface))
    }

    /// Announces a live interface, fed whole blocks of its ring.
    pub fn add_ring(&mut self) -> u32 {
        self.add(Capture::ring())
    }

    fn add(&mut self, capture: Capture) -> u32 {
        self.captures.push(capture);
        self.core.ledgers.push(Ledger::default());
        u32::try_from(self.captures.len() - 1).unwrap_or(u32::MAX)
    }

    /// Only packets that the program of their link type wants are looked at.
    pub fn filter(&mut self, link: u16, program: Program) {
        self.core.filter(link, program);
    }

    pub fn capture(&self, number: u32) -> Option<(&Capture, &Ledger)> {
        Some((
            self.captures.get(number as usize)?,
            self.core.ledgers.get(number as usize)?,
        ))
    }

    /// The next block of a capture. False if there is no such capture.
    pub fn feed(&mut self, number: u32, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            let Some(capture) = self.captures.get_mut(number as usize) else {
                return false;
            };
            let (piece, behind) = rest.split_at(rest.len().min(capture.portion()));
            capture.feed(piece);
            self.run();
            rest = behind;
            if rest.is_empty() {
                return true;
            }
        }
    }

    /// No more bytes of a capture will come. False if there is no such capture.
    pub fn finish(&mut self, number: u32) -> bool {
        let Some(capture) = self.captures.get_mut(number as usize) else {
            return false;
        };
        capture.finish();
        self.run();
        true
    }

    /// The capture that must be fed before packet time can go on.
    pub fn wants(&mut self) -> Option<u32> {
        let waiting = self
            .captures
            .iter_mut()
            .position(|capture| matches!(capture.peek(), Peek::NeedMore))?;
        u32::try_from(waiting).ok()
    }

    /// It is `time`: packets up to it are taken even where another capture has none, and flows that are over by then end.
    /// A packet that comes later and is older is taken all the same. A clock that was set back is believed: by the time
    /// before, every flow would be over at once.
    pub fn advance(&mut self, time: i64) {
        self.advanced = time;
        self.run();
        self.core.advance(time);
    }

    /// Takes packets in the order of time as long as every open capture has one, or need not have.
    fn run(&mut self) {
        if let [only] = self.captures.as_mut_slice() {
            while let Next::Packet(packet) = only.next_packet() {
                self.core.packet(0, packet);
            }
            return;
        }
        loop {
            let mut earliest: Option<(i64, usize)> = None;
            let mut waiting = false;
            for (number, capture) in self.captures.iter_mut().enumerate() {
                match capture.peek() {
                    Peek::NeedMore => waiting = true,
                    Peek::End => {}
                    Peek::Time(time) => {
                        if earliest.is_none_or(|(best, _)| time < best) {
                            earliest = Some((time, number));
                        }
                    }
                }
            }
            let Some((time, number)) = earliest else { return };
            if waiting && time > self.advanced {
                return;
            }
            let Some(capture) = self.captures.get_mut(number) else {
                return;
            };
            if let Next::Packet(packet) = capture.next_packet() {
                self.core.packet(number, packet);
            }
        }
    }

    /// The end of all captures: every flow ends, fragments that were never completed are given up.
    pub fn close(&mut self) {
        self.core.close();
    }

    /// Flows that ended since the last call, at most `limit`, in the order (end, start, five-tuple); live, also those whose
    /// observation changed or whose part is due. Empty when there are no more.
    pub fn take(&mut self, limit: usize) -> Vec<Record> {
        self.core.drain(limit);
        self.core.report(limit);
        let ended = &mut self.core.ended;
        ended.sort_by_cached_key(|record| {
            let (source, destination) = (&record.source, &record.destination);
            (
                record.end,
                // Rows of one flow in their order.
                record.part.map(|part| part.number),
                record.start,
                source.address,
                source.port,
                destination.address,
                destination.port,
                record.transport,
                record.frame,
            )
        });
        let rest = ended.split_off(limit.min(ended.len()));
        std::mem::replace(ended, rest)
    }

    pub fn certificates(&self) -> &Certificates {
        &self.core.certificates
    }

    pub fn observations(&self) -> &[Observation] {
        self.core.observations.all()
    }

    pub fn totals(&self) -> Totals {
        self.core.totals
    }

    /// Flows that have not ended yet.
    pub fn live(&self) -> usize {
        self.core.table.len()
    }
}
