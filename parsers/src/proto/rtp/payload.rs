//! Whether what a source sends is encrypted, from its octets alone.
//!
//! Strategy: SRTP's keystream is as good as random and never used twice (RFC 3711 4.1), so an octet equals the one in the
//! same place of the packet before once in 256 times, whatever the codec. Codecs repeat themselves: headers, silence,
//! the high bits of small samples. Each comparison moves a sum by the logarithm of how much likelier it is for media of
//! which one octet in 64 repeats; under encryption the likelihood ratio is a martingale, so that the chance that it
//! ever reaches 10^12 is below 10^-12 for each source, however long it talks (Ville's inequality). A source whose sum
//! falls far enough is encrypted, or too well compressed to tell, and costs no more comparisons.

/// First octets of a payload that are compared: a codec's header and enough of its content.
const COMPARED: u32 = u128::BITS / 8;
/// Last octets that never are: the tag of SRTP (10, with AES-GCM 16; RFC 3711 5.2, RFC 7714 13) and before it a key
/// identifier, which is the same in each packet (3.1; implementations use 1 to 4 of the 128 octets it may have).
const TRAILER: usize = 32;

/// Packets of a source whose payload is weighed: 40 s of sound, and three times what it takes to give up on an encrypted one.
const WEIGHED: u32 = 2_048;

/// Natural logarithms in millionths, rounded against "clear": of 4, of 255/252, of 10^12.
const SAME: i32 = 1_386_294;
const OTHER: i32 = 11_835;
const PROVED: i32 = 27_631_022;
/// Encrypted sources are here after some 600 packets; one that repeats one octet in 70 hardly ever is.
const HOPELESS: i32 = -60_000_000;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    #[default]
    Open,
    Clear,
    Hopeless,
}

/// First octets of a payload as one number, which the processor compares at once, and how many of them count.
#[derive(Debug, Default, Clone, Copy)]
struct Beginning {
    octets: u128,
    count: u32,
}

impl Beginning {
    fn of(payload: &[u8]) -> Beginning {
        let counted = u32::try_from(payload.len().saturating_sub(TRAILER)).unwrap_or(u32::MAX);
        Beginning {
            octets: payload.first_chunk().map_or(0, |raw| u128::from_le_bytes(*raw)),
            count: counted.min(COMPARED),
        }
    }
}

/// What is known of a source's payload.
#[derive(Debug, Default, Clone, Copy)]
pub struct Payload {
    /// Of the last packet: what the next is compared with.
    last: Beginning,
    sum: i32,
    /// Those that were weighed.
    packets: u32,
    sequence: u16,
    standing: Standing,
}

impl Payload {
    /// Nothing was weighed yet.
    pub fn is_new(&self) -> bool {
        self.packets == 0
    }

    /// The next packet: how many there were, if the payload is not encrypted; else 0.
    pub fn weigh(&mut self, sequence: u16, payload: &[u8]) -> u32 {
        if self.standing == Standing::Hopeless {
            return 0;
        }
        let ahead = sequence.wrapping_sub(self.sequence);
        // A copy is equal for another reason, and one that was overtaken may be a copy.
        if !self.is_new() && (ahead == 0 || ahead > u16::MAX / 2) || self.packets >= WEIGHED {
            return 0;
        }
        self.sequence = sequence;
        self.packets += 1;
        if self.standing == Standing::Open {
            let beginning = Beginning::of(payload);
            let count = beginning.count.min(self.last.count);
            let beyond = u128::MAX.checked_shl(8 * count).unwrap_or(0);
            let same = zeros(beginning.octets ^ self.last.octets | beyond);
            self.sum = self
                .sum
                .saturating_add(same as i32 * SAME - (count - same) as i32 * OTHER);
            self.last = beginning;
            self.standing = match self.sum {
                PROVED.. => Standing::Clear,
                ..=HOPELESS => Standing::Hopeless,
                _ => Standing::Open,
            };
        }
        match self.standing {
            Standing::Clear => self.packets,
            Standing::Open | Standing::Hopeless => 0,
        }
    }
}

/// How many octets of a number are zero: in all others the eighth bit is set, or will be by adding 0x7f to those below it.
fn zeros(number: u128) -> u32 {
    const BELOW: u128 = u128::from_le_bytes([0x7f; 16]);
    (!(((number & BELOW) + BELOW) | number | BELOW)).count_ones()
}

#[cfg(test)]
mod tests {
    use super::super::super::splits::with_context;
    use super::super::chance::Chance;
    use super::super::{header_and_payload, read_relayed, State};
    use super::*;
    use crate::facts::{Facts, Side};
    use proptest::prelude::*;
    use Side::{A, B};

    fn packet(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let timestamp = u32::from(sequence) * 160;
        [
            &[0x80, 0][..],
            &sequence.to_be_bytes(),
            &timestamp.to_be_bytes(),
            &ssrc.to_be_bytes(),
            payload,
        ]
        .concat()
    }

    /// The packets are taken for those of one source.
    fn heard(packets: impl IntoIterator<Item = Vec<u8>>) -> u32 {
        let mut known = Payload::default();
        let weigh = |packet: Vec<u8>| {
            let (header, payload) = header_and_payload(&packet).unwrap();
            known.weigh(header.sequence, payload)
        };
        packets.into_iter().map(weigh).last().unwrap()
    }

    /// The same of what a relay carries.
    fn relayed(packets: impl IntoIterator<Item = (Side, Vec<u8>)>) -> u32 {
        let (mut state, mut facts) = (State::default(), Facts::default());
        for (side, packet) in packets {
            with_context(&mut facts, |context| read_relayed(side, &packet, &mut state, context));
        }
        assert!(facts.services().is_empty() && facts.rtp_packets == [0, 0]);
        facts.clear_media
    }

