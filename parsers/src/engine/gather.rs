//! Packets into flows: the walk of one packet through decoding, duplicates, fragments, the flow table and the reading of
//! its bytes, to the record of the flow that it belonged to. Each packet leaves under exactly one name of `Accounting`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ledger::{Ledger, Totals};
use super::live::Live;
use super::Limits;
use crate::capture::PacketRef;
use crate::certificate::Certificates;
use crate::classify::{Heard, Piece as StreamPiece, Shared};
use crate::community_id::icmp_ports;
use crate::flow::budget::{Budget, PAGE};
use crate::flow::duplicate::Duplicates;
use crate::flow::key::Key;
use crate::flow::record::Record;
use crate::flow::table::{Flow, Table};
use crate::flow::tcp::{Segment, ACK, FIN, RST, SYN};
use crate::observation::{self, Baggage, Known, Observations};
use crate::packet::fragment::{Fragments, Piece, Pushed};
use crate::packet::{decode, decode_reassembled, sctp, transport, Decoded, Ip, Outcome, Tcp, Transport, Tunnels};
use crate::tables::Tables;

/// A place packs the capture's number above the file offset: 2^48 octets are 256 TiB.
const PLACE_SHIFT: u32 = 48;

pub(super) struct Core {
    pub(super) tables: Arc<Tables>,
    limits: Limits,
    pub ledgers: Vec<Ledger>,
    pub table: Table,
    fragments: Fragments,
    duplicates: Duplicates,
    budget: Budget,
    pub certificates: Certificates,
    /// Flows that hold buffers, oldest first.
    undecided: VecDeque<(u32, u32)>,
    pub ended: Vec<Record>,
    pub observations: Observations,
    pub totals: Totals,
    pub(super) first_time: Option<i64>,
    /// What the caller's clock said last.
    pub(super) now: i64,
    pub(super) closing: bool,
    /// None in an audit of files.
    pub(super) live: Option<Live>,
}

/// Where and when a packet was captured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    time: i64,
    capture: u32,
    frame: u64,
    offset: u64,
}

