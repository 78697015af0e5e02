//! The only place where the text of a field becomes a time or a number.
//!
//! Everything here takes the bytes of one value, without quotes, and gives `None` for an absent
//! value (`-`, empty) as for one that does not read: the caller counts the difference if it matters.

use chrono::DateTime;
use serde::{Deserialize, Serialize};

/// An instant, microseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Micros(pub i64);

impl Micros {
    /// The line does not say when.
    pub const NONE: Micros = Micros(0);

    /// RFC 3339, if the line said when.
    pub fn shown(self) -> Option<String> {
        (self != Micros::NONE).then(|| self.to_string())
    }

    /// Later by so many milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Micros {
        Micros(self.0.saturating_add(millis.saturating_mul(1000)))
    }

    /// Milliseconds from `other` to `self`, negative if `other` is later.
    pub const fn millis_since(self, other: Micros) -> i64 {
        self.0.saturating_sub(other.0) / 1000
    }
}

impl std::fmt::Display for Micros {
    /// RFC 3339 in UTC, with as many fraction digits (3 or 6) as the instant needs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(at) if self.0 % 1000 == 0 => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%S%.3fZ")),
            Some(at) => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%S%.6fZ")),
            None => write!(f, "{}us", self.0),
        }
    }
}

/// Reads an instant: RFC 3339 with `Z` or an offset, or seconds since 1970 with a fraction.
///
/// Envoy's default layout is read by position; everything else goes through chrono.
pub fn time(text: &[u8]) -> Option<Micros> {
    fixed_time(text).or_else(|| odd_time(text))
}

/// Reads instants of lines that follow each other: most begin with the minute of the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    minute: [u8; 16],
    start: i64,
}

impl Clock {
    /// Whether a text begins with the minute of the instant before, written as Envoy writes it.
    #[inline]
    pub fn is_in_minute(&self, text: &[u8]) -> bool {
        self.minute[10] == b'T' && text.first_chunk() == Some(&self.minute)
    }

    /// The same as [`time`].
    pub fn time(&mut self, text: &[u8]) -> Option<Micros> {
        let (Some((minute, rest)), 24) = (text.split_first_chunk::<16>(), text.len()) else { return time(text) };
        let &[b':', s0, s1, b'.', f0, f1, f2, b'Z'] = rest else { return time(text) };
        if *minute != self.minute {
            let at = time(text)?;
            let whole = at.0.div_euclid(60_000_000) * 60_000_000;
            (self.minute, self.start) = (*minute, whole);
        }
        let (second, millis) = (two(s0, s1)?, two(f0, f1)? * 10 + two(b'0', f2)?);
        // A leap second belongs to the next minute and is read the long way.
        if second > 59 { time(text) } else { Some(Micros(self.start + second * 1_000_000 + millis * 1000)) }
    }
}

/// `YYYY-MM-DDThh:mm:ss[.f...]Z`, the layout of all but a few lines.
fn fixed_time(text: &[u8]) -> Option<Micros> {
    let (date, rest) = text.split_at_checked(19)?;
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] = date else {
        return None;
    };
    let (year, month) = (two(y0, y1)? * 100 + two(y2, y3)?, two(m0, m1)?);
    let (day, hour) = (two(d0, d1)?, two(h0, h1)?);
    let (minute, second) = (two(n0, n1)?, two(s0, s1)?);
    if !(1..=12).contains(&month)
        || !(1..=days_of(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let micros = match rest {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] => fraction(digits)?,
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Micros(seconds * 1_000_000 + micros))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// Up to nine digits of a second's fraction as microseconds.
pub(super) fn fraction(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        let digit = digits.get(place).map_or(Some(0), |byte| {
            let digit = byte.wrapping_sub(b'0');
            (digit < 10).then_some(i64::from(digit))
        })?;
        micros = micros * 10 + digit;
    }
    digits.iter().all(u8::is_ascii_digit).then_some(micros)
}

/// How many days a month has.
fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a civil date (the usual era arithmetic, years of 400).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn odd_time(text: &[u8]) -> Option<Micros> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(Micros(at.timestamp_micros()));
    }
    // `%z` prints the offset without a colon.
    if let Ok(at) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z") {
        return Some(Micros(at.timestamp_micros()));
    }
    let (seconds, parts) = text.split_once('.').unwrap_or((text, "0"));
    // Ten digits are seconds since 2001; fewer would take any number for a time.
    if seconds.len() != 10 {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    Some(Micros(seconds * 1_000_000 + fraction(parts.as_bytes())?))
}

/// How many of eight bytes are digits, up to the first one that is none.
#[inline]
pub fn digits(eight: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let word = u64::from_le_bytes(eight) ^ (ONES * u64::from(b'0'));
    // Past nine, a byte reaches its highest bit. What it carries into the next one does not matter any more.
    let others = (word.wrapping_add(ONES * 0x76) | word) & (ONES << 7);
    others.trailing_zeros() as usize / 8
}

