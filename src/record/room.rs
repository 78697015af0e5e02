//! `Room`: where what divides the values of a line is, found for the whole line at once.

use wide::i8x16;

/// How many words of marks there are; the last one is there for the pair that the one before it begins.
const WORDS: usize = Room::MOST / 64 + 2;

/// The marks of the line that is read. The line itself is read where it lies: what was just copied would have to be waited for.
#[derive(Clone, Debug)]
pub struct Room {
    /// A bit for each byte; no word behind the line's but the next is sure to have none.
    marks: [u64; WORDS],
    /// How many words the line has.
    words: usize,
    /// The last bytes of the line, and some more that may be anything.
    end: [u8; 2 * Room::END],
}

impl Default for Room {
    fn default() -> Room {
        Room { marks: [0; WORDS], words: 0, end: [0; 2 * Room::END] }
    }
}

/// A line with a mark on what divides its values, and at its end.
#[derive(Clone, Copy, Debug)]
pub struct Marked<'r> {
    line: &'r [u8],
    room: &'r Room,
}

impl Room {
    /// A line must be shorter than that.
    pub(super) const MOST: usize = 2048;
    /// So many bytes at its end are kept. A power of two.
    const END: usize = 64;

    /// Marks blanks and quotes, unless the line is too long.
    #[inline]
    pub fn mark<'r>(&'r mut self, line: &'r [u8]) -> Option<Marked<'r>> {
        // The two differ in one bit.
        self.mark_by(line, |bytes| (bytes & i8x16::splat(!2)).simd_eq(i8x16::splat(b' '.cast_signed())))
    }

    /// Marks the quotes and backslashes of JSON, unless the line is too long.
    #[inline]
    pub fn mark_strings<'r>(&'r mut self, line: &'r [u8]) -> Option<Marked<'r>> {
        let is = |bytes: i8x16, byte: u8| bytes.simd_eq(i8x16::splat(byte.cast_signed()));
        self.mark_by(line, |bytes| is(bytes, b'"') | is(bytes, b'\\'))
    }

    #[inline]
    fn mark_by<'r>(&'r mut self, line: &'r [u8], is: impl Fn(i8x16) -> i8x16) -> Option<Marked<'r>> {
        let marks = |bytes: &[u8; 64]| marks(bytes, &is);
        if line.len() >= Room::MOST {
            return None;
        }
        let (words, over) = (line.len() / 64 + 1, line.len() % 64);
        for (chunk, word) in line.as_chunks().0.iter().zip(&mut self.marks) {
            *word = marks(chunk);
        }
        let last = if let Some(last) = line.last_chunk() {
            if let Some(end) = self.end.first_chunk_mut() {
                *end = *last;
            }
            // Marks of the bytes that were there before go out at the bottom, all of them if none is left.
            (marks(last) >> 1) >> (63 - over)
        } else {
            self.end[Room::END - line.len()..Room::END].copy_from_slice(line);
            let mut first = [0; Room::END];
            first[..line.len()].copy_from_slice(line);
            marks(&first)
        };
        self.marks[words - 1] = last | 1 << over;
        self.marks[words] = 0;
        self.words = words;
        Some(Marked { line, room: self })
    }

    /// The eight bytes that begin so many before the line's end.
    #[cold]
    fn last_eight(&self, before: usize) -> [u8; 8] {
        let at = Room::END.wrapping_sub(before) % Room::END;
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.end[at..at + 8]);
        eight
    }

    #[cold]
    fn further(&self, word: usize) -> Option<usize> {
        let word = (word..self.words).find(|word| self.marks[*word] != 0)?;
        Some(word * 64 + self.marks[word].trailing_zeros() as usize)
    }
}

impl Marked<'_> {
    /// The eight bytes from `at` on; those behind the line may be anything.
    #[inline]
    pub fn eight(self, at: usize) -> [u8; 8] {
        // A place in a line that is short enough needs one comparison.
        let at = at % (32 * Room::MOST);
        match self.line.get(at..at + 8).and_then(<[u8]>::first_chunk) {
            Some(eight) => *eight,
            None => self.room.last_eight(self.line.len().wrapping_sub(at)),
        }
    }

    /// Where the string ends whose inside begins at `at`, and whether it holds escapes; in a line of which strings are marked.
    #[inline]
    pub fn string_end(self, at: usize) -> Option<(usize, bool)> {
        let mut end = self.next(at)?;
        let mut escaped = false;
        while *self.line.get(end)? == b'\\' {
            escaped = true;
            end = self.next(end + 2)?;
        }
        Some((end, escaped))
    }

    /// The first mark from `at` on, which may be that of the line's end.
    #[inline]
    pub fn next(self, at: usize) -> Option<usize> {
        let word = at / 64;
        if word >= WORDS - 1 {
            return None;
        }
        // Sixty-four bits from there on, whatever two words they lie in: which ones could not be predicted.
        let (low, high, over) = (self.room.marks[word], self.room.marks[word + 1], at % 64);
        let bits = low >> over | high << 1 << (63 - over);
        if bits != 0 { Some(at + bits.trailing_zeros() as usize) } else { self.room.further(word + 1) }
    }
}

/// A bit for each byte that `is`.
#[inline]
fn marks(bytes: &[u8; 64], is: impl Fn(i8x16) -> i8x16) -> u64 {
    let mut bits = 0;
    for (number, sixteen) in bytes.as_chunks::<16>().0.iter().enumerate() {
        let found = is(i8x16::from(sixteen.map(u8::cast_signed))).to_bitmask();
        bits |= u64::from(found as u16) << (number * 16);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_where_blanks_and_quotes_are() {
        let mut room = Room::default();
        let bytes: Vec<u8> = (0..=255u8).cycle().take(2047).collect();
        for len in [2047, 900, 64, 0, 63, 65, 1000, 1] {
            let line = &bytes[..len];
            let marked = room.mark(line).unwrap();
            let found: Vec<usize> = std::iter::successors(marked.next(0), |at| marked.next(at + 1)).collect();
            let is_mark = |at: &usize| line.get(*at).is_none_or(|byte| b" \"".contains(byte));
            let expected: Vec<usize> = (0..=len).filter(is_mark).collect();
            assert_eq!(found, expected, "{len}");
            for at in 0..len {
                let behind = &line[at..len.min(at + 8)];
                assert_eq!(marked.eight(at)[..behind.len()], *behind, "{len}, {at}");
            }
        }
        assert!(room.mark(&[b' '; 2048]).is_none());
    }
}
