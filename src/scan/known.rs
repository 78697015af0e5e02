//! `Known`: the names, ways and facts that a scanner has met, by number.
//!
//! They are kept from block to block: a mesh goes a few thousand ways, and looking one up in a table that is warm is
//! much cheaper than finding it anew in every block and handing it on again.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::Scanned;
use crate::leg::{Fact, Way};
use crate::names::Names;

/// A scanner that has met more ways, facts or names than this begins anew: nobody's names may fill the memory.
const MOST: usize = 200_000;

/// What was met, and how far the ledger has been told of it.
#[derive(Default)]
pub(super) struct Known {
    pub(super) names: Names,
    /// The ways that are not handed on yet, and how many were met in all.
    ways: Vec<Way>,
    met: u32,
    way_table: HashTable<Met>,
    facts: Vec<Fact>,
    fact_table: HashTable<u32>,
    hasher: RandomState,
    told: Told,
}

/// The hash of a way under a seed that nobody knows. Comparing the ways themselves would touch two more lines of memory for every
/// line of the log; that any two of a hundred thousand have one mark is one chance in some billions.
pub(super) type Mark = u64;

/// A way that was met.
#[derive(Clone, Copy, Debug)]
struct Met {
    mark: Mark,
    number: u32,
}

/// How many names and facts were handed on with earlier blocks.
struct Told {
    names: usize,
    facts: usize,
}

impl Default for Told {
    fn default() -> Self {
        // The empty name is everybody's.
        Told { names: 1, facts: 0 }
    }
}

impl Known {
    pub(super) fn is_too_much(&self) -> bool {
        self.way_table.len().max(self.facts.len()).max(self.names.len()) > MOST
    }

    /// The mark of a way.
    #[inline]
    pub(super) fn mark(&self, way: &Way) -> Mark {
        self.hasher.hash_one(way)
    }

    /// The number of a way, whose mark is known.
    #[inline]
    pub(super) fn way(&mut self, way: &Way, mark: Mark) -> u32 {
        if let Some(met) = self.way_table.find(mark, |met| met.mark == mark) {
            return met.number;
        }
        let number = self.met;
        self.met += 1;
        self.way_table.insert_unique(mark, Met { mark, number }, |met| met.mark);
        self.ways.push(*way);
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

    /// Ends a block: hands on what is new.
    pub(super) fn finish(&mut self, out: &mut Scanned) {
        let Known { names, ways, facts, told, .. } = self;
        out.names.extend((told.names..names.len()).map(|number| names.get(crate::names::Sym(number as u32)).into()));
        out.ways.append(ways);
        out.facts.extend_from_slice(&facts[told.facts..]);
        *told = Told { names: names.len(), facts: facts.len() };
    }
}
