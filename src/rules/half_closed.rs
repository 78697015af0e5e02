//! Connections whose client side outlived the server side until an idle timeout.

use super::rule;
use crate::claims::{Claims, Verdict};
use crate::finding::Grade;
use crate::measure::{Spread, duration};

rule! {
    /// ## What it finds
    /// TCP pairs whose client's leg ended a minute or more after the server's, nearly all after the same time.
    ///
    /// ## When it is silent
    /// Differences without a common length: long transfers, slow readers.
    ///
    /// ## How sure
    /// Likely: by the time that they have in common.
    ///
    /// ## Why it matters
    /// One side had closed, the other did not notice: the client waits on a dead connection until an idle timeout (one
    /// hour by default).
    ///
    /// ## Example
    /// Server's leg 5 s, client's leg 3605 s.
    ///
    /// ## What to do
    /// Close both directions in the application; TCP keepalive in the DestinationRule; a shorter `idleTimeout`.
    ///
    /// ## Source
    /// Envoy TCP proxy, `idle_timeout` (1 h).
    "T202", "half-closed", Warning, "connections hung half closed until an idle timeout"
}

/// Shorter differences have other reasons.
const LEAST: u32 = 60_000;

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.note(
        |claims, seen| {
            let outlived = seen.entry.rest().outlived().at_least(LEAST) > 0;
            outlived.then(|| claims.served_by(seen))
        },
        |claims, subject, ways| {
            let mut outlived = Spread::default();
            for seen in ways {
                outlived.join(seen.entry.rest().outlived());
            }
            let constant = outlived.constant(LEAST)?;
            let count = outlived.at_least(LEAST);
            let verdict = Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{count} connections of {} to {subject} stayed open on the client's side for {} \
                     after the server's side had ended",
                    claims.proxies(ways),
                    duration(constant),
                ),
                fix: "let the application close both directions; set tcpKeepalive and a shorter \
                      idleTimeout in the DestinationRule"
                    .to_owned(),
                check: String::new(),
            };
            Some((count, verdict))
        },
    );
}
