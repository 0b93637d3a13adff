//! Header lines as RFC 822 handed them down to SIP and HTTP: `name: value`, folds, one empty line at the end. Shared by
//! the readers of both and by `lines`, knows none. It finds one whole field at a time in the bytes at hand and keeps nothing, so
//! that a stream may stop anywhere; a line without an end costs `LINE_LIMIT` octets and no more.

use std::borrow::Cow;

/// Longest start line or field, folds included, that is waited for. nginx and Apache refuse above 8 KiB, IIS above
/// 16 KiB; beyond that only the beginning is read. Rescanning costs its square at one octet a segment, so no larger.
pub const LINE_LIMIT: usize = 16 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its end has not come yet.
    More,
    /// The empty line after the last field, and its length.
    End(usize),
    /// One line or field without its line end (folds inside are kept), and the octets it took.
    Whole(&'a [u8], usize),
    /// No end within `LINE_LIMIT`: what there is of it. The rest is to be dropped up to the next line feed.
    Long(&'a [u8]),
}

/// How much of a direction's bytes was looked through in vain, so that a line which comes one octet at a time is not read
/// from its beginning each time: that would cost its square.
#[derive(Debug, Default, Clone, Copy)]
pub struct Waiting(usize);

impl Waiting {
    /// Beginnings as short as this are always read again: whether they can be right shows there.
    const SHORT: usize = 64;

    /// Whether nothing has come since that could end a line.
    pub fn goes_on(self, bytes: &[u8]) -> bool {
        let Some((before, new)) = bytes.split_at_checked(self.0).filter(|_| self.0 > Self::SHORT) else {
            return false;
        };
        // After a line feed the next octet tells whether the field is folded.
        before.last() != Some(&b'\n') && !new.contains(&b'\n') && bytes.len() < LINE_LIMIT
    }

    /// `left` octets are held back until there are more.
    pub fn hold(&mut self, left: usize) {
        self.0 = left;
    }
}

/// A start line: ends at the first line feed, folds do not exist.
pub fn start_line(bytes: &[u8]) -> Line<'_> {
    match line_feed(bytes, 0) {
        Some(at) => Line::Whole(without_return(bytes, at), at.saturating_add(1)),
        None => unfinished(bytes),
    }
}

/// The next field. `last` = no bytes can follow (a datagram), so that an end without line feed is an end.
pub fn field(bytes: &[u8], last: bool) -> Line<'_> {
    let mut from = 0;
    while let Some(at) = line_feed(bytes, from) {
        let line = without_return(bytes, at);
        let next = at.saturating_add(1);
        if line.is_empty() {
            return Line::End(next);
        }
        match bytes.get(next) {
            // RFC 3261 7.3.1, RFC 9112 5.2: a line that begins with blank space continues the one before it.
            Some(b' ' | b'\t') => from = next,
            None if !last => return unfinished(bytes),
            _ => return Line::Whole(line, next),
        }
    }
    match (last, bytes.is_empty()) {
        (true, true) => Line::End(0),
        (true, false) => Line::Whole(bytes, bytes.len()),
        (false, _) => unfinished(bytes),
    }
}

/// Octets up to and including the next line feed, None if there is none.
pub fn through_line_feed(bytes: &[u8]) -> Option<usize> {
    line_feed(bytes, 0).map(|at| at.saturating_add(1))
}

/// Name and value of a field, blank space around both removed.
pub fn split(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = field.iter().position(|&byte| byte == b':')?;
    let name = field.get(..colon)?.trim_ascii_end();
    let value = field.get(colon.saturating_add(1)..)?;
    (!name.is_empty()).then(|| (name, value.trim_ascii()))
}

/// The value on one line: each fold becomes one space, all else is as sent.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'\n') {
        return Cow::Borrowed(value);
    }
    let lines = value
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    let mut out = Vec::with_capacity(value.len());
    for line in lines {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(line);
    }
    Cow::Owned(out)
}

/// A decimal number, nothing else.
pub fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn line_feed(bytes: &[u8], from: usize) -> Option<usize> {
    let found = bytes.get(from..)?.iter().position(|&byte| byte == b'\n')?;
    from.checked_add(found)
}

fn without_return(bytes: &[u8], end: usize) -> &[u8] {
    let line = bytes.get(..end).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn unfinished(bytes: &[u8]) -> Line<'_> {
    match bytes.get(..LINE_LIMIT) {
        Some(start) => Line::Long(start),
        None => Line::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_ends_where_no_fold_follows() {
        assert_eq!(
            field(b"Subject: one\r\n two\r\nTo: x", false),
            Line::Whole(b"Subject: one\r\n two", 20)
        );
        assert_eq!(field(b"Subject: one\r\n", false), Line::More, "a fold may follow");
        assert_eq!(field(b"Subject: one\r\n", true), Line::Whole(b"Subject: one", 14));
        assert_eq!(field(b"Subject: one", true), Line::Whole(b"Subject: one", 12));
        assert_eq!(field(b"\r\nbody", false), Line::End(2));
        assert_eq!(field(b"\nbody", false), Line::End(1));
        assert_eq!(field(b"", true), Line::End(0));
    }

    #[test]
    fn a_fold_is_one_space() {
        let (name, value) = split(b"Subject :  one \r\n\t two\n  three ").unwrap();
        assert_eq!((name, unfold(value).as_ref()), (&b"Subject"[..], &b"one two three"[..]));
        assert_eq!(split(b"no colon"), None);
        assert_eq!(split(b": nameless"), None);
    }

    #[test]
    fn a_line_without_end_is_given_up_at_the_limit() {
        let long = vec![b'a'; LINE_LIMIT];
        assert_eq!(start_line(&long[1..]), Line::More);
        assert_eq!(start_line(&long), Line::Long(&long));
        assert_eq!(field(&long, false), Line::Long(&long));
    }

    #[test]
    fn waiting_ends_with_a_line_feed_or_the_limit() {
        let line = [&[b'a'; 100][..], b"\n"].concat();
        let mut waiting = Waiting::default();
        assert!(!waiting.goes_on(&line[..10]), "nothing was looked at");
        waiting.hold(80);
        assert!(waiting.goes_on(&line[..100]));
        assert!(!waiting.goes_on(&line));
        waiting.hold(101);
        assert!(!waiting.goes_on(&[&line[..], b"x"].concat()), "the fold is decided");
        waiting.hold(LINE_LIMIT - 1);
        assert!(!waiting.goes_on(&[b'a'; LINE_LIMIT]));
        waiting.hold(500);
        assert!(!waiting.goes_on(&line[..100]), "fewer than before");
    }

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!(number(b"142"), Some(142));
        assert_eq!(number(b"14 2"), None);
        assert_eq!(number(b"99999999999999999999"), None, "more than 64 bits");
        assert_eq!(number(b""), None);
    }
}
