//! Which packets become part of flows: what is outside of the time window, filtered, lost, seen twice, not IP, not to be
//! read, or a fragment whose others never came leaves here. Each packet leaves under exactly one name of `Accounting`.

use super::gather::{Core, Origin};
use crate::capture::filter::Program;
use crate::capture::{PacketRef, State};
use crate::flow::tcp::{FIN, RST, SYN};
use crate::packet::fragment::{Piece, Pushed};
use crate::packet::{decode, decode_reassembled, transport, Decoded, Outcome, Transport};

/// ns without a packet, or by which the clock jumped, after which a sensor counts as begun anew: captures of some minutes
/// an hour are often read as one series.
const SILENCE: u64 = 600_000_000_000;

impl Core {
    pub fn packet(&mut self, number: usize, packet: PacketRef<'_>) {
        let origin = Origin {
            time: packet.time,
            capture: u32::try_from(number).unwrap_or(u32::MAX),
            frame: packet.frame,
            offset: packet.offset,
        };
        let outside = self.limits.from.is_some_and(|from| packet.time < from)
            || self.limits.to.is_some_and(|to| packet.time >= to);
        let filtered =
            !self.filters.is_empty() && packet.state == State::Whole && !self.is_wanted(origin.capture, packet);
        let now = self.now;
        let ledger = self.ledger(origin.capture);
        ledger.packets += 1;
        ledger.bytes += u64::from(packet.wire_len);
        let name = match packet.state {
            _ if outside || filtered => Some(&mut ledger.accounting.filtered),
            State::Lost => Some(&mut ledger.accounting.undecodable),
            State::Repeated => Some(&mut ledger.accounting.duplicate),
            State::Whole => None,
        };
        if let Some(count) = name {
            *count += 1;
            return;
        }
        ledger.first = Some(ledger.first.map_or(packet.time, |first| first.min(packet.time)));
        ledger.last = Some(ledger.last.map_or(packet.time, |last| last.max(packet.time)));
        if packet.time < now || ledger.latest.is_some_and(|latest| packet.time < latest) {
            ledger.quality.clock_backward += 1;
        }
        ledger.latest = Some(packet.time);
        // What ran on while nobody watched has lost its beginning, as at the sensor's first packet.
        if self.latest.is_none_or(|latest| packet.time.abs_diff(latest) > SILENCE) {
            self.watching_since = packet.time;
        }
        self.latest = Some(packet.time);
        self.table.advance(packet.time);
        self.fragments.expire(packet.time);
        // Looked at where it is: a copy of what was just written would wait for it.
        match &decode(packet.link, packet.data, packet.wire_len) {
            Outcome::NonIp => self.ledger(origin.capture).accounting.non_ip += 1,
            Outcome::Undecodable(_) => self.ledger(origin.capture).accounting.undecodable += 1,
            Outcome::Ip(decoded) => {
                self.totals.ip_packets += 1;
                if decoded.ip.cut {
                    self.ledger(origin.capture).quality.snaplen_cut += 1;
                }
                self.ip(origin, decoded);
            }
        }
        while let Some(flow) = self.table.sweep() {
            self.end(flow);
        }
    }

    /// Only packets of this link type that the program wants are looked at, from now on.
    pub fn filter(&mut self, link: u16, program: Program) {
        self.filters.retain(|(known, _)| *known != link);
        self.filters.push((link, program));
    }

    fn is_wanted(&mut self, capture: u32, packet: PacketRef<'_>) -> bool {
        match self.filters.iter().find(|(link, _)| *link == packet.link) {
            Some((_, program)) => program.wants(packet.data, packet.wire_len),
            None => {
                self.ledger(capture).unfiltered.get_or_insert(packet.link);
                false
            }
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
    pub(super) fn count_given_up(&mut self) {
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

    pub(super) fn undecodable(&mut self, pieces: &[(Origin, u32)]) {
        for (origin, _) in pieces {
            self.ledger(origin.capture).accounting.undecodable += 1;
        }
    }
}
