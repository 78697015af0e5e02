//! `Columns`: the quick way through a line, where every blank and quote that could be a separator is one.
//!
//! Most lines have no others. Where they stand is found for the whole line at once, and each value ends at the next one. What
//! does not fit is left to the plan, which knows of quotes in headers and blanks in paths; what is read here, the plan reads
//! in the same way (a test holds that).

use memchr::{memchr_iter, memmem};

use super::Plan;
use super::step::{Step, begins};
use crate::field::value::digits;
use crate::field::{Field, Kind, Writer};
use crate::record::{Room, Span, Spans};

/// How the end of a value is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By the next blank or quote, which must be the separator's.
    Next,
    /// The next quote: the value has quotes of its own, and may hold blanks.
    OwnQuote,
    /// Envoy's default layout of a time has one length.
    Time,
    /// The last column, which holds no separator.
    Line,
}

impl End {
    /// Where the value at `at` ends, in a line of `len` bytes.
    #[inline]
    fn find(self, room: &Room, at: usize, len: usize) -> Option<usize> {
        match self {
            End::Next => room.next(at),
            End::OwnQuote => {
                let mut end = room.next(at)?;
                while room.eight(end)[0] != b'"' {
                    end = room.next(end + 1)?;
                }
                Some(end)
            }
            End::Time => (room.eight(at + TIME - 1)[0] == b'Z').then_some(at + TIME),
            // What was compared may have been behind the line's end.
            End::Line => (at <= len && room.next(at).is_none()).then_some(len),
        }
    }
}

/// What a value must look like, so far as its end and its length do not say it already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Anything.
    Nothing,
    /// Digits, or `-`.
    Number,
    /// What ends in a digit or is `-`, or else what the step accepts.
    Address,
    /// What the step of this place in the plan accepts.
    Step,
}

/// One value and what is behind it.
#[derive(Clone, Copy, Debug)]
struct Column {
    slot: u8,
    end: End,
    check: Check,
    /// How long the value is at least.
    least: u8,
    /// The length of what divides the value from the next.
    after: u8,
    /// Its place among the steps of the plan.
    step: u8,
    /// What divides it, as a number of its first eight bytes, and where those are that it has.
    separator: u64,
    mask: u64,
}

impl Column {
    /// Whether the value from `at` to `end` looks as it must, with what divides it from the next behind it.
    #[inline]
    fn fits(&self, room: &Room, at: usize, end: usize, line: &[u8], steps: &[Step]) -> bool {
        let closely = || line.get(at..end).is_some_and(|value| steps[usize::from(self.step)].accepts(value));
        let fits = match self.check {
            Check::Nothing => end >= at + usize::from(self.least),
            Check::Number => (1..=8).contains(&(end - at)) && digits(room.eight(at)) >= end - at || closely(),
            Check::Address => {
                let last = if end > at { room.eight(end - 1)[0] } else { 0 };
                last.is_ascii_digit() || last == b'-' || closely()
            }
            Check::Step => closely(),
        };
        let whole = || line.get(end..).is_some_and(|rest| begins(rest, &steps[usize::from(self.step)].after));
        fits && u64::from_le_bytes(room.eight(end)) & self.mask == self.separator && (self.after <= 8 || whole())
    }
}

/// Values that follow each other.
#[derive(Clone, Debug)]
struct Stretch {
    columns: Vec<Column>,
    /// What all of it is on most lines of TCP, if only HTTP has more to say: `- - -" 0 - - - "-" `. As numbers of eight bytes,
    /// each with those that it has.
    bare: Vec<[u64; 2]>,
    /// Whether the request is in it.
    has_request: bool,
}

impl Stretch {
    fn new(columns: Vec<Column>, steps: &[Step], has_request: bool) -> Stretch {
        let bare = steps.iter().map(|step| Some([&[Stretch::bare(step)?], &*step.after].concat()));
        // One value alone is read as quickly as it is compared.
        let bare = bare.collect::<Option<Vec<_>>>().filter(|values| values.len() > 1).unwrap_or_default().concat();
        let bare = bare.chunks(8).map(|eight| [word(eight), mask(eight.len())]).collect();
        Stretch { columns, bare, has_request }
    }

    #[inline]
    fn is_bare(&self, room: &Room, at: usize) -> bool {
        let is = |(number, [word, mask]): (usize, &[u64; 2])| {
            u64::from_le_bytes(room.eight(at + number * 8)) & mask == *word
        };
        !self.bare.is_empty() && self.bare.iter().enumerate().all(is)
    }

    /// What a TCP connection on which nothing failed has in the place of a value, where it can have but one thing.
    fn bare(step: &Step) -> Option<u8> {
        const FAILURES: [Field; 3] =
            [Field::ResponseCodeDetails, Field::ConnectionTerminationDetails, Field::UpstreamTransportFailureReason];
        let is = |field: Field| step.slot == field as u8;
        match step.kind {
            _ if is(Field::ResponseCode) => Some(b'0'),
            _ if step.writer == Writer::Peer || FAILURES.into_iter().any(is) => Some(b'-'),
            Kind::Flags => Some(b'-'),
            _ if is(Field::UpstreamServiceTime) => Some(b'-'),
            _ => None,
        }
    }
}

/// Up to eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Where so many bytes are in such a number.
fn mask(len: usize) -> u64 {
    word(&[u8::MAX; 8][..len])
}

