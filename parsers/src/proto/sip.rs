//! SIP (RFC 3261) in clear, over UDP, TCP and inside WebSocket.
//!
//! Strategy: the evidence is the version token, never a method name, for SSDP, RTSP and HTTP share those. The reader
//! walks the headers field by field and skips bodies by Content-Length; each fact is that of the first message that has
//! it. A request tells who opened the flow, and so does an answer.

use super::header::{self, Line, Waiting};
use super::{Context, Probe, Step, StreamReader};
use crate::facts::{Service, Side, SipFacts};
use crate::text::Text;

/// RFC 3261, 3262, 3265, 3311, 3428, 3515, 3903 and the three of Microsoft (SERVICE, BENOTIFY, NEGOTIATE).
const METHODS: [&[u8]; 17] = [
    b"REGISTER",
    b"INVITE",
    b"SUBSCRIBE",
    b"NOTIFY",
    b"MESSAGE",
    b"SERVICE",
    b"OPTIONS",
    b"BYE",
    b"ACK",
    b"CANCEL",
    b"INFO",
    b"UPDATE",
    b"REFER",
    b"PRACK",
    b"PUBLISH",
    b"BENOTIFY",
    b"NEGOTIATE",
];
const SCHEMES: [&[u8]; 3] = [b"sip:", b"sips:", b"tel:"];
const VERSION: &[u8] = b"SIP/2.0";

/// Empty lines before a message: RFC 3261 7.5 tolerates some, RFC 5626 sends two as a keep-alive.
const BLANK_LIMIT: usize = 64;
/// Longest method; the longest registered ones have nine letters.
const METHOD_LIMIT: usize = 16;
/// Longest Request-URI. Zeek says 256 by default and sees real ones above that; lines as such end at 16 KiB.
const URI_LIMIT: usize = 8 * 1024;
/// Messages read for a User-Agent once a request and an answer were seen; they bring nothing else.
const MESSAGE_LIMIT: u8 = 8;
/// Octets of one direction that are read, bodies included: what a Content-Length may claim has no end.
const STREAM_LIMIT: u64 = 1024 * 1024;
/// Messages read at all while the other direction is silent.
const ONE_WAY_LIMIT: u8 = 32;

/// Whether these are the first bytes of a message; empty lines may stand before it.
pub fn probe(bytes: &[u8]) -> Probe {
    let line = after_blank(bytes);
    if bytes.len().saturating_sub(line.len()) > BLANK_LIMIT {
        return Probe::No;
    }
    match start_of(line, VERSION) {
        Probe::No => probe_request(line),
        Probe::More => Probe::More,
        Probe::Yes => match line.get(VERSION.len()..).unwrap_or_default() {
            [b' ', b'1'..=b'6', b'0'..=b'9', b'0'..=b'9', b' ' | b'\r' | b'\n', ..] => Probe::Yes,
            [b' ', b'1'..=b'6', b'0'..=b'9', b'0'..=b'9'] | [b' ', b'1'..=b'6', b'0'..=b'9'] => Probe::More,
            [b' ', b'1'..=b'6'] | [b' '] | [] => Probe::More,
            _ => Probe::No,
        },
    }
}

/// Strict: the datagram begins with a whole start line.
pub fn probe_datagram(payload: &[u8]) -> bool {
    probe(payload) == Probe::Yes
}

