//! Nothing to connect to: no healthy endpoint, no route, no cluster, no address.

use super::{Claims, Verdict, noun, rule};
use crate::field::flag::Class;
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// `UH`, `NR`, `NC`, `DF` and kin where the traffic was not black-holed: Envoy had no host to choose.
    ///
    /// ## Why it matters
    /// Every connection fails at once. No endpoint is ready, a subset selects nothing, all hosts are ejected, or a route
    /// names what does not exist. Up to Istio 1.9 the cluster is not printed then, and a blocked destination looks the same.
    ///
    /// ## Example
    /// `"GET / HTTP/1.1" 503 UH no_healthy_upstream - "-" 0 19 0 - ... "-" outbound|80||web.shop.svc.cluster.local - ...`
    ///
    /// ## What to do
    /// `kubectl get endpointslices` of the service; DestinationRule subsets; outlier detection; the VirtualService's host.
    ///
    /// ## Source
    /// Envoy documentation, response flags; istio/istio issues 50075 and 30730.
    "U102", "no-upstream", Error, "there was no endpoint, route or cluster to connect to"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let subject = || if seen.way.cluster.is_none() { claims.show(seen.way.dest) } else { claims.ledger.show(seen.way.cluster).into_owned() };
            seen.way.flags.has(Class::NoUpstream).then(subject)
        },
        |claims, subject, ways| {
            let meanings: Vec<&str> = ways[0].way.flags.meanings().map(|(_, meaning)| meaning).collect();
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} of {} to {subject} failed with {}: {}",
                    noun(ways),
                    claims.proxies(ways),
                    claims.flags(ways),
                    meanings.join(", ")
                ),
                fix: "check the service's endpoints and their readiness, DestinationRule subsets, outlier detection, and the route's host".to_owned(),
            }
        },
    );
}
