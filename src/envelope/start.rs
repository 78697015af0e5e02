//! Where in a line the access line begins.
//!
//! It begins at the start of a word, which a blank or a tab ends; only where that finds nothing, or a line that lost
//! its time, is it looked for behind a mark: `FILE:12:[...`, `"[...`, `FILE:{"...`.

use memchr::{memchr, memchr2, memchr2_iter};

use crate::field::value::is_stamp;
use crate::format::{pairs, shape};

/// No envelopes have more words before the line than this: RFC 5424 has seven, one more may stand around it.
pub(super) const MOST_WORDS: usize = 9;

/// How far a line is searched for a start that is no word's.
const NEAR: usize = 512;

/// Where the message of a line may begin: the starts of its first words.
pub fn word_starts(line: &[u8]) -> impl Iterator<Item = usize> {
    let next = |at: &usize| {
        let end = word_end(line, *at)?;
        Some(end + line[end..].iter().position(|byte| !matches!(byte, b' ' | b'\t'))?)
    };
    std::iter::successors(Some(0), next).take(MOST_WORDS + 1)
}

/// The blank behind the word at `at`. Loki's labels are one word, though they hold blanks.
fn word_end(line: &[u8], at: usize) -> Option<usize> {
    let from = match line.get(at..at + 2) {
        Some([b'{', first]) if first.is_ascii_lowercase() => {
            // Braces around a word that are no labels.
            memchr::memmem::find(&line[at..], b"\"}").map_or(at, |end| at + end)
        }
        _ => at,
    };
    Some(from + memchr2(b' ', b'\t', &line[from..])?)
}

/// Where the message of a line begins, or `None` if it is not one that an Envoy or an agent writes.
pub fn message_start(line: &[u8], begins: impl Fn(&[u8]) -> bool) -> Option<usize> {
    word_starts(line).find(|at| begins(&line[*at..]))
}

/// Where the access line begins, if there may be one.
pub fn access_start(line: &[u8]) -> Option<usize> {
    match message_start(line, begins_access) {
        Some(at) if line[at] != b'"' => Some(at),
        found => marked_start(line, found).or(found),
    }
}

/// Whether a prefix is words, and blanks behind each, at none of which an access line may begin, whatever stands behind the prefix.
pub fn is_plain(prefix: &[u8]) -> bool {
    let mut words = 0;
    let mut plain = |word: &[u8]| {
        words += 1;
        word.first().is_some_and(u8::is_ascii_lowercase) && !pairs::is_level(word)
    };
    let Some((b' ', words_before)) = prefix.split_last() else { return prefix.is_empty() };
    words_before.split(|byte| *byte == b' ').all(&mut plain) && words <= MOST_WORDS && memchr(b'\t', prefix).is_none()
}

/// Whether an access line may begin here.
pub fn begins_access(text: &[u8]) -> bool {
    match text {
        [b'[', rest @ ..] if is_stamp(rest, b'T') => is_start_time(rest),
        [b'[', b'0'..=b'9', ..] => is_epoch(&text[1..]),
        [b'{', rest @ ..] => rest.trim_ascii_start().first() == Some(&b'"'),
        [b'A', ..] => text.strip_prefix(b"ACCESS [").is_some_and(|rest| is_stamp(rest, b'T')),
        _ => pairs::begins(text) || shape::begins(text),
    }
}

/// Whether a time in brackets, without the first, is one that Envoy prints and not a logging library: `Z` or an offset
/// without a colon at its end, no comma in it, a blank behind it. A line may be cut anywhere.
fn is_start_time(text: &[u8]) -> bool {
    if text.get(23..25) == Some(b"Z]") {
        return matches!(text.get(25), None | Some(b' '));
    }
    let len = text.iter().take_while(|byte| byte.is_ascii_digit() || b"-:.+TZz ".contains(byte)).count();
    let (time, behind) = text.split_at(len);
    // An offset with a colon is seen with formats of somebody's own, and with PHP's and Python's loggers.
    let request = behind.starts_with(b"] \"");
    let colon = matches!(time, [.., b'+' | b'-', _, _, b':', _, _]);
    match behind {
        [] | [b']'] => true,
        [b']', b' ', ..] => request || !colon,
        _ => false,
    }
}

/// `1723023255.747] "`: seconds since 1970 in a bracket, and a request.
fn is_epoch(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let len = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    digits == 10 && text[len..].starts_with(b"] \"")
}

/// A start behind a mark. Of a line that lost its time, `found` is where the request begins: then only a time right before
/// it counts, or quotes around the whole, because what follows is a client's.
fn marked_start(line: &[u8], found: Option<usize>) -> Option<usize> {
    let near = &line[..line.len().min(NEAR)];
    memchr2_iter(b'[', b'{', near).find(|at| {
        let Some((mark, text)) = at.checked_sub(1).map(|before| (near[before], &line[*at..])) else { return false };
        let begins = match text {
            [b'[', rest @ ..] => b":-|>=\"".contains(&mark) && is_stamp(rest, b'T') && is_start_time(rest),
            // An object behind a file's name, or in a string.
            [b'{', b'"' | b'\\', b'"', ..] => mark == b'"',
            [b'{', b'"', ..] => mark == b':' && is_first_word(&line[..*at]),
            _ => false,
        };
        begins
            && found.is_none_or(|found| match line[..found].trim_ascii_end().last() {
                Some(b']') if *at < found => memchr(b']', text).is_some_and(|end| is_blank(&line[at + end + 1..found])),
                _ => found + 1 == *at || found < *at && is_column(&line[found..*at]),
            })
    })
}

