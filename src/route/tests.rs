//! The rules of Envoy and the traps in them, each on a small configuration made by hand; and the quick way through the
//! chains against a slow one.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::*;
use crate::mesh::objects::{Meta, Service};
use crate::mesh::{
    Address, Chain, Cluster, Direction, DownstreamTls, Endpoint, Inspector, Listener, Match, Mesh, Prefix, Proxy,
    Refused, Route, RouteConfig, RouteTo, SourceType, TlsMatch, To, UpstreamTls, VirtualHost,
};

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap_or((text, "32"));
    Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
}

fn texts(values: &[&str]) -> Vec<Box<str>> {
    values.iter().map(|value| (*value).into()).collect()
}

fn tcp(cluster: &str, takes: Match) -> Chain {
    Chain { name: cluster.into(), takes, to: To::Tcp(vec![(cluster.into(), 1)]), ..Chain::default() }
}

fn listener(name: &str, address: &str, chains: Vec<Chain>) -> Listener {
    Listener {
        name: name.into(),
        addresses: vec![address.parse().unwrap()],
        active: true,
        chains,
        direction: Some(Direction::Outbound),
        ..Listener::default()
    }
}

fn virtual_outbound() -> Listener {
    Listener {
        use_original_dst: true,
        bound: true,
        ..listener(
            "virtualOutbound",
            "0.0.0.0:15001",
            vec![
                tcp("BlackHoleCluster", Match { port: Some(15001), ..Match::default() }),
                tcp("PassthroughCluster", Match::default()),
            ],
        )
    }
}

fn virtual_inbound(chains: Vec<Chain>) -> Listener {
    Listener {
        bound: true,
        direction: Some(Direction::Inbound),
        tls_inspector: Inspector::ALWAYS,
        http_inspector: Inspector::ALWAYS,
        ..listener("virtualInbound", "0.0.0.0:15006", chains)
    }
}

fn proxy(listeners: Vec<Listener>) -> Proxy {
    let mut proxy = Proxy { listeners, ..Proxy::default() };
    proxy.has.listeners = true;
    proxy.node.pod = "web-0".into();
    proxy.node.namespace = "shop".into();
    proxy
}

