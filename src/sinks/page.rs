//! Explanations for a terminal: a title, then what there is to say, label beside text where labels are short.

use std::io::{self, Write};

use anstyle::Style as Ansi;

use super::Style;
use super::clean::{clean, wrap};
use crate::explain::{Entry, Row};

/// Labels up to this many letters stand in a column beside their texts.
const BESIDE: usize = 18;

/// What `logscan explain` prints.
#[derive(Debug)]
pub struct Page<W> {
    out: W,
    style: Style,
    first: bool,
}

impl<W: Write> Page<W> {
    /// Writes to `out`.
    pub fn new(out: W, style: Style) -> Page<W> {
        Page { out, style: Style { width: style.width.clamp(40, 200), ..style }, first: true }
    }

    /// Prints an entry, a blank line before all but the first.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            writeln!(self.out)?;
        }
        let (title, kind) = (clean(&entry.title), clean(&entry.kind));
        let fits = title.chars().count() + kind.chars().count() + 3 <= self.style.width;
        if fits {
            let title = self.style.paint(&title, Ansi::new().bold());
            writeln!(self.out, "{title} ({kind})")?;
        } else {
            for line in wrap(&title, self.style.width) {
                writeln!(self.out, "{}", self.style.paint(&line, Ansi::new().bold()))?;
            }
            self.lines("  ", "  ", &format!("({kind})"), Ansi::new())?;
        }
        let longest = entry.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
        for row in &entry.rows {
            if longest <= BESIDE { self.beside(row, longest)? } else { self.below(row)? }
        }
        Ok(())
    }

    /// Label and text side by side.
    fn beside(&mut self, row: &Row, longest: usize) -> io::Result<()> {
        let label = self.style.paint(&format!("{:<longest$}", clean(&row.label)), Ansi::new().dimmed());
        let indent = " ".repeat(longest + 4);
        if row.text.is_empty() {
            return self.list(&format!("  {label}  "), &indent, &row.notes);
        }
        self.lines(&format!("  {label}  "), &indent, &clean(&row.text), Ansi::new())
    }

    /// Words, as many in a line as fit, none of them cut.
    fn list(&mut self, first: &str, indent: &str, words: &[String]) -> io::Result<()> {
        let mut lines: Vec<String> = Vec::new();
        for word in words {
            let word = clean(word);
            match lines.last_mut().filter(|line| indent.len() + line.len() + 2 + word.len() <= self.style.width) {
                Some(line) => *line = format!("{line}  {word}"),
                None => lines.push(word),
            }
        }
        for (number, line) in lines.iter().enumerate() {
            writeln!(self.out, "{}{line}", if number == 0 { first } else { indent })?;
        }
        Ok(())
    }

    /// The text behind its label, and what it means below.
    fn below(&mut self, row: &Row) -> io::Result<()> {
        let label = clean(&row.label);
        let (text, used) = (clean(&row.text), label.chars().count() + 4);
        let painted = self.style.paint(&label, Ansi::new().bold());
        if used + text.chars().count() <= self.style.width {
            writeln!(self.out, "  {painted}  {text}")?;
        } else {
            writeln!(self.out, "  {painted}")?;
            self.lines("    ", "    ", &text, Ansi::new())?;
        }
        for note in &row.notes {
            self.lines("      ", "      ", &clean(note), Ansi::new().dimmed())?;
        }
        Ok(())
    }

    /// A text that is cleaned, wrapped behind an indent; `first` is as wide as `indent`, colours left out.
    fn lines(&mut self, first: &str, indent: &str, text: &str, ansi: Ansi) -> io::Result<()> {
        for (number, line) in wrap(text, self.style.width - indent.len()).iter().enumerate() {
            let before = if number == 0 { first } else { indent };
            let line = if ansi == Ansi::new() { line.clone() } else { self.style.paint(line, ansi) };
            writeln!(self.out, "{before}{line}")?;
        }
        Ok(())
    }

    /// What was pushed so far must be seen now.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
