//! The border: a block of bytes goes in, legs come out. Left of here everything borrows, right of here nothing.
//!
//! What a scanner makes of a line depends on that line alone, so any scanner may take any block, and any cut of the
//! input into blocks gives the same legs. What a scanner remembers from block to block are numbers: the name, way
//! or fact that it met before is not told again. It allocates per block and per new name, not per line.

mod ambient;
mod known;
mod rows;
mod tally;
mod unwrap;
mod usual;
mod way;

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use known::{Known, Mark};
use memchr::memchr;
use serde::{Deserialize, Serialize};
use unwrap::{Around, Prefix, Wrapped};
use usual::Usual;
use way::{Ends, Said};

pub use rows::{Asked, Rows};
pub use tally::Tally;

use crate::endpoint::{Endpoint, Ip, Recent};
use crate::envelope;
use crate::field::Field;
use crate::field::value::{self, Clock, Micros};
use crate::filter::Window;
use crate::format::Formats;
use crate::leg::{Fact, Leg, Protocol, Side, Way};
use crate::names::Sym;
use crate::record::{Kept, Record, Spans};
use crate::reject::Reason;
use crate::source::block::Block;
use crate::source::place::Place;
use crate::source::{Origin, SourceId};

/// How a run scans.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Keep each line's record, for outputs that show every field of a leg.
    pub keep: bool,
    /// Keep the first lines that were not read, whatever they are, with the place where the formats stopped.
    pub explain: bool,
    /// Tell ways apart by the host that HTTP requests name: for runs that have the mesh's configuration.
    pub authorities: bool,
    /// Lines of connections outside of it are passed over.
    pub window: Window,
    /// What outputs that have tables want of each line, and which lines are wanted.
    pub asked: Option<Arc<Asked>>,
}

/// A leg's line, kept for outputs that show all of it. The bytes of its record are kept apart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shelved {
    /// Whose line it is, if that is known.
    pub pod: Sym,
    /// The container.
    pub container: Sym,
    /// The machine.
    pub node: Sym,
    /// When a collector got the line.
    pub arrived: Option<Micros>,
    /// The line.
    pub record: Kept,
}

impl Shelved {
    /// The same where names have other numbers.
    #[must_use]
    pub fn renamed(self, rename: impl Fn(Sym) -> Sym) -> Shelved {
        Shelved { pod: rename(self.pod), container: rename(self.container), node: rename(self.node), ..self }
    }
}

/// What a block holds. Names, ways and facts go by the numbers of the scanner that read it; those that it had not met
/// in an earlier block are told here, so the blocks of one scanner are to be taken over in the order of their scan.
#[derive(Debug, Default)]
pub struct Scanned {
    /// The scanner's number.
    pub scanner: usize,
    /// The scanner had met too much and forgot all of it: its numbers begin anew.
    pub anew: bool,
    /// The names that are new.
    pub names: Vec<Box<[u8]>>,
    /// The ways that are new.
    pub ways: Vec<Way>,
    /// The facts that are new.
    pub facts: Vec<Fact>,
    /// The legs, in the order of their lines.
    pub legs: Vec<Leg>,
    /// Where each leg's line lies in the block: start and length, line end not included.
    pub lines: Vec<(u32, u32)>,
    /// The legs' lines, if they were to be kept.
    pub kept: Vec<Shelved>,
    /// The bytes of their records.
    pub records: Vec<u8>,
    /// The rows of a table, if they were asked for.
    pub rows: Rows,
    /// How far the block has come in log time.
    pub reached: Option<Micros>,
    /// What was counted.
    pub tally: Tally,
}

impl Scanned {
    /// Empty, with the room that it had: new memory for every block would cost a tenth of a run.
    fn cleared(mut self) -> Scanned {
        self.names.clear();
        self.ways.clear();
        self.facts.clear();
        self.legs.clear();
        self.lines.clear();
        self.kept.clear();
        self.records.clear();
        Scanned { scanner: 0, anew: false, reached: None, tally: Tally::default(), ..self }
    }
}

/// How many legs wait for the numbers of their ways.
const SIDE_BY_SIDE: usize = 64;

/// How many facts are remembered without a search. A power of two.
const RECENT: usize = 4096;

