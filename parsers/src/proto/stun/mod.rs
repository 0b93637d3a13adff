//! STUN and TURN in all the forms an edge meets: RFC 5389/8489 and RFC 5766/8656, RFC 3489 without the cookie, MS-TURN and
//! its multiplexed form; over UDP (`message` alone) and over TCP in three framings (`stream`).
//!
//! Strategy: a message is recognised by what only it has (a cookie in its place, or, for RFC 3489, a whole fit) and
//! noted here in one place, whatever carried it. A Binding tells nothing about who opened the flow, since ICE checks run
//! both ways; whatever belongs to a relay does.

mod message;
mod stream;

pub use stream::{probe, probe_after_pseudo_tls, Reader};

use self::message::{Class, Dialect, Message};
use super::Context;
use crate::facts::{Service, Side, StunFacts};

/// Requests that may wait for an answer, and answers for their request: an ICE agent has a few checks in flight, each with its own transaction.
const OUTSTANDING: usize = 8;

/// Strict: a message, or a multiplexed one (MS-TURN 2.2.3). Channel data has too little to go by.
pub fn probe_datagram(payload: &[u8]) -> bool {
    message::read_datagram(payload).is_some() || message::multiplexed(payload).is_some()
}

/// Whether a datagram answers a Binding request: whoever sent that spoke before.
pub fn is_binding_answer(payload: &[u8]) -> bool {
    message::read_datagram(payload).is_some_and(|message| message.is_binding_answer())
}

/// What a relay carries in this datagram: the data of a message, of a channel (RFC 8656 12.4) or of a session (MS-TURN
/// 2.2.3). Only to be asked on a flow on which TURN was seen: channel data has too little to go by.
pub fn relayed(payload: &[u8]) -> Option<&[u8]> {
    let session = message::multiplexed(payload);
    let inner = session.unwrap_or(payload);
    match message::read(inner) {
        Some(message) => message.data(),
        None => session.or_else(|| message::channel_data(payload)),
    }
}

/// Notes the message in a datagram; anything else changes nothing.
pub fn read_datagram(side: Side, payload: &[u8], context: &mut Context<'_>) {
    if let Some(message) = message::read_datagram(payload) {
        note(side, &message, "udp", context);
    } else if let Some(inner) = message::multiplexed(payload) {
        context.facts.recognise(Service::Turn);
        let facts = stun(context);
        facts.ms_turn = true;
        facts.beyond_binding = true;
        facts.framing.get_or_insert("udp");
        if let Some(message) = message::read_datagram(inner) {
            note(side, &message, "udp", context);
        }
    }
}

fn stun<'a>(context: &'a mut Context<'_>) -> &'a mut StunFacts {
    context.facts.stun.get_or_insert_with(Box::default)
}

/// Writes one message into the facts.
fn note(side: Side, message: &Message<'_>, framing: &'static str, context: &mut Context<'_>) {
    let turn = message.dialect == Dialect::Microsoft || message.is_relay();
    context
        .facts
        .recognise(if turn { Service::Turn } else { Service::Stun });
    if turn {
        context
            .facts
            .opened_by(if message.is_of_client() { side } else { side.other() });
    }
    let time = context.time;
    let facts = stun(context);
    if facts.framing.is_none() {
        facts.framing = Some(framing);
    }
    if facts.transaction_id.is_empty() {
        facts.transaction_id = message.transaction_id().to_vec();
        facts.method = message.method();
        facts.begun_by_answer = matches!(message.class, Class::Success | Class::Error);
    }
    facts.ms_turn |= message.dialect == Dialect::Microsoft;
    facts.ms_version = facts.ms_version.or_else(|| message.ms_version());
    facts.beyond_binding |= !message.is_binding_request();
    // A connection is not read beyond the first answer, so that nothing could be said of what the client does with it.
    if framing == "udp" && message.is_allocate_request() {
        allocate(facts, message, time);
    }
    match message.class {
        Class::Request => {
            facts.requests = true;
            exchange(facts, (side, message.id), true);
        }
        Class::Success | Class::Error => exchange(facts, (side.other(), message.id), false),
        Class::Indication => {}
    }
}

/// Half of a transaction: with the other half it is one that was answered. The two directions of a tap may be captured in
/// either order.
fn exchange(facts: &mut StunFacts, transaction: (Side, [u8; 16]), request: bool) {
    if facts.answered {
        return;
    }
    let (waiting, other) = if request {
        (&mut facts.outstanding, &facts.early)
    } else {
        (&mut facts.early, &facts.outstanding)
    };
    if other.contains(&transaction) {
        facts.answered = true;
        facts.outstanding = Vec::new();
        facts.early = Vec::new();
    } else if !waiting.contains(&transaction) {
        // What is sent again is the same transaction.
        if waiting.len() >= OUTSTANDING {
            waiting.remove(0);
        }
        waiting.push(transaction);
    }
}

/// A client that has credentials sends its first Allocate without them, is challenged, and goes on with them (RFC 8656
/// 7.2, MS-TURN 3.2.5). A request that is sent again is the same one.
fn allocate(facts: &mut StunFacts, message: &Message<'_>, time: i64) {
    if message.has_integrity() {
        if facts.unproved.take().is_some() {
            facts.allocates.take_back(0);
        }
    } else if facts.unproved != Some(message.id) {
        facts.unproved = Some(message.id);
        facts.allocates.add(0, 1, time);
    }
}

#[cfg(test)]
mod tests;
