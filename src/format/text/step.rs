//! `Step`: one value of a text format, where it ends and what it may be; and the search for what ends it.

use memchr::{memchr, memrchr};

use super::{Fault, bars};
use crate::field::layout::Layout;
use crate::field::{Field, Kind, Writer};
use crate::record::{Span, Spans};

/// One field and the text that ends it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) slot: u8,
    pub(super) kind: Kind,
    pub(super) writer: Writer,
    /// Whether the value stands in quotes, so that a quote in it would not be Envoy's.
    pub(super) quoted: bool,
    /// How long a value is at least: where absent ones are left out, nothing may stand in their place.
    pub(super) least: usize,
    /// The literal behind the value; empty only for the last step.
    pub(super) after: Box<[u8]>,
    /// How a time is printed, where the format says so.
    pub(super) layout: Option<Box<Layout>>,
    /// How much of the literal belongs to the next value: all of it, where the format has nothing between the two.
    pub(super) shared: usize,
}

impl Step {
    /// What stands between the value and the next one.
    pub(super) fn between(&self) -> &[u8] {
        &self.after[..self.after.len() - self.shared]
    }

    /// Reads one value of Envoy's from `at`; gives the place behind the literal that ends it.
    #[inline]
    pub(super) fn read(&self, line: &[u8], at: usize, spans: &mut Spans) -> Result<usize, Fault> {
        let fault = Fault { slot: self.slot, at: at as u32 };
        let len = self.len(line.get(at..).ok_or(fault)?).ok_or(fault)?;
        spans.set(self.slot, Span::new(at, at + len));
        Ok(at + len + self.after.len())
    }

    /// The length of the value at the start of `rest`, if it is one that this step can have.
    #[inline]
    pub(super) fn len(&self, rest: &[u8]) -> Option<usize> {
        let len = match self.kind {
            // What a number is and where it ends are one question.
            Kind::Integer | Kind::Millis => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let len = digits.max(usize::from(rest.first() == Some(&b'-')));
                return (len >= self.least && self.ends(rest, len)).then_some(len);
            }
            // Envoy's default layout has one length.
            Kind::Time if rest.get(23) == Some(&b'Z') && self.ends(rest, 24) => 24,
            Kind::Time if self.layout.is_some() => {
                let len = self.layout.as_ref()?.len(rest)?;
                return self.ends(rest, len).then_some(len);
            }
            _ => match &*self.after {
                // The last column: what Envoy writes there has no blanks.
                [] if self.quoted || memchr(b' ', rest).is_none() => rest.len(),
                [] => return None,
                literal @ [b'|', ..] => bars::end(rest, literal)?,
                [byte] => find_byte(rest, *byte)?,
                literal => find(rest, literal)?,
            },
        };
        self.accepts(&rest[..len]).then_some(len)
    }

    /// Whether the literal behind the value, or the end of the line, stands at `len`.
    #[inline]
    pub(super) fn ends(&self, rest: &[u8], len: usize) -> bool {
        if self.after.is_empty() { rest.len() == len } else { begins(&rest[len..], &self.after) }
    }

    /// Whether bytes can be a value of this step at all: what tells one format from another.
    #[inline]
    pub(super) fn accepts(&self, value: &[u8]) -> bool {
        match self.kind {
            Kind::Integer | Kind::Millis => {
                value.len() >= self.least && value.iter().all(u8::is_ascii_digit) || is_absent(value)
            }
            Kind::Address => {
                // Without a port an IPv6 address can end in a letter.
                let last = |last: &u8| last.is_ascii_digit() || *last == b'-';
                let bare =
                    |value: &[u8]| value.last().is_some_and(u8::is_ascii_hexdigit) && memchr(b':', value).is_some();
                value.last().is_some_and(last)
                    || bare(value)
                    || matches!(value, [b'/' | b'@' | b'e', ..])
                    || ((self.quoted || self.least == 0) && value.is_empty())
            }
            Kind::Time => value.first().is_some_and(u8::is_ascii_digit),
            Kind::Flags => {
                is_absent(value) || value.len() >= self.least && value.iter().all(|byte| !matches!(byte, b'"' | b' '))
            }
            Kind::Text if self.slot == Field::Protocol as u8 => {
                is_absent(value) || value.len() <= 8 && begins(value, b"HTTP") || self.least == 0 && value.is_empty()
            }
            Kind::Text => self.quoted || value.first().map_or(self.least == 0, |first| *first != b'"'),
        }
    }
}

/// The first place of a byte. Most values are so short that a call to memchr costs more than the search, and
/// so different in length that a loop over them is mispredicted: 32 bytes are looked at without a branch.
#[inline]
pub(super) fn find_byte(rest: &[u8], byte: u8) -> Option<usize> {
    let Some(near) = rest.first_chunk::<32>() else { return rest.iter().position(|other| *other == byte) };
    let mut found = 0u64;
    for (number, word) in near.as_chunks::<8>().0.iter().enumerate() {
        found |= matches(u64::from_le_bytes(*word), byte) << (number * 8);
    }
    if found != 0 {
        return Some(found.trailing_zeros() as usize);
    }
    memchr(byte, &rest[32..]).map(|at| 32 + at)
}

/// One bit for each of the eight bytes that is `byte`. Exact up to the first one, and that is the one that counts.
#[inline]
pub(super) fn matches(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Moves the top bits of the bytes, one to a place, into the top byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let differs = word ^ (ONES * u64::from(byte));
    let zeros = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
    (zeros >> 7).wrapping_mul(GATHER) >> 56
}

pub(super) fn find(rest: &[u8], literal: &[u8]) -> Option<usize> {
    let (first, mut from) = (*literal.first()?, 0);
    loop {
        let at = from + find_byte(&rest[from..], first)?;
        if begins(&rest[at..], literal) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// `starts_with` for literals of a few bytes, without a call.
#[inline]
pub(super) fn begins(text: &[u8], literal: &[u8]) -> bool {
    text.len() >= literal.len() && text.iter().zip(literal).all(|(a, b)| a == b)
}

pub(super) fn rfind(text: &[u8], literal: &[u8]) -> Option<usize> {
    let (first, mut end) = (*literal.first()?, text.len());
    loop {
        let at = memrchr(first, &text[..end])?;
        if begins(&text[at..], literal) {
            return Some(at);
        }
        end = at;
    }
}

#[inline]
pub(super) fn is_absent(value: &[u8]) -> bool {
    matches!(value, b"-")
}
