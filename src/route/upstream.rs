//! What is behind a cluster's name: whether it is there, its endpoints, and the TLS towards them.
//!
//! Source: Envoy `source/common/tcp_proxy/tcp_proxy.cc`, `source/common/upstream/transport_socket_match_impl.cc`.

use std::net::SocketAddr;

use crate::cluster::Direction;
use crate::mesh::{Address, Cluster, Endpoint, Proxy, UpstreamTls};

/// What becomes of a connection that is sent to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// There is an endpoint that may be tried.
    Goes,
    /// There is no such cluster: `NC`.
    Missing,
    /// It has no endpoint: `UH`.
    NoEndpoint,
    /// None of its endpoints is healthy: `UH`, as long as the proxy does not panic.
    NoneHealthy,
    /// What was given does not say.
    Unknown,
}

/// What a server gets to see of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls<'m> {
    /// What the client sent: the proxy adds nothing.
    Plain,
    /// TLS that the proxy begins.
    Begun(&'m UpstreamTls),
    /// One or the other, by endpoint.
    ByEndpoint,
    /// What was given does not say.
    Unknown,
}

impl Tls<'_> {
    /// The SNI that the server's proxy will log, if it is the proxy that sends one.
    pub fn sni(&self) -> Option<&str> {
        match self {
            Tls::Begun(tls) if !tls.sni.is_empty() => Some(&tls.sni),
            _ => None,
        }
    }

    /// Whether it is mTLS with the mesh's certificate; none if that is open.
    pub fn is_mutual(&self) -> Option<bool> {
        match self {
            Tls::Plain => Some(false),
            Tls::Begun(tls) => Some(tls.mutual),
            Tls::ByEndpoint | Tls::Unknown => None,
        }
    }
}

/// The endpoints of a cluster; none if what was given does not have them.
pub(super) fn endpoints<'m>(proxy: &'m Proxy, cluster: &'m Cluster) -> Option<&'m [Endpoint]> {
    let alive = |name: &str| proxy.endpoints.get(name).map(Vec::as_slice);
    let asked = (!cluster.service_name.is_empty()).then(|| alive(&cluster.service_name)).flatten();
    let found = asked.or_else(|| alive(&cluster.name));
    match &*cluster.kind {
        // Only the proxy knows what is there now.
        "EDS" => found.or((proxy.has.endpoints).then_some(&[])),
        "STRICT_DNS" | "LOGICAL_DNS" => found.or(Some(&cluster.endpoints)),
        _ => found.filter(|found| !found.is_empty()).or(Some(&cluster.endpoints)),
    }
}

/// Whether a cluster sends on to where the client wanted to go.
pub(super) fn goes_on(name: &str, cluster: Option<&Cluster>) -> bool {
    match cluster {
        Some(cluster) => &*cluster.kind == "ORIGINAL_DST",
        None => matches!(Direction::of(name.as_bytes()), Direction::Passthrough | Direction::InboundPassthrough),
    }
}

/// What becomes of a connection to the cluster of this name.
pub(super) fn fate(proxy: &Proxy, name: &str) -> Fate {
    let Some(cluster) = proxy.clusters.get(name) else {
        return match Direction::of(name.as_bytes()) {
            _ if proxy.has.clusters => Fate::Missing,
            Direction::BlackHole => Fate::NoEndpoint,
            _ if goes_on(name, None) => Fate::Goes,
            _ => Fate::Unknown,
        };
    };
    if !cluster.active {
        return Fate::Missing;
    }
    if goes_on(name, Some(cluster)) {
        return Fate::Goes;
    }
    match endpoints(proxy, cluster) {
        Some([]) if matches!(&*cluster.kind, "EDS" | "STATIC" | "STRICT_DNS" | "LOGICAL_DNS") => Fate::NoEndpoint,
        // What an extension does with its endpoints is its own.
        None | Some([]) => Fate::Unknown,
        Some(all) if all.iter().any(|endpoint| endpoint.healthy) => Fate::Goes,
        Some(_) => Fate::NoneHealthy,
    }
}

/// The TLS of a cluster towards one of its endpoints, or towards all of them.
pub(super) fn tls<'m>(proxy: &'m Proxy, name: &str, to: Option<SocketAddr>) -> Tls<'m> {
    let Some(cluster) = proxy.clusters.get(name) else {
        return if goes_on(name, None) { Tls::Plain } else { Tls::Unknown };
    };
    let of_all = cluster.tls.as_ref().map_or(Tls::Plain, Tls::Begun);
    if cluster.tls_matches.is_empty() {
        return of_all;
    }
    let Some(all) = endpoints(proxy, cluster) else { return Tls::Unknown };
    let is_at = |endpoint: &&Endpoint| to.is_none_or(|to| endpoint.address == Address::Ip(to));
    let mut ways = all.iter().filter(is_at).map(|endpoint| towards(cluster, &endpoint.tls_mode));
    let Some(first) = ways.next() else {
        // Nobody there to say anything: what an endpoint without words would get.
        return if goes_on(name, Some(cluster)) { towards(cluster, "") } else { Tls::Unknown };
    };
    if ways.all(|other| other == first) { first } else { Tls::ByEndpoint }
}

/// The first line that fits what the endpoint says, else the cluster's own.
pub(super) fn towards<'m>(cluster: &'m Cluster, mode: &str) -> Tls<'m> {
    for line in &cluster.tls_matches {
        if line.has_more {
            return Tls::Unknown;
        }
        if line.mode.is_empty() || *line.mode == *mode {
            return line.tls.as_ref().map_or(Tls::Plain, Tls::Begun);
        }
    }
    cluster.tls.as_ref().map_or(Tls::Plain, Tls::Begun)
}
