//! What TCP headers alone tell of a connection: who opened it, whether it was answered, how it ended, and its history in
//! Zeek's letters. No payload is read here.

use crate::facts::Side;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

/// The numbers of one segment that matter here.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    /// Octets of payload by the IP header.
    pub length: u32,
}

impl Segment {
    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Letters kept of one connection: each letter once per direction, `t`, `g` and `w` included, so this bounds itself.
const LETTERS: [u8; 10] = *b"shadfrgtwi";

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    /// Initial sequence number: of a SYN, or implied by the other side's SYN-ACK.
    isn: Option<u32>,
    /// Sequence number of the first segment, where that was no SYN.
    first: Option<u32>,
    syn: bool,
    syn_ack: bool,
    fin: bool,
    rst: bool,
    /// An acknowledgement without SYN and RST was sent.
    acked: bool,
    first_ack: u32,
    last_ack: u32,
    payload: bool,
    letters: u16,
}

#[derive(Debug, Default)]
pub struct Connection {
    sides: [Seen; 2],
    /// (side is B) << 7 | index into LETTERS, in the order seen.
    history: Vec<u8>,
    /// When the second FIN or the first RST was seen.
    closed_at: Option<i64>,
}

impl Connection {
    /// Whether this segment opens another connection on the same five-tuple: a SYN whose ISN is not the one known of that
    /// side, seen or implied. Where none is known, a SYN after the side has already spoken is one too, unless what was
    /// seen first stands right behind it: then this SYN was only captured late.
    pub fn reopened_by(&self, side: Side, segment: Segment) -> bool {
        if !segment.has(SYN) || segment.has(RST) {
            return false;
        }
        let seen = &self.sides[side.index()];
        match seen.isn {
            Some(isn) => isn != segment.seq,
            None if seen.first == Some(segment.seq.wrapping_add(1)) => false,
            None => seen.acked || seen.payload || seen.fin || seen.rst,
        }
    }

    /// A probe of an idle connection may carry one octet that stands before what is expected and means nothing (RFC 9293
    /// 3.8.4). Before any data that is the place of the SYN; of a side joined late, of what the other has acknowledged.
    pub fn is_keep_alive(&self, side: Side, segment: Segment) -> bool {
        let (me, other) = (&self.sides[side.index()], &self.sides[side.other().index()]);
        let before = match me.isn {
            Some(isn) => isn == segment.seq,
            None => !me.payload && other.acked && other.last_ack == segment.seq.wrapping_add(1),
        };
        before && segment.length == 1 && !segment.has(SYN | FIN | RST)
    }

    pub fn closed_at(&self) -> Option<i64> {
        self.closed_at
    }

    /// Takes note of a segment; `retransmitted` and `gap` come from the stream.
    pub fn note(&mut self, side: Side, segment: Segment, time: i64) {
        let (syn, ack, rst, fin) = (segment.has(SYN), segment.has(ACK), segment.has(RST), segment.has(FIN));
        let me = &mut self.sides[side.index()];
        // Asked before this segment is counted: the first acknowledgement has none to be compared with.
        let acknowledged_before = me.acked || me.syn_ack;
        if syn {
            me.isn.get_or_insert(segment.seq);
            if ack {
                me.syn_ack = true;
            } else {
                me.syn = true;
            }
        }
        if ack && !rst {
            if acknowledged_before {
                if segment.ack.wrapping_sub(me.last_ack) < 1 << 31 {
                    me.last_ack = segment.ack;
                }
            } else {
                me.first_ack = segment.ack;
                me.last_ack = segment.ack;
            }
            if !syn {
                me.acked = true;
            }
        }
        if !syn && !rst {
            me.first.get_or_insert(segment.seq);
        }
        me.payload |= segment.length > 0;
        let first_end = (fin && !me.fin) || rst;
        me.fin |= fin;
        me.rst |= rst;
        if syn && ack && !rst {
            self.sides[side.other().index()]
                .isn
                .get_or_insert(segment.ack.wrapping_sub(1));
        }
        if first_end && self.closed_at.is_none() && (rst || self.sides.iter().all(|s| s.fin)) {
            self.closed_at = Some(time);
        }
        self.write_history(side, segment);
    }

    /// Zeek's `history`: one letter a kind and direction, in the order first seen.
    fn write_history(&mut self, side: Side, segment: Segment) {
        let (syn, ack, rst, fin) = (segment.has(SYN), segment.has(ACK), segment.has(RST), segment.has(FIN));
        if syn && (rst || fin) {
            self.letter(side, b'i');
        } else if syn {
            self.letter(side, if ack { b'h' } else { b's' });
        }
        if segment.length > 0 {
            self.letter(side, b'd');
        } else if ack && !syn && !rst && !fin {
            self.letter(side, b'a');
        }
        if !syn && fin {
            self.letter(side, b'f');
        }
        if !syn && rst {
            self.letter(side, b'r');
        }
        if segment.window == 0 && !rst && !syn {
            self.letter(side, b'w');
        }
    }

