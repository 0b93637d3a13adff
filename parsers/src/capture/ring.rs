//! Blocks of an AF_PACKET ring (TPACKET_V3, linux/if_packet.h): a block's header, then packets that each say where the
//! next one begins. Numbers are in the byte order of the machine, times in nanoseconds.
//!
//! A block stands for itself: whatever is wrong in one, the next is read. What a block announces and does not hold comes
//! out as lost packets without octets: so a loss has its name, and the kernel's count is kept.
//!
//! The kernel takes the outermost VLAN tag out of the frame; it is put back where it was. A device without an Ethernet
//! header (tun, ppp, GRE) shows its packets from the network header on, as libpcap's cooked sockets do.

use std::collections::VecDeque;

use super::{Found, Order, State, Step};
use crate::cursor::{Cursor, Short};

/// `struct tpacket_block_desc` with `tpacket_hdr_v1` inside.
const BLOCK_HEADER: usize = 48;
/// `TPACKET3_HDRLEN`: `struct tpacket3_hdr`, then `struct sockaddr_ll`. No packet begins before its end.
const PACKET_HEADER: usize = 68;

const VLAN_VALID: u32 = 1 << 4;
const VLAN_TPID_VALID: u32 = 1 << 6;
const ETHERTYPE_VLAN: u16 = 0x8100;
/// Octets of the two addresses, behind which the tag stands (IEEE 802.1Q), and of the tag.
pub(super) const ADDRESSES: usize = 12;
pub(super) const TAG: usize = 4;

const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
/// `PACKET_OUTGOING`: on the loopback device, the copy that was seen on its way in.
const OUTGOING: u8 = 4;

const LINKTYPE_ETHERNET: u16 = 1;
const LINKTYPE_RAW: u16 = 101;
/// No link type: neither Ethernet nor IP, so counted as not IP.
const LINKTYPE_OTHER: u16 = u16::MAX;

const NATIVE: Order = if cfg!(target_endian = "big") {
    Order::Big
} else {
    Order::Little
};

#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Octets left of each block that is not read to its end.
    blocks: VecDeque<usize>,
    /// Packets that the first of them still announces, once its header was read.
    announced: Option<u32>,
    /// Packets that were announced and are not there.
    lost: u32,
    /// Of the last packet.
    time: i64,
}

struct Header {
    /// Octets to the next packet of the block; 0 = this is the last.
    next: usize,
    time: i64,
    captured: u32,
    wire: u32,
    status: u32,
    link: usize,
    network: usize,
    tag: [u16; 2],
    /// `sockaddr_ll`
    ethertype: u16,
    device: u16,
    kind: u8,
}

impl Reader {
    /// `bytes`, whole blocks, were appended to what is to be read. What no block's length fits is one broken block.
    pub(super) fn announce(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let length = block_length(bytes)
                .ok()
                .filter(|length| (BLOCK_HEADER..=bytes.len()).contains(length))
                .unwrap_or(bytes.len());
            self.blocks.push_back(length);
            bytes = bytes.get(length..).unwrap_or_default();
        }
    }

    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        if self.lost > 0 {
            self.lost -= 1;
            return Step::Packet(self.nothing());
        }
        let Some(&left) = self.blocks.front() else {
            return Step::NeedMore;
        };
        let block = bytes.get(..left).unwrap_or(bytes);
        match self.announced {
            None => self.open(block),
            Some(0) => self.leave(left),
            Some(announced) => match read_header(block).ok().and_then(|header| locate(&header, block.len())) {
                Some((found, next)) => {
                    self.time = found.time;
                    let total = if announced == 1 { left } else { next };
                    let found = Found { total, ..found };
                    if total == left {
                        self.leave(left);
                        if announced > 1 {
                            self.lost = believable(announced - 1, left);
                        }
                    } else {
                        self.announced = Some(announced - 1);
                        self.pass(total);
                    }
                    Step::Packet(found)
                }
                None => {
                    self.lost = believable(announced, left);
                    self.leave(left)
                }
            },
        }
    }

    /// Reads the header of a block.
    fn open(&mut self, block: &[u8]) -> Step {
        let header = read_block(block)
            .ok()
            .filter(|(_, first)| (BLOCK_HEADER..=block.len()).contains(first));
        let Some((announced, first)) = header else {
            // Whatever it held: something was there.
            self.lost = 1;
            return self.leave(block.len());
        };
        self.announced = Some(announced);
        self.pass(first);
        Step::Skip(first as u64)
    }

    /// The rest of the first block is done with.
    fn leave(&mut self, left: usize) -> Step {
        self.blocks.pop_front();
        self.announced = None;
        Step::Skip(left as u64)
    }

    fn pass(&mut self, octets: usize) {
        if let Some(left) = self.blocks.front_mut() {
            *left = left.saturating_sub(octets);
        }
    }

    /// A packet that is not there.
    fn nothing(&self) -> Found {
        Found {
            time: self.time,
            link: LINKTYPE_OTHER,
            interface: 0,
            wire_len: 0,
            start: 0,
            length: 0,
            total: 0,
            tag: None,
            state: State::Lost,
        }
    }
}

