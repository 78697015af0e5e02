//! `Lint`: a mesh as checks see it. The youngest dump of each proxy, ready to be asked; what catches whole ports, which
//! several checks want to know; and words for both.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::finding::Place;
use crate::cluster::{Cluster, Direction};
use crate::mesh::objects::Service;
use crate::mesh::protocol::Speaks;
use crate::mesh::{Chain, Listener, Mesh, Proxy, RouteTo, To};
use crate::remedy::release;
use crate::route::{self, Endpoints, Router};

/// What a check looks at.
#[derive(Debug)]
pub struct Lint<'m> {
    /// All that was given.
    pub(super) mesh: &'m Mesh,
    /// The youngest dump of each proxy. Dumps that do not say whose or how old they are stand for themselves.
    pub(super) routers: Vec<Router<'m>>,
    /// Listeners that catch a whole port.
    pub(super) catches: Vec<Catch<'m>>,
    /// Addresses behind services, as far as any dump or object knows them.
    pub(super) endpoints: Endpoints,
}

/// A listener that sends all that nobody else takes of its port to a service's cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Catch<'m> {
    /// The proxy, by its place among the routers.
    pub(super) router: usize,
    /// The listener.
    pub(super) listener: &'m Listener,
    /// Its wildcard.
    pub(super) address: SocketAddr,
    /// The chain that does it.
    pub(super) chain: &'m Chain,
    /// The cluster; one catch for each where a chain has several.
    pub(super) cluster: &'m str,
}

/// What became of a port that could catch, in the proxies that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A listener catches the whole port for it.
    Caught,
    /// A proxy knows it, and nothing catches the port for it.
    Apart,
    /// No proxy that was given knows it.
    Unseen,
}

impl<'m> Lint<'m> {
    /// Makes it ready.
    pub fn of(mesh: &'m Mesh) -> Lint<'m> {
        let routers: Vec<Router<'m>> = youngest(&mesh.proxies).into_iter().map(Router::new).collect();
        let catches = routers.iter().enumerate().flat_map(|(place, router)| catches(place, router.proxy)).collect();
        let endpoints = route::endpoints(mesh, routers.iter().map(|router| router.proxy));
        Lint { mesh, routers, catches, endpoints }
    }

    /// The proxy of a router.
    pub(super) fn proxy(&self, router: usize) -> &'m Proxy {
        self.routers[router].proxy
    }

    /// What became of a port of a host.
    pub(super) fn shape(&self, host: &str, port: u16) -> Shape {
        let of_host = |name: &str| {
            let cluster = Cluster::read(name.as_bytes());
            cluster.host == host.as_bytes() && cluster.port == Some(port) && cluster.direction == Direction::Outbound
        };
        if self.catches.iter().any(|catch| catch.address.port() == port && of_host(catch.cluster)) {
            return Shape::Caught;
        }
        let knows = |proxy: &Proxy| proxy.has.listeners && proxy.clusters.keys().any(|name| of_host(name));
        if self.routers.iter().any(|router| knows(router.proxy)) { Shape::Apart } else { Shape::Unseen }
    }

    /// Istio's releases in the dumps, the oldest first; of those that say it.
    pub(super) fn releases(&self) -> BTreeSet<(u32, u32)> {
        self.routers.iter().filter_map(|router| release(&router.proxy.node.version)).collect()
    }
}

/// Services by each of their ports on which clients are told apart by address alone.
pub(super) fn by_port<'m>(services: impl Iterator<Item = &'m Service>) -> BTreeMap<u16, Vec<&'m Service>> {
    let mut found: BTreeMap<u16, Vec<&Service>> = BTreeMap::new();
    for service in services {
        let by_address = service.ports.iter().filter(|port| Speaks::of(service, port).goes_by_address());
        let ports: BTreeSet<u16> = by_address.map(|port| port.number).collect();
        for port in ports {
            found.entry(port).or_default().push(service);
        }
    }
    found
}

/// A part of a proxy's dump.
pub(super) fn place(proxy: &Proxy, part: impl Into<String>) -> Place {
    let files = proxy.files.iter().map(ToString::to_string).collect();
    Place { whose: route::pod(proxy), files, part: part.into() }
}

/// Where a catch is.
pub(super) fn place_of(lint: &Lint<'_>, catch: &Catch<'_>) -> Place {
    let chain = match (&*catch.chain.name, &catch.listener.default_chain) {
        ("", Some(default)) if std::ptr::eq(default, catch.chain) => ", its default filter chain".to_owned(),
        ("", _) => String::new(),
        (name, _) => format!(", filter chain {name}"),
    };
    place(lint.proxy(catch.router), format!("listener {}{chain}", catch.listener.name))
}

