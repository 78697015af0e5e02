//! What `logscan lint` found, for a terminal: what is wrong, where, why and what to do; then the ways out.

use std::io::{self, Write};

use anstyle::Style as Ansi;

use super::super::clean::clean;
use super::{Text, plural};
use crate::finding::Severity;
use crate::lint::{Finding, Place, Report};

/// How many places of a finding are named.
const PLACES: usize = 3;
/// How many parts that were left out are named.
const LEFT_OUT: usize = 5;

impl<W: Write> Text<W> {
    /// Shows the report.
    pub fn lint(&mut self, report: &Report) -> io::Result<()> {
        let head = self.paint(&headline(report), Ansi::new().bold());
        writeln!(self.out, "{head}")?;
        for finding in &report.findings {
            self.checked(finding)?;
        }
        let ways = report.findings.iter().map(|finding| (finding.code, &*finding.subject, &finding.remedies[..]));
        self.ways_out(ways)?;
        let wrong: Vec<_> = report.left_out.iter().filter(|part| part.wrong).collect();
        if !wrong.is_empty() {
            writeln!(self.out)?;
        }
        for part in wrong.iter().take(LEFT_OUT) {
            let place = if part.place.is_empty() { String::new() } else { format!(" at {}", part.place) };
            self.row("Note", &clean(&format!("left out {}{place}: {}", part.file, part.why)))?;
        }
        if wrong.len() > LEFT_OUT {
            self.row("", &format!("and {} more parts: --output json shows all", wrong.len() - LEFT_OUT))?;
        }
        self.out.flush()
    }

    fn checked(&mut self, finding: &Finding) -> io::Result<()> {
        let severity = self.severity(finding.severity.name());
        let name = self.paint(finding.name, Ansi::new().bold());
        writeln!(self.out, "\n{severity} {} {name} ({})", finding.code, finding.grade.name())?;
        self.field("What", &clean(&finding.subject))?;
        self.field("Where", &clean(&places(&finding.places)))?;
        self.field("Why", &clean(&finding.why))?;
        self.field("Do", &clean(&finding.fix))
    }
}

fn headline(report: &Report) -> String {
    let input = format!("{} and {}", plural(report.dumps as u64, "dump"), plural(report.objects as u64, "object"));
    let counts: Vec<String> = Severity::ALL
        .iter()
        .rev()
        .map(|severity| (severity, report.findings.iter().filter(|finding| finding.severity == *severity).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| format!("{count} {}", severity.name()))
        .collect();
    match report.findings.len() {
        0 => format!("No findings in {input}"),
        some => format!("{} in {input}: {}", plural(some as u64, "finding"), counts.join(", ")),
    }
}

/// The first places, and how many there are.
fn places(places: &[Place]) -> String {
    let Some(first) = places.first() else { return String::new() };
    let part = if first.part.is_empty() { String::new() } else { format!(", {}", first.part) };
    // A dump that does not say whose it is goes by its file.
    let file = match &first.files[..] {
        [file] if *file != first.whose => format!(" ({file})"),
        _ => String::new(),
    };
    let mut others: Vec<&str> =
        places.iter().map(|place| &*place.whose).filter(|whose| *whose != first.whose).collect();
    others.sort_unstable();
    others.dedup();
    let named = others.iter().take(PLACES - 1).copied().collect::<Vec<_>>().join(", ");
    let more = match others.len() {
        0 => String::new(),
        few if few < PLACES => format!("; also {named}"),
        many => format!("; also {named} and {} more", many - (PLACES - 1)),
    };
    format!("{}{part}{file}{more}", first.whose)
}
