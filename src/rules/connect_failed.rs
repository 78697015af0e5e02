//! A connection that could not be made to where it was meant to go.

use super::rule;
use crate::claims::{AMBIENT, Claims, Verdict, noun};
use crate::cluster::Direction;
use crate::field::flag::Class;
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// `UF`, `URX` and kin where the cluster is the right one and the answer came at once: refused, no route, reset.
    ///
    /// ## When it is silent
    /// Timeouts, TLS errors, endpoints that died, and the server's own application have rules of their own, which come
    /// before.
    ///
    /// ## How sure
    /// Likely: why it was refused the client's line does not say.
    ///
    /// ## Why it matters
    /// The routing is as it should be; the endpoint is not. On TCP `UF,URX` is one failed attempt, nothing was retried.
    ///
    /// ## Example
    /// `"- - -" 0 UF,URX - - "delayed_connect_error:_111" 0 0 0 ... "10.1.1.24:6379" outbound|6379||redis... - 10.1.1.24:6379 ...`
    ///
    /// ## What to do
    /// Is the port open, is the pod ready, is targetPort right? `113`, no route to host: a firewall that rejects, a
    /// dead node.
    ///
    /// ## Source
    /// Envoy documentation, response flags; Envoy `source/common/tcp_proxy/tcp_proxy.cc`.
    "U101", "connect-failed", Error, "the upstream refused the connection"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| seen.way.flags.has(Class::Connect).then(|| claims.subject(seen)),
        |claims, subject, ways| {
            let (flags, transport) = (claims.flags(ways), claims.transport(ways));
            let passed = ways.iter().all(|seen| seen.cluster.direction == Direction::Passthrough);
            let known = passed && claims.topology.virtual_services(ways[0].way.dest).next().is_some();
            let (why, fix) = if known {
                (
                    format!(
                        "{} dialled {}, which other proxies know as an address of {subject} and \
                         this one does not: {flags}{transport}",
                        claims.proxies(ways),
                        claims.destinations(ways)
                    ),
                    "let these proxies see the service (Sidecar egress hosts, exportTo, the port in its Service); a proxy with stale \
                     configuration shows in istioctl proxy-status",
                )
            } else if passed {
                (
                    format!("{} dialled {} directly, which no service of the proxy's registry has, and \
                             nothing answers there: {flags}{transport}", claims.proxies(ways),
                        claims.destinations(ways)),
                    "check whether the address still exists: a pod that is gone, a firewall, a NetworkPolicy",
                )
            } else {
                (
                    format!("{} could not connect to {} for {subject}: {flags}{transport}", claims.proxies(ways), claims.hosts(ways)),
                    "check that the endpoints are ready and listen on the target port, and that no \
                     NetworkPolicy is in the way",
                )
            };
            let ambient = claims.is_ambient(ways);
            Verdict {
                grade: Grade::Likely,
                why: format!("{why}; {} failed{}", noun(ways), claims.changed(ways)),
                fix: if ambient { AMBIENT } else { fix }.to_owned(),
                check: if ambient {
                    "kubectl get networkpolicies -A; istioctl ztunnel-config workloads".to_owned()
                } else {
                    format!("istioctl proxy-config endpoints {}", claims.one_pod(ways))
                },
            }
        },
    );
}
