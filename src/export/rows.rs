//! Findings, traffic and events as rows of their tables.

use crate::field::value::time;
use crate::report::{EventLine, Told, Traffic};
use crate::table::{Cell, Row};

/// An instant as the report shows it.
fn instant(text: Option<&String>) -> Cell<'_> {
    Cell::of(text.and_then(|text| time(text.as_bytes())), Cell::time)
}

impl Row for Told {
    fn cell(&self, column: usize) -> Cell<'_> {
        let evidence = self.evidence.first();
        match column {
            0 => Cell::text(self.code),
            1 => Cell::text(self.name),
            2 => Cell::text(self.severity),
            3 => Cell::text(self.grade),
            4 => Cell::text(&self.subject),
            5 => Cell::count(self.count),
            6 => instant(self.first.as_ref()),
            7 => instant(self.last.as_ref()),
            8 => Cell::text(&self.why),
            9 => Cell::text(&self.fix),
            10 => Cell::text(&self.check),
            11 => Cell::of(evidence, |line| Cell::text(&line.source)),
            12 => Cell::of(evidence, |line| Cell::count(line.line)),
            _ => Cell::of(evidence, |line| Cell::text(&line.text)),
        }
    }
}

impl Row for Traffic {
    fn cell(&self, column: usize) -> Cell<'_> {
        match column {
            0 => Cell::text(&self.source),
            1 => Cell::text(&self.destination),
            2 => Cell::text(&self.cluster),
            3 => Cell::count(self.connections),
            4 => Cell::count(self.failures),
            _ => Cell::count(self.bytes),
        }
    }
}

/// An event, and its kind.
pub(super) struct Said<'a>(pub(super) &'static str, pub(super) &'a EventLine);

impl Row for Said<'_> {
    fn cell(&self, column: usize) -> Cell<'_> {
        let Said(kind, event) = self;
        match column {
            0 => Cell::text(kind),
            1 => instant(event.at.as_ref()),
            2 => Cell::of(event.namespace.as_deref(), Cell::text),
            3 => Cell::of(event.pod.as_deref(), Cell::text),
            4 => Cell::text(&event.source),
            5 => Cell::count(event.line),
            _ => Cell::text(&event.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    #[test]
    fn the_cells_stand_in_their_columns() {
        let traffic = Traffic {
            source: "web".into(),
            destination: "api".into(),
            cluster: "outbound|80||api".into(),
            connections: 3,
            failures: 1,
            bytes: 700,
        };
        let names: Vec<String> = Table::Traffic.columns().iter().map(|column| column.name.to_string()).collect();
        assert_eq!(names, ["source", "destination", "upstream_cluster", "connections", "failures", "bytes"]);
        assert_eq!(traffic.cell(2), Cell::Text("outbound|80||api".into()));
        assert_eq!((traffic.cell(3), traffic.cell(5)), (Cell::Number(3), Cell::Number(700)));
        let told = Told {
            code: "R301",
            name: "unexpected-cluster",
            severity: "error",
            grade: "proven",
            subject: "app-ext".into(),
            count: 7,
            first: Some("2020-07-23T14:26:27.081Z".into()),
            last: None,
            evidence: Vec::new(),
            why: "why".into(),
            fix: "fix".into(),
            check: String::new(),
            remedies: Vec::new(),
        };
        for (number, column) in Table::Findings.columns().iter().enumerate() {
            let cell = told.cell(number);
            match &*column.name {
                "code" => assert_eq!(cell, Cell::Text("R301".into())),
                "connections" => assert_eq!(cell, Cell::Number(7)),
                "first_start" => assert_eq!(cell, Cell::Time(time(b"2020-07-23T14:26:27.081Z").unwrap())),
                "why" => assert_eq!(cell, Cell::Text("why".into())),
                "last_start" | "verify" | "evidence_source" | "evidence_line" | "evidence" => {
                    assert_eq!(cell, Cell::Absent);
                }
                _ => assert!(matches!(cell, Cell::Text(_))),
            }
        }
    }
}
