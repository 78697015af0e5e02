//! Answers of the application that say that it failed.

use super::rule;
use crate::claims::{Claims, Verdict};
use crate::finding::Grade;
use crate::leg::{Protocol, Side};

rule! {
    /// ## What it finds
    /// HTTP status 500 and above without a response flag: the server itself answered so.
    ///
    /// ## When it is silent
    /// Where Envoy made the answer itself it says so with a flag, and another rule takes it.
    ///
    /// ## How sure
    /// Likely by one side's line; proven with both.
    ///
    /// ## Why it matters
    /// The mesh did its work; the application did not.
    ///
    /// ## Example
    /// `"GET /pay HTTP/1.1" 500 - via_upstream - "-" 0 21 7 6 ... outbound|8080||shop...`
    ///
    /// ## What to do
    /// Look into the application's own log at that time.
    ///
    /// ## Source
    /// Envoy documentation, response code details.
    "A201", "server-error", Info, "the application answered with an error"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let failed = seen.way.protocol == Protocol::Http && seen.way.status >= 500 && !seen.way.flags.is_failure();
            failed.then(|| claims.served_by(seen))
        },
        |claims, subject, ways| {
            let statuses: std::collections::BTreeSet<u16> = ways.iter().map(|seen| seen.way.status).collect();
            let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
            let callers = ways.iter().filter(|seen| seen.way.side != Side::Inbound).copied().collect::<Vec<_>>();
            let from = if callers.is_empty() { String::new() } else { format!(" to {}", claims.proxies(&callers)) };
            Verdict {
                grade: if callers.len() < ways.len() && !callers.is_empty() { Grade::Proven } else { Grade::Likely },
                why: format!("{subject} answered {}{from}", statuses.join(", ")),
                fix: if statuses.iter().any(|status| status == "503") && callers.len() == ways.len() {
                    "look into the log of the application at that time, and of its proxy: a 503 may \
                     be the proxy's"
                } else {
                    "look into the log of the application at that time"
                }
                .to_owned(),
                check: String::new(),
            }
        },
    );
}
