//! The columns of a connection: what is known when its legs are joined, then both legs.

use std::borrow::Cow;

use super::leg::{LEG, bases as leg_bases, columns as leg_columns};
use super::{Cell, Column, Kind, LegRow, Row, column};
use crate::field::value::Micros;

/// What joining told about a connection. Empty text is absent.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By what its legs met.
    pub matched_by: Option<&'static str>,
    /// Why there is only one leg.
    pub unpaired: Option<&'static str>,
    /// The client's workload, or its address.
    pub source_workload: String,
    /// The service that was called, else the address.
    pub destination: String,
    /// The cluster that the destination would have had, where another one took the connection.
    pub expected_cluster: String,
    /// Where the configuration sends it: a cluster or the word of another end, several joined by commas.
    pub predicted_cluster: String,
    /// How that compares with the log; none without configuration.
    pub prediction: Option<&'static str>,
    /// Names of the findings that it belongs to.
    pub findings: String,
}

/// A connection, or a request.
#[derive(Clone, Debug)]
pub struct ConnectionRow<'a> {
    /// The client's leg.
    pub outbound: Option<LegRow<'a>>,
    /// The server's leg.
    pub inbound: Option<LegRow<'a>>,
    /// The rest.
    pub known: Known,
}

type Reads = for<'r> fn(&'r ConnectionRow<'_>) -> Cell<'r>;

/// What stands before the legs.
pub(super) const OWN: &[(Column, Reads)] = &[
    (
        column(
            "start_time",
            Kind::Time,
            "",
            "start, by the client's leg where there is one",
            "its line says none",
            "the legs",
        ),
        |row| Cell::of(row.leading(), |leg| Cell::time(leg.start)),
    ),
    (
        column(
            "end_time",
            Kind::Time,
            "",
            "end, by the client's leg where there is one",
            "its line says none",
            "the legs",
        ),
        |row| Cell::of(row.leading(), |leg| Cell::time(leg.end)),
    ),
    (
        column("pairing", Kind::Text, "", "which legs there are: paired, outbound-only, inbound-only", "", "pairing"),
        |row| {
            Cell::text(match (&row.outbound, &row.inbound) {
                (Some(_), Some(_)) => "paired",
                (Some(_), None) => "outbound-only",
                (None, _) => "inbound-only",
            })
        },
    ),
    (
        column(
            "matched_by",
            Kind::Text,
            "",
            "by what the legs were found to be one connection",
            "there is one leg",
            "pairing",
        ),
        |row| Cell::of(row.known.matched_by, Cell::text),
    ),
    (column("unpaired", Kind::Text, "", "why there is only one leg", "there are two", "topology"), |row| {
        Cell::of(row.known.unpaired, Cell::text)
    }),
    (
        column(
            "source_workload",
            Kind::Text,
            "",
            "the client's workload; its address where no line names it",
            "neither is known",
            "envelopes and topology",
        ),
        |row| Cell::text(&row.known.source_workload),
    ),
    (
        column(
            "destination_service",
            Kind::Text,
            "",
            "the service that was called; the address where no line names it",
            "neither is known",
            "topology",
        ),
        |row| Cell::text(&row.known.destination),
    ),
    (
        column(
            "expected_cluster",
            Kind::Text,
            "",
            "the cluster of the service that was called, where another cluster took the connection",
            "the cluster is the expected one, or none is known",
            "topology",
        ),
        |row| Cell::text(&row.known.expected_cluster),
    ),
    (
        column(
            "predicted_cluster",
            Kind::Text,
            "",
            "where the configuration sends the leading leg: a cluster, or another end as `no-chain`; several joined by commas",
            "there is no `--mesh`, or it could not be asked",
            "replay",
        ),
        |row| Cell::text(&row.known.predicted_cluster),
    ),
    (
        column(
            "prediction",
            Kind::Text,
            "",
            "how that compares with the log: agrees, possible (one of several ways, by what the client sent), differs, not-covered",
            "there is no `--mesh`",
            "replay",
        ),
        |row| Cell::of(row.known.prediction, Cell::text),
    ),
    (
        column(
            "mtls",
            Kind::Truth,
            "",
            "whether the server's proxy was spoken to in Istio's mTLS",
            "there is no server's leg",
            "the server's leg",
        ),
        |row| Cell::of(row.inbound.as_ref(), |leg| leg.cell(*MTLS)),
    ),
    (
        column(
            "connect_ms",
            Kind::Whole,
            "ms",
            "from the start of the client's leg to that of the server's; below 0 where clocks differ",
            "there is one leg",
            "start_time of both",
        ),
        |row| match (&row.outbound, &row.inbound) {
            (Some(out), Some(inn)) if out.start != Micros::NONE && inn.start != Micros::NONE => {
                Cell::Number(inn.start.millis_since(out.start))
            }
            _ => Cell::Absent,
        },
    ),
    (
        column(
            "findings",
            Kind::Text,
            "",
            "names of the findings that it belongs to, joined by commas",
            "it belongs to none",
            "rules",
        ),
        |row| Cell::text(&row.known.findings),
    ),
];

static MTLS: std::sync::LazyLock<usize> =
    std::sync::LazyLock::new(|| LEG.iter().position(|(column, _)| column.name == "mtls").unwrap_or_default());

/// The columns of a connection.
pub(super) fn columns() -> Vec<Column> {
    let own = OWN.iter().map(|(column, _)| column.clone());
    let legs = [("outbound_", "client"), ("inbound_", "server")].into_iter().flat_map(|(prefix, whose)| {
        leg_columns().into_iter().map(move |column| Column {
            name: Cow::Owned(format!("{prefix}{}", column.name)),
            meaning: Cow::Owned(format!("{} (the {whose}'s leg)", column.meaning)),
            absent: if column.absent.is_empty() { "there is no such leg" } else { column.absent },
            ..column
        })
    });
    own.chain(legs).collect()
}

/// Of every column the one from which its values follow, by their numbers.
pub(super) fn bases() -> Vec<Option<usize>> {
    let legs = [OWN.len(), OWN.len() + LEG.len()]
        .into_iter()
        .flat_map(|from| leg_bases().into_iter().map(move |base| base.map(|base| from + base)));
    std::iter::repeat_n(None, OWN.len()).chain(legs).collect()
}

impl<'a> ConnectionRow<'a> {
    fn leading(&self) -> Option<&LegRow<'a>> {
        self.outbound.as_ref().or(self.inbound.as_ref())
    }
}

impl Row for ConnectionRow<'_> {
    fn cell(&self, column: usize) -> Cell<'_> {
        if let Some((_, read)) = OWN.get(column) {
            return read(self);
        }
        let (leg, column) = match column - OWN.len() {
            column if column < LEG.len() => (&self.outbound, column),
            column => (&self.inbound, column - LEG.len()),
        };
        Cell::of(leg.as_ref(), |leg| leg.cell(column))
    }
}
