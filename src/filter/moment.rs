//! Moments as people write them: RFC 3339, a day, a day and an hour, or so long ago.

use crate::field::value::{Micros, time};

/// The instant that a text means; `now` is what `2h ago` is reckoned from. Without an offset it is UTC.
pub fn moment(text: &str, now: Micros) -> Option<Micros> {
    let text = text.trim();
    if text == "now" {
        return Some(now);
    }
    if let Some(long) = text.strip_suffix("ago") {
        return Some(Micros(now.0.checked_sub(length(long.trim())?)?));
    }
    // A blank may stand for the T, and the rest of the time may be missing.
    let mut full = text.replacen(' ', "T", 1);
    if !full.is_ascii() || !full.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    match full.len() {
        10 => full.push_str("T00:00:00Z"),
        13 => full.push_str(":00:00Z"),
        16 => full.push_str(":00Z"),
        _ if !full.contains('Z') && full.rfind(['+', '-']).is_none_or(|at| at < 10) => full.push('Z'),
        _ => {}
    }
    full.contains('T').then(|| time(full.as_bytes())).flatten()
}

/// `90m`, `2h30m`, `1 d`: microseconds.
fn length(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].trim_start();
        let end = unit.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(unit.len());
        let seconds = match &unit[..end] {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(seconds)?.checked_mul(1_000_000)?)?;
        rest = unit[end..].trim_start();
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now = time(b"2026-03-02T12:00:00Z").unwrap();
        for (text, expected) in [
            ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.000Z"),
            ("2026-03-01T10:00:00.5+02:00", "2026-03-01T08:00:00.500Z"),
            ("2026-03-01", "2026-03-01T00:00:00.000Z"),
            ("2026-03-01 10", "2026-03-01T10:00:00.000Z"),
            ("2026-03-01T10:30", "2026-03-01T10:30:00.000Z"),
            ("2026-03-01 10:30:15", "2026-03-01T10:30:15.000Z"),
            ("2h ago", "2026-03-02T10:00:00.000Z"),
            ("1d 90m ago", "2026-03-01T10:30:00.000Z"),
            ("now", "2026-03-02T12:00:00.000Z"),
        ] {
            assert_eq!(moment(text, now).map(|at| at.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "ago",
            "2x ago",
            "h ago",
            "2026-13-01",
            "2026-03-01T",
            "tomorrow",
            "99999999999999999d ago",
            "1723023255",
            "é",
        ] {
            assert_eq!(moment(text, now), None, "{text}");
        }
    }
}
