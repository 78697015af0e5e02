//! Two states of a mesh: for which destinations the route differs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Serialize;

use super::behind::pod;
use super::question::{Bytes, Question, Sni, Version};
use super::router::Router;
use super::upstream;
use super::words::said;
use crate::mesh::{Address, Direction, Mesh, Proxy};

/// Destinations whose route is another one now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The proxies that agree on it.
    pub pods: Vec<String>,
    /// `outbound` or `inbound`.
    pub direction: &'static str,
    /// The destinations.
    pub destinations: Vec<String>,
    /// Where they went: what the client sends (empty if that makes no difference), and the end.
    pub before: Vec<(String, String)>,
    /// Where they go.
    pub after: Vec<(String, String)>,
}

/// A destination that is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Destination {
    direction: Direction,
    /// One address, and not every one on the port that no listener has, or a port of the pod's own: those come first.
    single: bool,
    to: SocketAddr,
    /// Empty for none.
    sni: Box<str>,
}

/// Addresses of documentation (RFC 5737, RFC 3849) stand for those that nobody knows.
const UNKNOWN: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// What clients are taken to send; two kinds of plaintext and two of TLS lead to every chain that Istio makes.
const SENT: [(&str, Bytes<'static>); 4] = [
    ("plaintext TCP", Bytes::Tcp),
    ("plaintext HTTP", Bytes::Http(Version::Http11)),
    ("TLS", Bytes::Tls(Some(Vec::new()))),
    ("mTLS of a sidecar", Bytes::Mtls),
];

impl Destination {
    fn shown(&self) -> String {
        let port = self.to.port();
        let place = match (self.single, self.to.is_ipv4()) {
            (false, _) if self.direction == Direction::Inbound && port == 0 => "any other port of the pod".to_owned(),
            (false, _) if self.direction == Direction::Inbound => format!("port {port} of the pod"),
            (true, _) => self.to.to_string(),
            (false, true) => format!("any other address, port {port}"),
            (false, false) => format!("any other IPv6 address, port {port}"),
        };
        if self.sni.is_empty() { place } else { format!("{place} with SNI {}", self.sni) }
    }
}

/// Where routes differ, by proxies that are in both states, the last dump of each. With `only` just that destination.
pub fn compare(before: &Mesh, after: &Mesh, only: Option<SocketAddr>) -> Vec<Change> {
    let (before, after) = (last_of_each(before), last_of_each(after));
    // Of each destination and change the pods; then destinations that have both in common.
    let mut found: BTreeMap<(Destination, Changed), Vec<String>> = BTreeMap::new();
    for (name, old) in &before {
        let Some(new) = after.get(name) else { continue };
        let (was, is) = (Router::new(old), Router::new(new));
        let mut all = BTreeSet::new();
        if let Some(to) = only {
            all.extend(asked_for(old, to));
        } else {
            destinations(old, &mut all);
            destinations(new, &mut all);
        }
        for destination in all {
            let (one, other) = (ends(&was, &destination), ends(&is, &destination));
            if one != other {
                let change = (destination.direction, one, other);
                found.entry((destination, change)).or_default().push(name.clone());
            }
        }
    }
    let mut together: BTreeMap<(Vec<String>, Changed), Vec<String>> = BTreeMap::new();
    for ((destination, changed), pods) in found {
        together.entry((pods, changed)).or_default().push(destination.shown());
    }
    let change = |((pods, (direction, before, after)), destinations): ((Vec<String>, Changed), Vec<String>)| Change {
        pods,
        direction: if direction == Direction::Outbound { "outbound" } else { "inbound" },
        destinations,
        before,
        after,
    };
    let mut changes: Vec<Change> = together.into_iter().map(change).collect();
    // What concerns most comes first.
    changes.sort_by_key(|change| std::cmp::Reverse(change.pods.len() * change.destinations.len()));
    changes
}

type Ends = Vec<(String, String)>;
type Changed = (Direction, Ends, Ends);

/// The last dump of each pod.
pub(super) fn last_of_each(mesh: &Mesh) -> BTreeMap<String, &Proxy> {
    mesh.proxies.iter().map(|proxy| (pod(proxy), proxy)).collect()
}

/// One address, as a pod dials it, and for its own as it comes in.
fn asked_for(proxy: &Proxy, to: SocketAddr) -> Vec<Destination> {
    let direction = if proxy.node.addresses.contains(&to.ip()) { Direction::Inbound } else { Direction::Outbound };
    vec![Destination { direction, to, single: true, sni: "".into() }]
}

/// Every destination that a proxy's configuration tells from others: addresses of listeners and endpoints, ports and
/// server names of chains.
fn destinations(proxy: &Proxy, all: &mut BTreeSet<Destination>) {
    for listener in proxy.listeners.iter().filter(|listener| listener.active) {
        let names = || listener.chains.iter().flat_map(|chain| &chain.takes.server_names);
        if listener.direction == Some(Direction::Inbound) {
            // Port 0 is no chain's, so it stands for all that have no chain of their own.
            for port in listener.chains.iter().filter_map(|chain| chain.takes.port).chain([0]) {
                let own = proxy.node.addresses.first().copied().unwrap_or(UNKNOWN[0]);
                let to = SocketAddr::new(own, port);
                all.insert(Destination { direction: Direction::Inbound, single: false, to, sni: "".into() });
            }
            continue;
        }
        for address in &listener.addresses {
            let any = address.ip().is_unspecified();
            let unknown = UNKNOWN[usize::from(address.is_ipv6())];
            let to = if any { SocketAddr::new(unknown, address.port()) } else { *address };
            for sni in std::iter::once("").chain(names().map(|name| &**name)) {
                let sni = sni.replace('*', "any").into();
                all.insert(Destination { direction: Direction::Outbound, single: !any, to, sni });
            }
        }
    }
    for (name, cluster) in &proxy.clusters {
        if upstream::goes_on(name, Some(cluster)) || name.starts_with("inbound") {
            continue;
        }
        for endpoint in upstream::endpoints(proxy, cluster).unwrap_or_default() {
            if let Address::Ip(to) = endpoint.address {
                all.insert(Destination { direction: Direction::Outbound, to, single: true, sni: "".into() });
            }
        }
    }
}

/// Where a destination leads, by what the client sends, or once for all if that makes no difference.
fn ends(router: &Router<'_>, destination: &Destination) -> Ends {
    let mut all = Ends::new();
    let has_name = !destination.sni.is_empty();
    for (sends, bytes) in SENT {
        let is_tls = matches!(bytes, Bytes::Tls(_) | Bytes::Mtls);
        if has_name && !is_tls {
            continue;
        }
        let question = Question {
            direction: destination.direction,
            sni: if has_name { Sni::Name((&*destination.sni).into()) } else { Sni::Absent },
            bytes,
            ..Question::outbound(destination.to)
        };
        let answer = router.answer(&question);
        let mut texts: Vec<String> = answer.outcomes.iter().map(|outcome| said(outcome.end).1).collect();
        texts.sort();
        texts.dedup();
        let end = texts.join(", or ");
        match all.iter_mut().find(|(_, other)| *other == end) {
            Some((when, _)) => *when = format!("{when}, {sends}"),
            None => all.push((sends.to_owned(), end)),
        }
    }
    if let [(when, _)] = &mut all[..] {
        when.clear();
    }
    all
}
