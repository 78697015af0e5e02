//! `Format`: what a log line looks like, as data. The files in `grammar/formats/` are compiled once.
//!
//! A format's file holds Envoy's own format string (or the JSON dictionary) unchanged, and sample lines with
//! what they must yield. `Formats::read` tries the format that fitted last, then the others: shapes
//! exclude each other (the samples are tested against every format), so the order only costs time.

pub mod grammar;
pub mod json;
pub mod text;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::field::Field;
use crate::record::{EXTRA, SLOTS, Spans};
use grammar::FormatError;

/// The built-in formats: adding one is a file and a line.
const BUILT_IN: &[(&str, &str)] = &[
    ("istio-1.9", include_str!("../../grammar/formats/istio-1.9.toml")),
    ("istio-1.8", include_str!("../../grammar/formats/istio-1.8.toml")),
    ("istio-1.3", include_str!("../../grammar/formats/istio-1.3.toml")),
    ("envoy", include_str!("../../grammar/formats/envoy.toml")),
    ("istio-json", include_str!("../../grammar/formats/istio-json.toml")),
];

/// A grammar file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name, the file's stem.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Where the format is documented.
    pub source: String,
    /// `text` or `json`.
    pub kind: FileKind,
    /// Text formats: Envoy's format string.
    pub format: Option<String>,
    /// JSON formats: each key with the command that fills it.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// JSON formats: the keys that make an object an access record.
    #[serde(default)]
    pub needed: Vec<String>,
    /// Real lines and what they yield.
    #[serde(default)]
    pub sample: Vec<Sample>,
}

/// How the lines of a format are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Columns.
    Text,
    /// One object a line.
    Json,
}

/// One sample line of a grammar file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The access line.
    pub line: String,
    /// Values of fields by their key; `-` says that the field is absent.
    pub expect: BTreeMap<String, String>,
}

/// What can be wrong with a grammar file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is no TOML of the right shape.
    #[error("not a grammar file: {0}")]
    File(#[from] toml::de::Error),
    /// The format string does not compile.
    #[error("{0}")]
    Format(#[from] FormatError),
    /// A text format without a format string.
    #[error("a text format needs `format`, a JSON format `keys`")]
    Empty,
    /// A JSON key with a value that is not one command.
    #[error("key `{0}`: expected one command such as %START_TIME%")]
    Key(String),
    /// Too many operators that the table does not know.
    #[error("more than {EXTRA} commands that logscan does not know")]
    TooManyExtras,
}

/// A compiled format.
#[derive(Debug)]
pub struct Format {
    /// Its name in the summary.
    pub name: String,
    /// The commands outside of the table, in the order of their extra slots.
    pub extras: Vec<String>,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Text(text::Plan),
    Json(json::Keys),
}

/// Why no format took a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// A JSON object that is no access record.
    Foreign,
    /// The format that got furthest stopped here: at this slot, at this byte.
    At {
        /// The slot of the field that did not read; `u8::MAX` where JSON's structure broke.
        slot: u8,
        /// Byte offset in the access line.
        at: u32,
    },
}

impl Format {
    /// Compiles a grammar file.
    pub fn compile(file: &File) -> Result<Format, Error> {
        let mut extras: Vec<String> = Vec::new();
        let mut slot = |name: &str, argument: Option<&str>| {
            Field::of_operator(name, argument).map_or_else(
                || {
                    extras.push(argument.map_or(name.to_owned(), |argument| format!("{name}({argument})")));
                    (Field::COUNT + extras.len() - 1).min(SLOTS) as u8
                },
                |field| field as u8,
            )
        };
        let reader = match (file.kind, &file.format) {
            (FileKind::Text, Some(format)) => Reader::Text(text::Plan::new(&grammar::tokens(format)?, slot)),
            (FileKind::Json, _) if !file.keys.is_empty() => {
                let mut keys = Vec::new();
                for (key, command) in &file.keys {
                    let tokens = grammar::tokens(command)?;
                    let [grammar::Token::Operator { name, argument }] = &tokens[..] else {
                        return Err(Error::Key(key.clone()));
                    };
                    keys.push((key.clone(), slot(name, argument.as_deref()), file.needed.contains(key)));
                }
                Reader::Json(json::Keys::new(keys))
            }
            _ => return Err(Error::Empty),
        };
        if extras.len() > EXTRA {
            return Err(Error::TooManyExtras);
        }
        Ok(Format { name: file.name.clone(), extras, reader })
    }

    /// Fills `spans` from an access line without its line end.
    pub fn read(&self, line: &[u8], spans: &mut Spans) -> Result<(), Misfit> {
        spans.clear();
        match &self.reader {
            Reader::Text(plan) => plan.read(line, spans).map_err(|fault| Misfit::At { slot: fault.slot, at: fault.at }),
            Reader::Json(keys) => keys.read(line, spans).map_err(|broken| {
                if broken.foreign { Misfit::Foreign } else { Misfit::At { slot: u8::MAX, at: broken.at } }
            }),
        }
    }

    /// Writes a line of this format: `value` gives the text of a slot, none where it is absent.
    pub fn write<'v>(&self, value: impl Fn(u8) -> Option<&'v [u8]>, out: &mut Vec<u8>) {
        match &self.reader {
            Reader::Text(plan) => plan.write(value, out),
            Reader::Json(keys) => keys.write(value, out),
        }
    }

    /// The slots that it fills.
    pub fn slots(&self) -> Vec<u8> {
        match &self.reader {
            Reader::Text(plan) => plan.slots().collect(),
            Reader::Json(keys) => keys.slots().collect(),
        }
    }

    fn is_json(&self) -> bool {
        matches!(self.reader, Reader::Json(_))
    }
}

/// The formats that a run knows.
#[derive(Debug)]
pub struct Formats {
    list: Vec<Format>,
}

impl Formats {
    /// Compiles the files in `grammar/formats/`.
    pub fn built_in() -> Result<Formats, Error> {
        let mut list = Vec::new();
        for file in files()? {
            list.push(Format::compile(&file)?);
        }
        Ok(Formats { list })
    }

    /// All formats, by number.
    pub fn list(&self) -> &[Format] {
        &self.list
    }

    /// Reads an access line with the format that fits; `hint` is where to begin, and becomes the number of
    /// the format that fitted.
    pub fn read(&self, line: &[u8], hint: &mut usize, spans: &mut Spans) -> Result<(), Misfit> {
        let json = line.first() == Some(&b'{');
        let mut furthest = if json { Misfit::Foreign } else { Misfit::At { slot: 0, at: 0 } };
        let order = std::iter::once(*hint).chain((0..self.list.len()).filter(|number| number != hint));
        for number in order {
            let Some(format) = self.list.get(number).filter(|format| format.is_json() == json) else {
                continue;
            };
            match format.read(line, spans) {
                Ok(()) => {
                    *hint = number;
                    return Ok(());
                }
                Err(misfit) => furthest = further(furthest, misfit),
            }
        }
        Err(furthest)
    }
}

/// The more telling of two misfits, whichever came first.
fn further(one: Misfit, other: Misfit) -> Misfit {
    match (one, other) {
        (Misfit::At { at: a, slot: s }, Misfit::At { at: b, slot: t }) if (b, t) <= (a, s) => one,
        (Misfit::At { .. }, Misfit::Foreign) => one,
        _ => other,
    }
}

/// The grammar files that are built in.
pub fn files() -> Result<Vec<File>, toml::de::Error> {
    BUILT_IN.iter().map(|(_, text)| toml::from_str(text)).collect()
}

/// Their names, as the list has them.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}