/// As many of the announced packets as have room in `octets`, at least the one that was to be read.
fn believable(announced: u32, octets: usize) -> u32 {
    let room = u32::try_from(octets / PACKET_HEADER).unwrap_or(u32::MAX);
    announced.min(room).max(1)
}

/// `blk_len`: version, offset_to_priv, block_status, num_pkts, offset_to_first_pkt stand before it.
fn block_length(block: &[u8]) -> Result<usize, Short> {
    let mut cursor = Cursor::new(block);
    cursor.skip(20)?;
    Ok(NATIVE.u32(&mut cursor)? as usize)
}

/// `num_pkts` and `offset_to_first_pkt`.
fn read_block(block: &[u8]) -> Result<(u32, usize), Short> {
    let mut cursor = Cursor::new(block);
    cursor.skip(12)?;
    let packets = NATIVE.u32(&mut cursor)?;
    let first = NATIVE.u32(&mut cursor)? as usize;
    Ok((packets, first))
}

fn read_header(bytes: &[u8]) -> Result<Header, Short> {
    let mut cursor = Cursor::new(bytes);
    let u16 = |cursor: &mut Cursor<'_>| NATIVE.u16(cursor);
    let u32 = |cursor: &mut Cursor<'_>| NATIVE.u32(cursor);
    let next = u32(&mut cursor)? as usize;
    let seconds = u32(&mut cursor)?;
    let nanoseconds = u32(&mut cursor)?;
    let captured = u32(&mut cursor)?;
    let wire = u32(&mut cursor)?;
    let status = u32(&mut cursor)?;
    let link = usize::from(u16(&mut cursor)?);
    let network = usize::from(u16(&mut cursor)?);
    cursor.skip(4)?; // tp_rxhash
    let control = u32(&mut cursor)?;
    let protocol = u16(&mut cursor)?;
    cursor.skip(10)?; // tp_padding, twice
    cursor.skip(2)?; // sll_family
    let ethertype = cursor.u16()?; // in network order
    cursor.skip(4)?; // sll_ifindex
    let device = u16(&mut cursor)?;
    let kind = cursor.u8()?;
    Ok(Header {
        next,
        time: i64::from(seconds) * 1_000_000_000 + i64::from(nanoseconds),
        captured,
        wire,
        status,
        link,
        network,
        // The tag is 16 bits in a field of 32.
        tag: [protocol, (control & 0xffff) as u16],
        ethertype,
        device,
        kind,
    })
}

/// Where the packet's octets are in the `left` octets of the block, and how many it takes with all that is before the
/// next one. None if that cannot be.
fn locate(header: &Header, left: usize) -> Option<(Found, usize)> {
    let next = match header.next {
        0 => left,
        next if next < left => next,
        _ => return None,
    };
    let framed = matches!(header.device, ARPHRD_ETHER | ARPHRD_LOOPBACK);
    let start = if framed { header.link } else { header.network };
    let before = start.checked_sub(header.link)?;
    let length = (header.captured as usize).checked_sub(before)?;
    if header.link < PACKET_HEADER || start.checked_add(length)? > next {
        return None;
    }
    let wire_len = header
        .wire
        .max(header.captured)
        .saturating_sub(u32::try_from(before).ok()?);
    let found = Found {
        time: header.time,
        link: match (framed, header.ethertype) {
            (true, _) => LINKTYPE_ETHERNET,
            (false, 0x0800 | 0x86dd) => LINKTYPE_RAW,
            (false, _) => LINKTYPE_OTHER,
        },
        interface: 0,
        wire_len,
        start,
        length,
        total: next,
        tag: None,
        state: if header.device == ARPHRD_LOOPBACK && header.kind == OUTGOING {
            State::Repeated
        } else {
            State::Whole
        },
    };
    if header.status & VLAN_VALID == 0 || !framed || length < ADDRESSES {
        return Some((found, next));
    }
    let [protocol, control] = header.tag;
    let protocol = if header.status & VLAN_TPID_VALID != 0 {
        protocol
    } else {
        ETHERTYPE_VLAN
    };
    let [[a, b], [c, d]] = [protocol.to_be_bytes(), control.to_be_bytes()];
    let tagged = Found {
        // The octets before it are the packet's own header in the ring.
        start: start - TAG,
        length: length + TAG,
        wire_len: wire_len.saturating_add(TAG as u32),
        tag: Some([a, b, c, d]),
        ..found
    };
    Some((tagged, next))
}
