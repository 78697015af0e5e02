//! `Redactor`: the same report with stand-ins for every name, so that it can be shown to strangers.
//!
//! What was judged comes in as values and goes out as the same values: findings, counts, times, ports, flags and pairs stay, and
//! equal names have equal stand-ins. It is an allow list: what stays is what is known to be harmless, by its kind or by the
//! vocabulary, and all else is replaced. Values are taken apart and put together field by field, so that a field that is new
//! does not compile before somebody has said what it holds.

mod known;
mod mesh;
mod shape;
mod stand_in;
mod text;
mod words;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::claims::Expected;
use crate::event::Events;
use crate::field::{Field, operator};
use crate::format;
use crate::ledger::Ledger;
use crate::replay::Prediction;
use crate::report::{
    Address, Belonging, Connections, EventGroup, EventLine, Line, Lines, RejectGroup, RejectLine, Report, Server,
    Service, Shown, Tenant, Told, Traffic,
};

use known::Known;
use shape::{Context, Reader};
use stand_in::{Kind, Shape, StandIns};
use words::Vocabulary;

/// Whose words a text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    /// Ours.
    Said,
    /// A proxy's, in a layout that was read.
    Line,
    /// Anybody's.
    Other,
}

/// Replaces names. Numbers go by what is shown first, so they depend on nothing but the output. Its tables grow with the
/// distinct values that are shown.
#[derive(Debug)]
pub struct Redactor {
    words: Vocabulary,
    known: Known,
    names: StandIns,
}

impl Default for Redactor {
    fn default() -> Redactor {
        Redactor { words: Vocabulary::new(), known: Known::default(), names: StandIns::default() }
    }
}

impl Redactor {
    /// Takes over the names that the run has met.
    pub fn learn(&mut self, ledger: &Ledger, events: &Events) {
        self.known.learn(ledger, events);
    }

    /// A finding.
    pub fn told(&mut self, told: Told) -> Told {
        let Told { code, name, severity, grade, subject, count, first, last, evidence, why, fix, check, remedies: _ } =
            told;
        Told {
            code,
            name,
            severity,
            grade,
            subject: self.said(&subject),
            count,
            first,
            last,
            why: self.said(&why),
            fix: self.said(&fix),
            check: self.said(&check),
            // Manifests with stand-ins would help nobody.
            remedies: Vec::new(),
            evidence: evidence.into_iter().map(|line| self.line(line)).collect(),
        }
    }

    /// A connection.
    pub fn shown(&mut self, shown: Shown) -> Shown {
        let Shown { outbound, inbound, matched_by, unpaired, prediction, findings } = shown;
        let (outbound, inbound) = (outbound.map(|leg| self.leg(leg)), inbound.map(|leg| self.leg(leg)));
        let prediction = prediction.map(|prediction| Prediction {
            predicted_cluster: prediction
                .predicted_cluster
                .map(|ends| ends.split(',').map(|end| self.said(end)).collect::<Vec<_>>().join(",")),
            ..prediction
        });
        Shown { outbound, inbound, matched_by, unpaired, prediction, findings }
    }

    /// The report.
    pub fn report(&mut self, report: Report) -> Report {
        let Report {
            schema_version,
            redacted: _,
            inputs,
            skipped,
            first,
            last,
            interrupted,
            findings,
            lines,
            events,
            rejects,
            unread,
            connections,
            traffic,
            services,
            addresses,
            expectations,
            mesh,
            // No output shows it.
            learned: _,
            troubles,
        } = report;
        Report {
            schema_version,
            redacted: true,
            inputs: inputs.iter().map(|name| self.file(name)).collect(),
            skipped,
            first,
            last,
            interrupted,
            findings: findings.into_iter().map(|told| self.told(told)).collect(),
            lines: self.lines(lines),
            events: events.into_iter().map(|group| self.event(group)).collect(),
            rejects: rejects.into_iter().map(|group| self.reject(group)).collect(),
            unread: unread.into_iter().map(|group| self.reject(group)).collect(),
            connections: self.connections(connections),
            traffic: traffic.into_iter().map(|row| self.traffic(row)).collect(),
            services: services.into_iter().map(|row| self.service(row)).collect(),
            addresses: self.addresses(addresses),
            expectations: expectations.map(|expected| {
                let Expected { rows, matched, unused } = expected;
                Expected { rows, matched, unused: unused.iter().map(|row| self.said(row)).collect() }
            }),
            mesh: mesh.map(|mesh| self.mesh(mesh)),
            learned: None,
            troubles: troubles.iter().map(|trouble| self.trouble(trouble)).collect(),
        }
    }

    /// What went wrong, mostly with a file, whose name stands before the first colon.
    pub fn trouble(&mut self, text: &str) -> String {
        match text.split_once(": ") {
            Some((file, rest)) if !file.starts_with("--") => {
                format!("{}: {}", self.file(file), self.text(rest, Text::Other))
            }
            _ => self.text(text, Text::Other),
        }
    }

