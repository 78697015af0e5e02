//! One file: what it is written in is seen from its first bytes.

use std::io::Read;

use super::parts::Parts;
use super::{Trouble, json, status};
use crate::source::compressed::{Bytes, peek};

/// How many first bytes tell.
const HEAD: usize = 4 << 10;
/// The largest text that is no JSON; JSON is not held in memory and may be longer.
const MOST: u64 = 1 << 30;

/// Reads a file called `name`. It may turn out to hold nothing that we know.
pub(super) fn file(name: &str, bytes: Bytes) -> Result<Parts, Trouble> {
    let io = |error| Trouble::Io { file: name.to_owned(), error };
    let (head, mut bytes) = peek(bytes, HEAD).map_err(io)?;
    let mut parts = Parts::default();
    if head.starts_with(BOM) {
        std::io::copy(&mut bytes.by_ref().take(BOM.len() as u64), &mut std::io::sink()).map_err(io)?;
    }
    let begin = head.strip_prefix(BOM).unwrap_or(&head).trim_ascii_start();
    if begin.starts_with(b"{") || begin.starts_with(b"[") {
        json::read(bytes, &mut parts).map_err(io)?.map_err(|syntax| syntax.of(name))?;
        return Ok(parts);
    }
    if status::is_text(&String::from_utf8_lossy(begin)) {
        let mut text = String::new();
        bytes.take(MOST).read_to_string(&mut text).map_err(io)?;
        parts.status_text(&text);
    }
    Ok(parts)
}

/// What some editors put before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";
