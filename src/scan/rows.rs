//! Rows of tables, made where the fields of a line still lie in its block; and which lines are wanted.

use super::{Line, Scanner};
use crate::filter::Filter;
use crate::leg::Leg;
use crate::record::Record;
use crate::scan::unwrap::Wrapped;
use crate::table::{Apart, Batch, LegRow, Selection};

/// What is asked of every line.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The columns of the legs' table that are to be taken down.
    pub columns: Option<Selection>,
    /// Which lines are wanted.
    pub filter: Option<Filter>,
}

/// The rows of a block, and of which legs they are.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The rows of the legs that are wanted.
    pub batch: Batch,
    /// The leg of each row, by its place in the block's legs.
    pub legs: Vec<u32>,
    /// Whether each of the block's legs is wanted; empty if all are.
    pub wanted: Vec<bool>,
}

impl Rows {
    /// Empty, with columns for what is asked.
    pub(super) fn begin(&mut self, asked: &Asked) {
        match &asked.columns {
            Some(columns) if self.batch.width() != columns.numbers.len() => self.batch = columns.batch(),
            _ => self.batch.clear(),
        }
        self.legs.clear();
        self.wanted.clear();
    }
}

impl Scanner<'_> {
    /// Asks what is asked of a line that became the next leg.
    pub(super) fn ask(&mut self, record: Record<'_>, wrapped: &Wrapped, leg: &Leg, line: Line<'_>) {
        let Some(asked) = &self.options.asked else { return };
        let names = &self.known.names;
        let format = &self.formats.list()[self.hint];
        let row = LegRow {
            record,
            extras: &format.extras,
            format: &format.name,
            start: leg.start,
            end: leg.end(),
            side: leg.side,
            source: self.inputs.get(line.origin.source.0 as usize).map_or("", String::as_str),
            line: line.origin.line,
            namespace: names.get(wrapped.namespace),
            pod: names.get(wrapped.pod),
            container: names.get(wrapped.container),
            node: names.get(wrapped.node),
            arrived: wrapped.arrived,
            apart: Apart::default(),
        };
        let rows = &mut self.out.rows;
        if let Some(filter) = &asked.filter {
            let wanted = filter.takes(&row);
            rows.wanted.push(wanted);
            if !wanted {
                return;
            }
        }
        if let Some(columns) = &asked.columns {
            rows.batch.add(columns, &row);
            rows.legs.push(self.out.legs.len() as u32);
        }
    }
}
