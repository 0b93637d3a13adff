//! RTP and RTCP, plain or secured, by their headers alone (RFC 3550, RFC 5761; SRTP leaves them in clear, RFC 3711).
//!
//! Strategy: an RTP header has too little to be told from random bytes, so a flow is RTP once three packets of one
//! source follow each other, as RFC 3550 A.1 asks of a new source. RTCP has lengths that add up (A.2) and is believed
//! at once; where they cannot (SRTCP encrypts all but the first header) the flow must be media already, or two packets
//! of a source must follow each other (`secured`).

#[cfg(test)]
mod chance;
mod payload;
mod secured;

use payload::Payload;
pub use secured::probe_secured;

use super::Context;
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

/// Packets in order that make a source, the first included.
const IN_ORDER: u8 = 3;
/// Sources followed on one side: audio, video, its retransmission and one more.
const SOURCES: usize = 4;
/// Sequence numbers that may be missing between two packets in order (A.1 allows 3,000 once a source is known).
const MAX_DROPOUT: u16 = 5;
/// Furthest a timestamp may go between two packets: 60 s at 90 kHz, either way (video is sent out of order).
const MAX_TIMESTAMP_STEP: u32 = 60 * 90_000;

#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    in_order: u8,
    payload: Payload,
}

/// What is remembered of a flow's sources; no heap but for what may be SRTCP.
#[derive(Debug, Default)]
pub struct State {
    sources: [[Option<Source>; SOURCES]; 2],
    /// Where the next unknown source goes.
    next: [u8; 2],
    reports: secured::Reports,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
}

/// Whether the datagram may be RTP or SRTCP, or is consistent RTCP; no answer on its own, see `read_datagram`.
pub fn probe_datagram(payload: &[u8]) -> bool {
    header(payload).is_some() || is_compound(payload) || probe_secured(payload)
}

/// Follows the sources of the flow; RTP and RTCP of what was recognised, now or before, are noted.
pub fn read_datagram(side: Side, payload: &[u8], state: &mut State, context: &mut Context<'_>) {
    let facts = &mut *context.facts;
    // RFC 5761 4: RTCP's types leave no payload type of RTP in this range.
    if matches!(payload, [first, 192..=223, ..] if first & 0xc0 == 0x80) {
        let media = [Service::Rtp, Service::Rtcp, Service::Stun, Service::Turn, Service::Dtls];
        let known = media.into_iter().any(|service| facts.has(service));
        let rtcp = match known {
            _ if is_compound(payload) => true,
            true => is_secured(payload),
            false => state.reports.follow(side, payload),
        };
        if rtcp {
            facts.recognise(Service::Rtcp);
            state.reports = secured::Reports::default();
        }
        return;
    }
    let Some((source, header, payload)) = follow(side, payload, state) else {
        return;
    };
    // Those that led here count too, once it is known what they were.
    let packets = if source.payload.is_new() { IN_ORDER } else { 1 };
    if let Some(count) = facts.rtp_packets.get_mut(side.index()) {
        *count = count.saturating_add(packets);
    }
    facts.clear_media = facts.clear_media.max(source.payload.weigh(header.sequence, payload));
    facts.recognise(Service::Rtp);
}

/// Likewise, of what a relay carried, which may be anything: only payloads that are not encrypted are noted.
pub fn read_relayed(side: Side, data: &[u8], state: &mut State, context: &mut Context<'_>) {
    if let Some((source, header, payload)) = follow(side, data, state) {
        let packets = source.payload.weigh(header.sequence, payload);
        context.facts.clear_media = context.facts.clear_media.max(packets);
    }
}

/// SSRC of the packet, once its source is one; nothing is noted of the flow.
pub fn source(side: Side, payload: &[u8], state: &mut State) -> Option<u32> {
    follow(side, payload, state).map(|(source, ..)| source.ssrc)
}

