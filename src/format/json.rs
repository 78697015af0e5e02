//! `Keys`: a JSON format compiled into a dictionary; reads one flat object into spans, without a tree.
//!
//! Values may be strings or of any JSON type, keys come in any order, nested values are passed over.
//! Envoys write bytes that are no valid JSON at times (raw bytes, malformed escapes): only the structure
//! has to hold.

use memchr::memchr2;

use crate::record::{Span, Spans};

/// How deep a nested value may be before the line counts as damaged.
const DEPTH: usize = 64;

/// A compiled JSON format: which key goes to which slot.
#[derive(Clone, Debug)]
pub struct Keys {
    keys: Vec<(Box<[u8]>, u8)>,
    /// Keys without which an object is something else.
    needed: u64,
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
    /// Compiles a dictionary: key, slot, and whether an access record must have it.
    pub fn new(keys: impl IntoIterator<Item = (String, u8, bool)>) -> Keys {
        let mut compiled = Keys { keys: Vec::new(), needed: 0 };
        for (number, (key, slot, needed)) in keys.into_iter().enumerate() {
            compiled.needed |= u64::from(needed && number < 64) << number;
            compiled.keys.push((key.into_bytes().into(), slot));
        }
        compiled
    }

    /// Fills `spans` (which the caller has cleared) from one JSON object.
    pub fn read(&self, line: &[u8], spans: &mut Spans) -> Result<(), Broken> {
        let mut reader = Reader { line, at: 0 };
        let (mut seen, mut next) = (0u64, 0);
        reader.members(|key, span| {
            // Envoy keeps one order of keys, so the next key is nearly always the one behind the last.
            let order = (next..self.keys.len()).chain(0..next);
            let found = order.into_iter().find(|number| *self.keys[*number].0 == *key);
            if let Some(number) = found {
                spans.set(self.keys[number].1, span);
                seen |= 1u64.checked_shl(number as u32).unwrap_or(0);
                next = number + 1;
            }
        })?;
        if seen & self.needed == self.needed { Ok(()) } else { Err(Broken { at: 0, foreign: true }) }
    }

    /// Writes an object: `value` gives the text of a slot; absent ones are `null`, all others strings.
    pub fn write<'v>(&self, value: impl Fn(u8) -> Option<&'v [u8]>, out: &mut Vec<u8>) {
        out.push(b'{');
        for (number, (key, slot)) in self.keys.iter().enumerate() {
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
        self.keys.iter().map(|(_, slot)| *slot)
    }
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
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
            let span = self.value()?;
            found(&self.line[from..to], span);
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
                while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
                    self.at += 1;
                }
                match &self.line[from..self.at] {
                    [] => Err(self.broken()),
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
mod tests {
    use super::*;
    use crate::field::Field;
    use crate::record::Record;

    fn keys() -> Keys {
        Keys::new([
            ("start_time".to_owned(), Field::StartTime as u8, true),
            ("user_agent".to_owned(), Field::UserAgent as u8, false),
            ("duration".to_owned(), Field::Duration as u8, false),
        ])
    }

    fn read(line: &str) -> Result<Vec<Option<String>>, Broken> {
        let mut spans = Spans::default();
        keys().read(line.as_bytes(), &mut spans)?;
        let record = Record { line: line.as_bytes(), spans: &spans };
        let text = |field| record.text(field).map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok(vec![text(Field::StartTime), text(Field::UserAgent), text(Field::Duration)])
    }

    #[test]
    fn any_order_types_nulls_and_nested_values_read() {
        let line = r#" {"x":{"a":["}"]} , "duration":1e+05,"user_agent":"a \"b\"","start_time":"t"} "#;
        assert_eq!(read(line).unwrap(), [Some("t".into()), Some("a \"b\"".into()), Some("1e+05".into())]);
        assert_eq!(read(r#"{"start_time":"t","user_agent":null,"duration":"-"}"#).unwrap()[1..], [None, None]);
    }

    #[test]
    fn damage_and_foreign_objects_are_told_apart() {
        assert!(read(r#"{"level":"info"}"#).unwrap_err().foreign);
        for line in ["{", r#"{"a""#, r#"{"a":"b\"#, r#"{"start_time":}"#, r#"{"start_time":"t"} x"#, "[]", ""] {
            assert!(!read(line).unwrap_err().foreign, "{line}");
        }
        let deep = format!("{{\"x\":{}", "[".repeat(200_000));
        assert!(!read(&deep).unwrap_err().foreign);
    }
}
