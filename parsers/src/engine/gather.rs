//! Packets into flows: from the transport header of a packet (`intake` let it in) through the flow table and the reading
//! of its bytes to the record of the flow that it belonged to.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ledger::{Ledger, Totals};
use super::live::Live;
use super::Limits;
use crate::capture::filter::Program;
use crate::certificate::Certificates;
use crate::classify::{Heard, Piece as StreamPiece, Shared};
use crate::community_id::icmp_ports;
use crate::flow::budget::{Budget, PAGE};
use crate::flow::continued::Continued;
use crate::flow::duplicate::Duplicates;
use crate::flow::key::Key;
use crate::flow::record::Record;
use crate::flow::table::{Flow, Table};
use crate::flow::tcp::{Segment, ACK, FIN, RST, SYN};
use crate::observation::{self, Baggage, Known, Observations};
use crate::packet::fragment::Fragments;
use crate::packet::{sctp, Decoded, Ip, Tcp, Transport, Tunnels};
use crate::tables::Tables;

/// A place packs the capture's number above the file offset. No file has 2^48 octets (256 TiB); what a ring was fed in
/// weeks may, and goes round.
const PLACE_SHIFT: u32 = 48;
const PLACE_OFFSET: u64 = (1 << PLACE_SHIFT) - 1;
/// ns. A two-way flow that began so long after the sensor did was opened by its first sender.
const SETTLED: i64 = 120_000_000_000;

pub(super) struct Core {
    pub(super) tables: Arc<Tables>,
    pub(super) limits: Limits,
    pub ledgers: Vec<Ledger>,
    pub table: Table,
    pub(super) fragments: Fragments,
    pub(super) duplicates: Duplicates,
    budget: Budget,
    pub certificates: Certificates,
    /// Flows that hold buffers, oldest first.
    undecided: VecDeque<(u32, u32)>,
    /// Who opened flows over UDP that have ended.
    continued: Continued,
    /// By link type; none = every packet is wanted.
    pub(super) filters: Vec<(u16, Program)>,
    pub ended: Vec<Record>,
    pub observations: Observations,
    pub totals: Totals,
    /// Time of the sensor's first packet, or of the first one after a long silence.
    pub(super) watching_since: i64,
    /// Time of the packet before.
    pub(super) latest: Option<i64>,
    /// What the caller's clock said last.
    pub(super) now: i64,
    pub(super) closing: bool,
    /// None in an audit of files.
    pub(super) live: Option<Live>,
}

/// Where and when a packet was captured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) time: i64,
    pub(super) capture: u32,
    pub(super) frame: u64,
    pub(super) offset: u64,
}

/// What a packet adds to its flow.
pub(super) struct Share<'a> {
    pub(super) key: Key,
    pub(super) forward: bool,
    /// The flow's first side is the receiver of this packet (an ICMP error made the flow).
    pub(super) reversed: bool,
    /// It is part of the conversation: no reset, and no ICMP error about it.
    pub(super) speaks: bool,
    pub(super) pieces: &'a [(Origin, u32)],
    pub(super) payload: u32,
    pub(super) cut: bool,
    pub(super) vlan: [Option<u16>; 2],
    pub(super) tunnels: &'a Tunnels,
}

impl Core {
    pub fn new(tables: Arc<Tables>, limits: Limits) -> Core {
        Core {
            table: Table::new(limits.max_flows),
            budget: Budget::new(limits.stream_memory),
            live: limits.part.map(Live::new),
            tables,
            limits,
            ledgers: Vec::new(),
            fragments: Fragments::default(),
            duplicates: Duplicates::default(),
            certificates: Certificates::default(),
            undecided: VecDeque::new(),
            continued: Continued::default(),
            filters: Vec::new(),
            ended: Vec::new(),
            observations: Observations::new(observation::LIMIT),
            totals: Totals::default(),
            watching_since: 0,
            latest: None,
            now: i64::MIN,
            closing: false,
        }
    }

