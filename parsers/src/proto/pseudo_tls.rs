//! Pseudo-TLS (MS-TURN 2.1.1): one fixed greeting each way that gets A/V traffic through devices which only admit TLS;
//! TURN in its own framing follows, nothing is encrypted.
//!
//! The greetings are told octet by octet, never by their lengths: ordinary minimal ClientHellos begin with the same nine
//! octets. To be asked before TLS, whose first octets these are.

use crate::facts::{Service, Side};
use crate::proto::tls::imitation::{Likeness, MS_TURN_HELLO, MS_TURN_REPLY};
use crate::proto::{Context, Probe, Step, StreamReader};

/// Whether one direction begins with the hello or the reply.
pub fn probe(bytes: &[u8]) -> Probe {
    match (MS_TURN_HELLO.compare(bytes), MS_TURN_REPLY.compare(bytes)) {
        (Likeness::Whole, _) | (_, Likeness::Whole) => Probe::Yes,
        (Likeness::Prefix, _) | (_, Likeness::Prefix) => Probe::More,
        (Likeness::Differs, Likeness::Differs) => Probe::No,
    }
}

/// Reads hello and reply; what comes behind them is another protocol's.
#[derive(Debug, Default)]
pub struct Reader {
    /// Who sent the hello that this reader consumed.
    client: Option<Side>,
}

impl Reader {
    pub fn new() -> Self {
        Reader::default()
    }
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        if bytes.is_empty() {
            return Step::More(0);
        }
        if self.client == Some(side) {
            // A client waits for the reply. When it goes on, the reply was not captured: what it sends is framed.
            return Step::Switch(0);
        }
        if self.client.is_none() {
            match MS_TURN_HELLO.compare(bytes) {
                Likeness::Whole => {
                    context.facts.recognise(Service::PseudoTls);
                    context.facts.opened_by(side);
                    context.facts.pseudo_tls.hello = true;
                    self.client = Some(side);
                    // The reply of a capture that holds the directions out of order.
                    if context.facts.pseudo_tls.reply || bytes.len() > MS_TURN_HELLO.length {
                        return Step::Switch(MS_TURN_HELLO.length);
                    }
                    return Step::More(MS_TURN_HELLO.length);
                }
                Likeness::Prefix => return Step::More(0),
                Likeness::Differs => {}
            }
        }
        match MS_TURN_REPLY.compare(bytes) {
            Likeness::Whole => {
                context.facts.recognise(Service::PseudoTls);
                context.facts.opened_by(side.other());
                context.facts.pseudo_tls.reply = true;
                Step::Switch(MS_TURN_REPLY.length)
            }
            Likeness::Prefix => Step::More(0),
            // The listener is something else, TLS perhaps: its own octets say what. Without a hello before it, this
            // side has just gone on where another reader left it.
            Likeness::Differs => Step::Switch(0),
        }
    }
}
