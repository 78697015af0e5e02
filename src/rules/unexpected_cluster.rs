//! The founding story: a connection that a cluster took which is not the one of its destination.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::rule;
use crate::claims::{Claims, Seen, Verdict, list};
use crate::cluster::Direction;
use crate::endpoint::{Endpoint, Ip};
use crate::finding::Grade;
use crate::leg::{Protocol, Side};
use crate::names::Sym;
use crate::topology::Topology;

rule! {
    /// ## What it finds
    /// TCP connections whose original destination is a pod of one service, while Envoy sent them to the cluster of
    /// another, and to another address than the one that was dialled. Where nothing is known of the destination: an
    /// address among the callers' own that was taken to one that is not, by a cluster that never answered. Some fail
    /// (`UF,URX`); worse, some succeed and talk to the wrong server. Once a cluster is known to do so, everything that
    /// it took elsewhere belongs to it, and so do calls of pods to themselves that Istio 1.3 to 1.5 black-hole on such
    /// a port.
    ///
    /// ## When it is silent
    /// HTTP is routed by its host, so any cluster can be right. A connection to the very address that was dialled
    /// (headless services, `PassthroughCluster`), a service's one virtual address, a gateway, and what leaves the mesh
    /// through an egress gateway are where they should be.
    ///
    /// ## How sure
    /// Proven with the leg of the wrong server; likely if the owner of the destination is known; suspect if the address
    /// was only dialled straight before, or only lies where pods are.
    ///
    /// ## Why it matters
    /// TCP is routed by address and port alone. A Service without an address (ExternalName, a ServiceEntry without
    /// `addresses`) makes a listener `0.0.0.0_PORT` that takes every connection on its port which no exact listener
    /// claims: pod addresses above all. One object in any namespace breaks all clients that dial pods on that port.
    ///
    /// ## Example
    /// `"10.0.23.221:5701" outbound|5701||app-ext.app.svc.cluster.local - 10.12.1.6:5701 10.12.0.12:52852 - -`, where
    /// 10.12.1.6:5701 is known as an endpoint of `manager.manager.svc.cluster.local`.
    ///
    /// ## What to do
    /// Take the port off the object that made the listener, or keep it from other namespaces
    /// (`networking.istio.io/exportTo: "."`, a Sidecar), or give the destination exact listeners (a headless Service).
    ///
    /// ## Source
    /// Istio documentation, Traffic Routing; istio/istio issues 20703 and 35429.
    "R301", "unexpected-cluster", Error, "a connection went to a cluster that its destination does not belong to"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    let thieves = Thieves::among(claims);
    let of_thieves = claims.left.iter().filter(|seen| thieves.clusters.contains(&seen.way.cluster));
    let hosts = of_thieves.map(|seen| String::from_utf8_lossy(seen.cluster.host).into_owned());
    let hosts = hosts.collect();
    claims.disown(hosts);
    claims.file(
        |claims, seen| thieves.of(claims, seen).map(|cluster| claims.ledger.show(cluster).into_owned()),
        |claims, cluster, ways| {
            let (own, stolen): (Vec<Seen<'_>>, Vec<Seen<'_>>) =
                ways.iter().partition(|seen| seen.cluster.direction == Direction::BlackHole);
            let owners: BTreeSet<String> = stolen.iter().flat_map(|seen| claims.owners_of(seen).to_vec()).collect();
            let host = String::from_utf8_lossy(stolen[0].cluster.host);
            let port = stolen[0].cluster.port.unwrap_or_default();
            let v6 = stolen.iter().all(|seen| seen.way.dest.ip().is_v6());
            let listener = if v6 { format!("::_{port}") } else { format!("0.0.0.0_{port}") };
            let several = stolen.iter().any(|seen| seen.way.dest != stolen[0].way.dest);
            let (belong, lie, are) = if several { ("belong", "lie", "are") } else { ("belongs", "lies", "is") };
            let whose = if !owners.is_empty() {
                format!("{belong} to {}", list(owners))
            } else if stolen.iter().all(|seen| claims.topology.is_pod(seen.way.dest.ip())) {
                format!("{are} a pod's own")
            } else {
                format!("{lie} in the range of the callers' own addresses, where pods are")
            };
            let itself = if own.is_empty() {
                String::new()
            } else {
                format!("; {} could not dial itself any more: black-holed by the same listener", claims.proxies(&own))
            };
            Verdict {
                grade: grade(claims, &stolen),
                why: format!(
                    "{} dialled {}, which {whose}, and Envoy chose {cluster}: {}{itself}{}",
                    claims.proxies(&stolen),
                    claims.destinations(&stolen),
                    end(claims, &stolen),
                    claims.changed(&stolen),
                ),
                fix: format!(
                    "look for a listener {listener} made by {host} (an ExternalName Service or a ServiceEntry without addresses); \
                     remove port {port} from it, or limit it to its namespace with exportTo \".\" or a Sidecar, \
                     or give the destination a headless Service that lists the port"
                ),
                check: format!("istioctl proxy-config listeners {} --port {port} -o json", claims.one_pod(&stolen)),
            }
        },
    );
}