/// The packet's source, if it is one, its header and payload.
fn follow<'s, 'p>(side: Side, packet: &'p [u8], state: &'s mut State) -> Option<(&'s mut Source, Header, &'p [u8])> {
    let (header, payload) = header_and_payload(packet)?;
    let (sources, next) = (state.sources.get_mut(side.index())?, state.next.get_mut(side.index())?);
    let known = |source: &Option<Source>| source.as_ref().is_some_and(|source| source.ssrc == header.ssrc);
    if let Some(at) = sources.iter().position(known) {
        let source = sources.get_mut(at)?.as_mut()?;
        source.follow(header);
        return (source.in_order >= IN_ORDER).then_some((source, header, payload));
    }
    let Header {
        sequence,
        timestamp,
        ssrc,
    } = header;
    if let Some(place) = sources.get_mut(usize::from(*next) % SOURCES) {
        *place = Some(Source {
            ssrc,
            sequence,
            timestamp,
            in_order: 1,
            payload: Payload::default(),
        });
    }
    *next = next.wrapping_add(1);
    None
}

impl Source {
    fn follow(&mut self, header: Header) {
        if self.in_order >= IN_ORDER {
            return;
        }
        let ahead = header.sequence.wrapping_sub(self.sequence);
        let later = header.timestamp.wrapping_sub(self.timestamp);
        let near = later.min(later.wrapping_neg()) <= MAX_TIMESTAMP_STEP;
        if ahead == 0 || ahead > u16::MAX - MAX_DROPOUT {
            // A copy or one that was overtaken: no evidence, none against.
            return;
        }
        self.in_order = if ahead <= MAX_DROPOUT && near {
            self.in_order.saturating_add(1)
        } else {
            1
        };
        self.sequence = header.sequence;
        self.timestamp = header.timestamp;
    }
}

fn header(packet: &[u8]) -> Option<Header> {
    header_and_payload(packet).map(|(header, _)| header)
}

/// RFC 3550 5.1: version 2, and room for what the header says is there.
fn header_and_payload(packet: &[u8]) -> Option<(Header, &[u8])> {
    let mut cursor = Cursor::new(packet);
    let first = cursor.u8().ok()?;
    let payload_type = cursor.u8().ok()? & 0x7f;
    let sequence = cursor.u16().ok()?;
    let timestamp = cursor.u32().ok()?;
    let ssrc = cursor.u32().ok()?;
    // 64 to 95 would be RTCP with the marker bit cut off (RFC 5761 4).
    if first & 0xc0 != 0x80 || (64..=95).contains(&payload_type) {
        return None;
    }
    cursor.skip(usize::from(first & 0x0f).checked_mul(4)?).ok()?;
    if first & 0x10 != 0 {
        cursor.skip(2).ok()?;
        let words = cursor.u16().ok()?;
        cursor.skip(usize::from(words).checked_mul(4)?).ok()?;
    }
    let header = Header {
        sequence,
        timestamp,
        ssrc,
    };
    Some((header, cursor.rest()))
}

/// RFC 3550 A.2: begins with a report, unpadded, and the lengths of all packets add up to the datagram. Each length must
/// hold the blocks that its packet announces.
fn is_compound(payload: &[u8]) -> bool {
    let mut cursor = Cursor::new(payload);
    let mut first = true;
    while !cursor.is_empty() {
        let Some((kind, blocks, padded, words)) = packet(&mut cursor) else {
            return false;
        };
        let needed: usize = match kind {
            200 => blocks.saturating_mul(6).saturating_add(6),
            201 => blocks.saturating_mul(6).saturating_add(1),
            _ if first => return false,
            _ => 0,
        };
        if words < needed || first && padded || cursor.skip(words.saturating_mul(4)).is_err() {
            return false;
        }
        first = false;
    }
    !first
}

/// SRTCP (RFC 3711 3.4) or feedback of reduced size (RFC 5506): the first packet's length is in clear, what follows may
/// not be.
fn is_secured(payload: &[u8]) -> bool {
    let mut cursor = Cursor::new(payload);
    match packet(&mut cursor) {
        Some((200..=207, _, _, words)) => words >= 1 && cursor.skip(words.saturating_mul(4)).is_ok(),
        _ => false,
    }
}

