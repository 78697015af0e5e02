//! A server that took the connection much later than the client had it.

use super::rule;
use crate::claims::{Claims, Verdict};
use crate::finding::Grade;
use crate::measure::{Spread, duration};

rule! {
    /// ## What it finds
    /// TCP pairs whose server's leg began 900 ms or more after the client's: the time that the connection itself took.
    ///
    /// ## When it is silent
    /// HTTP, where a leg begins with the request. Where all pairs of two pods are late alike, their nodes' clocks
    /// differ more likely; the finding says so.
    ///
    /// ## How sure
    /// Likely; suspect where all are late alike, since clocks may differ.
    ///
    /// ## Why it matters
    /// A second is the time after which a lost SYN is sent again: packets get lost, the listen queue overflows, or the
    /// proxy is starved.
    ///
    /// ## Example
    /// Client's leg `14:39:12.587Z`, server's leg `14:39:13.590Z`: 1003 ms.
    ///
    /// ## What to do
    /// Look at packet loss, conntrack tables, CPU throttling of the proxies.
    ///
    /// ## Source
    /// RFC 6298 (1 s initial retransmission timeout); Envoy's start time is the accepted connection on both sides.
    "T201", "slow-connect", Info, "connections reached the server late"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.note(
        |claims, seen| {
            let slow = seen.entry.rest().slow().count() > 0;
            slow.then(|| claims.served_by(seen))
        },
        |claims, subject, ways| {
            let mut slow = Spread::default();
            for seen in ways {
                slow.join(seen.entry.rest().slow());
            }
            let paired: u64 = ways.iter().map(|seen| seen.entry.counts.paired).sum();
            let (shortest, longest) = slow.range()?;
            let took = if shortest == longest {
                duration(longest)
            } else {
                format!("{} to {}", duration(shortest), duration(longest))
            };
            let all = if slow.count() == paired && paired > 2 {
                "; as all of them are late alike, the clocks of the nodes may differ"
            } else {
                ""
            };
            let verdict = Verdict {
                grade: if all.is_empty() { Grade::Likely } else { Grade::Suspect },
                why: format!(
                    "{} of {paired} connections from {} to {subject} reached its proxy {took} late{all}",
                    slow.count(),
                    claims.proxies(ways),
                ),
                fix: "look at packet loss and conntrack between the nodes (a lost SYN is sent again \
                      after 1 s), and at CPU throttling of the proxies"
                    .to_owned(),
                check: String::new(),
            };
            Some((slow.count(), verdict))
        },
    );
}
