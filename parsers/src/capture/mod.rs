//! Capture containers: bytes of a file or pipe go in, packets with their time and link type come out.
//!
//! Strategy: `Capture` owns the one buffer and knows no format. A format is a reader (`pcap`, `pcapng`) that looks at
//! the unread bytes and says what stands at their beginning: a packet, octets to step over, too little to tell, or
//! something that can never be right. A reader changes its state only when it steps over bytes, so the chunks in which
//! a file arrives cannot change what is read from it. There is no search for a place to start again after broken
//! bytes: what would be found there are guesses. A ring of a live interface (`ring`) is one more reader, fed whole blocks.

pub mod filter;
mod pcap;
mod pcapng;
mod ring;

use crate::cursor::{Cursor, Short};

/// Longest packet we believe in when the file announces no longer one: libpcap's own `MAXIMUM_SNAPLEN`, above which
/// no capture program writes (an IP packet has 65,535 octets, Linux's BIG TCP about 512 KiB before it is cut here).
const MAX_PACKET: u32 = 262_144;

/// Longest record that is buffered, the bound of this module's memory beside one block of the caller: libpcap's limit
/// for a pcapng block. A file that announces a larger snapshot length is believed up to here.
const MAX_RECORD: u32 = 16 * 1024 * 1024;

/// Portion of a block that the caller has read, see `Capture::portion`: a nearest cache has 32 KiB or more, the next one
/// several times as much.
const PORTION: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Pcap,
    Pcapng,
    Ring,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pcap => "pcap",
            Kind::Pcapng => "pcapng",
            Kind::Ring => "ring",
        }
    }
}

/// One packet as it stands in the capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketRef<'a> {
    /// ns since 1970.
    pub time: i64,
    /// LINKTYPE_ number.
    pub link: u16,
    /// Captured octets from the link header on, without a frame check sequence that the capture declares.
    pub data: &'a [u8],
    /// Octets on the wire (never fewer than `data`), likewise without the frame check sequence.
    pub wire_len: u32,
    /// 1-based over all packet records of the file, those of interfaces that are not read included.
    pub frame: u64,
    /// Of the record's header in the uncompressed stream.
    pub offset: u64,
    /// Number of the interface inside its section, 0 in a pcap file.
    pub interface: u32,
    pub state: State,
}

/// What a ring says of a packet beside its octets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum State {
    #[default]
    Whole,
    /// It was announced and is not there.
    Lost,
    /// It is shown a second time (by a loopback device, on its way out).
    Repeated,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    Packet(PacketRef<'a>),
    NeedMore,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek {
    Time(i64),
    NeedMore,
    End,
}

/// What is known of the container so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// None: not (yet) known to be a capture. With `error` set it never will be; otherwise an error means a capture
    /// that is broken in the middle.
    pub kind: Option<Kind>,
    /// False once the end has come inside a record: the tail is cut off.
    pub complete: bool,
    /// Why reading stopped before the end, with the offset in the uncompressed stream. `End` follows.
    pub error: Option<String>,
    /// Interfaces described (pcapng: the most in one section).
    pub interfaces: u32,
    /// Packets handed out.
    pub packets: u64,
}

/// Which container these first octets begin (twelve suffice, four are needed), if any.
pub fn probe(head: &[u8]) -> Option<Kind> {
    if pcap::Magic::read(head).is_some() {
        Some(Kind::Pcap)
    } else if pcapng::begins(head) {
        Some(Kind::Pcapng)
    } else {
        None
    }
}

/// Byte order of the machine that wrote a file or section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn u16(self, cursor: &mut Cursor<'_>) -> Result<u16, Short> {
        match self {
            Order::Big => cursor.u16(),
            Order::Little => cursor.u16_le(),
        }
    }

    fn u32(self, cursor: &mut Cursor<'_>) -> Result<u32, Short> {
        match self {
            Order::Big => cursor.u32(),
            Order::Little => cursor.u32_le(),
        }
    }
}

/// A packet at the beginning of the bytes a reader was shown.
#[derive(Debug, Clone, Copy)]
struct Found {
    time: i64,
    link: u16,
    interface: u32,
    wire_len: u32,
    /// Where the packet's octets begin in those bytes, and how many they are.
    start: usize,
    length: usize,
    /// Octets of the whole record.
    total: usize,
    /// A VLAN tag to be put back behind the addresses; `start` and `length` count it already, and there is room for it
    /// before the frame.
    tag: Option<[u8; ring::TAG]>,
    state: State,
}

