//! What rules see of a file of expectations: the calls that deviate from it, and findings about them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Claims, Seen, Verdict, call, callers, list, when};
use crate::endpoint::Ip;
use crate::expect::{Answer, Call, Expectations};
use crate::field::value::Micros;
use crate::finding::Grade;
use crate::source::Origin;

/// A call that is not as expected.
#[derive(Clone, Debug)]
pub(crate) struct Deviation {
    pub(crate) call: Call,
    pub(crate) answer: Answer,
    /// Whose call it was and how many there were, where only the server's proxy saw it.
    alone: Option<(Ip, u64)>,
}

/// How the ways of a log compare with a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Compared {
    deviations: BTreeMap<u32, Vec<Deviation>>,
    /// Clients' ways about which there is nothing more to say: accepted, or reported already.
    settled: BTreeSet<u32>,
}

impl<'w> Claims<'w> {
    /// Compares every way with a file of expectations.
    pub fn compare(&mut self, expect: &Expectations) {
        let mut compared = Compared::default();
        for seen in &self.left {
            let client = call(self.ledger, self.topology, seen.way).map(|call| (call, None));
            let servers = callers(self.ledger, self.topology, &self.alone, seen.number, seen.way);
            let servers = servers.into_iter().map(|(call, other, count)| (call, Some((other, count))));
            for (call, alone) in client.into_iter().chain(servers) {
                match expect.answer(&call) {
                    Answer::Expected => {}
                    Answer::Accepted => {
                        compared.settled.insert(seen.number);
                    }
                    answer => {
                        let deviations = compared.deviations.entry(seen.number).or_default();
                        deviations.push(Deviation { call, answer, alone });
                    }
                }
            }
        }
        self.compared = compared;
    }

    /// What is not as expected about a way.
    pub(crate) fn deviations(&self, seen: &Seen<'_>) -> &[Deviation] {
        self.compared.deviations.get(&seen.number).map_or(&[], Vec::as_slice)
    }

    /// Whether a file accepts a way through `PassthroughCluster`, or a deviation was filed about it.
    pub(crate) fn is_settled(&self, seen: &Seen<'_>) -> bool {
        self.compared.settled.contains(&seen.number)
    }

    /// Files a finding for each caller and destination whose answer is `wanted`. Later rules see the ways still; a
    /// server's way may be that of many callers, of whom the others are expected.
    pub(crate) fn deviate(
        &mut self,
        wanted: impl Fn(&Answer) -> bool,
        verdict: impl Fn(&Claims<'w>, &[Seen<'w>], &[Deviation]) -> Verdict,
    ) {
        let mut groups: BTreeMap<String, Vec<(Seen<'w>, Deviation)>> = BTreeMap::new();
        for seen in &self.left {
            for deviation in self.deviations(seen).iter().filter(|deviation| wanted(&deviation.answer)) {
                groups.entry(subject(&deviation.call)).or_default().push((*seen, deviation.clone()));
            }
        }
        for (subject, mut group) in groups {
            let clients = group.iter().filter(|(seen, _)| seen.way.side.is_client()).map(|(seen, _)| seen.number);
            self.compared.settled.extend(clients);
            let Some(subject) = self.untold(subject) else { continue };
            group.sort_by_cached_key(|(seen, deviation)| (self.order(seen), deviation.call.clone()));
            let (ways, deviations): (Vec<Seen<'w>>, Vec<Deviation>) = group.into_iter().unzip();
            let verdict = verdict(self, &ways, &deviations);
            let alone = ways.iter().zip(&deviations).map(|(seen, deviation)| match deviation.alone {
                Some((_, count)) => count,
                // While none is closed, lines count.
                None if seen.entry.counts.connections == 0 => seen.lines(),
                None => seen.entry.counts.connections,
            });
            self.add(subject, &ways, alone.sum(), verdict);
            self.only_these(&ways, &deviations);
        }
    }

    /// Takes out of the last finding what a server's way shows of other callers.
    fn only_these(&mut self, ways: &[Seen<'w>], deviations: &[Deviation]) {
        let Some(finding) = self.found.last_mut() else { return };
        let all = || ways.iter().zip(deviations);
        // A way that others use too tells neither when these came nor which lines are theirs.
        let own =
            |seen: &Seen<'_>, deviation: &Deviation| deviation.alone.is_none_or(|(_, count)| count == seen.lines());
        let exact: Vec<Seen<'w>> =
            all().filter(|(seen, deviation)| own(seen, deviation)).map(|(seen, _)| *seen).collect();
        let whole = when(&exact);
        (finding.first, finding.last) =
            if exact.is_empty() { (Micros::NONE, Micros::NONE) } else { (whole.first, whole.last) };
        let evidence = exact.iter().flat_map(|seen| self.ledger.evidence(seen.number));
        let lines: BTreeSet<Origin> = evidence.map(|line| line.origin).collect();
        finding.evidence.retain(|line| lines.contains(&line.origin));
        // Connections are marked by their ways.
        let numbers: BTreeSet<u32> = exact.iter().map(|seen| seen.number).collect();
        finding.ways.retain(|way| numbers.contains(way));
    }
}

/// One caller and one service; addresses of one caller are one subject, since a client may dial ever new ones.
fn subject(call: &Call) -> String {
    let address = call.destination().parse::<IpAddr>().is_ok();
    format!("{} to {}", call.from.name, if address { "addresses" } else { call.destination() })
}

/// `app.shop calls pay.shop.svc.cluster.local:80 through outbound|80||...`
pub(crate) fn told(deviations: &[Deviation]) -> String {
    let set = |of: &dyn Fn(&Call) -> Option<String>| -> BTreeSet<String> {
        deviations.iter().filter_map(|deviation| of(&deviation.call)).collect()
    };
    let to = set(&|call| {
        let place = call.destination();
        let port = call.port.map_or(String::new(), |port| format!(":{port}"));
        Some(if place.contains(':') && !port.is_empty() {
            format!("[{place}]{port}")
        } else {
            format!("{place}{port}")
        })
    });
    let through = set(&|call| call.cluster.clone());
    let through = if through.is_empty() { String::new() } else { format!(" through {}", phrase(through)) };
    let unseen = deviations.iter().all(|deviation| deviation.alone.is_some());
    let unseen = if unseen { ", as the server's proxy says alone" } else { "" };
    format!("{} calls {}{through}{unseen}", phrase(set(&|call| Some(call.from.name.clone()))), phrase(to))
}

/// How sure it is who called.
pub(crate) fn grade(ways: &[Seen<'_>], deviations: &[Deviation]) -> Grade {
    if ways.iter().any(|seen| seen.way.side.is_client() && seen.entry.counts.paired > 0) {
        Grade::Proven
    } else if deviations.iter().all(|deviation| deviation.alone.is_some()) {
        Grade::Suspect
    } else {
        Grade::Likely
    }
}

/// Names as one phrase.
pub(crate) fn phrase(names: BTreeSet<String>) -> String {
    list(names)
}
