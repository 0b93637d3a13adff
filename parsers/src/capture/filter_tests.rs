//! Programs are tcpdump's own (4.99.3, `tcpdump -ddd -y EN10MB EXPRESSION`); what they must answer is read off the
//! expression and the packet. Counts over whole captures are compared with tcpdump's in `tests/differential`.

use super::*;
use proptest::prelude::*;

/// What tcpdump -ddd prints: the number of instructions, then one a line.
fn printed(text: &str) -> Result<Program, String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let count: usize = lines.next().unwrap().parse().unwrap();
    let instructions: Vec<Instruction> = lines
        .map(|line| {
            let numbers: Vec<u32> = line.split(' ').map(|number| number.parse().unwrap()).collect();
            instruction(numbers[0] as u16, numbers[1] as u8, numbers[2] as u8, numbers[3])
        })
        .collect();
    assert_eq!(instructions.len(), count);
    Program::new(&instructions)
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// Ethernet, `tags`, IPv4 with `options` octets of options, UDP or TCP of `ports`, and 20 octets.
fn frame(tags: &[u8], options: u8, protocol: u8, ports: (u16, u16)) -> Vec<u8> {
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    out.extend(tags);
    out.extend([
        8,
        0,
        0x45 + options / 4,
        0,
        0,
        48 + options,
        0,
        1,
        0,
        0,
        64,
        protocol,
        0,
        0,
    ]);
    out.extend([192, 0, 2, 25, 203, 0, 113, 10]);
    out.resize(out.len() + usize::from(options), 1);
    out.extend(ports.0.to_be_bytes());
    out.extend(ports.1.to_be_bytes());
    out.extend([0x12; 20]);
    out
}

fn wants(program: &Program, packet: &[u8]) -> bool {
    program.wants(packet, packet.len() as u32)
}

/// tcp port 5061
const PORT: &str = "20
    40 0 0 12\n 21 0 6 34525\n 48 0 0 20\n 21 0 15 6\n 40 0 0 54\n 21 12 0 5061\n 40 0 0 56\n 21 10 11 5061
    21 0 10 2048\n 48 0 0 23\n 21 0 8 6\n 40 0 0 20\n 69 6 0 8191\n 177 0 0 14\n 72 0 0 14\n 21 2 0 5061
    72 0 0 16\n 21 0 1 5061\n 6 0 0 262144\n 6 0 0 0";

#[test]
fn a_port_is_found_behind_ip_options_and_not_in_other_protocols() {
    let program = printed(PORT).unwrap();
    for options in [0, 8, 40] {
        assert!(wants(&program, &frame(&[], options, 6, (40_000, 5_061))));
        assert!(wants(&program, &frame(&[], options, 6, (5_061, 40_000))));
        assert!(!wants(&program, &frame(&[], options, 6, (40_000, 5_062))));
        assert!(!wants(&program, &frame(&[], options, 17, (40_000, 5_061))));
    }
    let whole = frame(&[], 0, 6, (40_000, 5_061));
    assert!(wants(&program, &whole[..38]), "both ports are there");
    for cut in 0..38 {
        assert!(!wants(&program, &whole[..cut]), "{cut} octets");
    }
    let mut fragment = whole;
    fragment[21] = 9;
    assert!(!wants(&program, &fragment), "a later fragment has no ports");
}

#[test]
fn a_tag_is_read_from_the_frame() {
    // vlan 7 and udp
    let program = printed(
        "19
        40 0 0 12\n 21 2 0 33024\n 21 1 0 34984\n 21 0 14 37120\n 40 0 0 14\n 84 0 0 4095\n 21 0 11 7\n 40 0 0 16
        21 0 2 2048\n 48 0 0 27\n 21 6 7 17\n 21 0 6 34525\n 48 0 0 24\n 21 3 0 17\n 21 0 3 44\n 48 0 0 58
        21 0 1 17\n 6 0 0 262144\n 6 0 0 0",
    )
    .unwrap();
    assert!(wants(&program, &frame(&[0x81, 0, 0x60, 7], 0, 17, (1, 2))));
    assert!(!wants(&program, &frame(&[0x81, 0, 0x60, 8], 0, 17, (1, 2))));
    assert!(!wants(&program, &frame(&[0x81, 0, 0x60, 7], 0, 6, (1, 2))));
    assert!(!wants(&program, &frame(&[], 0, 17, (1, 2))));
}

