//! What is done to a proxy's listeners: a port is taken from a service, or given to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::cluster::{self, Cluster};
use crate::mesh::{self, Chain, Direction, Inspector, Listener, Match, Proxy, RouteTo, To};
use crate::route::catching;

/// The name that Istio gives to the chain which lets through what no other chain takes.
const PASSTHROUGH: &str = "PassthroughFilterChain";
/// Where connections go that no listener takes, unless only what is registered is allowed.
const PASSTHROUGH_CLUSTER: &str = "PassthroughCluster";

/// A port of a host, as clusters name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortOf<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
}

impl<'a> PortOf<'a> {
    /// Its cluster.
    pub(super) fn cluster(self) -> String {
        format!("outbound|{}||{}", self.port, self.host)
    }

    /// It alone, as a set.
    pub(super) fn alone(self) -> Ports<'a> {
        [(self.host, self.port)].into()
    }

    /// Whether a chain leads to it and nowhere else.
    fn has_chain(self, chain: &Chain) -> bool {
        leads_to(&self.alone(), chain)
    }
}

/// Ports of hosts.
pub(super) type Ports<'a> = BTreeSet<(&'a str, u16)>;

/// Whether a cluster is of one of them, subsets included.
fn is_of(ports: &Ports<'_>, name: &str) -> bool {
    let read = Cluster::read(name.as_bytes());
    let host = std::str::from_utf8(read.host).unwrap_or_default();
    let own = read.direction == cluster::Direction::Outbound;
    own && read.port.is_some_and(|port| ports.contains(&(host, port)))
}

/// Whether a chain leads to them and nowhere else.
fn leads_to(ports: &Ports<'_>, chain: &Chain) -> bool {
    match &chain.to {
        To::Tcp(clusters) => !clusters.is_empty() && clusters.iter().all(|(name, _)| is_of(ports, name)),
        // Routes that are for one service only have its name.
        To::Rds(name) => name
            .rsplit_once(':')
            .is_some_and(|(host, port)| port.parse().is_ok_and(|port| ports.contains(&(host, port)))),
        _ => false,
    }
}

/// The ports of a host to which a proxy can send.
pub(super) fn ports(proxy: &Proxy, host: &str) -> BTreeSet<u16> {
    names(proxy)
        .filter_map(|name| own_port(name))
        .filter(|(of, _)| *of == host.as_bytes())
        .map(|(_, port)| port)
        .collect()
}

/// The same of every host.
pub(super) fn every_port(proxy: &Proxy) -> BTreeMap<Box<str>, BTreeSet<u16>> {
    let mut found: BTreeMap<Box<str>, BTreeSet<u16>> = BTreeMap::new();
    for (host, port) in names(proxy).filter_map(own_port) {
        found.entry(String::from_utf8_lossy(host).into()).or_default().insert(port);
    }
    found
}

/// The clusters that a proxy has, or sends to.
fn names(proxy: &Proxy) -> impl Iterator<Item = &str> {
    let chains = proxy.listeners.iter().flat_map(|listener| listener.chains.iter().chain(&listener.default_chain));
    let targets = chains.flat_map(|chain| if let To::Tcp(clusters) = &chain.to { &clusters[..] } else { &[] });
    proxy.clusters.keys().chain(targets.map(|(name, _)| name)).map(|name| &**name)
}

/// The host and port of a cluster, if it is one of a service.
fn own_port(name: &str) -> Option<(&[u8], u16)> {
    let read = Cluster::read(name.as_bytes());
    read.port.filter(|_| read.direction == cluster::Direction::Outbound).map(|port| (read.host, port))
}

/// Whether a listener gives all of a port to it.
pub(super) fn is_caught(proxy: &Proxy, of: PortOf<'_>) -> bool {
    let at = |listener: &Listener, address: &SocketAddr| {
        address.port() == of.port && catching(listener, *address).is_some_and(|chain| of.has_chain(chain))
    };
    proxy.listeners.iter().any(|listener| listener.addresses.iter().any(|address| at(listener, address)))
}

/// Whether the address has a listener that leads to it.
pub(super) fn is_at(proxy: &Proxy, of: PortOf<'_>, address: IpAddr) -> bool {
    let at = SocketAddr::new(address, of.port);
    let leads =
        |listener: &&Listener| listener.chains.iter().chain(&listener.default_chain).any(|chain| of.has_chain(chain));
    proxy.listeners.iter().filter(|listener| listener.addresses.contains(&at)).any(|listener| leads(&listener))
}

/// Whether the address has a listener that leads elsewhere.
pub(super) fn is_taken(proxy: &Proxy, of: PortOf<'_>, address: IpAddr) -> bool {
    let at = SocketAddr::new(address, of.port);
    proxy.listeners.iter().any(|listener| listener.addresses.contains(&at)) && !is_at(proxy, of, address)
}

/// Whether a listener is for what comes to the pod.
pub(super) fn is_inbound(listener: &Listener) -> bool {
    listener.direction == Some(Direction::Inbound) || &*listener.name == "virtualInbound"
}

/// Whether what comes to the pod on a port has a listener or a chain of its own.
pub(super) fn takes_in(proxy: &Proxy, port: u16) -> bool {
    let at = |listener: &Listener| listener.addresses.iter().any(|address| address.port() == port);
    let by = |listener: &Listener| listener.chains.iter().any(|chain| chain.takes.port == Some(port));
    proxy.listeners.iter().filter(|listener| is_inbound(listener)).any(|listener| at(listener) || by(listener))
}

