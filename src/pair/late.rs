//! `Late`: legs whose partner did not come in its time. A hundred thousand of them may wait, and most of them for nothing, so each takes
//! little: of what is needed to find it again a few numbers, and past so many of them the leg itself lies in a temporary file.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::BuildHasher;
use std::io;
use std::os::unix::fs::FileExt;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::field::value::Micros;
use crate::leg::Leg;

/// How many bytes a leg has in the file, at most.
const LEG: usize = 128;

/// A leg's group, and the next leg of it; its number is the leg's.
#[derive(Clone, Copy, Debug)]
struct Node {
    key: u64,
    next: u32,
}

const NIL: u32 = u32::MAX;

/// Legs in groups.
#[derive(Debug)]
pub(super) struct Late {
    /// The first leg of each group.
    groups: HashTable<u32>,
    hasher: RandomState,
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// The legs with the first numbers.
    legs: Vec<Leg>,
    /// How many these may be.
    most: usize,
    /// The others, each at its place.
    file: Option<File>,
    /// Those that could not be written.
    unwritten: BTreeMap<u32, Leg>,
    /// Why.
    pub(super) trouble: Option<io::Error>,
    /// Why a leg could not be read again.
    pub(super) lost: Option<io::Error>,
}

impl Late {
    /// None yet. So many of them stay in memory.
    pub(super) fn new(most: usize) -> Late {
        Late {
            groups: HashTable::new(),
            hasher: RandomState::default(),
            nodes: Vec::new(),
            free: Vec::new(),
            legs: Vec::new(),
            most,
            file: None,
            unwritten: BTreeMap::new(),
            trouble: None,
            lost: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Whether a group has legs.
    pub(super) fn has(&self, key: u64) -> bool {
        self.first(key).is_some()
    }

    fn first(&self, key: u64) -> Option<u32> {
        let is_it = |first: &u32| self.nodes[*first as usize].key == key;
        self.groups.find(self.hasher.hash_one(key), is_it).copied()
    }

    /// Puts a leg into its group; says whether another one is there.
    pub(super) fn insert(&mut self, key: u64, leg: Leg) -> bool {
        let number = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node { key, next: NIL });
            self.nodes.len() as u32 - 1
        });
        self.put(number, leg);
        let Late { groups, hasher, nodes, .. } = self;
        let hash = hasher.hash_one(key);
        let next = match groups.find_mut(hash, |first| nodes[*first as usize].key == key) {
            Some(first) => std::mem::replace(first, number),
            None => NIL,
        };
        nodes[number as usize] = Node { key, next };
        if next == NIL {
            groups.insert_unique(hash, number, |number| hasher.hash_one(nodes[*number as usize].key));
        }
        next != NIL
    }

    /// Takes out the legs of each group that is `wanted`, one group after the other, in an order that does not depend on hashes; with
    /// each come the groups that stay.
    pub(super) fn draw(&mut self, wanted: impl Fn(u64) -> bool, mut each: impl FnMut(&Late, u64, &[Leg])) {
        let nodes = &self.nodes;
        let mut groups: Vec<u32> = self.groups.extract_if(|first| wanted(nodes[*first as usize].key)).collect();
        groups.sort_unstable();
        let mut legs = Vec::new();
        for first in groups {
            self.list(first, &mut legs);
            self.vacate(first);
            each(self, self.nodes[first as usize].key, &legs);
        }
        if self.groups.is_empty() {
            (self.groups, self.nodes, self.free, self.legs) = (HashTable::new(), Vec::new(), Vec::new(), Vec::new());
        }
    }

    /// Hands the legs of a group to `close`, if it is there; they are out if that says so.
    pub(super) fn take_one(&mut self, key: u64, close: impl FnOnce(&[Leg]) -> bool) {
        let Some(first) = self.first(key) else { return };
        let mut legs = Vec::new();
        self.list(first, &mut legs);
        if close(&legs) {
            self.vacate(first);
            if let Ok(group) = self.groups.find_entry(self.hasher.hash_one(key), |other| *other == first) {
                group.remove();
            }
        }
    }

    /// The end that half of the groups lie before; the earliest time there is, if there are none.
    pub(super) fn median_end(&mut self) -> Micros {
        let groups: Vec<u32> = self.groups.iter().copied().collect();
        let mut legs = Vec::new();
        let mut ends: Vec<Micros> = groups
            .into_iter()
            .filter_map(|first| {
                self.list(first, &mut legs);
                legs.iter().map(Leg::end).max()
            })
            .collect();
        let middle = ends.len() / 2;
        if ends.is_empty() { Micros(i64::MIN) } else { ends.select_nth_unstable(middle).1.plus_millis(1) }
    }

    fn list(&mut self, first: u32, legs: &mut Vec<Leg>) {
        legs.clear();
        let mut number = first;
        while number != NIL {
            legs.extend(self.get(number));
            number = self.nodes[number as usize].next;
        }
    }

    fn vacate(&mut self, first: u32) {
        let mut number = first;
        while number != NIL {
            self.free.push(number);
            self.unwritten.remove(&number);
            number = self.nodes[number as usize].next;
        }
    }

    fn put(&mut self, number: u32, leg: Leg) {
        let place = number as usize;
        if place < self.most {
            match self.legs.get_mut(place) {
                Some(old) => *old = leg,
                None => self.legs.push(leg),
            }
            return;
        }
        if self.trouble.is_none() {
            match self.write(number, &leg) {
                Ok(()) => return,
                Err(error) => self.trouble = Some(error),
            }
        }
        self.unwritten.insert(number, leg);
    }

    fn get(&mut self, number: u32) -> Option<Leg> {
        let here = self.legs.get(number as usize).or_else(|| self.unwritten.get(&number));
        here.copied().or_else(|| self.read(number).map_err(|error| self.lost.get_or_insert(error)).ok())
    }

    fn write(&mut self, number: u32, leg: &Leg) -> io::Result<()> {
        let mut bytes = [0; LEG];
        postcard::to_slice(leg, &mut bytes).map_err(io::Error::other)?;
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(tempfile::tempfile()?),
        };
        file.write_all_at(&bytes, u64::from(number) * LEG as u64)
    }

    fn read(&self, number: u32) -> io::Result<Leg> {
        let mut bytes = [0; LEG];
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(&mut bytes, u64::from(number) * LEG as u64)?;
        postcard::from_bytes(&bytes).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::leg::{Protocol, Side};
    use crate::source::{Origin, SourceId};

    fn leg(number: u64) -> Leg {
        Leg {
            start: Micros(i64::MAX - number.cast_signed()),
            duration: u32::MAX,
            way: u32::MAX,
            wire: Endpoint::NONE,
            server: Endpoint::NONE,
            peer: Endpoint::NONE,
            request: u64::MAX,
            bytes: u64::MAX,
            origin: Origin { source: SourceId(u32::MAX), line: u64::MAX - number },
            kept: u32::MAX,
            side: Side::Unknown,
            protocol: Protocol::Http,
            refused: true,
            direct: true,
            failed: true,
            answered: true,
            service_time: u32::MAX,
        }
    }

    /// Groups of three, of which every fifth is taken out and the others drawn.
    fn rounds(late: &mut Late) {
        for _ in 0..3 {
            for number in 0..300 {
                assert_eq!(late.insert(number % 100, leg(number)), number >= 100);
            }
            assert_eq!((late.len(), late.has(7), late.has(100)), (300, true, false));
            for key in (0..100).step_by(5) {
                late.take_one(key, |legs| legs.len() == 3);
                late.take_one(key + 1, |_| false);
            }
            let mut drawn = Vec::new();
            late.draw(|key| key % 2 == 1, |_, key, legs| drawn.extend(legs.iter().map(|leg| (key, *leg))));
            late.draw(|_| true, |_, key, legs| drawn.extend(legs.iter().map(|leg| (key, *leg))));
            drawn.sort_by_key(|(_, leg)| std::cmp::Reverse(leg.origin.line));
            let expected = (0..300).filter(|number| number % 5 != 0).map(|number| (number % 100, leg(number)));
            assert_eq!(drawn, expected.collect::<Vec<_>>());
            assert_eq!(late.len(), 0);
        }
    }

    #[test]
    fn legs_come_out_as_they_were_wherever_they_lie() {
        for most in [0, 1, 150, usize::MAX] {
            let mut late = Late::new(most);
            rounds(&mut late);
            assert_eq!(late.file.is_some(), most < 300);
            assert!(late.trouble.is_none() && late.lost.is_none());
        }
    }

    #[test]
    fn what_cannot_be_written_stays_in_memory_and_what_cannot_be_read_is_told() {
        let mut late = Late::new(10);
        late.trouble = Some(io::ErrorKind::StorageFull.into());
        rounds(&mut late);
        assert!(late.file.is_none() && late.lost.is_none());

        let mut late = Late::new(0);
        late.insert(1, leg(1));
        late.file.as_ref().unwrap().set_len(0).unwrap();
        late.draw(|_| true, |_, _, _| ());
        assert!(late.lost.is_some());
    }
}
