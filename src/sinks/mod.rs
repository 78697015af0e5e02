//! Outputs: what a run shows, and when. An output is one file and one line in `Output`.
//!
//! The run pushes; a sink takes what it needs, and the rest does nothing. Sinks are generic in the writer, so
//! tests print into a vector.

mod check;
mod clean;
mod json;
mod page;
pub mod route;
mod text;

use std::io::{self, Write};

use crate::filter::Filter;
use crate::report::{Report, Shown, Told};
use crate::table::{Batch, Selection};

pub use check::Check;
pub(crate) use clean::clean;
pub use json::{Json, Ndjson, document, leg_object};
pub use page::Page;
pub use text::{Style, Text};

/// Where a run's results go.
pub trait Sink {
    /// Whether connections are to be shown one by one, which costs a copy of every line.
    fn wants_connections(&self) -> bool {
        false
    }

    /// A connection that is closed.
    fn connection(&mut self, _connection: &Shown) -> io::Result<()> {
        Ok(())
    }

    /// Whether anything is wanted that needs connections: pairs, findings, a report.
    fn wants_pairs(&self) -> bool {
        true
    }

    /// The columns of legs that are to be shown line by line.
    fn wants_legs(&self) -> Option<Selection> {
        None
    }

    /// Legs, in the order of their lines: those of the rows that `keep` names.
    fn legs(&mut self, _rows: &Batch, _keep: &dyn Fn(usize) -> bool) -> io::Result<()> {
        Ok(())
    }

    /// The columns of connections that are to be shown as rows of their table, and which rows; it costs a copy of every line.
    fn wants_rows(&self) -> Option<(&Selection, Option<&Filter>)> {
        None
    }

    /// Connections that are closed, as rows.
    fn rows(&mut self, _rows: &Batch) -> io::Result<()> {
        Ok(())
    }

    /// A finding of a live run, the first time that it shows.
    fn finding(&mut self, _finding: &Told) -> io::Result<()> {
        Ok(())
    }

    /// The end.
    fn finish(&mut self, report: &Report) -> io::Result<()>;

    /// What was pushed so far must be seen now.
    fn flush(&mut self) -> io::Result<()>;
}

/// The outputs by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A report for people
    Text,
    /// One JSON document at the end
    Json,
    /// One JSON object a line: findings as they show, the summary at the end
    Ndjson,
}

/// The sink of an output.
pub fn open<'w, W: Write + 'w>(output: Output, writer: W, connections: bool, style: Style) -> Box<dyn Sink + 'w> {
    match output {
        Output::Text => Box::new(Text::new(writer, connections, style)),
        Output::Json => Box::new(Json::new(writer, connections)),
        Output::Ndjson => Box::new(Ndjson::new(writer, connections)),
    }
}
