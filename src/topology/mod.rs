//! `Topology`: what the lines alone teach about the mesh.
//!
//! A proxy knows its own address; an inbound leg names the service in its cluster (old releases) or in the SNI
//! that the caller used; an endpoint that answered for a named cluster belongs to that service; and what TCP
//! clients dialled to get there is the service's virtual address. Built from the ledger, so the order of lines
//! does not matter. Source of the rules: Istio's cluster and listener naming.

mod alone;
mod tenants;

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use crate::cluster::{Cluster, Direction};
use crate::endpoint::{Endpoint, Ip};
use crate::ledger::Ledger;
use crate::leg::{Fact, Protocol, Side, Way};
use crate::measure::Span;
use crate::names::{self, Names, Sym};
use tenants::Tenants;

pub use alone::Alone;
pub use tenants::Tenant;

/// By what an endpoint was found to belong to a service, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// The server's own proxy says so.
    InboundCluster,
    /// A caller's proxy asked for the service and the server's proxy took the connection.
    ServerName,
    /// A caller's proxy chose the endpoint for the service's cluster and was connected.
    Answered,
    /// Another pod of the same workload serves it on the same port.
    Sibling,
}

impl Proof {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Proof::InboundCluster => "inbound-cluster",
            Proof::ServerName => "server-name",
            Proof::Answered => "answered",
            Proof::Sibling => "sibling",
        }
    }
}

/// A service that lines told of. Its name is the topology's to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service(Sym);

/// What is known of the mesh.
#[derive(Debug, Default)]
pub struct Topology {
    /// Hosts of services. A set of its own: in the ledger they are parts of clusters' names.
    hosts: Names,
    /// Pods (namespace and name) by address.
    pods: BTreeMap<Ip, (Sym, Sym)>,
    /// Addresses whose proxies wrote lines of the input.
    logging: BTreeSet<Ip>,
    /// Addresses of gateways: they are dialled themselves and go on from there.
    gateways: BTreeSet<Ip>,
    /// Services by endpoint, with the proof.
    services: BTreeMap<Endpoint, BTreeMap<Service, Proof>>,
    /// What clients dialled to reach a service that is not the endpoint itself.
    virtuals: BTreeMap<Endpoint, BTreeSet<Service>>,
    /// What TCP clients dialled that a cluster took to another address.
    dialled: BTreeMap<Sym, BTreeSet<Endpoint>>,
    /// Workloads (namespace and name) of pods by address.
    workloads: BTreeMap<Ip, (Sym, Sym)>,
    /// Services by workload and port of their pods.
    siblings: BTreeMap<(Sym, Sym, u16), BTreeSet<Service>>,
    /// Services that have an endpoint whose proxy wrote lines.
    meshed: BTreeSet<Service>,
    /// Destinations that were connected as they are, without any cluster's choice: servers' own addresses.
    straight: BTreeSet<Endpoint>,
    /// Who had an address when, where pods of several workloads had it.
    tenants: Tenants,
}

impl Topology {
    /// Learns from all ways of the ledger.
    pub fn learn(ledger: &Ledger) -> Topology {
        let mut topology = Topology { tenants: Tenants::learn(ledger), ..Topology::default() };
        // Sure addresses first: an address that only a client had does not overrule them.
        for sure in [true, false] {
            let certain: BTreeSet<Ip> =
                topology.pods.iter().filter(|(_, (_, pod))| !pod.is_none()).map(|(ip, _)| *ip).collect();
            for fact in ledger.facts() {
                match *fact {
                    Fact::Own { namespace, pod, ip, sure: known } if known == sure && !certain.contains(&ip) => {
                        topology.own(ip, (namespace, pod), &ledger.names);
                    }
                    _ => {}
                }
            }
        }
        for (ip, (namespace, pod)) in topology.pods.iter().filter(|(_, (_, pod))| !pod.is_none()) {
            if let Some(workload) = ledger.names.find(names::workload(ledger.names.get(*pod))) {
                topology.workloads.insert(*ip, (*namespace, workload));
            }
        }
        for fact in ledger.facts() {
            topology.learn_service(*fact, &ledger.names);
        }
        topology.straight =
            ledger.ways().iter().filter(|way| is_straight(way, &ledger.names)).map(|way| way.dest).collect();
        // Many workloads dial the same services: each of them is learned once.
        let mut learned: HashSet<(Sym, Endpoint, bool), RandomState> = HashSet::default();
        for way in ledger.ways() {
            if is_dialled(way) && learned.insert((way.cluster, way.dest, way.failed_to_connect())) {
                topology.learn_virtual(way, &ledger.names);
            }
            if way.side == Side::Gateway {
                topology.gateways.insert(way.dest.ip());
            }
        }
        for (endpoint, services) in &topology.services {
            let named = topology.workloads.get(&endpoint.ip()).filter(|_| topology.tenants(endpoint.ip()).is_empty());
            if let Some((namespace, workload)) = named {
                topology.siblings.entry((*namespace, *workload, endpoint.port())).or_default().extend(services.keys());
            }
            if topology.logging.contains(&endpoint.ip()) {
                topology.meshed.extend(services.keys());
            }
        }
        topology
    }

