//! Listeners that catch a whole port, and whom they take.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::check;
use super::finding::{Finding, Place};
use super::view::{Catch, Lint, place_of};
use crate::claims::list;
use crate::cluster::{Cluster, Direction};
use crate::finding::{Grade, Severity};
use crate::mesh::objects::Service;
use crate::mesh::{self, Prefix, To};
use crate::remedy::{Hijack, Victim, called, catcher, hijack, release};

check! {
    /// ## What it finds
    /// A listener `0.0.0.0_PORT` (or `::_PORT`) of a proxy whose match-all or default chain is a TCP proxy to the
    /// cluster of a service, and the known addresses of others that it takes: endpoints on that port for which the
    /// proxy has no exact listener.
    ///
    /// ## When it is silent
    /// Listeners that only look like it: HTTP by host, chains with SNI or address ranges, a default chain to
    /// `PassthroughCluster` or `BlackHoleCluster`, listeners that are bound to their port, as gateways have them.
    ///
    /// ## How sure
    /// Proven: it is what the proxy goes by. An error if it takes known addresses of others, else a warning; milder
    /// where its cluster sends connections on to the address that was dialled. Whether anybody dials them, only a log says.
    ///
    /// ## Why it matters
    /// Without an exact listener the wildcard of the port has every connection, whatever was meant: pods that dial each
    /// other by address and servers outside of the mesh end at one service that has nothing to do with them.
    ///
    /// ## Example
    /// `app-ext.app`, an ExternalName Service with port 5701, on every proxy that sees it; the members of a Hazelcast
    /// cluster dial each other's addresses on 5701.
    ///
    /// ## What to do
    /// Take the port off the object that makes the listener, give it addresses, or keep it to its namespace.
    ///
    /// ## Source
    /// Istio `pilot/pkg/networking/core/listener.go`; documentation, Traffic Routing; istio #20703, #35429, #9784.
    "L301", "catch-all", Error, "a listener sends a whole TCP port to the cluster of one service"
}

/// A host that catches ports.
#[derive(Default)]
struct Cause<'l, 'm> {
    /// The first listener of each port.
    ports: BTreeMap<u16, &'l Catch<'m>>,
    /// Known addresses that it takes, by the host of their service.
    taken: BTreeMap<String, BTreeSet<SocketAddr>>,
    callers: BTreeSet<String>,
    places: Vec<Place>,
}

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let mut causes: BTreeMap<String, Cause<'_, '_>> = BTreeMap::new();
    for catch in &lint.catches {
        let (router, port) = (&lint.routers[catch.router], catch.address.port());
        let host = Cluster::read(catch.cluster.as_bytes()).host;
        let cause = causes.entry(String::from_utf8_lossy(host).into_owned()).or_default();
        cause.ports.entry(port).or_insert(catch);
        cause.callers.extend(Some(router.proxy.node.namespace.to_string()).filter(|namespace| !namespace.is_empty()));
        cause.places.push(place_of(lint, catch));
        for (owner, addresses) in router.takes(&lint.endpoints, port, catch.cluster) {
            cause.taken.entry(owner).or_default().extend(addresses);
        }
    }
    found.extend(causes.into_iter().filter_map(|(host, cause)| finding(lint, &host, cause)));
}

fn finding(lint: &Lint<'_>, host: &str, cause: Cause<'_, '_>) -> Option<Finding> {
    let (_, first) = cause.ports.first_key_value()?;
    let proxy = lint.proxy(first.router);
    let config = proxy.clusters.get(first.cluster);
    let object = catcher(lint.mesh, proxy, first.cluster);
    let goes_on = config.is_some_and(|config| &*config.kind == "ORIGINAL_DST");
    let ports = list(cause.ports.keys().map(ToString::to_string));
    let many = if cause.ports.len() == 1 { "" } else { "s" };
    let mut finding = Finding::new(&META, Grade::Proven, format!("{host} on port{many} {ports}"));
    finding.severity = match (goes_on, config.is_some_and(|config| config.tls.is_some())) {
        (true, false) => Severity::Info,
        (true, true) => Severity::Warning,
        _ if cause.taken.is_empty() => Severity::Warning,
        _ => Severity::Error,
    };
    finding.why = [sends(first, goes_on), alike(&cause), made(&object), taken(lint, &cause)].concat() + guard(first);
    let services = &lint.mesh.objects.services;
    let victims: Vec<Victim> =
        cause.taken.keys().map(|host| Victim::of(host, services, cause.callers.clone())).collect();
    for port in cause.ports.keys().filter(|_| !object.headless) {
        finding.add(hijack(&Hijack {
            catcher: &object,
            port: *port,
            victims: victims.clone(),
            version: release(&proxy.node.version),
            dns_capture: proxy.node.dns_capture,
        }));
    }
    finding.fix = match finding.remedies.first() {
        Some(way) => format!("{}; or another of the ways out, which are ready to apply", way.what),
        None if object.headless => {
            "name the port tcp-... and upgrade Istio: from 1.4 on each pod of a headless Service has a listener of its \
             own on TCP ports, from 1.8 on also on ports without a protocol"
                .to_owned()
        }
        None => format!("take the ports off the object behind {host}, or give it addresses"),
    };
    finding.places = cause.places;
    Some(finding)
}

