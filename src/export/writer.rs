//! Writers of the forms, group by group.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use polars::io::csv::write::{BatchedWriter as Csv, CsvWriter};
use polars::io::json::BatchedWriter as Ndjson;
use polars::io::parquet::write::{BatchedWriter as Parquet, KeyValueMetadata, ParquetWriter};
use polars::prelude::{CompatLevel, DataFrame, PolarsError, SchemaExt, SerWriter};
use polars_arrow::datatypes::{ArrowSchemaRef, Metadata};
use polars_arrow::io::ipc::write::{FileWriter, StreamWriter, WriteOptions};
use polars_parquet::write::schema_to_metadata_key;

use super::form::Form;
use super::frame::{Style, frame, schema};
use super::place::{Opened, Place, at};
use crate::table::{Batch, Selection, VERSION};

/// One file that is being written.
pub(super) struct Output {
    selection: Selection,
    style: Style,
    form: Form,
    place: Place,
    writer: Writer,
}

type Out = BufWriter<Opened>;

enum Writer {
    Csv(Csv<Shared>, Shared),
    Parquet(Box<Parquet<Shared>>, Shared),
    Arrow(Box<FileWriter<Shared>>, Shared),
    ArrowStream(StreamWriter<Shared>, Shared),
    Ndjson(Ndjson<Shared>, Shared),
}

/// The output, which polars' writers do not give back.
#[derive(Clone)]
struct Shared(Arc<std::sync::Mutex<Option<Out>>>);

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut Out) -> io::Result<T>) -> io::Result<T> {
        let mut out = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        out.as_mut().map_or_else(|| Err(io::Error::other("is closed")), work)
    }

    /// The output, for good.
    fn take(&self) -> io::Result<Opened> {
        let out = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let out = out.ok_or_else(|| io::Error::other("is closed"))?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

#[expect(clippy::disallowed_methods, reason = "it is what `write` is made of")]
impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(Write::flush)
    }
}

/// What files say of themselves, where they can.
fn about(selection: &Selection) -> [(&'static str, String); 3] {
    [
        ("logscan.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("logscan.table", selection.table.name().to_owned()),
        ("logscan.schema_version", VERSION.to_string()),
    ]
}

/// Polars' errors, as those of the output that they are.
fn io_error(error: PolarsError) -> io::Error {
    match error {
        PolarsError::IO { error, .. } => io::Error::new(error.kind(), error),
        other => io::Error::other(other),
    }
}

impl Output {
    pub(super) fn create(selection: &Selection, place: Place, form: Form, csv_safe: bool) -> io::Result<Output> {
        let text = matches!(form, Form::Csv | Form::Ndjson);
        let style = Style { times_as_text: text, disarmed: csv_safe && form == Form::Csv };
        let opened = Opened::create(&place)?;
        let shared = Shared(Arc::new(std::sync::Mutex::new(Some(BufWriter::with_capacity(256 << 10, opened)))));
        let writer = Writer::new(form, selection, style, shared).map_err(io_error)?;
        Ok(Output { selection: selection.clone(), style, form, place, writer })
    }

    /// Whether somebody may read what was written so far.
    pub(super) fn is_stream(&self) -> bool {
        self.form.is_stream() && self.place == Place::Stdout
    }

    pub(super) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let frame = frame(&self.selection, batch, self.style).map_err(io_error)?;
        let written = self.writer.write(&frame).map_err(io_error);
        let flushed = if self.is_stream() { self.writer.shared().with(Write::flush) } else { Ok(()) };
        written.and(flushed).map_err(|error| self.named(error))
    }

    /// Ends the file and gives it its name.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let ended = self.writer.finish().map_err(io_error);
        let opened = ended.and_then(|()| self.writer.shared().take()).map_err(|error| self.named(error))?;
        opened.finish()
    }

    fn named(&self, error: io::Error) -> io::Error {
        match &self.place {
            Place::Stdout => error,
            Place::Path(path) => at(path)(error),
        }
    }
}

impl Writer {
    fn new(form: Form, selection: &Selection, style: Style, shared: Shared) -> Result<Writer, PolarsError> {
        let schema = schema(selection, style);
        // Strings as every reader knows them: views came to pyarrow with its version 15.
        let arrow = || -> ArrowSchemaRef { Arc::new(schema.to_arrow(CompatLevel::oldest())) };
        let metadata =
            || -> Metadata { about(selection).map(|(key, value)| (key.into(), value.into())).into_iter().collect() };
        let out = shared.clone();
        Ok(match form {
            Form::Csv => {
                let writer = CsvWriter::new(out).with_line_terminator("\r\n".into());
                Writer::Csv(writer.batched(&schema)?, shared)
            }
            Form::Parquet => {
                let mut known: Vec<(String, String)> =
                    about(selection).map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
                let key = schema_to_metadata_key(&arrow());
                known.push((key.key, key.value.unwrap_or_default()));
                let metadata = Some(KeyValueMetadata::from_static(known));
                let writer = ParquetWriter::new(out).with_key_value_metadata(metadata);
                Writer::Parquet(Box::new(writer.batched(&schema)?), shared)
            }
            Form::Arrow => {
                let mut writer = FileWriter::new(out, arrow(), None, WriteOptions { compression: None });
                writer.set_custom_schema_metadata(Arc::new(metadata()));
                writer.start()?;
                Writer::Arrow(Box::new(writer), shared)
            }
            Form::ArrowStream => {
                let mut writer = StreamWriter::new(out, WriteOptions { compression: None });
                writer.set_custom_schema_metadata(Arc::new(metadata()));
                writer.start(&arrow(), None)?;
                Writer::ArrowStream(writer, shared)
            }
            Form::Ndjson => Writer::Ndjson(Ndjson::new(out), shared),
        })
    }

    fn write(&mut self, frame: &DataFrame) -> Result<(), PolarsError> {
        match self {
            Writer::Csv(writer, _) => writer.write_batch(frame),
            Writer::Parquet(writer, _) => writer.write_batch(frame),
            Writer::Arrow(writer, _) => {
                frame.iter_chunks(CompatLevel::oldest(), true).try_for_each(|batch| writer.write(&batch, None))
            }
            Writer::ArrowStream(writer, _) => {
                frame.iter_chunks(CompatLevel::oldest(), true).try_for_each(|batch| writer.write(&batch, None))
            }
            Writer::Ndjson(writer, _) => writer.write_batch(frame),
        }
    }

    fn finish(&mut self) -> Result<(), PolarsError> {
        match self {
            Writer::Csv(writer, _) => writer.finish(),
            Writer::Parquet(writer, _) => writer.finish().map(drop),
            Writer::Arrow(writer, _) => writer.finish(),
            Writer::ArrowStream(writer, _) => writer.finish(),
            Writer::Ndjson(..) => Ok(()),
        }
    }

    fn shared(&self) -> &Shared {
        match self {
            Writer::Csv(_, shared)
            | Writer::Parquet(_, shared)
            | Writer::Arrow(_, shared)
            | Writer::ArrowStream(_, shared)
            | Writer::Ndjson(_, shared) => shared,
        }
    }
}
