//! JSON for programs: one document at the end, or one object a line as things happen.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::{Map, Value};

use super::Sink;
use super::clean::Harmless;
use crate::field::flag::Flags;
use crate::field::{Field, Kind};
use crate::record::Record;
use crate::report::{Report, Shown, Told};

/// One document.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    connections: Option<Vec<Shown>>,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(rename = "connection_list", skip_serializing_if = "Option::is_none")]
    connections: Option<&'a [Shown]>,
}

impl<W: Write> Json<W> {
    /// Writes to `out`; with `connections` they are a list at the end of the document.
    pub fn new(out: W, connections: bool) -> Json<W> {
        Json { out, connections: connections.then(Vec::new) }
    }
}

impl<W: Write> Sink for Json<W> {
    fn wants_connections(&self) -> bool {
        self.connections.is_some()
    }

    fn connection(&mut self, connection: &Shown) -> io::Result<()> {
        if let Some(connections) = &mut self.connections {
            connections.push(connection.clone());
        }
        Ok(())
    }

    fn finish(&mut self, report: &Report) -> io::Result<()> {
        document(&mut self.out, &Document { report, connections: self.connections.as_deref() })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One document, whatever it is of.
pub fn document<W: Write>(out: W, document: &impl Serialize) -> io::Result<()> {
    // serde writes a few letters at a time, each of which is looked at: better at many at once.
    let mut out = BufWriter::with_capacity(16 << 10, Harmless(out));
    serde_json::to_writer_pretty(&mut out, document)?;
    writeln!(out)?;
    out.flush()
}

/// One object a line, told apart by `type`.
#[derive(Debug)]
pub struct Ndjson<W> {
    out: W,
    connections: bool,
    /// Code and subject of the findings that are out.
    told: std::collections::BTreeSet<(&'static str, String)>,
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    r#type: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

impl<W: Write> Ndjson<W> {
    /// Writes to `out`.
    pub fn new(out: W, connections: bool) -> Ndjson<W> {
        Ndjson { out, connections, told: std::collections::BTreeSet::new() }
    }

    fn line(&mut self, r#type: &'static str, body: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Tagged { r#type, body })?;
        line.push(b'\n');
        Harmless(&mut self.out).write_all(&line)
    }
}

impl<W: Write> Sink for Ndjson<W> {
    fn wants_connections(&self) -> bool {
        self.connections
    }

    fn connection(&mut self, connection: &Shown) -> io::Result<()> {
        self.line("connection", connection)
    }

    fn finding(&mut self, finding: &Told) -> io::Result<()> {
        if self.told.insert((finding.code, finding.subject.clone())) { self.line("finding", finding) } else { Ok(()) }
    }

    fn finish(&mut self, report: &Report) -> io::Result<()> {
        for told in &report.findings {
            self.finding(told)?;
        }
        self.line("summary", report)?;
        self.out.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A leg as an object with the keys of Istio's JSON encoding: numbers are numbers, absent is `null`. Commands outside
/// of the table follow under the names that the format gives them.
pub fn leg_object(record: &Record<'_>, extras: &[String]) -> Map<String, Value> {
    let mut object = Map::new();
    for field in Field::ALL {
        let value = match field.kind() {
            Kind::Integer | Kind::Millis => record.integer(*field).map(Value::from),
            Kind::Flags => record.text(*field).map(|text| String::from_utf8_lossy(&Flags::short(&text)).into()),
            _ => record.text(*field).map(|text| {
                let text = if *field == Field::UpstreamCluster { crate::cluster::trimmed(&text) } else { &text };
                Value::from(String::from_utf8_lossy(text))
            }),
        };
        object.insert(field.key().to_owned(), value.unwrap_or(Value::Null));
    }
    for (number, name) in extras.iter().enumerate() {
        let text = record.extra(number);
        object.insert(name.clone(), text.map_or(Value::Null, |text| String::from_utf8_lossy(&text).into()));
    }
    object
}
