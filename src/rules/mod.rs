//! The rules: each looks at the ledger's ways and says what is wrong with them.
//!
//! A rule is one file and one line in `RULES`. It is a pure function of ledger and topology, so what it finds
//! depends neither on the order of the lines nor on when it is asked. Rules are asked in the order of the list,
//! and a way belongs to the first rule that takes it: a symptom that a cause explains is not reported beside it.

mod black_hole;
mod connect_failed;
mod flagged;
mod no_filter_chain;
mod no_upstream;
mod passthrough_to_service;
mod passthrough_to_unknown;
mod unexpected_cluster;

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::Cluster;
use crate::endpoint::{Endpoint, Ip};
use crate::field::flag::Flags;
use crate::field::value::Micros;
use crate::finding::{Finding, Grade, Meta};
use crate::ledger::{Entry, Ledger};
use crate::leg::{Protocol, Side, Way};
use crate::names::{Sym, workload};
use crate::topology::Topology;

/// Declares a rule: its documentation is kept for people and put into its [`Meta`].
macro_rules! rule {
    ($(#[doc = $doc:literal])* $code:literal, $name:literal, $severity:ident, $summary:literal) => {
        $(#[doc = $doc])*
        pub(super) static META: crate::finding::Meta = crate::finding::Meta {
            code: $code,
            name: $name,
            severity: crate::finding::Severity::$severity,
            summary: $summary,
            doc: concat!($($doc, "\n"),*),
        };
    };
}
use rule;

/// A rule: its description, and the function that files what it finds.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it is.
    pub meta: &'static Meta,
    judge: fn(&mut Claims<'_>),
}

/// Every rule, causes before symptoms.
pub const RULES: &[Rule] = &[
    Rule { meta: &unexpected_cluster::META, judge: unexpected_cluster::judge },
    Rule { meta: &black_hole::META, judge: black_hole::judge },
    Rule { meta: &no_filter_chain::META, judge: no_filter_chain::judge },
    Rule { meta: &connect_failed::META, judge: connect_failed::judge },
    Rule { meta: &no_upstream::META, judge: no_upstream::judge },
    Rule { meta: &flagged::META, judge: flagged::judge },
    Rule { meta: &passthrough_to_service::META, judge: passthrough_to_service::judge },
    Rule { meta: &passthrough_to_unknown::META, judge: passthrough_to_unknown::judge },
];

/// How many lines of evidence a finding shows.
const EVIDENCE: usize = 3;

/// Asks every rule. Findings come the worst first, then by count, code and subject.
pub fn judge(ledger: &Ledger, topology: &Topology) -> Vec<Finding> {
    let links = ledger.links();
    let seen = ledger.iter().map(|(number, way, entry)| Seen {
        number,
        way,
        entry,
        cluster: Cluster::read(ledger.names.get(way.cluster)),
    });
    let mut claims =
        Claims { ledger, topology, links: &links, left: seen.collect(), meta: RULES[0].meta, found: Vec::new() };
    for rule in RULES {
        claims.meta = rule.meta;
        (rule.judge)(&mut claims);
    }
    let mut found = claims.found;
    found.sort_by(|a, b| {
        let rank = |finding: &Finding| {
            (std::cmp::Reverse(finding.meta.severity), std::cmp::Reverse(finding.count), finding.meta.code)
        };
        rank(a).cmp(&rank(b)).then_with(|| a.subject.cmp(&b.subject))
    });
    found
}

/// What the rules see, and what they have filed so far.
pub struct Claims<'w> {
    /// The ways.
    pub ledger: &'w Ledger,
    /// The mesh.
    pub topology: &'w Topology,
    /// Which outbound way was answered on which inbound way, how often.
    pub links: &'w BTreeMap<(u32, u32), u64>,
    /// The ways that no rule took.
    left: Vec<Seen<'w>>,
    meta: &'static Meta,
    found: Vec<Finding>,
}

/// What a rule says of one group of ways.
struct Verdict {
    grade: Grade,
    why: String,
    fix: String,
}

/// One way as a rule looks at it.
#[derive(Clone, Copy, Debug)]
struct Seen<'w> {
    number: u32,
    way: &'w Way,
    entry: &'w Entry,
    cluster: Cluster<'w>,
}

