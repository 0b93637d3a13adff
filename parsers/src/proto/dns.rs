//! DNS (RFC 1035) over UDP and TCP, with its kin on other ports: mDNS (RFC 6762) and LLMNR (RFC 4795).
//!
//! Strategy: header and question each are strong evidence, so one of them may be damaged, never both. A header is strong
//! when it is what resolvers send (its counts alone are 64 bits), a question when it is whole and ends the message.
//! Where there is no question (answers of mDNS) every record must fit. NetBIOS name service (RFC 1002) has the same
//! header and another name form, by which it is told apart. The question's name and who asked are all that is kept.

use super::{Context, Probe, Step, StreamReader};
use crate::cursor::Cursor;
use crate::facts::{Service, Side};
use crate::text::Text;

const HEADER: usize = 12;
/// RFC 1035 3.1 and 2.3.4.
const NAME_LIMIT: usize = 255;
const LABEL_LIMIT: usize = 63;
/// Questions and records walked through; a multicast answer of 9,000 octets holds some hundred.
const RECORDS: usize = 1024;
/// Messages read over TCP while nobody answers.
const MESSAGES: u8 = 8;

const QUERY: u16 = 0;
const NOTIFY: u16 = 4;
const UPDATE: u16 = 5;

struct Message {
    response: bool,
    /// Dotted, as sent; empty where there is no question.
    name: Vec<u8>,
}

/// Strict: a valid header and question, or answers that fit whole.
pub fn probe_datagram(payload: &[u8]) -> bool {
    read(payload).is_some()
}

/// Notes the question and who asked it.
pub fn read_datagram(side: Side, payload: &[u8], context: &mut Context<'_>) {
    if let Some(message) = read(payload) {
        note(side, message, context);
    }
}

fn note(side: Side, message: Message, context: &mut Context<'_>) {
    context.facts.recognise(Service::Dns);
    let opener = if message.response { side.other() } else { side };
    // An answer without a question is an announcement (RFC 6762 8.3): nobody asked.
    if !message.response || !message.name.is_empty() {
        context.facts.opened_by(opener);
    }
    let facts = context.facts.dns.get_or_insert_with(Box::default);
    if facts.question.is_none() && !message.name.is_empty() {
        facts.question = Some(Text::from_wire(&message.name));
    }
}

#[derive(Debug, Clone, Copy)]
struct Header {
    response: bool,
    questions: u16,
    records: usize,
    /// What resolvers send: one question, counts that the message has room for.
    strong: bool,
}

/// The bit between RA and AD is reserved and zero; what asks has no reply code.
fn is_flags(flags: u16) -> bool {
    let response = flags & 0x8000 != 0;
    matches!(flags >> 11 & 0x0f, QUERY | NOTIFY | UPDATE) && flags & 0x0040 == 0 && (response || flags & 0x000f == 0)
}

/// Header bits and counts, RFC 1035 4.1.1; `room` = octets after it. None where it can be no header at all.
fn header(cursor: &mut Cursor<'_>, room: usize) -> Option<Header> {
    cursor.skip(2).ok()?;
    let flags = cursor.u16().ok()?;
    let mut counts = [0; 4];
    for count in &mut counts {
        *count = cursor.u16().ok()?;
    }
    let [questions, answers, authority, additional] = counts;
    if !is_flags(flags) {
        return None;
    }
    let response = flags & 0x8000 != 0;
    let opcode = flags >> 11 & 0x0f;
    let records = [answers, authority, additional]
        .into_iter()
        .map(usize::from)
        .sum::<usize>();
    // A question takes five octets, a record eleven.
    let fits = records.saturating_mul(11).saturating_add(5) <= room;
    let strong = opcode == QUERY
        && questions == 1
        && match response {
            // AA, TC and RA are for answers; EDNS and TSIG are the records of a query.
            false => flags & 0x0680 == 0 && answers == 0 && authority == 0 && additional <= 2 && fits,
            true => fits || flags & 0x0200 != 0 && records == 0,
        };
    Some(Header {
        response,
        questions,
        records,
        strong,
    })
}

