//! The report for a terminal: first what is wrong and what to do, then the lines that show it, then the numbers.

mod lint;
mod proof;
mod tables;

use std::collections::BTreeSet;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style as Ansi};

use super::Sink;
use super::clean::{clean, clip, wrap};
use crate::finding::Grade;
use crate::report::{RejectGroup, Report, Shown, Told};
use crate::topology::Alone;

/// How the report may look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether it shows colours.
    pub colour: bool,
}

impl Style {
    /// The text in a style of the terminal, if it shows colours.
    pub(super) fn paint(self, text: &str, ansi: Ansi) -> String {
        if self.colour { format!("{ansi}{text}{ansi:#}") } else { text.to_owned() }
    }
}

/// How many findings are shown.
const FINDINGS: usize = 20;

/// The report.
#[derive(Debug)]
pub struct Text<W> {
    out: W,
    connections: bool,
    style: Style,
    /// The findings that a live run has shown: code and subject.
    told: BTreeSet<(&'static str, String)>,
}

impl<W: Write> Text<W> {
    /// Writes to `out`; with `connections` each is a line.
    pub fn new(out: W, connections: bool, style: Style) -> Text<W> {
        let style = Style { width: style.width.clamp(40, 200), ..style };
        Text { out, connections, style, told: BTreeSet::new() }
    }

    fn paint(&self, text: &str, ansi: Ansi) -> String {
        self.style.paint(text, ansi)
    }

    fn severity(&self, severity: &str) -> String {
        let colour = match severity {
            "error" => AnsiColor::Red,
            "warning" => AnsiColor::Yellow,
            _ => AnsiColor::Cyan,
        };
        self.paint(&severity.to_uppercase(), colour.on_default().bold())
    }

    fn headline(&mut self, report: &Report) -> io::Result<()> {
        let count = |severity: &str| report.findings.iter().filter(|told| told.severity == severity).count();
        let counts: Vec<String> = ["error", "warning", "info"]
            .into_iter()
            .filter(|severity| count(severity) > 0)
            .map(|severity| format!("{} {severity}", count(severity)))
            .collect();
        let total = plural(report.connections.total, "connection");
        let line = match report.findings.len() {
            0 if report.lines.access == 0 => "Nothing was read: no access line was recognised".to_owned(),
            0 => format!("No findings in {total}"),
            some => format!("{} in {total}: {}", plural(some as u64, "finding"), counts.join(", ")),
        };
        let line = self.paint(&line, Ansi::new().bold());
        writeln!(self.out, "{line}")
    }

    /// What is wrong and what to do.
    fn told(&mut self, told: &Told) -> io::Result<()> {
        let severity = self.severity(told.severity);
        let name = self.paint(told.name, Ansi::new().bold());
        writeln!(self.out, "\n{severity} {} {name} ({}) x{}", told.code, told.grade, told.count)?;
        self.field("What", &clean(&told.subject))?;
        if let (Some(first), Some(last)) = (&told.first, &told.last) {
            self.field("When", &if first == last { first.clone() } else { format!("{first} to {last}") })?;
        }
        self.field("Why", &clean(&told.why))?;
        self.field("Do", &clean(&told.fix))?;
        if !told.check.is_empty() {
            self.field("Check", &clean(&told.check))?;
        }
        Ok(())
    }

    /// The lines that show what was told.
    fn evidence(&mut self, findings: &[Told]) -> io::Result<()> {
        if findings.iter().all(|told| told.evidence.is_empty()) {
            return Ok(());
        }
        let head = self.paint("Evidence", Ansi::new().bold());
        writeln!(self.out, "\n{head}")?;
        for told in findings {
            // One of each side, where both say so.
            let lines = if told.grade == Grade::Proven.name() { 2 } else { 1 };
            for line in told.evidence.iter().take(lines) {
                let place = self.paint(&format!("{}:{}", clean(&line.source), line.line), Ansi::new().dimmed());
                writeln!(self.out, "  {} {place}", told.code)?;
                let text = clip(&clean(&line.text), (self.style.width - 7) * 6);
                for part in wrap(&text, self.style.width - 7) {
                    writeln!(self.out, "       {part}")?;
                }
            }
        }
        Ok(())
    }

