//! `Learned`: what a healthy log teaches about who calls what, as rows for a file of expectations.
//!
//! Made from the ledger and the findings about it. What failed, and what an error finding took, is not how it should
//! be: it is left out and counted. Pods' addresses become services, so that a pod that starts anew is no deviation.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::claims;
use crate::expect::{Call, Expectations};
use crate::finding::{Finding, Severity};
use crate::ledger::Ledger;
use crate::topology::Topology;

/// What was learned, and what was not.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// The rows.
    pub expect: Expectations,
    /// Connections that were left out, by the name of the finding that took them, or `failed`.
    pub left_out: BTreeMap<&'static str, u64>,
}

/// Learns from the ways that went well.
pub fn learn(ledger: &Ledger, topology: &Topology, findings: &[Finding]) -> Learned {
    let mut taken: BTreeMap<u32, &'static str> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.meta.severity == Severity::Error) {
        for way in &finding.ways {
            taken.entry(*way).or_insert(finding.meta.name);
        }
    }
    let (alone, mut calls) = (ledger.alone(), BTreeSet::new());
    let mut left_out: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (number, way, entry) in ledger.iter().filter(|(_, _, entry)| entry.counts.legs > 0) {
        let failed = way.flags.is_failure().then_some("failed");
        if let Some(reason) = taken.get(&number).copied().or(failed) {
            if entry.counts.connections > 0 {
                *left_out.entry(reason).or_default() += entry.counts.connections;
            }
            continue;
        }
        let public =
            |call: &Call| call.destination().parse::<IpAddr>().is_ok() && !way.dest.ip().is_private(&ledger.names);
        let callers = claims::callers(ledger, topology, &alone, number, way).into_iter().map(|(call, ..)| call);
        for call in claims::call(ledger, topology, way).into_iter().chain(callers) {
            let public = public(&call);
            calls.insert((call, public));
        }
    }
    Learned { expect: Expectations::learned(&calls), left_out }
}
