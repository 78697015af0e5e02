//! `Store`: legs in groups, each group a list through the same pieces, so that a leg costs no allocation.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::pieces::{Node, Pieces, Place};
use crate::field::value::Micros;
use crate::leg::Leg;

/// What can be told of a group without looking at its legs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) key: u64,
    /// The latest end of its legs.
    pub(super) end: Micros,
    /// Where the last of them lies.
    last: Place,
    pub(super) count: u32,
}

/// About how many bytes a leg takes that waits: its place and the quarter of one that may be empty, its group in a list that grows by
/// doubling, and the group's number in a table.
pub(super) const LEG: usize = size_of::<Node>() * 5 / 4 + 2 * size_of::<Group>();

/// Legs in groups.
///
/// A partner comes soon, so what is asked for lies among the last groups and legs. Only the table of numbers is gone to at
/// random: it is small enough for a core's cache.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// In the order in which they came.
    groups: Vec<Group>,
    /// Their numbers, by their keys.
    table: HashTable<u32>,
    hasher: RandomState,
    legs: Pieces,
}

impl Store {
    pub(super) fn len(&self) -> usize {
        self.legs.len()
    }

    /// Whether a group has legs.
    pub(super) fn has(&self, key: u64) -> bool {
        self.table.find(self.hasher.hash_one(key), |number| self.groups[*number as usize].key == key).is_some()
    }

    /// Puts a leg into its group.
    pub(super) fn insert(&mut self, key: u64, leg: &Leg) {
        let Store { groups, table, hasher, legs } = self;
        let hash = hasher.hash_one(key);
        let is_it = |number: &u32| groups[*number as usize].key == key;
        let number = match table.entry(hash, is_it, |number| hasher.hash_one(groups[*number as usize].key)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let number = groups.len() as u32;
                place.insert(number);
                groups.push(Group { key, end: leg.end(), last: 0, count: 0 });
                number
            }
        };
        let group = &mut groups[number as usize];
        group.last = legs.push(Node { leg: *leg, before: group.last });
        group.count += 1;
        group.end = group.end.max(leg.end());
    }

    /// Puts legs into their group.
    pub(super) fn extend(&mut self, key: u64, legs: &[Leg]) {
        for leg in legs {
            self.insert(key, leg);
        }
    }

    /// Takes out the groups that are `ripe`, in the order in which they came: it does not depend on hashes, for what counts them
    /// may have no room for all. Their legs stay in the table until [`Store::draw`] gives them.
    pub(super) fn ripe(&mut self, ripe: impl Fn(&Group) -> bool) -> Vec<Group> {
        let Store { groups, table, hasher, .. } = self;
        let taken: Vec<Group> = groups.extract_if(.., |group| ripe(group)).collect();
        // Most go together, and the others have other numbers now.
        if !taken.is_empty() {
            table.clear();
            for (group, number) in groups.iter().zip(0..) {
                let hash = |number: &u32| hasher.hash_one(groups[*number as usize].key);
                table.insert_unique(hasher.hash_one(group.key), number, hash);
            }
        }
        taken
    }

    /// Gives the legs of groups that were taken out, one group after the other. The legs of many groups are fetched before the
    /// first group is looked at, because each has to come from far away, and they come side by side.
    pub(super) fn draw(&mut self, groups: &[Group], mut each: impl FnMut(u64, &[Leg])) {
        const SIDE_BY_SIDE: usize = 64;
        let mut legs = Vec::with_capacity(2 * SIDE_BY_SIDE);
        for groups in groups.chunks(SIDE_BY_SIDE) {
            legs.clear();
            for group in groups {
                take_out(&mut self.legs, group, &mut legs);
            }
            let mut rest = &legs[..];
            for group in groups {
                let (own, behind) = rest.split_at(group.count as usize);
                each(group.key, own);
                rest = behind;
            }
        }
        self.close_up();
    }

    /// Hands the legs of each group that is `ripe` to `close`; those for which it says so leave the store.
    pub(super) fn take(&mut self, ripe: impl Fn(&Group) -> bool, mut close: impl FnMut(&[Leg]) -> bool) {
        let mut legs = Vec::new();
        for group in self.ripe(ripe) {
            legs.clear();
            take_out(&mut self.legs, &group, &mut legs);
            if !close(&legs) {
                self.extend(group.key, &legs);
            }
        }
        self.close_up();
    }

    /// Puts the legs together if a few that stay for long hold much room. No group may have been taken out whose legs were not given.
    fn close_up(&mut self) {
        if self.legs.is_dense() {
            return;
        }
        let (mut all, mut own) = (Pieces::default(), Vec::new());
        for group in &mut self.groups {
            own.clear();
            take_out(&mut self.legs, group, &mut own);
            for leg in own.iter().rev() {
                group.last = all.push(Node { leg: *leg, before: group.last });
            }
        }
        self.legs = all;
    }

    /// The end that half of the legs lie before; the earliest time there is, if there are none.
    pub(super) fn median_end(&self) -> Micros {
        let mut ends: Vec<Micros> = self.groups.iter().map(|group| group.end).collect();
        let middle = ends.len() / 2;
        if ends.is_empty() { Micros(i64::MIN) } else { ends.select_nth_unstable(middle).1.plus_millis(1) }
    }
}

/// Takes the legs of a group out, the last first.
fn take_out(from: &mut Pieces, group: &Group, legs: &mut Vec<Leg>) {
    let mut place = group.last;
    for _ in 0..group.count {
        let Node { leg, before } = from.take(place);
        legs.push(leg);
        place = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;

    #[test]
    fn groups_come_in_one_order_whatever_their_hashes() {
        let leg = |line: u64| Leg { origin: Origin { line, ..Origin::default() }, ..Leg::PLAIN };
        let order = || {
            let (mut store, mut order) = (Store::default(), Vec::new());
            for round in 0..3u64 {
                for number in 0..200 {
                    store.insert(number * 7919 % 150 + round, &leg(round << 32 | number));
                }
                store.take(
                    |group| group.count > 1,
                    |legs| {
                        order.extend(legs.iter().map(|leg| leg.origin.line));
                        legs[0].origin.line % 3 == 0
                    },
                );
                let ripe = store.ripe(|group| group.key % 2 == round % 2);
                store.draw(&ripe, |_, legs| order.extend(legs.iter().map(|leg| leg.origin.line)));
            }
            order
        };
        let one = order();
        assert!(one.len() > 300);
        assert!((0..8).all(|_| order() == one));
    }
}
