//! Fixed greetings that look like TLS and are not, told from it octet by octet.
//!
//! MS-TURN 2.1.1 opens its TCP connections with a ClientHello and a ServerHello whose every octet but the randoms is
//! given; Google's clients (libjingle, WebRTC "ssltcp") do the same with constants, in SSLv2 form. Nothing is encrypted
//! behind either. A pattern is a list of stretches that must be equal; what lies between them is free.

/// How far a pattern and the octets at hand agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// All of it is there; more octets may follow.
    Whole,
    /// Equal as far as the octets go.
    Prefix,
    Differs,
}

#[derive(Debug)]
pub struct Pattern {
    pub length: usize,
    /// (offset, octets), ascending.
    fixed: &'static [(usize, &'static [u8])],
}

/// Record, ClientHello, version 1.0; 32 free octets (time, random); no session id, the single suite 0x0018, null
/// compression, no extensions.
pub const MS_TURN_HELLO: Pattern = Pattern {
    length: 50,
    fixed: &[
        (0, &[0x16, 0x03, 0x01, 0x00, 0x2d, 0x01, 0x00, 0x00, 0x29, 0x03, 0x01]),
        (43, &[0x00, 0x00, 0x02, 0x00, 0x18, 0x01, 0x00]),
    ],
};

/// One record with ServerHello (32 free octets of random, 32 of session id) and ServerHelloDone.
pub const MS_TURN_REPLY: Pattern = Pattern {
    length: 83,
    fixed: &[
        (0, &[0x16, 0x03, 0x01, 0x00, 0x4e, 0x02, 0x00, 0x00, 0x46, 0x03, 0x01]),
        (43, &[0x20]),
        (76, &[0x00, 0x18, 0x00, 0x0e, 0x00, 0x00, 0x00]),
    ],
};

/// SSLv2-style hello of Google's clients. The challenge at its end is constant there; leaving it free would take real
/// SSLv2-style hellos with the same suites for an imitation.
pub const GOOGLE_HELLO: Pattern = Pattern {
    length: 72,
    fixed: &[
        (0, &[0x80, 0x46, 0x01, 0x03, 0x01, 0x00, 0x2d, 0x00, 0x00, 0x00, 0x10]),
        (
            56,
            &[
                0x1f, 0x17, 0x0c, 0xa6, 0x2f, 0x00, 0x78, 0xfc, 0x46, 0x55, 0x2e, 0xb1, 0x83, 0x39, 0xf1, 0xea,
            ],
        ),
    ],
};

/// The answer: a ServerHello alone in its record, with suite 0x0004 and a constant time and random.
pub const GOOGLE_REPLY: Pattern = Pattern {
    length: 79,
    fixed: &[
        (0, &[0x16, 0x03, 0x01, 0x00, 0x4a, 0x02, 0x00, 0x00, 0x46, 0x03, 0x01]),
        (
            11,
            &[
                0x42, 0x85, 0x45, 0xa7, 0x27, 0xa9, 0x5d, 0xa0, 0xb3, 0xc5, 0xe7, 0x53, 0xda, 0x48, 0x2b, 0x3f,
            ],
        ),
        (76, &[0x00, 0x04, 0x00]),
    ],
};

pub const ALL: [&Pattern; 4] = [&MS_TURN_HELLO, &MS_TURN_REPLY, &GOOGLE_HELLO, &GOOGLE_REPLY];

impl Pattern {
    pub fn compare(&self, bytes: &[u8]) -> Likeness {
        for (offset, expected) in self.fixed {
            let there = bytes.get(*offset..).unwrap_or_default();
            if there.iter().zip(*expected).any(|(byte, wanted)| byte != wanted) {
                return Likeness::Differs;
            }
        }
        if bytes.len() >= self.length {
            Likeness::Whole
        } else {
            Likeness::Prefix
        }
    }
}