/// Another service that would take the port if this one let it go: it is found by name, and no listener leads to it yet.
pub(super) fn heir<'p>(proxy: &'p Proxy, of: PortOf<'_>) -> Option<&'p str> {
    let chains = || proxy.listeners.iter().flat_map(|listener| listener.chains.iter().chain(&listener.default_chain));
    let by_chain = |name: &str| {
        chains().any(|chain| matches!(&chain.to, To::Tcp(list) if list.iter().any(|(to, _)| **to == *name)))
    };
    let routes = || proxy.routes.values().flat_map(|config| &config.hosts).flat_map(|host| &host.routes);
    let by_route = |name: &str| {
        routes().any(|route| matches!(&route.to, RouteTo::Clusters(list) if list.iter().any(|(to, _)| **to == *name)))
    };
    let waits = |name: &str, kind: &str| {
        let read = Cluster::read(name.as_bytes());
        matches!(kind, "STRICT_DNS" | "LOGICAL_DNS")
            && read.direction == cluster::Direction::Outbound
            && read.port == Some(of.port)
            && read.host != of.host.as_bytes()
            && read.subset.is_empty()
            && !by_chain(name)
            && !by_route(name)
    };
    proxy.clusters.iter().find(|(name, config)| waits(name, &config.kind)).map(|(name, _)| &**name)
}

/// Takes ports from their hosts: their chains, virtual hosts, clusters. A listener that has nobody else left goes.
pub(super) fn release(proxy: &mut Proxy, gone: &Ports<'_>) {
    let rest = leftover(proxy);
    proxy.listeners.retain_mut(|listener| {
        if listener.direction == Some(Direction::Inbound) || listener.use_original_dst {
            return true;
        }
        let before = listener.chains.len();
        let mut open = listener.chains.iter().any(|chain| chain.takes == Match::default() && leads_to(gone, chain));
        listener.chains.retain(|chain| !leads_to(gone, chain));
        let lost = listener.default_chain.take_if(|chain| leads_to(gone, chain)).is_some();
        if listener.chains.len() == before && !lost {
            return true;
        }
        open |= lost;
        if open {
            listener.default_chain = Some(passthrough(&rest));
        }
        listener.chains.iter().chain(&listener.default_chain).any(is_somebodys)
    });
    for config in proxy.routes.values_mut() {
        config.hosts.retain(|host| {
            let is_gone =
                |to: &RouteTo| matches!(to, RouteTo::Clusters(list) if list.iter().all(|(name, _)| is_of(gone, name)));
            host.routes.is_empty() || !host.routes.iter().all(|route| is_gone(&route.to))
        });
    }
    proxy.clusters.retain(|name, _| !is_of(gone, name));
}

/// Whether a chain is there for a service: those that black-hole and let through only stand beside such.
fn is_somebodys(chain: &Chain) -> bool {
    let own = |name: &str| cluster::Direction::of(name.as_bytes()) == cluster::Direction::Outbound;
    match &chain.to {
        To::Tcp(clusters) => clusters.iter().any(|(name, _)| own(name)),
        _ => true,
    }
}

/// Gives the port at one address to the host.
pub(super) fn bind(proxy: &mut Proxy, of: PortOf<'_>, address: IpAddr) {
    let chain = Chain { to: To::Tcp(vec![(of.cluster().into(), 1)]), ..Chain::default() };
    proxy.listeners.push(Listener { chains: vec![chain], ..listener(SocketAddr::new(address, of.port)) });
}

/// Gives the whole port to the host.
pub(super) fn catch(proxy: &mut Proxy, of: PortOf<'_>) {
    bind(proxy, of, Ipv4Addr::UNSPECIFIED.into());
}

/// Gives the host what has its name as SNI, and lets the rest of the port through.
pub(super) fn by_name(proxy: &mut Proxy, of: PortOf<'_>) {
    let takes = Match { server_names: vec![of.host.to_lowercase().into()], ..Match::default() };
    let chain = Chain { takes, to: To::Tcp(vec![(of.cluster().into(), 1)]), ..Chain::default() };
    let rest = leftover(proxy);
    proxy.listeners.push(Listener {
        chains: vec![chain],
        default_chain: Some(passthrough(&rest)),
        tls_inspector: Inspector::ALWAYS,
        ..listener(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), of.port))
    });
}

/// Gives the host a cluster, unless it has it.
pub(super) fn cluster(proxy: &mut Proxy, of: PortOf<'_>, kind: &str) {
    let name: Box<str> = of.cluster().into();
    let new = mesh::Cluster { name: name.clone(), kind: kind.into(), active: true, ..mesh::Cluster::default() };
    proxy.clusters.entry(name).or_insert(new);
}

/// A listener that `virtualOutbound` hands to.
fn listener(at: SocketAddr) -> Listener {
    Listener {
        name: format!("{}_{}", at.ip(), at.port()).into(),
        addresses: vec![at],
        active: true,
        direction: Some(Direction::Outbound),
        ..Listener::default()
    }
}

fn passthrough(cluster: &str) -> Chain {
    Chain { name: PASSTHROUGH.into(), to: To::Tcp(vec![(cluster.into(), 1)]), ..Chain::default() }
}

/// Where connections go that no listener takes.
fn leftover(proxy: &Proxy) -> Box<str> {
    let accepting = proxy
        .listeners
        .iter()
        .filter(|listener| listener.use_original_dst && listener.direction != Some(Direction::Inbound));
    let chains = accepting.flat_map(|listener| listener.chains.iter().chain(&listener.default_chain));
    let all = chains.filter(|chain| chain.takes.port.is_none() && chain.takes.prefixes.is_empty());
    let to =
        all.filter_map(|chain| if let To::Tcp(clusters) = &chain.to { clusters.first() } else { None }).next_back();
    to.map_or_else(|| PASSTHROUGH_CLUSTER.into(), |(name, _)| name.clone())
}
