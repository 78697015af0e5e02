//! `PassthroughCluster` to an address that nothing in the logs explains.

use super::{Claims, Verdict, noun, rule};
use crate::cluster::Direction;
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// Connections through `PassthroughCluster` to an external address, or to one that no line of the input knows; one
    /// finding for each workload that calls.
    ///
    /// ## Why it matters
    /// Allowed under `ALLOW_ANY`, blocked under `REGISTRY_ONLY`. No policy applies and telemetry has no name for it.
    ///
    /// ## Example
    /// `"100.77.28.132:1521" PassthroughCluster 10.244.0.31:50844 100.77.28.132:1521 10.244.0.31:50842 - -`
    ///
    /// Ports of the mesh's own plumbing (15012 and its like) are left out.
    ///
    /// ## What to do
    /// A ServiceEntry gives the destination a name and a policy. Nothing, if it is meant to be so.
    ///
    /// ## Source
    /// Istio documentation, Accessing External Services.
    "R102", "passthrough-to-unknown", Info, "traffic to unknown addresses goes through PassthroughCluster"
}

/// Ports on which proxies talk to the mesh's own control plane and to each other. Source: Istio documentation,
/// Application Requirements.
const PLUMBING: [u16; 7] = [15008, 15010, 15012, 15014, 15017, 15053, 15090];

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let passes = seen.way.side.is_client()
                && seen.cluster.direction == Direction::Passthrough
                && !PLUMBING.contains(&seen.way.dest.port());
            passes.then(|| claims.proxy(seen.way))
        },
        |claims, source, ways| Verdict {
            grade: Grade::Likely,
            why: format!(
                "{source} dialled {}, which no service of the proxy's registry has: {} went through PassthroughCluster",
                claims.destinations(ways),
                noun(ways)
            ),
            fix: "add a ServiceEntry if the destination should have a name and a policy".to_owned(),
        },
    );
}
