//! `Report`: everything that a run has to say at its end, as plain values. Outputs print it, none computes.
//!
//! The JSON document is this structure; a change of its keys is a change of `SCHEMA_VERSION`.

mod mesh;
mod tables;
mod topology;
mod traffic;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

pub use mesh::{After, Compared, Difference, Mesh, Move, Proxy};
pub use tables::Tables;
pub use topology::{Address, Belonging, Tenant};
pub use traffic::{Server, Service, Traffic};

use crate::claims::{self, Expected};
use crate::event::Event;
use crate::expect::Expectations;
use crate::field::value::Micros;
use crate::finding::{Finding, Severity};
use crate::learn::{self, Learned};
use crate::ledger::{Evidence, Ledger};
use crate::reject::Rejects;
use crate::remedy::Remedy;
use crate::replay::{Prediction, Replayed};
use crate::scan::Tally;
use crate::topology::Topology;

/// The version of the JSON document and of the objects of `--output ndjson`.
pub const SCHEMA_VERSION: u32 = 1;

/// A finding, ready to be shown. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// `R301`
    pub code: &'static str,
    /// `unexpected-cluster`
    pub name: &'static str,
    /// `error`, `warning` or `info`
    pub severity: &'static str,
    /// `suspect`, `likely` or `proven`
    pub grade: &'static str,
    /// A cluster, a service, an address.
    pub subject: String,
    /// Connections that show it.
    pub count: u64,
    /// Start of the first one, if its lines say when.
    pub first: Option<String>,
    /// Start of the last one.
    pub last: Option<String>,
    /// The earliest lines that show it.
    pub evidence: Vec<Line>,
    /// Why it is a finding.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// What would settle what is still open; empty if nothing is.
    pub check: String,
    /// Ways out, ready to apply, where configuration shows the cause; the best first. Not in redacted reports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<Remedy>,
}

/// A line of evidence.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The input's name.
    pub source: String,
    /// Its number there, from 1.
    pub line: u64,
    /// The line; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// A connection, ready to be shown.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The client's leg: Istio's JSON keys, then `pod`, `namespace`, `source`, `line`.
    pub outbound: Option<serde_json::Value>,
    /// The server's leg.
    pub inbound: Option<serde_json::Value>,
    /// By what the legs met.
    pub matched_by: Option<&'static str>,
    /// Why there is only one leg.
    pub unpaired: Option<&'static str>,
    /// What the configuration of the leading leg's proxy says; none without `--mesh`.
    #[serde(flatten)]
    pub prediction: Option<Prediction>,
    /// Names of the findings that it belongs to.
    pub findings: Vec<&'static str>,
}

/// A reason for rejected lines.
#[derive(Clone, Debug, Serialize)]
pub struct RejectGroup {
    /// `cut`, `broken`, ...
    pub reason: &'static str,
    /// How many lines.
    pub count: u64,
    /// The first few.
    pub lines: Vec<RejectLine>,
}

/// A rejected line.
#[derive(Clone, Debug, Serialize)]
pub struct RejectLine {
    /// The input's name.
    pub source: String,
    /// Its number there, from 1.
    pub line: u64,
    /// The field at which reading stopped.
    pub field: Option<&'static str>,
    /// The text around the place.
    pub text: String,
    /// Byte offset of the place in `text`.
    pub at: usize,
}

/// Events of a kind.
#[derive(Clone, Debug, Serialize)]
pub struct EventGroup {
    /// `ready`, `not-ready`, `config-rejected`, ...
    pub kind: &'static str,
    /// How many lines.
    pub count: u64,
    /// The earliest, a thousand at most.
    pub lines: Vec<EventLine>,
}

/// A line in which a proxy says something about itself.
#[derive(Clone, Debug, Serialize)]
pub struct EventLine {
    /// When, if the line or its envelope says so.
    pub at: Option<String>,
    /// The proxy's namespace.
    pub namespace: Option<String>,
    /// The proxy's pod.
    pub pod: Option<String>,
    /// The input's name.
    pub source: String,
    /// The line's number there, from 1.
    pub line: u64,
    /// The line without its envelopes, clipped.
    pub text: String,
}

