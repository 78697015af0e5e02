//! A service whose endpoints get very different shares of the connections.

use std::collections::BTreeMap;

use super::rule;
use crate::claims::{Claims, Verdict};
use crate::cluster::Direction;
use crate::endpoint::Endpoint;
use crate::finding::Grade;
use crate::leg::Side;
use crate::names::Sym;

rule! {
    /// ## What it finds
    /// A cluster with 200 connections or more of which one endpoint got more than twice its share.
    ///
    /// ## When it is silent
    /// Where the client chose the endpoint itself (pod addresses, headless services), and where numbers are small.
    ///
    /// ## How sure
    /// Likely: why is not in the log.
    ///
    /// ## Why it matters
    /// One pod is busier than the others: locality, a hash policy, long-lived HTTP/2 connections, or endpoints that
    /// come and go.
    ///
    /// ## Example
    /// `10.12.0.12:5701` 900 of 1000 connections of `outbound|5701||manager.manager.svc.cluster.local`, three endpoints.
    ///
    /// ## What to do
    /// Look at the DestinationRule's load balancer settings, at locality, and at what the endpoints did.
    ///
    /// ## Source
    /// Envoy documentation, Load Balancing (Istio's default is least request).
    "L201", "uneven-load", Info, "one endpoint of a service gets more than twice its share"
}

const ENOUGH: u64 = 200;

pub(super) fn judge(claims: &mut Claims<'_>) {
    let mut hosts: BTreeMap<Sym, Vec<(Endpoint, u64)>> = BTreeMap::new();
    for (cluster, host, answers) in claims.ledger.answers() {
        hosts.entry(cluster).or_default().push((host, answers.times.count()));
    }
    let chosen = |cluster: &Sym| claims.left.iter().any(|seen| seen.way.cluster == *cluster && seen.way.direct);
    let uneven = |hosts: &Vec<(Endpoint, u64)>| {
        let total: u64 = hosts.iter().map(|(_, count)| count).sum();
        let most = hosts.iter().map(|(_, count)| *count).max().unwrap_or_default();
        hosts.len() > 1 && total >= ENOUGH && most * hosts.len() as u64 > 2 * total
    };
    hosts.retain(|cluster, hosts| {
        Direction::of(claims.ledger.names.get(*cluster)) == Direction::Outbound && uneven(hosts) && !chosen(cluster)
    });
    claims.note(
        |claims, seen| {
            let uneven = seen.way.side == Side::Outbound && hosts.contains_key(&seen.way.cluster);
            uneven.then(|| claims.ledger.show(seen.way.cluster).into_owned())
        },
        |claims, cluster, ways| {
            let hosts = hosts.get(&ways[0].way.cluster)?;
            let total: u64 = hosts.iter().map(|(_, count)| count).sum();
            let (most, count) = hosts.iter().max_by_key(|(host, count)| (*count, claims.show(*host)))?;
            let verdict = Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} got {count} of {total} connections of {cluster}, which has {} endpoints",
                    claims.show(*most),
                    hosts.len()
                ),
                fix: "look at locality, at the DestinationRule's load balancer, and at endpoints that \
                      came or went"
                    .to_owned(),
                check: format!("istioctl proxy-config endpoints {} --cluster '{cluster}'", claims.one_pod(ways)),
            };
            Some((total, verdict))
        },
    );
}
