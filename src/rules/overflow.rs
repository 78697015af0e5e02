//! A limit of connections or requests that was reached.

use super::rule;
use crate::claims::{Claims, Verdict, noun};
use crate::field::flag::Class;
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// `UO` (a circuit breaker), `RL` (rate limit), `OM` (overload manager), `DO` and `UDO` (drop overload), `RLSE`.
    ///
    /// ## When it is silent
    /// Failures to connect and timeouts, however many.
    ///
    /// ## How sure
    /// Likely: the flag says so; which limit it was the line does not say.
    ///
    /// ## Why it matters
    /// Envoy fails these at once and on purpose, to protect somebody. TCP has no queue: one connection over
    /// `maxConnections` is closed.
    ///
    /// ## Example
    /// `"GET / HTTP/1.1" 503 UO upstream_reset_before_response_started{overflow} - "-" 0 81 0 - ... outbound|80||...`
    ///
    /// ## What to do
    /// Compare `connectionPool` in the DestinationRule with the load; for `RL` the rate limit's own configuration.
    ///
    /// ## Source
    /// Envoy documentation, Circuit Breaking; istio/istio issues 18995 and 37009.
    "L101", "overflow", Error, "a limit of connections or requests was reached"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let limited = seen.way.flags.has(Class::Limit);
            limited.then(|| format!("{} ({})", claims.served_by(seen), claims.flags(std::slice::from_ref(seen))))
        },
        |claims, subject, ways| {
            let meanings: Vec<&str> = ways[0].way.flags.meanings().map(|(_, meaning)| meaning).collect();
            let breaker = ways[0].way.flags.any_of(&["UO"]);
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} of {} to {} were turned away at once: {}",
                    noun(ways),
                    claims.proxies(ways),
                    subject.rsplit_once(" (").map_or(subject, |(target, _)| target),
                    meanings.join(", ")
                ),
                fix: if breaker {
                    "raise connectionPool in the DestinationRule, or add replicas: the limit is below the load"
                        .to_owned()
                } else {
                    "look at the limit that the flag names, and at who sends that much".to_owned()
                },
                check: format!("istioctl proxy-config clusters {} -o json", claims.one_pod(ways)),
            }
        },
    );
}
