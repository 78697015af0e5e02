//! The columns of a leg: everything that its line says, what its envelope says, and what follows from these.

use std::borrow::Cow;
use std::cell::OnceCell;

use memchr::memmem;

use super::socket::Socket;
use super::{Cell, Column, Kind, Row, column, community};
use crate::cluster::Cluster;
use crate::field::flag::Flags;
use crate::field::value::Micros;
use crate::field::{self, Field};
use crate::leg::Side;
use crate::names::workload;
use crate::record::Record;

/// A leg with all that is known of it. Borrowed: its line goes with the block.
#[derive(Clone, Debug)]
pub struct LegRow<'a> {
    /// Its line.
    pub record: Record<'a>,
    /// What the format calls its operators that are in no table.
    pub extras: &'a [String],
    /// The format's name.
    pub format: &'a str,
    /// Start, as the run reckons with it.
    pub start: Micros,
    /// Start plus duration.
    pub end: Micros,
    /// Which end wrote it.
    pub side: Side,
    /// The input's name.
    pub source: &'a str,
    /// The line's number there, from 1.
    pub line: u64,
    /// The proxy's namespace; empty if it is not known. So are the following.
    pub namespace: &'a [u8],
    /// The proxy's pod.
    pub pod: &'a [u8],
    /// The container.
    pub container: &'a [u8],
    /// The machine.
    pub node: &'a [u8],
    /// When a collector got the line.
    pub arrived: Option<Micros>,
    /// What was taken apart.
    pub apart: Apart<'a>,
}

/// What several columns of a leg take apart, once one of them did.
#[derive(Clone, Debug, Default)]
pub struct Apart<'a> {
    /// The line as text; nothing if it is not UTF-8.
    line: OnceCell<Option<&'a str>>,
    /// The addresses, in the order of [`ADDRESSES`].
    sockets: [OnceCell<Option<Socket>>; ADDRESSES.len()],
}

/// How a column gets its cell.
#[derive(Clone, Copy)]
pub(super) enum Reads {
    /// A field as text.
    Text(Field),
    /// A field that is a number.
    Number(Field),
    /// One that is 0 where it is absent.
    Bytes(Field),
    /// A field that is an instant.
    Time(Field),
    /// Response flags.
    Flags(Field),
    /// One of the addresses, without its port.
    Ip(usize),
    /// The port of one of them.
    Port(usize),
    /// Something else.
    Other(for<'r> fn(&'r LegRow<'_>) -> Cell<'r>),
}

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

/// The addresses that are taken apart.
const ADDRESSES: [(Field, [&str; 2]); 4] = [
    (Field::UpstreamHost, ["upstream_host_ip", "upstream_host_port"]),
    (Field::UpstreamLocalAddress, ["upstream_local_ip", "upstream_local_port"]),
    (Field::DownstreamLocalAddress, ["downstream_local_ip", "downstream_local_port"]),
    (Field::DownstreamRemoteAddress, ["downstream_remote_ip", "downstream_remote_port"]),
];
const UPSTREAM_HOST: usize = 0;
const UPSTREAM_LOCAL: usize = 1;
const DOWNSTREAM_LOCAL: usize = 2;
const DOWNSTREAM_REMOTE: usize = 3;

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

impl Row for LegRow<'_> {
    #[inline]
    fn cell(&self, column: usize) -> Cell<'_> {
        let record = &self.record;
        match LEG[column].1 {
            Reads::Text(field) => self.text(field),
            Reads::Number(field) => Cell::of(record.integer(field), Cell::count),
            Reads::Bytes(field) => Cell::count(record.integer(field).unwrap_or(0)),
            Reads::Time(field) => Cell::of(record.time(field), Cell::time),
            Reads::Flags(field) => Cell::cow(record.text(field).map(|text| Flags::short(&text).into())),
            Reads::Ip(number) => self.socket(number, |text, socket| Cell::text(socket.ip(text))),
            Reads::Port(number) => self.socket(number, |_, socket| Cell::Number(socket.port.into())),
            Reads::Other(read) => read(self),
        }
    }
}

