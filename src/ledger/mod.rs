//! `Ledger`: every way that connections went, with its counts and the first lines that show it.
//!
//! Findings, topology and the summary are made from the ledger alone. It only ever adds up, so it does not
//! matter in which order blocks and connections come in; and it grows with the mesh, not with the log.

mod by_way;
mod entry;
mod lines;
mod saved;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::io;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use crate::endpoint::{Endpoint, Ip};
use crate::field::value::Micros;
use crate::leg::{Fact, Leg, Protocol, Side, Way};
use crate::measure::{Span, Timeline};
use crate::names::{Names, Sym};
use crate::pair::{Connection, Match};
use crate::scan::Scanned;

use lines::Lines;

pub use by_way::ByWay;
pub use entry::{Answers, Counts, Entry, Rest};
pub use lines::{Evidence, Noted};
pub use saved::{Saved, Unsound};

/// Past so many ways, new ones are told apart by proxy, cluster and outcome only. Tables by way have no more rows either, so that none of
/// them grows beyond 131,072 places.
const MOST_WAYS: usize = 100_000;
/// Past so many, by their outcome only. Nothing that clients or servers choose makes more of them than that.
const MOST_COARSE: usize = MOST_WAYS + 20_000;
/// Past so many names, new ones are absent where a way or an address needs one.
const MOST_NAMES: usize = 400_000;
/// Set in the number of a way that stands for another one, because there were too many.
const SIMPLE: u32 = 1 << 31;

/// All ways.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Their names.
    pub names: Names,
    ways: Vec<Way>,
    entries: Vec<Entry>,
    /// The earliest lines that show each way.
    lines: Lines,
    table: HashTable<u32>,
    hasher: RandomState,
    /// By scanner.
    numbers: Vec<Numbers>,
    facts: Vec<Fact>,
    fact_table: HashTable<u32>,
    links: HashMap<(u32, u32), u64, RandomState>,
    /// Servers' legs, and those that do not tell their side, by way and the address of the other side.
    alone: HashMap<(u32, Ip), u64, RandomState>,
    /// Clients' legs by what tells why nobody answered: the cluster and the address of the other side.
    unanswered: HashMap<(Sym, Ip), u64, RandomState>,
    answers: HashMap<(Sym, Endpoint), Answers, RandomState>,
    clients: HashMap<(u32, Ip), Timeline, RandomState>,
    /// Milliseconds that servers' proxies and the applications behind them took, by server, where lines say both.
    served: HashMap<Endpoint, (u64, u64, u64), RandomState>,
    /// Pairs by what joined them.
    pub matched: BTreeMap<Match, u64>,
    /// Lines whose way was simplified because there were too many.
    pub simplified: u64,
    /// How many lines are shown of every way, even where no rule could show them.
    pub least: u8,
    /// Whether such a line is kept all the same: whoever reads what is saved may want to show it.
    pub save: bool,
}

impl Ledger {
    /// Takes over what a block tells that is new. From then on [`Ledger::take_over`] knows its numbers.
    pub fn meet(&mut self, scanned: &Scanned) {
        if self.numbers.len() <= scanned.scanner {
            self.numbers.resize_with(scanned.scanner + 1, Numbers::default);
        }
        let mut numbers = std::mem::take(&mut self.numbers[scanned.scanner]);
        if scanned.anew {
            numbers = Numbers::default();
        }
        numbers.names.extend(scanned.names.iter().map(|name| self.name(name)));
        for way in &scanned.ways {
            let way = way.renamed(|name| numbers.name(name));
            numbers.ways.push(self.number(&way));
        }
        for fact in &scanned.facts {
            self.learn(fact.renamed(|name| numbers.name(name)));
        }
        self.numbers[scanned.scanner] = numbers;
    }

    /// Gives a scanner's leg the ledger's numbers.
    #[inline]
    pub fn take_over(&mut self, leg: &mut Leg, scanner: usize) {
        let numbers = &self.numbers[scanner];
        let way = numbers.ways[leg.way as usize];
        self.simplified += u64::from(way & SIMPLE != 0);
        leg.way = way & !SIMPLE;
        leg.rename(|name| numbers.name(name));
    }

