//! From columns of values to Arrow's arrays.

use std::borrow::Cow;

use polars::prelude::{DataType, Field, PlSmallStr, PolarsResult, Schema, TimeUnit, TimeZone};
use polars_arrow::array::{Array, BooleanArray, PrimitiveArray, Utf8Array, new_null_array};
use polars_arrow::bitmap::Bitmap;
use polars_arrow::datatypes::{ArrowDataType, TimeUnit as ArrowTimeUnit};

use crate::field::value::Micros;
use crate::table::{Kind, Selection, Texts, Values};

/// How instants and texts are to be put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// Instants as text, RFC 3339 in UTC with microseconds.
    pub(super) times_as_text: bool,
    /// Text that a spreadsheet would take for a formula gets an apostrophe.
    pub(super) disarmed: bool,
}

/// Polars' schema of some columns.
pub(super) fn schema(selection: &Selection, style: Style) -> Schema {
    let dtype = |kind: Kind| match kind {
        Kind::Text => DataType::String,
        Kind::Whole => DataType::Int64,
        Kind::Small => DataType::Int32,
        Kind::Truth => DataType::Boolean,
        Kind::Time if style.times_as_text => DataType::String,
        Kind::Time => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
    };
    selection.columns.iter().map(|column| Field::new((*column.name).into(), dtype(column.kind))).collect()
}

/// Arrow's type of a kind.
fn dtype(kind: Kind, style: Style) -> ArrowDataType {
    match kind {
        // With offsets, as every reader knows it: views came to pyarrow with its version 15.
        Kind::Text => ArrowDataType::LargeUtf8,
        Kind::Whole => ArrowDataType::Int64,
        Kind::Small => ArrowDataType::Int32,
        Kind::Truth => ArrowDataType::Boolean,
        Kind::Time if style.times_as_text => ArrowDataType::LargeUtf8,
        Kind::Time => ArrowDataType::Timestamp(ArrowTimeUnit::Microsecond, Some(PlSmallStr::from_static("UTC"))),
    }
}

/// A column of so many rows as an array.
pub(super) fn array(
    kind: Kind,
    (values, there): (&Values, &[bool]),
    rows: usize,
    style: Style,
) -> PolarsResult<Box<dyn Array>> {
    let dtype = dtype(kind, style);
    if there.is_empty() {
        return Ok(new_null_array(dtype, rows));
    }
    let validity = there.contains(&false).then(|| there.iter().copied().collect());
    Ok(match values {
        Values::Text(texts) if style.disarmed => strings(&texts.map(disarmed).spread(there), validity)?,
        Values::Text(texts) if texts.parts().2.is_none() => strings(texts, validity)?,
        Values::Text(texts) => strings(&texts.spread(there), validity)?,
        Values::Number(numbers) if kind == Kind::Time && style.times_as_text => {
            let text = numbers.iter().zip(there).map(|(number, there)| there.then(|| Micros(*number).to_string()));
            text.collect::<Utf8Array<i64>>().boxed()
        }
        Values::Number(numbers) if kind == Kind::Small => {
            let small = numbers.iter().zip(there).map(|(number, there)| i32::try_from(*number).ok().filter(|_| *there));
            small.collect::<PrimitiveArray<i32>>().boxed()
        }
        Values::Number(numbers) => PrimitiveArray::<i64>::try_new(dtype, numbers.clone().into(), validity)?.boxed(),
        Values::Truth(truths) => BooleanArray::try_new(dtype, truths.iter().copied().collect(), validity)?.boxed(),
    })
}

/// Texts of which every row has its own.
fn strings(texts: &Texts, validity: Option<Bitmap>) -> PolarsResult<Box<dyn Array>> {
    let (text, offsets, _) = texts.parts();
    let offsets: Vec<i64> = offsets.iter().map(|at| i64::try_from(*at).unwrap_or(i64::MAX)).collect();
    let text = text.as_bytes().to_vec().into();
    Ok(Utf8Array::<i64>::try_new(ArrowDataType::LargeUtf8, offsets.try_into()?, text, validity)?.boxed())
}

/// A text that no spreadsheet runs. Source: OWASP, CSV Injection.
fn disarmed(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_disarmed() {
        for text in ["=1+1", "@SUM(A1)", "-1", "\tx"] {
            assert_eq!(disarmed(text), format!("'{text}"));
        }
        for text in ["a=b", ""] {
            assert_eq!(disarmed(text), text);
        }
    }
}