/// A format whose values are divided by blanks, and some of them quoted.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    lead: Box<[u8]>,
    list: Vec<Stretch>,
    steps: Vec<Step>,
    /// Whether there are values that no field stands for.
    extra: bool,
    /// The slot of the first value behind the request and what Envoy writes after it.
    behind_request: Option<u8>,
    protocol: memmem::Finder<'static>,
}

/// Length of a time in Envoy's default layout.
const TIME: usize = 24;

impl Columns {
    /// The columns of a plan, if it has no other separators.
    pub(super) fn of(plan: &Plan) -> Option<Columns> {
        let steps: Vec<Step> = plan.left.iter().chain(&plan.middle).chain(&plan.right).cloned().collect();
        let quotes = |text: &[u8]| memchr_iter(b'"', text).count();
        let mut inside = quotes(&plan.lead) % 2 == 1;
        // Whether a value has the quotes around it for itself.
        let mut alone = plan.lead.last() == Some(&b'"');
        let mut list = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let end = match (&*step.after, inside) {
                _ if step.shared > 0 => return None,
                ([], false) if number + 1 == steps.len() => End::Line,
                ([b'"', ..], true) if alone => End::OwnQuote,
                ([b'"', ..] | [b' '], true) | ([b' ', ..], false) => End::Next,
                ([_, ..], false) if step.kind == Kind::Time => End::Time,
                _ => return None,
            };
            // Between blanks there are no quotes.
            let bare = !step.quoted && (step.after.first() != Some(&b'"') || !inside);
            let check = match step.kind {
                Kind::Integer | Kind::Millis => Check::Number,
                Kind::Address => Check::Address,
                Kind::Text if step.slot == Field::Protocol as u8 => Check::Step,
                Kind::Text if step.quoted => Check::Nothing,
                Kind::Text | Kind::Flags if bare => Check::Nothing,
                _ => Check::Step,
            };
            let least = u8::from(check == Check::Nothing && !step.quoted);
            inside ^= quotes(&step.after) % 2 == 1;
            alone = step.after.last() == Some(&b'"');
            let first = &step.after[..step.after.len().min(8)];
            list.push(Column {
                slot: step.slot,
                end,
                check,
                least,
                after: u8::try_from(step.after.len()).ok()?,
                step: u8::try_from(number).ok()?,
                separator: word(first),
                mask: mask(first.len()),
            });
        }
        // Headers before the middle, and what is behind them.
        let runs: Vec<&[Step]> =
            plan.left.chunk_by(|one, next| (one.writer, next.writer) != (Writer::Envoy, Writer::Peer)).collect();
        let (first, behind) = match runs[..] {
            [only] if only[0].writer == Writer::Peer => (0, only.len()),
            [before, run] if before[0].writer == Writer::Envoy => (before.len(), before.len() + run.len()),
            [] => (0, 0),
            [only] => (only.len(), only.len()),
            _ => return None,
        };
        let of = |column: &Column| &steps[usize::from(column.step)];
        let is_bare = |column: &Column| Stretch::bare(of(column)).is_some();
        let stretches = list.chunk_by(|one, next| is_bare(one) == is_bare(next));
        let stretches = stretches.map(|columns| {
            let at = usize::from(columns[0].step);
            let request = first < behind && (at..at + columns.len()).contains(&first);
            Stretch::new(columns.to_vec(), &steps[at..at + columns.len()], request)
        });
        let list = stretches.collect();
        let behind_request = steps.get(behind).filter(|_| first < behind).map(|step| step.slot);
        let (lead, protocol) = (plan.lead.clone(), plan.protocol.clone());
        // Without anything behind the request a second one cannot be looked for.
        let whole = !inside && (first == behind || behind_request.is_some());
        let extra = steps.iter().any(|step| usize::from(step.slot) >= Field::COUNT);
        whole.then_some(Columns { lead, list, steps, extra, behind_request, protocol })
    }

    /// Fills `spans` from a line that is as plain as that; says whether it was. If it was not, some may be set.
    #[inline]
    pub(super) fn read(&self, line: &[u8], spans: &mut Spans) -> bool {
        self.walk(line, spans).is_some_and(|bare| bare || !self.has_second_request(line, spans))
    }

    /// Says whether the request is absent.
    fn walk(&self, line: &[u8], spans: &mut Spans) -> Option<bool> {
        if !begins(line, &self.lead) {
            return None;
        }
        let room = spans.room.get_or_insert_default();
        if !room.take(line) {
            return None;
        }
        let slots = &mut spans.slots;
        let mut set = |column: &Column, at: usize, end: usize| {
            if let Some(place) = slots.get_mut(usize::from(column.slot)) {
                *place = Span::new(at, end);
            }
            end + usize::from(column.after)
        };
        let (mut at, mut bare) = (self.lead.len(), false);
        for stretch in &self.list {
            if stretch.is_bare(room, at) {
                bare |= stretch.has_request;
                for column in &stretch.columns {
                    at = set(column, at, at + 1);
                }
                continue;
            }
            for column in &stretch.columns {
                let end =
                    if column.end == End::Next { room.next(at)? } else { column.end.find(room, at, line.len())? };
                if !column.fits(room, at, end, line, &self.steps) {
                    return None;
                }
                at = set(column, at, end);
            }
        }
        spans.has_extra(self.extra);
        (at == line.len()).then_some(bare)
    }

    /// Whether there is something behind the request that looks like another one: the plan looks closer then.
    fn has_second_request(&self, line: &[u8], spans: &Spans) -> bool {
        let Some(slot) = self.behind_request else { return false };
        let behind = line.get(spans.slots[usize::from(slot)].at()..).unwrap_or_default();
        self.protocol.find(behind).is_some()
    }
}
