//! pcapng (draft-ietf-opsawg-pcapng): a stream of blocks that each carry their length at both ends.
//!
//! Sections, interfaces, enhanced, simple and the obsolete packet blocks are read; every other block is stepped over
//! without being buffered, however long it is. A block whose two lengths differ, or whose contents do not fit into it,
//! is broken and ends the reading. Options are advice: malformed ones are ignored.

use super::{Found, Order, State, Step, MAX_PACKET, MAX_RECORD};
use crate::cursor::{Cursor, Short};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type, both lengths.
const FRAMING: usize = 12;
/// Framing and fixed fields of an enhanced (or obsolete) packet block.
const PACKET_OVERHEAD: usize = 32;
const SIMPLE_OVERHEAD: usize = 16;

/// Interfaces of one section that are kept: a capture on "all interfaces" of a large host has some thousands.
pub(super) const MAX_INTERFACES: usize = 65_536;

/// Options behind a packet when the file ends inside them: more is no cut tail but a wrong length. Comments, the only
/// long ones, have at most 64 KiB each.
const MAX_CUT_OPTIONS: usize = 262_144;

/// Whether these octets begin a pcapng file, as far as they reach.
pub(super) fn begins(head: &[u8]) -> bool {
    let mut cursor = Cursor::new(head);
    if cursor.u32() != Ok(SECTION) {
        return false;
    }
    if cursor.skip(4).is_err() {
        return true;
    }
    cursor.u32().map_or(true, |magic| byte_order(magic).is_some())
}

fn byte_order(magic: u32) -> Option<Order> {
    match magic {
        0x1a2b_3c4d => Some(Order::Big),
        0x4d3c_2b1a => Some(Order::Little),
        _ => None,
    }
}

/// How a time stamp becomes nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolution {
    Multiply(u64),
    Divide(u64),
    /// Units of 2^-n seconds.
    Binary(u8),
    /// Units so short that 2^64 of them are less than a nanosecond.
    Nothing,
}

impl Resolution {
    const MICROSECONDS: Resolution = Resolution::Multiply(1_000);

    /// `if_tsresol`: a negative power of ten, or of two when the top bit is set.
    fn of(value: u8) -> Resolution {
        let power = value & 0x7f;
        if value & 0x80 != 0 {
            return Resolution::Binary(power);
        }
        match power {
            0..=9 => Resolution::Multiply(10_u64.pow(u32::from(9 - power))),
            10..=28 => Resolution::Divide(10_u64.pow(u32::from(power - 9))),
            _ => Resolution::Nothing,
        }
    }

    fn nanoseconds(self, ticks: u64) -> i64 {
        let wide = match self {
            Resolution::Multiply(factor) => u128::from(ticks) * u128::from(factor),
            Resolution::Divide(divisor) => u128::from(ticks / divisor),
            Resolution::Binary(power) => (u128::from(ticks) * 1_000_000_000) >> power,
            Resolution::Nothing => 0,
        };
        i64::try_from(wide).unwrap_or(i64::MAX)
    }
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: u16,
    snaplen: u32,
    resolution: Resolution,
    /// ns to add, from `if_tsoffset`.
    offset: i64,
    check_sequence: u32,
}

impl Interface {
    /// The longest packet that is believed.
    fn limit(&self) -> u32 {
        self.snaplen.clamp(MAX_PACKET, MAX_RECORD)
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    /// Of the current section; None before the first.
    order: Option<Order>,
    interfaces: Vec<Interface>,
    most_interfaces: u32,
    /// Time of the packet before: a simple packet block has none of its own.
    time: i64,
    /// Length and offset of a block whose body is being stepped over, its second length still to come.
    trailer: Option<(u32, u64)>,
}

/// The fixed part of a packet block.
struct Packet {
    interface: u32,
    /// None in a simple packet block.
    ticks: Option<u64>,
    captured: u32,
    wire: u32,
    /// Where the octets begin in the block.
    start: usize,
}

/// Why a block cannot be read: too few bytes so far, or never.
enum Fault {
    NeedMore,
    Broken(String),
}

impl From<Short> for Fault {
    fn from(_: Short) -> Self {
        Fault::NeedMore
    }
}

impl Reader {
    pub(super) fn new() -> Self {
        Reader {
            order: None,
            interfaces: Vec::new(),
            most_interfaces: 0,
            time: 0,
            trailer: None,
        }
    }

