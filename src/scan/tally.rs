//! `Count` and `Tally`: what a block was counted to have. All of it can be added up in any order.

use std::collections::BTreeMap;

use crate::field::value::Micros;
use crate::leg::Leg;
use crate::other::Other;
use crate::reject::Rejects;

/// What a block has of one way.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Lines.
    pub legs: u64,
    /// Start of the first one.
    pub first: Micros,
    /// Start of the last one.
    pub last: Micros,
    /// The earliest lines, as numbers of legs; `u32::MAX` where there are fewer.
    pub earliest: [u32; Count::EARLIEST],
}

impl Count {
    /// How many lines of a way are worth keeping.
    pub const EARLIEST: usize = 3;

    pub(super) const NOTHING: Count =
        Count { legs: 0, first: Micros(i64::MAX), last: Micros(i64::MIN), earliest: [u32::MAX; Count::EARLIEST] };

    /// Counts one more leg, the last one of `legs`.
    pub(super) fn add(&mut self, legs: &[Leg]) {
        let Some((leg, before)) = legs.split_last() else {
            return;
        };
        self.legs += 1;
        self.last = self.last.max(leg.start);
        self.first = self.first.min(leg.start);
        let earlier = |number: &u32| before.get(*number as usize).is_some_and(|known| known.start <= leg.start);
        let place = self.earliest.iter().take_while(|number| earlier(number)).count();
        if place < Self::EARLIEST {
            self.earliest[place..].rotate_right(1);
            self.earliest[place] = before.len() as u32;
        }
    }
}

/// Counts of lines. All of them can be added up in any order.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All lines.
    pub lines: u64,
    /// All bytes.
    pub bytes: u64,
    /// Access lines by the number of their format.
    pub formats: BTreeMap<usize, u64>,
    /// Access lines by envelope.
    pub envelopes: BTreeMap<&'static str, u64>,
    /// Lines of other kinds.
    pub others: BTreeMap<Other, u64>,
    /// Lines that could not be read.
    pub rejects: Rejects,
    /// Access lines whose headers could be cut in more than one way.
    pub doubtful: u64,
    /// Access lines with trailing columns that their format does not have.
    pub tolerated: u64,
}

impl Tally {
    /// Access lines.
    pub fn access(&self) -> u64 {
        self.formats.values().sum()
    }

    /// Takes the counts of another part of the input.
    pub fn merge(&mut self, other: Tally) {
        self.lines += other.lines;
        self.bytes += other.bytes;
        self.doubtful += other.doubtful;
        self.tolerated += other.tolerated;
        add(&mut self.formats, other.formats);
        add(&mut self.envelopes, other.envelopes);
        add(&mut self.others, other.others);
        self.rejects.merge(other.rejects);
    }
}

fn add<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key).or_default() += count;
    }
}
