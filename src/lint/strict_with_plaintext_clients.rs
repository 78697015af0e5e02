//! Servers that ask for mTLS, and clients that are told to speak plaintext to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::check;
use super::finding::{Finding, Place, called};
use super::view::{Lint, place, used};
use crate::claims::list;
use crate::cluster::{self, Cluster};
use crate::finding::Grade;
use crate::mesh::objects::{DestinationRule, Service};
use crate::mesh::policy::{mode, pods, rule_for};
use crate::mesh::{Address, Direction};
use crate::route::{self, Bytes, End, Question, Router, Sni, Tls, Version};

check! {
    /// ## What it finds
    /// In dumps: a client's cluster that speaks plaintext to an endpoint whose own proxy, of which there is a dump too,
    /// refuses plaintext. In objects: a DestinationRule with `tls.mode: DISABLE` for a Service with pods in the mesh for
    /// which PeerAuthentications say STRICT.
    ///
    /// ## When it is silent
    /// Where only one of the two sides was given. `PassthroughCluster`, which speaks plaintext to everybody. TLS of subsets
    /// and of single ports in a DestinationRule.
    ///
    /// ## How sure
    /// Proven by dumps, likely by objects.
    ///
    /// ## Why it matters
    /// The server has no filter chain for such connections and closes them: `NR filter_chain_not_found` there, a reset or an
    /// empty answer here.
    ///
    /// ## Example
    /// A DestinationRule with DISABLE from the time before the namespace was made STRICT.
    ///
    /// ## What to do
    /// Take the TLS setting out of the DestinationRule, or make it ISTIO_MUTUAL.
    ///
    /// ## Source
    /// Istio documentation, PeerAuthentication, and Network Issues (503 after setting a DestinationRule); istio #6279.
    "L311", "strict-with-plaintext-clients", Error, "clients are told to speak plaintext to servers that refuse it"
}

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let shown = in_dumps(lint, found);
    for service in lint.mesh.objects.services.iter().filter(|service| !shown.contains(&*service.host)) {
        let rule = rule_for(&lint.mesh.objects, &service.host).filter(|rule| &*rule.tls_mode == "DISABLE");
        found.extend(rule.and_then(|rule| in_objects(lint, rule, service)));
    }
}

/// One cluster that is refused.
#[derive(Default)]
struct Cause {
    servers: BTreeSet<String>,
    rule: String,
    places: Vec<Place>,
}

/// The hosts that it finds.
fn in_dumps(lint: &Lint<'_>, found: &mut Vec<Finding>) -> BTreeSet<String> {
    let servers: BTreeMap<IpAddr, &Router<'_>> = lint
        .routers
        .iter()
        .filter(|router| {
            router.proxy.listeners.iter().any(|listener| listener.active && &*listener.name == "virtualInbound")
        })
        .flat_map(|router| router.proxy.node.addresses.iter().map(move |address| (*address, router)))
        .collect();
    let mut causes: BTreeMap<&str, Cause> = BTreeMap::new();
    for router in &lint.routers {
        let used = used(router.proxy);
        for (name, endpoint) in route::every_endpoint(router.proxy) {
            let is_service = cluster::Direction::of(name.as_bytes()) == cluster::Direction::Outbound;
            let (true, Address::Ip(at), Some(part)) = (is_service, &endpoint.address, used.get(name)) else { continue };
            let Some(server) = servers.get(&at.ip()) else { continue };
            if router.tls(name, Some(*at)) != Tls::Plain || !refuses_plaintext(server, *at) {
                continue;
            }
            let cause = causes.entry(name).or_default();
            cause.servers.insert(format!("{} ({at})", route::pod(server.proxy)));
            cause.rule = router.proxy.clusters.get(name).map(|config| config.made_by.to_string()).unwrap_or_default();
            let place = place(router.proxy, part.clone());
            if !cause.places.contains(&place) {
                cause.places.push(place);
            }
        }
    }
    let mut hosts = BTreeSet::new();
    for (name, cause) in causes {
        let mut finding = Finding::new(&META, Grade::Proven, name);
        let rule = if cause.rule.is_empty() { String::new() } else { format!(" (shaped by {})", cause.rule) };
        finding.why = format!(
            "the cluster speaks plaintext{rule}, and the proxies of {} have no filter chain for plaintext on that port: they \
             refuse every connection",
            list(cause.servers)
        );
        finding.fix = FIX.into();
        finding.places = cause.places;
        found.push(finding);
        hosts.insert(String::from_utf8_lossy(Cluster::read(name.as_bytes()).host).into_owned());
    }
    hosts
}

const FIX: &str = "take the TLS setting out of the DestinationRule, so that proxies choose mTLS by themselves, or make it \
                   ISTIO_MUTUAL";

/// Whether a server's proxy has no chain for plaintext, whatever it holds.
fn refuses_plaintext(server: &Router<'_>, at: SocketAddr) -> bool {
    let asked = |bytes| Question { direction: Direction::Inbound, bytes, sni: Sni::Absent, ..Question::inbound(at) };
    [Bytes::Tcp, Bytes::Http(Version::Http11)].into_iter().all(|bytes| {
        let answer = server.answer(&asked(bytes));
        answer.outcomes.iter().all(|outcome| matches!(outcome.end, End::NoChain | End::NotTls))
    })
}

