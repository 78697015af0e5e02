//! Hive-style folders: `date=2026-03-01/hour=10/namespace=shop/part-0.parquet`.
//!
//! Rows are told apart by key in memory and leave in groups; so many files are open at a time, and so many rows wait, and no
//! more. Files are written in a hidden folder beside their places and moved when all of them are whole.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use super::form::Form;
use super::hidden::Hidden;
use super::place::{Place, at};
use super::writer::Output;
use crate::field::value::Micros;
use crate::table::{Batch, Cell, Column, Kind, Selection};

/// How many files are open at a time; past it the one that was written to the longest ago ends.
const OPEN: usize = 64;
/// How many bytes of rows wait in all parts together; past it the part with the most writes them.
const WAITING: usize = 32 << 20;

/// What a table is parted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The day of `start_time`, in UTC.
    Date,
    /// The hour of `start_time`, in UTC, from 00 to 23.
    Hour,
    /// A column of text.
    Column(String),
}

impl Key {
    /// The key of a name.
    pub fn of(name: &str) -> Key {
        match name {
            "date" => Key::Date,
            "hour" => Key::Hour,
            column => Key::Column(column.to_owned()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Key::Date => "date",
            Key::Hour => "hour",
            Key::Column(name) => name,
        }
    }
}

/// The value of a key that a row does not have. Source: Apache Hive.
const NONE: &str = "__HIVE_DEFAULT_PARTITION__";

/// How a table is parted.
pub(super) struct Parting {
    /// The columns of the rows that come.
    selection: Selection,
    /// Those that are written: a column that is a key stands in the path.
    kept: Selection,
    /// The keys, and in which columns they stand.
    keys: Vec<(Key, usize)>,
}

/// A table in parts.
pub(super) struct Partitions {
    parting: Parting,
    folder: PathBuf,
    /// Where files are until all are whole.
    hidden: Hidden,
    form: Form,
    csv_safe: bool,
    parts: BTreeMap<String, Part>,
    /// Bytes of rows that wait in all parts.
    waiting: usize,
    /// How many groups were written: the age of parts is told by it.
    written: u64,
    /// Files that are whole, as they lie in the hidden folder and shall lie in the other.
    whole: Vec<PathBuf>,
}

#[derive(Default)]
struct Part {
    batch: Batch,
    output: Option<Output>,
    /// When something was written to it.
    used: u64,
    /// How many files it had.
    files: usize,
}

impl Parting {
    /// The error is a key that is no column, or that nothing is left to write.
    pub(super) fn of(selection: &Selection, keys: &[Key]) -> io::Result<Parting> {
        let find = |name: &str, kind: Kind| {
            let found = selection.columns.iter().position(|column| column.name == name && column.kind == kind);
            let what = if kind == Kind::Time { "instants" } else { "text" };
            let table = selection.table.name();
            found.ok_or_else(|| io::Error::other(format!("{table}: there is no column {name} of {what} to part by")))
        };
        let keys = keys.iter().map(|key| {
            let column = match key {
                Key::Date | Key::Hour => find("start_time", Kind::Time),
                Key::Column(name) => find(name, Kind::Text),
            };
            Ok((key.clone(), column?))
        });
        let keys = keys.collect::<io::Result<Vec<(Key, usize)>>>()?;
        let is_key = |column: &Column| keys.iter().any(|(key, _)| key.name() == column.name);
        let names: Vec<String> =
            selection.columns.iter().filter(|column| !is_key(column)).map(|column| column.name.to_string()).collect();
        if names.is_empty() {
            return Err(io::Error::other("every column is a key: nothing is left to write"));
        }
        let kept = Selection::of(selection.table, &names).map_err(io::Error::other)?;
        Ok(Parting { selection: selection.clone(), kept, keys })
    }

    /// The folders of a row.
    fn path(&self, batch: &Batch, row: usize) -> String {
        let mut path = String::new();
        for (key, column) in &self.keys {
            let cell = batch.cell(*column, row, self.selection.columns[*column].kind);
            let value = match (key, cell) {
                (Key::Column(_), Cell::Text(text)) => escaped(&text),
                (Key::Date, Cell::Time(Micros(at))) => Micros(at).to_string()[..10].to_owned(),
                (Key::Hour, Cell::Time(Micros(at))) => format!("{:02}", at.div_euclid(3_600_000_000).rem_euclid(24)),
                _ => NONE.to_owned(),
            };
            let _ = write!(path, "{}={value}/", key.name());
        }
        path
    }
}

impl Partitions {
    pub(super) fn create(parting: Parting, to: &Place, form: Form, csv_safe: bool) -> io::Result<Partitions> {
        let Place::Path(folder) = to else { return Err(io::Error::other("parts need a folder to lie in")) };
        std::fs::create_dir_all(folder).map_err(at(folder))?;
        let hidden = Hidden::create(folder).map_err(at(folder))?;
        Ok(Partitions {
            parting,
            folder: folder.clone(),
            hidden,
            form,
            csv_safe,
            parts: BTreeMap::new(),
            waiting: 0,
            written: 0,
            whole: Vec::new(),
        })
    }