fn read(payload: &[u8]) -> Option<Message> {
    let mut cursor = Cursor::new(payload);
    let header = header(&mut cursor, payload.len().checked_sub(HEADER)?)?;
    let response = header.response;
    if header.questions == 0 {
        let several = response && (1..=RECORDS).contains(&header.records);
        for _ in 0..if several { header.records } else { 0 } {
            record(&mut cursor)?;
        }
        return (several && cursor.is_empty()).then_some(Message {
            response,
            name: Vec::new(),
        });
    }
    let names = cursor;
    match question(&mut cursor) {
        // Several questions are what mDNS asks at once; their records need not be walked.
        Some(name) if header.strong || cursor.is_empty() || more_questions(&mut cursor, header) => {
            Some(Message { response, name })
        }
        None if header.strong && begins_as_name(names) => Some(Message {
            response,
            name: first_labels(names),
        }),
        _ => None,
    }
}

/// The questions after the first, and room for the records after them.
fn more_questions(cursor: &mut Cursor<'_>, header: Header) -> bool {
    if usize::from(header.questions) > RECORDS {
        return false;
    }
    for _ in 1..header.questions {
        let start = cursor.position();
        let Some(_) = labels(cursor, start, None) else {
            return false;
        };
        match (cursor.u16(), cursor.u16()) {
            (Ok(kind), Ok(class)) if is_type(kind) && is_class(class) => {}
            _ => return false,
        }
    }
    header.records.saturating_mul(11) <= cursor.remaining()
}

/// Whether a name's first label is there, in letters; not one of NetBIOS.
fn begins_as_name(mut cursor: Cursor<'_>) -> bool {
    let Ok(length) = cursor.u8() else { return false };
    match cursor.take(usize::from(length)) {
        Ok(label) => {
            (1..=LABEL_LIMIT).contains(&label.len())
                && label.iter().all(u8::is_ascii_graphic)
                && !is_netbios_label(label)
        }
        Err(_) => false,
    }
}

/// As much of a damaged name as can be read.
fn first_labels(mut cursor: Cursor<'_>) -> Vec<u8> {
    let mut name = Vec::new();
    let start = cursor.position();
    labels(&mut cursor, start, Some(&mut name));
    name
}

/// The first question, RFC 1035 4.1.2: its name, dotted. Nothing stands before it to point at.
fn question(cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let start = cursor.position();
    let plain = labels(cursor, start, Some(&mut name))?;
    let kind = cursor.u16().ok()?;
    let class = cursor.u16().ok()?;
    (plain && is_type(kind) && is_class(class) && !is_netbios(&name, kind)).then_some(name)
}

/// Steps over a name; false = it ended in a pointer, which must point back (RFC 1035 4.1.4).
fn labels(cursor: &mut Cursor<'_>, start: usize, mut out: Option<&mut Vec<u8>>) -> Option<bool> {
    loop {
        let length = usize::from(cursor.u8().ok()?);
        match length & 0xc0 {
            0 if length == 0 => {
                if let Some(out) = out.as_mut().filter(|out| out.is_empty()) {
                    out.push(b'.');
                }
                return Some(true);
            }
            0 => {
                let label = cursor.take(length).ok()?;
                if let Some(out) = out.as_mut() {
                    if !out.is_empty() {
                        out.push(b'.');
                    }
                    out.extend_from_slice(label);
                }
            }
            0xc0 => {
                let low = usize::from(cursor.u8().ok()?);
                let target = (length & 0x3f) << 8 | low;
                return (HEADER..start).contains(&target).then_some(false);
            }
            _ => return None,
        }
        debug_assert!(length <= LABEL_LIMIT);
        if cursor.position().saturating_sub(start) >= NAME_LIMIT {
            return None;
        }
    }
}

fn record(cursor: &mut Cursor<'_>) -> Option<()> {
    let mut name = Vec::new();
    let start = cursor.position();
    labels(cursor, start, Some(&mut name))?;
    let kind = cursor.u16().ok()?;
    let class = cursor.u16().ok()?;
    cursor.skip(4).ok()?;
    let length = usize::from(cursor.u16().ok()?);
    cursor.skip(length).ok()?;
    // OPT (41) puts the payload size where the class is.
    (is_type(kind) && (is_class(class) || kind == 41) && !is_netbios(&name, kind)).then_some(())
}

