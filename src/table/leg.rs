//! The columns of a leg: everything that its line says, what its envelope says, and what follows from these.

use std::borrow::Cow;

use super::leg_row::{ADDRESSES, Reads, extra, mtls};
use super::{Cell, Column, Kind, column};
use crate::cluster::Cluster;
use crate::field::{self, Field};
use crate::names::workload;

const ENVELOPE: &str = "the envelope, or the input's path";
const UNSAID: &str = "nothing says it";

/// What stands before the fields: whose line it is.
const BEFORE: &[(Column, Reads)] = &[
    (
        column("source", Kind::Text, "", "the input that the line stands in", "", "the run"),
        Reads::Other(|row| Cell::text(row.source)),
    ),
    (
        column("line", Kind::Whole, "", "the number of the line there, from 1", "", "the run"),
        Reads::Other(|row| Cell::count(row.line)),
    ),
    (
        column(
            "side",
            Kind::Text,
            "",
            "which proxy wrote it: outbound, gateway, inbound, unknown",
            "",
            "cluster, addresses and flags",
        ),
        Reads::Other(|row| Cell::text(row.side.name())),
    ),
    (
        column("namespace", Kind::Text, "", "namespace of the proxy's pod", UNSAID, ENVELOPE),
        Reads::Other(|row| Cell::bytes(row.namespace)),
    ),
    (column("pod", Kind::Text, "", "the proxy's pod", UNSAID, ENVELOPE), Reads::Other(|row| Cell::bytes(row.pod))),
    (
        column("workload", Kind::Text, "", "the pod's name without its random parts", "the pod is not known", "pod"),
        Reads::Other(|row| Cell::bytes(workload(row.pod))),
    ),
    (
        column("container", Kind::Text, "", "the container that wrote the line", UNSAID, ENVELOPE),
        Reads::Other(|row| Cell::bytes(row.container)),
    ),
    (column("node", Kind::Text, "", "the machine", UNSAID, ENVELOPE), Reads::Other(|row| Cell::bytes(row.node))),
    (
        column("arrived", Kind::Time, "", "when a collector got the line", UNSAID, "the envelope"),
        Reads::Other(|row| Cell::of(row.arrived, Cell::time)),
    ),
    (
        column("format", Kind::Text, "", "the format that read it", "", "the run"),
        Reads::Other(|row| Cell::text(row.format)),
    ),
    (
        column(
            "end_time",
            Kind::Time,
            "",
            "end of the request, or of the connection",
            "the line says no time",
            "start_time + duration",
        ),
        Reads::Other(|row| Cell::time(row.end)),
    ),
];

/// What follows from the fields.
const BEHIND: &[(Column, Reads)] = &[
    (
        column(
            "cluster_direction",
            Kind::Text,
            "",
            "where the cluster leads: outbound, inbound, passthrough, blackhole, inbound-passthrough, other",
            "no cluster was chosen",
            "upstream_cluster",
        ),
        Reads::Other(|row| row.cluster(|cluster| Cell::text(cluster.direction.name()))),
    ),
    (
        column(
            "cluster_port",
            Kind::Small,
            "",
            "the port in the cluster's name: the service's, or the container's on inbound names",
            "the name has none",
            "upstream_cluster",
        ),
        Reads::Other(|row| row.cluster(|cluster| Cell::of(cluster.port, |port| Cell::Number(port.into())))),
    ),
    (
        column(
            "cluster_subset",
            Kind::Text,
            "",
            "the subset in the cluster's name; the port's name on old inbound ones",
            "the name has none",
            "upstream_cluster",
        ),
        Reads::Other(|row| row.cluster(|cluster| Cell::bytes(cluster.subset))),
    ),
    (
        column(
            "cluster_host",
            Kind::Text,
            "",
            "the service's host in the cluster's name",
            "the name has none",
            "upstream_cluster",
        ),
        Reads::Other(|row| row.cluster(|cluster| Cell::bytes(cluster.host))),
    ),
    (
        column(
            "sni_host",
            Kind::Text,
            "",
            "the service's host in the SNI that sidecars use among themselves",
            "there is none, or it is no such SNI",
            "requested_server_name",
        ),
        Reads::Other(|row| {
            row.part(Field::RequestedServerName, |sni| {
                Cell::of(Cluster::of_sni(sni.as_bytes()), |cluster| Cell::bytes(cluster.host))
            })
        }),
    ),
    (
        column(
            "mtls",
            Kind::Truth,
            "",
            "whether the client spoke Istio's mTLS",
            "a client's leg, or the line does not tell",
            "requested_server_name, source_identity",
        ),
        Reads::Other(mtls),
    ),
    (
        column(
            "community_id",
            Kind::Text,
            "",
            "the flow hash of the connection on the wire, by which Zeek, Suricata and Wireshark know it",
            "an end is not known",
            "the addresses between the proxies",
        ),
        Reads::Other(|row| Cell::of(row.community(), |id| Cell::Text(id.into()))),
    ),
    (
        column(
            "doubtful",
            Kind::Truth,
            "",
            "whether headers that a client chose could be cut in more than one way",
            "",
            "the line",
        ),
        Reads::Other(|row| Cell::Truth(row.record.spans.doubtful)),
    ),
    (
        column(
            "extra",
            Kind::Text,
            "",
            "the values of operators that are in no table, as a JSON object",
            "the format has none",
            "the line",
        ),
        Reads::Other(extra),
    ),
];

