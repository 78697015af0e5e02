//! The tables of traffic: who called what over which cluster, and what each service is like.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Gathered;
use crate::claims;
use crate::cluster::{Cluster, Direction};
use crate::endpoint::Endpoint;
use crate::field::value::Micros;
use crate::ledger::Entry;
use crate::leg::{Side, Way};
use crate::names::Sym;

/// A row of the traffic table.
#[derive(Clone, Debug, Serialize)]
pub struct Traffic {
    /// Workload of the client.
    pub source: String,
    /// What it wanted to reach: a service, else an address.
    pub destination: String,
    /// The cluster that Envoy chose, `-` if none.
    pub cluster: String,
    /// Connections, or HTTP requests.
    pub connections: u64,
    /// Those with a flag of failure or a status of 500 and above.
    pub failures: u64,
    /// Bytes in both directions.
    pub bytes: u64,
}

/// A service as its callers and its servers saw it.
#[derive(Clone, Debug, Serialize)]
pub struct Service {
    /// Its host, `manager.manager.svc.cluster.local`.
    pub service: String,
    /// Connections, or HTTP requests, to it.
    pub connections: u64,
    /// Those with a flag of failure or a status of 500 and above.
    pub failures: u64,
    /// New ones a minute, from the first to the last; absent if all began in one minute.
    pub per_minute: Option<f64>,
    /// Of those that its servers' proxies logged, the ones with the SNI of Istio's mTLS.
    pub mtls: u64,
    /// And those without.
    pub plaintext: u64,
    /// Milliseconds that the client's leg took longer than the server's, mean; absent without pairs.
    pub between_ms: Option<f64>,
    /// Milliseconds that requests were in the server's proxy and not in its application, mean; absent if no line says.
    pub proxy_ms: Option<f64>,
    /// Milliseconds that the application took, mean; absent if no line says.
    pub service_ms: Option<f64>,
    /// The endpoints that answered, the busiest first.
    pub endpoints: Vec<Server>,
}

/// An endpoint that answered for a service.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// Address and port.
    pub address: String,
    /// Its pod, if an envelope named it.
    pub pod: Option<String>,
    /// Connections that were led there.
    pub connections: u64,
    /// Their bytes in both directions.
    pub bytes: u64,
}

/// The traffic table.
pub(super) fn traffic(gathered: &Gathered<'_>) -> Vec<Traffic> {
    let ledger = gathered.ledger;
    let mut rows: BTreeMap<(String, String, String), Traffic> = BTreeMap::new();
    for (_, way, Entry { counts, .. }) in ledger.iter().filter(|(_, _, entry)| entry.counts.connections > 0) {
        let (source, destination) = ends(gathered, way);
        let cluster = if way.cluster.is_none() { "-".to_owned() } else { ledger.show(way.cluster).into_owned() };
        let row = rows.entry((source.clone(), destination.clone(), cluster.clone())).or_insert(Traffic {
            source,
            destination,
            cluster,
            connections: 0,
            failures: 0,
            bytes: 0,
        });
        row.connections += counts.connections;
        row.bytes = row.bytes.saturating_add(counts.bytes);
        if way.flags.is_failure() || way.status >= 500 {
            row.failures += counts.connections;
        }
    }
    let mut rows: Vec<Traffic> = rows.into_values().collect();
    rows.sort_by(|a, b| {
        b.connections
            .cmp(&a.connections)
            .then_with(|| (&a.source, &a.destination, &a.cluster).cmp(&(&b.source, &b.destination, &b.cluster)))
    });
    rows
}

/// Who called, and what it wanted to reach.
fn ends(gathered: &Gathered<'_>, way: &Way) -> (String, String) {
    let Gathered { ledger, topology, .. } = *gathered;
    let known = claims::destinations(ledger, topology, way).into_iter().next();
    let destination = known.unwrap_or_else(|| way.dest.show(&ledger.names).to_string());
    if way.side == Side::Inbound {
        return ("(inbound only)".to_owned(), destination);
    }
    (claims::source(ledger, topology, way), destination)
}

/// Sums of one service.
#[derive(Default)]
struct Sums {
    connections: u64,
    failures: u64,
    first: Micros,
    last: Micros,
    mtls: u64,
    plaintext: u64,
    paired: u64,
    out_millis: u64,
    in_millis: u64,
    requests: u64,
    inside_millis: u64,
    service_millis: u64,
    endpoints: BTreeMap<String, Server>,
}

