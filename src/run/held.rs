//! What waits while a connection is open: lines that will be shown, and what the pairer closes.

use super::Ledger;
use super::cells::{Cells, Place};
use crate::leg::Leg;
use crate::pair::{Closed, Connection};
use crate::scan::Shelved;

/// How many legs or connections take each step together; a core's nearest cache holds them.
pub(super) const SIDE_BY_SIDE: usize = 64;

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
    pub(super) connections: Vec<Connection>,
    pub(super) held: Slab,
    pub(super) merged: u64,
    pub(super) left_out: u64,
}

impl Closed for Closing {
    fn connection(&mut self, connection: Connection) {
        let legs = || [connection.outbound, connection.inbound].into_iter().flatten();
        if self.filters {
            if !legs().any(|leg| self.held.get(leg.kept).is_some_and(|held| held.wanted)) {
                legs().for_each(|leg| drop(self.held.take(leg.kept)));
                self.left_out += 1;
                return;
            }
            for leg in legs() {
                let text = self.held.get(leg.kept).and_then(|held| held.text.as_deref());
                self.ledger.line(&leg, || text.unwrap_or_default());
            }
        }
        if self.filters && !self.show {
            legs().for_each(|leg| drop(self.held.take(leg.kept)));
        }
        self.fresh.push(connection);
        if self.fresh.len() >= SIDE_BY_SIDE {
            self.count();
        }
    }

    fn merged(&mut self, leg: Leg) {
        self.merged += 1;
        self.held.take(leg.kept);
    }
}

impl Closing {
    /// Counts what has been closed.
    pub(super) fn count(&mut self) {
        self.ledger.count(&self.fresh);
        if self.show {
            self.connections.extend_from_slice(&self.fresh);
        }
        self.fresh.clear();
    }
}

/// What is held of a leg that waits.
pub(super) struct Held {
    /// Its line with all its fields, if it is to be shown. While it waits its bytes lie elsewhere.
    pub(super) record: Option<Shelved>,
    /// Its whole text, if it is only counted once it is known to be wanted.
    pub(super) text: Option<Box<[u8]>>,
    /// Whether a filter takes the line.
    pub(super) wanted: bool,
}

/// Lines of legs that wait, by number; numbers are used again.
#[derive(Default)]
pub(super) struct Slab {
    places: Vec<Option<(Held, Option<Place>)>>,
    free: Vec<u32>,
    bytes: Cells,
}

impl Slab {
    pub(super) fn put(&mut self, mut held: Held) -> u32 {
        let bytes = held.record.as_mut().map(|line| std::mem::take(&mut line.record.bytes));
        let held = Some((held, bytes.map(|bytes| self.bytes.put(&bytes))));
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = held;
            return place;
        }
        self.places.push(held);
        self.places.len() as u32 - 1
    }

    /// What is held, without the bytes of its record.
    pub(super) fn get(&self, number: u32) -> Option<&Held> {
        self.places.get(number as usize)?.as_ref().map(|(held, _)| held)
    }

    pub(super) fn take(&mut self, number: u32) -> Option<Held> {
        let (mut held, place) = self.places.get_mut(number as usize)?.take()?;
        self.free.push(number);
        if let (Some(line), Some(place)) = (&mut held.record, place) {
            line.record.bytes = self.bytes.take(place);
        }
        Some(held)
    }
}
