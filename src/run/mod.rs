//! `Pass`: the one engine. Blocks that were scanned go in, findings and connections come out.
//!
//! Two small pumps feed it: `batch` for files, `live` for a pipe. Neither knows what a line means, so both
//! give the same result for the same bytes.

pub mod batch;
mod cells;
mod held;
pub mod live;
mod saved;
mod show;
mod shut;

use std::io;
use std::sync::Arc;

use held::{Closing, SIDE_BY_SIDE, Slab};

use crate::claims::AlreadyTold;
use crate::expect::Expectations;
use crate::field::value::Micros;
use crate::filter::{Filter, Window};
use crate::finding::Finding;
use crate::format::Formats;
use crate::ledger::Ledger;
use crate::mesh::Mesh;
use crate::pair::{self, Pairer};
use crate::redact::Redactor;
use crate::repeat::Repeats;
use crate::replay::Replayed;
use crate::report::{self, Gathered, Inputs, Report, Tables};
use crate::rules;
use crate::scan::{self, Asked, Scanned, Scanner, Tally};
use crate::sinks::Sink;
use crate::source::Source;
use crate::source::block::Block;
use crate::source::expand::Expanded;
use crate::source::place::Place;
use crate::topology::Topology;
use crate::whatif::Planned;

/// How many legs that are late stay in memory where connections become rows.
const AT_HAND: usize = 8 << 10;

/// What a run is made of.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own, and no state of the others")]
pub struct Settings {
    /// The formats that lines are tried with.
    pub formats: Formats,
    /// How long legs wait.
    pub pairing: pair::Options,
    /// Threads that scan; 0 is one a core.
    pub threads: usize,
    /// Keep the first lines that are no access lines, to show why.
    pub explain: bool,
    /// Show stand-ins in the place of names.
    pub redact: bool,
    /// Who may call what, if a file says so.
    pub expect: Option<Expectations>,
    /// Learn who calls what, for such a file.
    pub learn: bool,
    /// What the run learns is to be saved, or was: see [`Pass::state`].
    pub save: bool,
    /// The mesh's configuration, if it was given.
    pub mesh: Option<Mesh>,
    /// The configuration that may come: what would change.
    pub mesh_after: Option<Planned>,
    /// The log time that is asked for.
    pub window: Window,
    /// Which connections are asked for: those of which it takes a line.
    pub filter: Option<Filter>,
}

impl Settings {
    /// Those of a run that is asked for nothing in particular.
    pub fn plain(formats: Formats, threads: usize) -> Settings {
        Settings {
            formats,
            pairing: pair::Options::default(),
            threads,
            explain: false,
            redact: false,
            expect: None,
            learn: false,
            save: false,
            mesh: None,
            mesh_after: None,
            window: Window::default(),
            filter: None,
        }
    }
}