    /// A labelled paragraph.
    pub(super) fn field(&mut self, label: &str, text: &str) -> io::Result<()> {
        let label = self.paint(&format!("{label:<5}"), Ansi::new().dimmed());
        for (number, line) in wrap(text, self.style.width - 8).iter().enumerate() {
            if number == 0 {
                writeln!(self.out, "  {label} {line}")?;
            } else {
                writeln!(self.out, "        {line}")?;
            }
        }
        Ok(())
    }

    fn numbers(&mut self, report: &Report) -> io::Result<()> {
        let lines = &report.lines;
        writeln!(self.out)?;
        let inputs = inputs(report);
        let spoken: Vec<String> = lines.formats.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let wrapped: Vec<String> = lines
            .envelopes
            .iter()
            .filter(|(name, _)| **name != "none")
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let mut input = format!("{inputs}: {}, {} access", plural(lines.total, "line"), lines.access);
        if !spoken.is_empty() {
            input = format!("{input} ({})", [spoken, wrapped].concat().join(", "));
        }
        self.row("Input", &input)?;
        let skipped: Vec<String> = report.skipped.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        if !skipped.is_empty() {
            self.row("", &format!("files left out: {}", skipped.join(", ")))?;
        }
        let others: Vec<String> = lines.other.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        if !others.is_empty() {
            self.row("", &format!("other lines: {}", others.join(", ")))?;
        }
        for (count, what) in [
            (lines.outside, "lines are outside of the time that was asked for"),
            (report.connections.left_out, "connections were left out: none of their lines is wanted"),
            (lines.merged, "lines told of a connection again and were merged"),
            (lines.repeated, "lines were there before and were not counted again"),
            (lines.doubtful, "lines have headers that could be cut in more than one way"),
            (lines.tolerated, "lines have more columns than their format"),
            (lines.simplified, "lines were counted without their details: there were too many different ways"),
        ] {
            if count > 0 {
                self.row("", &format!("{count} {what}"))?;
            }
        }
        if let (Some(first), Some(last)) = (&report.first, &report.last) {
            self.row("Time", &format!("{first} to {last}"))?;
        }
        let connections = &report.connections;
        let matched: Vec<String> =
            connections.matched_by.iter().map(|(by, count)| format!("{count} by {by}")).collect();
        let by = if matched.is_empty() { String::new() } else { format!(" ({})", matched.join(", ")) };
        let unpaired = connections.total - connections.paired;
        self.row(
            "Pairs",
            &format!("{} of {}{by}, {unpaired} alone", connections.paired, plural(connections.total, "connection")),
        )?;
        for (reason, count) in &connections.unpaired {
            let meaning =
                Alone::ALL.iter().find(|alone| alone.name() == *reason).map_or(*reason, |alone| alone.meaning());
            self.row("", &format!("{count} {meaning}"))?;
        }
        if connections.closed_early > 0 {
            self.row("", &format!("{} legs were given up early because memory was short", connections.closed_early))?;
        }
        let failures: Vec<String> =
            connections.failures.iter().map(|(flags, count)| format!("{} {count}", clean(flags))).collect();
        if !failures.is_empty() {
            self.row("Flags", &failures.join("  "))?;
        }
        for group in &report.events {
            let Some(first) = group.lines.first() else { continue };
            let who = first.pod.as_deref().unwrap_or(&first.source);
            let when = first.at.as_deref().map_or(String::new(), |at| format!(" at {at}"));
            self.row("Proxy", &format!("{} {}: first {}{when}", group.kind, group.count, clean(who)))?;
        }
        if let Some(expected) = &report.expectations {
            let unused = match &expected.unused[..] {
                [] => String::new(),
                [first] => format!("; never: {first}"),
                [first, rest @ ..] => format!("; never: {first}, and {} more", rest.len()),
            };
            let line = format!("{} of {} rows of the file were seen{unused}", expected.matched, expected.rows);
            self.row("Expect", &clean(&line))?;
        }
        if let Some(mesh) = &report.mesh {
            self.mesh(mesh)?;
        }
        if report.redacted {
            self.row("Note", "names, addresses, paths and values are stand-ins; equal ones are equal")?;
        }
        if report.interrupted {
            self.row("Note", "interrupted before the input ended")?;
        }
        Ok(())
    }

