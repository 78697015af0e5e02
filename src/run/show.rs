//! Connections that are closed, as outputs want them: as objects, or as rows of their table.

use std::io;

use rayon::prelude::*;
use serde_json::Value;

use super::{Judged, Pass};
use crate::claims;
use crate::cluster::Cluster;
use crate::format::Formats;
use crate::ledger::Ledger;
use crate::leg::{Leg, Protocol, Side};
use crate::names::Sym;
use crate::pair::{self, Connection};
use crate::record::{Kept, Spans};
use crate::replay::{Prediction, Replayed};
use crate::report::{Inputs, Shown};
use crate::scan::Shelved;
use crate::sinks::leg_object;
use crate::table::{Apart, Batch, ConnectionRow, Known, LegRow};

/// How many connections become rows together, and how many of them on one thread. A connection takes 1 KB until it is a row.
const TOGETHER: usize = 2048;
const SIDE_BY_SIDE: usize = 512;

/// Room for rows: it stays, since what comes and goes in large pieces leaves holes in memory.
#[derive(Default)]
pub(super) struct Room {
    /// The bytes of records.
    records: Vec<u8>,
    /// Rows that are made side by side.
    batches: Vec<Batch>,
}

/// A connection and the lines that were kept of it.
struct Lines<'c> {
    closed: &'c Connection,
    /// The client's leg, the server's.
    legs: [Option<(Leg, Shelved)>; 2],
}

/// What the run has learned so far, for threads to share.
#[derive(Clone, Copy)]
struct Learned<'p> {
    judged: Option<&'p Judged>,
    replayed: Option<&'p Replayed<'p>>,
    ledger: &'p Ledger,
    inputs: &'p Inputs,
    formats: &'p Formats,
}

impl Pass<'_> {
    /// Shows the connections that are closed.
    pub(super) fn show(&mut self) -> io::Result<()> {
        let mut closed = std::mem::take(&mut self.closing.connections);
        if closed.len() == 0 {
            return Ok(());
        }
        self.judge();
        closed.sort();
        if let Some((selection, _)) = self.sink.wants_rows() {
            let mut room = std::mem::take(&mut self.room);
            room.batches.resize_with(TOGETHER / SIDE_BY_SIDE, || selection.batch());
            closed.chunks(TOGETHER).try_for_each(|some| self.rows(&some, &mut room))?;
            self.room = room;
        } else {
            for connection in closed.chunks(TOGETHER).flatten() {
                let shown = self.shown(&connection);
                let shown = match &mut self.redactor {
                    Some(redactor) => redactor.shown(shown),
                    None => shown,
                };
                self.sink.connection(&shown)?;
            }
        }
        closed.clear();
        self.closing.connections = closed;
        Ok(())
    }

    /// Whether everything that lay in temporary files could be read again. An error says where it lay.
    pub(super) fn check(&mut self) -> io::Result<()> {
        let lost = self.pairer.lost().or(self.closing.held.lost.take()).or_else(|| self.closing.ledger.lost());
        lost.map_or(Ok(()), |error| {
            let place = format!("a temporary file in {}", std::env::temp_dir().display());
            Err(io::Error::new(error.kind(), format!("{place} cannot be read again: {error}")))
        })
    }

    fn shown(&mut self, connection: &Connection) -> Shown {
        let (findings, unpaired) = self.learned().told(connection);
        Shown {
            outbound: connection.outbound.map(|leg| self.leg(&leg)),
            inbound: connection.inbound.map(|leg| self.leg(&leg)),
            matched_by: connection.matched.map(pair::Match::name),
            unpaired,
            prediction: self.learned().prediction(connection),
            findings,
        }
    }

    /// Shows connections as rows, which are made side by side.
    fn rows(&mut self, closed: &[Connection], room: &mut Room) -> io::Result<()> {
        let Room { records, batches } = room;
        records.clear();
        let mut line = |leg: Option<Leg>| Some((leg?, self.closing.held.take(leg?.kept, records)?));
        let closed: Vec<Lines> =
            closed.iter().map(|closed| Lines { closed, legs: [line(closed.outbound), line(closed.inbound)] }).collect();
        self.check()?;
        let Some((selection, filter)) = self.sink.wants_rows() else { return Ok(()) };
        let learned = self.learned();
        let wanted = |row: &ConnectionRow<'_>| filter.is_none_or(|filter| filter.takes(row));
        closed.par_chunks(SIDE_BY_SIDE).zip(&mut *batches).for_each(|(closed, batch)| {
            for lines in closed {
                learned.row(lines, records, |row| {
                    if wanted(row) {
                        batch.add(selection, row);
                    }
                });
            }
        });
        for batch in batches {
            self.sink.rows(batch)?;
            batch.clear();
        }
        Ok(())
    }

    fn learned(&self) -> Learned<'_> {
        Learned {
            judged: self.judged.as_ref().map(|(_, _, judged)| judged),
            replayed: self.replayed.as_ref(),
            ledger: &self.closing.ledger,
            inputs: &self.inputs,
            formats: &self.settings.formats,
        }
    }

    fn leg(&mut self, leg: &Leg) -> Value {
        let way = self.closing.ledger.ways()[leg.way as usize];
        let mut bytes = Vec::new();
        let kept = self.closing.held.take(leg.kept, &mut bytes);
        let extras = |kept: &Kept| {
            let format = self.settings.formats.list().get(kept.format as usize);
            format.map_or(&[][..], |format| &format.extras)
        };
        let object = |kept: &Kept, extras: &[String]| leg_object(&kept.record(&bytes, &kept.spans(&bytes)), extras);
        let mut object = kept.as_ref().map(|kept| object(&kept.record, extras(&kept.record))).unwrap_or_default();
        let name = |name| Some(self.closing.ledger.show(name).into_owned()).filter(|name| !name.is_empty());
        let of = |which: fn(&Shelved) -> Sym| kept.as_ref().and_then(|kept| name(which(kept)));
        object.insert("pod".to_owned(), of(|kept| kept.pod).into());
        object.insert("container".to_owned(), of(|kept| kept.container).into());
        object.insert("node".to_owned(), of(|kept| kept.node).into());
        let arrived = kept.as_ref().and_then(|kept| kept.arrived).map(|time| time.to_string());
        object.insert("arrived".to_owned(), arrived.into());
        object.insert("namespace".to_owned(), name(way.namespace).into());
        object.insert("side".to_owned(), way.side.name().into());
        object.insert("source".to_owned(), self.inputs.name(leg.origin.source).into());
        object.insert("line".to_owned(), leg.origin.line.into());
        Value::Object(object)
    }
}

