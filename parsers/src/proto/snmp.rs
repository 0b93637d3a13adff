//! SNMP of all three versions (RFC 1157, RFC 3416 3, RFC 3412 6) over UDP.
//!
//! Strategy: a message is walked down to its list of variables; each length must end where the one around it does, which
//! no other protocol's do. A manager asks and an agent answers; notifications are opened by the agent that sends them.

use super::ber::{self, INTEGER, OCTET_STRING, SEQUENCE};
use super::fault::{must, Fault};
use super::Context;
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

/// RFC 3412 6.3: no engine takes less.
const SMALLEST_SIZE: i64 = 484;
/// RFC 3412 6.4: the sender wants to hear of failures: a request.
const REPORTABLE: u8 = 0x04;

/// RFC 3416 3: PDUs by the number of their tag.
const RESPONSE: u8 = 0xa2;
const TRAP_V1: u8 = 0xa4;
const REPORT: u8 = 0xa8;

/// Whether the sender opened; None = it does not tell.
type Asks = Option<bool>;

fn message(payload: &[u8]) -> Result<Asks, Fault> {
    let mut cursor = Cursor::new(payload);
    let end = payload.len();
    ber::expect_last(&mut cursor, SEQUENCE, end)?;
    match ber::number(&mut cursor, INTEGER)? {
        // SNMPv1 and SNMPv2c: a community.
        0 | 1 => {
            let community = ber::expect(&mut cursor, OCTET_STRING)?;
            cursor.skip(community)?;
            pdu(&mut cursor, end)
        }
        3 => version3(&mut cursor, end),
        _ => Err(Fault::Wrong),
    }
}

fn version3(cursor: &mut Cursor<'_>, end: usize) -> Result<Asks, Fault> {
    let length = ber::expect(cursor, SEQUENCE)?;
    let after = cursor.position().checked_add(length);
    ber::number(cursor, INTEGER)?;
    must(ber::number(cursor, INTEGER)? >= SMALLEST_SIZE)?;
    must(ber::expect(cursor, OCTET_STRING)? == 1)?;
    let flags = cursor.u8()?;
    // RFC 3411 5: 1 to 3 are SNMP's own, below 256 IANA's.
    must((1..=255).contains(&ber::number(cursor, INTEGER)?) && flags & !0x07 == 0)?;
    must(Some(cursor.position()) == after)?;
    let security = ber::expect(cursor, OCTET_STRING)?;
    cursor.skip(security)?;
    let (tag, length) = ber::head(cursor)?;
    must(cursor.position().checked_add(length) == Some(end))?;
    match tag {
        SEQUENCE => {
            for _ in ["contextEngineID", "contextName"] {
                let length = ber::expect(cursor, OCTET_STRING)?;
                cursor.skip(length)?;
            }
            pdu(cursor, end)
        }
        // Encrypted.
        OCTET_STRING => Ok((flags & REPORTABLE != 0).then_some(true)),
        _ => Err(Fault::Wrong),
    }
}

fn pdu(cursor: &mut Cursor<'_>, end: usize) -> Result<Asks, Fault> {
    let (tag, length) = ber::head(cursor)?;
    must(cursor.position().checked_add(length) == Some(end))?;
    match tag {
        TRAP_V1 => {
            let enterprise = ber::expect(cursor, 0x06)?;
            cursor.skip(enterprise)?;
            // RFC 1155 6: an address is application type 0, time ticks are type 3.
            must(ber::expect(cursor, 0x40)? == 4)?;
            cursor.skip(4)?;
            ber::number(cursor, INTEGER)?;
            ber::number(cursor, INTEGER)?;
            ber::number(cursor, 0x43)?;
        }
        0xa0..=REPORT => {
            for _ in ["request-id", "error-status", "error-index"] {
                ber::number(cursor, INTEGER)?;
            }
        }
        _ => return Err(Fault::Wrong),
    }
    ber::expect_last(cursor, SEQUENCE, end)?;
    Ok(match tag {
        RESPONSE | REPORT => Some(false),
        _ => Some(true),
    })
}

