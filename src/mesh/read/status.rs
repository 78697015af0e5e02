//! Endpoints as a proxy sees them alive: `/clusters?format=json`, which `istioctl proxy-config endpoints` prints too, and
//! `/clusters` as text.
//!
//! Source: `envoy.admin.v3.ClusterStatus`, Envoy `source/server/admin/clusters_handler.cc`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::address::address;
use super::endpoint::plain;
use super::node::{Node, Read};
use crate::mesh::{Address, Endpoint};

/// Endpoints of clusters by the cluster's name.
pub(super) type Live = BTreeMap<Box<str>, Vec<Endpoint>>;

/// What is said of health besides EDS, as names of flags.
const FLAGS: &[&str] = &[
    "failed_active_health_check",
    "failed_outlier_check",
    "failed_active_degraded_check",
    "pending_dynamic_removal",
    "pending_active_hc",
    "excluded_via_immediate_hc_fail",
    "active_hc_timeout",
];

/// Flags with which an endpoint gets connections all the same.
const HARMLESS: &[&str] = &["failed_active_degraded_check", "pending_active_hc"];

/// Reads a `ClusterStatus`: the cluster's name and its endpoints.
pub(super) fn status(node: &Node) -> Read<'_, (Box<str>, Vec<Endpoint>)> {
    let mut found = Vec::new();
    for host in node.list("host_statuses")? {
        let Some(address) = host.get("address")?.map(address).transpose()?.flatten() else { continue };
        let mut endpoint = plain(address);
        let mut states = Vec::new();
        if let Some(health) = host.get("health_status")? {
            let eds = health.text("eds_health_status")?;
            if matches!(&*eds, "UNHEALTHY" | "DRAINING" | "TIMEOUT") {
                states.push(eds.into_owned());
            }
            for flag in FLAGS {
                if !HARMLESS.contains(flag) && health.flag(flag)? {
                    states.push((*flag).to_owned());
                }
            }
        }
        endpoint.healthy = states.is_empty();
        endpoint.state = states.join(",").into();
        for stat in host.list("stats")? {
            if stat.text("name")? == "cx_connect_fail" {
                endpoint.connect_failures = Some(stat.number("value")?.unwrap_or(0));
            }
        }
        found.push(endpoint);
    }
    Ok((node.text("name")?.into(), found))
}

/// Whether a text is what `/clusters` says: its first line has a cluster, a name and a value.
pub(super) fn is_text(first: &str) -> bool {
    let told = ["::default_priority::", "::high_priority::", "::added_via_api::", "::observability_name::", "::cx_"];
    told.iter().any(|told| first.contains(told))
}

/// Reads `/clusters` as text, a line `CLUSTER::ADDRESS::NAME::VALUE` each; gives the number of lines that are not such.
pub(super) fn text(text: &str, live: &mut Live) -> u64 {
    let mut unread = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let Some((cluster, rest)) = line.split_once("::") else {
            unread += 1;
            continue;
        };
        if !live.contains_key(cluster) {
            live.insert(cluster.into(), Vec::new());
        }
        let Some((address, name, value)) = of_host(rest) else { continue };
        let endpoints = live.entry(cluster.into()).or_default();
        // All lines of an endpoint stand together.
        if endpoints.last().is_none_or(|last| last.address != address) {
            endpoints.push(plain(address));
        }
        let Some(endpoint) = endpoints.last_mut() else { continue };
        match name {
            "cx_connect_fail" => endpoint.connect_failures = value.parse().ok(),
            "health_flags" if value != "healthy" => {
                let flags = value.split('/').filter(|flag| !flag.is_empty() && !harmless(flag));
                endpoint.state = flags.collect::<Vec<_>>().join(",").into();
                endpoint.healthy = endpoint.state.is_empty();
            }
            _ => {}
        }
    }
    unread
}

/// The names that the text uses for flags with which an endpoint gets connections.
fn harmless(flag: &str) -> bool {
    matches!(flag, "degraded_active_hc" | "failed_active_degraded_check" | "degraded_eds_health" | "pending_active_hc")
}

/// `ADDRESS::NAME::VALUE`; IPv6 addresses hold the separator themselves.
fn of_host(rest: &str) -> Option<(Address, &str, &str)> {
    let (address, rest) = if rest.starts_with('[') {
        let end = rest.find("]:")? + 2;
        let end = end + rest[end..].find("::")?;
        (&rest[..end], &rest[end + 2..])
    } else {
        rest.split_once("::")?
    };
    let (name, value) = rest.split_once("::")?;
    let address = match address.parse::<SocketAddr>() {
        Ok(ip) => Address::Ip(ip),
        // `default_priority::max_connections::1024`, `outlier::...`
        Err(_) if !address.contains(['/', ':']) => return None,
        Err(_) => Address::Other(address.into()),
    };
    Some((address, name, value))
}

/// Adds what is known of endpoints alive to what they were said to be. Those that only one side knows are kept.
pub(super) fn join(told: &mut Vec<Endpoint>, live: Vec<Endpoint>) {
    let places: BTreeMap<String, usize> =
        told.iter().enumerate().map(|(at, endpoint)| (key(&endpoint.address), at)).collect();
    for alive in live {
        match places.get(&key(&alive.address)).and_then(|at| told.get_mut(*at)) {
            Some(known) => {
                (known.healthy, known.state, known.connect_failures) =
                    (alive.healthy, alive.state, alive.connect_failures);
            }
            None => told.push(alive),
        }
    }
}

fn key(address: &Address) -> String {
    match address {
        Address::Ip(ip) => ip.to_string(),
        Address::Host(host, port) => format!("{host}:{port}"),
        Address::Other(other) => other.to_string(),
    }
}
