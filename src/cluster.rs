//! `Cluster`: the name of a cluster, taken apart.
//!
//! Istio's names are `direction|port|subset|host`; the SNI of mTLS between sidecars carries the same
//! four parts as `outbound_.port_.subset_.host`. Up to Istio 1.7 the third part of an inbound name is
//! the port's name. Source: Istio's `pilot/pkg/model/service.go`.

use memchr::memchr;

use crate::field::flag::Flags;
use crate::field::value;

/// Which way a cluster leads, and how special it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `outbound|...`: a service of the registry.
    Outbound,
    /// `inbound|...`, `inbound-vip|...`: the proxy's own application.
    Inbound,
    /// `PassthroughCluster`: outbound to an address that the proxy does not know.
    Passthrough,
    /// `BlackHoleCluster`: outbound and blocked.
    BlackHole,
    /// `InboundPassthroughCluster`, `...Ipv4`, `...Ipv6`: inbound to a port of no service.
    InboundPassthrough,
    /// Anything else, or nothing.
    Other,
}

/// A cluster name that borrows from the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster<'a> {
    /// Which way it leads.
    pub direction: Direction,
    /// The service port; the container port on inbound names since Istio 1.8.1.
    pub port: Option<u16>,
    /// The subset, or on old inbound names the port's name; empty if none.
    pub subset: &'a [u8],
    /// The host of the service; empty on inbound names since Istio 1.8.
    pub host: &'a [u8],
}

