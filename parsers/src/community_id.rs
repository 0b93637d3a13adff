//! Community ID version 1 with seed 0: one short name of a flow that Zeek, Suricata, Arkime and Elasticsearch compute
//! alike (github.com/corelight/community-id-spec).
//!
//! SHA-1 over seed, lower end, upper end, protocol, padding and ports; the order of the ends makes both directions equal.
//! ICMP has no ports: the type and the type of its answer stand in for them, or type and code where nothing answers;
//! such one-way flows keep their direction. The same pair is the key of an ICMP flow.

use std::net::IpAddr;

use sha1::{Digest, Sha1};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP_V6: u8 = 58;
const SCTP: u8 = 132;

/// The pair that stands for the ports of an ICMP message (IP `version` 4 or 6), as seen from its sender, and whether it is
/// one-way: (type, type of the counterpart, false) or (type, code, true).
pub fn icmp_ports(version: u8, kind: u8, code: u8) -> (u16, u16, bool) {
    let counterpart = if version == 6 {
        counterpart_v6(kind)
    } else {
        counterpart_v4(kind)
    };
    match counterpart {
        Some(other) => (u16::from(kind), u16::from(other), false),
        None => (u16::from(kind), u16::from(code), true),
    }
}

/// RFC 792 (echo, timestamp, information), RFC 1256 (router), RFC 950 (mask).
fn counterpart_v4(kind: u8) -> Option<u8> {
    Some(match kind {
        0 => 8,
        8 => 0,
        9 => 10,
        10 => 9,
        13 => 14,
        14 => 13,
        15 => 16,
        16 => 15,
        17 => 18,
        18 => 17,
        _ => return None,
    })
}

/// RFC 4443 (echo), RFC 2710 (listener), RFC 4861 (router, neighbour), RFC 4620 (node information), RFC 6275 (home agent).
fn counterpart_v6(kind: u8) -> Option<u8> {
    Some(match kind {
        128 => 129,
        129 => 128,
        130 => 131,
        131 => 130,
        133 => 134,
        134 => 133,
        135 => 136,
        136 => 135,
        139 => 140,
        140 => 139,
        144 => 145,
        145 => 144,
        _ => return None,
    })
}

/// "1:" and 28 characters. `ports` are those of source and destination; for ICMP the pair of `icmp_ports`, for protocols
/// without ports they are ignored.
pub fn community_id(source: IpAddr, destination: IpAddr, protocol: u8, ports: (u16, u16)) -> String {
    let one_way = match protocol {
        ICMP => counterpart_v4(low_octet(ports.0)).is_none(),
        ICMP_V6 => counterpart_v6(low_octet(ports.0)).is_none(),
        _ => false,
    };
    let has_ports = matches!(protocol, ICMP | TCP | UDP | ICMP_V6 | SCTP);
    let (from, to) = ((source, ports.0), (destination, ports.1));
    let swap = !one_way && if has_ports { to < from } else { destination < source };
    let (low, high) = if swap { (to, from) } else { (from, to) };

    let mut hash = Sha1::new();
    hash.update([0, 0]);
    for (address, _) in [low, high] {
        match address {
            IpAddr::V4(address) => hash.update(address.octets()),
            IpAddr::V6(address) => hash.update(address.octets()),
        }
    }
    hash.update([protocol, 0]);
    if has_ports {
        hash.update(low.1.to_be_bytes());
        hash.update(high.1.to_be_bytes());
    }
    let mut out = String::with_capacity(30);
    out.push_str("1:");
    push_base64(&hash.finalize(), &mut out);
    out
}

/// An ICMP type; a number that is none has no counterpart either.
fn low_octet(port: u16) -> u8 {
    u8::try_from(port).unwrap_or(u8::MAX)
}

