//! `Rejects`: lines that look like access lines and could not be read, counted by reason, the first few kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::field::Field;
use crate::source::Origin;

/// Why a line was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// It ends inside of a field.
    Cut,
    /// A field is not what it must be: no known format has this shape.
    Broken,
    /// Its start time does not read.
    BadTime,
    /// The runtime wrote it in several records.
    Partial,
    /// It is no access line of a known format.
    Unlike,
    /// It is longer than any line that is kept in memory.
    TooLong,
}

impl Reason {
    /// The word in the summary.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Cut => "cut",
            Reason::Broken => "broken",
            Reason::BadTime => "bad-time",
            Reason::Partial => "partial",
            Reason::Unlike => "no-access-line",
            Reason::TooLong => "too-long",
        }
    }
}

/// One rejected line, clipped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reject {
    /// Where it stands.
    pub origin: Origin,
    /// The key of the field at which reading stopped, if it was a field of the table.
    pub field: Option<&'static str>,
    /// The bytes around the place, as they are.
    pub excerpt: Vec<u8>,
    /// The place in the excerpt.
    pub at: usize,
}

/// How many rejected lines of a reason are kept.
const KEPT: usize = 3;
/// How much of a rejected line is kept before and behind the place.
const AROUND: usize = 60;

/// Rejected lines by reason.
#[derive(Clone, Debug, Default)]
pub struct Rejects {
    by_reason: BTreeMap<Reason, (u64, Vec<Reject>)>,
}

impl Rejects {
    /// Counts one: `at` is the byte of `line` where reading stopped, `slot` the field's number.
    #[cold]
    pub fn add(&mut self, reason: Reason, origin: Origin, line: &[u8], at: usize, slot: Option<u8>) {
        let (count, first) = self.by_reason.entry(reason).or_default();
        *count += 1;
        if first.len() < KEPT {
            let from = at.min(line.len()).saturating_sub(AROUND);
            let to = line.len().min(at.saturating_add(AROUND));
            let field = slot.and_then(|slot| Field::ALL.get(slot as usize)).map(|field| field.key());
            first.push(Reject {
                origin,
                field,
                excerpt: line[from..to.max(from)].to_vec(),
                at: at.min(line.len()) - from,
            });
        }
    }

    /// Takes so many lines of a reason, of which these are the first.
    pub fn put(&mut self, reason: Reason, count: u64, first: Vec<Reject>) {
        self.merge(Rejects { by_reason: BTreeMap::from([(reason, (count, first))]) });
    }

    /// Takes the counts of another part of the input; of the kept lines the first ones stay.
    pub fn merge(&mut self, other: Rejects) {
        for (reason, (count, lines)) in other.by_reason {
            let (ours, first) = self.by_reason.entry(reason).or_default();
            *ours += count;
            first.extend(lines);
            first.sort();
            first.truncate(KEPT);
        }
    }

    /// Reason, count and the first lines.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64, &[Reject])> {
        self.by_reason.iter().map(|(reason, (count, first))| (*reason, *count, &first[..]))
    }

    /// How many lines there are in all.
    pub fn count(&self) -> u64 {
        self.by_reason.values().map(|(count, _)| count).sum()
    }
}
