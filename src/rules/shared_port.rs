//! Several TCP services on one port number whose pods are dialled by address.

use std::collections::BTreeSet;

use super::rule;
use crate::claims::{Claims, Verdict, list};
use crate::cluster::Direction;
use crate::endpoint::Endpoint;
use crate::finding::Grade;
use crate::leg::{Protocol, Side};
use crate::topology::Topology;

rule! {
    /// ## What it finds
    /// A port number on which two or more services of the mesh take TCP, and on which clients dial pods by address
    /// through `PassthroughCluster`.
    ///
    /// ## When it is silent
    /// Where it has bitten already on that port: see `unexpected-cluster`. HTTP ports.
    ///
    /// ## How sure
    /// Likely: a hazard, nothing has happened yet.
    ///
    /// ## Why it matters
    /// TCP is told apart by address and port alone. The day one of these services, or a new one, has no address
    /// (ExternalName, a ServiceEntry without addresses), its listener `0.0.0.0_PORT` takes all of these calls.
    ///
    /// ## Example
    /// `manager.manager` and `app.app` both on 5701, and managers that dial each other's pod addresses on 5701.
    ///
    /// ## What to do
    /// Use a port number of its own for each TCP service, or headless Services, so that each pod has an exact listener.
    ///
    /// ## Source
    /// Istio documentation, Traffic Routing; the advice of "Understanding Istio and TCP services" (Tetrate).
    "H101", "shared-port", Info, "TCP services share a port number on which pods are dialled by address"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    let ports: BTreeSet<u16> = claims
        .left
        .iter()
        .filter(|seen| seen.way.protocol == Protocol::Tcp && seen.cluster.direction == Direction::Outbound)
        .filter_map(|seen| seen.cluster.port)
        .collect();
    let inbound = claims.ledger.ways().iter().filter(|way| way.side == Side::Inbound);
    let servers: BTreeSet<Endpoint> = inbound.filter(|way| way.protocol == Protocol::Tcp).map(|way| way.dest).collect();
    claims.note(
        |claims, seen| {
            let way = seen.way;
            let dialled = way.side == Side::Outbound
                && way.protocol == Protocol::Tcp
                && seen.cluster.direction == Direction::Passthrough
                && ports.contains(&way.dest.port())
                && !claims.owners(way.dest).is_empty();
            dialled.then(|| format!("port {}", way.dest.port()))
        },
        |claims, subject, ways| {
            let port = ways[0].way.dest.port();
            let services: BTreeSet<String> = servers
                .iter()
                .filter(|server| server.port() == port)
                .flat_map(|server| claims.topology.services(*server))
                .map(|(service, _)| claims.topology.host(service))
                .filter(|host| Topology::is_internal(host))
                .collect();
            let between = format!("|{port}|");
            let bitten = claims.has_filed("unexpected-cluster", |cluster| cluster.contains(&between));
            if services.len() < 2 || bitten {
                return None;
            }
            let verdict = Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} take TCP on {subject}, and pods are dialled on it by address, by {}: a \
                     service without an address on that port would take \
                     these calls",
                    list(services),
                    claims.proxies(ways),
                ),
                fix: "give each TCP service a port number of its own, or the pods a headless Service \
                      that lists the port"
                    .to_owned(),
                check: String::new(),
            };
            Some((claims.count(ways)?, verdict))
        },
    );
}
