//! What proxies and agents say about themselves between the access lines: started, ready, not ready, configuration
//! rejected, shut down. A failure beside one of these needs no other cause.
//!
//! Sources of the words: istio-agent `pkg/istio-agent`, `pkg/envoy`, `cmd/pilot-agent/status`; Envoy `source/server`,
//! `source/common/config`, `source/extensions/config_subscription/grpc`; ztunnel `src/readiness.rs`, `src/signal.rs`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use memchr::memmem::{self, Finder};
use serde::{Deserialize, Serialize};

use crate::field::value::{Micros, is_stamp, time};
use crate::source::Origin;

/// What happened to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// It began to work.
    Started,
    /// It can take traffic.
    Ready,
    /// It cannot.
    NotReady,
    /// It refused a part of its configuration and goes on with what it had.
    ConfigRejected,
    /// It lost whoever sends its configuration.
    ConfigLost,
    /// It was told to end.
    Shutdown,
    /// It ended by a failure of its own.
    Crashed,
}

/// The words by which an event is told, in small letters; the first that a line holds counts.
const WORDS: &[(&str, Kind)] = &[
    ("envoy proxy is not ready", Kind::NotReady),
    ("envoy proxy is ready", Kind::Ready),
    ("task 'state manager' complete", Kind::Ready),
    ("marking server ready", Kind::Ready),
    ("terminated with an error", Kind::Crashed),
    ("exited with error", Kind::Crashed),
    ("caught segmentation fault", Kind::Crashed),
    ("caught aborted", Kind::Crashed),
    ("config for type.googleapis.com", Kind::ConfigRejected),
    ("error adding/updating", Kind::ConfigRejected),
    ("update rejected:", Kind::ConfigRejected),
    ("config stream closed", Kind::ConfigLost),
    ("config stream to xds-grpc closed", Kind::ConfigLost),
    ("xds client connection error", Kind::ConfigLost),
    ("received signal: terminated", Kind::Shutdown),
    ("caught envoy_sig", Kind::Shutdown),
    ("agent draining proxy", Kind::Shutdown),
    ("graceful termination period", Kind::Shutdown),
    ("received sigterm", Kind::Shutdown),
    ("signal received: sigterm", Kind::Shutdown),
    ("shutdown initiated", Kind::Shutdown),
    ("starting main dispatch loop", Kind::Started),
    ("proxy role", Kind::Started),
];

impl Kind {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Started => "started",
            Kind::Ready => "ready",
            Kind::NotReady => "not-ready",
            Kind::ConfigRejected => "config-rejected",
            Kind::ConfigLost => "config-lost",
            Kind::Shutdown => "shutdown",
            Kind::Crashed => "crashed",
        }
    }

    /// What a line of a proxy's or an agent's own log says, if it is one of these.
    pub fn of(line: &[u8]) -> Option<Kind> {
        let lower = line.to_ascii_lowercase();
        let (_, found) = FINDERS.iter().find(|(words, _)| words.find(&lower).is_some())?;
        // The same words name what was accepted.
        let has = |words: &[u8]| memmem::find(&lower, words).is_some();
        (*found != Kind::ConfigRejected || has(b"reject") || has(b"error")).then_some(*found)
    }
}

/// The words, ready to be looked for: to make that ready takes longer than to look.
static FINDERS: LazyLock<Vec<(Finder<'static>, Kind)>> =
    LazyLock::new(|| WORDS.iter().map(|(words, kind)| (Finder::new(words), *kind)).collect());

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    /// When the line was written; none if it does not say.
    pub at: Option<Micros>,
    /// Where it stands.
    pub origin: Origin,
    /// The proxy's namespace and pod, empty if not known.
    pub namespace: Vec<u8>,
    /// The pod.
    pub pod: Vec<u8>,
    /// The line without its envelopes, clipped.
    pub text: Vec<u8>,
}

/// How many events of a kind are kept.
const KEPT: usize = 1000;
/// How much of a line is kept.
const LONGEST: usize = 512;

impl Event {
    /// An event from its line.
    pub fn new(line: &[u8], origin: Origin, namespace: &[u8], pod: &[u8], arrived: Option<Micros>) -> Event {
        Event {
            at: written(line).or(arrived),
            origin,
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            text: line[..line.len().min(LONGEST)].to_owned(),
        }
    }
}

