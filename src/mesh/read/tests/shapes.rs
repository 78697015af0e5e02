//! The shapes in which the same things come.

use std::io::Write;

use super::{DUMP, read};
use crate::mesh::{Match, Mesh, To};

/// One listener in v3, as it stands in a list that `istioctl` prints.
const CAMEL: &str = r#"[{"name":"0.0.0.0_5701","trafficDirection":"OUTBOUND","bindToPort":false,
    "address":{"socketAddress":{"address":"0.0.0.0","portValue":5701}},
    "filterChains":[{"filterChainMatch":{"destinationPort":5701,"applicationProtocols":["h2c"]},
        "filters":[{"name":"envoy.filters.network.tcp_proxy",
        "typedConfig":{"@type":"x/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy","cluster":"outbound|5701||db"}}]}]}]"#;

/// The same as YAML.
const YAML: &str = "
- address:
    socketAddress:
      address: 0.0.0.0
      portValue: 5701
  bindToPort: false
  filterChains:
  - filterChainMatch:
      applicationProtocols: [h2c]
      destinationPort: 5701
    filters:
    - name: envoy.filters.network.tcp_proxy
      typedConfig:
        '@type': x/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        cluster: outbound|5701||db
  name: 0.0.0.0_5701
  trafficDirection: OUTBOUND
";

/// The same in a dump of a v2 proxy of the first releases.
const V2: &str = r#"{"configs":[{"@type":"type.googleapis.com/envoy.admin.v2alpha.ListenersConfigDump",
    "dynamic_active_listeners":[{"listener":{"name":"0.0.0.0_5701","deprecated_v1":{"bind_to_port":false},
    "traffic_direction":"OUTBOUND","address":{"socket_address":{"address":"0.0.0.0","port_value":5701}},
    "filter_chains":[{"filter_chain_match":{"destination_port":5701,"application_protocols":["h2c"]},
        "filters":[{"name":"envoy.tcp_proxy","config":{"cluster":"outbound|5701||db"}}]}]}}]}]}"#;

fn listeners(mesh: &Mesh) -> String {
    format!("{:#?}", mesh.proxies[0].listeners)
}

#[test]
fn a_listener_is_the_same_in_every_shape() {
    let camel = read(&[("web-0.json", CAMEL)]).unwrap();
    let listener = &camel.proxies[0].listeners[0];
    assert!(!listener.bound && listener.active);
    assert!(matches!(&listener.chains[0].to, To::Tcp(to) if to[..] == [("outbound|5701||db".into(), 1)]));
    for other in [YAML, V2] {
        assert_eq!(listeners(&read(&[("web-0", other)]).unwrap()), listeners(&camel), "{other}");
    }
    let with_mark = format!("\u{feff}{YAML}");
    assert_eq!(listeners(&read(&[("web-0", &with_mark)]).unwrap()), listeners(&camel));
    let with_mark = format!("\u{feff}{CAMEL}");
    assert_eq!(listeners(&read(&[("web-0", &with_mark)]).unwrap()), listeners(&camel));
}

#[test]
fn lists_of_clusters_routes_and_endpoints_are_told_by_their_members() {
    let clusters = r#"[{"name":"BlackHoleCluster","connectTimeout":"10s"},
        {"name":"db","type":"STRICT_DNS","connectTimeout":"1s","loadAssignment":{"clusterName":"db","endpoints":[
            {"lbEndpoints":[{"endpoint":{"address":{"socketAddress":{"address":"db.example.com","portValue":5432}}}}]}]}}]"#;
    let routes = r#"[{"name":"80","virtualHosts":[{"name":"allow_any","domains":["*"],"routes":[
        {"match":{"prefix":"/","caseSensitive":false,"headers":[{"name":"x-user"}]},"route":{"cluster":"PassthroughCluster"}},
        {"match":{"safeRegex":{"regex":"/v.*"}},"directResponse":{"status":502}},
        {"match":{"path":"/x"},"redirect":{}}]}]}]"#;
    let eds = r#"[{"clusterName":"outbound|80||web","endpoints":[{"lbEndpoints":[
        {"endpoint":{"address":{"socketAddress":{"address":"10.0.0.1","portValue":80}},
         "additionalAddresses":[{"address":{"socketAddress":{"address":"fd00::1","portValue":80}}}]}}]}]}]"#;
    let live = r#"[{"name":"outbound|80||web","addedViaApi":true,"hostStatuses":[
        {"address":{"socketAddress":{"address":"10.0.0.1","portValue":80}},"healthStatus":{"edsHealthStatus":"DRAINING"}}]}]"#;
    let files = [
        ("web-0.clusters.json", clusters),
        ("web-0.endpoints.json", live),
        ("web-0.eds.json", eds),
        ("web-0.routes.json", routes),
        ("web-0.listeners.json", CAMEL),
    ];
    let mesh = read(&files).unwrap();
    let [proxy] = &mesh.proxies[..] else { panic!("{:#?}", mesh.proxies) };
    assert_eq!((&*proxy.node.pod, proxy.files.len()), ("web-0", 5));
    assert_eq!(proxy.clusters.len(), 2);
    assert_eq!(&*proxy.clusters["BlackHoleCluster"].kind, "STATIC");
    let routes = &proxy.routes["80"].hosts[0].routes;
    assert!(routes[0].ignore_case && routes[0].conditions == ["x-user".into()]);
    let endpoints = &proxy.endpoints["outbound|80||web"];
    assert_eq!((endpoints.len(), endpoints[0].healthy, endpoints[1].healthy), (2, false, true));
    assert!(mesh.left_out.is_empty(), "{:?}", mesh.left_out);
}

