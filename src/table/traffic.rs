//! The columns of traffic: who called what over which cluster.

use super::{Column, Kind, column};

/// The columns of the traffic table, in the order in which the report has them.
pub(super) const COLUMNS: &[Column] = &[
    column("source", Kind::Text, "", "workload of the caller, or its address", "", "envelopes and topology"),
    column("destination", Kind::Text, "", "the service that was called, else an address", "", "topology"),
    column("upstream_cluster", Kind::Text, "", "the cluster that Envoy chose; - if none", "", "upstream_cluster"),
    column("connections", Kind::Whole, "connections", "how many connections, or HTTP requests", "", "the ledger"),
    column(
        "failures",
        Kind::Whole,
        "connections",
        "those with a flag of failure or a status of 500 and above",
        "",
        "the ledger",
    ),
    column("bytes", Kind::Whole, "bytes", "bytes in both directions", "", "the ledger"),
];
