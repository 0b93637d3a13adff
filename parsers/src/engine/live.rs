//! Flows that leave while they are still being read: the rows of a live engine.
//!
//! A row leaves when the flow's observation is another than in its last row (or there is none yet), some time after the
//! first packet that no row has counted (`part`), and at the flow's end. Only flows that had a packet are looked at, and
//! those whose time has come: an idle one costs nothing. Each row counts what is new since the one before, so that sums
//! over rows are exact; its observation replaces the one before (`Part::previous`).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::gather::Core;
use crate::flow::table::Left;
use crate::observation::{self, Baggage, Known};

/// Entries of flows that have ended may stand in the queue beside twice as many as there are flows, and these.
const SPARE: usize = 1_024;

type Ticket = (u32, u32);

pub(super) struct Live {
    /// ns.
    part: i64,
    opened: u64,
    /// Flows that had a packet since rows were last taken.
    touched: VecDeque<Ticket>,
    /// Flows with packets that no row has counted, by the time when one has to.
    due: BinaryHeap<Reverse<(i64, Ticket)>>,
}

impl Live {
    pub fn new(part: i64) -> Live {
        Live {
            part,
            opened: 0,
            touched: VecDeque::new(),
            due: BinaryHeap::new(),
        }
    }

    /// A flow begins, of which nothing has left.
    pub fn open(&mut self) -> Box<Left> {
        let flow_id = self.opened;
        self.opened += 1;
        Box::new(Left {
            flow_id,
            ..Left::default()
        })
    }
}

impl Core {
    /// A flow had a packet at `time`.
    pub(super) fn touched(&mut self, slot: u32, time: i64) {
        let Core { table, live, .. } = self;
        let ticket = table.ticket(slot);
        let (Some(live), Some(left)) = (live, table.get_mut(slot).and_then(|flow| flow.left.as_mut())) else {
            return;
        };
        left.since = Some(left.since.map_or(time, |since| since.min(time)));
        if !left.touched {
            left.touched = true;
            live.touched.push_back(ticket);
        }
    }

    /// Looks for rows of flows that go on, until `limit` wait to be taken or there are no more.
    pub(super) fn report(&mut self, limit: usize) {
        while self.ended.len() < limit && !self.closing {
            let Some(live) = &mut self.live else { return };
            let ticket = match live.touched.pop_front() {
                Some(ticket) => ticket,
                None => match live.due.peek() {
                    Some(&Reverse((due, ticket))) if due <= self.now => {
                        live.due.pop();
                        if let Some(left) = self.table.redeem(ticket).and_then(|flow| flow.left.as_mut()) {
                            left.queued = false;
                        }
                        ticket
                    }
                    _ => break,
                },
            };
            self.look(ticket);
        }
        let Core { table, live, .. } = self;
        if let Some(live) = live {
            if live.due.len() > 2 * table.len() + SPARE {
                live.due.retain(|&Reverse((_, ticket))| table.redeem(ticket).is_some());
            }
        }
    }

    /// Makes the row of a flow that goes on, if one is due, or sees to it that it will be.
    fn look(&mut self, ticket: Ticket) {
        let Core {
            table,
            live: Some(live),
            tables,
            certificates,
            observations,
            ..
        } = self
        else {
            return;
        };
        let Some(flow) = table.redeem(ticket) else { return };
        let seen = observation::observe(
            flow,
            Known {
                tables,
                certificates,
                ended: false,
            },
        );
        let number = observations.number(seen.tuple);
        let Some(left) = &mut flow.left else { return };
        left.touched = false;
        let due = left.since.map(|since| since.saturating_add(live.part));
        if left.observation != Some(number) || due.is_some_and(|due| due <= self.now) {
            let mut record = seen.record(flow, Baggage::of_live(flow));
            record.observation = number;
            self.ended.push(record);
            let counts = flow.counts;
            if let Some(left) = &mut flow.left {
                left.rows += 1;
                left.observation = Some(number);
                left.counts = counts;
                left.since = None;
            }
        } else if let Some(due) = due.filter(|_| !left.queued) {
            left.queued = true;
            live.due.push(Reverse((due, ticket)));
        }
    }
}
