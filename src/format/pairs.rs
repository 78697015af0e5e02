//! `Pairs`: lines of `key=value` behind a time, a level and a scope, as ztunnel writes its access log.
//!
//! `TIME LEVEL access MESSAGE key=value key="value"`: tabs or blanks between the first parts, one blank between the
//! pairs, absent values left out. Strings are quoted as Rust does it. Source: istio/ztunnel `src/proxy/metrics.rs`
//! and `src/telemetry.rs`, 1.22 to 1.31.

use memchr::{memchr, memchr2};

use crate::field::value::is_stamp;
use crate::field::{Field, Kind};
use crate::record::{Span, Spans};

/// The words behind a level that make a line an access line.
const SCOPES: [&[u8]; 2] = [b"access", b"http access"];
/// The levels of access lines.
const LEVELS: [&[u8]; 5] = [b"info", b"error", b"warn", b"debug", b"trace"];

/// A compiled `key=value` format: which key goes to which slot.
#[derive(Clone, Debug)]
pub struct Pairs {
    keys: Vec<(Box<[u8]>, u8)>,
}

/// The messages of access lines, as far as they are known.
const MESSAGES: [&[u8]; 4] = [b"connection complete", b"connection opened", b"connection failed", b"request complete"];

/// Whether an access line of this kind may begin here. The time may be missing, as in lines that people paste; then prose
/// could have the same words.
pub fn begins(text: &[u8]) -> bool {
    // Most words in which a line may begin are told by their first letter to be none of these.
    let may = |first: &u8| first.is_ascii_digit() || LEVELS.iter().any(|level| level[0].eq_ignore_ascii_case(first));
    let says = |(_, message): (usize, usize)| {
        let said = &text[message..];
        MESSAGES.iter().any(|known| said.starts_with(known)) || memchr::memmem::find(said, b"src.addr=").is_some()
    };
    text.first().is_some_and(may) && head(text).is_some_and(says)
}

/// Whether a word is the level of an access line.
pub fn is_level(word: &[u8]) -> bool {
    LEVELS.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Where the time ends (0 without one), and where the message begins.
fn head(text: &[u8]) -> Option<(usize, usize)> {
    let time = if is_stamp(text, b'T') { word(text) } else { 0 };
    let level = time + blanks(&text[time..]);
    // Asked of every word before a line: no level has more letters than five.
    let end = level + text[level..].iter().take(6).take_while(|byte| !matches!(byte, b' ' | b'\t')).count();
    if !is_level(&text[level..end]) {
        return None;
    }
    let scope = end + blanks(&text[end..]);
    let found = SCOPES.iter().find(|known| text[scope..].starts_with(known))?;
    let end = scope + found.len();
    let gap = blanks(&text[end..]);
    (gap > 0).then_some((time, end + gap))
}

fn word(text: &[u8]) -> usize {
    memchr2(b' ', b'\t', text).unwrap_or(text.len())
}

fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

impl Pairs {
    /// Compiles a dictionary.
    pub fn new(keys: impl IntoIterator<Item = (String, u8)>) -> Pairs {
        Pairs { keys: keys.into_iter().map(|(key, slot)| (key.into_bytes().into(), slot)).collect() }
    }

    /// Fills `spans` (which the caller has cleared) from one line; an error is the place where reading stopped.
    pub fn read(&self, line: &[u8], spans: &mut Spans) -> Result<(), usize> {
        let (time, message) = head(line).ok_or(0usize)?;
        if time > 0 {
            spans.set(Field::EmitTime as u8, Span::new(0, time));
        }
        let mut at = pairs_start(line, message).ok_or(message)?;
        let said = line[message..at].trim_ascii_end().len();
        spans.set(Field::Event as u8, Span::new(message, message + said));
        while at < line.len() {
            let equals = at + memchr(b'=', &line[at..]).ok_or(at)?;
            let key = &line[at..equals];
            let (span, end) = value(line, equals + 1).ok_or(equals + 1)?;
            if let Some((_, slot)) = self.keys.iter().find(|(known, _)| **known == *key) {
                spans.set(*slot, unit(line, *slot, span));
            }
            at = end + blanks(&line[end..]);
        }
        Ok(())
    }

    /// Writes a line: `value` gives the text of a slot; absent ones are left out.
    pub fn write<'v>(&self, value: impl Fn(u8) -> Option<&'v [u8]>, out: &mut Vec<u8>) {
        if let Some(time) = value(Field::EmitTime as u8) {
            out.extend_from_slice(time);
            out.push(b'\t');
        }
        out.extend_from_slice(b"info\taccess\t");
        out.extend_from_slice(value(Field::Event as u8).unwrap_or(b"connection complete"));
        let mut separator = b'\t';
        for (key, slot) in &self.keys {
            let Some(text) = value(*slot) else { continue };
            out.push(separator);
            separator = b' ';
            out.extend_from_slice(key);
            out.push(b'=');
            match Field::ALL.get(*slot as usize).map(|field| field.kind()) {
                Some(Kind::Integer | Kind::Address) => out.extend_from_slice(text),
                Some(Kind::Millis) => out.extend_from_slice(&[b"\"", text, b"ms\""].concat()),
                _ => super::json::quote(text, out),
            }
        }
    }

    /// The slots that it fills.
    pub fn slots(&self) -> impl Iterator<Item = u8> {
        [Field::EmitTime as u8, Field::Event as u8].into_iter().chain(self.keys.iter().map(|(_, slot)| *slot))
    }
}

