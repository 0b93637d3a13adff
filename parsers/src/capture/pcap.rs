//! The classic pcap file (pcap-savefile(5)): a header of 24 octets, then records. Both byte orders, microseconds and
//! nanoseconds, and Kuznetzov's modified form (magic a1b2cd34), whose record headers have eight octets more.
//!
//! The snapshot length of the header is no promise (merged and converted files exceed it), so it only ever raises the
//! limit of what is believed. Nothing but an impossible length tells that a record is broken.

use super::{Found, Order, State, Step, MAX_PACKET, MAX_RECORD};
use crate::cursor::{Cursor, Short};

/// What the first four octets say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Magic {
    order: Order,
    nanoseconds: bool,
    modified: bool,
}

impl Magic {
    pub(super) fn read(head: &[u8]) -> Option<Magic> {
        let first = head.first_chunk::<4>()?;
        let by = |order, nanoseconds, modified| {
            Some(Magic {
                order,
                nanoseconds,
                modified,
            })
        };
        match u32::from_be_bytes(*first) {
            0xa1b2_c3d4 => by(Order::Big, false, false),
            0xd4c3_b2a1 => by(Order::Little, false, false),
            0xa1b2_3c4d => by(Order::Big, true, false),
            0x4d3c_b2a1 => by(Order::Little, true, false),
            0xa1b2_cd34 => by(Order::Big, false, true),
            0x34cd_b2a1 => by(Order::Little, false, true),
            _ => None,
        }
    }

    /// Octets of a record header.
    fn record_header(self) -> usize {
        if self.modified {
            24
        } else {
            16
        }
    }
}

#[derive(Debug)]
struct Header {
    magic: Magic,
    link: u16,
    check_sequence: u32,
    snaplen: u32,
    lengths: Lengths,
}

/// Order of the two length fields in a record: files before version 2.3 have them the other way round, those of 2.3
/// sometimes (libpcap `sf-pcap.c`, `lengths_swapped`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lengths {
    AsNow,
    Swapped,
    SwappedIfLarger,
}

struct Record {
    seconds: u32,
    fraction: u32,
    captured: u32,
    wire: u32,
}

#[derive(Debug)]
pub(super) struct Reader {
    header: Option<Header>,
}

const FILE_HEADER: usize = 24;

impl Reader {
    pub(super) fn new() -> Self {
        Reader { header: None }
    }

    /// The file header was whole.
    pub(super) fn opened(&self) -> bool {
        self.header.is_some()
    }

    pub(super) fn step(&mut self, bytes: &[u8], offset: u64) -> Step {
        let Some(header) = &self.header else {
            return match read_header(bytes) {
                Ok(Some(header)) => {
                    self.header = Some(header);
                    Step::Skip(FILE_HEADER as u64)
                }
                Ok(None) => Step::Broken("offset 0: not a pcap file".to_string()),
                Err(_) => Step::NeedMore,
            };
        };
        let Ok(record) = header.record(bytes) else {
            return Step::NeedMore;
        };
        if record.captured > header.limit() {
            return Step::Broken(too_long(offset, record.captured, header.limit()));
        }
        let start = header.magic.record_header();
        let length = record.captured as usize;
        let total = start + length;
        if bytes.len() < total {
            return Step::NeedMore;
        }
        let unit = if header.magic.nanoseconds { 1 } else { 1_000 };
        let found = Found {
            // Cannot overflow: 2^32 seconds are 4.3e18 ns, 2^32 µs are 4.3e12.
            time: i64::from(record.seconds) * 1_000_000_000 + i64::from(record.fraction) * unit,
            link: header.link,
            interface: 0,
            wire_len: record.wire.max(record.captured),
            start,
            length,
            total,
            tag: None,
            state: State::Whole,
        };
        Step::Packet(found.without_check_sequence(header.check_sequence))
    }

    /// The bytes end inside what stands here. That is a cut tail, unless the record claims what no program writes:
    /// more octets captured than the packet had, or than the file's own snapshot length admits.
    pub(super) fn broken_at_end(&self, bytes: &[u8], offset: u64) -> Option<String> {
        let Some(header) = &self.header else {
            return Some(format!("offset {offset}: the header of the pcap file is cut off"));
        };
        let record = header.record(bytes).ok()?;
        if record.captured > record.wire {
            return Some(format!(
                "offset {offset}: the record claims {} octets captured of a packet of {}",
                record.captured, record.wire
            ));
        }
        if header.snaplen != 0 && record.captured > header.snaplen {
            return Some(too_long(offset, record.captured, header.snaplen));
        }
        None
    }
}

impl Header {
    /// The longest packet that is believed.
    fn limit(&self) -> u32 {
        self.snaplen.clamp(MAX_PACKET, MAX_RECORD)
    }

    fn record(&self, bytes: &[u8]) -> Result<Record, Short> {
        let mut cursor = Cursor::new(bytes);
        let order = self.magic.order;
        let seconds = order.u32(&mut cursor)?;
        let fraction = order.u32(&mut cursor)?;
        let mut captured = order.u32(&mut cursor)?;
        let mut wire = order.u32(&mut cursor)?;
        if self.magic.modified {
            cursor.skip(8)?;
        }
        match self.lengths {
            Lengths::AsNow => {}
            Lengths::SwappedIfLarger if captured <= wire => {}
            Lengths::Swapped | Lengths::SwappedIfLarger => std::mem::swap(&mut captured, &mut wire),
        }
        Ok(Record {
            seconds,
            fraction,
            captured,
            wire,
        })
    }
}

fn read_header(bytes: &[u8]) -> Result<Option<Header>, Short> {
    let mut cursor = Cursor::new(bytes);
    let Some(magic) = Magic::read(cursor.take(4)?) else {
        return Ok(None);
    };
    let order = magic.order;
    let major = order.u16(&mut cursor)?;
    let minor = order.u16(&mut cursor)?;
    cursor.skip(8)?;
    let snaplen = order.u32(&mut cursor)?;
    let network = order.u32(&mut cursor)?;
    let lengths = match (major, minor) {
        (0 | 1, _) | (2, 0..=2) => Lengths::Swapped,
        (2, 3) => Lengths::SwappedIfLarger,
        _ => Lengths::AsNow,
    };
    // Bit 26 says that the upper four bits hold the length of the frame check sequence in units of 16 bits.
    let check_sequence = if network & 0x0400_0000 != 0 {
        (network >> 28) * 2
    } else {
        0
    };
    Ok(Some(Header {
        magic,
        link: (network & 0xffff) as u16,
        check_sequence,
        snaplen,
        lengths,
    }))
}

fn too_long(offset: u64, claimed: u32, limit: u32) -> String {
    format!("offset {offset}: the record claims a packet of {claimed} octets, more than the {limit} that can be")
}
