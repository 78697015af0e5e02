//! What a walk says, in words.

use super::addresses::How;
use super::answer::{End, Open};
use super::http::{Hit, Table};
use super::question::Question;
use super::seen::Wire;
use super::upstream::{self, Fate, Tls};
use crate::mesh::{self, Address, PathMatch};

/// Why a listener has a connection.
pub(super) fn why(how: How, question: &Question<'_>) -> &'static str {
    match how {
        How::Exact => "listens at just this address",
        How::Wildcard => "listens at every address on this port",
        How::Ipv4Compat => "listens at every IPv6 address on this port, and at the IPv4 ones with them",
        How::Kept => "accepted it, and no listener has the address",
        How::Accepting if question.direction == mesh::Direction::Inbound => "accepts all that comes to the pod",
        How::Accepting => "accepts all that the pod dials",
        How::Bound => "is bound to the port",
    }
}

/// What a client sends, in words.
pub(super) fn sends(wire: &Wire<'_>) -> String {
    match wire {
        Wire::Tcp => "plaintext TCP".into(),
        Wire::Http("h2c") => "plaintext HTTP/2".into(),
        Wire::Http(version) => format!("plaintext {}", version.to_uppercase()),
        Wire::Tls { sni, alpn, mesh } => {
            let what = if *mesh { "mTLS of a sidecar" } else { "TLS" };
            let name = if sni.is_empty() { String::new() } else { format!(" with SNI {sni}") };
            let offer = if alpn.is_empty() { String::new() } else { format!(" (ALPN {})", alpn.join(", ")) };
            format!("{what}{name}{offer}")
        }
    }
}

/// How an end is called, in words, and with which flags.
pub(super) fn said(end: End<'_>) -> (&'static str, String, &'static str) {
    match end {
        End::Cluster { name, fate } => match fate {
            Fate::Goes => ("cluster", name.to_owned(), ""),
            Fate::Missing => ("cluster", format!("{name}, which does not exist"), "NC"),
            Fate::NoEndpoint => ("cluster", format!("{name}, which has no endpoint"), "UH"),
            Fate::NoneHealthy => ("cluster", format!("{name}, of which no endpoint is healthy"), "UH"),
            Fate::Unknown => ("cluster", format!("{name}; its endpoints are not known"), ""),
        },
        End::NoListener => ("no-listener", "nowhere: nothing listens there".into(), ""),
        End::NoChain => ("no-chain", "nowhere: no filter chain takes it (filter_chain_not_found)".into(), "NR"),
        End::NoRoute => ("no-route", "nowhere: no route takes the request (404 route_not_found)".into(), "NR"),
        End::Direct(status) => ("direct-response", format!("nowhere: the proxy answers {status} itself"), ""),
        End::Redirect => ("redirect", "nowhere: the proxy redirects it".into(), ""),
        End::Closed => ("closed", "nowhere: the chain has no filters, it is closed".into(), ""),
        End::NotTls => ("not-tls", "nowhere: the chain ends TLS, and the client speaks none".into(), ""),
        End::NotHttp => ("not-http", "nowhere: the chain reads HTTP, and this is none (400 codec_error)".into(), "DPE"),
        End::Open(open) => ("open", unfollowed(open), ""),
    }
}

impl<'m> End<'m> {
    /// The cluster's name, or the word of any other end: `no-chain`, `direct-response`.
    pub fn word(self) -> &'m str {
        match self {
            End::Cluster { name, .. } => name,
            other => said(other).0,
        }
    }
}

/// Why a way is not followed.
fn unfollowed(open: Open<'_>) -> String {
    match open {
        Open::NoListeners => "unknown: no listeners were given".into(),
        Open::Matcher => "unknown: the listener chooses by a matcher tree, which is not followed".into(),
        Open::Filter(name) => format!("unknown: the chain ends in the filter {name}, which is not followed"),
        Open::Words(words) => format!("unknown: all that the table says is {words}"),
        Open::Routes(name) => format!("unknown: the route configuration {name} was not given"),
        Open::Header(name) => format!("unknown: the header {name} names the cluster"),
        Open::Route(name) => format!("unknown: the route {name} leads on in a way that is not followed"),
    }
}

/// How a route was found.
pub(super) fn routed(table: &Table<'_>, hit: Hit) -> Vec<String> {
    let (host, route) = table.at(hit);
    let mut by = Vec::new();
    if !table.config.name.is_empty() {
        by.push(format!("route configuration {}", table.config.name));
    }
    by.push(format!("virtual host {}", host.name));
    let path = match &route.path {
        PathMatch::Prefix(prefix) if prefix.is_empty() || &**prefix == "/" => String::new(),
        PathMatch::Prefix(prefix) | PathMatch::SegmentPrefix(prefix) => format!("paths that begin with {prefix}"),
        PathMatch::Exact(path) => format!("the path {path}"),
        PathMatch::Regex(regex) => format!("paths like {regex}"),
        PathMatch::Other(other) => format!("paths by {other}"),
    };
    by.extend(Some(path).filter(|path| !path.is_empty()));
    if !route.conditions.is_empty() {
        by.push(format!("if {} fit", route.conditions.join(", ")));
    }
    if !route.made_by.is_empty() {
        by.push(format!("made by {}", route.made_by));
    }
    by
}

/// An address as it is printed.
pub(super) fn shown(address: &Address) -> String {
    match address {
        Address::Ip(at) => at.to_string(),
        Address::Host(host, port) => format!("{host}:{port}"),
        Address::Other(name) => name.to_string(),
    }
}

/// What there is to say of an endpoint: its health if it has none, its TLS where they differ, whose it is.
pub(super) fn says(cluster: &mesh::Cluster, endpoint: &mesh::Endpoint, of_all: &Tls<'_>) -> String {
    let mut words = Vec::new();
    if !endpoint.healthy {
        words.push(if endpoint.state.is_empty() { "not healthy".into() } else { endpoint.state.to_string() });
    }
    if *of_all == Tls::ByEndpoint {
        words.push(in_words(&upstream::towards(cluster, &endpoint.tls_mode), false).to_owned());
    }
    if let Some(failures) = endpoint.connect_failures.filter(|failures| *failures > 0) {
        words.push(format!("{failures} connects failed"));
    }
    let (workload, namespace) = &endpoint.workload;
    if !workload.is_empty() {
        words.push(format!("{workload}.{namespace}"));
    }
    words.join(", ")
}

/// The TLS that a server sees.
pub(super) fn in_words(tls: &Tls<'_>, goes_on: bool) -> &'static str {
    match tls {
        Tls::Plain if goes_on => "none of the proxy's: what the client sent goes on as it is",
        Tls::Plain => "none: plaintext",
        Tls::Begun(tls) if tls.mutual => "mTLS",
        Tls::Begun(_) => "TLS",
        Tls::ByEndpoint => "mTLS or plaintext, by endpoint",
        Tls::Unknown => "unknown",
    }
}
