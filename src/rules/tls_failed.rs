//! A TLS handshake with the upstream that failed.

use super::rule;
use crate::claims::{Claims, Verdict, noun};
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// Connections whose transport failure reason speaks of TLS: `WRONG_VERSION_NUMBER` (the other side speaks
    /// plaintext), `CERTIFICATE_VERIFY_FAILED`, `CERTIFICATE_EXPIRED`, a name that is not in the certificate, an alert.
    ///
    /// ## When it is silent
    /// A STRICT server that gets plaintext: there the client has no TLS at all, see `no-filter-chain`.
    ///
    /// ## How sure
    /// Likely: the transport socket says so.
    ///
    /// ## Why it matters
    /// The address is reached and the port is open; the two sides do not agree on TLS.
    ///
    /// ## Example
    /// `"- - -" 0 UF,URX - - "TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end" 0 0 3 ...`
    ///
    /// ## What to do
    /// Plaintext server: DestinationRule tls DISABLE for it, or inject it. Certificate: trust domain, root, expiry,
    /// SAN; when a catch-all cluster answers for another host, see `unexpected-cluster`.
    ///
    /// ## Source
    /// istio/istio issues 33208, 23494 and 53368; Istio documentation, Understanding TLS Configuration.
    "U303", "tls-failed", Error, "the TLS handshake with the upstream failed"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.file(
        |claims, seen| {
            if seen.way.transport.is_none() {
                return None;
            }
            let kind = kind(&claims.ledger.show(seen.way.transport))?;
            Some(format!("{} ({})", claims.served_by(seen), kind.0))
        },
        |claims, subject, ways| {
            let (_, what, fix) =
                ways.iter().find_map(|seen| kind(&claims.ledger.show(seen.way.transport))).unwrap_or(OTHER);
            Verdict {
                grade: Grade::Likely,
                why: format!(
                    "{} of {} to {} failed in the TLS handshake: {what}{}",
                    noun(ways),
                    claims.proxies(ways),
                    subject.rsplit_once(" (").map_or(subject, |(target, _)| target),
                    claims.transport(ways)
                ),
                fix: fix.to_owned(),
                check: format!(
                    "istioctl proxy-config clusters {} -o json; kubectl get destinationrules -A",
                    claims.one_pod(ways)
                ),
            }
        },
    );
}

/// A word, what it means, what to do.
type Told = (&'static str, &'static str, &'static str);

const OTHER: Told = (
    "tls",
    "the two sides do not agree",
    "compare the TLS settings of both sides: DestinationRule, PeerAuthentication, the server's own",
);

fn kind(reason: &str) -> Option<Told> {
    let reason = reason.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if has(&["WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"]) {
        return Some((
            "plaintext",
            "the server answers in plaintext",
            "the endpoint has no sidecar or its port is not captured: set tls mode DISABLE for it \
             in a DestinationRule, or inject it",
        ));
    }
    if has(&["CERTIFICATE", "SAN ", "_SAN_", "SELF_SIGNED", "UNKNOWN_CA"]) {
        return Some((
            "certificate",
            "a certificate was not accepted",
            "check trust domain and root of both sides, expiry, subject names, and that this host's \
             server answered",
        ));
    }
    // The other side went away in the middle: that is no word about TLS.
    let left = has(&["BROKEN_PIPE", "BROKEN PIPE", "CONNECTION_RESET", "CONNECTION RESET"]);
    (!left && has(&["TLS_ERROR", "SSL", "TLSV1", "HANDSHAKE"])).then_some(OTHER)
}
