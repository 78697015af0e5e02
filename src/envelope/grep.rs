//! `grep`, `rg`, `ag` over several files: `PATH:`, `PATH:12:`, lines around a match `PATH-12-`, or the number alone.
//! What they print stands right before the line, without a blank. Source: GNU grep's manual, "General Output Control".

use super::{Peeled, Words};
use crate::names;
use crate::source::place::container_file;

/// Takes the one word that ends where the line begins.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    let [word] = words else { return None };
    let (mark, rest) = word.split_last()?;
    let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let path = match &rest[..rest.len() - digits] {
        [] if digits > 0 => &rest[..0],
        [path @ .., before] if digits > 0 && before == mark => path,
        _ => rest,
    };
    (matches!(mark, b':' | b'-') && (path.is_empty() && digits > 0 || is_path(path))).then(|| file(path))
}

/// What stands before the first colons of a word, and the rest of the word, where it is a file's name and perhaps a number.
pub(super) fn before(word: &[u8]) -> Option<(Peeled<'_>, &[u8])> {
    let colon = memchr::memchr(b':', word)?;
    let (path, rest) = (&word[..colon], &word[colon + 1..]);
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = if rest.get(digits) == Some(&b':') { &rest[digits + 1..] } else { rest };
    (is_path(path) && !rest.is_empty()).then(|| (file(path), rest))
}

/// A name with an ending, or a path from the root or from here: `NAMESPACE/POD` is none.
fn is_path(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let strange = |byte: &u8| b"[]{}\"=,".contains(byte);
    (name.contains(&b'.') || matches!(path, [b'/' | b'.', ..])) && !path.iter().any(strange)
}

/// Whose log a file is, as far as its name says.
fn file(path: &[u8]) -> Peeled<'_> {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let peeled = Peeled::new("grep");
    if let Some([pod, namespace, container]) = container_file(name) {
        return Peeled { namespace: Some(namespace), pod: Some(pod), container: Some(container), ..peeled };
    }
    let stem = name.split(|byte| *byte == b'.').next().unwrap_or_default();
    Peeled { pod: Some(stem).filter(|stem| names::is_replica(stem)), ..peeled }
}
