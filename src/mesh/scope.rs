//! Whose an address is by the cluster's objects, which Services list a port of it, and what a Sidecar lets a proxy know.
//! Where objects leave it open there is no answer: what is built on these is told to people as certain.
//!
//! Sources: Istio documentation, Sidecar; `pilot/pkg/model/sidecar.go`.

use std::collections::BTreeMap;
use std::net::IpAddr;

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

/// The Sidecar of a proxy: the one that selects its pod, else its namespace's, else the mesh's. None if there is none, or if
/// the pod's labels decide and nobody knows them.
pub fn sidecar<'o>(
    objects: &'o Objects,
    namespace: &str,
    labels: Option<&BTreeMap<Box<str>, Box<str>>>,
) -> Option<&'o Sidecar> {
    let own = objects.sidecars.iter().filter(|sidecar| *sidecar.meta.namespace == *namespace);
    let (wide, selecting): (Vec<&Sidecar>, Vec<&Sidecar>) = own.partition(|sidecar| sidecar.selector.is_empty());
    match labels {
        None if !selecting.is_empty() => return None,
        Some(labels) => {
            if let Some(found) = selecting.into_iter().find(|sidecar| selects(&sidecar.selector, labels)) {
                return Some(found);
            }
        }
        None => {}
    }
    let root =
        || objects.sidecars.iter().find(|sidecar| &*sidecar.meta.namespace == ROOT && sidecar.selector.is_empty());
    wide.first().copied().or_else(root)
}

/// Whether a Sidecar keeps a service from the proxies of this namespace: no egress listener has its host.
pub fn hides(sidecar: &Sidecar, namespace: &str, service: &Service) -> bool {
    let hosts = &sidecar.egress_hosts;
    let has = |host: &str| {
        let Some((scope, name)) = host.split_once('/') else { return true };
        let home = match scope {
            "*" => true,
            "." => *service.meta.namespace == *namespace,
            scope => scope == &*service.meta.namespace,
        };
        let named = match name.strip_prefix('*') {
            Some(suffix) => service.host.ends_with(suffix),
            None => name == &*service.host,
        };
        home && named
    };
    !hosts.is_empty() && !hosts.iter().any(|host| has(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::objects::{EndpointSlice, Meta};

    fn labels(app: &str) -> BTreeMap<Box<str>, Box<str>> {
        if app.is_empty() { BTreeMap::new() } else { [("app".into(), app.into())].into() }
    }

    fn meta(kind: &str, namespace: &str, name: &str) -> Meta {
        Meta { kind: kind.into(), namespace: namespace.into(), name: name.into(), ..Meta::default() }
    }

    fn pod(name: &str, phase: &str) -> Pod {
        Pod {
            meta: Meta { labels: labels("db"), ..meta("Pod", "data", name) },
            addresses: vec![[10, 0, 0, 5].into()],
            phase: phase.into(),
            ..Pod::default()
        }
    }

    fn service(name: &str, app: &str) -> Service {
        let host = format!("{name}.data.svc.cluster.local").into();
        Service { meta: meta("Service", "data", name), host, selector: labels(app), ..Service::default() }
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
            selector: labels(app),
            egress_hosts: hosts.iter().map(|host| (*host).into()).collect(),
            ..Sidecar::default()
        };
        let objects = Objects {
            sidecars: vec![
                made("istio-system", "", &["./*"]),
                made("shop", "", &["*/*"]),
                made("shop", "web", &["~/*"]),
            ],
            ..Objects::default()
        };
        let found = |namespace: &str, app: Option<&str>| {
            let labels = app.map(labels);
            sidecar(&objects, namespace, labels.as_ref()).map(|found| found.egress_hosts[0].clone())
        };
        assert_eq!(found("shop", Some("web")).as_deref(), Some("~/*"));
        assert_eq!(found("shop", Some("x")).as_deref(), Some("*/*"));
        assert_eq!(found("shop", None), None, "the labels decide");
        assert_eq!(found("other", None).as_deref(), Some("./*"));
        let db = service("db", "db");
        let hidden = |hosts: &[&str], namespace: &str| hides(&made("x", "", hosts), namespace, &db);
        assert!(!hidden(&["./*"], "data") && hidden(&["./*"], "shop"));
        assert!(!hidden(&["data/*"], "shop") && !hidden(&["*/db.data.svc.cluster.local"], "shop"));
        assert!(hidden(&["data/web.data.svc.cluster.local", "~/*"], "shop"));
        assert!(!hidden(&["*/*.svc.cluster.local"], "shop") && !hidden(&[], "shop"));
    }
}