/// Lines by what they were.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Lines {
    /// All lines.
    pub total: u64,
    /// Access lines.
    pub access: u64,
    /// Lines of other kinds, by kind.
    pub other: BTreeMap<&'static str, u64>,
    /// Lines that could not be read.
    pub rejected: u64,
    /// Access lines by format.
    pub formats: BTreeMap<String, u64>,
    /// Access lines by envelope.
    pub envelopes: BTreeMap<Cow<'static, str>, u64>,
    /// Access lines whose headers could be cut in more than one way.
    pub doubtful: u64,
    /// Access lines with more columns than their format.
    pub tolerated: u64,
    /// Access lines of connections outside of the time that was asked for: they count nowhere else.
    pub outside: u64,
    /// Lines that told of a connection again and went into one leg.
    pub merged: u64,
    /// Lines that were there before and were not counted again.
    pub repeated: u64,
    /// Lines whose way was counted without its details, because there were too many different ones.
    pub simplified: u64,
}

/// Connections by what became of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Connections {
    /// All connections; on HTTP, requests.
    pub total: u64,
    /// Those with both legs.
    pub paired: u64,
    /// Pairs by what joined them.
    pub matched_by: BTreeMap<&'static str, u64>,
    /// Those with one leg, by the reason.
    pub unpaired: BTreeMap<&'static str, u64>,
    /// Legs that waited and were given up because memory was short.
    pub closed_early: u64,
    /// Those of which no line was wanted: they count nowhere else.
    pub left_out: u64,
    /// Failed connections by their flags.
    pub failures: BTreeMap<String, u64>,
}

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// Whether stand-ins are in the place of names.
    pub redacted: bool,
    /// The inputs' names.
    pub inputs: Vec<String>,
    /// Files in folders and archives that were left out, by the reason.
    pub skipped: BTreeMap<Cow<'static, str>, u64>,
    /// Start of the first connection, absent without any.
    pub first: Option<String>,
    /// Start of the last connection.
    pub last: Option<String>,
    /// Whether the run was interrupted before its input ended.
    pub interrupted: bool,
    /// The findings, the worst first.
    pub findings: Vec<Told>,
    /// Lines.
    pub lines: Lines,
    /// What proxies say about themselves, by kind.
    pub events: Vec<EventGroup>,
    /// Rejected lines by reason.
    pub rejects: Vec<RejectGroup>,
    /// Lines of other kinds, if they were to be shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<RejectGroup>,
    /// Connections.
    pub connections: Connections,
    /// Traffic, most connections first.
    pub traffic: Vec<Traffic>,
    /// Services that were called, most connections first.
    pub services: Vec<Service>,
    /// Whose the addresses are that the lines tell of.
    pub addresses: Vec<Address>,
    /// How the rows of a file of expectations compare with the log, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expectations: Option<Expected>,
    /// How the log compares with the mesh's configuration, if that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<Mesh>,
    /// What the log teaches about who calls what, if that was asked for.
    #[serde(skip)]
    pub learned: Option<Learned>,
    /// What went wrong with inputs.
    pub troubles: Vec<String>,
}

impl Report {
    /// The worst severity among the findings.
    pub fn worst(&self) -> Option<Severity> {
        Severity::ALL
            .into_iter()
            .rev()
            .find(|severity| self.findings.iter().any(|told| told.severity == severity.name()))
    }
}

/// The inputs, to tell where lines stand.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Their names, by number.
    pub names: Vec<String>,
    /// Files in folders and archives that were left out, by the reason.
    pub skipped: BTreeMap<Cow<'static, str>, u64>,
}

impl Inputs {
    /// The name of an input.
    pub fn name(&self, source: crate::source::SourceId) -> &str {
        self.names.get(source.0 as usize).map_or("?", String::as_str)
    }

    fn line(&self, evidence: &Evidence) -> Line {
        Line {
            source: self.name(evidence.origin.source).to_owned(),
            line: evidence.origin.line,
            text: String::from_utf8_lossy(&evidence.text).into_owned(),
        }
    }

    /// A finding, ready to be shown.
    pub fn told(&self, finding: &Finding) -> Told {
        Told {
            code: finding.meta.code,
            name: finding.meta.name,
            severity: finding.meta.severity.name(),
            grade: finding.grade.name(),
            subject: finding.subject.clone(),
            count: finding.count,
            first: finding.first.shown(),
            last: finding.last.shown(),
            evidence: finding.evidence.iter().map(|evidence| self.line(evidence)).collect(),
            why: finding.why.clone(),
            fix: finding.fix.clone(),
            check: finding.check.clone(),
            remedies: finding.remedies.clone(),
        }
    }
}

