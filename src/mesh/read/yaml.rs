//! YAML: one document or several between lines of `---`.

use serde::de::DeserializeSeed;
use serde_saphyr::{Error, Options};

use super::document::{Document, Take};
use super::json::Syntax;

/// How deep it may be nested: half of what serde_json allows, because this reader needs more of the stack. Dumps need 30.
const DEPTH: usize = 64;

/// Reads all documents. Stops where the text is wrong.
pub(super) fn read(text: &str, take: &mut dyn Take) -> Result<(), Syntax> {
    let mut document = Document::new(take);
    for (before, text) in documents(text) {
        if text.lines().all(|line| line.trim().is_empty() || line.starts_with(['#', '%'])) {
            continue;
        }
        part(text, |yaml| document.deserialize(yaml))
            .map_err(|syntax| Syntax { line: syntax.line + before, ..syntax })?;
    }
    Ok(())
}

/// Reads one document with `read`.
pub(super) fn part<T>(
    text: &str,
    read: impl for<'de, 'e> FnOnce(serde_saphyr::Deserializer<'de, 'e>) -> Result<T, Error>,
) -> Result<T, Syntax> {
    serde_saphyr::with_deserializer_from_str_with_options(text, options(text.len()), read).map_err(|error| Syntax {
        line: error.location().map_or(1, |location| location.line() as usize),
        column: error.location().map_or(0, |location| location.column() as usize),
        what: said(&error.without_snippet().to_string()),
    })
}

/// As many values as the text has letters, and as much in repeated parts (aliases) as nobody writes by hand.
fn options(length: usize) -> Options {
    let events = length.saturating_mul(2).saturating_add(64);
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            flow_nesting_limit: DEPTH,
            max_events: events,
            max_nodes: events,
            max_total_scalar_bytes: events,
        },
        with_snippet: false,
    }
}

/// What the reader of YAML says, without the place and without its advice to programmers.
fn said(message: &str) -> String {
    let ends = [" at line ", ", set DuplicateKeyPolicy", "; use from_str", "\n"];
    let end = ends.iter().filter_map(|end| message.find(end)).min();
    message[..end.unwrap_or(message.len())].to_owned()
}

/// The documents and how many lines stand before each. No value can begin a line with `---`.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut begin, mut before) = (0, 0);
    let (mut at, mut lines) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.starts_with("---") && line[3..].starts_with([' ', '\t', '\r', '\n']) && at > begin {
            found.push((before, &text[begin..at]));
            (begin, before) = (at, lines);
        }
        at += line.len();
        lines += 1;
    }
    found.push((before, &text[begin..]));
    found
}
