//! The flow table: a slab of entries, an index by key, and lists in the order of last activity.
//!
//! A flow ends by the gap between two of its own packets (`limit`), never by when a sweep happened to run. Sweeping only
//! gives memory back, when many flows are live, and then against a clock that one wrong time stamp cannot move: the
//! smallest of the last `STEADY` packet times. Capacity is fixed; what does not fit is the caller's named loss.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::continued::Opener;
use super::join::Join;
use super::key::Key;
use super::tcp::Connection;
use crate::classify::Conversation;
use crate::facts::{Facts, Side};
use crate::flow::record::Tunnel;

const SECOND: i64 = 1_000_000_000;
/// Idle limits of connections: established as Linux conntrack's lower bound for long quiet sessions (proxies in front of
/// mobile clients keep theirs 960 s), not established as long as SYNs are repeated.
pub const TCP_ESTABLISHED: i64 = 3_600 * SECOND;
pub const TCP_OPENING: i64 = 60 * SECOND;
pub const OTHER_ANSWERED: i64 = 120 * SECOND;
pub const OTHER_UNANSWERED: i64 = 60 * SECOND;
/// After the second FIN or the first RST: time for retransmissions and the last ACK.
pub const TCP_CLOSED: i64 = 5 * SECOND;

/// Below so many live flows nothing is swept: some 30 MB are not worth a thought.
const SWEEP_ABOVE: usize = 65_536;
/// Packet times the sweeping clock looks back on.
const STEADY: usize = 64;
/// The lists follow activity to within this time, which spares most packets of a busy flow three cache lines. A sweep only
/// ever takes what is over, so it comes later by this much and never too early.
const TOUCH: i64 = SECOND;
const NONE: u32 = u32::MAX;
const CLASSES: usize = 5;

#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
    /// Octets of payload, by the headers.
    pub payload: u64,
}

/// What has left of a flow that is still being read.
#[derive(Debug, Default)]
pub struct Left {
    pub flow_id: u64,
    pub rows: u32,
    /// Observation of the last row.
    pub observation: Option<u32>,
    /// Counts up to it.
    pub counts: [Count; 2],
    /// Time of the first packet since.
    pub since: Option<i64>,
    /// Had a packet since the caller last took rows, and is on the list of those that had.
    pub touched: bool,
    /// Waits in the queue of rows that become due.
    pub queued: bool,
}

/// A live flow. Side A sent the first packet that was captured.
pub struct Flow {
    pub key: Key,
    pub a_is_low: bool,
    pub start: i64,
    pub last: i64,
    pub counts: [Count; 2],
    pub vlan: [Option<u16>; 2],
    pub tunnels: Vec<Tunnel>,
    pub capture: u32,
    pub frame: u64,
    pub last_frame: u64,
    pub snaplen_cut: bool,
    /// It began long after the sensor did: its first sender opened it.
    pub settled: bool,
    /// That side sent a packet of the conversation: no reset, and nothing that an ICMP error stands for.
    pub spoke: [bool; 2],
    /// An unreachable was sent to that side.
    pub unreachable: [bool; 2],
    pub icmp_type: u8,
    /// Of the conversation that it goes on with after its idle limit.
    pub continues: Option<Opener>,
    pub tcp: Option<Box<Connection>>,
    pub facts: Facts,
    pub conversation: Conversation,
    pub places: Vec<u64>,
    /// Live: what has left of the flow.
    pub left: Option<Box<Left>>,
    /// Where keys to join flows by are asked for.
    pub join: Option<Box<Join>>,
    class: u8,
    /// When it last became the newest of its class.
    touched: i64,
    older: u32,
    newer: u32,
}

impl Flow {
    pub fn new(key: Key, a_is_low: bool, time: i64) -> Flow {
        Flow {
            key,
            a_is_low,
            start: time,
            last: time,
            counts: [Count::default(); 2],
            vlan: [None; 2],
            tunnels: Vec::new(),
            capture: 0,
            frame: 0,
            last_frame: 0,
            snaplen_cut: false,
            settled: false,
            spoke: [false; 2],
            unreachable: [false; 2],
            icmp_type: 0,
            continues: None,
            tcp: None,
            facts: Facts::default(),
            conversation: Conversation::default(),
            places: Vec::new(),
            left: None,
            join: None,
            class: 0,
            touched: time,
            older: NONE,
            newer: NONE,
        }
    }

