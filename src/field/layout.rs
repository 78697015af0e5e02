//! `Layout`: how a format prints instants, `%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%`, compiled; reads what it printed.
//!
//! The language is strftime's with `%s` for seconds since 1970 and `%f`, `%1f` to `%9f` for a second's fraction, since 1.32
//! `%E3S`, `%E*S`, `%E3f`, `%E*f`, `%Ez` as well. Source: Envoy's substitution formatter documentation,
//! `source/common/common/utility.cc`, Abseil's time formatting.

use chrono::format::{Item, Parsed, StrftimeItems, parse_and_remainder};
use chrono::{DateTime, Utc};

use super::value::{Micros, fraction};

/// A compiled layout.
#[derive(Clone, Debug)]
pub struct Layout {
    parts: Vec<Part>,
    /// No text of the layout has more bytes.
    longest: usize,
}

#[derive(Clone, Debug)]
enum Part {
    /// What chrono reads.
    Calendar(Vec<Item<'static>>),
    /// Seconds since 1970.
    Epoch,
    /// So many digits of a second's fraction; all there are without a number.
    Fraction(Option<usize>),
    /// A point and a fraction, or nothing.
    Point,
}

impl Layout {
    /// Compiles the argument of a command; `None` if there is something in it that no text can be read by.
    pub fn compile(argument: &str) -> Option<Layout> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), argument);
        while let Some(at) = rest.find('%') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let (own, used) = own(rest);
            rest = rest.get(used..)?;
            match own {
                Own::Plain(text) => plain.push_str(text),
                Own::Chrono => {
                    plain.push('%');
                    let first = rest.chars().next()?;
                    plain.push(first);
                    rest = &rest[first.len_utf8()..];
                }
                Own::Part(before, part) => {
                    plain.push_str(before);
                    calendar(&mut plain, &mut parts)?;
                    parts.push(part);
                }
            }
        }
        plain.push_str(rest);
        calendar(&mut plain, &mut parts)?;
        Some(Layout { parts, longest: argument.len() * 4 + 64 })
    }

    /// Whether its texts say when, by themselves: a time of day has a day, and a day has a year.
    pub fn is_whole(&self) -> bool {
        // A forenoon in a leap year and an evening in another: what is not printed cannot be guessed for both.
        [1_723_023_240, 1_763_413_500].into_iter().all(|seconds| {
            let at = Micros(seconds * 1_000_000);
            self.print(seconds).is_some_and(|text| self.read(text.as_bytes()) == Some(at))
        })
    }

    /// The instant that the whole text is.
    pub fn read(&self, text: &[u8]) -> Option<Micros> {
        self.prefix(text).filter(|(_, len)| *len == text.len()).map(|(at, _)| at)
    }

    /// The instant at the start of a text, and how long its text is. Without an offset it is UTC, as the clock of a
    /// container is.
    pub fn prefix(&self, text: &[u8]) -> Option<(Micros, usize)> {
        let (parsed, epoch, micros, len) = self.take(text)?;
        let seconds = match (epoch, parsed.offset()) {
            (Some(seconds), _) => seconds,
            (None, Some(_)) => parsed.to_datetime().ok()?.timestamp(),
            (None, None) => parsed.to_naive_datetime_with_offset(0).ok()?.and_utc().timestamp(),
        };
        Some((Micros(seconds.checked_mul(1_000_000)?.checked_add(micros)?), len))
    }

    /// How long the text at the start of another one is, whether it says when or not.
    pub fn len(&self, text: &[u8]) -> Option<usize> {
        self.take(text).map(|(_, _, _, len)| len)
    }

    /// What the parts find: the calendar's values, seconds since 1970, microseconds, and the length.
    fn take(&self, text: &[u8]) -> Option<(Parsed, Option<i64>, i64, usize)> {
        let text = text[..text.len().min(self.longest)].utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let (mut parsed, mut epoch, mut micros, mut rest) = (Parsed::new(), None, 0, text);
        for (number, part) in self.parts.iter().enumerate() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            match part {
                Part::Calendar(items) => rest = parse_and_remainder(&mut parsed, rest, items.iter()).ok()?,
                Part::Epoch => {
                    // Digits of a fraction may follow without a point.
                    let behind = match self.parts.get(number + 1) {
                        Some(Part::Fraction(count)) => count.unwrap_or_default(),
                        _ => 0,
                    };
                    let (seconds, behind) = rest.split_at(digits.checked_sub(behind)?);
                    (epoch, rest) = (Some(seconds.parse().ok()?), behind);
                }
                Part::Fraction(count) => {
                    let (found, behind) = rest.split_at_checked(count.unwrap_or(digits))?;
                    (micros, rest) = (fraction(found.as_bytes())?, behind);
                }
                Part::Point => {
                    if let Some(behind) = rest.strip_prefix('.') {
                        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
                        let (found, behind) = behind.split_at(digits);
                        (micros, rest) = (fraction(found.as_bytes())?, behind);
                    }
                }
            }
        }
        Some((parsed, epoch, micros, text.len() - rest.len()))
    }

    /// A whole second as the layout prints it.
    fn print(&self, seconds: i64) -> Option<String> {
        use std::fmt::Write;

        let at: DateTime<Utc> = DateTime::from_timestamp(seconds, 0)?;
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Calendar(items) => write!(text, "{}", at.format_with_items(items.iter())).ok()?,
                Part::Epoch => write!(text, "{seconds}").ok()?,
                Part::Fraction(count) => text.extend(std::iter::repeat_n('0', count.unwrap_or(3))),
                Part::Point => {}
            }
        }
        Some(text)
    }
}