/// One run over one input, however many sources it has.
pub struct Pass<'s> {
    settings: &'s Settings,
    inputs: Inputs,
    /// The names of formats, by number.
    formats: Vec<String>,
    places: Arc<[Place]>,
    names: Arc<[String]>,
    sink: Box<dyn Sink + 's>,
    pairer: Pairer,
    tally: Tally,
    repeats: Repeats,
    /// Lines that were there before.
    repeated: u64,
    /// How much was counted in the states that were taken over.
    joined: u128,
    /// An input was not read to its end in another run, whose state was taken over.
    interrupted: bool,
    closing: Closing,
    /// Whether legs are to be paired.
    pairs: bool,
    /// Room for connections that become rows.
    room: show::Room,
    /// Findings that were shown, where nothing else of a run is shown before its end.
    told: AlreadyTold,
    /// Findings as of so many ways and links: both only grow.
    judged: Option<(usize, usize, Judged)>,
    /// The mesh's configuration, and how the ways compare with it.
    replayed: Option<Replayed<'s>>,
    /// Stands between what was found and the sink, if names are not to be shown.
    redactor: Option<Redactor>,
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
    /// An empty pass.
    pub fn new(settings: &'s Settings, sink: Box<dyn Sink + 's>) -> Pass<'s> {
        let pairs = sink.wants_pairs();
        // Rows are as many as the input has, so what waits to be one goes to temporary files.
        let rows = sink.wants_rows().is_some();
        let show = sink.wants_connections() || rows;
        let at_hand = if rows { AT_HAND } else { settings.pairing.at_hand };
        let mut ledger = Ledger::default();
        // What nobody expects may be traffic on which nothing went wrong.
        ledger.least = u8::from(settings.expect.is_some());
        ledger.save = settings.save;
        Pass {
            settings,
            inputs: Inputs::default(),
            formats: settings.formats.list().iter().map(|format| format.name.clone()).collect(),
            places: Arc::default(),
            names: Arc::default(),
            sink,
            pairer: Pairer::new(pair::Options { at_hand, ..settings.pairing }),
            pairs,
            tally: Tally::default(),
            repeats: Repeats::default(),
            repeated: 0,
            joined: 0,
            interrupted: false,
            closing: Closing {
                ledger,
                show,
                filters: settings.filter.is_some(),
                held: Slab::new(rows),
                ..Closing::default()
            },
            room: show::Room::default(),
            told: AlreadyTold::new(),
            judged: None,
            replayed: settings.mesh.as_ref().map(|mesh| Replayed::new(mesh, settings.mesh_after.as_ref())),
            redactor: settings.redact.then(Redactor::default),
            troubles: Vec::new(),
        }
    }

    /// Takes over what is to be read: its names and places, and what went wrong with it already.
    pub fn take(&mut self, expanded: Expanded) -> Vec<Source> {
        self.troubles.extend(expanded.troubles);
        self.places = expanded.sources.iter().map(|source| source.place.clone()).collect();
        let names: Vec<String> = expanded.sources.iter().map(|source| source.name.clone()).collect();
        self.names = names.clone().into();
        let skipped = expanded.skipped.into_iter().map(|(reason, count)| (reason.into(), count)).collect();
        self.inputs = Inputs { names, skipped };
        expanded.sources
    }

    /// A scanner for blocks of this pass; `number` tells it from the others.
    pub fn scanner(&self, number: usize) -> Scanner<'s> {
        let asked = Asked { columns: self.sink.wants_legs(), filter: self.settings.filter.clone() };
        let options = scan::Options {
            keep: self.closing.show,
            explain: self.settings.explain,
            // Whoever merges states may have it.
            authorities: self.settings.mesh.is_some() || self.settings.save,
            window: self.settings.window,
            asked: (asked.columns.is_some() || asked.filter.is_some()).then(|| Arc::new(asked)),
        };
        Scanner::new(&self.settings.formats, options, number).placed(&self.places, &self.names)
    }

    /// Takes over what a block held; `scanned` may be used again. With it every open source has come to `now` in log time. Each step
    /// is done for many legs before the next one: where it has to fetch something from far away, it does so for several of them
    /// at a time.
    pub fn absorb(&mut self, scanned: &mut Scanned, block: &Block, now: Option<Micros>) -> io::Result<()> {
        let closing = &mut self.closing;
        closing.ledger.meet(scanned);
        let Scanned { legs, lines, kept, records, rows, scanner, .. } = scanned;
        let mut again = Vec::new();
        let text = |number: u32| {
            let (at, len) = lines[number as usize];
            block.bytes.get(at as usize..(at + len) as usize).unwrap_or_default()
        };
        for (some, first) in legs.chunks_mut(SIDE_BY_SIDE).zip((0..).step_by(SIDE_BY_SIDE)) {
            for leg in &mut *some {
                closing.ledger.take_over(leg, *scanner);
            }
            self.repeats.fetch(some);
            let before = again.len();
            again.extend(
                some.iter().zip(first..).filter(|(leg, _)| self.repeats.is_again(leg)).map(|(_, number)| number),
            );
            if !self.pairs {
                continue;
            }
            let repeated = &again[before..];
            let is_new = |number: &u32| repeated.is_empty() || repeated.binary_search(number).is_err();
            if !closing.filters {
                for (leg, number) in some.iter().zip(first..).filter(|(_, number)| is_new(number)) {
                    closing.ledger.line(leg, || text(number));
                }
            }
            for (leg, number) in some.iter_mut().zip(first..).filter(|(_, number)| is_new(number)) {
                let kept = kept.get(leg.kept as usize);
                if closing.filters || kept.is_some() {
                    let wanted = rows.wanted.get(number as usize).copied().unwrap_or(true);
                    let kept = kept.map(|line| line.renamed(|name| closing.ledger.renamed(name, *scanner)));
                    let text = if closing.filters { text(number) } else { &[] };
                    leg.kept = closing.held.put(kept, records, text, wanted);
                }
                self.pairer.push(leg, closing);
            }
        }
        self.repeated += again.len() as u64;
        if scanned.rows.batch.rows() > 0 {
            let legs = &scanned.rows.legs;
            self.sink.legs(&scanned.rows.batch, &|row| again.binary_search(&legs[row]).is_err())?;
        }
        self.tally.merge(std::mem::take(&mut scanned.tally));
        self.pairer.advance(now);
        self.pairer.sweep(closing);
        closing.count();
        self.check()?;
        // Connections that wait to be shown hold their lines: no more of them than legs may wait.
        // Rows are told little beyond themselves, so they wait less.
        let most =
            if self.sink.wants_rows().is_some() { self.settings.pairing.hold / 4 } else { self.settings.pairing.hold };
        if self.closing.connections.len() >= most { self.show() } else { Ok(()) }
    }

    /// Asks the rules, unless nothing that they see has changed since they were asked.
    fn judge(&mut self) {
        let now = (self.closing.ledger.ways().len(), self.closing.ledger.links_len());
        if self.judged.as_ref().is_some_and(|(ways, links, _)| (*ways, *links) == now) {
            return;
        }
        let topology = self.learn();
        let findings = self.ask(&topology, &AlreadyTold::new());
        self.keep(topology, findings);
    }

    /// What the ledger tells of the mesh.
    fn learn(&mut self) -> Topology {
        let topology = Topology::learn(&self.closing.ledger);
        if let Some(replayed) = &mut self.replayed {
            replayed.compare(&self.closing.ledger, &topology);
        }
        topology
    }

    /// Asks the rules for all that was not told yet.
    fn ask(&self, topology: &Topology, told: &AlreadyTold) -> Vec<Finding> {
        let (expect, replayed) = (self.settings.expect.as_ref(), self.replayed.as_ref());
        let mut findings = rules::judge(&self.closing.ledger, topology, &self.tally.events, expect, replayed, told);
        // Of ways that nobody wanted, lines were met but none was counted.
        findings.retain(|finding| !self.closing.filters || finding.count > 0);
        findings
    }

    /// Keeps what the rules found.
    fn keep(&mut self, topology: Topology, findings: Vec<Finding>) {
        let ledger = &self.closing.ledger;
        let mut names = vec![Vec::new(); ledger.ways().len()];
        for finding in &findings {
            for way in &finding.ways {
                names[*way as usize].push(finding.meta.name);
            }
        }
        self.judged = Some((ledger.ways().len(), ledger.links_len(), Judged { topology, findings, names }));
        if let Some(redactor) = &mut self.redactor {
            redactor.learn(ledger, &self.tally.events);
        }
    }

    /// Asks the rules and makes the tables of the report: side by side, unless there is one thread only.
    fn judge_and_count(&mut self) -> io::Result<Tables> {
        let topology = self.learn();
        let ledger = &self.closing.ledger;
        let (findings, tables) = if self.settings.threads == 1 {
            (self.ask(&topology, &AlreadyTold::new()), Tables::of(ledger, &topology))
        } else {
            std::thread::scope(|scope| {
                let tables = std::thread::Builder::new().spawn_scoped(scope, || Tables::of(ledger, &topology))?;
                let findings = self.ask(&topology, &AlreadyTold::new());
                let tables = tables.join().map_err(|_| io::Error::other("the tables could not be made"))?;
                io::Result::Ok((findings, tables))
            })?
        };
        self.keep(topology, findings);
        Ok(tables)
    }

    /// The end: closes everything, asks the rules, shows the report and gives it back.
    pub fn finish(mut self, interrupted: bool) -> io::Result<Report> {
        self.pairer.finish(&mut self.closing);
        self.closing.count();
        self.judged = None;
        self.show()?;
        self.check()?;
        let (early, trouble) = (self.pairer.early, self.pairer.trouble());
        // What waited needs no room any more, and rules and report do.
        self.pairer = Pairer::new(self.settings.pairing);
        if let Some(error) = trouble.or(self.closing.held.unwritten.take()) {
            let folder = std::env::temp_dir();
            let trouble =
                format!("lines wait in memory, for want of a temporary file in {}: {error}", folder.display());
            self.troubles.push(trouble);
        }
        // Counts have changed since the rules were asked, if they were.
        let tables = self.judge_and_count()?;
        self.check()?;
        let Some((_, _, judged)) = &self.judged else {
            return Err(io::Error::other("the rules gave no answer"));
        };
        let gathered = Gathered {
            ledger: &self.closing.ledger,
            topology: &judged.topology,
            findings: &judged.findings,
            tally: &self.tally,
            formats: &self.formats,
            inputs: &self.inputs,
            merged: self.closing.merged,
            repeated: self.repeated,
            early,
            left_out: self.closing.left_out,
            interrupted: interrupted || self.interrupted,
            replayed: self.replayed.as_ref(),
            expect: self.settings.expect.as_ref(),
            learn: self.settings.learn,
            troubles: &self.troubles,
        };
        let report = report::report(&gathered, tables);
        let report = match &mut self.redactor {
            Some(redactor) => redactor.report(report),
            None => report,
        };
        self.sink.finish(&report)?;
        Ok(report)
    }
}
