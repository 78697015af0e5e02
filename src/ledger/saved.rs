//! `Saved`: a ledger as plain data, to be written down and added to another one.
//!
//! It is in one order, whatever the run was like: names by their text, all else by what it says. So ledgers that say the same
//! are saved as the same bytes, and what is read can be judged before any of it is believed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::Hash;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Answers, Counts, Evidence, Ledger, MOST_WAYS, Rest, SIMPLE, lone};
use crate::endpoint::{Endpoint, Ip};
use crate::leg::{Fact, Way};
use crate::measure::Timeline;
use crate::names::Sym;
use crate::pair::Match;
use crate::source::{Origin, SourceId};

/// A ledger as plain data. Its layout is part of a state's: a change of it is a change of `state::VERSION`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    /// By their text; the first is number 1.
    names: Vec<Vec<u8>>,
    ways: Vec<SavedWay>,
    facts: Vec<Fact>,
    links: Vec<((u32, u32), u64)>,
    alone: Vec<((u32, Ip), u64)>,
    unanswered: Vec<((Sym, Ip), u64)>,
    answers: Vec<((Sym, Endpoint), Answers)>,
    clients: Vec<((u32, Ip), Timeline)>,
    served: Vec<(Endpoint, (u64, u64, u64))>,
    matched: BTreeMap<Match, u64>,
    simplified: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedWay {
    way: Way,
    counts: Counts,
    rest: Option<Rest>,
    evidence: Vec<Evidence>,
}

/// A saved ledger contradicts itself: logscan did not write it so.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unsound(pub &'static str);

impl Ledger {
    /// The ledger as plain data.
    pub fn saved(&self) -> Saved {
        let mut by_text: Vec<Sym> = (1..self.names.len() as u32).map(Sym).collect();
        by_text.sort_unstable_by_key(|name| self.names.get(*name));
        let mut ranks = vec![Sym::NONE; self.names.len()];
        for (rank, name) in (1..).zip(&by_text) {
            ranks[name.0 as usize] = Sym(rank);
        }
        let rename = |name: Sym| ranks[name.0 as usize];
        let mut ways: Vec<(Way, u32)> = self.ways.iter().map(|way| way.renamed(rename)).zip(0..).collect();
        ways.sort_unstable();
        let mut numbers = vec![0; ways.len()];
        for (number, (_, ours)) in (0..).zip(&ways) {
            numbers[*ours as usize] = number;
        }
        let number = |way: u32| numbers[way as usize];
        let mut facts: Vec<Fact> = self.facts.iter().map(|fact| fact.renamed(rename)).collect();
        facts.sort_unstable();
        let way = |(way, ours): (Way, u32)| SavedWay {
            way,
            counts: self.entry(ours).counts.clone(),
            rest: self.entry(ours).kept().map(|rest| rest.renamed(rename)),
            evidence: self.lines.of(self.entry(ours).lines).iter().map(|line| self.text(line)).collect(),
        };
        Saved {
            names: by_text.iter().map(|name| self.names.get(*name).to_vec()).collect(),
            facts,
            links: sorted(self.links.iter().map(|((out, inn), count)| ((number(*out), number(*inn)), *count))),
            alone: sorted(self.alone.iter().map(|((way, ip), count)| ((number(*way), ip.renamed(rename)), *count))),
            unanswered: sorted(self.unanswered().map(|(name, ip, count)| ((rename(name), ip.renamed(rename)), count))),
            answers: sorted(
                self.answers().map(|(name, host, told)| ((rename(name), host.renamed(rename)), told.clone())),
            ),
            clients: sorted(
                self.clients.iter().map(|((way, ip), times)| ((number(*way), ip.renamed(rename)), times.clone())),
            ),
            served: sorted(self.served.iter().map(|(server, told)| (server.renamed(rename), *told))),
            matched: self.matched.clone(),
            simplified: self.simplified,
            ways: ways.into_iter().map(way).collect(),
        }
    }

