//! Outbound traffic that the proxy was told to block.

use super::{Claims, Seen, Verdict, noun, rule};
use crate::cluster::Direction;
use crate::finding::Grade;
use crate::leg::Side;

rule! {
    /// ## What it finds
    /// Connections that Envoy sent to `BlackHoleCluster` (TCP, `UH`), and requests that it answered with 502
    /// `direct_response` because no host matched (HTTP, route `block_all`).
    ///
    /// ## Why it matters
    /// The destination is not in the registry and the outbound policy is `REGISTRY_ONLY`: the client's connection is
    /// closed. Istio 1.3 to 1.5 also black-hole a pod that dials its own address on a port with a catch-all listener.
    ///
    /// ## Example
    /// `"- - -" 0 UH - - "-" 0 0 0 - "-" "-" "-" "-" "-" BlackHoleCluster - 178.170.196.65:9092 10.128.3.43:56440 - -`
    ///
    /// ## What to do
    /// Add a ServiceEntry for the destination, or widen the Sidecar's egress hosts or the exportTo that hides it.
    ///
    /// ## Source
    /// Istio documentation, Accessing External Services; Istio `pilot/pkg/networking/core/httproute.go`.
    "R201", "black-hole", Error, "outbound traffic was blocked"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| is_blocked(claims, seen).then(|| claims.show(seen.way.dest)),
        |claims, destination, ways| {
            let owner = claims.owners(ways[0].way.dest).join(", ");
            let own = ways.iter().all(|seen| claims.topology.is_own(seen.way.dest.ip(), seen.way));
            let belongs = if owner.is_empty() { String::new() } else { format!(", which belongs to {owner}") };
            let (why, fix) = if own {
                (
                    format!("{} dialled its own address {destination}{belongs}, and a catch-all listener on the port black-holes that", claims.proxies(ways)),
                    format!("look for the object that made the listener 0.0.0.0_{}; let the member dial itself over localhost", ways[0].way.dest.port()),
                )
            } else {
                (
                    format!("{} dialled {destination}{belongs}, and no listener or route of the proxy allows it", claims.proxies(ways)),
                    "add a ServiceEntry for it, or check Sidecar egress hosts and exportTo if it is a service of the mesh".to_owned(),
                )
            };
            Verdict { grade: Grade::Likely, why: format!("{why}: {} closed", noun(ways)), fix }
        },
    );
}

fn is_blocked(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    let way = seen.way;
    let blocked_host =
        way.status == 502 && way.cluster.is_none() && claims.ledger.names.get(way.details) == b"direct_response";
    seen.cluster.direction == Direction::BlackHole || way.side == Side::Outbound && blocked_host
}
