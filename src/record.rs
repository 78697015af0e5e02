//! `Record`: one access line and where its fields lie. Nothing is converted before it is asked for.
//!
//! Formats fill the spans; `scan` reads them. A record borrows the line's bytes, so it never leaves
//! the block that it was read from; `Kept` is the copy that does.

mod frame;
mod room;

use std::borrow::Cow;

pub use frame::{Frame, scalar};
pub use room::{Marked, Room};
use serde::{Deserialize, Serialize};

use crate::field::Field;
use crate::field::flag::Flags;
use crate::field::value::{self, Micros};

/// How many operators outside of the table one format may have.
pub const EXTRA: usize = 32;
/// Places for fields: the table's, then a format's own.
pub const SLOTS: usize = Field::COUNT + EXTRA;

/// Where a value lies in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    at: u32,
    len: u32,
}

/// Set in `len`: the bytes still hold JSON escapes.
const ESCAPED: u32 = 1 << 31;

impl Span {
    /// The format has no such field, or JSON says `null`.
    pub const NONE: Span = Span { at: u32::MAX, len: 0 };

    /// From `at` up to, not including, `end`.
    pub const fn new(at: usize, end: usize) -> Span {
        Span { at: at as u32, len: (end - at) as u32 }
    }

    /// Whether there is no value at all.
    pub fn is_none(self) -> bool {
        self == Span::NONE
    }

    /// Whether the bytes still hold JSON escapes.
    pub const fn is_escaped(self) -> bool {
        self.len & ESCAPED != 0
    }

    /// The bytes of the value in its line.
    pub fn of(self, line: &[u8]) -> Option<&[u8]> {
        let at = self.at as usize;
        line.get(at..at + (self.len & !ESCAPED) as usize)
    }

    /// The value in a line that is text; nothing if it still holds JSON escapes, or ends within a letter.
    pub fn text_of(self, line: &str) -> Option<&str> {
        let at = self.at as usize;
        if self.is_escaped() { None } else { line.get(at..at + self.len as usize) }
    }

    /// Where it begins; past any line where there is none.
    pub const fn at(self) -> usize {
        self.at as usize
    }

    /// Where it ends; nowhere of use where there is none.
    pub const fn end(self) -> usize {
        self.at() + (self.len & !ESCAPED) as usize
    }

    /// The same value in a line of which that line is a part, from `offset` on.
    #[must_use]
    pub const fn shifted(self, offset: usize) -> Span {
        Span { at: self.at.saturating_add(offset as u32), len: self.len }
    }

    /// The same, without so many bytes at its end.
    #[must_use]
    pub const fn shortened(self, by: usize) -> Span {
        Span { at: self.at, len: self.len - by as u32 }
    }

    /// The same, of text that still holds JSON escapes.
    #[must_use]
    pub const fn escaped(self) -> Span {
        Span { at: self.at, len: self.len | ESCAPED }
    }
}

/// The places of all fields of one line.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "marks of a line that have nothing to do with each other")]
pub struct Spans {
    /// One per slot: [`Field`]s by their number, then the format's own operators.
    pub slots: [Span; SLOTS],
    /// The quoted values between the trusted ends of the line could be cut in more than one way.
    pub doubtful: bool,
    /// Trailing columns that the format does not have were passed over.
    pub tolerated: bool,
    /// A JSON object has an object under a key that is in no dictionary.
    pub strange: bool,
    /// Whether there is anything in the extra slots.
    extra: bool,
    /// Where the marks of a line are.
    pub room: Option<Box<Room>>,
    /// The JSON objects that were read last, the latest first, one of each build.
    pub frames: Vec<Frame>,
}

impl Default for Spans {
    fn default() -> Self {
        Self {
            slots: [Span::NONE; SLOTS],
            doubtful: false,
            tolerated: false,
            strange: false,
            extra: false,
            room: None,
            frames: Vec::new(),
        }
    }
}

impl Spans {
    /// Forgets the line before.
    #[inline]
    pub fn clear(&mut self) {
        self.slots[..Field::COUNT].fill(Span::NONE);
        if self.extra {
            self.slots[Field::COUNT..].fill(Span::NONE);
            self.extra = false;
        }
        self.doubtful = false;
        self.tolerated = false;
        self.strange = false;
    }

    /// The place of one field.
    pub fn get(&self, field: Field) -> Span {
        self.slots[field as usize]
    }

    /// Says that extra slots may have been set.
    pub(crate) fn has_extra(&mut self, extra: bool) {
        self.extra |= extra;
    }

    /// Sets the place of one field.
    pub fn set(&mut self, slot: u8, span: Span) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = span;
            self.extra |= slot as usize >= Field::COUNT;
        }
    }
}

