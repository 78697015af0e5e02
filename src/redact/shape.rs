//! What one word is: an address, a cluster, a host, a pod, a number, a word of the vocabulary. `None` is a word that nobody
//! knows to be harmless.

use std::net::IpAddr;

use super::known::Known;
use super::stand_in::{Kind, Shape};
use super::words::Vocabulary;
use crate::cluster::{Cluster, Direction};
use crate::names::workload;

/// What tells what a word is.
#[derive(Debug)]
pub(super) struct Reader<'r> {
    pub(super) words: &'r Vocabulary,
    pub(super) known: &'r Known,
    /// Whether the text is a sentence of ours, in which bare names are workloads, and not a line.
    pub(super) said: bool,
    /// Whether the text is an access line or a sentence, in which long numbers are counts; elsewhere they are somebody's.
    pub(super) counts: bool,
}

/// Where a word stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context<'t> {
    /// The word before it: a key, a flag of a command.
    pub(super) before: &'t str,
    /// Whether it begins its text.
    pub(super) first: bool,
    /// Whether it may have been cut off: a number with a dot in it can be half of an address then.
    pub(super) edge: bool,
}

type Parts<'t> = Vec<Shape<'t>>;

impl Reader<'_> {
    /// What a word is made of.
    pub(super) fn word<'t>(&self, word: &'t str, context: Context<'_>) -> Option<Parts<'t>> {
        of_key(word, context.before)
            .or_else(|| self.bare(word, context.first))
            .or_else(|| self.is_harmless(word, context.edge).then(|| vec![Shape::Kept(word)]))
            .or_else(|| address(word))
            .or_else(|| self.words.has(word).then(|| vec![Shape::Kept(word)]))
            .or_else(|| request_id(word))
            .or_else(|| self.cluster(word))
            .or_else(|| self.spiffe(word))
            .or_else(|| self.url(word))
            .or_else(|| path(word))
            .or_else(|| self.host(word))
            .or_else(|| looks_like_pod(word).then_some(vec![Shape::App(word)]))
            .or_else(|| self.joined(word))
    }

    /// Numbers, quantities and times, unless they may be more than that.
    fn is_harmless(&self, word: &str, edge: bool) -> bool {
        const LONG: usize = 7;
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let whole = word.len() == digits;
        let long = !self.counts && digits >= LONG && !(whole && is_instant(word));
        is_time(word) || is_number(word) && !long && !(edge && word.contains('.'))
    }

    /// A name that the run met.
    fn bare<'t>(&self, word: &'t str, first: bool) -> Option<Parts<'t>> {
        let known = self.known;
        let namespace = known.namespaces.contains(word).then_some(Shape::Named(Kind::Namespace, word));
        let app = known.apps.contains(word).then_some(Shape::App(word));
        let service = known.services.contains(word).then_some(Shape::Named(Kind::Service, word));
        let node = known.nodes.contains(word).then_some(Shape::Named(Kind::Node, word));
        // A number is a port far more often than somebody's name.
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // What stern and kail put before a line begins with the namespace.
        let found = if first && !self.said { namespace.or(node).or(app) } else { node.or(app).or(namespace) };
        found.or(service).map(|shape| vec![shape])
    }

    /// `outbound|5701|v1|manager.manager.svc.cluster.local` and the form with `_.`.
    fn cluster<'t>(&self, name: &'t str) -> Option<Parts<'t>> {
        let read = Cluster::read(name.as_bytes());
        let named = matches!(read.direction, Direction::Outbound | Direction::Inbound);
        let (subset, host) = (std::str::from_utf8(read.subset).ok()?, std::str::from_utf8(read.host).ok()?);
        read.port.filter(|_| named)?;
        let trimmed = name.strip_suffix(';').unwrap_or(name);
        let before = trimmed.len() - host.len();
        let width = if name.contains('|') { 1 } else { 2 };
        let start = before - width - subset.len();
        let mut parts = vec![Shape::Kept(&name[..start])];
        if !subset.is_empty() {
            let port = read.direction == Direction::Inbound;
            let (protocol, rest) = subset.split_once('-').unwrap_or((subset, ""));
            match port && self.words.has(protocol) {
                // The protocol in a port's name decides how it is served.
                true if rest.is_empty() => parts.push(Shape::Kept(subset)),
                true => {
                    parts.push(Shape::Kept(&subset[..=protocol.len()]));
                    parts.push(Shape::Named(Kind::PortName, rest));
                }
                false => parts.push(Shape::Named(if port { Kind::PortName } else { Kind::Subset }, subset)),
            }
        }
        parts.push(Shape::Kept(&name[before - width..before]));
        if !host.is_empty() {
            let single = || vec![Shape::Named(if is_name(host) { Kind::Service } else { Kind::Value }, host)];
            parts.extend(self.host(host).filter(|_| host.contains('.')).unwrap_or_else(single));
        }
        parts.push(Shape::Kept(&name[trimmed.len()..]));
        Some(parts)
    }

    /// A host with a dot in it, with or without a port.
    fn host<'t>(&self, text: &'t str) -> Option<Parts<'t>> {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) if is_port(port) => (host, &text[host.len()..]),
            Some(_) => return None,
            None => (text, ""),
        };
        let labels: Vec<&str> = host.strip_prefix("*.").unwrap_or(host).split('.').collect();
        let last = labels.last()?;
        let known = |name: &str| self.known.apps.contains(name) || looks_like_pod(name);
        let mut parts = if labels.iter().any(|label| label.is_empty() || !is_name(label)) {
            return None;
        } else if let Some(svc) = labels.iter().position(|label| *label == "svc").filter(|at| *at > 0) {
            in_cluster(host, &labels, svc)
        } else if let [name, namespace] = labels[..]
            && self.known.namespaces.contains(namespace)
        {
            let app = known(name) && (self.said || !self.known.services.contains(name));
            let name = if app { Shape::App(name) } else { Shape::Named(Kind::Service, name) };
            vec![name, Shape::Kept("."), Shape::Named(Kind::Namespace, namespace)]
        } else if labels.len() > 1 && last.starts_with(|letter: char| letter.is_ascii_alphabetic()) && last.len() > 1 {
            vec![Shape::Named(Kind::Host, host)]
        } else if !port.is_empty() && self.known.services.contains(host) {
            vec![Shape::Named(Kind::Service, host)]
        } else if !port.is_empty() && self.words.has(host) {
            vec![Shape::Kept(host)]
        } else {
            return None;
        };
        parts.push(Shape::Kept(port));
        Some(parts)
    }

    /// `spiffe://cluster.local/ns/web/sa/web`
    fn spiffe<'t>(&self, text: &'t str) -> Option<Parts<'t>> {
        let rest = text.strip_prefix("spiffe://")?;
        let [domain, "ns", namespace, "sa", account] = rest.split('/').collect::<Vec<_>>()[..] else { return None };
        let domain = if self.words.has(domain) { Shape::Kept(domain) } else { Shape::Named(Kind::Host, domain) };
        let namespace = Shape::Named(Kind::Namespace, namespace);
        let (ns, sa) = (Shape::Kept("/ns/"), Shape::Kept("/sa/"));
        Some(vec![Shape::Kept("spiffe://"), domain, ns, namespace, sa, Shape::Named(Kind::Account, account)])
    }

    /// `https://host:443/path`, `envoy://connect_originate/10.244.0.32:9080`
    fn url<'t>(&self, text: &'t str) -> Option<Parts<'t>> {
        const SCHEMES: [&str; 6] = ["http", "https", "grpc", "tcp", "wss", "envoy"];
        let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme))?;
        let (authority, behind) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let mut parts = vec![Shape::Kept(&text[..scheme.len() + 3])];
        let known = self.word(authority, Context::default());
        parts.extend(known.unwrap_or_else(|| vec![Shape::Named(Kind::Value, authority)]));
        let address = behind.strip_prefix('/').and_then(address);
        if let (Some(address), true) = (address, scheme == "envoy") {
            parts.push(Shape::Kept("/"));
            parts.extend(address);
        } else if !behind.is_empty() {
            parts.extend(path(behind)?);
        }
        Some(parts)
    }

    /// Words that are put together: `delayed_connect_error:_Connection_refused`, `pod/web-1/istio-proxy`. Each must be known.
    fn joined<'t>(&self, word: &'t str) -> Option<Parts<'t>> {
        if is_code(word) {
            return Some(vec![Shape::Kept(word)]);
        }
        let strong = ['/', '|', ':'];
        let joints: &[char] = if word.contains(strong) { &strong } else { &['_'] };
        if !word.contains(joints) {
            return None;
        }
        let (mut parts, mut at) = (Vec::new(), 0);
        for piece in word.split(joints) {
            let context = Context { first: at == 0, ..Context::default() };
            parts.extend(if piece.is_empty() { Vec::new() } else { self.word(piece, context)? });
            at += piece.len();
            let joint = &word[at..(at + 1).min(word.len())];
            parts.push(Shape::Kept(joint));
            at += joint.len();
        }
        Some(parts)
    }
}