impl Found {
    /// Takes a frame check sequence of `octets` off the end of the frame: of the captured octets only as many as the
    /// snapshot length left of it.
    fn without_check_sequence(mut self, octets: u32) -> Self {
        let frame = self.wire_len.saturating_sub(octets);
        self.length = self.length.min(frame as usize);
        self.wire_len = frame;
        self
    }
}

/// What a reader says of the bytes it was shown.
#[derive(Debug)]
enum Step {
    Packet(Found),
    /// Nothing for us: step over so many octets, which need not have arrived yet.
    Skip(u64),
    NeedMore,
    /// Sentence that names the offset.
    Broken(String),
}

#[derive(Debug)]
enum Reader {
    Unknown,
    Pcap(pcap::Reader),
    Pcapng(pcapng::Reader),
    Ring(ring::Reader),
}

enum Located {
    Packet(Found),
    NeedMore,
    End,
}

/// One capture being read. Feed it, take packets until `NeedMore`, feed again; `finish` when there are no more bytes.
#[derive(Debug)]
pub struct Capture {
    buffer: Vec<u8>,
    /// Octets of `buffer` already consumed.
    at: usize,
    /// Offset of `buffer`'s first octet in the stream.
    base: u64,
    /// Octets to step over that have not arrived yet.
    skip: u64,
    reader: Reader,
    pending: Option<Found>,
    only: Option<u32>,
    frames: u64,
    finished: bool,
    ended: bool,
    info: Info,
}

impl Capture {
    /// With `interface`, only packets of that pcapng interface (0-based, as capinfos numbers them) are handed out.
    pub fn new(interface: Option<u32>) -> Self {
        Capture {
            buffer: Vec::new(),
            at: 0,
            base: 0,
            skip: 0,
            reader: Reader::Unknown,
            pending: None,
            only: interface,
            frames: 0,
            finished: false,
            ended: false,
            info: Info {
                kind: None,
                complete: true,
                error: None,
                interfaces: 0,
                packets: 0,
            },
        }
    }

    /// Blocks of a live interface's ring: each `feed` brings whole ones.
    pub fn ring() -> Self {
        let mut capture = Capture::new(None);
        capture.reader = Reader::Ring(ring::Reader::default());
        capture.info.kind = Some(Kind::Ring);
        capture.info.interfaces = 1;
        capture
    }

    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Octets to feed at a time: what is appended is read at once, while the processor has it in its nearest caches.
    pub fn portion(&self) -> usize {
        match self.reader {
            Reader::Ring(_) => usize::MAX,
            _ => PORTION,
        }
    }

