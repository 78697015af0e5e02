//! `Pass`: the one engine. Blocks that were scanned go in, findings and connections come out.
//!
//! Two small pumps feed it: `batch` for files, `live` for a pipe. Neither knows what a line means, so both
//! give the same result for the same bytes.

pub mod batch;
pub mod live;

use std::io;
use std::sync::Arc;

use serde_json::Value;

use crate::expect::Expectations;
use crate::field::value::Micros;
use crate::finding::Finding;
use crate::format::Formats;
use crate::ledger::Ledger;
use crate::leg::Leg;
use crate::mesh::Mesh;
use crate::names::Sym;
use crate::pair::{self, Closed, Connection, Pairer};
use crate::record::Kept;
use crate::redact::Redactor;
use crate::repeat::Repeats;
use crate::replay::Replayed;
use crate::report::{self, Gathered, Inputs, Report, Shown};
use crate::rules;
use crate::scan::{self, Scanned, Scanner, Shelved, Tally};
use crate::sinks::{Sink, leg_object};
use crate::source::Source;
use crate::source::block::Block;
use crate::source::expand::Expanded;
use crate::source::place::Place;
use crate::topology::Topology;
use crate::whatif::Planned;

/// What a run is made of.
#[derive(Debug)]
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
    /// The mesh's configuration, if it was given.
    pub mesh: Option<Mesh>,
    /// The configuration that may come: what would change.
    pub mesh_after: Option<Planned>,
}

/// One run over one input, however many sources it has.
pub struct Pass<'s> {
    settings: &'s Settings,
    inputs: Inputs,
    places: Arc<[Place]>,
    sink: Box<dyn Sink + 's>,
    pairer: Pairer,
    tally: Tally,
    repeats: Repeats,
    /// Lines that were there before.
    repeated: u64,
    closing: Closing,
    /// Findings as of so many ways and links: both only grow.
    judged: Option<(usize, usize, Judged)>,
    /// The mesh's configuration, and how the ways compare with it.
    replayed: Option<Replayed<'s>>,
    /// Stands between what was found and the sink, if names are not to be shown.
    redactor: Option<Redactor>,
    /// What went wrong with inputs.
    pub troubles: Vec<String>,
}

/// Counts what the pairer closes; keeps it only if it is to be shown.
#[derive(Default)]
struct Closing {
    ledger: Ledger,
    /// Whether connections are to be shown.
    keep: bool,
    connections: Vec<Connection>,
    kept: Slab,
    merged: u64,
}

impl Closed for Closing {
    fn connection(&mut self, connection: Connection) {
        self.ledger.count(&connection);
        if self.keep {
            self.connections.push(connection);
        }
    }

