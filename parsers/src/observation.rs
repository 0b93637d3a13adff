//! What a flow comes to: who opened it, whether it was answered, and the tuple of small numbers that a judge sees.
//!
//! Of a flow that is still being read only what is proved is said: nothing is unrecognised before the probes have given
//! up, and what the next packet may refute (a one-way sender, a server that broke off) waits for the end.
//!
//! Two flows that must be judged alike have equal tuples: addresses, names and ports are already numbers of the
//! caller's tables, times are already compared. The order of the numbers is `OBSERVATION`, part of the seam to Python.

use hashbrown::HashMap;

use crate::certificate::Certificates;
use crate::facts::{Facts, Mutual, Service, Side, StartTls, TlsFacts};
use crate::flow::continued::Opener;
use crate::flow::record::{Answered, End, Initiator, Part, Record, Tunnel};
use crate::flow::table::Flow;
use crate::tables::Tables;
use crate::text::Text;

pub const WIDTH: usize = 26;
pub type Observation = [u32; WIDTH];

pub const OBSERVATION: [&str; WIDTH] = [
    "transport",
    "source",
    "destination",
    "source_port",
    "destination_port",
    "initiator",
    "answered",
    "payload",
    "service",
    "services",
    "evidence",
    "tls",
    "tls_version",
    "mutual",
    "server_validity",
    "client_validity",
    "server_name",
    "stun",
    "xmpp_namespace",
    "xmpp_starttls",
    "xmpp_clear",
    "xmpp_from",
    "xmpp_to",
    "host",
    "era",
    "icmp_type",
];

/// Distinct observations an engine keeps; a tuple is a hundred octets, so this is some 200 MB at worst. The number behind
/// the last stands for all further ones: its tuple is zeros and says nothing.
pub const LIMIT: usize = 1 << 20;

/// The distinct observations of an engine, numbered in the order of their first flow.
pub struct Observations {
    all: Vec<Observation>,
    numbers: HashMap<Observation, u32>,
    limit: usize,
}

impl Observations {
    pub fn new(limit: usize) -> Observations {
        Observations {
            all: Vec::new(),
            numbers: HashMap::new(),
            limit,
        }
    }

    pub fn all(&self) -> &[Observation] {
        &self.all
    }

    /// The number of a tuple, new or known.
    pub fn number(&mut self, tuple: Observation) -> u32 {
        if let Some(&number) = self.numbers.get(&tuple) {
            return number;
        }
        let number = u32::try_from(self.all.len().min(self.limit)).unwrap_or(u32::MAX);
        if self.all.len() < self.limit {
            self.all.push(tuple);
            self.numbers.insert(tuple, number);
        } else if self.all.len() == self.limit {
            self.all.push([0; WIDTH]);
        }
        number
    }
}

/// RTP packets in one direction that prove media.
const MEDIA: u8 = 10;
/// Octets of a TLS alert record: what was acknowledged beyond it was something else.
const ALERT_RECORD: u32 = 7;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// What is known beside the flow itself.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub tables: &'a Tables,
    pub certificates: &'a Certificates,
    /// No further packet of the flow will come.
    pub ended: bool,
}

/// A flow's observation, and of its record what is the same.
pub struct Seen {
    pub tuple: Observation,
    source: Side,
    initiator: Initiator,
    answered: Answered,
    service: u8,
    missed: u64,
    ended: bool,
}

/// What of a flow is moved or copied into its record.
pub struct Baggage {
    facts: Facts,
    tunnels: Vec<Tunnel>,
    places: Vec<u64>,
}

impl Baggage {
    pub fn of_ended(flow: &mut Flow) -> Baggage {
        Baggage {
            facts: std::mem::take(&mut flow.facts),
            tunnels: std::mem::take(&mut flow.tunnels),
            places: std::mem::take(&mut flow.places),
        }
    }

    pub fn of_live(flow: &Flow) -> Baggage {
        Baggage {
            facts: flow.facts.clone(),
            tunnels: flow.tunnels.clone(),
            places: flow.places.clone(),
        }
    }
}

