//! A server's listener that refused a connection because none of its filter chains fits it.

use std::collections::BTreeMap;

use super::rule;
use crate::claims::{Claims, Seen, Verdict, list};
use crate::cluster::{Cluster, Direction};
use crate::finding::Grade;
use crate::leg::{Protocol, Side, Way};

rule! {
    /// ## What it finds
    /// The listener's line `0 NR filter_chain_not_found` on the server's side, joined with the client's leg where the
    /// input has it. The client's own line often shows no flag at all: bytes sent 0, or `UC` on HTTP, `UR` on TCP. The
    /// finding says by which route each client came.
    ///
    /// ## When it is silent
    /// `NR route_not_found` on HTTP: that is a route, see `no-route`.
    ///
    /// ## How sure
    /// Likely by the server's line; proven with the client's leg.
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
    /// Istio `pilot/pkg/networking/core/listener_inbound.go`; istio/istio issues 37431 and 31319.
    "R401", "no-filter-chain", Error, "a server's listener refused a connection: no filter chain matches it"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    let clients = claims.fold(|_, seen| is_refused(seen.way));
    claims.file(
        |claims, seen| {
            if is_refused(seen.way) {
                return Some(claims.owner_of(seen));
            }
            let server = clients.contains(&seen.number).then(|| claims.server(seen.number)).flatten();
            server.map(|server| claims.owner_of(&server))
        },
        |claims, subject, ways| {
            let servers: Vec<Seen<'_>> = ways.iter().filter(|seen| seen.way.side == Side::Inbound).copied().collect();
            let linked = claims.linked(&servers);
            let joined = !linked.is_empty();
            let sni = list(claims.names(servers.iter().map(|seen| seen.way.sni)));
            let came = routes(claims, &servers, &linked);
            let (what, fix) = if sni.is_empty() {
                ("in plaintext, and only mTLS is accepted there".to_owned(), fixes(&linked))
            } else {
                (
                    format!("with TLS for {sni}, and no filter chain there takes that"),
                    "name the port https or tls if the application speaks TLS itself; on a gateway \
                     add a server for that SNI"
                        .to_owned(),
                )
            };
            Verdict {
                grade: if joined { Grade::Proven } else { Grade::Likely },
                why: format!(
                    "calls to {subject} at {} came {what}: {came}{}",
                    claims.destinations(&servers),
                    claims.plaintext_around(&servers)
                ),
                fix,
                check: if joined {
                    String::new()
                } else {
                    "the log of the callers' proxies; kubectl get peerauthentication -A".to_owned()
                },
            }
        },
    );
}

/// Who came, and how.
fn routes(claims: &Claims<'_>, servers: &[Seen<'_>], linked: &[(Seen<'_>, u64)]) -> String {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for (seen, links) in linked {
        let how = match seen.cluster.direction {
            Direction::Passthrough => "through PassthroughCluster, which never uses mTLS".to_owned(),
            _ => format!("through {} without mTLS", claims.ledger.show(seen.way.cluster)),
        };
        *told.entry(format!("{} {how}", claims.proxy(seen.way))).or_default() += links;
    }
    for seen in servers.iter().filter(|seen| seen.entry.counts.connections > 0) {
        let who = claims.pod_or_address(seen.way.client);
        *told.entry(format!("{who}, of which no other leg is here")).or_default() += seen.entry.counts.connections;
    }
    let mut told: Vec<(String, u64)> = told.into_iter().collect();
    told.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told: Vec<String> = told.into_iter().map(|(how, count)| format!("{count} from {how}")).collect();
    if told.is_empty() { "by whom is not known yet".to_owned() } else { told.join("; ") }
}

fn fixes(linked: &[(Seen<'_>, u64)]) -> String {
    let clients = || linked.iter().map(|(seen, _)| seen);
    let passed = clients().any(|seen| seen.cluster.direction == Direction::Passthrough);
    let named = clients().any(|seen: &Seen<'_>| matches!(seen.cluster, Cluster { direction: Direction::Outbound, .. }));
    let mut fixes = Vec::new();
    if passed {
        fixes.push(
            "let clients call the service by name, or give the pods a headless Service that lists the \
             port",
        );
    }
    if named {
        fixes.push("set the DestinationRule's tls mode to ISTIO_MUTUAL or take it out");
    }
    if fixes.is_empty() {
        fixes.push(
            "if the callers have no sidecar, inject them; if they have one, let them call the service by name, so that it \
             uses mTLS",
        );
    }
    fixes.push("or set the port to PERMISSIVE in a PeerAuthentication");
    fixes.join("; ")
}

/// Whether a line is a listener's own: no chain, no cluster.
fn is_refused(way: &Way) -> bool {
    way.side == Side::Inbound && way.protocol == Protocol::Tcp && way.flags.any_of(&["NR"])
}