/// One proxy has one state: the youngest, where several dumps say whose and how old they are.
fn youngest(proxies: &[Proxy]) -> Vec<&Proxy> {
    let mut latest: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let key = |proxy: &'_ Proxy| proxy.taken.is_some() && !proxy.node.pod.is_empty();
    for (place, proxy) in proxies.iter().enumerate().filter(|(_, proxy)| key(proxy)) {
        let at = latest.entry((&proxy.node.namespace, &proxy.node.pod)).or_insert(place);
        if proxies[*at].taken <= proxy.taken {
            *at = place;
        }
    }
    let kept = |place: usize, proxy: &Proxy| {
        !key(proxy) || latest.get(&(&*proxy.node.namespace, &*proxy.node.pod)) == Some(&place)
    };
    proxies.iter().enumerate().filter(|(place, proxy)| kept(*place, proxy)).map(|(_, proxy)| proxy).collect()
}

/// Clusters that active listeners, or the routes that they go by, send something to; with a place that does.
pub(super) fn used(proxy: &Proxy) -> BTreeMap<&str, String> {
    let mut found: BTreeMap<&str, String> = BTreeMap::new();
    for listener in proxy.listeners.iter().filter(|listener| listener.active) {
        for chain in listener.chains.iter().chain(&listener.default_chain) {
            let routes = match &chain.to {
                To::Tcp(clusters) => {
                    for name in weighted(clusters) {
                        found.entry(name).or_insert_with(|| format!("listener {}", listener.name));
                    }
                    continue;
                }
                To::Rds(name) => proxy.routes.get(name),
                To::Inline(config) => Some(&**config),
                To::Other(_) | To::Words(_) | To::Nowhere => None,
            };
            let Some(config) = routes else { continue };
            for (host, route) in config.hosts.iter().flat_map(|host| host.routes.iter().map(move |route| (host, route)))
            {
                let RouteTo::Clusters(clusters) = &route.to else { continue };
                for name in weighted(clusters) {
                    found.entry(name).or_insert_with(|| format!("route of {} in {}", host.name, listener.name));
                }
            }
        }
    }
    found
}

/// Names of clusters that get a share.
fn weighted(clusters: &[(Box<str>, u64)]) -> impl Iterator<Item = &str> {
    let alone = clusters.len() == 1;
    clusters.iter().filter(move |(_, weight)| alone || *weight > 0).map(|(name, _)| &**name)
}

/// Whether a dump has all of the proxy's clusters, and not only some that were asked for.
pub(super) fn has_all_clusters(proxy: &Proxy) -> bool {
    let always = [Direction::Passthrough, Direction::BlackHole];
    proxy.has.clusters && proxy.clusters.keys().any(|name| always.contains(&Direction::of(name.as_bytes())))
}

/// Whether all routes are there that its listeners go by.
pub(super) fn has_all_routes(proxy: &Proxy) -> bool {
    let chains = proxy.listeners.iter().flat_map(|listener| listener.chains.iter().chain(&listener.default_chain));
    chains.into_iter().all(|chain| !matches!(&chain.to, To::Rds(name) if !proxy.routes.contains_key(name)))
}

fn catches(router: usize, proxy: &Proxy) -> Vec<Catch<'_>> {
    let mut found = Vec::new();
    for listener in proxy.listeners.iter().filter(|listener| listener.active) {
        // The wildcards of both families are one listener, and one cause.
        let catching = listener.addresses.iter().find_map(|at| Some((*at, route::catching(listener, *at)?)));
        let Some((address, chain)) = catching else { continue };
        let To::Tcp(clusters) = &chain.to else { continue };
        let services = clusters.iter().filter(|(name, _)| Direction::of(name.as_bytes()) == Direction::Outbound);
        found.extend(services.map(|(cluster, _)| Catch { router, listener, address, chain, cluster }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::value::Micros;
    use crate::mesh::Node;

    fn dump(pod: &str, taken: Option<i64>) -> Proxy {
        Proxy { node: Node { pod: pod.into(), ..Node::default() }, taken: taken.map(Micros), ..Proxy::default() }
    }

    #[test]
    fn of_a_proxys_dumps_the_youngest_counts() {
        let all = [
            dump("a", Some(1)),
            dump("a", Some(3)),
            dump("b", Some(2)),
            dump("", Some(1)),
            dump("", Some(2)),
            dump("a", None),
        ];
        let kept: Vec<_> =
            youngest(&all).into_iter().map(|proxy| (&*proxy.node.pod, proxy.taken.map(|at| at.0))).collect();
        assert_eq!(kept, [("a", Some(3)), ("b", Some(2)), ("", Some(1)), ("", Some(2)), ("a", None)]);
    }
}
