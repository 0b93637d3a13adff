//! Files made octet by octet after pcap-savefile(5) and draft-ietf-opsawg-pcap; what they must give is read off the
//! same pages. `read` is the one check: it reads a file whole and in pieces and insists on the same answer.

mod pcap_files;
mod pcapng_files;
mod ring_blocks;

use super::*;
use proptest::prelude::*;

/// A packet with its octets, so that it outlives the capture.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    time: i64,
    link: u16,
    data: Vec<u8>,
    wire_len: u32,
    frame: u64,
    offset: u64,
    interface: u32,
}

fn take(capture: &mut Capture, seen: &mut Vec<Seen>) -> bool {
    loop {
        let announced = capture.peek();
        match capture.next_packet() {
            Next::Packet(packet) => {
                assert_eq!(announced, Peek::Time(packet.time));
                assert!(packet.wire_len as usize >= packet.data.len());
                seen.push(Seen {
                    time: packet.time,
                    link: packet.link,
                    data: packet.data.to_vec(),
                    wire_len: packet.wire_len,
                    frame: packet.frame,
                    offset: packet.offset,
                    interface: packet.interface,
                });
            }
            Next::NeedMore => return false,
            Next::End => return true,
        }
    }
}

fn in_chunks<'a>(chunks: impl Iterator<Item = &'a [u8]>, interface: Option<u32>) -> (Vec<Seen>, Info) {
    let mut capture = Capture::new(interface);
    let mut seen = Vec::new();
    for chunk in chunks {
        capture.feed(chunk);
        take(&mut capture, &mut seen);
    }
    capture.finish();
    assert!(take(&mut capture, &mut seen), "after the end comes End");
    assert_eq!(capture.peek(), Peek::End);
    assert_eq!(capture.info().packets, seen.len() as u64);
    (seen, capture.info().clone())
}

/// Whole, octet by octet, and split at every offset.
fn read(file: &[u8]) -> (Vec<Seen>, Info) {
    let whole = in_chunks(std::iter::once(file), None);
    assert_eq!(in_chunks(file.chunks(1), None), whole);
    for at in 0..file.len() {
        let (front, back) = file.split_at(at);
        assert_eq!(in_chunks([front, back].into_iter(), None), whole, "split at {at}");
    }
    whole
}

fn n16(order: Order, value: u16) -> [u8; 2] {
    match order {
        Order::Big => value.to_be_bytes(),
        Order::Little => value.to_le_bytes(),
    }
}

fn n32(order: Order, value: u32) -> [u8; 4] {
    match order {
        Order::Big => value.to_be_bytes(),
        Order::Little => value.to_le_bytes(),
    }
}

fn pcap(order: Order, magic: u32, snaplen: u32, network: u32) -> Vec<u8> {
    let mut file = n32(order, magic).to_vec();
    file.extend(n16(order, 2));
    file.extend(n16(order, 4));
    file.extend([0; 8]);
    file.extend(n32(order, snaplen));
    file.extend(n32(order, network));
    file
}

fn record(order: Order, seconds: u32, fraction: u32, wire: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for number in [seconds, fraction, data.len() as u32, wire] {
        out.extend(n32(order, number));
    }
    out.extend(data);
    out
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let mut out = n32(order, kind).to_vec();
    out.extend(n32(order, padded as u32 + 12));
    out.extend(body);
    out.resize(8 + padded, 0);
    out.extend(n32(order, padded as u32 + 12));
    out
}

fn section(order: Order) -> Vec<u8> {
    let mut body = n32(order, 0x1a2b_3c4d).to_vec();
    body.extend(n16(order, 1));
    body.extend(n16(order, 0));
    body.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, &body)
}

fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut out = n16(order, code).to_vec();
    out.extend(n16(order, value.len() as u16));
    out.extend(value);
    out.resize(4 + value.len().next_multiple_of(4), 0);
    out
}

fn interface(order: Order, link: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
    let mut body = n16(order, link).to_vec();
    body.extend([0; 2]);
    body.extend(n32(order, snaplen));
    body.extend(options);
    block(order, 1, &body)
}

fn enhanced(order: Order, interface: u32, ticks: u64, wire: u32, data: &[u8], options: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, wire] {
        body.extend(n32(order, number));
    }
    body.extend(data);
    body.resize(20 + data.len().next_multiple_of(4), 0);
    body.extend(options);
    block(order, 6, &body)
}

fn simple(order: Order, wire: u32, data: &[u8]) -> Vec<u8> {
    let mut body = n32(order, wire).to_vec();
    body.extend(data);
    block(order, 3, &body)
}

const BOTH: [Order; 2] = [Order::Big, Order::Little];

#[test]
fn what_is_no_capture_says_so() {
    for file in [
        &b""[..],
        b"\xd4",
        b"GET / HTTP/1.1\r\n",
        b"\x0a\x0d\x0d\x0a",
        b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x12\x34\x56\x78",
    ] {
        let (seen, info) = read(file);
        assert_eq!((seen.len(), info.kind), (0, None));
        assert!(info.error.is_some(), "{file:?}");
        assert_eq!(
            probe(file).is_some(),
            file == b"\x0a\x0d\x0d\x0a",
            "four octets may still become a pcapng file"
        );
    }
    assert_eq!(
        in_chunks(std::iter::empty(), None).1.error.as_deref(),
        Some("no bytes at all")
    );
}

/// Beginnings that make a reader go on into what follows.
fn beginning() -> impl Strategy<Value = Vec<u8>> {
    let order = Order::Little;
    let mut ng = section(order);
    ng.extend(interface(order, 1, 0, &[]));
    ng.extend(enhanced(order, 0, 1, 4, &[1; 4], &[]));
    prop_oneof![
        Just(Vec::new()),
        Just(pcap(order, 0xa1b2_c3d4, 100, 1)),
        Just(pcap(Order::Big, 0xa1b2_cd34, 100, 1)),
        Just(section(order)),
        Just(ng),
    ]
}

/// Small numbers are likely, so that lengths fit now and then.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![3 => Just(0_u8), 2 => 0_u8..64, 1 => any::<u8>()];
    proptest::collection::vec(octet, 0..400)
}

proptest! {
    #[test]
    fn any_bytes_in_any_chunks(mut file in beginning(), tail in octets(), cuts in proptest::collection::vec(1_usize..60, 1..40)) {
        file.extend(tail);
        let whole = in_chunks(std::iter::once(&file[..]), None);
        let mut rest = &file[..];
        let mut chunks = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (front, back) = rest.split_at((*cut).min(rest.len()));
            chunks.push(front);
            rest = back;
        }
        let octets: usize = whole.0.iter().map(|packet| packet.data.len()).sum();
        prop_assert!(octets <= file.len());
        prop_assert_eq!(in_chunks(chunks.into_iter(), None), whole);
    }

    #[test]
    fn one_flipped_octet_never_panics(place in 0_usize..200, value in any::<u8>()) {
        let order = Order::Little;
        let mut file = section(order);
        file.extend(interface(order, 1, 0, &option(order, 9, &[9])));
        file.extend(enhanced(order, 0, 1, 40, &[1; 40], &option(order, 2, &[0; 4])));
        file.extend(simple(order, 5, &[2; 5]));
        if let Some(octet) = file.get_mut(place) {
            *octet = value;
        }
        in_chunks(file.chunks(13), None);
    }
}