/// What stands behind a percent sign.
enum Own {
    /// Text in chrono's language that means the same.
    Plain(&'static str),
    /// The same in chrono's language.
    Chrono,
    /// A part of its own, and what chrono reads before it.
    Part(&'static str, Part),
}

/// What the command at the start of `rest` is, and how many bytes of it are not chrono's.
fn own(rest: &str) -> (Own, usize) {
    let count = |at: usize| {
        rest.as_bytes().get(at).filter(|byte| (b'1'..=b'9').contains(byte)).map(|byte| usize::from(byte - b'0'))
    };
    match rest.as_bytes() {
        [b's', ..] => (Own::Part("", Part::Epoch), 1),
        [b'f', ..] => (Own::Part("", Part::Fraction(Some(9))), 1),
        [_, b'f', ..] if count(0).is_some() => (Own::Part("", Part::Fraction(count(0))), 2),
        [b'E', b'*', b'S', ..] => (Own::Part("%S", Part::Point), 3),
        [b'E', b'*', b'f', ..] => (Own::Part("", Part::Fraction(None)), 3),
        [b'E', _, b'S', ..] if count(1).is_some() => (Own::Part("%S.", Part::Fraction(count(1))), 3),
        [b'E', _, b'f', ..] if count(1).is_some() => (Own::Part("", Part::Fraction(count(1))), 3),
        [b'E', b'z', ..] => (Own::Plain("%:z"), 2),
        [b'E', b'*', b'z', ..] => (Own::Plain("%::z"), 3),
        [b'E', b'4', b'Y', ..] => (Own::Plain("%Y"), 3),
        [b'E', b'T', ..] => (Own::Plain("T"), 2),
        _ => (Own::Chrono, 0),
    }
}

/// What was gathered for chrono becomes a part.
fn calendar(plain: &mut String, parts: &mut Vec<Part>) -> Option<()> {
    if !plain.is_empty() {
        let items = StrftimeItems::new(plain).parse_to_owned().ok()?;
        parts.push(Part::Calendar(items));
        plain.clear();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_reads_to_the_same_instant() {
        for (argument, text, micros) in [
            ("%Y/%m/%d %H:%M:%S", "2024/08/07 09:34:15", 0),
            ("%Y-%m-%dT%H:%M:%S.%3fZ", "2024-08-07T09:34:15.747Z", 747_000),
            ("%Y-%m-%dT%H:%M:%E3SZ", "2024-08-07T09:34:15.747Z", 747_000),
            ("%Y-%m-%dT%H:%M:%E6S%Ez", "2024-08-07T11:34:15.747001+02:00", 747_001),
            ("%FT%T.%f%z", "2024-08-07T11:34:15.747000000+0200", 747_000),
            ("%d/%b/%Y:%H:%M:%S %z", "07/Aug/2024:09:34:15 +0000", 0),
            ("%a %b %e %H:%M:%S %Y", "Wed Aug  7 09:34:15 2024", 0),
            ("%E4Y%m%d%H%M%S,%1f", "20240807093415,7", 700_000),
            ("%m/%d/%y %I:%M:%E*S %p", "08/07/24 09:34:15.7470001 AM", 747_000),
            ("%m/%d/%y %I:%M:%E*S %p %Z", "08/07/24 09:34:15 AM UTC", 0),
            ("%s", "1723023255", 0),
            ("%s.%3f", "1723023255.747", 747_000),
            ("%s%3f", "1723023255747", 747_000),
            ("at %s (%H:%M)", "at 1723023255 (09:34)", 0),
        ] {
            let layout = Layout::compile(argument).unwrap();
            assert!(layout.is_whole(), "{argument}");
            let behind = format!("{text} \u{e9}503");
            assert_eq!(layout.read(text.as_bytes()), Some(Micros(1_723_023_255_000_000 + micros)), "{argument}");
            assert_eq!(layout.len(behind.as_bytes()), Some(text.len()), "{argument}");
        }
    }

    #[test]
    fn a_text_without_a_year_or_a_day_says_nothing() {
        for argument in ["%H:%M:%S", "%b %d %H:%M:%S", "%Y-%m-%d", "%I:%M %F", "", "now"] {
            assert!(!Layout::compile(argument).unwrap().is_whole(), "{argument}");
        }
        for argument in ["%", "%E", "%!", "%Y %3"] {
            assert!(Layout::compile(argument).is_none(), "{argument}");
        }
        let layout = Layout::compile("%Y/%m/%d %H:%M:%S").unwrap();
        for text in ["", "-", "2024/13/07 09:34:15", "2024/08/07", "\u{fe}"] {
            assert_eq!(layout.read(text.as_bytes()), None, "{text}");
        }
    }
}