    /// The side that sends a packet whose sender is the key's low end (`forward`).
    pub fn side(&self, forward: bool) -> Side {
        if forward == self.a_is_low {
            Side::A
        } else {
            Side::B
        }
    }

    fn class(&self) -> usize {
        match &self.tcp {
            Some(tcp) if tcp.closed_at().is_some() => 4,
            Some(tcp) => usize::from(!tcp.is_established()),
            None if self.counts.iter().all(|count| count.packets > 0) => 2,
            None => 3,
        }
    }

    /// The time after which a packet belongs to another flow.
    fn ends_after(&self) -> i64 {
        let from = match &self.tcp {
            Some(tcp) => tcp.closed_at().unwrap_or(self.last),
            None => self.last,
        };
        from.saturating_add(LIMITS[self.class()])
    }

    /// Whether a packet at `time` comes too late to belong to this flow.
    pub fn is_over_at(&self, time: i64) -> bool {
        time > self.ends_after()
    }
}

const LIMITS: [i64; CLASSES] = [
    TCP_ESTABLISHED,
    TCP_OPENING,
    OTHER_ANSWERED,
    OTHER_UNANSWERED,
    TCP_CLOSED,
];

#[derive(Clone, Copy)]
struct List {
    oldest: u32,
    newest: u32,
}

pub struct Table {
    slots: Vec<Option<Flow>>,
    /// How often each slot was given out: tells an old reference from the present tenant.
    generations: Vec<u32>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    lists: [List; CLASSES],
    capacity: usize,
    times: [i64; STEADY],
    at: usize,
}

impl Table {
    pub fn new(capacity: usize) -> Table {
        Table {
            slots: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            lists: [List {
                oldest: NONE,
                newest: NONE,
            }; CLASSES],
            capacity: capacity.min(NONE as usize - 1),
            times: [i64::MIN; STEADY],
            at: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    pub fn find(&self, key: &Key) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, |&slot| self.key_of(slot) == Some(key)).copied()
    }

    fn key_of(&self, slot: u32) -> Option<&Key> {
        self.get(slot).map(|flow| &flow.key)
    }

    pub fn get(&self, slot: u32) -> Option<&Flow> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Flow> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// A reference that stays true while the flow lives.
    pub fn ticket(&self, slot: u32) -> (u32, u32) {
        (slot, self.generations.get(slot as usize).copied().unwrap_or(0))
    }

    /// The flow of a ticket, if it still lives.
    pub fn redeem(&mut self, ticket: (u32, u32)) -> Option<&mut Flow> {
        if self.generations.get(ticket.0 as usize) != Some(&ticket.1) {
            return None;
        }
        self.get_mut(ticket.0)
    }

