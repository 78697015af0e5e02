//! `explain`: what a word or a line of a log means. Entries come out, ready to be shown.
//!
//! All meanings come from the tables that rules and readers use; here they are found and put beside each other. `words`
//! knows the vocabulary, `line` reads a whole access line with the scanner, `near` guesses what was meant.

mod line;
mod near;
mod words;

use crate::format::Formats;

/// What is known of one thing.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The thing, as it was asked for or as the tables name it. It may hold any text of a log.
    pub title: String,
    /// What kind of thing it is.
    pub kind: String,
    /// What there is to say.
    pub rows: Vec<Row>,
}

/// One thing that there is to say.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is about.
    pub label: String,
    /// The text.
    pub text: String,
    /// What the text means, where it is a value of a log; a list of words, where there is no text.
    pub notes: Vec<String>,
}

impl Entry {
    fn new(title: impl Into<String>, kind: impl Into<String>) -> Entry {
        Entry { title: title.into(), kind: kind.into(), rows: Vec::new() }
    }

    /// A list of words by group.
    pub fn list(title: &str, kind: &str, groups: Vec<(&'static str, Vec<String>)>) -> Entry {
        groups.into_iter().fold(Entry::new(title, kind), |entry, (group, words)| entry.noted(group, "", words))
    }

    /// With one more row, unless there is nothing in it.
    #[must_use]
    fn row(self, label: impl Into<String>, text: impl Into<String>) -> Entry {
        self.noted(label, text, Vec::new())
    }

    #[must_use]
    fn noted(mut self, label: impl Into<String>, text: impl Into<String>, notes: Vec<String>) -> Entry {
        let row = Row { label: label.into(), text: text.into(), notes };
        if !row.text.is_empty() || !row.notes.is_empty() {
            self.rows.push(row);
        }
        self
    }
}

/// Everything that a word, or a whole line, is in the tables; empty if it is in none.
pub fn explain(text: &[u8], formats: &Formats) -> Vec<Entry> {
    let text = text.trim_ascii();
    if text.contains(&b' ') || text.contains(&b'\t') || text.starts_with(b"{") || formats.has_given() {
        let entries = line::entries(text, formats);
        if !entries.is_empty() {
            return entries;
        }
    }
    words::entries(&String::from_utf8_lossy(text), formats)
}

/// Why a text that looks like an access line could not be read, if it does.
pub fn unread(text: &[u8], formats: &Formats) -> Option<String> {
    line::unread(text, formats)
}

/// What flags and a cluster mean together, where they are asked for side by side.
pub fn beside(words: &[String]) -> Vec<Entry> {
    words::beside(words)
}

/// The known words that are nearest to an unknown one, the nearest first.
pub fn nearest(word: &str, formats: &Formats) -> Vec<String> {
    near::nearest(word, &known(formats))
}

/// Every word that can be explained, by group.
pub fn known(formats: &Formats) -> Vec<(&'static str, Vec<String>)> {
    words::known(formats)
}
