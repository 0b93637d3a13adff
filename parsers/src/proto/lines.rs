//! Conversations of command and reply, a line each, that may turn into TLS: what SMTP, FTP, IMAP and POP3 share. A dialect
//! says what a line means; this file follows both sides and knows none of them.
//!
//! Strategy: only three things matter: who is the client, whether it asked for TLS, whether the server agreed. Between the
//! two the client's octets are held, because behind an agreement they are TLS's.

use super::header::{self, Line, Waiting};
use super::{Context, Probe, Step, StreamReader};
use crate::facts::{Service, Side};

/// Lines of one side that are read: negotiations take some ten, long greetings and lists of capabilities some fifty.
const LINES: u16 = 256;

/// What a line says of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Nothing,
    /// The client wants TLS on this connection.
    Asks,
    /// Behind this line both sides speak TLS.
    Accepts,
    Refuses,
    /// It is too late for TLS: nothing more to learn.
    Over,
}

/// What is known when the server speaks.
#[derive(Debug, Default, Clone, Copy)]
pub struct Known {
    /// The client asked for TLS and waits for the answer.
    pub asked: bool,
    /// A line of the client was read; in a capture of one direction there is none.
    pub client_spoke: bool,
}

pub trait Dialect: Default + Send + Sync {
    const SERVICE: Service;
    /// Whether a side that begins with this line is the server.
    fn greets(line: &[u8]) -> bool;
    fn client(&mut self, line: &[u8]) -> Said;
    fn server(&mut self, line: &[u8], known: Known) -> Said;
}

#[derive(Debug, Default)]
pub struct Reader<D> {
    dialect: D,
    client: Option<Side>,
    known: Known,
    lines: [u16; 2],
    waiting: [Waiting; 2],
}

impl<D: Dialect> StreamReader for Reader<D> {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        let waiting = self.waiting.get(side.index());
        if waiting.is_some_and(|waiting| waiting.goes_on(bytes)) {
            return Step::More(0);
        }
        let step = self.read(side, bytes, context);
        if let (Step::More(taken), Some(waiting)) = (step, self.waiting.get_mut(side.index())) {
            // What the client says while it waits for the answer was not looked at.
            let held = self.known.asked && self.client == Some(side);
            waiting.hold(if held { 0 } else { bytes.len().saturating_sub(taken) });
        }
        step
    }
}

impl<D: Dialect> Reader<D> {
    fn read(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        let mut consumed: usize = 0;
        loop {
            if self.known.asked && self.client == Some(side) {
                return Step::More(consumed);
            }
            let (line, length) = match header::start_line(bytes.get(consumed..).unwrap_or_default()) {
                Line::Whole(line, length) => (line, length),
                Line::More => return Step::More(consumed),
                Line::Long(_) | Line::End(_) => return Step::Broken,
            };
            consumed = consumed.saturating_add(length);
            let client = *self
                .client
                .get_or_insert(if D::greets(line) { side.other() } else { side });
            context.facts.recognise(D::SERVICE);
            context.facts.opened_by(client);
            let said = if client == side {
                self.known.client_spoke = true;
                self.dialect.client(line)
            } else {
                self.dialect.server(line, self.known)
            };
            match said {
                Said::Nothing => {}
                Said::Asks => self.known.asked = true,
                Said::Refuses => self.known.asked = false,
                Said::Accepts => return Step::Switch(consumed),
                Said::Over => return Step::Done,
            }
            let Some(lines) = self.lines.get_mut(side.index()) else {
                return Step::Broken;
            };
            *lines = lines.saturating_add(1);
            if *lines > LINES {
                return Step::Done;
            }
        }
    }
}

/// Whether it begins with these letters, in either case.
pub fn begins(line: &[u8], word: &[u8]) -> bool {
    line.get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}

pub fn contains(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// No control characters but tab; other alphabets in any encoding may stand in greetings.
pub fn is_text(line: &[u8]) -> bool {
    line.iter().all(|octet| matches!(octet, b'\t' | b' '..=b'~' | 0x80..))
}

/// Whether the bytes are, or still may become, one of these words and the rest of a line of text behind it.
pub fn command(bytes: &[u8], words: &[&[u8]]) -> Probe {
    let fits = |word: &&[u8]| {
        let shared = word.len().min(bytes.len());
        bytes
            .get(..shared)
            .zip(word.get(..shared))
            .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    let Some(word) = words.iter().find(|word| fits(word)) else {
        return Probe::No;
    };
    match header::start_line(bytes) {
        Line::Whole(line, _) if line.len() >= word.len() && is_text(line) => Probe::Yes,
        Line::More if is_text(bytes.strip_suffix(b"\r").unwrap_or(bytes)) => Probe::More,
        _ => Probe::No,
    }
}

/// Three digits and a blank, or the end: the last line of a reply (RFC 959 4.2, RFC 5321 4.2.1).
pub fn final_code(line: &[u8]) -> Option<u16> {
    match line {
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9']
        | [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => Some(
            [a, b, c]
                .iter()
                .fold(0, |code, digit| code * 10 + u16::from(**digit - b'0')),
        ),
        _ => None,
    }
}

/// A server that greets with 220, as both SMTP's and FTP's do: its first words tell, or the code of its next reply.
pub fn greeting_220(bytes: &[u8], is_ours: fn(&[u8]) -> Option<bool>, next: &[u16]) -> Probe {
    let mut rest = bytes;
    loop {
        let (line, length) = match header::start_line(rest) {
            Line::Whole(line, length) => (line, length),
            Line::More if b"220".starts_with(rest) || rest.starts_with(b"220") && is_text(without_return(rest)) => {
                return Probe::More;
            }
            // RFC 959 4.2: lines between the first and the last of a reply may begin with anything.
            Line::More if rest.len() < bytes.len() && is_text(without_return(rest)) => return Probe::More,
            _ => return Probe::No,
        };
        if !is_text(line) || rest.len() == bytes.len() && !matches!(line, [b'2', b'2', b'0', b' ' | b'-', ..]) {
            return Probe::No;
        }
        match is_ours(line) {
            Some(true) => return Probe::Yes,
            Some(false) => return Probe::No,
            None => {}
        }
        rest = rest.get(length..).unwrap_or_default();
        if final_code(line) == Some(220) {
            break;
        }
        if rest.is_empty() {
            return Probe::More;
        }
    }
    match rest {
        [] | [_] | [_, _] => Probe::More,
        [a, b, c, ..] => {
            let code = [a, b, c].iter().try_fold(0_u16, |code, digit| {
                digit.is_ascii_digit().then(|| code * 10 + u16::from(**digit - b'0'))
            });
            if code.is_some_and(|code| next.contains(&code)) {
                Probe::Yes
            } else {
                Probe::No
            }
        }
    }
}

fn without_return(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
