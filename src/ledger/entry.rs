//! What is counted of one way.

use std::num::NonZeroI64;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::lines::{Lines, Row};
use crate::endpoint::Ip;
use crate::field::value::Micros;
use crate::leg::{Leg, Protocol, Way};
use crate::measure::{Span, Spread, Timeline};
use crate::names::Sym;
use crate::source::Origin;

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
    /// The lines that show it.
    pub(super) lines: Row,
}

/// What is kept of ways on which something is worth a second look.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rest {
    /// When TCP connections began, on the client's side, if they failed or led straight to what was dialled.
    pub timeline: Timeline,
    /// How long connections took that failed.
    pub durations: Spread,
    /// What few ways have.
    seldom: Option<Box<Seldom>>,
}

/// What is kept of the few ways on which it shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Seldom {
    silent: Spread,
    slow: Spread,
    outlived: Spread,
    few: Few,
}

static NOTHING: LazyLock<Rest> = LazyLock::new(Rest::default);
static NOTHING_SELDOM: LazyLock<Seldom> = LazyLock::new(Seldom::default);

impl Rest {
    /// Milliseconds that are worth a note: a lost SYN is sent again after a second.
    pub const SLOW: u32 = 900;

    /// How long TCP connections took on which nothing came back, although nothing failed.
    pub fn silent(&self) -> &Spread {
        &self.seldom().silent
    }

    /// From the client's proxy having a TCP connection to the server's having it, where that took [`Rest::SLOW`].
    pub fn slow(&self) -> &Spread {
        &self.seldom().slow
    }

    /// How long the client's leg outlived the server's, where that was [`Rest::SLOW`].
    pub fn outlived(&self) -> &Spread {
        &self.seldom().outlived
    }

    fn seldom(&self) -> &Seldom {
        self.seldom.as_deref().unwrap_or(&NOTHING_SELDOM)
    }

    fn seldom_mut(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }
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

/// Which clients' addresses used a way of which no timeline is kept, and when; none any more once there are too many.
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
        if let Some(Seldom { few, .. }) = rest.seldom.as_deref_mut() {
            few.list.iter_mut().for_each(|(ip, _)| *ip = ip.renamed(&mut rename));
            few.list.sort_unstable_by_key(|(ip, _)| *ip);
        }
        rest
    }

    fn join(&mut self, other: &Rest) {
        self.timeline.join(&other.timeline);
        self.durations.join(&other.durations);
        if let Some(other) = &other.seldom {
            let seldom = self.seldom_mut();
            seldom.silent.join(&other.silent);
            seldom.slow.join(&other.slow);
            seldom.outlived.join(&other.outlived);
            seldom.few.join(&other.few);
        }
    }

    /// Whether it can have come about by counting.
    pub(super) fn is_sound(&self) -> bool {
        self.timeline.is_sound() && self.spreads().iter().all(|spread| spread.is_sound())
    }

    /// Everything that was counted in it.
    pub(super) fn sums(&self) -> impl Iterator<Item = u64> {
        let spans =
            self.seldom().few.list.iter().map(|(_, span)| span).chain(self.timeline.spans()).map(|span| span.count);
        self.spreads().into_iter().flat_map(Spread::sums).chain(spans)
    }

    fn spreads(&self) -> [&Spread; 4] {
        [&self.durations, self.silent(), self.slow(), self.outlived()]
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
        Entry { dest, cluster, fails, lines: Row::new(most), ..Entry::default() }
    }

    /// Counts a line; says whether it may be among the earliest, which are kept.
    #[inline]
    pub(super) fn line(&mut self, start: Micros) -> bool {
        self.counts.add(start);
        self.lines.keeps() && self.enough.is_none_or(|latest| latest.get() >= start.0)
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
            self.rest_mut().seldom_mut().silent.add(leading.duration);
        }
        if tcp && leading.side.is_client() && (leading.direct || leading.failed) {
            self.rest_mut().timeline.add(leading.start);
        }
    }

    /// Notes the client of a connection of which no timeline is kept.
    pub(super) fn meet(&mut self, client: Ip, start: Micros) {
        self.rest_mut().seldom_mut().few.add(client, start);
    }

    /// The clients that were met, unless there are too many.
    pub(super) fn met(&self) -> &[(Ip, Span)] {
        &self.rest().seldom().few.list
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
            self.rest_mut().seldom_mut().slow.add(slow);
        }
        if outlived >= Rest::SLOW {
            self.rest_mut().seldom_mut().outlived.add(outlived);
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

    /// Keeps a line if it is among the earliest.
    pub(super) fn note(&mut self, lines: &mut Lines, start: Micros, origin: Origin, text: &[u8]) {
        let latest = lines.put(&mut self.lines, start, origin, text);
        // The few lines without a time are always looked at.
        self.enough = latest.and_then(|latest| NonZeroI64::new(latest.0));
    }
}
