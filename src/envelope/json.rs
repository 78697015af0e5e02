//! JSON objects that hold a line: what the runtime, stern, kail, Loki and the collectors write, one object a line.
//!
//! An object is opened by the keys that it has, not by a layout: collectors are configured in many ways, and what
//! they put around a line is always some text under one of a few keys, with names of Kubernetes beside it. Sources: stern
//! `cmd/cmd.go`, boz/kail, grafana/loki `pkg/logcli/output`, Docker's json-file driver, the documentation of Fluent
//! Bit, fluentd, Vector, OpenShift Logging, Google Cloud Logging and CloudWatch.

use super::Peeled;
use crate::format::json::members;
use crate::record::Span;

/// Where the line lies in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A string, escaped as JSON has it.
    Text(Span),
    /// An object, which is the line itself.
    Object(Span),
}

/// Keys that hold the line, the best first.
const LINES: [&str; 15] = [
    "_source",
    "jsonPayload",
    "structured",
    "log_processed",
    "textPayload",
    "log",
    "message",
    "line",
    "msg",
    "MESSAGE",
    "@message",
    "text",
    "_raw",
    "event",
    "body",
];

/// An object under one of these keys tells where the line comes from.
const ABOUT: [&str; 7] = ["kubernetes", "resource", "labels", "stream", "k8s", "fields", "attributes"];

/// Names of names: the key, and what it stands for.
const NAMES: [(&str, Name); 39] = [
    ("pod_name", Name::Pod),
    ("podName", Name::Pod),
    ("pod", Name::Pod),
    ("k8s.pod.name", Name::Pod),
    ("k8s_pod_name", Name::Pod),
    ("kubernetes.pod_name", Name::Pod),
    ("kubernetes_pod_name", Name::Pod),
    ("kubernetes.pod.name", Name::Pod),
    ("instance", Name::Pod),
    ("namespace_name", Name::Namespace),
    ("pod_namespace", Name::Namespace),
    ("namespace", Name::Namespace),
    ("k8s.namespace.name", Name::Namespace),
    ("k8s_namespace_name", Name::Namespace),
    ("kubernetes.namespace_name", Name::Namespace),
    ("kubernetes_namespace_name", Name::Namespace),
    ("kubernetes.namespace", Name::Namespace),
    ("container_name", Name::Container),
    ("containerName", Name::Container),
    ("container", Name::Container),
    ("k8s.container.name", Name::Container),
    ("kubernetes.container_name", Name::Container),
    ("kubernetes_container_name", Name::Container),
    ("kubernetes.container.name", Name::Container),
    ("CONTAINER_NAME", Name::Container),
    ("pod_node_name", Name::Node),
    ("nodeName", Name::Node),
    ("node_name", Name::Node),
    ("k8s.node.name", Name::Node),
    ("host", Name::Node),
    ("hostname", Name::Node),
    ("_HOSTNAME", Name::Node),
    ("time", Name::Time),
    ("timestamp", Name::Time),
    ("@timestamp", Name::Time),
    ("ts", Name::Time),
    ("_time", Name::Time),
    ("name", Name::KailPod),
    ("logStreamName", Name::Stream),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Pod,
    Namespace,
    Container,
    Node,
    Time,
    /// kail says `name` for the pod; others say it for anything.
    KailPod,
    Stream,
}

/// The envelopes by keys of which all must be there; the first that fits gives its name.
const SHAPES: [(&str, &[&str]); 13] = [
    ("google-cloud", &["textPayload"]),
    ("google-cloud", &["jsonPayload"]),
    ("openshift", &["kubernetes", "@timestamp"]),
    ("vector", &["kubernetes", "source_type"]),
    ("fluent", &["kubernetes"]),
    ("stern", &["message", "podName"]),
    ("stern", &["message", "pod", "container"]),
    ("kail", &["message", "name", "namespace", "container"]),
    ("logcli", &["line", "labels"]),
    ("cloudwatch", &["message", "logStreamName"]),
    ("cloudwatch", &["message", "ingestionTime"]),
    ("docker", &["log", "stream"]),
    ("docker", &["log", "time"]),
];

/// An object of an unknown collector: an envelope only if there is an access line in it.
pub const ANY: &str = "json";

