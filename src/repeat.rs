//! `Repeats`: tells a leg that was here before. stern repeats lines when it connects again, and the same log is given
//! twice, perhaps as two tools printed it.
//!
//! What counts is what Envoy wrote, not the line: time, duration, bytes, both ends on the wire. Of HTTP only requests
//! with an id are told, because two requests on one connection may agree in all the rest. Some ten thousand legs are
//! remembered, not all: what repeats is near, because sources are read side by side in log time.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::field::value::Micros;
use crate::leg::{Leg, Protocol};

/// How many legs a place remembers: one line of a core's cache.
const PLACE: usize = 8;
/// How many places there are: sixty-five thousand legs in half a megabyte. Four times as many cost a tenth of a run.
const PLACES: usize = 1 << 13;

/// The legs of late.
#[derive(Debug)]
pub struct Repeats {
    hasher: RandomState,
    places: Vec<Place>,
}

/// Marks of legs, the latest last. Aligned, or half of it would be in another line of the cache than what is fetched.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Place([u64; PLACE]);

impl Default for Repeats {
    fn default() -> Self {
        Self { hasher: RandomState::default(), places: vec![Place([0; PLACE]); PLACES] }
    }
}

impl Repeats {
    /// Fetches the places of legs: from far away they come side by side, and nobody waits for each of them.
    pub fn fetch(&self, legs: &[Leg]) {
        for leg in legs {
            std::hint::black_box(self.places[place(leg)].0[0]);
        }
    }

    /// Whether a leg (with the ledger's numbers) was here before; remembers it.
    pub fn is_again(&mut self, leg: &Leg) -> bool {
        let told = match leg.protocol {
            Protocol::Tcp => leg.peer.port() != 0 || !leg.wire.is_none(),
            Protocol::Http => leg.request != 0,
        };
        if !told || leg.start == Micros::NONE {
            return false;
        }
        // Sixty-four bits under a seed that nobody knows: that two of so many agree is one chance in a hundred million.
        let mark = self.hasher.hash_one([
            leg.start.0.cast_unsigned(),
            leg.bytes,
            leg.request,
            leg.wire.number(),
            leg.server.number(),
            leg.peer.number(),
            u64::from(leg.duration) << 8 | (leg.side as u64) << 2 | (leg.protocol as u64) << 1 | u64::from(leg.refused),
        ]);
        let Place(marks) = &mut self.places[place(leg)];
        if marks.contains(&mark) {
            return true;
        }
        marks.copy_within(1.., 0);
        marks[PLACE - 1] = mark;
        false
    }
}

/// The place of a leg. It does not depend on the seed: what is forgotten must be the same in every run.
#[inline]
fn place(leg: &Leg) -> usize {
    let word = leg.start.0.cast_unsigned() ^ leg.peer.number().rotate_left(16) ^ leg.request;
    // Fibonacci's multiplier spreads neighbouring moments.
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::leg::Side;
    use crate::names::Names;

    fn leg(names: &mut Names, start: i64, port: u32) -> Leg {
        let peer = Endpoint::read(format!("10.0.0.1:{port}").as_bytes(), names);
        Leg { start: Micros(start), peer, bytes: 7, ..Leg::PLAIN }
    }

    #[test]
    fn a_leg_is_told_again_whatever_its_way_and_place() {
        let (mut repeats, mut names) = (Repeats::default(), Names::default());
        let first = leg(&mut names, 1, 80);
        assert!(!repeats.is_again(&first));
        assert!(repeats.is_again(&Leg { way: 9, kept: 3, ..first }));
        assert!(!repeats.is_again(&Leg { side: Side::Inbound, ..first }));
        assert!(!repeats.is_again(&Leg { bytes: 8, ..first }));
        assert!(!repeats.is_again(&leg(&mut names, 2, 80)));
        let request = Leg { protocol: Protocol::Http, ..first };
        assert!(!repeats.is_again(&request) && !repeats.is_again(&request), "without an id nothing is told");
    }

    #[test]
    fn tens_of_thousands_are_remembered_and_no_more_than_there_is_room_for() {
        let (mut repeats, mut names) = (Repeats::default(), Names::default());
        let first = leg(&mut names, 0, 80);
        let mut again = |from: i64, count: i64| {
            (from..from + count)
                .filter(|number| repeats.is_again(&Leg { start: Micros(number * 1000), ..first }))
                .count()
        };
        assert_eq!(again(0, 20_000), 0);
        assert!(again(0, 20_000) > 19_900);
        assert_eq!(again(1 << 30, 4 * i64::try_from(PLACE * PLACES).unwrap()), 0);
        assert!(again(0, 20_000) < 1000);
    }
}
