//! Files as people have them, small ones made for these tests.

mod hostile;
mod objects;
mod shapes;

use std::path::PathBuf;

use super::*;
use crate::mesh::{Address, Direction, Inspector, To};

/// Reads files that are made for the moment: name and content.
pub(super) fn read(files: &[(&str, &str)]) -> Result<Mesh, Trouble> {
    let (_folder, files) = written(files);
    paths(&files)
}

/// Files that are there as long as their folder is kept.
pub(super) fn written(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let mut named: Vec<PathBuf> = Vec::new();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        named.push(path);
    }
    (folder, named)
}

pub(super) const DUMP: &str = r#"{"configs":[
    {"@type":"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump","bootstrap":{"node":{
        "id":"sidecar~10.1.2.3~web-0.shop~shop.svc.cluster.local",
        "metadata":{"ISTIO_VERSION":"1.24.1","INSTANCE_IPS":"10.1.2.3,fd00::3","DNS_CAPTURE":"true"}}},
        "last_updated":"2026-03-01T08:00:00Z"},
    {"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump","version_info":"2026-03-01T09:00:00Z/7",
     "dynamic_active_clusters":[{"last_updated":"2026-03-01T09:30:00.500Z","cluster":{
        "name":"outbound|5701||db.shop.svc.cluster.local","type":"EDS","connect_timeout":"10s",
        "eds_cluster_config":{"service_name":"db"},
        "circuit_breakers":{"thresholds":[{"priority":"HIGH","max_connections":1},{"max_connections":"4294967295"}]},
        "metadata":{"filter_metadata":{"istio":{"config":"/apis/x","services":[{"host":"db","name":"db","namespace":"shop"}]}}},
        "transport_socket_matches":[
            {"name":"tlsMode-istio","match":{"tlsMode":"istio"},"transport_socket":{"name":"envoy.transport_sockets.tls",
                "typed_config":{"@type":"x/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext","sni":"outbound_.5701",
                "common_tls_context":{"alpn_protocols":["istio"],"tls_certificate_sds_secret_configs":[{"name":"default"}]}}}},
            {"name":"tlsMode-disabled","match":{},"transport_socket":{"name":"envoy.transport_sockets.raw_buffer"}}]}}],
     "dynamic_warming_clusters":[{"cluster":{"name":"new"},"error_state":{"details":"no","last_update_attempt":"2026-03-01T09:31:00Z"}}]},
    {"@type":"type.googleapis.com/envoy.admin.v3.EndpointsConfigDump","dynamic_endpoint_configs":[{"endpoint_config":{
        "cluster_name":"db","endpoints":[{"lb_endpoints":[
            {"endpoint":{"address":{"socket_address":{"address":"10.1.2.9","port_value":5701}}},"health_status":"HEALTHY",
             "metadata":{"filter_metadata":{"envoy.transport_socket_match":{"tlsMode":"istio"},"istio":{"workload":"db;shop;db;v1;c"}}}},
            {"endpoint":{"address":{"socket_address":{"address":"db.example.com","port_value":5701}}},"health_status":"DRAINING"},
            {"endpoint":{"address":{"pipe":{"path":"/run/x"}}}}]}]}}]},
    {"@type":"type.googleapis.com/envoy.admin.v3.ListenersConfigDump","dynamic_listeners":[
        {"name":"0.0.0.0_5701","active_state":{"version_info":"x","last_updated":"2026-03-01T09:10:00Z","listener":{
            "name":"0.0.0.0_5701","address":{"socket_address":{"address":"0.0.0.0","port_value":5701}},
            "additional_addresses":[{"address":{"socket_address":{"address":"::","port_value":5701}}}],
            "bind_to_port":false,"traffic_direction":"OUTBOUND","listener_filters_timeout":"0.250s",
            "listener_filters":[{"name":"envoy.filters.listener.tls_inspector","filter_disabled":{"or_match":{"rules":[
                {"destination_port_range":{"start":80,"end":81}},{"destination_port_range":{"start":90,"end":92}}]}}},
                {"name":"envoy.filters.listener.proxy_protocol"}],
            "filter_chains":[{"name":"own","filter_chain_match":{"destination_port":5701,
                "prefix_ranges":[{"address_prefix":"10.1.2.3","prefix_len":24}],"server_names":["*.Example.com"]},
                "filters":[{"name":"istio.stats"},{"name":"tcp","typed_config":{
                    "@type":"x/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                    "weighted_clusters":{"clusters":[{"name":"a","weight":20},{"name":"b","weight":80}]}}}]}],
            "default_filter_chain":{"filters":[{"name":"envoy.filters.network.http_connection_manager","typed_config":{
                "@type":"x/udpa.type.v1.TypedStruct","type_url":"x/HttpConnectionManager","value":{"rds":{"route_config_name":"5701"}}}}]}}},
         "draining_state":{"listener":{"name":"0.0.0.0_5701"}}},
        {"name":"virtualInbound","error_state":{"details":"LuaValidationError","last_update_attempt":"2026-03-01T09:20:00Z"}}]},
    {"@type":"type.googleapis.com/envoy.admin.v3.RoutesConfigDump"},
    {"@type":"type.googleapis.com/envoy.admin.v3.SecretsConfigDump","dynamic_active_secrets":[{"name":"default"}]}]}"#;

#[test]
fn a_dump_says_whose_it_is_when_and_what() {
    let mesh = read(&[("any.txt", DUMP)]).unwrap();
    let [proxy] = &mesh.proxies[..] else { panic!("{:#?}", mesh.proxies) };
    let node = &proxy.node;
    assert_eq!([&*node.pod, &*node.namespace, &*node.kind, &*node.version], ["web-0", "shop", "sidecar", "1.24.1"]);
    assert_eq!(node.addresses.len(), 2);
    assert!(node.dns_capture);
    assert_eq!(proxy.taken.unwrap().to_string(), "2026-03-01T09:31:00.000Z");
    assert!(proxy.has.listeners && proxy.has.clusters && proxy.has.routes && proxy.has.endpoints);
    let whys: Vec<&str> = mesh.left_out.iter().map(|left| &*left.why).collect();
    assert_eq!(whys, ["secrets are never read"]);
}

#[test]
fn a_listener_is_read_in_all_of_its_states() {
    let mesh = read(&[("any.txt", DUMP)]).unwrap();
    let [active, draining, refused] = &mesh.proxies[0].listeners[..] else { panic!() };
    assert!(active.active && !draining.active && !refused.active);
    assert_eq!(refused.error.as_ref().map(|error| &*error.details), Some("LuaValidationError"));
    assert_eq!((refused.name.as_ref(), refused.chains.len()), ("virtualInbound", 0));
    assert_eq!(active.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["0.0.0.0:5701", "[::]:5701"]);
    assert!(!active.bound && active.direction == Some(Direction::Outbound));
    assert_eq!(active.inspection_timeout, Some(250));
    assert_eq!(active.tls_inspector, Inspector::ExceptPorts(vec![(80, 81), (90, 92)]));
    assert_eq!(active.http_inspector, Inspector::Absent);
    assert_eq!(active.other_filters, ["envoy.filters.listener.proxy_protocol".into()]);
    let chain = &active.chains[0];
    assert_eq!(chain.takes.port, Some(5701));
    assert_eq!(chain.takes.prefixes[0].address.to_string(), "10.1.2.0");
    assert_eq!(chain.takes.server_names, ["*.example.com".into()]);
    assert_eq!(chain.filters, ["istio.stats".into()]);
    assert!(matches!(&chain.to, To::Tcp(to) if to[..] == [("a".into(), 20), ("b".into(), 80)]), "{:?}", chain.to);
    let default = active.default_chain.as_ref().unwrap();
    assert!(matches!(&default.to, To::Rds(name) if &**name == "5701"), "{:?}", default.to);
}

#[test]
fn clusters_and_endpoints_keep_what_decides_about_tls() {
    let mesh = read(&[("any.txt", DUMP)]).unwrap();
    let proxy = &mesh.proxies[0];
    let cluster = &proxy.clusters["outbound|5701||db.shop.svc.cluster.local"];
    assert_eq!((&*cluster.kind, cluster.connect_timeout, &*cluster.service_name), ("EDS", Some(10_000), "db"));
    assert_eq!(cluster.max_connections, Some(4_294_967_295));
    assert_eq!(cluster.services, [("shop".into(), "db".into())]);
    let [istio, disabled] = &cluster.tls_matches[..] else { panic!() };
    assert_eq!((&*istio.mode, &*disabled.mode), ("istio", ""));
    assert!(istio.tls.as_ref().is_some_and(|tls| tls.mutual && tls.alpn == ["istio".into()]));
    assert!(disabled.tls.is_none());
    let warming = &proxy.clusters["new"];
    assert!(!warming.active && warming.error.is_some() && &*warming.kind == "STATIC");
    let [first, second, third] = &proxy.endpoints["db"][..] else { panic!() };
    assert_eq!((&*first.tls_mode, &*first.workload.0, &*first.workload.1), ("istio", "db", "shop"));
    assert_eq!(second.address, Address::Host("db.example.com".into(), 5701));
    assert_eq!((second.healthy, &*second.state), (false, "DRAINING"));
    assert_eq!(third.address, Address::Other("/run/x".into()));
}

const LIVE: &str = r#"{"cluster_statuses":[{"name":"outbound|5701||db.shop.svc.cluster.local","added_via_api":true,
    "host_statuses":[
        {"address":{"socket_address":{"address":"10.1.2.9","port_value":5701}},
         "stats":[{"name":"cx_connect_fail","value":"7"},{"name":"cx_active","type":"GAUGE"}],
         "health_status":{"eds_health_status":"HEALTHY","failed_outlier_check":true}},
        {"address":{"socket_address":{"address":"10.1.2.10","port_value":5701}},"stats":[{"name":"cx_connect_fail"}]}]}]}"#;

