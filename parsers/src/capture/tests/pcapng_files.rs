//! pcapng files after draft-ietf-opsawg-pcap.

use super::*;

#[test]
fn sections_of_either_order_begin_afresh() {
    let mut file = Vec::new();
    let mut offsets = Vec::new();
    for (order, link) in [(Order::Little, 1), (Order::Big, 113), (Order::Little, 101)] {
        file.extend(section(order));
        file.extend(interface(order, link, 0, &[]));
        offsets.push(file.len() as u64);
        file.extend(enhanced(order, 0, 1_700_000_000_000_001, 9, &[link as u8; 5], &[]));
    }
    let (seen, info) = read(&file);
    assert_eq!(info.kind, Some(Kind::Pcapng));
    assert_eq!((info.complete, info.error, info.interfaces), (true, None, 1));
    assert_eq!(seen.iter().map(|packet| packet.link).collect::<Vec<_>>(), [1, 113, 101]);
    assert_eq!(seen.iter().map(|packet| packet.offset).collect::<Vec<_>>(), offsets);
    assert!(seen
        .iter()
        .all(|packet| packet.time == 1_700_000_000_000_001_000 && packet.wire_len == 9));
    // The second section knows no second interface, whatever the first had.
    file.extend(section(Order::Big));
    file.extend(enhanced(Order::Big, 0, 0, 1, &[0], &[]));
    assert!(read(&file).1.error.is_some_and(|error| error.contains("interface 0")));
}

#[test]
fn time_stamps_of_every_resolution() {
    // Ticks, if_tsresol, if_tsoffset, ns.
    let table: [(u64, u8, i64, i64); 10] = [
        (1_700_000_000, 0, 0, 1_700_000_000_000_000_000),
        (1_700_000_000_123, 3, 0, 1_700_000_000_123_000_000),
        (1_700_000_000_000_001, 6, 0, 1_700_000_000_000_001_000),
        (1_700_000_000_000_000_001, 9, 0, 1_700_000_000_000_000_001),
        (1_700_000_000_000_000_001, 9, -3_600, 1_699_996_400_000_000_001),
        (1_234_567, 12, 1_700_000_000, 1_700_000_000_000_001_234),
        (3 << 9, 0x8a, 0, 1_500_000_000),
        (1 << 63, 0xc0, 0, 500_000_000),
        (5, 0x7f, 0, 0),
        (u64::MAX, 0, 0, i64::MAX),
    ];
    for order in BOTH {
        for (ticks, resolution, offset, expected) in table {
            let offset = match order {
                Order::Big => offset.to_be_bytes(),
                Order::Little => offset.to_le_bytes(),
            };
            let mut options = option(order, 9, &[resolution]);
            options.extend(option(order, 14, &offset));
            options.extend(option(order, 0, &[]));
            let mut file = section(order);
            file.extend(interface(order, 1, 0, &options));
            file.extend(enhanced(order, 0, ticks, 1, &[0], &[]));
            assert_eq!(
                in_chunks(std::iter::once(&file[..]), None).0[0].time,
                expected,
                "{ticks} {resolution:#x}"
            );
        }
    }
}

#[test]
fn simple_and_obsolete_packets() {
    for order in BOTH {
        let mut file = section(order);
        file.extend(interface(order, 1, 6, &[]));
        file.extend(interface(order, 101, 0, &[]));
        // Interface 1, 3 drops, 2.5 s.
        let mut body = n16(order, 1).to_vec();
        body.extend(n16(order, 3));
        for number in [0, 2_500_000, 3, 8] {
            body.extend(n32(order, number));
        }
        body.extend([4; 3]);
        file.extend(block(order, 2, &body));
        // Cut by the snapshot length of interface 0, and whole.
        file.extend(simple(order, 100, &[5; 6]));
        file.extend(simple(order, 3, &[6; 3]));
        let (seen, info) = read(&file);
        assert_eq!((info.interfaces, info.error), (2, None));
        let parts: Vec<_> = seen
            .iter()
            .map(|packet| {
                (
                    packet.interface,
                    packet.link,
                    packet.time,
                    packet.wire_len,
                    packet.data.as_slice(),
                )
            })
            .collect();
        let (five, six) = ([5; 6], [6; 3]);
        assert_eq!(
            parts,
            [
                (1, 101, 2_500_000_000, 8, &[4; 3][..]),
                (0, 1, 2_500_000_000, 100, &five[..]),
                (0, 1, 2_500_000_000, 3, &six[..]),
            ]
        );
    }
}

