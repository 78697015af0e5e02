//! Manifests done to a small mesh: two clients, of which one has the namespace of what catches port 5701 whole, and a
//! server. What comes of it is asked of the router.

use std::net::SocketAddr;

use super::Planned;
use crate::field::value::Micros;
use crate::mesh::objects::{
    DestinationRule, Meta, Objects, PeerAuthentication, Pod, Port, Resolution, Service, Sidecar,
};
use crate::mesh::{
    Chain, Cluster, Direction, DownstreamTls, Has, Inspector, LeftOut, Listener, Match, Mesh, Node, Prefix, Proxy,
    Route, RouteConfig, RouteTo, To, VirtualHost,
};
use crate::route::{Bytes, Question, Router, Sni};

const EXT: &str = "ext.app.svc.cluster.local";
const CAUGHT: &str = "outbound|5701||ext.app.svc.cluster.local";
const WEB: &str = "outbound|80||web.shop.svc.cluster.local";
const MEMBER: &str = "10.12.0.12:5701";

fn meta(kind: &str, namespace: &str, name: &str) -> Meta {
    Meta { kind: kind.into(), namespace: namespace.into(), name: name.into(), ..Meta::default() }
}

fn tcp(cluster: &str) -> To {
    To::Tcp(vec![(cluster.into(), 1)])
}

fn listener(name: &str, chains: Vec<Chain>) -> Listener {
    let (address, port) = name.rsplit_once('_').unwrap();
    Listener {
        name: name.into(),
        addresses: vec![SocketAddr::new(address.parse().unwrap(), port.parse().unwrap())],
        active: true,
        direction: Some(Direction::Outbound),
        chains,
        ..Listener::default()
    }
}

fn accepting(name: &str, port: u16, direction: Direction, chains: Vec<Chain>) -> Listener {
    Listener {
        name: name.into(),
        use_original_dst: direction == Direction::Outbound,
        bound: true,
        direction: Some(direction),
        tls_inspector: Inspector::ALWAYS,
        ..listener(&format!("0.0.0.0_{port}"), chains)
    }
}

fn proxy(pod: &str, namespace: &str, last: u8, rest: &str) -> Proxy {
    let all = |to: To| Chain { to, ..Chain::default() };
    let tls = Chain {
        takes: Match { port: Some(5701), transport: "tls".into(), ..Match::default() },
        tls: Some(DownstreamTls { requires_client_certificate: true }),
        ..all(tcp("inbound|5701||"))
    };
    let web = VirtualHost {
        name: "web".into(),
        domains: vec!["web.shop".into()],
        routes: vec![Route { to: RouteTo::Clusters(vec![(WEB.into(), 1)]), ..Route::default() }],
        ..VirtualHost::default()
    };
    let any = VirtualHost {
        name: "allow_any".into(),
        domains: vec!["*".into()],
        routes: vec![Route { to: RouteTo::Clusters(vec![(rest.into(), 1)]), ..Route::default() }],
        ..VirtualHost::default()
    };
    let kinds = [(CAUGHT, "STRICT_DNS"), (WEB, "EDS")];
    let cluster = |(name, kind): (&str, &str)| {
        (name.into(), Cluster { name: name.into(), kind: kind.into(), active: true, ..Cluster::default() })
    };
    Proxy {
        node: Node {
            pod: pod.into(),
            namespace: namespace.into(),
            addresses: vec![[10, 12, 0, last].into()],
            kind: "sidecar".into(),
            version: "1.20.3".into(),
            ..Node::default()
        },
        has: Has { listeners: true, clusters: true, routes: true, endpoints: true, only_table: false },
        listeners: vec![
            accepting("virtualOutbound", 15001, Direction::Outbound, vec![all(tcp(rest))]),
            accepting("virtualInbound", 15006, Direction::Inbound, vec![tls]),
            listener("0.0.0.0_5701", vec![all(tcp(CAUGHT))]),
            listener("0.0.0.0_80", vec![all(To::Rds("80".into()))]),
        ],
        clusters: kinds.map(cluster).into(),
        routes: [("80".into(), RouteConfig { name: "80".into(), hosts: vec![web, any], ..RouteConfig::default() })]
            .into(),
        ..Proxy::default()
    }
}

