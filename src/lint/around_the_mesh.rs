//! Addresses of services that a proxy has reached through `PassthroughCluster`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::check;
use super::finding::{Finding, Place, called};
use super::view::{Lint, place};
use crate::claims::list;
use crate::finding::Grade;
use crate::mesh::objects::Service;
use crate::mesh::scope;
use crate::mesh::{Address, Proxy};
use crate::route::{Question, Router};

check! {
    /// ## What it finds
    /// Addresses among the endpoints of a proxy's `PassthroughCluster`, which are those that it sent to lately, that belong
    /// to a service of the mesh: its own address, or one of its pods; and why no listener of the proxy has them: a Sidecar
    /// or exportTo hides the service, its Service does not list the port, or pods are dialled by their addresses.
    ///
    /// ## When it is silent
    /// Dumps without `/clusters`. Addresses that nobody here knows, and those which a listener has by now.
    ///
    /// ## How sure
    /// Proven: the proxy says whom it sent to. How often, and when, only a log says.
    ///
    /// ## Why it matters
    /// These connections have no mTLS, no policy and no service name; a server that turns STRICT refuses them, and a
    /// listener that catches the whole port takes them. `istioctl analyze` does not look at it.
    ///
    /// ## Example
    /// Members of a cluster that dial `10.12.1.6:5701`, a pod of `manager.manager`, whose Service has an address of its own.
    ///
    /// ## What to do
    /// List the host in the Sidecar or the namespace in exportTo; list the port in the Service; or give pods that are
    /// dialled one by one a headless Service that lists the port.
    ///
    /// ## Source
    /// Envoy documentation, original destination clusters; istio #49391, #54539, #22220.
    "L312", "around-the-mesh", Warning, "a proxy reaches a service of the mesh through PassthroughCluster"
}

/// Where connections go that no listener takes.
const PASSTHROUGH: &str = "PassthroughCluster";

/// Why no listener of a proxy has an address, and what helps.
type Why = (String, &'static str);

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    /// The reasons, the addresses, and who sent there.
    type Cause = (BTreeSet<Why>, BTreeSet<SocketAddr>, Vec<Place>);
    let mut causes: BTreeMap<(String, u16), Cause> = BTreeMap::new();
    let owners: BTreeMap<SocketAddr, &str> =
        lint.endpoints.values().flatten().rev().map(|(host, at)| (*at, &**host)).collect();
    for router in lint.routers.iter().filter(|router| router.proxy.has.listeners) {
        let sent = router.proxy.endpoints.get(PASSTHROUGH).into_iter().flatten();
        let sent = sent.filter_map(|endpoint| if let Address::Ip(at) = endpoint.address { Some(at) } else { None });
        for at in sent.filter(|at| goes_around(router, *at)) {
            let Some((host, why)) = reason(lint, &owners, router.proxy, at) else { continue };
            let (reasons, addresses, places) = causes.entry((host, at.port())).or_default();
            reasons.insert(why);
            addresses.insert(at);
            places.push(place(router.proxy, format!("cluster {PASSTHROUGH}, endpoint {at}")));
        }
    }
    for ((host, port), (reasons, addresses, places)) in causes {
        let mut finding = Finding::new(&META, Grade::Proven, format!("{host} on port {port}"));
        let callers: BTreeSet<&String> = places.iter().map(|place| &place.whose).collect();
        finding.why = format!(
            "{} sent to {} through PassthroughCluster, without mTLS and policy: {}",
            list(callers.into_iter().cloned()),
            list(addresses.iter().map(ToString::to_string)),
            list(reasons.iter().map(|(why, _)| why.clone()))
        );
        let fixes: BTreeSet<&str> = reasons.iter().map(|(_, fix)| *fix).collect();
        finding.fix = fixes.into_iter().collect::<Vec<_>>().join("; ");
        finding.places = places;
        found.push(finding);
    }
}

/// Whether the proxy would send to it the same way today.
fn goes_around(router: &Router<'_>, at: SocketAddr) -> bool {
    router.answer(&Question::outbound(at)).clusters().contains(&PASSTHROUGH)
}

/// Whose an address is, and why no listener has it; none if it is nobody's here.
fn reason(
    lint: &Lint<'_>,
    owners: &BTreeMap<SocketAddr, &str>,
    proxy: &Proxy,
    at: SocketAddr,
) -> Option<(String, Why)> {
    let services = || lint.mesh.objects.services.iter();
    let is_own = |service: &&Service| {
        let whole = if at.is_ipv4() { 32 } else { 128 };
        service.addresses.iter().any(|own| own.length == whole && own.address == at.ip())
    };
    if let Some(service) = services().find(is_own) {
        let listed = service.ports.iter().any(|port| port.number == at.port());
        let unlisted = || ("its Service does not list the port".to_owned(), "list the port in the Service");
        let why = hidden(lint, proxy, service).or_else(|| (!listed).then(unlisted));
        let unknown =
            || ("no listener of the proxy has its address".to_owned(), "see whether istiod reaches the proxy");
        return Some((service.host.to_string(), why.unwrap_or_else(unknown)));
    }
    let host = *owners.get(&at)?;
    let why = services().find(|service| *service.host == *host).and_then(|service| hidden(lint, proxy, service));
    let dialled = || {
        (
            "its pods are dialled by their addresses, and no listener has those".to_owned(),
            "give the pods a headless Service that lists the port, or call the service by its name",
        )
    };
    Some((host.to_owned(), why.unwrap_or_else(dialled)))
}