    /// Adds what another ledger counted, as if its lines had been read here; `sources` are our numbers of its inputs.
    ///
    /// Fails if `saved` contradicts itself; the ledger is of no more use then.
    pub fn join(&mut self, saved: &Saved, sources: &[SourceId]) -> Result<(), Unsound> {
        saved.judge()?;
        // Numbers of things that are not there.
        let lost = Cell::new(false);
        let names: Vec<Sym> =
            std::iter::once(Sym::NONE).chain(saved.names.iter().map(|name| self.name(name))).collect();
        let rename = |name: Sym| found(&names, name.0, &lost);
        let source = |source: SourceId| found(sources, source.0, &lost);
        let mut ways = Vec::with_capacity(saved.ways.len());
        for SavedWay { way, counts, rest, evidence } in &saved.ways {
            // Of a pod that is known, the input is not told.
            let input = if way.workload.is_none() { source(way.source) } else { way.source };
            let number = self.number(&Way { source: input, ..way.renamed(rename) });
            self.simplified += if number & SIMPLE == 0 { 0 } else { counts.legs };
            let number = number & !SIMPLE;
            let entry = &mut self.entries[number as usize];
            entry.join(counts, rest.as_ref().map(|rest| rest.renamed(rename)).as_ref());
            for line in evidence {
                let origin = Origin { source: source(line.origin.source), ..line.origin };
                entry.note(&mut self.lines, line.start, origin, &line.text);
            }
            ways.push(number);
        }
        let way = |number: u32| found(&ways, number, &lost);
        for fact in &saved.facts {
            self.learn(fact.renamed(rename));
        }
        let links = saved.links.iter().map(|((out, inn), count)| ((way(*out), way(*inn)), count));
        add(&mut self.links, links, |known, count| *known += count);
        for ((number, ip), count) in &saved.alone {
            lone(&mut self.alone, way(*number), ip.renamed(rename), *count);
        }
        for ((name, ip), count) in &saved.unanswered {
            lone(&mut self.unanswered, rename(*name), ip.renamed(rename), *count);
        }
        let answers = saved.answers.iter().map(|((name, host), told)| ((rename(*name), host.renamed(rename)), told));
        add(&mut self.answers, answers, Answers::join);
        let clients = saved.clients.iter().map(|((number, ip), times)| ((way(*number), ip.renamed(rename)), times));
        add(&mut self.clients, clients, Timeline::join);
        let served = saved.served.iter().map(|(server, told)| (server.renamed(rename), told));
        add(&mut self.served, served, |(count, proxy, service), told| {
            (*count, *proxy, *service) = (*count + told.0, *proxy + told.1, *service + told.2);
        });
        for (matched, count) in &saved.matched {
            *self.matched.entry(*matched).or_default() += count;
        }
        self.simplified += saved.simplified;
        if lost.get() {
            Err(Unsound("something has the number of a name, a way or an input that is not there"))
        } else {
            Ok(())
        }
    }
}

impl Saved {
    /// Everything in it that adds up, in one number; bytes apart, which stop at their largest.
    pub fn total(&self) -> u128 {
        let mut total = u128::from(self.simplified);
        let mut add = |number: u64| total += u128::from(number);
        for SavedWay { counts, rest, .. } in &self.ways {
            let &Counts { legs, connections, paired, unanswered, out_millis, in_millis, equal_bytes, .. } = counts;
            [legs, connections, paired, unanswered, out_millis, in_millis, equal_bytes].into_iter().for_each(&mut add);
            rest.iter().flat_map(Rest::sums).for_each(&mut add);
        }
        self.links.iter().for_each(|(_, count)| add(*count));
        self.alone.iter().for_each(|(_, count)| add(*count));
        self.unanswered.iter().for_each(|(_, count)| add(*count));
        self.matched.values().copied().for_each(&mut add);
        self.served
            .iter()
            .for_each(|(_, (count, proxy, service))| [*count, *proxy, *service].into_iter().for_each(&mut add));
        let answers = self.answers.iter().map(|(_, told)| &told.times);
        let spans = answers.chain(self.clients.iter().map(|(_, times)| times)).flat_map(Timeline::spans);
        spans.for_each(|span| add(span.count));
        total
    }

