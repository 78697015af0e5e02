//! Parquet, a row group at a time, whose columns are encoded and compressed side by side.

use std::io::Write;
use std::sync::LazyLock;

use polars::prelude::{ArrowSchema, PolarsResult};
use polars_arrow::datatypes::PhysicalType;
use polars_parquet::parquet::PARQUET_MAGIC;
use polars_parquet::parquet::error::{ParquetError, ParquetResult};
use polars_parquet::parquet::write as plain;
use polars_parquet::write::{
    CompressionOptions, Compressor, DynIter, DynStreamingIterator, Encoding, FileWriter, KeyValue, ParquetType,
    SchemaDescriptor, StatisticsOptions, Version, WriteOptions, ZstdLevel, array_to_columns, schema_to_metadata_key,
};
use polars_parquet_format::{ColumnChunk, ColumnMetaData};
use rayon::prelude::*;

use super::arrays::{Style, array};
use super::footer::Footer;
use crate::table::{Batch, Kind, Selection, Values};

static OPTIONS: LazyLock<WriteOptions> = LazyLock::new(|| WriteOptions {
    statistics: StatisticsOptions {
        min_value: true,
        max_value: true,
        distinct_count: false,
        null_count: true,
        binary_statistics_truncate_length: None,
    },
    version: Version::V1,
    // As small as with its usual level, 3, in half of the time.
    compression: CompressionOptions::Zstd(ZstdLevel::try_new(1).ok()),
    data_page_size: None,
});

/// Every kind, in its order.
const KINDS: [Kind; 5] = [Kind::Text, Kind::Whole, Kind::Small, Kind::Truth, Kind::Time];

const STYLE: Style = Style { times_as_text: false, disarmed: false, by_number: true };

/// Where the first pages of a file begin.
const BEGIN: usize = PARQUET_MAGIC.len();

/// A file that is being written.
pub(super) struct Parquet<W: Write> {
    out: W,
    /// Where the next row group begins.
    at: i64,
    schema: SchemaDescriptor,
    footer: Footer,
}

/// A column of a row group.
struct Chunk {
    /// What a file that begins with it says of it.
    said: ColumnMetaData,
    pages: Box<[u8]>,
}

impl<W: Write> Parquet<W> {
    /// `about` is what the file says of itself.
    pub(super) fn create(
        mut out: W,
        schema: &ArrowSchema,
        about: &[(&'static str, String)],
    ) -> PolarsResult<Parquet<W>> {
        let about = about.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), Some(value.clone())));
        let about = about.chain([schema_to_metadata_key(schema)]).collect();
        // What polars' writer says of a file without row groups.
        let mut file = FileWriter::try_new(Vec::new(), schema.clone(), *OPTIONS)?;
        file.end(Some(about))?;
        let schema = file.parquet_schema().clone();
        out.write_all(&PARQUET_MAGIC)?;
        Ok(Parquet { out, at: size(BEGIN), schema, footer: Footer::new(file.into_inner_and_metadata().1) })
    }

    /// Writes a row group.
    pub(super) fn write(&mut self, selection: &Selection, batch: &mut Batch) -> PolarsResult<()> {
        let rows = batch.rows();
        let fields = self.schema.fields();
        // Most columns of most logs are empty: all of a kind have the same pages.
        let nothing = |kind: Kind| {
            let field = selection.columns.iter().zip(fields).find(|(column, _)| column.kind == kind);
            field.map(|(_, field)| chunk(kind, (&Values::Truth(Vec::new()), &[]), rows, field)).transpose()
        };
        let nothing = KINDS.into_iter().map(nothing).collect::<PolarsResult<Vec<Option<Chunk>>>>()?;
        let columns: Vec<(&Values, &[bool])> = batch.columns().collect();
        let columns = columns.into_par_iter().zip(&selection.columns).zip(fields);
        let columns = columns.map(|((values, column), field)| {
            let some = !values.1.is_empty();
            some.then(|| chunk(column.kind, values, rows, field)).transpose()
        });
        let columns = columns.collect::<PolarsResult<Vec<Option<Chunk>>>>()?;
        let begin = self.at;
        let mut group = Vec::with_capacity(columns.len());
        for (chunk, column) in columns.iter().zip(&selection.columns) {
            let Some(Chunk { said, pages }) = chunk.as_ref().or(nothing[column.kind as usize].as_ref()) else {
                continue;
            };
            self.out.write_all(pages)?;
            group.push(placed(said.clone(), &column.name, self.at));
            self.at += size(pages.len());
        }
        self.footer.add(group, size(rows), begin)
    }

    /// Writes the footer.
    pub(super) fn finish(&mut self) -> PolarsResult<()> {
        self.footer.write(&mut self.out)
    }
}

