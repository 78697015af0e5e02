//! Since when connections go the way they go, and which proxies did not follow: a change of configuration, in words.

use std::collections::{BTreeMap, BTreeSet};

use super::{Claims, Seen, list};
use crate::endpoint::{Endpoint, Ip};
use crate::field::value::Micros;
use crate::history::{Caller, Change, Next};
use crate::measure::{Span, has_between, moments};
use crate::names::Sym;

impl Claims<'_> {
    /// When these connections began to go this way, and when they stopped, as the end of a sentence.
    pub(crate) fn changed(&self, ways: &[Seen<'_>]) -> String {
        let Some(first) = ways.first() else { return String::new() };
        let destinations = ways.iter().map(|seen| seen.way.dest).collect();
        let callers: BTreeSet<Caller> = ways.iter().map(|seen| Caller::of(seen.way)).collect();
        let changes = self.history.to(first.way.cluster, &destinations);
        let changes: Vec<&Change> = changes.into_iter().filter(|change| callers.contains(&change.caller)).collect();
        let before = list(self.names(changes.iter().map(|change| change.from)));
        // Both ways at the same time, and no telling which of the callers' pods went which.
        if !changes.is_empty() && changes.iter().all(|change| change.mixed && change.client.is_none()) {
            return format!(
                ". At the same time others of the same callers went through {before}: not all proxies have the same \
                 configuration"
            );
        }
        let (Some(last), Some(start)) =
            (changes.iter().map(|change| change.last).max(), changes.iter().map(|change| change.first).min())
        else {
            return String::new();
        };
        let together = if last < start {
            format!("until {last} they went through {before}, since {start} they do not")
        } else {
            let latest = changes.iter().map(|change| change.first).max().unwrap_or(start);
            format!(
                "before, they went through {before}; the change came to one after the other from \
                 {start} to {latest}"
            )
        };
        let (end, stale) = (self.end(&changes), self.stale(ways, &changes));
        format!(". {}{end}{stale}{}", capital(&together), self.lagging(ways, &changes))
    }

    /// When all of these changes were over, and what came then.
    fn end(&self, changes: &[&Change]) -> String {
        // Of those of which none is known some may have stopped, and some still go there.
        let over: Vec<Next> = changes.iter().filter_map(|change| change.next).collect();
        let (last, first) = (over.iter().map(|next| next.last).max(), over.iter().map(|next| next.first).min());
        match (last, first) {
            (Some(last), Some(first)) if over.len() == changes.len() && last < first => {
                let before: BTreeSet<Sym> = changes.iter().map(|change| change.from).collect();
                let others = list(self.names(over.iter().map(|next| next.to).filter(|to| !before.contains(to))));
                let others = if others.is_empty() { others } else { format!(", then they went through {others}") };
                format!("; it was over between {last} and {first}{others}")
            }
            _ => String::new(),
        }
    }

    /// When these destinations went on another way after all, as the end of a sentence.
    pub(crate) fn over(&self, ways: &[Seen<'_>]) -> String {
        let destinations: BTreeSet<Endpoint> = ways.iter().map(|seen| seen.way.dest).collect();
        let callers: BTreeSet<Caller> = ways.iter().map(|seen| Caller::of(seen.way)).collect();
        let ours = |change: &&Change| {
            change.from == ways[0].way.cluster
                && destinations.contains(&change.dest)
                && callers.contains(&change.caller)
        };
        let changes: Vec<&Change> = self.history.changes().iter().filter(ours).filter(|change| !change.mixed).collect();
        let (Some(last), Some(first)) =
            (changes.iter().map(|change| change.last).max(), changes.iter().map(|change| change.first).min())
        else {
            return String::new();
        };
        let to = list(self.names(changes.iter().map(|change| change.to)));
        if last < first {
            format!(". It was so until {last}; since {first} they go through {to}")
        } else {
            format!(". Some go through {to} since {first}")
        }
    }

    /// The proxies that went on by the old way while others were on the new.
    fn stale(&self, ways: &[Seen<'_>], changes: &[&Change]) -> String {
        let moved: BTreeSet<Ip> = self.users(ways).map(|(client, _)| client).collect();
        let (Some(start), false) = (changes.iter().map(|change| change.first).min(), moved.is_empty()) else {
            return String::new();
        };
        // Once all have gone back, those that come later say nothing.
        let over = changes.iter().any(|change| change.next.is_some());
        let last = ways.iter().map(|seen| seen.entry.counts.last).max().unwrap_or_default();
        let end = if over { last } else { Micros(i64::MAX) };
        let old = self.old(changes);
        let stayed = old.iter().filter(|(client, times)| !moved.contains(client) && has_between(times, start, end));
        let stayed: BTreeSet<String> = stayed.map(|(client, _)| self.pod_or_address(*client)).collect();
        if stayed.is_empty() {
            return String::new();
        }
        let stayed = list(stayed);
        format!("; {stayed} went on as before: not all proxies have the same configuration")
    }

    /// The proxies that still took the new way after others had gone back to the old one.
    fn lagging(&self, ways: &[Seen<'_>], changes: &[&Change]) -> String {
        let mut new: BTreeMap<Ip, Micros> = BTreeMap::new();
        for (client, times) in self.users(ways) {
            let last = new.entry(client).or_default();
            *last = moments(times).max().map_or(*last, |moment| moment.max(*last));
        }
        let mut returned: BTreeMap<Ip, Micros> = BTreeMap::new();
        for (client, times) in self.old(changes) {
            let again = new.get(&client).and_then(|last| moments(times).filter(|moment| moment > last).min());
            if let Some(again) = again {
                let first = returned.entry(client).or_insert(again);
                *first = again.min(*first);
            }
        }
        let Some(back) = returned.values().min() else { return String::new() };
        let late = new.iter().filter(|(_, last)| *last > back);
        let late: BTreeSet<String> = late.map(|(client, _)| self.pod_or_address(*client)).collect();
        if late.is_empty() {
            return String::new();
        }
        let late = list(late);
        format!(
            "; {late} still went there after others had gone back at {back}: not all proxies have the same \
             configuration"
        )
    }

    /// Which clients used these ways, and when.
    fn users<'c>(&'c self, ways: &'c [Seen<'_>]) -> impl Iterator<Item = (Ip, &'c [Span])> {
        ways.iter().flat_map(|seen| self.index.clients.of(seen.number)).copied()
    }

    /// Which clients used the clusters that these changes led away from, to the same destinations, and when.
    fn old(&self, changes: &[&Change]) -> Vec<(Ip, &[Span])> {
        let before: BTreeSet<(Caller, Endpoint, Sym)> =
            changes.iter().map(|change| (change.caller, change.dest, change.from)).collect();
        let ways = self.ledger.ways();
        let old = |number: &u32| {
            let way = &ways[*number as usize];
            before.contains(&(Caller::of(way), way.dest, way.cluster))
        };
        self.index.clients.iter().filter(|(number, _)| old(number)).map(|(_, user)| *user).collect()
    }
}

/// With a capital at its start.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
