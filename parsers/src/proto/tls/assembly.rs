//! Handshake messages out of record fragments: several messages in one fragment, one message over many.
//!
//! A message that lies whole in the fragment at hand is lent from there; only one that spans fragments is copied, and
//! only of the kinds that are read. What is not read is counted past. Lost octets inside a message cost its content, not
//! the place of the messages after it.

use super::hello::{CERTIFICATE, CLIENT_HELLO, SERVER_HELLO};

/// Draft versions of TLS 1.3 had a message of its own for the retry.
pub const DRAFT_HELLO_RETRY: u8 = 6;

/// Longest message that is put together: what OpenSSL accepts as a peer's certificate chain (100 KiB), the longest thing
/// of interest. The length field alone would allow 16 MiB.
pub const LONGEST: usize = 100 * 1_024;

const HEADER: usize = 4;

#[derive(Debug, Default)]
pub struct Assembly {
    header: [u8; HEADER],
    /// Octets of the header that are there.
    filled: usize,
    /// Octets of the body still to come.
    missing: usize,
    body: Vec<u8>,
    holed: bool,
    /// `body` was lent by the last call; the next one begins afresh.
    delivered: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: u8,
    /// `None`: not of a kind that is read, too long, or octets of it were lost.
    pub body: Option<&'a [u8]>,
}

impl Assembly {
    /// Takes what it can from the front of `fragment`; the next message that this completes.
    pub fn next<'s, 'f: 's>(&'s mut self, fragment: &mut &'f [u8]) -> Option<Message<'s>> {
        if self.delivered {
            self.begin();
        }
        while self.filled < HEADER {
            let (first, rest) = fragment.split_first()?;
            *fragment = rest;
            if let Some(place) = self.header.get_mut(self.filled) {
                *place = *first;
            }
            self.filled += 1;
            if self.filled == HEADER {
                self.missing = self.length();
            }
        }
        let [kind, ..] = self.header;
        let wanted = self.is_wanted();
        if wanted && !self.holed && self.body.is_empty() && self.missing == self.length() {
            if let Some((body, rest)) = fragment.split_at_checked(self.missing) {
                *fragment = rest;
                self.begin();
                return Some(Message { kind, body: Some(body) });
            }
        }
        let (part, rest) = fragment.split_at_checked(self.missing).unwrap_or((fragment, &[]));
        *fragment = rest;
        self.missing = self.missing.saturating_sub(part.len());
        if wanted && !self.holed {
            self.body.extend_from_slice(part);
        }
        if self.missing > 0 {
            return None;
        }
        if wanted && !self.holed {
            self.delivered = true;
            return Some(Message {
                kind,
                body: Some(&self.body),
            });
        }
        self.begin();
        Some(Message { kind, body: None })
    }

    /// The kind of the message in progress, as soon as its first octet is there.
    pub fn kind(&self) -> Option<u8> {
        let [kind, ..] = self.header;
        (self.filled > 0).then_some(kind)
    }

    /// Kind and first octets of a message that is not whole yet.
    pub fn partial(&self) -> Option<(u8, &[u8])> {
        let [kind, ..] = self.header;
        (self.missing > 0 && !self.body.is_empty()).then_some((kind, self.body.as_slice()))
    }

    /// `lost` octets are missing here. False = the messages that follow cannot be told apart any more.
    pub fn hole(&mut self, lost: usize) -> bool {
        if self.filled < HEADER || self.missing < lost {
            return false;
        }
        self.missing -= lost;
        self.holed = true;
        self.body = Vec::new();
        true
    }

    /// Octets held.
    pub fn memory(&self) -> usize {
        self.body.capacity()
    }

    fn begin(&mut self) {
        self.filled = 0;
        self.missing = 0;
        self.holed = false;
        self.delivered = false;
        self.body = Vec::new();
    }

    fn length(&self) -> usize {
        let [_, high, middle, low] = self.header;
        usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)
    }

    fn is_wanted(&self) -> bool {
        let [kind, ..] = self.header;
        matches!(kind, CLIENT_HELLO | SERVER_HELLO | DRAFT_HELLO_RETRY | CERTIFICATE) && self.length() <= LONGEST
    }
}