/// What keeps a service from a proxy, if objects say so.
fn hidden(lint: &Lint<'_>, proxy: &Proxy, service: &Service) -> Option<Why> {
    if proxy.node.namespace.is_empty() {
        return None;
    }
    if !scope::is_exported(service, &proxy.node.namespace) {
        let why = format!("its exportTo leaves out namespace {}", proxy.node.namespace);
        return Some((why, "export it to the namespaces of its callers"));
    }
    let sidecar = scope::sidecar(&lint.mesh.objects, proxy).ok().flatten()?;
    let hides = scope::hides(sidecar, &proxy.node.namespace, &service.meta.namespace, &service.host);
    hides.then(|| (format!("{} does not list it", called(&sidecar.meta)), "list it among the Sidecar's egress hosts"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::objects::{Meta, Objects, Port, Sidecar};
    use crate::mesh::{Chain, Direction, Endpoint, Has, Listener, Mesh, Node, Prefix, To};

    fn endpoint(at: &str) -> Endpoint {
        Endpoint {
            address: Address::Ip(at.parse().unwrap()),
            healthy: true,
            state: "".into(),
            tls_mode: "".into(),
            workload: ("".into(), "".into()),
            connect_failures: None,
        }
    }

    /// A proxy that sent to these addresses, and knows one pod of `db`.
    fn mesh(sent: &[&str], ports: &[u16]) -> Mesh {
        let chain = Chain { to: To::Tcp(vec![(PASSTHROUGH.into(), 1)]), ..Chain::default() };
        let proxy = Proxy {
            node: Node { pod: "web-0".into(), namespace: "shop".into(), ..Node::default() },
            has: Has { listeners: true, endpoints: true, ..Has::default() },
            listeners: vec![Listener {
                name: "virtualOutbound".into(),
                use_original_dst: true,
                active: true,
                bound: true,
                direction: Some(Direction::Outbound),
                addresses: vec!["0.0.0.0:15001".parse().unwrap()],
                chains: vec![chain],
                ..Listener::default()
            }],
            endpoints: [
                (PASSTHROUGH.into(), sent.iter().map(|at| endpoint(at)).collect()),
                ("outbound|5432||db.data.svc.cluster.local".into(), vec![endpoint("10.1.0.4:5432")]),
            ]
            .into(),
            ..Proxy::default()
        };
        let service = Service {
            meta: Meta { kind: "Service".into(), namespace: "data".into(), name: "db".into(), ..Meta::default() },
            host: "db.data.svc.cluster.local".into(),
            addresses: vec![Prefix { address: [10, 96, 0, 9].into(), length: 32 }],
            ports: ports.iter().map(|number| Port { number: *number, ..Port::default() }).collect(),
            ..Service::default()
        };
        Mesh {
            proxies: vec![proxy],
            objects: Objects { services: vec![service], ..Objects::default() },
            ..Mesh::default()
        }
    }

    fn told(mesh: &Mesh) -> Vec<Finding> {
        lint(mesh).findings.into_iter().filter(|finding| finding.code == META.code).collect()
    }

    #[test]
    fn each_reason_is_told() {
        let only = |mesh: &Mesh| told(mesh).remove(0).why;
        assert!(only(&mesh(&["10.1.0.4:5432"], &[5432])).contains("dialled by their addresses"));
        assert!(only(&mesh(&["10.96.0.9:9187"], &[5432])).contains("does not list the port"));
        let mut hidden = mesh(&["10.96.0.9:5432"], &[5432]);
        assert!(only(&hidden).contains("no listener of the proxy"));
        hidden.objects.sidecars.push(Sidecar {
            meta: Meta { kind: "Sidecar".into(), namespace: "shop".into(), name: "narrow".into(), ..Meta::default() },
            egress_hosts: vec!["./*".into()],
            ..Sidecar::default()
        });
        assert!(only(&hidden).contains("Sidecar narrow in namespace shop does not list it"), "{}", only(&hidden));
        hidden.objects.services[0].export_to = vec![".".into()];
        assert!(only(&hidden).contains("exportTo leaves out namespace shop"), "{}", only(&hidden));
    }

    #[test]
    fn addresses_of_nobody_and_those_that_a_listener_has_by_now_are_left_alone() {
        assert!(told(&mesh(&["203.0.113.7:443", "10.1.0.4:80"], &[5432])).is_empty());
        let mut bound = mesh(&["10.96.0.9:5432"], &[5432]);
        let chain = Chain { to: To::Tcp(vec![("outbound|5432||db".into(), 1)]), ..Chain::default() };
        bound.proxies[0].listeners.push(Listener {
            active: true,
            addresses: vec!["10.96.0.9:5432".parse().unwrap()],
            chains: vec![chain],
            ..Listener::default()
        });
        assert!(told(&bound).is_empty());
    }
}