fn out(to: &str, bytes: Bytes<'static>) -> Question<'static> {
    Question { bytes, sni: Sni::Absent, ..Question::outbound(to.parse().unwrap()) }
}

fn into(to: &str, bytes: Bytes<'static>) -> Question<'static> {
    Question { direction: Direction::Inbound, ..out(to, bytes) }
}

fn tls(sni: &str, alpn: &[&'static str]) -> (Sni<'static>, Bytes<'static>) {
    let offers = alpn.iter().map(|one| (*one).into()).collect();
    let sni = if sni.is_empty() { Sni::Absent } else { Sni::Name(sni.to_owned().into()) };
    (sni, Bytes::Tls(Some(offers)))
}

/// Listener and ends, as a person would say them.
fn goes(proxy: &Proxy, question: &Question<'_>) -> String {
    let router = Router::new(proxy);
    let answer = router.answer(question);
    let known = Known::default();
    let walk = router.walk(question, &known);
    let said: Vec<&str> = walk.branches.iter().flat_map(|branch| &branch.goes).map(|goes| goes.says.as_str()).collect();
    let mut ends: Vec<String> = Vec::new();
    for outcome in &answer.outcomes {
        let end = match outcome.end {
            End::Cluster { name, .. } => name.to_owned(),
            other => format!("{other:?}"),
        };
        assert!(said.iter().any(|said| *said == super::words::said(outcome.end).1), "{end} is not explained: {said:?}");
        if !ends.contains(&end) {
            ends.push(end);
        }
    }
    let listener = answer.landing.map_or("-", |landing| &*proxy.listeners[landing.listener].name);
    assert_eq!(walk.listener.as_ref().map_or("-", |step| &step.name), listener);
    assert_eq!(walk.certain, answer.certain().is_some() && !answer.is_open());
    format!("{listener} {}", ends.join(" | "))
}

#[test]
fn an_exact_address_comes_before_the_wildcard_of_its_family_and_then_the_accepting_listener_keeps_it() {
    let proxy = proxy(vec![
        virtual_outbound(),
        listener("10.0.0.1_5701", "10.0.0.1:5701", vec![tcp("outbound|5701||vip", Match::default())]),
        listener("0.0.0.0_5701", "0.0.0.0:5701", vec![tcp("outbound|5701||catcher", Match::default())]),
        listener("[fd00::1]_5701", "[fd00::1]:5701", vec![tcp("outbound|5701||six", Match::default())]),
    ]);
    for (to, expected) in [
        ("10.0.0.1:5701", "10.0.0.1_5701 outbound|5701||vip"),
        ("10.9.9.9:5701", "0.0.0.0_5701 outbound|5701||catcher"),
        ("10.0.0.1:5702", "virtualOutbound PassthroughCluster"),
        ("[fd00::1]:5701", "[fd00::1]_5701 outbound|5701||six"),
        // The wildcard of the other family does not count.
        ("[fd00::2]:5701", "virtualOutbound PassthroughCluster"),
        // IPv4 in IPv6 is IPv4.
        ("[::ffff:10.0.0.1]:5701", "10.0.0.1_5701 outbound|5701||vip"),
        ("10.9.9.9:15001", "virtualOutbound BlackHoleCluster"),
    ] {
        assert_eq!(goes(&proxy, &out(to, Bytes::Tcp)), expected, "{to}");
    }
}

#[test]
fn only_active_listeners_count_and_each_of_their_addresses_does() {
    let mut warming = listener("0.0.0.0_80", "0.0.0.0:80", vec![tcp("outbound|80||late", Match::default())]);
    warming.active = false;
    let mut dual = listener("10.0.0.1_80", "10.0.0.1:80", vec![tcp("outbound|80||dual", Match::default())]);
    dual.addresses.push("[fd00::1]:80".parse().unwrap());
    let proxy = proxy(vec![virtual_outbound(), warming, dual]);
    assert_eq!(goes(&proxy, &out("10.0.0.2:80", Bytes::Tcp)), "virtualOutbound PassthroughCluster");
    assert_eq!(goes(&proxy, &out("[fd00::1]:80", Bytes::Tcp)), "10.0.0.1_80 outbound|80||dual");
    let walk = Router::new(&proxy).walk(&out("10.0.0.2:80", Bytes::Tcp), &Known::default());
    assert_eq!(walk.tried[1].found, "only 0.0.0.0_80, which is not active");
}

#[test]
fn an_ipv6_wildcard_that_answers_for_ipv4_stands_back_behind_one_of_ipv4() {
    let mut six = listener("[::]_80", "[::]:80", vec![tcp("outbound|80||six", Match::default())]);
    six.ipv4_compat = true;
    let four = listener("0.0.0.0_80", "0.0.0.0:80", vec![tcp("outbound|80||four", Match::default())]);
    let alone = proxy(vec![virtual_outbound(), six.clone()]);
    assert_eq!(goes(&alone, &out("10.0.0.1:80", Bytes::Tcp)), "[::]_80 outbound|80||six");
    let both = proxy(vec![virtual_outbound(), six.clone(), four]);
    assert_eq!(goes(&both, &out("10.0.0.1:80", Bytes::Tcp)), "0.0.0.0_80 outbound|80||four");
    six.ipv4_compat = false;
    let neither = proxy(vec![virtual_outbound(), six]);
    assert_eq!(goes(&neither, &out("10.0.0.1:80", Bytes::Tcp)), "virtualOutbound PassthroughCluster");
}

#[test]
fn a_listener_that_is_handed_to_hands_on_no_more() {
    let mut second = listener("0.0.0.0_80", "0.0.0.0:80", vec![tcp("outbound|80||second", Match::default())]);
    second.use_original_dst = true;
    let exact = listener("10.0.0.1_81", "10.0.0.1:81", vec![tcp("outbound|81||third", Match::default())]);
    let proxy = proxy(vec![virtual_outbound(), second, exact]);
    assert_eq!(goes(&proxy, &out("10.0.0.1:80", Bytes::Tcp)), "0.0.0.0_80 outbound|80||second");
}

#[test]
fn the_first_release_has_one_listener_for_both_directions_and_one_a_pod_port() {
    let mut both = listener("virtual", "0.0.0.0:15001", vec![tcp("BlackHoleCluster", Match::default())]);
    (both.use_original_dst, both.direction, both.bound) = (true, None, true);
    let inbound = listener("10.12.0.11_5701", "10.12.0.11:5701", vec![tcp("inbound|5701|tcp|m", Match::default())]);
    let proxy = proxy(vec![both, inbound]);
    assert_eq!(goes(&proxy, &into("10.12.0.11:5701", Bytes::Tcp)), "10.12.0.11_5701 inbound|5701|tcp|m");
    assert_eq!(goes(&proxy, &out("10.12.0.12:5701", Bytes::Tcp)), "virtual BlackHoleCluster");
}

#[test]
fn where_nothing_is_redirected_a_listener_answers_that_is_bound_to_the_port() {
    let mut https = listener("0.0.0.0_8443", "0.0.0.0:8443", vec![tcp("outbound|443||web", Match::default())]);
    https.bound = true;
    let unbound = listener("0.0.0.0_9000", "0.0.0.0:9000", vec![tcp("outbound|9000||db", Match::default())]);
    let gateway = proxy(vec![https, unbound]);
    assert_eq!(goes(&gateway, &into("10.0.0.1:8443", Bytes::Tcp)), "0.0.0.0_8443 outbound|443||web");
    assert_eq!(goes(&gateway, &out("10.0.0.1:8443", Bytes::Tcp)), "0.0.0.0_8443 outbound|443||web");
    assert_eq!(goes(&gateway, &into("10.0.0.1:9000", Bytes::Tcp)), "- NoListener");
    assert_eq!(goes(&Proxy::default(), &out("10.0.0.1:80", Bytes::Tcp)), "- Open(NoListeners)");
}

#[test]
fn static_listeners_take_what_the_pod_dials_on_their_port_elsewhere_too() {
    let mut health = listener("health", "0.0.0.0:15021", vec![tcp("agent", Match::default())]);
    (health.bound, health.direction) = (true, None);
    let proxy = proxy(vec![virtual_outbound(), virtual_inbound(Vec::new()), health]);
    assert_eq!(goes(&proxy, &out("10.0.0.9:15021", Bytes::Tcp)), "health agent");
    assert_eq!(goes(&proxy, &into("10.0.0.1:15021", Bytes::Tcp)), "health agent");
    assert_eq!(goes(&proxy, &into("10.0.0.1:15022", Bytes::Tcp)), "virtualInbound NoChain");
}

#[test]
fn there_is_no_way_back_from_a_more_specific_value() {
    let mut with_port = Match { port: Some(80), ..Match::default() };
    with_port.application_protocols = texts(&["http/1.1"]);
    let mut inbound = virtual_inbound(vec![tcp("http", with_port), tcp("everything", Match::default())]);
    let one = proxy(vec![inbound.clone()]);
    assert_eq!(goes(&one, &into("10.0.0.1:81", Bytes::Tcp)), "virtualInbound everything");
    assert_eq!(goes(&one, &into("10.0.0.1:80", Bytes::Http(Version::Http11))), "virtualInbound http");
    // The port is named by a chain that asks for more: the one for everything is gone.
    assert_eq!(goes(&one, &into("10.0.0.1:80", Bytes::Tcp)), "virtualInbound NoChain");
    inbound.default_chain = Some(tcp("default", Match::default()));
    assert_eq!(goes(&proxy(vec![inbound]), &into("10.0.0.1:80", Bytes::Tcp)), "virtualInbound default");
}

#[test]
fn an_address_outranks_what_is_asked_behind_it() {
    let http = Match { application_protocols: texts(&["http/1.1", "h2c"]), ..Match::default() };
    let address = Match { prefixes: vec![prefix("10.0.0.1")], ..Match::default() };
    let mut wild = listener("0.0.0.0_80", "0.0.0.0:80", vec![tcp("http", http), tcp("tcp", address)]);
    wild.http_inspector = Inspector::ALWAYS;
    let proxy = proxy(vec![virtual_outbound(), wild]);
    assert_eq!(goes(&proxy, &out("10.0.0.2:80", Bytes::Http(Version::Http11))), "0.0.0.0_80 http");
    assert_eq!(goes(&proxy, &out("10.0.0.1:80", Bytes::Http(Version::Http11))), "0.0.0.0_80 tcp");
}

#[test]
fn the_narrowest_range_wins_and_everything_is_the_same_as_no_range() {
    let ranges =
        |texts: &[&str]| Match { prefixes: texts.iter().map(|text| prefix(text)).collect(), ..Match::default() };
    let mut explicit = ranges(&["0.0.0.0/0"]);
    explicit.transport = "raw_buffer".into();
    let chains = vec![
        tcp("own", ranges(&["10.12.0.11"])),
        tcp("range", ranges(&["10.12.0.0/16"])),
        tcp("written", explicit),
        tcp("none", Match { transport: "tls".into(), ..Match::default() }),
    ];
    let mut wild = listener("0.0.0.0_80", "0.0.0.0:80", chains);
    wild.tls_inspector = Inspector::ALWAYS;
    let proxy = proxy(vec![virtual_outbound(), wild]);
    for (to, bytes, expected) in [
        ("10.12.0.11:80", Bytes::Tcp, "own"),
        ("10.12.0.12:80", Bytes::Tcp, "range"),
        ("10.13.0.12:80", Bytes::Tcp, "written"),
        ("10.13.0.12:80", Bytes::Tls(Some(Vec::new())), "none"),
    ] {
        assert_eq!(goes(&proxy, &out(to, bytes)), format!("0.0.0.0_80 {expected}"), "{to}");
    }
}

#[test]
fn server_names_are_exact_then_the_longest_wildcard_then_none() {
    let name = |name: &str| Match { server_names: texts(&[name]), ..Match::default() };
    let chains = vec![
        tcp("short", name("*.example.com")),
        tcp("long", name("*.eu.example.com")),
        tcp("exact", name("www.eu.example.com")),
        tcp("rest", Match::default()),
    ];
    let mut wild = listener("0.0.0.0_443", "0.0.0.0:443", chains);
    wild.tls_inspector = Inspector::ALWAYS;
    let mut proxy = proxy(vec![virtual_outbound(), wild]);
    let ask = |proxy: &Proxy, sni: &str| {
        let (sni, bytes) = tls(sni, &[]);
        goes(proxy, &Question { sni, ..out("10.0.0.1:443", bytes) })
    };
    for (sni, expected) in [
        ("WWW.eu.example.com", "exact"),
        ("api.eu.example.com", "long"),
        ("a.b.example.com", "short"),
        ("example.com", "rest"),
        ("example.org", "rest"),
        ("", "rest"),
    ] {
        assert_eq!(ask(&proxy, sni), format!("0.0.0.0_443 {expected}"), "{sni}");
    }
    // Without the inspector nobody sees a name.
    proxy.listeners[1].tls_inspector = Inspector::Absent;
    assert_eq!(ask(&proxy, "www.eu.example.com"), "0.0.0.0_443 rest");
    // What is not known is tried.
    proxy.listeners[1].tls_inspector = Inspector::ALWAYS;
    let open = goes(&proxy, &Question::outbound("10.0.0.1:443".parse().unwrap()));
    assert_eq!(open, "0.0.0.0_443 rest | long | short | exact");
}

#[test]
fn the_clients_order_of_protocols_decides() {
    let offer = |name: &str| Match { application_protocols: texts(&[name]), ..Match::default() };
    let chains = vec![tcp("h2", offer("h2")), tcp("h1", offer("http/1.1")), tcp("rest", Match::default())];
    let proxy = proxy(vec![virtual_inbound(chains)]);
    for (offers, expected) in [
        (&["http/1.1", "h2"][..], "h1"),
        (&["spdy", "h2", "http/1.1"][..], "h2"),
        (&["spdy"][..], "rest"),
        (&[][..], "rest"),
    ] {
        let (sni, bytes) = tls("", offers);
        assert_eq!(goes(&proxy, &Question { sni, ..into("10.0.0.1:80", bytes) }), format!("virtualInbound {expected}"));
    }
}

#[test]
fn inspectors_can_be_off_for_some_ports_and_the_end_of_a_range_is_not_part_of_it() {
    let chains = vec![
        tcp("tls", Match { transport: "tls".into(), ..Match::default() }),
        tcp("raw", Match { transport: "raw_buffer".into(), ..Match::default() }),
    ];
    let mut inbound = virtual_inbound(chains);
    inbound.tls_inspector = Inspector::ExceptPorts(vec![(3306, 3307)]);
    let proxy = proxy(vec![inbound]);
    let hello = || Bytes::Tls(Some(Vec::new()));
    assert_eq!(goes(&proxy, &into("10.0.0.1:3306", hello())), "virtualInbound raw");
    assert_eq!(goes(&proxy, &into("10.0.0.1:3307", hello())), "virtualInbound tls");
}

#[test]
fn http_is_only_told_where_its_inspector_is_and_http_1_0_by_its_own_name() {
    let http = Match {
        application_protocols: texts(&["http/1.1", "h2c"]),
        transport: "raw_buffer".into(),
        ..Match::default()
    };
    let mut vip = listener("10.0.0.1_80", "10.0.0.1:80", vec![tcp("http", http)]);
    vip.default_chain = Some(tcp("rest", Match::default()));
    vip.http_inspector = Inspector::ALWAYS;
    vip.tls_inspector = Inspector::ALWAYS;
    let mut proxy = proxy(vec![virtual_outbound(), vip]);
    for (bytes, expected) in [
        (Bytes::Http(Version::Http11), "http"),
        (Bytes::Http(Version::Http2), "http"),
        (Bytes::Http(Version::Http10), "rest"),
        (Bytes::Tcp, "rest"),
        (Bytes::Tls(None), "rest"),
    ] {
        assert_eq!(goes(&proxy, &out("10.0.0.1:80", bytes.clone())), format!("10.0.0.1_80 {expected}"), "{bytes:?}");
    }
    assert_eq!(goes(&proxy, &Question::outbound("10.0.0.1:80".parse().unwrap())), "10.0.0.1_80 rest | http");
    proxy.listeners[1].http_inspector = Inspector::Absent;
    assert_eq!(goes(&proxy, &out("10.0.0.1:80", Bytes::Http(Version::Http11))), "10.0.0.1_80 rest");
    assert_eq!(goes(&proxy, &Question::outbound("10.0.0.1:80".parse().unwrap())), "10.0.0.1_80 rest");
}

/// The chains that Istio makes for a port, by its mTLS mode.
fn port(strict: bool) -> Vec<Chain> {
    let mesh = Match {
        port: Some(80),
        transport: "tls".into(),
        application_protocols: texts(&["istio", "istio-peer-exchange", "istio-http/1.1", "istio-h2"]),
        ..Match::default()
    };
    let mut tls = tcp("inbound|80||", mesh);
    tls.tls = Some(DownstreamTls { requires_client_certificate: true });
    let raw = Match { port: Some(80), transport: "raw_buffer".into(), ..Match::default() };
    let mut chains = vec![tls];
    if !strict {
        chains.push(tcp("inbound|80||", raw));
    }
    chains
}

#[test]
fn strict_refuses_plaintext_and_permissive_refuses_the_applications_own_tls() {
    let (strict, permissive) = (proxy(vec![virtual_inbound(port(true))]), proxy(vec![virtual_inbound(port(false))]));
    for (bytes, of_strict, of_permissive) in [
        (Bytes::Mtls, "inbound|80||", "inbound|80||"),
        (Bytes::Tcp, "NoChain", "inbound|80||"),
        (Bytes::Tls(Some(Vec::new())), "NoChain", "NoChain"),
    ] {
        let question = into("10.0.0.1:80", bytes);
        assert_eq!(goes(&strict, &question), format!("virtualInbound {of_strict}"));
        assert_eq!(goes(&permissive, &question), format!("virtualInbound {of_permissive}"));
    }
    // A sidecar's server name says that it is mTLS.
    let sni = Sni::Name("outbound_.80_._.web.shop.svc.cluster.local".into());
    let question = Question { sni, ..Question::inbound("10.0.0.1:80".parse().unwrap()) };
    assert_eq!(goes(&strict, &question), "virtualInbound inbound|80||");
}

#[test]
fn a_chain_that_ends_tls_or_reads_http_takes_nothing_else() {
    let mut ends = tcp("inbound|80||", Match::default());
    ends.tls = Some(DownstreamTls::default());
    let http = Chain { to: To::Rds("80".into()), ..tcp("http", Match::default()) };
    let at = |chain| proxy(vec![virtual_inbound(vec![chain])]);
    assert_eq!(goes(&at(ends), &into("10.0.0.1:80", Bytes::Tcp)), "virtualInbound NotTls");
    assert_eq!(goes(&at(http.clone()), &into("10.0.0.1:80", Bytes::Tcp)), "virtualInbound NotHttp");
    let (sni, bytes) = tls("", &[]);
    assert_eq!(goes(&at(http), &Question { sni, ..into("10.0.0.1:80", bytes) }), "virtualInbound NotHttp");
    let closed = Chain { to: To::Nowhere, ..Chain::default() };
    assert_eq!(goes(&at(closed), &into("10.0.0.1:80", Bytes::Tcp)), "virtualInbound Closed");
}

#[test]
fn sources_decide_where_chains_ask_for_them_and_all_are_tried_where_none_is_known() {
    let from = |text: &str| Match { source_prefixes: vec![prefix(text)], ..Match::default() };
    let local = Match { source_type: SourceType::SameIpOrLoopback, ..Match::default() };
    let chains = vec![tcp("node", from("10.1.0.0/16")), tcp("local", local), tcp("rest", Match::default())];
    let proxy = proxy(vec![virtual_inbound(chains)]);
    let ask = |from: Option<&str>| {
        let from = from.map(|from| from.parse::<SocketAddr>().unwrap());
        goes(&proxy, &Question { from, ..into("10.0.0.1:80", Bytes::Tcp) })
    };
    assert_eq!(ask(Some("10.1.2.3:40000")), "virtualInbound node");
    assert_eq!(ask(Some("10.2.2.3:40000")), "virtualInbound rest");
    assert_eq!(ask(Some("127.0.0.1:40000")), "virtualInbound local");
    assert_eq!(ask(Some("10.0.0.1:40000")), "virtualInbound local");
    assert_eq!(ask(None), "virtualInbound node | local | rest");
    let mut replay = Replay::new(&proxy);
    let asked = Question { from: Some("10.1.2.3:4".parse().unwrap()), ..into("10.0.0.1:80", Bytes::Tcp) };
    assert_eq!(replay.ask(&asked).cluster(), Some("node"));
}

#[test]
fn direct_sources_and_source_ports_are_steps_of_their_own() {
    let direct = Match { direct_source_prefixes: vec![prefix("10.1.0.0/16")], ..Match::default() };
    let ported = Match { source_ports: vec![4000], ..direct.clone() };
    let proxy = proxy(vec![virtual_inbound(vec![tcp("ported", ported), tcp("rest", Match::default())])]);
    let ask = |from: &str| goes(&proxy, &Question { from: from.parse().ok(), ..into("10.0.0.1:80", Bytes::Tcp) });
    assert_eq!(ask("10.1.0.1:4000"), "virtualInbound ported");
    // The direct source is somebody's, so the chain for everybody is gone.
    assert_eq!(ask("10.1.0.1:4001"), "virtualInbound NoChain");
    assert_eq!(ask("10.2.0.1:4001"), "virtualInbound rest");
}

fn route_config(hosts: &[(&str, RouteTo)]) -> RouteConfig {
    let host = |(domain, to): &(&str, RouteTo)| VirtualHost {
        name: (*domain).into(),
        domains: vec![(*domain).into()],
        routes: vec![Route { to: to.clone(), ..Route::default() }],
        ..VirtualHost::default()
    };
    RouteConfig { name: "80".into(), hosts: hosts.iter().map(host).collect(), ..RouteConfig::default() }
}

fn to_cluster(name: &str) -> RouteTo {
    RouteTo::Clusters(vec![(name.into(), 1)])
}

#[test]
fn http_goes_by_its_host_whatever_the_address() {
    let http = Chain { to: To::Rds("80".into()), ..Chain::default() };
    let mut proxy = proxy(vec![virtual_outbound(), listener("0.0.0.0_80", "0.0.0.0:80", vec![http])]);
    let ask = |proxy: &Proxy, host: Option<&'static str>| {
        let http = host.map(|host| Request { host: host.into(), path: None });
        goes(proxy, &Question { http, ..out("10.9.9.9:80", Bytes::Http(Version::Http11)) })
    };
    assert_eq!(ask(&proxy, Some("web")), "0.0.0.0_80 Open(Routes(\"80\"))");
    proxy.has.routes = true;
    assert_eq!(ask(&proxy, Some("web")), "0.0.0.0_80 NoRoute", "asked for, and not there");
    let known = [("web", to_cluster("outbound|80||web")), ("*", to_cluster("PassthroughCluster"))];
    proxy.routes.insert("80".into(), route_config(&known));
    assert_eq!(ask(&proxy, Some("web")), "0.0.0.0_80 outbound|80||web");
    assert_eq!(ask(&proxy, Some("10.9.9.9")), "0.0.0.0_80 PassthroughCluster");
    assert_eq!(ask(&proxy, None), "0.0.0.0_80 outbound|80||web | PassthroughCluster");
    proxy.routes.insert("80".into(), route_config(&[("web", RouteTo::Direct(502)), ("old", RouteTo::Redirect)]));
    assert_eq!(ask(&proxy, Some("web")), "0.0.0.0_80 Direct(502)");
    assert_eq!(ask(&proxy, Some("old")), "0.0.0.0_80 Redirect");
    assert_eq!(ask(&proxy, Some("other")), "0.0.0.0_80 NoRoute");
}

#[test]
fn weights_a_matcher_and_foreign_filters_leave_it_open() {
    let weighted =
        Chain { to: To::Tcp(vec![("v1".into(), 90), ("v2".into(), 10), ("v3".into(), 0)]), ..Chain::default() };
    let mut wild = listener("0.0.0.0_80", "0.0.0.0:80", vec![weighted]);
    let ask = |wild: &Listener| goes(&proxy(vec![virtual_outbound(), wild.clone()]), &out("10.0.0.1:80", Bytes::Tcp));
    assert_eq!(ask(&wild), "0.0.0.0_80 v1 | v2");
    wild.chains[0].to = To::Other("envoy.filters.network.redis_proxy".into());
    assert_eq!(ask(&wild), "0.0.0.0_80 Open(Filter(\"envoy.filters.network.redis_proxy\"))");
    wild.has_matcher = true;
    assert_eq!(ask(&wild), "0.0.0.0_80 Open(Matcher)");
}

fn endpoint(address: &str, healthy: bool, mode: &str) -> Endpoint {
    Endpoint {
        address: Address::Ip(address.parse().unwrap()),
        healthy,
        state: "".into(),
        tls_mode: mode.into(),
        workload: ("".into(), "".into()),
        connect_failures: None,
    }
}

fn cluster(name: &str, kind: &str, endpoints: Vec<Endpoint>) -> Cluster {
    Cluster { name: name.into(), kind: kind.into(), active: true, endpoints, ..Cluster::default() }
}

#[test]
fn a_cluster_is_missing_empty_unhealthy_or_goes_on_to_the_destination() {
    let mut proxy = proxy(vec![virtual_outbound()]);
    let fate = |proxy: &Proxy, name: &str| Router::new(proxy).fate(name);
    // Nothing was given: names that Istio always means the same by speak for themselves.
    assert_eq!(fate(&proxy, "PassthroughCluster"), Fate::Goes);
    assert_eq!(fate(&proxy, "BlackHoleCluster"), Fate::NoEndpoint);
    assert_eq!(fate(&proxy, "outbound|80||web"), Fate::Unknown);
    proxy.has.clusters = true;
    assert_eq!(fate(&proxy, "outbound|80||web"), Fate::Missing);
    let mut add = |cluster: Cluster| proxy.clusters.insert(cluster.name.clone(), cluster);
    add(cluster("dead", "STATIC", vec![endpoint("10.0.0.1:80", false, "")]));
    add(cluster("half", "STATIC", vec![endpoint("10.0.0.1:80", false, ""), endpoint("10.0.0.2:80", true, "")]));
    add(cluster("none", "STATIC", Vec::new()));
    add(cluster("headless", "ORIGINAL_DST", Vec::new()));
    add(Cluster { active: false, ..cluster("warming", "STATIC", vec![endpoint("10.0.0.1:80", true, "")]) });
    add(Cluster { service_name: "by-eds".into(), ..cluster("eds", "EDS", Vec::new()) });
    for (name, expected) in [
        ("dead", Fate::NoneHealthy),
        ("half", Fate::Goes),
        ("none", Fate::NoEndpoint),
        ("headless", Fate::Goes),
        ("warming", Fate::Missing),
        ("eds", Fate::Unknown),
    ] {
        assert_eq!(fate(&proxy, name), expected, "{name}");
    }
    proxy.has.endpoints = true;
    assert_eq!(fate(&proxy, "eds"), Fate::NoEndpoint);
    proxy.endpoints.insert("by-eds".into(), vec![endpoint("10.0.0.1:80", true, "")]);
    assert_eq!(fate(&proxy, "eds"), Fate::Goes);
}

#[test]
fn tls_is_chosen_by_endpoint_and_for_the_original_destination_once_for_all() {
    let mesh = UpstreamTls { sni: "outbound_.80_._.web".into(), alpn: texts(&["istio"]), mutual: true };
    let line = |mode: &str, tls| TlsMatch { name: "".into(), mode: mode.into(), has_more: false, tls };
    let mixed = vec![endpoint("10.0.0.1:80", true, "istio"), endpoint("10.0.0.2:80", true, "")];
    let web = Cluster {
        tls_matches: vec![line("istio", Some(mesh.clone())), line("", None)],
        ..cluster("web", "STATIC", mixed)
    };
    let headless = Cluster { tls: Some(mesh.clone()), ..cluster("headless", "ORIGINAL_DST", Vec::new()) };
    let mut proxy = proxy(vec![virtual_outbound()]);
    proxy.clusters.extend([("web".into(), web), ("headless".into(), headless)]);
    let router = Router::new(&proxy);
    assert_eq!(router.tls("web", "10.0.0.1:80".parse().ok()), Tls::Begun(&mesh));
    assert_eq!(router.tls("web", "10.0.0.2:80".parse().ok()), Tls::Plain);
    assert_eq!(router.tls("web", None), Tls::ByEndpoint);
    assert_eq!(router.tls("headless", "10.9.9.9:80".parse().ok()).sni(), Some("outbound_.80_._.web"));
    assert_eq!(router.tls("PassthroughCluster", None).is_mutual(), Some(false));
    assert_eq!(router.tls("unknown", None), Tls::Unknown);
}

#[test]
fn a_walk_says_what_lost_and_whose_it_is() {
    let chains = vec![
        tcp("BlackHoleCluster", Match { prefixes: vec![prefix("10.12.0.11")], ..Match::default() }),
        tcp("outbound|5701||app-ext.app.svc.cluster.local", Match::default()),
    ];
    let mut wild = listener("0.0.0.0_5701", "0.0.0.0:5701", chains);
    wild.error = Some(Refused { details: "no".into(), at: None });
    let mut proxy = proxy(vec![virtual_outbound(), wild]);
    proxy.node.addresses = vec!["10.12.0.11".parse().unwrap()];
    let meta = Meta { kind: "Service".into(), namespace: "app".into(), name: "app-ext".into(), ..Meta::default() };
    let mut mesh = Mesh { proxies: vec![proxy], ..Mesh::default() };
    mesh.objects.services.push(Service {
        meta,
        host: "app-ext.app.svc.cluster.local".into(),
        external_name: "idle.manager.svc.cluster.local".into(),
        ..Service::default()
    });
    let known = Known::of(&mesh);
    let router = Router::new(&mesh.proxies[0]);
    let walk = router.walk(&out("10.12.1.6:5701", Bytes::Tcp), &known);
    let branch = &walk.branches[0];
    assert_eq!(branch.lost[0].by, "destination address");
    assert!(!branch.lost[0].less_specific);
    let target = branch.goes[0].cluster.as_ref().unwrap();
    assert_eq!(target.behind[0].external_name, "idle.manager.svc.cluster.local");
    assert!(walk.notes.iter().any(|note| note.contains("refused the last update")), "{:?}", walk.notes);
    let own = router.walk(&out("10.12.0.11:5701", Bytes::Tcp), &known);
    assert_eq!(own.owners[0].name, "web-0.shop");
    assert!(own.branches[0].lost[0].less_specific, "the chain for everything would have fitted");
    let rows = table(&mesh.proxies[0]);
    let caught: Vec<&str> = rows.iter().filter(|row| row.catch_all).map(|row| row.address.as_str()).collect();
    assert_eq!(caught, ["0.0.0.0:5701"]);
}

#[test]
fn a_change_of_routes_is_told_by_destination() {
    let wild = listener("0.0.0.0_5701", "0.0.0.0:5701", vec![tcp("outbound|5701||thief", Match::default())]);
    let vip = listener("10.0.0.1_5701", "10.0.0.1:5701", vec![tcp("outbound|5701||web", Match::default())]);
    let mesh = |listeners| Mesh { proxies: vec![proxy(listeners)], ..Mesh::default() };
    let before = mesh(vec![virtual_outbound(), vip.clone()]);
    let after = mesh(vec![virtual_outbound(), vip, wild]);
    let changes = compare(&before, &after, None);
    let [change] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(change.destinations, ["any other address, port 5701"]);
    assert_eq!(change.before, [(String::new(), "PassthroughCluster".to_owned())]);
    assert_eq!(change.after[0].1, "outbound|5701||thief; its endpoints are not known");
    assert_eq!(compare(&after, &after, None), []);
    assert_eq!(compare(&before, &after, "10.0.0.1:5701".parse().ok()), []);
    assert_eq!(compare(&before, &after, "10.0.0.2:5701".parse().ok()).len(), 1);
}

/// The choice as the documentation tells it: all chains, and at each step those that have the best value are left.
fn slow(listener: &Listener, seen: &seen::Seen<'_>, to: SocketAddr, from: SocketAddr) -> Option<usize> {
    let holds = |prefix: &Prefix, address: IpAddr| match (prefix.address, address) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (0..prefix.length).all(|bit| (one.to_bits() ^ other.to_bits()) >> (31 - bit) & 1 == 0)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            (0..prefix.length).all(|bit| (one.to_bits() ^ other.to_bits()) >> (127 - bit) & 1 == 0)
        }
        _ => false,
    };
    // How well a chain's ranges fit; a chain without any is one of length 0.
    let best = |prefixes: &[Prefix], address: IpAddr| match prefixes {
        [] => Some(1),
        some => some.iter().filter(|prefix| holds(prefix, address)).map(|prefix| u32::from(prefix.length) + 1).max(),
    };
    let listed = |values: &[Box<str>], asked: &dyn Fn(&str) -> Option<u32>| match values {
        [] => Some(0),
        some => some.iter().filter_map(|value| asked(value)).max(),
    };
    let is_local = from.ip().is_loopback() || from.ip() == to.ip();
    let fit = |step: usize, takes: &Match| -> Option<u32> {
        match step {
            0 => takes.port.map_or(Some(0), |port| (port == to.port()).then_some(1)),
            1 => best(&takes.prefixes, to.ip()),
            2 => listed(&takes.server_names, &|name| match name.strip_prefix('*') {
                Some(suffix) => {
                    (seen.sni.len() > suffix.len() && seen.sni.ends_with(suffix)).then_some(suffix.len() as u32)
                }
                None => (name == seen.sni).then_some(1000),
            }),
            3 => match &*takes.transport {
                "" => Some(0),
                transport => (transport == seen.transport).then_some(1),
            },
            4 => listed(&takes.application_protocols, &|name| {
                let place = seen.alpn.iter().position(|offered| *offered == name)?;
                Some(100 - place as u32)
            }),
            5 => best(&takes.direct_source_prefixes, from.ip()),
            6 => match takes.source_type {
                SourceType::Any => Some(0),
                SourceType::SameIpOrLoopback => is_local.then_some(1),
                SourceType::External => (!is_local).then_some(1),
            },
            7 => best(&takes.source_prefixes, from.ip()),
            _ => match &takes.source_ports[..] {
                [] => Some(0),
                ports => ports.contains(&from.port()).then_some(1),
            },
        }
    };
    let mut left: Vec<usize> = (0..listener.chains.len()).collect();
    for step in 0..9 {
        let of = |place: &usize| fit(step, &listener.chains[*place].takes);
        let best = left.iter().filter_map(of).max()?;
        left.retain(|place| of(place) == Some(best));
    }
    left.first().copied()
}

