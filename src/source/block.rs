//! `Block`: a run of whole lines, cut from a reader.
//!
//! A reader's bytes come in pieces of any size; a block always ends behind a line end (or at the end of
//! the input), so that blocks can be scanned by any thread without knowing each other.

use std::io::{self, Read};

use super::{Origin, SourceId};

/// Lines longer than this are given up: counted as rejected, passed over up to their end.
pub const LONGEST_LINE: usize = 16 << 20;

/// A run of whole lines.
#[derive(Debug, Default)]
pub struct Block {
    /// The bytes. They end with a line end, except at the end of the input and before a line too long.
    pub bytes: Vec<u8>,
    /// The place of the first line.
    pub origin: Origin,
    /// The last line goes on behind the block and is too long to be read.
    pub torn: bool,
}

/// Cuts a reader into blocks.
#[derive(Debug)]
pub struct Blocks<R> {
    reader: R,
    source: SourceId,
    next_line: u64,
    /// What came behind the last line end.
    rest: Vec<u8>,
    /// How many bytes a block should have; a block is given out as soon as it has them and a line end.
    size: usize,
    /// Inside of a line that is too long.
    skipping: bool,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    /// Blocks of about `size` bytes. With `size` 1 a block is whatever one read brought, up to its last line
    /// end: nothing waits for a buffer to fill.
    pub fn new(reader: R, source: SourceId, size: usize) -> Blocks<R> {
        Blocks { reader, source, next_line: 1, rest: Vec::new(), size: size.max(1), skipping: false, ended: false }
    }

    /// Numbers the lines from `first` on.
    #[must_use]
    pub fn from_line(self, first: u64) -> Blocks<R> {
        Blocks { next_line: first, ..self }
    }

    /// The source that is cut.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// The next block, `None` at the end. `spare` is a buffer to use again.
    pub fn next(&mut self, spare: Vec<u8>) -> io::Result<Option<Block>> {
        // What a line longer than a block is read by, and where a block is what one read brought.
        const PIECE: usize = 256 << 10;
        // What the spare buffer holds is written over: clearing it first would cost a pass over all of it.
        let mut bytes = spare;
        let mut filled = self.rest.len();
        bytes.resize(bytes.len().max(filled), 0);
        bytes[..filled].copy_from_slice(&self.rest);
        self.rest.clear();
        // Where the search for a line end goes on.
        let mut searched = 0;
        while !self.ended {
            let missing = self.size.saturating_sub(filled);
            let room = filled + if self.size == 1 || missing == 0 { PIECE } else { missing };
            bytes.resize(bytes.len().max(room), 0);
            let read = match self.reader.read(&mut bytes[filled..room]) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // What came before the error is still worth reading; the next call ends the source.
                    self.ended = true;
                    self.rest.extend_from_slice(&bytes[..filled]);
                    return Err(error);
                }
            };
            filled += read;
            self.ended = read == 0;
            if self.skipping {
                filled = self.skip(&mut bytes, filled);
                searched = 0;
            }
            let end = memchr::memrchr(b'\n', &bytes[searched..filled]).map(|at| searched + at + 1);
            match end {
                Some(end) if filled >= self.size => {
                    self.rest.extend_from_slice(&bytes[end..filled]);
                    bytes.truncate(end);
                    return Ok(Some(self.block(bytes, false)));
                }
                None if filled >= LONGEST_LINE => {
                    self.skipping = true;
                    bytes.truncate(filled);
                    return Ok(Some(self.block(bytes, true)));
                }
                None => searched = filled,
                Some(end) => searched = end - 1,
            }
        }
        bytes.truncate(filled);
        if bytes.is_empty() { Ok(None) } else { Ok(Some(self.block(bytes, false))) }
    }

    fn block(&mut self, bytes: Vec<u8>, torn: bool) -> Block {
        let origin = Origin { source: self.source, line: self.next_line };
        self.next_line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        Block { bytes, origin, torn }
    }

    /// Drops bytes up to the end of the line that was too long; gives how many are left of `filled`.
    fn skip(&mut self, bytes: &mut [u8], filled: usize) -> usize {
        let Some(end) = memchr::memchr(b'\n', &bytes[..filled]) else {
            return 0;
        };
        bytes.copy_within(end + 1..filled, 0);
        self.skipping = false;
        self.next_line += 1;
        filled - end - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out at most `.1` bytes a read.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn lines(input: &[u8], read: usize, size: usize) -> Vec<(u64, Vec<u8>)> {
        let mut blocks = Blocks::new(Drip(input, read), SourceId(0), size);
        let mut found = Vec::new();
        while let Some(block) = blocks.next(Vec::new()).unwrap() {
            let lines = block.bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec);
            found.extend((block.origin.line..).zip(lines));
        }
        found
    }

    #[test]
    fn any_cut_gives_the_same_lines_with_the_same_numbers() {
        let input = b"one\n\ntwo two\r\nthree\n\n\nlast without end";
        let whole = lines(input, usize::MAX, 1 << 20);
        assert_eq!(whole.len(), 7);
        assert_eq!(whole[6], (7, b"last without end".to_vec()));
        for read in [1, 2, 3, 7, 100] {
            for size in [1, 2, 5, 64, 1 << 20] {
                assert_eq!(lines(input, read, size), whole, "read {read}, size {size}");
            }
        }
    }

    #[test]
    fn a_line_too_long_is_torn_and_the_next_one_is_found() {
        let mut input = vec![b'x'; LONGEST_LINE + 100];
        input.extend_from_slice(b"\nnext\n");
        let mut blocks = Blocks::new(&input[..], SourceId(0), 1);
        let first = blocks.next(Vec::new()).unwrap().unwrap();
        assert!(first.torn && first.bytes.len() >= LONGEST_LINE);
        let second = blocks.next(Vec::new()).unwrap().unwrap();
        assert_eq!((&second.bytes[..], second.origin.line), (&b"next\n"[..], 2));
        assert!(blocks.next(Vec::new()).unwrap().is_none());
    }

    #[test]
    fn an_empty_input_has_no_block() {
        assert!(Blocks::new(&b""[..], SourceId(0), 1).next(Vec::new()).unwrap().is_none());
    }
}