/// Types that IANA lists, private use included.
fn is_type(kind: u16) -> bool {
    matches!(kind, 1..=67 | 99..=109 | 128 | 249..=263 | 32768..=32770 | 65280..=65534)
}

/// IN, CH, HS, NONE, ANY; mDNS uses the top bit for itself (RFC 6762 5.4, 10.2).
fn is_class(class: u16) -> bool {
    matches!(class & 0x7fff, 1 | 3 | 4 | 254 | 255)
}

/// RFC 1001 14.1: 32 letters A to P, type NB or NBSTAT (NIMLOC and SRV in DNS).
fn is_netbios(name: &[u8], kind: u16) -> bool {
    let label = name.split(|&byte| byte == b'.').next().unwrap_or_default();
    matches!(kind, 0x20 | 0x21) && is_netbios_label(label)
}

fn is_netbios_label(label: &[u8]) -> bool {
    label.len() == 32 && label.iter().all(|byte| (b'A'..=b'P').contains(byte))
}

/// Whether a TCP stream begins with a length and a message (RFC 1035 4.2.2).
pub fn probe(bytes: &[u8]) -> Probe {
    let mut cursor = Cursor::new(bytes);
    let Ok(length) = cursor.u16() else { return Probe::More };
    let length = usize::from(length);
    let Some(room) = length.checked_sub(HEADER).filter(|room| *room >= 5) else {
        return Probe::No;
    };
    let whole = cursor.remaining() >= length;
    let message = cursor.rest().get(..length).unwrap_or(cursor.rest());
    if whole {
        return if read(message).is_some_and(|message| !message.name.is_empty()) {
            Probe::Yes
        } else {
            Probe::No
        };
    }
    let mut cursor = Cursor::new(message);
    if message.len() < HEADER {
        return match message {
            [_, _, high, low, ..] if !is_flags(u16::from_be_bytes([*high, *low])) => Probe::No,
            [_, _, _, _, 1..=255, ..] | [_, _, _, _, 0, 0 | 2..=255, ..] => Probe::No,
            _ => Probe::More,
        };
    }
    // Over TCP all servers see one question.
    match header(&mut cursor, room) {
        Some(header) if header.strong => {}
        _ => return Probe::No,
    }
    let before = cursor;
    match question(&mut cursor) {
        Some(_) => Probe::Yes,
        None if before.remaining() < NAME_LIMIT + 4 && may_grow(before) => Probe::More,
        None => Probe::No,
    }
}

/// Whether what is wrong with a question is only that it ended too soon.
fn may_grow(mut cursor: Cursor<'_>) -> bool {
    loop {
        match cursor.u8().map(usize::from) {
            Err(_) => return true,
            Ok(0) => return cursor.remaining() < 4,
            Ok(length) if length > LABEL_LIMIT => return false,
            Ok(length) => {
                if cursor.skip(length).is_err() {
                    return true;
                }
            }
        }
    }
}

/// DNS over TCP: the first question and its answer.
#[derive(Debug, Default)]
pub struct Reader {
    asked: bool,
    answered: bool,
    messages: u8,
}

impl Reader {
    pub fn new() -> Self {
        Reader::default()
    }
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        let mut consumed: usize = 0;
        loop {
            let mut cursor = Cursor::new(bytes.get(consumed..).unwrap_or_default());
            let Ok(message) = cursor.u16().and_then(|length| cursor.take(usize::from(length))) else {
                return Step::More(consumed);
            };
            consumed = consumed.saturating_add(cursor.position());
            let Some(message) = read(message) else {
                return Step::Broken;
            };
            self.asked |= !message.response;
            self.answered |= message.response;
            self.messages = self.messages.saturating_add(1);
            note(side, message, context);
            if self.asked && self.answered || self.messages >= MESSAGES {
                return Step::Done;
            }
        }
    }
}

#[cfg(test)]
mod tests;
