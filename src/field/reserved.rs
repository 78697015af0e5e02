//! What Istio keeps for itself: ports and addresses that tell something wherever they stand in a line.
//!
//! Sources: Istio documentation, Application Requirements; Istio `pilot/pkg/networking/util/util.go`
//! (`InboundPassthroughBindIpv4`), `pilot/pkg/serviceregistry/serviceentry` (addresses of ServiceEntries).

/// A port of the mesh's own.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// What it is for.
    pub meaning: &'static str,
    /// Proxies dial it in other pods, as part of the mesh's own plumbing.
    pub plumbing: bool,
}

const fn port(number: u16, meaning: &'static str, plumbing: bool) -> Port {
    Port { number, meaning, plumbing }
}

/// Every such port.
pub const PORTS: &[Port] = &[
    port(15000, "Envoy's admin interface, in the pod only", false),
    port(15001, "the sidecar's outbound listener: iptables sends to it what the application dials", false),
    port(15004, "the agent's debug interface", false),
    port(15006, "the sidecar's inbound listener: iptables sends to it what comes to the pod", false),
    port(15008, "HBONE: mTLS tunnels of ztunnels, waypoints and sidecars in ambient mode", true),
    port(15009, "HBONE over HTTP/2 without TLS", false),
    port(15010, "istiod: configuration and certificates, in plaintext", true),
    port(15012, "istiod: configuration and certificates, over TLS", true),
    port(15014, "istiod: its metrics", true),
    port(15017, "istiod: webhooks", true),
    port(15020, "the agent: metrics of application and proxy, application probes", false),
    port(15021, "health of the proxy: what readiness probes and load balancers ask", false),
    port(15053, "the agent's DNS", true),
    port(15090, "Envoy's metrics for Prometheus", true),
    port(15443, "east-west gateway: traffic of other clusters, passed on by its SNI", false),
];

/// The row of a port.
pub fn of_port(number: u16) -> Option<&'static Port> {
    PORTS.iter().find(|port| port.number == number)
}

/// Addresses by how they begin, and what they tell.
pub const ADDRESSES: &[(&str, &str)] = &[
    ("127.0.0.6:", "the source that a server's sidecar dials its application from, since Istio 1.10"),
    ("[::6]:", "the source that a server's sidecar dials its application from, since Istio 1.10"),
    ("127.0.0.1:", "the pod itself: how sidecars dialled their application up to Istio 1.9"),
    (
        "240.240.",
        "allocated by Istio for a ServiceEntry without addresses: nobody has it, only proxies and their DNS know it",
    ),
    (
        "[2001:2::",
        "allocated by Istio for a ServiceEntry without addresses: nobody has it, only proxies and their DNS know it",
    ),
    (
        "envoy://",
        "inside of the proxy: a waypoint or a sidecar on its way into an HBONE tunnel; what stands behind the last / is the endpoint",
    ),
];

/// What an address tells by how it begins, with a port or without.
pub fn of_address(text: &str) -> Option<&'static str> {
    let begins = |start: &str| text.starts_with(start) || start.strip_suffix(':') == Some(text);
    ADDRESSES.iter().find(|(start, _)| begins(start)).map(|(_, meaning)| *meaning)
}

/// Names of Istio's that people meet beside the log: what they are, and what they mean. Sources: Istio
/// `pilot/pkg/networking/core`, documentation of PeerAuthentication, DestinationRule and MeshConfig.
pub const NAMES: &[(&str, &str, &str)] = &[
    (
        "virtualOutbound",
        "listener",
        "takes all that the application dials, on port 15001, and hands it to the listener of its destination; what has none goes to PassthroughCluster (ALLOW_ANY) or BlackHoleCluster (REGISTRY_ONLY)",
    ),
    (
        "virtualInbound",
        "listener",
        "takes all that comes to the pod, on port 15006; a filter chain for each port of its Services, and one for all other ports",
    ),
    (
        "PassthroughFilterChain",
        "filter chain",
        "the chain of an outbound listener for what its other chains do not take: leads to PassthroughCluster or BlackHoleCluster",
    ),
    (
        "STRICT",
        "mode of a PeerAuthentication",
        "only mTLS is taken: plaintext finds no filter chain and is closed (NR filter_chain_not_found)",
    ),
    ("PERMISSIVE", "mode of a PeerAuthentication", "mTLS and plaintext are both taken; the default"),
    ("DISABLE", "mode of a PeerAuthentication or DestinationRule", "no mTLS: plaintext only"),
    ("ISTIO_MUTUAL", "mode of a DestinationRule", "clients use mTLS with the mesh's certificates"),
    (
        "ALLOW_ANY",
        "outboundTrafficPolicy",
        "what the proxy does not know goes on through PassthroughCluster; the default",
    ),
    ("REGISTRY_ONLY", "outboundTrafficPolicy", "what the proxy does not know is blocked by BlackHoleCluster"),
    (
        "ALLOW_ANY_DYNAMIC_DNS",
        "outboundTrafficPolicy",
        "as ALLOW_ANY, and HTTP to an unknown host goes to what its name resolves to, through AllowAnyDynamicDNSCluster",
    ),
];

/// What a name is and means.
pub fn of_name(word: &str) -> Option<(&'static str, &'static str, &'static str)> {
    NAMES.iter().copied().find(|(name, ..)| name.eq_ignore_ascii_case(word))
}

/// What the name of a listener or chain tells that is made of an address and a port: `0.0.0.0_5701`, `10.96.0.3_3306`.
pub fn of_listener(name: &str) -> Option<&'static str> {
    let (address, port) = name.rsplit_once('_')?;
    port.parse::<u16>().ok()?;
    let address = address.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().ok()?;
    Some(if address.is_unspecified() {
        "listens on every address of the port: HTTP by its host, or whatever TCP no listener with an address takes; if its last chain leads to an outbound cluster, it catches the whole port"
    } else {
        "listens on this address only: a service's virtual address, or a pod of a headless Service"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_sorted_and_everything_has_a_meaning() {
        assert!(PORTS.windows(2).all(|pair| pair[0].number < pair[1].number));
        assert!(PORTS.iter().all(|port| !port.meaning.is_empty()));
        let mut seen = std::collections::BTreeSet::new();
        assert!(ADDRESSES.iter().all(|(start, meaning)| seen.insert(start) && !meaning.is_empty()));
        assert_eq!(of_port(5701).map(|port| port.number), None);
        assert!(of_address("127.0.0.6:4711").is_some() && of_address("10.0.0.1:80").is_none());
        assert!(of_address("127.0.0.6").is_some() && of_address("127.0.0.60").is_none());
        let every = |name| of_listener(name).is_some_and(|text| text.contains("every address"));
        assert!(every("0.0.0.0_5701") && every("[::]_5701") && !every("10.0.0.1_80") && of_listener("a_80").is_none());
        assert!(NAMES.iter().all(|(name, kind, meaning)| seen.insert(name) && !kind.is_empty() && !meaning.is_empty()));
    }
}