fn in_objects(lint: &Lint<'_>, rule: &DestinationRule, service: &Service) -> Option<Finding> {
    let objects = &lint.mesh.objects;
    let meshed: Vec<_> = pods(objects, service).into_iter().filter(|pod| pod.meshed == Some(true)).collect();
    let strict = |number: &u16| {
        meshed.iter().any(|pod| mode(objects, &service.meta.namespace, &pod.meta.labels, *number) == "STRICT")
    };
    let target = |port: &crate::mesh::objects::Port| {
        if port.target.is_empty() { Some(port.number) } else { port.target.parse().ok() }
    };
    let ports: BTreeSet<u16> = service.ports.iter().filter_map(target).filter(strict).collect();
    if ports.is_empty() {
        return None;
    }
    let mut finding = Finding::new(&META, Grade::Likely, called(&service.meta));
    finding.why = format!(
        "{} tells clients to speak plaintext (DISABLE) to {}, and PeerAuthentications ask for mTLS (STRICT) on port {} of its \
         pods: they refuse every such connection",
        called(&rule.meta),
        service.host,
        list(ports.iter().map(ToString::to_string))
    );
    finding.fix = FIX.into();
    finding.places =
        vec![Place::of_object(&rule.meta, "trafficPolicy.tls"), Place::of_object(&service.meta, String::new())];
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::objects::{Meta, Objects, PeerAuthentication, Pod, Port};
    use crate::mesh::{Chain, Endpoint, Inspector, Listener, Match, Mesh, Node, Proxy, To};

    fn told(mesh: &Mesh) -> Option<Finding> {
        lint(mesh).findings.into_iter().find(|finding| finding.code == META.code)
    }

    fn objects(tls_mode: &str, mtls: &str) -> Mesh {
        let meta = |kind: &str| Meta {
            kind: kind.into(),
            namespace: "data".into(),
            name: "db".into(),
            labels: [("app".into(), "db".into())].into(),
            ..Meta::default()
        };
        let service = Service {
            meta: meta("Service"),
            host: "db.data.svc.cluster.local".into(),
            selector: [("app".into(), "db".into())].into(),
            ports: vec![Port { number: 6379, ..Port::default() }],
            ..Service::default()
        };
        let rule = DestinationRule {
            meta: meta("DestinationRule"),
            host: "db".into(),
            tls_mode: tls_mode.into(),
            ..DestinationRule::default()
        };
        let objects = Objects {
            services: vec![service],
            pods: vec![Pod { meta: meta("Pod"), meshed: Some(true), ..Pod::default() }],
            destination_rules: vec![rule],
            peer_authentications: vec![PeerAuthentication {
                meta: Meta { namespace: "istio-system".into(), ..Meta::default() },
                mode: mtls.into(),
                ..PeerAuthentication::default()
            }],
            ..Objects::default()
        };
        Mesh { objects, ..Mesh::default() }
    }

    #[test]
    fn disable_here_and_strict_there_do_not_go_together() {
        let found = told(&objects("DISABLE", "STRICT")).unwrap();
        assert!(found.why.contains("DestinationRule db in namespace data"), "{}", found.why);
        assert!(told(&objects("DISABLE", "PERMISSIVE")).is_none());
        assert!(told(&objects("ISTIO_MUTUAL", "STRICT")).is_none());
        assert!(told(&objects("", "STRICT")).is_none());
    }

    /// A client without TLS, and a server that takes what `transport` says.
    fn dumps(transport: &str) -> Mesh {
        let listener = |name: &str, address: &str, chain: Chain| Listener {
            name: name.into(),
            addresses: vec![address.parse().unwrap()],
            active: true,
            bound: true,
            tls_inspector: Inspector::ALWAYS,
            chains: vec![chain],
            ..Listener::default()
        };
        let to = |cluster: &str| To::Tcp(vec![(cluster.into(), 1)]);
        let takes = Match { transport: transport.into(), ..Match::default() };
        let server = Proxy {
            node: Node { pod: "db-0".into(), addresses: vec![[10, 0, 0, 5].into()], ..Node::default() },
            listeners: vec![listener(
                "virtualInbound",
                "0.0.0.0:15006",
                Chain { takes, to: to("inbound|6379||"), ..Chain::default() },
            )],
            ..Proxy::default()
        };
        let name: Box<str> = "outbound|6379||db.data.svc.cluster.local".into();
        let endpoint = Endpoint {
            address: Address::Ip("10.0.0.5:6379".parse().unwrap()),
            healthy: true,
            state: "".into(),
            tls_mode: "".into(),
            workload: ("".into(), "".into()),
            connect_failures: None,
        };
        let client = Proxy {
            node: Node { pod: "web-0".into(), ..Node::default() },
            listeners: vec![listener("10.1.0.9_6379", "10.1.0.9:6379", Chain { to: to(&name), ..Chain::default() })],
            clusters: [(name.clone(), crate::mesh::Cluster { kind: "EDS".into(), active: true, ..Default::default() })]
                .into(),
            endpoints: [(name, vec![endpoint])].into(),
            ..Proxy::default()
        };
        Mesh { proxies: vec![server, client], ..Mesh::default() }
    }

    #[test]
    fn a_server_that_only_takes_tls_refuses_a_plaintext_cluster() {
        let found = told(&dumps("tls")).unwrap();
        assert!(found.grade == Grade::Proven && found.why.contains("db-0 (10.0.0.5:6379)"), "{}", found.why);
        assert!(told(&dumps("")).is_none());
        assert!(told(&dumps("raw_buffer")).is_none());
    }
}