    /// An address that pods of a workload had one after the other goes by the first of their names; of several workloads the
    /// last one has it.
    fn own(&mut self, ip: Ip, pod: (Sym, Sym), names: &Names) {
        self.logging.insert(ip);
        let known = self.pods.entry(ip).or_default();
        let text = |(namespace, pod): (Sym, Sym)| (names.get(pod), names.get(namespace));
        let last = self.tenants.of(ip).last().map(|tenant| tenant.workload);
        let is_last = |(namespace, pod): (Sym, Sym)| {
            last.is_none_or(|(home, workload)| {
                home == namespace && names::workload(names.get(pod)) == names.get(workload)
            })
        };
        if known.1.is_none() || !pod.1.is_none() && (!is_last(pod), text(pod)) < (!is_last(*known), text(*known)) {
            *known = pod;
        }
    }

    fn learn_service(&mut self, fact: Fact, names: &Names) {
        match fact {
            Fact::Serves { dest, cluster, sni } => {
                let cluster = Cluster::read(names.get(cluster));
                if cluster.direction == Direction::Inbound {
                    self.serve(dest, cluster.host, Proof::InboundCluster, names);
                }
                if let Some(called) = Cluster::of_sni(names.get(sni)) {
                    self.serve(dest, called.host, Proof::ServerName, names);
                }
            }
            Fact::Answered { cluster, host } => {
                let cluster = Cluster::read(names.get(cluster));
                if cluster.direction == Direction::Outbound {
                    self.serve(host, cluster.host, Proof::Answered, names);
                }
            }
            Fact::Own { .. } => {}
        }
    }

    fn serve(&mut self, endpoint: Endpoint, host: &[u8], proof: Proof, names: &Names) {
        if host.is_empty() || endpoint.port() == 0 || endpoint.ip().is_loopback(names) {
            return;
        }
        let service = Service(self.hosts.intern(host));
        let known = self.services.entry(endpoint).or_default().entry(service).or_insert(proof);
        *known = (*known).min(proof);
    }

    /// What TCP clients dial to be connected to another address is a service's, unless a pod has it.
    fn learn_virtual(&mut self, way: &Way, names: &Names) {
        let cluster = Cluster::read(names.get(way.cluster));
        if cluster.direction != Direction::Outbound {
            return;
        }
        self.dialled.entry(way.cluster).or_default().insert(way.dest);
        let own = self.pods.contains_key(&way.dest.ip()) || self.straight.contains(&way.dest);
        if !way.failed_to_connect() && !own {
            self.virtuals.entry(way.dest).or_default().insert(Service(self.hosts.intern(cluster.host)));
        }
    }

    /// How many different addresses TCP clients dialled that this cluster took elsewhere: one for a service's virtual
    /// address, many for a listener that catches a whole port.
    pub fn fan_in(&self, cluster: Sym) -> usize {
        self.dialled.get(&cluster).map_or(0, BTreeSet::len)
    }

    /// The services that an endpoint belongs to, the best proof first, then by name.
    pub fn services(&self, endpoint: Endpoint) -> Vec<(Service, Proof)> {
        let mut found: Vec<(Service, Proof)> =
            self.services.get(&endpoint).into_iter().flatten().map(|(service, proof)| (*service, *proof)).collect();
        if let (true, Some((namespace, workload))) = (found.is_empty(), self.workloads.get(&endpoint.ip())) {
            let siblings = self.siblings.get(&(*namespace, *workload, endpoint.port()));
            found.extend(siblings.into_iter().flatten().map(|service| (*service, Proof::Sibling)));
        }
        found.sort_by_key(|(service, proof)| (*proof, self.hosts.get(service.0)));
        found
    }

    /// The services that an endpoint belonged to all through a time, where its address was somebody else's before or after.
    pub fn services_at(&self, endpoint: Endpoint, time: &Span) -> Vec<(Service, Proof)> {
        let mut found = self.services(endpoint);
        if !self.tenants(endpoint.ip()).is_empty() {
            found.retain(|(service, _)| self.tenants.served(endpoint, self.hosts.get(service.0), time));
        }
        found
    }

    /// The workloads that had an address one after the other, the earliest first; empty if it is not known to have had
    /// more than one.
    pub fn tenants(&self, ip: Ip) -> &[Tenant] {
        self.tenants.of(ip)
    }

    /// Namespace and name of the workload that had an address all through a time, if it had several and that is known.
    pub fn tenant_at(&self, ip: Ip, time: &Span) -> Option<(Sym, Sym)> {
        self.tenants.at(ip, time).map(|tenant| tenant.workload)
    }

    /// The service that an endpoint belongs to by the best proof.
    pub fn service(&self, endpoint: Endpoint) -> Option<Service> {
        match self.services.get(&endpoint) {
            Some(known) => {
                let best = known.iter().min_by_key(|(service, proof)| (**proof, self.hosts.get(service.0)));
                best.map(|(service, _)| *service)
            }
            None => self.services(endpoint).first().map(|(service, _)| *service),
        }
    }

