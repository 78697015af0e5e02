//! What was not used of a file, counted by the reason, so that a dump of ten thousand parts makes a few lines.

use std::collections::BTreeMap;

use crate::mesh::LeftOut;

/// Distinct reasons of one file; a hostile file could have as many as it has parts.
const MOST: usize = 50;

/// What was left out of one file.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Whether it is wrong and the reason, to the first place and the number of places.
    reasons: BTreeMap<(bool, Box<str>), (Box<str>, u64)>,
}

impl Notes {
    /// A part that we do not know.
    pub(super) fn unknown(&mut self, place: String, why: impl Into<Box<str>>) {
        self.add(false, place, why.into());
    }

    /// A part that is wrong.
    pub(super) fn wrong(&mut self, place: String, why: impl Into<Box<str>>) {
        self.add(true, place, why.into());
    }

    fn add(&mut self, wrong: bool, place: String, why: Box<str>) {
        let full = self.reasons.len() >= MOST && !self.reasons.contains_key(&(wrong, why.clone()));
        let why = if full { "for other reasons".into() } else { why };
        self.reasons.entry((wrong, why)).or_insert_with(|| (place.into(), 0)).1 += 1;
    }

    /// As values, in the order of the reasons.
    pub(super) fn into_left_out(self, file: &str) -> impl Iterator<Item = LeftOut> {
        self.reasons.into_iter().map(move |((wrong, why), (place, count))| {
            let why = if count > 1 { format!("{why}; {} more like it", count - 1).into() } else { why };
            LeftOut { file: file.into(), place, why, wrong }
        })
    }
}