/// What an object holds and says; `None` if there is no line in it.
pub fn open(object: &[u8]) -> Option<(Peeled<'_>, Payload)> {
    let mut found = Found::default();
    let mut best: Option<(usize, Payload)> = None;
    let mut shapes = [0usize; SHAPES.len()];
    let mut own = 0;
    members(object, |key, span| {
        for (seen, (_, keys)) in shapes.iter_mut().zip(SHAPES) {
            *seen += usize::from(keys.iter().any(|needed| needed.as_bytes() == key));
        }
        own += usize::from([&b"level"[..], b"scope", b"msg"].contains(&key));
        if let Some(rank) = LINES.iter().position(|line| line.as_bytes() == key)
            && let Some(payload) = payload(object, span)
            && best.is_none_or(|(known, _)| rank < known)
        {
            best = Some((rank, payload));
        }
        found.member(object, key, span);
    })
    .ok()?;
    // The agent's and ztunnel's own logs.
    let (_, payload) = best.filter(|_| own < 3)?;
    let envelope = SHAPES.iter().zip(shapes).find(|((_, keys), seen)| *seen == keys.len());
    let envelope = envelope.map_or(ANY, |((name, _), _)| name);
    if envelope == "kail" {
        found.peeled.pod = found.peeled.pod.or(found.kail_pod);
    }
    Some((Peeled { envelope, ..found.peeled }, payload))
}

/// What an access record says about itself that the collector merged into it: names of Kubernetes under a key of their
/// own.
pub fn beside(object: &[u8]) -> Option<Peeled<'_>> {
    let mut found = Found::default();
    let mut about = false;
    members(object, |key, span| {
        if ABOUT.iter().any(|known| known.as_bytes() == key) && found.about(object, span) {
            about = true;
        }
    })
    .ok()?;
    about.then_some(Peeled { envelope: "fluent", ..found.peeled })
}

/// Text, or an object with something in it.
fn payload(object: &[u8], span: Span) -> Option<Payload> {
    let value = span.of(object)?;
    // A string's span begins behind its quote.
    let is_text = span.at().checked_sub(1).is_some_and(|before| object[before] == b'"');
    match value {
        _ if is_text => Some(Payload::Text(span)),
        [b'{', ..] => Some(Payload::Object(span)),
        _ => None,
    }
}

#[derive(Default)]
struct Found<'a> {
    peeled: Peeled<'a>,
    kail_pod: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn member(&mut self, object: &'a [u8], key: &[u8], span: Span) {
        if ABOUT.iter().any(|known| known.as_bytes() == key) && self.about(object, span) {
            return;
        }
        self.name(object, key, span);
    }

    /// Names in an object under a key, and under `labels` in that.
    fn about(&mut self, object: &'a [u8], span: Span) -> bool {
        let Some(inner) = span.of(object).filter(|inner| inner.first() == Some(&b'{')) else { return false };
        let mut named = false;
        let _ = members(inner, |key, span| {
            if key == b"labels"
                && let Some(labels) = span.of(inner).filter(|labels| labels.first() == Some(&b'{'))
            {
                let _ = members(labels, |key, span| {
                    // A workload's own labels may have any of the names; Google Cloud's have these.
                    if [&b"pod_name"[..], b"namespace_name", b"container_name"].contains(&key) {
                        named |= self.name(labels, key, span);
                    }
                });
                return;
            }
            named |= self.name(inner, key, span);
        });
        named
    }

    fn name(&mut self, object: &'a [u8], key: &[u8], span: Span) -> bool {
        let Some((_, name)) = NAMES.iter().find(|(known, _)| known.as_bytes() == key) else { return false };
        let Some(value) = span.of(object).filter(|value| !value.is_empty() && !matches!(value[0], b'{' | b'[')) else {
            return false;
        };
        let place = match name {
            Name::Pod => &mut self.peeled.pod,
            Name::Namespace => &mut self.peeled.namespace,
            Name::Container => &mut self.peeled.container,
            Name::Node => &mut self.peeled.node,
            Name::Time => &mut self.peeled.time,
            Name::KailPod => &mut self.kail_pod,
            Name::Stream => {
                let file = memchr::memmem::rfind(value, b"containers.").map(|at| &value[at + "containers.".len()..]);
                if let Some([pod, namespace, container]) = file.and_then(crate::source::place::container_file) {
                    self.peeled.pod = Some(pod);
                    self.peeled.namespace = Some(namespace);
                    self.peeled.container = Some(container);
                }
                return true;
            }
        };
        place.get_or_insert(value);
        *name != Name::Time
    }
}
