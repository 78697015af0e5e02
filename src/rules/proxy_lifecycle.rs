//! Failures around the start or the end of the proxy that reports them.

use super::rule;
use crate::claims::{Claims, Verdict, noun};
use crate::event::Kind;
use crate::field::value::Micros;
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// Connections that failed on a proxy between its start and two seconds after it got ready, while it said that it
    /// is not ready, or from the moment on at which it was told to end, and at no other time.
    ///
    /// ## When it is silent
    /// Failures that go on after the proxy is ready have another cause. Without lines of the agent or of Envoy itself
    /// nothing is known of its life.
    ///
    /// ## How sure
    /// Likely: by the time alone.
    ///
    /// ## Why it matters
    /// Applications that start before their proxy, or go on working after it, fail for seconds at every rollout.
    ///
    /// ## Example
    /// `Envoy proxy is NOT ready: config not received` beside `"- - -" 0 NR ...` lines of the same pod and second.
    ///
    /// ## What to do
    /// `holdApplicationUntilProxyStarts`, native sidecars, `EXIT_ON_ZERO_ACTIVE_CONNECTIONS`, `terminationDrainDuration`.
    ///
    /// ## Source
    /// istio/istio issues 11130, 34855 and 51855.
    "S101", "proxy-lifecycle", Warning, "failures while the proxy started or ended"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    let lives = lives(claims);
    if lives.is_empty() {
        return;
    }
    claims.file(
        |claims, seen| {
            let way = seen.way;
            if !way.flags.is_failure() || way.pod.is_none() {
                return None;
            }
            let pod = claims.ledger.names.get(way.pod);
            let (first, last) = (seen.entry.counts.first, seen.entry.counts.last);
            let around = |life: &&Life| life.pod == pod && life.from <= first && last <= life.to;
            let life = lives.iter().find(around)?;
            Some(format!("{} {}", claims.ledger.show(way.pod), life.what))
        },
        |claims, subject, ways| Verdict {
            grade: Grade::Likely,
            why: format!(
                "{} of {} failed with {} while its proxy {}, and only then",
                noun(ways),
                claims.ledger.show(ways[0].way.pod),
                claims.flags(ways),
                subject.split_once(' ').map_or("", |(_, what)| what),
            ),
            fix: "hold the application until the proxy is ready (holdApplicationUntilProxyStarts), or \
                  use native sidecars; let the proxy drain longer than the application"
                .to_owned(),
            check: String::new(),
        },
    );
}

/// A time in which a proxy cannot be expected to work.
struct Life {
    pod: Vec<u8>,
    from: Micros,
    to: Micros,
    what: &'static str,
}

/// A proxy that says it is ready still waits for some of its clusters.
const SETTLING: i64 = 2_000;
/// The longest time that a proxy takes to start, to be told without a line that says it is ready.
const STARTING: i64 = 30_000;

fn lives(claims: &Claims<'_>) -> Vec<Life> {
    let mut told: Vec<(Vec<u8>, Micros, Kind)> = Vec::new();
    for (kind, _, events) in claims.events.iter() {
        let dated = events.into_iter().filter(|event| !event.pod.is_empty());
        told.extend(dated.filter_map(|event| Some((event.pod.clone(), event.at?, kind))));
    }
    told.sort();
    let mut lives = Vec::new();
    for (place, (pod, at, kind)) in told.iter().enumerate() {
        let later = |wanted: &[Kind]| {
            let of = told[place..].iter().take_while(|(other, ..)| other == pod);
            of.filter(|(_, _, kind)| wanted.contains(kind)).map(|(_, at, _)| *at).next()
        };
        let life = |to: Micros, what| Life { pod: pod.clone(), from: *at, to, what };
        match kind {
            Kind::Started | Kind::NotReady => {
                let ready = later(&[Kind::Ready]).unwrap_or(at.plus_millis(STARTING));
                lives.push(life(ready.plus_millis(SETTLING), "was starting"));
            }
            Kind::Shutdown | Kind::Crashed => {
                let again = later(&[Kind::Started, Kind::Ready]).unwrap_or(Micros(i64::MAX));
                lives.push(life(again, "was ending"));
            }
            Kind::Ready | Kind::ConfigRejected | Kind::ConfigLost => {}
        }
    }
    lives
}
