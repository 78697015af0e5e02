//! A destination that goes on another cluster than before.

use std::collections::BTreeMap;

use super::rule;
use crate::claims::{Claims, Seen, Verdict, noun};
use crate::cluster::Direction;
use crate::finding::Grade;
use crate::history::Caller;
use crate::leg::{Protocol, Side};

rule! {
    /// ## What it finds
    /// TCP destinations of one caller that went through one cluster until some moment and through another from then on;
    /// when, and whether it changed back.
    ///
    /// ## When it is silent
    /// Where the new cluster is a finding already, which then says when it began. Where both are taken at the same time
    /// all along (weights, subsets).
    ///
    /// ## How sure
    /// Likely: the change lies between two lines.
    ///
    /// ## Why it matters
    /// Somebody changed the configuration at that moment: a Service, ServiceEntry, Sidecar or policy. Beside a trouble
    /// that began then it is the first thing to look at.
    ///
    /// ## Example
    /// `36.25.253.87:443 PassthroughCluster` until 12:44:56, `outbound|443||www.example.com` from 13:20:01 on.
    ///
    /// ## What to do
    /// Look what was applied between the two moments.
    ///
    /// ## Source
    /// Envoy listener and filter chain selection: the same destination and configuration always give the same cluster.
    "C101", "route-changed", Info, "a destination went on another cluster than before"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    // Both of a change may be there twice, forth and back: the later one is what is so now.
    let mut changes: BTreeMap<(Caller, u64), crate::names::Sym> = BTreeMap::new();
    for change in claims.history.changes().iter().filter(|change| !change.mixed) {
        let (from, to) = (claims.ledger.show(change.from), claims.ledger.show(change.to));
        let told = Direction::of(from.as_bytes()) == Direction::BlackHole
            || claims.has_filed("unexpected-cluster", |cluster| cluster == from || cluster == to)
            || claims.has_filed("catch-all", |cluster| cluster == from || cluster == to)
            || claims.has_filed("changed-cluster", |cluster| cluster == from);
        if !told {
            changes.insert((change.caller, change.dest.number()), change.to);
        }
    }
    claims.note(
        |claims, seen| {
            let way = seen.way;
            let tcp = way.side == Side::Outbound && way.protocol == Protocol::Tcp && !way.flags.is_failure();
            let to = changes.get(&(Caller::of(way), way.dest.number()));
            (tcp && to == Some(&way.cluster)).then(|| claims.ledger.show(way.cluster).into_owned())
        },
        |claims, cluster, ways: &[Seen<'_>]| {
            let since = claims.changed(ways);
            let told = since.strip_prefix(". ")?;
            let verdict = Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} of {} to {} go on {cluster} now. {told}",
                    noun(ways),
                    claims.proxies(ways),
                    claims.destinations(ways)
                ),
                fix: "look what was applied between the two moments, if something else began then".to_owned(),
                check: String::new(),
            };
            Some((claims.count(ways)?, verdict))
        },
    );
}
