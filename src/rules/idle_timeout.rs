//! Connections on which nothing came back until a timeout ended them.

use super::rule;
use crate::claims::{Claims, Seen, Verdict};
use crate::finding::Grade;
use crate::measure::{Spread, duration};

rule! {
    /// ## What it finds
    /// TCP connections without a flag on which no byte came back and which nearly all (three at least) ended after the
    /// same time of a second or more: the idle timeout of a proxy, or the client's patience.
    ///
    /// ## When it is silent
    /// Durations without a common length, and connections that were answered: a long quiet connection is a normal one.
    /// A service of which nobody ever got a byte: its protocol may have no answers.
    ///
    /// ## How sure
    /// Likely: by the time that they have in common; whose timeout it is the line does not say.
    ///
    /// ## Why it matters
    /// TCP has no flag for it: both sides waited. A server that hangs, a protocol in which the server speaks first
    /// while the proxy waits for the client, a pool that opens connections and does not use them.
    ///
    /// ## Example
    /// `"- - -" 0 - - - "-" 24 0 2001 - ... outbound|8086||feed.metrics.svc.cluster.local ...`, again and again 2001.
    ///
    /// ## What to do
    /// Look at what the server does; name the port `tcp-...` if the server speaks first (MySQL, SMTP); compare
    /// `idleTimeout`.
    ///
    /// ## Source
    /// Istio documentation, Application Requirements, server first protocols; Envoy TCP proxy, `idle_timeout`;
    /// istio/istio issue 10062.
    "T203", "idle-timeout", Warning, "connections hung without an answer until a timeout"
}

/// What is shorter was closed by somebody.
pub(super) const LEAST: u32 = 1000;
/// Fewer may end after the same time by chance.
const SOME: u64 = 3;

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.note(
        |claims, seen| {
            let hung = seen.way.side.is_client() && seen.entry.rest().silent().at_least(LEAST) > 1;
            hung.then(|| claims.served_by(seen))
        },
        |claims, subject, ways: &[Seen<'_>]| {
            let mut silent = Spread::default();
            for seen in ways {
                silent.join(seen.entry.rest().silent());
            }
            let constant = silent.constant(LEAST)?;
            let count = silent.at_least(LEAST);
            // A protocol without answers (syslog, statsd) is one-way for everybody.
            if count < SOME || !claims.is_answered(subject) {
                return None;
            }
            let verdict = Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{count} connections of {} to {subject} got no byte back and ended after about \
                     {} each, without any flag",
                    claims.proxies(ways),
                    duration(constant),
                ),
                fix: "find out what the server waits for; name the port tcp-... if the server is to speak first; compare \
                      idleTimeout and the client's own timeout"
                    .to_owned(),
                check: String::new(),
            };
            Some((count, verdict))
        },
    );
}
