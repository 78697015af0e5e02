//! `Spool`: lines in a temporary file that has no name. They come and go in any order; what one leaves the next one takes, in
//! pieces of the file of one size.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How many bytes are written at a time. One line that stays holds so much of the file.
const PIECE: usize = 64 << 10;
/// Lines begin at multiples of so many bytes, so that a number of four bytes says where; before each stands its length, in two.
const STEP: usize = 64;
const STEPS: u32 = (PIECE / STEP) as u32;
/// How many bytes tell how long a line is.
const LENGTH: usize = size_of::<u16>();
/// How many pieces can be told apart.
const MOST: usize = (u32::MAX / STEPS) as usize;
/// So many bytes are read at a time: few lines have more.
const READ: usize = 1 << 10;

/// Where a line begins, in steps.
pub(crate) type Spot = u32;

/// Lines, by their spots.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    /// Made for the first piece that is full.
    file: Option<File>,
    /// How many lines each piece has.
    lines: Vec<u32>,
    /// Pieces without lines.
    free: Vec<u32>,
    /// The piece that is being filled, and its bytes.
    filling: Option<u32>,
    bytes: Vec<u8>,
    /// Pieces that could not be written.
    here: BTreeMap<u32, Vec<u8>>,
}

impl Spool {
    /// Puts a line down; nothing if it does not fit into a piece, or if there are too many of these. An error says that the file
    /// cannot be made or written: all lines that were put down before are there all the same.
    pub(crate) fn put(&mut self, line: &[u8]) -> io::Result<Option<Spot>> {
        let length = (line.len() as u16).to_le_bytes();
        let len = LENGTH + line.len();
        if len > PIECE || self.lines.len() >= MOST {
            return Ok(None);
        }
        if self.bytes.len() + len > PIECE {
            self.write()?;
        }
        let piece = *self.filling.get_or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                self.lines.push(0);
                self.lines.len() as u32 - 1
            })
        });
        let spot = piece * STEPS + (self.bytes.len() / STEP) as u32;
        self.bytes.extend_from_slice(&length);
        self.bytes.extend_from_slice(line);
        self.bytes.resize(self.bytes.len().next_multiple_of(STEP), 0);
        self.lines[piece as usize] += 1;
        Ok(Some(spot))
    }

    /// Puts a line down, as much of it as a piece takes. Where the file cannot be made or written, what belongs there stays in memory.
    pub(crate) fn keep(&mut self, line: &[u8]) -> Spot {
        let line = &line[..line.len().min(PIECE - LENGTH)];
        loop {
            if let Ok(Some(spot)) = self.put(line) {
                return spot;
            }
            let full = std::mem::take(&mut self.bytes);
            self.here.extend(self.filling.take().map(|piece| (piece, full)));
        }
    }

    /// Reads a line.
    pub(crate) fn read(&self, spot: Spot, line: &mut Vec<u8>) -> io::Result<()> {
        self.bytes(spot, READ, line)?;
        let length = line.first_chunk().copied().unwrap_or_default();
        let end = LENGTH + usize::from(u16::from_le_bytes(length));
        if line.len() < end {
            self.bytes(spot, end, line)?;
        }
        line.truncate(end);
        line.drain(..LENGTH.min(line.len()));
        Ok(())
    }

    /// Reads so many bytes, as far as the piece has them.
    fn bytes(&self, spot: Spot, len: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        let (piece, at) = (spot / STEPS, (spot % STEPS) as usize * STEP);
        bytes.clear();
        let here = if self.filling == Some(piece) { Some(&self.bytes) } else { self.here.get(&piece) };
        if let Some(here) = here {
            bytes.extend(here[at..].iter().take(len));
        } else if let Some(file) = &self.file {
            bytes.resize(len.min(PIECE - at), 0);
            file.read_exact_at(bytes, begin(piece) + at as u64)?;
        }
        Ok(())
    }

    /// A line is not needed any more.
    pub(crate) fn forget(&mut self, spot: Spot) {
        let piece = spot / STEPS;
        let lines = &mut self.lines[piece as usize];
        *lines -= 1;
        if *lines == 0 && self.filling != Some(piece) {
            self.here.remove(&piece);
            self.free.push(piece);
        }
    }

    /// Writes the piece that is full, unless nobody needs it any more.
    fn write(&mut self) -> io::Result<()> {
        if let Some(piece) = self.filling
            && self.lines[piece as usize] > 0
        {
            let file = match &mut self.file {
                Some(file) => file,
                empty => empty.insert(tempfile::tempfile()?),
            };
            // Whole, so that what is read of it is there.
            self.bytes.resize(PIECE, 0);
            file.write_all_at(&self.bytes, begin(piece))?;
            self.filling = None;
        }
        self.bytes.clear();
        Ok(())
    }
}

/// Where a piece begins in the file.
fn begin(piece: u32) -> u64 {
    u64::from(piece) * PIECE as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> Vec<u8> {
        (0..number * 37 % 5000).map(|at| (at + number) as u8).collect()
    }

    #[test]
    fn lines_come_out_as_they_were_and_their_room_is_used_again() {
        let (mut spool, mut bytes) = (Spool::default(), Vec::new());
        for round in 0..5 {
            let lines: Vec<Vec<u8>> = (0..200).map(|number| line(number + round)).collect();
            let spots: Vec<Spot> = lines.iter().map(|line| spool.put(line).unwrap().unwrap()).collect();
            assert!(spool.file.is_some());
            // Neither first in, first out nor the other way.
            for number in (90..200).chain((0..90).rev()) {
                spool.read(spots[number], &mut bytes).unwrap();
                assert_eq!(bytes, lines[number]);
                spool.forget(spots[number]);
            }
        }
        // Two hundred lines of 2,500 bytes each are eight pieces, whatever was there before.
        assert!(spool.lines.len() < 12, "{}", spool.lines.len());
        assert!(spool.lines.iter().all(|lines| *lines == 0));
    }

    #[test]
    fn a_line_that_fits_no_piece_stays_out_and_a_file_that_is_cut_is_an_error() {
        let (mut spool, mut bytes) = (Spool::default(), Vec::new());
        assert_eq!(spool.put(&vec![0; PIECE - 1]).unwrap(), None);
        let whole = spool.put(&vec![7; PIECE - 2]).unwrap().unwrap();
        spool.read(whole, &mut bytes).unwrap();
        assert_eq!(bytes, vec![7; PIECE - 2]);
        let spots: Vec<Spot> = (0..100).map(|number| spool.put(&line(number)).unwrap().unwrap()).collect();
        spool.file.as_ref().unwrap().set_len(0).unwrap();
        assert!(spool.read(spots[1], &mut bytes).is_err());
        spool.read(spots[99], &mut bytes).unwrap();
        assert_eq!(bytes, line(99));
    }

    #[test]
    fn what_cannot_be_written_stays_in_memory() {
        let (mut spool, mut bytes) = (Spool::default(), Vec::new());
        spool.file = Some(File::open("/dev/null").unwrap());
        let spots: Vec<Spot> = (0..200).map(|number| spool.keep(&line(number))).collect();
        assert!(spool.here.len() > 3);
        for (number, spot) in spots.iter().enumerate() {
            spool.read(*spot, &mut bytes).unwrap();
            assert_eq!(bytes, line(number));
            spool.forget(*spot);
        }
        assert!(spool.here.is_empty());
    }
}