    fn line(&mut self, line: Line) -> Line {
        let Line { source, line, text } = line;
        Line { source: self.file(&source), line, text: self.text(&text, Text::Line) }
    }

    fn traffic(&mut self, row: Traffic) -> Traffic {
        let Traffic { source, destination, cluster, connections, failures, bytes } = row;
        let (source, destination) = (self.said(&source), self.said(&destination));
        Traffic { source, destination, cluster: self.said(&cluster), connections, failures, bytes }
    }

    fn service(&mut self, row: Service) -> Service {
        let Service {
            service,
            connections,
            failures,
            per_minute,
            mtls,
            plaintext,
            between_ms,
            proxy_ms,
            service_ms,
            endpoints,
        } = row;
        let server = |server: Server| {
            let Server { address, pod, connections, bytes } = server;
            Server { address: self.said(&address), pod: pod.map(|name| self.behind("pod", &name)), connections, bytes }
        };
        let endpoints = endpoints.into_iter().map(server).collect();
        Service {
            service: self.said(&service),
            connections,
            failures,
            per_minute,
            mtls,
            plaintext,
            between_ms,
            proxy_ms,
            service_ms,
            endpoints,
        }
    }

    /// Sorted anew: the order of the real addresses would tell of them.
    fn addresses(&mut self, rows: Vec<Address>) -> Vec<Address> {
        let row = |row: Address| {
            let Address { address, kind, pod, namespace, workload, tenants, services } = row;
            let tenant = |tenant: Tenant| {
                let Tenant { namespace, workload, first, last } = tenant;
                Tenant {
                    namespace: namespace.map(|name| self.behind("namespace", &name)),
                    workload: self.behind("workload", &workload),
                    first,
                    last,
                }
            };
            let tenants = tenants.into_iter().map(tenant).collect();
            let belonging = |belonging: Belonging| {
                let Belonging { port, service, by } = belonging;
                Belonging { port, service: self.said(&service), by }
            };
            let services = services.into_iter().map(belonging).collect();
            Address {
                address: self.said(&address),
                kind,
                pod: pod.map(|name| self.behind("pod", &name)),
                namespace: namespace.map(|name| self.behind("namespace", &name)),
                workload: workload.map(|name| self.behind("workload", &name)),
                tenants,
                services,
            }
        };
        let mut shown: Vec<Address> = rows.into_iter().map(row).collect();
        shown.sort_by(|a, b| a.address.cmp(&b.address));
        shown
    }

    fn reject(&mut self, group: RejectGroup) -> RejectGroup {
        let RejectGroup { reason, count, lines } = group;
        let line = |line: RejectLine| {
            let RejectLine { source, line, field, text, at } = line;
            let (text, at) = self.placed(&text, at, Text::Other);
            RejectLine { source: self.file(&source), line, field, text, at }
        };
        RejectGroup { reason, count, lines: lines.into_iter().map(line).collect() }
    }

    fn event(&mut self, group: EventGroup) -> EventGroup {
        let EventGroup { kind, count, lines } = group;
        let line = |line: EventLine| {
            let EventLine { at, namespace, pod, source, line, text } = line;
            EventLine {
                at,
                namespace: namespace.map(|name| self.behind("namespace", &name)),
                pod: pod.map(|name| self.behind("pod", &name)),
                source: self.file(&source),
                line,
                text: self.text(&text, Text::Other),
            }
        };
        EventGroup { kind, count, lines: lines.into_iter().map(line).collect() }
    }

    fn lines(&mut self, lines: Lines) -> Lines {
        let Lines {
            total,
            access,
            other,
            rejected,
            formats,
            envelopes,
            doubtful,
            tolerated,
            outside,
            merged,
            repeated,
            simplified,
        } = lines;
        let built_in = |name: &str| name.is_empty() || name == "by-shape" || format::names().any(|known| known == name);
        let mut shown: BTreeMap<String, u64> = BTreeMap::new();
        for (name, count) in formats {
            let name = if built_in(&name) { name } else { self.names.of(&Shape::Named(Kind::Format, &name)) };
            *shown.entry(name).or_default() += count;
        }
        Lines {
            total,
            access,
            other,
            rejected,
            formats: shown,
            envelopes,
            doubtful,
            tolerated,
            outside,
            merged,
            repeated,
            simplified,
        }
    }

    fn connections(&mut self, connections: Connections) -> Connections {
        let Connections { total, paired, matched_by, unpaired, closed_early, left_out, failures } = connections;
        let failures = failures.into_iter().map(|(flags, count)| (self.said(&flags), count)).collect();
        Connections { total, paired, matched_by, unpaired, closed_early, left_out, failures }
    }

