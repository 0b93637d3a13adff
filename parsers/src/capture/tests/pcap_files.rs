//! pcap files after pcap-savefile(5).

use super::*;

#[test]
fn pcap_in_both_orders_and_resolutions() {
    for order in BOTH {
        for (magic, time) in [
            (0xa1b2_c3d4, 1_700_000_000_123_456_000),
            (0xa1b2_3c4d, 1_700_000_000_000_123_456),
        ] {
            let mut file = pcap(order, magic, 65_535, 1);
            file.extend(record(order, 1_700_000_000, 123_456, 60, &[7; 5]));
            file.extend(record(order, 1_700_000_001, 0, 0, &[]));
            let (seen, info) = read(&file);
            assert_eq!(info.kind, Some(Kind::Pcap));
            assert_eq!((info.complete, info.error, info.interfaces), (true, None, 1));
            assert_eq!(seen.len(), 2);
            let first = Seen {
                time,
                link: 1,
                data: vec![7; 5],
                wire_len: 60,
                frame: 1,
                offset: 24,
                interface: 0,
            };
            assert_eq!(seen[0], first);
            assert_eq!((seen[1].frame, seen[1].offset), (2, 24 + 16 + 5));
        }
    }
}

#[test]
fn modified_pcap_has_eight_octets_more() {
    for order in BOTH {
        let mut file = pcap(order, 0xa1b2_cd34, 65_535, 113);
        for fill in [1, 2] {
            for number in [10, 20, 3, 3, 1, 0x0800_0000] {
                file.extend(n32(order, number));
            }
            file.extend([fill; 3]);
        }
        let (seen, _) = read(&file);
        assert_eq!(
            seen.iter().map(|packet| packet.data.clone()).collect::<Vec<_>>(),
            [vec![1; 3], vec![2; 3]]
        );
        assert_eq!(
            (seen[1].time, seen[1].link, seen[1].offset),
            (10_000_020_000, 113, 24 + 27)
        );
    }
}

#[test]
fn old_pcap_versions_have_the_lengths_swapped() {
    for (minor, numbers) in [(2_u16, [60, 4]), (3, [60, 4]), (3, [4, 60]), (4, [4, 60])] {
        let mut file = pcap(Order::Little, 0xa1b2_c3d4, 65_535, 1);
        file.splice(6..8, minor.to_le_bytes());
        for number in [0, 0, numbers[0], numbers[1]] {
            file.extend(n32(Order::Little, number));
        }
        file.extend([9; 4]);
        let (seen, info) = read(&file);
        assert_eq!((seen[0].data.len(), seen[0].wire_len), (4, 60), "2.{minor} {numbers:?}");
        assert!(info.complete);
    }
}

#[test]
fn a_snapshot_length_that_lies_takes_nothing_away() {
    let mut file = pcap(Order::Little, 0xa1b2_c3d4, 4, 1);
    file.extend(record(Order::Little, 1, 0, 10, &[1; 10]));
    let (seen, info) = read(&file);
    assert_eq!(seen[0].data, [1; 10]);
    assert_eq!(info.error, None);
}

#[test]
fn declared_check_sequences_are_taken_off() {
    // 0x2400_0001: Ethernet, bit 26 set, two units of 16 bits.
    let mut file = pcap(Order::Big, 0xa1b2_c3d4, 65_535, 0x2400_0001);
    file.extend(record(Order::Big, 1, 0, 64, &[1; 64]));
    file.extend(record(Order::Big, 1, 0, 64, &[1; 62]));
    file.extend(record(Order::Big, 1, 0, 64, &[1; 50]));
    file.extend(record(Order::Big, 1, 0, 2, &[1; 2]));
    let (seen, _) = read(&file);
    let lengths: Vec<_> = seen.iter().map(|packet| (packet.data.len(), packet.wire_len)).collect();
    assert_eq!(lengths, [(60, 60), (60, 60), (50, 60), (0, 0)]);
    // Without the bit the upper four say nothing.
    let mut file = pcap(Order::Big, 0xa1b2_c3d4, 65_535, 0x2000_0001);
    file.extend(record(Order::Big, 1, 0, 64, &[1; 64]));
    let (seen, _) = read(&file);
    assert_eq!((seen[0].data.len(), seen[0].link), (64, 1));
}

#[test]
fn a_record_that_cannot_be_is_the_middle_broken() {
    for (length, breaks) in [(MAX_PACKET, false), (MAX_PACKET + 1, true), (0x2000_0000, true)] {
        let mut file = pcap(Order::Little, 0xa1b2_c3d4, 65_535, 1);
        file.extend(record(Order::Little, 1, 0, 3, &[1; 3]));
        let at = file.len();
        for number in [1, 0, length, length] {
            file.extend(n32(Order::Little, number));
        }
        file.resize(file.len() + 300_000, 0x5a);
        let (seen, info) = in_chunks(file.chunks(4096), None);
        assert_eq!(info.kind, Some(Kind::Pcap), "it is a capture all the same");
        if breaks {
            assert_eq!(seen.len(), 1);
            let error = info.error.unwrap_or_default();
            assert!(error.starts_with(&format!("offset {at}: ")), "{error}");
            assert!(info.complete, "broken is not cut off");
        } else {
            assert_eq!(seen[1].data.len(), MAX_PACKET as usize);
        }
    }
}

#[test]
fn a_larger_announced_snapshot_length_is_believed() {
    let mut file = pcap(Order::Little, 0xa1b2_c3d4, 400_000, 1);
    file.extend(record(Order::Little, 1, 0, 400_000, &vec![1; 400_000]));
    let (seen, info) = in_chunks(file.chunks(65_536), None);
    assert_eq!((seen.len(), info.error), (1, None));
    // But not beyond what is buffered.
    let mut file = pcap(Order::Little, 0xa1b2_c3d4, u32::MAX, 1);
    for number in [1, 0, MAX_RECORD + 1, u32::MAX] {
        file.extend(n32(Order::Little, number));
    }
    assert!(in_chunks(std::iter::once(&file[..]), None).1.error.is_some());
}

#[test]
fn a_cut_tail_is_incomplete_at_every_length() {
    let mut file = pcap(Order::Big, 0xa1b2_c3d4, 65_535, 1);
    let mut borders = vec![file.len()];
    for fill in 1..4 {
        file.extend(record(Order::Big, 1, 0, 99, &[fill; 9]));
        borders.push(file.len());
    }
    for length in 0..=file.len() {
        let (seen, info) = in_chunks(std::iter::once(&file[..length]), None);
        if length < 24 {
            assert_eq!((info.kind, seen.len()), (None, 0), "no capture without its header");
            assert!(info.error.is_some());
            continue;
        }
        assert_eq!(info.error, None);
        assert_eq!(info.complete, borders.contains(&length), "cut at {length}");
        assert_eq!(
            seen.len(),
            borders.iter().filter(|border| **border <= length).count() - 1
        );
    }
}

#[test]
fn a_wrong_length_that_swallows_the_tail_is_no_cut_tail() {
    for (captured, wire, snaplen) in [(5_000, 100, 65_535), (70_000, 70_000, 65_535)] {
        let mut file = pcap(Order::Big, 0xa1b2_c3d4, snaplen, 1);
        for number in [1, 0, captured, wire] {
            file.extend(n32(Order::Big, number));
        }
        file.extend([0; 900]);
        let (_, info) = in_chunks(std::iter::once(&file[..]), None);
        assert!(
            info.error.is_some_and(|error| error.starts_with("offset 24: ")),
            "{captured} of {wire}"
        );
    }
}
