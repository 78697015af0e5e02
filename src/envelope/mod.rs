//! `peel`: takes off what a collector wrapped around a line, and keeps what it knew: pod, namespace, container, node,
//! and when the line arrived there.
//!
//! Two kinds of envelope: words before the line (`PREFIXES`, one file each) and a JSON object that holds it
//! (`json`). The access line begins at the first plausible place at a word's start; what stands before it decides which
//! envelope it is. A line's envelope never depends on the lines before it, so any cut of the input gives the same
//! answer. Envelopes stand inside of envelopes: `kubectl logs --timestamps` of a collector that prints JSON.

mod compose;
mod container;
mod cri;
mod grep;
pub mod json;
mod kail;
mod kubectl;
mod kubetail;
mod logcli;
pub mod quoted;
mod start;
mod stern;
mod syslog;
mod tail;

pub use start::{access_start, begins_access, is_plain, message_start, word_starts};

use crate::field::value::is_stamp;
use start::MOST_WORDS;

/// What an envelope says about the line in it. What it does not know is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peeled<'a> {
    /// The envelope's name in the summary, `none` without one.
    pub envelope: &'static str,
    /// Kubernetes namespace.
    pub namespace: Option<&'a [u8]>,
    /// Pod.
    pub pod: Option<&'a [u8]>,
    /// Container.
    pub container: Option<&'a [u8]>,
    /// The machine.
    pub node: Option<&'a [u8]>,
    /// When the collector got the line, as it prints that.
    pub time: Option<&'a [u8]>,
    /// The runtime cut the line here: what follows is in the next record.
    pub partial: bool,
}

impl<'a> Peeled<'a> {
    /// Nothing known but the envelope's name.
    const fn new(envelope: &'static str) -> Peeled<'a> {
        Peeled { envelope, namespace: None, pod: None, container: None, node: None, time: None, partial: false }
    }

    /// What this envelope says, else the one around it: the inner one is nearer to the line.
    #[must_use]
    fn inside(self, outer: Peeled<'a>) -> Peeled<'a> {
        Peeled {
            envelope: self.envelope,
            namespace: self.namespace.or(outer.namespace),
            pod: self.pod.or(outer.pod),
            container: self.container.or(outer.container),
            node: self.node.or(outer.node),
            time: self.time.or(outer.time),
            partial: self.partial || outer.partial,
        }
    }
}

/// The words before a line, without the blanks between them.
type Words<'w, 'a> = &'w [&'a [u8]];

/// The layouts of prefixes: each takes all of the words it is shown, or says that they are not its own.
const PREFIXES: &[for<'w, 'a> fn(Words<'w, 'a>) -> Option<Peeled<'a>>] = &[
    stern::read,
    kubectl::read,
    cri::read,
    kail::read,
    kubetail::read,
    logcli::read,
    compose::read,
    grep::read,
    container::read,
    tail::read,
    syslog::read,
];

/// How many envelopes may stand inside of each other.
pub const DEPTH: usize = 4;

/// What the words in `prefix` (the line up to its message) say; `None` if no envelope writes such words.
pub fn peel(prefix: &[u8]) -> Option<Peeled<'_>> {
    let mut words: [&[u8]; MOST_WORDS] = [b""; MOST_WORDS];
    let (mut at, mut count) = (0, 0);
    for next in word_starts(prefix).skip(1).chain([prefix.len()]) {
        let word = prefix[at..next].trim_ascii();
        at = next;
        if !word.is_empty() {
            *words.get_mut(count)? = word;
            count += 1;
        }
    }
    if count == 0 {
        return Some(Peeled::new("none"));
    }
    nested(&words[..count], DEPTH).or_else(|| {
        // A searched file's name stands at the first word without a blank.
        let (outer, first) = grep::before(words[0])?;
        words[0] = first;
        nested(&words[..count], DEPTH).map(|inner| inner.inside(outer))
    })
}

/// The envelope that takes all of the words, or one that takes the first and others that take the rest.
fn nested<'a>(words: Words<'_, 'a>, depth: usize) -> Option<Peeled<'a>> {
    (1..=words.len()).rev().find_map(|cut| {
        let outer = PREFIXES.iter().find_map(|read| read(&words[..cut]))?;
        if cut == words.len() {
            return Some(outer);
        }
        let inner = nested(&words[cut..], depth.checked_sub(1)?)?;
        // Nobody reads a stream with the same tool twice, but words of prose come in any number.
        (inner.envelope != outer.envelope).then(|| inner.inside(outer))
    })
}

/// Whether a word is a DNS label or name, as pods, containers and namespaces are.
fn is_name(word: &[u8]) -> bool {
    let ok = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-' || *byte == b'.';
    word.len() <= 253 && word.first().is_some_and(u8::is_ascii_alphanumeric) && word.iter().all(ok) && !is_time(word)
}

/// Whether a container of this name is a proxy in one of the meshes.
fn is_proxy(word: &[u8]) -> bool {
    const PROXIES: [&[u8]; 11] = [
        b"istio-proxy",
        b"istio-ingress",
        b"istio-egress",
        b"envoy",
        b"envoy-sidecar",
        b"consul-dataplane",
        b"kuma-sidecar",
        b"kuma-gateway",
        b"osm-envoy",
        b"ambassador",
        b"waypoint",
    ];
    PROXIES.contains(&word)
}

/// Whether a name looks like a pod's: a workload and something that a controller put behind it. Prose does not.
fn is_pod(word: &[u8]) -> bool {
    is_name(word) && word.contains(&b'-') && word.iter().any(u8::is_ascii_digit)
}

/// Whether a word is an RFC 3339 time, or one without a zone.
fn is_time(word: &[u8]) -> bool {
    is_stamp(word, b'T') && word.iter().all(|byte| byte.is_ascii_digit() || b"-:.+,TZ".contains(byte))
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
mod tests;