/// How the stolen connections ended.
fn end(claims: &Claims<'_>, ways: &[Seen<'_>]) -> String {
    let (failed, served): (Vec<Seen<'_>>, Vec<Seen<'_>>) = ways.iter().partition(|seen| seen.way.flags.is_failure());
    let flags = || format!("{}{}", claims.flags(&failed), claims.transport(&failed));
    let pods: BTreeSet<String> = served.iter().flat_map(|seen| claims.answering(seen.way.cluster)).collect();
    let wrong =
        if pods.is_empty() { "the wrong server".to_owned() } else { format!("the wrong server, {}", list(pods)) };
    match (failed.is_empty(), served.is_empty()) {
        (false, true) => format!("they fail with {}", flags()),
        (true, _) => format!("they succeed, with {wrong}"),
        (false, false) => format!("some fail with {}, some succeed with {wrong}", flags()),
    }
}

/// The clusters that take what is not theirs.
struct Thieves {
    clusters: BTreeSet<Sym>,
    /// By port; none where two clusters share one.
    ports: BTreeMap<u16, Option<Sym>>,
}

impl Thieves {
    fn among(claims: &Claims<'_>) -> Thieves {
        // Many workloads dial the same services: of healthy ways it does not matter who does, unless the address was
        // somebody else's before.
        let mut known: HashMap<(Sym, Endpoint), bool, RandomState> = HashMap::default();
        let mut is_thief = |seen: &Seen<'_>| {
            let way = seen.way;
            if !goes_by_address(seen) {
                return false;
            }
            let healthy = way.flags.is_empty() && way.pod.is_none();
            if !healthy || !claims.topology.tenants(way.dest.ip()).is_empty() {
                return is_stolen(claims, seen);
            }
            *known.entry((way.cluster, way.dest)).or_insert_with(|| is_stolen(claims, seen))
        };
        let clusters: BTreeSet<Sym> =
            claims.left.iter().filter(|seen| is_thief(seen)).map(|seen| seen.way.cluster).collect();
        let mut ports: BTreeMap<u16, Option<Sym>> = BTreeMap::new();
        for seen in claims.left.iter().filter(|seen| clusters.contains(&seen.way.cluster)) {
            let known = ports.entry(seen.way.dest.port()).or_insert(Some(seen.way.cluster));
            *known = known.filter(|cluster| *cluster == seen.way.cluster);
        }
        Thieves { clusters, ports }
    }

    /// The thief that took a way, if one did.
    fn of(&self, claims: &Claims<'_>, seen: &Seen<'_>) -> Option<Sym> {
        let way = seen.way;
        let own = seen.cluster.direction == Direction::BlackHole && claims.dials_itself(way);
        if own {
            return self.ports.get(&way.dest.port()).copied().flatten();
        }
        let elsewhere =
            way.protocol == Protocol::Tcp && way.side == Side::Outbound && !way.direct && !way.dest.is_none();
        let taken = elsewhere && self.clusters.contains(&way.cluster) && !claims.topology.is_gateway(way.dest.ip());
        taken.then_some(way.cluster)
    }
}

