//! `Pass`: the one engine. Blocks that were scanned go in, findings and connections come out.
//!
//! Two small pumps feed it: `batch` for files, `live` for a pipe. Neither knows what a line means, so both
//! give the same result for the same bytes.

pub mod batch;
pub mod live;

use std::io;

use serde_json::Value;

use crate::field::value::Micros;
use crate::finding::Finding;
use crate::format::Formats;
use crate::ledger::Ledger;
use crate::leg::Leg;
use crate::names::Sym;
use crate::pair::{self, Closed, Connection, Pairer};
use crate::record::Kept;
use crate::report::{self, Gathered, Inputs, Report};
use crate::rules;
use crate::scan::{self, Scanned, Tally};
use crate::sinks::{Shown, Sink, leg_object};
use crate::source::block::Block;
use crate::topology::Topology;

/// What a run is made of.
#[derive(Debug)]
pub struct Settings {
    /// The formats that lines are tried with.
    pub formats: Formats,
    /// How long legs wait.
    pub pairing: pair::Options,
    /// Threads that scan; 0 is one a core.
    pub threads: usize,
}

/// One run over one input, however many sources it has.
pub struct Pass<'s> {
    settings: &'s Settings,
    inputs: Inputs,
    sink: Box<dyn Sink + 's>,
    ledger: Ledger,
    pairer: Pairer,
    tally: Tally,
    closed: Closed,
    kept: Slab,
    merged: u64,
    /// Findings as of so many ways and links: both only grow.
    judged: Option<(usize, usize, Judged)>,
    /// What went wrong with inputs.
    pub troubles: Vec<String>,
}

struct Judged {
    topology: Topology,
    findings: Vec<Finding>,
    /// The names of the findings of each way.
    names: Vec<Vec<&'static str>>,
}

