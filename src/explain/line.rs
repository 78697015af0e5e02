//! A whole access line: every field that is there with its meaning, who wrote it, how it ended, what it pairs with.
//!
//! The line is read by the scanner, envelopes included, and judged by the rules as if it were a log of its own.

use super::{Entry, words};
use crate::claims::AlreadyTold;
use crate::cluster::Direction;
use crate::event::Events;
use crate::field::flag::Flags;
use crate::field::{Field, outcome};
use crate::finding::Finding;
use crate::format::{Format, Formats};
use crate::ledger::Ledger;
use crate::leg::{Leg, Protocol, Side, Way};
use crate::pair::{Connection, Match};
use crate::record::Spans;
use crate::rules;
use crate::scan::{Options, Scanned, Scanner, Shelved};
use crate::source::block::Block;
use crate::source::{Origin, SourceId};
use crate::topology::{Alone, Topology};

/// What an address is, which depends on the side that wrote the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) field: Field,
    pub(super) client: &'static str,
    pub(super) server: &'static str,
}

/// The four addresses. Source: Istio documentation, task `Envoy Access Logs`; Envoy's substitution formatter.
pub(super) const ENDS: &[End] = &[
    End {
        field: Field::DownstreamRemoteAddress,
        client: "the socket of the pod's own application; on a gateway whoever called",
        server: "the client's proxy: the same as upstream_local_address in its line",
    },
    End {
        field: Field::DownstreamLocalAddress,
        client: "what the application dialled: a service's address, or a pod's; on a gateway its own address",
        server: "the pod's own address: the same as upstream_host in the client's line",
    },
    End {
        field: Field::UpstreamHost,
        client: "the endpoint that was chosen: the same as downstream_local_address in the server's line",
        server: "the pod's own application",
    },
    End {
        field: Field::UpstreamLocalAddress,
        client: "the proxy's own end on the wire: the same as downstream_remote_address in the server's line",
        server: "where the proxy dials its application from; nobody else sees it",
    },
];

/// The line as a log of its own.
struct Read<'f> {
    ledger: Ledger,
    leg: Leg,
    way: Way,
    shelved: Shelved,
    records: Vec<u8>,
    spans: Spans,
    format: &'f Format,
    envelope: std::borrow::Cow<'static, str>,
    marks: [bool; 2],
}

/// The text as a block of one line, and what the scanner makes of it.
fn scan(text: &[u8], formats: &Formats) -> (Block, Scanned) {
    let block = Block { bytes: text.to_vec(), origin: Origin { source: SourceId(0), line: 1 }, torn: false };
    let scanned =
        Scanner::new(formats, Options { keep: true, ..Options::default() }, 0).scan(&block, Scanned::default());
    (block, scanned)
}

/// Why an access line could not be read; nothing if the text is none.
pub(super) fn unread(text: &[u8], formats: &Formats) -> Option<String> {
    let (_, scanned) = scan(text, formats);
    let (reason, _, lines) = scanned.tally.rejects.iter().next()?;
    let field = lines.first()?.field.map_or(String::new(), |field| format!(" at {field}"));
    Some(format!("an access line that could not be read: {}{field}", reason.name()))
}

/// What there is to say of an access line; nothing if the text is none.
pub(super) fn entries(text: &[u8], formats: &Formats) -> Vec<Entry> {
    let (block, mut scanned) = scan(text, formats);
    if scanned.legs.is_empty() && scanned.tally.access() > 0 {
        let meaning = "ztunnel says that a connection began; its own line comes when it ends";
        return vec![Entry::new("An access line", "connection opened").row("Means", meaning)];
    }
    let mut ledger = Ledger::default();
    ledger.meet(&scanned);
    let (Some(leg), Some(shelved)) = (scanned.legs.first(), scanned.kept.pop()) else { return Vec::new() };
    let mut leg = *leg;
    ledger.take_over(&mut leg, scanned.scanner);
    ledger.line(&leg, || &block.bytes);
    let (Some(way), Some(format)) =
        (ledger.ways().get(leg.way as usize).copied(), formats.list().get(shelved.record.format as usize))
    else {
        return Vec::new();
    };
    let shelved = shelved.renamed(|name| ledger.renamed(name, scanned.scanner));
    let envelope = scanned.tally.envelopes.keys().next().cloned().unwrap_or("none".into());
    let marks = [scanned.tally.doubtful > 0, scanned.tally.tolerated > 0];
    let spans = shelved.record.spans(&scanned.records);
    let mut read = Read { ledger, leg, way, shelved, records: scanned.records, spans, format, envelope, marks };
    let findings = read.judge();
    vec![read.reading(&findings), read.fields()]
}

