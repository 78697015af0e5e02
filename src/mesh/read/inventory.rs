//! Objects of all files as one inventory, in order, each of them once.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::Parts;
use crate::mesh::LeftOut;
use crate::mesh::objects::{Meta, Objects, Pod, Service};

/// What has metadata.
trait Object: Clone + PartialEq {
    fn meta(&mut self) -> &mut Meta;

    /// What two objects of one name must share to be the same.
    fn identity(&self) -> String {
        String::new()
    }
}

macro_rules! objects {
    ($($kind:ident),*) => { $(
        impl Object for crate::mesh::objects::$kind {
            fn meta(&mut self) -> &mut Meta {
                &mut self.meta
            }
        }
    )* };
}

objects!(EndpointSlice, PeerAuthentication, Sidecar, DestinationRule, AuthorizationPolicy, Namespace);

impl Object for Service {
    fn meta(&mut self) -> &mut Meta {
        &mut self.meta
    }

    /// A ServiceEntry is a service for each of its hosts.
    fn identity(&self) -> String {
        self.host.to_string()
    }
}

impl Object for Pod {
    fn meta(&mut self) -> &mut Meta {
        &mut self.meta
    }

    /// A pod of a StatefulSet keeps its name and gets another address: who had which is worth knowing.
    fn identity(&self) -> String {
        format!("{:?}", self.addresses)
    }
}

impl Object for Meta {
    fn meta(&mut self) -> &mut Meta {
        self
    }
}

/// Puts together what files told. Files come sorted by name.
pub(super) fn objects(files: &mut [(Box<str>, Parts)], left_out: &mut Vec<LeftOut>) -> Objects {
    let mut all = Objects::default();
    let mut registry = Vec::new();
    let mut workloads = Vec::new();
    let mut policies: BTreeSet<(Box<str>, Box<str>)> = BTreeSet::new();
    for (file, parts) in files {
        let found = &mut parts.objects;
        let name = &**file;
        take(&mut found.services, name, &mut all.services);
        take(&mut found.pods, name, &mut all.pods);
        found.endpoints.extend(parts.ztunnel.endpoints());
        take(&mut found.endpoints, name, &mut all.endpoints);
        take(&mut found.peer_authentications, name, &mut all.peer_authentications);
        take(&mut found.sidecars, name, &mut all.sidecars);
        take(&mut found.destination_rules, name, &mut all.destination_rules);
        take(&mut found.authorization_policies, name, &mut all.authorization_policies);
        take(&mut found.namespaces, name, &mut all.namespaces);
        take(&mut found.others, name, &mut all.others);
        take(&mut parts.registry, name, &mut registry);
        take(&mut parts.ztunnel.services, name, &mut registry);
        take(&mut parts.ztunnel.workloads, name, &mut workloads);
        if !found.outbound_policy.is_empty() {
            policies.insert((found.outbound_policy.clone(), file.clone()));
        }
    }
    let mut notes = Older { left_out, counts: BTreeMap::new() };
    notes.newest(&mut all.services);
    notes.newest(&mut all.pods);
    notes.newest(&mut all.endpoints);
    notes.newest(&mut all.peer_authentications);
    notes.newest(&mut all.sidecars);
    notes.newest(&mut all.destination_rules);
    notes.newest(&mut all.authorization_policies);
    notes.newest(&mut all.namespaces);
    notes.newest(&mut all.others);
    notes.newest(&mut registry);
    notes.newest(&mut workloads);
    notes.finish();
    add_registry(&mut all.services, registry);
    add_workloads(&mut all.pods, workloads);
    all.outbound_policy = policy(&policies, left_out);
    all
}

fn take<T: Object>(from: &mut Vec<T>, file: &str, to: &mut Vec<T>) {
    for object in from.iter_mut() {
        object.meta().file = file.into();
    }
    to.append(from);
}

/// Counts states of objects that are older than others.
struct Older<'l> {
    left_out: &'l mut Vec<LeftOut>,
    counts: BTreeMap<Box<str>, u64>,
}

