//! The forms in which a table can be written.

use std::path::Path;

/// A form. Adding one is a line here, an ending, and an arm in `writer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Text with commas, RFC 4180
    Csv,
    /// Apache Parquet, compressed with zstd
    Parquet,
    /// Arrow IPC file, also called Feather 2
    Arrow,
    /// Arrow IPC stream, batch by batch
    ArrowStream,
    /// One JSON object a line
    Ndjson,
}

/// What names end with.
const ENDINGS: [(&str, Form); 8] = [
    ("csv", Form::Csv),
    ("parquet", Form::Parquet),
    ("pq", Form::Parquet),
    ("arrow", Form::Arrow),
    ("feather", Form::Arrow),
    ("arrows", Form::ArrowStream),
    ("ndjson", Form::Ndjson),
    ("jsonl", Form::Ndjson),
];

impl Form {
    /// The form that a file's name asks for.
    pub fn of(path: &Path) -> Option<Form> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, form)| *form)
    }

    /// What the names of its files end with.
    pub fn ending(self) -> &'static str {
        ENDINGS.iter().find(|(_, form)| *form == self).map_or("", |(ending, _)| ending)
    }

    /// Whether what was written can be read before the rest is there.
    pub fn is_stream(self) -> bool {
        matches!(self, Form::Csv | Form::ArrowStream | Form::Ndjson)
    }
}
