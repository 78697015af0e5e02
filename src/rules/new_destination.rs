//! A workload that calls what nobody is expected to call.

use super::rule;
use crate::claims::{Claims, Verdict, grade, told};
use crate::expect::Answer;

rule! {
    /// ## What it finds
    /// With `--expect FILE`: calls to a service, a port of it or an address to which no row of the file leads; one finding for each caller and
    /// service, and one for all addresses that a caller dials.
    ///
    /// ## When it is silent
    /// Without a file; where a cause took the connections, a failure above all. Where it speaks, `passthrough-to-service` and
    /// `passthrough-to-unknown` do not repeat it.
    ///
    /// ## How sure
    /// Proven with both legs, likely with the client's, suspect with the server's alone.
    ///
    /// ## Why it matters
    /// A new dependency, a changed setting, or data that leaves the mesh.
    ///
    /// ## Example
    /// `"198.51.100.7:443" PassthroughCluster 10.244.3.7:40122 198.51.100.7:443 10.244.3.7:40118 - -`, and the file has no row to that address.
    ///
    /// ## What to do
    /// If it is meant, add a row or learn the file anew; else find out what runs there; a ServiceEntry and `REGISTRY_ONLY` keep the rest out.
    ///
    /// ## Source
    /// The file given with `--expect`; Istio documentation, Accessing External Services.
    "E102", "new-destination", Warning, "a workload calls what nobody is expected to call"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.deviate(
        |answer| matches!(answer, Answer::NewDestination),
        |_, ways, deviations| Verdict {
            grade: grade(ways, deviations),
            why: format!("{}; the file has no row that leads there", told(deviations)),
            fix: "if it is meant, add a row to the file; else find out what runs there".to_owned(),
            check: String::new(),
        },
    );
}
