//! `Known`: the names, ways and facts that a scanner has met, by number.
//!
//! They are kept from block to block: a mesh goes a few thousand ways, and looking one up in a table that is warm is
//! much cheaper than finding it anew in every block and handing it on again.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{Count, Scanned};
use crate::field::value::Micros;
use crate::leg::{Fact, Way};
use crate::names::Names;

/// A scanner that has met more ways, facts or names than this begins anew: nobody's names may fill the memory.
const MOST: usize = 200_000;

/// What was met, and how far the ledger has been told of it.
#[derive(Default)]
pub(super) struct Known {
    pub(super) names: Names,
    ways: Vec<Met>,
    way_table: HashTable<u32>,
    facts: Vec<Fact>,
    fact_table: HashTable<u32>,
    hasher: RandomState,
    /// The number of this block.
    block: u32,
    counts: Vec<(u32, Count)>,
    told: Told,
}

/// A way, and where it was met last: looked up for every line, so they lie side by side.
struct Met {
    way: Way,
    /// The block.
    block: u32,
    /// The place among the counts of that block.
    place: u32,
}

/// How many names, ways and facts were handed on with earlier blocks.
struct Told {
    names: usize,
    ways: usize,
    facts: usize,
}

impl Default for Told {
    fn default() -> Self {
        // The empty name is everybody's.
        Told { names: 1, ways: 0, facts: 0 }
    }
}

impl Known {
    pub(super) fn is_too_much(&self) -> bool {
        self.ways.len().max(self.facts.len()).max(self.names.len()) > MOST || self.block == u32::MAX
    }

    /// Begins a block.
    pub(super) fn begin(&mut self) {
        self.block += 1;
    }

    /// Counts a leg with its way; gives the way's number.
    #[inline]
    pub(super) fn way(&mut self, way: Way, start: Micros, leg: u32) -> u32 {
        let Known { ways, way_table, hasher, counts, block, .. } = self;
        let hash = hasher.hash_one(way);
        let number = way_table.find(hash, |number| ways[*number as usize].way == way).copied().unwrap_or_else(|| {
            let number = ways.len() as u32;
            way_table.insert_unique(hash, number, |number| hasher.hash_one(ways[*number as usize].way));
            ways.push(Met { way, block: 0, place: 0 });
            number
        });
        let met = &mut ways[number as usize];
        if met.block != *block {
            (met.block, met.place) = (*block, counts.len() as u32);
            counts.push((number, Count::NOTHING));
        }
        counts[met.place as usize].1.add(start, leg);
        number
    }

    /// Takes down a fact, if it is new.
    pub(super) fn fact(&mut self, fact: Fact) {
        let Known { facts, fact_table, hasher, .. } = self;
        let hash = hasher.hash_one(fact);
        if fact_table.find(hash, |number| facts[*number as usize] == fact).is_none() {
            fact_table.insert_unique(hash, facts.len() as u32, |number| hasher.hash_one(facts[*number as usize]));
            facts.push(fact);
        }
    }

    /// Ends a block: hands on its counts, and what is new.
    pub(super) fn finish(&mut self, out: &mut Scanned) {
        let Known { names, ways, facts, told, .. } = self;
        out.names.extend((told.names..names.len()).map(|number| names.get(crate::names::Sym(number as u32)).into()));
        out.ways.extend(ways[told.ways..].iter().map(|met| met.way));
        out.facts.extend_from_slice(&facts[told.facts..]);
        std::mem::swap(&mut out.counts, &mut self.counts);
        *told = Told { names: names.len(), ways: ways.len(), facts: facts.len() };
    }
}