/// A size as Parquet writes it.
fn size(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A column of a row group, encoded and compressed.
fn chunk(kind: Kind, column: (&Values, &[bool]), rows: usize, field: &ParquetType) -> PolarsResult<Chunk> {
    let array = array(kind, column, rows, STYLE)?;
    // Texts that do not repeat have no dictionary already; times and sizes are smaller without one.
    let encoding = match column.0 {
        Values::Text(_) if matches!(array.dtype().to_physical_type(), PhysicalType::Dictionary(_)) => {
            Encoding::RleDictionary
        }
        Values::Number(numbers) if kind == Kind::Small && do_repeat(numbers) => Encoding::RleDictionary,
        _ => Encoding::Plain,
    };
    let pages = array_to_columns(array, field.clone(), *OPTIONS, &[encoding])?.into_iter().flatten();
    let pages = Compressor::new(pages.map(|page| page.map_err(ParquetError::from)), OPTIONS.compression, Vec::new());
    // A file of this column and this row group only.
    let schema = SchemaDescriptor::new("".into(), vec![field.clone()]);
    let options = plain::WriteOptions { write_statistics: false, version: OPTIONS.version };
    let mut file = plain::FileWriter::new(Vec::new(), schema, options, None);
    file.write(rows as u64, DynIter::new(std::iter::once(ParquetResult::Ok(DynStreamingIterator::new(pages)))))?;
    file.end(None)?;
    let (bytes, said) = file.into_inner_and_metadata();
    let said = said.row_groups.into_iter().flat_map(|group| group.columns).find_map(|column| column.meta_data);
    let said = said.ok_or_else(|| ParquetError::OutOfSpec("nothing is said of a column".to_owned()))?;
    let pages = bytes
        .get(BEGIN..)
        .and_then(|bytes| bytes.get(..usize::try_from(said.total_compressed_size).ok()?))
        .unwrap_or_default();
    Ok(Chunk { pages: pages.into(), said })
}

/// Whether a dictionary of them is worth its room. Most are ports, and those that a system chooses hardly repeat.
fn do_repeat(numbers: &[i64]) -> bool {
    let mut seen = vec![false; 1 << 16];
    let is_new = |number: &&i64| {
        let place = u16::try_from(**number).ok().and_then(|number| seen.get_mut(usize::from(number)));
        place.is_none_or(|seen| !std::mem::replace(seen, true))
    };
    8 * numbers.iter().filter(is_new).count() <= numbers.len()
}

/// What the footer says of a column whose pages begin somewhere.
fn placed(mut said: ColumnMetaData, name: &str, begin: i64) -> ColumnChunk {
    let by = begin - size(BEGIN);
    said.path_in_schema = vec![name.to_owned()];
    said.data_page_offset += by;
    said.dictionary_page_offset = said.dictionary_page_offset.map(|at| at + by);
    // Nothing is said of it but there, and pages are not told one by one: groups have few of them.
    ColumnChunk::new(None, 0, said, None, None, None, None, None, None)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use polars::prelude::{AnyValue, CompatLevel, ParquetReader, SchemaExt, SerReader};

    use super::*;
    use crate::export::arrays::schema;
    use crate::table::{Cell, Row, Table};

    struct Numbered(i64);

    impl Row for Numbered {
        fn cell(&self, column: usize) -> Cell<'_> {
            let Numbered(number) = self;
            match Table::Traffic.columns()[column].kind {
                Kind::Text if column == 0 => Cell::Text(format!("pod-{}", number % 3).into()),
                Kind::Whole if column == 3 => Cell::Number(*number),
                // Half of a column, and columns without anything.
                Kind::Text if column == 1 && number % 2 == 0 => Cell::Text(number.to_string().into()),
                _ => Cell::Absent,
            }
        }
    }

    #[test]
    fn row_groups_are_found_again() {
        let selection = Selection::all(Table::Traffic);
        let arrow = schema(&selection, STYLE).to_arrow(CompatLevel::oldest());
        let mut bytes = Vec::new();
        let mut file = Parquet::create(&mut bytes, &arrow, &[("logscan.table", "traffic".to_owned())]).unwrap();
        for group in 0..3 {
            let mut batch = selection.batch();
            (100 * group..100 * (group + 1)).for_each(|number| batch.add(&selection, &Numbered(number)));
            file.write(&selection, &mut batch).unwrap();
        }
        file.finish().unwrap();
        let said = polars_parquet::read::read_metadata(&mut Cursor::new(&bytes)).unwrap();
        assert_eq!((said.num_rows, said.row_groups.len()), (300, 3));
        let about = said.key_value_metadata.iter().flatten().map(|pair| &*pair.key).collect::<Vec<_>>();
        assert_eq!(about, ["logscan.table", "ARROW:schema"]);
        let frame = ParquetReader::new(Cursor::new(bytes)).finish().unwrap();
        let value = |column: &str, row: usize| frame.column(column).unwrap().get(row).unwrap().into_static();
        for row in 0..300 {
            assert_eq!(value("source", row), AnyValue::StringOwned(format!("pod-{}", row % 3).into()));
            assert_eq!(value("connections", row), AnyValue::Int64(size(row)));
            let half = if row % 2 == 0 { AnyValue::StringOwned(row.to_string().into()) } else { AnyValue::Null };
            assert_eq!(value("destination", row), half);
            assert_eq!((value("upstream_cluster", row), value("bytes", row)), (AnyValue::Null, AnyValue::Null));
        }
    }
}