/// A line of the block, envelope included.
#[derive(Clone, Copy, Debug)]
struct Line<'t> {
    text: &'t [u8],
    origin: Origin,
    /// Where it lies in the block: start and length.
    place: (u32, u32),
}

/// Reads blocks, one after the other. Every thread has its own.
pub struct Scanner<'f> {
    formats: &'f Formats,
    options: Options,
    number: usize,
    known: Known,
    /// What this block holds.
    out: Scanned,
    /// The ways of the last legs, which have no numbers yet: so many of them.
    ways: Box<[(Way, Mark); SIDE_BY_SIDE]>,
    unnumbered: usize,
    source: SourceId,
    hasher: RandomState,
    addresses: Recent,
    /// Clusters, and servers' names, by destination.
    usual: [Usual; 2],
    /// The numbers of facts that were learned lately, proxies' addresses and services.
    recent: [Box<[u128]>; 2],
    /// Prefixes seen, by their marks.
    prefixes: HashTable<(Mark, Prefix)>,
    /// The text of the last line's, and what it says.
    last: (Vec<u8>, Prefix),
    clock: Clock,
    /// The format that fitted last.
    hint: usize,
    /// Lines by format, and by envelope, of this block.
    format_counts: Vec<u64>,
    envelopes: Vec<(&'static str, u64)>,
    /// What the sources' paths say, and that of this block's source.
    places: Arc<[Place]>,
    place: Wrapped,
    /// The sources' names.
    inputs: Arc<[String]>,
    /// Room for what is in envelopes that had to be unescaped.
    spare: Vec<Vec<u8>>,
}

impl<'f> Scanner<'f> {
    /// A scanner that has met nothing yet. `number` tells it from the others of the run.
    pub fn new(formats: &'f Formats, options: Options, number: usize) -> Scanner<'f> {
        Scanner {
            formats,
            options,
            number,
            known: Known::default(),
            out: Scanned::default(),
            ways: Box::new([(Way::NOTHING, Mark::default()); SIDE_BY_SIDE]),
            unnumbered: 0,
            source: SourceId(0),
            hasher: RandomState::default(),
            addresses: Recent::default(),
            usual: Default::default(),
            recent: std::array::from_fn(|_| vec![0; RECENT].into()),
            prefixes: HashTable::new(),
            last: (vec![b'\n'], Prefix { wrapped: None, plain: false }),
            clock: Clock::default(),
            hint: 0,
            format_counts: vec![0; formats.list().len()],
            envelopes: vec![("none", 0)],
            places: Arc::default(),
            place: Wrapped::NOTHING,
            inputs: Arc::default(),
            spare: Vec::new(),
        }
    }

    /// The same, knowing whose logs the sources are, and what they are called.
    #[must_use]
    pub fn placed(self, places: &Arc<[Place]>, inputs: &Arc<[String]>) -> Scanner<'f> {
        Scanner { places: Arc::clone(places), inputs: Arc::clone(inputs), ..self }
    }

    /// Scans a block. `spare` is a result that is no longer needed, for its room.
    pub fn scan(&mut self, block: &Block, spare: Scanned) -> Scanned {
        self.begin(block, spare);
        let coloured = memchr(0x1b, &block.bytes).is_some();
        let (mut plain, mut spans) = (Vec::new(), Spans::default());
        let around = Around::new(self.place);
        let (mut at, mut number) = (0, block.origin.line);
        while at < block.bytes.len() {
            let rest = &block.bytes[at..];
            let end = memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            let origin = Origin { source: block.origin.source, line: number };
            let place = (at as u32, line.len() as u32);
            at += line.len() + 1;
            number += 1;
            self.out.tally.lines += 1;
            if end.is_none() && block.torn {
                self.out.tally.rejects.add(Reason::TooLong, origin, line, 0, None);
                continue;
            }
            let mut text = line.strip_suffix(b"\r").unwrap_or(line);
            if coloured && memchr(0x1b, text).is_some() {
                envelope::strip_colour(text, &mut plain);
                text = &plain;
            }
            let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
            self.text(Line { text, origin, place }, text, around, &mut spans);
        }
        self.finish(block.bytes.len() as u64)
    }

