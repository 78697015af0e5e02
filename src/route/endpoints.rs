//! Addresses behind services, as far as any dump or object knows them, and whether a proxy sends one elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::behind::pod;
use super::question::Question;
use super::router::Router;
use crate::cluster::{Cluster, Direction};
use crate::mesh::{Address, Endpoint, Mesh, Proxy};

/// By port, each address with its service's host; with its pod, where no service has it.
pub type Endpoints = BTreeMap<u16, BTreeSet<(String, SocketAddr)>>;

/// All of them in the objects of a mesh and in these dumps.
pub fn endpoints<'m>(mesh: &Mesh, proxies: impl Iterator<Item = &'m Proxy> + Clone) -> Endpoints {
    let mut found = Endpoints::new();
    let mut add = |host: String, address: SocketAddr| {
        found.entry(address.port()).or_default().insert((host, address));
    };
    for (name, endpoint) in proxies.clone().flat_map(every) {
        let cluster = Cluster::read(name.as_bytes());
        if let Address::Ip(address) = endpoint.address
            && cluster.direction == Direction::Outbound
        {
            add(String::from_utf8_lossy(cluster.host).into_owned(), address);
        }
    }
    for slice in &mesh.objects.endpoints {
        let host = format!("{}.{}.svc.cluster.local", slice.service, slice.meta.namespace);
        for (ip, ..) in &slice.addresses {
            for port in &slice.ports {
                add(host.clone(), SocketAddr::new(*ip, *port));
            }
        }
    }
    for proxy in proxies {
        for address in proxy.clusters.keys().flat_map(|name| served(proxy, name)) {
            let known = found.entry(address.port()).or_default();
            if known.iter().all(|(_, other)| *other != address) {
                known.insert((pod(proxy), address));
            }
        }
    }
    found
}

/// Where a proxy's own pod serves what comes by an inbound cluster. Names with a host, of Istio up to 1.9, have the
/// Service's port, which need not be the pod's.
fn served(proxy: &Proxy, name: &str) -> Vec<SocketAddr> {
    let cluster = Cluster::read(name.as_bytes());
    match cluster.port {
        Some(port) if cluster.direction == Direction::Inbound && cluster.host.is_empty() => {
            proxy.node.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
        }
        _ => Vec::new(),
    }
}

/// Endpoints with the name of their cluster, those that are written into clusters too.
pub fn every(proxy: &Proxy) -> impl Iterator<Item = (&str, &Endpoint)> {
    let written = proxy.clusters.iter().map(|(name, cluster)| (name, &cluster.endpoints));
    proxy.endpoints.iter().chain(written).flat_map(|(name, all)| all.iter().map(|endpoint| (&**name, endpoint)))
}

impl Router<'_> {
    /// The addresses of others, by their service, that this proxy sends to a cluster which is not theirs.
    pub fn takes(&self, endpoints: &Endpoints, port: u16, cluster: &str) -> BTreeMap<String, BTreeSet<SocketAddr>> {
        let host = Cluster::read(cluster.as_bytes()).host;
        let only = self.only_endpoint(cluster);
        let mut taken: BTreeMap<String, BTreeSet<SocketAddr>> = BTreeMap::new();
        for (owner, address) in endpoints.get(&port).into_iter().flatten() {
            let own = owner.as_bytes() == host || self.proxy.node.addresses.contains(&address.ip());
            if !own
                && only != Some(*address)
                && self.answer(&Question::outbound(*address)).clusters().contains(&cluster)
            {
                taken.entry(owner.clone()).or_default().insert(*address);
            }
        }
        taken
    }

    /// The address of a cluster's endpoint if it has but one: who dials that one gets where he wants.
    fn only_endpoint(&self, cluster: &str) -> Option<SocketAddr> {
        let of_cluster = every(self.proxy).filter(|(name, _)| *name == cluster);
        let addresses = of_cluster.map(|(_, endpoint)| match endpoint.address {
            Address::Ip(address) => Some(address),
            _ => None,
        });
        let all: BTreeSet<Option<SocketAddr>> = addresses.collect();
        if all.len() == 1 { all.into_iter().next().flatten() } else { None }
    }
}
