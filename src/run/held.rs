//! What waits while a connection is open: lines that will be shown, and what the pairer closes.

use std::io;

use super::Ledger;
use super::cells::Cells;
use super::shut::Shut;
use crate::leg::Leg;
use crate::pair::{Closed, Connection};
use crate::record::Kept;
use crate::scan::Shelved;
use crate::spool::Spool;

/// How many legs or connections take each step together; a core's nearest cache holds them.
pub(super) const SIDE_BY_SIDE: usize = 64;
/// So many bytes of lines stay in memory, however long they wait.
const STAYS: usize = 4 << 20;

/// Counts what the pairer closes; keeps it only if it is to be shown.
#[derive(Default)]
pub(super) struct Closing {
    pub(super) ledger: Ledger,
    /// Closed, not counted yet.
    pub(super) fresh: Vec<Connection>,
    /// Whether connections are to be shown.
    pub(super) show: bool,
    /// Whether connections of which no line is wanted are to be left out.
    pub(super) filters: bool,
    pub(super) connections: Shut,
    pub(super) held: Slab,
    pub(super) merged: u64,
    pub(super) left_out: u64,
}

impl Closed for Closing {
    fn connection(&mut self, connection: Connection) {
        let legs = || [connection.outbound, connection.inbound].into_iter().flatten();
        if self.filters {
            if !legs().any(|leg| self.held.is_wanted(leg.kept)) {
                legs().for_each(|leg| self.held.forget(leg.kept));
                self.left_out += 1;
                return;
            }
            for leg in legs() {
                self.ledger.line(&leg, || self.held.text(leg.kept));
            }
        }
        if self.filters && !self.show {
            legs().for_each(|leg| self.held.forget(leg.kept));
        }
        self.fresh.push(connection);
        if self.fresh.len() >= SIDE_BY_SIDE {
            self.count();
        }
    }

    fn merged(&mut self, leg: Leg) {
        self.merged += 1;
        self.held.forget(leg.kept);
    }

    fn late(&mut self, leg: &Leg) {
        self.held.put_away(leg.kept);
    }
}

impl Closing {
    /// Counts what has been closed.
    pub(super) fn count(&mut self) {
        self.ledger.count(&self.fresh);
        if self.show {
            self.fresh.iter().for_each(|connection| self.connections.push(connection));
        }
        self.fresh.clear();
    }
}

/// Where the line of a number lies. Two hundred thousand may wait, so it is eight bytes.
#[derive(Clone, Copy)]
struct Place {
    lies: Lies,
    /// Whether a filter takes it.
    wanted: bool,
    /// Its number there; where there is none, the next number that has none.
    at: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lies {
    Nowhere,
    Here,
    Away,
}

/// Lines of legs that wait, by number; numbers are used again. Those that wait for long are put away.
pub(super) struct Slab {
    places: Vec<Place>,
    /// The first number that has no line, if that is one.
    free: u32,
    here: Cells,
    away: Spool,
    /// Whether lines may be put away.
    puts_away: bool,
    /// Room for what is held of one line.
    room: Vec<u8>,
    /// Why a line could not be put away: it and all others stay in memory.
    pub(super) unwritten: Option<io::Error>,
    /// Why a line that was put away could not be read again.
    pub(super) lost: Option<io::Error>,
}

impl Default for Slab {
    fn default() -> Slab {
        Slab::new(false)
    }
}

impl Slab {
    /// Empty. `puts_away` tells whether lines may go to a file.
    pub(super) fn new(puts_away: bool) -> Slab {
        Slab {
            places: Vec::new(),
            free: Leg::NOT_KEPT,
            here: Cells::default(),
            away: Spool::default(),
            puts_away,
            room: Vec::new(),
            unwritten: None,
            lost: None,
        }
    }

    /// Holds a line: with its record, of these bytes, if it is to be shown; with its text, if it is only counted once it is known to
    /// be wanted.
    pub(super) fn put(&mut self, line: Option<Shelved>, records: &[u8], text: &[u8], wanted: bool) -> u32 {
        self.room.clear();
        self.room = postcard::to_extend(&line, std::mem::take(&mut self.room)).unwrap_or_default();
        self.room.extend_from_slice(line.map_or(&[], |line| line.record.of(records)));
        self.room.extend_from_slice(text);
        let place = Place { lies: Lies::Here, wanted, at: self.here.put(&self.room) };
        let number = self.free;
        if let Some(free) = self.places.get_mut(number as usize) {
            self.free = free.at;
            *free = place;
            return number;
        }
        self.places.push(place);
        self.places.len() as u32 - 1
    }

    /// Where a line lies, if it is held.
    fn place(&self, number: u32) -> Option<Place> {
        self.places.get(number as usize).copied().filter(|place| place.lies != Lies::Nowhere)
    }

    /// Whether a line is held and a filter takes it.
    pub(super) fn is_wanted(&self, number: u32) -> bool {
        self.place(number).is_some_and(|place| place.wanted)
    }

    /// The whole text of a line.
    pub(super) fn text(&mut self, number: u32) -> &[u8] {
        let text = self.read(number).map_or(0, |(_, _, text)| text.len());
        &self.room[self.room.len() - text..]
    }

    /// Takes a line out, and adds its record to `records`.
    pub(super) fn take(&mut self, number: u32, records: &mut Vec<u8>) -> Option<Shelved> {
        let (line, record, _) = self.read(number)?;
        let line = line.map(|line| {
            let at = records.len();
            records.extend_from_slice(record);
            Shelved { record: Kept { at, ..line.record }, ..line }
        });
        self.forget(number);
        line
    }

    /// A line is not needed any more.
    pub(super) fn forget(&mut self, number: u32) {
        let Some(Place { lies, at, .. }) = self.place(number) else { return };
        if lies == Lies::Away {
            self.away.forget(at);
        } else {
            self.here.forget(at);
        }
        self.places[number as usize] = Place { lies: Lies::Nowhere, wanted: false, at: self.free };
        self.free = number;
    }

    /// A line will be needed late, or never: it goes to the file, once enough of them are in memory.
    pub(super) fn put_away(&mut self, number: u32) {
        if !self.puts_away || self.here.bytes() <= STAYS || self.unwritten.is_some() {
            return;
        }
        let Some(place) = self.places.get_mut(number as usize).filter(|place| place.lies == Lies::Here) else { return };
        self.here.read(place.at, &mut self.room);
        match self.away.put(&self.room) {
            Ok(Some(spot)) => {
                self.here.forget(place.at);
                *place = Place { lies: Lies::Away, at: spot, ..*place };
            }
            Ok(None) => {}
            Err(error) => self.unwritten = Some(error),
        }
    }

    /// What is held of a line: what is known of it, its record and its text.
    fn read(&mut self, number: u32) -> Option<(Option<Shelved>, &[u8], &[u8])> {
        let Place { lies, at, .. } = self.place(number)?;
        if lies == Lies::Here {
            self.here.read(at, &mut self.room);
        } else if let Err(error) = self.away.read(at, &mut self.room) {
            self.lost.get_or_insert(error);
            return None;
        }
        let (line, rest) = postcard::take_from_bytes::<Option<Shelved>>(&self.room).ok()?;
        let (record, text) = rest.split_at_checked(line.map_or(0, |line| line.record.len))?;
        Some((line, record, text))
    }
}
