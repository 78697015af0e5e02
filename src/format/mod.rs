//! `Format`: what a log line looks like, as data. The files in `grammar/formats/` are compiled once.
//!
//! A format's file holds Envoy's own format string (or a dictionary of keys) unchanged, and sample lines with what
//! they must yield. `Formats::read` tries the format that fitted last, then the others: shapes exclude each other (the
//! samples are tested against every format), so the order only costs time. What a user gave comes before them, and
//! lines of a layout that nobody described are read by their shape, last.

pub mod ambient;
pub mod custom;
mod file;
pub mod grammar;
pub mod json;
pub mod pairs;
pub mod shape;
pub mod text;

use crate::field::layout::Layout;
use crate::field::{Field, Kind};
use crate::record::{EXTRA, SLOTS, Spans};
use grammar::FormatError;

pub use file::{File, FileKind, Sample, files, names};

/// What can be wrong with a grammar file or a format string.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is no TOML of the right shape.
    #[error("not a grammar file")]
    File(#[from] toml::de::Error),
    /// The format string does not compile.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A text format without a format string.
    #[error("a text format needs `format`, the others `keys`")]
    Empty,
    /// A key with a value that is neither one command nor a field.
    #[error("key `{0}`: expected one command such as %START_TIME%, or the key of a field")]
    Key(String),
    /// Too many operators that the table does not know.
    #[error("more than {EXTRA} commands that logscan does not know")]
    TooManyExtras,
    /// A layout of times by which no instant can be told.
    #[error(
        "the time layout `{0}` needs a date with its year and a time of day, or %s: without them no line says when"
    )]
    Layout(String),
    /// The file is no YAML.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// A file in which no format was found.
    #[error("no access log format in it: expected a format string, a grammar file, or YAML that holds one")]
    Nothing,
}

/// A compiled format.
#[derive(Debug)]
pub struct Format {
    /// Its name in the summary.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// The commands outside of the table, in the order of their extra slots.
    pub extras: Vec<String>,
    /// How it prints times, where that is not Envoy's own layout.
    layouts: Vec<Layout>,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    /// Columns, and the same columns where absent values are left out.
    Text(Box<[text::Plan; 2]>),
    Json(json::Keys, json::Shape),
    Pairs(pairs::Pairs),
    /// No plan: told by its shape.
    Shape,
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

impl From<text::Fault> for Misfit {
    fn from(fault: text::Fault) -> Misfit {
        Misfit::At { slot: fault.slot, at: fault.at }
    }
}

impl From<json::Broken> for Misfit {
    fn from(broken: json::Broken) -> Misfit {
        if broken.foreign { Misfit::Foreign } else { Misfit::At { slot: u8::MAX, at: broken.at } }
    }
}

/// The slots for commands that no field stands for.
#[derive(Debug, Default)]
struct Slots {
    extras: Vec<String>,
    layouts: Vec<Layout>,
    /// A layout that says too little.
    poor: Option<String>,
}

impl Slots {
    fn of(&mut self, name: &str, argument: Option<&str>) -> u8 {
        if let Some(field) = Field::of_operator(name, argument) {
            if let Some(argument) = argument.filter(|argument| field.kind() == Kind::Time && !argument.is_empty()) {
                match Layout::compile(argument).filter(Layout::is_whole) {
                    Some(layout) => self.layouts.push(layout),
                    None => self.poor = Some(argument.to_owned()),
                }
            }
            return field as u8;
        }
        self.extra(&argument.map_or(name.to_owned(), |argument| format!("{name}({argument})")))
    }

    /// The slot of what is called so and is no field.
    fn extra(&mut self, printed: &str) -> u8 {
        let number = self.extras.iter().position(|known| *known == printed).unwrap_or_else(|| {
            self.extras.push(printed.to_owned());
            self.extras.len() - 1
        });
        (Field::COUNT + number).min(SLOTS) as u8
    }

