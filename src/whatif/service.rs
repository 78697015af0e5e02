//! Services and ServiceEntries that are changed or new: where their TCP ports listen.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::listeners::{
    PortOf, bind, by_name, catch, cluster, every_port, heir, is_at, is_caught, is_taken, ports, release, takes_in,
};
use super::{Plan, Told};
use crate::cluster::{Cluster, Direction};
use crate::mesh::objects::{Port, Resolution, Service};
use crate::mesh::protocol::Speaks;
use crate::mesh::scope;
use crate::mesh::{Address, Prefix, Proxy, policy};
use crate::route;

/// From this release on an ExternalName Service is another name of its target, unless that is switched off.
const ALIAS: (u32, u32) = (1, 21);
/// From this one on that cannot be switched off.
const ALWAYS_ALIAS: (u32, u32) = (1, 24);
/// From this release on a headless Service's TCP ports have a listener for each pod.
const POD_LISTENERS: (u32, u32) = (1, 4);

/// Where a port of a service listens.
enum Wanted {
    /// At these addresses.
    At(Vec<IpAddr>),
    /// At every address that has no listener of its own.
    Whole,
    /// For its name as SNI.
    ByName,
    /// Nowhere.
    Nowhere,
    /// That is not sure, and why.
    Open(&'static str),
}

/// Does to a proxy what the services among the manifests do.
pub(super) fn change(plan: &Plan<'_>, proxy: &mut Proxy, told: &mut Told) {
    let known = every_port(proxy);
    for service in &plan.followed {
        let known = known.get(&*service.host).cloned().unwrap_or_default();
        apply(plan, proxy, service, known, told);
        serve(plan, proxy, service, told);
    }
    for old in &plan.gone {
        for port in known.get(&*old.host).into_iter().flatten() {
            let_go(proxy, old, PortOf { host: &old.host, port: *port }, "it lists another host: ", told);
        }
    }
}

/// Says for which ports a server's own proxy would get something else, or nothing any more.
fn serve(plan: &Plan<'_>, proxy: &Proxy, service: &Service, told: &mut Told) {
    let home = &proxy.node.namespace;
    if !home.is_empty() && *home != service.meta.namespace {
        return;
    }
    let labels = scope::labels(plan.after, proxy);
    let targets = |service: &Service| -> BTreeSet<u16> {
        let selected = labels.is_none_or(|labels| policy::selects(&service.selector, labels));
        if service.selector.is_empty() || !selected {
            return BTreeSet::new();
        }
        service.ports.iter().filter_map(scope::target).collect()
    };
    let now = targets(service);
    let old = plan.old_hosts.get(&*service.host).map(|old| targets(old)).unwrap_or_default();
    let new = now.difference(&old).filter(|port| !takes_in(proxy, **port));
    for port in new.chain(old.difference(&now)) {
        told.not(&service.meta, &format!("what its own pods take in on port {port} then is not worked out"));
    }
}

/// Makes a proxy's ports of a service, of which it has `known`, what the service says.
fn apply(plan: &Plan<'_>, proxy: &mut Proxy, service: &Service, known: BTreeSet<u16>, told: &mut Told) {
    let of = |port: u16| PortOf { host: &service.host, port };
    if proxy.node.namespace.is_empty() && service.export_to.iter().any(|to| &**to != "*") {
        return told.homeless(&service.meta);
    }
    let Ok(sidecar) = scope::sidecar(plan.after, proxy) else {
        told.not(
            &service.meta,
            "whether a Sidecar hides it from some pods is not known without these pods' namespaces and labels",
        );
        return;
    };
    let hides = |sidecar| scope::hides(sidecar, &proxy.node.namespace, &service.meta.namespace, &service.host);
    if !scope::is_exported(service, &proxy.node.namespace) || sidecar.is_some_and(hides) {
        for port in known {
            let_go(proxy, service, of(port), "it is hidden: ", told);
        }
        return;
    }
    for port in known.iter().filter(|port| service.ports.iter().all(|listed| listed.number != **port)) {
        let_go(proxy, service, of(*port), "", told);
    }
    let is_new = known.is_empty() && proxy.has.clusters;
    for port in &service.ports {
        // DNS has one number for UDP and TCP, and only the latter has a listener.
        let datagrams = |port: &Port| Speaks::of(service, port) == Speaks::Datagrams;
        if datagrams(port) && service.ports.iter().any(|other| other.number == port.number && !datagrams(other)) {
            continue;
        }
        // Where a proxy does not know it, its dump is of a time before it.
        if !is_as_before(plan, service, port) {
            listen(plan, proxy, service, port, is_new, told);
        }
    }
}

/// Takes a port from a service, unless it is not sure who has it then.
fn let_go(proxy: &mut Proxy, service: &Service, of: PortOf<'_>, why: &str, told: &mut Told) {
    if is_caught(proxy, of)
        && let Some(heir) = heir(proxy, of)
    {
        told.not(&service.meta, &format!("port {} may go to {heir} then, which has no listener yet", of.port));
        return;
    }
    release(proxy, &of.alone());
    told.done(&service.meta, proxy, &format!("{why}{}", gone(of.port)));
}

fn gone(port: u16) -> String {
    format!("no listener or route leads to its port {port} any more")
}

/// Whether the objects before say the same of a port.
fn is_as_before(plan: &Plan<'_>, service: &Service, port: &Port) -> bool {
    let old = plan.old_hosts.get(&*service.host).filter(|old| old.meta.kind == service.meta.kind);
    let same = |old: &&Service| {
        let target = old.external_name == service.external_name && old.resolution == service.resolution;
        let seen = old.export_to == service.export_to && old.addresses == service.addresses;
        let pods = old.headless == service.headless && (!service.headless || old.selector == service.selector);
        target && seen && pods && old.ports.contains(port)
    };
    old.is_some_and(same)
}

/// Gives a proxy what it has for a port of a service that it sees; `is_new` if it knows nothing of its host yet.
pub(super) fn listen(
    plan: &Plan<'_>,
    proxy: &mut Proxy,
    service: &Service,
    port: &Port,
    is_new: bool,
    told: &mut Told,
) {
    let of = PortOf { host: &service.host, port: port.number };
    let number = port.number;
    let not = |told: &mut Told, why: &str| told.not(&service.meta, &format!("port {number}: {why}"));
    let wanted = wanted(plan, proxy, service, port);
    let caught = is_caught(proxy, of);
    let what = match &wanted {
        Wanted::Open(why) => return not(told, why),
        Wanted::At(addresses) => {
            if addresses.iter().all(|address| is_at(proxy, of, *address)) && !caught {
                return;
            }
            // Of two that want one address the older one has it.
            if addresses.iter().any(|address| is_taken(proxy, of, *address)) {
                return not(told, "one of its addresses has a listener of another service");
            }
            let plural = if addresses.len() == 1 { "listener" } else { "listeners" };
            format!("port {number} has {plural} of its own at {}", shown(addresses))
        }
        Wanted::Whole if caught => return,
        Wanted::Whole | Wanted::ByName => {
            let wildcard = |address: &std::net::SocketAddr| address.port() == number && address.ip().is_unspecified();
            let others = proxy.listeners.iter().any(|listener| listener.addresses.iter().any(wildcard));
            if others && !caught {
                return not(told, "there is a listener for the whole port already");
            }
            match wanted {
                Wanted::Whole => format!("port {number} is caught whole, whatever address is dialled"),
                _ => format!("port {number} takes only TLS for {}", service.host),
            }
        }
        Wanted::Nowhere if ports(proxy, of.host).contains(&number) => gone(number),
        Wanted::Nowhere => return,
    };
    if caught && let Some(heir) = heir(proxy, of) {
        return not(told, &format!("it may go to {heir} then, which has no listener yet"));
    }
    let kind = kind(service);
    let old = proxy.clusters.get(&*of.cluster()).cloned().filter(|old| &*old.kind == kind);
    // To look for what is not there takes long where thousands of services are new.
    if !is_new {
        release(proxy, &of.alone());
    }
    proxy.clusters.extend(old.map(|old| (old.name.clone(), old)));
    match wanted {
        Wanted::At(addresses) => {
            for address in addresses {
                bind(proxy, of, address);
            }
            cluster(proxy, of, kind);
        }
        Wanted::Whole => {
            catch(proxy, of);
            cluster(proxy, of, kind);
        }
        Wanted::ByName => {
            by_name(proxy, of);
            cluster(proxy, of, kind);
        }
        Wanted::Nowhere | Wanted::Open(_) => {}
    }
    told.done(&service.meta, proxy, &what);
}

/// Where a port listens. Source: Istio `pilot/pkg/networking/core/listener.go`, `pilot/pkg/model/service.go`.
fn wanted(plan: &Plan<'_>, proxy: &Proxy, service: &Service, port: &Port) -> Wanted {
    let release = release_of(proxy);
    let is_old = |since: (u32, u32)| release.is_some_and(|release| release < since);
    let speaks = Speaks::of(service, port);
    if speaks == Speaks::Datagrams {
        return Wanted::Nowhere;
    }
    if speaks == Speaks::Http {
        return Wanted::Open("HTTP goes by routes, which only istiod can make");
    }
    let whole = || match speaks {
        Speaks::Tls => Wanted::ByName,
        Speaks::Auto => {
            Wanted::Open("its name does not say a protocol, and HTTP goes by routes, which only istiod can make")
        }
        _ => Wanted::Whole,
    };
    if !service.external_name.is_empty() {
        return match release {
            Some(release) if release < ALIAS => whole(),
            Some(release) if release >= ALWAYS_ALIAS => Wanted::Nowhere,
            _ => Wanted::Open(
                "whether an ExternalName Service has a listener depends on a setting of istiod (1.21 to 1.23)",
            ),
        };
    }
    if service.headless {
        if is_old(POD_LISTENERS) || speaks != Speaks::Tcp {
            return Wanted::Open("whether its pods get listeners of their own is sure for TCP from Istio 1.4 on only");
        }
        if proxy.node.addresses.is_empty() {
            return Wanted::Open("a pod has no listener for its own address, and the addresses of some are not known");
        }
        let pods = pods(plan, proxy, service);
        return if pods.is_empty() {
            Wanted::Open("no pod is known that it selects: kubectl get pods -o yaml tells them")
        } else {
            Wanted::At(pods.into_iter().filter(|address| !proxy.node.addresses.contains(address)).collect())
        };
    }
    if !service.addresses.is_empty() {
        return whole_addresses(&service.addresses)
            .map_or(Wanted::Open("ranges of addresses are not followed"), Wanted::At);
    }
    if &*service.meta.kind == "Service" {
        return Wanted::Open("its address is not known before it is made");
    }
    match service.resolution {
        Resolution::Alias | Resolution::DynamicDns => Wanted::Open("its resolution is not followed"),
        _ if proxy.node.dns_capture && !service.allocated.is_empty() => Wanted::At(service.allocated.clone()),
        _ if proxy.node.dns_capture => Wanted::Open("istiod may allocate an address for it"),
        _ => whole(),
    }
}

/// The addresses of the pods that a service selects: by the pods' labels, else those that are behind a service of the
/// same selector.
fn pods(plan: &Plan<'_>, proxy: &Proxy, service: &Service) -> BTreeSet<IpAddr> {
    let selected = policy::pods(plan.after, service);
    let found: BTreeSet<IpAddr> = selected.iter().flat_map(|pod| pod.addresses.iter().copied()).collect();
    if !found.is_empty() || service.selector.is_empty() {
        return found;
    }
    let Some(twins) = plan.selected.get(&(&*service.meta.namespace, &service.selector)) else { return found };
    let of_twin = |name: &str| {
        let read = Cluster::read(name.as_bytes());
        read.direction == Direction::Outbound
            && read.subset.is_empty()
            && std::str::from_utf8(read.host).is_ok_and(|host| twins.contains(host))
    };
    let behind = route::every_endpoint(proxy).filter(|(name, _)| of_twin(name));
    behind
        .filter_map(|(_, endpoint)| if let Address::Ip(at) = endpoint.address { Some(at.ip()) } else { None })
        .collect()
}

/// How its cluster finds endpoints, in Envoy's word.
fn kind(service: &Service) -> &'static str {
    match service.resolution {
        Resolution::Passthrough => "ORIGINAL_DST",
        Resolution::Dns => "STRICT_DNS",
        Resolution::DnsRoundRobin => "LOGICAL_DNS",
        _ => "EDS",
    }
}

/// The addresses, if none is a range.
fn whole_addresses(prefixes: &[Prefix]) -> Option<Vec<IpAddr>> {
    let whole = |prefix: &Prefix| {
        let bits = if prefix.address.is_ipv4() { 32 } else { 128 };
        (prefix.length == bits).then_some(prefix.address)
    };
    prefixes.iter().map(whole).collect()
}

/// A few addresses, or how many there are.
fn shown(addresses: &[IpAddr]) -> String {
    match addresses {
        [one] => one.to_string(),
        [one, two] => format!("{one} and {two}"),
        more => format!("{} addresses", more.len()),
    }
}

/// Istio's release: 1 and 20 of `1.20.3`.
fn release_of(proxy: &Proxy) -> Option<(u32, u32)> {
    let mut parts = proxy.node.version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
