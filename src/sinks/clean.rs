//! Log text on its way to a terminal: no byte of it may act there.
//!
//! Lines hold what strangers sent. Control characters, C1 controls and the marks that turn the direction of text
//! are shown as escapes.

/// The text with everything that a terminal would act on written out.
pub(super) fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if letter.is_control() || turns {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
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
