//! Why a filter chain did not take a connection: the first step at which it fell behind.

use std::net::SocketAddr;

use serde::Serialize;

use super::chains::{CRITERIA, Criterion, Found, Key};
use super::ranges::{holds, or_everything};
use crate::mesh::{Chain, Listener, Match, Prefix, SourceType, To};

/// A chain that lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Its name, or its place: `#2`.
    pub chain: String,
    /// What it takes.
    pub takes: Vec<String>,
    /// Where it leads.
    pub leads: String,
    /// What it lost by: `destination address`.
    pub by: &'static str,
    /// It would have fitted, but another one asks for just this value.
    pub less_specific: bool,
}

impl Criterion {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Criterion::Port => "destination port",
            Criterion::Address => "destination address",
            Criterion::ServerName => "SNI",
            Criterion::Transport => "transport protocol",
            Criterion::Protocol => "ALPN",
            Criterion::DirectSource => "direct source address",
            Criterion::SourceType => "source type",
            Criterion::Source => "source address",
            Criterion::SourcePort => "source port",
        }
    }
}

/// Every chain of a listener that did not win, in order.
pub(super) fn lost(listener: &Listener, found: &Found<'_>, to: SocketAddr, sni: &str) -> Vec<Lost> {
    let losers = listener.chains.iter().enumerate().filter(|(place, _)| !found.chains.contains(place));
    losers
        .map(|(place, chain)| {
            let behind = CRITERIA.iter().zip(&found.won).find(|(by, won)| !has(&chain.takes, **by, **won));
            // Behind the last step that somebody won stands the one that nobody did.
            let by = behind.map_or_else(|| CRITERIA.get(found.won.len()), |(by, _)| Some(by));
            let by = *by.unwrap_or(&Criterion::SourcePort);
            Lost {
                chain: called(place, chain),
                takes: takes(&chain.takes),
                leads: leads(chain),
                by: by.name(),
                less_specific: behind.is_some() && would_fit(&chain.takes, by, to, sni),
            }
        })
        .collect()
}

/// A chain's name, or its place.
pub(super) fn called(place: usize, chain: &Chain) -> String {
    if chain.name.is_empty() { format!("#{}", place + 1) } else { chain.name.to_string() }
}

/// Whether a chain is among those that have a key at a step.
fn has(takes: &Match, by: Criterion, key: Key<'_>) -> bool {
    let texts = |values: &[Box<str>]| match key {
        Key::Any => values.is_empty(),
        Key::Text(text) => values.iter().any(|value| value.strip_prefix('*').unwrap_or(value) == text),
        _ => false,
    };
    let ranges = |values: &[Prefix]| match key {
        Key::Range(range) => {
            or_everything(values).iter().any(|value| value.length == range.length && holds(*value, range.address))
        }
        _ => false,
    };
    let ports = |mut values: &mut dyn Iterator<Item = u16>, none: bool| match key {
        Key::Any => none,
        Key::Port(port) => (&mut values).any(|value| value == port),
        _ => false,
    };
    match by {
        Criterion::Port => ports(&mut takes.port.into_iter(), takes.port.is_none()),
        Criterion::Address => ranges(&takes.prefixes),
        Criterion::ServerName => texts(&takes.server_names),
        Criterion::Transport => match key {
            Key::Any => takes.transport.is_empty(),
            Key::Text(text) => *takes.transport == *text,
            _ => false,
        },
        Criterion::Protocol => texts(&takes.application_protocols),
        Criterion::DirectSource => ranges(&takes.direct_source_prefixes),
        Criterion::SourceType => match key {
            Key::Any => takes.source_type == SourceType::Any,
            Key::Type(kind) => takes.source_type == kind,
            _ => false,
        },
        Criterion::Source => ranges(&takes.source_prefixes),
        Criterion::SourcePort => ports(&mut takes.source_ports.iter().copied(), takes.source_ports.is_empty()),
    }
}

/// Whether a chain that lost at a step would have taken the connection, had nobody asked for more.
fn would_fit(takes: &Match, by: Criterion, to: SocketAddr, sni: &str) -> bool {
    match by {
        Criterion::Port => takes.port.is_none(),
        Criterion::Address => or_everything(&takes.prefixes).iter().any(|prefix| holds(*prefix, to.ip())),
        Criterion::ServerName => {
            let wild = |name: &str| {
                name.strip_prefix('*').is_some_and(|suffix| sni.len() > suffix.len() && sni.ends_with(suffix))
            };
            takes.server_names.is_empty() || takes.server_names.iter().any(|name| wild(name))
        }
        Criterion::Transport => takes.transport.is_empty(),
        Criterion::Protocol => takes.application_protocols.is_empty(),
        Criterion::DirectSource => takes.direct_source_prefixes.is_empty(),
        Criterion::SourceType => takes.source_type == SourceType::Any,
        Criterion::Source => takes.source_prefixes.is_empty(),
        Criterion::SourcePort => takes.source_ports.is_empty(),
    }
}

/// A chain's conditions, one text each; none for a chain that takes everything.
pub(super) fn takes(takes: &Match) -> Vec<String> {
    let mut texts = Vec::new();
    let range = |prefix: &Prefix| match (prefix.address.is_ipv4(), prefix.length) {
        (true, 32) | (false, 128) => prefix.address.to_string(),
        _ => format!("{}/{}", prefix.address, prefix.length),
    };
    let ranges = |prefixes: &[Prefix]| prefixes.iter().map(range).collect::<Vec<_>>().join(", ");
    if let Some(port) = takes.port {
        texts.push(format!("port {port}"));
    }
    if !takes.prefixes.is_empty() {
        texts.push(ranges(&takes.prefixes));
    }
    if !takes.server_names.is_empty() {
        texts.push(format!("SNI {}", takes.server_names.join(", ")));
    }
    if !takes.transport.is_empty() {
        texts.push(if &*takes.transport == "raw_buffer" { "plaintext".into() } else { takes.transport.to_string() });
    }
    if !takes.application_protocols.is_empty() {
        texts.push(format!("ALPN {}", takes.application_protocols.join(", ")));
    }
    if !takes.direct_source_prefixes.is_empty() {
        texts.push(format!("directly from {}", ranges(&takes.direct_source_prefixes)));
    }
    match takes.source_type {
        SourceType::Any => {}
        SourceType::SameIpOrLoopback => texts.push("from the pod itself".into()),
        SourceType::External => texts.push("from elsewhere".into()),
    }
    if !takes.source_prefixes.is_empty() {
        texts.push(format!("from {}", ranges(&takes.source_prefixes)));
    }
    if !takes.source_ports.is_empty() {
        let ports: Vec<String> = takes.source_ports.iter().map(u16::to_string).collect();
        texts.push(format!("from port {}", ports.join(", ")));
    }
    texts
}

/// Where a chain leads, in a few words.
pub(super) fn leads(chain: &Chain) -> String {
    match &chain.to {
        To::Tcp(clusters) => clusters.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join(", "),
        To::Rds(name) => format!("HTTP by the route configuration {name}"),
        To::Inline(config) if config.name.is_empty() => "HTTP by a route configuration of its own".into(),
        To::Inline(config) => format!("HTTP by the route configuration {}", config.name),
        To::Other(name) => format!("the filter {name}"),
        To::Words(words) => words.to_string(),
        To::Nowhere => "nowhere: closed".into(),
    }
}
