//! `Table`: what a row of each table says, column by column. The one schema that exports, their documentation and filters
//! go by.
//!
//! Types are those that every reader takes alike: text, 32 and 64 bit numbers with a sign, truth, and instants in
//! microseconds of UTC. There are no lists, no categories and no unsigned numbers: some reader stumbles over each of them.

mod batch;
mod cell;
mod community;
mod connection;
mod event;
mod finding;
mod leg;
mod leg_row;
mod socket;
mod texts;
mod traffic;

use std::borrow::Cow;

pub use batch::{Batch, Values};
pub use cell::Cell;
pub use connection::{ConnectionRow, Known};
pub use leg_row::{Apart, LegRow};
pub use texts::Texts;

/// The version of the tables. A column that is new does not change it; one that goes, or means something else, does.
pub const VERSION: u32 = 1;

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Table {
    /// A row for every access line
    Legs,
    /// A row for every connection or request, with both of its legs
    Connections,
    /// A row for every finding
    Findings,
    /// Who called what over which cluster, how often
    Traffic,
    /// A row for what proxies say about themselves: started, not ready, configuration rejected
    Events,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text in UTF-8; bytes that are none are replaced by U+FFFD.
    Text,
    /// A number of 64 bits.
    Whole,
    /// A number of 32 bits.
    Small,
    /// True or false.
    Truth,
    /// An instant, microseconds since 1970 in UTC.
    Time,
}

impl Kind {
    /// Its word in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Whole => "int64",
            Kind::Small => "int32",
            Kind::Truth => "boolean",
            Kind::Time => "timestamp[us, UTC]",
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it is called.
    pub name: Cow<'static, str>,
    /// What its values are.
    pub kind: Kind,
    /// In what they are counted; empty where nothing is.
    pub unit: &'static str,
    /// What they mean, one phrase.
    pub meaning: Cow<'static, str>,
    /// When there is none; empty if there always is one.
    pub absent: &'static str,
    /// Where they come from.
    pub source: Cow<'static, str>,
}

impl Column {
    /// Whether a value is a list with commas, whose order means nothing.
    pub fn is_list(&self) -> bool {
        self.name.ends_with("response_flags") || self.name == "findings"
    }
}

/// A column whose description is fixed.
const fn column(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    meaning: &'static str,
    absent: &'static str,
    source: &'static str,
) -> Column {
    Column {
        name: Cow::Borrowed(name),
        kind,
        unit,
        meaning: Cow::Borrowed(meaning),
        absent,
        source: Cow::Borrowed(source),
    }
}

impl Table {
    /// Every table.
    pub const ALL: [Table; 5] = [Table::Legs, Table::Connections, Table::Findings, Table::Traffic, Table::Events];

    /// Its name, which its files have too.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Legs => "legs",
            Table::Connections => "connections",
            Table::Findings => "findings",
            Table::Traffic => "traffic",
            Table::Events => "events",
        }
    }

    /// What a row of it is, one phrase.
    pub const fn meaning(self) -> &'static str {
        match self {
            Table::Legs => "one row for every access line that was read, in the order of the lines of each input",
            Table::Connections => "one row for every connection or request, with the legs that were joined",
            Table::Findings => "one row for every finding, the worst first",
            Table::Traffic => "one row for every caller, destination and cluster, the busiest first",
            Table::Events => {
                "one row for every line in which a proxy says something about itself, a thousand of a kind at most"
            }
        }
    }

    /// Its columns, in order.
    pub fn columns(self) -> Vec<Column> {
        match self {
            Table::Legs => leg::columns(),
            Table::Connections => connection::columns(),
            Table::Findings => finding::COLUMNS.to_vec(),
            Table::Traffic => traffic::COLUMNS.to_vec(),
            Table::Events => event::COLUMNS.to_vec(),
        }
    }
}

impl Table {
    /// Of every column the one from which its values follow, by their numbers.
    fn bases(self) -> Vec<Option<usize>> {
        match self {
            Table::Legs => leg::bases(),
            Table::Connections => connection::bases(),
            _ => Vec::new(),
        }
    }
}

/// Some columns of a table, in the order in which they were asked for.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Whose.
    pub table: Table,
    /// Their numbers in [`Table::columns`].
    pub numbers: Vec<usize>,
    /// The columns.
    pub columns: Vec<Column>,
    /// Of each of them the one before it from which its values follow, if that was asked for as well.
    bases: Vec<Option<usize>>,
}