/// True = it is SNMP.
pub fn read_datagram(side: Side, payload: &[u8], context: &mut Context<'_>) -> bool {
    let Ok(asks) = message(payload) else { return false };
    context.facts.recognise(Service::Snmp);
    if let Some(sender) = asks {
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

    fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, u8::try_from(content.len()).unwrap()][..], &content].concat()
    }

    /// RFC 3416 3: a PDU about sysDescr.0.
    fn pdu(tag: u8) -> Vec<u8> {
        let variable = element(0x30, &[b"\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00", b"\x05\x00"]);
        element(
            tag,
            &[
                b"\x02\x04\x12\x34\x56\x78",
                b"\x02\x01\x00",
                b"\x02\x01\x00",
                &element(0x30, &[&variable]),
            ],
        )
    }

    fn with_community(version: u8, pdu: &[u8]) -> Vec<u8> {
        element(0x30, &[&[2, 1, version], b"\x04\x06public", pdu])
    }

    fn version3(flags: u8, data: &[u8]) -> Vec<u8> {
        let header = element(
            0x30,
            &[
                b"\x02\x02\x12\x34",
                b"\x02\x03\x00\xff\xe3",
                &[4, 1, flags],
                b"\x02\x01\x03",
            ],
        );
        element(0x30, &[b"\x02\x01\x03", &header, b"\x04\x0eSecurityParams", data])
    }

    #[test]
    fn requests_answers_and_notifications_tell_who_opened() {
        for (tag, opener) in [
            (0xa0, Side::A),
            (0xa1, Side::A),
            (0xa2, Side::B),
            (0xa3, Side::A),
            (0xa5, Side::A),
            (0xa6, Side::A),
            (0xa7, Side::A),
            (0xa8, Side::B),
        ] {
            for version in [0, 1] {
                let facts = told(&with_community(version, &pdu(tag)));
                assert_eq!(
                    (facts.services(), facts.opener),
                    (&[Service::Snmp][..], Some(opener)),
                    "{tag:x}"
                );
            }
        }
        // RFC 1157 4.1.6
        let trap = element(
            0xa4,
            &[
                b"\x06\x05\x2b\x06\x01\x04\x01",
                b"\x40\x04\xc0\x00\x02\x01",
                b"\x02\x01\x02\x02\x01\x00",
                b"\x43\x01\x05\x30\x00",
            ],
        );
        assert_eq!(told(&with_community(0, &trap)).opener, Some(Side::A));
    }

    #[test]
    fn version_3_tells_even_when_encrypted() {
        let plain = element(0x30, &[b"\x04\x05\x80\x00\x00\x01\x02", b"\x04\x00", &pdu(0xa2)]);
        assert_eq!(told(&version3(0x00, &plain)).opener, Some(Side::B));
        let sealed = element(0x04, &[&[0x77; 40]]);
        assert_eq!(told(&version3(0x07, &sealed)).opener, Some(Side::A));
        let facts = told(&version3(0x03, &sealed));
        assert_eq!((facts.services(), facts.opener), (&[Service::Snmp][..], None));
    }

    #[test]
    fn lengths_must_agree() {
        let whole = with_community(1, &pdu(0xa0));
        for cut in 0..whole.len() {
            assert!(!told(&whole[..cut]).has(Service::Snmp), "{cut} octets");
        }
        assert!(!told(&[&whole[..], &[0]].concat()).has(Service::Snmp), "an octet more");
        assert!(
            !told(&with_community(2, &pdu(0xa0))).has(Service::Snmp),
            "version 2 went by 1"
        );
        assert!(!told(&with_community(1, &pdu(0xa9))).has(Service::Snmp), "no such PDU");
        // RFC 4511 4.2: a bind of LDAP begins like it
        assert!(!told(b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00").has(Service::Snmp));
    }

    proptest! {
        /// Six tags and lengths that agree: far beyond 2^-64.
        #[test]
        fn random_datagrams_are_not_it(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(!told(&bytes).has(Service::Snmp));
            prop_assert!(!told(&[&[0x30][..], &bytes].concat()).has(Service::Snmp));
        }
    }
}