    fn merged(&mut self, leg: Leg) {
        self.merged += 1;
        self.kept.take(leg.kept);
    }
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
        let keep = sink.wants_connections();
        let mut ledger = Ledger::default();
        // What nobody expects may be traffic on which nothing went wrong.
        ledger.least = u8::from(settings.expect.is_some());
        Pass {
            settings,
            inputs: Inputs::default(),
            places: Arc::default(),
            sink,
            pairer: Pairer::new(settings.pairing),
            tally: Tally::default(),
            repeats: Repeats::default(),
            repeated: 0,
            closing: Closing { ledger, keep, ..Closing::default() },
            judged: None,
            replayed: settings.mesh.as_ref().map(|mesh| Replayed::new(mesh, settings.mesh_after.as_ref())),
            redactor: settings.redact.then(Redactor::default),
            troubles: Vec::new(),
        }
    }

    /// Takes over what is to be read: its names and places, and what went wrong with it already.
    fn take(&mut self, expanded: Expanded) -> Vec<Source> {
        self.troubles.extend(expanded.troubles);
        self.places = expanded.sources.iter().map(|source| source.place.clone()).collect();
        let names = expanded.sources.iter().map(|source| source.name.clone()).collect();
        self.inputs = Inputs { names, skipped: expanded.skipped };
        expanded.sources
    }

    /// A scanner for blocks of this pass; `number` tells it from the others.
    pub fn scanner(&self, number: usize) -> Scanner<'s> {
        let options = scan::Options { keep: self.sink.wants_connections(), explain: self.settings.explain };
        Scanner::new(&self.settings.formats, options, number).placed(&self.places)
    }

    /// Takes over what a block held; `scanned` may be used again.
    pub fn absorb(&mut self, scanned: &mut Scanned, block: &Block) -> io::Result<()> {
        let closing = &mut self.closing;
        closing.ledger.meet(scanned);
        let mut kept = std::mem::take(&mut scanned.kept).into_iter();
        for (leg, (at, len)) in scanned.legs.iter().zip(&scanned.lines) {
            let mut leg = closing.ledger.leg(leg, scanned.scanner);
            let record = kept.next();
            if self.repeats.is_again(&leg) {
                self.repeated += 1;
                continue;
            }
            closing.ledger.line(&leg, || block.bytes.get(*at as usize..(at + len) as usize).unwrap_or_default());
            if let Some(line) = record {
                let named = |name| closing.ledger.renamed(name, scanned.scanner);
                let (pod, container, node) = (named(line.pod), named(line.container), named(line.node));
                leg.kept = closing.kept.put(Shelved { pod, container, node, ..line });
            }
            self.pairer.push(leg, closing);
        }
        self.tally.merge(std::mem::take(&mut scanned.tally));
        self.pairer.sweep(closing);
        // Connections that wait to be shown hold their lines: no more of them than legs may wait.
        if closing.connections.len() >= self.settings.pairing.hold { self.show() } else { Ok(()) }
    }

    /// Says that every open source has come so far in log time.
    pub fn advance(&mut self, now: Micros) {
        self.pairer.advance(now);
    }

    /// Shows the connections that are closed.
    fn show(&mut self) -> io::Result<()> {
        let mut closed = std::mem::take(&mut self.closing.connections);
        if closed.is_empty() {
            return Ok(());
        }
        self.judge();
        closed.sort_unstable_by_key(|connection| {
            connection.leading().map(|leg| (leg.end(), leg.order(), connection.inbound.map(|leg| leg.origin)))
        });
        for connection in closed {
            let shown = self.shown(&connection);
            let shown = match &mut self.redactor {
                Some(redactor) => redactor.shown(shown),
                None => shown,
            };
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
                judged
                    .topology
                    .why_alone(&self.closing.ledger.ways()[leg.way as usize], leg.other(), &self.closing.ledger.names)
                    .name()
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
        let way = self.closing.ledger.ways()[leg.way as usize];
        let kept = self.closing.kept.take(leg.kept);
        let extras = |kept: &Kept| {
            let format = self.settings.formats.list().get(kept.format);
            format.map_or(&[][..], |format| &format.extras)
        };
        let mut object =
            kept.as_ref().map(|kept| leg_object(&kept.record.record(), extras(&kept.record))).unwrap_or_default();
        let name = |name| Some(self.closing.ledger.show(name).into_owned()).filter(|name| !name.is_empty());
        let of = |which: fn(&Shelved) -> Sym| kept.as_ref().and_then(|kept| name(which(kept)));
        object.insert("pod".to_owned(), of(|kept| kept.pod).into());
        object.insert("container".to_owned(), of(|kept| kept.container).into());
        object.insert("node".to_owned(), of(|kept| kept.node).into());
        let arrived = kept.as_ref().and_then(|kept| kept.arrived).map(|time| time.to_string());
        object.insert("arrived".to_owned(), arrived.into());
        object.insert("namespace".to_owned(), name(way.namespace).into());
        object.insert("side".to_owned(), way.side.name().into());
        object.insert("source".to_owned(), self.inputs.name(leg.origin.source).into());
        object.insert("line".to_owned(), leg.origin.line.into());
        Value::Object(object)
    }

    /// Asks the rules, unless nothing that they see has changed since they were asked.
    fn judge(&mut self) {
        let now = (self.closing.ledger.ways().len(), self.closing.ledger.links().len());
        if self.judged.as_ref().is_some_and(|(ways, links, _)| (*ways, *links) == now) {
            return;
        }
        let topology = Topology::learn(&self.closing.ledger);
        if let Some(replayed) = &mut self.replayed {
            replayed.compare(&self.closing.ledger, &topology);
        }
        let (expect, replayed) = (self.settings.expect.as_ref(), self.replayed.as_ref());
        let findings = rules::judge(&self.closing.ledger, &topology, &self.tally.events, expect, replayed);
        let mut names = vec![Vec::new(); now.0];
        for finding in &findings {
            for way in &finding.ways {
                names[*way as usize].push(finding.meta.name);
            }
        }
        self.judged = Some((now.0, now.1, Judged { topology, findings, names }));
        if let Some(redactor) = &mut self.redactor {
            redactor.learn(&self.closing.ledger, &self.tally.events);
        }
    }

    /// For a live run: shows findings that are new, and whole connections.
    fn tick(&mut self) -> io::Result<()> {
        // Counts tell things too, such as an endpoint that died; the pump sees to it that this costs little.
        self.judged = None;
        self.judge();
        if let Some((_, _, judged)) = &self.judged {
            for finding in &judged.findings {
                let told = self.inputs.told(finding);
                let told = match &mut self.redactor {
                    Some(redactor) => redactor.told(told),
                    None => told,
                };
                self.sink.finding(&told)?;
            }
        }
        if self.sink.wants_connections() {
            self.pairer.close_whole(&mut self.closing);
            self.show()?;
        }
        self.sink.flush()
    }

    /// The end: closes everything, asks the rules, shows the report and gives it back.
    pub fn finish(mut self, interrupted: bool) -> io::Result<Report> {
        self.pairer.finish(&mut self.closing);
        self.judged = None;
        self.show()?;
        // Counts have changed since the rules were asked, if they were.
        self.judged = None;
        self.judge();
        let Some((_, _, judged)) = &self.judged else {
            return Err(io::Error::other("the rules gave no answer"));
        };
        let report = report::report(&Gathered {
            ledger: &self.closing.ledger,
            topology: &judged.topology,
            findings: &judged.findings,
            tally: &self.tally,
            formats: &self.settings.formats,
            inputs: &self.inputs,
            merged: self.closing.merged,
            repeated: self.repeated,
            early: self.pairer.early,
            interrupted,
            replayed: self.replayed.as_ref(),
            expect: self.settings.expect.as_ref(),
            learn: self.settings.learn,
            troubles: &self.troubles,
        });
        let report = match &mut self.redactor {
            Some(redactor) => redactor.report(report),
            None => report,
        };
        self.sink.finish(&report)?;
        Ok(report)
    }
}

/// Records of legs that wait, by number; numbers are used again.
#[derive(Default)]
struct Slab {
    places: Vec<Option<Shelved>>,
    free: Vec<u32>,
}

impl Slab {
    fn put(&mut self, kept: Shelved) -> u32 {
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = Some(kept);
            return place;
        }
        self.places.push(Some(kept));
        self.places.len() as u32 - 1
    }

    fn take(&mut self, number: u32) -> Option<Shelved> {
        let kept = self.places.get_mut(number as usize)?.take();
        if kept.is_some() {
            self.free.push(number);
        }
        kept
    }
}