impl<'w> Claims<'w> {
    /// Groups the ways that no rule took yet by the subject that `subject` gives them, and files a finding for
    /// each group with what `verdict` says of it.
    fn file(
        &mut self,
        subject: impl Fn(&Claims<'w>, &Seen<'w>) -> Option<String>,
        verdict: impl Fn(&Claims<'w>, &str, &[Seen<'w>]) -> Verdict,
    ) {
        let mut groups: BTreeMap<String, Vec<Seen<'w>>> = BTreeMap::new();
        let mut left = Vec::new();
        for seen in std::mem::take(&mut self.left) {
            match subject(self, &seen) {
                Some(subject) => groups.entry(subject).or_default().push(seen),
                None => left.push(seen),
            }
        }
        self.left = left;
        for (subject, mut ways) in groups {
            // Numbers of ways depend on which line came first; what is said of a group must not.
            ways.sort_by_cached_key(|seen| self.order(seen));
            let Verdict { grade, why, fix } = verdict(self, &subject, &ways);
            let mut evidence: Vec<_> = ways.iter().flat_map(|seen| seen.entry.evidence.iter().cloned()).collect();
            evidence.sort();
            evidence.truncate(EVIDENCE);
            self.found.push(Finding {
                meta: self.meta,
                grade,
                subject,
                count: ways.iter().map(Seen::count).sum(),
                first: ways
                    .iter()
                    .map(|seen| seen.entry.counts.first)
                    .filter(|at| *at != Micros::NONE)
                    .min()
                    .unwrap_or_default(),
                last: ways.iter().map(|seen| seen.entry.counts.last).max().unwrap_or_default(),
                evidence,
                why,
                fix,
                ways: ways.iter().map(|seen| seen.number).collect(),
            });
        }
    }

    /// Something to order ways by that only depends on what they are.
    fn order(&self, seen: &Seen<'_>) -> (String, String, u64, u16, String) {
        let (way, names) = (seen.way, &self.ledger.names);
        let endpoint = |endpoint: Endpoint| endpoint.show(names).to_string();
        let rest = format!("{} {}", names.show(way.cluster), names.show(way.details));
        (endpoint(way.dest), endpoint(way.host), way.flags.bits(), way.status, rest)
    }

    /// Who the endpoint belongs to: its services, else its pod, by name.
    fn owners(&self, endpoint: Endpoint) -> Vec<String> {
        let services: Vec<String> =
            self.topology.services(endpoint).iter().map(|(service, _)| self.topology.host(*service)).collect();
        if services.is_empty() {
            self.pod(endpoint.ip()).map(|pod| format!("pod {pod}")).into_iter().collect()
        } else {
            services
        }
    }

    /// Whether the server's listener refused all connections of this way that found their other leg.
    fn is_refused(&self, number: u32) -> bool {
        let mut answers = self.links.range((number, 0)..=(number, u32::MAX)).peekable();
        let ways = self.ledger.ways();
        answers.peek().is_some() && answers.all(|((_, server), _)| no_filter_chain::is_refused(&ways[*server as usize]))
    }

    /// Name of the pod with an address.
    fn pod(&self, ip: Ip) -> Option<String> {
        self.topology.pod_of(ip).map(|(_, pod)| self.ledger.show(pod).into_owned())
    }

    /// Who wrote the line: the workload of its pod, else its address, else its input.
    fn proxy(&self, way: &Way) -> String {
        source(self.ledger, self.topology, way)
    }

    /// The proxies of a group, sorted, as one phrase.
    fn proxies(&self, ways: &[Seen<'_>]) -> String {
        let names: BTreeSet<String> = ways.iter().map(|seen| self.proxy(seen.way)).collect();
        list(names.into_iter())
    }

    /// The destinations of a group, sorted, as one phrase.
    fn destinations(&self, ways: &[Seen<'_>]) -> String {
        let names: BTreeSet<String> =
            ways.iter().map(|seen| seen.way.dest.show(&self.ledger.names).to_string()).collect();
        list(names.into_iter())
    }

    /// Every flag of a group, as the log prints them.
    fn flags(&self, ways: &[Seen<'_>]) -> String {
        flags(self.ledger, ways.iter().map(|seen| seen.way))
    }

    /// What the transport sockets of a group said, as one phrase in brackets, or nothing.
    fn transport(&self, ways: &[Seen<'_>]) -> String {
        let reasons: BTreeSet<String> = ways
            .iter()
            .filter(|seen| !seen.way.transport.is_none())
            .map(|seen| self.ledger.show(seen.way.transport).replace('_', " "))
            .collect();
        if reasons.is_empty() { String::new() } else { format!(" ({})", list(reasons.into_iter())) }
    }

    /// The text of an address.
    fn show(&self, endpoint: Endpoint) -> String {
        endpoint.show(&self.ledger.names).to_string()
    }
}

impl Seen<'_> {
    /// How many connections; while they are still open to be paired, how many lines.
    fn count(&self) -> u64 {
        match self.entry.counts.connections {
            0 => self.entry.counts.legs,
            count => count,
        }
    }
}

/// The workload that a proxy belongs to: by its pod's name, by the pod of its address, else the address itself.
pub fn source(ledger: &Ledger, topology: &Topology, way: &Way) -> String {
    if !way.workload.is_none() {
        return qualified(ledger, way.namespace, &ledger.show(way.workload));
    }
    let address = if way.side == Side::Inbound { way.dest.ip() } else { way.client };
    match topology.pod_of(address) {
        Some((namespace, pod)) => {
            qualified(ledger, namespace, &String::from_utf8_lossy(workload(ledger.names.get(pod))))
        }
        None => address.show(&ledger.names).to_string(),
    }
}

fn qualified(ledger: &Ledger, namespace: Sym, name: &str) -> String {
    if namespace.is_none() { name.to_owned() } else { format!("{name}.{}", ledger.show(namespace)) }
}

/// Every flag of some ways, unknown ones too, as the log prints them.
pub fn flags<'w>(ledger: &Ledger, ways: impl Iterator<Item = &'w Way>) -> String {
    let mut names: Vec<String> = Vec::new();
    for way in ways {
        let unknown = ledger.show(way.unknown_flags).into_owned();
        let known = way.flags.names().into_iter().map(str::to_owned);
        for name in known.chain(unknown.split(',').map(str::to_owned)) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.sort_by_key(|name| (Flags::of(&[name]), name.clone()));
    names.join(",")
}

/// `a`, `a and b`, `a, b, c and 4 more`.
fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 3;
    let (count, mut names) = (names.len(), names);
    let mut shown: Vec<String> = names.by_ref().take(SHOWN).collect();
    if count > SHOWN {
        return format!("{} and {} more", shown.join(", "), count - SHOWN);
    }
    match (shown.pop(), shown.is_empty()) {
        (Some(last), false) => format!("{} and {last}", shown.join(", ")),
        (last, _) => last.unwrap_or_default(),
    }
}

/// The ports of a group's destinations, sorted, as one phrase.
fn ports(ways: &[Seen<'_>]) -> String {
    let ports: BTreeSet<u16> = ways.iter().map(|seen| seen.way.dest.port()).collect();
    list(ports.into_iter().map(|port| port.to_string()).collect::<Vec<_>>().into_iter())
}

/// `requests` or `connections`.
fn noun(ways: &[Seen<'_>]) -> &'static str {
    if ways.iter().all(|seen| seen.way.protocol == Protocol::Http) { "requests" } else { "connections" }
}
