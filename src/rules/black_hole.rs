//! Outbound traffic that the proxy was told to block.

use super::rule;
use crate::claims::{Claims, Seen, Verdict, noun};
use crate::cluster::Direction;
use crate::finding::Grade;
use crate::leg::{Protocol, Side};

rule! {
    /// ## What it finds
    /// Connections that Envoy sent to `BlackHoleCluster` (TCP, `UH`), and requests that it answered with 502
    /// `direct_response` because no host matched (HTTP, route `block_all`).
    ///
    /// ## When it is silent
    /// `UH` on a cluster with a name: that service has no endpoint. `direct_response` with another status: a route says so.
    ///
    /// ## How sure
    /// Likely: the line itself says so; which object is missing it does not say.
    ///
    /// ## Why it matters
    /// The destination is not in the registry and the outbound policy is `REGISTRY_ONLY`: the client's connection is
    /// closed. Istio 1.3 to 1.5 also black-hole a pod that dials its own address on a port with a catch-all listener.
    ///
    /// ## Example
    /// `"- - -" 0 UH - - "-" 0 0 0 - "-" "-" "-" "-" "-" BlackHoleCluster - 178.170.196.65:9092 10.128.3.43:56440 - -`
    ///
    /// ## What to do
    /// Add a ServiceEntry for the destination, or widen the Sidecar's egress hosts or the exportTo that hides it.
    ///
    /// ## Source
    /// Istio documentation, Accessing External Services; Istio `pilot/pkg/networking/core/httproute.go`.
    "R201", "black-hole", Error, "outbound traffic was blocked"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            let owned = || claims.owners_of(seen).first().cloned();
            let subject = || owned().unwrap_or_else(|| format!("unregistered destinations of {}", claims.proxy(seen.way)));
            is_blocked(claims, seen).then(subject)
        },
        |claims, subject, ways| {
            let known = !claims.owners_of(&ways[0]).is_empty();
            let own = ways.iter().all(|seen| claims.dials_itself(seen.way));
            let (proxies, destinations) = (claims.proxies(ways), claims.destinations(ways));
            let belongs = if known { format!(", of {subject}") } else { String::new() };
            let http = ways.iter().any(|seen| seen.way.protocol == Protocol::Http);
            let how = if http { "no route of the proxy has its host (block_all)" } else { "no listener of the proxy has its address" };
            let (why, fix) = if own {
                (
                    format!("{proxies} dialled its own address {destinations}, and a catch-all listener on \
                             the port black-holes that"),
                    format!("look for the object that made the listener 0.0.0.0_{}; let the member dial \
                             itself over localhost", ways[0].way.dest.port()),
                )
            } else if known {
                (
                    format!("{proxies} dialled {destinations}{belongs}; the mesh knows it, but {how}"),
                    "let these proxies see the service: Sidecar egress hosts, exportTo, the port in \
                     its Service; a ServiceEntry if it is called by pod \
                     address".to_owned(),
                )
            } else {
                (
                    format!("{proxies} dialled {destinations}, and {how}: only what is registered is allowed"),
                    if ways.iter().all(|seen| seen.way.dest.ip().is_private(&claims.ledger.names)) {
                        "if it is a service of the mesh, let these proxies see it (Sidecar egress hosts, exportTo, the port in \
                         its Service); else add a ServiceEntry, or set outboundTrafficPolicy to ALLOW_ANY"
                    } else {
                        "add a ServiceEntry for it, or set outboundTrafficPolicy to ALLOW_ANY"
                    }
                    .to_owned(),
                )
            };
            Verdict {
                grade: Grade::Likely,
                why: format!("{why}: {} refused{}{}", noun(ways), claims.changed(ways), claims.over(ways)),
                fix,
                check: format!("istioctl proxy-config listeners {} --port {} -o json", claims.one_pod(ways), ways[0].way.dest.port()),
            }
        },
    );
}

fn is_blocked(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    let way = seen.way;
    let blocked_host =
        way.status == 502 && way.cluster.is_none() && claims.ledger.names.get(way.details) == b"direct_response";
    seen.cluster.direction == Direction::BlackHole || way.side == Side::Outbound && blocked_host
}
