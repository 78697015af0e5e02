//! `Columns`: the quick way through a line, where every blank and quote that could be a separator is one.
//!
//! Most lines have no others. Where they stand is found for the whole line at once, and each value ends at the next one. What
//! does not fit is left to the plan, which knows of quotes in headers and blanks in paths; what is read here, the plan reads
//! in the same way (a test holds that).

use memchr::{memchr_iter, memmem};

use super::Plan;
use super::step::{Step, begins};
use crate::field::{Field, Kind, Writer};
use crate::record::{Span, Spans};

/// How the end of a value is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The next separator is a blank: no quotes around the value, or others with it between the same quotes.
    Blank,
    /// The next separator is a quote: the last one of several between the same quotes.
    Quote,
    /// The next quote: the value has quotes of its own, and may hold blanks.
    OwnQuote,
    /// Envoy's default layout of a time has one length.
    Time,
    /// The last column, which holds no separator.
    Line,
}

/// What a value must look like, so far as its end does not say it already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Anything.
    Any,
    /// Not empty.
    Something,
    /// Digits, or `-`.
    Number,
    /// What the step of this place in the plan accepts.
    Step,
}

/// One value and what is behind it.
#[derive(Clone, Copy, Debug)]
struct Column {
    slot: u8,
    end: End,
    check: Check,
    /// What divides the value from the next: its length, and its bytes behind the first one, which the end is told by.
    after: u8,
    rest: [u8; 2],
}

/// A format whose values are divided by blanks, and some of them quoted.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    lead: Box<[u8]>,
    list: Vec<Column>,
    steps: Vec<Step>,
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
                ([b'"', ..], true) => End::Quote,
                ([b' '], true) | ([b' ', ..], false) => End::Blank,
                ([_, ..], false) if step.kind == Kind::Time => End::Time,
                _ => return None,
            };
            let rest = match step.after.get(1..).unwrap_or_default() {
                [] => [0, 0],
                [one] => [*one, 0],
                [one, two, ..] => [*one, *two],
            };
            // Between blanks there are no quotes.
            let bare = !step.quoted && end != End::Quote && end != End::OwnQuote;
            let check = match step.kind {
                Kind::Integer | Kind::Millis => Check::Number,
                Kind::Text if step.slot == Field::Protocol as u8 => Check::Step,
                Kind::Text if step.quoted => Check::Any,
                Kind::Text | Kind::Flags if bare => Check::Something,
                _ => Check::Step,
            };
            inside ^= quotes(&step.after) % 2 == 1;
            alone = step.after.last() == Some(&b'"');
            let after = u8::try_from(step.after.len()).ok()?;
            list.push(Column { slot: step.slot, end, check, after, rest });
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
        whole.then_some(Columns { lead, list, steps, request, absent_request, protocol })
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
        for (number, column) in self.list.iter().enumerate() {
            let stop = match column.end {
                End::Blank => marks.next(at).filter(|stop| line[*stop] == b' ')?,
                End::OwnQuote => {
                    let mut stop = marks.next(at)?;
                    while line[stop] != b'"' {
                        stop = marks.next(stop + 1)?;
                    }
                    stop
                }
                End::Quote => marks.next(at).filter(|stop| line[*stop] == b'"')?,
                End::Time => {
                    let first = self.steps[number].after.first();
                    let stop = at + TIME;
                    (line.get(stop - 1) == Some(&b'Z') && line.get(stop) == first).then_some(stop)?
                }
                End::Line if marks.next(at).is_none() => line.len(),
                End::Line => return None,
            };
            let value = line.get(at..stop)?;
            let fits = match column.check {
                Check::Any => true,
                Check::Something => !value.is_empty(),
                Check::Number => !value.is_empty() && value.iter().all(u8::is_ascii_digit) || value == b"-",
                Check::Step => self.steps[number].accepts(value),
            };
            let after = usize::from(column.after);
            let ends = match after {
                0 | 1 => true,
                2 => line.get(stop + 1) == Some(&column.rest[0]),
                3 => line.get(stop + 1..stop + 3) == Some(&column.rest),
                _ => begins(&line[stop..], &self.steps[number].after),
            };
            if !fits || !ends {
                return None;
            }
            spans.set(column.slot, Span::new(at, stop));
            at = stop + after;
        }
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

/// Where the blanks and quotes of a line are, a bit a byte.
struct Marks([u64; Marks::WORDS]);

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
        Some(Marks(marks))
    }

    /// The first mark from `at` on.
    #[inline]
    fn next(&self, at: usize) -> Option<usize> {
        let mut word = at / 64;
        let mut bits = self.0.get(word)? & (u64::MAX << (at % 64));
        while bits == 0 {
            word += 1;
            bits = *self.0.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
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
