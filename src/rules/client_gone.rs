//! A client that did not wait for the answer.

use super::rule;
use crate::claims::{Claims, Verdict, durations, noun};
use crate::finding::Grade;
use crate::measure::duration;

rule! {
    /// ## What it finds
    /// `DC` and `DR`: the client closed or reset before the response was complete. Durations that sit on a number are the client's timeout.
    ///
    /// ## When it is silent
    /// Where the client's own leg says why it gave up (`timeout`), the server's `DC` line of the same request belongs
    /// to that.
    ///
    /// ## How sure
    /// Likely: why the client left the line does not say.
    ///
    /// ## Why it matters
    /// Nobody got an answer. Most often the server was slower than the client's patience.
    ///
    /// ## Example
    /// `"GET /slow HTTP/1.1" 0 DC downstream_remote_disconnect - "-" 0 0 30000 - ... inbound|8080|| ...`
    ///
    /// ## What to do
    /// Look at the caller's timeout and at what the server did in that time.
    ///
    /// ## Source
    /// istio/istio issues 39037 and 32727.
    "D101", "client-gone", Warning, "the client went away before it was answered"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| seen.way.flags.any_of(&["DC", "DR"]).then(|| claims.served_by(seen)),
        |claims, subject, ways| {
            let constant = durations(ways).constant(100);
            let after = constant.map_or(String::new(), |millis| {
                format!(", after about {} each: a timeout of the client", duration(millis))
            });
            let who = claims.callers(ways);
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{who} closed {} to {subject} before the answer: {}{after}",
                    noun(ways),
                    claims.flags(ways)
                ),
                fix: "compare the client's timeout with the time that the server takes".to_owned(),
                check: String::new(),
            }
        },
    );
}
