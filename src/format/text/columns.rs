//! `Columns`: the quick way through a line, where every blank and quote that could be a separator is one.
//!
//! Most lines have no others. Where they stand is found for the whole line at once, and each value ends at the next one. What
//! does not fit is left to the plan, which knows of quotes in headers and blanks in paths; what is read here, the plan reads
//! in the same way (a test holds that).

use std::ops::Range;

use memchr::{memchr_iter, memchr2, memmem};

use super::Plan;
use super::step::{Step, begins};
use crate::field::value::digits;
use crate::field::{Field, Kind, Writer};
use crate::record::{Marked, SLOTS, Span, Spans};

/// What is asked of a value besides where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Check {
    /// Nothing.
    Nothing,
    /// A time in Envoy's default layout.
    Time,
    /// Digits, or `-`.
    Number,
    /// What ends in a digit or is `-`, or else what the step accepts.
    Address,
    /// What the step of this place in the plan accepts.
    Step,
    /// The same, and what divides it from the next value is longer than what was compared.
    Long,
}

/// One value and what is behind it.
#[derive(Clone, Copy, Debug)]
struct Column {
    /// What divides it from the next value, as a number of its first eight bytes, and where those are that it has.
    separator: u64,
    mask: u64,
    slot: u8,
    /// How much of it stands before the first blank or quote in it.
    before: u8,
    /// How far from the value's start that blank or quote is at least.
    least: u8,
    /// The length of what divides the value from the next.
    after: u8,
    /// Whether the value has the quotes around it for itself, and may hold blanks.
    alone: bool,
    check: Check,
    /// Its place among the steps of the plan.
    step: u8,
}

impl Column {
    /// Where the value at `at` ends: at the next blank or quote, which must be of what divides it from the next value.
    #[inline]
    fn end(&self, marked: Marked<'_>, at: usize) -> Option<usize> {
        let mark = marked.next(at)?;
        if mark - at < usize::from(self.least) {
            return None;
        }
        let end = mark - usize::from(self.before);
        if self.divides(marked, end) { Some(end) } else { self.later_end(marked, mark) }
    }

    /// The same of a value that has a blank in it.
    #[cold]
    fn later_end(&self, marked: Marked<'_>, mut mark: usize) -> Option<usize> {
        while self.alone && marked.eight(mark)[0] != b'"' {
            mark = marked.next(mark + 1)?;
            if self.divides(marked, mark) {
                return Some(mark);
            }
        }
        None
    }

    #[inline]
    fn divides(&self, marked: Marked<'_>, end: usize) -> bool {
        u64::from_le_bytes(marked.eight(end)) & self.mask == self.separator
    }
}

/// Values that follow each other.
#[derive(Clone, Debug)]
struct Stretch {
    /// Their places among the columns.
    columns: Range<usize>,
    /// If only HTTP has more to say, what all of it is on most lines of TCP.
    bare: Option<Bare>,
}

/// What a stretch is on most lines of TCP: `- - -" 0 - - - "-" `.
#[derive(Clone, Debug)]
struct Bare {
    /// As numbers of eight bytes, each with those that it has.
    text: Vec<[u64; 2]>,
    len: usize,
    /// Slots, and where their values are.
    values: Vec<(u8, usize)>,
    /// Whether the request is in it.
    has_request: bool,
}

impl Bare {
    /// Of these steps, if they can be that.
    fn new(steps: &[Step], has_request: bool) -> Option<Bare> {
        // One value alone is read as quickly as it is compared.
        if steps.len() < 2 {
            return None;
        }
        let (mut text, mut values) = (Vec::new(), Vec::new());
        for step in steps {
            values.push((step.slot, text.len()));
            text.push(value_of_tcp(step)?);
            text.extend_from_slice(&step.after);
        }
        let len = text.len();
        let text = text.chunks(8).map(|eight| [word(eight), mask(eight.len())]).collect();
        Some(Bare { text, len, values, has_request })
    }

    /// Whether it is there at `at`.
    #[inline]
    fn is_at(&self, marked: Marked<'_>, at: usize) -> bool {
        let is = |(number, [word, mask]): (usize, &[u64; 2])| {
            u64::from_le_bytes(marked.eight(at + number * 8)) & mask == *word
        };
        self.text.iter().enumerate().all(is)
    }
}

