//! `Tally`: what a block was counted to have. All of it can be added up in any order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::event::Events;
use crate::other::Other;
use crate::reject::Rejects;

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
    pub envelopes: BTreeMap<Cow<'static, str>, u64>,
    /// Lines of other kinds.
    pub others: BTreeMap<Other, u64>,
    /// What proxies say about themselves.
    pub events: Events,
    /// Lines that could not be read.
    pub rejects: Rejects,
    /// The first lines of other kinds, if they were to be shown.
    pub unread: Rejects,
    /// Access lines whose headers could be cut in more than one way.
    pub doubtful: u64,
    /// Access lines with trailing columns that their format does not have.
    pub tolerated: u64,
    /// Access lines outside of the time that was asked for.
    pub outside: u64,
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
        self.outside += other.outside;
        add(&mut self.formats, other.formats);
        add(&mut self.envelopes, other.envelopes);
        add(&mut self.others, other.others);
        self.events.merge(other.events);
        self.rejects.merge(other.rejects);
        self.unread.merge(other.unread);
    }
}

fn add<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key).or_default() += count;
    }
}