    pub(super) fn ledger(&mut self, capture: u32) -> &mut Ledger {
        let index = capture as usize;
        if index >= self.ledgers.len() {
            self.ledgers.resize(index + 1, Ledger::default());
        }
        &mut self.ledgers[index]
    }

    pub(super) fn upper(&mut self, pieces: &[(Origin, u32)], decoded: &Decoded<'_>, ip: &Ip<'_>, layer: Transport<'_>) {
        let (source, destination, protocol) = (ip.source, ip.destination, ip.protocol);
        let share = |ports: (u16, u16), one_way: bool, payload: u32| {
            let (key, forward) = Key::new(source, ports.0, destination, ports.1, protocol, one_way);
            Share {
                key,
                forward,
                reversed: false,
                speaks: !matches!(&layer, Transport::Tcp(tcp) if tcp.flags & RST != 0),
                pieces,
                payload,
                cut: ip.cut,
                vlan: decoded.vlan,
                tunnels: &decoded.tunnels,
            }
        };
        match layer {
            // What of a segment is payload is counted there.
            Transport::Tcp(tcp) => self.tcp(share((tcp.source_port, tcp.destination_port), false, 0), &tcp),
            Transport::Udp {
                source_port,
                destination_port,
                payload,
                ..
            } => {
                let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                let share = share((source_port, destination_port), false, length);
                let forward = share.forward;
                if let Some(slot) = self.count(share) {
                    self.datagram(slot, forward, payload, ip.cut);
                }
            }
            Transport::Icmp {
                quoted: Some(quoted), ..
            } => self.icmp_error(pieces, decoded, ip, &quoted),
            Transport::Icmp {
                kind, code, payload, ..
            } => {
                let (from, to, one_way) = icmp_ports(ip.version, kind, code);
                let share = share((from, to), one_way, u32::try_from(payload.len()).unwrap_or(u32::MAX));
                let forward = share.forward;
                if let Some(slot) = self.count(share) {
                    self.icmp_opener(slot, forward, ip.version, kind);
                }
            }
            Transport::Sctp {
                source_port,
                destination_port,
                payload,
            } => {
                let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                let share = share((source_port, destination_port), false, length);
                let forward = share.forward;
                if let Some(slot) = self.count(share) {
                    for message in sctp::messages(payload) {
                        self.datagram(slot, forward, message, ip.cut);
                    }
                }
            }
            Transport::Other => {
                let length = u32::try_from(ip.payload.len()).unwrap_or(u32::MAX);
                self.count(share((0, 0), false, length));
            }
            Transport::Cut => self.undecodable(pieces),
        }
    }

    /// Counts a packet (or the fragments of one) into its flow, made if there is none. None when the table is full.
    pub(super) fn count(&mut self, share: Share<'_>) -> Option<u32> {
        let &[(first, _), ..] = share.pieces else { return None };
        let found = self.table.find(&share.key);
        let slot = match found {
            Some(slot) if self.table.get(slot).is_some_and(|flow| flow.is_over_at(first.time)) => {
                self.end_slot(slot);
                self.open(&share, first)?
            }
            Some(slot) => slot,
            None => self.open(&share, first)?,
        };
        let keep = self.limits.positions;
        let flow = self.table.get_mut(slot)?;
        let side = flow.side(share.forward);
        for (origin, length) in share.pieces {
            let count = &mut flow.counts[side.index()];
            count.packets += 1;
            count.bytes += u64::from(*length);
            flow.start = flow.start.min(origin.time);
            flow.last = flow.last.max(origin.time);
            flow.last_frame = origin.frame;
            if flow.places.len() < keep {
                flow.places
                    .push(u64::from(origin.capture) << PLACE_SHIFT | origin.offset & PLACE_OFFSET);
            }
        }
        flow.counts[side.index()].payload += u64::from(share.payload);
        flow.spoke[side.index()] |= share.speaks;
        flow.snaplen_cut |= share.cut;
        for (origin, _) in share.pieces {
            self.ledger(origin.capture).accounting.in_flows += 1;
        }
        self.table.touch(slot);
        if self.live.is_some() {
            for (origin, _) in share.pieces {
                self.touched(slot, origin.time);
            }
        }
        Some(slot)
    }

