//! A text cut into words, each with what it is. What stands between quotes is one value: it stays only if every word of it may.

use super::shape::{Context, Reader};
use super::stand_in::{Kind, Shape};

/// A piece of a text.
#[derive(Debug)]
pub(super) struct Part<'t> {
    /// Where it begins, in bytes.
    pub(super) at: usize,
    pub(super) shape: Shape<'t>,
}

/// Keys whose value is prose, with names in it, and not one value.
const PROSE: [&str; 8] = ["msg", "message", "log", "MESSAGE", "textPayload", "error", "reason", "line"];

/// What ends a word, beside blanks.
const BRACKETS: &str = "\"'`()[]{}<>";
const MARKS: &str = "=,;&?!#$^~*\\";

impl Reader<'_> {
    /// Every piece of a text, in order; together they are the text.
    pub(super) fn text<'t>(&self, text: &'t str) -> Vec<Part<'t>> {
        let mut cut = Cut { reader: self, text, parts: Vec::new(), unknown: false, before: "" };
        cut.run(0, text.len());
        cut.parts
    }
}

struct Cut<'r, 't> {
    reader: &'r Reader<'r>,
    text: &'t str,
    parts: Vec<Part<'t>>,
    /// Whether a word was not known.
    unknown: bool,
    /// The word before.
    before: &'t str,
}

impl<'t> Cut<'_, 't> {
    fn push(&mut self, at: usize, shape: Shape<'t>) {
        self.parts.push(Part { at, shape });
    }

    fn keep(&mut self, from: usize, to: usize) {
        if from < to {
            self.push(from, Shape::Kept(&self.text[from..to]));
        }
    }

    /// Everything between two places.
    fn run(&mut self, from: usize, to: usize) {
        let mut at = from;
        while at < to {
            let rest = &self.text[at..to];
            let inside = self.text[from..at].ends_with(|letter: char| letter.is_alphanumeric());
            let begins = |phrase: &&str| !inside || !phrase.starts_with(|letter: char| letter.is_alphanumeric());
            let next = if let Some(phrase) = self.reader.words.phrase(rest).filter(begins) {
                self.keep(at, at + phrase.len());
                self.before = phrase.rsplit(' ').next().unwrap_or_default();
                at + phrase.len()
            } else if let Some(width) = quote(rest) {
                self.quoted(at, width, to)
            } else if let Some(width) = bracketed(rest) {
                self.word(at, at + width)
            } else if let Some(letter) = rest.chars().next().filter(|letter| is_separator(*letter) || is_colon(rest)) {
                self.keep(at, at + letter.len_utf8());
                at + letter.len_utf8()
            } else {
                self.word(at, at + length(rest))
            };
            // Nothing is ever left out, and it always goes on.
            at = next.max(at + 1);
        }
    }

    /// A word; punctuation at its end is none of it.
    fn word(&mut self, from: usize, to: usize) -> usize {
        let whole = &self.text[from..to];
        let word = if whole.starts_with('/') { whole } else { whole.trim_end_matches(['.', ':', '|']) };
        let word = if word.is_empty() || whole.ends_with("||") { whole } else { word };
        let context = Context { before: self.before, first: from == 0, edge: from == 0 || to == self.text.len() };
        match self.reader.word(word, context) {
            Some(shapes) => shapes.into_iter().for_each(|shape| self.push(from, shape)),
            None if word.chars().all(|letter| letter.is_ascii_punctuation()) => self.keep(from, from + word.len()),
            None => {
                self.unknown = true;
                self.push(from, Shape::Named(Kind::Value, word));
            }
        }
        if word.contains(|letter: char| letter.is_alphanumeric()) {
            self.before = word;
        }
        self.keep(from + word.len(), to);
        to
    }

    /// What stands between two quotes of the same depth.
    fn quoted(&mut self, at: usize, width: usize, to: usize) -> usize {
        let from = at + width;
        self.keep(at, from);
        let Some(close) = closing(&self.text[from..to], width) else { return from };
        let (content, end) = (&self.text[from..from + close], from + close);
        let key = self.text[end + width..to].starts_with(':');
        if key && self.reader.words.has(content) {
            self.keep(from, end);
            self.before = content;
        } else if content.contains('"') || PROSE.contains(&self.before) {
            self.before = "";
            self.run(from, end);
        } else {
            self.value(from, end);
            if key {
                self.before = "";
            }
        }
        self.keep(end, end + width);
        end + width
    }

    /// One value: a request, or words of which every one may stay, or something that is replaced as a whole.
    fn value(&mut self, from: usize, to: usize) {
        let content = &self.text[from..to];
        let start = from + content.len() - content.trim_start().len();
        let end = from + content.trim_end().len();
        if start >= end {
            return self.keep(from, to);
        }
        let (parts, unknown) = (self.parts.len(), std::mem::replace(&mut self.unknown, false));
        if let Some((method, protocol)) = request(&self.text[start..end]) {
            self.run(start, method + start);
            self.keep(start + method, start + method + 1);
            self.whole(start + method + 1, end - protocol - 1);
            self.keep(end - protocol - 1, end - protocol);
            self.run(end - protocol, end);
        } else {
            self.keep(from, start);
            self.run(start, end);
            // A long number between quotes was somebody's, not a proxy's, unless it is an instant since 1970.
            let digits = self.text[start..end].bytes().all(|byte| byte.is_ascii_digit());
            let long = digits && (7..13).contains(&(end - start));
            if self.unknown || long {
                self.parts.truncate(parts);
                self.keep(from, start);
                self.push(start, Shape::Named(Kind::Value, &self.text[start..end]));
            }
        }
        self.unknown = unknown || self.unknown;
        self.keep(end, to);
    }

    /// The path of a request, whatever is in it.
    fn whole(&mut self, from: usize, to: usize) {
        let path = &self.text[from..to];
        let kind = if path.starts_with('/') { Kind::Path } else { Kind::Value };
        match path {
            "/" | "-" | "*" => self.keep(from, to),
            _ => match self.reader.word(path, Context::default()).filter(|_| !path.starts_with('/')) {
                Some(shapes) => shapes.into_iter().for_each(|shape| self.push(from, shape)),
                None => self.push(from, Shape::Named(kind, path)),
            },
        }
    }
}

