//! From rows to polars' frames.

use std::fmt::Write;

use polars::prelude::{
    Column as Series, DataFrame, DataType, Field, Int32Chunked, Int64Chunked, IntoColumn, NewChunkedArray, PlSmallStr,
    PolarsResult, Schema, StringChunkedBuilder, TimeUnit, TimeZone,
};

use crate::field::value::Micros;
use crate::table::{Batch, Kind, Selection, Values};

/// How instants and texts are to be put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// Instants as text, RFC 3339 in UTC with microseconds.
    pub(super) times_as_text: bool,
    /// Text that a spreadsheet would take for a formula gets an apostrophe.
    pub(super) disarmed: bool,
}

/// Polars' type of a kind.
fn dtype(kind: Kind, style: Style) -> DataType {
    match kind {
        Kind::Text => DataType::String,
        Kind::Whole => DataType::Int64,
        Kind::Small => DataType::Int32,
        Kind::Truth => DataType::Boolean,
        Kind::Time if style.times_as_text => DataType::String,
        Kind::Time => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
    }
}

/// Polars' schema of some columns.
pub(super) fn schema(selection: &Selection, style: Style) -> Schema {
    let field = |column: &crate::table::Column| Field::new((*column.name).into(), dtype(column.kind, style));
    selection.columns.iter().map(field).collect()
}

/// The rows as a frame of one chunk.
pub(super) fn frame(selection: &Selection, batch: &Batch, style: Style) -> PolarsResult<DataFrame> {
    use rayon::prelude::*;
    let columns = selection.columns.par_iter().enumerate().map(|(number, column)| {
        let (values, there) = batch.column(number);
        let name = PlSmallStr::from(&*column.name);
        series(name, column.kind, values, there, batch.rows(), style)
    });
    DataFrame::new(batch.rows(), columns.collect::<PolarsResult<Vec<Series>>>()?)
}

fn series(
    name: PlSmallStr,
    kind: Kind,
    values: &Values,
    there: &[bool],
    rows: usize,
    style: Style,
) -> PolarsResult<Series> {
    if there.is_empty() {
        return Ok(Series::full_null(name, rows, &dtype(kind, style)));
    }
    let full = there.len() == rows && !there.contains(&false);
    // What is behind the last value is absent.
    let absent = rows - there.len();
    Ok(match values {
        Values::Text { text, ends } => {
            let mut builder = StringChunkedBuilder::new(name, rows);
            let (mut begin, mut disarmed) = (0, String::new());
            for (end, there) in ends.iter().zip(there) {
                let value = &text[begin..*end];
                begin = *end;
                if !there {
                    builder.append_null();
                } else if style.disarmed && is_formula(value) {
                    disarmed.clear();
                    disarmed.push('\'');
                    disarmed.push_str(value);
                    builder.append_value(&disarmed);
                } else {
                    builder.append_value(value);
                }
            }
            (0..absent).for_each(|_| builder.append_null());
            builder.finish().into_column()
        }
        Values::Number(numbers) if kind == Kind::Time && style.times_as_text => {
            let mut builder = StringChunkedBuilder::new(name, rows);
            let mut text = String::new();
            for (number, there) in numbers.iter().zip(there) {
                if *there {
                    text.clear();
                    let _ = write!(text, "{}", Micros(*number));
                    builder.append_value(&text);
                } else {
                    builder.append_null();
                }
            }
            (0..absent).for_each(|_| builder.append_null());
            builder.finish().into_column()
        }
        Values::Number(numbers) if kind == Kind::Small => {
            let small = |number: &i64| i32::try_from(*number).ok();
            let some = numbers.iter().zip(there).map(|(number, there)| if *there { small(number) } else { None });
            let some = some.chain(std::iter::repeat_n(None, absent));
            Int32Chunked::from_iter_options(name, some).into_column()
        }
        Values::Number(numbers) => {
            let column = if full {
                Int64Chunked::from_slice(name, numbers).into_column()
            } else {
                let some = numbers.iter().zip(there).map(|(number, there)| there.then_some(*number));
                let some = some.chain(std::iter::repeat_n(None, absent));
                Int64Chunked::from_iter_options(name, some).into_column()
            };
            if kind == Kind::Time { column.cast(&dtype(kind, style))? } else { column }
        }
        Values::Truth(truths) => {
            let some = truths.iter().zip(there).map(|(truth, there)| there.then_some(*truth));
            let some = some.chain(std::iter::repeat_n(None, absent));
            polars::prelude::BooleanChunked::from_iter_options(name, some).into_column()
        }
    })
}

/// Whether a spreadsheet would run a text. Source: OWASP, CSV Injection.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_told() {
        for (text, expected) in
            [("=1+1", true), ("@SUM(A1)", true), ("-1", true), ("\tx", true), ("a=b", false), ("", false)]
        {
            assert_eq!(is_formula(text), expected, "{text}");
        }
    }
}
