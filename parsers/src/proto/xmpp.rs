//! XMPP (RFC 6120): stream headers in clear and the way into TLS.
//!
//! Strategy: a tokenizer of our own over the tags, never a document: text is dropped as it comes, a tag is looked at once
//! it is whole, only the depth is kept. What matters are the attributes of the opener's stream header, whether STARTTLS
//! was offered and whether it proceeded, which hands the connection to TLS; and of what went before, whether stanzas or SASL
//! were among it.

use std::borrow::Cow;

use super::{Context, Probe, Step, StreamReader};
use crate::facts::{Service, Side, StartTls, XmppFacts};
use crate::text::Text;

const STREAMS: &[u8] = b"http://etherx.jabber.org/streams";
const TLS: &[u8] = b"urn:ietf:params:xml:ns:xmpp-tls";
const SASL: &[u8] = b"urn:ietf:params:xml:ns:xmpp-sasl";

/// UTF-8's byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Longest tag that is waited for. Stream headers have some 200 octets; RFC 6120 13.12 lets a server refuse stanzas
/// above 10,000.
const TAG_LIMIT: usize = 16 * 1024;
/// White space before the stream, which some servers send as a keep-alive.
const SPACE_LIMIT: usize = 1024;
/// Octets of one direction that are read: STARTTLS is negotiated in the first few, large feature lists included.
const STREAM_LIMIT: u64 = 64 * 1024;
/// Attributes of one tag that are looked at.
const ATTRIBUTES: usize = 64;

/// Whether these are the first bytes of an XMPP stream, or stanzas from the middle of one.
pub fn probe(bytes: &[u8]) -> Probe {
    if MARK.starts_with(bytes) {
        return Probe::More;
    }
    let mut rest = bytes.strip_prefix(MARK).unwrap_or(bytes);
    loop {
        let text = rest.trim_ascii_start();
        if rest.len().saturating_sub(text.len()) > SPACE_LIMIT {
            return Probe::No;
        }
        rest = text;
        match token(rest, &mut Scan::default()) {
            Token::More if rest.len() >= TAG_LIMIT => return Probe::No,
            Token::More => return if may_begin(rest) { Probe::More } else { Probe::No },
            Token::Text(_) => return Probe::No,
            Token::Tag(tag) if tag.body.starts_with(b"?xml") => rest = rest.get(tag.length..).unwrap_or_default(),
            Token::Tag(tag) => {
                return if tag.is_stream() || tag.is_stanza() {
                    Probe::Yes
                } else {
                    Probe::No
                }
            }
        }
    }
}

/// Whether what is there of the first tag can still become one of ours.
fn may_begin(start: &[u8]) -> bool {
    if start.is_empty() {
        return true;
    }
    let Some(tag) = start.strip_prefix(b"<") else {
        return false;
    };
    let name = tag.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    let whole = name.len() < tag.len();
    let fits = |wanted: &[u8]| name == wanted || !whole && wanted.starts_with(name);
    let ours: [&[u8]; 8] = [
        b"?xml",
        b"stream",
        b"iq",
        b"message",
        b"presence",
        b"/stream:stream>",
        b"db:result",
        b"db:verify",
    ];
    if ours.into_iter().any(fits) {
        return true;
    }
    // Any prefix may stand for the streams namespace; none of these in use is longer than `stream`.
    match name.iter().position(|&byte| byte == b':') {
        Some(colon) => {
            let local = name.get(colon.saturating_add(1)..).unwrap_or_default();
            colon <= 16 && (local == b"stream" || !whole && b"stream".starts_with(local))
        }
        None => !whole && name.len() <= 16 && name.iter().all(u8::is_ascii_alphanumeric),
    }
}

enum Token<'a> {
    More,
    /// Octets up to the next tag.
    Text(usize),
    Tag(Tag<'a>),
}

/// `<…>`, whole.
struct Tag<'a> {
    /// Between the brackets.
    body: &'a [u8],
    length: usize,
}

