//! A pass as a state, and what other passes have learned taken into it.

use std::collections::BTreeMap;
use std::io;

use super::Pass;
use crate::ledger::Unsound;
use crate::source::SourceId;
use crate::state::{Lines, Run, State};

impl Pass<'_> {
    /// What the run has learned, to be saved before [`Pass::finish`]. Connections that wait for their other leg are closed.
    ///
    /// Fails if a temporary file cannot be read again.
    pub fn state(&mut self, interrupted: bool) -> io::Result<State> {
        self.pairer.finish(&mut self.closing);
        self.closing.count();
        let run = Run {
            inputs: self.inputs.names.clone(),
            skipped: self.inputs.skipped.clone(),
            troubles: self.troubles.clone(),
            interrupted: interrupted || self.interrupted,
            merged: self.closing.merged,
            repeated: self.repeated,
            early: self.pairer.early,
            left_out: self.closing.left_out,
        };
        let ledger = self.closing.ledger.saved();
        self.check()?;
        Ok(State { run, lines: Lines::of(&self.tally, &self.formats), ledger })
    }

    /// Takes over what another run has learned, as if its lines had been read here.
    ///
    /// An error says that the state contradicts itself; the pass is of no more use then.
    pub fn join(&mut self, state: State) -> Result<(), Unsound> {
        self.joined = state.added_to(self.joined)?;
        let State { run, lines, ledger } = state;
        let Run { inputs, skipped, troubles, interrupted, merged, repeated, early, left_out } = run;
        let sources = self.sources(&inputs);
        self.closing.ledger.join(&ledger, &sources)?;
        let formats = &mut self.formats;
        let known: BTreeMap<String, usize> = formats.iter().cloned().zip(0..).collect();
        let format = |name: String| {
            known.get(&name).copied().unwrap_or_else(|| {
                formats.push(name);
                formats.len() - 1
            })
        };
        self.tally.merge(lines.tally(format, &sources)?);
        for (reason, count) in skipped {
            *self.inputs.skipped.entry(reason).or_default() += count;
        }
        self.troubles.extend(troubles);
        self.interrupted |= interrupted;
        self.closing.merged += merged;
        self.repeated += repeated;
        self.pairer.early += early;
        self.closing.left_out += left_out;
        Ok(())
    }

    /// Our numbers of a state's inputs. One of the same name is the same; of several with one name, the first is the first.
    fn sources(&mut self, names: &[String]) -> Vec<SourceId> {
        let known = &mut self.inputs.names;
        let mut free: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, name) in known.iter().enumerate().rev() {
            free.entry(name.clone()).or_default().push(number);
        }
        let number = |name: &String| {
            let number = free.get_mut(name).and_then(Vec::pop).unwrap_or_else(|| {
                known.push(name.clone());
                known.len() - 1
            });
            SourceId(number as u32)
        };
        names.iter().map(number).collect()
    }
}
