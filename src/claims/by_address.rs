//! Where something was dialled that no listener of the caller knows: whose it is by the cluster's objects, and the ways out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::{Claims, Seen, list};
use crate::cluster::{Cluster, Direction};
use crate::leg::Protocol;
use crate::mesh::objects::{Service, Sidecar};
use crate::mesh::scope::{self, may_list, pod_at, service_with, services_at};
use crate::mesh::{Address, Mesh, Proxy};
use crate::remedy::{Remedy, Victim, by_name, listed, members, shown};
use crate::replay::Replayed;
use crate::route::every_endpoint;

impl<'w> Claims<'w> {
    /// The ways out for clients' connections that went through `PassthroughCluster`.
    pub(super) fn by_address(&self, replayed: &Replayed<'_>, ways: &[Seen<'w>]) -> Vec<Remedy> {
        let mut pods = Unlisted::default();
        let mut names: BTreeMap<(String, u16), BTreeSet<SocketAddr>> = BTreeMap::new();
        for seen in ways {
            let Some(way) = replayed.shown(seen.number, seen.way, &self.ledger.names) else { continue };
            let caller = way.router.proxy;
            if service_with(&replayed.mesh.objects, way.to.ip()).is_some() {
                pods.found.extend(registered(replayed.mesh, caller, way.to, seen));
                continue;
            }
            self.unlisted(replayed.mesh, Some(caller), way.to, seen, &mut pods);
            if let Some(name) = named(caller, way.to) {
                names.entry(name).or_default().insert(way.to);
            }
        }
        let dialled = |all: &BTreeSet<SocketAddr>| list(all.iter().map(ToString::to_string));
        let by_name = names.iter().filter_map(|((host, port), all)| by_name(host, *port, &dialled(all)));
        pods.ways_out().into_iter().chain(by_name).collect()
    }

    /// The ways out for a server's connections on a port that no Service lists.
    pub(super) fn undeclared(&self, replayed: &Replayed<'_>, ways: &[Seen<'w>]) -> Vec<Remedy> {
        let (objects, mut pods, mut found) = (&replayed.mesh.objects, Unlisted::default(), Vec::new());
        for seen in ways {
            let Some(way) = replayed.shown(seen.number, seen.way, &self.ledger.names) else { continue };
            let (ip, port) = (way.to.ip(), way.to.port());
            let services = services_at(objects, ip);
            // Where one lists it, it is something else that keeps it from the proxy.
            if services.iter().any(|service| may_list(service, port)) {
                continue;
            }
            if let Some(service) = services.iter().find(|service| !service.headless) {
                found.extend(listed(service, port, protocol(seen)));
            }
            self.unlisted(replayed.mesh, None, way.to, seen, &mut pods);
        }
        let mut all = Vec::new();
        for way in found.into_iter().chain(pods.ways_out()) {
            push(&mut all, way);
        }
        all
    }

    /// Puts a pod's address to the others that want a headless Service, unless there is one: then to its ways out, if a
    /// Sidecar of the caller hides it.
    pub(super) fn unlisted(
        &self,
        mesh: &Mesh,
        caller: Option<&Proxy>,
        to: SocketAddr,
        seen: &Seen<'w>,
        pods: &mut Unlisted,
    ) {
        let objects = &mesh.objects;
        let services = services_at(objects, to.ip());
        let limits = caller.and_then(|caller| Some((sidecar_of(mesh, caller)?, &*caller.node.namespace)));
        let hidden = |service: &Service| limits.is_some_and(|(sidecar, namespace)| hides(sidecar, namespace, service));
        let headless: Vec<&&Service> = services.iter().filter(|service| service.headless).collect();
        if let Some(service) = headless.iter().find(|service| may_list(service, to.port())) {
            let way = limits.filter(|_| hidden(service)).and_then(|(sidecar, _)| shown(sidecar, service));
            pods.found.extend(way);
        } else if let Some(service) = headless.iter().find(|service| !hidden(service)) {
            pods.found.extend(listed(service, to.port(), protocol(seen)));
        } else if !services.iter().any(|service| hidden(service)) {
            let fitting = services.iter().find(|service| may_list(service, to.port())).or(services.first());
            let of_service = || fitting.map(|service| Victim::of(&service.host, &objects.services, BTreeSet::new()));
            let of_log = || Some(Victim::of(self.owners_of(seen).first()?, &objects.services, BTreeSet::new()));
            let known = of_service().or_else(|| pod_at(objects, to.ip()).and_then(Victim::of_pod)).or_else(of_log);
            if let Some(victim) = known.filter(|victim| !victim.host.is_empty()) {
                pods.victims.entry(victim).or_default().insert(to.port());
            }
        }
    }
}

/// Pods that want a headless Service, by whose they are, with the ports; and ways out where there is one already.
#[derive(Debug, Default)]
pub(super) struct Unlisted {
    victims: BTreeMap<Victim, BTreeSet<u16>>,
    found: Vec<Remedy>,
}

impl Unlisted {
    /// Each way out once.
    pub(super) fn ways_out(self) -> Vec<Remedy> {
        let mut all = Vec::new();
        let new = self.victims.iter().filter_map(|(victim, ports)| members(victim, ports));
        for way in self.found.into_iter().chain(new) {
            push(&mut all, way);
        }
        all
    }
}

/// Puts a way out to the others, once.
pub(super) fn push(found: &mut Vec<Remedy>, way: Remedy) {
    if !found.contains(&way) {
        found.push(way);
    }
}

/// The way out where a service's own address was dialled: its port, or the Sidecar that hides it.
pub(super) fn registered(mesh: &Mesh, caller: &Proxy, to: SocketAddr, seen: &Seen<'_>) -> Option<Remedy> {
    let service = service_with(&mesh.objects, to.ip())?;
    if service.ports.iter().all(|port| port.number != to.port()) {
        return listed(service, to.port(), protocol(seen)).filter(|_| &*service.meta.kind == "Service");
    }
    let limits = sidecar_of(mesh, caller)?;
    hides(limits, &caller.node.namespace, service).then(|| shown(limits, service)).flatten()
}

/// The Sidecar of a proxy, where it is known.
pub(super) fn sidecar_of<'m>(mesh: &'m Mesh, proxy: &Proxy) -> Option<&'m Sidecar> {
    scope::sidecar(&mesh.objects, proxy).ok().flatten()
}

/// Whether a Sidecar keeps a service from the proxies of this namespace.
pub(super) fn hides(sidecar: &Sidecar, namespace: &str, service: &Service) -> bool {
    scope::hides(sidecar, namespace, &service.meta.namespace, &service.host)
}

/// The host and port of the service by which the caller itself knows an address.
fn named(caller: &Proxy, to: SocketAddr) -> Option<(String, u16)> {
    let at = every_endpoint(caller).filter(|(_, endpoint)| endpoint.address == Address::Ip(to));
    let clusters = at.map(|(name, _)| Cluster::read(name.as_bytes()));
    let mut whole = clusters.filter(|cluster| cluster.direction == Direction::Outbound && cluster.subset.is_empty());
    whole.find_map(|cluster| Some((String::from_utf8_lossy(cluster.host).into_owned(), cluster.port?)))
}

/// The first part of a port's name by what was spoken there.
fn protocol(seen: &Seen<'_>) -> &'static str {
    if seen.way.protocol == Protocol::Http { "http" } else { "tcp" }
}
