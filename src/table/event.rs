//! The columns of an event: what a proxy says about itself between the access lines.

use super::{Column, Kind, column};

const ENVELOPE: &str = "the envelope, or the input's path";
const UNSAID: &str = "nothing says it";

/// The columns of an event, in the order in which the report has them.
pub(super) const COLUMNS: &[Column] = &[
    column(
        "kind",
        Kind::Text,
        "",
        "what happened: started, ready, not-ready, config-rejected, config-lost, shutdown, crashed",
        "",
        "the line's words",
    ),
    column("at", Kind::Time, "", "when the line was written", "the line says no time", "the line"),
    column("namespace", Kind::Text, "", "namespace of the proxy's pod", UNSAID, ENVELOPE),
    column("pod", Kind::Text, "", "the proxy's pod", UNSAID, ENVELOPE),
    column("source", Kind::Text, "", "the input that the line stands in", "", "the run"),
    column("line", Kind::Whole, "", "the number of the line there, from 1", "", "the run"),
    column("text", Kind::Text, "", "the line without its envelopes, its first 512 bytes", "", "the line"),
];