    /// The host of a service, `manager.manager.svc.cluster.local`.
    pub fn host(&self, service: Service) -> String {
        self.hosts.show(service.0).into_owned()
    }

    /// The same as it was written, without a copy.
    pub fn name(&self, service: Service) -> &[u8] {
        self.hosts.get(service.0)
    }

    /// The services that were reached by dialling this address, if it is no endpoint itself.
    pub fn virtual_services(&self, endpoint: Endpoint) -> impl Iterator<Item = Service> {
        self.virtuals.get(&endpoint).into_iter().flatten().copied()
    }

    /// Whether this address was connected as it is, without any cluster's choice.
    pub fn is_straight(&self, dest: Endpoint) -> bool {
        self.straight.contains(&dest)
    }

    /// How many addresses that had been connected as they are a cluster took elsewhere.
    pub fn redirected(&self, cluster: Sym) -> usize {
        let dialled = self.dialled.get(&cluster).into_iter().flatten();
        dialled.filter(|dest| self.straight.contains(dest)).count()
    }

    /// Whether the server's own proxy says that it serves there, or that the address is its own.
    pub fn is_endpoint(&self, endpoint: Endpoint) -> bool {
        let told = self.services.get(&endpoint).into_iter().flatten();
        let own = |proof: &Proof| matches!(proof, Proof::InboundCluster | Proof::ServerName);
        self.is_pod(endpoint.ip()) || told.into_iter().any(|(_, proof)| own(proof))
    }

    /// Whether an address is a pod's, as far as proxies said so.
    pub fn is_pod(&self, ip: Ip) -> bool {
        self.pods.contains_key(&ip)
    }

    /// Namespace and name of the pod with this address, if an envelope gave them.
    pub fn pod_of(&self, ip: Ip) -> Option<(Sym, Sym)> {
        self.pods.get(&ip).copied().filter(|(_, pod)| !pod.is_none())
    }

    /// Namespace and name of the workload whose pod has this address, if an envelope gave them.
    pub fn workload_of(&self, ip: Ip) -> Option<(Sym, Sym)> {
        self.workloads.get(&ip).copied()
    }

    /// A pod of a workload, the first of those that are known: namespace and name.
    pub fn pod_of_workload(&self, namespace: Sym, workload: Sym) -> Option<(Sym, Sym)> {
        let (ip, _) = self.workloads.iter().find(|(_, of)| **of == (namespace, workload) && !workload.is_none())?;
        self.pod_of(*ip)
    }

    /// Every address that something is known of, each with its ports and services; by proof where it is an endpoint
    /// itself, none where it is what callers dial to get to one.
    pub fn addresses(&self) -> impl Iterator<Item = (Ip, Vec<(u16, Service, Option<Proof>)>)> {
        let mut known: BTreeMap<Ip, Vec<(u16, Service, Option<Proof>)>> = BTreeMap::new();
        for ip in self.pods.keys().chain(&self.gateways).filter(|ip| !ip.is_none()) {
            known.entry(*ip).or_default();
        }
        for (endpoint, services) in &self.services {
            let of = services.iter().map(|(service, proof)| (endpoint.port(), *service, Some(*proof)));
            known.entry(endpoint.ip()).or_default().extend(of);
        }
        for (endpoint, services) in &self.virtuals {
            let of = services.iter().map(|service| (endpoint.port(), *service, None));
            known.entry(endpoint.ip()).or_default().extend(of);
        }
        known.into_iter()
    }

    /// Whether an endpoint of the service has a proxy that wrote lines.
    pub fn is_meshed(&self, service: Service) -> bool {
        self.meshed.contains(&service)
    }

    /// Whether an address' proxy wrote lines of the input.
    pub fn is_logging(&self, ip: Ip) -> bool {
        self.logging.contains(&ip)
    }

    /// Whether an address is a gateway's.
    pub fn is_gateway(&self, ip: Ip) -> bool {
        self.gateways.contains(&ip)
    }

    /// Whether a service is one of the cluster's own, by its name.
    pub fn is_internal(host: &str) -> bool {
        !is_external(host.as_bytes())
    }

    /// Whether a pod (by the way's proxy) has this address.
    pub fn is_own(&self, ip: Ip, way: &Way) -> bool {
        !way.pod.is_none() && self.pods.get(&ip).is_some_and(|(_, pod)| *pod == way.pod)
    }
}

/// Whether a TCP client dialled an address and was taken elsewhere.
fn is_dialled(way: &Way) -> bool {
    way.side == Side::Outbound && way.protocol == Protocol::Tcp && !way.direct && !way.dest.is_none()
}

/// Whether connections of a way went to the address that was dialled because no listener knew it.
fn is_straight(way: &Way, names: &Names) -> bool {
    way.side == Side::Outbound
        && way.direct
        && !way.dest.is_none()
        && !way.failed_to_connect()
        && Direction::of(names.get(way.cluster)) == Direction::Passthrough
}

/// Whether a host is not one of a Kubernetes service. Absent hosts are not external.
fn is_external(host: &[u8]) -> bool {
    !host.is_empty() && memchr::memmem::find(host, b".svc").is_none()
}
