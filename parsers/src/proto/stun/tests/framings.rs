//! STUN, TURN and media in the framings of TCP: at every split point, after holes, and what only looks like them.

use super::*;

/// MS-TURN 2.1.4.
fn framed(kind: u8, body: &str) -> Vec<u8> {
    let body = hex(body);
    [&[kind, 0][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
}

/// RFC 4571 2.
fn with_length(body: &str) -> Vec<u8> {
    let body = hex(body);
    [&u16::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

#[test]
fn three_framings_over_tcp() {
    let relay = [(A, framed(2, ALLOCATE)), (B, framed(2, ALLOCATE_401))];
    let bare = [(A, hex(BINDING)), (B, hex(BINDING_OK))];
    let prefixed = [(A, with_length(BINDING)), (B, with_length(BINDING_OK))];
    let table = [
        (relay, "ms-turn-tcp", Service::Turn),
        (bare, "tcp", Service::Stun),
        (prefixed, "rfc4571", Service::Stun),
    ];
    for (turns, framing, service) in table {
        let turns: Vec<(Side, &[u8])> = turns.iter().map(|(side, bytes)| (*side, &bytes[..])).collect();
        probe_waits(probe, turns[0].1);
        let told = every_split(Reader::new, &turns);
        assert_eq!(told.facts.services(), [service], "{framing}");
        assert_eq!(told.facts.pseudo_tls.frame, framing == "ms-turn-tcp");
        let stun = told.facts.stun.unwrap();
        assert!(stun.answered, "{framing}");
        assert_eq!(stun.framing, Some(framing));
        every_truncation(Reader::new, &turns);
    }
}

#[test]
fn several_units_in_one_segment() {
    let stream = [
        framed(2, SEND),
        framed(3, SRTP),
        framed(3, ""),
        framed(2, DATA_INDICATION),
    ]
    .concat();
    let told = every_split(Reader::new, &[(A, &stream)]);
    assert_eq!(told.consumed[0], stream.len());
    assert_eq!(
        (told.facts.services(), told.facts.rtp_packets),
        (&[Service::Turn][..], [1, 0])
    );

    // Channel data between messages, padded to four octets.
    let stream = [
        hex("000300002112a442000102030405060708090a0b"),
        hex("4001000501020304 05000000".replace(' ', "").as_str()),
        hex("000400002112a442000102030405060708090a0b"),
    ]
    .concat();
    let told = every_split(Reader::new, &[(A, &stream)]);
    assert_eq!((told.step, told.consumed[0]), (Step::More(stream.len()), stream.len()));
}

#[test]
fn media_between_peers_over_tcp_is_counted() {
    let packets = [
        SRTP.to_owned(),
        SRTP.replace("3039", "303a"),
        SRTP.replace("3039", "303b"),
    ];
    let media: Vec<u8> = packets.iter().flat_map(|packet| with_length(packet)).collect();
    let stream = [with_length(BINDING), media].concat();
    let told = every_split(Reader::new, &[(A, &stream)]);
    assert_eq!(
        (told.facts.services(), told.facts.rtp_packets),
        (&[Service::Stun, Service::Rtp][..], [3, 0])
    );
}

/// An RTP packet of PCMU (RFC 3550 5.1): 20 ms of `source`, in clear or not.
fn rtp(source: u8, sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    let timestamp = (u32::from(sequence) * 160).to_be_bytes();
    [
        &[0x80, 0][..],
        &[high, low],
        &timestamp,
        &[0, 0, 0, source],
        &[0x5a; 160],
    ]
    .concat()
}

fn in_frame(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes()[..], packet].concat()
}

#[test]
fn media_over_tcp_needs_no_check_before_it() {
    let report = [&[0x80, 201, 0, 1][..], &[0, 0, 0, 1]].concat();
    let packets = [rtp(1, 65535), rtp(2, 7), report, rtp(1, 0), rtp(1, 3)];
    let stream: Vec<u8> = packets.iter().flat_map(|packet| in_frame(packet)).collect();
    assert_eq!(probe(&stream), Probe::Yes);
    probe_waits(probe, &stream);
    let answer: Vec<u8> = (40..44).flat_map(|sequence| in_frame(&rtp(9, sequence))).collect();
    let told = every_split(Reader::new, &[(A, &stream), (B, &answer)]);
    assert_eq!(told.facts.services(), [Service::Rtp]);
    assert_eq!(told.facts.opener, None, "media tells nothing about who opened");
    every_truncation(Reader::new, &[(A, &stream), (B, &answer)]);
}

#[test]
fn what_only_looks_like_framed_media_is_none() {
    let stream = |packets: &[Vec<u8>]| -> Vec<u8> { packets.iter().flat_map(|packet| in_frame(packet)).collect() };
    assert_eq!(probe(&stream(&[rtp(1, 1), rtp(1, 2)])), Probe::More, "two are too few");
    assert_eq!(
        probe(&stream(&[rtp(1, 1), rtp(1, 2), rtp(1, 2)])),
        Probe::No,
        "a copy, which TCP has none of"
    );
    assert_eq!(probe(&stream(&[rtp(1, 1), rtp(1, 90)])), Probe::No, "far ahead");
    let many: Vec<Vec<u8>> = (0..30).map(|n| rtp(n, 5)).collect();
    assert_eq!(probe(&stream(&many)), Probe::No, "each of another source");
    let mut second = rtp(1, 2);
    second[0] = 0x40;
    assert_eq!(probe(&stream(&[rtp(1, 1), second])), Probe::No, "version 1");
    assert_eq!(probe(&[0x20, 0x00, 0x80, 0, 0, 1]), Probe::No, "longer than any packet");
}

#[test]
fn a_frame_that_lies_breaks_the_stream() {
    let good = framed(2, ALLOCATE);
    let mut lying = good.clone();
    lying[3] += 1;
    lying.push(0);
    assert_eq!(probe(&lying), Probe::No);
    for bad in [&lying[..], &[4, 0, 0, 4], &[2, 1, 0, 4]] {
        let stream = [&good, bad].concat();
        assert_eq!(tell(&mut Reader::new(), [(A, &stream[..])]).step, Step::Broken);
    }
}

#[test]
fn after_pseudo_tls_a_frame_header_is_enough() {
    assert_eq!(probe_after_pseudo_tls(&[3, 0, 0, 0]), Probe::Yes);
    probe_waits(probe_after_pseudo_tls, &framed(2, ALLOCATE));
    assert_eq!(probe_after_pseudo_tls(&[0x16, 3, 1]), Probe::No);
    assert_eq!(probe(&[3, 0, 0, 0, 3, 0, 0, 0]), Probe::No, "nothing on its own");
}

#[test]
fn a_session_joined_late_needs_two_frames_of_one_source() {
    let one = framed(3, SRTP);
    assert_eq!(probe(&one), Probe::More);
    assert_eq!(probe(&[&one[..], &one].concat()), Probe::Yes);
    let other = framed(3, &SRTP.replace("abcd", "abce"));
    assert_eq!(probe(&[&one[..], &other].concat()), Probe::No);
    // A TPKT with an X.224 Connection Request (RDP).
    assert_eq!(probe(&hex("030000130ee000000000000100080003000000")), Probe::No);
    let told = tell(&mut Reader::new(), [(A, &[&one[..], &one].concat()[..])]);
    assert_eq!(told.facts.services(), [Service::Turn]);
    assert_eq!(told.facts.rtp_packets, [2, 0]);
}

#[test]
fn after_a_hole_the_next_sure_frame_goes_on() {
    let mut reader = Reader::new();
    let mut facts = Facts::default();
    let first = framed(2, SEND);
    with_context(&mut facts, |context| reader.advance(A, &first, context));
    assert!(reader.gap(A, 1000));
    let noise = [&hex(SRTP)[..], &[2, 0, 0, 44, 0, 3], &framed(2, ALLOCATE)].concat();
    let step = with_context(&mut facts, |context| reader.advance(A, &noise, context));
    assert_eq!(step, Step::More(noise.len()));
    let answer = framed(2, ALLOCATE_401);
    let step = with_context(&mut facts, |context| reader.advance(B, &answer, context));
    assert_eq!(step, Step::Done, "the request after the hole was read and is answered");

    let mut reader = Reader::new();
    with_context(&mut facts, |context| {
        reader.advance(A, &first[..first.len() - 10], context)
    });
    assert!(
        reader.gap(A, 10),
        "the hole is the rest of a message that was dropped anyway"
    );
    assert!(!Reader::new().gap(A, 10), "nothing is known yet");
}

/// A snap length of 96 leaves 42 octets of each segment, 32 of which name a message of MS-TURN (2.1.4, 2.2.2.8).
#[test]
fn a_cut_message_is_known_by_its_head() {
    let (asked, refused) = (framed(2, ALLOCATE), framed(2, ALLOCATE_401));
    for (kept, version) in [(32, None), (42, Some(2))] {
        let told = every_split(Reader::new, &[(A, &asked[..kept]), (B, &refused[..kept])]);
        assert_eq!(
            (told.facts.services(), told.facts.opener),
            (&[Service::Turn][..], Some(A))
        );
        assert!(told.facts.pseudo_tls.frame);
        let stun = told.facts.stun.unwrap();
        assert_eq!(
            (stun.method, stun.answered, stun.ms_version),
            (Some("allocate"), true, version)
        );
    }
    assert_eq!(every_split(Reader::new, &[(A, &asked[..31])]).facts.services(), []);
    let check = with_length(BINDING);
    let told = every_split(Reader::new, &[(A, &check[..42])]);
    assert_eq!((told.facts.services(), told.facts.opener), (&[Service::Stun][..], None));
}

#[test]
fn enough_is_enough() {
    let frame = framed(3, SRTP);
    let told = tell(&mut Reader::new(), [(A, &frame.repeat(300)[..])]);
    assert_eq!((told.step, told.facts.rtp_packets), (Step::Done, [255, 0]));
}

#[test]
fn rfc_5766_turn_over_tcp_is_not_microsofts() {
    let told = tell(
        &mut Reader::new(),
        [(
            A,
            &hex("000300082112a4420001020304050607080 90a0b0019000411000000"
                .replace(' ', "")
                .as_str())[..],
        )],
    );
    let stun = told.facts.stun.unwrap();
    assert_eq!(
        (stun.ms_turn, stun.framing, stun.method),
        (false, Some("tcp"), Some("allocate"))
    );
}

#[test]
fn allocates_of_a_connection_are_not_counted() {
    let turns = [(A, framed(2, ALLOCATE))];
    let turns: Vec<(Side, &[u8])> = turns.iter().map(|(side, turn)| (*side, turn.as_slice())).collect();
    let told = every_split(Reader::new, &turns);
    assert_eq!(told.facts.stun.unwrap().allocates.total(0), 0);
}
