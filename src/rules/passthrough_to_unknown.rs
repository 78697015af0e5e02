//! `PassthroughCluster` to an address that nothing in the logs explains.

use super::rule;
use crate::claims::{Claims, Verdict, noun};
use crate::cluster::Direction;
use crate::field::reserved;
use crate::finding::Grade;
use crate::leg::Protocol;

rule! {
    /// ## What it finds
    /// Connections through `PassthroughCluster` to an external address, or to a private one that no line of the input
    /// knows; one finding for each workload that calls and each of the two kinds.
    ///
    /// ## When it is silent
    /// Ports of the mesh's own plumbing (15012 and its like) are left out, and what a file of expectations accepts.
    ///
    /// ## How sure
    /// Likely: nobody in the input says whose the address is.
    ///
    /// ## Why it matters
    /// Allowed under `ALLOW_ANY`, blocked under `REGISTRY_ONLY`. No policy applies and telemetry has no name for it. A
    /// private address is mostly a pod or service of the cluster that is called around the mesh, without mTLS.
    ///
    /// ## Example
    /// `"100.77.28.132:1521" PassthroughCluster 10.244.0.31:50844 100.77.28.132:1521 10.244.0.31:50842 - -`
    ///
    /// ## What to do
    /// External: a ServiceEntry gives the destination a name and a policy; nothing, if it is meant to be so. Private:
    /// call the service by name, or give the pods a headless Service.
    ///
    /// ## Source
    /// Istio documentation, Accessing External Services and Application Requirements.
    "R102", "passthrough-to-unknown", Info, "traffic to unknown addresses goes through PassthroughCluster"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let way = seen.way;
            let passes = way.side.is_client()
                && seen.cluster.direction == Direction::Passthrough
                && !reserved::of_port(way.dest.port()).is_some_and(|port| port.plumbing)
                && !claims.is_settled(seen);
            let kind = if way.dest.ip().is_private(&claims.ledger.names) { "private" } else { "external" };
            passes.then(|| format!("{} to {kind} addresses", claims.proxy(way)))
        },
        |claims, _, ways| {
            let private = ways[0].way.dest.ip().is_private(&claims.ledger.names);
            let http = ways.iter().all(|seen| seen.way.protocol == Protocol::Http);
            let (what, fix) = if private && http {
                (
                    " with a host that no route of the proxy has, or at addresses that no service of its registry has",
                    "call the service by its name, in the Host header too; a ServiceEntry if it is no part of the \
                     cluster",
                )
            } else if private {
                (
                    ", private addresses that no service of the proxy's registry has, pods or \
                     services called around the mesh",
                    "call the service by name, or give the pods a headless Service that lists the \
                     port; a ServiceEntry if it is no part of the cluster",
                )
            } else {
                (
                    ", which no service of the proxy's registry has",
                    "add a ServiceEntry if the destination should have a name and a policy",
                )
            };
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} dialled {}{what}: {} went through PassthroughCluster",
                    claims.proxies(ways),
                    claims.destinations(ways),
                    noun(ways)
                ),
                fix: fix.to_owned(),
                check: String::new(),
            }
        },
    );
}
