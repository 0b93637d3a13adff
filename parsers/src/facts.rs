//! What is known of one flow's conversation: the facts that the protocol readers fill in and nobody else changes.
//!
//! `services` is an ordered list, never one field overwritten, because a flow can change its mind (XMPP becomes TLS
//! after STARTTLS; STUN, DTLS and RTP share one UDP port, RFC 7983). Every reader's facts live in a box of their own, so
//! that an idle flow that carried none of them pays one pointer. First seen wins: a reader sets a field once.

use crate::minutes::Minutes;
use crate::text::Text;

/// Application protocols, in the order of `parsers.SERVICES`; the numbers are part of the seam to Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Service {
    Tls = 2,
    PseudoTls = 3,
    Turn = 4,
    Stun = 5,
    Xmpp = 6,
    Sip = 7,
    Http = 8,
    Dns = 9,
    Ssh = 10,
    Rtp = 11,
    Rtcp = 12,
    Quic = 13,
    Dtls = 14,
    Ntp = 15,
    Ike = 16,
    Wireguard = 17,
    Openvpn = 18,
    Snmp = 19,
    Kerberos = 20,
    Rdp = 21,
    Smb = 22,
    Smtp = 23,
    Ftp = 24,
    Imap = 25,
    Pop3 = 26,
    Ldap = 27,
    Mssql = 28,
    Socks = 29,
    Vnc = 30,
}

impl Service {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Names by number; 0 = no payload, 1 = payload that nothing recognised.
pub const SERVICES: [&str; 31] = [
    "",
    "unknown",
    "tls",
    "pseudo-tls",
    "turn",
    "stun",
    "xmpp",
    "sip",
    "http",
    "dns",
    "ssh",
    "rtp",
    "rtcp",
    "quic",
    "dtls",
    "ntp",
    "ike",
    "wireguard",
    "openvpn",
    "snmp",
    "kerberos",
    "rdp",
    "smb",
    "smtp",
    "ftp",
    "imap",
    "pop3",
    "ldap",
    "mssql",
    "socks",
    "vnc",
];

/// An observation has a bit for each service (`observation`): number 31 is the last that fits.
const _: () = assert!(SERVICES.len() <= 32);

/// One end of a flow before it is known who opened it: `A` sent the first packet that was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    A,
    B,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::A, Side::B];

    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }

    pub fn index(self) -> usize {
        self as usize
    }
}

#[derive(Debug, Default, Clone)]
pub struct Facts {
    services: Vec<Service>,
    /// The same as bits: asked of each packet, which is not worth the list's cache line.
    seen: u32,
    /// Who opened, where the bytes tell: the sender of a ClientHello or request, the receiver of an answer.
    pub opener: Option<Side>,
    /// Who must have sent the STUN Binding request that the first datagram answers.
    pub asked: Option<Side>,
    pub tls: Option<Box<TlsFacts>>,
    pub pseudo_tls: PseudoTls,
    pub stun: Option<Box<StunFacts>>,
    pub sip: Option<Box<SipFacts>>,
    pub xmpp: Option<Box<XmppFacts>>,
    pub http: Option<Box<HttpFacts>>,
    pub dns: Option<Box<DnsFacts>>,
    /// RTP packets per side, saturating: 10 in one direction are proof of media.
    pub rtp_packets: [u8; 2],
    /// RTP packets in datagrams of a source whose payload is proved not to be encrypted: of the one with most.
    pub clear_media: u32,
}

impl Facts {
    /// Notes that `service` was recognised; its place in the list is that of the first time.
    pub fn recognise(&mut self, service: Service) {
        if !self.has(service) {
            self.seen |= service.bit();
            self.services.push(service);
        }
    }

    pub fn services(&self) -> &[Service] {
        &self.services
    }

    pub fn has(&self, service: Service) -> bool {
        self.seen & service.bit() != 0
    }

    /// The services as bits: bit n for the one with number n.
    pub fn bits(&self) -> u32 {
        self.seen
    }

