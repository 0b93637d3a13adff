//! User messages in an SCTP packet (RFC 9260): DATA chunks, and the I-DATA chunks of RFC 8260.
//!
//! Strategy: no reassembly. A message that came in one chunk is whole; of one in several chunks the first is given, as a
//! datagram cut by a short snapshot would be: what it is stands at its beginning. Later pieces are skipped, since where
//! they belong is only known with the pieces before them. A chunk whose length cannot be ends the walk.

/// RFC 9260 §3.3.1.
const DATA: u8 = 0;
/// RFC 8260 §2.1.
const I_DATA: u8 = 64;
/// Of a chunk's flags: the first piece of a user message.
const BEGINNING: u8 = 2;

/// What the chunks of one packet (behind the common header) begin to say, one item a message, none of them empty.
pub fn messages(chunks: &[u8]) -> Messages<'_> {
    Messages { rest: chunks }
}

pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let &[kind, flags, high, low, ..] = self.rest else {
                return None;
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < 4 {
                self.rest = &[];
                return None;
            }
            // A chunk cut by the snapshot ends with the packet; RFC 9260 §3.2: padded to four octets.
            let chunk = self.rest.get(..length).unwrap_or(self.rest);
            self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            let header = match kind {
                DATA => 16,
                I_DATA => 20,
                _ => continue,
            };
            match chunk.get(header..) {
                Some(message) if flags & BEGINNING != 0 && !message.is_empty() => return Some(message),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(kind: u8, flags: u8, header: usize, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, flags];
        bytes.extend(u16::try_from(header + data.len()).unwrap().to_be_bytes());
        bytes.resize(header, 0x55);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn read(chunks: &[u8]) -> Vec<&[u8]> {
        messages(chunks).collect()
    }

    #[test]
    fn whole_messages_and_beginnings_are_given_later_pieces_are_not() {
        let mut bytes = chunk(3, 0, 16, b""); // SACK
        for (flags, data) in [
            (3, "whole"),
            (7, "unordered"),
            (2, "begins"),
            (0, "goes on"),
            (1, "ends"),
        ] {
            bytes.extend(chunk(DATA, flags, 16, data.as_bytes()));
        }
        bytes.extend(chunk(I_DATA, 3, 20, b"interleaved"));
        assert_eq!(
            read(&bytes),
            [b"whole".as_slice(), b"unordered", b"begins", b"interleaved"]
        );
    }

    #[test]
    fn what_was_cut_is_given_as_far_as_it_goes() {
        let bytes = chunk(DATA, 3, 16, b"INVITE sip:");
        assert_eq!(read(&bytes[..20]), [b"INVI"]);
        for cut in 0..=16 {
            assert_eq!(read(&bytes[..cut]), [b""; 0], "{cut}");
        }
    }

    #[test]
    fn padding_is_no_message_and_a_length_that_cannot_be_ends_the_walk() {
        assert_eq!(read(&chunk(DATA, 3, 16, b"a")), [b"a"]);
        assert_eq!(read(&chunk(DATA, 3, 16, b"")), [b""; 0]);
        let mut bytes = vec![DATA, 3, 0, 3];
        bytes.extend(chunk(DATA, 3, 16, b"behind"));
        assert_eq!(read(&bytes), [b""; 0]);
    }

    proptest! {
        #[test]
        fn any_octets_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(messages(&bytes).map(<[u8]>::len).sum::<usize>() <= bytes.len());
        }
    }
}
