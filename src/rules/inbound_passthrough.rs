//! Traffic to a port of a pod that no Service lists.

use super::rule;
use crate::claims::{Claims, Verdict, noun};
use crate::cluster::Direction;
use crate::finding::Grade;
use crate::leg::Side;

rule! {
    /// ## What it finds
    /// Inbound legs on `InboundPassthroughCluster` (`...Ipv4`, `...Ipv6` up to 1.22).
    ///
    /// ## When it is silent
    /// Where it failed: see `app-not-listening`. Where the client's leg is there: see `passthrough-to-service`.
    ///
    /// ## How sure
    /// Likely: the cluster says so.
    ///
    /// ## Why it matters
    /// The port is in no Service, so no policy of a port and no telemetry of a service apply; the other side is mostly
    /// a client that goes through `PassthroughCluster`.
    ///
    /// ## Example
    /// `... "100.72.2.95:7801" InboundPassthroughClusterIpv4 127.0.0.6:40000 100.72.2.95:7801 100.72.2.90:51100 - -`
    ///
    /// ## What to do
    /// List the port in a (headless) Service.
    ///
    /// ## Source
    /// Istio `pilot/pkg/networking/core/listener_inbound.go`.
    "R103", "inbound-passthrough", Info, "traffic to ports that no Service lists"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let passes = seen.way.side == Side::Inbound && seen.cluster.direction == Direction::InboundPassthrough;
            let pod = || claims.pod(seen.way.dest.ip()).unwrap_or_else(|| claims.show(seen.way.dest));
            passes.then(|| format!("{} port {}", pod(), seen.way.dest.port()))
        },
        |claims, subject, ways| Verdict {
            grade: Grade::Likely,
            why: format!(
                "{} reached {subject} on {}, a port that no Service lists",
                noun(ways),
                claims.destinations(ways)
            ),
            fix: format!(
                "list port {} in a Service of these pods, so that policy and telemetry know it",
                ways[0].way.dest.port()
            ),
            check: String::new(),
        },
    );
}
