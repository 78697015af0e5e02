//! `State`: what one run has learned, as plain data, to be written down and added to what others have learned.
//!
//! A report is made of the ledger and of counts of lines, and both only add up. So logs may be read apart, on many
//! machines or night by night, and the states of the parts say together what one run over all of it says, if
//!
//! * both legs of a connection are in one part, because what waits for a partner at the end of a part goes alone: cut by
//!   the client's end on the wire (the outbound leg's upstream local address, the inbound leg's downstream remote
//!   address), and where requests have ids, keep together what shares one;
//! * no line is in two parts: repeated lines are told within a part only;
//! * inputs have the same names and lines the same numbers in the parts, or they are shown as the parts have them.
//!   An input is one by its name, and inputs stand in the order in which states name them first. Of lines that began at the
//!   same time, those come first as evidence that stand first.
//!
//! Past the ledger's caps, what is told apart depends on what came first, in one run as among states.

mod file;
mod lines;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::{Saved, Unsound};

pub use file::{Error, VERSION, check, read, write};
pub use lines::Lines;

/// What a run has learned. It holds real names and lines.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The run.
    pub run: Run,
    /// Its lines.
    pub lines: Lines,
    /// Its connections.
    pub ledger: Saved,
}

/// What was read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// The inputs' names, by number.
    pub inputs: Vec<String>,
    /// Files in folders and archives that were left out, by the reason.
    pub skipped: BTreeMap<Cow<'static, str>, u64>,
    /// What went wrong with inputs.
    pub troubles: Vec<String>,
    /// Whether an input was not read to its end because somebody stopped the run.
    pub interrupted: bool,
    /// Lines that went into another leg.
    pub merged: u64,
    /// Lines that were there before.
    pub repeated: u64,
    /// Legs given up early.
    pub early: u64,
    /// Connections of which no line was wanted.
    pub left_out: u64,
}

/// So much may be counted in all states that are added up, milliseconds included: two million years. Nothing that is made of it
/// overflows.
const MOST: u128 = 1 << 56;

impl State {
    /// Everything that adds up in it, in one number.
    fn total(&self) -> u128 {
        let Run { skipped, merged, repeated, early, left_out, .. } = &self.run;
        let run = skipped.values().chain([merged, repeated, early, left_out]);
        self.ledger.total() + self.lines.total() + run.map(|count| u128::from(*count)).sum::<u128>()
    }

    /// The total of this state and of others that have that one.
    ///
    /// Fails if no logs can have so much, or a reason is not one.
    pub fn added_to(&self, total: u128) -> Result<u128, Unsound> {
        if !self.run.skipped.keys().all(|reason| is_plain(reason)) {
            return Err(Unsound("files were left out for no reason"));
        }
        let sum = total.saturating_add(self.total());
        if sum > MOST { Err(Unsound("more was counted than can be")) } else { Ok(sum) }
    }
}

/// Whether a word can be one of this program's, or of another version's: whoever reads it need not be careful.
fn is_plain(word: &str) -> bool {
    word.len() <= 40 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -+.,'_/".contains(&byte))
}