    /// Adds a flow; the caller has made sure that there is room and no flow of that key.
    pub fn insert(&mut self, flow: Flow) -> u32 {
        let hash = self.hasher.hash_one(flow.key);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.generations.push(0);
                u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
            }
        };
        let class = flow.class();
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(flow);
        }
        let Table {
            index, slots, hasher, ..
        } = self;
        index.insert_unique(hash, slot, |&other| {
            slots
                .get(other as usize)
                .and_then(Option::as_ref)
                .map_or(0, |flow| hasher.hash_one(flow.key))
        });
        self.link(slot, class);
        slot
    }

    /// Takes a flow out.
    pub fn remove(&mut self, slot: u32) -> Option<Flow> {
        let key = *self.key_of(slot)?;
        self.unlink(slot);
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        if let Some(generation) = self.generations.get_mut(slot as usize) {
            *generation = generation.wrapping_add(1);
        }
        self.free.push(slot);
        self.slots.get_mut(slot as usize)?.take()
    }

    /// The flow has just had a packet: it becomes the newest of its class, unless it did so within `TOUCH`. A closed one
    /// keeps its place.
    pub fn touch(&mut self, slot: u32) {
        let Some(flow) = self.get_mut(slot) else { return };
        let (old, new) = (usize::from(flow.class), flow.class());
        if old == new && (new == 4 || flow.last.saturating_sub(flow.touched) < TOUCH) {
            return;
        }
        flow.touched = flow.last;
        self.unlink(slot);
        self.link(slot, new);
    }

    fn link(&mut self, slot: u32, class: usize) {
        let newest = self.lists[class].newest;
        if let Some(flow) = self.get_mut(slot) {
            flow.class = class as u8;
            flow.older = newest;
            flow.newer = NONE;
        }
        match self.get_mut(newest) {
            Some(flow) => flow.newer = slot,
            None => self.lists[class].oldest = slot,
        }
        self.lists[class].newest = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Some(flow) = self.get(slot) else { return };
        let (class, older, newer) = (usize::from(flow.class), flow.older, flow.newer);
        match self.get_mut(older) {
            Some(flow) => flow.newer = newer,
            None => self.lists[class].oldest = newer,
        }
        match self.get_mut(newer) {
            Some(flow) => flow.older = older,
            None => self.lists[class].newest = older,
        }
    }

    /// Packet time goes on.
    pub fn advance(&mut self, time: i64) {
        self.times[self.at % STEADY] = time;
        self.at = self.at.wrapping_add(1);
    }

    /// One flow that is over by the steady clock, if the table has grown large. Called after each packet, so that what is
    /// swept depends on the packets alone and not on how they were handed over.
    pub fn sweep(&mut self) -> Option<Flow> {
        if self.len() <= SWEEP_ABOVE.min(self.capacity / 2) {
            return None;
        }
        self.over_at(self.times.iter().copied().min().unwrap_or(i64::MIN))
    }

    /// One flow that is over at `now`. Of those that had packets within `TOUCH` of each other one may come later.
    pub fn over_at(&mut self, now: i64) -> Option<Flow> {
        for class in 0..CLASSES {
            let oldest = self.lists[class].oldest;
            if self.get(oldest).is_some_and(|flow| flow.is_over_at(now)) {
                return self.remove(oldest);
            }
        }
        None
    }

    /// Any flow that is left, oldest first: the end of everything.
    pub fn pop(&mut self) -> Option<Flow> {
        let oldest = self.lists.iter().map(|list| list.oldest).find(|&slot| slot != NONE)?;
        self.remove(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(port: u16, time: i64) -> Flow {
        let address = "10.0.0.1".parse().unwrap();
        let other = "10.0.0.2".parse().unwrap();
        let (key, forward) = Key::new(address, port, other, 53, 17, false);
        let mut flow = Flow::new(key, forward, time);
        flow.counts[0].packets = 1;
        flow
    }

    #[test]
    fn finds_what_was_put_in_until_it_is_removed() {
        let mut table = Table::new(10);
        let slots: Vec<u32> = (1..=5).map(|port| table.insert(flow(port, 0))).collect();
        for (port, slot) in (1..=5).zip(&slots) {
            assert_eq!(table.find(&flow(port, 0).key), Some(*slot));
        }
        let ticket = table.ticket(slots[2]);
        table.remove(slots[2]);
        assert_eq!(table.find(&flow(3, 0).key), None);
        assert!(table.redeem(ticket).is_none());
        let again = table.insert(flow(3, 0));
        assert_eq!(again, slots[2], "slots are used again");
        assert!(table.redeem(ticket).is_none(), "and an old ticket does not open them");
        let mut left = 0;
        while table.pop().is_some() {
            left += 1;
        }
        assert_eq!(left, 5);
        assert!(table.is_empty());
    }

    #[test]
    fn an_idle_flow_stays_small() {
        // A million live flows are then some 500 MB with index, connection and facts.
        assert!(std::mem::size_of::<Flow>() <= 448, "{}", std::mem::size_of::<Flow>());
        assert!(
            std::mem::size_of::<Connection>() <= 152,
            "{}",
            std::mem::size_of::<Connection>()
        );
    }

    #[test]
    fn one_wrong_time_stamp_sweeps_nothing() {
        let mut table = Table::new(8);
        for port in 1..=6 {
            table.insert(flow(port, 0));
        }
        for _ in 0..STEADY {
            table.advance(SECOND);
        }
        table.advance(i64::MAX / 2);
        assert!(table.sweep().is_none());
        for _ in 0..STEADY {
            table.advance(61 * SECOND);
        }
        assert!(table.sweep().is_some());
    }

    #[test]
    fn limits_count_from_the_last_packet_of_the_flow() {
        let mut entry = flow(1, 0);
        assert!(!entry.is_over_at(OTHER_UNANSWERED));
        assert!(entry.is_over_at(OTHER_UNANSWERED + 1));
        entry.counts[1].packets = 1;
        assert!(!entry.is_over_at(OTHER_ANSWERED));
        assert!(entry.is_over_at(OTHER_ANSWERED + 1));
    }
}