    /// `opener` from bytes that tell; the first word stands.
    pub fn opened_by(&mut self, side: Side) {
        self.opener.get_or_insert(side);
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Mutual {
    /// Resumed, TLS 1.3, or the handshake was not seen whole.
    #[default]
    Unknown,
    /// TLS ≤ 1.2, full handshake: no CertificateRequest, or the client's Certificate was empty.
    No,
    Yes,
}

/// TLS (and what DTLS and QUIC share with it).
#[derive(Debug, Default, Clone)]
pub struct TlsFacts {
    pub client_hello: bool,
    pub server_hello: bool,
    /// Per side, while a hello of it is not whole: the side that is the client by it. It proves no more than that.
    pub begun_hello: [Option<Side>; 2],
    /// Side that is the client, once known.
    pub client: Option<Side>,
    /// On the wire: 0x0002, 0x0300 … 0x0304 (DTLS: 0xfeff, 0xfefd, 0xfefc); the ServerHello's choice
    /// (supported_versions where it has one), before that 0.
    pub version: u16,
    pub cipher: Option<u16>,
    pub server_name: Option<Text>,
    /// Of the first ClientHello.
    pub client_random: Option<[u8; 32]>,
    /// ALPN protocol the server chose, where visible.
    pub next_protocol: Option<Text>,
    pub resumed: bool,
    /// Both sides sent ChangeCipherSpec and (encrypted) Finished, or TLS 1.3 application data went both ways.
    pub established: bool,
    /// Whether a certificate handshake (TLS ≤ 1.2, not resumed) was seen whole enough to judge `mutual`.
    pub mutual: Mutual,
    /// Certificate numbers (`certificate::Certificates`), leaf first.
    pub server_chain: Vec<u32>,
    pub client_chain: Vec<u32>,
    /// Per side: a ChangeCipherSpec was sent.
    pub change_cipher_spec: [bool; 2],
    /// Per side: a fatal alert was sent in clear before its ChangeCipherSpec.
    pub fatal_alert: [bool; 2],
    /// Per side: something other than an alert was sent.
    pub beyond_alert: [bool; 2],
    pub ja3: Option<[u8; 16]>,
    pub ja3s: Option<[u8; 16]>,
    pub ja4: Option<Box<str>>,
}

impl TlsFacts {
    /// The client by a hello that has begun.
    pub fn begun(&self) -> Option<Side> {
        self.begun_hello.into_iter().flatten().next()
    }
}

/// MS-TURN 2.1.1: the fixed hello and reply that look like TLS and are not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PseudoTls {
    pub hello: bool,
    pub reply: bool,
    /// A TURN frame followed.
    pub frame: bool,
}

#[derive(Debug, Default, Clone)]
pub struct StunFacts {
    /// "binding", "allocate", "send", "refresh", …: of the first message.
    pub method: Option<&'static str>,
    /// 12 octets (RFC 5389) or 16 (no cookie), of the first message.
    pub transaction_id: Vec<u8>,
    pub ms_version: Option<u32>,
    /// "udp", "tcp", "rfc4571", "ms-turn-tcp".
    pub framing: Option<&'static str>,
    pub ms_turn: bool,
    pub requests: bool,
    /// The first message was an answer: what it answers went by uncaptured, and with it who was first.
    pub begun_by_answer: bool,
    /// A request was answered by the other side.
    pub answered: bool,
    /// Something other than Binding requests was seen.
    pub beyond_binding: bool,
    /// SSRC of the first RTP that frames over TCP carried.
    pub rtp_source: Option<u32>,
    /// Last requests that wait for an answer: the sender and all 16 octets. Bounded; empty once one was answered.
    pub outstanding: Vec<(Side, [u8; 16])>,
    /// Last answers that were captured before their request, by the sender of that.
    pub early: Vec<(Side, [u8; 16])>,
    /// Allocate requests in datagrams without credentials, but for those after whose challenge one with them came.
    pub allocates: Minutes<1>,
    /// The last of these, while none with credentials has come.
    pub unproved: Option<[u8; 16]>,
}

#[derive(Debug, Default, Clone)]
pub struct SipFacts {
    pub method: Option<Text>,
    pub call_id: Option<Text>,
    pub from: Option<Text>,
    pub to: Option<Text>,
    pub user_agent: Option<Text>,
    pub status: Option<u16>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StartTls {
    #[default]
    No,
    Offered,
    Proceeded,
}

#[derive(Debug, Default, Clone)]
pub struct XmppFacts {
    pub to: Option<Text>,
    pub from: Option<Text>,
    pub namespace: Option<Text>,
    pub starttls: StartTls,
    /// A message, presence or iq went in clear.
    pub clear_stanza: bool,
    /// SASL began in clear.
    pub clear_sasl: bool,
}

/// What kind of thing the first final answer to the first request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpAnswer {
    Redirect,
    Refusal,
    /// No body: it is said to be empty, or may not be there (RFC 9110 6.4.1).
    Empty,
    /// The document of the Autodiscover service, by its media type.
    Autodiscover,
    /// JSON or XML of no stated kind.
    Data,
    Content,
    /// The connection goes on as something else.
    Switch,
}

#[derive(Debug, Default, Clone)]
pub struct HttpFacts {
    pub method: Option<Text>,
    /// Host header without port, else the authority of the target.
    pub domain: Option<Text>,
    pub path: Option<Text>,
    pub status: Option<u16>,
    pub answer: Option<HttpAnswer>,
    /// 101 with `Upgrade: websocket`: frames follow (RFC 6455).
    pub upgraded_websocket: bool,
}

#[derive(Debug, Default, Clone)]
pub struct DnsFacts {
    pub question: Option<Text>,
}
