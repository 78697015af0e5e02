//! The rules: each looks at the ledger's ways and says what is wrong with them.
//!
//! A rule is one file and one line in `RULES`. It is a pure function of ledger and topology, so what it finds
//! depends neither on the order of the lines nor on when it is asked. Rules are asked in the order of the list,
//! and a way belongs to the first rule that takes it: a symptom that a cause explains is not reported beside it.

mod access_denied;
mod app_not_listening;
mod black_hole;
mod catch_all;
mod changed_cluster;
mod client_gone;
mod connect_failed;
mod connect_timeout;
mod dead_endpoint;
mod flagged;
mod half_closed;
mod idle_timeout;
mod inbound_passthrough;
mod new_caller;
mod new_destination;
mod no_filter_chain;
mod no_healthy_upstream;
mod no_metadata;
mod no_route;
mod overflow;
mod passthrough_to_service;
mod passthrough_to_unknown;
mod plaintext_inbound;
mod port_name;
mod protocol_error;
mod proxy_lifecycle;
mod rejected_configuration;
mod route_changed;
mod server_error;
mod shared_port;
mod silent_refusal;
mod slow_connect;
mod timeout;
mod tls_failed;
mod unanswered;
mod uneven_load;
mod unexpected_cluster;
mod upstream_reset;

use crate::claims::{AlreadyTold, Claims, Index};
use crate::event::Events;
use crate::expect::Expectations;
use crate::finding::{Finding, Meta};
use crate::history::History;
use crate::ledger::Ledger;
use crate::replay::Replayed;
use crate::topology::Topology;

/// Declares a rule: its documentation is kept for people and put into its [`Meta`].
macro_rules! rule {
    ($(#[doc = $doc:literal])* $code:literal, $name:literal, $severity:ident, $summary:literal) => {
        $(#[doc = $doc])*
        pub(super) static META: crate::finding::Meta = crate::finding::Meta {
            code: $code,
            name: $name,
            severity: crate::finding::Severity::$severity,
            summary: $summary,
            doc: concat!($($doc, "\n"),*),
        };
    };
}
pub(crate) use rule;

/// A rule: its description, and the function that files what it finds.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it is.
    pub meta: &'static Meta,
    judge: fn(&mut Claims<'_>),
}

/// Every rule, causes before symptoms.
pub const RULES: &[Rule] = &[
    Rule { meta: &unexpected_cluster::META, judge: unexpected_cluster::judge },
    Rule { meta: &catch_all::META, judge: catch_all::judge },
    Rule { meta: &black_hole::META, judge: black_hole::judge },
    Rule { meta: &no_filter_chain::META, judge: no_filter_chain::judge },
    Rule { meta: &access_denied::META, judge: access_denied::judge },
    Rule { meta: &rejected_configuration::META, judge: rejected_configuration::judge },
    Rule { meta: &proxy_lifecycle::META, judge: proxy_lifecycle::judge },
    Rule { meta: &app_not_listening::META, judge: app_not_listening::judge },
    Rule { meta: &changed_cluster::META, judge: changed_cluster::judge },
    Rule { meta: &tls_failed::META, judge: tls_failed::judge },
    Rule { meta: &dead_endpoint::META, judge: dead_endpoint::judge },
    Rule { meta: &connect_timeout::META, judge: connect_timeout::judge },
    Rule { meta: &connect_failed::META, judge: connect_failed::judge },
    Rule { meta: &no_healthy_upstream::META, judge: no_healthy_upstream::judge },
    Rule { meta: &no_route::META, judge: no_route::judge },
    Rule { meta: &overflow::META, judge: overflow::judge },
    Rule { meta: &timeout::META, judge: timeout::judge },
    Rule { meta: &silent_refusal::META, judge: silent_refusal::judge },
    Rule { meta: &upstream_reset::META, judge: upstream_reset::judge },
    Rule { meta: &protocol_error::META, judge: protocol_error::judge },
    Rule { meta: &client_gone::META, judge: client_gone::judge },
    Rule { meta: &flagged::META, judge: flagged::judge },
    Rule { meta: &new_caller::META, judge: new_caller::judge },
    Rule { meta: &new_destination::META, judge: new_destination::judge },
    Rule { meta: &server_error::META, judge: server_error::judge },
    Rule { meta: &plaintext_inbound::META, judge: plaintext_inbound::judge },
    Rule { meta: &shared_port::META, judge: shared_port::judge },
    Rule { meta: &port_name::META, judge: port_name::judge },
    Rule { meta: &route_changed::META, judge: route_changed::judge },
    Rule { meta: &no_metadata::META, judge: no_metadata::judge },
    Rule { meta: &unanswered::META, judge: unanswered::judge },
    Rule { meta: &slow_connect::META, judge: slow_connect::judge },
    Rule { meta: &idle_timeout::META, judge: idle_timeout::judge },
    Rule { meta: &half_closed::META, judge: half_closed::judge },
    Rule { meta: &uneven_load::META, judge: uneven_load::judge },
    Rule { meta: &passthrough_to_service::META, judge: passthrough_to_service::judge },
    Rule { meta: &passthrough_to_unknown::META, judge: passthrough_to_unknown::judge },
    Rule { meta: &inbound_passthrough::META, judge: inbound_passthrough::judge },
];

/// Asks every rule; with expectations, those that compare with them find something too. Findings come the worst first, then by count, code
/// and subject; those that were `told` already are left out.
pub fn judge(
    ledger: &Ledger,
    topology: &Topology,
    events: &Events,
    expect: Option<&Expectations>,
    replayed: Option<&Replayed<'_>>,
    told: &AlreadyTold,
) -> Vec<Finding> {
    let index = Index::of(ledger);
    let history = History::of(ledger, &index.clients);
    let mut claims = Claims::new(ledger, &index, topology, events, &history, replayed, RULES[0].meta);
    claims.pass_over(told);
    if let Some(expect) = expect {
        claims.compare(expect);
    }
    for rule in RULES {
        claims.rule(rule.meta);
        (rule.judge)(&mut claims);
    }
    let mut found = claims.found();
    found.sort_by(|a, b| {
        let rank = |finding: &Finding| {
            (std::cmp::Reverse(finding.meta.severity), std::cmp::Reverse(finding.count), finding.meta.code)
        };
        rank(a).cmp(&rank(b)).then_with(|| a.subject.cmp(&b.subject))
    });
    found
}
