//! A workload that calls what only others are expected to call.

use std::collections::BTreeSet;

use super::rule;
use crate::claims::{Claims, Verdict, grade, phrase, told};
use crate::expect::Answer;

rule! {
    /// ## What it finds
    /// With `--expect FILE`: calls to a service or address for which the file has other callers; one finding for each caller and service.
    /// A caller without a sidecar counts, by its address in the server's line.
    ///
    /// ## When it is silent
    /// Without a file; where a cause took the connections, a failure above all. A caller whose sidecar wrote no line of the input has no
    /// name. A row to `*` names no destination.
    ///
    /// ## How sure
    /// Proven with both legs, likely with the client's, suspect with the server's alone.
    ///
    /// ## Why it matters
    /// Somebody depends on a service whose owner does not know it, or looks around in the mesh.
    ///
    /// ## Example
    /// `cart.shop` calls `pay.shop.svc.cluster.local`, and the file has a row for `web.shop` alone.
    ///
    /// ## What to do
    /// If it is meant, add a row or learn the file anew; else find out what runs there, and let an AuthorizationPolicy refuse it.
    ///
    /// ## Source
    /// The file given with `--expect`; Istio documentation, AuthorizationPolicy.
    "E101", "new-caller", Warning, "a workload calls what only others are expected to call"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.deviate(
        |answer| matches!(answer, Answer::NewCaller(_)),
        |_, ways, deviations| {
            let known: BTreeSet<String> = deviations
                .iter()
                .flat_map(|deviation| match &deviation.answer {
                    Answer::NewCaller(known) => known.clone(),
                    _ => BTreeSet::new(),
                })
                .collect();
            Verdict {
                grade: grade(ways, deviations),
                why: format!("{}; the file expects such calls of {} alone", told(deviations), phrase(known)),
                fix: "if it is meant, add a row to the file; else find out what runs there, and let an AuthorizationPolicy refuse it"
                    .to_owned(),
                check: String::new(),
            }
        },
    );
}