    /// Appends bytes. Call it after `NeedMore`: then at most one unfinished record is held beside what is appended.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.ended || self.finished {
            return;
        }
        // Consumed octets go when they are the larger half, so that each octet moves once on average.
        if self.at > self.buffer.len() / 2 {
            self.buffer.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
        }
        if let Reader::Ring(reader) = &mut self.reader {
            reader.announce(bytes);
        }
        let mut bytes = bytes;
        if self.skip > 0 && self.at == self.buffer.len() {
            let over = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            bytes = bytes.get(over..).unwrap_or_default();
            self.skip -= over as u64;
            self.base += over as u64;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// No more bytes will come.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Time of the next packet, which stays.
    pub fn peek(&mut self) -> Peek {
        match self.locate() {
            Located::Packet(found) => Peek::Time(found.time),
            Located::NeedMore => Peek::NeedMore,
            Located::End => Peek::End,
        }
    }

    pub fn next_packet(&mut self) -> Next<'_> {
        let found = match self.locate() {
            Located::Packet(found) => found,
            Located::NeedMore => return Next::NeedMore,
            Located::End => return Next::End,
        };
        self.pending = None;
        let offset = self.base + self.at as u64;
        let start = self.at.saturating_add(found.start);
        self.consume(found.total as u64);
        self.info.packets += 1;
        if let Some(tag) = found.tag {
            self.put_back(start, tag);
        }
        let data = self
            .buffer
            .get(start..start.saturating_add(found.length))
            .unwrap_or_default();
        Next::Packet(PacketRef {
            time: found.time,
            link: found.link,
            data,
            wire_len: found.wire_len,
            frame: self.frames,
            offset,
            interface: found.interface,
            state: found.state,
        })
    }

    /// Moves the addresses of the frame at `start` to the front, to make room for its VLAN tag behind them.
    fn put_back(&mut self, start: usize, tag: [u8; ring::TAG]) {
        let behind = start.saturating_add(ring::ADDRESSES);
        let Some(head) = self.buffer.get_mut(start..behind.saturating_add(ring::TAG)) else {
            return;
        };
        head.copy_within(ring::TAG.., 0);
        if let Some(place) = head.get_mut(ring::ADDRESSES..) {
            place.copy_from_slice(&tag);
        }
    }

    /// Finds the next packet that is wanted and remembers it.
    fn locate(&mut self) -> Located {
        if let Some(found) = self.pending {
            return Located::Packet(found);
        }
        loop {
            if self.ended {
                return Located::End;
            }
            if self.skip > 0 {
                return self.starve();
            }
            let bytes = self.buffer.get(self.at..).unwrap_or_default();
            let offset = self.base + self.at as u64;
            let step = match &mut self.reader {
                Reader::Unknown => match open(bytes) {
                    Opened::Reader(reader) => {
                        self.reader = reader;
                        continue;
                    }
                    Opened::TooShort if !self.finished => return Located::NeedMore,
                    Opened::TooShort if bytes.is_empty() => Step::Broken("no bytes at all".to_string()),
                    Opened::TooShort | Opened::NoCapture => {
                        Step::Broken("offset 0: neither a pcap nor a pcapng file".to_string())
                    }
                },
                Reader::Pcap(reader) => reader.step(bytes, offset),
                Reader::Pcapng(reader) => reader.step(bytes, offset),
                Reader::Ring(reader) => reader.step(bytes),
            };
            // A packet tells nothing of its container.
            match &self.reader {
                _ if matches!(step, Step::Packet(_)) => {}
                Reader::Pcap(reader) if reader.opened() => {
                    self.info.kind = Some(Kind::Pcap);
                    self.info.interfaces = 1;
                }
                Reader::Pcapng(reader) if reader.opened() => {
                    self.info.kind = Some(Kind::Pcapng);
                    self.info.interfaces = reader.most_interfaces();
                }
                _ => {}
            }
            match step {
                Step::Packet(found) => {
                    self.frames += 1;
                    if self.only.is_none_or(|only| only == found.interface) {
                        self.pending = Some(found);
                        return Located::Packet(found);
                    }
                    self.consume(found.total as u64);
                }
                Step::Skip(octets) => self.consume(octets),
                Step::NeedMore => return self.starve(),
                Step::Broken(why) => self.stop(Some(why)),
            }
        }
    }

    /// The bytes do not reach: more must come, or this is the end, in the middle of a record if anything is left.
    fn starve(&mut self) -> Located {
        if !self.finished {
            return Located::NeedMore;
        }
        let bytes = self.buffer.get(self.at..).unwrap_or_default();
        let offset = self.base + self.at as u64;
        let why = match &self.reader {
            Reader::Unknown | Reader::Ring(_) => None,
            Reader::Pcap(reader) => reader.broken_at_end(bytes, offset),
            Reader::Pcapng(reader) => reader.broken_at_end(bytes, offset),
        };
        let between_records = match &self.reader {
            Reader::Pcapng(reader) => reader.between_blocks(),
            _ => true,
        };
        self.info.complete = bytes.is_empty() && self.skip == 0 && between_records;
        self.stop(why);
        Located::End
    }

    fn stop(&mut self, why: Option<String>) {
        self.info.error = why;
        self.ended = true;
        self.buffer = Vec::new();
        self.at = 0;
    }

    fn consume(&mut self, octets: u64) {
        let here = self.buffer.len() - self.at;
        let over = usize::try_from(octets).unwrap_or(usize::MAX).min(here);
        self.at += over;
        self.skip = octets - over as u64;
    }
}

enum Opened {
    Reader(Reader),
    TooShort,
    NoCapture,
}

fn open(bytes: &[u8]) -> Opened {
    match probe(bytes) {
        // The byte order of a pcapng section stands in its twelfth octet.
        Some(Kind::Pcapng) if bytes.len() < 12 => Opened::TooShort,
        Some(Kind::Pcapng) => Opened::Reader(Reader::Pcapng(pcapng::Reader::new())),
        Some(Kind::Pcap) => Opened::Reader(Reader::Pcap(pcap::Reader::new())),
        None | Some(Kind::Ring) if bytes.len() < 4 => Opened::TooShort,
        None | Some(Kind::Ring) => Opened::NoCapture,
    }
}

#[cfg(test)]
mod tests;