#[test]
fn lengths_are_those_on_the_wire() {
    // greater 60 and less 90
    let program = printed("5\n 128 0 0 0\n 53 0 2 60\n 37 1 0 90\n 6 0 0 262144\n 6 0 0 0").unwrap();
    for (length, wanted) in [(59, false), (60, true), (90, true), (91, false)] {
        assert_eq!(program.wants(&[], length), wanted, "{length}");
    }
}

#[test]
fn expressions_calculate() {
    // ip[8] * 2 - 3 > 20 / 2 and ip[2:2] % 4 = 1 or ip[1] << 3 ^ 5 = 7
    let program = printed(
        "14
        40 0 0 12\n 21 0 11 2048\n 48 0 0 22\n 36 0 0 2\n 20 0 0 3\n 37 0 3 10\n 40 0 0 16\n 148 0 0 4\n 21 3 0 1
        48 0 0 15\n 100 0 0 6\n 21 0 1 7\n 6 0 0 262144\n 6 0 0 0",
    )
    .unwrap();
    let with = |hops: u8, length: u8| {
        let mut packet = frame(&[], 0, 6, (1, 2));
        (packet[22], packet[17]) = (hops, length);
        packet
    };
    assert!(wants(&program, &with(7, 45)), "11 > 10, 45 % 4 = 1");
    assert!(!wants(&program, &with(7, 46)));
    assert!(!wants(&program, &with(6, 45)));

    // ether[0] = ip[9] and ip[ip[0] & 15] > 3: a scratch cell, X, and a load by a number in the packet
    let program = printed(
        "15
        40 0 0 12\n 21 0 12 2048\n 48 0 0 0\n 2 0 0 1\n 48 0 0 23\n 7 0 0 3\n 96 0 0 1\n 29 0 6 0\n 48 0 0 14
        84 0 0 15\n 7 0 0 5\n 80 0 0 14\n 37 0 1 3\n 6 0 0 262144\n 6 0 0 0",
    )
    .unwrap();
    let mut packet = frame(&[], 0, 2, (1, 2));
    assert!(!wants(&program, &packet), "ip[5] is 1");
    packet[19] = 4;
    assert!(wants(&program, &packet));
    packet[0] = 3;
    assert!(!wants(&program, &packet));
}

/// What a program of these instructions returns for the packet 1, 2, … 8.
fn returned(instructions: &[(u16, u32)]) -> Option<u32> {
    let instructions: Vec<Instruction> = instructions
        .iter()
        .map(|&(code, k)| instruction(code, 0, 0, k))
        .collect();
    Program::new(&instructions).unwrap().run(&[1, 2, 3, 4, 5, 6, 7, 8], 99)
}