/// How long method and protocol are, if a text is a request line.
fn request(text: &str) -> Option<(usize, usize)> {
    let (method, rest) = text.split_once(' ')?;
    let (_, protocol) = rest.rsplit_once(' ')?;
    let known = method.bytes().all(|byte| byte.is_ascii_uppercase()) && !method.is_empty();
    (known && protocol.starts_with("HTTP/")).then_some((method.len(), protocol.len()))
}

/// How many bytes a quote takes, with what escapes it.
fn quote(text: &str) -> Option<usize> {
    let width = text.bytes().take_while(|byte| *byte == b'\\').count();
    (text.as_bytes().get(width) == Some(&b'"')).then_some(width + 1)
}

/// Where the next quote of the same depth begins.
fn closing(text: &str, width: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find(['\\', '"']) {
        let next = at + found;
        match quote(&text[next..]) {
            Some(other) if other == width => return Some(next),
            Some(other) if other < width => return None,
            Some(other) => at = next + other,
            None => at = next + text[next..].bytes().take_while(|byte| *byte == b'\\').count(),
        }
    }
    None
}

/// How long `[fd00::1]:80` at the start of a text is.
fn bracketed(text: &str) -> Option<usize> {
    let close = text.strip_prefix('[')?.find(']')? + 2;
    text[1..close - 1].parse::<std::net::Ipv6Addr>().ok()?;
    let port = text[close..].strip_prefix(':').map_or(0, |port| port.bytes().take_while(u8::is_ascii_digit).count());
    Some(if port > 0 { close + 1 + port } else { close })
}

/// A colon between a key and its value, and not at the start of an address.
fn is_colon(text: &str) -> bool {
    text.starts_with(':') && !text.starts_with("::")
}

fn is_separator(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control() || BRACKETS.contains(letter) || MARKS.contains(letter)
}

/// How long the word at the start of a text is. A path goes on to the next blank or quote, with all that is in it.
fn length(text: &str) -> usize {
    let first = text.find(is_separator).unwrap_or(text.len());
    let slash = text[..first].contains('/');
    let ends = |(at, letter): &(usize, char)| {
        let quoted = *letter == '"' || *letter == '\\' && quote(&text[*at..]).is_some();
        let blank = letter.is_whitespace() || letter.is_control() || quoted;
        blank || !text.starts_with('/') && (BRACKETS.contains(*letter) || !slash && is_separator(*letter))
    };
    text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
}

/// The text without what colours it on a terminal, as bytes or as JSON's escapes, and where a place in it is now.
pub(super) fn plain(text: &str, place: usize) -> (String, usize) {
    let (mut shown, mut at, mut moved) = (String::with_capacity(text.len()), 0, None);
    while at < text.len() {
        if at >= place && moved.is_none() {
            moved = Some(shown.len());
        }
        let rest = &text[at..];
        let start = ["\u{1b}[", "\\u001b["].into_iter().find(|start| rest.starts_with(start));
        let colour = start.and_then(|start| {
            let numbers = rest[start.len()..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
            let end = start.len() + numbers;
            rest[end..].starts_with(['m', 'K']).then_some(end + 1)
        });
        match (colour, rest.chars().next()) {
            (Some(width), _) => at += width,
            (None, Some(letter)) => {
                shown.push(letter);
                at += letter.len_utf8();
            }
            (None, None) => break,
        }
    }
    let place = moved.unwrap_or(shown.len());
    (shown, place)
}