#[test]
fn a_dump_and_what_the_proxy_sees_alive_are_one_proxy() {
    let text = "outbound|5701||db.shop.svc.cluster.local::default_priority::max_connections::1024\n\
        outbound|5701||db.shop.svc.cluster.local::10.1.2.9:5701::cx_connect_fail::7\n\
        outbound|5701||db.shop.svc.cluster.local::10.1.2.9:5701::health_flags::/failed_outlier_check\n\
        outbound|5701||db.shop.svc.cluster.local::10.1.2.10:5701::cx_connect_fail::0\n\
        outbound|5701||db.shop.svc.cluster.local::[fd00::9]:5701::cx_connect_fail::1\n";
    for (live, more) in [(LIVE, 0), (text, 1)] {
        let mesh = read(&[("monday/web-0.json", DUMP), ("monday/web-0.clusters.json", live)]).unwrap();
        let [proxy] = &mesh.proxies[..] else { panic!("{:#?}", mesh.proxies) };
        assert_eq!(proxy.files.len(), 2);
        let endpoints = &proxy.endpoints["db"];
        assert_eq!(endpoints.len(), 4 + more);
        assert_eq!((endpoints[0].connect_failures, &*endpoints[0].state), (Some(7), "failed_outlier_check"));
        assert_eq!(&*endpoints[0].tls_mode, "istio");
        assert_eq!((endpoints[3].connect_failures, endpoints[3].healthy), (Some(0), true));
    }
}