#[test]
fn each_instruction_does_what_its_page_says() {
    const RETURN_A: (u16, u32) = (0x16, 0);
    for (code, a, k, result) in [
        (0x04, 5, u32::MAX, Some(4)),
        (0x14, 5, 6, Some(u32::MAX)),
        (0x24, 1 << 31, 2, Some(0)),
        (0x34, 7, 2, Some(3)),
        (0x94, 7, 4, Some(3)),
        (0x44, 5, 2, Some(7)),
        (0x54, 6, 3, Some(2)),
        (0xa4, 6, 3, Some(5)),
        (0x64, 3, 2, Some(12)),
        (0x64, 3, 32, Some(0)),
        (0x74, 12, 2, Some(3)),
        (0x74, 12, 40, Some(0)),
    ] {
        assert_eq!(returned(&[(0x00, a), (code, k), RETURN_A]), result, "{code:#x} K");
        let by_x = [(0x01, k), (0x00, a), (code | 0x08, 0), RETURN_A];
        assert_eq!(returned(&by_x), result, "{code:#x} X");
    }
    for (steps, result) in [
        (&[(0x00, 9), (0x3c, 0), RETURN_A][..], None), // divided by X = 0
        (&[(0x00, 9), (0x9c, 0), RETURN_A], None),
        (&[(0x00, 1), (0x84, 0), RETURN_A], Some(u32::MAX)),
        (&[(0x20, 4), RETURN_A], Some(0x0506_0708)),
        (&[(0x20, 5), RETURN_A], None),
        (&[(0x28, 6), RETURN_A], Some(0x0708)),
        (&[(0x30, 8), RETURN_A], None),
        (&[(0x01, 3), (0x40, 1), RETURN_A], Some(0x0506_0708)),
        (&[(0x01, 3), (0x48, 0), RETURN_A], Some(0x0405)),
        (&[(0x01, 3), (0x50, 0), RETURN_A], Some(4)),
        (&[(0x01, u32::MAX), (0x50, 1), RETURN_A], None),
        (&[(0x80, 0), RETURN_A], Some(99)),
        (&[(0x81, 0), (0x87, 0), RETURN_A], Some(99)),
        (&[(0xb1, 4), (0x87, 0), RETURN_A], Some(20)), // 4 * (5 & 15)
        (&[(0x00, 7), (0x02, 15), (0x00, 0), (0x60, 15), RETURN_A], Some(7)),
        (
            &[(0x01, 7), (0x03, 2), (0x01, 0), (0x61, 2), (0x87, 0), RETURN_A],
            Some(7),
        ),
        (&[(0x60, 3), RETURN_A], Some(0)),
        (&[(0x00, 8), (0x07, 0), (0x00, 0), (0x87, 0), RETURN_A], Some(8)),
        (&[(0x05, 1), (0x06, 1), (0x06, 2)], Some(2)),
    ] {
        assert_eq!(returned(steps), result, "{steps:x?}");
    }
    for (code, k, yes) in [
        (0x15, 5, true),
        (0x15, 4, false),
        (0x25, 5, false),
        (0x25, 4, true),
        (0x35, 5, true),
    ] {
        let program = |code, k| {
            Program::new(&[
                instruction(0x01, 0, 0, k),
                instruction(0x00, 0, 0, 5),
                instruction(code, 0, 1, k),
                instruction(0x06, 0, 0, 1),
                instruction(0x06, 0, 0, 0),
            ])
        };
        assert_eq!(program(code, k).unwrap().wants(&[], 0), yes, "{code:#x} {k}");
        assert_eq!(program(code | 8, k).unwrap().wants(&[], 0), yes, "{code:#x} X = {k}");
    }
    assert!(Program::new(&[
        instruction(0x00, 0, 0, 6),
        instruction(0x45, 0, 1, 4),
        instruction(0x06, 0, 0, 1),
        instruction(0x06, 0, 0, 0)
    ])
    .unwrap()
    .wants(&[], 0));
}

#[test]
fn a_program_that_could_go_wrong_is_refused() {
    let end = instruction(0x06, 0, 0, 1);
    let refused = |instructions: &[Instruction], why: &str| {
        let error = Program::new(instructions).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    refused(&[], "1 to 4096 instructions");
    refused(&vec![end; 4_097], "1 to 4096 instructions");
    assert!(Program::new(&vec![end; 4_096]).is_ok());
    refused(&[end, instruction(0x00, 0, 0, 1)], "instruction 1 is no return");
    refused(&[instruction(0x05, 0, 0, 1), end], "instruction 0 jumps");
    refused(&[instruction(0x05, 0, 0, u32::MAX), end], "instruction 0 jumps");
    refused(&[instruction(0x15, 1, 0, 1), end], "instruction 0 jumps");
    refused(&[instruction(0x15, 0, 1, 1), end], "instruction 0 jumps");
    refused(&[instruction(0x60, 0, 0, 16), end], "scratch cell");
    refused(&[instruction(0x02, 0, 0, 16), end], "scratch cell");
    refused(&[instruction(0x34, 0, 0, 0), end], "divides by zero");
    refused(&[instruction(0x94, 0, 0, 0), end], "divides by zero");
    refused(&[instruction(0xff, 0, 0, 0), end], "none of classic BPF");
    refused(&[instruction(0x106, 0, 0, 0), end], "none of classic BPF");
    // tcpdump -y EN10MB inbound: { 0x28, 0, 0, 0xfffff004 }
    refused(&[instruction(0x28, 0, 0, 0xffff_f004), end], "only the kernel knows");
}

proptest! {
    #[test]
    fn what_is_accepted_ends(
        codes in proptest::collection::vec((0_u16..0x100, 0_u8..6, 0_u8..6, prop_oneof![0_u32..40, any::<u32>()]), 1..40),
        packet in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut instructions: Vec<Instruction> =
            codes.into_iter().map(|(code, jt, jf, k)| instruction(code, jt, jf, k)).collect();
        // Of what chance makes little is accepted whole: what is refused goes.
        let end = instruction(0x06, 0, 0, 1);
        instructions.push(end);
        while let Err(why) = Program::new(&instructions) {
            let at: usize = why.split(' ').nth(1).unwrap().parse().unwrap();
            instructions[at] = end;
        }
        Program::new(&instructions).unwrap().wants(&packet, 100);
    }
}
