//! Who opened the conversations over UDP that went quiet: the next flow of the same five-tuple goes on with one of them.
//!
//! The idle limit cuts a call on hold or a tunnel in two, and the other side may be the first to speak again: it did not
//! open anything. So of flows that had packets both ways the opener is kept for an hour, in two generations: when the
//! younger one is full, it becomes the older one, and that is forgotten. What every datagram tells of itself (DNS) needs
//! no room here.

use std::collections::HashMap;

use super::key::Key;
use super::record::Initiator;
use super::table::Flow;
use crate::facts::{Service, Side};

/// Longer than a call is held and a tunnel goes without keepalives, shorter than it takes to give a port out again.
pub const KEPT: i64 = 3_600_000_000_000;
/// Flows of a generation: as many as a table of 32,768 buckets takes, some 2 MiB.
const GENERATION: usize = 28_672;

/// Who opened the flow before, and how sure that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opener {
    pub side: Side,
    pub initiator: Initiator,
}

#[derive(Clone, Copy)]
struct Ended {
    last: i64,
    low_opened: bool,
    initiator: Initiator,
}

#[derive(Default)]
pub struct Continued {
    younger: HashMap<Key, Ended>,
    older: HashMap<Key, Ended>,
}

impl Continued {
    /// A flow over UDP ended by its idle limit, and was opened so.
    pub fn keep(&mut self, flow: &Flow, opener: Opener) {
        let both_ways = flow.counts.iter().all(|count| count.packets > 0);
        if !(both_ways || flow.continues.is_some()) || flow.facts.services() == [Service::Dns] {
            return;
        }
        if self.younger.len() >= GENERATION && !self.younger.contains_key(&flow.key) {
            self.older = std::mem::take(&mut self.younger);
        }
        let ended = Ended {
            last: flow.last,
            low_opened: (opener.side == Side::A) == flow.a_is_low,
            initiator: opener.initiator,
        };
        self.younger.insert(flow.key, ended);
    }

    /// Who opened what a flow that begins at `time` goes on with, if that is known.
    pub fn opener(&self, key: &Key, a_is_low: bool, time: i64) -> Option<Opener> {
        let ended = self.younger.get(key).or_else(|| self.older.get(key))?;
        let side = if ended.low_opened == a_is_low { Side::A } else { Side::B };
        (time.saturating_sub(ended.last) <= KEPT).then_some(Opener {
            side,
            initiator: ended.initiator,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::table::Count;

    const OPENER: Opener = Opener {
        side: Side::A,
        initiator: Initiator::First,
    };

    /// A conversation of client `number`, whose first packet the client sent.
    fn flow(number: u32) -> Flow {
        let client = std::net::Ipv4Addr::from(0x0a00_0000 + number).into();
        let server = "192.0.2.1".parse().unwrap();
        let (key, forward) = Key::new(client, 4500, server, 4500, 17, false);
        let mut flow = Flow::new(key, forward, 0);
        flow.counts = [Count {
            packets: 1,
            ..Count::default()
        }; 2];
        flow
    }

    #[test]
    fn the_next_flow_has_the_same_opener_whoever_begins() {
        let mut continued = Continued::default();
        let first = flow(1);
        continued.keep(&first, OPENER);
        assert_eq!(continued.opener(&first.key, first.a_is_low, KEPT), Some(OPENER));
        let other = continued.opener(&first.key, !first.a_is_low, KEPT).unwrap();
        assert_eq!(other.side, Side::B);
        assert_eq!(continued.opener(&first.key, first.a_is_low, KEPT + 1), None);
    }

    #[test]
    fn what_nobody_answered_is_nothing_to_go_on_with_unless_it_did_so_itself() {
        let mut continued = Continued::default();
        let mut alone = flow(1);
        alone.counts[1].packets = 0;
        continued.keep(&alone, OPENER);
        assert_eq!(continued.opener(&alone.key, true, 0), None);
        alone.continues = Some(OPENER);
        continued.keep(&alone, OPENER);
        assert!(continued.opener(&alone.key, true, 0).is_some());
    }

    #[test]
    fn the_oldest_are_forgotten_first_and_the_room_is_bounded() {
        let mut continued = Continued::default();
        let flows: Vec<Flow> = (0..2 * GENERATION as u32 + 1).map(flow).collect();
        for flow in &flows {
            continued.keep(flow, OPENER);
        }
        assert_eq!(continued.opener(&flows[0].key, true, 0), None);
        for kept in &flows[GENERATION..] {
            assert!(continued.opener(&kept.key, kept.a_is_low, 0).is_some());
        }
        let octets = std::mem::size_of::<(Key, Ended)>() + 1;
        assert!(2 * continued.younger.capacity().max(continued.older.capacity()) * octets <= 4 << 20);
    }
}