    fn begin(&mut self, block: &Block, spare: Scanned) {
        self.out = Scanned { scanner: self.number, ..spare.cleared() };
        if self.known.is_too_much() {
            let anew = Scanner::new(self.formats, self.options.clone(), self.number).placed(&self.places, &self.inputs);
            *self = Scanner { out: std::mem::take(&mut self.out), ..anew };
            self.out.anew = true;
        }
        if let Some(asked) = &self.options.asked {
            self.out.rows.begin(asked);
        }
        self.source = block.origin.source;
        self.place = self.place();
        // Few lines are shorter than this, so the tables are seldom moved.
        self.out.legs.reserve(block.bytes.len() / 200);
        self.out.lines.reserve(block.bytes.len() / 200);
    }

    fn finish(&mut self, bytes: u64) -> Scanned {
        self.number();
        let mut out = std::mem::take(&mut self.out);
        self.known.finish(&mut out);
        out.reached = middle_end(&out.legs);
        out.tally.bytes = bytes;
        for (number, count) in self.format_counts.iter_mut().enumerate() {
            if *count > 0 {
                out.tally.formats.insert(number, std::mem::take(count));
            }
        }
        for (envelope, count) in &mut self.envelopes {
            if *count > 0 {
                *out.tally.envelopes.entry((*envelope).into()).or_default() += std::mem::take(count);
            }
        }
        out
    }

    fn record(&mut self, record: Record<'_>, wrapped: Wrapped, line: Line<'_>) {
        let number = |field: Field| record.integer(field).unwrap_or(0);
        let duration = u32::try_from(number(Field::Duration)).unwrap_or(u32::MAX);
        let layouts = self.formats.layouts(self.hint);
        let laid_out = |text: &[u8]| layouts.iter().find_map(|layout| layout.read(text));
        let start = match (record.raw(Field::StartTime), record.raw(Field::EmitTime)) {
            (Some(text), _) => laid_out(text).or_else(|| self.clock.time(text)),
            // Written at the end.
            (None, Some(text)) => {
                laid_out(text).or_else(|| value::time(text)).map(|end| end.plus_millis(-i64::from(duration)))
            }
            (None, None) => Some(Micros::NONE),
        };
        let Some(start) = start else {
            self.out.tally.rejects.add(Reason::BadTime, line.origin, record.line, 0, Some(Field::StartTime as u8));
            return;
        };
        self.envelopes[wrapped.envelope].1 += 1;
        self.format_counts[self.hint] += 1;
        self.out.tally.doubtful += u64::from(record.spans.doubtful);
        self.out.tally.tolerated += u64::from(record.spans.tolerated);

        // The connection goes on: its own line is still to come.
        if record.raw(Field::Event).is_some_and(|event| event.ends_with(b"opened")) {
            return;
        }
        if !self.options.window.takes(start, start.plus_millis(duration.into())) {
            self.out.tally.outside += 1;
            return;
        }
        let mut ends = Ends::read(&record, &mut self.addresses, &mut self.known.names);
        let told = ambient::read(&record, &wrapped, &mut ends, &mut self.known.names);
        let wrapped = told.as_ref().map_or(wrapped, |told| told.wrapped);
        let bytes = [number(Field::BytesReceived), number(Field::BytesSent)];
        let said = Said { wrapped: &wrapped, source: self.source, ends: &ends, bytes, told: told.as_ref() };
        let (way, mark) = &mut self.ways[self.unnumbered];
        way::fill(way, &record, &said, &mut self.usual, &mut self.known.names);
        if self.options.authorities {
            way::add_authority(way, &record, &mut self.known.names);
        }
        *mark = self.known.mark(way);
        let Way { side, protocol, direct, flags, status, .. } = *way;
        self.learn(&wrapped, &ends, told.is_some());
        self.unnumbered += 1;
        let wire = if side == Side::Inbound { ends.peer } else { ends.local };
        let leg = Leg {
            start,
            duration,
            way: 0,
            wire: if wire.port() == 0 || told.is_some() { Endpoint::NONE } else { wire },
            server: if side == Side::Inbound { ends.dest } else { ends.host },
            peer: ends.peer,
            request: told.map_or_else(|| way::request(&record), |told| told.key),
            bytes: bytes[0].saturating_add(bytes[1]),
            origin: line.origin,
            kept: if self.options.keep { self.out.kept.len() as u32 } else { Leg::NOT_KEPT },
            side,
            protocol,
            refused: side == Side::Inbound && protocol == Protocol::Tcp && flags.any_of(&["NR"]),
            direct,
            failed: !flags.is_empty() || status >= 400,
            answered: bytes[1] > 0,
            service_time: match protocol {
                Protocol::Tcp => None,
                Protocol::Http => record.integer(Field::UpstreamServiceTime),
            }
            .and_then(|time| u32::try_from(time).ok())
            .unwrap_or(Leg::UNTOLD),
        };
        if self.options.asked.is_some() {
            self.ask(record, &wrapped, &leg, line);
        }
        if self.options.keep {
            let Wrapped { pod, container, node, arrived, .. } = wrapped;
            let record = record.keep(self.hint as u32, &mut self.out.records);
            self.out.kept.push(Shelved { pod, container, node, arrived, record });
        }
        self.out.legs.push(leg);
        self.out.lines.push(line.place);
        if self.unnumbered == SIDE_BY_SIDE {
            self.number();
        }
    }

