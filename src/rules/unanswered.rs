//! Connections on which some got an answer and some did not.

use super::rule;
use crate::claims::{Claims, Seen, Verdict};
use crate::finding::Grade;
use crate::leg::Protocol;

rule! {
    /// ## What it finds
    /// TCP connections without a flag on which the client sent something and got no byte back, while others of the same
    /// kind were answered.
    ///
    /// ## When it is silent
    /// Where the server's legs tell the cause. Where nobody is ever answered: the protocol may have no answers, or see
    /// `silent-refusal`. Where they end after the same time: see `idle-timeout`.
    ///
    /// ## How sure
    /// Suspect: a client may have had nothing to ask.
    ///
    /// ## Why it matters
    /// After the connect a TCP failure has no flag: a server that crashes or resets leaves a line like any other.
    ///
    /// ## Example
    /// `"- - -" 0 - - - "-" 21 0 1 - ... outbound|5672||queue...` between lines with `21 90`.
    ///
    /// ## What to do
    /// Look into the server's log at these times.
    ///
    /// ## Source
    /// Envoy `source/common/tcp_proxy/tcp_proxy.cc`: a reset after data looks like a normal close.
    "U402", "unanswered", Info, "some connections got no answer"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.note(
        |claims, seen| {
            let counts = &seen.entry.counts;
            let tcp = seen.way.side.is_client() && seen.way.protocol == Protocol::Tcp && !seen.way.flags.is_failure();
            let hung = seen.entry.rest().silent.constant(super::idle_timeout::LEAST).is_some();
            (tcp && !hung && counts.unanswered > 0).then(|| claims.served_by(seen))
        },
        |claims, subject, ways: &[Seen<'_>]| {
            let lost = |seen: &Seen<'_>| seen.entry.counts.unanswered.saturating_sub(claims.told(seen));
            let unanswered: u64 = ways.iter().map(lost).sum();
            let all: u64 = ways.iter().map(|seen| seen.entry.counts.connections).sum();
            if unanswered == 0 || unanswered == all {
                return None;
            }
            let verdict = Verdict {
                grade: Grade::Suspect,
                why: format!(
                    "{unanswered} of {all} connections of {} to {subject} got no byte back for what \
                     they had sent, without any flag",
                    claims.proxies(ways)
                ),
                fix: "look into the server's log at these times: a server that crashes or resets a \
                      connection leaves no flag"
                    .to_owned(),
                check: String::new(),
            };
            Some((unanswered, verdict))
        },
    );
}