    pub(super) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let Parting { selection, kept, .. } = &self.parting;
        let mut rows: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for row in 0..batch.rows() {
            rows.entry(self.parting.path(batch, row)).or_default().push(row);
        }
        for (path, rows) in rows {
            let part = self.parts.entry(path).or_default();
            if part.batch.width() == 0 {
                part.batch = kept.batch();
            }
            self.waiting -= part.batch.bytes();
            part.batch.take(batch, &rows, |number| {
                let name = &kept.columns[number].name;
                selection.columns.iter().position(|column| column.name == *name).unwrap_or_default()
            });
            self.waiting += part.batch.bytes();
        }
        while self.waiting > WAITING {
            let largest = self.parts.iter().max_by_key(|(_, part)| part.batch.bytes()).map(|(path, _)| path.clone());
            let Some(path) = largest else { break };
            self.group(&path)?;
        }
        Ok(())
    }

    /// Writes the rows that wait in a part.
    fn group(&mut self, path: &str) -> io::Result<()> {
        self.make_room(path)?;
        self.written += 1;
        let Some(part) = self.parts.get_mut(path) else { return Ok(()) };
        part.used = self.written;
        let output = match &mut part.output {
            Some(output) => output,
            empty => {
                let name = format!("{path}part-{}.{}", part.files, self.form.ending());
                part.files += 1;
                let target = self.folder.join(&name);
                if target.exists() {
                    return Err(at(&target)(io::Error::other("is there already; parts are not mixed with older ones")));
                }
                let file = self.hidden.path().join(&name);
                let folder = file.parent().unwrap_or(&file);
                std::fs::create_dir_all(folder).map_err(at(folder))?;
                self.whole.push(PathBuf::from(name));
                empty.insert(Output::create(&self.parting.kept, Place::Path(file), self.form, self.csv_safe)?)
            }
        };
        self.waiting -= part.batch.bytes();
        output.write(&mut std::mem::take(&mut part.batch))
    }

    /// Ends the file that was written to the longest ago, if too many are open for one more.
    fn make_room(&mut self, path: &str) -> io::Result<()> {
        let open = || self.parts.iter().filter(|(_, part)| part.output.is_some());
        if self.parts.get(path).is_some_and(|part| part.output.is_some()) || open().count() < OPEN {
            return Ok(());
        }
        let oldest = open().min_by_key(|(_, part)| part.used).map(|(path, _)| path.clone());
        let output = oldest.and_then(|oldest| self.parts.get_mut(&oldest)?.output.take());
        output.map_or(Ok(()), Output::finish)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        let paths: Vec<String> = self.parts.keys().cloned().collect();
        for path in &paths {
            if self.parts[path].batch.rows() > 0 {
                self.group(path)?;
            }
        }
        for output in std::mem::take(&mut self.parts).into_values().filter_map(|part| part.output) {
            output.finish()?;
        }
        for name in &self.whole {
            let (from, to) = (self.hidden.path().join(name), self.folder.join(name));
            let folder = to.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder).map_err(at(folder))?;
            std::fs::rename(from, &to).map_err(at(&to))?;
        }
        Ok(())
    }
}

/// A value as part of a path: what would end the part, or be a folder's name of its own, is written as %XX.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    for letter in value.chars() {
        let plain = letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' ') || letter == '.' && !out.is_empty();
        if plain {
            out.push(letter);
        } else {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    // Names of files end somewhere.
    if out.len() > 200 {
        let end = (0..=200).rev().find(|end| out.is_char_boundary(*end)).unwrap_or_default();
        out.truncate(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_within_their_folder() {
        for (value, expected) in [
            ("shop", "shop"),
            ("../etc", "%2E.%2Fetc"),
            (".", "%2E"),
            ("a=b/c", "a%3Db%2Fc"),
            ("v1.2", "v1.2"),
            ("\u{0}", "%00"),
        ] {
            assert_eq!(escaped(value), expected);
        }
    }
}
