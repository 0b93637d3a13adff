//! STUN and TURN over TCP. Three framings, told apart by the first bytes:
//!
//! - `tcp`: messages back to back, channel data padded to four octets between them (RFC 5389 7.2.2, RFC 8656 12.5)
//! - `rfc4571`: a length of two octets before each message or RTP packet (RFC 4571 2, ICE-TCP of RFC 6544)
//! - `ms-turn-tcp`: type 2 (message) or 3 (data), zero, length (MS-TURN 2.1.4); after pseudo-TLS or at once
//!
//! Only the beginning of a unit is looked at; its rest is dropped as it comes. After a hole the reader looks for the
//! next unit that cannot be anything else.

use super::super::{Context, Probe, Step, StreamReader};
use super::message::{self, Head, Message};
use crate::facts::{Service, Side};

/// Octets of one message that are waited for: all attributes that are read stand in front of the relayed data.
const MESSAGE_LIMIT: usize = 2048;
/// Units read when nothing was answered: enough for ten RTP packets each way between keep-alives.
const UNITS: u16 = 256;
/// Octets searched through after a hole before the reader gives up.
const SEARCH_LIMIT: u64 = 256 * 1024;
/// Packets in order that make a media source, and sequence numbers that may be missing between two (RFC 3550 A.1).
const IN_ORDER: u8 = 3;
const MAX_DROPOUT: u16 = 5;
/// Frames in which they must be found; audio, video and their reports take turns.
const MEDIA_FRAMES: usize = 24;
/// Octets of one media packet, more than any path carries.
const MEDIA_LIMIT: usize = 2048;
/// Frame header, message header and cookie of MS-TURN.
const MS_FRAME: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Bare,
    Rfc4571,
    Microsoft,
}

impl Framing {
    fn name(self) -> &'static str {
        match self {
            Framing::Bare => "tcp",
            Framing::Rfc4571 => "rfc4571",
            Framing::Microsoft => "ms-turn-tcp",
        }
    }

    /// Octets before each message.
    fn header(self) -> usize {
        match self {
            Framing::Bare => 0,
            Framing::Rfc4571 => 2,
            Framing::Microsoft => 4,
        }
    }
}

/// Whether a stream begins with one of the three framings.
pub fn probe(bytes: &[u8]) -> Probe {
    match begins(bytes) {
        Ok(_) => Probe::Yes,
        Err(answer) => answer,
    }
}

/// The framing a stream begins with.
fn begins(bytes: &[u8]) -> Result<Framing, Probe> {
    let mut best = Probe::No;
    for framing in [Framing::Microsoft, Framing::Rfc4571, Framing::Bare] {
        match fits(framing, bytes) {
            Probe::Yes => return Ok(framing),
            Probe::More => best = Probe::More,
            Probe::No => {}
        }
    }
    for (probe, framing) in [
        (probe_data_frames as fn(&[u8]) -> Probe, Framing::Microsoft),
        (probe_media_frames, Framing::Rfc4571),
    ] {
        match probe(bytes) {
            Probe::Yes => return Ok(framing),
            Probe::More => best = Probe::More,
            Probe::No => {}
        }
    }
    Err(best)
}

/// What follows the pseudo-TLS hello or reply is framed by definition: the frame's header is evidence enough.
pub fn probe_after_pseudo_tls(bytes: &[u8]) -> Probe {
    match bytes {
        [2, 0, high, low, rest @ ..] => match message::microsoft_head(rest, length(*high, *low)) {
            Head::No => Probe::No,
            Head::More => Probe::More,
            Head::Yes(_) => Probe::Yes,
        },
        [3, 0, _, _, ..] => Probe::Yes,
        [2 | 3] | [2 | 3, 0] | [2 | 3, 0, _] | [] => Probe::More,
        _ => Probe::No,
    }
}

