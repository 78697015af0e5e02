//! Whatever else a response flag says: connections that broke, timed out, were limited or refused.

use super::{Claims, Verdict, flags, noun, rule};
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// Connections and requests with a response flag that no other rule explains: `UC`, `UR`, `UT`, `UO`, `DC`, `RL`,
    /// `UAEX`, flags of extensions.
    ///
    /// ## Why it matters
    /// The connection was made, and something went wrong on it. The flag says on which side to look.
    ///
    /// ## Example
    /// `"GET / HTTP/1.1" 503 UC upstream_reset_before_response_started{connection_termination} - "-" 0 95 2 - ...`
    ///
    /// ## What to do
    /// `UC`, `UR`: the server closed, compare its idle timeout and its restarts. `UT`: the route's timeout. `UO`: the
    /// DestinationRule's connection pool. `DC`: the client gave up, look at its timeout.
    ///
    /// ## Source
    /// Envoy documentation, response flags.
    "U201", "flagged", Warning, "connections ended with a response flag"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            // What the other side's listener refused is that finding, whatever the client's proxy calls it.
            if !seen.way.flags.is_failure() || claims.is_refused(seen.number) {
                return None;
            }
            let name = if seen.way.cluster.is_none() { claims.show(seen.way.dest) } else { claims.ledger.show(seen.way.cluster).into_owned() };
            Some(format!("{} {name}", flags(claims.ledger, std::iter::once(seen.way))))
        },
        |claims, subject, ways| {
            let meanings: Vec<&str> = ways[0].way.flags.meanings().map(|(_, meaning)| meaning).collect();
            let meaning = if meanings.is_empty() { "a flag that logscan does not know".to_owned() } else { meanings.join(", ") };
            Verdict {
                grade: Grade::Likely,
                why: format!("{} of {} ended with {subject}: {meaning}", noun(ways), claims.proxies(ways)),
                fix: "look at the side that the flag names: upstream flags (U..) at the server and its proxy, downstream flags (D..) at the client".to_owned(),
            }
        },
    );
}
