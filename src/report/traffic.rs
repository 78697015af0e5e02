//! The tables of traffic: who called what over which cluster, and what each service is like.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::claims;
use crate::cluster::{Cluster, Direction};
use crate::endpoint::Endpoint;
use crate::field::value::Micros;
use crate::ledger::{Entry, Ledger};
use crate::leg::{Side, Way};
use crate::names::{self, Names, Sym};
use crate::topology::Topology;

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
pub(super) fn traffic(ledger: &Ledger, topology: &Topology) -> Vec<Traffic> {
    // Rows are joined and sorted by the numbers of their texts; a row's own texts are made at the end.
    let mut texts = Names::default();
    let mut rows: BTreeMap<[Sym; 3], [u64; 3]> = BTreeMap::new();
    for (_, way, Entry { counts, .. }) in ledger.iter().filter(|(_, _, entry)| entry.counts.connections > 0) {
        let (source, destination) = ends(ledger, topology, way);
        let cluster = if way.cluster.is_none() { "-".into() } else { ledger.show(way.cluster) };
        let key = [&source, &destination, cluster.as_ref()].map(|text: &str| texts.intern(text.as_bytes()));
        let [connections, failures, bytes] = rows.entry(key).or_default();
        *connections += counts.connections;
        *bytes = bytes.saturating_add(counts.bytes);
        if way.flags.is_failure() || way.status >= 500 {
            *failures += counts.connections;
        }
    }
    let ranks = texts.ranks();
    let mut rows: Vec<([Sym; 3], [u64; 3])> = rows.into_iter().collect();
    rows.sort_by_cached_key(|(key, [connections, ..])| (Reverse(*connections), key.map(|text| ranks[text.0 as usize])));
    let row = |([source, destination, cluster], [connections, failures, bytes]): ([Sym; 3], [u64; 3])| Traffic {
        source: texts.show(source).into_owned(),
        destination: texts.show(destination).into_owned(),
        cluster: texts.show(cluster).into_owned(),
        connections,
        failures,
        bytes,
    };
    rows.into_iter().map(row).collect()
}

/// Who called, and what it wanted to reach.
fn ends(ledger: &Ledger, topology: &Topology, way: &Way) -> (String, String) {
    let known = claims::destination(ledger, topology, way);
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
pub(super) fn services(ledger: &Ledger, topology: &Topology) -> Vec<Service> {
    let mut sums: Vec<Sums> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut hosts: BTreeMap<(Sym, Endpoint), Option<usize>> = BTreeMap::new();
    for (_, way, Entry { counts, .. }) in ledger.iter().filter(|(_, _, entry)| entry.counts.legs > 0) {
        // Many ways have the same cluster or server.
        let named = way.side.is_client() && Direction::of(ledger.names.get(way.cluster)) == Direction::Outbound;
        let key = if named { (way.cluster, Endpoint::NONE) } else { (Sym::NONE, way.dest) };
        let place = *hosts.entry(key).or_insert_with(|| {
            let new = sums.len();
            called(ledger, topology, way).map(|host| *places.entry(host).or_insert(new))
        });
        let Some(place) = place else { continue };
        if place == sums.len() {
            sums.push(Sums::default());
        }
        let sum = &mut sums[place];
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
        if let Some(place) = host.and_then(|host| places.get(&host)) {
            let sum = &mut sums[*place];
            sum.requests += requests;
            sum.inside_millis += inside;
            sum.service_millis += service;
        }
    }
    for (cluster, endpoint, answers) in ledger.answers() {
        let cluster = Cluster::read(ledger.names.get(cluster));
        let host = names::shown(cluster.host);
        if cluster.direction != Direction::Outbound {
            continue;
        }
        if let Some(place) = places.get(host.as_ref()) {
            let address = endpoint.show(&ledger.names).to_string();
            let pod = topology.pod_of(endpoint.ip()).map(|(_, pod)| ledger.show(pod).into_owned());
            let new = Server { address: address.clone(), pod, connections: 0, bytes: 0 };
            let server = sums[*place].endpoints.entry(address).or_insert(new);
            server.connections += answers.times.count();
            server.bytes = server.bytes.saturating_add(answers.bytes);
        }
    }
    let shown = places.into_iter().map(|(service, place)| std::mem::take(&mut sums[place]).service(service));
    let mut services: Vec<Service> = shown.collect();
    // Those with as many stay in the order of their names.
    services.sort_by_key(|service| Reverse(service.connections));
    services
}

impl Sums {
    fn service(self, service: String) -> Service {
        let mean = |sum: u64, of: u64| (of > 0).then(|| rounded(sum as f64 / of as f64));
        let minutes = self.last.millis_since(self.first) as f64 / 60_000.0;
        let mut endpoints: Vec<Server> = self.endpoints.into_values().collect();
        endpoints.sort_by_key(|server| Reverse(server.connections));
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
fn called(ledger: &Ledger, topology: &Topology, way: &Way) -> Option<String> {
    let cluster = Cluster::read(ledger.names.get(way.cluster));
    if way.side.is_client() && cluster.direction == Direction::Outbound && !cluster.host.is_empty() {
        return Some(names::shown(cluster.host).into_owned());
    }
    topology.service(way.dest).map(|service| topology.host(service))
}