    /// A leg: its fields by what they hold, our own keys by theirs, all others as what they are, a stranger's.
    fn leg(&mut self, leg: Value) -> Value {
        let Value::Object(leg) = leg else { return Value::Null };
        let mut shown = Map::new();
        for (key, value) in leg {
            let Value::String(text) = value else {
                shown.insert(self.key(key), value);
                continue;
            };
            let text = match (Field::of_key(&key), key.as_str()) {
                (Some(field), _) => self.field(field, &text),
                (None, "pod") => self.behind("pod", &text),
                (None, "namespace") => self.behind("namespace", &text),
                (None, "node") => {
                    self.known.node(&text);
                    self.behind("node", &text)
                }
                (None, "source") => self.file(&text),
                (None, "side" | "arrived") => text,
                (None, _) => self.value(&text),
            };
            shown.insert(self.key(key), text.into());
        }
        Value::Object(shown)
    }

    /// A key of a leg: ours, Istio's, or one that somebody made up.
    fn key(&mut self, key: String) -> String {
        const OURS: [&str; 8] = ["pod", "container", "node", "arrived", "namespace", "side", "source", "line"];
        let ours = Field::of_key(&key).is_some() || OURS.contains(&key.as_str());
        if ours || operator::is_known(&key) { key } else { self.names.of(&Shape::Named(Kind::Value, &key)) }
    }

    fn field(&mut self, field: Field, text: &str) -> String {
        match field {
            Field::SourceNamespace | Field::DestinationNamespace => self.behind("namespace", text),
            Field::SourceWorkload | Field::DestinationWorkload => self.behind("workload", text),
            Field::SourceCluster | Field::DestinationCluster => self.behind("src.cluster", text),
            Field::StartTime
            | Field::EmitTime
            | Field::Method
            | Field::Path
            | Field::Protocol
            | Field::ResponseCode
            | Field::ResponseFlags
            | Field::ResponseCodeDetails
            | Field::ConnectionTerminationDetails
            | Field::UpstreamTransportFailureReason
            | Field::BytesReceived
            | Field::BytesSent
            | Field::Duration
            | Field::UpstreamServiceTime
            | Field::XForwardedFor
            | Field::UserAgent
            | Field::RequestId
            | Field::Authority
            | Field::UpstreamHost
            | Field::UpstreamCluster
            | Field::UpstreamLocalAddress
            | Field::DownstreamLocalAddress
            | Field::DownstreamRemoteAddress
            | Field::DirectRemoteAddress
            | Field::RequestedServerName
            | Field::RouteName
            | Field::PolicyStatus
            | Field::Event
            | Field::Direction
            | Field::SourceIdentity
            | Field::DestinationIdentity
            | Field::DestinationService
            | Field::TunnelAddress
            | Field::Error => self.value(text),
        }
    }

    /// One value, the same as where it stands between quotes in a line.
    fn value(&mut self, text: &str) -> String {
        let shown = self.text(&format!("\"{text}\""), Text::Line);
        shown.get(1..shown.len().saturating_sub(1)).unwrap_or_default().to_owned()
    }

    /// A name behind a key.
    fn behind(&mut self, key: &str, name: &str) -> String {
        let reader = Reader { words: &self.words, known: &self.known, said: false, counts: true };
        match reader.word(name, Context { before: key, ..Context::default() }) {
            Some(shapes) => shapes.iter().map(|shape| self.names.of(shape)).collect(),
            None => self.value(name),
        }
    }

    /// The name of an input: of an archive and of what is in it.
    fn file(&mut self, name: &str) -> String {
        if name == crate::source::expand::STDIN || name == "?" {
            return name.to_owned();
        }
        let parts: Vec<String> = name.split('!').map(|part| self.names.of(&Shape::Named(Kind::File, part))).collect();
        parts.join("!")
    }

    /// A sentence of ours; one quotes a line.
    fn said(&mut self, text: &str) -> String {
        const QUOTES: &str = " goes on with what it had: ";
        match text.find(QUOTES).map(|at| text.split_at(at + QUOTES.len())) {
            Some((said, line)) => self.text(said, Text::Said) + &self.text(line, Text::Other),
            None => self.text(text, Text::Said),
        }
    }

    fn text(&mut self, text: &str, kind: Text) -> String {
        self.placed(text, 0, kind).0
    }

    /// A text, and where a place in it is now.
    fn placed(&mut self, text: &str, place: usize, kind: Text) -> (String, usize) {
        let (text, place) = text::plain(text, place);
        let reader =
            Reader { words: &self.words, known: &self.known, said: kind == Text::Said, counts: kind != Text::Other };
        let (mut shown, mut moved) = (String::with_capacity(text.len()), 0);
        for part in reader.text(&text) {
            if part.at <= place {
                moved = shown.len();
                if let Shape::Kept(kept) = part.shape {
                    moved += (place - part.at).min(kept.len());
                }
            }
            shown.push_str(&self.names.of(&part.shape));
        }
        (shown, moved)
    }
}
