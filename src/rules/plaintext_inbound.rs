//! Callers without mTLS of a service that is otherwise called with it.

use std::collections::{BTreeMap, BTreeSet};

use super::rule;
use crate::claims::{Claims, Seen, Verdict, list, noun};
use crate::cluster::{Cluster, Direction};
use crate::finding::Grade;
use crate::leg::Side;

rule! {
    /// ## What it finds
    /// Inbound legs without SNI, and without a client's leg, of a service which other callers reach with the SNI of
    /// Istio's mTLS (`outbound_.PORT_._.HOST`); with their share and their addresses.
    ///
    /// ## When it is silent
    /// Where no caller uses mTLS at all, and where the client's leg tells why there is none (`passthrough-to-service`).
    ///
    /// ## How sure
    /// Likely: the server saw no SNI of Istio's.
    ///
    /// ## Why it matters
    /// These callers have no identity and no encryption: they have no sidecar, or it is not in their way. They stop
    /// working when the port turns STRICT.
    ///
    /// ## Example
    /// `... inbound|5432|| 127.0.0.6:40000 10.12.7.20:5432 10.12.8.30:58056 - -` beside
    /// `... inbound|5432|| 127.0.0.6:40001 10.12.7.20:5432 10.12.6.10:36158 outbound_.5432_._.vault.bank.svc.cluster.local -`
    ///
    /// ## What to do
    /// Inject the callers. Probes and scrapers are expected to come like that.
    ///
    /// ## Source
    /// Istio documentation, PeerAuthentication and mutual TLS migration.
    "M101", "plaintext-inbound", Warning, "a service is called without mTLS by some"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    let protected: BTreeSet<String> = claims
        .left
        .iter()
        .filter(|seen| Cluster::of_sni(claims.ledger.names.get(seen.way.sni)).is_some())
        .filter(|seen| seen.way.side == Side::Inbound)
        .map(|seen| subject(claims, seen))
        .collect();
    if protected.is_empty() {
        return;
    }
    let mut totals: BTreeMap<String, u64> = BTreeMap::new();
    for seen in claims.left.iter().filter(|seen| seen.way.side == Side::Inbound) {
        *totals.entry(subject(claims, seen)).or_default() += seen.lines();
    }
    claims.note(
        |claims, seen| is_plain(seen).then(|| subject(claims, seen)).filter(|subject| protected.contains(subject)),
        |claims, subject, ways| {
            let alone: u64 = ways.iter().flat_map(|seen| callers(claims, seen)).map(|(_, count)| count).sum();
            let all = totals.get(subject).copied().unwrap_or_default();
            let callers: BTreeSet<String> =
                ways.iter().flat_map(|seen| callers(claims, seen)).map(|(caller, _)| caller).collect();
            if alone == 0 {
                return None;
            }
            let ports: BTreeSet<u16> = ways.iter().map(|seen| seen.way.dest.port()).collect();
            let ports = list(ports.iter().map(u16::to_string));
            let verdict = Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{alone} of {all} {} to {subject} (port {ports}) came without mTLS, from {}, \
                     while others use it",
                    noun(ways),
                    list(callers),
                ),
                fix: "inject the callers; if they have a sidecar, let them call the service by its name and not by a pod's \
                      address; take them for what they are if they are probes; the service cannot turn STRICT before"
                    .to_owned(),
                check: format!(
                    "kubectl get pods -A -o wide: who has these addresses; istioctl x describe pod {}",
                    claims.one_pod(ways)
                ),
            };
            Some((alone, verdict))
        },
    );
}

fn is_plain(seen: &Seen<'_>) -> bool {
    let way = seen.way;
    way.side == Side::Inbound
        && way.sni.is_none()
        && seen.cluster.direction == Direction::Inbound
        && seen.entry.counts.connections > 0
        && !way.flags.is_failure()
}

fn subject(claims: &Claims<'_>, seen: &Seen<'_>) -> String {
    claims.owner_of(seen)
}

/// Who came alone, by pod or address, and how often. Of those that are known to dial pods by address the client's leg
/// would tell (`passthrough-to-service`); it is lost here.
fn callers(claims: &Claims<'_>, seen: &Seen<'_>) -> Vec<(String, u64)> {
    let of = claims.alone.of(seen.number);
    let clients = of.filter(|(client, _)| !client.is_none() && !claims.has_passed(*client, seen.way.dest));
    clients.map(|(client, count)| (claims.pod_or_address(*client), *count)).collect()
}