    /// The slot of a dictionary's value: one command, or the key of a field.
    fn of_value(&mut self, key: &str, value: &str) -> Result<u8, Error> {
        if let Some(field) = Field::of_key(value) {
            return Ok(field as u8);
        }
        match &grammar::tokens(value)?[..] {
            [grammar::Token::Operator { name, argument }] => Ok(self.of(name, argument.as_deref())),
            _ => Err(Error::Key(key.to_owned())),
        }
    }

    /// The commands outside of the table, and the layouts of times.
    fn done(self) -> Result<(Vec<String>, Vec<Layout>), Error> {
        match self.poor {
            Some(layout) => Err(Error::Layout(layout)),
            None if self.extras.len() > EXTRA => Err(Error::TooManyExtras),
            None => Ok((self.extras, self.layouts)),
        }
    }
}

impl Format {
    /// Compiles a grammar file.
    pub fn compile(file: &File) -> Result<Format, Error> {
        let mut slots = Slots::default();
        let reader = match (file.kind, &file.format) {
            (FileKind::Text, Some(format)) => Format::plan(format, &mut slots)?,
            (FileKind::Json | FileKind::Pairs, _) if !file.keys.is_empty() => {
                let mut keys = Vec::new();
                for (key, value) in &file.keys {
                    keys.push((key.clone(), slots.of_value(key, value)?));
                }
                if file.kind == FileKind::Pairs {
                    Reader::Pairs(pairs::Pairs::new(keys))
                } else {
                    Format::keys(json::Shape { keys, needed: file.needed.clone(), mixed: Vec::new() })
                }
            }
            _ => return Err(Error::Empty),
        };
        let (extras, layouts) = slots.done()?;
        Ok(Format { name: file.name.clone(), summary: file.summary.clone(), extras, layouts, reader })
    }

    fn plan(format: &str, slots: &mut Slots) -> Result<Reader, Error> {
        let plan = text::Plan::new(&grammar::tokens(format)?, |name, argument| slots.of(name, argument));
        let omitting = plan.omitting();
        Ok(Reader::Text(Box::new([plan, omitting])))
    }

    fn keys(shape: json::Shape) -> Reader {
        Reader::Json(json::Keys::new(std::slice::from_ref(&shape)), shape)
    }

    /// Fills `spans` from an access line without its line end.
    #[inline]
    pub fn read(&self, line: &[u8], spans: &mut Spans) -> Result<(), Misfit> {
        spans.clear();
        match &self.reader {
            Reader::Text(plans) => plans[0].read(line, spans)?,
            Reader::Json(keys, _) => {
                keys.read(line, spans)?;
                settle(line, spans);
            }
            Reader::Pairs(pairs) => {
                pairs.read(line, spans).map_err(|at| Misfit::At { slot: Field::Event as u8, at: at as u32 })?;
                settle(line, spans);
            }
            Reader::Shape => shape::read(line, spans)?,
        }
        Ok(())
    }

    /// The same of a line of text from which absent values are left out.
    fn read_omitting(&self, line: &[u8], spans: &mut Spans) -> bool {
        spans.clear();
        matches!(&self.reader, Reader::Text(plans) if plans[1].read(line, spans).is_ok())
    }

    /// Writes a line of this format: `value` gives the text of a slot, none where it is absent. Nothing is written for
    /// lines that are told by their shape.
    pub fn write<'v>(&self, value: impl Fn(u8) -> Option<&'v [u8]>, out: &mut Vec<u8>) {
        match &self.reader {
            Reader::Text(plans) => plans[0].write(value, out),
            Reader::Json(keys, _) if self.slots().contains(&(Field::Direction as u8)) => {
                keys.write(|slot| ambient::unsettled(&value, slot), out);
            }
            Reader::Json(keys, _) => keys.write(value, out),
            Reader::Pairs(pairs) => pairs.write(|slot| ambient::unsettled(&value, slot), out),
            Reader::Shape => {}
        }
    }

