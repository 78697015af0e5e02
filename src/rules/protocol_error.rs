//! Two sides that do not speak the same protocol.

use super::rule;
use crate::claims::Seen;
use crate::claims::{Claims, Verdict, noun};
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// `DPE`, `UPE`, `IH`, `400 http1.codec_error` without a method, `426 low_version`.
    ///
    /// ## When it is silent
    /// A 400 or 426 that the application sent itself (`via_upstream`).
    ///
    /// ## How sure
    /// Likely: which side is wrong the line does not say.
    ///
    /// ## Why it matters
    /// One side takes the port for HTTP and the other does not: the port's name or appProtocol differs between two
    /// Services, TLS reaches a plaintext HTTP server, or HTTP/2 meets HTTP/1.
    ///
    /// ## Example
    /// `"- - HTTP/1.1" 400 DPE http1.codec_error - "-" 0 11 0 - ... inbound|8080|| ... outbound_.8080_._.app... -`
    ///
    /// ## What to do
    /// Make the protocol of the port agree everywhere: `appProtocol`, or the prefix of its name.
    ///
    /// ## Source
    /// istio/istio issues 36434, 57294 and 15250.
    "P101", "protocol-error", Error, "the two sides do not speak the same protocol"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| is_garbled(claims, seen).then(|| claims.served_by(seen)),
        |claims, subject, ways| {
            let details = claims.names(ways.iter().map(|seen| seen.way.details)).next();
            let details = details.map_or(String::new(), |details| format!(" ({details})"));
            let flags = claims.flags(ways);
            let said = if flags.is_empty() {
                ways[0].way.status.to_string()
            } else {
                format!("{} {flags}", ways[0].way.status)
            };
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} to {subject} were not understood: {said}{details}, seen by {}",
                    noun(ways),
                    claims.proxies(ways)
                ),
                fix: "make the port's protocol agree on both sides (appProtocol or the prefix of the \
                      port's name); do not send TLS to a plaintext HTTP port"
                    .to_owned(),
                check: "kubectl get svc -A -o yaml: every Service that selects these pods and this port".to_owned(),
            }
        },
    );
}

fn is_garbled(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    let said = || {
        let details = claims.ledger.show(seen.way.details);
        ["http1.codec_error", "low_version", "http2.", "protocol_error"].iter().any(|word| details.contains(word))
    };
    seen.way.flags.any_of(&["DPE", "UPE", "IH"]) || seen.way.status >= 400 && said()
}
