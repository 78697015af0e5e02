//! `Claims`: what the rules see, what they have filed, and the words in which they say it.
//!
//! A rule looks at the ways that no earlier rule took, groups them by what it calls their subject, and files one finding
//! for each group.

mod blocked;
mod by_address;
mod calls;
mod change;
mod deviation;
mod index;
mod proof;
mod refused;
mod unhealthy;
mod words;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::cluster::{Cluster, Direction};
use crate::endpoint::{Endpoint, Ip};
use crate::event::{Event, Events};
use crate::field::flag::Class;
use crate::field::value::Micros;
use crate::finding::{Finding, Grade, Meta};
use crate::history::{Caller, History};
use crate::ledger::{ByWay, Entry, Evidence, Ledger, Noted};
use crate::leg::{Protocol, Side, Way};
use crate::measure::{Span, Spread, Timeline, has_between};
use crate::replay::Replayed;
use crate::topology::Topology;

pub use calls::{Expected, call, callers, destination, destinations, expected};
use deviation::Compared;
pub(crate) use deviation::{grade, phrase, told};
pub use index::Index;
pub(crate) use words::{AMBIENT, after, list, noun, ports};
pub use words::{flags, source, workload_at};

/// Unknown addresses that one caller could not connect to on one port, each a finding up to so many, one from there on.
const SCATTERED: usize = 5;

/// How many lines of evidence a finding shows.
const EVIDENCE: usize = 3;

/// What the rules see, and what they have filed so far.
pub struct Claims<'w> {
    /// The ways.
    pub ledger: &'w Ledger,
    /// The mesh.
    pub topology: &'w Topology,
    /// What proxies said about themselves.
    pub events: &'w Events,
    /// When destinations changed their cluster.
    pub history: &'w History,
    /// How the ways compare with the proxies' configuration, if it was given.
    pub replayed: Option<&'w Replayed<'w>>,
    /// What is looked up of the ledger.
    pub index: &'w Index<'w>,
    /// Connections with a server's leg only: the address of the other side, and how many.
    pub alone: ByWay<(Ip, u64)>,
    /// When endpoints answered, for whatever cluster.
    lived: BTreeMap<Endpoint, Vec<&'w Timeline>>,
    /// When they could not be connected.
    missed: BTreeMap<Endpoint, Span>,
    /// The client's ways that were answered on a server's way, and how often.
    answered: ByWay<(u32, u64)>,
    /// Hosts of clusters that take what is not theirs: nothing that they answered is theirs either.
    thieves: BTreeSet<String>,
    /// Whose endpoints are, as far as it was asked already.
    owners: RefCell<BTreeMap<Endpoint, Rc<[String]>>>,
    /// Who dialled which address around the mesh, in order.
    passed: Vec<(Ip, Endpoint)>,
    /// Who could not connect to many addresses on one port, and to how many.
    scattered: BTreeMap<(Caller, u16), usize>,
    /// The ways that no rule took.
    pub(crate) left: Vec<Seen<'w>>,
    /// Whether a rule took a way, by its number.
    taken: Vec<bool>,
    /// How calls compare with what is expected.
    compared: Compared,
    meta: &'static Meta,
    found: Vec<Finding>,
    /// Findings that need not be made again.
    told: Option<&'w AlreadyTold>,
    /// Those of them that would be found again: name and subject.
    again: Vec<(&'static str, String)>,
}

/// Findings that were shown already, by code and subject.
pub type AlreadyTold = BTreeSet<(&'static str, String)>;

/// What a rule says of one group of ways.
pub(crate) struct Verdict {
    /// How sure it is.
    pub(crate) grade: Grade,
    /// Why it is a finding.
    pub(crate) why: String,
    /// What to do.
    pub(crate) fix: String,
    /// What would settle it; empty if nothing is open.
    pub(crate) check: String,
}

/// One way as a rule looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'w> {
    pub(crate) number: u32,
    pub(crate) way: &'w Way,
    pub(crate) entry: &'w Entry,
    pub(crate) cluster: &'w Cluster<'w>,
}

