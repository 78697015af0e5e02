//! What is counted of one way, and the lines that show it.

use std::num::NonZeroI64;

use serde::{Deserialize, Serialize};

use crate::endpoint::Ip;
use crate::field::value::Micros;
use crate::leg::{Leg, Protocol, Way};
use crate::measure::{Span, Spread, Timeline};
use crate::names::Sym;
use crate::source::Origin;

/// How much of a line is kept.
const LONGEST: usize = 4096;

/// A line that shows something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// Its start time; the earliest are kept.
    pub start: Micros,
    /// Where it stands.
    pub origin: Origin,
    /// The line as it was read, envelope included, clipped.
    pub text: Box<[u8]>,
}

/// What was counted of one way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Lines.
    pub legs: u64,
    /// Connections that this way leads: the client's leg, or a server's leg that is alone.
    pub connections: u64,
    /// Of those, the ones with the other leg.
    pub paired: u64,
    /// Bytes of those connections, both directions.
    pub bytes: u64,
    /// TCP connections on which the client sent something and nothing came back.
    pub unanswered: u64,
    /// Milliseconds that the client's legs of pairs took.
    pub out_millis: u64,
    /// Milliseconds that the server's legs of the same pairs took.
    pub in_millis: u64,
    /// TCP pairs whose legs carried the same bytes: no metadata was exchanged.
    pub equal_bytes: u64,
    /// Start of the first one.
    pub first: Micros,
    /// Start of the last one.
    pub last: Micros,
}

/// What is known of one way. Every line and every connection comes by here, and a mesh has more ways than fit a core's cache: this
/// is two lines of it. Most ways are healthy ones to a service's address, of which counts tell all; the rest is kept apart.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
pub struct Entry {
    /// Its counts.
    pub counts: Counts,
    /// The start of the latest line of evidence once there are enough: what comes behind it need not be looked at.
    enough: Option<NonZeroI64>,
    rest: Option<Box<Rest>>,
    /// Of the way, what every connection asks for.
    pub(super) dest: Ip,
    pub(super) cluster: Sym,
    pub(super) fails: bool,
    /// How many lines are kept.
    most: u8,
}

/// What is kept of ways on which something is worth a second look.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rest {
    /// When TCP connections began, on the client's side, if they failed or led straight to what was dialled.
    pub timeline: Timeline,
    /// How long connections took that failed.
    pub durations: Spread,
    /// How long TCP connections took on which nothing came back, although nothing failed.
    pub silent: Spread,
    /// From the client's proxy having a TCP connection to the server's having it, where that took [`Rest::SLOW`].
    pub slow: Spread,
    /// How long the client's leg outlived the server's, where that was [`Rest::SLOW`].
    pub outlived: Spread,
    /// Which clients' addresses used it, where the timeline is not kept.
    few: Few,
}

static NOTHING: std::sync::LazyLock<Rest> = std::sync::LazyLock::new(Rest::default);

impl Rest {
    /// Milliseconds that are worth a note: a lost SYN is sent again after a second.
    pub const SLOW: u32 = 900;
}

/// What an endpoint answered for a cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answers {
    /// When its connections began.
    pub times: Timeline,
    /// Their bytes, both directions.
    pub bytes: u64,
}

impl Answers {
    pub(super) fn add(&mut self, leading: &Leg) {
        self.times.add(leading.start);
        self.bytes = self.bytes.saturating_add(leading.bytes);
    }

    pub(super) fn join(&mut self, other: &Answers) {
        self.times.join(&other.times);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// A few addresses and when they were met; none any more once there are too many.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Few {
    list: Vec<(Ip, Span)>,
    many: bool,
}

impl Few {
    /// A workload with more pods than this is told as a whole.
    const MOST: usize = 8;

    fn add(&mut self, ip: Ip, at: Micros) {
        self.put(ip, Span { first: at, last: at, count: 1 });
    }

    fn put(&mut self, ip: Ip, span: Span) {
        if self.many {
            return;
        }
        if let Some((_, known)) = self.list.iter_mut().find(|(known, _)| *known == ip) {
            known.join(&span);
        } else if self.list.len() < Few::MOST {
            // Most ways have one, and there are a hundred thousand ways.
            self.list.reserve_exact(usize::from(self.list.is_empty()));
            self.list.push((ip, span));
        } else {
            *self = Few { list: Vec::new(), many: true };
        }
    }

    fn join(&mut self, other: &Few) {
        if other.many {
            *self = Few { list: Vec::new(), many: true };
        }
        other.list.iter().for_each(|(ip, span)| self.put(*ip, *span));
    }
}

impl Counts {
    fn add(&mut self, start: Micros) {
        self.first = if self.legs == 0 { start } else { self.first.min(start) };
        self.last = if self.legs == 0 { start } else { self.last.max(start) };
        self.legs += 1;
    }

    fn join(&mut self, other: &Counts) {
        if other.legs > 0 {
            self.first = if self.legs == 0 { other.first } else { self.first.min(other.first) };
            self.last = if self.legs == 0 { other.last } else { self.last.max(other.last) };
        }
        self.legs += other.legs;
        self.connections += other.connections;
        self.paired += other.paired;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.unanswered += other.unanswered;
        self.out_millis += other.out_millis;
        self.in_millis += other.in_millis;
        self.equal_bytes += other.equal_bytes;
    }
}

/// What another ledger kept.
impl Rest {
    /// The same where names have other numbers, in one order.
    pub(super) fn renamed(&self, mut rename: impl FnMut(Sym) -> Sym) -> Rest {
        let mut rest = self.clone();
        rest.few.list.iter_mut().for_each(|(ip, _)| *ip = ip.renamed(&mut rename));
        rest.few.list.sort_unstable_by_key(|(ip, _)| *ip);
        rest
    }

