//! DTLS (RFC 6347, RFC 9147): TLS's messages in datagrams, each record and each message fragment with a number of its
//! own.
//!
//! A datagram is DTLS when its records fill it exactly and agree with themselves. Messages are put together from
//! fragments that may come in any order, a few at a time and bounded; what they prove is what it proves in TLS. Of
//! DTLS 1.3 everything after the hellos is under a header without a version, which only counts once the flow is known.

use crate::cursor::{Cursor, Short};
use crate::facts::{Service, Side, TlsFacts};
use crate::proto::tls::exchange::Exchange;
use crate::proto::tls::hello::{self, Carrier};
use crate::proto::tls::{note, record};
use crate::proto::Context;

const MESSAGE_HEADER: usize = 12;

/// Content type of records with a connection id (RFC 9146): the id comes before the length and its size is not told.
const WITH_CONNECTION_ID: u8 = 25;

/// Messages that may be in progress on a flow: a flight has up to five, and only hellos and Certificates are kept.
const MESSAGES: usize = 4;
/// Fragments kept of one message, repeats included: a 64 KiB chain in 1,200-octet fragments has 55.
const PIECES: usize = 64;
/// Octets of fragments held on a flow. Only what came is held, so that a header which claims much costs nothing.
const HELD: usize = 64 * 1_024;
/// Messages of one side that are read, repeats included: two handshakes' worth; later ones are renegotiations.
const READ: u16 = 64;
/// Datagrams without news after which the flow is not looked at any more.
const SILENT_DATAGRAMS: u16 = 64;

#[derive(Debug, Clone, Copy)]
struct Record<'a> {
    content: u8,
    epoch: u16,
    body: &'a [u8],
}

/// One record at the front of a datagram. `None` = this is none.
fn next_record<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Record<'a>>, Short> {
    let content = cursor.u8()?;
    let version = cursor.u16()?;
    let epoch = cursor.u16()?;
    cursor.skip(6)?;
    let length = cursor.u16()?;
    let known = matches!(content, record::CHANGE_CIPHER_SPEC..=record::HEARTBEAT);
    if !known || !matches!(version, 0xfeff | 0xfefd | 0xfefc) || length == 0 || length > record::LONGEST {
        return Ok(None);
    }
    Ok(Some(Record {
        content,
        epoch,
        body: cursor.take(usize::from(length))?,
    }))
}

/// Epochs count key changes: a peer that renegotiated this often is not one (RFC 6347 4.1 allows 2^16).
const EPOCHS: u16 = 256;

/// Whether a datagram of an unknown flow is DTLS.
pub fn probe(payload: &[u8]) -> bool {
    let mut cursor = Cursor::new(payload);
    let mut first = true;
    while !cursor.is_empty() {
        let record = match next_record(&mut cursor) {
            Ok(Some(record)) => record,
            // The snap length may have cut it; a hello in front of the cut is evidence enough.
            Err(_) if first => return is_cut_hello(payload),
            // Zero padding and records with a connection id may follow.
            _ => return !first,
        };
        if record.epoch >= EPOCHS || !is_sound(&record) {
            return false;
        }
        first = false;
    }
    !first
}

/// What is in clear must agree with itself.
fn is_sound(record: &Record<'_>) -> bool {
    match (record.content, record.epoch) {
        (record::CHANGE_CIPHER_SPEC, _) => record.body == [1],
        (record::ALERT, 0) => matches!(record.body, [1 | 2, _]),
        (record::HANDSHAKE, 0) => {
            let mut cursor = Cursor::new(record.body);
            matches!(next_fragment(&mut cursor), Some(fragment) if is_message(fragment.kind))
        }
        // Data in clear exists with NULL ciphers only, and not in epoch 0.
        (record::APPLICATION_DATA, 0) => false,
        _ => true,
    }
}

fn is_cut_hello(payload: &[u8]) -> bool {
    let mut cursor = Cursor::new(payload);
    let mut header = || -> Result<bool, Short> {
        let right = cursor.u8()? == record::HANDSHAKE && matches!(cursor.u16()?, 0xfeff | 0xfefd);
        let epoch = cursor.u16()?;
        cursor.skip(6)?;
        let length = cursor.u16()?;
        let kind = cursor.u8()?;
        let total = cursor.u24()?;
        cursor.skip(2)?;
        let (offset, size) = (cursor.u24()?, cursor.u24()?);
        let fits = u32::from(length) == size.saturating_add(12) && offset.saturating_add(size) <= total;
        Ok(right && epoch == 0 && fits && matches!(kind, hello::CLIENT_HELLO | hello::SERVER_HELLO))
    };
    header().unwrap_or(false)
}

