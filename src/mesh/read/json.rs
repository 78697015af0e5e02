//! JSON: one document or several, one after the other.

use std::io::{self, BufReader, Read};

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use super::Trouble;
use super::document::{Document, Take};

/// Where a text is no JSON, and why.
#[derive(Debug)]
pub(super) struct Syntax {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) what: String,
}

impl Syntax {
    /// As a trouble with a file.
    pub(super) fn of(self, file: &str) -> Trouble {
        let Syntax { line, column, what } = self;
        Trouble::Syntax { file: file.to_owned(), line, column, what }
    }
}

/// Documents without anything that we know before the rest is not looked at: a log of JSON lines can be long.
const STRANGE: usize = 16;

/// Reads all documents. Stops where the text ends or is wrong.
pub(super) fn read(bytes: impl Read, take: &mut dyn Take) -> io::Result<Result<(), Syntax>> {
    // Envoy never nests so deep that serde_json's limit of 128 is met.
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 << 10, bytes));
    let mut document = Document::new(take);
    for number in 1.. {
        let Err(error) = document.deserialize(&mut json).and_then(|()| json.end()) else { break };
        if error.is_io() {
            return Err(error.into());
        }
        // Behind a document another one may begin.
        if error.classify() == Category::Syntax && error.to_string().starts_with("trailing characters") {
            if number >= STRANGE && !document.take.is_known() {
                break;
            }
            continue;
        }
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default().to_owned();
        return Ok(Err(Syntax { line: error.line(), column: error.column(), what }));
    }
    Ok(Ok(()))
}
