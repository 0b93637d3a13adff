//! WebSocket frames (RFC 6455) after an accepted upgrade, read for one thing: whether the messages are another protocol
//! that we know (SIP, RFC 7118). Which one is the caller's choice, as two functions, so that this file imports none.
//!
//! Only the first messages are looked at and of each only the beginning. Compressed messages (RFC 7692) are skipped.

use super::{Context, Step, StreamReader};
use crate::cursor::Cursor;
use crate::facts::Side;

/// Octets of one message that are put together: a SIP message's headers with room to spare.
const MESSAGE_LIMIT: usize = 8 * 1024;
/// Data messages looked at in all: a SIP client registers first, so its first message tells.
const MESSAGES: u8 = 16;
/// Frames looked at in all; keeps pings and empty fragments from holding a reader for ever.
const FRAMES: u16 = 256;

/// Octets of one direction that are read; a frame may claim 2^63 of them.
const STREAM_LIMIT: u64 = 1024 * 1024;

/// What a whole message may be: the probe and the reader of its datagram form.
pub type Recognise = fn(&[u8]) -> bool;
pub type Read = for<'a, 'b> fn(Side, &[u8], &'a mut Context<'b>);

#[derive(Debug, Default)]
struct Direction {
    /// The message so far, unmasked, at most `MESSAGE_LIMIT`.
    message: Vec<u8>,
    /// Fragments of a compressed message are going by.
    compressed: bool,
    /// Octets of the current frame that are dropped.
    skip: u64,
    read: u64,
}

pub struct Reader {
    recognise: Recognise,
    read: Read,
    directions: [Direction; 2],
    messages: u8,
    frames: u16,
}

struct Frame {
    last: bool,
    compressed: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    length: u64,
    header: usize,
}

/// RFC 6455 5.2. None = not whole yet, Some(None) = no frame.
fn frame(bytes: &[u8]) -> Option<Option<Frame>> {
    let mut cursor = Cursor::new(bytes);
    let first = cursor.u8().ok()?;
    let second = cursor.u8().ok()?;
    let opcode = first & 0x0f;
    let control = opcode & 0x08 != 0;
    let reserved = first & 0x30 != 0 || !matches!(opcode, 0..=2 | 8..=10);
    if reserved || control && (first & 0x80 == 0 || second & 0x7f > 125) {
        return Some(None);
    }
    let length = match second & 0x7f {
        126 => u64::from(cursor.u16().ok()?),
        127 => cursor.u64().ok()?,
        short => u64::from(short),
    };
    let mask = if second & 0x80 != 0 {
        Some(cursor.array().ok()?)
    } else {
        None
    };
    let (last, compressed) = (first & 0x80 != 0, first & 0x40 != 0);
    Some(Some(Frame {
        last,
        compressed,
        opcode,
        mask,
        length,
        header: cursor.position(),
    }))
}

impl Reader {
    pub fn new(recognise: Recognise, read: Read) -> Self {
        Reader {
            recognise,
            read,
            directions: Default::default(),
            messages: 0,
            frames: 0,
        }
    }
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        let Some(own) = self.directions.get_mut(side.index()) else {
            return Step::Broken;
        };
        let mut consumed: usize = 0;
        loop {
            let mut rest = bytes.get(consumed..).unwrap_or_default();
            let skipped = usize::try_from(own.skip).unwrap_or(usize::MAX).min(rest.len());
            own.skip = own.skip.saturating_sub(skipped as u64);
            consumed = consumed.saturating_add(skipped);
            rest = rest.get(skipped..).unwrap_or_default();
            own.read = own.read.saturating_add(skipped as u64);
            if own.read > STREAM_LIMIT {
                return Step::Done;
            }
            if own.skip > 0 {
                return Step::More(consumed);
            }
            let frame = match frame(rest) {
                None => return Step::More(consumed),
                Some(None) => return Step::Broken,
                Some(Some(frame)) => frame,
            };
            let data = frame.opcode & 0x08 == 0;
            let room = if data {
                MESSAGE_LIMIT.saturating_sub(own.message.len())
            } else {
                0
            };
            let wanted = usize::try_from(frame.length).unwrap_or(usize::MAX).min(room);
            let Some(body) = rest.get(frame.header..).and_then(|body| body.get(..wanted)) else {
                return Step::More(consumed);
            };
            self.frames = self.frames.saturating_add(1);
            if data {
                if frame.opcode != 0 {
                    own.message.clear();
                    own.compressed = frame.compressed;
                }
                let mask = frame.mask.unwrap_or_default();
                if !own.compressed {
                    own.message
                        .extend(body.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
                }
                if frame.last {
                    self.messages = self.messages.saturating_add(1);
                    if (self.recognise)(&own.message) {
                        (self.read)(side, &own.message, context);
                    }
                    own.message = Vec::new();
                }
            }
            consumed = consumed.saturating_add(frame.header).saturating_add(wanted);
            own.skip = frame.length.saturating_sub(wanted as u64);
            // 8 = close: nothing but the other side's close may follow.
            if self.messages >= MESSAGES || self.frames >= FRAMES || frame.opcode == 8 {
                return Step::Done;
            }
        }
    }