fn is_first_word(text: &[u8]) -> bool {
    memchr2(b' ', b'\t', text).is_none()
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' ' | b'\t'))
}

/// Whether what stands before a start is columns of a table in quotes, up to the quote of the next one. A request begins
/// with a method and a blank.
fn is_column(text: &[u8]) -> bool {
    let method = text[1..].iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    matches!(text, [.., b'"', b',' | b';' | b'\t', b'"']) && text.get(1 + method) != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_at_a_word() {
        for (line, start) in [
            ("pod c [2020-07-23T14:26:27.081Z] x", Some(6)),
            ("pod\tc\t[2020-07-23T14:26:27.081Z] x", Some(6)),
            ("pod[2020-07-23T14:26:27.081Z] x", None),
            ("pod c [2019-09-11 10:00:00.123] x", None),
            ("2024-08-07T09:34:15Z {app=\"a b\", pod=\"c\"}   [2020-07-23T14:26:27.081Z] x", Some(44)),
            ("{web-1} [2020-07-23T14:26:27.081Z] x", Some(8)),
            ("[1723023255.747] \"- - -\" 0", Some(0)),
            (
                "2024-08-07T09:34:15+00:00\ttag\t{\"log\":\"2024-08-07T09:34:15Z [2024-08-07T09:34:15.000Z] x\"}",
                Some(30),
            ),
        ] {
            assert_eq!(access_start(line.as_bytes()), start, "{line}");
        }
    }

    #[test]
    fn behind_a_plain_prefix_a_line_begins_wherever_it_is() {
        const PLAIN: [&str; 4] = ["", "pod-1 istio-proxy ", "stdout ", "a b c d e f g h i "];
        const OTHERS: [&str; 9] = [
            "pod",
            "pod  c ",
            "pod\tc ",
            "info ",
            "pod WARN ",
            "2024-08-07T09:34:15Z pod ",
            "{\"log\":\" ",
            "pod \"GET / HTTP/1.1\" ",
            "a b c d e f g h i j ",
        ];
        for prefix in PLAIN {
            assert!(is_plain(prefix.as_bytes()), "{prefix}");
            for line in [
                "[2020-07-23T14:26:27.081Z] \"- - -\" 0",
                "[2020-07-23T14:26:27Z] access connection complete src.addr=",
            ] {
                assert_eq!(access_start(format!("{prefix}{line}").as_bytes()), Some(prefix.len()), "{prefix}");
            }
        }
        for prefix in OTHERS {
            assert!(!is_plain(prefix.as_bytes()), "{prefix}");
        }
    }

    #[test]
    fn a_time_of_a_logging_library_begins_no_access_line() {
        for text in [
            "[2024-08-07T09:34:15,747][INFO ][o.e.n.Node] started",
            "[2024-08-07T09:34:15.123456+00:00] app.INFO: Matched route",
            "[2024-08-07T09:34:15.747Z][INFO] x",
            "[1723023255.747] INFO x",
            "[17.747] \"x",
        ] {
            assert!(!begins_access(text.as_bytes()), "{text}");
        }
        for text in [
            "[2024-08-07T09:34:15.747Z] \"GET",
            "[2024-08-07T09:34:15+0200] -",
            "[2024-08-07T09:34:15.747+02:00] \"GET",
            "[2024-08-07T09:34:15.7",
            "[2024-08-07T09:34:15Z]",
        ] {
            assert!(begins_access(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_start_behind_a_mark_is_found_and_a_forged_one_is_not() {
        const T: &str = "[2024-08-07T09:34:15.747Z]";
        for (before, behind) in [
            ("proxy.log:", r#" "- - -" 0 UF"#),
            ("proxy.log:12:", r#" "- - -" 0 UF"#),
            ("12-", " - 0 0 5"),
            ("\"", r#" "- - -" 0 UF""#),
            ("\"2024-08-07\",\"", r#" ""- - -"" 0 UF""#),
            ("level=info msg=\"", r#" \"- - -\" 0 UF""#),
        ] {
            let line = format!("{before}{T}{behind}");
            assert_eq!(access_start(line.as_bytes()), Some(before.len()), "{line}");
        }
        for line in
            [format!(r#""GET / HTTP/1.1" 200 - 1 "x:{T} " 0 UF "#), format!(r#""GET /","{T} HTTP/1.1" 200 - 1"#)]
        {
            assert_eq!(access_start(line.as_bytes()), Some(0), "{line}");
        }
        assert_eq!(access_start(br#"proxy.log:{"start_time":"x"}"#), Some(10));
        assert_eq!(access_start(br#"got this: x:{"start_time":"x"}"#), None);
    }
}
