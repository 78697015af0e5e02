//! `Lines`: a tally as plain data. What has a number in a run has its name here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::is_plain;
use crate::event::{Event, Kind};
use crate::field::Field;
use crate::ledger::Unsound;
use crate::other::Other;
use crate::reject::{Reason, Reject};
use crate::scan::Tally;
use crate::source::{Origin, SourceId};

/// What was counted of lines.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Lines {
    all: u64,
    bytes: u64,
    formats: BTreeMap<String, u64>,
    envelopes: BTreeMap<Cow<'static, str>, u64>,
    others: BTreeMap<Other, u64>,
    events: Vec<(Kind, u64, Vec<Event>)>,
    rejects: Vec<(Reason, u64, Vec<Rejected>)>,
    doubtful: u64,
    tolerated: u64,
    outside: u64,
}

/// A line that could not be read.
#[derive(Debug, Serialize, Deserialize)]
struct Rejected {
    origin: Origin,
    field: Option<String>,
    excerpt: Vec<u8>,
    at: u64,
}

impl Lines {
    /// The counts of a run; `formats` are the names of its formats, by number.
    pub fn of(tally: &Tally, formats: &[String]) -> Lines {
        let mut lines = Lines {
            all: tally.lines,
            bytes: tally.bytes,
            envelopes: tally.envelopes.clone(),
            others: tally.others.clone(),
            doubtful: tally.doubtful,
            tolerated: tally.tolerated,
            outside: tally.outside,
            ..Lines::default()
        };
        for (number, count) in &tally.formats {
            *lines.formats.entry(formats.get(*number).cloned().unwrap_or_default()).or_default() += count;
        }
        for (kind, count, first) in tally.events.iter() {
            lines.events.push((kind, count, first.into_iter().cloned().collect()));
        }
        for (reason, count, first) in tally.rejects.iter() {
            lines.rejects.push((reason, count, first.iter().map(Rejected::of).collect()));
        }
        lines
    }

    /// The counts for a run that gives formats their numbers with `format` and has our inputs by the numbers `sources`.
    ///
    /// Fails if a line stands in an input that is not there, or a word can be nobody's.
    pub fn tally(self, mut format: impl FnMut(String) -> usize, sources: &[SourceId]) -> Result<Tally, Unsound> {
        let moved = |origin: Origin| match sources.get(origin.source.0 as usize) {
            Some(source) => Ok(Origin { source: *source, ..origin }),
            None => Err(Unsound("a line stands in an input that is not there")),
        };
        if !self.envelopes.keys().all(|word| is_plain(word)) {
            return Err(Unsound("an envelope has no name"));
        }
        let mut tally = Tally {
            lines: self.all,
            bytes: self.bytes,
            formats: self.formats.into_iter().map(|(name, count)| (format(name), count)).collect(),
            envelopes: self.envelopes,
            others: self.others,
            doubtful: self.doubtful,
            tolerated: self.tolerated,
            outside: self.outside,
            ..Tally::default()
        };
        for (kind, count, mut first) in self.events {
            for event in &mut first {
                event.origin = moved(event.origin)?;
            }
            tally.events.put(kind, count, first);
        }
        for (reason, count, first) in self.rejects {
            let first: Result<Vec<Reject>, Unsound> =
                first.into_iter().map(|line| Ok(Reject { origin: moved(line.origin)?, ..line.reject() })).collect();
            tally.rejects.put(reason, count, first?);
        }
        Ok(tally)
    }

    /// Everything that adds up in it, in one number.
    pub(super) fn total(&self) -> u128 {
        let words = self.formats.values().chain(self.envelopes.values()).chain(self.others.values());
        let groups =
            self.events.iter().map(|(_, count, _)| count).chain(self.rejects.iter().map(|(_, count, _)| count));
        let counts =
            words.chain(groups).chain([&self.all, &self.bytes, &self.doubtful, &self.tolerated, &self.outside]);
        counts.map(|count| u128::from(*count)).sum()
    }
}

impl Rejected {
    fn of(line: &Reject) -> Rejected {
        let Reject { origin, field, excerpt, at } = line;
        Rejected { origin: *origin, field: field.map(str::to_owned), excerpt: excerpt.clone(), at: *at as u64 }
    }

    fn reject(self) -> Reject {
        let Rejected { origin, field, excerpt, at } = self;
        let known = |key: String| Field::ALL.iter().map(|field| field.key()).find(|known| *known == key);
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(excerpt.len());
        Reject { origin, field: field.and_then(known), excerpt, at }
    }
}