#[test]
fn one_interface_alone_keeps_the_frame_numbers() {
    let order = Order::Little;
    let mut file = section(order);
    for _ in 0..3 {
        file.extend(interface(order, 1, 0, &[]));
    }
    for number in [0, 2, 1, 2] {
        file.extend(enhanced(order, number, 5, 1, &[number as u8], &[]));
    }
    let (seen, info) = in_chunks(file.chunks(7), Some(2));
    assert_eq!(seen.iter().map(|packet| packet.frame).collect::<Vec<_>>(), [2, 4]);
    assert_eq!((info.packets, info.interfaces, info.complete), (2, 3, true));
    assert!(in_chunks(file.chunks(7), Some(3)).0.is_empty());
}

#[test]
fn check_sequences_of_an_interface_and_of_a_packet() {
    let order = Order::Big;
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &option(order, 13, &[32])));
    file.extend(enhanced(order, 0, 0, 64, &[1; 64], &[]));
    // epb_flags: two octets of check sequence (bits 5 to 8); then "not said", where the interface counts.
    file.extend(enhanced(
        order,
        0,
        0,
        64,
        &[1; 64],
        &option(order, 2, &[0, 0, 0, 2 << 5 | 1]),
    ));
    file.extend(enhanced(order, 0, 0, 64, &[1; 64], &option(order, 2, &[0, 0, 0, 1])));
    let (seen, _) = read(&file);
    assert_eq!(
        seen.iter().map(|packet| packet.data.len()).collect::<Vec<_>>(),
        [60, 62, 60]
    );
}

#[test]
fn other_blocks_are_stepped_over_unbuffered() {
    let order = Order::Little;
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &[]));
    file.extend(block(order, 4, b"\0\0\0\0"));
    file.extend(block(order, 0x0bad, b""));
    file.extend(enhanced(order, 0, 1, 2, &[1, 2], &[]));
    let (seen, info) = read(&file);
    assert_eq!((seen.len(), info.error), (1, None));
    // Longer than anything that is buffered.
    let long = vec![0x55; MAX_RECORD as usize + 4_096];
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &[]));
    file.extend(block(order, 0x0bad, &long));
    let cut = file.len() - 4;
    file.extend(enhanced(order, 0, 1, 2, &[1, 2], &[]));
    let mut capture = Capture::new(None);
    let mut seen = Vec::new();
    for chunk in file.chunks(65_536) {
        capture.feed(chunk);
        take(&mut capture, &mut seen);
        assert!(capture.buffer.len() <= 2 * 65_536, "the block is not held");
    }
    capture.finish();
    take(&mut capture, &mut seen);
    assert_eq!((seen.len(), seen[0].offset), (1, cut as u64 + 4));
    assert!(capture.info().complete);
    // Cut before its second length, inside its body, and with another second length.
    for (length, complete) in [(cut, false), (100, false), (cut + 4, true)] {
        let (_, info) = in_chunks(file[..length].chunks(65_536), None);
        assert_eq!((info.complete, info.error), (complete, None), "{length}");
    }
    file[cut] ^= 4;
    let (seen, info) = in_chunks(file.chunks(65_536), None);
    assert!(seen.is_empty());
    assert!(info.error.is_some_and(|error| error.contains("at offset 48")));
}

