//! HTTP/1.x in clear over TCP (RFC 9112), the HTTP/2 preface (RFC 9113 3.4) and the bare request of HTTP/0.9.
//!
//! Strategy: the evidence is the version at the end of the request line or the start of the status line, so any method
//! will do. Facts are those of the first request and the first final answer; then nothing more is to be learnt, except
//! that a CONNECT or an upgrade that was accepted hands the connection to another protocol.

mod line;

use self::line::{body_kind, probe_request, request, status, status_line, target_parts, without_port};
use super::header::{self, Line, Waiting};
use super::{Context, Probe, Step, StreamReader};
use crate::facts::{HttpAnswer, HttpFacts, Service, Side};
use crate::text::Text;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Times a proxy may refuse one connection's CONNECT before we stop following: NTLM needs two.
const CONNECT_LIMIT: u8 = 8;
/// Fields of one message that are looked at; nginx, Apache and IIS refuse above 100 or 16 KiB in all.
const FIELD_LIMIT: u16 = 512;
/// Octets of bodies that go by while the other side's first line is waited for; a flow whose other direction the sensor
/// does not see would otherwise be read to its end.
const IGNORE_LIMIT: u64 = 256 * 1024;

/// Whether these are the first bytes of a request or a response.
pub fn probe(bytes: &[u8]) -> Probe {
    if bytes.starts_with(PREFACE) {
        return Probe::Yes;
    }
    if PREFACE.starts_with(bytes) {
        return Probe::More;
    }
    match status_line(bytes) {
        Probe::No => probe_request(bytes),
        known => known,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Start,
    Fields,
    /// The rest of a field that was too long to wait for.
    LongField,
    /// Octets of a refused CONNECT's answer that are left.
    Body(u64),
    /// Nothing more is read of this side: drop what comes.
    Ignore,
    /// Nothing more is read of this side, but what comes may belong to the next protocol: keep it.
    Hold,
}

/// What the fields of the message at hand said.
#[derive(Debug, Clone, Copy, Default)]
struct Fields {
    seen: u16,
    upgrade: bool,
    websocket: bool,
    length: Option<u64>,
    chunked: bool,
    body: Option<HttpAnswer>,
}

/// HTTP over TCP, up to the first final answer.
#[derive(Debug)]
pub struct Reader {
    phase: [Phase; 2],
    waiting: [Waiting; 2],
    fields: [Fields; 2],
    client: Option<Side>,
    /// The request asks for another protocol on this connection.
    connect: bool,
    asks_upgrade: bool,
    /// The answer will have no body (RFC 9110 9.3.2).
    head: bool,
    /// The request's fields have ended.
    asked: bool,
    status: u16,
    refused: u8,
    ignored: u64,
    /// Of the target, for a request without Host.
    authority: Option<Text>,
}

impl Reader {
    pub fn new() -> Self {
        Reader {
            phase: [Phase::Start; 2],
            waiting: [Waiting::default(); 2],
            fields: [Fields::default(); 2],
            client: None,
            connect: false,
            asks_upgrade: false,
            head: false,
            asked: false,
            status: 0,
            refused: 0,
            ignored: 0,
            authority: None,
        }
    }

    /// Start line of either kind; None = it is neither.
    fn begin(&mut self, side: Side, line: &[u8], context: &mut Context<'_>) -> Option<Phase> {
        if let Some(status) = status(line) {
            if self.client == Some(side) {
                return None;
            }
            self.client = Some(side.other());
            context.facts.recognise(Service::Http);
            context.facts.opened_by(side.other());
            self.status = status;
            let interim = (100..200).contains(&self.status) && self.status != 101;
            if !interim {
                http(context).status.get_or_insert(self.status);
            }
            return Some(Phase::Fields);
        }
        let request = request(line)?;
        if self.client == Some(side.other()) {
            return None;
        }
        self.client = Some(side);
        context.facts.recognise(Service::Http);
        context.facts.opened_by(side);
        let facts = http(context);
        let first = facts.method.is_none();
        if first {
            let (authority, path) = target_parts(request.method, request.target);
            facts.method = Some(Text::from_wire(request.method));
            facts.path = path.map(Text::from_wire);
            self.authority = authority.map(|host| Text::from_wire(without_port(host)));
        }
        self.connect = request.method == b"CONNECT";
        self.head = request.method == b"HEAD";
        match request.bare {
            true => Some(self.end_request(context)),
            false => Some(Phase::Fields),
        }
    }

    fn end_request(&mut self, context: &mut Context<'_>) -> Phase {
        self.asked = true;
        let facts = http(context);
        if facts.domain.is_none() {
            facts.domain = self.authority.take();
        }
        match self.connect || self.asks_upgrade {
            true => Phase::Hold,
            false => Phase::Ignore,
        }
    }

    fn field(&mut self, side: Side, text: &[u8], context: &mut Context<'_>) {
        let Some((name, value)) = header::split(text) else {
            return;
        };
        let client = self.client == Some(side);
        let Some(fields) = self.fields.get_mut(side.index()) else {
            return;
        };
        if name.eq_ignore_ascii_case(b"Host") && client {
            let host = without_port(value);
            let facts = http(context);
            if facts.domain.is_none() && !host.is_empty() {
                facts.domain = Some(Text::from_wire(host));
            }
        } else if name.eq_ignore_ascii_case(b"Upgrade") {
            fields.upgrade = true;
            fields.websocket |= value
                .split(|&byte| byte == b',')
                .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"));
        } else if name.eq_ignore_ascii_case(b"Content-Length") {
            fields.length = header::number(value);
        } else if name.eq_ignore_ascii_case(b"Transfer-Encoding") {
            fields.chunked = true;
        } else if name.eq_ignore_ascii_case(b"Content-Type") {
            fields.body.get_or_insert_with(|| body_kind(value));
        }
    }

    /// What a final answer with these fields is.
    fn answer(&self, fields: &Fields) -> HttpAnswer {
        match self.status {
            101 => HttpAnswer::Switch,
            200..=299 if self.connect => HttpAnswer::Switch,
            204 | 205 | 304 => HttpAnswer::Empty,
            300..=399 => HttpAnswer::Redirect,
            400.. => HttpAnswer::Refusal,
            _ if self.head || (fields.length == Some(0) && !fields.chunked) => HttpAnswer::Empty,
            _ => fields.body.unwrap_or(HttpAnswer::Content),
        }
    }

    /// The fields of an answer have ended: what follows it?
    fn end_response(&mut self, side: Side, context: &mut Context<'_>) -> Result<Phase, End> {
        let fields = self.fields.get(side.index()).copied().unwrap_or_default();
        let interim = matches!(self.status, 100 | 102..=199);
        let facts = http(context);
        // An answer to a request that was not seen is one to nothing we know.
        if !interim && facts.method.is_some() {
            facts.answer.get_or_insert(self.answer(&fields));
        }
        match self.status {
            101 if fields.websocket => {
                http(context).upgraded_websocket = true;
                Err(End::Switch)
            }
            101 if fields.upgrade => Err(End::Switch),
            100 | 102..=199 => Ok(Phase::Start),
            200..=299 if self.connect => Err(End::Switch),
            // RFC 9110 11.7.1: the client may try again with credentials on the same connection.
            407 if self.connect && !fields.chunked && self.refused < CONNECT_LIMIT => {
                self.refused = self.refused.saturating_add(1);
                self.asked = false;
                self.connect = false;
                self.phase = [Phase::Start; 2];
                Ok(Phase::Body(fields.length.unwrap_or(0)))
            }
            _ => Err(End::Done),
        }
    }
}

enum End {
    Switch,
    Done,
}

impl Default for Reader {
    fn default() -> Self {
        Reader::new()
    }
}

fn http<'a>(context: &'a mut Context<'_>) -> &'a mut HttpFacts {
    context.facts.http.get_or_insert_with(Box::default)
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
        let step = self.read(side, bytes, context);
        if let (Step::More(taken), Some(waiting)) = (step, self.waiting.get_mut(side.index())) {
            waiting.hold(bytes.len().saturating_sub(taken));
        }
        step
    }

    /// Only what is dropped anyway may be missing.
    fn gap(&mut self, side: Side, _lost: u64) -> bool {
        self.phase.get(side.index()) == Some(&Phase::Ignore)
    }
}

