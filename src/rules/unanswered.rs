//! Connections on which some got an answer and some did not.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::rule;
use crate::claims::{Claims, Seen, Verdict};
use crate::cluster::Direction;
use crate::finding::Grade;
use crate::leg::Protocol;
use crate::names::Sym;

rule! {
    /// ## What it finds
    /// TCP connections without a flag on which the client sent something and got no byte back, while others of the same
    /// kind were answered.
    ///
    /// ## When it is silent
    /// Where the server's legs tell the cause, and on the way to a gateway, whose own lines tell it. Where nobody is ever answered: the protocol may have no answers, or see
    /// `silent-refusal`. Where they end after the same time: see `idle-timeout`.
    ///
    /// ## How sure
    /// Suspect: a client may have had nothing to ask.
    ///
    /// ## Why it matters
    /// After the connect a TCP failure has no flag: a server that crashes or resets leaves a line like any other.
    ///
    /// ## Example
    /// `"- - -" 0 - - - "-" 21 0 1 - ... outbound|5672||queue...` between lines with `21 90`.
    ///
    /// ## What to do
    /// Look into the server's log at these times.
    ///
    /// ## Source
    /// Envoy `source/common/tcp_proxy/tcp_proxy.cc`: a reset after data looks like a normal close.
    "U402", "unanswered", Info, "some connections got no answer"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    if !claims.left.iter().any(|seen| seen.way.silent) {
        return;
    }
    // What is behind a gateway its own lines tell.
    let to_gateways: BTreeSet<Sym> = claims
        .ledger
        .answers()
        .filter(|(_, host, _)| claims.topology.is_gateway(host.ip()))
        .map(|(cluster, ..)| cluster)
        .collect();
    // Asked for only where something went unanswered that was not told yet.
    let counted = OnceCell::new();
    claims.note(
        |claims, seen| {
            let hung = seen.entry.rest().silent().constant(super::idle_timeout::LEAST).is_some();
            (seen.way.silent && !hung && !to_gateways.contains(&seen.way.cluster)).then(|| claims.served_by(seen))
        },
        |claims, subject, ways: &[Seen<'_>]| {
            let unanswered = claims.count(ways)?;
            let answered =
                counted.get_or_init(|| answered(claims)).get(subject).copied().filter(|answered| *answered > 0)?;
            let all = answered + unanswered;
            let verdict = Verdict {
                grade: Grade::Suspect,
                why: format!(
                    "{unanswered} of {all} connections of {} to {subject} got no byte back for what \
                     they had sent, without any flag",
                    claims.proxies(ways)
                ),
                fix: "look into the server's log at these times: a server that crashes or resets a \
                      connection leaves no flag"
                    .to_owned(),
                check: String::new(),
            };
            Some((unanswered, verdict))
        },
    );
}

/// Connections of TCP on which something came back, by whom they were served.
fn answered(claims: &Claims<'_>) -> BTreeMap<String, u64> {
    let mut answered: BTreeMap<String, u64> = BTreeMap::new();
    // The ways of a cluster are many.
    let mut hosts: BTreeMap<Sym, (Seen<'_>, u64)> = BTreeMap::new();
    for seen in claims.left.iter().filter(|seen| seen.way.side.is_client() && seen.way.protocol == Protocol::Tcp) {
        let connections = seen.entry.counts.connections;
        if seen.way.silent || seen.way.flags.is_failure() {
            continue;
        }
        if seen.cluster.direction == Direction::Outbound && !seen.cluster.host.is_empty() {
            hosts.entry(seen.way.cluster).or_insert((*seen, 0)).1 += connections;
        } else {
            *answered.entry(claims.served_by(seen)).or_default() += connections;
        }
    }
    for (seen, connections) in hosts.into_values() {
        *answered.entry(claims.served_by(&seen)).or_default() += connections;
    }
    answered
}