    /// The slots that it fills; none where lines are told by their shape.
    pub fn slots(&self) -> Vec<u8> {
        match &self.reader {
            Reader::Text(plans) => plans[0].slots().collect(),
            Reader::Json(keys, _) => keys.slots().collect(),
            Reader::Pairs(pairs) => pairs.slots().collect(),
            Reader::Shape => Vec::new(),
        }
    }

    /// Whether its lines are text that begins like a JSON object.
    fn looks_like_json(&self) -> bool {
        matches!(&self.reader, Reader::Text(plans) if plans[0].lead().first() == Some(&b'{'))
    }

    /// Whether a line begins as all of its lines do, if it is a format of text.
    fn leads(&self, line: &[u8]) -> bool {
        matches!(&self.reader, Reader::Text(plans) if line.starts_with(plans[0].lead()))
    }

    fn is_json(&self) -> bool {
        matches!(self.reader, Reader::Json(..))
    }
}

/// What ztunnel says is put where Envoy's words for it are, and what JSON and pairs print with a unit loses it.
fn settle(line: &[u8], spans: &mut Spans) {
    let duration = spans.get(Field::Duration);
    spans.set(Field::Duration as u8, pairs::unit(line, Field::Duration as u8, duration));
    ambient::settle(line, spans);
}

/// The formats that a run knows.
#[derive(Debug)]
pub struct Formats {
    list: Vec<Format>,
    /// How many of them, at the start of the list, a user gave.
    given: usize,
    /// Text that is to be tried on lines that begin like an object.
    braced: Vec<usize>,
    /// The JSON formats in one dictionary, and their numbers.
    json: json::Keys,
    json_numbers: Vec<usize>,
    /// The one that tells lines by their shape.
    shape: usize,
}

impl Formats {
    /// Compiles the files in `grammar/formats/`.
    pub fn built_in() -> Result<Formats, Error> {
        Formats::with(Vec::new())
    }

    /// The formats that a user gave, to be tried first, and the built-in ones.
    pub fn with(given: Vec<Format>) -> Result<Formats, Error> {
        let mut list = given;
        let given = list.len();
        for file in files()? {
            list.push(Format::compile(&file)?);
        }
        let numbers = |list: &[Format], wanted: fn(&Format) -> bool| -> Vec<usize> {
            (given..list.len()).filter(|number| wanted(&list[*number])).collect()
        };
        let (braced, json_numbers) = (numbers(&list, Format::looks_like_json), numbers(&list, Format::is_json));
        let shapes: Vec<json::Shape> = json_numbers
            .iter()
            .filter_map(|number| match &list[*number].reader {
                Reader::Json(_, shape) => Some(shape.clone()),
                _ => None,
            })
            .collect();
        let shape = list.len();
        list.push(Format {
            name: "by-shape".to_owned(),
            summary: "Envoy's lines in a layout that nobody described, as far as their shape tells".to_owned(),
            extras: Vec::new(),
            layouts: Vec::new(),
            reader: Reader::Shape,
        });
        Ok(Formats { list, given, braced, json: json::Keys::new(&shapes), json_numbers, shape })
    }

    /// All formats, by number.
    pub fn list(&self) -> &[Format] {
        &self.list
    }

    /// How a format prints times, by its number; none where it is Envoy's own layout.
    pub fn layouts(&self, number: usize) -> &[Layout] {
        self.list.get(number).map_or(&[], |format| &format.layouts)
    }

    /// Whether a user gave formats, whose lines may begin in any way.
    pub fn has_given(&self) -> bool {
        self.given > 0
    }

    /// Whether the whole text is a line of a format that a user gave.
    pub fn is_given(&self, text: &[u8], spans: &mut Spans) -> bool {
        let given = &self.list[..self.given];
        given.iter().any(|format| format.read(text, spans).is_ok())
            || given.iter().any(|format| format.read_omitting(text, spans))
    }