/// Reads the number that the first `len` of eight bytes are; none if one of them is no digit, or there are none.
#[inline]
pub fn short_integer(eight: [u8; 8], len: usize) -> Option<u64> {
    if !(1..=8).contains(&len) || digits(eight) < len {
        return None;
    }
    let zeros = u64::from_ne_bytes([b'0'; 8]);
    // The last digit goes to the top, with zeros before the first one. Then neighbours join: two, four, eight digits.
    let word = (u64::from_le_bytes(eight) ^ zeros) << (64 - 8 * len);
    let pairs = (word.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000 << 32 | 1) >> 32)
}

/// Reads a decimal number. `1e+05` is accepted, since Envoy 1.32 prints JSON numbers so.
pub fn integer(text: &[u8]) -> Option<u64> {
    let mut number: u64 = 0;
    if text.is_empty() {
        return None;
    }
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return float(text);
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(number)
}

#[expect(clippy::cast_sign_loss, reason = "negative numbers are refused before")]
fn float(text: &[u8]) -> Option<u64> {
    if !text[0].is_ascii_digit() {
        return None;
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    // Above 2^53 a double no longer counts bytes one by one.
    (number.is_finite() && (0.0..9.007_199_254_740_992e15).contains(&number)).then_some(number as u64)
}

/// Whether a text is a day, hour and minute that Envoy, a kubelet or an agent begins a line with:
/// `2024-08-07T09:34` or, with `blank`, `2024-08-07 09:34`.
pub fn is_stamp(text: &[u8], separator: u8) -> bool {
    let Some(&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, t, h0, h1, b':', n0, n1]) = text.first_chunk::<16>() else {
        return false;
    };
    let digits = [y0, y1, y2, y3, m0, m1, d0, d1, h0, h1, n0, n1];
    t == separator && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_layout_reads_to_the_same_instant() {
        let expected = Some(Micros(1_723_023_255_747_000));
        for text in [
            "2024-08-07T09:34:15.747Z",
            "2024-08-07T09:34:15.747000000Z",
            "2024-08-07T11:34:15.747+02:00",
            "2024-08-07T11:34:15.747+0200",
            "1723023255.747",
        ] {
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(
            time(b"2024-08-07T09:34:15.747Z").map(|at| at.to_string()).as_deref(),
            Some("2024-08-07T09:34:15.747Z")
        );
    }

    #[test]
    fn a_clock_reads_what_time_reads() {
        let mut clock = Clock::default();
        for text in [
            "2024-08-07T09:34:15.747Z",
            "2024-08-07T09:34:60.000Z",
            "2024-08-07T09:34:00.001Z",
            "2024-08-07T09:35:59.999Z",
            "2024-08-07T09:34:15.747000Z",
            "2024-08-07T09:34:1x.747Z",
            "2024-13-07T09:34:15.747Z",
            "2024-13-07T09:34:15.747Z",
            "1723023255.747",
            "",
        ] {
            assert_eq!(clock.time(text.as_bytes()), time(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn days_agree_with_the_calendar() {
        for (year, month, day) in [(1970, 1, 1), (2000, 2, 29), (2020, 7, 23), (2100, 3, 1), (1969, 12, 31)] {
            let date = chrono::NaiveDate::from_ymd_opt(year, month, day).unwrap();
            let theirs = date.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp() / 86_400;
            assert_eq!(days(i64::from(year), i64::from(month), i64::from(day)), theirs);
        }
    }

    #[test]
    fn broken_times_are_none() {
        for text in [
            "",
            "-",
            "2024-13-07T09:34:15.747Z",
            "2024-02-30T09:34:15.747Z",
            "2023-02-29T09:34:15.747Z",
            "2024-08-07T09:34:15.Z",
            "2024-08-07T09:34:15.7x7Z",
            "17",
            "9999999999999999999999",
        ] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn short_numbers_read_as_all_others_do() {
        for text in ["1", "12", "00000123", "98765432", "12345678", "7 345678", "1x345678", "x", "\u{ff}1", "9:", "9/"]
        {
            let mut eight = [b' '; 8];
            eight[..text.len()].copy_from_slice(text.as_bytes());
            for len in 0..=9 {
                let expected = eight.get(..len).filter(|text| text.iter().all(u8::is_ascii_digit)).and_then(integer);
                assert_eq!(short_integer(eight, len), expected, "{text} {len}");
            }
            assert_eq!(digits(eight), eight.iter().take_while(|byte| byte.is_ascii_digit()).count(), "{text}");
        }
    }

    #[test]
    fn numbers_of_every_generation_read() {
        assert_eq!(integer(b"506"), Some(506));
        assert_eq!(integer(b"1e+05"), Some(100_000));
        assert_eq!(integer(b"-"), None);
        assert_eq!(integer(b"18446744073709551616"), None);
        assert_eq!(integer(b"12x"), None);
        assert_eq!(integer(b"9e99"), None);
    }
}