#[test]
fn the_order_of_files_does_not_matter() {
    let older = DUMP.replace("2026-03-01T", "2026-02-01T");
    let (_folder, mut files) = super::written(&[
        ("a/web-0.json", DUMP),
        ("a/web-0.yaml", YAML),
        ("b/web-0.json", &older),
        ("b/x.json", CAMEL),
    ]);
    let forward = format!("{:?}", super::paths(&files).unwrap());
    files.reverse();
    assert_eq!(forward, format!("{:?}", super::paths(&files).unwrap()));
    files.swap(0, 2);
    assert_eq!(forward, format!("{:?}", super::paths(&files).unwrap()));
}

#[test]
fn the_table_of_istioctl_tells_matches_and_destinations() {
    let table = "\
ADDRESS       PORT  MATCH                                 DESTINATION
10.96.0.10    53    ALL                                   Cluster: outbound|53||kube-dns.kube-system.svc.cluster.local
0.0.0.0       80    Trans: raw_buffer; App: http/1.1,h2c  Route: 80
0.0.0.0       80    ALL                                   PassthroughCluster
0.0.0.0       443   SNI: a.example.com,B.example.com      Cluster: outbound|443||a.example.com
0.0.0.0       15006 Addr: *:15006                         Non-HTTP/Non-TCP
0.0.0.0       15006 Addr: 10.0.0.0/8:80                   InboundPassthroughCluster
";
    let mesh = read(&[("web-0.txt", table)]).unwrap();
    let proxy = &mesh.proxies[0];
    assert!(proxy.has.only_table && proxy.has.listeners);
    let [dns, http, tls, inbound] = &proxy.listeners[..] else { panic!("{:#?}", proxy.listeners) };
    assert_eq!((&*dns.name, dns.chains.len()), ("10.96.0.10_53", 0));
    let words = |to: &To| if let To::Words(words) = to { words.to_string() } else { panic!("{to:?}") };
    assert_eq!(
        words(&dns.default_chain.as_ref().unwrap().to),
        "Cluster: outbound|53||kube-dns.kube-system.svc.cluster.local"
    );
    assert_eq!(words(&http.chains[0].to), "Route: 80");
    assert_eq!(http.chains[0].takes.application_protocols, ["http/1.1".into(), "h2c".into()]);
    assert_eq!(&*http.chains[0].takes.transport, "raw_buffer");
    assert_eq!(words(&http.default_chain.as_ref().unwrap().to), "PassthroughCluster");
    assert_eq!(tls.chains[0].takes.server_names, ["a.example.com".into(), "b.example.com".into()]);
    assert_eq!(inbound.chains[0].takes, Match { port: Some(15006), ..Match::default() });
    assert_eq!((inbound.chains[1].takes.port, inbound.chains[1].takes.prefixes[0].length), (Some(80), 8));
    let older =
        read(&[("web-0.txt", "ADDRESS       PORT  TYPE\n10.0.0.1      443   TCP\n0.0.0.0   80  HTTP+TCP\n")]).unwrap();
    assert_eq!(older.proxies[0].listeners.len(), 2);
}

#[test]
fn a_bug_report_gives_proxies_and_objects_and_leaves_the_rest() {
    let report = [
        ("bug-report/proxies/shop/web-0/config_dump?include_eds", DUMP),
        ("bug-report/proxies/shop/web-0/clusters", "db::10.1.2.9:5701::cx_connect_fail::3\n"),
        ("bug-report/proxies/shop/web-0/istio-proxy.log", "[2026-03-01T00:00:00Z] \"- - -\" 0 -\n"),
        ("bug-report/proxies/shop/web-0/certs", "{\"certificates\": []}"),
        ("bug-report/proxies/shop/cut-0/config_dump?include_eds", &DUMP[..2000]),
        (
            "bug-report/cluster/k8s-resources",
            "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: db\n    namespace: shop\n  spec:\n    clusterIP: 10.96.0.1\n- kind: Event\n  metadata: {}\nkind: List\n",
        ),
        (
            "bug-report/istio/istio-system/istiod-1/debug/mesh",
            "{\"outboundTrafficPolicy\": {\"mode\": \"REGISTRY_ONLY\"}}",
        ),
        ("bug-report/istio/istio-system/istiod-1/debug/adsz", "{\"total\": 3}"),
        ("bug-report/versions", "client version: 1.16.1\n"),
    ];
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, content) in report {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    let packed = tar.into_inner().unwrap().finish().unwrap();
    let mut file = tempfile::Builder::new().suffix(".tar.gz").tempfile().unwrap();
    file.write_all(&packed).unwrap();
    let mesh = super::paths(&[file.path().to_owned()]).unwrap();
    let [proxy] = &mesh.proxies[..] else { panic!("{:#?}", mesh.proxies) };
    assert_eq!((&*proxy.node.pod, proxy.files.len()), ("web-0", 2));
    assert_eq!(proxy.endpoints["db"][0].connect_failures, Some(3));
    assert_eq!(mesh.objects.services.len(), 1);
    assert_eq!(&*mesh.objects.outbound_policy, "REGISTRY_ONLY");
    let left: Vec<String> = mesh.left_out.iter().map(|left| format!("{} {}", left.why, left.wrong)).collect();
    assert_eq!(
        left,
        [
            "logs: 1 files in folders and archives false",
            "state of other kinds: 1 files in folders and archives false",
            "21:107: EOF while parsing a string true",
            "no configuration that is known here: 2 files, this is the first false",
            "objects of the kind Event are not used false",
            "secrets are never read false",
        ]
    );
}