pub fn observe(flow: &Flow, known: Known<'_>) -> Seen {
    let Known {
        tables,
        certificates,
        ended,
    } = known;
    let settled = ended || flow.conversation.has_given_up();
    let mut reading = flow.conversation.reading(&flow.facts);
    reading.unrecognised &= settled;
    let protocol = flow.key.protocol();
    let has_ports = has_ports(protocol);
    let (a, b) = (
        flow.key.end(Side::A, flow.a_is_low),
        flow.key.end(Side::B, flow.a_is_low),
    );
    let (a_endpoint, b_endpoint) = (tables.endpoint(&a.0), tables.endpoint(&b.0));
    let listens = |endpoint: u32, port: u16| has_ports && tables.listens(endpoint, protocol, port);
    let one_way = ended && flow.counts.iter().any(|count| count.packets == 0);
    let (source, initiator) = opener(
        flow,
        (listens(a_endpoint, a.1), listens(b_endpoint, b.1)),
        one_way || flow.settled,
    );
    let destination = source.other();
    let payload = payload(flow, source, &reading.alert_only);
    let answered = answered(flow, source);
    let missed = match &flow.tcp {
        // Nothing was read of it, but acknowledgements say that there was something.
        Some(tcp) if flow.conversation.is_silent() => {
            Side::BOTH.iter().map(|&side| u64::from(tcp.acknowledged(side))).sum()
        }
        _ => flow.conversation.missed(),
    };
    let facts = &flow.facts;
    let service = primary(facts, settled && payload & 3 != 0);
    let ((source_endpoint, source_port), (destination_endpoint, destination_port)) = match source {
        Side::A => ((a_endpoint, a.1), (b_endpoint, b.1)),
        Side::B => ((b_endpoint, b.1), (a_endpoint, a.1)),
    };
    let class = |port: u16| if has_ports { u32::from(tables.port(port)) } else { 0 };
    let name = |text: &Option<Text>| text.as_ref().map_or(0, |text| tables.name(text.bytes()));
    let validity = |chain: Option<&Vec<u32>>| {
        chain
            .and_then(|chain| chain.first())
            .map_or(0, |&leaf| u32::from(certificates.validity(leaf, flow.start)))
    };
    let tls = facts.tls.as_deref();
    let xmpp = facts.xmpp.as_deref();
    let tuple: Observation = [
        u32::from(protocol),
        source_endpoint,
        destination_endpoint,
        class(source_port),
        class(destination_port),
        initiator as u32,
        answered as u32,
        payload,
        u32::from(service),
        facts.bits(),
        evidence(facts, payload, reading.from_start, reading.unrecognised),
        tls_bits(flow, destination, ended),
        tls.map_or(0, |tls| u32::from(tls.version)),
        match tls.map(|tls| tls.mutual) {
            None => 0,
            Some(Mutual::No) => 1,
            Some(Mutual::Yes) => 2,
            Some(Mutual::Unknown) => 3,
        },
        validity(tls.map(|tls| &tls.server_chain)),
        validity(tls.map(|tls| &tls.client_chain)),
        tls.map_or(0, |tls| name(&tls.server_name)),
        stun_bits(facts, tables.media_packets),
        xmpp.map_or(0, |xmpp| match xmpp.namespace.as_ref().map(Text::bytes) {
            None => 0,
            Some(b"jabber:server") => 1,
            Some(b"jabber:client") => 2,
            Some(_) => 3,
        }),
        xmpp.map_or(0, |xmpp| match xmpp.starttls {
            StartTls::No => 1,
            StartTls::Offered => 2,
            StartTls::Proceeded => 3,
        }),
        xmpp.map_or(0, |xmpp| u32::from(xmpp.clear_stanza) | u32::from(xmpp.clear_sasl) << 1),
        xmpp.map_or(0, |xmpp| name(&xmpp.from)),
        xmpp.map_or(0, |xmpp| name(&xmpp.to)),
        facts.http.as_deref().map_or(0, |http| name(&http.domain)),
        u32::from(tables.era(flow.start)),
        u32::from(flow.icmp_type),
    ];
    Seen {
        tuple,
        source,
        initiator,
        answered,
        service,
        missed,
        ended,
    }
}

impl Seen {
    pub fn opener(&self) -> Opener {
        Opener {
            side: self.source,
            initiator: self.initiator,
        }
    }