fn is_message(kind: u8) -> bool {
    kind <= hello::NEW_SESSION_TICKET
        || matches!(kind, hello::CERTIFICATE..=hello::CLIENT_KEY_EXCHANGE)
        || matches!(kind, hello::FINISHED..=hello::SUPPLEMENTAL_DATA)
}

#[derive(Debug, Clone, Copy)]
struct Fragment<'a> {
    kind: u8,
    total: usize,
    sequence: u16,
    offset: usize,
    body: &'a [u8],
}

/// `None` = too short, or offset and length go beyond the message.
fn next_fragment<'a>(cursor: &mut Cursor<'a>) -> Option<Fragment<'a>> {
    let kind = cursor.u8().ok()?;
    let total = usize::try_from(cursor.u24().ok()?).ok()?;
    let sequence = cursor.u16().ok()?;
    let offset = usize::try_from(cursor.u24().ok()?).ok()?;
    let length = usize::try_from(cursor.u24().ok()?).ok()?;
    let body = cursor.take(length).ok()?;
    (offset.checked_add(length)? <= total).then_some(Fragment {
        kind,
        total,
        sequence,
        offset,
        body,
    })
}

/// A message in progress.
#[derive(Debug)]
struct Partial {
    side: Side,
    kind: u8,
    sequence: u16,
    total: usize,
    /// (offset, octets), as they came.
    pieces: Vec<(usize, Box<[u8]>)>,
}

impl Partial {
    fn held(&self) -> usize {
        self.pieces.iter().map(|(_, piece)| piece.len()).sum()
    }

    /// The whole message, once nothing of it is missing. Of overlapping fragments the one with the lower offset counts.
    fn whole(&mut self) -> Option<Vec<u8>> {
        if self.held() < self.total {
            return None;
        }
        self.pieces.sort_by_key(|(offset, _)| *offset);
        let mut body = Vec::with_capacity(self.total);
        for (offset, piece) in &self.pieces {
            let known = body.len().checked_sub(*offset)?;
            body.extend_from_slice(piece.get(known..).unwrap_or_default());
        }
        (body.len() == self.total).then_some(body)
    }
}

/// What is known of the flow's DTLS; a pointer until there is any.
#[derive(Debug, Default)]
pub struct State(Option<Box<Talk>>);

#[derive(Debug)]
struct Talk {
    exchange: Exchange,
    partial: Vec<Partial>,
    /// Per side: number of the next message in order, and how many were read.
    next: [u16; 2],
    read: [u16; 2],
    silent: u16,
    over: bool,
}

impl State {
    /// Octets held of messages that are not whole, for the memory budget.
    pub fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |talk| talk.held())
    }
}

/// Reads a datagram of a flow that `probe` accepted one of. What is not DTLS is left alone.
pub fn read(side: Side, payload: &[u8], state: &mut State, context: &mut Context<'_>) {
    if state.0.is_none() {
        if !probe(payload) {
            return;
        }
        state.0 = Some(Box::new(Talk {
            exchange: Exchange::new(Carrier::Dtls),
            partial: Vec::new(),
            next: [0; 2],
            read: [0; 2],
            silent: 0,
            over: false,
        }));
        context.facts.recognise(Service::Dtls);
        note::facts(context.facts);
    }
    let Some(talk) = state.0.as_mut() else { return };
    if talk.over {
        return;
    }
    talk.silent = talk.silent.saturating_add(1);
    talk.datagram(side, payload, context);
    if note::facts(context.facts).established || talk.silent > SILENT_DATAGRAMS {
        talk.over = true;
        talk.partial = Vec::new();
    }
}