    /// Where the given format that gets furthest stops in a text that is no line of any: slot and byte.
    pub fn given_misfit(&self, text: &[u8], spans: &mut Spans) -> Option<(u8, usize)> {
        let misfits = self.list[..self.given].iter().filter_map(|format| match format.read(text, spans) {
            Err(Misfit::At { slot, at }) => Some((slot, at as usize)),
            _ => None,
        });
        misfits.max_by_key(|(_, at)| *at)
    }

    /// Reads an access line with the format that fits; `hint` is where to begin, and becomes the number of
    /// the format that fitted.
    #[inline]
    pub fn read(&self, line: &[u8], hint: &mut usize, spans: &mut Spans) -> Result<(), Misfit> {
        // Most lines are of the format of the line before.
        let first = if self.given == 0 && line.first() != Some(&b'{') { self.text_hint(*hint) } else { None };
        if first.is_some_and(|first| self.list[first].read(line, spans).is_ok()) {
            return Ok(());
        }
        self.search(line, hint, spans)
    }

    /// The number of the format before, if that is a built-in one of text.
    #[inline]
    fn text_hint(&self, hint: usize) -> Option<usize> {
        ((self.given..self.shape).contains(&hint) && !self.list[hint].is_json()).then_some(hint)
    }

    /// The same, whatever the line before was.
    // Out of the way of text; every line of JSON comes by here.
    #[inline(never)]
    fn search(&self, line: &[u8], hint: &mut usize, spans: &mut Spans) -> Result<(), Misfit> {
        let mut furthest = Misfit::Foreign;
        let mut try_one = |number: usize, spans: &mut Spans| match self.list[number].read(line, spans) {
            Ok(()) => true,
            Err(misfit) => {
                // How far the shape got says nothing where a plan could begin.
                if number != self.shape || furthest == Misfit::Foreign {
                    furthest = further(furthest, misfit);
                }
                false
            }
        };
        let omitting = |numbers: std::ops::Range<usize>, spans: &mut Spans| {
            numbers.into_iter().find(|number| self.list[*number].read_omitting(line, spans))
        };
        let given = (0..self.given).find(|given| try_one(*given, spans));
        if let Some(given) = given.or_else(|| omitting(0..self.given, spans)) {
            *hint = given;
            return Ok(());
        }
        if line.first() == Some(&b'{') {
            let mut braced = self.braced.iter().filter(|number| self.list[**number].leads(line));
            if let Some(number) = braced.find(|number| try_one(**number, spans)) {
                *hint = *number;
                return Ok(());
            }
            spans.clear();
            *hint = self.json_numbers[self.json.read(line, spans)?];
            settle(line, spans);
            return Ok(());
        }
        let first = self.text_hint(*hint);
        let others = (self.given..self.shape).filter(|number| Some(*number) != first && !self.list[*number].is_json());
        let found = first.into_iter().chain(others).find(|number| try_one(*number, spans));
        let found = found
            .or_else(|| if has_gap(line) { omitting(self.given..self.shape, spans) } else { None })
            .or_else(|| try_one(self.shape, spans).then_some(self.shape));
        if let Some(number) = found {
            *hint = number;
            return Ok(());
        }
        Err(furthest)
    }
}

/// Whether a value may be left out of a line of text: nothing stands between two blanks or two quotes, or behind the last
/// blank.
fn has_gap(line: &[u8]) -> bool {
    let has = |gap: &[u8]| memchr::memmem::find(line, gap).is_some();
    line.last() == Some(&b' ') || has(b"  ") || has(b"\"\"")
}

/// The more telling of two misfits, whichever came first.
fn further(one: Misfit, other: Misfit) -> Misfit {
    match (one, other) {
        (Misfit::At { at: a, slot: s }, Misfit::At { at: b, slot: t }) if (b, t) <= (a, s) => one,
        (Misfit::At { .. }, Misfit::Foreign) => one,
        _ => other,
    }
}
