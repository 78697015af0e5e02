//! Stand-ins: a table for each kind of name, numbered in the order in which names are shown.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::words::WELL_KNOWN;
use crate::names::workload;

/// What a piece of text is, and so what stands in for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape<'t> {
    /// Stays as it is.
    Kept(&'t str),
    /// An address without its port.
    Ip(IpAddr),
    /// A pod or a workload.
    App(&'t str),
    /// Anything else that has a name, by its kind.
    Named(Kind, &'t str),
}

/// Kinds of names; each has numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Workload,
    ReplicaSet,
    Pod,
    Namespace,
    Service,
    Subset,
    PortName,
    Account,
    Node,
    Mesh,
    Host,
    Path,
    RequestId,
    File,
    Format,
    /// Whatever is not known to be harmless.
    Value,
    Private,
    Public,
    Reserved,
    Unique,
    Link,
    Allocated,
    Foreign,
}

/// Every name that was shown so far, with its number.
#[derive(Debug, Default)]
pub(super) struct StandIns(BTreeMap<Kind, BTreeMap<Box<str>, u32>>);

impl StandIns {
    /// The number of a name among those of its kind, from 1.
    fn number(&mut self, kind: Kind, name: &str) -> u32 {
        let known = self.0.entry(kind).or_default();
        if let Some(number) = known.get(name) {
            return *number;
        }
        let number = known.len() as u32 + 1;
        known.insert(name.into(), number);
        number
    }

    /// What is shown for a piece of text.
    pub(super) fn of(&mut self, shape: &Shape<'_>) -> String {
        match shape {
            Shape::Kept(text) => (*text).to_owned(),
            Shape::Ip(IpAddr::V4(ip)) => self.v4(*ip).to_string(),
            Shape::Ip(IpAddr::V6(ip)) => self.v6(*ip).to_string(),
            Shape::App(name) => self.app(name),
            Shape::Named(kind, name) => self.named(*kind, name),
        }
    }

    fn named(&mut self, kind: Kind, name: &str) -> String {
        let (before, behind) = match kind {
            Kind::Namespace | Kind::Service if WELL_KNOWN.contains(&name) => return name.to_owned(),
            Kind::Namespace => ("ns", ""),
            Kind::Service => ("svc", ""),
            Kind::Subset => ("subset", ""),
            Kind::PortName => ("port", ""),
            Kind::Account => ("sa", ""),
            Kind::Node => ("node", ""),
            Kind::Mesh => ("cluster", ""),
            Kind::Host => ("host", ".example"),
            Kind::Path => ("/path", ""),
            Kind::Format => ("format", ""),
            Kind::File => return format!("file{}{}", self.number(kind, name), extension(name)),
            Kind::RequestId => return format!("00000000-0000-4000-8000-{:012x}", self.number(kind, name)),
            _ => ("value", ""),
        };
        format!("{before}{}{behind}", self.number(kind, name))
    }

    /// A pod's or a workload's: the workload of the stand-in is the stand-in of the workload.
    fn app(&mut self, name: &str) -> String {
        let (base, rest) = name.split_at(workload(name.as_bytes()).len());
        if WELL_KNOWN.contains(&name) {
            return name.to_owned();
        }
        if rest.is_empty() || base.is_empty() {
            return format!("app{}", self.number(Kind::Workload, name));
        }
        let base = self.app(base);
        match rest[1..].split_once('-') {
            // The number of a StatefulSet's pod names nobody.
            None if rest[1..].bytes().all(|byte| byte.is_ascii_digit()) => base + rest,
            None => format!("{base}-{}", self.code(Kind::Pod, &rest[1..])),
            Some((hash, pod)) => {
                format!("{base}-{}-{}", self.code(Kind::ReplicaSet, hash), self.code(Kind::Pod, pod))
            }
        }
    }

    /// Five letters of Kubernetes' own alphabet, as [`workload`] knows them.
    fn code(&mut self, kind: Kind, text: &str) -> String {
        const LETTERS: &[u8; 27] = b"2456789bcdfghjklmnpqrstvwxz";
        let mut number = self.number(kind, text) as usize;
        let mut letters = Vec::new();
        while letters.len() < 4 || number > 0 {
            letters.push(LETTERS[number % LETTERS.len()]);
            number /= LETTERS.len();
        }
        letters.push(if kind == Kind::Pod { b'x' } else { b'r' });
        letters.iter().rev().map(|letter| char::from(*letter)).collect()
    }

    /// An address of the same nature. Which nature it has decides whether something is in the mesh.
    fn v4(&mut self, ip: Ipv4Addr) -> Ipv4Addr {
        const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
        let [first, second, ..] = ip.octets();
        if ip.is_loopback() || ip.is_unspecified() || ip == METADATA || ip == Ipv4Addr::BROADCAST {
            return ip;
        }
        let shared = first == 100 && second & 0xc0 == 64;
        if ip.is_private() || ip.is_link_local() || shared {
            return above(Ipv4Addr::new(10, 0, 0, 0), self.number(Kind::Private, &ip.to_string()));
        }
        if first >= 240 {
            // Istio gives such addresses to ServiceEntries that have none.
            return above(Ipv4Addr::new(240, 240, 0, 0), self.number(Kind::Reserved, &ip.to_string()));
        }
        public(self.number(Kind::Public, &ip.to_string()))
    }

    fn v6(&mut self, ip: Ipv6Addr) -> Ipv6Addr {
        if let Some(v4) = ip.to_ipv4_mapped() {
            return self.v4(v4).to_ipv6_mapped();
        }
        // Istio's own `::6`, beside `::` and `::1`.
        if ip.to_bits() == 6 || ip.is_loopback() || ip.is_unspecified() {
            return ip;
        }
        let (kind, first, second) = match ip.segments() {
            _ if ip.is_unique_local() => (Kind::Unique, 0xfd00, 0),
            _ if ip.is_unicast_link_local() => (Kind::Link, 0xfe80, 0),
            [0x2001, 2, 0, ..] => (Kind::Allocated, 0x2001, 2),
            _ => (Kind::Foreign, 0x2001, 0xdb8),
        };
        let number = self.number(kind, &ip.to_string());
        Ipv6Addr::new(first, second, 0, 0, 0, 0, (number >> 16) as u16, number as u16)
    }
}

/// The address so many behind another one.
fn above(base: Ipv4Addr, number: u32) -> Ipv4Addr {
    base.to_bits().wrapping_add(number).into()
}

/// Public addresses: the ranges of documentation, then those of benchmarks, then those that nobody can have. RFC 5737,
/// 2544, 1122.
fn public(number: u32) -> Ipv4Addr {
    const EACH: u32 = 254;
    const BENCHMARKS: u32 = (1 << 17) - 1;
    let documented = [Ipv4Addr::new(203, 0, 113, 0), Ipv4Addr::new(198, 51, 100, 0), Ipv4Addr::new(192, 0, 2, 0)];
    let mut number = number;
    for base in documented {
        if number <= EACH {
            return above(base, number);
        }
        number -= EACH;
    }
    if number <= BENCHMARKS {
        return above(Ipv4Addr::new(198, 18, 0, 0), number);
    }
    above(Ipv4Addr::new(0, 1, 0, 0), number - BENCHMARKS)
}

/// What a file's name says of its kind, as far as logs and archives are concerned.
fn extension(name: &str) -> String {
    const KNOWN: [&str; 16] = [
        "log", "json", "jsonl", "ndjson", "txt", "gz", "tgz", "tar", "zip", "zst", "bz2", "xz", "lz4", "yaml", "yml",
        "toml",
    ];
    let known: Vec<&str> = name.rsplit('.').take_while(|part| KNOWN.contains(part)).collect();
    known.iter().rev().flat_map(|part| [".", part]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_of_a_stand_in_is_the_stand_in_of_the_workload() {
        let mut names = StandIns::default();
        for pod in
            ["manager-7948dffbdd-p44xx", "cache-2-7948dffbdd-p44xx", "legacy-0", "cni-node-x8k2p", "cache-2", "a"]
        {
            let base = String::from_utf8_lossy(workload(pod.as_bytes())).into_owned();
            let (pod, base) = (names.of(&Shape::App(pod)), names.of(&Shape::App(&base)));
            assert_eq!(workload(pod.as_bytes()), base.as_bytes(), "{pod}");
        }
        let of = |names: &mut StandIns, pod| names.of(&Shape::App(pod));
        let (one, two) = (of(&mut names, "manager-7948dffbdd-p44xx"), of(&mut names, "manager-7948dffbdd-sh7rx"));
        assert_ne!(one, two);
        assert_eq!(one.rsplit_once('-').unwrap().0, two.rsplit_once('-').unwrap().0, "one ReplicaSet");
    }

    #[test]
    fn addresses_keep_their_nature_and_are_told_apart() {
        let mut names = StandIns::default();
        let mut ip = |text: &str| names.of(&Shape::Ip(text.parse().unwrap()));
        for kept in ["127.0.0.1", "127.0.0.6", "0.0.0.0", "::1", "::6", "::"] {
            assert_eq!(ip(kept), kept);
        }
        assert_eq!(
            (ip("192.168.7.7"), ip("10.9.9.9"), ip("192.168.7.7")),
            ("10.0.0.1".into(), "10.0.0.2".into(), "10.0.0.1".into())
        );
        assert_eq!((ip("8.8.8.8"), ip("240.240.9.9")), ("203.0.113.1".into(), "240.240.0.1".into()));
        assert_eq!(
            (ip("fd12::9"), ip("2a00::9"), ip("::ffff:8.8.8.8")),
            ("fd00::1".into(), "2001:db8::1".into(), "::ffff:203.0.113.1".into())
        );
        let all: std::collections::BTreeSet<Ipv4Addr> = (1..200_000).map(public).collect();
        assert_eq!(all.len(), 199_999);
    }
}
