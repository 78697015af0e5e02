//! The columns of a finding.

use super::{Column, Kind, column};

/// The columns of a finding, in the order in which the report has them.
pub(super) const COLUMNS: &[Column] = &[
    column("code", Kind::Text, "", "the rule's code, such as R301", "", "the rule"),
    column("name", Kind::Text, "", "the rule's name, such as unexpected-cluster", "", "the rule"),
    column("severity", Kind::Text, "", "error, warning or info", "", "the rule"),
    column("grade", Kind::Text, "", "how sure it is: suspect, likely or proven", "", "the rule"),
    column("subject", Kind::Text, "", "what it is about: a cluster, a service, an address", "", "the rule"),
    column("connections", Kind::Whole, "connections", "how many connections show it", "", "the ledger"),
    column("first_start", Kind::Time, "", "start of the first of them", "their lines say no time", "the ledger"),
    column("last_start", Kind::Time, "", "start of the last of them", "their lines say no time", "the ledger"),
    column("why", Kind::Text, "", "why it is a finding", "", "the rule"),
    column("fix", Kind::Text, "", "what to do", "", "the rule"),
    column("verify", Kind::Text, "", "what would settle what is still open", "nothing is open", "the rule"),
    column(
        "evidence_source",
        Kind::Text,
        "",
        "the input of the earliest line that shows it",
        "no line was kept",
        "the ledger",
    ),
    column("evidence_line", Kind::Whole, "", "the number of that line there, from 1", "no line was kept", "the ledger"),
    column("evidence", Kind::Text, "", "that line", "no line was kept", "the ledger"),
];