impl<'s> Pass<'s> {
    /// An empty pass over the inputs with these names.
    pub fn new(settings: &'s Settings, inputs: Inputs, sink: Box<dyn Sink + 's>) -> Pass<'s> {
        Pass {
            settings,
            inputs,
            sink,
            ledger: Ledger::default(),
            pairer: Pairer::new(settings.pairing),
            tally: Tally::default(),
            closed: Closed::default(),
            kept: Slab::default(),
            merged: 0,
            judged: None,
            troubles: Vec::new(),
        }
    }

    /// Scans a block; any thread may do it.
    pub fn scan(&self, block: &Block) -> Scanned {
        scan::scan(block, &self.settings.formats, self.scanning())
    }

    /// How blocks are to be scanned.
    pub fn scanning(&self) -> scan::Options {
        scan::Options { keep: self.sink.wants_connections() }
    }

    /// Takes over what a block held.
    pub fn absorb(&mut self, mut scanned: Scanned, block: &Block) -> io::Result<()> {
        self.ledger.absorb(&mut scanned, &block.bytes);
        self.tally.merge(scanned.tally);
        let (mut kept, names) = (scanned.kept.into_iter(), scanned.names);
        for mut leg in scanned.legs {
            if let Some((pod, record)) = kept.next() {
                leg.kept = self.kept.put((self.ledger.names.intern(names.get(pod)), record));
            }
            self.pairer.push(leg, &mut self.closed);
        }
        self.pairer.sweep(&mut self.closed);
        // Connections that wait to be shown hold their lines: no more of them than legs may wait.
        let many = self.closed.connections.len() >= self.settings.pairing.hold;
        if many || !self.sink.wants_connections() { self.settle() } else { Ok(()) }
    }

    /// Says that every open source has come so far in log time.
    pub fn advance(&mut self, now: Micros) {
        self.pairer.advance(now);
    }

    /// Counts what was closed, and shows it if it is to be shown.
    fn settle(&mut self) -> io::Result<()> {
        let closed = std::mem::take(&mut self.closed.connections);
        for connection in &closed {
            self.ledger.count(connection);
        }
        self.merged += self.closed.merged.len() as u64;
        for leg in std::mem::take(&mut self.closed.merged) {
            self.kept.take(leg.kept);
        }
        if !self.sink.wants_connections() || closed.is_empty() {
            return Ok(());
        }
        self.show(closed)
    }

    fn show(&mut self, mut closed: Vec<Connection>) -> io::Result<()> {
        self.judge();
        closed.sort_unstable_by_key(|connection| {
            connection.leading().map(|leg| (leg.end(), leg.order(), connection.inbound.map(|leg| leg.origin)))
        });
        for connection in closed {
            let shown = self.shown(&connection);
            self.sink.connection(&shown)?;
        }
        Ok(())
    }

    fn shown(&mut self, connection: &Connection) -> Shown {
        let mut findings = Vec::new();
        let mut unpaired = None;
        if let Some((_, _, judged)) = &self.judged {
            for leg in [connection.outbound, connection.inbound].into_iter().flatten() {
                findings.extend(judged.names.get(leg.way as usize).into_iter().flatten());
            }
            findings.sort_unstable();
            findings.dedup();
            let alone = connection.leading().filter(|_| connection.matched.is_none());
            unpaired = alone.map(|leg| {
                judged.topology.why_alone(&self.ledger.ways()[leg.way as usize], leg.other(), &self.ledger.names).name()
            });
        }
        Shown {
            outbound: connection.outbound.map(|leg| self.leg(&leg)),
            inbound: connection.inbound.map(|leg| self.leg(&leg)),
            matched_by: connection.matched.map(pair::Match::name),
            unpaired,
            findings,
        }
    }

    fn leg(&mut self, leg: &Leg) -> Value {
        let way = self.ledger.ways()[leg.way as usize];
        let kept = self.kept.take(leg.kept);
        let mut object = kept.as_ref().map(|(_, kept)| leg_object(&kept.record())).unwrap_or_default();
        let name = |name| Some(self.ledger.show(name).into_owned()).filter(|name| !name.is_empty());
        object.insert("pod".to_owned(), kept.and_then(|(pod, _)| name(pod)).into());
        object.insert("namespace".to_owned(), name(way.namespace).into());
        object.insert("side".to_owned(), way.side.name().into());
        object.insert("source".to_owned(), self.inputs.name(leg.origin.source).into());
        object.insert("line".to_owned(), leg.origin.line.into());
        Value::Object(object)
    }

    /// Asks the rules, unless nothing that they see has changed since they were asked.
    fn judge(&mut self) {
        let now = (self.ledger.ways().len(), self.ledger.links().len());
        if self.judged.as_ref().is_some_and(|(ways, links, _)| (*ways, *links) == now) {
            return;
        }
        let topology = Topology::learn(&self.ledger);
        let findings = rules::judge(&self.ledger, &topology);
        let mut names = vec![Vec::new(); now.0];
        for finding in &findings {
            for way in &finding.ways {
                names[*way as usize].push(finding.meta.name);
            }
        }
        self.judged = Some((now.0, now.1, Judged { topology, findings, names }));
    }

    /// For a live run: shows findings that are new, and whole connections.
    fn tick(&mut self) -> io::Result<()> {
        self.judge();
        if let Some((_, _, judged)) = &self.judged {
            for finding in &judged.findings {
                self.sink.finding(&self.inputs.told(finding))?;
            }
        }
        if self.sink.wants_connections() {
            self.pairer.close_whole(&mut self.closed);
            self.settle()?;
        }
        self.sink.flush()
    }

    /// The end: closes everything, asks the rules, shows the report and gives it back.
    pub fn finish(mut self, interrupted: bool) -> io::Result<Report> {
        self.pairer.finish(&mut self.closed);
        self.settle()?;
        // Counts have changed since the rules were asked, if they were.
        self.judged = None;
        self.judge();
        let Some((_, _, judged)) = &self.judged else {
            return Err(io::Error::other("the rules gave no answer"));
        };
        let report = report::report(&Gathered {
            ledger: &self.ledger,
            topology: &judged.topology,
            findings: &judged.findings,
            tally: &self.tally,
            formats: &self.settings.formats,
            inputs: &self.inputs,
            merged: self.merged,
            early: self.closed.early,
            interrupted,
            troubles: &self.troubles,
        });
        self.sink.finish(&report)?;
        Ok(report)
    }
}

/// Records of legs that wait, by number; numbers are used again.
#[derive(Default)]
struct Slab {
    places: Vec<Option<(Sym, Kept)>>,
    free: Vec<u32>,
}

impl Slab {
    fn put(&mut self, kept: (Sym, Kept)) -> u32 {
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = Some(kept);
            return place;
        }
        self.places.push(Some(kept));
        self.places.len() as u32 - 1
    }

    fn take(&mut self, number: u32) -> Option<(Sym, Kept)> {
        let kept = self.places.get_mut(number as usize)?.take();
        if kept.is_some() {
            self.free.push(number);
        }
        kept
    }
}