/// A name behind a key that says what it is.
fn of_key<'t>(word: &'t str, key: &str) -> Option<Parts<'t>> {
    if !is_name(word) || !word.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let dotted = word.contains('.');
    let kind = match key {
        "subset" => Kind::Subset,
        "ns" | "-n" => Kind::Namespace,
        _ if key.ends_with("namespace") || key.ends_with("namespace_name") => Kind::Namespace,
        "host" | "hostname" | "_HOSTNAME" | "nodeName" | "node" | "pod_node_name" if !dotted => Kind::Node,
        "src.cluster" | "dst.cluster" | "source_cluster" | "destination_cluster" => Kind::Mesh,
        "pod" | "pod_name" | "podName" | "src.workload" | "dst.workload" | "workload" if !dotted => {
            return Some(vec![Shape::App(word)]);
        }
        _ => return None,
    };
    Some(vec![Shape::Named(kind, word)])
}

/// `pod.service.namespace.svc.domain`
fn in_cluster<'t>(host: &'t str, labels: &[&'t str], svc: usize) -> Parts<'t> {
    let mut parts = if host.starts_with("*.") { vec![Shape::Kept("*.")] } else { Vec::new() };
    for (place, label) in labels[..svc].iter().enumerate() {
        parts.push(match svc - place {
            1 => Shape::Named(Kind::Namespace, label),
            2 => Shape::Named(Kind::Service, label),
            _ => Shape::App(label),
        });
        parts.push(Shape::Kept("."));
    }
    parts.push(Shape::Kept("svc"));
    let domain: usize = labels[svc + 1..].iter().map(|label| label.len() + 1).sum();
    if domain > 0 {
        let domain = &host[host.len() - domain + 1..];
        parts.push(Shape::Kept("."));
        parts.push(if domain == "cluster.local" { Shape::Kept(domain) } else { Shape::Named(Kind::Host, domain) });
    }
    parts
}

/// `10.0.0.1`, `10.0.0.1:80`, `10.0.0.1_80`, `10.0.0.0/8`, `[fd00::1]:80`, `fd00::1`
fn address(text: &str) -> Option<Parts<'_>> {
    if let Some((ip, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let ip: IpAddr = ip.parse().ok()?;
        let good = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return good.then(|| vec![Shape::Kept("["), Shape::Ip(ip), Shape::Kept(&text[text.len() - port.len() - 1..])]);
    }
    if let Ok(ip) = text.parse() {
        return Some(vec![Shape::Ip(ip)]);
    }
    let at = text.rfind([':', '_', '/'])?;
    let ip: IpAddr = text[..at].parse().ok()?;
    is_port(&text[at + 1..]).then(|| vec![Shape::Ip(ip), Shape::Kept(&text[at..])])
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn path(text: &str) -> Option<Parts<'_>> {
    text.starts_with('/')
        .then(|| if text == "/" { Shape::Kept(text) } else { Shape::Named(Kind::Path, text) })
        .map(|shape| vec![shape])
}

fn request_id(text: &str) -> Option<Parts<'_>> {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (groups == [8, 4, 4, 4, 12] && hex).then(|| vec![Shape::Named(Kind::RequestId, text)])
}