impl<'w> Claims<'w> {
    /// Every way, and nothing filed.
    pub fn new(
        ledger: &'w Ledger,
        index: &'w Index<'w>,
        topology: &'w Topology,
        events: &'w Events,
        history: &'w History,
        replayed: Option<&'w Replayed<'w>>,
        meta: &'static Meta,
    ) -> Claims<'w> {
        let seen =
            ledger.iter().map(|(number, way, entry)| Seen { number, way, entry, cluster: index.cluster(way.cluster) });
        let mut left = Vec::with_capacity(ledger.ways().len());
        left.extend(seen.filter(|seen| seen.entry.counts.legs > 0));
        let mut lived: BTreeMap<Endpoint, Vec<&Timeline>> = BTreeMap::new();
        for (_, host, answers) in ledger.answers() {
            lived.entry(host).or_default().push(&answers.times);
        }
        let mut missed: BTreeMap<Endpoint, Span> = BTreeMap::new();
        for seen in left.iter().filter(|seen| seen.way.side.is_client() && seen.way.flags.has(Class::Connect)) {
            missed.entry(seen.way.host).or_default().join(&seen.span());
        }
        let clients = || left.iter().filter(|seen| seen.way.side == Side::Outbound && !seen.way.dest.is_none());
        let answered = index.links.iter().map(|(client, (server, count))| (*server, (*client, *count)));
        let mut passed = Vec::new();
        for seen in clients().filter(|seen| seen.cluster.direction == Direction::Passthrough) {
            let users = index.clients.of(seen.number);
            passed.extend(users.map(|(client, _)| (*client, seen.way.dest)));
        }
        passed.sort_unstable();
        let mut dialled: BTreeMap<(Caller, u16), BTreeSet<Endpoint>> = BTreeMap::new();
        for seen in clients().filter(|seen| seen.cluster.direction == Direction::Passthrough) {
            if seen.way.flags.has(Class::Connect) {
                dialled.entry((Caller::of(seen.way), seen.way.dest.port())).or_default().insert(seen.way.dest);
            }
        }
        let many = dialled.into_iter().map(|(who, destinations)| (who, destinations.len()));
        Claims {
            thieves: BTreeSet::new(),
            owners: RefCell::default(),
            passed,
            scattered: many.filter(|(_, count)| *count > SCATTERED).collect(),
            answered: ByWay::new(answered.collect()),
            taken: vec![false; ledger.ways().len()],
            ledger,
            index,
            topology,
            events,
            history,
            replayed,
            alone: ledger.alone(),
            lived,
            missed,
            left,
            compared: Compared::default(),
            meta,
            found: Vec::new(),
            told: None,
            again: Vec::new(),
        }
    }

    /// Findings of which nothing is to be said: they take their ways and leave it at that.
    pub fn pass_over(&mut self, told: &'w AlreadyTold) {
        self.told = Some(told);
    }

    /// From here on it is this rule that files.
    pub fn rule(&mut self, meta: &'static Meta) {
        self.meta = meta;
    }

    /// What was filed.
    pub fn found(self) -> Vec<Finding> {
        self.found
    }

    /// Groups the ways that no rule took yet by the subject that `subject` gives them, and files a finding for
    /// each group with what `verdict` says of it. No later rule sees them.
    pub(crate) fn file(
        &mut self,
        subject: impl Fn(&Claims<'w>, &Seen<'w>) -> Option<String>,
        verdict: impl Fn(&Claims<'w>, &str, &[Seen<'w>]) -> Verdict,
    ) {
        let groups = self.grouped(subject);
        if groups.is_empty() {
            return;
        }
        let mut gone = vec![false; self.ledger.ways().len()];
        for seen in groups.values().flatten() {
            gone[seen.number as usize] = true;
        }
        self.left.retain(|seen| !gone[seen.number as usize]);
        for (subject, mut ways) in groups {
            // The other legs of all of these connections may be another finding's already.
            if let Some(subject) = self.untold(subject)
                && let Some(count) = self.count(&ways)
            {
                self.sort(&mut ways);
                let verdict = verdict(self, &subject, &ways);
                self.add(subject, &ways, count, verdict);
            }
            for seen in &ways {
                self.taken[seen.number as usize] = true;
            }
        }
    }

    /// The same, for what is to be known beside any other finding: later rules see the ways still, and `verdict` says
    /// in how many connections it shows, or that there is nothing to be known after all.
    pub(crate) fn note(
        &mut self,
        subject: impl Fn(&Claims<'w>, &Seen<'w>) -> Option<String>,
        verdict: impl Fn(&Claims<'w>, &str, &[Seen<'w>]) -> Option<(u64, Verdict)>,
    ) {
        for (subject, mut ways) in self.grouped(subject) {
            let Some(subject) = self.untold(subject) else { continue };
            self.sort(&mut ways);
            if let Some((count, verdict)) = verdict(self, &subject, &ways) {
                self.add(subject, &ways, count, verdict);
            }
        }
    }

    /// From here on these hosts own nothing.
    pub(crate) fn disown(&mut self, thieves: BTreeSet<String>) {
        self.thieves = thieves;
        self.owners.take();
    }

    /// Whether a host's cluster takes what is not its own.
    pub(crate) fn is_thief(&self, host: &str) -> bool {
        self.thieves.contains(host)
    }

    /// How many connections a group stands for: both legs of one may be in it, and a leg whose other leg is in another
    /// finding is counted there. While none is closed, lines count. None if nothing is left to be counted.
    pub(crate) fn count(&self, ways: &[Seen<'_>]) -> Option<u64> {
        let group: BTreeSet<u32> = ways.iter().map(|seen| seen.number).collect();
        let elsewhere = |way: &u32| self.taken[*way as usize] && !group.contains(way);
        let (mut count, mut lines, mut closed) = (0, 0, false);
        // A server's proxy that could not go on tells of a connection which the client's proxy could not make: the two
        // lines have no address in common but the server's.
        let mut both: BTreeMap<Endpoint, [u64; 2]> = BTreeMap::new();
        for seen in ways {
            let (way, counts) = (seen.way, &seen.entry.counts);
            lines += counts.legs;
            closed |= counts.connections > 0;
            if way.side == Side::Inbound {
                both.entry(way.dest).or_default()[0] += counts.connections;
            } else if way.failed_to_connect() && !way.host.is_none() {
                both.entry(way.host).or_default()[1] += counts.connections;
            } else {
                let told = self.answers(seen.number).filter(|(server, _)| elsewhere(server));
                count += counts.connections.saturating_sub(told.map(|(_, links)| links).sum());
            }
            for (client, links) in self.answered.of(seen.number) {
                let counted = group.contains(client) || elsewhere(client);
                count += if counted { 0 } else { *links };
                closed = true;
            }
        }
        count += both.values().map(|[servers, clients]| servers.max(clients)).sum::<u64>();
        if closed { Some(count).filter(|count| *count > 0) } else { Some(lines) }
    }

    fn grouped(&self, subject: impl Fn(&Claims<'w>, &Seen<'w>) -> Option<String>) -> BTreeMap<String, Vec<Seen<'w>>> {
        let mut groups: BTreeMap<String, Vec<Seen<'w>>> = BTreeMap::new();
        for seen in &self.left {
            if let Some(subject) = subject(self, seen) {
                groups.entry(subject).or_default().push(*seen);
            }
        }
        groups
    }

    /// Numbers of ways depend on which line came first; what is said of a group must not.
    fn sort(&self, ways: &mut [Seen<'w>]) {
        ways.sort_by_cached_key(|seen| self.order(seen));
    }

    /// The subject of a finding, unless that was told already.
    fn untold(&mut self, subject: String) -> Option<String> {
        let key = (self.meta.code, subject);
        let told = self.told.is_some_and(|told| told.contains(&key));
        if told {
            self.again.push((self.meta.name, key.1));
            return None;
        }
        Some(key.1)
    }

    fn add(&mut self, subject: String, ways: &[Seen<'w>], count: u64, verdict: Verdict) {
        let (Verdict { grade, why, fix, check }, remedies) = self.proven(ways, verdict);
        let whole = when(ways);
        // What only some of a way's connections show is not said of each of them.
        let all = self.count(ways) == Some(count);
        self.found.push(Finding {
            meta: self.meta,
            grade,
            subject,
            count,
            first: whole.first,
            last: whole.last,
            evidence: self.evidence(ways),
            why,
            fix,
            check,
            remedies,
            ways: ways.iter().filter(|_| all).map(|seen| seen.number).collect(),
        });
    }

    /// The earliest line of each side, then the earliest others.
    fn evidence(&self, ways: &[Seen<'_>]) -> Vec<Evidence> {
        let mut lines: Vec<(&Noted, Side)> = ways
            .iter()
            .flat_map(|seen| self.ledger.evidence(seen.number).iter().map(|line| (line, seen.way.side)))
            .collect();
        // Parts of a log may each have had a line of that number.
        let texts = |one: &Noted, other: &Noted| self.ledger.text(one).cmp(&self.ledger.text(other));
        lines.sort_by(|(one, _), (other, _)| one.order().cmp(&other.order()).then_with(|| texts(one, other)));
        let first = |inbound: bool| lines.iter().position(|(_, side)| (*side == Side::Inbound) == inbound);
        let mut chosen: BTreeSet<usize> = [first(false), first(true)].into_iter().flatten().collect();
        for place in 0..lines.len() {
            if chosen.len() == EVIDENCE {
                break;
            }
            chosen.insert(place);
        }
        chosen.into_iter().map(|place| self.ledger.text(lines[place].0)).collect()
    }

    /// Whether a rule has filed about this port.
    pub(crate) fn has_filed(&self, name: &str, about: impl Fn(&str) -> bool) -> bool {
        let found = self.found.iter().map(|finding| (finding.meta.name, &finding.subject));
        let again = self.again.iter().map(|(name, subject)| (*name, subject));
        found.chain(again).any(|(other, subject)| other == name && about(subject))
    }

    /// Something to order ways by that only depends on what they are.
    pub(crate) fn order(&self, seen: &Seen<'_>) -> (String, String, u64, u16, [&'w [u8]; 2]) {
        let (way, names) = (seen.way, &self.ledger.names);
        let endpoint = |endpoint: Endpoint| endpoint.show(names).to_string();
        let rest = [names.get(way.cluster), names.get(way.details)];
        (endpoint(way.dest), endpoint(way.host), way.flags.bits(), way.status, rest)
    }

    /// On which server's ways a client's way was answered, and how often.
    fn answers(&self, client: u32) -> impl Iterator<Item = (u32, u64)> {
        self.index.links.of(client).copied()
    }

    /// The client's ways all of whose answers were of these server's ways: the same connections, seen from the other
    /// end.
    pub(crate) fn fold(&mut self, servers: impl Fn(&Claims<'w>, &Seen<'w>) -> bool) -> BTreeSet<u32> {
        let wanted: BTreeSet<u32> =
            self.left.iter().filter(|seen| servers(self, seen)).map(|seen| seen.number).collect();
        let mut answers: BTreeMap<u32, u64> = BTreeMap::new();
        for server in &wanted {
            for (client, links) in self.answered.of(*server) {
                *answers.entry(*client).or_default() += links;
            }
        }
        let paired = |seen: &&Seen<'w>| {
            let counts = &seen.entry.counts;
            // A few of a way may have lost their other leg; most have not.
            answers.get(&seen.number) == Some(&counts.paired) && counts.paired * 2 > counts.connections
        };
        self.left.iter().filter(paired).map(|seen| seen.number).collect()
    }

    /// The client's ways that were answered on these server's ways, and how often.
    pub(crate) fn linked(&self, servers: &[Seen<'_>]) -> Vec<(Seen<'w>, u64)> {
        let all = servers.iter().flat_map(|seen| self.answered.of(seen.number));
        all.map(|(client, links)| (self.seen(*client), *links)).collect()
    }

    fn seen(&self, number: u32) -> Seen<'w> {
        let way = &self.ledger.ways()[number as usize];
        Seen { number, way, entry: self.ledger.entry(number), cluster: self.index.cluster(way.cluster) }
    }

    /// Files what events tell.
    pub(crate) fn events(&mut self, subject: String, events: &[Event], Verdict { grade, why, fix, check }: Verdict) {
        let times = || events.iter().filter_map(|event| event.at);
        let line = |event: &Event| Evidence {
            start: event.at.unwrap_or_default(),
            origin: event.origin,
            text: event.text.clone().into(),
        };
        self.found.push(Finding {
            meta: self.meta,
            grade,
            subject,
            count: events.len() as u64,
            first: times().min().unwrap_or_default(),
            last: times().max().unwrap_or_default(),
            evidence: events.iter().take(EVIDENCE).map(line).collect(),
            why,
            fix,
            check,
            remedies: Vec::new(),
            ways: Vec::new(),
        });
    }

    /// All the time in which an endpoint could not be connected.
    pub(crate) fn missed(&self, host: Endpoint) -> Span {
        self.missed.get(&host).copied().unwrap_or_default()
    }

    /// Whether an endpoint answered in a time.
    pub(crate) fn lived_in(&self, host: Endpoint, time: &Span) -> bool {
        self.lived.get(&host).into_iter().flatten().any(|times| has_between(times.spans(), time.first, time.last))
    }

    /// When an endpoint answered last before a time, and first after it.
    pub(crate) fn lived_around(&self, host: Endpoint, time: &Span) -> (Option<Micros>, Option<Micros>) {
        let times = || self.lived.get(&host).into_iter().flatten();
        let before = times().filter_map(|times| times.before(time.first)).max();
        (before, times().filter_map(|times| times.after(time.last)).min())
    }

    /// Whether others of the same caller, destination and cluster were answered.
    pub(crate) fn was_answered(&self, way: &Way) -> bool {
        let same = |other: &Way| {
            (other.dest, other.cluster) == (way.dest, way.cluster) && Caller::of(other) == Caller::of(way)
        };
        self.left.iter().any(|seen| same(seen.way) && !seen.way.silent && !seen.way.flags.is_failure())
    }

    /// Whether anybody got a byte from a service by TCP.
    pub(crate) fn is_answered(&self, service: &str) -> bool {
        let of = |seen: &&Seen<'_>| seen.way.side.is_client() && seen.way.protocol == Protocol::Tcp;
        let answered = |seen: &Seen<'_>| seen.entry.rest().silent().count() < seen.entry.counts.connections;
        let healthy = self.left.iter().filter(of).filter(|seen| !seen.way.flags.is_failure());
        healthy.filter(|seen| answered(seen)).any(|seen| self.served_by(seen) == service)
    }

    /// Whether a client is known to have dialled an address around the mesh.
    pub(crate) fn has_passed(&self, client: Ip, dest: Endpoint) -> bool {
        self.passed.binary_search(&(client, dest)).is_ok()
    }

    /// The server's way on which most connections of a client's way were answered.
    pub(crate) fn server(&self, client: u32) -> Option<Seen<'w>> {
        let ways = self.ledger.ways();
        let order = |way: &Way| (self.show(way.dest), way.flags.bits());
        let best = self.answers(client).max_by_key(|(server, count)| (*count, order(&ways[*server as usize])))?;
        Some(self.seen(best.0))
    }
}

impl Seen<'_> {
    /// When its lines began.
    pub(crate) fn span(&self) -> Span {
        let counts = &self.entry.counts;
        Span { first: counts.first, last: counts.last, count: counts.legs }
    }

    /// How many lines.
    pub(crate) fn lines(&self) -> u64 {
        self.entry.counts.legs
    }
}

/// First and last of a group.
pub(crate) fn when(ways: &[Seen<'_>]) -> Span {
    let mut whole = Span::default();
    for seen in ways {
        whole.join(&seen.span());
    }
    whole
}

/// How long the failed connections of a group took.
pub(crate) fn durations(ways: &[Seen<'_>]) -> Spread {
    let mut whole = Spread::default();
    for seen in ways {
        whole.join(&seen.entry.rest().durations);
    }
    whole
}
