//! One file per protocol: a probe, a reader, their tests; none imports another (`fault`, `header`, `lines` and `ber` are
//! what several share). `classify` owns the order of the probes, the buffers and the budget.
//!
//! A probe answers from the first bytes of one direction: `Yes` on real evidence, `No` as soon as they can never be
//! right, `More` only while they still can. A reader is fed each direction's bytes in order; it never waits: it says how
//! much it consumed and is called again with the rest and what came after it.

pub mod ber;
pub mod dns;
pub mod dtls;
pub mod fault;
pub mod ftp;
pub mod header;
pub mod http;
pub mod ike;
pub mod imap;
pub mod kerberos;
pub mod ldap;
pub mod lines;
pub mod mssql;
pub mod ntp;
pub mod openvpn;
pub mod pop3;
pub mod pseudo_tls;
pub mod quic;
pub mod rdp;
pub mod rtp;
pub mod sip;
pub mod smb;
pub mod smtp;
pub mod snmp;
pub mod socks;
#[cfg(test)]
pub mod splits;
pub mod ssh;
pub mod stun;
pub mod tls;
pub mod vnc;
pub mod websocket;
pub mod wireguard;
pub mod xmpp;

use crate::certificate::Certificates;
use crate::facts::{Facts, Side};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Yes,
    No,
    /// Too short to tell.
    More,
}

/// What a stream reader says after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Consumed so many octets of the slice (0 = needs more bytes); call again when there are more.
    More(usize),
    /// Nothing further to learn: buffers may go.
    Done,
    /// Consumed so many octets; another protocol follows in both directions (STARTTLS proceeded, CONNECT accepted,
    /// TURN after the pseudo-TLS reply): probe afresh from there. Bytes of the other side not consumed so far
    /// belong to the next protocol too.
    Switch(usize),
    /// The bytes are not this protocol any more; what was learnt stays.
    Broken,
}

/// What a reader may fill in.
pub struct Context<'a> {
    pub facts: &'a mut Facts,
    pub certificates: &'a mut Certificates,
    /// Packet time, ns since 1970.
    pub time: i64,
}

pub trait StreamReader: Send + Sync {
    /// `bytes` are all unconsumed octets of this side so far, contiguous.
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step;

    /// `lost` octets of this side are missing; what follows comes after the hole. False = cannot go on.
    fn gap(&mut self, _side: Side, _lost: u64) -> bool {
        false
    }

    /// Octets held inside the reader, for the memory budget.
    fn memory(&self) -> usize {
        0
    }
}
