//! `Export`: tables of a run as files that notebooks and databases open.
//!
//! Rows come while the input is read and leave in groups, so memory does not grow with the log. A file appears under its
//! name when it is whole, or not at all.

mod arrays;
mod footer;
mod form;
mod hidden;
mod pages;
mod parquet;
mod partition;
mod place;
mod rows;
mod writer;

use std::io;

pub use form::Form;
pub use partition::Key;
pub use place::Place;

use partition::{Parting, Partitions};
use rows::Said;
use writer::Output;

use crate::filter::Filter;
use crate::report::Report;
use crate::sinks::Sink;
use crate::table::{Batch, Row, Selection, Table};

/// What is written at once, a batch of Arrow: so many rows, or so many bytes if rows are long.
const BATCH: (usize, usize) = (16 << 10, 8 << 20);
/// A row group of Parquet. Its file says something about every group, so groups are large.
const ROW_GROUP: (usize, usize) = (128 << 10, 16 << 20);

/// One table and where it goes.
#[derive(Debug)]
pub struct Wish {
    /// Its columns.
    pub selection: Selection,
    /// Which of its rows.
    pub filter: Option<Filter>,
    /// Where they go; a folder, if they are parted.
    pub to: Place,
    /// As what.
    pub form: Form,
    /// By what they are parted.
    pub parts: Vec<Key>,
    /// Whether text that a spreadsheet would take for a formula is disarmed.
    pub csv_safe: bool,
}

/// The sink that writes tables.
pub struct Export {
    tables: Vec<Open>,
}

/// A table that is being written.
struct Open {
    selection: Selection,
    filter: Option<Filter>,
    /// Rows that wait for their group to be full.
    batch: Batch,
    to: Target,
}

enum Target {
    One(Box<Output>),
    Parts(Box<Partitions>),
}

impl Export {
    /// Opens the files, without their names yet. Nothing is made if one of the tables cannot be parted as it is wished.
    pub fn open(wishes: Vec<Wish>) -> io::Result<Export> {
        let parting =
            |wish: &Wish| (!wish.parts.is_empty()).then(|| Parting::of(&wish.selection, &wish.parts)).transpose();
        let partings = wishes.iter().map(parting).collect::<io::Result<Vec<Option<Parting>>>>()?;
        let tables = wishes.into_iter().zip(partings).map(|(wish, parting)| Open::new(wish, parting));
        Ok(Export { tables: tables.collect::<io::Result<Vec<Open>>>()? })
    }

    fn table(&mut self, table: Table) -> Option<&mut Open> {
        self.tables.iter_mut().find(|open| open.selection.table == table)
    }
}

impl Open {
    fn new(wish: Wish, parting: Option<Parting>) -> io::Result<Open> {
        let Wish { selection, filter, to, form, csv_safe, .. } = wish;
        let to = match parting {
            None => Target::One(Box::new(Output::create(&selection, to, form, csv_safe)?)),
            Some(parting) => Target::Parts(Box::new(Partitions::create(parting, &to, form, csv_safe)?)),
        };
        Ok(Open { batch: selection.batch(), selection, filter, to })
    }

    fn add(&mut self, row: &impl Row) -> io::Result<()> {
        if self.filter.as_ref().is_none_or(|filter| filter.takes(row)) {
            self.batch.add(&self.selection, row);
            self.full()?;
        }
        Ok(())
    }

    /// Writes the rows that wait if they are enough.
    fn full(&mut self) -> io::Result<()> {
        let (rows, bytes) = match &self.to {
            Target::One(output) if output.form() == Form::Parquet => ROW_GROUP,
            _ => BATCH,
        };
        if self.batch.rows() >= rows || self.batch.bytes() >= bytes { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        match &mut self.to {
            Target::One(output) => output.write(&mut self.batch)?,
            Target::Parts(parts) => parts.write(&self.batch)?,
        }
        self.batch.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if self.batch.rows() > 0 {
            self.write()?;
        }
        match self.to {
            Target::One(output) => output.finish(),
            Target::Parts(parts) => parts.finish(),
        }
    }
}

impl Sink for Export {
    fn wants_pairs(&self) -> bool {
        self.tables.iter().any(|open| !matches!(open.selection.table, Table::Legs | Table::Events))
    }

    fn wants_legs(&self) -> Option<Selection> {
        let legs = self.tables.iter().find(|open| open.selection.table == Table::Legs);
        legs.map(|open| open.selection.clone())
    }

    fn legs(&mut self, rows: &Batch, keep: &dyn Fn(usize) -> bool) -> io::Result<()> {
        let Some(open) = self.table(Table::Legs) else { return Ok(()) };
        open.batch.append(rows, keep);
        open.full()
    }

    fn wants_rows(&self) -> Option<(&Selection, Option<&Filter>)> {
        let connections = self.tables.iter().find(|open| open.selection.table == Table::Connections)?;
        Some((&connections.selection, connections.filter.as_ref()))
    }

    fn rows(&mut self, rows: &Batch) -> io::Result<()> {
        let Some(open) = self.table(Table::Connections) else { return Ok(()) };
        open.batch.append(rows, |_| true);
        open.full()
    }

    fn finish(&mut self, report: &Report) -> io::Result<()> {
        // Half of a log would look like the whole. A stream is out already: it ends well-formed.
        if report.interrupted && self.tables.iter().all(Open::is_file) {
            self.tables.clear();
            return Ok(());
        }
        if let Some(open) = self.table(Table::Findings) {
            report.findings.iter().try_for_each(|told| open.add(told))?;
        }
        if let Some(open) = self.table(Table::Traffic) {
            report.traffic.iter().try_for_each(|row| open.add(row))?;
        }
        if let Some(open) = self.table(Table::Events) {
            let said = report.events.iter().flat_map(|group| group.lines.iter().map(|line| Said(group.kind, line)));
            said.into_iter().try_for_each(|said| open.add(&said))?;
        }
        self.tables.drain(..).try_for_each(Open::finish)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Whoever reads a stream wants what there is.
        for open in &mut self.tables {
            if let Target::One(output) = &open.to
                && output.is_stream()
                && open.batch.rows() > 0
            {
                open.write()?;
            }
        }
        Ok(())
    }
}

impl Open {
    fn is_file(&self) -> bool {
        !matches!(&self.to, Target::One(output) if output.is_stream())
    }
}