    fn open(&mut self, share: &Share<'_>, first: Origin) -> Option<u32> {
        if self.table.is_full() {
            for (origin, _) in share.pieces {
                self.ledger(origin.capture).accounting.table_full += 1;
            }
            return None;
        }
        let mut flow = Flow::new(share.key, share.forward != share.reversed, first.time);
        flow.vlan = share.vlan;
        flow.tunnels = share.tunnels.iter().copied().collect();
        flow.capture = first.capture;
        flow.frame = first.frame;
        flow.settled = first.time.saturating_sub(self.watching_since) > SETTLED;
        match share.key.protocol() {
            6 => flow.tcp = Some(Box::default()),
            17 => flow.continues = self.continued.opener(&flow.key, flow.a_is_low, first.time),
            _ => {}
        }
        flow.join = self.limits.joins.then(Box::default);
        flow.left = self.live.as_mut().map(Live::open);
        Some(self.table.insert(flow))
    }

    fn tcp(&mut self, share: Share<'_>, tcp: &Tcp<'_>) {
        let &[(first, _), ..] = share.pieces else { return };
        let mut segment = Segment {
            seq: tcp.seq,
            ack: tcp.ack,
            flags: tcp.flags,
            window: tcp.window,
            length: tcp.payload_len,
        };
        let forward = share.forward;
        // Only a SYN opens another connection: all other packets are spared the look-up.
        if tcp.flags & SYN != 0 {
            self.end_if_reopened(&share, segment);
        }
        let Some(slot) = self.count(share) else { return };
        self.make_room(tcp.payload.len(), first.capture);
        let Core {
            table,
            budget,
            certificates,
            undecided,
            ledgers,
            ..
        } = self;
        let ticket = table.ticket(slot);
        let Some(flow) = table.get_mut(slot) else { return };
        let side = flow.side(forward);
        let Some(connection) = &mut flow.tcp else { return };
        let mut payload = tcp.payload;
        if connection.is_keep_alive(side, segment) {
            (segment.length, payload) = (0, &[]);
        }
        flow.counts[side.index()].payload += u64::from(segment.length);
        connection.note(side, segment, first.time);
        if let Some(join) = &mut flow.join {
            join.payload(side, payload);
        }
        let isn = [connection.isn(side), connection.isn(side.other())];
        let was_undecided = flow.conversation.is_undecided();
        let missed = flow.conversation.missed();
        let mut shared = Shared {
            budget,
            certificates,
            time: first.time,
        };
        let piece = StreamPiece {
            seq: tcp.seq,
            syn: tcp.flags & SYN != 0,
            fin: tcp.flags & FIN != 0,
            ack: (tcp.flags & (ACK | RST) == ACK).then_some(tcp.ack),
            payload,
            // What a reset carries is a reason for people, not stream (RFC 9293 §3.10.7.4).
            declared: if tcp.flags & RST == 0 { segment.length } else { 0 },
            isn,
        };
        while flow.conversation.segment(side, piece, &mut flow.facts, &mut shared) == Heard::Refused {
            // The pool is full, and the others had been asked for room before: this one goes without.
            flow.conversation.release(&flow.facts, shared.budget);
        }
        if let Some(join) = &mut flow.join {
            // Data in a SYN stands behind it (RFC 7413).
            let seq = tcp.seq.wrapping_add(u32::from(tcp.flags & SYN != 0));
            let payload = if tcp.flags & RST == 0 { payload } else { &[] };
            join.segment(side, seq, payload, &flow.facts, first.time);
        }
        if flow.conversation.missed() > missed {
            connection.letter(side, b'g');
            if let Some(ledger) = ledgers.get_mut(first.capture as usize) {
                ledger.quality.stream_gap += 1;
            }
        }
        if !was_undecided && flow.conversation.is_undecided() {
            undecided.push_back(ticket);
        }
        self.table.touch(slot);
    }

