//! TOML or YAML as one tree that knows its lines, so that both are judged by the same words.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use toml::de::{DeTable, DeValue};

use super::Error;

/// How deep YAML may be nested; a file has four levels.
const DEPTH: usize = 16;

/// A value and the line on which it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Value {
    Table(Vec<(Key, Node)>),
    List(Vec<Node>),
    Text(String),
    Number(i64),
    /// Something that no key of ours takes, by its name.
    Other(&'static str),
}

/// A key and its line.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) line: usize,
    pub(super) name: String,
}

impl Value {
    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Table(_) => "a table",
            Value::List(_) => "a list",
            Value::Text(_) => "a text",
            Value::Number(_) => "a number",
            Value::Other(name) => name,
        }
    }
}

/// Reads a file. What it is written in is seen from its first line that is no comment.
pub(super) fn read(text: &str) -> Result<Node, Error> {
    let lines = text.lines().map(str::trim).enumerate();
    let mut told = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let Some((at, first)) = told.next() else { return Err(Error::Empty) };
    let key = |separator| first.split_once(separator).map(|(key, _): (&str, &str)| key.trim());
    let is_key = |key: Option<&str>| key.is_some_and(|key| !key.is_empty() && !key.contains([' ', '{', ',']));
    if first.starts_with("[[") || first.starts_with('[') && first.ends_with(']') || is_key(key('=')) {
        return of_toml(text);
    }
    if first == "---" || first.starts_with(['%', '{']) || is_key(key(':')) {
        return of_yaml(text);
    }
    Err(Error::Neither { line: at + 1 })
}

fn of_toml(text: &str) -> Result<Node, Error> {
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
    let line = |at: usize| ends.partition_point(|end| *end < at) + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let place = text.get(span.clone()).filter(|place| !place.is_empty() && !place.contains('\n'));
        let what = error.message().lines().collect::<Vec<_>>().join(", ");
        let what = place.map_or(what.clone(), |place| format!("{what}: {place}"));
        Error::Syntax { line: line(span.start), what }
    })?;
    Ok(Node { line: 1, value: table_of(table.get_ref(), &line) })
}

fn table_of(table: &DeTable<'_>, line: &impl Fn(usize) -> usize) -> Value {
    let member = |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
        (Key { line: line(key.span().start), name: key.get_ref().clone().into_owned() }, node_of(value, line))
    };
    Value::Table(table.iter().map(member).collect())
}

fn node_of(value: &toml::Spanned<DeValue<'_>>, line: &impl Fn(usize) -> usize) -> Node {
    let at = line(value.span().start);
    let value = match value.get_ref() {
        DeValue::Table(table) => table_of(table, line),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node_of(item, line)).collect()),
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other("a number"), Value::Number)
        }
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Boolean(_) => Value::Other("true or false"),
        DeValue::Datetime(_) => Value::Other("a time"),
    };
    Node { line: at, value }
}

fn of_yaml(text: &str) -> Result<Node, Error> {
    let options = serde_saphyr::options! { budget: serde_saphyr::budget! { max_depth: DEPTH } };
    let found =
        serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options).map_err(|error| Error::Syntax {
            line: error.location().map_or(1, |location| location.line() as usize),
            what: said(&error.without_snippet().to_string()),
        })?;
    Ok(spanned(found))
}

/// What the reader of YAML says, without the place and without its advice to programmers.
fn said(message: &str) -> String {
    let end =
        [" at line ", ", set DuplicateKeyPolicy", "; use from_str"].iter().filter_map(|end| message.find(end)).min();
    message[..end.unwrap_or(message.len())].to_owned()
}

fn spanned(found: Spanned<Value>) -> Node {
    Node { line: found.referenced.line() as usize, value: found.value }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Whatever)
    }
}

/// Takes whatever YAML holds.
struct Whatever;

impl<'de> Visitor<'de> for Whatever {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other("true or false"))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Other("a number"), Value::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other("a fraction"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other("nothing"))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Other("nothing"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Value>>()? {
            list.push(spanned(item));
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut table = Vec::new();
        while let Some((key, value)) = members.next_entry::<Spanned<String>, Spanned<Value>>()? {
            table.push((Key { line: key.referenced.line() as usize, name: key.value }, spanned(value)));
        }
        Ok(Value::Table(table))
    }
}