impl Learned<'_> {
    /// The names of the findings that a connection belongs to, and why it has one leg only.
    fn told(&self, connection: &Connection) -> (Vec<&'static str>, Option<&'static str>) {
        let Some(judged) = self.judged else { return Default::default() };
        let legs = [connection.outbound, connection.inbound].into_iter().flatten();
        let mut findings: Vec<&'static str> =
            legs.flat_map(|leg| judged.names.get(leg.way as usize).into_iter().flatten().copied()).collect();
        findings.sort_unstable();
        findings.dedup();
        let ledger = self.ledger;
        let alone = connection.leading().filter(|_| connection.matched.is_none());
        let why = |leg: &Leg| judged.topology.why_alone(&ledger.ways()[leg.way as usize], leg.other(), &ledger.names);
        (findings, alone.map(|leg| why(leg).name()))
    }

    /// What the configuration says of it, by the leg that tells.
    fn prediction(&self, connection: &Connection) -> Option<Prediction> {
        self.replayed?.prediction(connection.leading()?.way)
    }

    /// Who called what, by the leg that tells.
    fn known(&self, leg: &Leg) -> Known {
        let Some(judged) = self.judged else { return Known::default() };
        let (ledger, topology) = (self.ledger, &judged.topology);
        let way = &ledger.ways()[leg.way as usize];
        let destinations = claims::destinations(ledger, topology, way);
        let cluster = Cluster::read(ledger.names.get(way.cluster));
        // HTTP goes by its host, so the cluster is the destination.
        let other = destinations.first().filter(|service| {
            leg.side == Side::Outbound && leg.protocol == Protocol::Tcp && service.as_bytes() != cluster.host
        });
        Known {
            source_workload: match leg.side {
                Side::Outbound | Side::Gateway => claims::source(ledger, topology, way),
                Side::Inbound | Side::Unknown => claims::workload_at(ledger, topology, leg.peer.ip())
                    .unwrap_or_else(|| leg.peer.ip().show(&ledger.names).to_string()),
            },
            expected_cluster: other.map_or(String::new(), |host| format!("outbound|{}||{host}", way.dest.port())),
            destination: destinations.into_iter().next().unwrap_or_else(|| way.dest.show(&ledger.names).to_string()),
            ..Known::default()
        }
    }

    /// A connection as a row, which lives as long as `add` looks at it.
    fn row(&self, lines: &Lines<'_>, records: &[u8], add: impl FnOnce(&ConnectionRow<'_>)) {
        let (findings, unpaired) = self.told(lines.closed);
        let predicted = self.prediction(lines.closed);
        let known = Known {
            matched_by: lines.closed.matched.map(pair::Match::name),
            unpaired,
            prediction: predicted.as_ref().map(|predicted| predicted.prediction),
            predicted_cluster: predicted.and_then(|predicted| predicted.predicted_cluster).unwrap_or_default(),
            findings: findings.join(","),
            ..lines.closed.leading().map(|leg| self.known(leg)).unwrap_or_default()
        };
        let spans = [0, 1].map(|number| lines.legs[number].as_ref().map(|(_, line)| line.record.spans(records)));
        let row = |number: usize| {
            let (leg, line) = lines.legs[number].as_ref()?;
            Some(self.leg_row(leg, line, records, spans[number].as_ref()?))
        };
        add(&ConnectionRow { outbound: row(0), inbound: row(1), known });
    }

    fn leg_row<'r>(&'r self, leg: &Leg, line: &Shelved, records: &'r [u8], spans: &'r Spans) -> LegRow<'r> {
        let names = &self.ledger.names;
        let format = self.formats.list().get(line.record.format as usize);
        LegRow {
            record: line.record.record(records, spans),
            extras: format.map_or(&[], |format| &format.extras),
            format: format.map_or("", |format| &format.name),
            start: leg.start,
            end: leg.end(),
            side: leg.side,
            source: self.inputs.name(leg.origin.source),
            line: leg.origin.line,
            namespace: names.get(self.ledger.ways()[leg.way as usize].namespace),
            pod: names.get(line.pod),
            container: names.get(line.container),
            node: names.get(line.node),
            arrived: line.arrived,
            apart: Apart::default(),
        }
    }
}