    /// The flow's row; its observation's number is the caller's to set.
    pub fn record(&self, flow: &Flow, baggage: Baggage) -> Record {
        let Seen { source, ended, .. } = *self;
        let protocol = flow.key.protocol();
        let before = flow.left.as_ref().map(|left| left.counts).unwrap_or_default();
        let end = |side: Side| {
            let (address, port) = flow.key.end(side, flow.a_is_low);
            let (count, before) = (&flow.counts[side.index()], &before[side.index()]);
            End {
                address,
                port: has_ports(protocol).then_some(port),
                packets: count.packets.saturating_sub(before.packets),
                bytes: count.bytes.saturating_sub(before.bytes),
            }
        };
        let part = flow.left.as_ref().map(|left| Part {
            flow_id: left.flow_id,
            number: left.rows,
            ended,
            previous: left.observation,
            packets_before: before.iter().map(|count| count.packets).sum(),
            bytes_before: before.iter().map(|count| count.bytes).sum(),
            start: left.since.unwrap_or(flow.last),
        });
        let keys = flow.join.as_ref().map(|join| join.keys(flow, source, &baggage.facts));
        Record {
            start: flow.start,
            end: flow.last,
            transport: protocol,
            source: end(source),
            destination: end(source.other()),
            vlan: flow.vlan,
            capture: flow.capture,
            frame: flow.frame,
            last_frame: flow.last_frame,
            initiator: self.initiator,
            answered: self.answered,
            history: flow.tcp.as_ref().map(|tcp| tcp.history(source)),
            // What is missing may still come: said once, at the end.
            missed_bytes: if ended { self.missed } else { 0 },
            snaplen_cut: flow.snaplen_cut,
            protocol: self.service,
            source_is_a: source == Side::A,
            facts: baggage.facts,
            observation: 0,
            tunnels: baggage.tunnels,
            packets: baggage.places,
            part,
            keys,
        }
    }
}

fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP)
}

/// Who opened: SYN, then bytes that tell, of this flow or of the one that it goes on with, then the listener, then the
/// first sender: of all packets between the two, so where it goes on with another flow that one's, and where the first
/// datagram is an answer whoever it answers, though less surely.
/// `sure`: the first sender is believed where packets have no say of their own, unless the first of all was an answer.
fn opener(flow: &Flow, listens: (bool, bool), sure: bool) -> (Side, Initiator) {
    if let Some(side) = flow.tcp.as_ref().and_then(|tcp| tcp.opener()) {
        return (side, Initiator::Syn);
    }
    let begun = || flow.facts.tls.as_deref().and_then(TlsFacts::begun);
    if let Some(side) = flow.facts.opener.or_else(begun) {
        return (side, Initiator::Handshake);
    }
    let before = flow.continues.map(|before| (before.side, before.initiator));
    if let Some((side, Initiator::Handshake)) = before {
        return (side, Initiator::Handshake);
    }
    match listens {
        (true, false) => return (Side::B, Initiator::Listener),
        (false, true) => return (Side::A, Initiator::Listener),
        _ => {}
    }
    if let Some(before) = before {
        return before;
    }
    if let Some(side) = flow.facts.asked {
        return (side, Initiator::First);
    }
    let lost = flow.facts.stun.as_deref().is_some_and(|stun| stun.begun_by_answer);
    let sure = sure && !lost && matches!(flow.key.protocol(), UDP | 1 | 58);
    (Side::A, if sure { Initiator::FirstSure } else { Initiator::First })
}

/// Bits of `Payload`: who sent payload, seen or proved by acknowledgements, and of whom packets were captured.
fn payload(flow: &Flow, source: Side, alert_only: &[bool; 2]) -> u32 {
    let destination = source.other();
    let acknowledged = |side: Side| flow.tcp.as_ref().map_or(0, |tcp| tcp.acknowledged(side));
    let sent = |side: Side| {
        let seen = flow.counts[side.index()].payload;
        seen > 0 || acknowledged(side) > 0
    };
    let beyond_alert = {
        let seen = flow.counts[destination.index()].payload;
        let tls = flow.facts.tls.as_deref();
        let read = match tls {
            Some(tls) if tls.client_hello || tls.server_hello => tls.beyond_alert[destination.index()],
            _ => !alert_only[destination.index()],
        };
        (seen > 0 && read) || (seen == 0 && acknowledged(destination) > ALERT_RECORD)
    };
    // That it opened anything is then the other end's word alone, which anybody can give: a SYN-ACK to no SYN, a datagram to
    // no question. Payload on TCP takes a handshake, and so both.
    let hearsay = !(flow.spoke[source.index()] || (flow.tcp.is_some() && sent(destination)));
    let resets = flow.tcp.as_ref().is_some_and(|tcp| {
        let [a, b] = Side::BOTH.map(|side| tcp.reset_by(side));
        a != b && flow.spoke == [false, false]
    });
    u32::from(sent(source))
        | u32::from(sent(destination)) << 1
        | u32::from(beyond_alert) << 2
        | u32::from(flow.counts.iter().all(|count| count.packets > 0)) << 3
        | u32::from(hearsay) << 4
        | u32::from(resets) << 5
}

