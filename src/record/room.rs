//! `Room`: a line in a place of one size, with a mark on each blank and quote. Eight bytes can be looked at anywhere in it
//! without a question of how many there are.

use wide::i8x16;

/// How many words of marks there are; the last one is there for the pair that the one before it begins.
const WORDS: usize = Room::MOST / 64 + 2;

/// The line that is read.
#[derive(Clone, Debug)]
pub struct Room {
    /// What stands behind the line is left from others.
    bytes: [u8; Room::MOST + 64],
    /// A bit for each byte; no word behind the line's but the next is sure to have none.
    marks: [u64; WORDS],
    /// How many words the line has.
    words: usize,
}

impl Default for Room {
    fn default() -> Room {
        Room { bytes: [0; Room::MOST + 64], marks: [0; WORDS], words: 0 }
    }
}

impl Room {
    /// A line must be shorter than that. A power of two.
    const MOST: usize = 2048;

    /// Takes a line in, unless it is too long; says whether it did.
    #[inline]
    pub fn take(&mut self, line: &[u8]) -> bool {
        if line.len() >= Room::MOST {
            return false;
        }
        let (words, over) = (line.len() / 64 + 1, line.len() % 64);
        let places = self.bytes.as_chunks_mut().0.iter_mut().zip(&mut self.marks);
        for (chunk, (place, word)) in line.as_chunks().0.iter().zip(places) {
            (*place, *word) = (*chunk, mark(chunk));
        }
        // The end is a piece of the same size, part of which was there before: a call to copy a few bytes costs more.
        let end = &mut self.bytes[..line.len()];
        self.marks[words - 1] = if let (Some(last), Some(place)) = (line.last_chunk(), end.last_chunk_mut()) {
            *place = *last;
            // Marks of the bytes that were there before go out at the bottom, all of them if none is left.
            (mark(last) >> 1) >> (63 - over)
        } else {
            end.copy_from_slice(line);
            self.bytes.first_chunk().map_or(0, mark) & ((1 << over) - 1)
        };
        self.marks[words] = 0;
        self.words = words;
        true
    }

    /// The eight bytes from `at` on; those behind the line may be anything.
    #[inline]
    pub fn eight(&self, at: usize) -> [u8; 8] {
        let at = at % Room::MOST;
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.bytes[at..at + 8]);
        eight
    }

    /// The first blank or quote from `at` on.
    #[inline]
    pub fn next(&self, at: usize) -> Option<usize> {
        let word = at / 64;
        if word >= WORDS - 1 {
            return None;
        }
        // Sixty-four bits from there on, whatever two words they lie in: which ones could not be predicted.
        let both = u128::from(self.marks[word + 1]) << 64 | u128::from(self.marks[word]);
        let bits = (both >> (at % 64)) as u64;
        if bits != 0 { Some(at + bits.trailing_zeros() as usize) } else { self.further(word + 1) }
    }

    #[cold]
    fn further(&self, word: usize) -> Option<usize> {
        let word = (word..self.words).find(|word| self.marks[*word] != 0)?;
        Some(word * 64 + self.marks[word].trailing_zeros() as usize)
    }
}

/// A bit for each blank and each quote.
#[inline]
fn mark(bytes: &[u8; 64]) -> u64 {
    let mut bits = 0;
    for (number, sixteen) in bytes.as_chunks::<16>().0.iter().enumerate() {
        // The two differ in one bit.
        let either = i8x16::from(sixteen.map(u8::cast_signed)) & i8x16::splat(!2);
        let found = either.simd_eq(i8x16::splat(b' '.cast_signed())).to_bitmask();
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
            assert!(room.take(line));
            let found: Vec<usize> = std::iter::successors(room.next(0), |at| room.next(at + 1)).collect();
            let expected: Vec<usize> =
                line.iter().enumerate().filter(|(_, byte)| b" \"".contains(byte)).map(|(at, _)| at).collect();
            assert_eq!(found, expected, "{len}");
            assert!(len < 8 || (0..len - 7).all(|at| room.eight(at) == line[at..at + 8]));
        }
        assert!(!room.take(&[b' '; 2048]));
    }
}