impl Talk {
    fn datagram(&mut self, side: Side, payload: &[u8], context: &mut Context<'_>) {
        // 001xxxxx: the unified header of DTLS 1.3, always under keys (RFC 9147 4).
        if payload.first().is_some_and(|first| first & 0xe0 == 0x20) {
            self.exchange
                .data_record(side, payload.len(), note::facts(context.facts));
            return;
        }
        if payload.first() == Some(&WITH_CONNECTION_ID) {
            self.exchange.record(side, context.facts);
            return;
        }
        let mut cursor = Cursor::new(payload);
        while let Ok(Some(record)) = next_record(&mut cursor) {
            self.record(side, &record, context);
        }
    }

    fn record(&mut self, side: Side, record: &Record<'_>, context: &mut Context<'_>) {
        let tls = note::facts(context.facts);
        if record.content != record::ALERT {
            mark(&mut tls.beyond_alert, side);
        }
        match (record.content, record.epoch) {
            (record::CHANGE_CIPHER_SPEC, _) => {
                self.exchange.change_cipher_spec(side, tls);
            }
            (record::ALERT, 0) => alert(side, record.body, tls),
            (record::HANDSHAKE, 0) => self.handshake(side, record.body, context),
            (record::HANDSHAKE | record::APPLICATION_DATA, _) => self.exchange.record(side, context.facts),
            _ => {}
        }
    }

    fn handshake(&mut self, side: Side, body: &[u8], context: &mut Context<'_>) {
        let mut cursor = Cursor::new(body);
        while cursor.remaining() >= MESSAGE_HEADER {
            let Some(fragment) = next_fragment(&mut cursor) else {
                return;
            };
            let read = self.read.get(side.index()).copied().unwrap_or(READ);
            if read >= READ {
                return;
            }
            if fragment.body.len() == fragment.total {
                self.message(side, fragment.kind, fragment.sequence, Some(fragment.body), context);
            } else {
                self.fragment(side, &fragment, context);
            }
        }
    }

    fn fragment(&mut self, side: Side, fragment: &Fragment<'_>, context: &mut Context<'_>) {
        if !matches!(
            fragment.kind,
            hello::CLIENT_HELLO | hello::SERVER_HELLO | hello::CERTIFICATE
        ) {
            // Its content is not read; that it came is told by its last piece.
            if fragment.offset.saturating_add(fragment.body.len()) == fragment.total {
                self.message(side, fragment.kind, fragment.sequence, None, context);
            }
            return;
        }
        let same = |partial: &Partial| {
            (partial.side, partial.kind, partial.sequence, partial.total)
                == (side, fragment.kind, fragment.sequence, fragment.total)
        };
        let mut partial = match self.partial.iter().position(same) {
            Some(index) => self.partial.remove(index),
            None => Partial {
                side,
                kind: fragment.kind,
                sequence: fragment.sequence,
                total: fragment.total,
                pieces: Vec::new(),
            },
        };
        partial.pieces.push((fragment.offset, fragment.body.into()));
        if let Some(body) = partial.whole() {
            return self.message(side, fragment.kind, fragment.sequence, Some(&body), context);
        }
        if partial.pieces.len() < PIECES {
            self.partial.push(partial);
        }
        // The one that has waited longest makes room.
        while self.partial.len() > MESSAGES || self.held() > HELD {
            self.partial.remove(0);
        }
    }

    fn held(&self) -> usize {
        self.partial.iter().map(Partial::held).sum()
    }

    fn message(&mut self, side: Side, kind: u8, sequence: u16, body: Option<&[u8]>, context: &mut Context<'_>) {
        self.silent = 0;
        if let Some(read) = self.read.get_mut(side.index()) {
            *read = read.saturating_add(1);
        }
        if let Some(next) = self.next.get_mut(side.index()) {
            // Numbers that are missing between two messages are messages that were not seen.
            if sequence > *next && !matches!(kind, hello::CLIENT_HELLO | hello::SERVER_HELLO) {
                self.exchange.lost(side);
            }
            *next = sequence.saturating_add(1).max(*next);
        }
        self.exchange.message(side, kind, body, context);
    }
}

fn mark(sides: &mut [bool; 2], side: Side) {
    if let Some(seen) = sides.get_mut(side.index()) {
        *seen = true;
    }
}

fn alert(side: Side, body: &[u8], tls: &mut TlsFacts) {
    let changed = tls.change_cipher_spec.get(side.index()).copied().unwrap_or(false);
    if !changed && matches!(body, [2, _]) {
        mark(&mut tls.fatal_alert, side);
    }
}

#[cfg(test)]
mod tests;