/// The time that a line of a log has near its start: of the agent, of Envoy with a blank in it, under a key.
fn written(line: &[u8]) -> Option<Micros> {
    const NEAR: usize = 64;
    let stamp = |at: &usize| is_stamp(&line[*at..], b'T') || is_stamp(&line[*at..], b' ');
    let at = (0..line.len().min(NEAR)).find(stamp).or_else(|| {
        let behind = |key: &[u8]| memmem::find(line, key).map(|at| at + key.len());
        let at = behind(b"\"time\":\"").or_else(|| behind(b"\"timestamp\":\""))?;
        is_stamp(&line[at..], b'T').then_some(at)
    })?;
    let text = &line[at..];
    let end = text.iter().skip(11).position(|byte| !byte.is_ascii_digit() && !b":.+-Z".contains(byte));
    let mut text = text[..end.map_or(text.len(), |end| end + 11)].to_owned();
    text[10] = b'T';
    // Envoy's own log has no zone; it writes its machine's clock, which in a container is UTC.
    time(&text).or_else(|| time(&[&text[..], b"Z"].concat()))
}

/// Events by kind: how many, and the first ones.
#[derive(Clone, Debug, Default)]
pub struct Events {
    by_kind: BTreeMap<Kind, (u64, Vec<Event>)>,
}

impl Events {
    /// Counts one.
    pub fn add(&mut self, kind: Kind, event: Event) {
        let (count, first) = self.by_kind.entry(kind).or_default();
        *count += 1;
        first.push(event);
        if first.len() >= 2 * KEPT {
            first.sort();
            first.truncate(KEPT);
        }
    }

    /// Takes so many events of a kind, of which these are the first.
    pub fn put(&mut self, kind: Kind, count: u64, first: Vec<Event>) {
        self.merge(Events { by_kind: BTreeMap::from([(kind, (count, first))]) });
    }

    /// Takes the events of another part of the input; the earliest stay.
    pub fn merge(&mut self, other: Events) {
        for (kind, (count, events)) in other.by_kind {
            let (ours, first) = self.by_kind.entry(kind).or_default();
            *ours += count;
            first.extend(events);
            if first.len() >= 2 * KEPT {
                first.sort();
                first.truncate(KEPT);
            }
        }
    }

    /// Kind, count and the first events, in the order of time.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u64, Vec<&Event>)> {
        self.by_kind.iter().map(|(kind, (count, first))| {
            let mut first: Vec<&Event> = first.iter().collect();
            first.sort();
            first.truncate(KEPT);
            (*kind, *count, first)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_by_their_words_and_have_the_time_of_their_line() {
        for (line, kind, at) in [
            (
                "2024-08-07T09:34:15.747065Z\twarn\tEnvoy proxy is NOT ready: config not received from XDS server",
                Kind::NotReady,
                "2024-08-07T09:34:15.747065Z",
            ),
            ("2024-08-07T09:34:15.747065Z info Envoy proxy is ready", Kind::Ready, "2024-08-07T09:34:15.747065Z"),
            (
                "[2019-09-11 10:00:00.123][12][warning][config] [x.cc:86] gRPC config for type.googleapis.com/envoy.api.v2.Listener rejected: Error adding/updating listener(s) 0.0.0.0_80: duplicate",
                Kind::ConfigRejected,
                "2019-09-11T10:00:00.123Z",
            ),
            (
                r#"{"level":"info","time":"2024-08-07T09:34:15.747065Z","msg":"Agent draining Proxy"}"#,
                Kind::Shutdown,
                "2024-08-07T09:34:15.747065Z",
            ),
            ("caught ENVOY_SIGTERM", Kind::Shutdown, "-"),
        ] {
            assert_eq!(Kind::of(line.as_bytes()), Some(kind), "{line}");
            let at_line = written(line.as_bytes()).map_or("-".to_owned(), |at| at.to_string());
            assert_eq!(at_line, at, "{line}");
        }
        for line in ["gRPC config for type.googleapis.com/x accepted", "ready", ""] {
            assert_eq!(Kind::of(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn every_word_is_in_small_letters_and_told_before_what_it_holds() {
        for (number, (words, kind)) in WORDS.iter().enumerate() {
            assert_eq!(*words, words.to_lowercase());
            for (later, other) in &WORDS[number + 1..] {
                assert!(!later.contains(words) || kind == other, "{later} is never asked for");
            }
        }
    }
}