    /// Adds a letter the first time it is said of that side; the stream says `t` (retransmitted) and `g` (gap).
    pub fn letter(&mut self, side: Side, letter: u8) {
        let Some(index) = LETTERS.iter().position(|&known| known == letter) else {
            return;
        };
        let bit = 1 << index;
        let seen = &mut self.sides[side.index()].letters;
        if *seen & bit == 0 {
            *seen |= bit;
            let place = u8::try_from(index).unwrap_or(0);
            self.history.push(place | if side == Side::B { 0x80 } else { 0 });
        }
    }

    /// History with the opener's letters in upper case; `^` first where the first packet was the other side's.
    pub fn history(&self, source: Side) -> String {
        let mut text = String::with_capacity(self.history.len() + 1);
        if source == Side::B {
            text.push('^');
        }
        for &entry in &self.history {
            let side = if entry & 0x80 == 0 { Side::A } else { Side::B };
            let letter = char::from(LETTERS.get(usize::from(entry & 0x7f)).copied().unwrap_or(b'?'));
            text.push(if side == source {
                letter.to_ascii_uppercase()
            } else {
                letter
            });
        }
        text
    }

    /// Who opened, by SYN or SYN-ACK.
    pub fn opener(&self) -> Option<Side> {
        let [a, b] = &self.sides;
        if a.syn != b.syn {
            return Some(if a.syn { Side::A } else { Side::B });
        }
        if a.syn_ack != b.syn_ack {
            return Some(if a.syn_ack { Side::B } else { Side::A });
        }
        None
    }

    /// SYN-ACK seen, or both sides sent without a SYN having been seen.
    pub fn is_established(&self) -> bool {
        let [a, b] = &self.sides;
        a.syn_ack
            || b.syn_ack
            || (!a.syn && !b.syn && (a.acked || a.payload || a.fin) && (b.acked || b.payload || b.fin))
    }

    /// Whether `side` answered: its own SYN-ACK, payload or acknowledgement, or the other side acknowledges its SYN or
    /// bytes.
    pub fn answered_by(&self, side: Side) -> bool {
        let (me, other) = (&self.sides[side.index()], &self.sides[side.other().index()]);
        me.syn_ack
            || me.payload
            || me.acked
            || (other.acked && (other.syn || other.payload || other.last_ack != other.first_ack))
    }

    pub fn reset_by(&self, side: Side) -> bool {
        self.sides[side.index()].rst
    }

    pub fn closed_by(&self, side: Side) -> bool {
        let seen = &self.sides[side.index()];
        seen.fin || seen.rst
    }

    /// Octets of `side` that the other one acknowledged, whether or not they were captured. A FIN takes one number.
    pub fn acknowledged(&self, side: Side) -> u32 {
        let (me, other) = (&self.sides[side.index()], &self.sides[side.other().index()]);
        if !other.acked {
            return 0;
        }
        let from = match me.isn {
            Some(isn) => isn.wrapping_add(1),
            None => other.first_ack,
        };
        let count = other.last_ack.wrapping_sub(from);
        if count >= 1 << 31 {
            0
        } else {
            count.saturating_sub(1)
        }
    }

