//! `Cluster`: the name of a cluster, taken apart.
//!
//! Istio's names are `direction|port|subset|host`; the SNI of mTLS between sidecars carries the same
//! four parts as `outbound_.port_.subset_.host`. Up to Istio 1.7 the third part of an inbound name is
//! the port's name. Source: Istio's `pilot/pkg/model/service.go`.

use memchr::memchr;

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

impl Direction {
    /// The direction of a name, at a glance: its other parts are not looked at.
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
    fn special_and_foreign_names_are_kept_apart() {
        assert!(read("PassthroughCluster;").direction.is_outbound());
        assert_eq!(read("BlackHoleCluster").direction, Direction::BlackHole);
        for name in ["", "-", "xds-grpc", "outbound|x||y", "outbound|1", "my_.own_.name"] {
            assert_eq!(read(name).direction, Direction::Other, "{name}");
        }
        assert_eq!(Cluster::of_sni(b"www.example.com"), None);
    }
}
