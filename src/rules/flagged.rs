//! Whatever else a response flag says.

use super::rule;
use crate::claims::{Claims, Verdict, noun};
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// Connections and requests with a response flag of failure that no other rule explains: flags of extensions and of
    /// releases to come, `LH`.
    ///
    /// ## When it is silent
    /// Flags that tell of something deliberate alone: an injected fault or delay, an answer from a cache.
    ///
    /// ## How sure
    /// Likely: the flag says so.
    ///
    /// ## Why it matters
    /// Envoy says that something went wrong. The flag says on which side to look.
    ///
    /// ## Example
    /// `"GET / HTTP/1.1" 503 LH - - "-" 0 0 0 - ...`
    ///
    /// ## What to do
    /// Upstream flags (`U..`): the server and its proxy; downstream flags (`D..`): the client.
    ///
    /// ## Source
    /// Envoy documentation, response flags.
    "U201", "flagged", Warning, "connections ended with a response flag"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let failed = seen.way.flags.is_failure();
            failed.then(|| format!("{} {}", claims.flags(std::slice::from_ref(seen)), claims.target(seen.way)))
        },
        |claims, subject, ways| {
            let meanings: Vec<&str> = ways[0].way.flags.meanings().map(|(_, meaning)| meaning).collect();
            let meaning =
                if meanings.is_empty() { "a flag that logscan does not know".to_owned() } else { meanings.join(", ") };
            Verdict {
                grade: Grade::Likely,
                why: format!("{} of {} ended with {subject}: {meaning}", noun(ways), claims.proxies(ways)),
                fix: "look at the side that the flag names: upstream flags (U..) at the server and its \
                      proxy, downstream flags (D..) at the client"
                    .to_owned(),
                check: String::new(),
            }
        },
    );
}
