//! `History`: on which clusters a caller's connections to one destination went, and when that changed.
//!
//! The same caller and destination on another cluster mean another configuration: a push, a new object, a stale proxy.
//! The change lies between the last connection on the old cluster and the first one on the new.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::cluster::Direction;
use crate::endpoint::{Endpoint, Ip};
use crate::field::value::Micros;
use crate::ledger::{ByWay, Entry, Ledger};
use crate::leg::{Protocol, Side, Way};
use crate::measure::Span;
use crate::names::{Names, Sym};

/// Who dials: a workload, or an address where no workload is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    namespace: Sym,
    workload: Sym,
    address: Ip,
}

impl Caller {
    /// The caller of a way.
    pub fn of(way: &Way) -> Caller {
        let address = if way.workload.is_none() { way.client } else { Ip::NONE };
        Caller { namespace: way.namespace, workload: way.workload, address }
    }
}

/// A destination that went on another cluster than before.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Whose connections.
    pub caller: Caller,
    /// Which of the caller's pods, by its address; none where they are not told apart.
    pub client: Ip,
    /// Their destination.
    pub dest: Endpoint,
    /// The cluster before.
    pub from: Sym,
    /// The cluster after.
    pub to: Sym,
    /// Start of the last connection on the old cluster before the change.
    pub last: Micros,
    /// Start of the first connection on the new one.
    pub first: Micros,
    /// The change after this one, if there is one.
    pub next: Option<Next>,
    /// Connections went on both at the same time: callers, or proxies of one, do not all have the same configuration.
    pub mixed: bool,
}

/// How a cluster lost a destination again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Start of the last connection on it.
    pub last: Micros,
    /// Start of the first one on another.
    pub first: Micros,
    /// That other; it may be the one before.
    pub to: Sym,
}

impl Change {
    const NONE: Change = Change {
        caller: Caller { namespace: Sym::NONE, workload: Sym::NONE, address: Ip::NONE },
        client: Ip::NONE,
        dest: Endpoint::NONE,
        from: Sym::NONE,
        to: Sym::NONE,
        last: Micros::NONE,
        first: Micros::NONE,
        next: None,
        mixed: false,
    };
}

/// All changes.
#[derive(Debug, Default)]
pub struct History {
    changes: Vec<Change>,
}

/// A way, by its number.
type Used<'l> = (u32, &'l Way, &'l Entry);

/// What went on one cluster: when, and over which ways.
type Taken = Vec<Span>;