fn port(number: u16, name: &str, protocol: &str) -> Port {
    Port { number, name: name.into(), protocol: protocol.into(), ..Port::default() }
}

/// What catches port 5701: an ExternalName Service.
fn external(ports: Vec<Port>) -> Service {
    Service {
        meta: meta("Service", "app", "ext"),
        host: EXT.into(),
        external_name: "idle.example".into(),
        resolution: Resolution::Dns,
        ports,
        ..Service::default()
    }
}

/// The same as a ServiceEntry.
fn entry(protocol: &str, addresses: &[[u8; 4]]) -> Service {
    Service {
        meta: meta("ServiceEntry", "app", "ext"),
        host: EXT.into(),
        resolution: Resolution::Dns,
        addresses: addresses.iter().map(|address| Prefix { address: (*address).into(), length: 32 }).collect(),
        ports: vec![port(5701, "p", protocol)],
        ..Service::default()
    }
}

fn mesh(rest: &str) -> Mesh {
    let labels = |app: &str| [("app".into(), app.into())].into();
    let pod = |name: &str, namespace: &str, last: u8| Pod {
        meta: Meta { labels: labels(namespace), ..meta("Pod", namespace, name) },
        addresses: vec![[10, 12, 0, last].into()],
        ..Pod::default()
    };
    let web = Service {
        meta: meta("Service", "shop", "web"),
        host: "web.shop.svc.cluster.local".into(),
        addresses: vec![Prefix { address: [10, 0, 0, 80].into(), length: 32 }],
        ports: vec![port(80, "http", "TCP")],
        ..Service::default()
    };
    Mesh {
        proxies: vec![proxy("app-0", "app", 1, rest), proxy("manager-0", "manager", 2, rest)],
        objects: Objects {
            services: vec![external(vec![port(5701, "tcp", "TCP")]), web],
            pods: vec![pod("app-0", "app", 1), pod("manager-0", "manager", 2), pod("manager-1", "manager", 12)],
            ..Objects::default()
        },
        ..Mesh::default()
    }
}

fn services(services: Vec<Service>) -> Objects {
    Objects { services, ..Objects::default() }
}

fn planned(before: &Mesh, given: Objects) -> Planned {
    Planned::of(before, Mesh { objects: given, ..Mesh::default() })
}

/// Where the two clients' connections go.
fn sent(planned: &Planned, question: &Question<'_>) -> [String; 2] {
    let of = |place: usize| {
        let router = Router::new(&planned.mesh.proxies[place]);
        let ends: Vec<String> =
            router.answer(question).outcomes.iter().map(|outcome| outcome.end.word().to_owned()).collect();
        ends.join(" or ")
    };
    [of(0), of(1)]
}

fn to(planned: &Planned, address: &str) -> [String; 2] {
    sent(planned, &Question { bytes: Bytes::Tcp, sni: Sni::Absent, ..Question::outbound(address.parse().unwrap()) })
}

#[test]
fn a_port_that_is_taken_off_is_let_through_or_blocked_as_everything_unknown() {
    for rest in ["PassthroughCluster", "BlackHoleCluster"] {
        let mesh = mesh(rest);
        let planned = planned(&mesh, services(vec![external(vec![])]));
        assert_eq!(to(&planned, MEMBER), [rest, rest]);
        assert!(planned.from_manifests && planned.open.is_empty(), "{:?}", planned.open);
        assert_eq!(planned.changes.len(), 1);
        assert!(planned.changes[0].ends_with("to its port 5701 any more, at 2 proxies"), "{:?}", planned.changes);
    }
}

#[test]
fn of_udp_and_tcp_of_one_port_the_listener_is_that_of_tcp() {
    let dns = Service {
        meta: meta("Service", "shop", "web"),
        host: "web.shop.svc.cluster.local".into(),
        addresses: vec![Prefix { address: [10, 0, 0, 53].into(), length: 32 }],
        ports: vec![port(53, "dns-tcp", "TCP"), port(53, "dns", "UDP")],
        ..Service::default()
    };
    let planned = planned(&mesh("PassthroughCluster"), services(vec![dns]));
    let cluster = "outbound|53||web.shop.svc.cluster.local";
    assert_eq!(to(&planned, "10.0.0.53:53"), [cluster, cluster], "{:?} {:?}", planned.changes, planned.open);
}

