//! `Frame`: what stood between the values of a JSON object that was read. Most objects have the same keys in the same order: then
//! a line needs to be compared with it only, and its values lie in between.

use super::room::{Marked, Room};
use super::{SLOTS, Span};

/// The text between an object's values, from its first bracket to its last, and whose values they are.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The dictionary by which it was read, as a number; 0 if no other object can be read so.
    dictionary: u64,
    /// The number of the object's format there.
    format: usize,
    text: Vec<u8>,
    /// Of each value where the text before it ends, and its slot, if it has one.
    values: Vec<(usize, Option<u8>)>,
    /// While an object is read: where its last value ended, and whether one of them is an object or a list.
    at: usize,
    nested: bool,
}

impl Frame {
    /// Begins with another object.
    pub fn begin(&mut self) {
        (self.dictionary, self.at, self.nested) = (0, 0, false);
        self.text.clear();
        self.values.clear();
    }

    /// The next value lies there in the line, quotes included.
    pub fn add(&mut self, line: &[u8], from: usize, to: usize, slot: Option<u8>) {
        self.text.extend_from_slice(line.get(self.at..from).unwrap_or_default());
        self.values.push((self.text.len(), slot));
        self.nested |= matches!(line.get(from), Some(b'{' | b'['));
        self.at = to;
    }

    /// The object ends with its line, and was of this format of this dictionary.
    pub fn end(&mut self, line: &[u8], format: usize, dictionary: u64) {
        self.text.extend_from_slice(line.get(self.at..).unwrap_or_default());
        self.format = format;
        if !self.nested && line.len() < Room::MOST {
            self.dictionary = dictionary;
        }
    }

    /// Whether no object can be read by it.
    pub fn is_free(&self) -> bool {
        self.dictionary == 0
    }

    /// Reads an object with the same text between its values; gives its format. `None` if it has another one, or values that are
    /// objects or lists: then some slots may be set. Strings are marked in the line.
    pub fn read(&self, dictionary: u64, line: &[u8], marked: Marked<'_>, slots: &mut [Span; SLOTS]) -> Option<usize> {
        if self.dictionary != dictionary {
            return None;
        }
        let (mut at, mut from) = (0, 0);
        for (to, slot) in &self.values {
            let before = &self.text[from..*to];
            if line.get(at..at + before.len())? != before {
                return None;
            }
            (at, from) = (at + before.len(), *to);
            let span = if *line.get(at)? == b'"' {
                let (end, escaped) = marked.string_end(at + 1)?;
                let span = Span::new(at + 1, end);
                at = end + 1;
                if escaped { span.escaped() } else { span }
            } else {
                let end = at + scalar(&line[at..])?;
                let span = if &line[at..end] == b"null" { Span::NONE } else { Span::new(at, end) };
                at = end;
                span
            };
            // Two keys can stand for one field; the one that says something counts.
            if let Some(place) = slot.and_then(|slot| slots.get_mut(usize::from(slot)))
                && place.is_none()
            {
                *place = span;
            }
        }
        (line.get(at..)? == &self.text[from..]).then_some(self.format)
    }
}

/// The length of the number or word at the start of a text.
#[inline]
pub fn scalar(text: &[u8]) -> Option<usize> {
    let len = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    (len > 0).then_some(len)
}