/// A name that is no service's.
#[derive(Clone, Copy, Debug)]
pub struct Special {
    /// The name.
    pub name: &'static str,
    /// The releases of Istio that have it.
    pub releases: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn special(name: &'static str, releases: &'static str, meaning: &'static str) -> Special {
    Special { name, releases, meaning }
}

const PLUMBING: &str = "the proxy's own traffic, from its bootstrap; seldom in an access log";
const TUNNEL: &str = "plumbing of HBONE tunnels in a waypoint or a gateway";
const PASSED_INBOUND: &str =
    "inbound to a port that no Service of the pod lists: policies and metrics for the port do not apply";

/// The names that mean something by themselves. Source: Istio's `pilot/pkg/networking/util/util.go`, bootstrap template.
pub const SPECIAL: &[Special] = &[
    special(
        "PassthroughCluster",
        "since 1.1",
        "outbound to a destination that the proxy does not know, allowed by ALLOW_ANY: goes to the address that was dialled, without mTLS and policy",
    ),
    special(
        "BlackHoleCluster",
        "since 1.0, in lines since 1.10",
        "outbound and blocked: REGISTRY_ONLY and no listener for the destination, or a guard against loops; always with UH",
    ),
    special(
        "AllowAnyDynamicDNSCluster",
        "since 1.31",
        "outbound HTTP to a host that the proxy does not know, allowed by ALLOW_ANY_DYNAMIC_DNS: goes to what the host's name resolves to",
    ),
    special("InboundPassthroughCluster", "since 1.23", PASSED_INBOUND),
    special("InboundPassthroughClusterIpv4", "1.3 to 1.22", PASSED_INBOUND),
    special("InboundPassthroughClusterIpv6", "1.3 to 1.22", PASSED_INBOUND),
    special("agent", "all", PLUMBING),
    special("prometheus_stats", "all", PLUMBING),
    special("sds-grpc", "all", PLUMBING),
    special("xds-grpc", "all", PLUMBING),
    special("zipkin", "all", PLUMBING),
    special("envoy_metrics_service", "all", PLUMBING),
    special("envoy_accesslog_service", "all", PLUMBING),
    special("connect_originate", "since 1.18", TUNNEL),
    special("connect_terminate", "since 1.18", TUNNEL),
    special("main_internal", "since 1.18", TUNNEL),
    special("encap", "since 1.18", TUNNEL),
    special("outer_connect_originate", "since 1.28", TUNNEL),
    special("inner_connect_originate", "since 1.28", TUNNEL),
];

/// What some flags mean on a cluster of some direction.
const ENDINGS: &[(Direction, &[&str], &str)] = &[
    (
        Direction::BlackHole,
        &["UH"],
        "blocked, and no service without endpoints: the proxy may only go where the registry has something (REGISTRY_ONLY)",
    ),
    (
        Direction::Passthrough,
        &["UF", "URX"],
        "the address that was dialled is gone, refuses or is filtered; the mesh's routing had no part in it",
    ),
    (
        Direction::Outbound,
        &["UF", "URX"],
        "the proxy knows the service; the endpoint that it chose could not be connected",
    ),
    (
        Direction::Outbound,
        &["UH"],
        "the proxy knows the service, which has no endpoint to offer: none ready, a subset that selects nothing, or all ejected",
    ),
    (
        Direction::Inbound,
        &["UF", "URX"],
        "the pod's own application does not listen on the port: not yet, no longer, or since Istio 1.10 on 127.0.0.1 only",
    ),
    (
        Direction::InboundPassthrough,
        &["UF", "URX"],
        "nothing listens on that port of the pod: a probe, a scan, or an address that another pod had before",
    ),
];

impl Direction {
    /// The word in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Outbound => "outbound",
            Direction::Inbound => "inbound",
            Direction::Passthrough => "passthrough",
            Direction::BlackHole => "blackhole",
            Direction::InboundPassthrough => "inbound-passthrough",
            Direction::Other => "other",
        }
    }

    /// What it means, one phrase.
    pub const fn meaning(self) -> &'static str {
        match self {
            Direction::Outbound => "outbound, on the client's side, to a service of the registry",
            Direction::Inbound => "inbound, on the server's side, to the pod's own application",
            Direction::Passthrough => "outbound to an address that the proxy does not know",
            Direction::BlackHole => "outbound and blocked",
            Direction::InboundPassthrough => "inbound to a port of no service",
            Direction::Other => "a name that is not one of Istio's",
        }
    }

    /// What flags mean on a cluster of this direction, beyond themselves.
    pub fn ending(self, flags: Flags) -> Option<&'static str> {
        ENDINGS.iter().find(|(on, any, _)| *on == self && flags.any(Flags::of(any))).map(|(.., meaning)| *meaning)
    }

    /// The direction of a name, at a glance: its other parts are not looked at.
    #[inline]
    pub fn of(name: &[u8]) -> Direction {
        match trimmed(name) {
            b"PassthroughCluster" => Direction::Passthrough,
            b"BlackHoleCluster" => Direction::BlackHole,
            b"InboundPassthroughCluster" | b"InboundPassthroughClusterIpv4" | b"InboundPassthroughClusterIpv6" => {
                Direction::InboundPassthrough
            }
            name if name.starts_with(b"outbound|") || name.starts_with(b"outbound_.") => Direction::Outbound,
            name if name.starts_with(b"inbound|")
                || name.starts_with(b"inbound-vip|")
                || name.starts_with(b"inbound_.") =>
            {
                Direction::Inbound
            }
            _ => Direction::Other,
        }
    }

    /// Whether a line with such a cluster was written on the client's side.
    pub fn is_outbound(self) -> bool {
        matches!(self, Direction::Outbound | Direction::Passthrough | Direction::BlackHole)
    }

    /// Whether a line with such a cluster was written on the server's side.
    pub fn is_inbound(self) -> bool {
        matches!(self, Direction::Inbound | Direction::InboundPassthrough)
    }
}