    fn memory(&self) -> usize {
        self.directions
            .iter()
            .map(|direction| direction.message.capacity())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::splits::{every_split, every_truncation, tell};
    use super::*;
    use crate::facts::Service;
    use proptest::prelude::*;
    use Side::{A, B};

    fn recognise(message: &[u8]) -> bool {
        message.starts_with(b"Hello")
    }

    fn read(side: Side, message: &[u8], context: &mut Context<'_>) {
        assert_eq!(message, b"Hello");
        context.facts.recognise(Service::Sip);
        context.facts.opened_by(side);
    }

    fn reader() -> Reader {
        Reader::new(recognise, read)
    }

    // The examples of RFC 6455 5.7.
    const UNMASKED: &[u8] = &[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    const MASKED: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    const FRAGMENTED: &[u8] = &[0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    const PING: &[u8] = &[0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];

    #[test]
    fn finds_the_message_in_each_framing() {
        for (bytes, side) in [(UNMASKED, B), (MASKED, A), (FRAGMENTED, B)] {
            let told = every_split(reader, &[(side, bytes)]);
            assert_eq!(told.facts.services(), [Service::Sip]);
            assert_eq!(told.facts.opener, Some(side));
            assert_eq!(told.step, Step::More(bytes.len()));
            every_truncation(reader, &[(side, bytes)]);
        }
    }

    #[test]
    fn control_frames_may_stand_between_fragments() {
        let bytes = [&FRAGMENTED[..5], PING, &FRAGMENTED[5..]].concat();
        assert!(every_split(reader, &[(B, &bytes)]).facts.has(Service::Sip));
    }

    #[test]
    fn a_ping_or_a_compressed_message_is_no_message() {
        // RFC 7692 7.2.3.1: "Hello" compressed, RSV1 set.
        let compressed: &[u8] = &[0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        for bytes in [PING, compressed] {
            let told = every_split(reader, &[(A, bytes)]);
            assert!(told.facts.services().is_empty());
        }
    }

    #[test]
    fn reserved_bits_break() {
        for first in [0xb1, 0x83, 0x8b, 0x09] {
            assert_eq!(tell(&mut reader(), [(A, &[first, 0x00][..])]).step, Step::Broken);
        }
    }

    #[test]
    fn a_huge_frame_costs_the_limit_only() {
        let mut reader = Reader::new(|_| false, |_, _, _| ());
        let mut bytes = vec![0x02, 0x7f, 0, 0, 0, 1, 0, 0, 0, 0];
        bytes.resize(64 * 1024, b'x');
        let told = tell(&mut reader, [(A, &bytes[..])]);
        assert_eq!((told.step, told.consumed), (Step::More(bytes.len()), [bytes.len(), 0]));
        assert!(reader.memory() <= 2 * MESSAGE_LIMIT);
        let many = std::iter::repeat_n((A, &bytes[..]), 17);
        assert_eq!(tell(&mut Reader::new(|_| false, |_, _, _| ()), many).step, Step::Done);
    }

    #[test]
    fn enough_is_enough() {
        let bytes = PING.repeat(usize::from(FRAMES) + 1);
        assert_eq!(tell(&mut reader(), [(A, &bytes[..])]).step, Step::Done);
        let bytes = [0x81, 0x00].repeat(usize::from(MESSAGES) + 1);
        assert_eq!(tell(&mut reader(), [(A, &bytes[..])]).step, Step::Done);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_stay_in_bounds(parts in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20)) {
            let mut reader = Reader::new(|_| true, |_, _, _| ());
            tell(&mut reader, parts.iter().map(|(a, part)| (if *a { A } else { B }, &part[..])));
        }
    }
}
