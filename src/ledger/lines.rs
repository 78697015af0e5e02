//! `Lines`: the earliest lines that show each way.
//!
//! There are a hundred thousand ways, and a report shows three lines of each finding. So the texts lie in a temporary file, and a few
//! numbers of each line stay.

use std::io;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::field::value::Micros;
use crate::source::Origin;
use crate::spool::{Spool, Spot};

/// How much of a line is kept.
const LONGEST: usize = 4096;

/// A line that shows something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// Its start time; the earliest are kept.
    pub start: Micros,
    /// Where it stands.
    pub origin: Origin,
    /// The line as it was read, envelope included, clipped.
    pub text: Box<[u8]>,
}

/// A line that is kept, without its text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noted {
    /// Its start time.
    pub start: Micros,
    /// Where it stands.
    pub origin: Origin,
    spot: Spot,
}

impl Noted {
    /// The order in which lines are kept.
    pub fn order(&self) -> (Micros, Origin) {
        (self.start, self.origin)
    }
}

/// The room for a way's lines: they stand beside each other, in order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row {
    at: u32,
    kept: u8,
    most: u8,
}

impl Row {
    /// Room for so many lines.
    pub(super) fn new(most: u8) -> Row {
        Row { most, ..Row::default() }
    }

    /// Whether any is to be kept.
    pub(super) fn keeps(self) -> bool {
        self.most > 0
    }
}

/// The lines of all ways.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rows: Vec<Noted>,
    texts: Spool,
    /// Why a text could not be read again.
    lost: OnceLock<io::Error>,
}

impl Lines {
    /// Keeps a line if it is among the earliest of its way. Gives the start of the latest once there are enough.
    pub(super) fn put(&mut self, row: &mut Row, start: Micros, origin: Origin, text: &[u8]) -> Option<Micros> {
        let most = usize::from(row.most);
        if most == 0 {
            return None;
        }
        if row.kept == 0 {
            row.at = self.rows.len() as u32;
            self.rows.resize(self.rows.len() + most, Noted::default());
        }
        let lines = &mut self.rows[row.at as usize..][..most];
        let mut kept = usize::from(row.kept);
        let place = lines[..kept].partition_point(|known| known.order() < (start, origin));
        if place < most {
            if kept == most {
                self.texts.forget(lines[most - 1].spot);
            } else {
                row.kept += 1;
                kept += 1;
            }
            lines[place..kept].rotate_right(1);
            lines[place] = Noted { start, origin, spot: self.texts.keep(&text[..text.len().min(LONGEST)]) };
        }
        (kept == most).then(|| lines[most - 1].start)
    }

    /// The lines of a way, the earliest first.
    pub(super) fn of(&self, row: Row) -> &[Noted] {
        &self.rows[row.at as usize..][..row.kept.into()]
    }

    /// A line with its text; with none where that cannot be read any more, which [`Lines::lost`] tells.
    pub(super) fn read(&self, line: &Noted) -> Evidence {
        let mut text = Vec::new();
        if let Err(error) = self.texts.read(line.spot, &mut text) {
            let _ = self.lost.set(error);
        }
        Evidence { start: line.start, origin: line.origin, text: text.into() }
    }

    /// Why a text could not be read again, if there is one.
    pub(super) fn lost(&mut self) -> Option<io::Error> {
        self.lost.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceId;

    #[test]
    fn the_earliest_lines_of_each_way_are_kept_in_whatever_order_they_come() {
        let mut lines = Lines::default();
        let mut rows = [Row::new(3), Row::new(1)];
        for number in (0..3000).map(|number| number * 7919 % 3000) {
            let origin = Origin { source: SourceId(0), line: number };
            for (row, name) in rows.iter_mut().zip(["one", "other"]) {
                let text = format!("{name} {number} {}", "x".repeat(number as usize % 500));
                lines.put(row, Micros(number.cast_signed() / 2), origin, text.as_bytes());
            }
        }
        let texts = |row: Row| -> Vec<String> {
            let texts = lines.of(row).iter().map(|line| lines.read(line).text);
            texts.map(|text| String::from_utf8_lossy(&text).trim_end_matches('x').to_owned()).collect()
        };
        assert_eq!(texts(rows[0]), ["one 0 ", "one 1 ", "one 2 "]);
        assert_eq!(texts(rows[1]), ["other 0 "]);
    }
}