#[test]
fn an_object_that_lists_another_host_lets_the_old_one_go() {
    let mut mesh = mesh("PassthroughCluster");
    let old = Service { meta: meta("ServiceEntry", "app", "ext"), ..entry("TCP", &[[10, 9, 9, 9]]) };
    mesh.objects.services = vec![old.clone()];
    let other = Service { host: "other.example.com".into(), ..old };
    let planned = planned(&mesh, services(vec![other]));
    assert!(planned.changes.iter().any(|change| change.contains("it lists another host")), "{:?}", planned.changes);
}

#[test]
fn the_oldest_policy_counts_and_one_that_is_made_now_is_the_youngest() {
    let policy = |name: &str, mode: &str, created| PeerAuthentication {
        meta: Meta { created, ..meta("PeerAuthentication", "manager", name) },
        mode: mode.into(),
        ..PeerAuthentication::default()
    };
    let mut mesh = mesh("PassthroughCluster");
    mesh.objects.peer_authentications = vec![policy("b", "STRICT", Some(Micros(1)))];
    let given = Objects { peer_authentications: vec![policy("a", "PERMISSIVE", None)], ..Objects::default() };
    let planned = planned(&mesh, given);
    let oldest = crate::mesh::policy::mode(&planned.mesh.objects, "manager", &std::collections::BTreeMap::new(), 80);
    assert_eq!(oldest, "STRICT");
}

#[test]
fn what_is_applied_again_changes_nothing() {
    let mesh = mesh("PassthroughCluster");
    let web = mesh.objects.services[1].clone();
    let planned = planned(&mesh, services(vec![external(vec![port(5701, "tcp", "TCP")]), web]));
    assert_eq!(to(&planned, MEMBER), [CAUGHT, CAUGHT]);
    assert_eq!((planned.changes.len(), planned.open.len()), (0, 0), "{planned:?}");
}

#[test]
fn a_service_that_waits_for_the_port_leaves_it_open() {
    let mut mesh = mesh("PassthroughCluster");
    let other = "outbound|5701||other.example";
    let waiting = Cluster { name: other.into(), kind: "STRICT_DNS".into(), active: true, ..Cluster::default() };
    mesh.proxies[0].clusters.insert(other.into(), waiting);
    let open = planned(&mesh, services(vec![external(vec![])]));
    assert_eq!(to(&open, MEMBER), [CAUGHT, "PassthroughCluster"]);
    assert!(open.open[0].contains(other), "{:?}", open.open);
    let sidecar = Sidecar { meta: meta("Sidecar", "app", "default"), ..Sidecar::default() };
    let sidecar = Sidecar { egress_hosts: vec!["shop/*".into()], ..sidecar };
    let hidden = planned(&mesh, Objects { sidecars: vec![sidecar], ..Objects::default() });
    assert_eq!(to(&hidden, MEMBER)[0], CAUGHT);
    assert!(hidden.open.iter().any(|open| open.contains(other)), "{:?}", hidden.open);
}

#[test]
fn export_to_keeps_it_at_home() {
    let hidden = Service { export_to: vec![".".into()], ..external(vec![port(5701, "tcp", "TCP")]) };
    let planned = planned(&mesh("PassthroughCluster"), services(vec![hidden]));
    assert_eq!(to(&planned, MEMBER), [CAUGHT, "PassthroughCluster"]);
    assert!(planned.changes[0].contains("it is hidden") && planned.changes[0].ends_with("at manager-0.manager"));
}

#[test]
fn addresses_and_tls_leave_the_rest_of_the_port_alone() {
    let mesh = mesh("PassthroughCluster");
    let bound = planned(&mesh, services(vec![entry("TCP", &[[192, 0, 2, 7]])]));
    assert_eq!(to(&bound, MEMBER), ["PassthroughCluster", "PassthroughCluster"]);
    assert_eq!(to(&bound, "192.0.2.7:5701"), [CAUGHT, CAUGHT]);
    let by_name = planned(&mesh, services(vec![entry("TLS", &[])]));
    assert_eq!(to(&by_name, MEMBER), ["PassthroughCluster", "PassthroughCluster"]);
    let hello = Question {
        bytes: Bytes::Tls(None),
        sni: Sni::Name(EXT.into()),
        ..Question::outbound(MEMBER.parse::<SocketAddr>().unwrap())
    };
    assert_eq!(sent(&by_name, &hello), [CAUGHT, CAUGHT]);
}