fn fits(framing: Framing, bytes: &[u8]) -> Probe {
    let head = match framing {
        Framing::Microsoft => match bytes {
            [2, 0, high, low, rest @ ..] => message::microsoft_head(rest, length(*high, *low)),
            [2] | [2, 0] | [2, 0, _] | [] => Head::More,
            _ => Head::No,
        },
        Framing::Rfc4571 => match bytes {
            // The frame's length and the message's must agree.
            [high, low, rest @ ..] => match message::rfc_head(rest) {
                Head::Yes(whole) if whole != length(*high, *low) => Head::No,
                head => head,
            },
            _ => Head::More,
        },
        Framing::Bare => message::rfc_head(bytes),
    };
    match head {
        Head::No => Probe::No,
        Head::More => Probe::More,
        Head::Yes(_) => Probe::Yes,
    }
}

/// A session joined late in which data frames go by. A TPKT (RFC 1006) begins with 03 00 too, so two frames in a row must
/// hold RTP of one source.
fn probe_data_frames(bytes: &[u8]) -> Probe {
    let mut rest = bytes;
    let mut source = None;
    for _ in 0..2 {
        let (size, body) = match rest {
            [3, 0, high, low, body @ ..] => (length(*high, *low), body),
            [3] | [3, 0] | [3, 0, _] => return Probe::More,
            [] if source.is_some() => return Probe::More,
            _ => return Probe::No,
        };
        if body.first().is_some_and(|first| first & 0xc0 != 0x80) || size < 12 {
            return Probe::No;
        }
        match (body.get(..size).and_then(rtp_source), source) {
            (None, _) if body.len() < size => return Probe::More,
            (None, _) => return Probe::No,
            (found, Some(_)) if found != source => return Probe::No,
            (found, _) => source = found,
        }
        rest = body.get(size..).unwrap_or_default();
    }
    Probe::Yes
}

/// Media between peers that no check went before (RFC 4571 2; ICE-TCP on another connection, or none at all). A length and
/// an RTP header are less than any other evidence of ours: as in datagrams, three packets of the first source must follow
/// each other, and every frame until then must be media.
fn probe_media_frames(bytes: &[u8]) -> Probe {
    let mut rest = bytes;
    let mut first: Option<(u32, u16)> = None;
    let mut in_order: u8 = 0;
    for _ in 0..MEDIA_FRAMES {
        let (size, body) = match rest {
            [0, 0, behind @ ..] if first.is_some() => {
                rest = behind;
                continue;
            }
            [high, low, body @ ..] => (length(*high, *low), body),
            _ => return Probe::More,
        };
        if !(8..=MEDIA_LIMIT).contains(&size) || body.first().is_some_and(|first| first & 0xc0 != 0x80) {
            return Probe::No;
        }
        let Some(packet) = body.get(..size) else {
            return Probe::More;
        };
        match (rtp_source(packet), packet) {
            (Some(source), [_, _, high, low, ..]) => {
                let sequence = u16::from_be_bytes([*high, *low]);
                match first {
                    Some((known, _)) if known != source => {
                        rest = body.get(size..).unwrap_or_default();
                        continue; // another source of the same connection
                    }
                    Some((_, last)) if !(1..=MAX_DROPOUT).contains(&sequence.wrapping_sub(last)) => return Probe::No,
                    _ => {}
                }
                first = Some((source, sequence));
                in_order = in_order.saturating_add(1);
                if in_order >= IN_ORDER {
                    return Probe::Yes;
                }
            }
            // RTCP; alone it is no evidence.
            (None, [_, 192..=223, ..]) => {}
            _ => return Probe::No,
        }
        rest = body.get(size..).unwrap_or_default();
    }
    Probe::No
}

/// SSRC of an RTP packet (RFC 3550 5.1); None for RTCP (RFC 5761 4) and what is neither.
fn rtp_source(packet: &[u8]) -> Option<u32> {
    match packet {
        [first, second, _, _, _, _, _, _, a, b, c, d, ..]
            if first & 0xc0 == 0x80 && !(64..=95).contains(&(second & 0x7f)) =>
        {
            Some(u32::from_be_bytes([*a, *b, *c, *d]))
        }
        _ => None,
    }
}

