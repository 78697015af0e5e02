//! `Cell`: what stands in one column of one row.

use std::borrow::Cow;

use crate::field::value::Micros;

/// A value, or none.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Absent,
    /// Text.
    Text(Cow<'a, str>),
    /// A number.
    Number(i64),
    /// True or false.
    Truth(bool),
    /// An instant.
    Time(Micros),
}

impl<'a> Cell<'a> {
    /// Text in bytes, absent if it is empty.
    pub fn bytes(text: &'a [u8]) -> Cell<'a> {
        match std::str::from_utf8(text) {
            Ok("") => Cell::Absent,
            Ok(text) => Cell::Text(Cow::Borrowed(text)),
            Err(_) => Cell::Text(String::from_utf8_lossy(text)),
        }
    }

    /// The same of what may be owned.
    pub fn cow(text: Option<Cow<'a, [u8]>>) -> Cell<'a> {
        match text {
            None => Cell::Absent,
            Some(Cow::Borrowed(text)) => Cell::bytes(text),
            Some(Cow::Owned(text)) => Cell::Text(Cow::Owned(String::from_utf8_lossy(&text).into_owned())),
        }
    }

    /// Text, absent if it is empty.
    pub fn text(text: &'a str) -> Cell<'a> {
        if text.is_empty() { Cell::Absent } else { Cell::Text(Cow::Borrowed(text)) }
    }

    /// The same, which borrows nothing.
    pub fn into_owned(self) -> Cell<'static> {
        match self {
            Cell::Absent => Cell::Absent,
            Cell::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
            Cell::Number(number) => Cell::Number(number),
            Cell::Truth(truth) => Cell::Truth(truth),
            Cell::Time(at) => Cell::Time(at),
        }
    }

    /// A count; what is past 2^63 is that.
    pub fn count(number: u64) -> Cell<'a> {
        Cell::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// A value that may be missing.
    pub fn of<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell<'a>) -> Cell<'a> {
        value.map_or(Cell::Absent, cell)
    }

    /// An instant; absent where the line says none.
    pub fn time(at: Micros) -> Cell<'a> {
        if at == Micros::NONE { Cell::Absent } else { Cell::Time(at) }
    }
}
