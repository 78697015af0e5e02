//! Tables of legs as logs: Parquet files, Arrow files and Arrow streams, a line for every row.
//!
//! A row becomes the JSON object that Istio's encoding would have had for it, in the envelope of a collector that says
//! whose it is. So what was exported is read as it was before, by the readers that read everything else. What is not a
//! field of an access line in a table is passed over.

use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use polars::prelude::{
    AnyValue, Column, DataFrame, DataType, ParallelStrategy, ParquetReader, PlSmallStr, PolarsError, PolarsResult,
    SerReader,
};
use polars_arrow::io::ipc::read::{FileReader, StreamReader, StreamState, read_file_metadata, read_stream_metadata};
use serde_json::{Map, Value};

use super::compressed::Bytes;
use crate::field::value::Micros;
use crate::field::{Field, Kind};

/// Rows that are turned into lines at a time.
const ROWS: usize = 16 << 10;

/// What Kubernetes calls whose line it is: the column, and the key in the collector's object.
const WHOSE: [(&str, &str); 4] =
    [("pod", "pod_name"), ("namespace", "namespace_name"), ("container", "container_name"), ("node", "host")];

/// Columns that are no fields and are read.
const OTHERS: [&str; 6] = ["arrived", "extra", "mtls", "kind", "at", "text"];
/// By these a table of legs is told, and one of events.
const LEGS: [&str; 3] = ["start_time", "upstream_cluster", "downstream_remote_address"];
const EVENTS: [&str; 3] = ["kind", "at", "text"];

/// ztunnel's own keys, by which its lines are told; other fields are called as in Istio's encoding.
/// Source: istio/ztunnel `src/telemetry.rs`.
const ZTUNNEL: [(Field, &str); 16] = [
    (Field::EmitTime, "time"),
    (Field::Event, "message"),
    (Field::DownstreamRemoteAddress, "src.addr"),
    (Field::SourceWorkload, "src.workload"),
    (Field::SourceNamespace, "src.namespace"),
    (Field::SourceIdentity, "src.identity"),
    (Field::SourceCluster, "src.cluster"),
    (Field::TunnelAddress, "dst.addr"),
    (Field::UpstreamHost, "dst.hbone_addr"),
    (Field::DestinationService, "dst.service"),
    (Field::DestinationWorkload, "dst.workload"),
    (Field::DestinationNamespace, "dst.namespace"),
    (Field::DestinationIdentity, "dst.identity"),
    (Field::DestinationCluster, "dst.cluster"),
    (Field::BytesReceived, "bytes_recv"),
    (Field::Authority, "host"),
];

/// A Parquet file, whatever it is read from.
pub(super) fn parquet(bytes: BufReader<Bytes>) -> io::Result<Bytes> {
    let file = spooled(bytes)?;
    let frames = guarded(|| {
        let mut reader = ParquetReader::new(file.try_clone()?);
        let schema = reader.schema()?;
        let wanted = wanted(schema.iter_names().map(PlSmallStr::as_str))?;
        let metadata = reader.get_metadata()?.clone();
        let rows = metadata.num_rows;
        Ok((0..rows).step_by(ROWS).map(move |from| {
            let mut reader = ParquetReader::new(file.try_clone()?)
                .read_parallel(ParallelStrategy::None)
                .with_columns(Some(wanted.clone()))
                .with_slice(Some((from, ROWS.min(rows - from))));
            reader.set_metadata(metadata.clone());
            reader.finish()
        }))
    })?;
    Ok(Lines::of(frames))
}

/// An Arrow file, also called Feather 2.
pub(super) fn arrow(bytes: BufReader<Bytes>) -> io::Result<Bytes> {
    let mut file = spooled(bytes)?;
    let batches = guarded(|| {
        let metadata = read_file_metadata(&mut file)?;
        wanted(metadata.schema.iter_names().map(PlSmallStr::as_str))?;
        Ok(FileReader::new(file, metadata, None, None))
    })?;
    Ok(Lines::of(batches.map(|batch| batch.map(DataFrame::from))))
}

