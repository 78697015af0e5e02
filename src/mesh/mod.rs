//! What a mesh was told to do: configuration dumps of its proxies and objects of its cluster, as values.
//!
//! A proxy's part is what Envoy goes by when it routes a connection, and no more; names are Envoy's own. Lists keep the
//! order of the dump. Where a dump has no say (a section that was not asked for), [`Proxy::has`] tells that apart from
//! a section that is empty.

pub mod objects;
pub mod policy;
pub mod protocol;
pub mod read;
pub mod scope;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::field::value::Micros;
use objects::Objects;

/// All that was given with `--mesh`.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// Proxies' dumps. Several of one proxy over time stand one after the other, the oldest first.
    pub proxies: Vec<Proxy>,
    /// What the cluster's objects say.
    pub objects: Objects,
    /// What was not used, and why: parts of dumps, by file and place.
    pub left_out: Vec<LeftOut>,
    /// It lay beside the logs, in a bug report or must-gather, and was not given with `--mesh`.
    pub beside_logs: bool,
}

/// A part of a file that was not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The file, with the member of the archive if it is one.
    pub file: Box<str>,
    /// Where in it: `configs[3].dynamic_listeners[7]`; empty for all of it.
    pub place: Box<str>,
    /// Why, for a person.
    pub why: Box<str>,
    /// Wrong, and not only unknown to us.
    pub wrong: bool,
}

/// A proxy's configuration at one time. Files that tell of the same proxy and time (`config_dump` beside `clusters`) are
/// one value.
#[derive(Clone, Debug, Default)]
pub struct Proxy {
    /// Whose it is.
    pub node: Node,
    /// When it was taken: the youngest time in it; none if it holds no time.
    pub taken: Option<Micros>,
    /// The files that it comes from.
    pub files: Vec<Box<str>>,
    /// Which parts were there.
    pub has: Has,
    /// Listeners, static ones included.
    pub listeners: Vec<Listener>,
    /// Clusters by name.
    pub clusters: BTreeMap<Box<str>, Cluster>,
    /// Route configurations by name.
    pub routes: BTreeMap<Box<str>, RouteConfig>,
    /// Endpoints by the name under which clusters ask for them (EDS) or have them (`/clusters`).
    pub endpoints: BTreeMap<Box<str>, Vec<Endpoint>>,
}

/// The parts of a dump. A part that was not given says nothing; one that was given and is empty says that there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each part is there or not, whatever the others are")]
pub struct Has {
    /// Listeners.
    pub listeners: bool,
    /// Clusters.
    pub clusters: bool,
    /// Route configurations.
    pub routes: bool,
    /// Endpoints, from EDS or as the proxy sees them alive.
    pub endpoints: bool,
    /// Only the table that `istioctl proxy-config listeners` prints without `-o`: matches and destinations, no filters.
    pub only_table: bool,
}

/// Whose configuration it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Envoy's node id: `sidecar~10.1.2.3~pod.ns~ns.svc.cluster.local`; empty if the dump does not say.
    pub id: Box<str>,
    /// The pod; from the node id, else from the file's name. Empty if neither says.
    pub pod: Box<str>,
    /// Its namespace; empty as above.
    pub namespace: Box<str>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// What it is: `sidecar`, `router`, `waypoint`, `ztunnel`; empty if the dump does not say.
    pub kind: Box<str>,
    /// Istio's version, as the proxy tells it.
    pub version: Box<str>,
    /// The proxy answers names itself (`ISTIO_META_DNS_CAPTURE`), so that allocated addresses are used.
    pub dns_capture: bool,
}

/// A listener. Source: `envoy.config.listener.v3.Listener`.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "Envoy's own flags")]
pub struct Listener {
    /// Its name: `0.0.0.0_5701`, `virtualOutbound`.
    pub name: Box<str>,
    /// Where it listens, `additional_addresses` included. Empty for pipes and internal listeners.
    pub addresses: Vec<SocketAddr>,
    /// In use: only an active listener takes connections, a warming or draining one does not.
    pub active: bool,
    /// Why the last update was refused; what is active is older then.
    pub error: Option<Refused>,
    /// Hands connections on to the listener of their original destination.
    pub use_original_dst: bool,
    /// Bound to a socket of its own. Listeners that only `virtualOutbound` hands to are not.
    pub bound: bool,
    /// Answers for IPv4 as well, on an IPv6 wildcard.
    pub ipv4_compat: bool,
    /// What it is for, if it says so.
    pub direction: Option<Direction>,
    /// Looks for a TLS hello first, so that chains can ask for SNI, ALPN and `tls`.
    pub tls_inspector: Inspector,
    /// Looks for plaintext HTTP first.
    pub http_inspector: Inspector,
    /// Names of listener filters that we cannot follow.
    pub other_filters: Vec<Box<str>>,
    /// How long the inspectors wait for bytes, in milliseconds; none where the dump does not say (Envoy: 15 s), 0 for ever.
    pub inspection_timeout: Option<u64>,
    /// Chains are chosen by a matcher tree, which we do not follow.
    pub has_matcher: bool,
    /// Filter chains.
    pub chains: Vec<Chain>,
    /// The one that takes what no other takes.
    pub default_chain: Option<Chain>,
    /// When it was given to the proxy.
    pub updated: Option<Micros>,
    /// The object that made it, if the dump says so: `filter_metadata.istio.config`.
    pub made_by: Box<str>,
}

