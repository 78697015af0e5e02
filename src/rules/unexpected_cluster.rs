//! The founding story: a connection that a cluster took which is not the one of its destination.

use super::{Claims, Seen, Verdict, list, rule};
use crate::cluster::Direction;
use crate::finding::Grade;
use crate::leg::{Protocol, Side};
use crate::topology::Topology;

rule! {
    /// ## What it finds
    /// TCP connections whose original destination is a pod of one service, while Envoy sent them to the cluster of
    /// another, and to another address than the one that was dialled. Some fail (`UF,URX`); worse, some succeed and
    /// talk to the wrong server.
    ///
    /// ## Why it matters
    /// TCP is routed by address and port alone. A Service without an address (ExternalName, a ServiceEntry without
    /// `addresses`) makes a listener `0.0.0.0_PORT` that takes every connection on its port which no exact listener
    /// claims: pod addresses above all. One object in any namespace breaks all clients that dial pods on that port.
    ///
    /// ## Example
    /// `"10.0.23.221:5701" outbound|5701||app-ext.app.svc.cluster.local - 10.12.1.6:5701 10.12.0.12:52852 - -`, where
    /// 10.12.1.6:5701 is known as an endpoint of `manager.manager.svc.cluster.local`.
    ///
    /// ## What to do
    /// Take the port off the object that made the listener, or keep it from other namespaces
    /// (`networking.istio.io/exportTo: "."`, a Sidecar), or give the destination exact listeners (a headless Service).
    ///
    /// ## Source
    /// Istio documentation, Traffic Routing; istio/istio issues 20703 and 35429.
    "R301", "unexpected-cluster", Error, "a connection went to a cluster that its destination does not belong to"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| is_stolen(claims, seen).then(|| claims.ledger.show(seen.way.cluster).into_owned()),
        |claims, cluster, ways| {
            let mut owners: Vec<String> = ways.iter().flat_map(|seen| claims.owners(seen.way.dest)).collect();
            owners.sort();
            owners.dedup();
            let failed = ways.iter().any(|seen| seen.way.failed_to_connect());
            let served = ways.iter().any(|seen| !seen.way.failed_to_connect());
            let end = match (failed, served) {
                (true, false) => format!("they fail with {}{}", claims.flags(ways), claims.transport(ways)),
                (false, _) => "they succeed, with the wrong server".to_owned(),
                (true, true) => format!("some fail with {}{}, some succeed with the wrong server", claims.flags(ways), claims.transport(ways)),
            };
            let host = String::from_utf8_lossy(ways[0].cluster.host);
            let port = ways[0].cluster.port.unwrap_or_default();
            let owner = if owners.is_empty() { "another pod".to_owned() } else { list(owners.into_iter()) };
            Verdict {
                grade: grade(claims, ways),
                why: format!(
                    "{} dialled {}, which belongs to {owner}, and Envoy chose {cluster}: {end}",
                    claims.proxies(ways),
                    claims.destinations(ways),
                ),
                fix: format!(
                    "look for a listener 0.0.0.0_{port} made by {host} (an ExternalName Service or a ServiceEntry without addresses); \
                     remove port {port} from it, or limit it to its namespace with exportTo \".\" or a Sidecar, \
                     or give the destination a headless Service that lists the port"
                ),
            }
        },
    );
}

/// Whether a client's leg went to a cluster that its destination has nothing to do with.
///
/// HTTP is routed by its host, so any cluster can be right. A connection that goes to the very address that was
/// dialled is where it should be. A virtual address may be routed elsewhere on purpose; an endpoint may not.
fn is_stolen(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    let way = seen.way;
    if way.side != Side::Outbound || way.protocol != Protocol::Tcp || seen.cluster.direction != Direction::Outbound {
        return false;
    }
    if way.dest.is_none() || way.direct || seen.cluster.host.is_empty() {
        return false;
    }
    // A gateway is dialled itself; it only looks like a client's sidecar when it could not connect.
    let itself = claims.topology.is_own(way.dest.ip(), way) && way.client != way.dest.ip();
    if itself || claims.topology.is_gateway(way.dest.ip()) {
        return false;
    }
    let owners = claims.topology.services(way.dest);
    // What is outside may be sent through an egress gateway of the mesh, on purpose.
    let internal = |host: String| Topology::is_internal(&host);
    let outside = !owners.is_empty() && !owners.iter().any(|(owner, _)| internal(claims.topology.host(*owner)));
    if outside && internal(String::from_utf8_lossy(seen.cluster.host).into_owned()) {
        return false;
    }
    // A service's virtual address can be the endpoint of another one, an ExternalName's for example. Unless proxies
    // say that pods serve there, an address that alone leads to this cluster, and is answered, is the cluster's own.
    let topology = claims.topology;
    let pods = topology.is_pod(way.dest.ip()) || owners.iter().any(|(owner, _)| topology.is_meshed(*owner));
    let answered =
        topology.virtual_services(way.dest).any(|service| topology.host(service).as_bytes() == seen.cluster.host);
    if !pods && answered && topology.fan_in(way.cluster) < 2 {
        return false;
    }
    let known = !owners.is_empty() || claims.topology.is_pod(way.dest.ip());
    known && !claims.topology.serves(way.dest, seen.cluster.host)
}

fn grade(claims: &Claims<'_>, ways: &[Seen<'_>]) -> Grade {
    // These ways do not lead to the address that was dialled: whoever answered is somebody else.
    if ways.iter().any(|seen| seen.entry.counts.paired > 0) {
        Grade::Proven
    } else if ways.iter().any(|seen| !claims.topology.services(seen.way.dest).is_empty()) {
        Grade::Likely
    } else {
        Grade::Suspect
    }
}