#[test]
fn dumps_of_one_pod_are_sorted_by_time() {
    let older = DUMP.replace("2026-03-01T", "2026-02-01T");
    let mesh = read(&[("a/web-0.json", DUMP), ("b/web-0.json", &older)]).unwrap();
    let times: Vec<String> = mesh.proxies.iter().map(|proxy| proxy.taken.unwrap().to_string()).collect();
    assert_eq!(times, ["2026-02-01T09:31:00.000Z", "2026-03-01T09:31:00.000Z"]);
}

#[test]
fn wrong_parts_are_named_and_the_others_read() {
    let wrong = DUMP.replace(r#""10.1.2.3","prefix_len":24"#, r#""10.1.2.3","prefix_len":240"#);
    let mesh = read(&[("web.json", &wrong)]).unwrap();
    assert_eq!(mesh.proxies[0].listeners.len(), 1);
    let left = &mesh.left_out[1];
    assert!(left.wrong);
    assert_eq!(
        &*left.place,
        "configs[3].dynamic_listeners[0].active_state.listener.filter_chains[0].filter_chain_match.prefix_ranges[0]"
    );
}

#[test]
fn files_that_cannot_be_read_are_named_with_the_place() {
    let said = |content: &str| read(&[("x.json", content)]).unwrap_err().to_string();
    assert!(said("{\n \"configs\": [}").contains("x.json:2:14: "), "{}", said("{\n \"configs\": [}"));
    assert!(said("{\"configs\": [").contains("x.json:1:13: EOF"), "{}", said("{\"configs\": ["));
    assert!(said("{\"a\": 1}").contains("holds no configuration"));
    assert!(said("").contains("holds no configuration"));
    assert!(said(&"[".repeat(100_000)).contains("recursion limit"));
    assert!(paths(&["/no/such/file".into()]).unwrap_err().to_string().contains("/no/such/file"));
}

#[test]
fn a_folder_without_anything_known_is_trouble() {
    let (folder, _) = written(&[("x/notes.txt", "hello"), ("x/values.json", "{\"a\": 1}"), ("y/web-0.json", DUMP)]);
    let said = |path: &str| paths(&[folder.path().join(path)]).map(|mesh| mesh.proxies.len());
    assert!(said("x").unwrap_err().to_string().contains("holds no configuration"));
    assert_eq!((said("y").unwrap(), said("y/").unwrap(), said("").unwrap()), (1, 1, 1));
    assert_eq!(said("*/*.json").unwrap(), 1);
}
