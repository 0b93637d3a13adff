//! What an engine counts: each packet under exactly one name, and how well it could see.

/// Names of `Accounting`, in order; part of the seam.
pub const ACCOUNTING: [&str; 7] = [
    "in_flows",
    "non_ip",
    "duplicate",
    "fragment_incomplete",
    "undecodable",
    "table_full",
    "filtered",
];
/// Names of `Quality`, in order.
pub const QUALITY: [&str; 4] = ["snaplen_cut", "stream_gap", "clock_backward", "buffer_evicted"];

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Accounting {
    pub in_flows: u64,
    pub non_ip: u64,
    pub duplicate: u64,
    pub fragment_incomplete: u64,
    pub undecodable: u64,
    pub table_full: u64,
    pub filtered: u64,
}

impl Accounting {
    /// In the order of `ACCOUNTING`.
    pub fn values(&self) -> [u64; 7] {
        [
            self.in_flows,
            self.non_ip,
            self.duplicate,
            self.fragment_incomplete,
            self.undecodable,
            self.table_full,
            self.filtered,
        ]
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Quality {
    pub snaplen_cut: u64,
    pub stream_gap: u64,
    pub clock_backward: u64,
    pub buffer_evicted: u64,
}

impl Quality {
    /// In the order of `QUALITY`.
    pub fn values(&self) -> [u64; 4] {
        [
            self.snaplen_cut,
            self.stream_gap,
            self.clock_backward,
            self.buffer_evicted,
        ]
    }
}

/// What was read of one capture.
#[derive(Debug, Default, Clone, Copy)]
pub struct Ledger {
    pub packets: u64,
    /// Frames as on the wire, link headers included.
    pub bytes: u64,
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub(super) latest: Option<i64>,
    /// A filter was set, and none for packets of this link type.
    pub unfiltered: Option<u16>,
    pub accounting: Accounting,
    pub quality: Quality,
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Totals {
    pub flows: u64,
    pub tcp_flows: u64,
    /// TCP flows that lack one direction.
    pub tcp_one_way: u64,
    pub ip_packets: u64,
}