impl Read<'_> {
    fn tcp(&self) -> bool {
        self.way.protocol == Protocol::Tcp
    }

    /// Whether a ztunnel wrote the line.
    fn ambient(&self) -> bool {
        self.shelved.record.record(&self.records, &self.spans).raw(Field::Direction).is_some()
    }

    /// The rules' answer to a log of this one line, and why the line is alone in it.
    fn judge(&mut self) -> (Vec<Finding>, Alone) {
        let (outbound, inbound) =
            if self.leg.side == Side::Inbound { (None, Some(self.leg)) } else { (Some(self.leg), None) };
        self.ledger.count(&[Connection { outbound, inbound, matched: None }]);
        let topology = Topology::learn(&self.ledger);
        let alone = topology.why_alone(&self.way, self.leg.other(), &self.ledger.names);
        (rules::judge(&self.ledger, &topology, &Events::default(), None, None, &AlreadyTold::new()), alone)
    }

    /// What the line says as a whole.
    fn reading(&self, (findings, alone): &(Vec<Finding>, Alone)) -> Entry {
        let name = |name| self.ledger.show(name).into_owned();
        let around = if self.envelope == "none" { String::new() } else { format!(", wrapped by {}", self.envelope) };
        let proxy: Vec<String> = [
            ("pod", self.shelved.pod),
            ("namespace", self.way.namespace),
            ("container", self.shelved.container),
            ("node", self.shelved.node),
        ]
        .into_iter()
        .filter(|(_, sym)| !sym.is_none())
        .map(|(what, sym)| format!("{what} {}", name(sym)))
        .collect();
        let spoken =
            if self.tcp() { "one line a TCP connection, written at its end" } else { "one line an HTTP request" };
        let entry = Entry::new("An access line", format!("{}{around}", self.format.name))
            .row("Format", &self.format.summary)
            .row("Written by", format!("{}: {}", self.way.side.name(), self.way.side.meaning()))
            .row("Proxy", proxy.join(", "))
            .row("Traffic", spoken)
            .row("Time", self.time());
        let labels = std::iter::once("Outcome").chain(std::iter::repeat(""));
        let entry = labels
            .zip(self.outcome())
            .fold(entry, |entry, (label, text)| entry.row(label, text))
            .row("Other leg", self.other_leg(*alone));
        let entry = findings.iter().fold(entry, |entry, finding| {
            let Finding { meta, grade, why, .. } = finding;
            entry
                .row("Finding", format!("{} {} ({}): {why}", meta.code, meta.name, grade.name()))
                .row("Do", &finding.fix)
                .row("Check", &finding.check)
        });
        let entry = entry.row("Findings", if findings.is_empty() { "none on this line alone" } else { "" });
        let [doubtful, tolerated] = self.marks;
        let doubt =
            "a header holds quotes: headers may be cut at the wrong place, what Envoy wrote is not touched by it";
        entry
            .row("Doubtful", if doubtful { doubt } else { "" })
            .row("Tolerated", if tolerated { "the line has more columns than its format" } else { "" })
    }

    fn time(&self) -> String {
        let (start, end) = (self.leg.start.shown(), self.leg.end().shown());
        match (start, end) {
            (Some(start), Some(end)) if self.leg.duration > 0 => {
                format!("{start} to {end}, {} ms", self.leg.duration)
            }
            (Some(start), _) => start,
            _ => String::new(),
        }
    }

    /// How it ended, by flags, cluster, bytes and duration.
    fn outcome(&self) -> Vec<String> {
        let record = self.shelved.record.record(&self.records, &self.spans);
        let number = |field| record.integer(field).unwrap_or(0);
        let flags = self.way.flags;
        let direction = Direction::of(self.ledger.names.get(self.way.cluster));
        let mut told: Vec<String> = Vec::new();
        if flags.is_empty() && self.tcp() && self.way.termination.is_none() {
            let (received, sent) = (number(Field::BytesReceived), number(Field::BytesSent));
            told.push(outcome::unflagged(received, sent, number(Field::Duration)).to_owned());
        }
        if !self.tcp() {
            told.push(format!("status {}", self.way.status));
        }
        let together =
            outcome::together(flags, self.tcp()).map(|meaning| format!("{}: {meaning}", flags.names().join(",")));
        let each =
            || flags.meanings().map(|(name, meaning)| format!("{name}: {meaning}")).collect::<Vec<_>>().join("; ");
        told.push(together.unwrap_or_else(each));
        told.extend(direction.ending(flags).map(str::to_owned));
        for field in [
            Field::ResponseCodeDetails,
            Field::ConnectionTerminationDetails,
            Field::UpstreamTransportFailureReason,
            Field::Error,
        ] {
            let text = record.text(field).unwrap_or_default();
            told.extend(words::notes(field, &String::from_utf8_lossy(&text)));
        }
        if flags.any(Flags::of(&["UF"])) && record.text(Field::UpstreamTransportFailureReason).is_none() {
            told.extend(outcome::connecting(number(Field::Duration)).map(str::to_owned));
        }
        let way = &self.way;
        let elsewhere = self.tcp() && way.side == Side::Outbound && !way.direct && !self.leg.server.is_none();
        if elsewhere && !way.dest.is_none() {
            let show = |endpoint: crate::endpoint::Endpoint| endpoint.show(&self.ledger.names).to_string();
            let (dialled, chosen) = (show(way.dest), show(self.leg.server));
            told.push(format!(
                "{dialled} was dialled and {chosen} was chosen: as it should be for a service's address, not for a pod's (unexpected-cluster)"
            ));
        }
        told.retain(|text| !text.is_empty());
        told
    }

    /// Which line of the other side belongs to this one, and by what it will be found.
    fn other_leg(&self, alone: Alone) -> String {
        let show = |endpoint: crate::endpoint::Endpoint| endpoint.show(&self.ledger.names).to_string();
        let leg = &self.leg;
        let by = |by: Match| format!(" (matched_by {})", by.name());
        // A doubtful request id pairs nothing.
        let id = leg.request != 0;
        let tuple = match (self.tcp(), id) {
            (true, _) => Match::Tuple,
            (false, true) => Match::TupleAndRequest,
            (false, false) => Match::TupleAndTime,
        };
        if alone == Alone::FailedBeforeConnecting {
            return alone.meaning().to_owned();
        }
        if self.ambient() {
            let other = if leg.side == Side::Inbound { "client's" } else { "server's" };
            return format!("the {other} ztunnel's line: {}{}", Match::Bytes.meaning(), by(Match::Bytes));
        }
        match leg.side {
            Side::Unknown => alone.meaning().to_owned(),
            _ if leg.wire.is_none() && id => {
                format!("the line of the other proxy with the same request id{}", by(Match::RequestId))
            }
            _ if leg.wire.is_none() => "none can be told: the line has no address that the other side sees".to_owned(),
            Side::Inbound => format!(
                "the client's line with upstream_local_address {} and upstream_host {}{}",
                show(leg.wire),
                show(leg.server),
                by(tuple)
            ),
            Side::Outbound | Side::Gateway => format!(
                "the server's line with downstream_remote_address {} and downstream_local_address {}{}; none if no proxy is there",
                show(leg.wire),
                show(leg.server),
                by(tuple)
            ),
        }
    }

    /// Every field with its value, then the ones that are absent.
    fn fields(&self) -> Entry {
        let record = self.shelved.record.record(&self.records, &self.spans);
        let slots = self.format.slots();
        let (mut entry, mut absent) = (Entry::new("Fields", "in the order of Istio's text format"), Vec::new());
        for field in Field::ALL.iter().copied() {
            let Some(text) = record.text(field) else {
                if slots.contains(&(field as u8)) || record.raw(field).is_some() {
                    absent.push(field.key());
                }
                continue;
            };
            let text = String::from_utf8_lossy(&text).into_owned();
            let notes = self.notes(field, &text);
            entry = entry.noted(field.key(), text, notes);
        }
        for (number, name) in self.format.extras.iter().enumerate() {
            let text = record.extra(number).map(|text| String::from_utf8_lossy(&text).into_owned());
            entry = entry.row(name, text.unwrap_or_default());
        }
        entry.row("absent", absent.join(", "))
    }

    fn notes(&self, field: Field, text: &str) -> Vec<String> {
        let end = ENDS.iter().find(|end| end.field == field);
        let meaning = match (end, self.way.side) {
            // A tunnel's ends are not those that the application sees.
            _ if self.ambient() => field.meaning(),
            (Some(end), Side::Outbound | Side::Gateway) => end.client,
            (Some(end), Side::Inbound) => end.server,
            _ => field.meaning(),
        };
        let mut notes = vec![meaning.to_owned()];
        if field == Field::ResponseFlags {
            let record = self.shelved.record.record(&self.records, &self.spans);
            notes.extend(record.flags().meanings().map(|(name, meaning)| format!("{name}: {meaning}")));
            let unknown = Flags::unknown_tokens(text.as_bytes());
            if !unknown.is_empty() {
                notes.push(format!("{}: not known to logscan", String::from_utf8_lossy(&unknown)));
            }
        }
        notes.extend(words::notes(field, text));
        notes
    }
}
