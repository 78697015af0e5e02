//! Who calls what, in the words of reports: what rules, the traffic table and files of expectations compare.

use std::collections::BTreeSet;

use serde::Serialize;

use super::words::{source, workload_at};
use crate::cluster::{Cluster, Direction, trimmed};
use crate::endpoint::Ip;
use crate::expect::{Call, Expectations, Party};
use crate::ledger::{ByWay, Ledger};
use crate::leg::{Protocol, Side, Way};
use crate::names::shown;
use crate::topology::{Alone, Topology};

/// How the rows of a file of expectations compare with a log.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Expected {
    /// How many rows the file has.
    pub rows: usize,
    /// How many of them the log shows.
    pub matched: usize,
    /// The others. Logs are partial, so that is no finding.
    pub unused: Vec<String>,
}

/// What a client's way wanted to reach, the best name first; nothing where only the address is known.
pub fn destinations(ledger: &Ledger, topology: &Topology, way: &Way) -> Vec<String> {
    let cluster = Cluster::read(ledger.names.get(way.cluster));
    let host = || Some(shown(cluster.host).into_owned()).filter(|host| !host.is_empty());
    let services: Vec<String> =
        topology.services(way.dest).into_iter().map(|(service, _)| topology.host(service)).collect();
    let reached: BTreeSet<String> = topology.virtual_services(way.dest).map(|service| topology.host(service)).collect();
    match (way.side, cluster.direction, way.protocol) {
        (Side::Inbound, ..) => services,
        (_, Direction::Outbound, _) if goes_on(topology, way) => host().into_iter().collect(),
        // TCP goes by address: who owns that is who was meant, whatever cluster was chosen.
        (_, Direction::Outbound, Protocol::Tcp) if services.is_empty() => host().into_iter().chain(reached).collect(),
        (_, Direction::Outbound, Protocol::Http) => host().into_iter().collect(),
        _ => services.into_iter().chain(reached).collect(),
    }
}

/// The first of [`destinations`], without the others.
pub fn destination(ledger: &Ledger, topology: &Topology, way: &Way) -> Option<String> {
    let cluster = Cluster::read(ledger.names.get(way.cluster));
    let host = || Some(shown(cluster.host).into_owned()).filter(|host| !host.is_empty());
    let service = || topology.service(way.dest).map(|service| topology.host(service));
    let reached = || topology.virtual_services(way.dest).map(|service| topology.host(service)).min();
    match (way.side, cluster.direction, way.protocol) {
        (Side::Inbound, ..) => service(),
        (_, Direction::Outbound, _) if goes_on(topology, way) => host(),
        (_, Direction::Outbound, Protocol::Tcp) => service().or_else(host).or_else(reached),
        (_, Direction::Outbound, Protocol::Http) => host(),
        _ => service().or_else(reached),
    }
}

/// The call that a client's way makes; none where the line does not tell who called or what.
pub fn call(ledger: &Ledger, topology: &Topology, way: &Way) -> Option<Call> {
    if !way.side.is_client() {
        return None;
    }
    let named = if way.workload.is_none() { topology.pod_of(way.client) } else { Some((way.namespace, way.workload)) };
    let from = Party {
        name: source(ledger, topology, way),
        namespaced: named.is_some_and(|(namespace, _)| !namespace.is_none()),
        address: way.client.address(&ledger.names),
    };
    let cluster = shown(trimmed(ledger.names.get(way.cluster))).into_owned();
    let cluster = Some(cluster).filter(|cluster| !cluster.is_empty() && cluster != "-");
    let mut call =
        Call { from, to: destinations(ledger, topology, way), address: None, nameless: false, port: None, cluster };
    if goes_on(topology, way) {
        call.port = Cluster::read(ledger.names.get(way.cluster)).port;
    } else {
        call.port = Some(way.dest.port()).filter(|port| *port > 0);
        at(&mut call, ledger, topology, way);
    }
    known(call)
}

/// Whether a gateway wrote the line: it was dialled itself, and goes on to the service of its cluster. One that could not
/// connect looks like a client's sidecar.
fn goes_on(topology: &Topology, way: &Way) -> bool {
    let itself = || topology.is_gateway(way.dest.ip()) && topology.is_own(way.dest.ip(), way);
    way.side == Side::Gateway || way.side == Side::Outbound && itself()
}

/// The calls of a server's way whose callers wrote no line, with their numbers. A caller that has a sidecar whose log is
/// not in the input cannot be named: its address is another one tomorrow.
pub fn callers(
    ledger: &Ledger,
    topology: &Topology,
    alone: &ByWay<(Ip, u64)>,
    number: u32,
    way: &Way,
) -> Vec<(Call, Ip, u64)> {
    if way.side != Side::Inbound {
        return Vec::new();
    }
    let names = &ledger.names;
    let is_told = |other: Ip| {
        let why = topology.why_alone(way, other, names);
        let told = matches!(why, Alone::NoLineInPeerLog | Alone::OutsideMesh | Alone::NoSidecarSeen);
        told && other != Ip::UNTOLD && !other.is_loopback(names) && other != way.dest.ip()
    };
    let come = alone.of(number).filter(|(other, _)| is_told(*other));
    let calls = come.filter_map(|(other, count)| {
        let workload = workload_at(ledger, topology, *other);
        let from = Party {
            namespaced: topology.pod_of(*other).is_some_and(|(namespace, _)| !namespace.is_none()),
            name: workload.unwrap_or_else(|| other.show(names).to_string()),
            address: other.address(names),
        };
        let to = destinations(ledger, topology, way);
        // The client dialled a port of the service, which need not be the one on which the pod listens.
        let port = to.is_empty().then(|| way.dest.port());
        let mut call = Call { from, to, address: None, nameless: false, port, cluster: None };
        at(&mut call, ledger, topology, way);
        Some((known(call)?, *other, *count))
    });
    calls.collect()
}

/// Adds the address that was dialled, and whose pod it is.
fn at(call: &mut Call, ledger: &Ledger, topology: &Topology, way: &Way) {
    call.address = way.dest.ip().address(&ledger.names);
    call.to.extend(workload_at(ledger, topology, way.dest.ip()));
    if call.to.is_empty() && !way.dest.is_none() {
        call.to.push(way.dest.ip().show(&ledger.names).to_string());
        call.nameless = way.dest.ip().is_private(&ledger.names);
    }
}

/// A call of which both ends are known.
fn known(call: Call) -> Option<Call> {
    let known = !call.to.is_empty() && call.from.name != "-" && !call.from.name.is_empty();
    known.then_some(call)
}

/// How the rows of a file compare with a log.
pub fn expected(ledger: &Ledger, topology: &Topology, expect: &Expectations) -> Expected {
    let alone = ledger.alone();
    let mut matched: BTreeSet<usize> = BTreeSet::new();
    for (number, way, _) in ledger.iter().filter(|(_, _, entry)| entry.counts.legs > 0) {
        let callers = callers(ledger, topology, &alone, number, way).into_iter().map(|(call, ..)| call);
        for call in call(ledger, topology, way).into_iter().chain(callers) {
            matched.extend(expect.shows(&call));
        }
    }
    let unused = (0..expect.len()).filter(|row| !matched.contains(row)).map(|row| expect.shown(row));
    Expected { rows: expect.len(), matched: matched.len(), unused: unused.collect() }
}
