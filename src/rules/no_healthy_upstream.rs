//! A service without an endpoint to choose.

use super::rule;
use crate::claims::{Claims, Verdict, noun};
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// `UH` (`no_healthy_upstream`) where the traffic was not black-holed: the cluster has no endpoint, or none that is healthy.
    /// Says from when to when, and whether endpoints answered before and after.
    ///
    /// ## When it is silent
    /// `UH` on `BlackHoleCluster`: see `black-hole`. Up to Istio 1.9 the cluster is not printed then, and the two look the same.
    ///
    /// ## How sure
    /// Likely: why there is no endpoint the line does not say.
    ///
    /// ## Why it matters
    /// Every call fails at once. Nothing is ready, the subset's labels select nothing, or outlier detection ejected all.
    ///
    /// ## Example
    /// `"GET / HTTP/1.1" 503 UH no_healthy_upstream - "-" 0 19 0 - ... "-" outbound|80||web.shop.svc.cluster.local - ...`
    ///
    /// ## What to do
    /// `kubectl get endpointslices` of the service; readiness; DestinationRule subsets and outlier detection.
    ///
    /// ## Source
    /// Envoy documentation, response flags; istio/istio issues 50075 and 29254.
    "U203", "no-healthy-upstream", Error, "a service has no healthy endpoint"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let subset = String::from_utf8_lossy(seen.cluster.subset);
            let of = if subset.is_empty() { String::new() } else { format!(" subset {subset}") };
            seen.way.flags.any_of(&["UH"]).then(|| format!("{}{of}", claims.served_by(seen)))
        },
        |claims, subject, ways| {
            let subset = String::from_utf8_lossy(ways[0].cluster.subset).into_owned();
            let answered = claims.answered_around(ways);
            let unnamed = ways.iter().all(|seen| seen.way.cluster.is_none());
            let fix = if unnamed {
                "the cluster is not printed (Istio 1.9 and older): look at the routes to that host for a subset or service whose \
                 pods are gone, and whether the address is registered if only what is registered is allowed"
                    .to_owned()
            } else if subset.is_empty() {
                "check that pods of the service are ready (selector, readiness, rollout), and outlier detection"
                    .to_owned()
            } else {
                format!("check that pods carry the labels of subset {subset}, and that they are ready")
            };
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} of {} to {subject} found no healthy endpoint: {}{answered}",
                    noun(ways),
                    claims.proxies(ways),
                    claims.flags(ways),
                ),
                fix,
                check: format!(
                    "istioctl proxy-config endpoints {} --cluster '{}'",
                    claims.one_pod(ways),
                    claims.target(ways[0].way)
                ),
            }
        },
    );
}