fn length(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high, low]))
}

#[derive(Debug, Default, Clone, Copy)]
struct Direction {
    /// Octets of the current unit that are dropped.
    skip: usize,
    /// A hole came before what is next: look for a unit.
    lost: bool,
    searched: u64,
    /// SSRC of the last RTP packet.
    source: Option<u32>,
}

/// A message's head names it, whether its rest is still to come, was lost or cut off; noted twice it is the same.
fn begun(framing: Framing, bytes: &[u8], side: Side, context: &mut Context<'_>) {
    if fits(framing, bytes) != Probe::Yes {
        return;
    }
    if let Some(message) = bytes.get(framing.header()..).and_then(message::read) {
        note(framing, &message, side, context);
    }
}

fn note(framing: Framing, message: &Message<'_>, side: Side, context: &mut Context<'_>) {
    if framing == Framing::Microsoft {
        context.facts.pseudo_tls.frame = true;
    }
    super::note(side, message, framing.name(), context);
}

/// STUN or TURN over TCP; the first bytes decide the framing for both directions.
#[derive(Debug, Default)]
pub struct Reader {
    framing: Option<Framing>,
    directions: [Direction; 2],
    units: u16,
}

/// What stands at the beginning of a direction's bytes.
enum Unit<'a> {
    More,
    Broken,
    /// A message with its framing, the octets it takes, and as much of it as is read.
    Message(&'a [u8], usize),
    /// Relayed or channel data likewise.
    Data(&'a [u8], usize),
}

impl Reader {
    pub fn new() -> Self {
        Reader::default()
    }

    fn unit<'a>(&self, framing: Framing, bytes: &'a [u8]) -> Unit<'a> {
        // RTP's fixed header is all that is looked at in data.
        const DATA: usize = 12;
        let (header, size, is_message) = match (framing, bytes) {
            (Framing::Microsoft, [kind @ (2 | 3), 0, high, low, ..]) => (4, length(*high, *low), *kind == 2),
            (Framing::Microsoft, [2 | 3] | [2 | 3, 0] | [2 | 3, 0, _] | []) => return Unit::More,
            (Framing::Microsoft, _) => return Unit::Broken,
            // RFC 7983 7: 0 to 3 is STUN; DTLS, RTP and what else there is are data.
            (Framing::Rfc4571, [high, low, first, ..]) => (2, length(*high, *low), *first <= 3),
            // Nothing in it (some send that as a keep-alive).
            (Framing::Rfc4571, [0, 0]) => (2, 0, false),
            (Framing::Rfc4571, _) => return Unit::More,
            (Framing::Bare, [first, _, high, low, ..]) => match first & 0xf0 {
                0x00..=0x30 => (0, length(*high, *low).saturating_add(20), true),
                0x40 => (0, (length(*high, *low).saturating_add(7)) & !3, false),
                _ => return Unit::Broken,
            },
            (Framing::Bare, _) => return Unit::More,
        };
        let wanted = size.min(if is_message { MESSAGE_LIMIT } else { DATA });
        match bytes.get(header..).and_then(|body| body.get(..wanted)) {
            None => Unit::More,
            Some(body) if is_message => Unit::Message(body, header.saturating_add(size)),
            Some(body) => Unit::Data(body, header.saturating_add(size)),
        }
    }

    /// Offset of the next sure unit in `bytes`; Err = how much can be dropped because none begins in it.
    fn search(framing: Framing, bytes: &[u8]) -> Result<usize, usize> {
        for at in 0..bytes.len() {
            let window = bytes.get(at..).unwrap_or_default();
            match fits(framing, window) {
                Probe::Yes => return Ok(at),
                // A beginning that the end of the bytes cut off: at most one header's length before it.
                Probe::More if window.len() < MS_FRAME => return Err(at),
                _ => {}
            }
        }
        Err(bytes.len())
    }
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        let framing = match self.framing {
            Some(framing) => framing,
            None if context.facts.pseudo_tls.hello || context.facts.pseudo_tls.reply => Framing::Microsoft,
            None => match begins(bytes) {
                Ok(framing) => framing,
                Err(Probe::More) => return Step::More(0),
                Err(_) => return Step::Broken,
            },
        };
        self.framing = Some(framing);
        let Some(own) = self.directions.get_mut(side.index()) else {
            return Step::Broken;
        };
        let mut own = *own;
        let mut consumed: usize = 0;
        let step = loop {
            let mut rest = bytes.get(consumed..).unwrap_or_default();
            let skipped = own.skip.min(rest.len());
            own.skip = own.skip.saturating_sub(skipped);
            consumed = consumed.saturating_add(skipped);
            rest = rest.get(skipped..).unwrap_or_default();
            if own.skip > 0 || rest.is_empty() {
                break Step::More(consumed);
            }
            if own.lost {
                let (found, taken) = match Reader::search(framing, rest) {
                    Ok(at) => (true, at),
                    Err(drop) => (false, drop),
                };
                own.searched = own.searched.saturating_add(taken as u64);
                consumed = consumed.saturating_add(taken);
                if !found {
                    break if own.searched > SEARCH_LIMIT {
                        Step::Broken
                    } else {
                        Step::More(consumed)
                    };
                }
                own.lost = false;
                own.searched = 0;
                continue;
            }
            match self.unit(framing, rest) {
                Unit::More => {
                    begun(framing, rest, side, context);
                    break Step::More(consumed);
                }
                Unit::Broken => break Step::Broken,
                Unit::Message(body, size) => {
                    let Some(message) = message::read(body) else {
                        break Step::Broken;
                    };
                    // The frame's length and the message's say the same (bare messages have only their own).
                    if framing != Framing::Bare && message.length.saturating_add(framing.header()) != size {
                        break Step::Broken;
                    }
                    note(framing, &message, side, context);
                    own.skip = size;
                }
                Unit::Data(body, size) => {
                    if framing == Framing::Microsoft {
                        // A frame with data is as much the relay's as one with a message.
                        context.facts.pseudo_tls.frame = true;
                        context.facts.recognise(Service::Turn);
                        let facts = super::stun(context);
                        facts.ms_turn = true;
                        facts.beyond_binding = true;
                        facts.framing.get_or_insert(framing.name());
                    }
                    let source = rtp_source(body).filter(|_| framing != Framing::Bare);
                    let continued = source.is_some() && (own.source.is_none() || own.source == source);
                    own.source = source.or(own.source);
                    if let Some(count) = context.facts.rtp_packets.get_mut(side.index()).filter(|_| continued) {
                        *count = count.saturating_add(1);
                        if let Some(stun) = context.facts.stun.as_mut().filter(|_| *count >= 2) {
                            stun.rtp_source = stun.rtp_source.or(source);
                        }
                        // Over a relay the flow stays the relay's; between peers it is media of its own.
                        if framing == Framing::Rfc4571 && *count >= 3 {
                            context.facts.recognise(Service::Rtp);
                        }
                    }
                    own.skip = size;
                }
            }
            self.units = self.units.saturating_add(1);
            let relay = context.facts.has(Service::Turn);
            if self.units >= UNITS || relay && super::stun(context).answered {
                break Step::Done;
            }
        };
        if let Some(direction) = self.directions.get_mut(side.index()) {
            *direction = own;
        }
        step
    }

    fn gap(&mut self, side: Side, lost: u64) -> bool {
        let Some(own) = self.directions.get_mut(side.index()) else {
            return false;
        };
        match own.skip as u64 {
            // The hole lies inside a unit that is dropped anyway.
            skip if skip >= lost => own.skip = own.skip.saturating_sub(usize::try_from(lost).unwrap_or(usize::MAX)),
            _ => {
                own.skip = 0;
                own.lost = true;
            }
        }
        self.framing.is_some()
    }
}
