//! A request for which there is no route, or a route to a cluster that does not exist.

use super::rule;
use crate::claims::{Claims, Verdict, list, noun};
use crate::field::flag::Class;
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// `NR route_not_found` (404), `NC cluster_not_found` (503), `DF` (a name that does not resolve) and `NFCF` (a filter that waits for its configuration).
    ///
    /// ## When it is silent
    /// `NR filter_chain_not_found` on a server: see `no-filter-chain`. `UH`: see `no-healthy-upstream`.
    ///
    /// ## How sure
    /// Likely: the flag says so; which object is missing it does not say.
    ///
    /// ## Why it matters
    /// The configuration sends traffic nowhere: a host that no virtual host has, a subset without DestinationRule, or
    /// for seconds a configuration that is not complete yet.
    ///
    /// ## Example
    /// `"GET /x HTTP/1.1" 503 NC cluster_not_found - "-" 0 0 0 - ... "-" - - 10.96.3.7:80 10.244.0.9:41000 - -`
    ///
    /// ## What to do
    /// `NC`: define the subset in a DestinationRule that this proxy sees. `NR`: the host of the VirtualService and the Gateway.
    ///
    /// ## Source
    /// istio/istio issues 30730, 31925 and 30347.
    "U202", "no-route", Error, "no route or no cluster for the traffic"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let flags = seen.way.flags;
            flags
                .has(Class::NoUpstream)
                .then(|| format!("{} ({})", claims.target(seen.way), claims.flags(std::slice::from_ref(seen))))
        },
        |claims, subject, ways| {
            let meanings: Vec<&str> = ways[0].way.flags.meanings().map(|(_, meaning)| meaning).collect();
            let details = list(claims.names(ways.iter().map(|seen| seen.way.details)));
            let details = if details.is_empty() { String::new() } else { format!(" ({details})") };
            let fix = if ways[0].way.flags.any_of(&["NC"]) {
                "define the cluster that the route names: a DestinationRule with the subset, \
                 visible to this proxy"
            } else if ways[0].way.flags.any_of(&["NR"]) {
                "check the hosts of the VirtualService and the Gateway, and whether the proxy had \
                 its routes yet"
            } else {
                "check that the name resolves and that the proxy has all of its configuration"
            };
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} of {} to {} had nowhere to go: {}{details}",
                    noun(ways),
                    claims.proxies(ways),
                    subject.rsplit_once(" (").map_or(subject, |(target, _)| target),
                    meanings.join(", "),
                ),
                fix: fix.to_owned(),
                check: format!("istioctl proxy-config routes {} -o json", claims.one_pod(ways)),
            }
        },
    );
}