/// One access line with its fields' places.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The access line itself: envelope peeled off, no line end.
    pub line: &'a [u8],
    /// Where the fields are.
    pub spans: &'a Spans,
}

impl<'a> Record<'a> {
    /// The bytes of a field as they stand in the line, `None` if the line has no such field.
    /// JSON escapes are still in it, and `-` is a value here.
    pub fn raw(&self, field: Field) -> Option<&'a [u8]> {
        self.spans.slots[field as usize].of(self.line)
    }

    /// The value of a field: `None` when it is absent, which is `-`, empty, JSON `null` or no column.
    pub fn text(&self, field: Field) -> Option<Cow<'a, [u8]>> {
        self.text_at(field as usize)
    }

    #[inline]
    fn text_at(&self, slot: usize) -> Option<Cow<'a, [u8]>> {
        let span = self.spans.slots.get(slot)?;
        let raw = span.of(self.line)?;
        if raw.is_empty() || raw == b"-" {
            return None;
        }
        if span.len & ESCAPED == 0 {
            return Some(Cow::Borrowed(raw));
        }
        let mut plain = Vec::with_capacity(raw.len());
        unescape(raw, &mut plain);
        Some(Cow::Owned(plain))
    }

    /// The value of a field that Envoy writes itself, where escapes do not occur in valid lines.
    pub fn plain(&self, field: Field) -> &'a [u8] {
        match self.raw(field) {
            None | Some([b'-']) => b"",
            Some(raw) => raw,
        }
    }

    /// The line from the value of a field on, and how many bytes of it are the value: none if the line has no such field.
    #[inline]
    pub fn from(&self, field: Field) -> (&'a [u8], usize) {
        let span = self.spans.slots[field as usize];
        let rest = self.line.get(span.at()..).unwrap_or_default();
        (rest, rest.len().min((span.len & !ESCAPED) as usize))
    }

    /// An instant.
    pub fn time(&self, field: Field) -> Option<Micros> {
        value::time(self.raw(field)?)
    }

    /// A number: bytes, a status, milliseconds.
    #[inline]
    pub fn integer(&self, field: Field) -> Option<u64> {
        let span = self.spans.slots[field as usize];
        // Most numbers have few digits, and something behind them.
        let eight = self.line.get(span.at()..span.at().saturating_add(8)).and_then(<[u8]>::first_chunk);
        let short = eight.and_then(|eight| value::short_integer(*eight, span.len as usize));
        short.or_else(|| value::integer(self.raw(field)?))
    }

    /// The response flags, empty if the line has none.
    pub fn flags(&self) -> Flags {
        self.raw(Field::ResponseFlags).map_or(Flags::NONE, Flags::read)
    }

    /// The values of the format's own operators, by their number; absent as in [`Record::text`].
    pub fn extra(&self, number: usize) -> Option<Cow<'a, [u8]>> {
        self.text_at(Field::COUNT + number)
    }

    /// Adds a copy to `bytes`, for outputs that show every field of a connection's legs; `format` is the number of its format.
    pub fn keep(&self, format: u32, bytes: &mut Vec<u8>) -> Kept {
        let at = bytes.len();
        bytes.extend_from_slice(self.line);
        bytes.push(self.spans.doubtful.into());
        for (slot, span) in self.spans.slots.iter().enumerate().filter(|(_, span)| !span.is_none()) {
            bytes.push(slot as u8);
            put(span.at, bytes);
            put(span.len.rotate_left(1), bytes);
        }
        Kept { at, len: bytes.len() - at, line: self.line.len() as u32, format }
    }
}

/// Where a copy of a record lies among others.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Where it begins: the line; whether it is doubtful; of each slot that has a value its number, where the value begins and how
    /// long it is.
    pub at: usize,
    /// How many bytes it has.
    pub len: usize,
    /// How long the line is.
    pub line: u32,
    /// The number of the format that read it, which knows what the extra slots mean.
    pub format: u32,
}

impl Kept {
    /// Its bytes, of those among which it lies.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.at..self.at + self.len).unwrap_or_default()
    }

    /// The places of its fields.
    pub fn spans(self, bytes: &[u8]) -> Spans {
        let mut spans = Spans::default();
        let Some([doubtful, rest @ ..]) = self.of(bytes).get(self.line as usize..) else { return spans };
        spans.doubtful = *doubtful != 0;
        let mut rest = rest;
        while let [slot, behind @ ..] = rest {
            rest = behind;
            let (at, len) = (take(&mut rest), take(&mut rest).rotate_right(1));
            spans.set(*slot, Span { at, len });
        }
        spans
    }

    /// The record, with [`Kept::spans`].
    pub fn record<'k>(self, bytes: &'k [u8], spans: &'k Spans) -> Record<'k> {
        Record { line: self.of(bytes).get(..self.line as usize).unwrap_or_default(), spans }
    }
}

