//! `PassthroughCluster` to an address that belongs to a service or pod of the mesh.

use std::cell::RefCell;
use std::collections::BTreeSet;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::rule;
use crate::claims::{Claims, Seen, Verdict, list, noun, ports};
use crate::cluster::Direction;
use crate::endpoint::Endpoint;
use crate::finding::Grade;
use crate::leg::Side;
use crate::topology::Topology;

rule! {
    /// ## What it finds
    /// Connections through `PassthroughCluster` whose destination the logs know: an endpoint of a service, or a pod.
    ///
    /// ## When it is silent
    /// What failed or was refused is in the finding of its cause; what a file of expectations accepts is not reported.
    /// Addresses outside of the mesh: see `passthrough-to-unknown`.
    ///
    /// ## How sure
    /// Likely if the owner of the address is known; proven with the server's leg.
    ///
    /// ## Why it matters
    /// It works, but outside of the mesh: no mTLS, no policy, no service name in telemetry. It breaks when the server
    /// turns STRICT, and any catch-all listener on the port can take it. Clustered servers (Hazelcast, Kafka, Redis,
    /// Cassandra) dial each other's pod addresses; no listener knows those.
    ///
    /// ## Example
    /// `"10.12.2.8:5701" PassthroughCluster 10.12.0.11:51428 10.12.2.8:5701 10.12.0.11:51426 - -`
    ///
    /// ## What to do
    /// A headless Service that lists the port gives each pod an exact listener and mTLS; or call the service by name.
    ///
    /// ## Source
    /// Istio documentation, Application Requirements; istio/istio issues 22220 and 35726.
    "R101", "passthrough-to-service", Warning, "traffic to a service of the mesh goes around the mesh"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    // Many clients dial one address.
    let owners: RefCell<HashMap<Endpoint, Option<String>, RandomState>> = RefCell::default();
    let subject = |claims: &Claims<'_>, seen: &Seen<'_>| {
        let passed = seen.way.side == Side::Outbound && seen.cluster.direction == Direction::Passthrough;
        if !passed || claims.is_settled(seen) {
            return None;
        }
        if !claims.topology.tenants(seen.way.dest.ip()).is_empty() {
            return owner(claims, seen);
        }
        owners.borrow_mut().entry(seen.way.dest).or_insert_with(|| owner(claims, seen)).clone()
    };
    claims.file(subject, |claims, owner, ways| {
        let servers = servers(claims, ways);
        let answered = if servers.is_empty() { String::new() } else { format!("; {} answered", list(servers)) };
        let proven = ways.iter().any(|seen| seen.entry.counts.paired > 0);
        let several = ways.iter().any(|seen| seen.way.dest != ways[0].way.dest);
        let addresses = if several { "addresses" } else { "an address" };
        Verdict {
            grade: if proven { Grade::Proven } else { Grade::Likely },
            why: format!(
                "{} dialled {}, {addresses} of {owner} that no listener knows: {} went through \
                 PassthroughCluster, without mTLS and policy{answered}",
                claims.proxies(ways),
                claims.destinations(ways),
                noun(ways)
            ),
            fix: format!(
                "give the pods a headless Service that lists port {}, or let clients call the service \
                 by name",
                ports(ways)
            ),
            check: String::new(),
        }
    });
}

/// The service or pod that the destination belongs to.
fn owner(claims: &Claims<'_>, seen: &Seen<'_>) -> Option<String> {
    let way = seen.way;
    let topology = claims.topology;
    // A host outside of the mesh may have been registered only later.
    let own = |host: &String| Topology::is_internal(host) && !claims.is_thief(host);
    let services = topology.services_at(way.dest, &seen.span());
    let served = services.into_iter().map(|(service, _)| topology.host(service)).find(own);
    let dialled = || topology.virtual_services(way.dest).map(|service| topology.host(service)).filter(own).min();
    let owned = || match claims.workload_at(way.dest.ip(), &seen.span()) {
        Some(workload) => Some(format!("pods of {workload}")),
        // A proxy says that the address is its own, nothing gives it a name.
        None => topology.is_pod(way.dest.ip()).then(|| format!("the pod at {}", claims.pod_or_address(way.dest.ip()))),
    };
    served.or_else(dialled).or_else(owned)
}

/// The pods whose proxies logged the other legs.
fn servers(claims: &Claims<'_>, ways: &[Seen<'_>]) -> BTreeSet<String> {
    ways.iter()
        .flat_map(|seen| claims.index.links.of(seen.number))
        .filter_map(|(server, _)| claims.server_pod(*server))
        .collect()
}