#[test]
fn a_headless_service_gives_each_pod_a_listener_but_not_to_itself() {
    let members = Service {
        meta: meta("Service", "manager", "members"),
        host: "members.manager.svc.cluster.local".into(),
        headless: true,
        resolution: Resolution::Passthrough,
        ports: vec![port(5701, "tcp-members", "TCP")],
        selector: [("app".into(), "manager".into())].into(),
        ..Service::default()
    };
    let mut mesh = mesh("PassthroughCluster");
    let cluster = "outbound|5701||members.manager.svc.cluster.local";
    let known = planned(&mesh, services(vec![members.clone()]));
    assert_eq!(to(&known, MEMBER), [cluster, cluster]);
    assert_eq!(to(&known, "10.12.0.2:5701"), [cluster, CAUGHT], "manager-0 has this address itself");
    let own = "Service members in namespace manager: what its own pods take in on port 5702 then is not worked out";
    assert_eq!(known.open, [""; 0]);
    let more = Service { ports: vec![port(5702, "tcp-more", "TCP")], ..members.clone() };
    assert_eq!(planned(&mesh, services(vec![more])).open, [own]);
    mesh.objects.pods.clear();
    let unknown = planned(&mesh, services(vec![members]));
    assert_eq!(to(&unknown, MEMBER), [CAUGHT, CAUGHT]);
    assert!(unknown.open[0].contains("no pod is known"), "{:?}", unknown.open);
}

#[test]
fn a_new_entry_without_addresses_catches_its_port_and_http_is_left_open() {
    let new = |protocol: &str| Service {
        meta: meta("ServiceEntry", "db", "db"),
        host: "db.example".into(),
        ports: vec![port(3306, "db", protocol)],
        ..entry(protocol, &[])
    };
    let mesh = mesh("PassthroughCluster");
    let caught = planned(&mesh, services(vec![new("TCP")]));
    assert_eq!(to(&caught, "192.0.2.9:3306"), ["outbound|3306||db.example", "outbound|3306||db.example"]);
    let open = planned(&mesh, services(vec![new("HTTP")]));
    assert_eq!(to(&open, "192.0.2.9:3306"), ["PassthroughCluster", "PassthroughCluster"]);
    assert!(open.open[0].contains("only istiod can make"), "{:?}", open.open);
}

#[test]
fn an_http_port_that_becomes_tcp_has_its_own_listener() {
    let mesh = mesh("PassthroughCluster");
    let web = Service { ports: vec![port(80, "tcp", "TCP")], addresses: vec![], ..mesh.objects.services[1].clone() };
    let planned = planned(&mesh, services(vec![web]));
    assert_eq!(to(&planned, "10.0.0.80:80"), [WEB, WEB], "with the address that it had");
    let hosts = &planned.mesh.proxies[0].routes["80"].hosts;
    assert_eq!(hosts.iter().map(|host| &*host.name).collect::<Vec<_>>(), ["allow_any"]);
}

#[test]
fn a_sidecar_hides_what_it_does_not_list() {
    let sidecar = |hosts: &[&str]| Sidecar {
        meta: meta("Sidecar", "manager", "default"),
        egress_hosts: hosts.iter().map(|host| (*host).into()).collect(),
        ..Sidecar::default()
    };
    let given = Objects { sidecars: vec![sidecar(&["./*", "shop/*"])], ..Objects::default() };
    let planned = planned(&mesh("PassthroughCluster"), given);
    assert_eq!(to(&planned, MEMBER), [CAUGHT, "PassthroughCluster"]);
    assert_eq!(planned.mesh.proxies[1].routes["80"].hosts.len(), 2, "shop is listed");
    assert_eq!(planned.changes.len(), 1, "{:?}", planned.changes);
    let bound = Sidecar { binds_egress: true, ..sidecar(&["./*"]) };
    let open = super::Planned::of(
        &mesh("PassthroughCluster"),
        Mesh { objects: Objects { sidecars: vec![bound], ..Objects::default() }, ..Mesh::default() },
    );
    assert_eq!(to(&open, MEMBER), [CAUGHT, CAUGHT]);
    assert!(open.open[0].contains("egress listeners with a port"), "{:?}", open.open);
}