impl History {
    /// Finds the changes of all client-side TCP connections. Each pod has a proxy of its own, so each is looked at by itself
    /// where the ledger tells them apart.
    pub fn of(ledger: &Ledger, clients: &ByWay<(Ip, &[Span])>) -> History {
        let mut used: Vec<(Caller, Used<'_>)> = Vec::new();
        for (number, way, entry) in ledger.iter() {
            if way.side != Side::Outbound || way.protocol != Protocol::Tcp || way.dest.is_none() {
                continue;
            }
            // A pod that dials itself may be treated in another way than the others of its workload.
            if way.client == way.dest.ip() {
                continue;
            }
            if Direction::of(ledger.names.get(way.cluster)).is_outbound() {
                used.push((Caller::of(way), (number, way, entry)));
            }
        }
        let key = |(caller, (_, way, _)): &(Caller, Used<'_>)| (*caller, way.dest);
        // Nearly all went on one cluster all the time.
        let mut clusters: HashMap<(Caller, Endpoint), Option<Sym>, RandomState> = HashMap::default();
        for one in &used {
            let cluster = one.1.1.cluster;
            clusters
                .entry(key(one))
                .and_modify(|known| *known = known.filter(|known| *known == cluster))
                .or_insert(Some(cluster));
        }
        used.retain(|one| clusters[&key(one)].is_none());
        used.sort_by_key(key);
        let mut found = Vec::new();
        for ways in used.chunk_by(|one, other| key(one) == key(other)) {
            let (caller, dest) = key(&ways[0]);
            let apart = ways.iter().all(|(_, (number, ..))| clients.has(*number));
            let mut taken: BTreeMap<Ip, BTreeMap<Sym, Taken>> = BTreeMap::new();
            for (_, (number, way, entry)) in ways {
                if !apart {
                    let clusters = taken.entry(Ip::NONE).or_default();
                    clusters.entry(way.cluster).or_default().extend(spans(entry));
                    continue;
                }
                for (client, spans) in clients.of(*number).filter(|(ip, _)| *ip != dest.ip()) {
                    let clusters = taken.entry(*client).or_default();
                    clusters.entry(way.cluster).or_default().extend(spans.iter().copied());
                }
            }
            for (client, clusters) in taken.into_iter().filter(|(_, clusters)| clusters.len() > 1) {
                found.extend(changes(Change { caller, client, dest, ..Change::NONE }, &clusters, &ledger.names));
            }
        }
        // Numbers of names, and of addresses that are names, depend on which line came first.
        let order =
            |change: &Change| (change.first, change.last, ledger.names.get(change.to), ledger.names.get(change.from));
        found.sort_by(|one, other| order(one).cmp(&order(other)));
        History { changes: found }
    }

    /// Every change, the earliest first.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The changes of these destinations to a cluster.
    pub fn to(&self, cluster: Sym, destinations: &BTreeSet<Endpoint>) -> Vec<&Change> {
        let wanted = |change: &&Change| change.to == cluster && destinations.contains(&change.dest);
        self.changes.iter().filter(wanted).collect()
    }
}

/// When connections of a way began, all of its clients together. Lines without a time tell nothing.
fn spans(entry: &Entry) -> impl Iterator<Item = Span> {
    let whole = Span { first: entry.counts.first, last: entry.counts.last, count: entry.counts.legs };
    let told = entry.rest().timeline.spans();
    let whole = (told.is_empty() && whole.first != Micros::NONE).then_some(whole);
    told.iter().copied().chain(whole)
}

fn changes(of: Change, clusters: &BTreeMap<Sym, Taken>, names: &Names) -> Vec<Change> {
    let moments = |cluster: Sym| {
        let spans = clusters.get(&cluster).into_iter().flatten();
        spans.flat_map(|span| [span.first, span.last])
    };
    let change = |to: Sym| {
        let first = moments(to).min()?;
        let end = moments(to).max()?;
        let before = |from: &Sym| moments(*from).filter(|at| *at < first).max();
        let others = || clusters.keys().copied().filter(|other| *other != to);
        let (last, from) = others()
            .filter_map(|from| Some((before(&from)?, from)))
            .max_by_key(|(last, from)| (*last, names.get(*from)))?;
        let mixed = moments(from).any(|at| first < at && at < end);
        let after = |other: Sym| Some((moments(other).filter(|at| *at > end).min()?, other));
        let next = others().filter_map(after).min_by_key(|(first, to)| (*first, names.get(*to))).filter(|_| !mixed);
        let next = next.map(|(first, to)| Next { last: end, first, to });
        Some(Change { from, to, last, first, next, mixed, ..of })
    };
    clusters.keys().filter_map(|to| change(*to)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_knows_the_one_behind_it() {
        let span = |first: i64, last: i64| vec![Span { first: Micros(first), last: Micros(last), count: 2 }];
        let mut names = Names::default();
        let [passed, one, other] = [b"passed", b"one   ", b"other "].map(|name| names.intern(name));
        let clusters = BTreeMap::from([(passed, span(10, 20)), (one, span(30, 40)), (other, span(50, 60))]);
        let found = changes(Change::NONE, &clusters, &names);
        let to = |cluster| found.iter().find(|change| change.to == cluster).unwrap();
        assert_eq!((to(one).from, to(one).last, to(one).first), (passed, Micros(20), Micros(30)));
        assert_eq!(to(one).next, Some(Next { last: Micros(40), first: Micros(50), to: other }));
        assert_eq!((to(other).from, to(other).next), (one, None));
    }

    #[test]
    fn what_goes_back_is_no_longer_what_it_was() {
        let spans = |list: &[(i64, i64)]| {
            list.iter().map(|(first, last)| Span { first: Micros(*first), last: Micros(*last), count: 2 }).collect()
        };
        let mut names = Names::default();
        let [one, other] = [b"one  ", b"other"].map(|name| names.intern(name));
        let clusters = BTreeMap::from([(one, spans(&[(10, 20), (50, 60)])), (other, spans(&[(30, 40)]))]);
        let found = changes(Change::NONE, &clusters, &names);
        let there = found.iter().find(|change| change.to == other).unwrap();
        assert_eq!(there.next, Some(Next { last: Micros(40), first: Micros(50), to: one }));
    }

    #[test]
    fn of_clusters_that_agree_the_name_decides_and_not_which_came_first() {
        let span = |at: i64| vec![Span { first: Micros(at), last: Micros(at), count: 1 }];
        for order in [[b"one", b"two", b"new"], [b"new", b"two", b"one"]] {
            let mut names = Names::default();
            for name in order {
                names.intern(name);
            }
            let [one, two, new] = [b"one", b"two", b"new"].map(|name| names.intern(name));
            let clusters = BTreeMap::from([(one, span(10)), (two, span(10)), (new, span(20))]);
            let found = changes(Change::NONE, &clusters, &names);
            assert_eq!(found.iter().map(|change| (change.from, change.to)).collect::<Vec<_>>(), [(two, new)]);
        }
    }
}