/// An Arrow stream: a batch is read when it has come.
pub(super) fn stream(bytes: BufReader<Bytes>) -> io::Result<Bytes> {
    let mut input = Forward { input: bytes, at: 0 };
    let batches = guarded(|| {
        let metadata = read_stream_metadata(&mut input)?;
        wanted(metadata.schema.iter_names().map(PlSmallStr::as_str))?;
        Ok(StreamReader::new(input, metadata, None))
    })?;
    // Without the mark of its end a stream is one whose writer died: what came is read, and the end is missed.
    let batches = batches.map(|state| match state {
        Ok(StreamState::Some(batch)) => Ok(DataFrame::from(batch)),
        Ok(StreamState::Waiting) => Err(cut()),
        Err(error) => Err(error),
    });
    Ok(Lines::of(batches))
}

fn cut() -> PolarsError {
    PolarsError::from(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream of tables ends without its end mark"))
}

/// The columns of a table that are read; an error if it is none of legs.
fn wanted<'n>(names: impl Iterator<Item = &'n str>) -> PolarsResult<Vec<String>> {
    let other = |name: &str| WHOSE.iter().any(|(column, _)| *column == name) || OTHERS.contains(&name);
    let known = names.filter(|name| Field::of_key(name).is_some() || other(name));
    let known: Vec<String> = known.map(str::to_owned).collect();
    let has = |names: &[&str]| names.iter().all(|name| known.iter().any(|known| known == name));
    if has(&LEGS) || has(&EVENTS) {
        return Ok(known);
    }
    let why =
        format!("is no table of legs or events: it needs the columns {} or {}", LEGS.join(", "), EVENTS.join(", "));
    Err(PolarsError::from(io::Error::new(io::ErrorKind::InvalidData, why)))
}

/// A copy without a name. Polars maps files into memory, and one that somebody else cuts short would end the process.
fn spooled(mut bytes: BufReader<Bytes>) -> io::Result<std::fs::File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut bytes, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// What reads a file that somebody may have damaged: polars panics over some.
fn guarded<T>(work: impl FnOnce() -> PolarsResult<T>) -> io::Result<T> {
    match silently(work) {
        Some(Ok(value)) => Ok(value),
        Some(Err(PolarsError::IO { error, .. })) => Err(io::Error::new(error.kind(), error.to_string())),
        Some(Err(error)) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("damaged table: {error}"))),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "damaged table")),
    }
}

thread_local! {
    /// A panic on this thread is caught, and nobody needs to see it.
    static CAUGHT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Nothing if it panicked.
fn silently<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !CAUGHT.get() {
                before(info);
            }
        }));
    });
    CAUGHT.set(true);
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    CAUGHT.set(false);
    done
}

/// A reader that can skip forward only.
struct Forward<R> {
    input: R,
    at: u64,
}

impl<R: Read> Read for Forward<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Read> Seek for Forward<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        let by = to.and_then(|to| to.checked_sub(self.at));
        let by = by.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "a stream cannot be read backwards"))?;
        io::copy(&mut self.take(by), &mut io::sink())?;
        Ok(self.at)
    }
}

/// Gives out frames as lines.
struct Lines<F> {
    frames: F,
    /// What is ready to be given out.
    ready: Cursor<Vec<u8>>,
    ended: bool,
}

impl<F: Iterator<Item = PolarsResult<DataFrame>> + Send + 'static> Lines<F> {
    fn of(frames: F) -> Bytes {
        Box::new(Lines { frames, ready: Cursor::default(), ended: false })
    }

    fn fill(&mut self) -> io::Result<()> {
        let Lines { frames, ready, .. } = self;
        ready.set_position(0);
        let ready = ready.get_mut();
        ready.clear();
        let result = guarded(|| match frames.next() {
            None => Ok(false),
            Some(frame) => lines(&frame?, ready).map(|()| true),
        });
        self.ended = !matches!(result, Ok(true));
        result.map(drop)
    }
}

impl<F: Iterator<Item = PolarsResult<DataFrame>> + Send + 'static> Read for Lines<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let given = self.ready.read(into)?;
            if given > 0 || into.is_empty() || self.ended {
                return Ok(given);
            }
            self.fill()?;
        }
    }
}

