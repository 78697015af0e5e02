//! What configuration adds: ways out that can be applied, and how the log compares with it.

use std::io::{self, Write};

use anstyle::Style as Ansi;

use super::super::clean::clean;
use super::{Text, plural};
use crate::remedy::Remedy;
use crate::report::{Mesh, Told};

/// How many rows of a list are shown.
const ROWS: usize = 5;

impl<W: Write> Text<W> {
    /// The ways out of findings that have some.
    pub(super) fn remedies(&mut self, findings: &[Told]) -> io::Result<()> {
        self.ways_out(findings.iter().map(|told| (told.code, &*told.subject, &told.remedies[..])))
    }

    /// Ways out by the code and subject of what they are for.
    pub(super) fn ways_out<'f>(
        &mut self,
        findings: impl Iterator<Item = (&'f str, &'f str, &'f [Remedy])>,
    ) -> io::Result<()> {
        for (code, subject, remedies) in findings.filter(|(.., remedies)| !remedies.is_empty()) {
            let head = self.paint("Ways out", Ansi::new().bold());
            writeln!(self.out, "\n{head} of {code} {}", clean(subject))?;
            for (number, remedy) in (1..).zip(remedies) {
                self.row(&format!("  {number}."), &clean(&remedy.what))?;
                self.row("", &format!("({})", clean(&remedy.cost)))?;
                for line in remedy.apply.lines() {
                    writeln!(self.out, "         {}", clean(line))?;
                }
            }
        }
        Ok(())
    }

    /// How the log compares with the configuration.
    pub(super) fn mesh(&mut self, mesh: &Mesh) -> io::Result<()> {
        let compared = &mesh.compared;
        let asked = compared.explained + compared.possible + compared.differs + compared.open;
        let dumps = plural(mesh.proxies.len() as u64, "dump");
        let whence = if mesh.beside_logs { " found beside the logs" } else { "" };
        let parts: Vec<String> = [
            (compared.explained, "explained"),
            (compared.possible, "possible, by what was sent"),
            (compared.differs, "elsewhere in the configuration"),
            (compared.open, "not followed"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
        self.row("Mesh", &format!("{dumps}{whence}, {} compared{parts}", plural(asked, "line")))?;
        for (why, count) in &compared.not_asked {
            self.row("", &format!("{count} not compared: {why}"))?;
        }
        for part in mesh.left_out.iter().filter(|part| part.wrong).take(ROWS) {
            let place = if part.place.is_empty() { String::new() } else { format!(" at {}", part.place) };
            self.row("", &clean(&format!("left out {}{place}: {}", part.file, part.why)))?;
        }
        for row in mesh.differences.iter().take(ROWS) {
            let taken = row.taken.as_ref().map_or(String::new(), |taken| format!(" (dump of {taken})"));
            let text = format!(
                "{} {} to {} went to {}, the configuration says {}{taken}",
                plural(row.lines, "line"),
                row.source,
                row.destination,
                if row.logged.is_empty() { "no cluster" } else { &row.logged },
                row.predicted.join(" or ")
            );
            self.row("Differ", &clean(&text))?;
        }
        if let Some(after) = &mesh.after {
            let may = if after.may == 0 { String::new() } else { format!(", {} more may", after.may) };
            self.row("After", &format!("{} of {} lines would go elsewhere{may}", after.elsewhere, after.asked))?;
            for row in after.moves.iter().take(ROWS) {
                let from = if row.from.is_empty() { "no cluster" } else { &row.from };
                let text =
                    format!("{} {} to {}: {from} -> {}", row.lines, row.source, row.destination, row.to.join(" or "));
                self.row("", &clean(&text))?;
            }
            self.more(after.moves.len())?;
            for (label, list) in [("By", &after.changes), ("Open", &after.open)] {
                for (place, sentence) in list.iter().take(ROWS).enumerate() {
                    self.row(if place == 0 { label } else { "" }, &clean(sentence))?;
                }
                self.more(list.len())?;
            }
        }
        Ok(())
    }

    /// How many rows of a list are not shown.
    fn more(&mut self, count: usize) -> io::Result<()> {
        match count.saturating_sub(ROWS) {
            0 => Ok(()),
            more => self.row("", &format!("and {more} more: --output json shows all")),
        }
    }
}
