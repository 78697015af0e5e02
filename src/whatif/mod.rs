//! `Planned`: the configuration that may come. It is given as dumps that have it, or as manifests.
//!
//! Manifests become configuration in istiod, which is not here. Much of what it makes of them is sure all the same: which
//! addresses a Service's TCP port listens at, what a Sidecar hides, which bytes a PeerAuthentication lets in. That is
//! done to the dumps, and what was done is told. All else is told too, as not worked out: HTTP routes, orders of age,
//! and every kind of object that is not named here.
//!
//! A manifest is a whole object, as `kubectl apply` takes it. Sources: Istio `pilot/pkg/networking/core/listener.go`,
//! `listener_inbound.go`, `pilot/pkg/model/sidecar.go`; documentation, Traffic Routing.

mod listeners;
mod peer_authentication;
mod service;
mod sidecar;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::Direction;
use crate::field::value::Micros;
use crate::mesh::objects::{Meta, Objects, PeerAuthentication, Pod, Service};
use crate::mesh::{Mesh, Proxy};

/// The configuration that may come.
#[derive(Debug, Default)]
pub struct Planned {
    /// What it is. From manifests: every dump that was given before, at the same place, as it would be.
    pub mesh: Mesh,
    /// It comes from manifests, so that each dump stands for the same time as before.
    pub from_manifests: bool,
    /// What the manifests change, a sentence each. Empty for dumps.
    pub changes: Vec<String>,
    /// What was not worked out, and why, a sentence each. Empty for dumps.
    pub open: Vec<String>,
}

impl Planned {
    /// What was given to come after `before`: its dumps if it has some, else its manifests, done to the dumps before.
    pub fn of(before: &Mesh, given: Mesh) -> Planned {
        if !given.proxies.is_empty() {
            return Planned { mesh: given, ..Planned::default() };
        }
        let mut told = Told::default();
        let objects = merged(&before.objects, &given.objects);
        let mut plan = Plan::of(&before.objects, &objects, &given.objects);
        plan.check(&before.proxies, &mut told);
        for part in &given.left_out {
            told.open.insert(format!("{} at {}: {}", part.file, part.place, part.why).replace(" at : ", ": "));
        }
        if !before.proxies.iter().all(is_sidecar) {
            told.open.insert("dumps of gateways, and tables of istioctl, are left as they are".to_owned());
        }
        let mut proxies = before.proxies.clone();
        for proxy in proxies.iter_mut().filter(|proxy| is_sidecar(proxy)) {
            settle(proxy, &objects);
            service::change(&plan, proxy, &mut told);
            sidecar::change(&plan, proxy, &mut told);
            peer_authentication::change(&plan, proxy, &mut told);
        }
        let mesh = Mesh { proxies, objects, left_out: given.left_out, ..Mesh::default() };
        Planned { mesh, from_manifests: true, changes: told.changes(), open: told.open() }
    }
}

/// Objects before and after, and those that were given to come.
struct Plan<'o> {
    before: &'o Objects,
    after: &'o Objects,
    given: &'o Objects,
    /// Services by host, after and before; where two have one host, a given one, else the first.
    hosts: BTreeMap<&'o str, &'o Service>,
    old_hosts: BTreeMap<&'o str, &'o Service>,
    /// Hosts of Services by namespace and selector.
    selected: BTreeMap<(&'o str, &'o Labels), BTreeSet<&'o str>>,
    /// The services that were given and are followed, with what they had been given before.
    followed: Vec<&'o Service>,
    /// Services of objects that list other hosts now.
    gone: Vec<&'o Service>,
}

/// Objects of more ports than this are nobody's.
const MOST_PORTS: usize = 1000;

/// Labels, or what selects by them.
type Labels = BTreeMap<Box<str>, Box<str>>;

