//! Objects of a cluster that say why a proxy was told what it was told.
//!
//! Source: `kubectl get ... -o json|yaml`, istiod's `registryz`, ztunnel's dump. What an object does not say is empty.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Prefix;
use crate::field::value::Micros;

/// All objects, in the order of kind, namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Services, of Kubernetes and of the mesh's registry, and ServiceEntries (one for each host).
    pub services: Vec<Service>,
    /// Pods, and workloads that a ztunnel knows.
    pub pods: Vec<Pod>,
    /// Which addresses stand behind a service.
    pub endpoints: Vec<EndpointSlice>,
    /// PeerAuthentications.
    pub peer_authentications: Vec<PeerAuthentication>,
    /// Sidecars.
    pub sidecars: Vec<Sidecar>,
    /// DestinationRules.
    pub destination_rules: Vec<DestinationRule>,
    /// AuthorizationPolicies.
    pub authorization_policies: Vec<AuthorizationPolicy>,
    /// Namespaces.
    pub namespaces: Vec<Namespace>,
    /// Objects that are only known by name: VirtualService, Gateway, NetworkPolicy, ...
    pub others: Vec<Meta>,
    /// `outboundTrafficPolicy.mode` of the mesh, if its configuration is there: `ALLOW_ANY`, `REGISTRY_ONLY`.
    pub outbound_policy: Box<str>,
}

/// What every object says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `Service`, `ServiceEntry`, ...
    pub kind: Box<str>,
    /// Its namespace; empty for those of the cluster.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// When it was made.
    pub created: Option<Micros>,
    /// Its labels.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// `resourceVersion`, which grows with every change in a cluster; 0 if it does not say.
    pub version: u64,
    /// The file that it comes from.
    pub file: Box<str>,
}

/// A service, whoever declares it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The object.
    pub meta: Meta,
    /// The host by which clusters name it: `web.shop.svc.cluster.local`.
    pub host: Box<str>,
    /// Its own addresses, allocated ones not included. None for headless services.
    pub addresses: Vec<Prefix>,
    /// Addresses that istiod allocated, which only a proxy with DNS capture uses.
    pub allocated: Vec<IpAddr>,
    /// `clusterIP: None`.
    pub headless: bool,
    /// The name that an ExternalName points to; empty for others.
    pub external_name: Box<str>,
    /// How the mesh finds its endpoints.
    pub resolution: Resolution,
    /// Ports.
    pub ports: Vec<Port>,
    /// Labels of the pods behind it; empty for none.
    pub selector: BTreeMap<Box<str>, Box<str>>,
    /// Endpoints written into a ServiceEntry, addresses or names.
    pub written_endpoints: Vec<Box<str>>,
    /// Namespaces that see it: `.`, `*`, names; empty for the default of the mesh.
    pub export_to: Vec<Box<str>>,
    /// Outside of the mesh (`MESH_EXTERNAL`).
    pub external: bool,
    /// The waypoint that its calls go through, `NAMESPACE/HOST` or an address, as a ztunnel knows it; empty for none.
    pub waypoint: Box<str>,
}

/// How a service's endpoints are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Written down or selected.
    #[default]
    Static,
    /// By name.
    Dns,
    /// By name, the first address only.
    DnsRoundRobin,
    /// The connection goes on to where it was sent.
    Passthrough,
    /// Another name of another service.
    Alias,
    /// By the name that a request asks for.
    DynamicDns,
}

/// A port of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Its name; often empty.
    pub name: Box<str>,
    /// `TCP`, `UDP`, `SCTP` for Kubernetes; `HTTP`, `TLS`, ... for ServiceEntries and the registry.
    pub protocol: Box<str>,
    /// `appProtocol`; empty if it does not say.
    pub app_protocol: Box<str>,
    /// The pod's port, as a number or a name; empty for the same number.
    pub target: Box<str>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// The object.
    pub meta: Meta,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// It has a sidecar, or a ztunnel speaks HBONE for it; none where nothing says.
    pub meshed: Option<bool>,
    /// `Running`, `Pending`, ...
    pub phase: Box<str>,
    /// When it was started.
    pub started: Option<Micros>,
    /// When it was told to end.
    pub deleted: Option<Micros>,
    /// Ports that its containers declare.
    pub ports: Vec<u16>,
    /// Its containers are ready; none where nothing says.
    pub ready: Option<bool>,
    /// How often its containers were started again.
    pub restarts: u64,
    /// The waypoint that calls of its address go through, as a ztunnel knows it; empty for none.
    pub waypoint: Box<str>,
}

/// Addresses behind a service: an EndpointSlice, or Endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSlice {
    /// The object.
    pub meta: Meta,
    /// The service's name, in the same namespace.
    pub service: Box<str>,
    /// Address, whether it is ready, and the pod's name (empty if it is none).
    pub addresses: Vec<(IpAddr, bool, Box<str>)>,
    /// Ports of the pods.
    pub ports: Vec<u16>,
}

/// A PeerAuthentication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// The object.
    pub meta: Meta,
    /// Labels of the pods that it is for; empty for all of its namespace.
    pub selector: BTreeMap<Box<str>, Box<str>>,
    /// `STRICT`, `PERMISSIVE`, `DISABLE`; empty for what stands above it.
    pub mode: Box<str>,
    /// The same for single ports.
    pub ports: BTreeMap<u16, Box<str>>,
}

/// A Sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sidecar {
    /// The object.
    pub meta: Meta,
    /// Labels of the pods that it is for; empty for all of its namespace.
    pub selector: BTreeMap<Box<str>, Box<str>>,
    /// Hosts that its egress listeners know: `./*`, `shop/*`, `*/web.shop.svc.cluster.local`.
    pub egress_hosts: Vec<Box<str>>,
    /// The place of its first egress listener that is for every port; none if there is none.
    pub every_port: Option<usize>,
    /// An egress listener of it has a port or an address of its own, and so not all that it lists is known everywhere.
    pub binds_egress: bool,
    /// It declares ingress listeners, which replace those of services.
    pub has_ingress: bool,
    /// Its own `outboundTrafficPolicy.mode`; empty for the mesh's.
    pub outbound_policy: Box<str>,
}

/// A DestinationRule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationRule {
    /// The object.
    pub meta: Meta,
    /// The host that it is for, as it is written.
    pub host: Box<str>,
    /// `trafficPolicy.tls.mode`; empty if it does not say.
    pub tls_mode: Box<str>,
    /// Subsets, by name.
    pub subsets: Vec<Box<str>>,
    /// Namespaces that see it.
    pub export_to: Vec<Box<str>>,
}

/// An AuthorizationPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    /// The object.
    pub meta: Meta,
    /// `ALLOW`, `DENY`, `AUDIT`, `CUSTOM`.
    pub action: Box<str>,
    /// Labels of the pods that it is for; empty for all of its namespace.
    pub selector: BTreeMap<Box<str>, Box<str>>,
    /// How many rules it has; one without rules allows nothing.
    pub rules: usize,
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// The object; its labels say whether it is injected.
    pub meta: Meta,
}
