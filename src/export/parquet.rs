//! Parquet, a row group at a time, whose columns are encoded and compressed side by side.

use std::io::Write;

use polars::prelude::{ArrowSchema, PolarsResult};
use polars_parquet::parquet::PARQUET_MAGIC;
use polars_parquet::parquet::error::ParquetError;
use polars_parquet::write::{
    CompressionOptions, FileWriter, KeyValue, StatisticsOptions, Version, WriteOptions, schema_to_metadata_key,
};
use polars_parquet_format::{ColumnChunk, ColumnMetaData};
use rayon::prelude::*;

use super::footer::Footer;
use super::pages::{Chunk, size};
use crate::table::{Batch, Kind, Selection, Values};

/// What polars' writer is asked for, which writes no pages.
const OPTIONS: WriteOptions = WriteOptions {
    statistics: StatisticsOptions {
        min_value: false,
        max_value: false,
        distinct_count: false,
        null_count: false,
        binary_statistics_truncate_length: None,
    },
    version: Version::V1,
    compression: CompressionOptions::Uncompressed,
    data_page_size: None,
};

/// Every kind, in its order.
const KINDS: [Kind; 5] = [Kind::Text, Kind::Whole, Kind::Small, Kind::Truth, Kind::Time];

/// A file that is being written.
pub(super) struct Parquet<W: Write> {
    out: W,
    /// Where the next row group begins.
    at: i64,
    footer: Footer,
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
        let mut file = FileWriter::try_new(Vec::new(), schema.clone(), OPTIONS)?;
        file.end(Some(about))?;
        out.write_all(&PARQUET_MAGIC)?;
        Ok(Parquet { out, at: size(PARQUET_MAGIC.len()), footer: Footer::new(file.into_inner_and_metadata().1) })
    }

    /// Writes a row group.
    pub(super) fn write(&mut self, selection: &Selection, batch: &mut Batch) -> PolarsResult<()> {
        let rows = batch.rows();
        // Most columns of most logs are empty: all of a kind have the same pages.
        let nothing = |kind: Kind| Chunk::of(kind, &Values::Truth(Vec::new()), &[], rows);
        let nothing = KINDS.into_iter().map(nothing).collect::<Result<Vec<Chunk>, ParquetError>>()?;
        let columns: Vec<(&Values, &[bool])> = batch.columns().collect();
        // One at a time: some take a hundred times as long as others.
        let columns = columns.into_par_iter().zip(&selection.columns).with_max_len(1);
        let columns = columns.map(|((values, there), column)| {
            there.contains(&true).then(|| Chunk::of(column.kind, values, there, rows)).transpose()
        });
        let columns = columns.collect::<Result<Vec<Option<Chunk>>, ParquetError>>()?;
        let begin = self.at;
        let mut group = Vec::with_capacity(columns.len());
        for (chunk, column) in columns.iter().zip(&selection.columns) {
            let Chunk { pages, said } = chunk.as_ref().unwrap_or(&nothing[column.kind as usize]);
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

/// What the footer says of a column whose pages begin somewhere.
fn placed(mut said: ColumnMetaData, name: &str, begin: i64) -> ColumnChunk {
    said.path_in_schema = vec![name.to_owned()];
    said.data_page_offset += begin;
    said.dictionary_page_offset = said.dictionary_page_offset.map(|at| at + begin);
    // Nothing is said of it but there, and pages are not told one by one: groups have few of them.
    ColumnChunk::new(None, 0, said, None, None, None, None, None, None)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use polars::prelude::{AnyValue, CompatLevel, ParquetReader, SchemaExt, SerReader};
    use polars_parquet::parquet::statistics::Statistics;

    use super::*;
    use crate::export::arrays::{Style, schema};
    use crate::field::value::Micros;
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
        let arrow = schema(&selection, Style::default()).to_arrow(CompatLevel::oldest());
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

    /// A row of legs whose columns are of every kind, and repeat in every way.
    struct Leg(i64);

    impl Leg {
        fn text(&self, name: &str) -> Option<String> {
            let Leg(number) = self;
            match name {
                // Texts of their own, some of them long: more than a page.
                "source" => Some(format!("{number}{}", "é".repeat(if number % 7 == 0 { 3000 } else { 0 }))),
                "side" => Some("outbound".to_owned()),
                "pod" => (number % 3 == 0).then(|| format!("pod-{}", number / 300)),
                "namespace" => Some(String::new()),
                _ => None,
            }
        }

        fn number(&self, name: &str) -> Option<i64> {
            let Leg(number) = self;
            match name {
                "line" => Some(-number),
                "arrived" => (number % 2 == 0).then_some(1_700_000_000_000_000 + number),
                "response_code" => Some(200 + number % 5),
                "upstream_host_port" => Some(30_000 + number),
                "upstream_local_port" => Some(if number % 2 == 0 { i64::from(i32::MIN) } else { i64::MAX }),
                "cluster_port" => (*number > 1500).then_some(80),
                "doubtful" => Some(number % 11 % 2),
                "mtls" => (number % 5 > 2).then_some(1),
                _ => None,
            }
        }
    }

    impl Row for Leg {
        fn cell(&self, column: usize) -> Cell<'_> {
            let column = &Table::Legs.columns()[column];
            match column.kind {
                Kind::Text => Cell::of(self.text(&column.name), |text| Cell::Text(text.into())),
                Kind::Time => Cell::of(self.number(&column.name), |at| Cell::Time(Micros(at))),
                Kind::Truth => Cell::of(self.number(&column.name), |truth| Cell::Truth(truth > 0)),
                Kind::Whole | Kind::Small => Cell::of(self.number(&column.name), Cell::Number),
            }
        }
    }

    #[test]
    fn values_of_every_kind_come_back() {
        const ROWS: i64 = 2003;
        let names = [
            "source",
            "side",
            "pod",
            "namespace",
            "node",
            "line",
            "arrived",
            "response_code",
            "upstream_host_port",
            "upstream_local_port",
            "cluster_port",
            "doubtful",
            "mtls",
        ];
        let selection = Selection::of(Table::Legs, &names.map(str::to_owned)).unwrap();
        let arrow = schema(&selection, Style::default()).to_arrow(CompatLevel::oldest());
        let (mut bytes, mut batch) = (Vec::new(), selection.batch());
        (0..ROWS).for_each(|number| batch.add(&selection, &Leg(number)));
        let mut file = Parquet::create(&mut bytes, &arrow, &[]).unwrap();
        file.write(&selection, &mut batch).unwrap();
        file.finish().unwrap();
        let said = polars_parquet::read::read_metadata(&mut Cursor::new(&bytes)).unwrap();
        let frame = ParquetReader::new(Cursor::new(bytes)).finish().unwrap();
        for (column, chunk) in selection.columns.iter().zip(said.row_groups[0].parquet_columns()) {
            let values = frame.column(&column.name).unwrap();
            let (mut nulls, mut numbers) = (0, Vec::new());
            for row in 0..ROWS {
                let leg = Leg(row);
                let number = leg
                    .number(&column.name)
                    .filter(|number| column.kind != Kind::Small || i32::try_from(*number).is_ok());
                let expected = match column.kind {
                    Kind::Text => leg.text(&column.name),
                    Kind::Truth => number.map(|truth| (truth > 0).to_string()),
                    _ => number.map(|number| number.to_string()),
                };
                numbers.extend(number);
                nulls += i64::from(expected.is_none());
                let value = match values.get(usize::try_from(row).unwrap()).unwrap() {
                    AnyValue::Null => None,
                    AnyValue::String(text) => Some(text.to_owned()),
                    AnyValue::Datetime(at, ..) => Some(at.to_string()),
                    other => Some(other.to_string()),
                };
                assert_eq!(value, expected, "{} of row {row}", column.name);
            }
            let statistics = chunk.statistics(&said.footer_buf).unwrap().unwrap();
            assert_eq!(statistics.null_count(), Some(nulls), "{}", column.name);
            if let Statistics::Int64(statistics) = statistics {
                let between = (statistics.min_value, statistics.max_value);
                assert_eq!(between, (numbers.iter().min().copied(), numbers.iter().max().copied()), "{}", column.name);
            }
        }
    }
}