/// RFC 4648 4, with padding.
fn push_base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| {
            bits << 8 | u32::from(group.get(at).copied().unwrap_or(0))
        });
        for place in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * place) & 63) as usize).copied();
            out.push(if place <= group.len() {
                char::from(digit.unwrap_or(b'='))
            } else {
                '='
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(protocol: u8, source: &str, destination: &str, ports: (u16, u16)) -> String {
        community_id(source.parse().unwrap(), destination.parse().unwrap(), protocol, ports)
    }

    /// The specification's baseline (baseline/baseline_deflt.json).
    #[test]
    fn agrees_with_the_baseline() {
        for (protocol, source, destination, ports, expected) in [
            (
                58,
                "fe80::200:86ff:fe05:80da",
                "fe80::260:97ff:fe07:69ea",
                (135, 136),
                "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=",
            ),
            (
                58,
                "fe80::260:97ff:fe07:69ea",
                "fe80::200:86ff:fe05:80da",
                (136, 135),
                "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=",
            ),
            (
                58,
                "fe80::260:97ff:fe07:69ea",
                "fe80::200:86ff:fe05:80da",
                (135, 136),
                "1:zavyT/cezQr1fmImYCwYnMXbgck=",
            ),
            (
                58,
                "fe80::200:86ff:fe05:80da",
                "fe80::260:97ff:fe07:69ea",
                (136, 135),
                "1:zavyT/cezQr1fmImYCwYnMXbgck=",
            ),
            (
                58,
                "3ffe:501:1800:2345::2",
                "3ffe:507:0:1:200:86ff:fe05:80da",
                (3, 0),
                "1:2ObVBgIn28oZvibYZhZMBgh7WdQ=",
            ),
            (
                58,
                "3ffe:501:410:0:2c0:dfff:fe47:33e",
                "3ffe:507:0:1:200:86ff:fe05:80da",
                (1, 4),
                "1:hLZd0XGWojozrvxqE0dWB1iM6R0=",
            ),
            (
                58,
                "3ffe:507:0:1:200:86ff:fe05:80da",
                "3ffe:501:0:1001::2",
                (128, 129),
                "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg=",
            ),
            (
                58,
                "3ffe:501:0:1001::2",
                "3ffe:507:0:1:200:86ff:fe05:80da",
                (129, 128),
                "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg=",
            ),
            (
                58,
                "fe80::200:86ff:fe05:80da",
                "ff02::2",
                (133, 134),
                "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0=",
            ),
            (
                58,
                "fe80::260:97ff:fe07:69ea",
                "ff02::1",
                (134, 133),
                "1:pkvHqCL88/tg1k4cPigmZXUtL00=",
            ),
            (
                1,
                "192.168.0.89",
                "192.168.0.1",
                (8, 0),
                "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=",
            ),
            (
                1,
                "192.168.0.1",
                "192.168.0.89",
                (0, 8),
                "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=",
            ),
            (1, "10.0.0.1", "10.0.0.2", (11, 0), "1:YHxtAirCG//0OzkcVAukqKQN9xM="),
            (
                6,
                "2001:470:e5bf:dead:4957:2174:e82c:4887",
                "2607:f8b0:400c:c03::1a",
                (63943, 25),
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
            ),
            (
                6,
                "2607:f8b0:400c:c03::1a",
                "2001:470:e5bf:dead:4957:2174:e82c:4887",
                (25, 63943),
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
            ),
            (
                132,
                "192.168.170.8",
                "192.168.170.56",
                (7, 7),
                "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=",
            ),
            (
                132,
                "192.168.170.56",
                "192.168.170.8",
                (7, 7),
                "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=",
            ),
            (
                6,
                "128.232.110.120",
                "66.35.250.204",
                (34855, 80),
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                6,
                "66.35.250.204",
                "128.232.110.120",
                (80, 34855),
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                17,
                "192.168.1.52",
                "8.8.8.8",
                (54585, 53),
                "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
            ),
            (
                17,
                "8.8.8.8",
                "192.168.1.52",
                (53, 54585),
                "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
            ),
            (46, "10.1.12.1", "10.1.12.2", (0, 0), "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
            (46, "10.1.12.2", "10.1.12.1", (0, 0), "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
        ] {
            assert_eq!(
                id(protocol, source, destination, ports),
                expected,
                "{protocol} {source} {destination}"
            );
        }
    }

    /// What tshark 4.0.17 says of ICMP messages between 10.0.0.1 and 10.0.0.2, 2001:db8::1 and ::2 (type, code, towards
    /// the higher address, towards the lower one).
    #[test]
    fn agrees_with_tshark_on_icmp() {
        for (version, kind, code, up, down) in [
            (
                4,
                9,
                3,
                "1:DYhYhWnv1hFRoB3VRnwSDthRB4g=",
                "1:qhJTvE/Qez7ZPSOGlcKJAzRpSO0=",
            ),
            (
                4,
                10,
                0,
                "1:qhJTvE/Qez7ZPSOGlcKJAzRpSO0=",
                "1:DYhYhWnv1hFRoB3VRnwSDthRB4g=",
            ),
            (
                4,
                17,
                0,
                "1:pBxqyIdNW2nuGKUHpPBwrujq1iE=",
                "1:l/VKACLiArrnbEnOQacsEqDOAlg=",
            ),
            (
                6,
                1,
                0,
                "1:SigGRUfKLNEctsQnJdQQedPPjJQ=",
                "1:r6+XGrcyPPct/nIqqPsKcnSjSH8=",
            ),
            (
                6,
                1,
                3,
                "1:7yPtShFeMQfYkMXVGzTio+ezsK8=",
                "1:R/7STGRD8sPBsWVFLpjOBGt08QE=",
            ),
            (
                6,
                130,
                3,
                "1:00K5zJ2eLsDMSeSVZcN3NeAa3kQ=",
                "1:xps6Lwc0qSxO2d8X+k4jnhqfpP0=",
            ),
            (
                6,
                137,
                3,
                "1:7KyiZVd7iA7F4gXqBqT5YXTRYMU=",
                "1:cFCgWbdSVn1kBP+hDxrx1Ruoexc=",
            ),
            (
                6,
                139,
                0,
                "1:Sk22M0RiSzqPc3Ud7RgLkieiFvo=",
                "1:EyvsTyxh629HwHG1XyqvKuccnPM=",
            ),
            (
                6,
                144,
                0,
                "1:ms66bqjCiS0Nx3DNXCp9wH22xNw=",
                "1:tpS7VP1V1DNOq0L6LOxDDupNGcA=",
            ),
        ] {
            let (low, high, protocol) = if version == 4 {
                ("10.0.0.1", "10.0.0.2", 1)
            } else {
                ("2001:db8::1", "2001:db8::2", 58)
            };
            let (from, to, _) = icmp_ports(version, kind, code);
            assert_eq!(id(protocol, low, high, (from, to)), up, "type {kind} code {code}");
            assert_eq!(id(protocol, high, low, (from, to)), down, "type {kind} code {code}");
        }
    }

    #[test]
    fn counterparts_answer_each_other() {
        for version in [4, 6] {
            let two_way: Vec<u8> = (0..=255).filter(|kind| !icmp_ports(version, *kind, 3).2).collect();
            assert_eq!(two_way.len(), if version == 4 { 10 } else { 12 });
            for kind in two_way {
                let (from, to, _) = icmp_ports(version, kind, 3);
                assert_eq!(icmp_ports(version, to as u8, 0), (to, from, false));
            }
        }
        assert_eq!(
            icmp_ports(4, 3, 10),
            (3, 10, true),
            "unreachable, administratively prohibited: by code"
        );
        assert_eq!(icmp_ports(6, 8, 0), (8, 0, true), "IPv4's echo is nothing in IPv6");
    }

    /// RFC 4648 10.
    #[test]
    fn base64_of_the_standard() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
        ] {
            let mut out = String::new();
            push_base64(bytes, &mut out);
            assert_eq!(out, expected);
        }
    }
}