impl<'a> Cluster<'a> {
    /// Takes a name apart. One trailing `;`, which Istio 1.23 prints in some formats, is dropped.
    pub fn read(name: &'a [u8]) -> Cluster<'a> {
        let name = trimmed(name);
        let bare = |direction| Cluster { direction, port: None, subset: b"", host: b"" };
        match Direction::of(name) {
            Direction::Outbound | Direction::Inbound => {}
            other => return bare(other),
        }
        let found = parts(name, |text| memchr(b'|', text), 1).or_else(|| Self::dotted(name));
        found.unwrap_or_else(|| bare(Direction::Other))
    }

    /// Takes an SNI apart, if it is one that sidecars use among themselves.
    pub fn of_sni(sni: &'a [u8]) -> Option<Cluster<'a>> {
        Self::dotted(sni).filter(|cluster| cluster.direction == Direction::Outbound && !cluster.host.is_empty())
    }

    /// The form with `_.` between the parts.
    fn dotted(name: &'a [u8]) -> Option<Cluster<'a>> {
        let separator = |text: &[u8]| text.windows(2).position(|window| window == b"_.");
        if name.starts_with(b"outbound_.") || name.starts_with(b"inbound_.") { parts(name, separator, 2) } else { None }
    }
}

/// The row of a special name, a trailing `;` or not.
pub fn special_of(name: &str) -> Option<&'static Special> {
    SPECIAL.iter().find(|special| special.name.as_bytes() == trimmed(name.as_bytes()))
}

/// The name without the `;` that ends it in some releases.
pub fn trimmed(name: &[u8]) -> &[u8] {
    name.strip_suffix(b";").unwrap_or(name)
}

/// Direction, port, subset and host, with separators of `width` bytes that `find` finds.
fn parts<'a>(name: &'a [u8], find: impl Fn(&[u8]) -> Option<usize>, width: usize) -> Option<Cluster<'a>> {
    let cut = |text: &'a [u8]| find(text).map(|at| (&text[..at], &text[at + width..]));
    let (direction, rest) = cut(name)?;
    let direction = match direction {
        b"outbound" => Direction::Outbound,
        b"inbound" | b"inbound-vip" => Direction::Inbound,
        _ => return None,
    };
    let (port, rest) = cut(rest)?;
    let port = u16::try_from(value::integer(port)?).ok()?;
    let (subset, host) = cut(rest)?;
    Some(Cluster { direction, port: Some(port), subset, host })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Cluster<'_> {
        Cluster::read(name.as_bytes())
    }

    #[test]
    fn the_four_parts_are_found_in_both_spellings() {
        let cluster = read("outbound|5701|v1|manager.manager.svc.cluster.local;");
        assert_eq!((cluster.direction, cluster.port, cluster.subset), (Direction::Outbound, Some(5701), &b"v1"[..]));
        assert_eq!(cluster.host, b"manager.manager.svc.cluster.local");
        let sni = Cluster::of_sni(b"outbound_.5701_._.manager.manager.svc.cluster.local").unwrap();
        assert_eq!((sni.port, sni.subset, sni.host), (Some(5701), &b""[..], cluster.host));
    }

    #[test]
    fn inbound_names_of_every_release_read() {
        assert_eq!(read("inbound|5701|tcp-hazelcast|manager.manager.svc.cluster.local").subset, b"tcp-hazelcast");
        assert!(read("inbound|80||").direction.is_inbound() && read("inbound|80||").host.is_empty());
        assert!(read("InboundPassthroughClusterIpv4").direction.is_inbound());
        assert!(read("inbound-vip|9080|http|details.bookinfo.svc.cluster.local").direction.is_inbound());
    }

    #[test]
    fn special_names_are_unique_and_told_by_the_same_words() {
        let mut seen = std::collections::BTreeSet::new();
        for special in SPECIAL {
            assert!(seen.insert(special.name) && !special.meaning.is_empty() && !special.releases.is_empty());
            let told = Direction::of(special.name.as_bytes()) != Direction::Other;
            let by_address = special.name.contains("Cluster") && !special.name.contains("DNS");
            assert_eq!(told, by_address, "{}", special.name);
        }
        for (_, flags, meaning) in ENDINGS {
            assert!(!Flags::of(flags).any(Flags::UNKNOWN) && !meaning.is_empty());
        }
    }

    #[test]
    fn special_and_foreign_names_are_kept_apart() {
        assert!(read("PassthroughCluster;").direction.is_outbound());
        assert_eq!(read("BlackHoleCluster").direction, Direction::BlackHole);
        for name in ["", "-", "xds-grpc", "outbound|x||y", "outbound|1", "my_.own_.name"] {
            assert_eq!(read(name).direction, Direction::Other, "{name}");
        }
        assert_eq!(Cluster::of_sni(b"www.example.com"), None);
    }
}
