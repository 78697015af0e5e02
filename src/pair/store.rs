//! `Store`: legs in groups, each group a list through one table, so that a leg costs no allocation.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::field::value::Micros;
use crate::leg::Leg;

#[derive(Clone, Copy, Debug)]
struct Node {
    leg: Leg,
    next: u32,
}

/// What can be told of a group without looking at its legs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) key: u64,
    /// The latest end of its legs.
    pub(super) end: Micros,
    head: u32,
    pub(super) count: u32,
}

const NIL: u32 = u32::MAX;

/// About how many bytes a leg takes that waits: its place, its group in a list that grows by doubling, and the group's number in a table.
pub(super) const LEG: usize = size_of::<Node>() + 2 * size_of::<Group>();

/// Legs in groups, each group a list through one table.
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
    nodes: Vec<Node>,
    free: Vec<u32>,
}

impl Store {
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Whether a group has legs.
    pub(super) fn has(&self, key: u64) -> bool {
        self.table.find(self.hasher.hash_one(key), |number| self.groups[*number as usize].key == key).is_some()
    }

    /// Puts a leg into its group.
    pub(super) fn insert(&mut self, key: u64, leg: &Leg) {
        let Store { groups, table, hasher, nodes, free } = self;
        let hash = hasher.hash_one(key);
        let is_it = |number: &u32| groups[*number as usize].key == key;
        let number = match table.entry(hash, is_it, |number| hasher.hash_one(groups[*number as usize].key)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let number = groups.len() as u32;
                place.insert(number);
                groups.push(Group { key, end: leg.end(), head: NIL, count: 0 });
                number
            }
        };
        let group = &mut groups[number as usize];
        let node = Node { leg: *leg, next: group.head };
        group.count += 1;
        group.end = group.end.max(leg.end());
        group.head = if let Some(place) = free.pop() {
            nodes[place as usize] = node;
            place
        } else {
            nodes.push(node);
            nodes.len() as u32 - 1
        };
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
                list(&self.nodes, group.head, &mut legs);
                vacate(&self.nodes, group.head, &mut self.free);
            }
            let mut rest = &legs[..];
            for group in groups {
                let (own, behind) = rest.split_at(group.count as usize);
                each(group.key, own);
                rest = behind;
            }
        }
    }

    /// Hands the legs of each group that is `ripe` to `close`; those for which it says so leave the store.
    pub(super) fn take(&mut self, ripe: impl Fn(&Group) -> bool, mut close: impl FnMut(&[Leg]) -> bool) {
        let mut legs = Vec::new();
        for group in self.ripe(ripe) {
            legs.clear();
            list(&self.nodes, group.head, &mut legs);
            vacate(&self.nodes, group.head, &mut self.free);
            if !close(&legs) {
                self.extend(group.key, &legs);
            }
        }
    }

    /// The end that half of the legs lie before; the earliest time there is, if there are none.
    pub(super) fn median_end(&self) -> Micros {
        let mut ends: Vec<Micros> = self.groups.iter().map(|group| group.end).collect();
        let middle = ends.len() / 2;
        if ends.is_empty() { Micros(i64::MIN) } else { ends.select_nth_unstable(middle).1.plus_millis(1) }
    }
}

fn list(nodes: &[Node], head: u32, legs: &mut Vec<Leg>) {
    let mut place = head;
    while place != NIL {
        let node = &nodes[place as usize];
        legs.push(node.leg);
        place = node.next;
    }
}

fn vacate(nodes: &[Node], head: u32, free: &mut Vec<u32>) {
    let mut place = head;
    while place != NIL {
        free.push(place);
        place = nodes[place as usize].next;
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