/// What a packet adds to its flow.
pub(super) struct Share<'a> {
    pub(super) key: Key,
    pub(super) forward: bool,
    /// The flow's first side is the receiver of this packet (an ICMP error made the flow).
    pub(super) reversed: bool,
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
            ended: Vec::new(),
            observations: Observations::new(observation::LIMIT),
            totals: Totals::default(),
            first_time: None,
            now: i64::MIN,
            closing: false,
        }
    }

    fn ledger(&mut self, capture: u32) -> &mut Ledger {
        let index = capture as usize;
        if index >= self.ledgers.len() {
            self.ledgers.resize(index + 1, Ledger::default());
        }
        &mut self.ledgers[index]
    }

    pub fn packet(&mut self, number: usize, packet: PacketRef<'_>) {
        let origin = Origin {
            time: packet.time,
            capture: u32::try_from(number).unwrap_or(u32::MAX),
            frame: packet.frame,
            offset: packet.offset,
        };
        let outside = self.limits.from.is_some_and(|from| packet.time < from)
            || self.limits.to.is_some_and(|to| packet.time >= to);
        let now = self.now;
        let ledger = self.ledger(origin.capture);
        ledger.packets += 1;
        ledger.bytes += u64::from(packet.wire_len);
        if outside {
            ledger.accounting.filtered += 1;
            return;
        }
        ledger.first = Some(ledger.first.map_or(packet.time, |first| first.min(packet.time)));
        ledger.last = Some(ledger.last.map_or(packet.time, |last| last.max(packet.time)));
        if packet.time < now || ledger.latest.is_some_and(|latest| packet.time < latest) {
            ledger.quality.clock_backward += 1;
        }
        ledger.latest = Some(packet.time);
        self.first_time.get_or_insert(packet.time);
        self.table.advance(packet.time);
        self.fragments.expire(packet.time);
        if packet.repeated {
            self.ledger(origin.capture).accounting.duplicate += 1;
            return;
        }
        match decode(packet.link, packet.data, packet.wire_len) {
            Outcome::NonIp => self.ledger(origin.capture).accounting.non_ip += 1,
            Outcome::Undecodable(_) => self.ledger(origin.capture).accounting.undecodable += 1,
            Outcome::Ip(decoded) => {
                self.totals.ip_packets += 1;
                if decoded.ip.cut {
                    self.ledger(origin.capture).quality.snaplen_cut += 1;
                }
                self.ip(origin, &decoded);
            }
        }
        while let Some(flow) = self.table.sweep() {
            self.end(flow);
        }
    }

    /// It is `time`: what is over by then ends, and fragments that wait for too long are given up.
    pub fn advance(&mut self, time: i64) {
        self.now = time;
        self.fragments.expire(time);
        self.count_given_up();
        while let Some(flow) = self.table.over_at(time) {
            self.end(flow);
        }
    }

    /// Fragments that were given up get their name.
    fn count_given_up(&mut self) {
        for (capture, packets) in self.fragments.drain_given_up() {
            self.ledger(capture).accounting.fragment_incomplete += packets;
        }
    }

    fn ip(&mut self, origin: Origin, decoded: &Decoded<'_>) {
        let ip = &decoded.ip;
        let layer = if ip.fragment.is_some() {
            None
        } else {
            Some(transport(ip))
        };
        let bare =
            matches!(&layer, Some(Transport::Tcp(tcp)) if tcp.payload_len == 0 || tcp.flags & (SYN | FIN | RST) != 0);
        if self
            .duplicates
            .seen(origin.time, decoded.duplicate.content(), decoded.duplicate.path, bare)
        {
            self.ledger(origin.capture).accounting.duplicate += 1;
            return;
        }
        match layer {
            Some(layer) => self.upper(&[(origin, ip.length)], decoded, ip, layer),
            None => self.fragment(origin, decoded),
        }
    }

    fn fragment(&mut self, origin: Origin, decoded: &Decoded<'_>) {
        let piece = Piece {
            time: origin.time,
            capture: origin.capture,
            frame: origin.frame,
            offset: origin.offset,
            length: decoded.ip.length,
        };
        let pushed = self.fragments.push(&decoded.ip, piece);
        self.count_given_up();
        let Pushed::Whole { payload, cut, pieces } = pushed else {
            return;
        };
        let origins: Vec<(Origin, u32)> = pieces
            .iter()
            .map(|piece| {
                let Piece {
                    time,
                    capture,
                    frame,
                    offset,
                    length,
                } = *piece;
                (
                    Origin {
                        time,
                        capture,
                        frame,
                        offset,
                    },
                    length,
                )
            })
            .collect();
        match decode_reassembled(decoded, &payload) {
            Outcome::Ip(mut inner) => {
                inner.ip.cut |= cut;
                let layer = transport(&inner.ip);
                self.upper(&origins, &inner, &inner.ip, layer);
            }
            Outcome::NonIp => {
                for (origin, _) in &origins {
                    self.ledger(origin.capture).accounting.non_ip += 1;
                }
            }
            Outcome::Undecodable(_) => self.undecodable(&origins),
        }
    }

    fn undecodable(&mut self, pieces: &[(Origin, u32)]) {
        for (origin, _) in pieces {
            self.ledger(origin.capture).accounting.undecodable += 1;
        }
    }

    fn upper(&mut self, pieces: &[(Origin, u32)], decoded: &Decoded<'_>, ip: &Ip<'_>, layer: Transport<'_>) {
        let (source, destination, protocol) = (ip.source, ip.destination, ip.protocol);
        let share = |ports: (u16, u16), one_way: bool, payload: u32| {
            let (key, forward) = Key::new(source, ports.0, destination, ports.1, protocol, one_way);
            Share {
                key,
                forward,
                reversed: false,
                pieces,
                payload,
                cut: ip.cut,
                vlan: decoded.vlan,
                tunnels: &decoded.tunnels,
            }
        };
        match layer {
            Transport::Tcp(tcp) => self.tcp(
                share((tcp.source_port, tcp.destination_port), false, tcp.payload_len),
                &tcp,
            ),
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
                    self.datagram(slot, forward, payload);
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
                        self.datagram(slot, forward, message);
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
                    .push(u64::from(origin.capture) << PLACE_SHIFT | origin.offset);
            }
        }
        flow.counts[side.index()].payload += u64::from(share.payload);
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
        if share.key.protocol() == 6 {
            flow.tcp = Some(Box::default());
        }
        flow.left = self.live.as_mut().map(Live::open);
        Some(self.table.insert(flow))
    }

    fn tcp(&mut self, share: Share<'_>, tcp: &Tcp<'_>) {
        let &[(first, _), ..] = share.pieces else { return };
        let segment = Segment {
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
        connection.note(side, segment, first.time);
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
            payload: tcp.payload,
            // What a reset carries is a reason for people, not stream (RFC 9293 §3.10.7.4).
            declared: if tcp.flags & RST == 0 { tcp.payload_len } else { 0 },
            isn,
        };
        while flow.conversation.segment(side, piece, &mut flow.facts, &mut shared) == Heard::Refused {
            // The pool is full, and the others had been asked for room before: this one goes without.
            flow.conversation.release(&flow.facts, shared.budget);
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

    fn datagram(&mut self, slot: u32, forward: bool, payload: &[u8]) {
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
        flow.conversation.datagram(side, payload, &mut flow.facts, &mut shared);
    }

    fn end_slot(&mut self, slot: u32) {
        if let Some(flow) = self.table.remove(slot) {
            self.end(flow);
        }
    }

    /// A flow is over: it leaves the table as a record.
    fn end(&mut self, mut flow: Flow) {
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
                sensor_start: self.first_time.unwrap_or(flow.start),
                ended: true,
            },
        );
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
