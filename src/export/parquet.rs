//! Parquet, a row group at a time, whose columns are encoded and compressed side by side.

use std::io::Write;

use polars::prelude::{ArrowSchema, PolarsError, PolarsResult};
use polars_arrow::datatypes::PhysicalType;
use polars_parquet::write::{
    CompressedPage, CompressionOptions, DynIter, DynStreamingIterator, Encoding, FileWriter, KeyValue, ParquetType,
    StatisticsOptions, Version, WriteOptions, array_to_columns, compress, fallible_streaming_iterator,
    schema_to_metadata_key,
};
use rayon::prelude::*;

use super::arrays::{Style, array};
use crate::table::{Batch, Kind, Selection, Values};

const OPTIONS: WriteOptions = WriteOptions {
    statistics: StatisticsOptions {
        min_value: true,
        max_value: true,
        distinct_count: false,
        null_count: true,
        binary_statistics_truncate_length: None,
    },
    version: Version::V1,
    compression: CompressionOptions::Zstd(None),
    data_page_size: None,
};

/// Every kind, in its order.
const KINDS: [Kind; 5] = [Kind::Text, Kind::Whole, Kind::Small, Kind::Truth, Kind::Time];

const STYLE: Style = Style { times_as_text: false, disarmed: false, by_number: true };

/// A file that is being written.
pub(super) struct Parquet<W: Write> {
    file: FileWriter<W>,
    about: Vec<KeyValue>,
}

impl<W: Write> Parquet<W> {
    /// `about` is what the file says of itself.
    pub(super) fn create(out: W, schema: ArrowSchema, about: &[(&'static str, String)]) -> PolarsResult<Parquet<W>> {
        let about = about.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), Some(value.clone())));
        let about = about.chain([schema_to_metadata_key(&schema)]).collect();
        Ok(Parquet { file: FileWriter::try_new(out, schema, OPTIONS)?, about })
    }

    /// Writes a row group.
    pub(super) fn write(&mut self, selection: &Selection, batch: &mut Batch) -> PolarsResult<()> {
        let rows = batch.rows();
        let fields = self.file.parquet_schema().fields();
        // Most columns of most logs are empty: all of a kind have the same pages.
        let nothing = |kind: Kind| {
            let field = selection.columns.iter().zip(fields).find(|(column, _)| column.kind == kind);
            field.map_or(Ok(Vec::new()), |(_, field)| pages(kind, (&Values::Truth(Vec::new()), &[]), rows, field))
        };
        let nothing = KINDS.into_iter().map(nothing).collect::<PolarsResult<Vec<Vec<CompressedPage>>>>()?;
        let columns: Vec<(&Values, &[bool])> = batch.columns().collect();
        let columns = columns.into_par_iter().zip(&selection.columns).zip(fields);
        let columns = columns.map(|((values, column), field)| {
            let some = !values.1.is_empty();
            some.then(|| pages(column.kind, values, rows, field)).transpose()
        });
        let columns = columns.collect::<PolarsResult<Vec<Option<Vec<CompressedPage>>>>>()?;
        let columns = columns.iter().zip(&selection.columns).map(|(pages, column)| {
            let pages = pages.as_ref().unwrap_or(&nothing[column.kind as usize]).iter().map(PolarsResult::Ok);
            Ok(DynStreamingIterator::new(fallible_streaming_iterator::convert(pages)))
        });
        self.file.write(rows as u64, DynIter::new(columns))
    }

    /// Writes the footer.
    pub(super) fn finish(&mut self) -> PolarsResult<()> {
        self.file.end(Some(std::mem::take(&mut self.about))).map(drop)
    }
}

/// The pages of a column.
fn pages(
    kind: Kind,
    column: (&Values, &[bool]),
    rows: usize,
    written: &ParquetType,
) -> PolarsResult<Vec<CompressedPage>> {
    let array = array(kind, column, rows, STYLE)?;
    // Texts that do not repeat have no dictionary already, and where there is nothing none is looked for.
    let encoding = match array.dtype().to_physical_type() {
        PhysicalType::Dictionary(_) => Encoding::RleDictionary,
        PhysicalType::Primitive(_) if array.null_count() < rows => Encoding::RleDictionary,
        _ => Encoding::Plain,
    };
    let columns = array_to_columns(array, written.clone(), OPTIONS, &[encoding])?;
    let pages = columns.into_iter().flatten();
    pages.map(|page| compress(page?, Vec::new(), OPTIONS.compression).map_err(PolarsError::from)).collect()
}
