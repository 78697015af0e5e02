//! The table that `istioctl proxy-config listeners` prints without `-o`: a line for every filter chain.
//!
//! Source: Istio `istioctl/pkg/writer/envoy/configdump/listener.go`. Columns are as wide as their widest value.

use std::net::{IpAddr, SocketAddr};

use super::address::range;
use crate::mesh::{Chain, Listener, Match, To};

/// Whether a line is the head of such a table.
pub(super) fn is_head(line: &str) -> bool {
    let mut words = line.split_whitespace();
    matches!(words.next(), Some("ADDRESS" | "ADDRESSES"))
        && words.next() == Some("PORT")
        && matches!(words.next(), Some("MATCH" | "TYPE"))
}

/// Reads lines behind the head; gives the number of lines that are none of the table.
pub(super) fn read(head: &str, lines: &mut dyn Iterator<Item = &str>, listeners: &mut Vec<Listener>) -> u64 {
    let columns: Vec<usize> = ["MATCH", "TYPE", "DESTINATION"].iter().filter_map(|name| head.find(name)).collect();
    let mut unread = 0;
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(hosts), Some(Ok(port))) = (words.next(), words.next().map(str::parse::<u16>)) else {
            unread += 1;
            continue;
        };
        let hosts: Result<Vec<IpAddr>, _> = hosts.split(',').map(str::parse).collect();
        let Ok(hosts) = hosts else {
            unread += 1;
            continue;
        };
        let column = |number: usize| {
            let from = *columns.get(number)?;
            let to = columns.get(number + 1).copied().unwrap_or(usize::MAX).min(line.len());
            line.get(from..to).map(str::trim)
        };
        let chain = match columns.len() {
            2.. => Chain {
                takes: column(0).map(takes).unwrap_or_default(),
                to: To::Words(column(1).unwrap_or_default().into()),
                ..Chain::default()
            },
            _ => Chain { to: To::Words(column(0).unwrap_or_default().into()), ..Chain::default() },
        };
        add(hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect(), chain, listeners);
    }
    unread
}

/// A chain of the listener before, or of a new one.
fn add(addresses: Vec<SocketAddr>, chain: Chain, listeners: &mut Vec<Listener>) {
    if listeners.last().is_none_or(|last| last.addresses != addresses) {
        let name = addresses.first().map(|first| format!("{}_{}", first.ip(), first.port())).unwrap_or_default();
        listeners.push(Listener { name: name.into(), addresses, active: true, ..Listener::default() });
    }
    let Some(listener) = listeners.last_mut() else { return };
    // What takes everything beside other chains is the default one: the table does not tell them apart.
    if chain.takes == Match::default() && listener.default_chain.is_none() {
        listener.default_chain = Some(chain);
    } else {
        listener.chains.push(chain);
    }
}

/// `ALL`, or conditions: `SNI: a,b; Trans: tls; App: http/1.1,h2c; Addr: 10.0.0.0/8:443`.
fn takes(text: &str) -> Match {
    let mut found = Match::default();
    for condition in text.split("; ") {
        let Some((name, values)) = condition.split_once(": ") else { continue };
        let list = || values.split(',').map(str::trim);
        match name.trim() {
            "SNI" => found.server_names = list().map(|name| name.to_lowercase().into()).collect(),
            "Trans" => found.transport = values.trim().into(),
            "App" => found.application_protocols = list().map(Box::from).collect(),
            "Addr" => {
                for value in list() {
                    address(value, &mut found);
                }
            }
            _ => {}
        }
    }
    found
}

/// `ADDRESS`, `ADDRESS/BITS`, each with `:PORT` behind it, or `*:PORT`.
fn address(value: &str, found: &mut Match) {
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if range(value).is_none() => (host, port.parse().ok()),
        _ => (value, None),
    };
    found.port = found.port.or(port);
    found.prefixes.extend(range(host.trim_start_matches('[').trim_end_matches(']')));
}