    pub fn isn(&self, side: Side) -> Option<u32> {
        self.sides[side.index()].isn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(seq: u32, ack: u32, flags: u8, length: u32) -> Segment {
        Segment {
            seq,
            ack,
            flags,
            window: 1000,
            length,
        }
    }

    fn handshake() -> Connection {
        let mut tcp = Connection::default();
        tcp.note(Side::A, segment(100, 0, SYN, 0), 0);
        tcp.note(Side::B, segment(900, 101, SYN | ACK, 0), 1);
        tcp.note(Side::A, segment(101, 901, ACK, 0), 2);
        tcp
    }

    #[test]
    fn history_is_zeeks() {
        let mut tcp = handshake();
        tcp.note(Side::A, segment(101, 901, ACK, 10), 3);
        tcp.note(Side::B, segment(901, 111, ACK, 20), 4);
        tcp.note(Side::A, segment(111, 921, ACK | FIN, 0), 5);
        tcp.note(Side::B, segment(921, 112, ACK | FIN, 0), 6);
        assert_eq!(tcp.history(Side::A), "ShADdFf");
        assert_eq!(tcp.history(Side::B), "^sHadDfF");
        assert_eq!(tcp.closed_at(), Some(6));
        assert_eq!(tcp.opener(), Some(Side::A));
    }

    #[test]
    fn a_syn_with_a_known_number_is_a_retransmission() {
        let tcp = handshake();
        assert!(!tcp.reopened_by(Side::A, segment(100, 0, SYN, 0)));
        assert!(tcp.reopened_by(Side::A, segment(101, 0, SYN, 0)));
        assert!(tcp.reopened_by(Side::B, segment(5, 101, SYN | ACK, 0)));
    }

    #[test]
    fn a_syn_ack_implies_the_number_of_the_syn() {
        let mut tcp = Connection::default();
        tcp.note(Side::A, segment(900, 101, SYN | ACK, 0), 1);
        assert!(
            !tcp.reopened_by(Side::B, segment(100, 0, SYN, 0)),
            "the SYN arrives late"
        );
        assert!(tcp.reopened_by(Side::B, segment(99, 0, SYN, 0)));
        assert_eq!(tcp.opener(), Some(Side::B));
    }

    #[test]
    fn a_syn_captured_behind_what_follows_it_opens_nothing_new() {
        let mut tcp = Connection::default();
        tcp.note(Side::A, segment(101, 901, ACK, 0), 0);
        assert!(!tcp.reopened_by(Side::A, segment(100, 0, SYN, 0)));
        assert!(tcp.reopened_by(Side::A, segment(101, 0, SYN, 0)));
        tcp.note(Side::A, segment(101, 901, ACK, 10), 1);
        tcp.note(Side::B, segment(901, 111, ACK, 20), 2);
        tcp.note(Side::B, segment(921, 111, ACK, 20), 3);
        assert!(!tcp.reopened_by(Side::A, segment(100, 0, SYN, 0)));
        assert!(!tcp.reopened_by(Side::B, segment(900, 101, SYN | ACK, 0)));
    }

    #[test]
    fn an_acknowledgement_is_an_answer_and_a_reset_none() {
        let mut tcp = Connection::default();
        tcp.note(Side::A, segment(100, 0, SYN, 0), 0);
        tcp.note(Side::B, segment(0, 101, RST | ACK, 0), 1);
        assert!(!tcp.answered_by(Side::B));
        tcp.note(Side::B, segment(901, 101, ACK, 0), 2);
        assert!(tcp.answered_by(Side::B));
    }

    #[test]
    fn acknowledgements_prove_what_was_not_captured() {
        let mut tcp = Connection::default();
        tcp.note(Side::A, segment(100, 0, SYN, 0), 0);
        assert!(!tcp.answered_by(Side::B));
        tcp.note(Side::A, segment(101, 901, ACK, 0), 2);
        assert!(tcp.answered_by(Side::B), "A acknowledges B's SYN");
        assert_eq!(tcp.acknowledged(Side::B), 0);
        tcp.note(Side::A, segment(101, 1901, ACK, 0), 3);
        assert_eq!(tcp.acknowledged(Side::B), 999);
    }

    #[test]
    fn a_connection_without_a_word_has_none_whatever_its_numbers() {
        for isn in [100, 1 << 31, 0xa600_0000, u32::MAX - 1, u32::MAX] {
            let next = |count: u32| isn.wrapping_add(count);
            let mut tcp = Connection::default();
            tcp.note(Side::A, segment(isn, 0, SYN, 0), 0);
            tcp.note(Side::B, segment(isn, next(1), SYN | ACK, 0), 1);
            tcp.note(Side::A, segment(next(1), next(1), ACK, 0), 2);
            tcp.note(Side::A, segment(next(1), next(1), ACK | FIN, 0), 3);
            tcp.note(Side::B, segment(next(1), next(2), ACK | FIN, 0), 4);
            tcp.note(Side::A, segment(next(2), next(2), ACK, 0), 5);
            assert_eq!(
                (tcp.acknowledged(Side::A), tcp.acknowledged(Side::B)),
                (0, 0),
                "{isn:#x}"
            );
        }
    }

    #[test]
    fn an_octet_before_what_is_expected_is_a_keep_alive() {
        let tcp = handshake();
        assert!(tcp.is_keep_alive(Side::A, segment(100, 901, ACK, 1)));
        assert!(tcp.is_keep_alive(Side::B, segment(900, 101, ACK, 1)));
        assert!(
            !tcp.is_keep_alive(Side::A, segment(101, 901, ACK, 1)),
            "the first octet"
        );
        assert!(
            !tcp.is_keep_alive(Side::A, segment(100, 901, ACK, 2)),
            "one more than garbage"
        );
        assert!(!tcp.is_keep_alive(Side::A, segment(100, 901, ACK | FIN, 1)));
        let mut late = Connection::default();
        assert!(
            !late.is_keep_alive(Side::A, segment(500, 70, ACK, 1)),
            "what is expected is not known"
        );
        late.note(Side::B, segment(70, 501, ACK, 0), 0);
        assert!(late.is_keep_alive(Side::A, segment(500, 70, ACK, 1)));
        assert!(!late.is_keep_alive(Side::A, segment(501, 70, ACK, 1)));
        late.note(Side::A, segment(501, 70, ACK, 1), 1);
        late.note(Side::B, segment(70, 502, ACK, 0), 2);
        assert!(!late.is_keep_alive(Side::A, segment(501, 70, ACK, 1)), "a repetition");
    }

    #[test]
    fn a_reset_closes_and_later_packets_do_not_prolong() {
        let mut tcp = handshake();
        tcp.note(Side::B, segment(901, 101, RST, 0), 7);
        tcp.note(Side::A, segment(101, 901, RST, 0), 9);
        assert_eq!(tcp.closed_at(), Some(7));
        assert!(tcp.reset_by(Side::B));
    }
}