/// Type, count, padding bit and length in words of the packet's rest.
fn packet(cursor: &mut Cursor<'_>) -> Option<(u8, usize, bool, usize)> {
    let first = cursor.u8().ok()?;
    let kind = cursor.u8().ok()?;
    let words = cursor.u16().ok()?;
    let known = first & 0xc0 == 0x80 && (192..=223).contains(&kind);
    known.then_some((kind, usize::from(first & 0x1f), first & 0x20 != 0, usize::from(words)))
}

#[cfg(test)]
mod tests {
    use super::super::splits::with_context;
    use super::*;
    use crate::facts::Facts;
    use proptest::prelude::*;
    use Side::{A, B};

    #[derive(Default)]
    struct Flow {
        state: State,
        facts: Facts,
    }

    impl Flow {
        /// Whether it was noted.
        fn hear(&mut self, side: Side, payload: &[u8]) -> bool {
            let (state, before) = (&mut self.state, self.facts.rtp_packets);
            with_context(&mut self.facts, |context| read_datagram(side, payload, state, context));
            self.facts.rtp_packets != before || self.facts.has(Service::Rtcp)
        }
    }

    /// RFC 3550 5.1: V=2, payload type 8 (PCMA), 20 ms each.
    fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
        // Signed, so that it goes on where the sequence number begins again.
        let timestamp = i32::from(sequence as i16) * 160;
        [
            &[0x80, 0x08][..],
            &sequence.to_be_bytes(),
            &timestamp.to_be_bytes(),
            &ssrc.to_be_bytes(),
            &[0xd5; 160],
        ]
        .concat()
    }

    /// A sender report with one block and an SDES, from a public capture of a call (payload sizes by RFC 3550 6.4.1).
    fn compound() -> Vec<u8> {
        let report = [&[0x81, 200, 0, 12][..], &[0x11; 48]].concat();
        let items = [
            &[0x81, 202, 0, 3][..],
            &[0, 0, 0, 1, 1, 4, b'a', b'@', b'b', b'c', 0, 0],
        ]
        .concat();
        [report, items].concat()
    }

    #[test]
    fn three_in_order_are_a_source() {
        let mut flow = Flow::default();
        let heard: Vec<bool> = (65534..=65535)
            .chain(0..3)
            .map(|sequence| flow.hear(A, &packet(7, sequence)))
            .collect();
        assert_eq!(
            heard,
            [false, false, true, true, true],
            "around the end of the sequence numbers"
        );
        assert_eq!(
            (flow.facts.services(), flow.facts.rtp_packets),
            (&[Service::Rtp][..], [5, 0])
        );
        assert_eq!(flow.facts.opener, None, "media tells nothing about who opened");
    }

    #[test]
    fn loss_order_and_copies_do_no_harm() {
        let mut flow = Flow::default();
        for sequence in [10, 10, 12, 11] {
            assert!(!flow.hear(A, &packet(7, sequence)));
        }
        assert!(flow.hear(A, &packet(7, 15)));
    }

    #[test]
    fn audio_and_video_on_one_flow() {
        let mut flow = Flow::default();
        for sequence in 0..3 {
            flow.hear(A, &packet(7, sequence));
            flow.hear(A, &packet(8, 1000 + sequence));
        }
        assert_eq!(flow.facts.rtp_packets, [6, 0]);
    }

    #[test]
    fn unlike_sequences_are_none() {
        let mut flow = Flow::default();
        for n in 0..200_u16 {
            flow.hear(A, &packet(7, n.wrapping_mul(977)));
            flow.hear(B, &packet(u32::from(n), n));
            flow.hear(B, &packet(7, 5));
        }
        assert_eq!((flow.facts.services(), flow.facts.rtp_packets), (&[][..], [0, 0]));
    }

    #[test]
    fn a_counter_with_random_timestamps_is_none() {
        let mut flow = Flow::default();
        for n in 0..100_u16 {
            let mut bytes = packet(7, n);
            bytes[4] = (n % 2) as u8 * 0x80;
            assert!(!flow.hear(A, &bytes));
        }
    }

    #[test]
    fn the_header_must_have_room() {
        let good = packet(7, 1);
        assert!(probe_datagram(&good[..12]));
        for length in 0..12 {
            assert!(!probe_datagram(&good[..length]));
        }
        let change = |at: usize, byte: u8, length: usize| {
            let mut bytes = good[..length].to_vec();
            bytes[at] = byte;
            probe_datagram(&bytes)
        };
        assert!(!change(0, 0x40, 172) && !change(0, 0xc0, 172), "version");
        assert!(
            !change(0, 0x83, 20) && change(0, 0x83, 24),
            "three contributing sources"
        );
        assert!(
            !change(0, 0x90, 14) && !change(0, 0x90, 172),
            "an extension that is longer than the packet"
        );
        assert!(!change(1, 72, 172) && !change(1, 0xc8, 172), "RTCP's types");
    }

    #[test]
    fn a_compound_alone_is_rtcp() {
        let bytes = compound();
        let mut flow = Flow::default();
        assert!(flow.hear(A, &bytes));
        assert_eq!(
            (flow.facts.services(), flow.facts.rtp_packets),
            (&[Service::Rtcp][..], [0, 0])
        );
        assert!(
            Flow::default().hear(A, &[0x80, 201, 0, 1, 0, 0, 0, 9]),
            "an empty receiver report"
        );
        for length in (0..bytes.len()).filter(|&length| length != 52) {
            assert!(!Flow::default().hear(A, &bytes[..length]), "cut to {length}");
        }
        assert!(
            !Flow::default().hear(
                A,
                &[0x82, 200, 0, 12].iter().copied().chain([0; 48]).collect::<Vec<_>>()
            ),
            "two blocks need more"
        );
        assert!(
            !Flow::default().hear(A, &[0x81, 202, 0, 1, 0, 0, 0, 9]),
            "does not begin with a report"
        );
        assert!(
            !Flow::default().hear(A, &[0xa0, 201, 0, 1, 0, 0, 0, 9]),
            "the first is never padded"
        );
    }

    #[test]
    fn secured_reports_need_known_media_or_a_second() {
        let secured = [&[0x80, 201, 0, 1][..], &[0, 0, 0, 9], &[0xee; 30]].concat();
        let feedback = [&[0x8f, 206, 0, 4][..], &[0xaa; 16], &[0x80, 0, 0, 1], &[0xbb; 10]].concat();
        for bytes in [secured, feedback] {
            assert!(!Flow::default().hear(B, &bytes));
            let mut flow = Flow::default();
            for sequence in 0..3 {
                flow.hear(A, &packet(7, sequence));
            }
            assert!(flow.hear(B, &bytes));
            assert_eq!(flow.facts.services(), [Service::Rtp, Service::Rtcp]);
        }
        let numbered = |n: u8| [&[0x80, 201, 0, 1, 0, 0, 0, 9][..], &[0x80, 0, 0, n], &[0xa0 + n; 10]].concat();
        let mut flow = Flow::default();
        assert_eq!([0, 1, 7].map(|n| flow.hear(A, &numbered(n))), [false, true, true]);
        assert!(
            flow.hear(B, &numbered(0)),
            "the other side's first, now that the flow is known"
        );
        assert_eq!(flow.facts.services(), [Service::Rtcp]);
    }

    proptest! {
        #[test]
        fn random_datagrams_are_none(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..60)) {
            let mut flow = Flow::default();
            for (n, payload) in payloads.iter().enumerate() {
                flow.hear(if n % 2 == 0 { A } else { B }, payload);
            }
            prop_assert!(flow.facts.services().is_empty());
        }
    }
}