fn answered(flow: &Flow, source: Side) -> Answered {
    let destination = source.other();
    let yes = match &flow.tcp {
        Some(tcp) => tcp.answered_by(destination),
        None => {
            let count = &flow.counts[destination.index()];
            // An ICMP error counts as a packet of that side, but is no answer.
            count.payload > 0 || (flow.key.protocol() != UDP && count.packets > 0 && !flow.unreachable[source.index()])
        }
    };
    let refused = flow.unreachable[source.index()] || flow.tcp.as_ref().is_some_and(|tcp| tcp.reset_by(destination));
    match (yes, refused) {
        (true, _) => Answered::Yes,
        (false, true) => Answered::Refused,
        (false, false) => Answered::No,
    }
}

/// The number of `network.protocol`: the first recognised service, but any TURN is TURN, media is named by RTP, and
/// pseudo-TLS without a TURN frame stays pseudo-TLS.
fn primary(facts: &Facts, payload: bool) -> u8 {
    let Some(&first) = facts.services().first() else {
        return u8::from(payload);
    };
    let has = |service| facts.has(service);
    let chosen = if first == Service::PseudoTls && !facts.pseudo_tls.frame {
        Service::PseudoTls
    } else if has(Service::Turn) {
        Service::Turn
    } else if first == Service::Rtcp && has(Service::Rtp) && !has(Service::Stun) {
        Service::Rtp
    } else {
        first
    };
    chosen as u8
}

fn evidence(facts: &Facts, payload: u32, from_start: bool, unrecognised: bool) -> u32 {
    if payload & 3 == 0 {
        0
    } else if !facts.services().is_empty() {
        if from_start {
            3
        } else {
            4
        }
    } else if unrecognised {
        2
    } else {
        1
    }
}

fn tls_bits(flow: &Flow, destination: Side, ended: bool) -> u32 {
    let facts = &flow.facts;
    let Some(tls) = facts.tls.as_deref() else { return 0 };
    let server = tls.client.map_or(destination, Side::other).index();
    // Bytes sent before a FIN may be captured after it.
    let closed = ended
        && flow
            .tcp
            .as_ref()
            .is_some_and(|tcp| tcp.closed_by(if server == 0 { Side::A } else { Side::B }));
    let broke_off = (tls.client_hello || tls.server_hello)
        && !tls.change_cipher_spec[server]
        && (tls.fatal_alert[server] || closed);
    let (read, begun) = (tls.client_hello || tls.server_hello, tls.begun().is_some());
    u32::from(tls.client_hello)
        | u32::from(tls.server_hello) << 1
        | u32::from(tls.established) << 2
        | u32::from(tls.resumed) << 3
        | u32::from(broke_off) << 4
        | u32::from(facts.has(Service::Tls) && !read && !begun) << 5
        | u32::from(!tls.server_chain.is_empty()) << 6
        | u32::from(begun && !read) << 7
}

fn stun_bits(facts: &Facts, media_packets: u32) -> u32 {
    let stun = facts.stun.as_deref();
    let media = facts.rtp_packets.iter().any(|&count| count >= MEDIA);
    let pseudo = facts.pseudo_tls;
    let is = |test: fn(&crate::facts::StunFacts) -> bool| u32::from(stun.is_some_and(test));
    is(|stun| stun.requests)
        | is(|stun| stun.answered) << 1
        | is(|stun| stun.ms_turn) << 2
        | is(|stun| stun.requests && !stun.beyond_binding && !stun.answered) << 3
        | u32::from(media) << 4
        | u32::from(pseudo.hello) << 5
        | u32::from(pseudo.reply) << 6
        | u32::from(pseudo.frame) << 7
        | u32::from(facts.clear_media > 0 && facts.clear_media >= media_packets) << 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_behind_the_last_stands_for_all_further_tuples() {
        let tuple = |n: u32| [n; WIDTH];
        let mut observations = Observations::new(2);
        assert_eq!(observations.number(tuple(7)), 0);
        assert_eq!(observations.number(tuple(8)), 1);
        assert_eq!(observations.number(tuple(7)), 0);
        assert_eq!(observations.number(tuple(9)), 2);
        assert_eq!(observations.number(tuple(10)), 2);
        assert_eq!(observations.all(), [tuple(7), tuple(8), tuple(0)]);
    }
}
