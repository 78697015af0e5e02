//! Services that lead to one port of the same pods and call it by different protocols.

use std::collections::BTreeSet;

use super::check;
use super::finding::{Finding, Place, called};
use super::view::Lint;
use crate::finding::Grade;
use crate::mesh::objects::{Objects, Port, Service};
use crate::mesh::policy::pods;
use crate::mesh::protocol::Speaks;

check! {
    /// ## What it finds
    /// Two Services that select the same pods and lead to the same port of them, of which one says HTTP and the other says
    /// TCP or TLS.
    ///
    /// ## When it is silent
    /// Ports that do not say a protocol. Selectors that differ, unless a pod is known that both select. Target ports of which
    /// one is a name and the other a number.
    ///
    /// ## How sure
    /// Likely: the pods' proxies have one protocol for the port, the older Service's. Suspect if the objects do not say when
    /// they were made.
    ///
    /// ## Why it matters
    /// Callers of the one speak TCP where the server's proxy reads HTTP (`400 DPE`), or their requests are not seen as
    /// such: no routes, no retries, no metrics.
    ///
    /// ## Example
    /// `web` with `http-web` 8080 and `web-raw` with `tcp-web` 8080, both for `app: web`.
    ///
    /// ## What to do
    /// Let the names of the ports (or their `appProtocol`) agree.
    ///
    /// ## Source
    /// Istio `pilot/pkg/networking/core/listener_inbound.go` (`pilot_conflict_inbound_listener`); `istioctl analyze` IST0116,
    /// IST0137; istio #36434, #32954.
    "L314", "two-protocols", Warning, "two Services call one port of the same pods by different protocols"
}

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let objects = &lint.mesh.objects;
    let with_pods = |service: &&Service| &*service.meta.kind == "Service" && !service.selector.is_empty();
    let mut services: Vec<&Service> = objects.services.iter().filter(with_pods).collect();
    services.sort_by_key(|service| (service.meta.created, &service.meta.namespace, &service.meta.name));
    for (place, older) in services.iter().enumerate() {
        // A Service that two sources tell of is one.
        let apart = |other: &&&Service| other.meta.namespace == older.meta.namespace && other.host != older.host;
        let others = services[place + 1..].iter().filter(apart);
        for younger in others {
            let clash = clashes(older, younger);
            if let Some((one, other)) = clash.filter(|_| share_pods(objects, older, younger)) {
                found.push(finding(older, younger, one, other));
            }
        }
    }
}

/// A port of the pods to which both lead by different protocols, as each lists it.
fn clashes<'s>(one: &'s Service, other: &'s Service) -> Option<(&'s Port, &'s Port)> {
    let pairs = one.ports.iter().flat_map(|port| other.ports.iter().map(move |listed| (port, listed)));
    let differ = |a: Speaks, b: Speaks| a == Speaks::Http && matches!(b, Speaks::Tcp | Speaks::Tls);
    pairs.into_iter().find(|(port, listed)| {
        let (a, b) = (Speaks::of(one, port), Speaks::of(other, listed));
        target(port) == target(listed) && (differ(a, b) || differ(b, a))
    })
}

/// The port of the pods, by number or name.
fn target(port: &Port) -> String {
    if port.target.is_empty() { port.number.to_string() } else { port.target.to_string() }
}

fn share_pods(objects: &Objects, one: &Service, other: &Service) -> bool {
    let names = |service: &Service| -> BTreeSet<&str> {
        pods(objects, service).into_iter().map(|pod| &*pod.meta.name).collect()
    };
    one.selector == other.selector || !names(one).is_disjoint(&names(other))
}

fn finding(older: &Service, younger: &Service, one: &Port, other: &Port) -> Finding {
    let dated = older.meta.created.is_some() && younger.meta.created.is_some();
    let mut finding = Finding::new(&META, if dated { Grade::Likely } else { Grade::Suspect }, called(&younger.meta));
    let says = |service: &Service, port: &Port| {
        let name = if port.name.is_empty() { String::new() } else { format!(" ({})", port.name) };
        format!("{} says {}{name}", service.host, Speaks::of(service, port).name())
    };
    let counts =
        if dated { format!("that of {}, which is older", older.host) } else { "that of the older one".to_owned() };
    finding.why = format!(
        "{} and {} of port {} of the same pods: their proxies go by one protocol, {counts}",
        says(older, one),
        says(younger, other),
        target(one)
    );
    finding.fix = "let the names of the two ports, or their appProtocol, say the same".into();
    let part = |port: &Port| format!("port {}", port.number);
    finding.places = vec![Place::of_object(&older.meta, part(one)), Place::of_object(&younger.meta, part(other))];
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::value::Micros;
    use crate::lint::lint;
    use crate::mesh::Mesh;
    use crate::mesh::objects::{Meta, Pod};

    fn service(name: &str, port: &str, target: &str, app: &str, created: i64) -> Service {
        Service {
            meta: Meta {
                kind: "Service".into(),
                namespace: "shop".into(),
                name: name.into(),
                created: Some(Micros(created)).filter(|at| at.0 > 0),
                ..Meta::default()
            },
            host: format!("{name}.shop.svc.cluster.local").into(),
            selector: [("app".into(), app.into())].into(),
            ports: vec![Port {
                number: 8080,
                name: port.into(),
                protocol: "TCP".into(),
                target: target.into(),
                ..Port::default()
            }],
            ..Service::default()
        }
    }

    fn told(services: Vec<Service>, pods: Vec<Pod>) -> Vec<Finding> {
        let objects = Objects { services, pods, ..Objects::default() };
        let report = lint(&Mesh { objects, ..Mesh::default() });
        report.findings.into_iter().filter(|finding| finding.code == META.code).collect()
    }

    #[test]
    fn the_younger_one_is_told_that_the_older_one_counts() {
        let both = vec![service("a", "tcp-web", "", "web", 2), service("b", "http-web", "8080", "web", 1)];
        let found = told(both, Vec::new());
        assert_eq!((&*found[0].subject, found[0].grade), ("Service a in namespace shop", Grade::Likely));
        assert!(found[0].why.contains("b.shop.svc.cluster.local, which is older"), "{}", found[0].why);
        let undated = vec![service("a", "tcp-web", "", "web", 0), service("b", "http-web", "8080", "web", 1)];
        assert_eq!(told(undated, Vec::new())[0].grade, Grade::Suspect);
    }

    #[test]
    fn other_pods_other_ports_or_no_word_are_no_clash() {
        let http = || service("b", "http-web", "", "web", 1);
        assert!(told(vec![service("a", "tcp-web", "", "other", 2), http()], Vec::new()).is_empty());
        assert!(told(vec![service("a", "tcp-web", "9090", "web", 2), http()], Vec::new()).is_empty());
        assert!(told(vec![service("a", "web", "", "web", 2), http()], Vec::new()).is_empty());
    }

    #[test]
    fn a_pod_that_both_select_is_enough() {
        let mut wide = service("a", "tcp-web", "", "web", 2);
        wide.selector = [("tier".into(), "front".into())].into();
        let labels = [("app".into(), "web".into()), ("tier".into(), "front".into())].into();
        let meta = Meta { namespace: "shop".into(), name: "web-0".into(), labels, ..Meta::default() };
        let pods = vec![Pod { meta, ..Pod::default() }];
        assert_eq!(told(vec![wide, service("b", "http-web", "", "web", 1)], pods).len(), 1);
    }
}
