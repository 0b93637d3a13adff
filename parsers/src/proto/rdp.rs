//! RDP by its negotiation ([MS-RDPBCGR] 2.2.1.1, 2.2.1.2) over TCP, which hands the connection to TLS, and over UDP by the
//! datagram that begins a connection ([MS-RDPEUDP] 2.2.2.1, 3.1.5.1.1).
//!
//! Strategy: TPKT (RFC 1006) and an X.224 connection request carry other protocols, too (S7, H.323), so that what counts is
//! what only RDP writes into it: the cookie or the negotiation structure. Clients of before 2003 have neither.

use super::fault::{answer, must, Fault};
use super::{Context, Probe, Step, StreamReader};
use crate::cursor::Cursor;
use crate::facts::{Service, Side};

const CONNECTION_REQUEST: u8 = 0xe0;
const CONNECTION_CONFIRM: u8 = 0xd0;
/// Octets of TPKT header, and of X.224 behind its length octet.
const TPKT: usize = 4;
const X224: usize = 6;
/// Longest request: the length octet of X.224 counts at most 254.
const LONGEST: usize = TPKT + 255;
const COOKIE: &[u8] = b"Cookie: ";
const NEGOTIATION_REQUEST: u8 = 1;
const NEGOTIATION_RESPONSE: u8 = 2;
const NEGOTIATION_FAILURE: u8 = 3;
const CORRELATION: u8 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Negotiation {
    Asked,
    /// The protocol chosen: 0 = none of TLS.
    Chosen(u32),
    Failed,
}

/// A whole connection request or confirm, and the octets it took.
fn negotiation(bytes: &[u8]) -> Result<(Negotiation, usize), Fault> {
    let mut cursor = Cursor::new(bytes);
    must(cursor.u8()? == 3)?;
    must(cursor.u8()? == 0)?;
    let length = usize::from(cursor.u16()?);
    must((TPKT + 1 + X224..=LONGEST).contains(&length))?;
    must(usize::from(cursor.u8()?) == length - TPKT - 1)?;
    let kind = cursor.u8()?;
    must(matches!(kind, CONNECTION_REQUEST | CONNECTION_CONFIRM))?;
    must(kind == CONNECTION_CONFIRM || cursor.u16()? == 0)?;
    let mut rest = Cursor::new(bytes);
    rest.skip(TPKT + 1 + X224)?;
    let variable = rest.take(length - TPKT - 1 - X224)?;
    let said = match kind {
        CONNECTION_REQUEST => is_request(variable).then_some(Negotiation::Asked),
        _ => confirm(variable),
    };
    said.map(|said| (said, length)).ok_or(Fault::Wrong)
}

/// 2.2.1.1: cookie or routing token, then the structure, then perhaps a correlation id; not nothing at all.
fn is_request(variable: &[u8]) -> bool {
    let rest = if variable.starts_with(COOKIE) {
        match variable.windows(2).position(|end| end == b"\r\n") {
            Some(at) => variable.get(at.saturating_add(2)..).unwrap_or_default(),
            None => return false,
        }
    } else {
        variable
    };
    match structure(rest) {
        Some((NEGOTIATION_REQUEST, _, [])) => true,
        Some((NEGOTIATION_REQUEST, _, [CORRELATION, 0, 36, 0, id @ ..])) => id.len() == 32,
        _ => rest.is_empty() && !variable.is_empty(),
    }
}

fn confirm(variable: &[u8]) -> Option<Negotiation> {
    match structure(variable)? {
        (NEGOTIATION_RESPONSE, chosen, []) if chosen <= 0x10 => Some(Negotiation::Chosen(chosen)),
        (NEGOTIATION_FAILURE, 1..=6, []) => Some(Negotiation::Failed),
        _ => None,
    }
}

