//! TCP services on one port number, of which some are dialled pod by pod.

use std::collections::BTreeSet;

use super::check;
use super::finding::{Finding, Place};
use super::view::{Lint, by_port};
use crate::claims::list;
use crate::finding::Grade;
use crate::mesh::objects::{Objects, Port, Service};
use crate::mesh::policy::pods;

check! {
    /// ## What it finds
    /// A port number on which two or more services take TCP, where pods of one of them look as if they dial each other by
    /// address and no headless Service lists the port: pods of a StatefulSet, or pods that have a headless Service without
    /// that port.
    ///
    /// ## When it is silent
    /// Ports that are caught already: see `catch-all`. HTTP and TLS ports. Services whose pods have a headless Service that
    /// lists the port: each pod has a listener of its own.
    ///
    /// ## How sure
    /// Suspect: a hazard, and whether the pods dial each other only a log says.
    ///
    /// ## Why it matters
    /// TCP is told apart by address and port alone. The day one of the services, or a new one, has no address, its listener
    /// takes all of these calls.
    ///
    /// ## Example
    /// `manager.manager` and `app.app` both on 5701; the managers are a StatefulSet, and form a Hazelcast cluster.
    ///
    /// ## What to do
    /// Give the pods a headless Service that lists the port, or each service a port number of its own.
    ///
    /// ## Source
    /// Istio documentation, Traffic Routing; the advice of "Understanding Istio and TCP services" (Tetrate).
    "L306", "shared-port", Info, "TCP services share a port number on which pods may dial each other by address"
}

/// A label that only pods of StatefulSets have. Source: Kubernetes documentation, StatefulSets.
const ORDINAL: &str = "statefulset.kubernetes.io/pod-name";

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let objects = &lint.mesh.objects;
    let by_port = by_port(objects.services.iter());
    let caught: BTreeSet<u16> = lint.catches.iter().map(|catch| catch.address.port()).collect();
    for (port, services) in by_port.iter().filter(|(port, _)| !caught.contains(port)) {
        let open: Vec<&Service> = services.iter().copied().filter(|service| is_open(objects, service, *port)).collect();
        let hosts: BTreeSet<&str> = services.iter().map(|service| &*service.host).collect();
        if open.is_empty() || are_the_same_pods(services) || hosts.len() < 2 {
            continue;
        }
        let mut finding = Finding::new(&META, Grade::Suspect, format!("port {port}"));
        finding.why = format!(
            "{} take TCP on it, and the pods of {} have no headless Service that lists it: if they dial each other by address, \
             a service without an address on that port would take these calls",
            list(hosts.into_iter().map(str::to_owned)),
            list(open.iter().map(|service| service.host.to_string()))
        );
        finding.fix = format!(
            "give these pods a headless Service that lists port {port}, or give each TCP service a port number of its own"
        );
        finding.places =
            services.iter().map(|service| Place::of_object(&service.meta, format!("port {port}"))).collect();
        found.push(finding);
    }
}

/// Whether pods of a service may be dialled one by one on a port without a listener for each.
fn is_open(objects: &Objects, service: &Service, port: u16) -> bool {
    let behind = |port: &Port| if port.target.is_empty() { Some(port.number) } else { port.target.parse().ok() };
    if service.headless || !service.ports.iter().any(|own| own.number == port && behind(own) == Some(port)) {
        return false;
    }
    let own = pods(objects, service);
    let names = |service: &Service| -> BTreeSet<&str> {
        pods(objects, service).into_iter().map(|pod| &*pod.meta.name).collect()
    };
    let (mine, mut ordered) = (names(service), own.iter().any(|pod| pod.meta.labels.contains_key(ORDINAL)));
    for other in objects.services.iter().filter(|other| other.headless && !names(other).is_disjoint(&mine)) {
        if other.ports.iter().any(|listed| listed.number == port) {
            return false;
        }
        ordered = true;
    }
    ordered
}

/// Services of one namespace with one selector are one thing under several names.
fn are_the_same_pods(services: &[&Service]) -> bool {
    let key = |service: &Service| (service.meta.namespace.clone(), service.selector.clone());
    let keys: BTreeSet<_> = services.iter().map(|service| key(service)).collect();
    keys.len() == 1 && keys.first().is_some_and(|(_, selector)| !selector.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::Mesh;
    use crate::mesh::objects::{Meta, Pod};

    fn service(name: &str, headless: bool, number: u16) -> Service {
        let app = name.trim_end_matches("-members");
        Service {
            meta: Meta { kind: "Service".into(), namespace: app.into(), name: name.into(), ..Meta::default() },
            host: format!("{name}.{app}.svc.cluster.local").into(),
            headless,
            selector: [("app".into(), app.into())].into(),
            ports: vec![Port { number, name: "tcp".into(), protocol: "TCP".into(), ..Port::default() }],
            ..Service::default()
        }
    }

    fn told(services: Vec<Service>) -> bool {
        let labels = [("app".into(), "manager".into()), (ORDINAL.into(), "manager-0".into())].into();
        let meta = Meta { namespace: "manager".into(), name: "manager-0".into(), labels, ..Meta::default() };
        let pods = vec![Pod { meta, ..Pod::default() }];
        let objects = Objects { services, pods, ..Objects::default() };
        lint(&Mesh { objects, ..Mesh::default() }).findings.iter().any(|finding| finding.code == META.code)
    }

    #[test]
    fn a_port_of_two_with_ordered_pods_and_no_listener_for_each_is_a_hazard() {
        assert!(told(vec![service("manager", false, 5701), service("app", false, 5701)]));
    }

    #[test]
    fn a_headless_service_that_lists_the_port_or_a_port_of_its_own_is_none() {
        let members = service("manager-members", true, 5701);
        assert!(!told(vec![service("manager", false, 5701), service("app", false, 5701), members]));
        assert!(!told(vec![service("manager", false, 5701), service("app", false, 5702)]));
        assert!(!told(vec![service("other", false, 5701), service("app", false, 5701)]), "nothing says so");
    }
}