impl LegRow<'_> {
    /// A field as text.
    #[inline]
    fn text(&self, field: Field) -> Cell<'_> {
        // Most columns of most lines.
        if self.record.spans.get(field).is_none() { Cell::Absent } else { self.some(field) }
    }

    /// A field that is there as text. Whether a line is UTF-8 is looked at once, and not for each of its fields.
    fn some(&self, field: Field) -> Cell<'_> {
        let span = self.record.spans.get(field);
        let line = self.apart.line.get_or_init(|| std::str::from_utf8(self.record.line).ok());
        match line.and_then(|line| span.text_of(line)) {
            Some("-") => Cell::Absent,
            Some(text) => Cell::text(text),
            None => Cell::cow(self.record.text(field)),
        }
    }

    /// A part of a field's text: nothing else may go into it, since rows that say the same have it from each other.
    fn part(&self, field: Field, part: impl for<'t> FnOnce(&'t str) -> Cell<'t>) -> Cell<'_> {
        match self.text(field) {
            Cell::Text(Cow::Borrowed(text)) => part(text),
            Cell::Text(text) => part(&text).into_owned(),
            other => other,
        }
    }

    fn cluster(&self, part: impl for<'t> FnOnce(&Cluster<'t>) -> Cell<'t>) -> Cell<'_> {
        self.part(Field::UpstreamCluster, |name| part(&Cluster::read(name.as_bytes())))
    }

    /// Of one of the addresses, if it is one.
    fn socket(&self, number: usize, part: impl for<'t> FnOnce(&'t str, &Socket) -> Cell<'t>) -> Cell<'_> {
        self.part(ADDRESSES[number].0, |text| {
            let socket = self.apart.sockets[number].get_or_init(|| Socket::read(text));
            Cell::of(socket.as_ref(), |socket| part(text, socket))
        })
    }

    /// The hash of the connection on the wire, which both legs know by the same two ends.
    fn community(&self) -> Option<String> {
        let (client, server) = match self.side {
            Side::Outbound | Side::Gateway => (UPSTREAM_LOCAL, UPSTREAM_HOST),
            Side::Inbound => (DOWNSTREAM_REMOTE, DOWNSTREAM_LOCAL),
            Side::Unknown => return None,
        };
        let end = |number: usize| {
            let mut end = None;
            self.socket(number, |text, socket| {
                end = socket.address(text);
                Cell::Absent
            });
            end
        };
        Some(community::id(end(client)?, end(server)?))
    }
}

fn mtls<'r>(row: &'r LegRow<'_>) -> Cell<'r> {
    if row.side != Side::Inbound {
        return Cell::Absent;
    }
    if row.record.raw(Field::Event).is_some() {
        return Cell::Truth(row.record.text(Field::SourceIdentity).is_some());
    }
    let line = row.record.line;
    match row.record.raw(Field::RequestedServerName) {
        Some(sni) => Cell::Truth(Cluster::of_sni(sni).is_some()),
        // JSON has `null` where text has `-`.
        None if line.starts_with(b"{") && memmem::find(line, b"\"requested_server_name\"").is_some() => {
            Cell::Truth(false)
        }
        // Formats before Istio 1.1 do not print the SNI.
        None => Cell::Absent,
    }
}

fn extra<'r>(row: &'r LegRow<'_>) -> Cell<'r> {
    let mut object = serde_json::Map::new();
    for (number, name) in row.extras.iter().enumerate() {
        if let Some(text) = row.record.extra(number) {
            object.insert(name.clone(), String::from_utf8_lossy(&text).into());
        }
    }
    if object.is_empty() { Cell::Absent } else { Cell::Text(serde_json::Value::Object(object).to_string().into()) }
}