impl Reader {
    fn read(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        let own = side.index();
        if self.client.is_none() && bytes.starts_with(PREFACE) {
            context.facts.recognise(Service::Http);
            context.facts.opened_by(side);
            http(context);
            return Step::Done;
        }
        if self.client.is_none() && PREFACE.starts_with(bytes) {
            return Step::More(0);
        }
        let mut rest = bytes;
        loop {
            let phase = self.phase.get(own).copied().unwrap_or(Phase::Ignore);
            let before = rest.len();
            let consumed = bytes.len().saturating_sub(before);
            let (next, taken) = match phase {
                Phase::Hold => return Step::More(consumed),
                _ if rest.is_empty() => return Step::More(consumed),
                Phase::Ignore => {
                    self.ignored = self.ignored.saturating_add(before as u64);
                    return if self.ignored > IGNORE_LIMIT {
                        Step::Done
                    } else {
                        Step::More(bytes.len())
                    };
                }
                Phase::Body(0) => (Phase::Start, 0),
                Phase::Body(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(before);
                    (Phase::Body(left.saturating_sub(taken as u64)), taken)
                }
                Phase::Start => match header::start_line(rest) {
                    // A server may speak before its request line has come whole, or say something else entirely.
                    Line::More if probe(rest) == Probe::No => return Step::Broken,
                    Line::More => return Step::More(consumed),
                    Line::Whole(line, taken) => {
                        if let Some(fields) = self.fields.get_mut(own) {
                            *fields = Fields::default();
                        }
                        match self.begin(side, line, context) {
                            Some(next) => (next, taken),
                            None => return Step::Broken,
                        }
                    }
                    _ => return Step::Broken,
                },
                Phase::Fields => match header::field(rest, false) {
                    Line::More => return Step::More(consumed),
                    Line::Long(text) => {
                        self.field(side, text, context);
                        (Phase::LongField, 0)
                    }
                    Line::Whole(text, taken) => {
                        let seen = self.fields.get_mut(own).map_or(FIELD_LIMIT, |fields| {
                            fields.seen = fields.seen.saturating_add(1);
                            fields.seen
                        });
                        if seen >= FIELD_LIMIT {
                            return Step::Done;
                        }
                        self.field(side, text, context);
                        (Phase::Fields, taken)
                    }
                    Line::End(taken) if self.client == Some(side) => {
                        self.asks_upgrade = self.fields.get(own).is_some_and(|fields| fields.upgrade);
                        (self.end_request(context), taken)
                    }
                    Line::End(taken) => match self.end_response(side, context) {
                        Ok(next) => (next, taken),
                        Err(End::Switch) => return Step::Switch(consumed.saturating_add(taken)),
                        Err(End::Done) if self.asked => return Step::Done,
                        // The request is still on its way, or the capture began after it: what the client says next
                        // is a request.
                        Err(End::Done) => (Phase::Ignore, taken),
                    },
                },
                Phase::LongField => match header::through_line_feed(rest) {
                    Some(taken) => (Phase::Fields, taken),
                    None => (Phase::LongField, before),
                },
            };
            rest = rest.get(taken..).unwrap_or_default();
            if let Some(phase) = self.phase.get_mut(own) {
                *phase = next;
            }
            if next == Phase::Ignore && self.answered(side) {
                return Step::Done;
            }
        }
    }

    /// The request has just ended and its final answer was there before.
    fn answered(&self, side: Side) -> bool {
        self.client == Some(side) && self.phase.get(side.other().index()) == Some(&Phase::Ignore)
    }
}

#[cfg(test)]
mod tests;