    /// Whether a ledger can have counted so, as far as anything that is made of it relies on that.
    fn judge(&self) -> Result<(), Unsound> {
        let ways = self.ways.iter().all(|SavedWay { counts, rest, .. }| {
            counts.paired <= counts.connections && rest.as_ref().is_none_or(Rest::is_sound)
        });
        let mut times =
            self.answers.iter().map(|(_, told)| &told.times).chain(self.clients.iter().map(|(_, times)| times));
        let paired: u128 = self.ways.iter().map(|way| u128::from(way.counts.paired)).sum();
        let matched: u128 = self.matched.values().map(|count| u128::from(*count)).sum();
        let sound = ways && matched == paired && times.all(Timeline::is_sound);
        if sound { Ok(()) } else { Err(Unsound("connections were counted as they cannot have been")) }
    }
}

/// Our value for a number of the saved ledger.
fn found<T: Copy + Default>(values: &[T], number: u32, lost: &Cell<bool>) -> T {
    values.get(number as usize).copied().unwrap_or_else(|| {
        lost.set(true);
        T::default()
    })
}

/// The rows of a table, by their keys.
fn sorted<K: Ord, V>(table: impl Iterator<Item = (K, V)>) -> Vec<(K, V)> {
    let mut rows: Vec<(K, V)> = table.collect();
    rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    rows
}

/// Adds rows to a table; keys that are new once there are too many are left out.
fn add<K: Hash + Eq, V: Default, T>(
    table: &mut HashMap<K, V, RandomState>,
    rows: impl Iterator<Item = (K, T)>,
    join: impl Fn(&mut V, T),
) {
    for (key, told) in rows {
        if table.len() < MOST_WAYS || table.contains_key(&key) {
            join(table.entry(key).or_default(), told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MOST_COARSE;
    use super::*;
    use crate::field::flag::Flags;
    use crate::field::value::Micros;
    use crate::leg::{Protocol, Side};

    /// A ledger of a line each on ways to so many addresses.
    fn ledger(addresses: std::ops::Range<u32>) -> Ledger {
        let mut ledger = Ledger::default();
        for address in addresses {
            let [_, b, c, d] = address.to_be_bytes();
            let way = Way {
                side: Side::Outbound,
                protocol: Protocol::Tcp,
                direct: true,
                silent: false,
                status: 0,
                flags: Flags::of(&["UF"]),
                unknown_flags: Sym::NONE,
                namespace: Sym::NONE,
                workload: ledger.name(b"web"),
                pod: Sym::NONE,
                source: SourceId(0),
                cluster: ledger.name(b"PassthroughCluster"),
                dest: Endpoint::read(format!("10.{b}.{c}.{d}:80").as_bytes(), &mut ledger.names),
                host: Endpoint::NONE,
                client: Ip::NONE,
                sni: Sym::NONE,
                authority: Sym::NONE,
                details: Sym::NONE,
                termination: Sym::NONE,
                transport: Sym::NONE,
            };
            let number = ledger.number(&way);
            ledger.entries[(number & !SIMPLE) as usize].line(Micros(1));
        }
        ledger
    }

    #[test]
    fn too_many_ways_are_simplified_as_in_one_ledger() {
        let mut sum = Ledger::default();
        for part in [0..80_000, 70_000..150_000] {
            sum.join(&ledger(part).saved(), &[SourceId(0)]).unwrap();
        }
        let lines: u64 = sum.iter().map(|(_, _, entry)| entry.counts.legs).sum();
        assert_eq!((lines, sum.simplified), (160_000, (150_000 - MOST_WAYS) as u64));
        assert!(sum.ways().len() > MOST_WAYS && sum.ways().len() <= MOST_COARSE);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let join = |change: fn(&mut Saved)| {
            let mut saved = ledger(0..2).saved();
            change(&mut saved);
            Ledger::default().join(&saved, &[SourceId(0)]).is_ok()
        };
        assert!(join(|_| ()));
        let changes: [fn(&mut Saved); 8] = [
            |saved| saved.names.clear(),
            |saved| saved.links.push(((0, 2), 1)),
            |saved| saved.alone.push(((9, Ip::NONE), 1)),
            |saved| saved.unanswered.push(((Sym(9), Ip::NONE), 1)),
            |saved| saved.answers.push(((Sym(9), Endpoint::NONE), Answers::default())),
            |saved| saved.ways[1].way = Way { workload: Sym::NONE, source: SourceId(1), ..saved.ways[1].way },
            |saved| saved.ways[1].counts.paired = 1,
            |saved| saved.matched.extend([(Match::Tuple, 1)]),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(!join(change), "{number}");
        }
    }
}
