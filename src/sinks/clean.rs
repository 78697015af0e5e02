//! Log text on its way to a terminal: no byte of it may act there.
//!
//! Lines hold what strangers sent. Control characters, C1 controls, the marks that turn the direction of text, other
//! line ends and what cannot be seen are shown as escapes.

use std::io::{self, Write};

/// Whether a terminal or a reader's eye would be led astray by a letter.
fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with everything that a terminal would act on written out.
pub(crate) fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if acts(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// JSON on its way out: the same letters as JSON's own escapes. What is written must be whole letters.
#[derive(Debug)]
pub(super) struct Harmless<W>(pub(super) W);

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nearly all of it comes in pieces of a few letters.
        let plain = bytes.is_ascii() && !bytes.contains(&0x7f);
        let Some(text) = (!plain).then(|| std::str::from_utf8(bytes).ok()).flatten() else {
            self.0.write_all(bytes)?;
            return Ok(bytes.len());
        };
        let mut rest = text;
        while let Some((at, letter)) = rest.char_indices().find(|(_, letter)| *letter != '\n' && acts(*letter)) {
            self.0.write_all(&rest.as_bytes()[..at])?;
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(self.0, "\\u{unit:04x}")?;
            }
            rest = &rest[at + letter.len_utf8()..];
        }
        self.0.write_all(rest.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The first letters of a text that is cleaned already, with a mark if there were more.
pub(super) fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Cuts a text into lines of at most `width` letters at blanks; what has no blanks is cut where it must be.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(String::new());
            used = 0;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            push(&mut lines, &word, &mut used);
            lines.push(String::new());
            used = 0;
            word = rest;
        }
        push(&mut lines, &word, &mut used);
    }
    lines
}

fn push(lines: &mut [String], word: &[char], used: &mut usize) {
    let Some(line) = lines.last_mut() else { return };
    if *used > 0 {
        line.push(' ');
        *used += 1;
    }
    line.extend(word);
    *used += word.len();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_the_same_json_without_anything_that_acts() {
        let text = "a\u{9b}31m\u{202e}b\u{7f}c\u{e0041}é\u{2028}";
        let mut out = Vec::new();
        serde_json::to_writer(Harmless(&mut out), text).unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert!(!shown.chars().any(acts), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }

    #[test]
    fn nothing_that_acts_is_left() {
        assert_eq!(clean("a\x1b[31mb\r\u{9b}2J\u{202e}\0é"), "a\\u{1b}[31mb\\r\\u{9b}2J\\u{202e}\\u{0}é");
    }

    #[test]
    fn texts_are_cut_at_blanks_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(clip("abcdef", 4), "abc…");
    }
}
