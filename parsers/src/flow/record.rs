//! One flow as it leaves the core, ended or, live, what of it has not left yet: oriented (source opened it), with
//! everything a row and an observation need. `engine` makes it from the table's entry, `batch` lays many of them out in
//! columns.

use std::net::IpAddr;

use super::join::Keys;
use crate::facts::Facts;

/// How sure it is who opened the flow; indexes `INITIATORS` and the observation's `initiator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Initiator {
    Syn = 0,
    Handshake = 1,
    Listener = 2,
    First = 3,
    /// The first sender opened it as surely as by a SYN: one-way UDP or ICMP, or begun long after the sensor did.
    FirstSure = 4,
}

pub const INITIATORS: [&str; 5] = ["syn", "handshake", "listener", "first", "first"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Answered {
    No = 0,
    Refused = 1,
    Yes = 2,
}

pub const ANSWERED: [&str; 3] = ["no", "refused", "yes"];

/// One end's share of a flow.
#[derive(Debug, Clone, Copy)]
pub struct End {
    pub address: IpAddr,
    /// None where the protocol has no ports.
    pub port: Option<u16>,
    pub packets: u64,
    /// Sum of IP total lengths.
    pub bytes: u64,
}

/// A header outside the innermost IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunnel {
    /// "gre", "ipip", "6in4", "vxlan", "geneve", "gtp-u", "mpls", "pppoe" …
    pub kind: &'static str,
    pub ends: Option<(IpAddr, IpAddr)>,
}

/// Which of its flow's rows a record is, live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub flow_id: u64,
    /// From 0.
    pub number: u32,
    /// No further one will come.
    pub ended: bool,
    /// Observation of the flow's row before.
    pub previous: Option<u32>,
    /// Sums of the flow's rows before, both directions.
    pub packets_before: u64,
    pub bytes_before: u64,
    /// Time of the first packet since the row before; that of the last packet where there was none.
    pub start: i64,
}

#[derive(Debug)]
pub struct Record {
    /// ns since 1970, first and last packet.
    pub start: i64,
    pub end: i64,
    pub transport: u8,
    pub source: End,
    pub destination: End,
    /// Outermost, innermost.
    pub vlan: [Option<u16>; 2],
    pub tunnels: Vec<Tunnel>,
    pub capture: u32,
    /// 1-based, as Wireshark counts.
    pub frame: u64,
    pub last_frame: u64,
    pub initiator: Initiator,
    pub answered: Answered,
    /// Zeek's letters; None unless TCP.
    pub history: Option<String>,
    pub missed_bytes: u64,
    pub snaplen_cut: bool,
    /// 0 = no payload, 1 = unknown, else a `Service`.
    pub protocol: u8,
    /// Side A of the facts is the source.
    pub source_is_a: bool,
    pub facts: Facts,
    /// Index into the engine's observations.
    pub observation: u32,
    /// capture << 48 | file offset, of the first packets.
    pub packets: Vec<u64>,
    /// None in an audit of files. In a part, counts are those since the row before, all else is the whole flow's.
    pub part: Option<Part>,
    /// None unless asked for.
    pub keys: Option<Keys>,
}