/// Reads one datagram (or WebSocket message). What is no SIP, such as the four octets some phones send to keep a
/// mapping open, changes nothing.
pub fn read_datagram(side: Side, payload: &[u8], context: &mut Context<'_>) {
    if !probe_datagram(payload) {
        return;
    }
    let mut rest = after_blank(payload);
    let mut message = None;
    loop {
        let line = match &message {
            None => header::start_line(rest),
            Some(_) => header::field(rest, true),
        };
        let (text, taken) = match line {
            Line::Whole(text, taken) => (text, taken),
            Line::Long(text) => (text, header::through_line_feed(rest).unwrap_or(rest.len())),
            // A start line at the very end of what was captured.
            Line::More if message.is_none() => (rest, rest.len()),
            Line::More | Line::End(_) => return,
        };
        match &message {
            None => message = Some(begin(side, text, context)),
            Some(message) => {
                note_field(text, *message, sip(context));
            }
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
}

fn probe_request(line: &[u8]) -> Probe {
    // Nothing further in: this is asked of each datagram.
    let head = line.get(..METHOD_LIMIT.saturating_add(1)).unwrap_or(line);
    let Some(space) = head.iter().position(|&byte| byte == b' ') else {
        let letters = line.len() <= METHOD_LIMIT && line.iter().all(u8::is_ascii_uppercase);
        return if letters { Probe::More } else { Probe::No };
    };
    let method = line.get(..space).unwrap_or_default();
    if !(2..=METHOD_LIMIT).contains(&method.len()) || !method.iter().all(u8::is_ascii_uppercase) {
        return Probe::No;
    }
    let rest = line.get(space.saturating_add(1)..).unwrap_or_default();
    let uri = rest
        .split(|&byte| matches!(byte, b' ' | b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    if uri.len() > URI_LIMIT {
        return Probe::No;
    }
    let whole = uri.len() < rest.len();
    let scheme = match METHODS.contains(&method) {
        true => probe_scheme(uri, whole),
        // A method we do not know needs an address only SIP uses.
        false => SCHEMES
            .iter()
            .map(|scheme| start_of(uri, scheme))
            .fold(Probe::No, better),
    };
    match (scheme, whole) {
        (Probe::No, _) | (Probe::More, true) => Probe::No,
        (_, false) => Probe::More,
        (Probe::Yes, true) => match rest.get(uri.len()..).unwrap_or_default() {
            [b' ', version @ ..] => match (start_of(version, VERSION), version.get(VERSION.len())) {
                (Probe::Yes, Some(b'\r' | b'\n')) => Probe::Yes,
                (Probe::Yes, Some(_)) => Probe::No,
                (Probe::Yes, None) => Probe::More,
                (early, _) => early,
            },
            _ => Probe::No,
        },
    }
}

/// RFC 3986 3.1: a letter, then letters, digits, `+ - .` up to the colon. Excludes `*`, paths and host:port.
fn probe_scheme(uri: &[u8], whole: bool) -> Probe {
    match uri.iter().position(|&byte| byte == b':') {
        Some(colon) => match uri.get(..colon).unwrap_or_default() {
            [first, rest @ ..] if first.is_ascii_alphabetic() && rest.iter().all(in_scheme) => Probe::Yes,
            _ => Probe::No,
        },
        None if whole || !uri.iter().all(in_scheme) => Probe::No,
        None => Probe::More,
    }
}

fn in_scheme(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

fn better(one: Probe, other: Probe) -> Probe {
    match (one, other) {
        (Probe::Yes, _) | (_, Probe::Yes) => Probe::Yes,
        (Probe::More, _) | (_, Probe::More) => Probe::More,
        _ => Probe::No,
    }
}

/// Whether `bytes` begin with `wanted`, letters of either case (RFC 3261 7.1 for the version).
fn start_of(bytes: &[u8], wanted: &[u8]) -> Probe {
    let shared = bytes.len().min(wanted.len());
    match (bytes.get(..shared), wanted.get(..shared)) {
        (Some(have), Some(want)) if have.eq_ignore_ascii_case(want) => match shared == wanted.len() {
            true => Probe::Yes,
            false => Probe::More,
        },
        _ => Probe::No,
    }
}

fn after_blank(bytes: &[u8]) -> &[u8] {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    bytes.get(blank..).unwrap_or_default()
}

fn sip<'a>(context: &'a mut Context<'_>) -> &'a mut SipFacts {
    context.facts.sip.get_or_insert_with(Box::default)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Request,
    Response,
}

/// Notes a start line that was found to be one.
fn begin(side: Side, line: &[u8], context: &mut Context<'_>) -> Message {
    context.facts.recognise(Service::Sip);
    let mut words = line.split(|&byte| byte == b' ');
    let first = words.next().unwrap_or_default();
    if first.eq_ignore_ascii_case(VERSION) {
        context.facts.opened_by(side.other());
        let status = words.next().and_then(|digits| digits.get(..3)).and_then(header::number);
        let facts = sip(context);
        facts.status = facts.status.or(status.and_then(|number| u16::try_from(number).ok()));
        Message::Response
    } else {
        context.facts.opened_by(side);
        sip(context).method.get_or_insert_with(|| Text::from_wire(first));
        Message::Request
    }
}

/// Notes one header field, long or compact form (RFC 3261 7.3.3); returns a Content-Length.
fn note_field(field: &[u8], message: Message, facts: &mut SipFacts) -> Option<u64> {
    let (name, value) = header::split(field)?;
    let is = |long: &str, short: &str| {
        name.eq_ignore_ascii_case(long.as_bytes()) || (!short.is_empty() && name.eq_ignore_ascii_case(short.as_bytes()))
    };
    let wanted = if is("Call-ID", "i") {
        &mut facts.call_id
    } else if is("From", "f") {
        &mut facts.from
    } else if is("To", "t") {
        &mut facts.to
    } else if is("User-Agent", "") {
        &mut facts.user_agent
    } else if is("CSeq", "") && message == Message::Response {
        // RFC 3261 20.16: number, blank space, the method that is answered.
        let value = header::unfold(value);
        let method = value
            .rsplit(u8::is_ascii_whitespace)
            .next()
            .filter(|method| method.len() < value.len());
        if let Some(method) = method {
            facts.method.get_or_insert_with(|| Text::from_wire(method));
        }
        return None;
    } else if is("Content-Length", "l") {
        return header::number(value);
    } else {
        return None;
    };
    wanted.get_or_insert_with(|| Text::from_wire(&header::unfold(value)));
    None
}

/// Where one direction stands.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Start,
    Fields {
        message: Message,
        body: u64,
    },
    /// The rest of a field that was too long to wait for.
    LongField {
        message: Message,
        body: u64,
    },
    Body(u64),
}

/// SIP over TCP: any number of messages each way.
#[derive(Debug)]
pub struct Reader {
    phase: [Phase; 2],
    waiting: [Waiting; 2],
    read: [u64; 2],
    requests: u8,
    responses: u8,
}

impl Reader {
    pub fn new() -> Self {
        Reader {
            phase: [Phase::Start; 2],
            waiting: [Waiting::default(); 2],
            read: [0; 2],
            requests: 0,
            responses: 0,
        }
    }

    fn finished(&self, context: &mut Context<'_>) -> bool {
        let messages = self.requests.saturating_add(self.responses);
        let both = self.requests > 0 && self.responses > 0;
        messages >= ONE_WAY_LIMIT || both && (messages >= MESSAGE_LIMIT || sip(context).user_agent.is_some())
    }
}

impl Default for Reader {
    fn default() -> Self {
        Reader::new()
    }
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        if self
            .waiting
            .get(side.index())
            .is_some_and(|waiting| waiting.goes_on(bytes))
        {
            return Step::More(0);
        }
        let mut phase = self.phase.get(side.index()).copied().unwrap_or(Phase::Start);
        let mut rest = bytes;
        let mut step = None;
        while step.is_none() {
            let before = rest.len();
            let mut taken = 0;
            phase = match phase {
                Phase::Start => {
                    taken = before.saturating_sub(after_blank(rest).len());
                    let line = rest.get(taken..).unwrap_or_default();
                    match (probe(line), header::start_line(line)) {
                        (Probe::No, _) => {
                            step = Some(Step::Broken);
                            phase
                        }
                        (Probe::Yes, Line::Whole(text, length)) => {
                            taken = taken.saturating_add(length);
                            Phase::Fields {
                                message: begin(side, text, context),
                                body: 0,
                            }
                        }
                        // A reason phrase without end: the status is known, the rest is dropped with the line.
                        (Probe::Yes, Line::Long(text)) => Phase::LongField {
                            message: begin(side, text, context),
                            body: 0,
                        },
                        _ => phase,
                    }
                }
                Phase::Fields { message, body } => match header::field(rest, false) {
                    Line::More => phase,
                    Line::Whole(text, length) => {
                        taken = length;
                        let length = note_field(text, message, sip(context));
                        Phase::Fields {
                            message,
                            body: length.unwrap_or(body),
                        }
                    }
                    Line::Long(text) => {
                        note_field(text, message, sip(context));
                        Phase::LongField { message, body }
                    }
                    Line::End(length) => {
                        taken = length;
                        let count = match message {
                            Message::Request => &mut self.requests,
                            Message::Response => &mut self.responses,
                        };
                        *count = count.saturating_add(1);
                        if self.finished(context) {
                            step = Some(Step::Done);
                        }
                        Phase::Body(body)
                    }
                },
                Phase::LongField { message, body } => match header::through_line_feed(rest) {
                    Some(length) => {
                        taken = length;
                        Phase::Fields { message, body }
                    }
                    None => {
                        taken = before;
                        phase
                    }
                },
                Phase::Body(0) => {
                    phase = Phase::Start;
                    continue;
                }
                Phase::Body(left) => {
                    taken = usize::try_from(left).unwrap_or(usize::MAX).min(before);
                    Phase::Body(left.saturating_sub(taken as u64))
                }
            };
            rest = rest.get(taken..).unwrap_or_default();
            if step.is_none() && taken == 0 && !matches!(phase, Phase::LongField { .. }) {
                break;
            }
            if rest.is_empty() {
                break;
            }
        }
        if let Some(own) = self.phase.get_mut(side.index()) {
            *own = phase;
        }
        if let Some(waiting) = self.waiting.get_mut(side.index()) {
            waiting.hold(rest.len());
        }
        let taken = bytes.len().saturating_sub(rest.len());
        let read = self.read.get_mut(side.index()).map_or(u64::MAX, |read| {
            *read = read.saturating_add(taken as u64);
            *read
        });
        let enough = if read > STREAM_LIMIT {
            Step::Done
        } else {
            Step::More(taken)
        };
        step.unwrap_or(enough)
    }

    /// A body may have holes, its length is known.
    fn gap(&mut self, side: Side, lost: u64) -> bool {
        match self.phase.get_mut(side.index()) {
            Some(Phase::Body(left)) if *left >= lost => {
                *left = left.saturating_sub(lost);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