/// The table of services.
pub(super) fn services(gathered: &Gathered<'_>) -> Vec<Service> {
    let Gathered { ledger, topology, .. } = *gathered;
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    let mut hosts: BTreeMap<(Sym, Endpoint), Option<String>> = BTreeMap::new();
    for (_, way, Entry { counts, .. }) in ledger.iter().filter(|(_, _, entry)| entry.counts.legs > 0) {
        // Many ways have the same cluster or server.
        let named = way.side.is_client() && Direction::of(ledger.names.get(way.cluster)) == Direction::Outbound;
        let key = if named { (way.cluster, Endpoint::NONE) } else { (Sym::NONE, way.dest) };
        let Some(host) = hosts.entry(key).or_insert_with(|| called(gathered, way)) else { continue };
        if !sums.contains_key(host) {
            sums.insert(host.clone(), Sums::default());
        }
        let Some(sum) = sums.get_mut(host) else { continue };
        let failed = way.flags.is_failure() || way.status >= 500;
        sum.connections += counts.connections;
        sum.failures += if failed { counts.connections } else { 0 };
        if counts.first != Micros::NONE {
            let new = sum.first == Micros::NONE;
            sum.first = if new { counts.first } else { sum.first.min(counts.first) };
            sum.last = sum.last.max(counts.last);
        }
        if way.side == Side::Inbound && !failed {
            let protected = Cluster::of_sni(ledger.names.get(way.sni)).is_some();
            *(if protected { &mut sum.mtls } else { &mut sum.plaintext }) += counts.legs;
        }
        sum.paired += counts.paired;
        sum.out_millis += counts.out_millis;
        sum.in_millis += counts.in_millis;
    }
    for (server, requests, inside, service) in ledger.served() {
        let host = topology.service(server).map(|service| topology.host(service));
        if let Some(sum) = host.and_then(|host| sums.get_mut(&host)) {
            sum.requests += requests;
            sum.inside_millis += inside;
            sum.service_millis += service;
        }
    }
    for (cluster, endpoint, answers) in ledger.answers() {
        let cluster = Cluster::read(ledger.names.get(cluster));
        let host = String::from_utf8_lossy(cluster.host);
        if cluster.direction != Direction::Outbound {
            continue;
        }
        if let Some(sum) = sums.get_mut(host.as_ref()) {
            let address = endpoint.show(&ledger.names).to_string();
            let pod = topology.pod_of(endpoint.ip()).map(|(_, pod)| ledger.show(pod).into_owned());
            let new = Server { address: address.clone(), pod, connections: 0, bytes: 0 };
            let server = sum.endpoints.entry(address).or_insert(new);
            server.connections += answers.times.count();
            server.bytes = server.bytes.saturating_add(answers.bytes);
        }
    }
    let mut services: Vec<Service> = sums.into_iter().map(|(service, sums)| sums.service(service)).collect();
    services.sort_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.service.cmp(&b.service)));
    services
}

impl Sums {
    fn service(self, service: String) -> Service {
        let mean = |sum: u64, of: u64| (of > 0).then(|| rounded(sum as f64 / of as f64));
        let minutes = self.last.millis_since(self.first) as f64 / 60_000.0;
        let mut endpoints: Vec<Server> = self.endpoints.into_values().collect();
        endpoints.sort_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.address.cmp(&b.address)));
        Service {
            service,
            connections: self.connections,
            failures: self.failures,
            per_minute: (minutes >= 1.0).then(|| rounded(self.connections as f64 / minutes)),
            mtls: self.mtls,
            plaintext: self.plaintext,
            between_ms: mean(self.out_millis.saturating_sub(self.in_millis), self.paired),
            proxy_ms: mean(self.inside_millis.saturating_sub(self.service_millis), self.requests),
            service_ms: mean(self.service_millis, self.requests),
            endpoints,
        }
    }
}

/// To one digit behind the point: more would tell of nothing.
fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The service that was called on a way, if it is one.
fn called(gathered: &Gathered<'_>, way: &Way) -> Option<String> {
    let Gathered { ledger, topology, .. } = *gathered;
    let cluster = Cluster::read(ledger.names.get(way.cluster));
    if way.side.is_client() && cluster.direction == Direction::Outbound && !cluster.host.is_empty() {
        return Some(String::from_utf8_lossy(cluster.host).into_owned());
    }
    topology.service(way.dest).map(|service| topology.host(service))
}
