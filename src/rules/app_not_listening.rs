//! A server whose proxy cannot reach its own application.

use std::collections::BTreeSet;

use super::rule;
use crate::claims::{Claims, Seen, Verdict, list, noun};
use crate::cluster::Direction;
use crate::field::flag::Class;
use crate::finding::Grade;
use crate::leg::Side;

rule! {
    /// ## What it finds
    /// `UF` on the server's side: the proxy took the connection and its application did not. The client's legs of the same
    /// connections (`UR`, `UC`, `503`, or nothing at all) are part of it.
    ///
    /// ## When it is silent
    /// `UF` on the client's side: nothing was reached there.
    ///
    /// ## How sure
    /// Likely by the server's line; proven with the client's leg.
    ///
    /// ## Why it matters
    /// Every call fails, and the client's proxy shows no connect failure: it was connected, to the other proxy.
    ///
    /// ## Example
    /// `"- - -" 0 UF,URX - - "delayed_connect_error:_111" 0 0 0 ... inbound|8080|| - 10.12.2.8:8080 10.12.0.12:51100 ...`
    ///
    /// ## What to do
    /// Is the process up, on that port, on the pod's address and not on localhost only (since 1.10), and is readiness right?
    /// On `InboundPassthroughCluster` no Service lists the port: often a stale address of a member that is gone.
    ///
    /// ## Source
    /// istio/istio issues 45261, 51267 and 14662.
    "U301", "app-not-listening", Error, "an application does not take the connections of its own proxy"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    let clients = claims.fold(|_, seen| is_deaf(seen));
    claims.file(
        |claims, seen| {
            if is_deaf(seen) {
                return Some(claims.owner(seen.way.dest));
            }
            let server = clients.contains(&seen.number).then(|| claims.server(seen.number)).flatten();
            server.map(|server| claims.owner(server.dest))
        },
        |claims, _, ways| {
            let (servers, clients): (Vec<Seen<'_>>, Vec<Seen<'_>>) = ways.iter().partition(|seen| is_deaf(seen));
            let from = if clients.is_empty() { String::new() } else { format!("; called by {}", claims.proxies(&clients)) };
            let undeclared = servers.iter().all(|seen| seen.cluster.direction == Direction::InboundPassthrough);
            let fix = if undeclared {
                "no Service lists that port: look whether callers hold a stale address, else open the port and declare it"
            } else {
                "check that the application runs and listens on that port, on the pod's address and not on localhost only, and that it is ready"
            };
            Verdict {
                grade: if clients.is_empty() { Grade::Likely } else { Grade::Proven },
                why: format!(
                    "{} to {} reached the proxy of {}, and its own application did not take them: {}{}{from}",
                    noun(ways),
                    claims.destinations(&servers),
                    reached(claims, &servers),
                    claims.flags(&servers),
                    claims.transport(&servers),
                ),
                fix: fix.to_owned(),
                check: format!("kubectl exec {} -c istio-proxy -- ss -lnt", claims.one_pod(&servers)),
            }
        },
    );
}

/// The pods that were reached, else their addresses.
fn reached(claims: &Claims<'_>, servers: &[Seen<'_>]) -> String {
    let pods: BTreeSet<String> = servers.iter().map(|seen| claims.pod_or_address(seen.way.dest.ip())).collect();
    list(pods.into_iter().collect::<Vec<_>>().into_iter())
}

fn is_deaf(seen: &Seen<'_>) -> bool {
    seen.way.side == Side::Inbound && seen.way.flags.has(Class::Connect)
}
