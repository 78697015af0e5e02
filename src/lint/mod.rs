//! The checks of `logscan lint`: what a mesh's configuration will break, before any log shows it.
//!
//! A check is one file and one line in `CHECKS`, with documentation as rules have it. It is a pure function of a
//! [`Mesh`] as [`Lint`] shows it, and files one finding for each cause, however many dumps show it. Where a dump shows
//! what became of an object, the dump counts, and the release only chooses words. Grades: *proven* where a proxy's
//! configuration has it, *likely* where objects say so and Istio makes the same of them everywhere, *suspect* where
//! that depends on something that was not given.

mod around_the_mesh;
mod catch_all;
mod dropped_service;
mod external_name_ports;
mod finding;
mod missing_cluster;
mod mixed_headless_mtls;
mod no_endpoints;
mod port_protocol;
mod rejected_update;
mod service_entry_without_addresses;
mod several_for_one;
mod shared_port;
mod strict_with_plaintext_clients;
mod two_protocols;
mod view;

pub use finding::{Finding, Place, Report, SCHEMA_VERSION};
pub use view::Lint;

use crate::finding::Meta;
use crate::mesh::Mesh;
use crate::rules::rule as check;

/// A check: its description, and the function that files what it finds.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What it is.
    pub meta: &'static Meta,
    judge: fn(&Lint<'_>, &mut Vec<Finding>),
}

/// Every check, by code.
pub const CHECKS: &[Check] = &[
    Check { meta: &catch_all::META, judge: catch_all::judge },
    Check { meta: &external_name_ports::META, judge: external_name_ports::judge },
    Check { meta: &service_entry_without_addresses::META, judge: service_entry_without_addresses::judge },
    Check { meta: &dropped_service::META, judge: dropped_service::judge },
    Check { meta: &rejected_update::META, judge: rejected_update::judge },
    Check { meta: &shared_port::META, judge: shared_port::judge },
    Check { meta: &port_protocol::META, judge: port_protocol::judge },
    Check { meta: &missing_cluster::META, judge: missing_cluster::judge },
    Check { meta: &no_endpoints::META, judge: no_endpoints::judge },
    Check { meta: &mixed_headless_mtls::META, judge: mixed_headless_mtls::judge },
    Check { meta: &strict_with_plaintext_clients::META, judge: strict_with_plaintext_clients::judge },
    Check { meta: &around_the_mesh::META, judge: around_the_mesh::judge },
    Check { meta: &several_for_one::META, judge: several_for_one::judge },
    Check { meta: &two_protocols::META, judge: two_protocols::judge },
];

/// Asks every check. Findings come the worst first, then by code and subject.
pub fn lint(mesh: &Mesh) -> Report {
    let lint = Lint::of(mesh);
    let mut found = Vec::new();
    for check in CHECKS {
        (check.judge)(&lint, &mut found);
    }
    found.sort_by(|a, b| {
        let order = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.code);
        order(a).cmp(&order(b)).then_with(|| a.subject.cmp(&b.subject))
    });
    Report::of(&lint, found)
}