/// Whether a client's leg that goes by its address went to a cluster that its destination has nothing to do with.
///
/// HTTP is routed by its host, so any cluster can be right. A connection that goes to the very address that was
/// dialled is where it should be. A virtual address may be routed elsewhere on purpose; an endpoint may not.
fn is_stolen(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    let way = seen.way;
    // A gateway is dialled itself; it only looks like a client's sidecar when it could not connect.
    let itself = claims.topology.is_own(way.dest.ip(), way) && way.client != way.dest.ip();
    if itself || claims.topology.is_gateway(way.dest.ip()) {
        return false;
    }
    let topology = claims.topology;
    let owners = topology.services_at(way.dest, &seen.span());
    // What is outside may be sent through an egress gateway of the mesh, on purpose.
    let internal = |host: String| Topology::is_internal(&host);
    let outside = !owners.is_empty() && !owners.iter().any(|(owner, _)| internal(topology.host(*owner)));
    if outside && internal(String::from_utf8_lossy(seen.cluster.host).into_owned()) {
        return false;
    }
    // A proxy says that this is its own address: whoever dials it wants this pod, and no other of the same service.
    if topology.is_pod(way.dest.ip()) {
        return true;
    }
    // A service's virtual address can be the endpoint of another one, an ExternalName's for example. Unless proxies
    // say that pods serve there, an address that alone leads to this cluster, and is answered, is the cluster's own.
    let pods = owners.iter().any(|(owner, _)| topology.is_meshed(*owner));
    let answered = topology.virtual_services(way.dest).any(|service| topology.name(service) == seen.cluster.host);
    if !pods && answered && topology.fan_in(way.cluster) < 2 {
        return false;
    }
    // An address that was dialled straight before is a server's own, not a service's.
    let straight = topology.is_straight(way.dest) && way.dest.ip().is_private(&claims.ledger.names);
    let known = !owners.is_empty() || straight;
    if known {
        return !owners.iter().any(|(owner, _)| topology.name(*owner) == seen.cluster.host);
    }
    !answered && is_misplaced(claims, seen)
}

/// Whether a client's leg of TCP was taken by a service's cluster to another address than it dialled.
fn goes_by_address(seen: &Seen<'_>) -> bool {
    let way = seen.way;
    let tcp = way.side == Side::Outbound && way.protocol == Protocol::Tcp && !way.dest.is_none() && !way.direct;
    tcp && seen.cluster.direction == Direction::Outbound && !seen.cluster.host.is_empty()
}

/// Whether a connection that could not be made was to an address among the callers' own, where pods are, and was taken
/// to one that is not: a service's address would lead the other way round. Nothing else is known of the destination.
fn is_misplaced(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    let (way, names) = (seen.way, &claims.ledger.names);
    let private = way.dest.ip().is_private(names) && way.host.ip().is_private(names);
    let near = |ip: Ip| ip.is_near(way.client, names);
    way.failed_to_connect()
        && private
        && !way.client.is_none()
        && !way.host.is_none()
        && near(way.dest.ip())
        && !near(way.host.ip())
        && claims.answering(way.cluster).is_empty()
}

fn grade(claims: &Claims<'_>, ways: &[Seen<'_>]) -> Grade {
    // These ways do not lead to the address that was dialled: whoever answered is somebody else.
    if ways.iter().any(|seen| seen.entry.counts.paired > 0) {
        Grade::Proven
    } else if ways.iter().any(|seen| !claims.owners_of(seen).is_empty()) {
        Grade::Likely
    } else {
        Grade::Suspect
    }
}
