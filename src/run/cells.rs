//! `Cells`: lines that come and go in any order, in pieces of memory of one size. What one leaves the next one takes, so that
//! hundreds of thousands of them need no more room than they have bytes, whichever thread made them.

/// How many bytes of a line a cell holds; with the number of the next one it is as large as a line of a core's cache.
const BYTES: usize = 60;
/// How many cells are added at a time: a quarter of a MiB.
const CHUNK: usize = 4096;
const NONE: u32 = u32::MAX;
/// From here on a number is no cell's but says how many bytes the last cell of a line holds.
const END: u32 = NONE - 1 - BYTES as u32;

#[derive(Clone)]
struct Cell {
    next: u32,
    bytes: [u8; BYTES],
}

/// Lines, by the numbers of their first cells.
pub(super) struct Cells {
    chunks: Vec<Box<[Cell]>>,
    /// The first of the cells that are free.
    free: u32,
}

impl Default for Cells {
    fn default() -> Cells {
        Cells { chunks: Vec::new(), free: NONE }
    }
}

impl Cells {
    fn cell(&mut self, number: u32) -> &mut Cell {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }

    /// Takes a cell that is free.
    fn vacant(&mut self) -> u32 {
        if self.free == NONE {
            let first = (self.chunks.len() * CHUNK) as u32;
            self.chunks.push(vec![Cell { next: NONE, bytes: [0; BYTES] }; CHUNK].into());
            for number in (first..first + CHUNK as u32).rev() {
                self.cell(number).next = self.free;
                self.free = number;
            }
        }
        let number = self.free;
        self.free = self.cell(number).next;
        number
    }

    /// Puts a line down.
    pub(super) fn put(&mut self, line: &[u8]) -> u32 {
        // From its end, so that each part knows the next one.
        let mut at = line.len().saturating_sub(1) / BYTES * BYTES;
        let mut next = END + (line.len() - at) as u32;
        loop {
            let part = &line[at..line.len().min(at + BYTES)];
            let number = self.vacant();
            let cell = self.cell(number);
            cell.next = next;
            cell.bytes[..part.len()].copy_from_slice(part);
            if at == 0 {
                return number;
            }
            (at, next) = (at - BYTES, number);
        }
    }

    /// Reads a line.
    pub(super) fn read(&self, first: u32, line: &mut Vec<u8>) {
        line.clear();
        let mut number = first;
        while number < END {
            let cell = &self.chunks[number as usize / CHUNK][number as usize % CHUNK];
            let len = cell.next.checked_sub(END).map_or(BYTES, |len| len as usize);
            line.extend_from_slice(&cell.bytes[..len]);
            number = cell.next;
        }
    }

    /// A line is not needed any more.
    pub(super) fn forget(&mut self, first: u32) {
        let mut last = first;
        while self.cell(last).next < END {
            last = self.cell(last).next;
        }
        self.cell(last).next = self.free;
        self.free = first;
    }

    /// How many bytes of memory they have.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Cell>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_as_they_were_and_their_room_is_used_again() {
        let line = |length: usize| (0..length).map(|at| (at * 7 + length) as u8).collect::<Vec<u8>>();
        let (mut cells, mut bytes) = (Cells::default(), Vec::new());
        for _ in 0..50 {
            let lengths = [0, 1, 59, 60, 61, 120, 3000, 300];
            let places = lengths.map(|length| cells.put(&line(length)));
            // Neither first in, first out nor the other way.
            for number in [3, 0, 7, 1, 6, 2, 5, 4] {
                cells.read(places[number], &mut bytes);
                assert_eq!(bytes, line(lengths[number]));
                cells.forget(places[number]);
            }
        }
        assert_eq!(cells.chunks.len(), 1);
        let many: Vec<u32> = (0..2 * CHUNK).map(|_| cells.put(b"x")).collect();
        assert_eq!(cells.chunks.len(), 2);
        for place in many {
            cells.forget(place);
        }
        for _ in 0..2 * CHUNK {
            cells.put(b"y");
        }
        assert_eq!(cells.bytes(), 2 * CHUNK * 64);
    }
}