/// An update that the proxy refused (NACK).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Why, in the proxy's words.
    pub details: Box<str>,
    /// When.
    pub at: Option<Micros>,
}

/// Which way a listener's connections go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// To the pod.
    Inbound,
    /// From the pod.
    Outbound,
}

/// A listener filter that looks at the first bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Inspector {
    /// Not there.
    #[default]
    Absent,
    /// There, but not for these destination ports (start, end; the end is not part of it).
    ExceptPorts(Vec<(u16, u16)>),
    /// There, switched off by a condition that we cannot follow.
    Unknown,
}

impl Inspector {
    /// There, for every port.
    pub const ALWAYS: Inspector = Inspector::ExceptPorts(Vec::new());
}

/// A filter chain. Source: `envoy.config.listener.v3.FilterChain`.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// Its name; often empty.
    pub name: Box<str>,
    /// What it takes.
    pub takes: Match,
    /// Where its connections go.
    pub to: To,
    /// The TLS that it ends, if it does.
    pub tls: Option<DownstreamTls>,
    /// Network filters before the last one, by name: some of them end connections (RBAC).
    pub filters: Vec<Box<str>>,
    /// The object that made it, if the dump says so.
    pub made_by: Box<str>,
}

/// A chain's conditions; an empty one takes everything. Source: `envoy.config.listener.v3.FilterChainMatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Destination port.
    pub port: Option<u16>,
    /// Destination addresses.
    pub prefixes: Vec<Prefix>,
    /// SNI, exact or `*.suffix`, lower case.
    pub server_names: Vec<Box<str>>,
    /// `raw_buffer`, `tls`, `quic`; empty for any.
    pub transport: Box<str>,
    /// ALPN.
    pub application_protocols: Vec<Box<str>>,
    /// Addresses of the peer on the wire.
    pub direct_source_prefixes: Vec<Prefix>,
    /// Where the connection comes from.
    pub source_type: SourceType,
    /// Addresses of the source.
    pub source_prefixes: Vec<Prefix>,
    /// Ports of the source.
    pub source_ports: Vec<u16>,
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The address, bits behind the length are 0.
    pub address: IpAddr,
    /// How many of its bits count.
    pub length: u8,
}

/// `source_type` of a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceType {
    /// Any.
    #[default]
    Any,
    /// The proxy's own machine or pod.
    SameIpOrLoopback,
    /// Anywhere else.
    External,
}

/// TLS that a chain ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DownstreamTls {
    /// Clients must show a certificate: mTLS.
    pub requires_client_certificate: bool,
}

/// Where a chain's connections go: its last filter.
#[derive(Clone, Debug, Default)]
pub enum To {
    /// A TCP proxy to clusters, each with its weight; one of weight 1 where there is only one.
    Tcp(Vec<(Box<str>, u64)>),
    /// HTTP by the route configuration of this name.
    Rds(Box<str>),
    /// HTTP by a route configuration written into the chain.
    Inline(Box<RouteConfig>),
    /// A filter that we cannot follow, by name.
    Other(Box<str>),
    /// What the table of `istioctl` says, which is all that is known.
    Words(Box<str>),
    /// No filters: the connection is closed.
    #[default]
    Nowhere,
}

/// An HTTP route table. Source: `envoy.config.route.v3.RouteConfiguration`.
#[derive(Clone, Debug, Default)]
pub struct RouteConfig {
    /// Its name.
    pub name: Box<str>,
    /// Virtual hosts.
    pub hosts: Vec<VirtualHost>,
    /// Requests name their virtual host with the port left out.
    pub ignore_port_in_host: bool,
    /// Why the last update was refused.
    pub error: Option<Refused>,
    /// When it was given to the proxy.
    pub updated: Option<Micros>,
}

/// A virtual host.
#[derive(Clone, Debug, Default)]
pub struct VirtualHost {
    /// Its name: `allow_any`, `block_all`, `web.shop.svc.cluster.local:80`.
    pub name: Box<str>,
    /// Hosts, exact, `*.suffix`, `prefix.*` or `*`; lower case.
    pub domains: Vec<Box<str>>,
    /// Routes, the first that fits is taken.
    pub routes: Vec<Route>,
    /// Requests without TLS are redirected (`require_tls: ALL`).
    pub requires_tls: bool,
}

