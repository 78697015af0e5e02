//! What the proxies' own configuration says of a finding's connections: which listener, which chain, which object, and
//! the ways out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::{Claims, Seen, Verdict, list, noun, when};
use crate::cluster::{Cluster, Direction};
use crate::field::value::Micros;
use crate::finding::Grade;
use crate::leg::Way;
use crate::measure::duration;
use crate::mesh::objects::{Meta, Port, Resolution, Service};
use crate::mesh::{Address, Mesh, Proxy};
use crate::remedy::{Hijack, Remedy, Victim, hijack};
use crate::replay::{self, Replayed};
use crate::route::{Answer, ChainAt, End, How};

/// Rules whose findings are about where connections were sent: configuration proves them, or shows that it was another one.
const ROUTED: &[&str] = &[
    "unexpected-cluster",
    "catch-all",
    "black-hole",
    "no-filter-chain",
    "changed-cluster",
    "no-healthy-upstream",
    "passthrough-to-service",
    "passthrough-to-unknown",
    "inbound-passthrough",
];

/// Rules of which a service's listener is the cause that takes what it should not.
const CAUGHT: &[&str] = &["unexpected-cluster", "catch-all"];

/// One of a finding's ways, as a proxy's configuration has it.
struct Shown<'w> {
    way: &'w Way,
    proxy: &'w Proxy,
    answer: Answer<'w>,
    to: SocketAddr,
}

