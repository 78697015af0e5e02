//! `LegRow`: a leg, and how its cells are read: from its line and its envelope, while these still lie in their block.

use std::borrow::Cow;
use std::cell::OnceCell;

use memchr::memmem;

use super::leg::LEG;
use super::socket::Socket;
use super::{Cell, Row, community};
use crate::cluster::Cluster;
use crate::field::Field;
use crate::field::flag::Flags;
use crate::field::value::Micros;
use crate::leg::Side;
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

/// The addresses that are taken apart.
pub(super) const ADDRESSES: [(Field, [&str; 2]); 4] = [
    (Field::UpstreamHost, ["upstream_host_ip", "upstream_host_port"]),
    (Field::UpstreamLocalAddress, ["upstream_local_ip", "upstream_local_port"]),
    (Field::DownstreamLocalAddress, ["downstream_local_ip", "downstream_local_port"]),
    (Field::DownstreamRemoteAddress, ["downstream_remote_ip", "downstream_remote_port"]),
];
const UPSTREAM_HOST: usize = 0;
const UPSTREAM_LOCAL: usize = 1;
const DOWNSTREAM_LOCAL: usize = 2;
const DOWNSTREAM_REMOTE: usize = 3;

impl Row for LegRow<'_> {
    #[inline]
    fn cell(&self, column: usize) -> Cell<'_> {
        match LEG[column].1 {
            // Most columns of most lines.
            Reads::Text(field) if self.record.spans.get(field).is_none() => Cell::Absent,
            reads => self.read(reads),
        }
    }
}

impl LegRow<'_> {
    fn read(&self, reads: Reads) -> Cell<'_> {
        let record = &self.record;
        match reads {
            Reads::Text(field) => self.text(field),
            Reads::Number(field) => Cell::of(record.integer(field), Cell::count),
            Reads::Bytes(field) => Cell::count(record.integer(field).unwrap_or(0)),
            Reads::Time(field) => Cell::of(record.time(field), Cell::time),
            Reads::Flags(field) => self.flags(field),
            Reads::Ip(number) => self.ip(number),
            Reads::Port(number) => self.port(number),
            Reads::Other(read) => read(self),
        }
    }

    /// A field as text. Whether a line is UTF-8 is looked at once, and not for each of its fields.
    fn text(&self, field: Field) -> Cell<'_> {
        let span = self.record.spans.get(field);
        if span.is_none() {
            return Cell::Absent;
        }
        let line = self.apart.line.get_or_init(|| std::str::from_utf8(self.record.line).ok());
        match line.and_then(|line| span.text_of(line)) {
            Some("-") => Cell::Absent,
            Some(text) => Cell::text(text),
            None => Cell::cow(self.record.text(field)),
        }
    }

    fn flags(&self, field: Field) -> Cell<'_> {
        Cell::cow(self.record.text(field).map(|text| Flags::short(&text).into()))
    }

    // Inlined, these two make every cell of a line save more registers.
    #[inline(never)]
    fn ip(&self, number: usize) -> Cell<'_> {
        self.socket(number, |text, socket| Cell::text(socket.ip(text)))
    }

    #[inline(never)]
    fn port(&self, number: usize) -> Cell<'_> {
        self.socket(number, |_, socket| Cell::Number(socket.port.into()))
    }

    /// A part of a field's text: nothing else may go into it, since rows that say the same have it from each other.
    pub(super) fn part(&self, field: Field, part: impl for<'t> FnOnce(&'t str) -> Cell<'t>) -> Cell<'_> {
        match self.text(field) {
            Cell::Text(Cow::Borrowed(text)) => part(text),
            Cell::Text(text) => part(&text).into_owned(),
            other => other,
        }
    }

    pub(super) fn cluster(&self, part: impl for<'t> FnOnce(&Cluster<'t>) -> Cell<'t>) -> Cell<'_> {
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
    pub(super) fn community(&self) -> Option<String> {
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

pub(super) fn mtls<'r>(row: &'r LegRow<'_>) -> Cell<'r> {
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

pub(super) fn extra<'r>(row: &'r LegRow<'_>) -> Cell<'r> {
    let mut object = serde_json::Map::new();
    for (number, name) in row.extras.iter().enumerate() {
        if let Some(text) = row.record.extra(number) {
            object.insert(name.clone(), String::from_utf8_lossy(&text).into());
        }
    }
    if object.is_empty() { Cell::Absent } else { Cell::Text(serde_json::Value::Object(object).to_string().into()) }
}
