//! `Run`: headers before the trusted middle of a line, the request column above all, and what Envoy writes behind them.

use memchr::{memchr, memmem};

use super::Fault;
use super::middle::cut;
use super::step::{Step, find};
use crate::field::{Field, Kind};
use crate::record::Spans;

/// A run of headers before the middle (the request column), and what Envoy writes behind it.
pub(super) struct Run<'r> {
    pub(super) line: &'r [u8],
    pub(super) at: usize,
    pub(super) headers: &'r [Step],
    pub(super) behind: &'r [Step],
}

impl Run<'_> {
    /// Reads both; gives the place behind them. The run ends at the first place behind which everything is what it
    /// must be. A path or a header can hold a forged head; then there are two such places and the record is doubtful:
    /// a reading without a flag wins, because nobody shall be able to forge a failure.
    pub(super) fn read(&self, protocol: &memmem::Finder<'_>, spans: &mut Spans) -> Result<usize, Fault> {
        let (mut end, mut place) = self.next(self.at, spans)?;
        // Nearly every line has one protocol only.
        if protocol.find(&self.line[place..]).is_some() {
            let clean = |spans: &Spans| spans.get(Field::ResponseFlags).of(self.line) == Some(b"-");
            let (mut trial, mut from) = (spans.clone(), end + 1);
            while let Ok((other, behind)) = self.next(from, &mut trial) {
                trial.doubtful = true;
                if clean(&trial) && !clean(spans) {
                    spans.clone_from(&trial);
                    (end, place) = (other, behind);
                }
                spans.doubtful = true;
                from = other + 1;
            }
        }
        cut(self.line, self.at, end, self.headers, spans);
        Ok(place)
    }

    /// The first end of the run from `from` on, and the place behind what Envoy writes there; else how far the best
    /// one got.
    fn next(&self, mut from: usize, spans: &mut Spans) -> Result<(usize, usize), Fault> {
        let slot = self.headers.first().map_or(0, |step| step.slot);
        let mut furthest = Fault { slot, at: self.at as u32 };
        let Some(last) = self.headers.last() else { return Err(furthest) };
        while let Some(len) = self.line.get(from..).and_then(|rest| find(rest, &last.after)) {
            let end = from + len;
            if self.has_all(end) {
                match self.behind(end + last.between().len(), spans) {
                    Ok(place) => return Ok((end, place)),
                    Err(fault) if fault.at > furthest.at => furthest = fault,
                    Err(_) => {}
                }
            }
            from = end + 1;
        }
        Err(furthest)
    }

    /// Reads what Envoy writes behind the run. No value of its own without quotes around it has one in it.
    fn behind(&self, mut at: usize, spans: &mut Spans) -> Result<usize, Fault> {
        for step in self.behind {
            let from = at;
            at = step.read(self.line, at, spans)?;
            let quotes = || memchr(b'"', &self.line[from..at - step.between().len()]).is_some();
            if step.kind == Kind::Text && !step.quoted && quotes() {
                return Err(Fault { slot: step.slot, at: from as u32 });
            }
        }
        Ok(at)
    }

    /// Whether every value of the run has its place before `end`.
    fn has_all(&self, end: usize) -> bool {
        let mut first = self.headers[..self.headers.len() - 1].iter();
        let behind = |from: usize, step: &Step| {
            find(self.line.get(from..end)?, &step.after).map(|len| from + len + step.between().len())
        };
        first.try_fold(self.at, behind).is_some()
    }
}
