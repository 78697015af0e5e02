//! `Shut`: connections that are closed and wait to be shown. Of those that wait most have two legs; where many close at once most
//! have one, so legs lie one behind the other.

use crate::leg::Leg;
use crate::pair::{Connection, Match};

/// How many legs lie in one piece of memory.
const PIECE: usize = 8 << 10;
/// How many pieces stay when connections were shown; more are needed only where many close at once.
const STAY: usize = 10;

/// A connection: the number of its first leg, and by what it met the second one, which is the next.
type Entry = (u32, Option<Match>);

/// Connections, each as the legs that it has.
#[derive(Default)]
pub(super) struct Shut {
    /// Legs by number, in pieces: a list in one piece is moved when it grows, and takes half as much again then.
    legs: Vec<Vec<Leg>>,
    entries: Vec<Entry>,
    /// How many legs.
    count: usize,
}

impl Shut {
    /// How many connections.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.legs.truncate(STAY);
        self.legs.iter_mut().for_each(Vec::clear);
        self.entries.clear();
        self.count = 0;
    }

    /// Adds a connection.
    pub(super) fn push(&mut self, connection: &Connection) {
        self.entries.push((self.count as u32, connection.matched));
        for leg in [connection.outbound, connection.inbound].into_iter().flatten() {
            let piece = self.count / PIECE;
            if piece == self.legs.len() {
                self.legs.push(Vec::with_capacity(PIECE));
            }
            self.legs[piece].push(leg);
            self.count += 1;
        }
    }

    /// Puts the connections into the order of their ends, whichever way they came.
    pub(super) fn sort(&mut self) {
        let Shut { legs, entries, .. } = self;
        entries.sort_unstable_by_key(|entry| {
            let connection = connection(legs, *entry);
            connection.leading().map(|leg| (leg.end(), leg.order(), connection.inbound.map(|leg| leg.origin)))
        });
    }

    /// The connections, so many at a time.
    pub(super) fn chunks(&self, size: usize) -> impl Iterator<Item = Vec<Connection>> {
        let connections = |some: &[Entry]| some.iter().map(|entry| connection(&self.legs, *entry)).collect();
        self.entries.chunks(size).map(connections)
    }
}

fn connection(legs: &[Vec<Leg>], (first, matched): Entry) -> Connection {
    let leg = |number: u32| legs[number as usize / PIECE][number as usize % PIECE];
    match matched {
        Some(_) => Connection { outbound: Some(leg(first)), inbound: Some(leg(first + 1)), matched },
        None => Connection::alone(leg(first)),
    }
}