/// How far a tag that is not whole yet was looked through, so that one which comes an octet at a time is not read from its
/// beginning each time.
#[derive(Debug, Default, Clone, Copy)]
struct Scan {
    at: usize,
    quote: Option<u8>,
}

fn token<'a>(bytes: &'a [u8], scan: &mut Scan) -> Token<'a> {
    match bytes.first() {
        None => return Token::More,
        Some(b'<') => {}
        Some(_) => return Token::Text(bytes.iter().position(|&byte| byte == b'<').unwrap_or(bytes.len())),
    }
    // XMPP forbids comments (RFC 6120 11.1) but not CDATA, whose content is no markup.
    const CDATA: &[u8] = b"<![CDATA[";
    let shared = bytes.len().min(CDATA.len());
    if bytes.len() > 1 && bytes.get(..shared) == CDATA.get(..shared) {
        // Two octets of its end may have been there.
        let from = scan.at.saturating_sub(2);
        scan.at = bytes.len();
        let end = bytes
            .get(from..)
            .and_then(|rest| rest.windows(3).position(|end| end == b"]]>"));
        return match end {
            Some(at) => Token::Text(from.saturating_add(at).saturating_add(3)),
            None => Token::More,
        };
    }
    for (at, &byte) in bytes.iter().enumerate().skip(scan.at.max(1)) {
        match (scan.quote, byte) {
            (None, b'>') => {
                let body = bytes.get(1..at).unwrap_or_default();
                let length = at.saturating_add(1);
                return Token::Tag(Tag { body, length });
            }
            (None, b'\'' | b'"') => scan.quote = Some(byte),
            (Some(open), close) if open == close => scan.quote = None,
            _ => {}
        }
    }
    scan.at = bytes.len();
    Token::More
}

impl<'a> Tag<'a> {
    fn is_end(&self) -> bool {
        self.body.starts_with(b"/")
    }

    fn is_empty_element(&self) -> bool {
        self.body.ends_with(b"/")
    }

    /// `stream:stream` of `<stream:stream to='…'>` and of its end tag.
    fn name(&self) -> &'a [u8] {
        let body = self.body.strip_prefix(b"/").unwrap_or(self.body);
        body.split(|&byte| byte.is_ascii_whitespace() || byte == b'/')
            .next()
            .unwrap_or_default()
    }

    fn local_name(&self) -> &'a [u8] {
        self.name().rsplit(|&byte| byte == b':').next().unwrap_or_default()
    }

    /// Name and raw value of each attribute. Ends at the first that is not well-formed (no blank space before it, no
    /// quotes): what follows was not read as an attribute by the peer either.
    fn attributes(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.body.get(self.name().len()..).unwrap_or_default();
        std::iter::from_fn(move || {
            let equals = rest.iter().position(|&byte| byte == b'=')?;
            let name = rest.get(..equals)?.trim_ascii_end();
            let (_, name) = name.split_first().filter(|(blank, _)| blank.is_ascii_whitespace())?;
            let name = name.trim_ascii_start();
            let value = rest.get(equals.checked_add(1)?..)?.trim_ascii_start();
            let (quote, value) = value.split_first().filter(|(quote, _)| matches!(quote, b'\'' | b'"'))?;
            let end = value.iter().position(|byte| byte == quote)?;
            rest = value.get(end.checked_add(1)?..)?;
            Some((name, value.get(..end)?))
        })
        .take(ATTRIBUTES)
    }

    fn attribute(&self, wanted: &[u8]) -> Option<&'a [u8]> {
        self.attributes()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
    }

    /// A stream header (RFC 6120 4.7): whatever the prefix, the streams namespace must be declared.
    fn is_stream(&self) -> bool {
        !self.is_end() && self.local_name() == b"stream" && self.attributes().any(|(_, value)| value == STREAMS)
    }

    /// The end of a stream, or a stanza with the attributes that only XMPP gives it (RFC 6120 8.1, RFC 6121 5.2): joined
    /// late, there is no stream header to go by.
    fn is_stanza(&self) -> bool {
        let kind = self.attribute(b"type");
        let address = || {
            [&b"to"[..], b"from"]
                .into_iter()
                .filter_map(|name| self.attribute(name))
                .any(|jid| jid.contains(&b'@'))
        };
        match self.name() {
            b"stream:stream" => self.body == b"/stream:stream",
            b"iq" => {
                let kinds: [&[u8]; 4] = [b"get", b"set", b"result", b"error"];
                self.attribute(b"id").is_some() && kind.is_some_and(|kind| kinds.contains(&kind))
            }
            b"message" | b"presence" => !self.is_end() && address(),
            // XEP-0220 2: dialback between servers.
            b"db:result" | b"db:verify" => self.attribute(b"to").is_some() && self.attribute(b"from").is_some(),
            _ => false,
        }
    }

    fn text(&self, name: &[u8]) -> Option<Text> {
        self.attribute(name).map(|value| Text::from_wire(&expand(value)))
    }

    /// The namespace of what the stream carries: the default one, or where that is the streams' own, a prefixed one
    /// (RFC 6120 4.8.4).
    fn content_namespace(&self) -> Option<Text> {
        let prefixed = || {
            let mut values = self.attributes().map(|(_, value)| value);
            values
                .find(|value| matches!(*value, b"jabber:client" | b"jabber:server"))
                .map(Text::from_wire)
        };
        self.text(b"xmlns")
            .filter(|namespace| namespace.bytes() != STREAMS)
            .or_else(prefixed)
    }
}