    /// Counts a leg (with the ledger's numbers) with its way; keeps its line if it is one of the earliest that show the way.
    #[inline]
    pub fn line<'l>(&mut self, leg: &Leg, line: impl FnOnce() -> &'l [u8]) {
        let entry = &mut self.entries[leg.way as usize];
        if entry.line(leg.start) {
            let text = line();
            entry.note(&mut self.lines, leg.start, leg.origin, text.strip_suffix(b"\r").unwrap_or(text));
        }
    }

    /// The ledger's number of a scanner's name.
    pub fn renamed(&self, name: Sym, scanner: usize) -> Sym {
        self.numbers[scanner].name(name)
    }

    /// Our number of a name; absent if it is new and there are too many.
    fn name(&mut self, text: &[u8]) -> Sym {
        if self.names.len() < MOST_NAMES { self.names.intern(text) } else { self.names.find(text).unwrap_or(Sym::NONE) }
    }

    /// The ledger's number of a way, marked if it had to be simplified.
    fn number(&mut self, way: &Way) -> u32 {
        if let Some(number) = self.find(way) {
            return number;
        }
        if self.ways.len() < MOST_WAYS {
            return self.add(*way);
        }
        let mut way = way.coarse();
        if self.ways.len() >= MOST_COARSE && self.find(&way).is_none() {
            way = way.nameless();
        }
        self.find(&way).unwrap_or_else(|| self.add(way)) | SIMPLE
    }

    fn find(&self, way: &Way) -> Option<u32> {
        self.table.find(self.hasher.hash_one(way), |number| self.ways[*number as usize] == *way).copied()
    }

    fn add(&mut self, way: Way) -> u32 {
        let number = self.ways.len() as u32;
        let Ledger { table, hasher, ways, .. } = self;
        table.insert_unique(hasher.hash_one(way), number, |known| hasher.hash_one(ways[*known as usize]));
        self.entries.push(Entry::new(&way, most_lines(&way).max(self.least).max(u8::from(self.save))));
        self.ways.push(way);
        number
    }

    fn learn(&mut self, fact: Fact) {
        let Ledger { fact_table, hasher, facts, .. } = self;
        let hash = hasher.hash_one(fact);
        if facts.len() < MOST_WAYS && fact_table.find(hash, |known| facts[*known as usize] == fact).is_none() {
            fact_table.insert_unique(hash, facts.len() as u32, |known| hasher.hash_one(facts[*known as usize]));
            facts.push(fact);
        }
    }

    /// Counts connections. Every table that a connection has a place in is gone through for all of them before the next one:
    /// most places have to be fetched from far away, and so they come side by side.
    pub fn count(&mut self, connections: &[Connection]) {
        for connection in connections {
            let Some(leading) = connection.leading() else { continue };
            let entry = &mut self.entries[leading.way as usize];
            entry.lead(leading);
            // The rest leads by a service's address, the usual way: its first and last are enough. An address among the
            // client's own is hardly a service's.
            let client = leading.peer.ip();
            let untimed = leading.side.is_client() && leading.protocol == Protocol::Tcp && !is_timed(leading);
            if untimed && entry.dest.may_be_near(client) {
                entry.meet(client, leading.start);
            }
            if let (Some(out), Some(inn)) = (&connection.outbound, &connection.inbound) {
                entry.pair(out, inn);
            }
        }
        for leading in connections.iter().filter_map(Connection::leading).filter(|leading| leading.side.is_client()) {
            let entry = &self.entries[leading.way as usize];
            if !entry.fails && !leading.server.is_none() {
                let key = (entry.cluster, leading.server);
                if self.answers.len() < MOST_WAYS || self.answers.contains_key(&key) {
                    self.answers.entry(key).or_default().add(leading);
                }
            }
            if leading.protocol == Protocol::Tcp && is_timed(leading) {
                note(&mut self.clients, (leading.way, leading.peer.ip()), leading.start);
            }
        }
        for connection in connections {
            self.link(connection);
        }
    }

    /// Counts what joined a connection's legs, or that there is only one.
    fn link(&mut self, connection: &Connection) {
        if let (Some(out), Some(inn), Some(matched)) = (&connection.outbound, &connection.inbound, connection.matched) {
            *self.matched.entry(matched).or_default() += 1;
            // Who answered is told of connections to the very address that was dialled, and of those that failed; of
            // the others it is enough that another address answered.
            if (out.direct || out.failed || inn.failed)
                && (self.links.len() < MOST_WAYS || self.links.contains_key(&(out.way, inn.way)))
            {
                *self.links.entry((out.way, inn.way)).or_default() += 1;
            }
        } else if let Some(leading) = connection.leading() {
            if leading.side.is_client() {
                let way = &self.ways[leading.way as usize];
                // Those that failed have no other side.
                let other = if way.failed_to_connect() { Ip::NONE } else { leading.other() };
                lone(&mut self.unanswered, way.cluster, other, 1);
            } else {
                lone(&mut self.alone, leading.way, leading.other(), 1);
            }
        }
        if let Some(inn) = connection.inbound.as_ref().filter(|inn| inn.service_time != Leg::UNTOLD)
            && (self.served.len() < MOST_WAYS || self.served.contains_key(&inn.server))
        {
            let (count, proxy, service) = self.served.entry(inn.server).or_default();
            (*count, *proxy, *service) =
                (*count + 1, *proxy + u64::from(inn.duration), *service + u64::from(inn.service_time));
        }
    }

    /// Which endpoints answered for a cluster; in no order.
    pub fn answers(&self) -> impl Iterator<Item = (Sym, Endpoint, &Answers)> {
        self.answers.iter().map(|((cluster, host), answers)| (*cluster, *host, answers))
    }

    /// Which clients' addresses used a way of TCP, and when. Ways that more clients used than can be kept are left out.
    pub fn clients(&self) -> ByWay<(Ip, &[Span])> {
        let kept = self.clients.iter().map(|((way, client), times)| (*way, (*client, times.spans())));
        let mut rows = Vec::with_capacity(self.clients.len());
        rows.extend(kept);
        for (number, entry) in (0..).zip(&self.entries) {
            rows.extend(entry.met().iter().map(|(client, span)| (number, (*client, std::slice::from_ref(span)))));
        }
        ByWay::new(rows)
    }

    /// By server: requests, milliseconds in its proxy, milliseconds of those in the application; in no order.
    pub fn served(&self) -> impl Iterator<Item = (Endpoint, u64, u64, u64)> {
        self.served.iter().map(|(server, (count, proxy, service))| (*server, *count, *proxy, *service))
    }

    /// The facts, each once.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Connections with a server's leg only, or with one that does not tell its side: the address of the other side, and how many.
    pub fn alone(&self) -> ByWay<(Ip, u64)> {
        ByWay::new(self.alone.iter().map(|((way, other), count)| (*way, (*other, *count))).collect())
    }

    /// Connections with a client's leg only, by its cluster and the address of the other side, none where there was no connection;
    /// in no order.
    pub fn unanswered(&self) -> impl Iterator<Item = (Sym, Ip, u64)> {
        self.unanswered.iter().map(|((cluster, other), count)| (*cluster, *other, *count))
    }

    /// The ways, by number.
    pub fn ways(&self) -> &[Way] {
        &self.ways
    }

    /// The earliest lines that show a way, in order.
    pub fn evidence(&self, number: u32) -> &[Noted] {
        let kept = self.lines.of(self.entry(number).lines);
        let most = most_lines(&self.ways[number as usize]).max(self.least);
        &kept[..kept.len().min(most.into())]
    }

    /// Such a line with its text; with none where that cannot be read any more, which [`Ledger::lost`] tells.
    pub fn text(&self, line: &Noted) -> Evidence {
        self.lines.read(line)
    }

    /// Why the text of a line could not be read again, if that was so.
    pub fn lost(&mut self) -> Option<io::Error> {
        self.lines.lost()
    }

    /// A way's counts.
    pub fn entry(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    /// Number, way and entry of all.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Way, &Entry)> {
        self.ways.iter().zip(&self.entries).enumerate().map(|(number, (way, entry))| (number as u32, way, entry))
    }

    /// By outbound way: on which inbound way it was answered, and how often.
    pub fn links(&self) -> ByWay<(u32, u64)> {
        ByWay::new(self.links.iter().map(|((out, inn), count)| (*out, (*inn, *count))).collect())
    }

    /// How many of [`Ledger::links`] there are.
    pub fn links_len(&self) -> usize {
        self.links.len()
    }

    /// The text of a name.
    pub fn show(&self, name: Sym) -> std::borrow::Cow<'_, str> {
        self.names.show(name)
    }
}

