//! A server's listener that refused a connection because none of its filter chains fits it.

use super::{Claims, Verdict, rule};
use crate::field::flag::Flags;
use crate::finding::Grade;
use crate::leg::{Protocol, Side, Way};

rule! {
    /// ## What it finds
    /// The listener's line `0 NR filter_chain_not_found` on the server's side, joined with the client's leg where the
    /// input has it. The client's own line often shows no flag at all: bytes sent 0, or `UC` on HTTP.
    ///
    /// ## Why it matters
    /// The connection was accepted and closed. Without SNI it is plaintext to a port that demands mTLS, with a foreign
    /// SNI it is an application's TLS where none is expected.
    ///
    /// ## Example
    /// `"- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "-" "-" "-" "-" "-" - - 10.10.0.32:8090 10.10.0.29:43434 - -`
    ///
    /// ## What to do
    /// Call the service by its name, so that the client's sidecar uses mTLS; inject the client; or make the port
    /// PERMISSIVE in a PeerAuthentication.
    ///
    /// ## Source
    /// Istio `pilot/pkg/networking/core/listener_inbound.go`; istio/istio issue 37431.
    "R401", "no-filter-chain", Error, "a server's listener refused a connection: no filter chain matches it"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| is_refused(seen.way).then(|| claims.show(seen.way.dest)),
        |claims, destination, ways| {
            let clients: std::collections::BTreeSet<String> = ways
                .iter()
                .filter(|seen| !seen.way.client.is_none())
                .map(|seen| claims.pod(seen.way.client).unwrap_or_else(|| seen.way.client.show(&claims.ledger.names).to_string()))
                .collect();
            let joined = claims.links.keys().any(|(_, server)| ways.iter().any(|seen| seen.number == *server));
            let plain = ways.iter().all(|seen| seen.way.sni.is_none());
            let how = if plain { "in plaintext or without an SNI" } else { "with an SNI that no chain has" };
            let owner = claims.owners(ways[0].way.dest).join(", ");
            let belongs = if owner.is_empty() { String::new() } else { format!(" ({owner})") };
            Verdict {
                grade: if joined { Grade::Proven } else { Grade::Likely },
                why: format!("{} connected to {destination}{belongs} {how}, and no filter chain there takes that", super::list(clients.into_iter())),
                fix: "call the service by name so that the sidecar uses mTLS, inject the client, or set the port to PERMISSIVE in a PeerAuthentication".to_owned(),
            }
        },
    );
}

/// Whether a line is a listener's own: no chain, no cluster.
pub(super) fn is_refused(way: &Way) -> bool {
    way.side == Side::Inbound && way.protocol == Protocol::Tcp && way.flags.any(Flags::of(&["NR"]))
}