/// Where the first `key=` stands, behind the words of the message.
fn pairs_start(line: &[u8], message: usize) -> Option<usize> {
    let mut at = message;
    while at < line.len() {
        let end = at + word(&line[at..]);
        let name = |byte: &u8| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_');
        let key = line[at..end].iter().take_while(|byte| name(byte)).count();
        if key > 0 && line.get(at + key) == Some(&b'=') {
            return Some(at);
        }
        at = end + blanks(&line[end..]);
    }
    None
}

/// The value that begins at `at`, and where it ends.
fn value(line: &[u8], at: usize) -> Option<(Span, usize)> {
    if line.get(at) != Some(&b'"') {
        let end = at + word(&line[at..]);
        return Some((Span::new(at, end), end));
    }
    let (from, mut to, mut escaped) = (at + 1, at + 1, false);
    loop {
        to += memchr2(b'"', b'\\', line.get(to..)?)?;
        if line[to] == b'"' {
            let span = Span::new(from, to);
            return Some((if escaped { span.escaped() } else { span }, to + 1));
        }
        escaped = true;
        to += 2;
    }
}

/// Durations are printed with their unit.
pub(super) fn unit(line: &[u8], slot: u8, span: Span) -> Span {
    let millis = Field::ALL.get(slot as usize).is_some_and(|field| field.kind() == Kind::Millis);
    if millis && span.of(line).is_some_and(|text| text.ends_with(b"ms")) { span.shortened(2) } else { span }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn read(line: &str) -> Result<[String; 3], usize> {
        let keys =
            [("src.addr", Field::DownstreamRemoteAddress), ("error", Field::Error), ("duration", Field::Duration)];
        let pairs = Pairs::new(keys.map(|(key, field)| (key.to_owned(), field as u8)));
        let mut spans = Spans::default();
        pairs.read(line.as_bytes(), &mut spans)?;
        let record = Record { line: line.as_bytes(), spans: &spans };
        let text =
            |field| record.text(field).map_or("-".to_owned(), |text| String::from_utf8_lossy(&text).into_owned());
        Ok([text(Field::Event), text(Field::Error), text(Field::Duration)])
    }

    #[test]
    fn tabs_blanks_quotes_and_a_lost_time_are_read() {
        for line in [
            "2024-08-21T15:32:05.754291Z\terror\taccess\tconnection complete\tsrc.addr=1.2.3.4:5 duration=\"15ms\" error=\"a \\\"b\\\"\"",
            "2024-08-21T15:32:05.754291Z error access connection complete src.addr=1.2.3.4:5 duration=\"15ms\" error=\"a \\\"b\\\"\"",
            "error\taccess\tconnection complete\tx.y=1 duration=15 error=\"a \\\"b\\\"\"",
        ] {
            assert!(begins(line.as_bytes()), "{line}");
            assert_eq!(read(line).unwrap(), ["connection complete", "a \"b\"", "15"], "{line}");
        }
    }

    #[test]
    fn other_lines_and_cut_ones_are_refused() {
        for line in [
            "2024-08-21T15:32:05.754291Z\tinfo\tproxy\tready",
            "2024-08-21T15:32:05.754291Z\tinfo\taccesslog\tx=1",
            "info access",
            "info access words only",
            "info access m src.addr",
            "info access m error=\"cut",
            "info access m error=\"cut\\",
            "",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
        for line in ["error access denied for user=x", "2024-08-21T15:32:05.754291Z info access log configured"] {
            assert!(!begins(line.as_bytes()), "{line}");
        }
    }
}