/// The rows of a frame as lines.
fn lines(frame: &DataFrame, out: &mut Vec<u8>) -> PolarsResult<()> {
    let named = |name: &str| frame.column(name).ok();
    let fields: Vec<(&Field, &Column)> =
        Field::ALL.iter().filter_map(|field| Some((field, named(field.key())?))).collect();
    let whose: Vec<(&str, &Column)> = WHOSE.iter().filter_map(|(column, key)| Some((*key, named(column)?))).collect();
    let (arrived, extra, mtls) = (named("arrived").or(named("at")), named("extra"), named("mtls"));
    let said = named("text").filter(|_| fields.is_empty());
    for row in 0..frame.height() {
        let mut line = Map::new();
        for (field, column) in &fields {
            if let Some(value) = value(column, row, field.kind())? {
                line.insert(field.key().to_owned(), value);
            }
        }
        if line.contains_key(Field::Direction.key()) {
            line = ztunnel(line);
        } else if let Some(mtls) = mtls
            && value(mtls, row, Kind::Text)? == Some(false.into())
        {
            // There was no SNI, which is not the same as a format without one.
            line.entry(Field::RequestedServerName.key()).or_insert(Value::Null);
        }
        let text = |column: &Column| value(column, row, Kind::Text);
        if let Some(Value::String(extra)) = extra.map(text).transpose()?.flatten()
            && let Ok(Value::Object(extra)) = serde_json::from_str(&extra)
        {
            line.extend(extra.into_iter().filter(|(key, _)| Field::of_key(key).is_none()));
        }
        let mut kubernetes = Map::new();
        for (key, column) in &whose {
            if let Some(name) = text(column)? {
                kubernetes.insert((*key).to_owned(), name);
            }
        }
        let mut object = Map::new();
        match said {
            Some(said) => object.insert("log".to_owned(), text(said)?.unwrap_or_default()),
            None => object.insert("log_processed".to_owned(), line.into()),
        };
        if let Some(time) = arrived.map(|column| value(column, row, Kind::Time)).transpose()?.flatten() {
            object.insert("time".to_owned(), time);
        }
        object.insert("kubernetes".to_owned(), kubernetes.into());
        serde_json::to_writer(&mut *out, &object).map_err(io::Error::from)?;
        out.push(b'\n');
    }
    Ok(())
}

/// The same as ztunnel writes it: which addresses and bytes are whose depends on the side at which it stood.
fn ztunnel(mut line: Map<String, Value>) -> Map<String, Value> {
    line.remove(Field::StartTime.key());
    if line[Field::Direction.key()] == "inbound" {
        if let Some(own) = line.remove(Field::DownstreamLocalAddress.key()) {
            line.insert(Field::UpstreamHost.key().to_owned(), own);
        }
    } else if let (Some(sent), Some(received)) =
        (line.remove(Field::BytesSent.key()), line.remove(Field::BytesReceived.key()))
    {
        line.insert(Field::BytesSent.key().to_owned(), received);
        line.insert(Field::BytesReceived.key().to_owned(), sent);
    }
    let key =
        |key: String| ZTUNNEL.iter().find(|(field, _)| field.key() == key).map_or(key, |(_, own)| (*own).to_owned());
    let renamed = line.into_iter().map(|(name, value)| (key(name), value));
    renamed.chain([("scope".to_owned(), "access".into())]).collect()
}

/// A cell as JSON; nothing if it is absent, or of a type that no field has.
fn value(column: &Column, row: usize, kind: Kind) -> PolarsResult<Option<Value>> {
    use polars::prelude::TimeUnit;
    let cell = column.get(row)?;
    let instant = |count: i64, unit: TimeUnit| match unit {
        TimeUnit::Nanoseconds => Micros(count.div_euclid(1000)),
        TimeUnit::Microseconds => Micros(count),
        TimeUnit::Milliseconds => Micros(count.saturating_mul(1000)),
    };
    Ok(match cell {
        AnyValue::String(text) => Some(text.into()),
        AnyValue::StringOwned(text) => Some(text.as_str().into()),
        AnyValue::Boolean(truth) => Some(truth.into()),
        AnyValue::Datetime(count, unit, _) | AnyValue::DatetimeOwned(count, unit, _) => {
            Some(instant(count, unit).to_string().into())
        }
        AnyValue::Null => None,
        other if kind != Kind::Time && other.dtype().is_integer() => other.extract::<i64>().map(Value::from),
        other if other.dtype() == DataType::Float64 => other.extract::<i64>().map(Value::from),
        _ => None,
    })
}