/// What a pass hands over at its end.
#[derive(Debug)]
pub struct Gathered<'a> {
    /// The ways and their counts.
    pub ledger: &'a Ledger,
    /// The mesh.
    pub topology: &'a Topology,
    /// The findings.
    pub findings: &'a [Finding],
    /// The lines.
    pub tally: &'a Tally,
    /// The names of the formats, by number.
    pub formats: &'a [String],
    /// The inputs' names.
    pub inputs: &'a Inputs,
    /// Lines that went into another leg.
    pub merged: u64,
    /// Lines that were there before.
    pub repeated: u64,
    /// Legs given up early.
    pub early: u64,
    /// Connections of which no line was wanted.
    pub left_out: u64,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// How the ways compare with the mesh's configuration, if that was given.
    pub replayed: Option<&'a Replayed<'a>>,
    /// What is expected, if a file says so.
    pub expect: Option<&'a Expectations>,
    /// Whether to learn who calls what.
    pub learn: bool,
    /// What went wrong with inputs.
    pub troubles: &'a [String],
}

/// Makes the report; `tables` are of the same ledger and mesh.
pub fn report(gathered: &Gathered<'_>, tables: Tables) -> Report {
    let Gathered { ledger, inputs, .. } = *gathered;
    let used = || ledger.iter().filter(|(_, _, entry)| entry.counts.legs > 0).map(|(_, _, entry)| &entry.counts);
    let known = |at: &Micros| *at != Micros::NONE;
    Report {
        schema_version: SCHEMA_VERSION,
        redacted: false,
        inputs: inputs.names.clone(),
        skipped: inputs.skipped.clone(),
        first: used().map(|counts| counts.first).filter(known).min().and_then(Micros::shown),
        last: used().map(|counts| counts.last).filter(known).max().and_then(Micros::shown),
        interrupted: gathered.interrupted,
        findings: gathered.findings.iter().map(|finding| inputs.told(finding)).collect(),
        lines: lines(gathered),
        events: events(gathered),
        rejects: rejects(gathered, &gathered.tally.rejects),
        unread: rejects(gathered, &gathered.tally.unread),
        connections: Connections { closed_early: gathered.early, left_out: gathered.left_out, ..tables.connections },
        traffic: tables.traffic,
        services: tables.services,
        addresses: tables.addresses,
        expectations: gathered.expect.map(|expect| claims::expected(ledger, gathered.topology, expect)),
        mesh: mesh::mesh(gathered),
        learned: gathered.learn.then(|| learn::learn(ledger, gathered.topology, gathered.findings)),
        troubles: gathered.troubles.to_vec(),
    }
}

fn lines(gathered: &Gathered<'_>) -> Lines {
    let tally = gathered.tally;
    let format = |number: usize| gathered.formats.get(number).map_or("?", String::as_str).to_owned();
    Lines {
        total: tally.lines,
        access: tally.access(),
        other: tally.others.iter().map(|(kind, count)| (kind.name(), *count)).collect(),
        rejected: tally.rejects.count(),
        formats: tally.formats.iter().map(|(number, count)| (format(*number), *count)).collect(),
        envelopes: tally.envelopes.clone(),
        doubtful: tally.doubtful,
        tolerated: tally.tolerated,
        outside: tally.outside,
        merged: gathered.merged,
        repeated: gathered.repeated,
        simplified: gathered.ledger.simplified,
    }
}

fn events(gathered: &Gathered<'_>) -> Vec<EventGroup> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let named = |bytes: &[u8]| (!bytes.is_empty()).then(|| text(bytes));
    let event = |event: &Event| EventLine {
        at: event.at.and_then(Micros::shown),
        namespace: named(&event.namespace),
        pod: named(&event.pod),
        source: gathered.inputs.name(event.origin.source).to_owned(),
        line: event.origin.line,
        text: text(&event.text),
    };
    let group = |(kind, count, first): (crate::event::Kind, u64, Vec<&Event>)| EventGroup {
        kind: kind.name(),
        count,
        lines: first.into_iter().map(event).collect(),
    };
    gathered.tally.events.iter().map(group).collect()
}

fn rejects(gathered: &Gathered<'_>, rejects: &Rejects) -> Vec<RejectGroup> {
    let line = |reject: &crate::reject::Reject| RejectLine {
        source: gathered.inputs.name(reject.origin.source).to_owned(),
        line: reject.origin.line,
        field: reject.field,
        text: String::from_utf8_lossy(&reject.excerpt).into_owned(),
        at: reject.at,
    };
    let group = |(reason, count, first): (crate::reject::Reason, u64, &[crate::reject::Reject])| RejectGroup {
        reason: reason.name(),
        count,
        lines: first.iter().map(line).collect(),
    };
    rejects.iter().map(group).collect()
}