fn sends(catch: &Catch<'_>, goes_on: bool) -> String {
    let reads_http = catch.listener.chains.iter().any(|chain| matches!(chain.to, To::Rds(_) | To::Inline(_)));
    let but = if reads_http { " that is no plaintext HTTP and" } else { "" };
    let on = if goes_on {
        "; it goes on to where it was going, but with the TLS, the limits and the name of that service"
    } else {
        ""
    };
    format!(
        "listener {} sends every connection on port {}{but} whose address has no listener of its own to {}{on}",
        catch.listener.name,
        catch.address.port(),
        catch.cluster
    )
}

/// The other ports of the same host.
fn alike(cause: &Cause<'_, '_>) -> String {
    let others: Vec<String> = cause.ports.keys().skip(1).map(ToString::to_string).collect();
    if others.is_empty() { String::new() } else { format!(", and likewise on {}", list(others)) }
}

/// The object that makes it, as the end of a sentence.
fn made(object: &Service) -> String {
    let created = object.meta.created.map_or(String::new(), |at| format!(", created {at}"));
    let allocated = match object.allocated.first() {
        Some(address) => format!("; its allocated address {address} is only for proxies with DNS capture"),
        None => String::new(),
    };
    format!(". It is made by the {}{created}{allocated}", called(object))
}

fn taken(lint: &Lint<'_>, cause: &Cause<'_, '_>) -> String {
    let count: usize = cause.taken.values().map(BTreeSet::len).sum();
    if count > 0 {
        let hosts = list(cause.taken.keys().cloned());
        let addresses = list(cause.taken.values().flatten().map(ToString::to_string));
        let one = if count == 1 { "the address".to_owned() } else { format!("one of {count} addresses") };
        return format!(". Whoever dials {one} of {hosts} ({addresses}) gets there");
    }
    if lint.endpoints.is_empty() {
        return ". Whom that takes is not known: no endpoints were given (config_dump?include_eds, or EndpointSlices)"
            .to_owned();
    }
    ". No known address of others on the port is without a listener of its own; who dials another one, outside of the mesh \
     too, gets there"
        .to_owned()
}

