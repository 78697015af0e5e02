//! One file: what it is written in is seen from its first bytes.

use std::io::{self, Read};

use super::json::Syntax;
use super::parts::Parts;
use super::{Trouble, json, status, table, yaml};
use crate::source::compressed::{Bytes, peek};

/// How many first bytes tell.
const HEAD: usize = 16 << 10;
/// The largest text that is no JSON; JSON is not held in memory and may be longer.
const MOST: u64 = 1 << 30;
/// What some editors put before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads a file called `name` into `parts`, up to where it is wrong. It may turn out to hold nothing that we know.
pub(super) fn file(name: &str, bytes: Bytes, parts: &mut Parts) -> Result<(), Trouble> {
    let io = |error| Trouble::Io { file: name.to_owned(), error };
    let syntax = |syntax: Syntax| syntax.of(name);
    let (head, mut bytes) = peek(bytes, HEAD).map_err(io)?;
    if head.starts_with(BOM) {
        io::copy(&mut bytes.by_ref().take(BOM.len() as u64), &mut io::sink()).map_err(io)?;
    }
    let begin = head.strip_prefix(BOM).unwrap_or(&head).trim_ascii_start();
    if begin.starts_with(b"{") || begin.starts_with(b"[") {
        return json::read(bytes, parts).map_err(io)?.map_err(syntax);
    }
    let begin = String::from_utf8_lossy(begin);
    // A head of nothing but comments can be YAML's.
    let first = lines(&begin).next().unwrap_or("---");
    let Some(kind) = Kind::of(first) else { return Ok(()) };
    let whole = whole(bytes).map_err(io)?;
    let text = text(&whole).map_err(syntax)?;
    match kind {
        Kind::Status => parts.status_text(text),
        Kind::Table => parts.table(first, &mut lines(text).skip(1)),
        Kind::Yaml => yaml::read(text, parts).map_err(syntax)?,
    }
    Ok(())
}

/// What is no JSON.
enum Kind {
    /// `/clusters` as text.
    Status,
    /// The table of `istioctl proxy-config listeners`.
    Table,
    Yaml,
}

impl Kind {
    /// Told by the first line that has something in it.
    fn of(first: &str) -> Option<Kind> {
        if status::is_text(first) {
            return Some(Kind::Status);
        }
        if table::is_head(first) {
            return Some(Kind::Table);
        }
        is_yaml(first).then_some(Kind::Yaml)
    }
}

/// Lines with something in them, without comments and the command that somebody copied with its output.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with(['#', '$', '>']))
}

/// Whether a line can be the first of a document in YAML: an object, a list, a marker or a directive.
fn is_yaml(line: &str) -> bool {
    let is_key = |key: &str| !key.is_empty() && !key.contains([' ', '\t']);
    let begins = ["---", "- ", "%YAML"].iter().any(|begin| line.starts_with(begin));
    begins || line == "-" || line.strip_suffix(':').or(line.split_once(": ").map(|(key, _)| key)).is_some_and(is_key)
}

fn whole(bytes: Bytes) -> io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    bytes.take(MOST).read_to_end(&mut whole)?;
    if whole.len() as u64 == MOST {
        return Err(io::Error::other("is larger than 1 GiB and no JSON: ask for it with -o json"));
    }
    Ok(whole)
}

/// The text, or where it is none.
fn text(bytes: &[u8]) -> Result<&str, Syntax> {
    std::str::from_utf8(bytes.strip_prefix(BOM).unwrap_or(bytes)).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1) + 1;
        Syntax { line, column, what: "is not UTF-8".to_owned() }
    })
}