    #[test]
    fn the_numbers_are_the_logarithms() {
        let millionths = |value: f64| value.ln() * 1e6;
        assert!(f64::from(SAME) <= millionths(4.0) && f64::from(SAME) + 1.0 > millionths(4.0));
        assert!(f64::from(OTHER) >= millionths(255.0 / 252.0));
        assert!(f64::from(PROVED) >= millionths(1e12));
    }

    #[test]
    fn silence_and_constant_headers_are_clear_within_a_second() {
        let silence = (0..50).map(|n| packet(7, n, &[0xff; 160]));
        assert_eq!(heard(silence), 50);
        // One octet that says which codec and frame this is (RFC 6716 3.1), and content without a pattern.
        let mut chance = Chance(1);
        let opus = (0..50).map(|n| packet(7, n, &[&[0x78][..], &chance.octets(80)].concat()));
        assert_eq!(heard(opus), 50);
    }

    #[test]
    fn speech_in_g_711_is_clear_within_some_seconds() {
        // Small samples of both signs: 32 of 256 values, the others only when somebody shouts (ITU-T G.711).
        let mut chance = Chance(2);
        let speech = (0..250).map(|n| {
            let octets = chance
                .octets(160)
                .into_iter()
                .map(|octet| 0x70 | octet & 0x8f)
                .collect::<Vec<u8>>();
            packet(7, n, &octets)
        });
        assert_eq!(heard(speech), 250);
    }

    #[test]
    fn encrypted_media_never_is() {
        for seed in 1..=200_u64 {
            let mut chance = Chance(seed * 0x9e37_79b9);
            // 2,000 packets are 40 s; the tag and a key identifier stand at the end.
            let sealed = (0..2_000).map(|n| {
                let payload = [
                    chance.octets(60 + usize::from(n % 100)),
                    vec![1, 2, 3, 4],
                    chance.octets(10),
                ]
                .concat();
                packet(7, n, &payload)
            });
            assert_eq!(heard(sealed), 0, "seed {seed}");
        }
    }

    #[test]
    fn a_trailer_alone_says_nothing() {
        let mut chance = Chance(3);
        let short = (0..500).map(|n| packet(7, n, &[chance.octets(1), vec![1; 4], chance.octets(10)].concat()));
        assert_eq!(heard(short), 0);
    }

    #[test]
    fn copies_and_overtaken_packets_are_no_evidence() {
        let mut chance = Chance(4);
        let sealed: Vec<Vec<u8>> = (0..300).map(|n| packet(7, n, &chance.octets(100))).collect();
        let twice = sealed.iter().flat_map(|packet| [packet.clone(), packet.clone()]);
        assert_eq!(heard(twice), 0);
        let again = sealed
            .iter()
            .zip(&sealed[1..])
            .flat_map(|(one, other)| [other.clone(), one.clone(), other.clone()]);
        assert_eq!(heard(again), 0);
    }

    #[test]
    fn each_source_has_its_own_sum() {
        let mut chance = Chance(5);
        let packets = (0..100).flat_map(|n| {
            let noise = chance.octets(160);
            [
                (A, packet(7, n, &[0xd5; 160])),
                (A, packet(8, n, &noise)),
                (B, packet(7, n, &noise)),
            ]
        });
        // Two packets before it is a source.
        assert_eq!(relayed(packets), 98);
        let sealed = (0..300).flat_map(|n| {
            [
                (A, packet(8, n, &chance.octets(160))),
                (B, packet(8, n, &chance.octets(160))),
            ]
        });
        assert_eq!(relayed(sealed.collect::<Vec<_>>()), 0);
    }

    #[test]
    fn what_stands_before_the_payload_is_passed_over() {
        // Two contributing sources and an extension are in clear in SRTP as well (RFC 3711 3.1).
        let mut chance = Chance(6);
        let sealed = (0..1_000_u16).map(|n| {
            let head = [&[0x92, 96][..], &n.to_be_bytes(), &[0, 0, 0, 0, 0, 0, 0, 7]].concat();
            [&head[..], &[9; 8], &[0xbe, 0xde, 0, 4], &[5; 16], &chance.octets(100)].concat()
        });
        assert_eq!(heard(sealed), 0);
    }

    #[test]
    fn what_a_relay_carries_must_be_a_source_first() {
        let silence = (0..60).map(|n| (A, packet(7, n, &[0xff; 160])));
        assert_eq!(relayed(silence), 58);
        let alike = (0..60).map(|_| (A, vec![0x80; 100]));
        assert_eq!(relayed(alike), 0, "one number, not a sequence");
    }

    #[test]
    fn zeros_are_counted_by_octet() {
        for (number, expected) in [
            (0, 16),
            (1, 15),
            (0x80 << 64, 15),
            (0x0100, 15),
            (u128::MAX, 0),
            (u128::MAX << 8, 1),
        ] {
            assert_eq!(zeros(number), expected, "{number:#x}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Octets from the generator of the property tests, a stream cipher (ChaCha).
        #[test]
        fn octets_of_a_cipher_are_not_clear(payloads in prop::collection::vec(any::<[u8; 32]>(), 400)) {
            let sealed = payloads.iter().zip(0..).map(|(octets, n)| packet(7, n, &[&octets[..], &[0; 32]].concat()));
            prop_assert_eq!(heard(sealed), 0);
        }

        #[test]
        fn arbitrary_packets_do_no_harm(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..40)) {
            relayed(packets.into_iter().map(|packet| (B, packet)));
        }
    }
}