/// Istio 1.3 to 1.5 keep the proxy's own addresses from going round in circles.
fn guard(catch: &Catch<'_>) -> &'static str {
    let blocked = |chain: &mesh::Chain| {
        let blackhole = |name: &str| Direction::of(name.as_bytes()) == Direction::BlackHole;
        matches!(&chain.to, To::Tcp(to) if to.iter().any(|(name, _)| blackhole(name)))
    };
    let single = |prefix: &Prefix| prefix.length == if prefix.address.is_ipv4() { 32 } else { 128 };
    let own = |chain: &mesh::Chain| !chain.takes.prefixes.is_empty() && chain.takes.prefixes.iter().all(single);
    if catch.listener.chains.iter().any(|chain| blocked(chain) && own(chain)) {
        ". A pod that dials its own address on the port is sent to BlackHoleCluster, as Istio 1.3 to 1.5 do it"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::{Address, Chain, Endpoint, Has, Listener, Match, Mesh, Node, Proxy};

    fn tcp(cluster: &str) -> Chain {
        Chain { to: To::Tcp(vec![(cluster.into(), 1)]), ..Chain::default() }
    }

    fn listener(address: &str, chain: Chain) -> Listener {
        let address: SocketAddr = address.parse().unwrap();
        let name = format!("{}_{}", address.ip(), address.port());
        Listener {
            name: name.into(),
            addresses: vec![address],
            active: true,
            chains: vec![chain],
            ..Listener::default()
        }
    }

    fn at(address: &str) -> Endpoint {
        Endpoint {
            address: Address::Ip(address.parse().unwrap()),
            healthy: true,
            state: "".into(),
            tls_mode: "".into(),
            workload: ("".into(), "".into()),
            connect_failures: None,
        }
    }

    fn told(mesh: &Mesh) -> Vec<Finding> {
        lint(mesh).findings.into_iter().filter(|finding| finding.code == META.code).collect()
    }

    const CATCHER: &str = "outbound|5701||app-ext.app.svc.cluster.local";

    /// A proxy with a wildcard on 5701, a pod of `db` that has a listener of its own and two of `cache` that have none.
    fn proxy(pod: &str, chain: Chain) -> Proxy {
        let endpoints = [
            ("outbound|5701||db.db.svc.cluster.local", vec![at("10.0.0.1:5701")]),
            (
                "outbound|80||cache.cache.svc.cluster.local",
                vec![at("10.0.0.2:5701"), at("10.0.0.3:5701"), at("10.0.0.4:80")],
            ),
        ];
        let accepting = Listener {
            name: "virtualOutbound".into(),
            use_original_dst: true,
            bound: true,
            ..listener("0.0.0.0:15001", tcp("PassthroughCluster"))
        };
        Proxy {
            node: Node { pod: pod.into(), namespace: "cache".into(), version: "1.18.2".into(), ..Node::default() },
            has: Has { listeners: true, endpoints: true, ..Has::default() },
            listeners: vec![
                accepting,
                listener("0.0.0.0:5701", chain),
                listener("10.0.0.1:5701", tcp("outbound|5701||db.db.svc.cluster.local")),
            ],
            endpoints: endpoints.into_iter().map(|(name, all)| (name.into(), all)).collect(),
            ..Proxy::default()
        }
    }

    #[test]
    fn a_wildcard_takes_what_has_no_listener_of_its_own_and_is_told_once() {
        let mesh = Mesh { proxies: vec![proxy("a", tcp(CATCHER)), proxy("b", tcp(CATCHER))], ..Mesh::default() };
        let found = told(&mesh);
        let [only] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (only.code, &*only.subject, only.severity),
            ("L301", "app-ext.app.svc.cluster.local on port 5701", Severity::Error)
        );
        assert!(
            only.why.contains("2 addresses of cache.cache.svc.cluster.local (10.0.0.2:5701 and 10.0.0.3:5701)"),
            "{}",
            only.why
        );
        assert!(!only.why.contains("db.db"), "{}", only.why);
        assert_eq!(only.places.len(), 2);
        assert!(only.remedies.iter().any(|way| way.apply.contains("cache-members")), "{:?}", only.remedies);
    }

    #[test]
    fn a_pod_of_which_only_its_own_dump_knows_is_taken_too() {
        let mut server = proxy("cache-0", tcp("PassthroughCluster"));
        server.node.addresses = vec![[10, 0, 0, 7].into()];
        server.clusters = [("inbound|5701||".into(), mesh::Cluster::default())].into();
        let found = told(&Mesh { proxies: vec![proxy("a", tcp(CATCHER)), server], ..Mesh::default() });
        assert!(found[0].why.contains("cache-0.cache") && found[0].why.contains("10.0.0.7:5701"), "{}", found[0].why);
        assert_eq!(found[0].places.len(), 1);
    }

    #[test]
    fn what_only_looks_like_it_is_none() {
        let by_name =
            Chain { takes: Match { server_names: vec!["a.example".into()], ..Match::default() }, ..tcp(CATCHER) };
        for chain in [
            tcp("PassthroughCluster"),
            tcp("BlackHoleCluster"),
            by_name,
            Chain { to: To::Rds("5701".into()), ..Chain::default() },
        ] {
            let mesh = Mesh { proxies: vec![proxy("a", chain)], ..Mesh::default() };
            assert!(told(&mesh).is_empty());
        }
        let mut gateway = proxy("g", tcp(CATCHER));
        gateway.listeners[1].bound = true;
        assert!(told(&Mesh { proxies: vec![gateway], ..Mesh::default() }).is_empty());
    }

    #[test]
    fn a_wildcard_that_takes_nobody_known_is_a_warning() {
        let mut alone = proxy("a", tcp(CATCHER));
        alone.endpoints.clear();
        let found = told(&Mesh { proxies: vec![alone], ..Mesh::default() });
        assert_eq!(found[0].severity, Severity::Warning);
    }
}
