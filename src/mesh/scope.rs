//! Whose an address is by the cluster's objects, which Services list a port of it, and which services a proxy is told of.
//! Where objects leave it open there is no answer: what is built on these is told to people as certain.
//!
//! Sources: Istio documentation, Sidecar; `pilot/pkg/model/sidecar.go`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Proxy;
use super::objects::{Objects, Pod, Port, Service, Sidecar};
use super::policy::selects;

/// The namespace whose Sidecar is for all that have none of their own, as long as nobody moved it (`rootNamespace`).
const ROOT: &str = "istio-system";

/// The pod that has an address. None where several share it, as those on a node's own network do.
pub fn pod_at(objects: &Objects, ip: IpAddr) -> Option<&Pod> {
    let ended = |pod: &&Pod| matches!(&*pod.phase, "Succeeded" | "Failed");
    let mut all = objects.pods.iter().filter(|pod| pod.addresses.contains(&ip.to_canonical()) && !ended(pod));
    all.next().filter(|_| all.next().is_none())
}

/// The Services that have a pod's address behind them: by the pod's labels, else by the list of their endpoints.
pub fn services_at(objects: &Objects, ip: IpAddr) -> Vec<&Service> {
    let services = || objects.services.iter().filter(|service| &*service.meta.kind == "Service");
    if let Some(pod) = pod_at(objects, ip) {
        let own = services().filter(|service| service.meta.namespace == pod.meta.namespace);
        return own
            .filter(|service| !service.selector.is_empty() && selects(&service.selector, &pod.meta.labels))
            .collect();
    }
    let ip = ip.to_canonical();
    let holding = || objects.endpoints.iter().filter(|slice| slice.addresses.iter().any(|(other, ..)| *other == ip));
    let listed = |service: &&Service| {
        holding().any(|slice| slice.service == service.meta.name && slice.meta.namespace == service.meta.namespace)
    };
    services().filter(listed).collect()
}

/// The service with an address of its own, this one.
pub fn service_with(objects: &Objects, ip: IpAddr) -> Option<&Service> {
    let ip = ip.to_canonical();
    let whole = if ip.is_ipv4() { 32 } else { 128 };
    let has = |service: &&Service| service.addresses.iter().any(|own| own.length == whole && own.address == ip);
    objects.services.iter().find(has)
}

/// The pod's port behind a port of a service; none where it is a name.
pub fn target(port: &Port) -> Option<u16> {
    if port.target.is_empty() { Some(port.number) } else { port.target.parse().ok() }
}

/// Whether a service may lead to this port of its pods: where it names a port instead of giving its number, it may.
pub fn may_list(service: &Service, port: u16) -> bool {
    service.ports.iter().any(|listed| target(listed).is_none_or(|target| target == port))
}

/// The labels of a proxy's pod, if its object was given.
pub fn labels<'o>(objects: &'o Objects, proxy: &Proxy) -> Option<&'o BTreeMap<Box<str>, Box<str>>> {
    let node = &proxy.node;
    let own = objects.pods.iter().find(|pod| pod.meta.name == node.pod && pod.meta.namespace == node.namespace);
    own.map(|pod| &pod.meta.labels)
}

/// Which Sidecar is for a proxy is not known: its pod's labels or its namespace decide, and were not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecided;

/// The Sidecar of a proxy: the one that selects its pod, else its namespace's, else the mesh's. None if there is none.
pub fn sidecar<'o>(objects: &'o Objects, proxy: &Proxy) -> Result<Option<&'o Sidecar>, Undecided> {
    let namespace = &proxy.node.namespace;
    if namespace.is_empty() && !objects.sidecars.is_empty() {
        return Err(Undecided);
    }
    let own = objects.sidecars.iter().filter(|sidecar| sidecar.meta.namespace == *namespace);
    let (wide, selecting): (Vec<&Sidecar>, Vec<&Sidecar>) = own.partition(|sidecar| sidecar.selector.is_empty());
    if !selecting.is_empty() {
        let labels = labels(objects, proxy).ok_or(Undecided)?;
        if let Some(found) = selecting.into_iter().find(|sidecar| selects(&sidecar.selector, labels)) {
            return Ok(Some(found));
        }
    }
    let of_root = |sidecar: &&Sidecar| &*sidecar.meta.namespace == ROOT && sidecar.selector.is_empty();
    Ok(wide.first().copied().or_else(|| objects.sidecars.iter().find(of_root)))
}

/// Whether a Sidecar keeps a host, whose service is at home in a namespace, from the proxies of this `namespace`: no egress
/// listener lists it.
pub fn hides(sidecar: &Sidecar, namespace: &str, home: &str, host: &str) -> bool {
    let lists = |pattern: &str| {
        let Some((scope, name)) = pattern.split_once('/') else { return true };
        let is_home = match scope {
            "*" => true,
            "." => home == namespace,
            scope => home == scope,
        };
        is_home && name.strip_prefix('*').map_or(name == host, |suffix| host.ends_with(suffix))
    };
    !sidecar.egress_hosts.is_empty() && !sidecar.egress_hosts.iter().any(|pattern| lists(pattern))
}