    /// Gives the last legs the numbers of their ways. The table of ways is large: what is looked up for many legs at once comes
    /// side by side.
    fn number(&mut self) {
        let first = self.out.legs.len() - std::mem::take(&mut self.unnumbered);
        for (leg, (way, mark)) in self.out.legs[first..].iter_mut().zip(&*self.ways) {
            leg.way = self.known.way(way, *mark);
        }
    }

    /// Takes down what the line of the last way teaches about the mesh.
    fn learn(&mut self, wrapped: &Wrapped, ends: &Ends, ambient: bool) {
        let (way, names) = (&self.ways[self.unnumbered].0, &self.known.names);
        let usable = |ip: Ip| !ip.is_none() && !ip.is_loopback(names);
        let own = |ip: Ip, sure: bool| {
            usable(ip).then_some(Fact::Own { namespace: wrapped.namespace, pod: wrapped.pod, ip, sure })
        };
        let own = match way.side {
            Side::Inbound => own(ends.dest.ip(), true),
            Side::Outbound | Side::Gateway if !ends.local.is_none() => own(ends.local.ip(), true),
            // A sidecar's client is its own pod. A gateway's is somebody else: then the destination is the pod.
            Side::Outbound if ends.peer.ip() != ends.dest.ip() => own(ends.peer.ip(), false),
            _ => None,
        };
        let connected = (ambient || !ends.local.is_none()) && !way.failed_to_connect();
        let service = match way.side {
            Side::Inbound if !(way.sni.is_none() && way.cluster.is_none()) => {
                Some(Fact::Serves { dest: ends.dest, cluster: way.cluster, sni: way.sni })
            }
            Side::Outbound | Side::Gateway if connected && !way.cluster.is_none() => {
                Some(Fact::Answered { cluster: way.cluster, host: ends.host })
            }
            _ => None,
        };
        for (place, fact) in [(0, own), (1, service)] {
            let Some(fact) = fact else { continue };
            // Lines that follow each other teach the same things: most facts were just learned.
            let number = fact.number();
            let recent = &mut self.recent[place][spread(number) % RECENT];
            if *recent == number {
                continue;
            }
            *recent = number;
            self.known.fact(fact);
        }
    }
}

/// A place for a fact, which depends on the fact alone; others may have the same.
#[inline]
fn spread(number: u128) -> usize {
    let word = (number >> 64) as u64 ^ (number as u64).rotate_left(20);
    // Fibonacci's multiplier spreads neighbouring addresses.
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

/// The median end of some of the legs: lines are written at the end of their connections. One line with a wrong
/// clock must not move log time, which the latest end would let it do.
fn middle_end(legs: &[Leg]) -> Option<Micros> {
    const SOME: usize = 63;
    let mut ends: Vec<Micros> = legs.iter().step_by(legs.len() / SOME + 1).map(Leg::end).collect();
    ends.sort_unstable();
    ends.get(ends.len() / 2).copied()
}