    /// A SYN may say that another connection begins on the five-tuple of a live one.
    fn end_if_reopened(&mut self, share: &Share<'_>, segment: Segment) {
        let Some(slot) = self.table.find(&share.key) else {
            return;
        };
        let reopened = self.table.get(slot).is_some_and(|flow| {
            let side = flow.side(share.forward);
            flow.tcp.as_ref().is_some_and(|known| known.reopened_by(side, segment))
        });
        if reopened {
            self.end_slot(slot);
        }
    }

    /// Memory for stream bytes comes from one pool: when it is spent, the flows undecided for longest give theirs up.
    fn make_room(&mut self, octets: usize, capture: u32) {
        // A buffer doubles when it grows, and the segment itself may have to wait.
        let needed = octets.saturating_mul(2).saturating_add(2 * PAGE);
        while self.budget.used().saturating_add(needed) > self.budget.limit() {
            let Some(ticket) = self.undecided.pop_front() else {
                return;
            };
            let Core {
                table, budget, ledgers, ..
            } = self;
            let Some(flow) = table.redeem(ticket) else { continue };
            if flow.conversation.is_undecided() {
                flow.conversation.release(&flow.facts, budget);
                if let Some(ledger) = ledgers.get_mut(capture as usize) {
                    ledger.quality.buffer_evicted += 1;
                }
            }
        }
        // Tickets of flows that were decided long ago leave from the front, so that the queue follows the live ones.
        while self.undecided.len() > 2 * self.table.len() + 1_024 {
            match self.undecided.pop_front() {
                Some(ticket)
                    if self
                        .table
                        .redeem(ticket)
                        .is_some_and(|flow| flow.conversation.is_undecided()) =>
                {
                    self.undecided.push_back(ticket);
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    fn datagram(&mut self, slot: u32, forward: bool, payload: &[u8], cut: bool) {
        let Core {
            table,
            budget,
            certificates,
            ..
        } = self;
        let Some(flow) = table.get_mut(slot) else { return };
        if payload.is_empty() {
            return;
        }
        let side = flow.side(forward);
        let mut shared = Shared {
            budget,
            certificates,
            time: flow.last,
        };
        flow.conversation
            .datagram(side, payload, cut, &mut flow.facts, &mut shared);
        if let Some(join) = &mut flow.join {
            join.datagram(side, payload, &flow.facts);
        }
    }

    fn end_slot(&mut self, slot: u32) {
        if let Some(flow) = self.table.remove(slot) {
            self.end(flow);
        }
    }

    /// A flow is over: it leaves the table as a record.
    pub(super) fn end(&mut self, mut flow: Flow) {
        let mut shared = Shared {
            budget: &mut self.budget,
            certificates: &mut self.certificates,
            time: flow.last,
        };
        flow.conversation.end(&mut flow.facts, &mut shared);
        self.totals.flows += 1;
        if flow.tcp.is_some() {
            self.totals.tcp_flows += 1;
            self.totals.tcp_one_way += u64::from(flow.counts.iter().any(|count| count.packets == 0));
        }
        let seen = observation::observe(
            &flow,
            Known {
                tables: &self.tables,
                certificates: &self.certificates,
                ended: true,
            },
        );
        if flow.key.protocol() == 17 && !self.closing {
            self.continued.keep(&flow, seen.opener());
        }
        let baggage = Baggage::of_ended(&mut flow);
        let mut record = seen.record(&flow, baggage);
        record.observation = self.observations.number(seen.tuple);
        self.ended.push(record);
    }

    /// The end of the input. Flows that still live end one batch after the other, as they are taken.
    pub fn close(&mut self) {
        self.closing = true;
        self.fragments.finish();
        self.count_given_up();
    }

    /// After `close`: ends flows until `limit` have ended or none is left.
    pub fn drain(&mut self, limit: usize) {
        while self.closing && self.ended.len() < limit {
            match self.table.pop() {
                Some(flow) => self.end(flow),
                None => return,
            }
        }
    }
}
