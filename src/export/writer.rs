//! Writers of the forms, group by group.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polars::io::csv::write::{BatchedWriter as Csv, CsvWriter};
use polars::io::json::BatchedWriter as Ndjson;
use polars::prelude::{
    Column, CompatLevel, DataFrame, PlSmallStr, PolarsError, PolarsResult, SchemaExt, SerWriter, Series,
};
use polars_arrow::array::Array;
use polars_arrow::datatypes::Metadata;
use polars_arrow::io::ipc::write::{FileWriter, StreamWriter, WriteOptions};
use polars_arrow::record_batch::RecordBatchT;

use super::arrays::{Style, array, schema};
use super::form::Form;
use super::parquet::Parquet;
use super::place::{Opened, Place, at};
use crate::table::{Batch, Selection, VERSION};

/// One file that is being written.
pub(super) struct Output {
    selection: Selection,
    style: Style,
    form: Form,
    /// Whether somebody may read what was written so far.
    is_stream: bool,
    place: Place,
    writer: Writer,
    shared: Shared,
}

type Out = BufWriter<Opened>;

enum Writer {
    Csv(Csv<Shared>),
    Parquet(Box<Parquet<Shared>>),
    Arrow(Box<FileWriter<Shared>>),
    ArrowStream(StreamWriter<Shared>),
    Ndjson(Ndjson<Shared>),
}

/// The output, which polars' writers do not give back; and why it failed, which they tell in words of their own.
#[derive(Clone)]
struct Shared(Arc<Mutex<(Option<Out>, Option<io::Error>)>>);

impl Shared {
    fn new(out: Out) -> Shared {
        Shared(Arc::new(Mutex::new((Some(out), None))))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Out) -> io::Result<T>) -> io::Result<T> {
        let mut shared = self.lock();
        let Some(out) = &mut shared.0 else { return Err(io::Error::other("is closed")) };
        work(out).inspect_err(|error| {
            let again = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            shared.1.get_or_insert(again);
        })
    }

    /// The output, for good.
    fn take(&self) -> io::Result<Opened> {
        let out = self.lock().0.take().ok_or_else(|| io::Error::other("is closed"))?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }

    /// An error of polars as that of the output, if it is one.
    fn error(&self, error: PolarsError) -> io::Error {
        self.lock().1.take().unwrap_or_else(|| io::Error::other(error))
    }

    fn lock(&self) -> MutexGuard<'_, (Option<Out>, Option<io::Error>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Output {
    pub(super) fn create(selection: &Selection, place: Place, form: Form, csv_safe: bool) -> io::Result<Output> {
        let text = matches!(form, Form::Csv | Form::Ndjson);
        let style = Style { times_as_text: text, disarmed: csv_safe && form == Form::Csv };
        let opened = Opened::create(&place)?;
        let is_stream = form.is_stream() && opened.is_read_along();
        let shared = Shared::new(BufWriter::with_capacity(256 << 10, opened));
        let writer = Writer::new(form, selection, style, shared.clone()).map_err(|error| shared.error(error))?;
        Ok(Output { selection: selection.clone(), style, form, is_stream, place, writer, shared })
    }

    /// Whether somebody may read what was written so far.
    pub(super) fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// As what it is written.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn write(&mut self, batch: &mut Batch) -> io::Result<()> {
        let written = self.writer.write(&self.selection, batch, self.style).map_err(|error| self.shared.error(error));
        let flushed = if self.is_stream { self.shared.with(Write::flush) } else { Ok(()) };
        written.and(flushed).map_err(|error| self.named(error))
    }

    /// Ends the file and gives it its name.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let ended = self.writer.finish().map_err(|error| self.shared.error(error));
        let opened = ended.and_then(|()| self.shared.take()).map_err(|error| self.named(error))?;
        opened.finish()
    }

    fn named(&self, error: io::Error) -> io::Error {
        match &self.place {
            Place::Stdout => error,
            Place::Path(path) => at(path)(error),
        }
    }
}

/// The rows as arrays, with the names of their columns.
fn arrays(selection: &Selection, batch: &mut Batch, style: Style) -> PolarsResult<Vec<(PlSmallStr, Box<dyn Array>)>> {
    let rows = batch.rows();
    let columns = selection.columns.iter().zip(batch.columns());
    let array = |(column, values): (&crate::table::Column, _)| {
        Ok((PlSmallStr::from_str(&column.name), array(column.kind, values, rows, style)?))
    };
    columns.map(array).collect()
}

fn frame(selection: &Selection, batch: &mut Batch, style: Style) -> PolarsResult<DataFrame> {
    let rows = batch.rows();
    let arrays = arrays(selection, batch, style)?.into_iter();
    let columns =
        arrays.map(|array| Series::try_from(array).map(Column::from)).collect::<PolarsResult<Vec<Column>>>()?;
    DataFrame::new(rows, columns)
}

fn record_batch(selection: &Selection, batch: &mut Batch, style: Style) -> PolarsResult<RecordBatchT<Box<dyn Array>>> {
    let (rows, schema) = (batch.rows(), schema(selection, style).to_arrow(CompatLevel::oldest()));
    let arrays = arrays(selection, batch, style)?.into_iter().map(|(_, array)| array).collect();
    RecordBatchT::try_new(rows, Arc::new(schema), arrays)
}

impl Writer {
    fn new(form: Form, selection: &Selection, style: Style, out: Shared) -> PolarsResult<Writer> {
        let schema = schema(selection, style);
        // Strings as every reader knows them: views came to pyarrow with its version 15.
        let arrow = schema.to_arrow(CompatLevel::oldest());
        let metadata =
            || -> Metadata { about(selection).map(|(key, value)| (key.into(), value.into())).into_iter().collect() };
        Ok(match form {
            Form::Csv => {
                let writer = CsvWriter::new(out).with_line_terminator("\r\n".into());
                Writer::Csv(writer.batched(&schema)?)
            }
            Form::Parquet => Writer::Parquet(Box::new(Parquet::create(out, &arrow, &about(selection))?)),
            Form::Arrow => {
                let mut writer = FileWriter::new(out, Arc::new(arrow), None, WriteOptions { compression: None });
                writer.set_custom_schema_metadata(Arc::new(metadata()));
                writer.start()?;
                Writer::Arrow(Box::new(writer))
            }
            Form::ArrowStream => {
                let mut writer = StreamWriter::new(out, WriteOptions { compression: None });
                writer.set_custom_schema_metadata(Arc::new(metadata()));
                writer.start(&arrow, None)?;
                Writer::ArrowStream(writer)
            }
            Form::Ndjson => Writer::Ndjson(Ndjson::new(out)),
        })
    }

    fn write(&mut self, selection: &Selection, batch: &mut Batch, style: Style) -> PolarsResult<()> {
        match self {
            Writer::Csv(writer) => writer.write_batch(&frame(selection, batch, style)?),
            Writer::Parquet(writer) => writer.write(selection, batch),
            Writer::Arrow(writer) => writer.write(&record_batch(selection, batch, style)?, None),
            Writer::ArrowStream(writer) => writer.write(&record_batch(selection, batch, style)?, None),
            Writer::Ndjson(writer) => writer.write_batch(&frame(selection, batch, style)?),
        }
    }

    fn finish(&mut self) -> PolarsResult<()> {
        match self {
            Writer::Csv(writer) => writer.finish(),
            Writer::Parquet(writer) => writer.finish(),
            Writer::Arrow(writer) => writer.finish(),
            Writer::ArrowStream(writer) => writer.finish(),
            Writer::Ndjson(_) => Ok(()),
        }
    }
}