#[test]
fn a_sidecar_that_lists_more_shows_what_is_sure() {
    let mut mesh = mesh("PassthroughCluster");
    let db = Service {
        meta: meta("Service", "data", "db"),
        host: "db.data.svc.cluster.local".into(),
        addresses: vec![Prefix { address: [10, 0, 0, 90].into(), length: 32 }],
        ports: vec![port(5432, "tcp", "TCP"), port(80, "http", "TCP")],
        ..Service::default()
    };
    mesh.objects.services.push(db);
    let sidecar = |hosts: &[&str]| Sidecar {
        meta: meta("Sidecar", "manager", "default"),
        egress_hosts: hosts.iter().map(|host| (*host).into()).collect(),
        ..Sidecar::default()
    };
    mesh.objects.sidecars.push(sidecar(&["app/*", "shop/*"]));
    let given = Objects { sidecars: vec![sidecar(&["app/*", "shop/*", "data/*"])], ..Objects::default() };
    let planned = planned(&mesh, given);
    assert_eq!(to(&planned, "10.0.0.90:5432")[1], "outbound|5432||db.data.svc.cluster.local");
    assert!(planned.open.iter().any(|open| open.contains("port 80: HTTP")), "{:?}", planned.open);
}

#[test]
fn a_peer_authentication_opens_and_closes_a_port_to_plaintext() {
    let policy = |mode: &str, ports: &[(u16, &str)]| PeerAuthentication {
        meta: meta("PeerAuthentication", "manager", "members"),
        selector: [("app".into(), "manager".into())].into(),
        mode: mode.into(),
        ports: ports.iter().map(|(port, mode)| (*port, (*mode).into())).collect(),
    };
    let given = |policy| Objects { peer_authentications: vec![policy], ..Objects::default() };
    let plain = |planned: &Planned| {
        let inbound = Question::inbound(MEMBER.parse::<SocketAddr>().unwrap());
        sent(planned, &Question { bytes: Bytes::Tcp, sni: Sni::Absent, ..inbound })
    };
    let mut mesh = mesh("PassthroughCluster");
    let open = planned(&mesh, given(policy("STRICT", &[(5701, "PERMISSIVE")])));
    let [other, selected] = plain(&open);
    assert_eq!(selected, "inbound|5701||");
    assert_ne!(other, selected, "its pod is not selected");
    assert_eq!(open.changes.len(), 1, "{:?}", open.changes);
    mesh.proxies.clone_from(&open.mesh.proxies);
    let closed = planned(&mesh, given(policy("STRICT", &[])));
    assert_ne!(plain(&closed)[1], "inbound|5701||");
}

#[test]
fn what_is_not_followed_is_said() {
    let given = Objects {
        others: vec![meta("VirtualService", "app", "v")],
        destination_rules: vec![DestinationRule {
            meta: meta("DestinationRule", "app", "d"),
            ..DestinationRule::default()
        }],
        services: vec![Service { meta: meta("Service", "", "x"), ..external(vec![]) }],
        ..Objects::default()
    };
    let mut mesh = mesh("PassthroughCluster");
    let planned = planned(&mesh, given.clone());
    assert_eq!(planned.open.len(), 3, "{:?}", planned.open);
    assert_eq!(to(&planned, MEMBER), [CAUGHT, CAUGHT]);
    mesh.proxies[0].node.kind = "router".into();
    let unread =
        LeftOut { file: "f.yaml".into(), place: "".into(), why: "Deployments are not used".into(), wrong: false };
    let more = Planned::of(&mesh, Mesh { objects: given, left_out: vec![unread], ..Mesh::default() });
    assert_eq!(more.open.len(), 5, "{:?}", more.open);
}

#[test]
fn dumps_are_taken_as_they_are() {
    let after = Planned::of(&mesh("PassthroughCluster"), mesh("BlackHoleCluster"));
    assert!(!after.from_manifests && after.changes.is_empty());
    assert_eq!(to(&after, "192.0.2.9:9"), ["BlackHoleCluster", "BlackHoleCluster"]);
}
