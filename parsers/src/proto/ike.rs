//! IKE (RFC 7296 3.1; version 1: RFC 2408 3.1) over UDP, on 500 or, behind four zero octets, on 4500 (RFC 3948 2.2).
//!
//! Strategy: the header ends in the length of the whole message; with the version, an exchange that exists for it and
//! flags that may be set, one random datagram in 2^45 passes.

use super::fault::{must, Fault};
use super::Context;
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

/// RFC 3948 2.2: what tells IKE from ESP on the same port.
const MARKER: [u8; 4] = [0; 4];

/// RFC 7296 3.1: the sender began the association.
const FROM_INITIATOR: u8 = 0x08;

/// Who began, as far as the message tells: `Some(true)` = its sender. None = no IKE.
fn read(payload: &[u8]) -> Option<Option<bool>> {
    let marked = payload.strip_prefix(&MARKER);
    marked
        .and_then(|rest| message(rest).ok())
        .or_else(|| message(payload).ok())
}

fn message(bytes: &[u8]) -> Result<Option<bool>, Fault> {
    let mut cursor = Cursor::new(bytes);
    let (initiator, responder) = (cursor.u64()?, cursor.u64()?);
    let next = cursor.u8()?;
    let version = cursor.u8()?;
    let exchange = cursor.u8()?;
    let flags = cursor.u8()?;
    cursor.skip(4)?;
    let length = cursor.u32()?;
    must(initiator != 0 && usize::try_from(length) == Ok(bytes.len()))?;
    // IANA's registries of exchange types and payloads; version 1 has private payloads for NAT traversal and fragments.
    match version {
        0x10 => {
            must(matches!(next, 0..=21 | 128..=135) && matches!(exchange, 1..=6 | 32 | 33) && flags & !0x07 == 0)?;
            // Only the first message of version 1 has no cookie of the other side.
            Ok((responder == 0).then_some(true))
        }
        0x20 => {
            must(matches!(next, 0 | 33..=54) && matches!(exchange, 34..=45) && flags & !0x38 == 0)?;
            Ok(Some(flags & FROM_INITIATOR != 0))
        }
        _ => Err(Fault::Wrong),
    }
}

/// True = it is IKE.
pub fn read_datagram(side: Side, payload: &[u8], context: &mut Context<'_>) -> bool {
    let Some(began) = read(payload) else { return false };
    context.facts.recognise(Service::Ike);
    if let Some(sender) = began {
        context.facts.opened_by(if sender { side } else { side.other() });
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::splits::with_context;
    use super::*;
    use crate::facts::Facts;
    use proptest::prelude::*;

    fn told(payload: &[u8]) -> Facts {
        let mut facts = Facts::default();
        with_context(&mut facts, |context| read_datagram(Side::A, payload, context));
        facts
    }

    /// RFC 7296 3.1, field by field, with eight octets of payload.
    fn message(responder: u8, next: u8, version: u8, exchange: u8, flags: u8) -> Vec<u8> {
        let mut message = vec![0x9a, 1, 2, 3, 4, 5, 6, 7];
        message.extend([responder; 8]);
        message.extend([next, version, exchange, flags, 0, 0, 0, 0, 0, 0, 0, 36]);
        message.extend([0, 0, 0, 8, 1, 1, 1, 1]);
        message
    }

    #[test]
    fn the_initiator_is_told_by_the_flag_or_the_first_cookie() {
        for (message, opener, what) in [
            (message(0, 33, 0x20, 34, 0x08), Some(Side::A), "IKE_SA_INIT"),
            (message(7, 33, 0x20, 34, 0x20), Some(Side::B), "its answer"),
            (
                message(7, 46, 0x20, 37, 0x00),
                Some(Side::B),
                "INFORMATIONAL by the responder",
            ),
            (message(0, 1, 0x10, 2, 0x00), Some(Side::A), "main mode"),
            (message(7, 1, 0x10, 2, 0x00), None, "its second message"),
            (message(7, 8, 0x10, 5, 0x01), None, "informational"),
        ] {
            for prefix in [&[][..], &MARKER] {
                let facts = told(&[prefix, &message[..]].concat());
                assert_eq!(
                    (facts.services(), facts.opener),
                    (&[Service::Ike][..], opener),
                    "{what}"
                );
            }
        }
    }

    #[test]
    fn each_field_out_of_its_range_refuses_it() {
        for (at, value) in [(16, 5), (17, 0x21), (18, 2), (19, 1), (24, 1), (27, 35)] {
            let mut message = message(0, 33, 0x20, 34, 0x08);
            message[at] = value;
            assert!(!told(&message).has(Service::Ike), "octet {at} = {value:#x}");
        }
        let mut nobody = message(0, 33, 0x20, 34, 0x08);
        nobody[..8].fill(0);
        assert!(!told(&nobody).has(Service::Ike));
        let whole = message(0, 33, 0x20, 34, 0x08);
        for cut in 0..whole.len() {
            assert!(!told(&whole[..cut]).has(Service::Ike), "{cut} octets");
        }
        // RFC 3948 2.3: a keep-alive; 2.1: ESP
        assert!(!told(&[0xff]).has(Service::Ike));
        assert!(!told(&[0x11; 100]).has(Service::Ike));
    }

    proptest! {
        /// 2^-45 for each: length 2^-32, version 2^-7, exchange 2^-4 or less, payload and flags 2^-2 or less.
        #[test]
        fn random_datagrams_are_not_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!told(&bytes).has(Service::Ike));
        }
    }
}
