//! `peel`: takes off what a collector wrapped around a line, and keeps what it knew: namespace and pod.
//!
//! The access line begins at the first plausible place at a word's start: `[2020-07-23T` or `{"`. What
//! stands before it decides which envelope it is. A line's envelope never depends on the lines before it,
//! so any cut of the input gives the same answer. An envelope is one file and one line in `PREFIXES`.

mod cri;
mod docker;
mod kubectl;
mod stern;

use crate::field::value::is_stamp;
use crate::format::{pairs, shape};

pub use docker::unwrap as unwrap_docker;

/// What a prefix says about the line behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peeled<'a> {
    /// The envelope's name in the summary, `none` without one.
    pub envelope: &'static str,
    /// Kubernetes namespace, if the envelope says it.
    pub namespace: Option<&'a [u8]>,
    /// Pod, if the envelope says it.
    pub pod: Option<&'a [u8]>,
    /// The runtime cut the line here: what follows is in the next record.
    pub partial: bool,
}

/// The words before a line, without the blanks between them.
type Words<'w, 'a> = &'w [&'a [u8]];

/// The layouts of prefixes: each takes the words and says whether they are its own.
const PREFIXES: &[fn(Words<'_, '_>) -> Option<Found>] = &[stern::read, kubectl::read, cri::read];

/// Which words hold namespace and pod. Numbers instead of slices keep the readers plain functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    envelope: &'static str,
    namespace: Option<usize>,
    pod: Option<usize>,
    /// kubectl writes `[pod/NAME/CONTAINER]` as one word.
    bracketed: bool,
    partial: bool,
}

impl Found {
    const fn new(envelope: &'static str) -> Found {
        Found { envelope, namespace: None, pod: None, bracketed: false, partial: false }
    }
}

/// No envelope has more words before the line than this: stern's `-t` with `--all-namespaces` has four.
const MOST_WORDS: usize = 5;

/// Where the message of a line begins, or `None` if it is not one that an Envoy or an agent writes.
///
/// Looks at the start of each of the first words.
pub fn message_start(line: &[u8], begins: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut at = 0;
    for _ in 0..=MOST_WORDS {
        if begins(&line[at..]) {
            return Some(at);
        }
        at += memchr::memchr(b' ', &line[at..])? + 1;
    }
    None
}

/// Whether an access line may begin here.
pub fn begins_access(text: &[u8]) -> bool {
    match text {
        [b'[', rest @ ..] if is_stamp(rest, b'T') => true,
        [b'{', rest @ ..] => rest.trim_ascii_start().first() == Some(&b'"'),
        [b'A', ..] => text.strip_prefix(b"ACCESS [").is_some_and(|rest| is_stamp(rest, b'T')),
        _ => pairs::begins(text) || shape::begins(text),
    }
}

/// What the words in `prefix` (the line up to its message) say; `None` if no envelope writes such words.
pub fn peel(prefix: &[u8]) -> Option<Peeled<'_>> {
    if prefix.is_empty() {
        return Some(Peeled { envelope: "none", ..Peeled::default() });
    }
    let mut words: [&[u8]; MOST_WORDS] = [b""; MOST_WORDS];
    let mut count = 0;
    for word in prefix.trim_ascii_end().split(|byte| *byte == b' ') {
        *words.get_mut(count)? = word;
        count += 1;
    }
    let words = &words[..count];
    let found = PREFIXES.iter().find_map(|read| read(words))?;
    let mut peeled = Peeled {
        envelope: found.envelope,
        namespace: found.namespace.map(|word| words[word]),
        pod: found.pod.map(|word| words[word]),
        partial: found.partial,
    };
    if found.bracketed {
        peeled.pod = peeled.pod.and_then(kubectl::pod);
    }
    Some(peeled)
}

/// Whether a word is a DNS label or name, as pods, containers and namespaces are.
fn is_name(word: &[u8]) -> bool {
    let ok = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-' || *byte == b'.';
    word.len() <= 253 && word.first().is_some_and(u8::is_ascii_alphanumeric) && word.iter().all(ok) && !is_time(word)
}

/// Whether a word is an RFC 3339 time.
fn is_time(word: &[u8]) -> bool {
    is_stamp(word, b'T')
}

/// Takes ANSI's colour and style sequences out: `ESC [ ... letter`. Other control bytes stay.
pub fn strip_colour(line: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut rest = line;
    while let Some(at) = memchr::memmem::find(rest, b"\x1b[") {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 2..];
        let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte));
        rest = end.map_or(&b""[..], |end| &rest[end + 1..]);
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peeled(prefix: &str) -> Option<(&'static str, Option<&str>, Option<&str>)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        peel(prefix.as_bytes()).map(|peeled| (peeled.envelope, peeled.namespace.map(text), peeled.pod.map(text)))
    }

    #[test]
    fn every_prefix_is_told_by_its_words() {
        let stamp = "2024-08-07T09:34:15.747065123Z";
        assert_eq!(peeled(""), Some(("none", None, None)));
        assert_eq!(peeled("web-1 istio-proxy "), Some(("stern", None, Some("web-1"))));
        assert_eq!(peeled("shop web-1 istio-proxy "), Some(("stern", Some("shop"), Some("web-1"))));
        assert_eq!(peeled(&format!("web-1 istio-proxy {stamp} ")), Some(("stern", None, Some("web-1"))));
        assert_eq!(peeled("[pod/web-1/istio-proxy] "), Some(("kubectl", None, Some("web-1"))));
        assert_eq!(peeled(&format!("[pod/web-1/istio-proxy] {stamp} ")), Some(("kubectl", None, Some("web-1"))));
        assert_eq!(peeled(&format!("{stamp} ")), Some(("kubectl", None, None)));
        assert_eq!(peeled(&format!("{stamp} stdout F ")), Some(("cri", None, None)));
        assert!(peel(format!("{stamp} stderr P:x ").as_bytes()).unwrap().partial);
        for foreign in ["GET / HTTP/1.1 ", "a b c d e f ", "Hello World ", "[pod/x] ", "[pod//] "] {
            assert_eq!(peeled(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn colour_is_taken_out_and_nothing_else() {
        let mut out = Vec::new();
        strip_colour(b"\x1b[96mpod\x1b[0m \x1b[1;92mc\x1b[0m a\x00b\x1b[", &mut out);
        assert_eq!(out, b"pod c a\x00b");
    }

    #[test]
    fn a_message_begins_at_a_word() {
        assert_eq!(message_start(b"pod c [2020-07-23T14:26:27.081Z] x", begins_access), Some(6));
        assert_eq!(message_start(b"pod[2020-07-23T14:26:27.081Z] x", begins_access), None);
        assert_eq!(message_start(b"pod c [2019-09-11 10:00:00.123] x", begins_access), None);
    }
}