impl<'w> Claims<'w> {
    /// The verdict with what configuration adds to it.
    pub(super) fn proven(&self, ways: &[Seen<'w>], mut verdict: Verdict) -> (Verdict, Vec<Remedy>) {
        let Some(replayed) = self.replayed.filter(|_| ROUTED.contains(&self.meta.name)) else {
            return (verdict, Vec::new());
        };
        // A catch-all black-holes some connections beside those that it steals; these show it.
        let stolen = |seen: &&Seen<'w>| seen.cluster.direction == Direction::Outbound;
        let caught = CAUGHT.contains(&self.meta.name);
        let shown = ways.iter().filter(|seen| !caught || stolen(seen)).find_map(|seen| self.explained(replayed, seen));
        let Some(shown) = shown else {
            verdict.why.push_str(&otherwise(replayed, ways));
            return (verdict, Vec::new());
        };
        verdict.grade = Grade::Proven;
        verdict.check.clear();
        verdict.why.push_str(&landed(&shown));
        if !caught {
            return (verdict, Vec::new());
        }
        let Some(cluster) = cluster_of(&shown) else { return (verdict, Vec::new()) };
        let catcher = catcher(replayed.mesh, shown.proxy, cluster);
        verdict.why.push_str(&made(&catcher, ways));
        verdict.why.push_str(&self.visible(replayed, &catcher, ways));
        verdict.why.push_str(&others(replayed, &shown, cluster));
        let remedies = self.ways_out(replayed, &catcher, &shown, ways);
        if let Some(first) = remedies.first() {
            verdict.fix = format!("{}; or another of the ways out, which are ready to apply", first.what);
        }
        (verdict, remedies)
    }

    /// A way that a dump explains, with how.
    fn explained(&self, replayed: &'w Replayed<'w>, seen: &Seen<'w>) -> Option<Shown<'w>> {
        let asked = replayed.way(seen.number)?;
        if !matches!(asked.verdict, replay::Verdict::Explained | replay::Verdict::Possible) {
            return None;
        }
        let router = replayed.router(asked.dump?);
        let question = replay::question(seen.way, &self.ledger.names).ok()?;
        Some(Shown { way: seen.way, proxy: router.proxy, answer: router.answer(&question), to: question.to })
    }

    /// Who sees what a catch-all is made of.
    fn visible(&self, replayed: &Replayed<'_>, catcher: &Service, ways: &[Seen<'w>]) -> String {
        let objects = &replayed.mesh.objects;
        if objects.services.is_empty() {
            return String::new();
        }
        let callers: BTreeSet<String> = ways
            .iter()
            .map(|seen| self.ledger.show(seen.way.namespace).into_owned())
            .filter(|name| !name.is_empty())
            .collect();
        let limited = |namespace: &String| {
            objects.sidecars.iter().any(|sidecar| {
                *sidecar.meta.namespace == **namespace
                    && !sidecar.egress_hosts.is_empty()
                    && sidecar.selector.is_empty()
            })
        };
        let exported = match &catcher.export_to[..] {
            [] => "it has no exportTo, so every namespace sees it".to_owned(),
            to if to.iter().any(|to| &**to == "*") => "it is exported to every namespace".to_owned(),
            to => format!("it is exported to {}", list(to.iter().map(ToString::to_string))),
        };
        let open: Vec<String> = callers.into_iter().filter(|namespace| !limited(namespace)).collect();
        let sidecar =
            if open.is_empty() { String::new() } else { format!(", and no Sidecar limits what {} sees", list(open)) };
        format!("; {exported}{sidecar}")
    }

    fn ways_out(
        &self,
        replayed: &Replayed<'_>,
        catcher: &Service,
        shown: &Shown<'_>,
        ways: &[Seen<'w>],
    ) -> Vec<Remedy> {
        let mut victims: BTreeMap<String, Victim> = BTreeMap::new();
        for seen in ways {
            let host = self.owners_of(seen).first().cloned().unwrap_or_default();
            let mut parts = host.split('.');
            let namespace = if host.contains(".svc") { parts.nth(1).unwrap_or_default() } else { "" }.to_owned();
            let selector = replayed.mesh.objects.services.iter().find(|service| *service.host == *host);
            let victim = victims.entry(host.clone()).or_insert(Victim {
                host: if namespace.is_empty() { String::new() } else { host },
                namespace,
                selector: selector.map(|service| service.selector.clone()).unwrap_or_default(),
                callers: BTreeSet::new(),
            });
            victim.callers.insert(self.ledger.show(seen.way.namespace).into_owned());
        }
        hijack(&Hijack {
            catcher,
            port: shown.way.dest.port(),
            victims: victims.into_values().collect(),
            version: release(&shown.proxy.node.version),
            dns_capture: shown.proxy.node.dns_capture,
        })
    }
}

/// That the configuration which was given is not the one that these connections met.
fn otherwise(replayed: &Replayed<'_>, ways: &[Seen<'_>]) -> String {
    let differs = ways.iter().filter_map(|seen| replayed.way(seen.number)).find_map(|asked| match &asked.verdict {
        replay::Verdict::Differs(ends) => Some((ends, asked.dump?)),
        _ => None,
    });
    let Some((ends, dump)) = differs else { return String::new() };
    let proxy = replayed.router(dump).proxy;
    let taken = proxy.taken.map_or(String::new(), |taken| {
        let older = taken < when(ways).first;
        format!(", taken {taken}, {} them", if older { "before" } else { "after" })
    });
    format!(
        ". The configuration of {} that was given{taken}, sends them to {}: it is not the one that they met",
        named(proxy),
        list(ends.iter().cloned())
    )
}

/// Whose endpoints on that port would be caught as well.
fn others(replayed: &Replayed<'_>, shown: &Shown<'_>, cluster: &str) -> String {
    let proxy = shown.proxy;
    let Some(dump) = replayed.mesh.proxies.iter().position(|other| std::ptr::eq(other, proxy)) else {
        return String::new();
    };
    let router = replayed.router(dump);
    let mut caught: BTreeMap<String, BTreeSet<SocketAddr>> = BTreeMap::new();
    for (name, endpoints) in &proxy.endpoints {
        let host = String::from_utf8_lossy(Cluster::read(name.as_bytes()).host).into_owned();
        let own = Cluster::read(cluster.as_bytes()).host == host.as_bytes();
        for endpoint in endpoints.iter().filter(|_| !own && !host.is_empty()) {
            let Address::Ip(address) = endpoint.address else { continue };
            if address.port() != shown.to.port() || caught.get(&host).is_some_and(|known| known.contains(&address)) {
                continue;
            }
            let question = crate::route::Question { to: address, ..crate::route::Question::outbound(address) };
            if router.answer(&question).clusters().contains(&cluster) {
                caught.entry(host.clone()).or_default().insert(address);
            }
        }
    }
    let count: usize = caught.values().map(BTreeSet::len).sum();
    if count == 0 {
        return String::new();
    }
    let addresses = if count == 1 { "address" } else { "addresses" };
    format!(". On this port it takes whatever dials {count} known {addresses} of pods, of {}", list(caught.into_keys()))
}

/// Where a connection landed and what its chain did, as the end of a text.
fn landed(shown: &Shown<'_>) -> String {
    let (proxy, to) = (shown.proxy, shown.to);
    let taken = proxy.taken.map_or(String::new(), |taken| format!(" of {taken}"));
    let Some(landing) = shown.answer.landing else {
        return format!(". In the configuration{taken} of {} nothing listens at {to}", named(proxy));
    };
    let listener = &proxy.listeners[landing.listener];
    let name = &listener.name;
    let how = match landing.how {
        How::Exact => format!("listener {name} has just this address, {to}"),
        How::Wildcard | How::Ipv4Compat => {
            format!("no listener has {to} itself, so {name}, which takes every address of the port, has it")
        }
        How::Kept => format!("no listener has {to} or all of its port, so {name} keeps it"),
        How::Accepting | How::Bound => format!("{name} has it"),
    };
    let outcome = shown.answer.outcomes.iter().find(|outcome| match outcome.end {
        End::Cluster { .. } => cluster_of(shown).is_some(),
        _ => cluster_of(shown).is_none(),
    });
    let chain = match outcome.and_then(|outcome| outcome.chain) {
        Some(ChainAt::Place(place)) => {
            let chain = listener.chains.get(place).map_or("", |chain| &chain.name);
            if chain.is_empty() {
                format!("filter chain {} of {}", place + 1, listener.chains.len())
            } else {
                format!("filter chain {chain}")
            }
        }
        Some(ChainAt::Default) => "the default filter chain".to_owned(),
        None => format!("none of its {} filter chains takes it", listener.chains.len()),
    };
    let end = outcome.map_or(String::new(), |outcome| match outcome.end {
        End::Cluster { name, .. } => format!("; {chain} leads to {name}"),
        End::NoChain => format!("; {chain}"),
        end => format!("; {chain}: {}", replay::end(end)),
    });
    let made = if listener.made_by.is_empty() { String::new() } else { format!(" ({})", listener.made_by) };
    format!(". In the configuration{taken} of {}: {how}{made}{end}", named(proxy))
}

/// The cluster that the log names, if the answer has it.
fn cluster_of<'w>(shown: &Shown<'w>) -> Option<&'w str> {
    let clusters = shown.answer.clusters();
    match clusters[..] {
        [only] => Some(only),
        _ => clusters
            .into_iter()
            .find(|name| crate::cluster::Direction::of(name.as_bytes()).is_outbound() && name.starts_with("outbound")),
    }
}

