//! Connections that were accepted and closed without an answer.

use super::rule;
use crate::claims::Seen;
use crate::claims::{Claims, Verdict, noun};
use crate::cluster::Direction;
use crate::field::flag::Flags;
use crate::finding::Grade;
use crate::leg::{Protocol, Side};

rule! {
    /// ## What it finds
    /// TCP through `PassthroughCluster` to a private address on which the client sent something, nothing ever came
    /// back, no flag or only `UR` was set, and no server's line is there. That is how plaintext looks that meets a
    /// STRICT server whose log is not in the input.
    ///
    /// ## When it is silent
    /// With the server's log at hand the pairs say what happened (`no-filter-chain`), or that all is well. Where some
    /// connections of the same way were answered.
    ///
    /// ## How sure
    /// Suspect: protocols without answers look alike; the server's log proves it.
    ///
    /// ## Why it matters
    /// After the connect a TCP failure has no flag (`UR` in the newest releases): only the bytes tell.
    ///
    /// ## Example
    /// `"- - -" 0 - - - "-" 407 0 0 - ... "10.77.31.99:5001" PassthroughCluster 10.28.22.149:54082 10.77.31.99:5001 ...`
    ///
    /// ## What to do
    /// Get the server's log of that time: `NR filter_chain_not_found` proves it. Protocols without answers (syslog,
    /// statsd) look alike.
    ///
    /// ## Source
    /// istio/istio issues 37431 and 23494.
    "R402", "silent-refusal", Warning, "connections were taken and closed without an answer"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| is_silent(claims, seen).then(|| claims.owner_of(seen)),
        |claims, subject, ways| {
            let of = if claims.destinations(ways) == subject { String::new() } else { format!(" of {subject}") };
            Verdict {
                grade: Grade::Suspect,
                why: format!(
                    "{} of {} to {}{of} through PassthroughCluster sent bytes and got none back, {}: \
                     what a STRICT server does with plaintext",
                    noun(ways),
                    claims.proxies(ways),
                    claims.destinations(ways),
                    if ways.iter().any(|seen| seen.way.flags.is_failure()) {
                        "at most with UR"
                    } else {
                        "without any flag"
                    },
                ),
                fix: "call the service by name so that mTLS is used, or give the pods a headless Service \
                      that lists the port"
                    .to_owned(),
                check: format!(
                    "the log of the proxy at {} at that time: NR filter_chain_not_found proves it",
                    claims.destinations(ways)
                ),
            }
        },
    );
}

fn is_silent(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    let (way, counts) = (seen.way, &seen.entry.counts);
    way.side == Side::Outbound
        && way.protocol == Protocol::Tcp
        && seen.cluster.direction == Direction::Passthrough
        && (!way.flags.is_failure() || way.flags == Flags::of(&["UR"]))
        && counts.connections > 0
        && counts.unanswered == counts.connections
        && !claims.was_answered(way)
        && seen.entry.rest().silent().constant(super::idle_timeout::LEAST).is_none()
        && counts.paired == 0
        && way.dest.ip().is_private(&claims.ledger.names)
        && !claims.topology.is_logging(way.dest.ip())
}
