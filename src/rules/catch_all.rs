//! A TCP cluster to which many different destinations lead: a listener that catches a whole port.

use std::collections::BTreeSet;

use super::rule;
use crate::claims::{Claims, Seen, Verdict, noun};
use crate::cluster::Direction;
use crate::endpoint::Endpoint;
use crate::finding::Grade;
use crate::leg::{Protocol, Side};
use crate::names::Sym;

rule! {
    /// ## What it finds
    /// One cluster `outbound|PORT||HOST` that receives TCP connections for four or more different original destinations
    /// (two, if these had been connected as they are before) and takes them to other addresses. The input does not tell
    /// whose the destinations are; else it is `unexpected-cluster`.
    ///
    /// ## When it is silent
    /// A service's virtual address is one destination (a few on dual-stack and multi-cluster meshes). Per-pod listeners
    /// of headless services and `resolution: NONE` lead to the very address that was dialled. HTTP goes by its host.
    ///
    /// ## How sure
    /// Suspect: the addresses could all be one service's own.
    ///
    /// ## Why it matters
    /// A Service without an address listens on `0.0.0.0_PORT` and takes whatever no exact listener claims.
    ///
    /// ## Example
    /// `outbound|443||partner.example.com` with upstream 203.0.113.7:443, for connections to 198.51.100.1:443,
    /// 198.51.100.9:443, 192.0.2.14:443 and 192.0.2.80:443.
    ///
    /// ## What to do
    /// Give the ServiceEntry its `addresses`, or use protocol TLS with SNI; on an ExternalName Service drop the ports.
    ///
    /// ## Source
    /// Istio documentation, Traffic Routing and DNS Proxying; istio/istio issues 20703 and 9784.
    "R302", "catch-all", Warning, "many destinations lead to one TCP cluster: a listener catches the whole port"
}

/// Fewer destinations can be the addresses of one service.
const MANY: usize = 4;
/// So many that were reached without a cluster before and are taken elsewhere now are no chance.
const SOME: usize = 2;

pub(super) fn judge(claims: &mut Claims<'_>) {
    let topology = claims.topology;
    // The ways of a cluster are many.
    let dialled = |seen: &Seen<'_>| is_elsewhere(seen).then_some(seen.way.cluster);
    let clusters: BTreeSet<Sym> = claims.left.iter().filter_map(dialled).collect();
    let caught = |cluster: &Sym| topology.fan_in(*cluster) >= MANY || topology.redirected(*cluster) >= SOME;
    let caught: BTreeSet<Sym> = clusters.into_iter().filter(caught).collect();
    claims.file(
        |claims, seen| {
            (is_elsewhere(seen) && caught.contains(&seen.way.cluster))
                .then(|| claims.ledger.show(seen.way.cluster).into_owned())
        },
        |claims, cluster, ways| {
            let destinations: BTreeSet<Endpoint> = ways.iter().map(|seen| seen.way.dest).collect();
            let port = ways[0].way.dest.port();
            let failed = ways.iter().any(|seen| seen.way.flags.is_failure());
            let end = if failed {
                format!(", and fail with {}{}", claims.flags(ways), claims.transport(ways))
            } else {
                String::new()
            };
            Verdict {
                grade: Grade::Suspect,
                why: format!(
                    "{} of {} to {} destinations ({}) went to {cluster}{end}{}",
                    noun(ways),
                    claims.proxies(ways),
                    destinations.len(),
                    claims.destinations(ways),
                    claims.changed(ways),
                ),
                fix: format!(
                    "if these addresses are not all {}'s own: give the ServiceEntry addresses or \
                     protocol TLS, or drop port {port} from the \
                     ExternalName Service",
                    String::from_utf8_lossy(ways[0].cluster.host)
                ),
                check: format!("istioctl proxy-config listeners {} --port {port} -o json", claims.one_pod(ways)),
            }
        },
    );
}

/// Whether TCP was taken to another address than a client dialled, by a service's cluster.
fn is_elsewhere(seen: &Seen<'_>) -> bool {
    let way = seen.way;
    way.side == Side::Outbound
        && way.protocol == Protocol::Tcp
        && seen.cluster.direction == Direction::Outbound
        && !way.direct
        && !way.dest.is_none()
}
