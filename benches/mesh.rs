//! How fast a proxy's dump is read, and in how much memory: `cargo bench --bench mesh`. The dump is one of a mesh that
//! does not exist, as large as they come: 5,000 listeners, 10,000 clusters, 100,000 endpoints.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `--listeners N`, `--clusters N`, `--endpoints N` | its size | 5000, 10000, 100000 |
//! | `--seed N` | the same arguments give the same bytes | 42 |
//! | `--out FILE` | the dump is only written there | |
//!
//! Listeners have the HTTP filters and access logs that Istio gives them: most of a real dump is what no one looks at.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a program that measures"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How often it is read; the median counts.
const RUNS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let options: BTreeMap<&str, &str> = arguments.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    let number = |name, otherwise| options.get(name).map_or(otherwise, |text| text.parse().unwrap());
    let mut dump = Dump {
        chance: number("--seed", 42),
        listeners: number("--listeners", 5_000),
        clusters: number("--clusters", 10_000).max(1),
        endpoints: number("--endpoints", 100_000),
    };
    if let Some(path) = options.get("--out") {
        dump.write_to(Path::new(path)).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web-0.json");
    dump.write_to(&path).unwrap();
    measure(&dump, &path);
}

fn measure(dump: &Dump, path: &PathBuf) {
    let bytes = path.metadata().unwrap().len() as f64;
    let before = peak();
    let mut held = 0;
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            let mesh = logscan::mesh::read::paths(std::slice::from_ref(path)).unwrap();
            let time = started.elapsed().as_secs_f64();
            held = resident();
            let proxy = &mesh.proxies[0];
            assert_eq!(proxy.listeners.len() as u64, dump.listeners);
            assert_eq!(proxy.clusters.len() as u64, dump.clusters);
            assert_eq!(proxy.endpoints.values().map(Vec::len).sum::<usize>() as u64, dump.endpoints);
            assert!(mesh.left_out.is_empty());
            time
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let time = times[RUNS / 2];
    println!("| dump | time | MB/s | held | peak | before |\n|---|---:|---:|---:|---:|---:|");
    println!(
        "| {:.0} MB | {time:.2} s | {:.0} | {held} MB | {} MB | {before} MB |",
        bytes / 1e6,
        bytes / time / 1e6,
        peak()
    );
}

/// The most memory that this process had, in MB.
fn peak() -> u64 {
    status("VmHWM:")
}

/// The memory that it has, in MB.
fn resident() -> u64 {
    status("VmRSS:")
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0) / 1024
}

/// A dump to be written.
struct Dump {
    chance: u64,
    listeners: u64,
    clusters: u64,
    endpoints: u64,
}