/// The columns, and how each gets its cell.
pub(super) static LEG: std::sync::LazyLock<Vec<(Column, Reads)>> = std::sync::LazyLock::new(|| {
    let fields = Field::ALL.iter().map(|field| (of_field(*field), reads(*field)));
    let ends = ADDRESSES.iter().enumerate().flat_map(|(number, (field, [ip, port]))| {
        let (absent, source) = ("there is none, or it has none", field.key());
        let (address, of) = ("the address in it", "the port in it");
        [
            (column(ip, Kind::Text, "", address, absent, source), Reads::Ip(number)),
            (column(port, Kind::Small, "", of, absent, source), Reads::Port(number)),
        ]
    });
    BEFORE.iter().cloned().chain(fields).chain(ends).chain(BEHIND.iter().cloned()).collect()
});

/// The columns of a leg.
pub(super) fn columns() -> Vec<Column> {
    LEG.iter().map(|(column, _)| column.clone()).collect()
}

/// Of every column the one from whose values alone its own follow, by their numbers. Where that one is absent, it is as well.
pub(super) fn bases() -> Vec<Option<usize>> {
    let derived = ["workload", "cluster_direction", "cluster_port", "cluster_subset", "cluster_host", "sni_host"];
    let is_derived = |(column, reads): &(Column, Reads)| {
        matches!(reads, Reads::Ip(_) | Reads::Port(_)) || derived.contains(&&*column.name)
    };
    let base = |column: &Column| LEG.iter().position(|(base, _)| base.name == column.source);
    LEG.iter().map(|entry| is_derived(entry).then(|| base(&entry.0)).flatten()).collect()
}

fn reads(field: Field) -> Reads {
    match (field, field.kind()) {
        (Field::StartTime, _) => Reads::Other(|row| Cell::time(row.start)),
        (Field::BytesReceived | Field::BytesSent, _) => Reads::Bytes(field),
        (Field::UpstreamCluster, _) => Reads::Other(|row| {
            row.part(Field::UpstreamCluster, |name| Cell::text(name.strip_suffix(';').unwrap_or(name)))
        }),
        (_, field::Kind::Integer | field::Kind::Millis) => Reads::Number(field),
        (_, field::Kind::Time) => Reads::Time(field),
        (_, field::Kind::Flags) => Reads::Flags(field),
        _ => Reads::Text(field),
    }
}

fn of_field(field: Field) -> Column {
    let (kind, unit, absent) = match (field, field.kind()) {
        // A sum should not stumble over what is not there.
        (Field::BytesReceived | Field::BytesSent, _) => (Kind::Whole, "bytes", ""),
        (Field::ResponseCode, _) => (Kind::Small, "", "the line has none"),
        (_, field::Kind::Integer) => (Kind::Whole, "", "the line has none"),
        (_, field::Kind::Millis) => (Kind::Whole, "ms", "the line has none"),
        (_, field::Kind::Time) => (Kind::Time, "", "the line has none"),
        (_, field::Kind::Flags) => (Kind::Text, "", "nothing went wrong"),
        _ => (Kind::Text, "", "the line has none, or -"),
    };
    let source = Cow::Owned(format!("%{}%", field.operators()[0]));
    Column { source, ..column(field.key(), kind, unit, field.meaning(), absent, "") }
}
