//! A server whose proxy cannot reach its own application.

use std::collections::{BTreeMap, BTreeSet};

use super::rule;
use crate::claims::{Claims, Seen, Verdict, list, noun, when};
use crate::cluster::Direction;
use crate::endpoint::Endpoint;
use crate::field::flag::Class;
use crate::finding::Grade;
use crate::leg::Side;
use crate::measure::Span;

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
    /// Is the process up, on that port, on the pod's address and not on localhost only (since 1.10), and is readiness
    /// right? On `InboundPassthroughCluster` no Service lists the port: often a stale address of a member that is gone.
    ///
    /// ## Source
    /// istio/istio issues 45261, 51267 and 14662.
    "U301", "app-not-listening", Error, "an application does not take the connections of its own proxy"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    let clients = claims.fold(|_, seen| is_deaf(seen));
    // Where the server's proxy gave up in the middle of the handshake, the client's could not connect either.
    let mut alone: BTreeMap<Endpoint, Span> = BTreeMap::new();
    for seen in claims.left.iter().filter(|seen| is_deaf(seen) && seen.entry.counts.connections > 0) {
        alone.entry(seen.way.dest).or_default().join(&seen.span());
    }
    claims.file(
        |claims, seen| {
            if is_deaf(seen) {
                return Some(claims.owner_of(seen));
            }
            if seen.way.side.is_client() && seen.way.flags.has(Class::Connect) {
                let near = alone.get(&seen.way.host).is_some_and(|span| span.is_near(&seen.span(), SKEW));
                return near.then(|| claims.owner_at(seen.way.host, &seen.span()));
            }
            let server = clients.contains(&seen.number).then(|| claims.server(seen.number)).flatten();
            server.map(|server| claims.owner_of(&server))
        },
        |claims, _, ways| {
            let (servers, mut clients): (Vec<Seen<'_>>, Vec<Seen<'_>>) = ways.iter().partition(|seen| is_deaf(seen));
            clients.extend(claims.linked(&servers).into_iter().map(|(client, _)| client));
            let from =
                if clients.is_empty() { String::new() } else { format!("; called by {}", claims.proxies(&clients)) };
            let undeclared = servers.iter().all(|seen| seen.cluster.direction == Direction::InboundPassthrough);
            let moved =
                servers.first().map_or(String::new(), |server| claims.moved(server.way.dest.ip(), &when(&servers)));
            let fix = if undeclared && !moved.is_empty() {
                "the callers dial a pod that is gone: make them resolve the service's name again"
            } else if undeclared {
                "no Service lists that port: look whether callers hold a stale address, else open \
                 the port and declare it"
            } else {
                "check that the application runs and listens on that port, on the pod's address and \
                 not on localhost only, and that it is ready"
            };
            Verdict {
                grade: if clients.is_empty() { Grade::Likely } else { Grade::Proven },
                why: format!(
                    "{} to {} reached the proxy of {}, and its own application did not take them: {}{}{from}{moved}",
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
    list(pods)
}

/// How far the clocks of two nodes may be apart, milliseconds.
const SKEW: i64 = 2_000;

fn is_deaf(seen: &Seen<'_>) -> bool {
    seen.way.side == Side::Inbound && seen.way.flags.has(Class::Connect)
}
