//! An upstream that does not even refuse: nothing comes back until the connect timeout.

use super::rule;
use crate::claims::{AMBIENT, Claims, Seen, Verdict, durations, noun};
use crate::cluster::Direction;
use crate::field::flag::Class;
use crate::finding::Grade;
use crate::measure::duration;

rule! {
    /// ## What it finds
    /// Connect failures that took as long as a connect timeout (half a second and more, nearly all the same), or whose
    /// reason says that they timed out.
    ///
    /// ## When it is silent
    /// Connections that were refused at once: `connect-failed`. Endpoints that are known to have died: `dead-endpoint`.
    ///
    /// ## How sure
    /// Likely: by the reason or the time that it took.
    ///
    /// ## Why it matters
    /// Something drops the packets: a NetworkPolicy or firewall, an address that nobody has, a node that is down.
    ///
    /// ## Example
    /// `"- - -" 0 UF,URX - - "-" 0 0 10000 - ... "178.170.196.65:9092" PassthroughCluster - 178.170.196.65:9092 ...`
    ///
    /// ## What to do
    /// Look at NetworkPolicies and firewalls between the two nodes, and whether anybody has the address.
    ///
    /// ## Source
    /// istio/istio issues 17139 and 40006; Istio `pkg/config/mesh/mesh.go` (10 s; 1 s in old releases).
    "U104", "connect-timeout", Error, "the upstream did not answer until the connect timeout"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| is_late(claims, seen).then(|| claims.subject(seen)),
        |claims, subject, ways| {
            let durations = durations(ways);
            let millis = durations.constant(500).or(durations.range().map(|(_, longest)| longest)).unwrap_or_default();
            let passed = ways.iter().all(|seen| seen.cluster.direction == Direction::Passthrough);
            let target = if passed { claims.destinations(ways) } else { subject.to_owned() };
            let where_to = if passed {
                "dialled directly and known to no service".to_owned()
            } else {
                format!("at {}", claims.hosts(ways))
            };
            let ambient = claims.is_ambient(ways);
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} of {} to {target}, {where_to}, got no answer for {} and failed with {}{}{}",
                    noun(ways),
                    claims.proxies(ways),
                    duration(millis),
                    claims.flags(ways),
                    claims.transport(ways),
                    claims.changed(ways),
                ),
                fix: if ambient {
                    AMBIENT
                } else {
                    "look for a NetworkPolicy or a firewall in between, and whether anybody has \
                     that address still"
                }
                .to_owned(),
                check: "kubectl get networkpolicies -A; kubectl get pods,svc -A -o wide".to_owned(),
            }
        },
    );
}

fn is_late(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    if !seen.way.flags.has(Class::Connect) {
        return false;
    }
    let reason = claims.ledger.show(seen.way.transport).to_lowercase();
    let said = reason.contains("timed_out")
        || reason.contains("timed out")
        || reason.contains("timeout")
        || reason.ends_with("_110");
    let details = claims.ledger.show(seen.way.details).contains("connection_timeout");
    let other = ["111", "refused", "113", "reset"].iter().any(|word| reason.contains(word));
    let (count, late) = (seen.entry.rest().durations.count(), seen.entry.rest().durations.at_least(500));
    said || details || !other && count > 0 && late * 10 >= count * 9
}
