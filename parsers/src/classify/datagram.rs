//! Datagrams: each stands for itself, so each is shown to the readers that its first byte allows (RFC 7983), for as long
//! as the flow lives.

use super::TELLING;
use crate::facts::{Service, Side};
use crate::proto::{dns, dtls, ike, kerberos, ldap, ntp, openvpn, quic, rdp, rtp, sip, snmp, stun, wireguard, Context};

/// Datagrams of a flow that are shown to the slower probes while nothing is recognised.
const DATAGRAM_PROBES: u32 = 64;
/// Datagrams of a recognised flow that its reader is shown: first facts stand early.
const DATAGRAM_READS: u32 = 256;
/// Datagrams that may be RTP or SRTCP and still wait for those behind them: three in order make a source of RTP, two one
/// of SRTCP, in each of two directions, and twice as many are needed where some are lost or overtaken. Beyond, they count
/// as unrecognised.
const PERHAPS_MEDIA: u32 = 12;
/// Services that share their flow with no other, and whose first datagram tells all that is asked of them.
const ALONE: [Service; 9] = [
    Service::Dns,
    Service::Ntp,
    Service::Ike,
    Service::Wireguard,
    Service::Openvpn,
    Service::Snmp,
    Service::Kerberos,
    Service::Ldap,
    Service::Rdp,
];

#[derive(Default)]
pub(super) struct Datagrams {
    /// Once something may be media.
    rtp: Option<Box<rtp::State>>,
    /// Once something inside of TURN may be.
    relayed: Option<Box<rtp::State>>,
    dtls: dtls::State,
    quic: quic::State,
    wireguard: wireguard::State,
    count: u32,
    /// Datagrams that may be the first of a media source.
    perhaps_media: u32,
    /// Of datagrams that nothing can be made of.
    pub(super) octets: u64,
}

impl Datagrams {
    /// Only what each single datagram proves is still looked for.
    pub(super) fn has_given_up(&self) -> bool {
        self.count > DATAGRAM_PROBES
    }

    /// Shows one datagram to whom it may concern. cut: its end was not captured, and what it was may have stood there.
    pub(super) fn read(&mut self, side: Side, payload: &[u8], cut: bool, context: &mut Context<'_>) {
        let Some(&first) = payload.first() else { return };
        let facts = &*context.facts;
        let nothing = facts.services().is_empty();
        self.count = self.count.saturating_add(1);
        // SRTCP is told by its end: without that it is never more than possible.
        let untold = cut && ((payload.len() as u64) < TELLING || rtp::probe_secured(payload));
        if nothing && self.perhaps_media < PERHAPS_MEDIA && rtp::probe_datagram(payload) {
            self.perhaps_media += 1;
        } else if nothing && !untold {
            self.octets = self.octets.saturating_add(payload.len() as u64);
        }
        if facts.has(Service::Sip) {
            if self.count <= DATAGRAM_READS && sip::probe_datagram(payload) {
                sip::read_datagram(side, payload, context);
            }
            return;
        }
        if ALONE.iter().any(|&service| facts.has(service)) {
            return;
        }
        if facts.has(Service::Quic) {
            if self.count <= DATAGRAM_READS {
                quic::read(side, payload, &mut self.quic, context);
            }
            return;
        }
        if matches!(first, 0..=3 | 0xff) && stun::probe_datagram(payload) {
            stun::read_datagram(side, payload, context);
            if self.count == 1 && stun::is_binding_answer(payload) {
                context.facts.asked = Some(side.other());
            }
            self.weigh_relayed(side, payload, context);
            return;
        }
        if facts.has(Service::Dtls) || (20..64).contains(&first) {
            let known = facts.has(Service::Dtls) && first < 128;
            if (known && self.count <= DATAGRAM_READS) || dtls::probe(payload) {
                dtls::read(side, payload, &mut self.dtls, context);
                return;
            }
        }
        if nothing && self.count <= DATAGRAM_PROBES {
            if quic::probe(payload) {
                quic::read(side, payload, &mut self.quic, context);
                return;
            }
            if dns::probe_datagram(payload) {
                dns::read_datagram(side, payload, context);
                return;
            }
            if sip::probe_datagram(payload) {
                sip::read_datagram(side, payload, context);
                return;
            }
            if self.read_alone(side, first, payload, context) {
                return;
            }
        }
        match first {
            128..192 => rtp::read_datagram(side, payload, self.rtp.get_or_insert_default(), context),
            0x40..0x50 => self.weigh_relayed(side, payload, context),
            _ => {}
        }
    }

    /// Media that a relay carries in a message or a channel.
    fn weigh_relayed(&mut self, side: Side, payload: &[u8], context: &mut Context<'_>) {
        if !context.facts.has(Service::Turn) {
            return;
        }
        if let Some(data) = stun::relayed(payload).filter(|data| matches!(data, [128..192, ..])) {
            rtp::read_relayed(side, data, self.relayed.get_or_insert_default(), context);
        }
    }

    /// Services without a magic number, by what their first octet can be; an IKE message may begin with any. True = one of
    /// them was recognised.
    fn read_alone(&mut self, side: Side, first: u8, payload: &[u8], context: &mut Context<'_>) -> bool {
        let known = match first {
            1..=4 => wireguard::read_datagram(side, payload, &mut self.wireguard, context),
            0x30 => snmp::read_datagram(side, payload, context) || ldap::read_datagram(side, payload, context),
            0x38 | 0x40 | 0x50 => openvpn::read_datagram(side, payload, context),
            0x6a..=0x7e => kerberos::read_datagram(side, payload, context),
            _ => ntp::read_datagram(side, payload, context),
        };
        known || rdp::read_datagram(side, payload, context) || ike::read_datagram(side, payload, context)
    }
}