    pub(super) fn opened(&self) -> bool {
        self.order.is_some()
    }

    pub(super) fn most_interfaces(&self) -> u32 {
        self.most_interfaces
    }

    pub(super) fn between_blocks(&self) -> bool {
        self.trailer.is_none()
    }

    pub(super) fn step(&mut self, bytes: &[u8], offset: u64) -> Step {
        match self.try_step(bytes, offset) {
            Ok(step) => step,
            Err(Fault::NeedMore) => Step::NeedMore,
            Err(Fault::Broken(why)) => Step::Broken(format!("offset {offset}: {why}")),
        }
    }

    fn try_step(&mut self, bytes: &[u8], offset: u64) -> Result<Step, Fault> {
        let mut cursor = Cursor::new(bytes);
        if let Some((length, began)) = self.trailer {
            let second = self.order.unwrap_or(Order::Little).u32(&mut cursor)?;
            if second != length {
                return Err(Fault::Broken(lengths_differ(length, second, began)));
            }
            self.trailer = None;
            return Ok(Step::Skip(4));
        }
        let head = self.block(bytes)?;
        let length = head.length as usize;
        let known = matches!(
            head.kind,
            SECTION | INTERFACE | OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET
        );
        if !known {
            self.trailer = Some((head.length, offset));
            return Ok(Step::Skip(u64::from(head.length) - 4));
        }
        if head.length > MAX_RECORD {
            return Err(Fault::Broken(format!(
                "the block claims {length} octets, more than {MAX_RECORD}"
            )));
        }
        // What is wrong in the fixed part is said before the rest of a possibly long block has arrived.
        let packet = match head.kind {
            SECTION | INTERFACE => None,
            _ => Some(self.packet(head.kind, head.order, length, bytes)?),
        };
        let block = cursor.take(length)?;
        let mut end = Cursor::new(block.get(length - 4..).unwrap_or_default());
        let second = head.order.u32(&mut end)?;
        if second != head.length {
            return Err(Fault::Broken(lengths_differ(head.length, second, offset)));
        }
        let body = block.get(8..length - 4).unwrap_or_default();
        match (head.kind, packet) {
            (_, Some(packet)) => Ok(Step::Packet(self.found(head.kind, &packet, head.order, block)?)),
            (SECTION, None) => {
                self.section(body, head.order)?;
                Ok(Step::Skip(u64::from(head.length)))
            }
            (_, None) => {
                self.interface(body, head.order)?;
                Ok(Step::Skip(u64::from(head.length)))
            }
        }
    }

    /// Type, byte order and first length of the block that stands here.
    fn block(&self, bytes: &[u8]) -> Result<Block, Fault> {
        let mut cursor = Cursor::new(bytes);
        let first = cursor.u32()?;
        let (kind, order) = if first == SECTION {
            // The type reads the same in both orders; the order of the section that begins stands behind the length.
            let mut ahead = cursor;
            ahead.skip(4)?;
            let magic = ahead.u32()?;
            match byte_order(magic) {
                Some(order) => (SECTION, order),
                None => return Err(Fault::Broken(format!("the section's byte-order mark is {magic:08x}"))),
            }
        } else {
            let Some(order) = self.order else {
                return Err(Fault::Broken("a block before the first section header".to_string()));
            };
            (order.u32(&mut Cursor::new(bytes))?, order)
        };
        let length = order.u32(&mut cursor)?;
        if (length as usize) < FRAMING || !length.is_multiple_of(4) {
            return Err(Fault::Broken(format!("the block claims {length} octets")));
        }
        Ok(Block { kind, order, length })
    }

