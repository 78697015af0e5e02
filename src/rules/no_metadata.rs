//! Pairs of a service over which the proxies exchanged no metadata, while others did.

use super::rule;
use crate::claims::{Claims, Seen, Verdict};
use crate::cluster::Direction;
use crate::finding::Grade;
use crate::leg::{Protocol, Side};

rule! {
    /// ## What it finds
    /// TCP pairs through a service's cluster whose two legs carried the very same bytes, all of one way, while those of
    /// other callers of the service differ by the metadata that sidecars exchange inside of mTLS.
    ///
    /// ## When it is silent
    /// Where all pairs of a service are alike: metadata exchange is off, or on, for all. `PassthroughCluster`, which
    /// never has it.
    ///
    /// ## How sure
    /// Suspect: by the bytes alone.
    ///
    /// ## Why it matters
    /// These connections have no peer's identity in telemetry; often they have no mTLS either, or one side's proxy is
    /// older or configured otherwise.
    ///
    /// ## Example
    /// Legs of 120/300 and 120/300 bytes beside legs of 120/300 and 812/1004.
    ///
    /// ## What to do
    /// Compare the DestinationRules and the versions of the callers' proxies.
    ///
    /// ## Source
    /// Istio documentation, Observability FAQ, TCP metadata exchange (ALPN `istio-peer-exchange`).
    "M102", "no-metadata", Info, "some pairs of a service carry no peer metadata"
}

/// Fewer of a way may be alike by chance.
const SOME: u64 = 3;

pub(super) fn judge(claims: &mut Claims<'_>) {
    let tcp = |seen: &Seen<'_>| {
        seen.way.side == Side::Outbound
            && seen.way.protocol == Protocol::Tcp
            && seen.cluster.direction == Direction::Outbound
            && !seen.cluster.host.is_empty()
            && seen.entry.counts.paired >= SOME
    };
    let differing = claims.left.iter().filter(|seen| tcp(seen) && seen.entry.counts.equal_bytes == 0);
    let differing: std::collections::BTreeSet<&[u8]> = differing.map(|seen| seen.cluster.host).collect();
    claims.note(
        |claims, seen| {
            let (equal, paired) = (seen.entry.counts.equal_bytes, seen.entry.counts.paired);
            (tcp(seen) && equal == paired && differing.contains(seen.cluster.host)).then(|| claims.served_by(seen))
        },
        |claims, subject, ways| {
            let count = ways.iter().map(|seen| seen.entry.counts.equal_bytes).sum();
            let verdict = Verdict {
                grade: Grade::Suspect,
                why: format!(
                    "{count} connections of {} to {subject} carried the same bytes on both legs: no metadata was exchanged, while it \
                     is on those of other callers",
                    claims.proxies(ways)
                ),
                fix: "compare the DestinationRules that apply to these callers, and the versions of \
                      their proxies".to_owned(),
                check: format!("istioctl proxy-config clusters {} -o json", claims.one_pod(ways)),
            };
            Some((count, verdict))
        },
    );
}