/// Letters of names in Kubernetes, and the line that Docker Compose adds.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn looks_like_pod(word: &str) -> bool {
    let base = workload(word.as_bytes()).len();
    is_name(word)
        && !word.contains(['.', '_'])
        && base > 0
        && base < word.len()
        && word.starts_with(|letter: char| letter.is_ascii_alphabetic())
}

/// Envoy's own files, types and extensions: `source/server/server.cc:1028`, `type.googleapis.com/envoy.config.listener.v3.Listener`.
fn is_code(word: &str) -> bool {
    const EXTENSIONS: [&str; 8] =
        ["filters.", "config.", "extensions.", "resource_monitors.", "transport_sockets.", "type.", "service.", "api."];
    let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:".contains(&byte));
    let name = word.strip_prefix("type.googleapis.com/").unwrap_or(word);
    let of_envoy =
        name.strip_prefix("envoy.").is_some_and(|rest| EXTENSIONS.iter().any(|start| rest.starts_with(start)));
    let (file, line) = word.rsplit_once(':').unwrap_or((word, "0"));
    let file = file.strip_prefix("external/envoy/").unwrap_or(file);
    let source = file.starts_with("source/") && file.strip_suffix(".cc").is_some() && is_port(line);
    plain && (of_envoy || source)
}

/// Numbers and quantities.
fn is_number(word: &str) -> bool {
    const UNITS: [&str; 9] = ["ms", "s", "us", "ns", "min", "m", "h", "B", "kB"];
    let number = |text: &str| {
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // What is longer is an instant, or nothing that a proxy counts.
        digits(whole) && digits(rest) && (text.len() <= 12 || is_instant(text))
    };
    let bare = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    number(word) || number(bare) && UNITS.contains(&&word[bare.len()..])
}

/// Milliseconds, microseconds or nanoseconds since 1970.
fn is_instant(digits: &str) -> bool {
    matches!(digits.len(), 13 | 16 | 19) && digits.starts_with('1')
}

/// Dates and times of day, alone or together, with fractions and zones.
fn is_time(word: &str) -> bool {
    const SHAPES: [&str; 5] = ["0000-00-00", "0000-00-00T00:00:00", "00:00:00", "00-00", "00:00"];
    let zone = word.strip_suffix('Z').or_else(|| {
        let at = word.rfind(['+', '-']).filter(|at| *at >= 19)?;
        matches!(shape(&word[at + 1..]).as_str(), "00:00" | "0000").then(|| &word[..at])
    });
    let word = zone.unwrap_or(word);
    let (whole, fraction) = word.split_once(['.', ',']).unwrap_or((word, "0"));
    let fraction = fraction.len() <= 9 && shape(fraction).bytes().all(|byte| byte == b'0');
    let fits = SHAPES.contains(&shape(whole).as_str());
    fits && fraction
}

/// The word with a `0` for each digit.
fn shape(word: &str) -> String {
    word.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect()
}