impl Dump {
    fn write_to(&mut self, path: &Path) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        self.write(&mut out)?;
        out.flush()
    }

    /// Splitmix64.
    fn below(&mut self, limit: u64) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn write(&mut self, out: &mut impl Write) -> io::Result<()> {
        write!(
            out,
            r#"{{"configs":[{{"@type":"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump","bootstrap":{{"node":{{"id":"sidecar~10.0.0.1~web-0.shop~shop.svc.cluster.local"}}}}}}"#
        )?;
        write!(
            out,
            r#",{{"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump","dynamic_active_clusters":["#
        )?;
        for number in 0..self.clusters {
            separate(out, number)?;
            self.cluster(out, number)?;
        }
        write!(
            out,
            r#"]}},{{"@type":"type.googleapis.com/envoy.admin.v3.EndpointsConfigDump","dynamic_endpoint_configs":["#
        )?;
        let (each, more) = (self.endpoints / self.clusters, self.endpoints % self.clusters);
        for number in 0..self.clusters {
            separate(out, number)?;
            self.endpoints(out, number, each + u64::from(number < more))?;
        }
        write!(out, r#"]}},{{"@type":"type.googleapis.com/envoy.admin.v3.ListenersConfigDump","dynamic_listeners":["#)?;
        for number in 0..self.listeners {
            separate(out, number)?;
            self.listener(out, number)?;
        }
        writeln!(out, "]}}]}}")
    }

    fn cluster(&mut self, out: &mut impl Write, number: u64) -> io::Result<()> {
        let (name, age) = (name(number), self.below(60));
        write!(
            out,
            r#"{{"version_info":"2026-03-01T09:00:{age:02}Z/{number}","cluster":{{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"{name}","type":"EDS","eds_cluster_config":{{"eds_config":{{"ads":{{}},"resource_api_version":"V3"}},"service_name":"{name}"}},"connect_timeout":"10s","circuit_breakers":{{"thresholds":[{{"max_connections":4294967295,"max_pending_requests":4294967295,"max_requests":4294967295,"max_retries":4294967295,"track_remaining":true}}]}},"metadata":{{"filter_metadata":{{"istio":{{"services":[{{"namespace":"shop","host":"svc-{number}.shop.svc.cluster.local","name":"svc-{number}"}}]}}}}}},"transport_socket_matches":[{{"name":"tlsMode-istio","match":{{"tlsMode":"istio"}},"transport_socket":{{"name":"envoy.transport_sockets.tls","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext","common_tls_context":{{"alpn_protocols":["istio-peer-exchange","istio"],"tls_certificate_sds_secret_configs":[{{"name":"default","sds_config":{{"api_config_source":{{"api_type":"GRPC","grpc_services":[{{"envoy_grpc":{{"cluster_name":"sds-grpc"}}}}],"set_node_on_first_message_only":true}}}}}}]}},"sni":"outbound_.80_._.svc-{number}.shop.svc.cluster.local"}}}}}},{{"name":"tlsMode-disabled","match":{{}},"transport_socket":{{"name":"envoy.transport_sockets.raw_buffer","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}}}}]}},"last_updated":"2026-03-01T09:00:{age:02}.{:03}Z"}}"#,
            self.below(1000)
        )
    }

    fn endpoints(&mut self, out: &mut impl Write, number: u64, count: u64) -> io::Result<()> {
        let name = name(number);
        write!(
            out,
            r#"{{"endpoint_config":{{"@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment","cluster_name":"{name}","endpoints":[{{"locality":{{"region":"eu","zone":"eu-{}"}},"lb_endpoints":["#,
            self.below(3)
        )?;
        for at in 0..count {
            separate(out, at)?;
            write!(
                out,
                r#"{{"endpoint":{{"address":{{"socket_address":{{"address":"10.{}.{}.{}","port_value":8080}}}},"health_check_config":{{}}}},"health_status":"HEALTHY","metadata":{{"filter_metadata":{{"istio":{{"workload":"svc-{number};shop;svc-{number};v1;Kubernetes"}},"envoy.transport_socket_match":{{"tlsMode":"istio"}}}}}},"load_balancing_weight":1}}"#,
                self.below(256),
                self.below(256),
                self.below(256)
            )?;
        }
        write!(out, r#"],"load_balancing_weight":{}}}]}}}}"#, count.max(1))
    }

    /// Two chains: HTTP with all that Istio puts into it, the rest to a cluster.
    fn listener(&mut self, out: &mut impl Write, number: u64) -> io::Result<()> {
        let name = name(number);
        let (host, port) = (format!("10.96.{}.{}", number / 250 % 250, number % 250), 1024 + number % 60_000);
        let log = r#"{"name":"envoy.access_loggers.file","typed_config":{"@type":"type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog","path":"/dev/stdout","log_format":{"text_format_source":{"inline_string":"[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION%\n"}}}}"#.replace('\n', "\\n");
        write!(
            out,
            r#"{{"name":"{host}_{port}","active_state":{{"version_info":"2026-03-01T09:00:00Z/{number}","listener":{{"@type":"type.googleapis.com/envoy.config.listener.v3.Listener","name":"{host}_{port}","address":{{"socket_address":{{"address":"{host}","port_value":{port}}}}},"traffic_direction":"OUTBOUND","bind_to_port":false,"continue_on_listener_filters_timeout":true,"listener_filters_timeout":"0s","listener_filters":[{{"name":"envoy.filters.listener.tls_inspector","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}}},{{"name":"envoy.filters.listener.http_inspector","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"}}}}],"filter_chains":[{{"filter_chain_match":{{"transport_protocol":"raw_buffer","application_protocols":["http/1.1","h2c"]}},"filters":[{{"name":"envoy.filters.network.http_connection_manager","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager","stat_prefix":"outbound_{host}_{port}","rds":{{"config_source":{{"ads":{{}},"resource_api_version":"V3"}},"route_config_name":"svc-{number}.shop.svc.cluster.local:{port}"}},"access_log":[{log}],"http_filters":["#
        )?;
        for at in 0..self.below(8) + 48 {
            separate(out, at)?;
            write!(
                out,
                r#"{{"name":"istio.filter-{at}","typed_config":{{"@type":"type.googleapis.com/udpa.type.v1.TypedStruct","type_url":"type.googleapis.com/stats.PluginConfig","value":{{"debug":"false","stat_prefix":"istio","metrics":[{{"name":"requests_total","dimensions":{{"destination_port":"string(destination.port)","request_host":"request.host","draw":{}}},"tags_to_remove":["request_protocol","response_flags"]}}],"configuration":{{"@type":"type.googleapis.com/google.protobuf.StringValue","value":"{{\n  \"max_peer_cache_size\": 1000\n}}"}}}}}}}}"#,
                self.below(1_000_000)
            )?;
        }
        write!(
            out,
            r#"],"tracing":{{"client_sampling":{{"value":100}},"random_sampling":{{"value":1}}}},"upgrade_configs":[{{"upgrade_type":"websocket"}}]}}}}]}}],"default_filter_chain":{{"filters":[{{"name":"istio.stats","typed_config":{{"@type":"type.googleapis.com/stats.PluginConfig"}}}},{{"name":"envoy.filters.network.tcp_proxy","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy","stat_prefix":"{name}","cluster":"{name}","access_log":[{log}]}}}}]}}}},"last_updated":"2026-03-01T09:00:00.000Z"}}}}"#
        )
    }
}

fn name(number: u64) -> String {
    format!("outbound|80||svc-{number}.shop.svc.cluster.local")
}

fn separate(out: &mut impl Write, number: u64) -> io::Result<()> {
    if number > 0 { out.write_all(b",") } else { Ok(()) }
}