    fn join(&mut self, other: &Rest) {
        self.timeline.join(&other.timeline);
        self.durations.join(&other.durations);
        self.silent.join(&other.silent);
        self.slow.join(&other.slow);
        self.outlived.join(&other.outlived);
        self.few.join(&other.few);
    }

    /// Whether it can have come about by counting.
    pub(super) fn is_sound(&self) -> bool {
        self.timeline.is_sound() && self.spreads().iter().all(|spread| spread.is_sound())
    }

    /// Everything that was counted in it.
    pub(super) fn sums(&self) -> impl Iterator<Item = u64> {
        let spans = self.few.list.iter().map(|(_, span)| span).chain(self.timeline.spans()).map(|span| span.count);
        self.spreads().into_iter().flat_map(Spread::sums).chain(spans)
    }

    fn spreads(&self) -> [&Spread; 4] {
        [&self.durations, &self.silent, &self.slow, &self.outlived]
    }
}

impl Entry {
    /// What is kept beside the counts.
    pub fn rest(&self) -> &Rest {
        self.rest.as_deref().unwrap_or(&NOTHING)
    }

    fn rest_mut(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// What is known of a way that nobody went yet, of which so many lines are to be kept.
    pub(super) fn new(way: &Way, most: u8) -> Entry {
        let (dest, cluster, fails) = (way.dest.ip(), way.cluster, way.flags.is_failure());
        Entry { dest, cluster, fails, most, ..Entry::default() }
    }

    /// Counts a line; says whether it may be among the earliest, which are kept.
    #[inline]
    pub(super) fn line(&mut self, start: Micros) -> bool {
        self.counts.add(start);
        self.most > 0 && self.enough.is_none_or(|latest| latest.get() >= start.0)
    }

    /// Counts a connection that this way leads.
    pub(super) fn lead(&mut self, leading: &Leg) {
        let tcp = leading.protocol == Protocol::Tcp;
        let silent = tcp && !leading.answered;
        let counts = &mut self.counts;
        counts.connections += 1;
        counts.bytes = counts.bytes.saturating_add(leading.bytes);
        counts.unanswered += u64::from(silent && leading.bytes > 0);
        if leading.failed {
            self.rest_mut().durations.add(leading.duration);
        } else if silent {
            self.rest_mut().silent.add(leading.duration);
        }
        if tcp && leading.side.is_client() && (leading.direct || leading.failed) {
            self.rest_mut().timeline.add(leading.start);
        }
    }

    /// Notes the client of a connection of which no timeline is kept.
    pub(super) fn meet(&mut self, client: Ip, start: Micros) {
        self.rest_mut().few.add(client, start);
    }

    /// The clients that were met, unless there are too many.
    pub(super) fn met(&self) -> &[(Ip, Span)] {
        &self.rest().few.list
    }

    /// Counts a pair that this way leads.
    pub(super) fn pair(&mut self, out: &Leg, inn: &Leg) {
        let counts = &mut self.counts;
        counts.paired += 1;
        counts.out_millis += u64::from(out.duration);
        counts.in_millis += u64::from(inn.duration);
        if out.protocol == Protocol::Http || out.failed || inn.failed {
            return;
        }
        let millis = |from: Micros, to: Micros| u32::try_from(to.millis_since(from)).unwrap_or(0);
        let known = out.start != Micros::NONE && inn.start != Micros::NONE;
        let slow = if known { millis(out.start, inn.start) } else { 0 };
        let outlived = if known { millis(inn.end(), out.end()) } else { 0 };
        counts.equal_bytes += u64::from(out.bytes == inn.bytes && out.bytes > 0);
        if slow >= Rest::SLOW {
            self.rest_mut().slow.add(slow);
        }
        if outlived >= Rest::SLOW {
            self.rest_mut().outlived.add(outlived);
        }
    }

    /// What is kept beside the counts, if there is something.
    pub(super) fn kept(&self) -> Option<&Rest> {
        self.rest.as_deref()
    }

    /// Takes what another ledger counted.
    pub(super) fn join(&mut self, counts: &Counts, rest: Option<&Rest>) {
        self.counts.join(counts);
        if let Some(rest) = rest {
            self.rest_mut().join(rest);
        }
    }

    /// Keeps a line that another ledger kept, if it is among the earliest.
    pub(super) fn keep(&mut self, evidence: &mut Vec<Evidence>, line: Evidence) {
        let place = evidence.partition_point(|known| (known.start, known.origin) < (line.start, line.origin));
        self.insert(evidence, place, line);
    }

    /// Keeps a line if it is among the earliest.
    pub(super) fn note(&mut self, evidence: &mut Vec<Evidence>, leg: &Leg, line: &[u8]) {
        let (start, origin) = (leg.start, leg.origin);
        let place = evidence.partition_point(|known| (known.start, known.origin) < (start, origin));
        if place >= usize::from(self.most) {
            return;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = line[..line.len().min(LONGEST)].into();
        self.insert(evidence, place, Evidence { start, origin, text });
    }

    fn insert(&mut self, evidence: &mut Vec<Evidence>, place: usize, line: Evidence) {
        let most = usize::from(self.most);
        if place >= most {
            return;
        }
        evidence.truncate(most - 1);
        // No more room than for lines that are kept: a hundred thousand ways have one each.
        evidence.reserve_exact(1);
        evidence.insert(place, line);
        let latest = evidence.last().filter(|_| evidence.len() == most);
        // The few lines without a time are always looked at.
        self.enough = latest.and_then(|latest| NonZeroI64::new(latest.start.0));
    }
}
