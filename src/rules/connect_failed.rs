//! A connection that could not be made to where it was meant to go.

use super::{Claims, Seen, Verdict, noun, rule};
use crate::cluster::Direction;
use crate::field::flag::Class;
use crate::finding::Grade;
use crate::leg::Side;

rule! {
    /// ## What it finds
    /// `UF`, `URX` and kin where the cluster is the right one: the service's own, `PassthroughCluster` to a dead
    /// address, or on the server's side the application that does not listen.
    ///
    /// ## Why it matters
    /// The routing is as it should be; the endpoint is not. On TCP `UF,URX` is one failed attempt, nothing was retried.
    ///
    /// ## Example
    /// `"- - -" 0 UF,URX - - "delayed_connect_error:_111" 0 0 0 ... "10.1.1.24:6379" outbound|6379||redis... - 10.1.1.24:6379 ...`
    ///
    /// ## What to do
    /// Refused: is the port open, is the pod ready, is targetPort right? Timeout: a NetworkPolicy, a dead address or
    /// node. TLS error: which side speaks plaintext, and is its certificate valid?
    ///
    /// ## Source
    /// Envoy documentation, response flags; Envoy `source/common/tcp_proxy/tcp_proxy.cc`.
    "U101", "connect-failed", Error, "the upstream could not be connected"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| seen.way.flags.has(Class::Connect).then(|| subject(claims, seen)),
        |claims, subject, ways| {
            let first = ways[0];
            let hosts: std::collections::BTreeSet<String> = ways.iter().map(|seen| claims.show(seen.way.host)).collect();
            let hosts = super::list(hosts.into_iter());
            let (flags, transport) = (claims.flags(ways), claims.transport(ways));
            let (why, fix) = match (first.way.side, first.cluster.direction) {
                (Side::Inbound, _) => (
                    format!("the proxy of {} could not connect to its own application at {hosts}: {flags}{transport}", claims.proxies(ways)),
                    "check that the application listens on that port, on the pod's address and not on localhost only, and that it is ready".to_owned(),
                ),
                (_, Direction::Passthrough) => (
                    format!("{} dialled {subject} directly, which no service of the proxy's registry has, and nothing answers there: {flags}{transport}", claims.proxies(ways)),
                    "check whether the address still exists: a pod that is gone, a firewall, a NetworkPolicy".to_owned(),
                ),
                _ => (
                    format!("{} could not connect to {hosts} for {subject}: {flags}{transport}", claims.proxies(ways)),
                    "check that the endpoints are ready and listen on the target port, and that no NetworkPolicy is in the way".to_owned(),
                ),
            };
            Verdict { grade: Grade::Likely, why: format!("{why}; {} failed", noun(ways)), fix }
        },
    );
}

fn subject(claims: &Claims<'_>, seen: &Seen<'_>) -> String {
    match (seen.way.side, seen.cluster.direction) {
        (Side::Inbound, _) | (_, Direction::Passthrough) => claims.show(seen.way.dest),
        _ if seen.way.cluster.is_none() => claims.show(seen.way.host),
        _ => claims.ledger.show(seen.way.cluster).into_owned(),
    }
}
