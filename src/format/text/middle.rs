//! Cuts the headers between the trusted ends of a line: in one way, or in the likeliest one.

use super::step::{Step, find};
use crate::field::Field;
use crate::record::{Span, Spans};

/// Cuts the bytes of a run of headers into its values. With exactly as many separators as the format has
/// there is one way; with more, the widest header takes the surplus and the record is doubtful.
pub(super) fn cut(line: &[u8], at: usize, end: usize, run: &[Step], spans: &mut Spans) {
    let region = &line[at..end];
    let separator = run.first().map_or(&b""[..], |step| &step.after);
    let same = run[..run.len() - 1].iter().all(|step| *step.after == *separator);
    if run.len() == 1 || !same {
        return cut_in_order(line, at, end, run, spans);
    }
    let mut starts = pieces(region, separator);
    if starts.len() > run.len() {
        spans.doubtful = true;
        join(&mut starts, region, separator, run);
    }
    for (number, step) in run.iter().enumerate() {
        let Some(start) = starts.get(number) else {
            break;
        };
        let stop = starts.get(number + 1).map_or(region.len(), |next| next - separator.len());
        spans.set(step.slot, Span::new(at + start, at + stop));
    }
    spans.doubtful |= starts.len() < run.len();
}

/// The starts of the pieces between the separators. A run has a handful of pieces unless it is hostile.
fn pieces(region: &[u8], separator: &[u8]) -> Pieces {
    let mut starts = Pieces::new();
    starts.push(0);
    let mut from = 0;
    while let Some(len) = find(&region[from..], separator) {
        from += len + separator.len();
        if !starts.push(from) {
            break;
        }
    }
    starts
}

/// Drops starts until there are as many as steps: the piece that is a UUID is the request id, the first
/// piece the first header, and the widest header (agent, path) takes what is left.
fn join(starts: &mut Pieces, region: &[u8], separator: &[u8], run: &[Step]) {
    let widest = run
        .iter()
        .position(|step| step.slot == Field::UserAgent as u8)
        .or_else(|| run.iter().position(|step| step.slot == Field::Path as u8))
        .unwrap_or(0);
    let surplus = starts.len() - run.len();
    let piece = |starts: &Pieces, number: usize| -> Option<&[u8]> {
        let from = *starts.get(number)?;
        let to = starts.get(number + 1).map_or(region.len(), |next| next - separator.len());
        region.get(from..to)
    };
    // Where the request id stands tells how much of the surplus lies before it, and how much behind.
    let id = run.iter().position(|step| step.slot == Field::RequestId as u8).filter(|id| *id > widest);
    let behind = id.and_then(|id| {
        let mut at = (id..=id + surplus).filter(|at| piece(starts, *at).is_some_and(is_uuid));
        let only = at.next()?;
        at.next().is_none().then(|| surplus - (only - id))
    });
    let behind = behind.unwrap_or(0);
    starts.remove(widest + 1, surplus - behind);
    let last = run.len();
    starts.remove(last, behind);
}

/// Eight, four, four, four and twelve hexadecimal digits.
pub(in crate::format) fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn cut_in_order(line: &[u8], mut at: usize, end: usize, run: &[Step], spans: &mut Spans) {
    for (number, step) in run.iter().enumerate() {
        let last = number + 1 == run.len();
        let len = if last { Some(end - at) } else { find(&line[at..end], &step.after) };
        let Some(len) = len else {
            spans.doubtful = true;
            return;
        };
        spans.set(step.slot, Span::new(at, at + len));
        at += len + if last { 0 } else { step.between().len() };
    }
}

/// Starts of pieces, on the stack: a line is not worth an allocation.
struct Pieces {
    starts: [usize; Self::MOST],
    count: usize,
}

impl Pieces {
    /// More pieces than this are not told apart: the rest belongs to the last one.
    const MOST: usize = 64;

    fn new() -> Self {
        Self { starts: [0; Self::MOST], count: 0 }
    }

    fn push(&mut self, start: usize) -> bool {
        let Some(place) = self.starts.get_mut(self.count) else {
            return false;
        };
        *place = start;
        self.count += 1;
        true
    }

    fn get(&self, number: usize) -> Option<&usize> {
        self.starts[..self.count].get(number)
    }

    fn len(&self) -> usize {
        self.count
    }

    fn remove(&mut self, at: usize, many: usize) {
        let (at, many) = (at.min(self.count), many.min(self.count - at.min(self.count)));
        self.starts.copy_within(at + many..self.count, at);
        self.count -= many;
    }
}
