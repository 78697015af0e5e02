//! `Keys`: the JSON formats compiled into one dictionary; reads one object into spans, without a tree.
//!
//! Which format an object has is decided by the keys that it holds, so one pass serves all of them. Values may be
//! strings or of any JSON type, keys come in any order, nested values are passed over unless a key's name leads into
//! them. Envoys write bytes that are no valid JSON at times (raw bytes, malformed escapes): only the structure has to
//! hold.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use memchr::memchr2;

use super::text::Plan;
use crate::field::Field;
use crate::record::{Span, Spans, scalar};

/// How deep a nested value may be before the line counts as damaged.
const DEPTH: usize = 64;
/// How many builds of objects are known at a time: proxies of several releases write into one stream.
const FRAMES: usize = 4;
/// How deep keys may lead into nested objects.
const NESTED: usize = 4;

/// A JSON format: each key with its slot, and the sets of keys of which an access record has one.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Key and slot. A key of a nested object is `outer.inner`.
    pub keys: Vec<(String, u8)>,
    /// An object that has all keys of one of these sets is of this format; without sets, every object is.
    pub needed: Vec<Vec<String>>,
    /// Keys whose values mix text and commands, with the plans that read them. They have a slot of their own too.
    pub mixed: Vec<(String, Plan)>,
}

/// Compiled JSON formats: which key goes to which slot.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    list: Vec<(Box<[u8]>, u8)>,
    table: HashTable<u8>,
    hasher: FixedState,
    /// Each format's sets of keys, as bits.
    needed: Vec<Vec<u128>>,
    /// The keys of objects that are looked into.
    nests: Vec<Box<[u8]>>,
    /// The slots of values that a plan reads.
    mixed: Vec<(u8, Plan)>,
    /// Another dictionary has another number.
    number: u64,
    /// Whether there are values that no field stands for.
    extra: bool,
}

/// Byte offset at which the object stopped to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where in the line.
    pub at: u32,
    /// Whether it is an object at all, but not an access record.
    pub foreign: bool,
}

impl Keys {
    /// Compiles formats; the same key must mean the same in all of them. Dictionaries hold 128 keys at most: none
    /// beyond is read.
    pub fn new(shapes: &[Shape]) -> Keys {
        let mut compiled = Keys::default();
        for (key, slot) in shapes.iter().flat_map(|shape| &shape.keys) {
            compiled.add(key.as_bytes(), *slot);
        }
        for (key, plan) in shapes.iter().flat_map(|shape| &shape.mixed) {
            if let Some(number) = compiled.find(key.as_bytes()) {
                compiled.mixed.push((compiled.list[number as usize].1, plan.clone()));
            }
        }
        for shape in shapes {
            let bit = |key: &String| compiled.find(key.as_bytes()).map_or(0, |number| 1 << number);
            let sets = shape.needed.iter().map(|set| set.iter().fold(0, |bits, key| bits | bit(key))).collect();
            compiled.needed.push(sets);
        }
        compiled.extra = compiled.list.iter().any(|(_, slot)| usize::from(*slot) >= Field::COUNT);
        compiled.number = compiled.hasher.hash_one((&compiled.list, &compiled.needed)) | 1;
        compiled
    }

    fn add(&mut self, key: &[u8], slot: u8) {
        if self.find(key).is_some() || self.list.len() >= 128 {
            return;
        }
        let Keys { list, table, hasher, nests, .. } = self;
        table.insert_unique(hasher.hash_one(key), list.len() as u8, |number| {
            hasher.hash_one(&*list[*number as usize].0)
        });
        list.push((key.into(), slot));
        nests.extend(memchr::memchr_iter(b'.', key).map(|dot| Box::from(&key[..dot])));
    }

    fn find(&self, key: &[u8]) -> Option<u8> {
        self.table.find(self.hasher.hash_one(key), |number| *self.list[*number as usize].0 == *key).copied()
    }