/// A route.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Its name; often `default`.
    pub name: Box<str>,
    /// The path that it takes.
    pub path: PathMatch,
    /// The path is compared without regard to case.
    pub ignore_case: bool,
    /// Conditions that a log does not show: headers, query parameters, by name.
    pub conditions: Vec<Box<str>>,
    /// Where the requests go.
    pub to: RouteTo,
    /// The host that a request names is replaced, and the access log has what it was replaced with.
    pub rewrites_host: bool,
    /// The object that made it, if the dump says so.
    pub made_by: Box<str>,
}

/// Which paths a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// That begin so.
    Prefix(Box<str>),
    /// That begin so, up to a `/` or the end.
    SegmentPrefix(Box<str>),
    /// Exactly this one.
    Exact(Box<str>),
    /// That a regular expression fits, whole.
    Regex(Box<str>),
    /// A way to match that we cannot follow.
    Other(Box<str>),
}

impl Default for PathMatch {
    fn default() -> Self {
        PathMatch::Prefix("/".into())
    }
}

/// Where a route sends requests.
#[derive(Clone, Debug, Default)]
pub enum RouteTo {
    /// To clusters, each with its weight.
    Clusters(Vec<(Box<str>, u64)>),
    /// To the cluster that a header names.
    ClusterHeader(Box<str>),
    /// Answered by the proxy with this status.
    Direct(u16),
    /// Redirected by the proxy.
    Redirect,
    /// In a way that we cannot follow.
    #[default]
    Other,
}

/// A cluster. Source: `envoy.config.cluster.v3.Cluster`.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Its name.
    pub name: Box<str>,
    /// How it finds its endpoints: `EDS`, `STATIC`, `STRICT_DNS`, `LOGICAL_DNS`, `ORIGINAL_DST`, or the name of an extension.
    pub kind: Box<str>,
    /// In use; a warming one is not yet.
    pub active: bool,
    /// Why the last update was refused.
    pub error: Option<Refused>,
    /// The name under which it asks for endpoints, where that is another than its own.
    pub service_name: Box<str>,
    /// Endpoints written into it; host names for DNS clusters.
    pub endpoints: Vec<Endpoint>,
    /// How long connecting may take, in milliseconds.
    pub connect_timeout: Option<u64>,
    /// The most connections at a time; none where the dump does not say (Envoy: 1024).
    pub max_connections: Option<u64>,
    /// TLS towards every endpoint, if there is.
    pub tls: Option<UpstreamTls>,
    /// TLS by what an endpoint's metadata say: name, what must be said, what is used then. The first that fits is taken.
    pub tls_matches: Vec<TlsMatch>,
    /// The services that it stands for: namespace and name, from `filter_metadata.istio.services`.
    pub services: Vec<(Box<str>, Box<str>)>,
    /// The object that shaped it, if the dump says so: a DestinationRule.
    pub made_by: Box<str>,
    /// When it was given to the proxy.
    pub updated: Option<Micros>,
}

/// TLS that a proxy begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The SNI that it sends; empty for none.
    pub sni: Box<str>,
    /// The protocols that it offers.
    pub alpn: Vec<Box<str>>,
    /// It shows the mesh's certificate: mTLS.
    pub mutual: bool,
}

/// A line of `transport_socket_matches`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsMatch {
    /// `tlsMode-istio`, `tlsMode-disabled`.
    pub name: Box<str>,
    /// `tlsMode` that the endpoint must have; empty for any.
    pub mode: Box<str>,
    /// The match asks for more than `tlsMode`.
    pub has_more: bool,
    /// TLS that is used then; none for plaintext.
    pub tls: Option<UpstreamTls>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: Address,
    /// It gets connections: neither marked as unhealthy nor ejected.
    pub healthy: bool,
    /// Why not, in Envoy's words: `UNHEALTHY`, `DRAINING`, `failed_outlier_check`; empty if it is.
    pub state: Box<str>,
    /// `tlsMode` of `envoy.transport_socket_match`; empty if it does not say.
    pub tls_mode: Box<str>,
    /// The workload and its namespace, from `istio.workload`; empty if it does not say.
    pub workload: (Box<str>, Box<str>),
    /// Connects that failed, as `/clusters` counts.
    pub connect_failures: Option<u64>,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address.
    Ip(SocketAddr),
    /// A host name that the proxy resolves, and a port.
    Host(Box<str>, u16),
    /// A pipe or an internal listener.
    Other(Box<str>),
}