/// What a scanner's numbers are in the ledger.
#[derive(Debug)]
struct Numbers {
    names: Vec<Sym>,
    ways: Vec<u32>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { names: vec![Sym::NONE], ways: Vec::new() }
    }
}

impl Numbers {
    fn name(&self, name: Sym) -> Sym {
        self.names[name.0 as usize]
    }
}

/// Whether a client's TCP connection has a place in timelines: it failed, or led straight to what was dialled.
fn is_timed(leading: &Leg) -> bool {
    leading.direct || leading.failed
}

/// Counts one more of a key, unless there are too many keys already.
fn note<K: std::hash::Hash + Eq>(table: &mut HashMap<K, Timeline, RandomState>, key: K, at: Micros) {
    if table.len() < MOST_WAYS || table.contains_key(&key) {
        table.entry(key).or_default().add(at);
    }
}

/// Counts connections with one leg. Once there are too many keys, the other side of new ones is not told.
fn lone<K: Copy + std::hash::Hash + Eq>(table: &mut HashMap<(K, Ip), u64, RandomState>, leg: K, other: Ip, count: u64) {
    let known = table.len() < MOST_WAYS || other.is_none() || table.contains_key(&(leg, other));
    *table.entry((leg, if known { other } else { Ip::UNTOLD })).or_default() += count;
}

/// How many lines are worth keeping of a way: those that a rule could ever show. The ways on which nothing went
/// wrong are by far the most, so they keep one: it may turn out that they lead around the mesh or were stolen.
fn most_lines(way: &Way) -> u8 {
    if !way.flags.is_empty() {
        return 3;
    }
    let misled = way.direct || way.protocol == Protocol::Tcp || way.status >= 500;
    // A server's lines without SNI show who comes without mTLS.
    u8::from(if way.side == Side::Inbound { way.sni.is_none() } else { misled })
}
