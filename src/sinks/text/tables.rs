//! The tables at the end of the report.

use std::io::{self, Write};

use anstyle::Style as Ansi;

use super::super::clean::{clean, clip};
use super::Text;
use crate::report::{Service, Traffic};

/// How many rows of a table are shown.
const ROWS: usize = 15;

impl<W: Write> Text<W> {
    /// Who called what.
    pub(super) fn traffic(&mut self, rows: &[Traffic]) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let width = self.style.width;
        let source =
            rows.iter().take(ROWS).map(|row| row.source.chars().count()).max().unwrap_or(0).clamp(4, width / 4);
        let target = width - source - 28;
        let head = format!("{:<source$}  {:<target$} {:>8} {:>7} {:>8}", "from", "to", "conns", "failed", "bytes");
        let head = self.paint(&head, Ansi::new().dimmed());
        writeln!(self.out, "\n{head}")?;
        for row in rows.iter().take(ROWS) {
            let (from, to) = (clip(&clean(&row.source), source), clip(&clean(&row.destination), target));
            writeln!(
                self.out,
                "{from:<source$}  {to:<target$} {:>8} {:>7} {:>8}",
                row.connections,
                row.failures,
                size(row.bytes)
            )?;
            // The usual cluster of a service says nothing new, nor does the server's own.
            let usual =
                row.cluster.ends_with(&row.destination) || row.cluster.starts_with("inbound|") || row.cluster == "-";
            if !usual {
                let cluster = clip(&clean(&row.cluster), width - source - 8);
                writeln!(self.out, "{:source$}    via {cluster}", "")?;
            }
        }
        if rows.len() > ROWS {
            writeln!(self.out, "and {} more rows: --output json shows all", rows.len() - ROWS)?;
        }
        Ok(())
    }

    /// What each service is like, if there is more to say than the traffic table does.
    pub(super) fn services(&mut self, rows: &[Service]) -> io::Result<()> {
        let rows: Vec<&Service> = rows.iter().filter(|row| is_telling(row)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let name = self.style.width - 39;
        let head =
            format!("{:<name$} {:>6} {:>9} {:>6} {:>6} {:>6}", "service", "/min", "endpoints", "mTLS", "proxy", "app");
        let head = self.paint(&head, Ansi::new().dimmed());
        writeln!(self.out, "\n{head}")?;
        for row in rows.iter().take(ROWS) {
            let seen = row.mtls + row.plaintext;
            let share = (row.mtls * 100).checked_div(seen).map_or("-".to_owned(), |share| format!("{share}%"));
            let endpoints = if row.endpoints.is_empty() { "-".to_owned() } else { row.endpoints.len().to_string() };
            writeln!(
                self.out,
                "{:<name$} {:>6} {endpoints:>9} {share:>6} {:>6} {:>6}",
                clip(&clean(&row.service), name),
                short(row.per_minute, ""),
                short(row.proxy_ms, "ms"),
                short(row.service_ms, "ms"),
            )?;
        }
        if rows.len() > ROWS {
            writeln!(self.out, "and {} more rows: --output json shows all", rows.len() - ROWS)?;
        }
        Ok(())
    }
}

fn is_telling(row: &Service) -> bool {
    row.endpoints.len() > 1 || row.mtls + row.plaintext > 0 || row.service_ms.is_some() || row.per_minute.is_some()
}

/// A number in at most six letters, a dash for none.
fn short(number: Option<f64>, unit: &str) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if number < 10.0 => format!("{number:.1}{unit}"),
        Some(number) if number < 9_999.5 => format!("{number:.0}{unit}"),
        Some(number) => format!("{:.0}k{unit}", number / 1000.0),
    }
}

/// Bytes in at most seven letters.
fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if size < 1000.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    format!("{size:.0} PB")
}
