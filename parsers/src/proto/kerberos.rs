//! Kerberos 5 (RFC 4120 5, 7.2) over UDP and, behind a length of four octets, over TCP.
//!
//! Strategy: every message names itself twice, by its application tag and by its message type, with the version between;
//! lengths must agree with the datagram or the record mark. Clients ask, the key distribution centre answers.

use super::ber::{self, SEQUENCE};
use super::fault::{answer, must, Fault};
use super::{Context, Probe, Step, StreamReader};
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

/// Longest message over TCP; a ticket of Active Directory carries at most 64 KiB of groups.
const LONGEST: u32 = 1 << 18;

const REQUESTS: [u8; 3] = [10, 12, 14];
const ANSWERS: [u8; 4] = [11, 13, 15, 30];

/// The message type, read from the front; `end` = where the message must end.
fn message(cursor: &mut Cursor<'_>, end: usize) -> Result<u8, Fault> {
    let (tag, length) = ber::head(cursor)?;
    let kind = tag & 0x1f;
    must(tag & 0xe0 == 0x60 && (REQUESTS.contains(&kind) || ANSWERS.contains(&kind)))?;
    must(cursor.position().checked_add(length) == Some(end))?;
    ber::expect_last(cursor, SEQUENCE, end)?;
    // RFC 4120 5.4.1: pvno is field 1 of a request to the KDC; elsewhere it is field 0.
    let field = if matches!(kind, 10 | 12) { 0xa1 } else { 0xa0 };
    for expected in [field, 3, 2, 1, 5, field + 1, 3, 2, 1, kind] {
        must(cursor.u8()? == expected)?;
    }
    Ok(kind)
}

fn note(side: Side, kind: u8, context: &mut Context<'_>) {
    context.facts.recognise(Service::Kerberos);
    context
        .facts
        .opened_by(if REQUESTS.contains(&kind) { side } else { side.other() });
}

/// True = it is Kerberos.
pub fn read_datagram(side: Side, payload: &[u8], context: &mut Context<'_>) -> bool {
    match message(&mut Cursor::new(payload), payload.len()) {
        Ok(kind) => {
            note(side, kind, context);
            true
        }
        Err(_) => false,
    }
}

/// RFC 4120 7.2.2: the length's first bit is reserved.
fn record(bytes: &[u8]) -> Result<u8, Fault> {
    let mut cursor = Cursor::new(bytes);
    must(bytes.first().is_none_or(|first| *first == 0))?;
    let length = cursor.u32()?;
    must(length < LONGEST)?;
    let end = usize::try_from(length).ok().and_then(|length| length.checked_add(4));
    message(&mut cursor, end.ok_or(Fault::Wrong)?)
}

pub fn probe(bytes: &[u8]) -> Probe {
    answer(&record(bytes))
}

/// The first message tells all.
#[derive(Debug, Default)]
pub struct Reader;

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        match record(bytes) {
            Ok(kind) => {
                note(side, kind, context);
                Step::Done
            }
            Err(fault) => fault.after(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, every_truncation, probe_waits, with_context};
    use super::*;
    use crate::facts::Facts;
    use proptest::prelude::*;
    use Side::{A, B};

    fn told(payload: &[u8]) -> Facts {
        let mut facts = Facts::default();
        with_context(&mut facts, |context| read_datagram(A, payload, context));
        facts
    }

    /// RFC 4120 5.4.1, 5.4.2, 5.9.1: the beginning of a message, and octets to fill it.
    fn message(kind: u8) -> Vec<u8> {
        let field = if matches!(kind, 10 | 12) { 0xa1 } else { 0xa0 };
        let mut message = vec![0x60 | kind, 0x81, 133, 0x30, 0x81, 130];
        message.extend([field, 3, 2, 1, 5, field + 1, 3, 2, 1, kind]);
        message.extend([0x55; 120]);
        message
    }

    #[test]
    fn requests_and_answers_tell_who_opened() {
        for (kind, opener) in [(10, A), (11, B), (12, A), (13, B), (14, A), (15, B), (30, B)] {
            let message = message(kind);
            let facts = told(&message);
            assert_eq!(
                (facts.services(), facts.opener),
                (&[Service::Kerberos][..], Some(opener)),
                "{kind}"
            );
            let stream = [&136_u32.to_be_bytes()[..], &message].concat();
            let told = every_split(|| Reader, &[(A, &stream)]);
            assert_eq!(
                (told.facts.services(), told.facts.opener),
                (&[Service::Kerberos][..], Some(opener))
            );
            every_truncation(|| Reader, &[(A, &stream)]);
            probe_waits(probe, &stream);
        }
    }

    #[test]
    fn what_does_not_agree_is_refused() {
        let whole = message(10);
        for (at, value) in [(0, 0x6b), (2, 132), (3, 0x31), (5, 131), (10, 4), (15, 11)] {
            let mut wrong = whole.clone();
            wrong[at] = value;
            assert!(!told(&wrong).has(Service::Kerberos), "octet {at}");
        }
        for cut in 0..whole.len() {
            assert!(!told(&whole[..cut]).has(Service::Kerberos), "{cut} octets");
        }
        assert_eq!(probe(&[0, 0, 0, 136, 0x30, 0x05]), Probe::No);
        assert_eq!(probe(&[0x80]), Probe::No);
    }

    proptest! {
        /// Fourteen octets that must be what they are.
        #[test]
        fn random_datagrams_are_not_it(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(!told(&bytes).has(Service::Kerberos));
            for kind in [10, 11, 12, 13, 30] {
                prop_assert!(!told(&[&[0x60 | kind, 0x81][..], &bytes].concat()).has(Service::Kerberos));
            }
            prop_assert!(probe(&bytes) != Probe::Yes);
        }
    }
}