/// The object behind a cluster; without objects, what the dump and the cluster's name say of it.
pub(crate) fn catcher(mesh: &Mesh, proxy: &Proxy, cluster: &str) -> Service {
    let read = Cluster::read(cluster.as_bytes());
    let host = String::from_utf8_lossy(read.host).into_owned();
    if let Some(known) = mesh.objects.services.iter().find(|service| *service.host == *host) {
        return known.clone();
    }
    let config = proxy.clusters.get(cluster);
    let said = config.and_then(|config| config.services.first());
    let mut labels = host.split('.');
    let (name, namespace) = match said {
        Some((namespace, name)) => (name.to_string(), namespace.to_string()),
        None => (labels.next().unwrap_or_default().to_owned(), labels.next().unwrap_or_default().to_owned()),
    };
    let kind = config.map_or("", |config| &*config.kind);
    // Without an address, a Service is found by name or goes on to where it was dialled; a list of endpoints is a
    // ServiceEntry's, whatever its host is called.
    let internal = host.contains(".svc") && kind != "EDS";
    let headless = internal && kind == "ORIGINAL_DST";
    let target = config.and_then(|config| {
        config.endpoints.iter().find_map(|endpoint| match &endpoint.address {
            Address::Host(target, _) => Some(target.clone()),
            _ => None,
        })
    });
    // Every port has a cluster of its own.
    let ports: BTreeSet<u16> = proxy
        .clusters
        .keys()
        .filter_map(|name| {
            Cluster::read(name.as_bytes()).port.filter(|_| Cluster::read(name.as_bytes()).host == host.as_bytes())
        })
        .collect();
    Service {
        meta: Meta {
            kind: if internal { "Service" } else { "ServiceEntry" }.into(),
            namespace: namespace.into(),
            name: name.into(),
            ..Meta::default()
        },
        host: host.into(),
        external_name: if internal { target.unwrap_or_default() } else { "".into() },
        headless,
        resolution: if kind == "ORIGINAL_DST" { Resolution::Passthrough } else { Resolution::Dns },
        ports: ports.into_iter().map(|number| Port { number, ..Port::default() }).collect(),
        ..Service::default()
    }
}

/// What made a listener, and when: as the end of a text.
fn made(catcher: &Service, ways: &[Seen<'_>]) -> String {
    let meta = &catcher.meta;
    let what = match (&*meta.kind, &*catcher.external_name) {
        ("Service", "") => "ExternalName Service".to_owned(),
        ("Service", target) => format!("ExternalName Service (for {target})"),
        (kind, _) => format!("{kind} without addresses"),
    };
    let created = meta.created.map_or(String::new(), |created| {
        let first = when(ways).first;
        let before = u32::try_from(first.millis_since(created)).ok().filter(|_| first != Micros::NONE);
        let how = before
            .map_or(String::new(), |millis| format!(", {} before the first of these {}", duration(millis), noun(ways)));
        format!(", created {created}{how}")
    });
    format!(". It is made by the {what} {} in namespace {}{created}", meta.name, meta.namespace)
}

/// A proxy by its pod, or by the file of its dump.
fn named(proxy: &Proxy) -> String {
    match (&*proxy.node.pod, proxy.files.first()) {
        ("", Some(file)) => file.to_string(),
        (pod, _) => pod.to_owned(),
    }
}

/// The two first numbers of a release.
pub(crate) fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