    /// Fills `spans` (which the caller has cleared) from one JSON object; gives the number of its format.
    pub fn read(&self, line: &[u8], spans: &mut Spans) -> Result<usize, Broken> {
        spans.has_extra(self.extra);
        let format =
            if let Some(format) = self.read_again(line, spans) { format } else { self.read_anew(line, spans)? };
        for (slot, plan) in &self.mixed {
            mix(line, *slot, plan, spans);
        }
        // Istio 1.1.0 to 1.1.2 print the start time as the method.
        let time = spans.get(Field::StartTime).of(line);
        if time.is_some() && spans.get(Field::Method).of(line) == time {
            spans.set(Field::Method as u8, Span::NONE);
        }
        Ok(format)
    }

    /// The same of an object that is built as one of the last. If it is not, some slots may be set.
    fn read_again(&self, line: &[u8], spans: &mut Spans) -> Option<usize> {
        let Spans { slots, room, frames, .. } = spans;
        let marked = room.get_or_insert_default().mark_strings(line)?;
        for number in 0..frames.len() {
            if let Some(format) = frames[number].read(self.number, line, marked, slots) {
                frames.swap(0, number);
                return Some(format);
            }
            slots.fill(Span::NONE);
        }
        None
    }

    /// The same of an object that is not.
    fn read_anew(&self, line: &[u8], spans: &mut Spans) -> Result<usize, Broken> {
        spans.clear();
        let all = spans.frames.len() == FRAMES;
        let mut frame = spans.frames.pop_if(|last| all || last.is_free()).unwrap_or_default();
        frame.begin();
        let mut seen = 0u128;
        let read = Reader { line, at: 0 }.members_within(|key, (from, to), span| {
            let found = self.find(key);
            frame.add(line, from, to, found.map(|found| self.list[found as usize].1));
            match found {
                Some(found) => self.set(found, span, spans, &mut seen),
                None => self.nested(line, span, key, 1, spans, &mut seen),
            }
        });
        let fits = |sets: &Vec<u128>| sets.is_empty() || sets.iter().any(|set| seen & set == *set);
        let format = read.and_then(|()| self.needed.iter().position(fits).ok_or(Broken { at: 0, foreign: true }));
        if let Ok(format) = format {
            frame.end(line, format, self.number);
        }
        let place = if frame.is_free() { spans.frames.len() } else { 0 };
        spans.frames.insert(place, frame);
        format
    }

    fn set(&self, number: u8, span: Span, spans: &mut Spans, seen: &mut u128) {
        let slot = self.list[number as usize].1;
        *seen |= 1 << number;
        // Two keys can stand for one field; the one that says something counts.
        if spans.slots.get(slot as usize).is_some_and(|known| known.is_none()) {
            spans.set(slot, span);
        }
    }

    /// Looks into an object that some key leads into.
    fn nested(&self, line: &[u8], span: Span, path: &[u8], depth: usize, spans: &mut Spans, seen: &mut u128) {
        if depth > NESTED || !self.nests.iter().any(|known| **known == *path) {
            spans.strange |= depth == 1 && span.of(line).is_some_and(|value| value.first() == Some(&b'{'));
            return;
        }
        let Some(object) = span.of(line).filter(|object| object.first() == Some(&b'{')) else { return };
        let offset = span.at();
        // It was walked over once already, so its structure holds.
        let _ = Reader { line: object, at: 0 }.members(|key, inner| {
            let path = [path, b".", key].concat();
            let inner = inner.shifted(offset);
            match self.find(&path) {
                Some(found) => self.set(found, inner, spans, seen),
                None => self.nested(line, inner, &path, depth + 1, spans, seen),
            }
        });
    }

    /// Writes an object: `value` gives the text of a slot; absent ones are `null`, all others strings.
    pub fn write<'v>(&self, value: impl Fn(u8) -> Option<&'v [u8]>, out: &mut Vec<u8>) {
        out.push(b'{');
        for (number, (key, slot)) in self.list.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            quote(key, out);
            out.push(b':');
            match value(*slot) {
                Some(text) => quote(text, out),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b'}');
    }

    /// The slots that the dictionary fills.
    pub fn slots(&self) -> impl Iterator<Item = u8> {
        self.list.iter().map(|(_, slot)| *slot)
    }
}

