//! An upstream that was connected and too slow.

use super::rule;
use crate::claims::{Claims, Verdict, durations, noun};
use crate::field::flag::Class;
use crate::finding::Grade;
use crate::measure::duration;

rule! {
    /// ## What it finds
    /// `UT`, `SI`, `DT`, `UMSDR` and `504`: the response did not come in time, the stream was idle for too long, or the longest
    /// allowed duration is over. Says the timeout if the durations show one.
    ///
    /// ## When it is silent
    /// The connect timeout: see `connect-timeout`. A client that gives up: see `client-gone`.
    ///
    /// ## How sure
    /// Likely: the flag says so; whose patience it was the line does not say.
    ///
    /// ## Why it matters
    /// The server is slow or hangs; the proxy's patience is a number in some route.
    ///
    /// ## Example
    /// `"GET /report HTTP/1.1" 504 UT response_timeout - "-" 0 24 15002 - ... outbound|80||reports...`
    ///
    /// ## What to do
    /// Compare the route's timeout (VirtualService) with what the server needs.
    ///
    /// ## Source
    /// Envoy documentation, How do I configure timeouts; istio/istio issue 1667.
    "T101", "timeout", Error, "the upstream took too long"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let late = seen.way.flags.has(Class::Timeout) && !seen.way.side.eq(&crate::leg::Side::Inbound);
            late.then(|| format!("{} ({})", claims.served_by(seen), claims.flags(std::slice::from_ref(seen))))
        },
        |claims, subject, ways| {
            let meanings: Vec<&str> = ways[0].way.flags.meanings().map(|(_, meaning)| meaning).collect();
            let constant = durations(ways).constant(100);
            let after = constant.map_or(String::new(), |millis| {
                format!(" after about {}, the timeout of the route or cluster", duration(millis))
            });
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} of {} to {} ended{after}: {}",
                    noun(ways),
                    claims.proxies(ways),
                    subject.rsplit_once(" (").map_or(subject, |(target, _)| target),
                    meanings.join(", ")
                ),
                fix: "find out what the server does in that time; raise the timeout in the \
                      VirtualService if it needs it"
                    .to_owned(),
                check: format!("istioctl proxy-config routes {} -o json", claims.one_pod(ways)),
            }
        },
    );
}