impl Older<'_> {
    /// Sorts, and keeps the newest state of each object.
    fn newest<T: Object>(&mut self, all: &mut Vec<T>) {
        let key = |object: &mut T| {
            let identity = object.identity();
            let meta = object.meta();
            (meta.kind.clone(), meta.namespace.clone(), meta.name.clone(), identity)
        };
        let mut keyed: Vec<_> = all.drain(..).map(|mut object| (key(&mut object), object)).collect();
        keyed.sort_by(|(one, a), (other, b)| {
            let age = |object: &T| {
                let mut object = object.clone();
                (object.meta().version, object.meta().file.clone())
            };
            one.cmp(other).then_with(|| age(a).cmp(&age(b)))
        });
        let mut kept: Vec<(_, T)> = Vec::with_capacity(keyed.len());
        for (key, mut object) in keyed {
            match kept.last_mut() {
                Some((known, older)) if *known == key => {
                    let mut same = older.clone();
                    same.meta().file.clone_from(&object.meta().file);
                    // The same from two files is from the first of them.
                    if same != object {
                        *self.counts.entry(older.meta().file.clone()).or_default() += 1;
                        *older = object;
                    }
                }
                _ => kept.push((key, object)),
            }
        }
        all.extend(kept.into_iter().map(|(_, object)| object));
    }

    fn finish(self) {
        for (file, count) in self.counts {
            let why = format!("older states of objects that another file has newer: {count}").into();
            self.left_out.push(LeftOut { file, place: Box::default(), why, wrong: false });
        }
    }
}

/// The registry and ztunnels know services by what objects say of them; what only they know is added.
fn add_registry(services: &mut Vec<Service>, registry: Vec<Service>) {
    let key = |service: &Service| (service.meta.namespace.clone(), service.host.clone());
    let mut known: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (at, service) in services.iter().enumerate() {
        known.entry(key(service)).or_default().push(at);
    }
    for told in registry {
        let same = known.get(&key(&told)).cloned().unwrap_or_default();
        if same.is_empty() {
            known.insert(key(&told), vec![services.len()]);
            services.push(told);
            continue;
        }
        for at in same {
            let service = &mut services[at];
            service.meta.created = service.meta.created.or(told.meta.created);
            if service.allocated.is_empty() {
                service.allocated.clone_from(&told.allocated);
            }
            if service.waypoint.is_empty() {
                service.waypoint.clone_from(&told.waypoint);
            }
        }
    }
    services.sort_by_cached_key(|service| {
        (service.meta.kind.clone(), key(service), service.meta.name.clone(), service.meta.file.clone())
    });
}

/// The same for pods.
fn add_workloads(pods: &mut Vec<Pod>, workloads: Vec<Pod>) {
    let key = |pod: &Pod| (pod.meta.namespace.clone(), pod.meta.name.clone());
    let mut known: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (at, pod) in pods.iter().enumerate() {
        known.entry(key(pod)).or_default().push(at);
    }
    for told in workloads {
        let all = known.get(&key(&told)).map(Vec::as_slice).unwrap_or_default();
        let same = all.iter().find(|at| pods[**at].addresses.iter().any(|address| told.addresses.contains(address)));
        match same.copied() {
            Some(at) => {
                let pod = &mut pods[at];
                if told.meshed == Some(true) || pod.meshed.is_none() {
                    pod.meshed = told.meshed;
                }
                if pod.waypoint.is_empty() {
                    pod.waypoint = told.waypoint;
                }
            }
            None => pods.push(told),
        }
    }
    pods.sort_by_cached_key(|pod| (pod.meta.kind.clone(), key(pod), pod.addresses.clone(), pod.meta.file.clone()));
}

/// One mesh has one policy; where files differ, none of them can be believed.
fn policy(policies: &BTreeSet<(Box<str>, Box<str>)>, left_out: &mut Vec<LeftOut>) -> Box<str> {
    let words: BTreeSet<&str> = policies.iter().map(|(policy, _)| &**policy).collect();
    if words.len() > 1 {
        for (policy, file) in policies {
            let why = format!("outboundTrafficPolicy is {policy} here and another in another file").into();
            left_out.push(LeftOut { file: file.clone(), place: Box::default(), why, wrong: true });
        }
        return Box::default();
    }
    words.first().copied().unwrap_or_default().into()
}