/// The five entities of XML 1.0 4.6; anything else stays as sent.
fn expand(value: &[u8]) -> Cow<'_, [u8]> {
    const ENTITIES: [(&[u8], u8); 5] = [
        (b"&amp;", b'&'),
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&apos;", b'\''),
        (b"&quot;", b'"'),
    ];
    if !value.contains(&b'&') {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, tail)) = rest.split_first() {
        match ENTITIES
            .iter()
            .find_map(|(name, byte)| rest.strip_prefix(*name).map(|after| (*byte, after)))
        {
            Some((byte, after)) => {
                out.push(byte);
                rest = after;
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

fn xmpp<'a>(context: &'a mut Context<'_>) -> &'a mut XmppFacts {
    context.facts.xmpp.get_or_insert_with(Box::default)
}

/// Notes what went in clear; behind `<proceed>` nothing does.
fn note_clear(context: &mut Context<'_>, what: fn(&mut XmppFacts) -> &mut bool) {
    let facts = xmpp(context);
    if facts.starttls != StartTls::Proceeded {
        *what(facts) = true;
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Direction {
    /// Elements open below the stream.
    depth: u32,
    read: u64,
    scan: Scan,
    /// A tag went by: text before it may have been a byte order mark.
    begun: bool,
}

/// XMPP over TCP, up to TLS.
#[derive(Debug, Default)]
pub struct Reader {
    directions: [Direction; 2],
    opener: Option<Side>,
    /// The opener's first header was noted; it may begin streams anew.
    noted: bool,
}

impl Reader {
    pub fn new() -> Self {
        Reader::default()
    }

    fn note_header(&mut self, side: Side, tag: &Tag<'_>, context: &mut Context<'_>) {
        // Only the answer carries an id (RFC 6120 4.7.3). Without one before it, this side opened.
        let answer = tag.attribute(b"id").is_some();
        let opener = *self.opener.get_or_insert(if answer { side.other() } else { side });
        context.facts.opened_by(opener);
        let facts = xmpp(context);
        if opener == side && !std::mem::replace(&mut self.noted, true) {
            facts.to = tag.text(b"to");
            facts.from = tag.text(b"from");
        }
        if facts.namespace.is_none() {
            facts.namespace = tag.content_namespace();
        }
    }

    fn tag(&mut self, side: Side, tag: &Tag<'_>, context: &mut Context<'_>) -> Next {
        let Some(own) = self.directions.get_mut(side.index()) else {
            return Next::Done;
        };
        own.begun = true;
        if tag.body.starts_with(b"?") {
            return Next::Go;
        }
        // Comments and document types are forbidden (RFC 6120 11.1).
        if tag.body.starts_with(b"!") {
            return Next::Broken;
        }
        if tag.is_stream() {
            // Also after SASL, when the stream begins anew on the same connection (RFC 6120 4.3.3).
            own.depth = 0;
            context.facts.recognise(Service::Xmpp);
            self.note_header(side, tag, context);
            return Next::Go;
        }
        if !context.facts.has(Service::Xmpp) {
            if !tag.is_stanza() {
                return Next::Broken;
            }
            context.facts.recognise(Service::Xmpp);
            xmpp(context);
        }
        let depth = own.depth;
        if tag.is_end() {
            own.depth = depth.saturating_sub(1);
            return if tag.name() == b"stream:stream" {
                Next::Done
            } else {
                Next::Go
            };
        }
        if !tag.is_empty_element() {
            own.depth = depth.saturating_add(1);
        }
        let of = |namespace: &[u8]| tag.attributes().any(|(_, value)| value == namespace);
        match tag.local_name() {
            // Offered in <stream:features/> (RFC 6120 5.4.1), sent by the opener as a child of the stream (5.4.2.1).
            b"starttls" if depth <= 1 && of(TLS) => {
                let facts = xmpp(context);
                facts.starttls = facts.starttls.max(StartTls::Offered);
                Next::Go
            }
            b"proceed" if depth == 0 && of(TLS) && self.opener != Some(side) => {
                xmpp(context).starttls = StartTls::Proceeded;
                // Written as an empty element by all; with an end tag TLS begins after that.
                if tag.is_empty_element() {
                    Next::Switch
                } else {
                    Next::Go
                }
            }
            // No TLS follows on this connection (RFC 6120 5.3.4), but the stream begins anew and stanzas may follow.
            b"auth" | b"success" if depth == 0 && of(SASL) => {
                note_clear(context, |facts| &mut facts.clear_sasl);
                Next::Go
            }
            b"message" | b"presence" | b"iq" if depth == 0 => {
                note_clear(context, |facts| &mut facts.clear_stanza);
                Next::Go
            }
            _ => Next::Go,
        }
    }
}

enum Next {
    Go,
    Switch,
    Done,
    Broken,
}

impl StreamReader for Reader {
    fn advance(&mut self, side: Side, bytes: &[u8], context: &mut Context<'_>) -> Step {
        let mut consumed: usize = 0;
        loop {
            let rest = bytes.get(consumed..).unwrap_or_default();
            let mut own = self.directions.get(side.index()).copied().unwrap_or_default();
            if own.read.saturating_add(consumed as u64) > STREAM_LIMIT {
                return Step::Done;
            }
            let token = token(rest, &mut own.scan);
            if let Some(direction) = self.directions.get_mut(side.index()) {
                direction.scan = if matches!(token, Token::More) {
                    own.scan
                } else {
                    Scan::default()
                };
            }
            match token {
                Token::More if rest.len() >= TAG_LIMIT => return Step::Broken,
                Token::More => break,
                Token::Text(length) => {
                    let text = rest.get(..length).unwrap_or_default();
                    let blank = |byte: &u8| byte.is_ascii_whitespace() || MARK.contains(byte);
                    if !own.begun && !text.iter().all(blank) {
                        return Step::Broken;
                    }
                    consumed = consumed.saturating_add(length);
                }
                Token::Tag(tag) => {
                    let end = consumed.saturating_add(tag.length);
                    let closes = tag.is_end() && tag.local_name() == b"proceed" && own.depth == 1;
                    match self.tag(side, &tag, context) {
                        Next::Switch => return Step::Switch(end),
                        Next::Go if closes && xmpp(context).starttls == StartTls::Proceeded => {
                            return Step::Switch(end);
                        }
                        Next::Go => consumed = end,
                        Next::Done => return Step::Done,
                        Next::Broken => return Step::Broken,
                    }
                }
            }
        }
        if let Some(own) = self.directions.get_mut(side.index()) {
            own.read = own.read.saturating_add(consumed as u64);
        }
        Step::More(consumed)
    }
}

#[cfg(test)]
mod tests;
