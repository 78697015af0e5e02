//! `Store`: legs in groups, each group a list through one table, so that a leg costs no allocation.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

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
    head: u32,
    pub(super) count: u32,
    /// The latest end of its legs.
    pub(super) end: Micros,
}

const NIL: u32 = u32::MAX;

/// About how many bytes a leg takes that waits: its place, and a group's in a table that is seven eighths full at most and half
/// full on the average of its growth.
pub(super) const LEG: usize = size_of::<Node>() + 2 * size_of::<(u64, Group)>();

/// Legs in groups, each group a list through one table.
#[derive(Debug, Default)]
pub(super) struct Store {
    groups: HashMap<u64, Group, RandomState>,
    nodes: Vec<Node>,
    free: Vec<u32>,
}

impl Store {
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Whether a group has legs.
    pub(super) fn has(&self, key: u64) -> bool {
        self.groups.contains_key(&key)
    }

    /// Puts a leg into its group.
    pub(super) fn insert(&mut self, key: u64, leg: &Leg) {
        let group = self.groups.entry(key).or_insert(Group { head: NIL, count: 0, end: leg.end() });
        let node = Node { leg: *leg, next: group.head };
        group.count += 1;
        group.end = group.end.max(leg.end());
        group.head = if let Some(place) = self.free.pop() {
            self.nodes[place as usize] = node;
            place
        } else {
            self.nodes.push(node);
            self.nodes.len() as u32 - 1
        };
    }

    /// Puts legs into their group.
    pub(super) fn extend(&mut self, key: u64, legs: &[Leg]) {
        for leg in legs {
            self.insert(key, leg);
        }
    }

    /// Takes out the groups that are `ripe`, in an order that does not depend on hashes: what counts them may have no room for
    /// all. Their legs stay in the table until [`Store::draw`] gives them.
    pub(super) fn ripe(&mut self, ripe: impl Fn(u64, &Group) -> bool) -> Vec<(u64, Group)> {
        let groups: Vec<(u64, Group)> = self.groups.extract_if(|key, group| ripe(*key, group)).collect();
        // Places are taken in the order in which they became free, so legs that came together lie together, and are gone through
        // in the order of memory. Numbers are sorted four times as quickly as groups.
        let mut order: Vec<u64> =
            groups.iter().zip(0..).map(|((_, group), number)| u64::from(group.head) << 32 | number).collect();
        order.sort_unstable();
        order.into_iter().map(|number| groups[number as u32 as usize]).collect()
    }

    /// Gives the legs of groups that were taken out, one group after the other. The legs of many groups are fetched before the
    /// first group is looked at, because each has to come from far away, and they come side by side.
    pub(super) fn draw(&mut self, groups: &[(u64, Group)], mut each: impl FnMut(u64, &[Leg])) {
        const SIDE_BY_SIDE: usize = 64;
        let mut legs = Vec::with_capacity(2 * SIDE_BY_SIDE);
        for groups in groups.chunks(SIDE_BY_SIDE) {
            legs.clear();
            for (_, group) in groups {
                list(&self.nodes, group.head, &mut legs);
                vacate(&self.nodes, group.head, &mut self.free);
            }
            let mut rest = &legs[..];
            for (key, group) in groups {
                let (own, behind) = rest.split_at(group.count as usize);
                each(*key, own);
                rest = behind;
            }
        }
    }

    /// Hands the legs of each group that is `ripe` to `close`; those for which it says so leave the store.
    pub(super) fn take(&mut self, ripe: impl Fn(&Group) -> bool, mut close: impl FnMut(&[Leg]) -> bool) {
        let mut legs = Vec::new();
        for (key, group) in self.ripe(|_, group| ripe(group)) {
            legs.clear();
            list(&self.nodes, group.head, &mut legs);
            if close(&legs) {
                vacate(&self.nodes, group.head, &mut self.free);
            } else {
                self.groups.insert(key, group);
            }
        }
    }

    /// The end that half of the legs lie before; the earliest time there is, if there are none.
    pub(super) fn median_end(&self) -> Micros {
        let mut ends: Vec<Micros> = self.groups.values().map(|group| group.end).collect();
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
    use crate::endpoint::Endpoint;
    use crate::leg::{Protocol, Side};
    use crate::source::Origin;

    #[test]
    fn groups_come_in_one_order_whatever_their_hashes() {
        let leg = |line: u64| Leg {
            start: Micros(1),
            duration: 1,
            way: 0,
            wire: Endpoint::NONE,
            server: Endpoint::NONE,
            peer: Endpoint::NONE,
            request: 0,
            bytes: 0,
            origin: Origin { line, ..Origin::default() },
            kept: Leg::NOT_KEPT,
            side: Side::Outbound,
            protocol: Protocol::Tcp,
            refused: false,
            direct: false,
            failed: false,
            answered: true,
            service_time: Leg::UNTOLD,
        };
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
                let ripe = store.ripe(|key, _| key % 2 == round % 2);
                store.draw(&ripe, |_, legs| order.extend(legs.iter().map(|leg| leg.origin.line)));
            }
            order
        };
        let one = order();
        assert!(one.len() > 300);
        assert!((0..8).all(|_| order() == one));
    }
}
