//! How a log fits the formats: which were met, how many lines fit, and the first that do not.

use std::io::{self, Write};

use super::text::{inputs, plural};
use super::{Sink, Style, Text};
use crate::format::Formats;
use crate::report::Report;

/// What `logscan formats --check` prints.
#[derive(Debug)]
pub struct Check<'f, W> {
    text: Text<W>,
    formats: &'f Formats,
}

impl<'f, W: Write> Check<'f, W> {
    /// Writes to `out`; the formats tell what their names mean.
    pub fn new(out: W, style: Style, formats: &'f Formats) -> Check<'f, W> {
        Check { text: Text::new(out, false, style), formats }
    }
}

impl<W: Write> Sink for Check<'_, W> {
    fn finish(&mut self, report: &Report) -> io::Result<()> {
        let Check { text, formats } = self;
        let lines = &report.lines;
        text.row("Input", &inputs(report))?;
        text.row("Fit", &format!("{} of {} lines are access lines that read", lines.access, lines.total))?;
        for (name, count) in &lines.formats {
            let summary = formats.list().iter().find(|format| format.name == *name).map(|format| &*format.summary);
            text.row("Format", &format!("{name}: {}; {}", plural(*count, "line"), summary.unwrap_or_default()))?;
        }
        for (name, count) in &lines.envelopes {
            text.row("Around", &format!("{name}: {}", plural(*count, "line")))?;
        }
        for (kind, count) in &lines.other {
            text.row("Other", &format!("{kind}: {}", plural(*count, "line")))?;
        }
        text.groups("Reject", &report.rejects)?;
        text.groups("Unread", &report.unread)?;
        text.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.text.flush()
    }
}