    fn section(&mut self, body: &[u8], order: Order) -> Result<(), Fault> {
        let mut cursor = Cursor::new(body);
        let fields = cursor.skip(4).and_then(|()| order.u16(&mut cursor));
        let Ok(major) = fields else {
            return Err(Fault::Broken("the section header is too short".to_string()));
        };
        if major != 1 {
            return Err(Fault::Broken(format!(
                "the section is of version {major} of pcapng, only 1 is known"
            )));
        }
        self.order = Some(order);
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, body: &[u8], order: Order) -> Result<(), Fault> {
        let mut cursor = Cursor::new(body);
        let mut fixed = || -> Result<(u16, u32), Short> {
            let link = order.u16(&mut cursor)?;
            cursor.skip(2)?;
            Ok((link, order.u32(&mut cursor)?))
        };
        let Ok((link, snaplen)) = fixed() else {
            return Err(Fault::Broken("the interface description is too short".to_string()));
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Fault::Broken(format!(
                "more than {MAX_INTERFACES} interfaces in one section"
            )));
        }
        let mut interface = Interface {
            link,
            snaplen,
            resolution: Resolution::MICROSECONDS,
            offset: 0,
            check_sequence: 0,
        };
        each_option(cursor.rest(), order, |code, value| match (code, value) {
            (9, &[resolution]) => interface.resolution = Resolution::of(resolution),
            // In bits by the specification; values too small for that were meant as octets.
            (13, &[length]) if length >= 16 => interface.check_sequence = u32::from(length) / 8,
            (13, &[length]) => interface.check_sequence = u32::from(length),
            (14, value) => {
                if let Ok(raw) = <[u8; 8]>::try_from(value) {
                    let seconds = match order {
                        Order::Big => i64::from_be_bytes(raw),
                        Order::Little => i64::from_le_bytes(raw),
                    };
                    interface.offset = seconds.saturating_mul(1_000_000_000);
                }
            }
            _ => {}
        });
        self.interfaces.push(interface);
        let count = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.most_interfaces = self.most_interfaces.max(count);
        Ok(())
    }

    /// The fixed part of a packet block, checked against the block's length and its interface.
    fn packet(&self, kind: u32, order: Order, length: usize, bytes: &[u8]) -> Result<Packet, Fault> {
        let overhead = if kind == SIMPLE_PACKET {
            SIMPLE_OVERHEAD
        } else {
            PACKET_OVERHEAD
        };
        if length < overhead {
            return Err(Fault::Broken(format!("the packet block has only {length} octets")));
        }
        let mut cursor = Cursor::new(bytes);
        cursor.skip(8)?;
        if kind == SIMPLE_PACKET {
            let wire = order.u32(&mut cursor)?;
            let interface = self.interfaces.first().ok_or_else(|| no_interface(0))?;
            let snaplen = if interface.snaplen == 0 {
                u32::MAX
            } else {
                interface.snaplen
            };
            let room = u32::try_from(length - overhead).unwrap_or(u32::MAX);
            // Nothing but the block says how many octets there are: all of a packet that fits, up to the snapshot
            // length, less the padding.
            let captured = wire.min(snaplen).min(room);
            return self.believed(
                Packet {
                    interface: 0,
                    ticks: None,
                    captured,
                    wire,
                    start: 12,
                },
                interface,
            );
        }
        let number = if kind == OBSOLETE_PACKET {
            let number = u32::from(order.u16(&mut cursor)?);
            cursor.skip(2)?;
            number
        } else {
            order.u32(&mut cursor)?
        };
        let high = order.u32(&mut cursor)?;
        let low = order.u32(&mut cursor)?;
        let captured = order.u32(&mut cursor)?;
        let wire = order.u32(&mut cursor)?;
        let interface = self
            .interfaces
            .get(number as usize)
            .ok_or_else(|| no_interface(number))?;
        if captured as usize > length - overhead {
            return Err(Fault::Broken(format!(
                "a packet of {captured} octets in a block of {length}"
            )));
        }
        let ticks = u64::from(high) << 32 | u64::from(low);
        self.believed(
            Packet {
                interface: number,
                ticks: Some(ticks),
                captured,
                wire,
                start: 28,
            },
            interface,
        )
    }

