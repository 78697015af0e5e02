//! `Cells`: lines that come and go in any order, in pieces of memory of one size. What one leaves the next one takes, so that
//! hundreds of thousands of them need no more room than they have bytes, whichever thread made them.

/// How many bytes of a line a cell holds; with the number of the next one it is as large as a line of a core's cache.
const BYTES: usize = 60;
/// How many cells are added at a time: a quarter of a MiB.
const CHUNK: usize = 4096;
const NONE: u32 = u32::MAX;

#[derive(Clone)]
struct Cell {
    next: u32,
    bytes: [u8; BYTES],
}

/// Where a line lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    first: u32,
    len: u32,
}

/// Lines, by their places.
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
    pub(super) fn put(&mut self, line: &[u8]) -> Place {
        let mut first = NONE;
        // From its end, so that each part knows the next one.
        for part in line.chunks(BYTES).rev() {
            let number = self.vacant();
            let cell = self.cell(number);
            cell.next = first;
            cell.bytes[..part.len()].copy_from_slice(part);
            first = number;
        }
        Place { first, len: line.len() as u32 }
    }

    /// Reads a line.
    pub(super) fn read(&self, place: Place, line: &mut Vec<u8>) {
        line.clear();
        let mut number = place.first;
        while number != NONE {
            let cell = &self.chunks[number as usize / CHUNK][number as usize % CHUNK];
            let rest = place.len as usize - line.len();
            line.extend_from_slice(&cell.bytes[..rest.min(BYTES)]);
            number = cell.next;
        }
    }

    /// A line is not needed any more.
    pub(super) fn forget(&mut self, place: Place) {
        let (mut number, free) = (place.first, self.free);
        while number != NONE {
            let cell = self.cell(number);
            number = cell.next;
            if number == NONE {
                cell.next = free;
                self.free = place.first;
            }
        }
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
        let many: Vec<Place> = (0..2 * CHUNK).map(|_| cells.put(b"x")).collect();
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
