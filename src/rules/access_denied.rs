//! Traffic that a policy refused.

use super::rule;
use crate::claims::{Claims, Seen, Verdict, list, noun};
use crate::field::flag::Class;
use crate::finding::Grade;
use crate::leg::Side;

rule! {
    /// ## What it finds
    /// `403` with `rbac_access_denied_matched_policy[...]` on HTTP, the same text among the termination details on TCP (no flag,
    /// nothing sent back), `UAEX` of an external authorization service, and ztunnel's policy rejections. The policy is
    /// named where the line names it.
    ///
    /// ## When it is silent
    /// A 403 that the application sent itself (`via_upstream`).
    ///
    /// ## How sure
    /// Likely by one side's line; proven with both.
    ///
    /// ## Why it matters
    /// The connection came through and was refused on purpose. `none` means that ALLOW policies exist and none matched:
    /// often because the caller came in plaintext and so has no identity.
    ///
    /// ## Example
    /// `"GET / HTTP/1.1" 403 - rbac_access_denied_matched_policy[none] - "-" 0 19 0 - ... inbound|80|| ...`
    ///
    /// ## What to do
    /// Add the caller to the AuthorizationPolicy, or let it come with mTLS so that its principal is known.
    ///
    /// ## Source
    /// Envoy `source/extensions/filters/network/rbac/rbac_filter.cc`; istio/proxy pull request 3100; ztunnel
    /// `src/proxy.rs`.
    "A101", "access-denied", Error, "a policy refused traffic"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    let clients = claims.fold(is_denied);
    claims.file(
        |claims, seen| {
            if is_denied(claims, seen) {
                return Some(claims.served_by(seen));
            }
            let server = clients.contains(&seen.number).then(|| claims.server(seen.number)).flatten();
            server.map(|server| claims.owner_of(&server))
        },
        |claims, subject, ways| {
            let denied: Vec<Seen<'_>> = ways.iter().filter(|seen| is_denied(claims, seen)).copied().collect();
            let policies: std::collections::BTreeSet<String> = denied.iter().map(|seen| policy(claims, seen)).collect();
            let callers: std::collections::BTreeSet<String> =
                ways.iter().filter_map(|seen| caller(claims, seen)).collect();
            let callers = if callers.is_empty() { "a caller that is not told".to_owned() } else { list(callers) };
            let plain = denied
                .iter()
                .all(|seen| seen.way.side == Side::Inbound && seen.way.sni.is_none() && is_envoy(claims, seen));
            let identity = if plain { "; the caller came without mTLS, so no principal can match" } else { "" };
            Verdict {
                grade: if ways.len() > denied.len() { Grade::Proven } else { Grade::Likely },
                why: format!(
                    "{} from {callers} to {subject} were refused: {}{identity}",
                    noun(&denied),
                    list(policies)
                ),
                fix: "allow the caller in the AuthorizationPolicy, or call by the service's name so that mTLS gives \
                      the caller an identity"
                    .to_owned(),
                check: "kubectl get authorizationpolicies -A -o yaml".to_owned(),
            }
        },
    );
}

fn is_denied(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    seen.way.flags.has(Class::Policy) || is_envoy(claims, seen)
}

/// Whether Envoy's own filter refused, not a ztunnel, which knows its callers otherwise.
fn is_envoy(claims: &Claims<'_>, seen: &Seen<'_>) -> bool {
    let said = |name| memchr::memmem::find(claims.ledger.names.get(name), b"rbac_access_denied").is_some();
    said(seen.way.details) || said(seen.way.termination)
}

/// What the line says of the policy.
fn policy(claims: &Claims<'_>, seen: &Seen<'_>) -> String {
    let way = seen.way;
    let told = [way.termination, way.details].map(|name| claims.ledger.show(name).into_owned());
    let Some(text) = told.into_iter().find(|text| text.contains("policy")) else {
        return "an external authorization service refused".to_owned();
    };
    match text.split_once("matched_policy[").and_then(|(_, rest)| rest.split_once(']')) {
        Some(("none", _)) => "ALLOW policies exist and none of them matches".to_owned(),
        Some((policy, _)) => format!("policy {policy} denies it"),
        None => text.replace('_', " "),
    }
}

fn caller(claims: &Claims<'_>, seen: &Seen<'_>) -> Option<String> {
    let way = seen.way;
    if way.side != Side::Inbound {
        return Some(claims.proxy(way));
    }
    let known = !way.client.is_none() && seen.entry.counts.connections > 0;
    known.then(|| claims.pod_or_address(way.client))
}
