//! `Tables`: what a report counts of connections, traffic, services and addresses.

use std::collections::BTreeMap;

use super::{Address, Connections, Service, Traffic, topology, traffic};
use crate::claims;
use crate::ledger::Ledger;
use crate::pair::Match;
use crate::topology::{Alone, Topology};

/// The tables of a report, which are most of the work. No finding is in them, so they can be made while rules are asked.
#[derive(Debug)]
pub struct Tables {
    pub(super) connections: Connections,
    pub(super) traffic: Vec<Traffic>,
    pub(super) services: Vec<Service>,
    pub(super) addresses: Vec<Address>,
}

impl Tables {
    /// Makes them.
    pub fn of(ledger: &Ledger, topology: &Topology) -> Tables {
        Tables {
            connections: connections(ledger, topology),
            traffic: traffic::traffic(ledger, topology),
            services: traffic::services(ledger, topology),
            addresses: topology::addresses(ledger, topology),
        }
    }
}

fn connections(ledger: &Ledger, topology: &Topology) -> Connections {
    let mut counted = Connections::default();
    for matched in Match::ALL {
        if let Some(count) = ledger.matched.get(&matched) {
            counted.matched_by.insert(matched.name(), *count);
            counted.paired += count;
        }
    }
    for (_, way, entry) in ledger.iter() {
        let counts = &entry.counts;
        counted.total += counts.connections;
        if counts.connections > 0 && way.flags.is_failure() {
            *counted.failures.entry(claims::flags(ledger, std::iter::once(way))).or_default() += counts.connections;
        }
    }
    let mut alone: BTreeMap<Alone, u64> = BTreeMap::new();
    for (number, (other, count)) in ledger.alone().iter() {
        let way = &ledger.ways()[*number as usize];
        *alone.entry(topology.why_alone(way, *other, &ledger.names)).or_default() += count;
    }
    for (cluster, other, count) in ledger.unanswered() {
        *alone.entry(topology.why_unanswered(cluster, other, &ledger.names)).or_default() += count;
    }
    counted.unpaired = alone.into_iter().map(|(reason, count)| (reason.name(), count)).collect();
    counted
}