/// 2.2.1.1.1 and 2.2.1.2.1: type, flags, length 8 and a number, all little-endian; what follows it.
fn structure(bytes: &[u8]) -> Option<(u8, u32, &[u8])> {
    let mut cursor = Cursor::new(bytes);
    let kind = cursor.u8().ok()?;
    cursor.skip(1).ok()?;
    let length = cursor.u16_le().ok()?;
    let number = cursor.u32_le().ok()?;
    (length == 8).then_some((kind, number, cursor.rest()))
}

pub fn probe(bytes: &[u8]) -> Probe {
    answer(&negotiation(bytes))
}

/// Follows the negotiation; the client is silent between its request and the answer.
#[derive(Debug, Default)]
pub struct Reader {
    asked: Option<Side>,
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        // What the client sends behind its request belongs to the next protocol.
        if self.asked == Some(side) {
            return Step::More(0);
        }
        let (said, length) = match negotiation(bytes) {
            Ok(read) => read,
            Err(fault) => return fault.after(0),
        };
        context.facts.recognise(Service::Rdp);
        match said {
            Negotiation::Asked => {
                context.facts.opened_by(side);
                self.asked = Some(side);
                Step::More(length)
            }
            // 2.2.1.2.1: TLS, CredSSP in TLS, RDSTLS in TLS, Early User Authorization in TLS.
            Negotiation::Chosen(1..=8) => {
                context.facts.opened_by(side.other());
                Step::Switch(length)
            }
            Negotiation::Chosen(_) | Negotiation::Failed => {
                context.facts.opened_by(side.other());
                Step::Done
            }
        }
    }
}

/// [MS-RDPEUDP] 3.1.5.1.1: both kinds of SYN are padded with zeros to the largest size that the path may have.
const SYN_SIZES: std::ops::RangeInclusive<usize> = 1_132..=1_232;
/// snSourceAck of a SYN: nothing was received.
const NOTHING: u32 = u32::MAX;
const SYN: u16 = 0x0001;
const ACK: u16 = 0x0004;
/// 2.2.2.1: all flags that may stand in either SYN.
const SYN_FLAGS: u16 = SYN | ACK | 0x0200 | 0x0800 | 0x1000;

