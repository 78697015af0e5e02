//! An address that answered before and does not any more.

use super::rule;
use crate::claims::{Claims, Seen, Verdict, after, noun};
use crate::cluster::Direction;
use crate::field::flag::Class;
use crate::finding::Grade;
use crate::measure::duration;

rule! {
    /// ## What it finds
    /// Connect failures to an endpoint that had answered earlier in the input and did not answer once between them: a
    /// pod that is gone and still dialled. Says when it answered last, how long callers went on, and whether it came
    /// back.
    ///
    /// ## When it is silent
    /// One that never answered in the input, or answers now and then: see `connect-failed` and `connect-timeout`.
    ///
    /// ## How sure
    /// Likely: by the order of answers and failures.
    ///
    /// ## Why it matters
    /// Clients that remember pod addresses (pools, clustered servers) retry a dead one for hours; the routing is
    /// innocent.
    ///
    /// ## Example
    /// `"10.12.1.6:5701" PassthroughCluster 10.12.0.12:51100 10.12.1.6:5701 ...` and, from some moment on,
    /// `UF,URX ... "10.12.1.6:5701" PassthroughCluster - 10.12.1.6:5701 ...`
    ///
    /// ## What to do
    /// Look when and why the pod ended; make the client resolve names again.
    ///
    /// ## Source
    /// istio/istio issues 15863, 44886, 49391 and 54539.
    "U103", "dead-endpoint", Error, "an endpoint that had answered is gone, and is still dialled"
}

/// An endpoint that answers again was gone if so many connections failed in between, and none did not.
const SOME: u64 = 3;

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| is_dead(claims, seen).then(|| claims.show(seen.way.host)),
        |claims, endpoint, ways| {
            let host = ways[0].way.host;
            let missed = claims.missed(host);
            let (before, back) = claims.lived_around(host, &missed);
            let last = before.unwrap_or_default();
            let tried = u32::try_from(missed.last.millis_since(last))
                .map_or(String::new(), |millis| format!(", dialled for {} after that", duration(millis)));
            let again = back.map_or(String::new(), |again| format!("; it answered again at {again}"));
            let owner = claims.owner(host);
            let who = if owner == endpoint { String::new() } else { format!(" of {owner}") };
            let passed = ways.iter().any(|seen| seen.cluster.direction == Direction::Passthrough);
            let fix = if passed {
                "look when and why that pod ended; the client holds its address: make it resolve the name again"
            } else {
                "look when and why that pod ended, and why it is still among the service's endpoints"
            };
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{endpoint}{who} answered until {last} and then failed every time with {}{}: {} of \
                     {}{}{tried}{again}{}",
                    claims.flags(ways),
                    claims.transport(ways),
                    noun(ways),
                    claims.proxies(ways),
                    after(ways),
                    claims.moved(host.ip(), &missed),
                ),
                fix: fix.to_owned(),
                check: format!(
                    "kubectl get pods -A -o wide | grep {}; kubectl get events -A",
                    host.ip().show(&claims.ledger.names)
                ),
            }
        },
    );
}

fn is_dead(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    let way = seen.way;
    if !way.side.is_client() || !way.flags.has(Class::Connect) || way.host.is_none() {
        return false;
    }
    let missed = claims.missed(way.host);
    let (before, after) = claims.lived_around(way.host, &missed);
    let gone = after.is_none() || missed.count >= SOME;
    before.is_some() && gone && !claims.lived_in(way.host, &missed)
}
