//! What TLS is told by: hellos of every version, sessions joined late, and what only looks like them.

use super::*;

#[test]
fn probes_wait_as_long_as_they_must() {
    probe_waits(probe, &mutual()[0].1);
    probe_waits(probe, &mutual()[1].1);
    probe_waits(probe, &record(record::ALERT, &[2, 40]));
    probe_waits(probe, &record(record::APPLICATION_DATA, &[0; 30]));
}

#[test]
fn what_only_looks_like_tls() {
    // MS-TURN's greetings, whatever the free octets; Google's.
    let hello = unhex(&format!("160301002d010000290301{}00000200180100", "ab".repeat(32)));
    let reply = unhex(&format!(
        "160301004e020000460301{}20{}0018000e000000",
        "ab".repeat(32),
        "cd".repeat(32)
    ));
    assert_eq!((hello.len(), reply.len()), (50, 83));
    for greeting in [hello, reply] {
        assert_eq!(probe(&greeting), Probe::No);
        assert_eq!(probe(&[greeting.as_slice(), &[2, 0, 0, 44]].concat()), Probe::No);
        assert_eq!(probe(&greeting[..40]), Probe::More);
    }
    let google = unhex(
        "8046010301002d0000001001008003008007 00c0060040020080040080000004 00feff00000a00fefe00000900006400006200
         00030000061f170ca62f0078fc46552eb18339f1ea",
    );
    assert_eq!(google.len(), 72);
    assert_eq!(probe(&google), Probe::No);
    // Old Skype: empty records, then octets that are none; an old hello with more behind it.
    assert_eq!(probe(&unhex("1603010000")), Probe::No);
    assert_eq!(probe(&unhex("1703010000")), Probe::No);
    let old = unhex("802e0100020015000000100700c00500800300800100800600400400800200801c30e2b12f4c04525476f280c07abee5");
    assert_eq!(probe(&[old.as_slice(), &[0x4c]].concat()), Probe::No);
    // TURN framing, SSH, HTTP, SIP.
    for other in [
        &b"\x02\x00\x00\x2c"[..],
        b"SSH-2.0-x",
        b"GET / HTTP/1.1",
        b"OPTIONS sip:a SIP/2.0",
    ] {
        assert_eq!(probe(other), Probe::No);
    }
    // One sound record and something else behind it.
    let data = record(record::APPLICATION_DATA, &[0; 4]);
    assert_eq!(probe(&[data.as_slice(), b"junk!"].concat()), Probe::No);
}

/// Ordinary hellos that share their first octets with MS-TURN's: the same lengths, another suite or version.
#[test]
fn minimal_hellos_are_tls() {
    for (version, suite) in [("0301", "0005"), ("0301", "0019"), ("0303", "0018"), ("0303", "002f")] {
        let hello = unhex(&format!(
            "160301002d01000029{version}{}000002{suite}0100",
            "ab".repeat(32)
        ));
        assert_eq!(hello.len(), 50);
        probe_waits(probe, &hello);
        let told = every_split(Reader::new, &[(Side::A, &hello)]);
        assert!(tls(&told).client_hello);
    }
}

#[test]
fn drafts_of_1_3_count_as_1_3() {
    // Draft 19: the version in the fixed part, no session id, no compression.
    let early = message(
        hello::SERVER_HELLO,
        &[&[0x7f, 0x13][..], &[8; 32], &[0x13, 1, 0, 0]].concat(),
    );
    let late = [&[3, 3][..], &[8; 32], &[0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 0x7f, 0x1c]].concat();
    for hello in [early, message(hello::SERVER_HELLO, &late)] {
        let hello = record(record::HANDSHAKE, &hello);
        assert_eq!(probe(&hello), Probe::Yes);
        let told = every_split(Reader::new, &[(Side::B, &hello)]);
        assert_eq!((tls(&told).version, tls(&told).cipher), (0x0304, Some(0x1301)));
    }
}

/// SSL 2.0 hellos of a public capture (zeek, ssl-v2.trace); the certificate is replaced by four octets.
#[test]
fn ssl_2() {
    let hello =
        unhex("802e0100020015000000100700c00500800300800100800600400400800200801c30e2b12f4c04525476f280c07abee5");
    probe_waits(probe, &hello);
    let server = unhex(
        "801a 04 00 01 0002 0004 0003 0008 30020500 010080 1122334455667788"
            .replace(' ', "")
            .as_str(),
    );
    let turns: Turns = vec![
        (Side::A, hello),
        (Side::B, server),
        (Side::A, unhex("80020200")),
        (Side::B, unhex("000807aabbccddeeff0011")),
        (Side::A, unhex("000807aabbccddeeff0011")),
        (Side::B, unhex("000807aabbccddeeff0011")),
    ];
    let told = every_split(Reader::new, &lend(&turns));
    let facts = tls(&told);
    assert!(facts.client_hello && facts.server_hello && facts.established && !facts.resumed);
    assert_eq!(
        (facts.version, facts.mutual, facts.server_chain.len()),
        (0x0002, Mutual::Unknown, 1)
    );
    assert_eq!(told.facts.opener, Some(Side::A));
}

#[test]
fn an_old_hello_may_open_a_later_version() {
    let hello =
        unhex("802e0103010015000000100700c00500800300800100800600400400800200801c30e2b12f4c04525476f280c07abee5");
    let flight = [server_hello(), message(hello::SERVER_HELLO_DONE, &[])].concat();
    let key = record(record::HANDSHAKE, &message(hello::CLIENT_KEY_EXCHANGE, &[1, 2]));
    let turns: Turns = vec![
        (Side::A, hello),
        (Side::B, record(record::HANDSHAKE, &flight)),
        (Side::A, key),
    ];
    let told = every_split(Reader::new, &lend(&turns));
    assert_eq!((tls(&told).version, tls(&told).mutual), (0x0303, Mutual::No));
}

#[test]
fn records_joined_late_are_tls_and_no_more() {
    let data = record(record::APPLICATION_DATA, &[9; 40]);
    assert_eq!(probe(&data), Probe::Yes);
    assert_eq!(probe(&data[..44]), Probe::More);
    let turns = [(Side::A, data.clone()), (Side::B, data)].to_vec();
    let told = told(&turns);
    assert_eq!(told.step, Step::Done);
    assert!(told.facts.has(Service::Tls));
    let facts = tls(&told);
    assert!(!facts.client_hello && !facts.server_hello && !facts.established && told.facts.opener.is_none());
}
