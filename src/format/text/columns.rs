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
use crate::record::{Span, Spans};

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
    /// Where the value at `at` ends.
    fn find(self, line: &[u8], at: usize, marks: &Marks) -> Option<usize> {
        match self {
            End::Next => marks.next(at),
            End::OwnQuote => {
                let mut stop = marks.next(at)?;
                while line.get(stop) != Some(&b'"') {
                    stop = marks.next(stop + 1)?;
                }
                Some(stop)
            }
            End::Time => (line.get(at + TIME - 1) == Some(&b'Z')).then_some(at + TIME),
            End::Line => marks.next(at).is_none().then_some(line.len()),
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

impl Check {
    /// Whether the value from `at` to `end` looks like that.
    #[inline]
    fn fits(self, line: &[u8], at: usize, end: usize, step: &Step) -> bool {
        let Some(value) = line.get(at..end) else { return false };
        match self {
            Check::Nothing => true,
            Check::Number => is_number(line, at, value),
            Check::Address => {
                value.last().is_some_and(|last| last.is_ascii_digit() || *last == b'-') || step.accepts(value)
            }
            Check::Step => step.accepts(value),
        }
    }
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
    /// Its first four bytes as a number, and where those are that it has.
    separator: u32,
    mask: u32,
}

impl Column {
    /// Whether the value ends at `end`, with what divides it from the next.
    #[inline]
    fn ends(&self, line: &[u8], end: usize, step: &Step) -> bool {
        match line.get(end..end + 4).and_then(<[u8]>::first_chunk) {
            Some(four) if self.after <= 4 => u32::from_le_bytes(*four) & self.mask == self.separator,
            _ => line.get(end..).is_some_and(|rest| begins(rest, &step.after)),
        }
    }
}

/// A format whose values are divided by blanks, and some of them quoted.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    lead: Box<[u8]>,
    list: Vec<Column>,
    steps: Vec<Step>,
    /// Whether there are values that no field stands for.
    extra: bool,
    /// The slots of the request's first header, and of the first value behind what Envoy writes after the request.
    request: Option<(u8, u8)>,
    absent_request: Box<[u8]>,
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
            let word = |byte: &dyn Fn(usize) -> u8| u32::from_le_bytes(std::array::from_fn(byte));
            let separator = word(&|at| step.after.get(at).copied().unwrap_or(0));
            let mask = word(&|at| if at < step.after.len() { u8::MAX } else { 0 });
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
            let after = u8::try_from(step.after.len()).ok()?;
            list.push(Column { slot: step.slot, end, check, least, after, separator, mask });
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
        let slot = |number: usize| steps.get(number).map(|step| step.slot);
        let request = (first < behind).then_some(()).and_then(|()| Some((slot(first)?, slot(behind)?)));
        let (lead, absent_request, protocol) = (plan.lead.clone(), plan.absent_request.clone(), plan.protocol.clone());
        // Without anything behind the request a second one cannot be looked for.
        let whole = !inside && (first == behind || request.is_some());
        let extra = steps.iter().any(|step| usize::from(step.slot) >= Field::COUNT);
        whole.then_some(Columns { lead, list, steps, extra, request, absent_request, protocol })
    }

    /// Fills `spans` from a line that is as plain as that; says whether it was. If it was not, some may be set.
    #[inline]
    pub(super) fn read(&self, line: &[u8], spans: &mut Spans) -> bool {
        self.walk(line, spans).is_some() && !self.has_second_request(line, spans)
    }

    fn walk(&self, line: &[u8], spans: &mut Spans) -> Option<()> {
        if !begins(line, &self.lead) {
            return None;
        }
        let marks = Marks::of(line)?;
        let mut at = self.lead.len();
        for (column, step) in self.list.iter().zip(&self.steps) {
            let stop = if column.end == End::Next { marks.next(at)? } else { column.end.find(line, at, &marks)? };
            if stop < at + usize::from(column.least)
                || column.check != Check::Nothing && !column.check.fits(line, at, stop, step)
                || !column.ends(line, stop, step)
            {
                return None;
            }
            if let Some(place) = spans.slots.get_mut(usize::from(column.slot)) {
                *place = Span::new(at, stop);
            }
            at = stop + usize::from(column.after);
        }
        spans.has_extra(self.extra);
        (at == line.len()).then_some(())
    }

    /// Whether there is something behind the request that looks like another one: the plan looks closer then.
    fn has_second_request(&self, line: &[u8], spans: &Spans) -> bool {
        let Some((first, behind)) = self.request else { return false };
        let from = |slot: u8| line.get(spans.slots[usize::from(slot)].at()..).unwrap_or_default();
        let absent = !self.absent_request.is_empty() && begins(from(first), &self.absent_request);
        !absent && self.protocol.find(from(behind)).is_some()
    }
}

/// Whether a value, which stands at `at` in its line, is digits, or `-`.
#[inline]
fn is_number(line: &[u8], at: usize, value: &[u8]) -> bool {
    match line.get(at..at + 8).and_then(<[u8]>::first_chunk) {
        Some(eight) if (1..=8).contains(&value.len()) => digits(*eight) >= value.len() || value == b"-",
        _ => !value.is_empty() && value.iter().all(u8::is_ascii_digit) || value == b"-",
    }
}

/// Where the blanks and quotes of a line are, a bit a byte; and the last word that has some.
struct Marks([u64; Marks::WORDS], usize);

impl Marks {
    const WORDS: usize = 32;

    /// None for lines that are too long.
    #[inline]
    fn of(line: &[u8]) -> Option<Marks> {
        let (chunks, rest) = line.as_chunks::<64>();
        if chunks.len() >= Self::WORDS {
            return None;
        }
        let mut marks = [0; Self::WORDS];
        for (word, chunk) in marks.iter_mut().zip(chunks) {
            *word = mark(chunk);
        }
        let mut last = [0; 64];
        last[..rest.len()].copy_from_slice(rest);
        marks[chunks.len()] = mark(&last);
        Some(Marks(marks, chunks.len()))
    }

    /// The first mark from `at` on.
    #[inline]
    fn next(&self, at: usize) -> Option<usize> {
        let mut word = at / 64;
        let bits = self.0.get(word)? >> (at % 64);
        if bits != 0 {
            return Some(at + bits.trailing_zeros() as usize);
        }
        while word < self.1 {
            word += 1;
            let bits = *self.0.get(word)?;
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
        }
        None
    }
}

/// A bit for each blank and each quote.
#[inline]
fn mark(bytes: &[u8; 64]) -> u64 {
    // Moves the lowest bits of eight bytes, one to a place, into the top byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    // The two differ in one bit.
    let found: [u8; 64] = std::array::from_fn(|at| u8::from(bytes[at] & !2 == b' '));
    let mut bits = 0;
    for (number, eight) in found.as_chunks::<8>().0.iter().enumerate() {
        bits |= (u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56) << (number * 8);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_where_blanks_and_quotes_are() {
        let line: Vec<u8> = (0..=255u8).cycle().take(900).collect();
        let marks = Marks::of(&line).unwrap();
        let found: Vec<usize> = std::iter::successors(marks.next(0), |at| marks.next(at + 1)).collect();
        let expected: Vec<usize> =
            line.iter().enumerate().filter(|(_, byte)| b" \"".contains(byte)).map(|(at, _)| at).collect();
        assert_eq!(found, expected);
        assert!(Marks::of(&[b' '; 2048]).is_none() && Marks::of(b"").unwrap().next(0).is_none());
    }
}
