//! A connection that the server closed before it had answered.

use super::rule;
use crate::claims::{Claims, Verdict, after, noun};
use crate::finding::Grade;
use crate::leg::Side;

rule! {
    /// ## What it finds
    /// `UC`, `UR`, `LR` and `503 upstream_reset_before_response_started` where the server's side has no explanation.
    ///
    /// ## When it is silent
    /// Where the server's line of the same connection names the cause (`no-filter-chain`, `app-not-listening`,
    /// `access-denied`).
    ///
    /// ## How sure
    /// Likely by the client's line; proven where the server's proxy says it of its own application.
    ///
    /// ## Why it matters
    /// The connection was made, and broke: the server's idle timeout is shorter than the proxy's, it crashed or
    /// restarts, or it speaks another protocol.
    ///
    /// ## Example
    /// `"GET / HTTP/1.1" 503 UC upstream_reset_before_response_started{connection_termination} - "-" 0 95 2 - ...`
    ///
    /// ## What to do
    /// Compare idle timeouts (DestinationRule `idleTimeout` below the server's), look at restarts, retry idempotent
    /// requests.
    ///
    /// ## Source
    /// istio/istio issues 55138, 45802 and 47037.
    "U401", "upstream-reset", Error, "the server closed the connection before it had answered"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    let clients = claims.fold(|_, seen| is_reset(seen));
    claims.file(
        |claims, seen| {
            if is_reset(seen) {
                let own = seen.way.side == Side::Inbound;
                return Some(if own { claims.owner_of(seen) } else { claims.served_by(seen) });
            }
            let server = clients.contains(&seen.number).then(|| claims.server(seen.number)).flatten();
            server.map(|server| claims.owner_of(&server))
        },
        |claims, subject, ways| {
            let details = claims.names(ways.iter().map(|seen| seen.way.details)).next();
            let details = details.map_or(String::new(), |details| format!(" ({details})"));
            let inside = ways.iter().any(|seen| seen.way.side == Side::Inbound);
            let who = if inside { "the application behind its proxy" } else { "the server" };
            Verdict {
                grade: if inside { Grade::Proven } else { Grade::Likely },
                why: format!(
                    "{} of {} to {subject} broke: {who} closed or reset the connection, {}{details}{}",
                    noun(ways),
                    claims.callers(ways),
                    claims.flags(ways),
                    after(ways),
                ),
                fix: "look at the server's restarts and its idle timeout (keep idleTimeout of the \
                      DestinationRule below it); check that both sides speak the \
                      same protocol"
                    .to_owned(),
                check: if inside { String::new() } else { "the log of the server's proxy at the same time".to_owned() },
            }
        },
    );
}

fn is_reset(seen: &crate::claims::Seen<'_>) -> bool {
    seen.way.flags.any_of(&["UC", "UR", "LR"])
}
