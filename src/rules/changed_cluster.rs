//! An expected call that another cluster takes than the file of expectations says.

use std::collections::BTreeSet;

use super::rule;
use crate::claims::{Claims, Seen, Verdict, noun, phrase};
use crate::expect::{Answer, Call};
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// With `--expect FILE`: calls of a caller to a destination that the file expects, through a cluster that it does not list for them.
    ///
    /// ## When it is silent
    /// Without a file; where the row lists no clusters; where the file accepts the use of `PassthroughCluster`; where a cause that stands
    /// before took the connections (`unexpected-cluster`, `black-hole`, a refusal by the server).
    ///
    /// ## How sure
    /// Likely: the client's line names the cluster; the file may be older than a change that is meant. Proven with the server's leg.
    ///
    /// ## Why it matters
    /// Another cluster means other servers, another policy or no mTLS. Somebody changed a Service, ServiceEntry, VirtualService or Sidecar, and
    /// this is what it did to calls that had been reviewed.
    ///
    /// ## Example
    /// The file says `outbound|80||pay.shop.svc.cluster.local`, the log `PassthroughCluster`.
    ///
    /// ## What to do
    /// Look what was applied. If the cluster is meant, add it to `clusters` in the row, or learn the file anew.
    ///
    /// ## Source
    /// The file given with `--expect`; Envoy documentation, access log operator `UPSTREAM_CLUSTER`.
    "E103", "changed-cluster", Error, "an expected call went through another cluster than the file says"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| changed(claims, seen)?.0.cluster.clone(),
        |claims, cluster, ways: &[Seen<'_>]| {
            let changes = || ways.iter().filter_map(|seen| changed(claims, seen));
            let callers = phrase(changes().map(|change| change.0.from.name.clone()).collect());
            let to = phrase(changes().flat_map(|change| change.1.iter().cloned()).collect());
            let usual = phrase(changes().flat_map(|change| change.2.iter().cloned()).collect());
            let proven = ways.iter().any(|seen| seen.entry.counts.paired > 0);
            Verdict {
                grade: if proven { Grade::Proven } else { Grade::Likely },
                why: format!(
                    "{} of {callers} to {to} went through {cluster}; the file expects {usual}{}{}",
                    noun(ways),
                    failed(claims, ways),
                    claims.changed(ways),
                ),
                fix: format!("look what was applied; if it is meant, add {cluster} to the clusters of the row"),
                check: format!("istioctl proxy-config clusters {}", claims.one_pod(ways)),
            }
        },
    );
}

/// How those of them ended that failed: the new cluster may be the reason, and no other finding tells of them.
fn failed(claims: &Claims<'_>, ways: &[Seen<'_>]) -> String {
    let failed: Vec<Seen<'_>> = ways.iter().filter(|seen| seen.way.flags.is_failure()).copied().collect();
    if failed.is_empty() {
        return String::new();
    }
    let who = if failed.len() == ways.len() { "they" } else { "some" };
    format!("; {who} fail with {} at {}{}", claims.flags(&failed), claims.hosts(&failed), claims.transport(&failed))
}

/// The call, and the destination and clusters that the file has for it.
fn changed<'c>(
    claims: &'c Claims<'_>,
    seen: &Seen<'_>,
) -> Option<(&'c Call, &'c BTreeSet<String>, &'c BTreeSet<String>)> {
    claims.deviations(seen).iter().find_map(|deviation| match &deviation.answer {
        Answer::Changed { to, clusters } => Some((&deviation.call, to, clusters)),
        _ => None,
    })
}