/// True = a datagram that begins RDP over UDP.
pub fn read_datagram(side: Side, payload: &[u8], context: &mut Context<'_>) -> bool {
    let mut cursor = Cursor::new(payload);
    let (Ok(acknowledged), Ok(_), Ok(flags)) = (cursor.u32(), cursor.u16(), cursor.u16()) else {
        return false;
    };
    // Initial number, the two sizes that the sender can do (2.2.2.5), and the zeros at the end.
    let (Ok(_), Ok(up), Ok(down)) = (cursor.u32(), cursor.u16(), cursor.u16()) else {
        return false;
    };
    let sizes = SYN_SIZES.contains(&usize::from(up)) && SYN_SIZES.contains(&usize::from(down));
    let padded = payload.len().checked_sub(256).and_then(|from| payload.get(from..));
    // The answer acknowledges the number that the client began with.
    let answers = flags & ACK != 0;
    let fits = flags & SYN != 0 && flags & !SYN_FLAGS == 0 && (answers || acknowledged == NOTHING);
    if !fits
        || !sizes
        || !SYN_SIZES.contains(&payload.len())
        || !padded.is_some_and(|zeros| zeros.iter().all(|octet| *octet == 0))
    {
        return false;
    }
    context.facts.recognise(Service::Rdp);
    context.facts.opened_by(if answers { side.other() } else { side });
    true
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, hands_over, probe_waits, tell, with_context};
    use super::*;
    use crate::facts::Facts;
    use proptest::prelude::*;
    use Side::{A, B};

    /// [MS-RDPBCGR] 4.1.1: Client X.224 Connection Request, with a cookie and a request for TLS.
    const REQUEST: &[u8] = b"\x03\0\0\x2c\x27\xe0\0\0\0\0\0Cookie: mstshash=eltons\r\n\x01\0\x08\0\x01\0\0\0";
    /// 4.1.2: Server X.224 Connection Confirm, TLS chosen.
    const CONFIRM: &[u8] = b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\0\x08\0\x01\0\0\0";

    #[test]
    fn a_negotiation_hands_over_to_tls() {
        hands_over(
            Reader::default,
            Service::Rdp,
            &[(A, REQUEST), (B, CONFIRM), (A, b"\x16\x03")],
        );
        probe_waits(probe, REQUEST);
        probe_waits(probe, CONFIRM);
    }

    #[test]
    fn other_ends_of_it() {
        for (confirm, why) in [
            (
                &b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\0\x08\0\0\0\0\0"[..],
                "RDP's own security",
            ),
            (
                b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x03\0\x08\0\x02\0\0\0",
                "TLS refused",
            ),
        ] {
            let told = every_split(Reader::default, &[(A, REQUEST), (B, confirm)]);
            assert!(matches!(told.step, Step::Done), "{why}");
        }
        let told = tell(&mut Reader::default(), [(A, CONFIRM)]);
        assert_eq!(told.facts.opener, Some(B), "an answer alone");
        let bare = b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x0b\0\0\0";
        assert_eq!(probe(bare), Probe::Yes, "without a cookie");
        let old = b"\x03\0\0\x24\x1f\xe0\0\0\0\0\0Cookie: mstshash=eltons\r\n";
        assert_eq!(probe(old), Probe::Yes, "without the structure");
    }

    #[test]
    fn other_tenants_of_tpkt_are_not_it() {
        for bytes in [
            // ISO 8073 parameters: S7 asks for a TPDU size and names two TSAPs
            &b"\x03\0\0\x16\x11\xe0\0\0\0\x01\0\xc0\x01\x0a\xc1\x02\x01\0\xc2\x02\x01\x02"[..],
            b"\x03\0\0\x0b\x06\xe0\0\0\0\0\0",
            // H.225 in Q.931
            b"\x03\0\0\x30\x08\x02",
            b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x07\0\x08\0\x01\0\0\0",
            b"\x03\x01",
        ] {
            assert_eq!(probe(bytes), Probe::No, "{bytes:x?}");
        }
    }

    fn datagram(payload: &[u8]) -> Facts {
        let mut facts = Facts::default();
        with_context(&mut facts, |context| read_datagram(A, payload, context));
        facts
    }

    #[test]
    fn over_udp_the_two_syns_tell() {
        // [MS-RDPEUDP] 2.2.2.1 and 2.2.2.5: number, sizes 1,232 and 1,232, zeros
        let syn = |acknowledged: [u8; 4], flags: u16| {
            let mut syn = [
                &acknowledged[..],
                &[0, 0x40],
                &flags.to_be_bytes(),
                &[9; 4],
                &[4, 0xd0, 4, 0xd0],
            ]
            .concat();
            syn.resize(1_232, 0);
            syn
        };
        assert_eq!(datagram(&syn([0xff; 4], 0x0001)).opener, Some(A));
        assert_eq!(datagram(&syn([0xff; 4], 0x1001)).opener, Some(A));
        assert_eq!(datagram(&syn([9; 4], 0x0005)).opener, Some(B));
        for (wrong, why) in [
            (syn([0; 4], 0x0001), "acknowledges"),
            (syn([0xff; 4], 0x0000), "no SYN"),
            (syn([0xff; 4], 0x4001), "no such flag"),
            (syn([0xff; 4], 0x0001)[..1_000].to_vec(), "short"),
        ] {
            assert!(!datagram(&wrong).has(Service::Rdp), "{why}");
        }
    }

    proptest! {
        /// Far beyond 2^-48: header, lengths that agree, structure.
        #[test]
        fn arbitrary_bytes_stay_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..1_300)) {
            prop_assert!(probe(&bytes) != Probe::Yes && !datagram(&bytes).has(Service::Rdp));
            tell(&mut Reader::default(), [(A, &bytes[..]), (B, &bytes[..])]);
        }
    }
}