    fn believed(&self, packet: Packet, interface: &Interface) -> Result<Packet, Fault> {
        if packet.captured > interface.limit() {
            return Err(Fault::Broken(format!(
                "the block claims a packet of {} octets, more than the {} that can be",
                packet.captured,
                interface.limit()
            )));
        }
        Ok(packet)
    }

    fn found(&mut self, kind: u32, packet: &Packet, order: Order, block: &[u8]) -> Result<Found, Fault> {
        let interface = self
            .interfaces
            .get(packet.interface as usize)
            .ok_or_else(|| no_interface(packet.interface))?;
        if let Some(ticks) = packet.ticks {
            self.time = interface.resolution.nanoseconds(ticks).saturating_add(interface.offset);
        }
        let length = packet.captured as usize;
        let mut check_sequence = interface.check_sequence;
        let options = packet.start.saturating_add(length.next_multiple_of(4));
        if kind != SIMPLE_PACKET && options + 4 < block.len() {
            let options = block.get(options..block.len() - 4).unwrap_or_default();
            each_option(options, order, |code, value| {
                // epb_flags (pack_flags): bits 5 to 8 are the length of the frame check sequence, 0 = not said.
                if let (2, Ok(raw)) = (code, <[u8; 4]>::try_from(value)) {
                    let flags = match order {
                        Order::Big => u32::from_be_bytes(raw),
                        Order::Little => u32::from_le_bytes(raw),
                    };
                    if flags >> 5 & 0xf != 0 {
                        check_sequence = flags >> 5 & 0xf;
                    }
                }
            });
        }
        let found = Found {
            time: self.time,
            link: interface.link,
            interface: packet.interface,
            wire_len: packet.wire.max(packet.captured),
            start: packet.start,
            length,
            total: block.len(),
            tag: None,
            state: State::Whole,
        };
        Ok(found.without_check_sequence(check_sequence))
    }

    /// The bytes end inside what stands here: a cut tail, unless the block claims what no program writes.
    pub(super) fn broken_at_end(&self, bytes: &[u8], offset: u64) -> Option<String> {
        if !self.opened() {
            return Some(format!("offset {offset}: the header of the first section is cut off"));
        }
        if self.trailer.is_some() {
            return None;
        }
        let head = self.block(bytes).ok()?;
        if !matches!(head.kind, OBSOLETE_PACKET | ENHANCED_PACKET) {
            return None;
        }
        let length = head.length as usize;
        let packet = self.packet(head.kind, head.order, length, bytes).ok()?;
        if packet.captured > packet.wire {
            return Some(format!(
                "offset {offset}: the block claims {} octets captured of a packet of {}",
                packet.captured, packet.wire
            ));
        }
        let options = length.saturating_sub(PACKET_OVERHEAD + packet.captured as usize);
        if options > MAX_CUT_OPTIONS {
            return Some(format!(
                "offset {offset}: the block claims {length} octets for a packet of {}",
                packet.wire
            ));
        }
        None
    }
}

struct Block {
    kind: u32,
    order: Order,
    length: u32,
}

fn no_interface(number: u32) -> Fault {
    Fault::Broken(format!("a packet of interface {number}, which is not described"))
}

fn lengths_differ(first: u32, second: u32, began: u64) -> String {
    format!("the block that began at offset {began} has the length {first} in front and {second} at its end")
}

/// Calls `seen` with each option's code and value, up to the end mark or the first that does not fit.
fn each_option<'a>(options: &'a [u8], order: Order, mut seen: impl FnMut(u16, &'a [u8])) {
    let mut cursor = Cursor::new(options);
    while let (Ok(code), Ok(length)) = (order.u16(&mut cursor), order.u16(&mut cursor)) {
        if code == 0 {
            return;
        }
        let Ok(value) = cursor.take(usize::from(length)) else {
            return;
        };
        seen(code, value);
        if cursor
            .skip(usize::from(length).next_multiple_of(4) - usize::from(length))
            .is_err()
        {
            return;
        }
    }
}