/// What a TCP connection on which nothing failed has in the place of a value, where it can have but one thing.
fn value_of_tcp(step: &Step) -> Option<u8> {
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

#[inline]
fn is_time(marked: Marked<'_>, span: Span) -> bool {
    let first = || marked.eight(span.at())[0];
    span.end() - span.at() == TIME && marked.eight(span.end() - 1)[0] == b'Z' && first().is_ascii_digit()
}

/// Whether a value is of so few digits as most numbers.
#[inline]
fn is_number(marked: Marked<'_>, span: Span) -> bool {
    let len = span.end() - span.at();
    (1..=8).contains(&len) && digits(marked.eight(span.at())) >= len
}

#[inline]
fn ends_in_digit(marked: Marked<'_>, span: Span) -> bool {
    let last = marked.eight(span.end().saturating_sub(1))[0];
    span.end() > span.at() && (last.is_ascii_digit() || last == b'-')
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
    list: Vec<Column>,
    stretches: Vec<Stretch>,
    /// What is asked of values, and of which.
    checked: Vec<(Check, Vec<Column>)>,
    /// The same without those in stretches that are bare on lines of TCP.
    checked_of_tcp: Vec<(Check, Vec<Column>)>,
    steps: Vec<Step>,
    /// Whether there are values that no field stands for.
    extra: bool,
    /// The slot of the first value behind the request and what Envoy writes after it.
    behind_request: Option<u8>,
    protocol: memmem::Finder<'static>,
}

/// Columns by what is asked of them, if anything is: all of one kind together, so that what comes next can be foreseen.
fn by_check(mut columns: Vec<Column>) -> Vec<(Check, Vec<Column>)> {
    columns.retain(|column| column.check != Check::Nothing);
    columns.sort_by_key(|column| column.check);
    columns.chunk_by(|one, next| one.check == next.check).map(|some| (some[0].check, some.to_vec())).collect()
}

/// Length of a time in Envoy's default layout.
const TIME: usize = 24;

impl Columns {
    /// The columns of a plan, if it has no other separators.
    pub(super) fn of(plan: &Plan) -> Option<Columns> {
        let steps: Vec<Step> = plan.left.iter().chain(&plan.middle).chain(&plan.right).cloned().collect();
        let mut slots: Vec<u8> = steps.iter().map(|step| step.slot).collect();
        slots.sort_unstable();
        // What a value must look like is asked once all of its stretch are in their slots.
        if slots.iter().any(|slot| usize::from(*slot) >= SLOTS) || slots.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        let quotes = |text: &[u8]| memchr_iter(b'"', text).count();
        let mut inside = quotes(&plan.lead) % 2 == 1;
        // Whether a value has the quotes around it for itself.
        let mut alone = plan.lead.last() == Some(&b'"');
        let mut list = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            // A quote of its own stands before the blank that ends the value, so it may hold others.
            let own = alone && inside && step.after.first() == Some(&b'"');
            let before = memchr2(b' ', b'"', &step.after).unwrap_or(0);
            match (&*step.after, inside) {
                _ if step.shared > 0 => return None,
                ([], false) if number + 1 == steps.len() => {}
                ([b'"', ..] | [b' '], true) | ([b' ', ..], false) => {}
                // Nothing of it can be in a time.
                ([_, ..], false) if step.kind == Kind::Time && before > 0 => {}
                _ => return None,
            }
            // Between blanks there are no quotes.
            let bare = !step.quoted && (step.after.first() != Some(&b'"') || !inside);
            let check = match step.kind {
                Kind::Time => Check::Time,
                Kind::Integer | Kind::Millis => Check::Number,
                Kind::Address => Check::Address,
                Kind::Text if step.slot == Field::Protocol as u8 => Check::Step,
                Kind::Text if step.quoted => Check::Nothing,
                Kind::Text | Kind::Flags if bare => Check::Nothing,
                _ => Check::Step,
            };
            let least = before + usize::from(check == Check::Nothing && !step.quoted);
            inside ^= quotes(&step.after) % 2 == 1;
            alone = step.after.last() == Some(&b'"');
            let check = if step.after.len() > 8 { Check::Long } else { check };
            let first = &step.after[..step.after.len().min(8)];
            list.push(Column {
                separator: word(first),
                mask: mask(first.len()),
                slot: step.slot,
                before: u8::try_from(before).ok()?,
                least: u8::try_from(least).ok()?,
                after: u8::try_from(step.after.len()).ok()?,
                alone: own,
                check,
                step: u8::try_from(number).ok()?,
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
        let is_bare = |step: &Step| value_of_tcp(step).is_some();
        let (mut stretches, mut checked_of_tcp, mut next) = (Vec::new(), Vec::new(), 0);
        for stretch in steps.chunk_by(|one, next| is_bare(one) == is_bare(next)) {
            let columns = next..next + stretch.len();
            next = columns.end;
            let bare = Bare::new(stretch, first < behind && columns.contains(&first));
            if bare.is_none() {
                checked_of_tcp.extend(&list[columns.clone()]);
            }
            stretches.push(Stretch { columns, bare });
        }
        let (checked, checked_of_tcp) = (by_check(list.clone()), by_check(checked_of_tcp));
        let behind_request = steps.get(behind).filter(|_| first < behind).map(|step| step.slot);
        let (lead, protocol) = (plan.lead.clone(), plan.protocol.clone());
        // Without anything behind the request a second one cannot be looked for.
        let whole = !inside && (first == behind || behind_request.is_some());
        let extra = steps.iter().any(|step| usize::from(step.slot) >= Field::COUNT);
        whole.then_some(Columns {
            lead,
            list,
            stretches,
            checked,
            checked_of_tcp,
            steps,
            extra,
            behind_request,
            protocol,
        })
    }

    /// Fills `spans` from a line that is as plain as that; says whether it was. If it was not, some may be set.
    #[inline]
    pub(super) fn read(&self, line: &[u8], spans: &mut Spans) -> bool {
        self.walk(line, spans).is_some_and(|bare| bare || !self.has_second_request(line, spans))
    }

    /// Says whether the request is absent.
    #[inline]
    fn walk(&self, line: &[u8], spans: &mut Spans) -> Option<bool> {
        if !begins(line, &self.lead) {
            return None;
        }
        spans.has_extra(self.extra);
        let marked = spans.room.get_or_insert_default().mark(line)?;
        let slots = &mut spans.slots;
        let (mut at, mut bare, mut tcp) = (self.lead.len(), false, true);
        for stretch in &self.stretches {
            let mut columns = &self.list[stretch.columns.clone()];
            if let Some(expected) = &stretch.bare {
                if expected.is_at(marked, at) {
                    for (slot, offset) in &expected.values {
                        slots[usize::from(*slot)] = Span::new(at + offset, at + offset + 1);
                    }
                    at += expected.len;
                    bare |= expected.has_request;
                    continue;
                }
                // HTTP, or a failure: then the others are hardly bare.
                (columns, tcp) = (&self.list[stretch.columns.start..], false);
            }
            for column in columns {
                let end = column.end(marked, at)?;
                slots[usize::from(column.slot)] = Span::new(at, end);
                at = end + usize::from(column.after);
            }
            if !tcp {
                break;
            }
        }
        let checked = if tcp { &self.checked_of_tcp } else { &self.checked };
        if at != line.len() || !self.all_fit(checked, marked, line, slots) {
            return None;
        }
        Some(bare)
    }

    /// Whether values look as they must.
    #[inline]
    fn all_fit(&self, checked: &[(Check, Vec<Column>)], marked: Marked<'_>, line: &[u8], slots: &[Span]) -> bool {
        let step = |column: &Column| &self.steps[usize::from(column.step)];
        let closely = |column: &Column, span: Span| span.of(line).is_some_and(|value| step(column).accepts(value));
        for (check, columns) in checked {
            let mut values = columns.iter().map(|column| (column, slots[usize::from(column.slot)]));
            let fit = match check {
                Check::Nothing => true,
                Check::Time => values.all(|(_, span)| is_time(marked, span)),
                Check::Number => values.all(|(column, span)| is_number(marked, span) || closely(column, span)),
                Check::Address => values.all(|(column, span)| ends_in_digit(marked, span) || closely(column, span)),
                Check::Step => values.all(|(column, span)| closely(column, span)),
                Check::Long => values.all(|(column, span)| {
                    let behind = line.get(span.end()..).unwrap_or_default();
                    closely(column, span) && begins(behind, &step(column).after)
                }),
            };
            if !fit {
                return false;
            }
        }
        true
    }

    /// Whether there is something behind the request that looks like another one: the plan looks closer then.
    fn has_second_request(&self, line: &[u8], spans: &Spans) -> bool {
        let Some(slot) = self.behind_request else { return false };
        let behind = line.get(spans.slots[usize::from(slot)].at()..).unwrap_or_default();
        self.protocol.find(behind).is_some()
    }
}