fn some_of(values: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(proptest::sample::select(values), 0..=most)
}

const PREFIXES: &[&str] = &["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "127.0.0.0/8", "fd00::/8", "::/0"];
const NAMES: &[&str] = &["a.b.c", "*.b.c", "*.c", "x.c", "b.c"];
const PROTOCOLS: &[&str] = &["istio", "h2", "http/1.1"];
const PLACES: &[&str] = &["10.1.2.3:80", "10.1.9.9:81", "10.9.9.9:80", "11.0.0.1:82", "[fd00::1]:80", "[fe80::1]:81"];

prop_compose! {
    fn a_match()(
        port in proptest::option::of(80u16..82),
        prefixes in some_of(PREFIXES, 2),
        names in some_of(NAMES, 2),
        transport in proptest::sample::select(&["", "", "tls", "raw_buffer"][..]),
        protocols in some_of(PROTOCOLS, 2),
        direct in some_of(PREFIXES, 1),
        kind in proptest::sample::select(&[SourceType::Any, SourceType::SameIpOrLoopback, SourceType::External][..]),
        sources in some_of(PREFIXES, 1),
        ports in proptest::collection::vec(80u16..82, 0..2),
        deep in any::<bool>(),
    ) -> Match {
        let ranges = |texts: Vec<&str>| texts.into_iter().map(prefix).collect();
        let mut takes = Match {
            port,
            prefixes: ranges(prefixes),
            server_names: texts(&names),
            transport: transport.into(),
            application_protocols: texts(&protocols),
            ..Match::default()
        };
        if deep {
            takes.direct_source_prefixes = ranges(direct);
            takes.source_type = kind;
            takes.source_prefixes = ranges(sources);
            takes.source_ports = ports;
        }
        takes
    }
}

proptest! {
    #[test]
    fn the_quick_way_through_the_chains_is_the_slow_one(
        matches in proptest::collection::vec(a_match(), 1..12),
        to in proptest::sample::select(PLACES),
        from in proptest::sample::select(&["10.1.2.3:80", "10.9.9.9:81", "127.0.0.1:82", "11.0.0.1:80", "[fd00::1]:80"][..]),
        sni in proptest::sample::select(&["", "a.b.c", "z.b.c", "x.c", "z.y.c", "c", "b.c"][..]),
        transport in proptest::sample::select(&["tls", "raw_buffer"][..]),
        offers in some_of(PROTOCOLS, 3),
    ) {
        let chains: Vec<Chain> = matches.into_iter().map(|takes| tcp("x", takes)).collect();
        let listener = listener("x", "0.0.0.0:1", chains);
        let seen = seen::Seen { sni, transport, alpn: offers };
        let (to, from): (SocketAddr, SocketAddr) = (to.parse().unwrap(), from.parse().unwrap());
        let index = chains::Chains::of(&listener.chains);
        let quick = index.find(&seen, to, Some(from)).chains;
        prop_assert_eq!(quick.first().copied(), slow(&listener, &seen, to, from));
        prop_assert!(quick.len() <= 1);
        // Whatever the source is, it is among those that are said for any.
        let every = index.find(&seen, to, None);
        let same_family = to.is_ipv4() == from.is_ipv4();
        if same_family {
            prop_assert!(quick.iter().all(|place| every.chains.contains(place)));
            prop_assert!(!quick.is_empty() || every.maybe_none || every.chains.is_empty());
        }
    }

    #[test]
    fn what_is_certain_of_a_question_is_so_however_it_is_meant(
        matches in proptest::collection::vec(a_match(), 1..8),
        to in proptest::sample::select(PLACES),
        sni in proptest::sample::select(&["", "a.b.c", "z.b.c", "x.c"][..]),
        offers in some_of(PROTOCOLS, 2),
        plain in any::<bool>(),
    ) {
        let chains = matches.into_iter().enumerate().map(|(place, takes)| tcp(&format!("c{}", place % 3), takes));
        let mut wild = listener("all", "0.0.0.0:1", chains.collect());
        (wild.use_original_dst, wild.tls_inspector, wild.http_inspector) = (true, Inspector::ALWAYS, Inspector::ALWAYS);
        wild.name = "virtualOutbound".into();
        let proxy = proxy(vec![wild]);
        let router = Router::new(&proxy);
        let open = router.answer(&Question::outbound(to.parse().unwrap()));
        let (sni, bytes) = if plain { (Sni::Absent, Bytes::Http(Version::Http11)) } else { tls(sni, &offers) };
        let meant = router.answer(&Question { sni, bytes, ..Question::outbound(to.parse().unwrap()) });
        for outcome in &meant.outcomes {
            prop_assert!(open.outcomes.contains(outcome), "{:?} is not in {:?}", outcome, open);
        }
        let mut replay = Replay::new(&proxy);
        let question = Question::outbound(to.parse().unwrap());
        prop_assert_eq!(&*replay.ask(&question), &open);
        prop_assert_eq!(&*replay.ask(&question), &open, "the second time");
    }
}