/// Whether a service is exported to a namespace. What it does not say is every namespace.
pub fn is_exported(service: &Service, namespace: &str) -> bool {
    let to = |to: &str| match to {
        "*" => true,
        "." => *service.meta.namespace == *namespace,
        to => to == namespace,
    };
    service.export_to.is_empty() || service.export_to.iter().any(|namespace| to(namespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Node;
    use crate::mesh::objects::{EndpointSlice, Meta};

    fn labels_of(app: &str) -> BTreeMap<Box<str>, Box<str>> {
        if app.is_empty() { BTreeMap::new() } else { [("app".into(), app.into())].into() }
    }

    fn meta(kind: &str, namespace: &str, name: &str) -> Meta {
        Meta { kind: kind.into(), namespace: namespace.into(), name: name.into(), ..Meta::default() }
    }

    fn pod(name: &str, phase: &str) -> Pod {
        Pod {
            meta: Meta { labels: labels_of("db"), ..meta("Pod", "data", name) },
            addresses: vec![[10, 0, 0, 5].into()],
            phase: phase.into(),
            ..Pod::default()
        }
    }

    fn service(name: &str, app: &str) -> Service {
        let host = format!("{name}.data.svc.cluster.local").into();
        Service { meta: meta("Service", "data", name), host, selector: labels_of(app), ..Service::default() }
    }

    #[test]
    fn an_address_is_its_living_pods_and_of_the_services_that_select_it() {
        let mut objects = Objects {
            services: vec![service("db", "db"), service("web", "web"), service("bare", "")],
            pods: vec![pod("db-0", "Running"), pod("job", "Succeeded")],
            ..Objects::default()
        };
        let ip = [10, 0, 0, 5].into();
        let names =
            |objects: &Objects| services_at(objects, ip).iter().map(|one| one.meta.name.clone()).collect::<Vec<_>>();
        assert_eq!(pod_at(&objects, ip).map(|pod| &*pod.meta.name), Some("db-0"));
        assert_eq!(names(&objects), ["db".into()]);
        objects.pods.push(pod("other", "Running"));
        assert!(pod_at(&objects, ip).is_none() && names(&objects).is_empty(), "two have it");
        objects.endpoints.push(EndpointSlice {
            meta: meta("EndpointSlice", "data", "bare-1"),
            service: "bare".into(),
            addresses: vec![(ip, true, "".into())],
            ..EndpointSlice::default()
        });
        assert_eq!(names(&objects), ["bare".into()]);
    }

    #[test]
    fn a_port_that_is_named_may_be_any() {
        let with = |target: &str| Service {
            ports: vec![Port { number: 80, target: target.into(), ..Port::default() }],
            ..Service::default()
        };
        assert!(may_list(&with(""), 80) && may_list(&with("8080"), 8080) && may_list(&with("http"), 9));
        assert!(!may_list(&with("8080"), 80));
    }

    #[test]
    fn the_nearest_sidecar_counts_and_hides_what_it_does_not_list() {
        let made = |namespace: &str, app: &str, hosts: &[&str]| Sidecar {
            meta: meta("Sidecar", namespace, "s"),
            selector: labels_of(app),
            egress_hosts: hosts.iter().map(|host| (*host).into()).collect(),
            ..Sidecar::default()
        };
        let pod =
            |app: &str| Pod { meta: Meta { labels: labels_of(app), ..meta("Pod", "shop", app) }, ..Pod::default() };
        let objects = Objects {
            sidecars: vec![
                made("istio-system", "", &["./*"]),
                made("shop", "", &["*/*"]),
                made("shop", "web", &["~/*"]),
            ],
            pods: vec![pod("web"), pod("x")],
            ..Objects::default()
        };
        let found = |namespace: &str, pod: &str| {
            let node = Node { namespace: namespace.into(), pod: pod.into(), ..Node::default() };
            let found = sidecar(&objects, &Proxy { node, ..Proxy::default() })?;
            Ok(found.map(|found| &*found.egress_hosts[0]))
        };
        assert_eq!(found("shop", "web"), Ok(Some("~/*")));
        assert_eq!(found("shop", "x"), Ok(Some("*/*")));
        assert_eq!(found("shop", "y"), Err(Undecided), "its labels decide");
        assert_eq!(found("other", "y"), Ok(Some("./*")));
        assert_eq!(found("", "web"), Err(Undecided));
        let hidden = |hosts: &[&str], namespace: &str| {
            hides(&made("x", "", hosts), namespace, "data", "db.data.svc.cluster.local")
        };
        assert!(!hidden(&["./*"], "data") && hidden(&["./*"], "shop"));
        assert!(!hidden(&["data/*"], "shop") && !hidden(&["*/db.data.svc.cluster.local"], "shop"));
        assert!(hidden(&["data/web.data.svc.cluster.local", "~/*"], "shop"));
        assert!(!hidden(&["*/*.svc.cluster.local"], "shop") && !hidden(&[], "shop"));
    }

    #[test]
    fn what_is_exported_nowhere_else_is_seen_at_home() {
        let exported = |to: &[&str], namespace: &str| {
            let export_to = to.iter().map(|to| (*to).into()).collect();
            is_exported(&Service { export_to, ..service("db", "db") }, namespace)
        };
        assert!(exported(&[], "shop") && exported(&["shop"], "shop"));
        assert!(exported(&["."], "data") && !exported(&["."], "shop"));
        assert!(!exported(&["~"], "data"));
    }
}