/// Writes a number in as few bytes as it needs, seven bits each.
fn put(mut number: u32, bytes: &mut Vec<u8>) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes such a number off.
fn take(bytes: &mut &[u8]) -> u32 {
    let (mut number, mut shift) = (0, 0);
    while let [byte, rest @ ..] = *bytes {
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        shift += 7;
        if *byte < 0x80 {
            break;
        }
    }
    number
}

/// Undoes JSON's escapes, as far as they are escapes: what is malformed is copied as it stands
/// (old Envoys write `\uffffffXX` for a byte). Lone surrogates become U+FFFD.
pub fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (plain, used) = match rest.get(1) {
            Some(b'n') => (b'\n', 2),
            Some(b't') => (b'\t', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'b') => (8, 2),
            Some(b'f') => (12, 2),
            Some(same @ (b'"' | b'\\' | b'/')) => (*same, 2),
            Some(b'u') => {
                rest = unicode(rest, out);
                continue;
            }
            _ => (b'\\', 1),
        };
        out.push(plain);
        rest = &rest[used..];
    }
    out.extend_from_slice(rest);
}

/// One `\uXXXX` (or a surrogate pair) at the start of `rest`; gives back what follows it.
fn unicode<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    // `\u{e9}`, as ztunnel quotes strings, which is no JSON.
    if let Some(text) = rest.strip_prefix(b"\\u{")
        && let Some(end) = text.iter().take(7).position(|byte| *byte == b'}')
        && let Some(code) = std::str::from_utf8(&text[..end]).ok().and_then(|text| u32::from_str_radix(text, 16).ok())
    {
        let shown = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(shown.encode_utf8(&mut [0; 4]).as_bytes());
        return &text[end + 1..];
    }
    let unit = |at: usize| -> Option<u32> {
        let digits = rest.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?, 16).ok()
    };
    let Some(first) = unit(0) else {
        out.extend_from_slice(&rest[..2]);
        return &rest[2..];
    };
    let (code, used) = match (first, unit(6)) {
        (0xd800..=0xdbff, Some(second @ 0xdc00..=0xdfff)) => {
            (0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12)
        }
        _ => (first, 6),
    };
    let shown = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(shown.encode_utf8(&mut [0; 4]).as_bytes());
    &rest[used..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        let mut out = Vec::new();
        unescape(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_are_undone_and_broken_ones_kept() {
        assert_eq!(plain(r#"a\"b\\c\n\u00e9\ud83d\ude00\/"#), "a\"b\\c\né😀/");
        assert_eq!(plain(r"caf\u{e9} \u{1f600} \u{} \u{110000}\u{"), "café 😀 \\u{} \u{fffd}\\u{");
        assert_eq!(plain(r"\uffffff80"), "\u{ffff}ff80");
        assert_eq!(plain(r"\ud800x \u12 \q \"), "\u{fffd}x \\u12 \\q \\");
    }

    #[test]
    fn what_is_kept_has_the_same_fields() {
        let line = vec![b'x'; 70_000];
        let mut spans = Spans { doubtful: true, ..Spans::default() };
        spans.set(Field::RouteName as u8, Span::new(0, 0));
        spans.set(Field::UserAgent as u8, Span::new(127, 255).escaped());
        spans.set(Field::Path as u8, Span::new(300, 70_000));
        spans.set(Field::COUNT as u8 + 3, Span::new(69_999, 70_000));
        let mut bytes = b"before".to_vec();
        let kept = Record { line: &line, spans: &spans }.keep(7, &mut bytes);
        bytes.extend_from_slice(b"behind");
        let again = kept.spans(&bytes);
        assert_eq!((again.slots, again.doubtful, kept.format), (spans.slots, true, 7));
        assert_eq!(kept.record(&bytes, &again).raw(Field::Path), Some(&line[300..]));
    }

    #[test]
    fn absent_is_dash_empty_or_no_column() {
        let mut spans = Spans::default();
        spans.set(Field::RouteName as u8, Span::new(0, 1));
        spans.set(Field::UserAgent as u8, Span::new(1, 1));
        spans.set(Field::Authority as u8, Span::new(2, 4));
        let record = Record { line: b"- ab", spans: &spans };
        assert_eq!(record.text(Field::RouteName), None);
        assert_eq!(record.text(Field::UserAgent), None);
        assert_eq!(record.text(Field::Path), None);
        assert_eq!(record.text(Field::Authority).as_deref(), Some(&b"ab"[..]));
    }
}