/// Reads the value at a slot with its plan, as far as the fields in it are not known yet.
fn mix(line: &[u8], slot: u8, plan: &Plan, spans: &mut Spans) {
    let Some(span) = spans.slots.get(slot as usize).copied() else { return };
    let (Some(value), mut found) = (span.of(line), Spans::default()) else { return };
    if plan.read(value, &mut found).is_err() {
        return;
    }
    for slot in plan.slots() {
        let part = found.slots.get(slot as usize).copied().unwrap_or(Span::NONE);
        if !part.is_none() && spans.slots.get(slot as usize).is_some_and(|known| known.is_none()) {
            let part = part.shifted(span.at());
            spans.set(slot, if span.is_escaped() { part.escaped() } else { part });
        }
    }
}

pub(super) fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// Calls `found` with each key of a JSON object (as it stands) and the place of its value: the inside of a
/// string, the text of a number or word, [`Span::NONE`] for `null`, the whole of a nested value.
pub fn members<'a>(line: &'a [u8], found: impl FnMut(&'a [u8], Span)) -> Result<(), Broken> {
    Reader { line, at: 0 }.members(found)
}

struct Reader<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn members(&mut self, mut found: impl FnMut(&'a [u8], Span)) -> Result<(), Broken> {
        self.members_within(|key, _, span| found(key, span))
    }

    /// The same, with where each value begins and ends, quotes included.
    fn members_within(&mut self, mut found: impl FnMut(&'a [u8], (usize, usize), Span)) -> Result<(), Broken> {
        self.blanks();
        self.expect(b'{')?;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return self.end();
        }
        loop {
            self.blanks();
            let (from, to, _) = self.string()?;
            self.blanks();
            self.expect(b':')?;
            self.blanks();
            let begin = self.at;
            let span = self.value()?;
            found(&self.line[from..to], (begin, self.at), span);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return self.end();
                }
                _ => return Err(self.broken()),
            }
        }
    }

    fn value(&mut self) -> Result<Span, Broken> {
        match self.peek() {
            Some(b'"') => {
                let (from, to, escaped) = self.string()?;
                let span = Span::new(from, to);
                Ok(if escaped { span.escaped() } else { span })
            }
            Some(b'{' | b'[') => {
                let from = self.at;
                self.nested()?;
                Ok(Span::new(from, self.at))
            }
            _ => {
                let from = self.at;
                let rest = self.line.get(from..).unwrap_or_default();
                self.at += scalar(rest).ok_or(self.broken())?;
                match &self.line[from..self.at] {
                    b"null" => Ok(Span::NONE),
                    _ => Ok(Span::new(from, self.at)),
                }
            }
        }
    }

    /// The inside of a string, and whether it holds escapes.
    fn string(&mut self) -> Result<(usize, usize, bool), Broken> {
        self.expect(b'"')?;
        let from = self.at;
        let mut escaped = false;
        loop {
            let rest = self.line.get(self.at..).unwrap_or_default();
            let Some(len) = memchr2(b'"', b'\\', rest) else {
                self.at = self.line.len();
                return Err(self.broken());
            };
            self.at += len;
            if self.line[self.at] == b'"' {
                self.at += 1;
                return Ok((from, self.at - 1, escaped));
            }
            escaped = true;
            self.at += 2;
        }
    }

    /// Passes over an object or array; brackets inside of strings do not count.
    fn nested(&mut self) -> Result<(), Broken> {
        let mut depth = 0;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(b'{' | b'[') => depth += 1,
                Some(b'}' | b']') => depth -= 1,
                Some(_) => {}
                None => return Err(self.broken()),
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
            if depth > DEPTH {
                return Err(self.broken());
            }
        }
    }

    fn end(&mut self) -> Result<(), Broken> {
        self.blanks();
        if self.at == self.line.len() { Ok(()) } else { Err(self.broken()) }
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.broken())
        }
    }

    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn broken(&self) -> Broken {
        Broken { at: self.at as u32, foreign: false }
    }
}

#[cfg(test)]
mod tests;
