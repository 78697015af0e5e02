//! What the proxies' own configuration says of a finding's connections: which listener, which chain, which object, and
//! the ways out of it.

use std::collections::{BTreeMap, BTreeSet};

use super::unhealthy::unhealthy;
use super::{Claims, Seen, Verdict, list, noun, when};
use crate::cluster::Direction;
use crate::field::value::Micros;
use crate::finding::Grade;
use crate::leg::Side;
use crate::measure::duration;
use crate::mesh::Proxy;
use crate::mesh::objects::{Meta, Service};
use crate::remedy::{Hijack, Remedy, Victim, called, catcher, hijack, release};
use crate::replay::{self, Replayed, Shown};
use crate::route::{ChainAt, End, How, endpoints};

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

impl<'w> Claims<'w> {
    /// The verdict with what configuration adds to it.
    pub(super) fn proven(&self, ways: &[Seen<'w>], mut verdict: Verdict) -> (Verdict, Vec<Remedy>) {
        let Some(replayed) = self.replayed.filter(|_| ROUTED.contains(&self.meta.name)) else {
            return (verdict, Vec::new());
        };
        // A catch-all black-holes some connections beside those that it steals; these show it. Of both ends of a connection
        // the one that refused it does.
        let caught = CAUGHT.contains(&self.meta.name);
        let first = |seen: &Seen<'w>| match self.meta.name {
            _ if caught => seen.cluster.direction == Direction::Outbound,
            "no-filter-chain" => seen.way.side == Side::Inbound,
            _ => true,
        };
        let rest = ways.iter().filter(|seen| !caught && !first(seen));
        let shown = ways
            .iter()
            .filter(|seen| first(seen))
            .chain(rest)
            .find_map(|seen| replayed.shown(seen.number, seen.way, &self.ledger.names));
        let Some(shown) = shown else {
            verdict.why.push_str(&otherwise(replayed, ways));
            return (verdict, Vec::new());
        };
        verdict.why.push_str(&landed(&shown));
        if self.meta.name == "no-healthy-upstream" {
            let (why, same) = unhealthy(replayed, &shown);
            verdict.why.push_str(&why);
            if !same {
                return (verdict, Vec::new());
            }
        }
        verdict.grade = Grade::Proven;
        verdict.check.clear();
        if !caught {
            let (why, remedies) = self.cause(replayed, &shown, ways);
            verdict.why.push_str(&why);
            ready(&mut verdict, &remedies);
            return (verdict, remedies);
        }
        let End::Cluster { name, .. } = shown.outcome.end else { return (verdict, Vec::new()) };
        let catcher = catcher(replayed.mesh, shown.router.proxy, name);
        let made = format!(". It is made by the {}{}", called(&catcher), created(&catcher.meta, ways));
        verdict.why.push_str(&made);
        verdict.why.push_str(&self.visible(replayed, &catcher, ways));
        verdict.why.push_str(&others(replayed, &shown, name));
        let remedies = self.ways_out(replayed, &catcher, &shown, ways);
        ready(&mut verdict, &remedies);
        (verdict, remedies)
    }

    /// What objects add to where the connections of a rule went, as the end of a text, and the ways out.
    fn cause(&self, replayed: &Replayed<'_>, shown: &Shown<'_, '_>, ways: &[Seen<'w>]) -> (String, Vec<Remedy>) {
        match self.meta.name {
            "passthrough-to-service" => (String::new(), self.by_address(replayed, ways)),
            "inbound-passthrough" => (String::new(), self.undeclared(replayed, ways)),
            "no-filter-chain" => self.refused(replayed, shown, ways),
            "black-hole" => self.blocked(replayed, shown, ways),
            _ => (String::new(), Vec::new()),
        }
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
        shown: &Shown<'_, '_>,
        ways: &[Seen<'w>],
    ) -> Vec<Remedy> {
        let mut callers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for seen in ways {
            let host = self.owners_of(seen).first().cloned().unwrap_or_default();
            callers.entry(host).or_default().insert(self.ledger.show(seen.way.namespace).into_owned());
        }
        let services = &replayed.mesh.objects.services;
        let victims = callers.into_iter().map(|(host, callers)| Victim::of(&host, services, callers));
        let node = &shown.router.proxy.node;
        hijack(&Hijack {
            catcher,
            port: shown.to.port(),
            victims: victims.collect(),
            version: release(&node.version),
            dns_capture: node.dns_capture,
        })
    }
}

/// What to do, where there are ways out.
fn ready(verdict: &mut Verdict, remedies: &[Remedy]) {
    match remedies {
        [] => {}
        [only] => verdict.fix = format!("{}: see the ways out", only.what),
        [first, ..] => verdict.fix = format!("{}; or another of the ways out, which are ready to apply", first.what),
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
fn others(replayed: &Replayed<'_>, shown: &Shown<'_, '_>, cluster: &str) -> String {
    let known = endpoints(replayed.mesh, replayed.mesh.proxies.iter());
    let taken = shown.router.takes(&known, shown.to.port(), cluster);
    let count: usize = taken.values().map(BTreeSet::len).sum();
    if count == 0 {
        return String::new();
    }
    let addresses = if count == 1 { "address" } else { "addresses" };
    format!(". On this port it takes whatever dials {count} known {addresses} of pods, of {}", list(taken.into_keys()))
}

/// Where a connection landed and what its chain did, as the end of a text.
fn landed(shown: &Shown<'_, '_>) -> String {
    let (proxy, to) = (shown.router.proxy, shown.to);
    let taken = proxy.taken.map_or(String::new(), |taken| format!(" of {taken}"));
    let Some(landing) = shown.landing else {
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
    let count = listener.chains.len();
    let chain = match shown.outcome.chain {
        Some(ChainAt::Place(place)) => match listener.chains.get(place).map_or("", |chain| &chain.name) {
            "" => format!("filter chain {} of {count}", place + 1),
            name => format!("filter chain {name}"),
        },
        Some(ChainAt::Default) => "the default filter chain".to_owned(),
        None => format!("none of its {count} filter chains takes it"),
    };
    let end = match shown.outcome.end {
        End::Cluster { name, .. } => format!("; {chain} leads to {name}"),
        End::NoChain => format!("; {chain}"),
        end => format!("; {chain}: {}", end.word()),
    };
    let made = if listener.made_by.is_empty() { String::new() } else { format!(" ({})", listener.made_by) };
    format!(". In the configuration{taken} of {}: {how}{made}{end}", named(proxy))
}

/// When an object was made, as the end of a text; nothing where it does not say.
pub(super) fn created(meta: &Meta, ways: &[Seen<'_>]) -> String {
    meta.created.map_or(String::new(), |created| {
        let first = when(ways).first;
        let before = u32::try_from(first.millis_since(created)).ok().filter(|_| first != Micros::NONE);
        let how = before
            .map_or(String::new(), |millis| format!(", {} before the first of these {}", duration(millis), noun(ways)));
        format!(", created {created}{how}")
    })
}

/// A proxy by its pod, or by the file of its dump.
fn named(proxy: &Proxy) -> String {
    match (&*proxy.node.pod, proxy.files.first()) {
        ("", Some(file)) => file.to_string(),
        (pod, _) => pod.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_that_are_named_exist() {
        let exists = |name: &&str| crate::rules::RULES.iter().any(|rule| rule.meta.name == *name);
        assert!(ROUTED.iter().all(exists));
        assert!(CAUGHT.iter().all(|name| ROUTED.contains(name)));
    }
}