impl Selection {
    /// All columns.
    pub fn all(table: Table) -> Selection {
        let columns = table.columns();
        Selection::new(table, (0..columns.len()).collect(), columns)
    }

    /// These columns; the error is the name that the table does not have.
    pub fn of(table: Table, names: &[String]) -> Result<Selection, String> {
        let columns = table.columns();
        let find = |name: &String| columns.iter().position(|column| column.name == *name).ok_or_else(|| name.clone());
        let numbers = names.iter().map(find).collect::<Result<Vec<usize>, String>>()?;
        let columns = numbers.iter().map(|number| columns[*number].clone()).collect();
        Ok(Selection::new(table, numbers, columns))
    }

    fn new(table: Table, numbers: Vec<usize>, columns: Vec<Column>) -> Selection {
        let bases = table.bases();
        let base = |(place, number): (usize, &usize)| {
            let base = bases.get(*number).copied().flatten()?;
            numbers[..place].iter().position(|number| *number == base)
        };
        let bases = numbers.iter().enumerate().map(base).collect();
        Selection { table, numbers, columns, bases }
    }

    /// No rows of it yet.
    pub fn batch(&self) -> Batch {
        Batch::new(self.columns.iter().map(|column| column.kind))
    }
}

/// A row of any table: a cell by the number of its column.
pub trait Row {
    /// What stands in a column.
    fn cell(&self, column: usize) -> Cell<'_>;
}

impl Batch {
    /// Adds a row's cells, of the selected columns.
    pub fn add(&mut self, selection: &Selection, row: &impl Row) {
        for (place, (number, base)) in selection.numbers.iter().zip(&selection.bases).enumerate() {
            match base {
                Some(base) => self.follow(place, *base, || row.cell(*number)),
                None => self.put(place, row.cell(*number)),
            }
        }
        self.end_row();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::field::{self, Field};

    #[test]
    fn columns_are_described_and_have_one_name_each() {
        for table in Table::ALL {
            let mut seen = BTreeSet::new();
            for column in table.columns() {
                let name = column.name.clone().into_owned();
                let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
                assert!(name.chars().all(plain), "{name}");
                assert!(!column.meaning.is_empty() && !column.source.is_empty(), "{name}");
                assert!(
                    column.meaning.chars().next().is_some_and(|first| !first.is_uppercase())
                        || name == "start_time"
                        || column.meaning.starts_with("HTTP"),
                    "{name}: {}",
                    column.meaning
                );
                assert!(seen.insert(name), "{table:?}: {} twice", column.name);
            }
        }
    }

    #[test]
    fn every_field_of_a_line_is_a_column_of_its_leg() {
        let columns = Table::Legs.columns();
        for field in Field::ALL {
            let column =
                columns.iter().find(|column| column.name == field.key()).unwrap_or_else(|| panic!("{}", field.key()));
            assert_eq!(column.kind == Kind::Time, field.kind() == field::Kind::Time, "{}", column.name);
        }
    }

    #[test]
    fn columns_follow_from_those_before_them() {
        // Of four addresses two each, of a cluster four, a workload and the SNI's host.
        for (table, legs) in [(Table::Legs, 1), (Table::Connections, 2), (Table::Events, 0)] {
            let (bases, columns) = (table.bases(), table.columns());
            assert_eq!(bases.iter().flatten().count(), 14 * legs, "{table:?}");
            for (number, base) in bases.iter().enumerate().filter_map(|(number, base)| Some((number, (*base)?))) {
                assert!(
                    base < number && columns[base].name.ends_with(&*columns[number].source),
                    "{}",
                    columns[number].name
                );
            }
        }
        let names = ["upstream_host_ip", "upstream_host", "upstream_host_port"].map(str::to_owned);
        assert_eq!(Selection::of(Table::Legs, &names).unwrap().bases, [None, None, Some(1)]);
    }

    #[test]
    fn a_selection_keeps_the_order_asked_for() {
        let names = ["upstream_cluster".to_owned(), "source".to_owned()];
        let selection = Selection::of(Table::Legs, &names).unwrap();
        assert_eq!(selection.columns.iter().map(|column| &*column.name).collect::<Vec<_>>(), names);
        assert_eq!(Selection::of(Table::Legs, &["cluster".to_owned()]).unwrap_err(), "cluster");
    }
}