#[test]
fn options_are_advice() {
    let order = Order::Little;
    let mut wrong = option(order, 9, &[9, 9]);
    wrong.extend(option(order, 14, &[1]));
    wrong.extend([9, 0, 0xff, 0xff]);
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &wrong));
    file.extend(enhanced(order, 0, 1, 1, &[1], &[2, 0, 200, 0]));
    let (seen, info) = read(&file);
    assert_eq!((seen.len(), info.error), (1, None));
    assert_eq!(seen[0].time, 1_000, "microseconds, as if nothing had been said");
}

#[test]
fn broken_blocks_end_the_reading_where_they_stand() {
    let order = Order::Big;
    let mut good = section(order);
    good.extend(interface(order, 1, 0, &[]));
    good.extend(enhanced(order, 0, 1, 4, &[1; 4], &[]));
    let at = good.len();
    let sound = enhanced(order, 0, 1, 4, &[1; 4], &[]);
    let damaged = |place: usize, value: u8| {
        let mut block = sound.clone();
        block[place] = value;
        block
    };
    let mut future = section(order);
    future[12..14].copy_from_slice(&[0, 2]);
    let mut mark = section(order);
    mark[8] = 0;
    let table = [
        ("second length", damaged(35, 40)),
        ("no multiple of four", damaged(7, 37)),
        ("shorter than its frame", damaged(7, 8)),
        ("interface", damaged(11, 1)),
        ("more captured than the block has", damaged(23, 5)),
        ("longer than what is buffered", damaged(4, 2)),
        ("a packet longer than can be", damaged(21, 9)),
        ("version 2", future),
        ("byte-order mark", mark),
        (
            "short section",
            block(order, 0x0a0d_0d0a, &0x1a2b_3c4d_u32.to_be_bytes()),
        ),
        ("short interface", block(order, 1, &[0, 1, 0, 0])),
        ("short packet", block(order, 6, &[0; 12])),
    ];
    for (what, bytes) in table {
        let mut file = good.clone();
        file.extend(bytes);
        file.extend(&sound);
        let (seen, info) = read(&file);
        assert_eq!((seen.len(), info.kind), (1, Some(Kind::Pcapng)), "{what}");
        let error = info.error.unwrap_or_default();
        assert!(error.starts_with(&format!("offset {at}: ")), "{what}: {error}");
    }
    // A simple packet has interface 0, even where none is described.
    let mut file = section(order);
    file.extend(simple(order, 1, &[1]));
    assert!(read(&file).1.error.is_some());
}

#[test]
fn a_cut_pcapng_tail_is_incomplete_at_every_length() {
    let order = Order::Little;
    let mut file = section(order);
    let mut borders = vec![file.len()];
    for piece in [
        interface(order, 1, 0, &[]),
        enhanced(order, 0, 1, 5, &[1; 5], &option(order, 1, b"a comment")),
        block(order, 5, &[0; 12]),
        simple(order, 5, &[2; 5]),
        section(Order::Big),
    ] {
        file.extend(piece);
        borders.push(file.len());
    }
    for length in 0..=file.len() {
        let (_, info) = in_chunks(std::iter::once(&file[..length]), None);
        if length < borders[0] {
            assert!(info.kind.is_none() && info.error.is_some());
        } else {
            assert_eq!(
                (info.complete, info.error),
                (borders.contains(&length), None),
                "cut at {length}"
            );
        }
    }
}

#[test]
fn interfaces_without_end_are_refused() {
    let order = Order::Little;
    let mut file = section(order);
    let one = interface(order, 1, 0, &[]);
    for _ in 0..pcapng::MAX_INTERFACES {
        file.extend(&one);
    }
    assert_eq!(in_chunks(file.chunks(1 << 20), None).1.error, None);
    file.extend(&one);
    assert!(in_chunks(file.chunks(1 << 20), None).1.error.is_some());
}
