//! What was not used of a file, counted by the reason, so that a dump of ten thousand parts makes a few lines.

use std::collections::BTreeMap;

use crate::mesh::LeftOut;

/// Distinct reasons of one file; a hostile file could have as many as it has parts.
const MOST: usize = 50;

/// What was left out of one file.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Each reason with the first place and the number of places.
    reasons: BTreeMap<Reason, (Box<str>, u64)>,
}

/// Why something is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reason {
    wrong: bool,
    why: Box<str>,
    /// The place without its numbers, where that matters.
    member: Box<str>,
}

impl Notes {
    /// A part that we do not know.
    pub(super) fn unknown(&mut self, place: String, why: impl Into<Box<str>>) {
        self.add(Reason { wrong: false, why: why.into(), member: Box::default() }, place);
    }

    /// A part that is wrong. What is wrong with one member tells nothing of another.
    pub(super) fn wrong(&mut self, place: String, why: impl Into<Box<str>>) {
        let member = place.replace(|letter: char| letter.is_ascii_digit(), "").into();
        self.add(Reason { wrong: true, why: why.into(), member }, place);
    }

    fn add(&mut self, mut reason: Reason, place: String) {
        if self.reasons.len() >= MOST && !self.reasons.contains_key(&reason) {
            (reason.why, reason.member) = ("for other reasons".into(), Box::default());
        }
        self.reasons.entry(reason).or_insert_with(|| (place.into(), 0)).1 += 1;
    }

    /// As values, in the order of the reasons.
    pub(super) fn into_left_out(self, file: &str) -> impl Iterator<Item = LeftOut> {
        self.reasons.into_iter().map(move |(Reason { wrong, why, .. }, (place, count))| {
            let why = if count > 1 { format!("{why}; {} more like it", count - 1).into() } else { why };
            LeftOut { file: file.into(), place, why, wrong }
        })
    }
}