    /// A labelled line of the numbers.
    pub(super) fn row(&mut self, label: &str, text: &str) -> io::Result<()> {
        let label = self.paint(&format!("{label:<6}"), Ansi::new().dimmed());
        for (number, line) in wrap(text, self.style.width - 7).iter().enumerate() {
            if number == 0 {
                writeln!(self.out, "{label} {line}")?;
            } else {
                writeln!(self.out, "       {line}")?;
            }
        }
        Ok(())
    }

    /// Lines that were not read, by reason, with a mark under the place.
    pub(super) fn groups(&mut self, label: &str, groups: &[RejectGroup]) -> io::Result<()> {
        for group in groups {
            self.row(label, &format!("{}: {}", group.reason, plural(group.count, "line")))?;
            for line in &group.lines {
                let field = line.field.map_or(String::new(), |field| format!(" at {field}"));
                writeln!(self.out, "       {}:{}{field}", clean(&line.source), line.line)?;
                // The place, in letters, after cleaning; far-off places are brought into view.
                let before = clean(&String::from_utf8_lossy(&line.text.as_bytes()[..line.at.min(line.text.len())]));
                let width = self.style.width - 9;
                let skip = before.chars().count().saturating_sub(width / 2);
                let shown: String = clean(&line.text).chars().skip(skip).take(width).collect();
                writeln!(self.out, "         {shown}")?;
                writeln!(self.out, "         {:>1$}", "^", before.chars().count() - skip + 1)?;
            }
        }
        Ok(())
    }
}

impl<W: Write> Sink for Text<W> {
    fn wants_connections(&self) -> bool {
        self.connections
    }

    fn connection(&mut self, connection: &Shown) -> io::Result<()> {
        let Some(leg) = connection.outbound.as_ref().or(connection.inbound.as_ref()) else {
            return Ok(());
        };
        let text = |key: &str| leg.get(key).and_then(serde_json::Value::as_str).unwrap_or("-").to_owned();
        let server = connection.inbound.as_ref().and_then(|leg| leg.get("pod")?.as_str()).unwrap_or("-");
        let line = format!(
            "{} {} {} -> {} {} {} {} {}",
            text("start_time"),
            text("pod"),
            text("downstream_remote_address"),
            text("downstream_local_address"),
            text("upstream_cluster"),
            text("response_flags"),
            server,
            connection.matched_by.or(connection.unpaired).unwrap_or("-"),
        );
        writeln!(self.out, "{}", clean(&line))
    }

    fn finding(&mut self, told: &Told) -> io::Result<()> {
        if self.told.insert((told.code, told.subject.clone())) { self.told(told) } else { Ok(()) }
    }

    fn finish(&mut self, report: &Report) -> io::Result<()> {
        if !self.told.is_empty() {
            writeln!(self.out)?;
        }
        self.headline(report)?;
        let (shown, more) = report.findings.split_at(report.findings.len().min(FINDINGS));
        for told in shown {
            self.told(told)?;
        }
        if !more.is_empty() {
            writeln!(self.out, "\nand {} more: --output json shows all", plural(more.len() as u64, "finding"))?;
        }
        self.evidence(shown)?;
        self.remedies(shown)?;
        self.numbers(report)?;
        self.groups("Reject", &report.rejects)?;
        self.traffic(&report.traffic)?;
        self.services(&report.services)?;
        self.out.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The input by its name, or how many there are.
pub(super) fn inputs(report: &Report) -> String {
    match &report.inputs[..] {
        [one] => clean(one),
        many => format!("{} inputs", many.len()),
    }
}

pub(super) fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