impl<'o> Plan<'o> {
    fn of(before: &'o Objects, after: &'o Objects, given: &'o Objects) -> Plan<'o> {
        let mut selected: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        for service in after.services.iter().filter(|service| &*service.meta.kind == "Service") {
            selected.entry((&*service.meta.namespace, &service.selector)).or_default().insert(&service.host);
        }
        let mut hosts = by_host(after);
        let ours: BTreeSet<_> = given.services.iter().map(key).collect();
        hosts.extend(after.services.iter().filter(|one| ours.contains(&key(one))).map(|one| (&*one.host, one)));
        let gone = |old: &&Service| ours.contains(&key(old)) && !hosts.contains_key(&*old.host);
        let gone = before.services.iter().filter(gone).collect();
        let followed = Vec::new();
        Plan { before, after, given, hosts, old_hosts: by_host(before), selected, followed, gone }
    }

    /// Whether a host is another object's as well: a ServiceEntry may have that of a Service with pods. One with an external name
    /// it replaces.
    fn is_foreign(&self, given: &Service) -> bool {
        self.old_hosts.get(&*given.host).is_some_and(|old| {
            old.meta.kind != given.meta.kind && old.external_name.is_empty() && given.external_name.is_empty()
        })
    }

    /// Sorts out what is followed of what was given, and says what is not.
    fn check(&mut self, proxies: &[Proxy], told: &mut Told) {
        let given = self.given;
        let knows_domain = knows_domain(proxies);
        for service in &given.services {
            let why = if service.meta.namespace.is_empty() {
                NO_NAMESPACE
            } else if service.ports.len() > MOST_PORTS {
                "it lists more ports than are followed"
            } else if self.is_foreign(service) {
                "its host is that of another object, and which of them counts is not followed"
            } else if &*service.meta.kind == "Service" && !knows_domain {
                "no proxy has a host of the domain cluster.local, and its own domain is not known"
            } else {
                self.followed.extend(self.hosts.get(&*service.host));
                continue;
            };
            told.not(&service.meta, why);
        }
        let sidecars = given.sidecars.iter().map(|sidecar| &sidecar.meta);
        let policies = given.peer_authentications.iter().map(|policy| &policy.meta);
        for meta in sidecars.chain(policies).filter(|meta| meta.namespace.is_empty()) {
            told.not(meta, NO_NAMESPACE);
        }
        let rules = given.destination_rules.iter().map(|rule| &rule.meta);
        let policies = given.authorization_policies.iter().map(|policy| &policy.meta);
        for meta in given.others.iter().chain(rules).chain(policies) {
            told.not(meta, "objects of this kind are not followed");
        }
        if !given.outbound_policy.is_empty() {
            told.open.insert("the mesh's own configuration: a change of it is not followed".to_owned());
        }
    }
}

/// Why an object without one is not followed.
const NO_NAMESPACE: &str = "it says no namespace";

/// Whether proxies have services of the domain that hosts of Services are made with here, or none at all.
fn knows_domain(proxies: &[Proxy]) -> bool {
    let clusters = proxies.iter().flat_map(|proxy| proxy.clusters.keys());
    let mut hosts = clusters.filter(|name| Direction::of(name.as_bytes()) == Direction::Outbound).peekable();
    hosts.peek().is_none() || hosts.any(|name| name.ends_with(".svc.cluster.local"))
}

/// What makes a service that one.
fn key(service: &Service) -> (&str, &str, &str) {
    (&service.meta.kind, &service.meta.namespace, &service.meta.name)
}

fn by_host(objects: &Objects) -> BTreeMap<&str, &Service> {
    objects.services.iter().rev().map(|service| (&*service.host, service)).collect()
}

/// What was done, by sentence, with the pods at whose proxies; and what was not.
#[derive(Default)]
struct Told {
    done: BTreeMap<String, BTreeSet<String>>,
    open: BTreeSet<String>,
}

impl Told {
    /// Something was changed at this proxy.
    fn done(&mut self, meta: &Meta, proxy: &Proxy, what: &str) {
        let pods = self.done.entry(format!("{}: {what}", called(meta))).or_default();
        pods.insert(crate::route::pod(proxy));
    }

    /// A proxy says no namespace, and this depends on it.
    fn homeless(&mut self, meta: &Meta) {
        self.not(meta, "the namespaces of some pods are not known: kubectl get pods -A -o yaml tells them");
    }

    /// Something was not worked out.
    fn not(&mut self, meta: &Meta, why: &str) {
        self.open.insert(format!("{}: {why}", called(meta)));
    }

    fn changes(&self) -> Vec<String> {
        let line = |(what, pods): (&String, &BTreeSet<String>)| match pods.len() {
            1 => format!("{what}, at {}", pods.first().map_or("", |pod| pod)),
            count => format!("{what}, at {count} proxies"),
        };
        self.done.iter().map(line).collect()
    }

    fn open(self) -> Vec<String> {
        self.open.into_iter().collect()
    }
}

fn called(meta: &Meta) -> String {
    let namespace = if meta.namespace.is_empty() { String::new() } else { format!(" in namespace {}", meta.namespace) };
    format!("{} {}{namespace}", meta.kind, meta.name)
}

/// Gives a proxy the namespace and the addresses of its pod, where only the objects say them.
fn settle(proxy: &mut Proxy, objects: &Objects) {
    let node = &mut proxy.node;
    let home = node.namespace.clone();
    let of = |pod: &&Pod| pod.meta.name == node.pod && (home.is_empty() || pod.meta.namespace == home);
    let mut own = objects.pods.iter().filter(of);
    let (Some(pod), None) = (own.next(), own.next()) else { return };
    node.namespace.clone_from(&pod.meta.namespace);
    if node.addresses.is_empty() {
        node.addresses.clone_from(&pod.addresses);
    }
}

/// Only sidecars have the listeners that this is about; a table of `istioctl` has no filters that could be changed.
fn is_sidecar(proxy: &Proxy) -> bool {
    matches!(&*proxy.node.kind, "" | "sidecar") && proxy.has.listeners && !proxy.has.only_table
}

/// The objects with those that were given in the place of those that they replace.
fn merged(before: &Objects, given: &Objects) -> Objects {
    /// Puts objects in the place of those of their name.
    fn put<T: Clone>(into: &mut Vec<T>, given: &[T], meta: impl Fn(&T) -> &Meta) {
        let key = |one: &T| (meta(one).kind.clone(), meta(one).namespace.clone(), meta(one).name.clone());
        let new: BTreeSet<_> = given.iter().map(key).collect();
        into.retain(|one| !new.contains(&key(one)));
        into.extend_from_slice(given);
    }
    let mut all = before.clone();
    put(&mut all.services, &given.services, |one| &one.meta);
    put(&mut all.pods, &given.pods, |one| &one.meta);
    put(&mut all.endpoints, &given.endpoints, |one| &one.meta);
    put(&mut all.sidecars, &given.sidecars, |one| &one.meta);
    put(&mut all.peer_authentications, &given.peer_authentications, |one| &one.meta);
    // Of two policies the older one counts, and one that is made now is the youngest.
    let made = |policy: &PeerAuthentication| (policy.meta.namespace.clone(), policy.meta.name.clone());
    let times: BTreeMap<_, _> = before.peer_authentications.iter().map(|old| (made(old), old.meta.created)).collect();
    for policy in &mut all.peer_authentications {
        let old = times.get(&made(policy)).copied().flatten();
        policy.meta.created = policy.meta.created.or(old).or(Some(Micros(i64::MAX)));
    }
    // Who applies a manifest again does not say when the object was made, nor which address it was given.
    let old = by_host(before);
    for service in &mut all.services {
        let known = old.get(&*service.host).filter(|old| old.meta.kind == service.meta.kind);
        let Some(known) = known else { continue };
        service.meta.created = service.meta.created.or(known.meta.created);
        let is_cluster_ip = &*service.meta.kind == "Service" && !service.headless && service.external_name.is_empty();
        if is_cluster_ip && service.addresses.is_empty() {
            service.addresses.clone_from(&known.addresses);
        }
        if &*service.meta.kind == "ServiceEntry" && service.allocated.is_empty() {
            service.allocated.clone_from(&known.allocated);
        }
    }
    all
}
