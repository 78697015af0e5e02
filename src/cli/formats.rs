//! `logscan formats`: what the built-in formats look like, and with `--check` how a log fits them.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Given, TROUBLE, ending};
use crate::format;
use crate::run::{Pass, Settings, batch};
use crate::sinks::{Check, Style};
use crate::source::expand::Expanded;

/// Lists the formats that lines are tried with, or says how a log fits them.
#[derive(Debug, clap::Args)]
pub(super) struct Formats {
    /// Say which formats and envelopes a log has, how many lines fit, and show the first that do not
    #[arg(long, value_name = "FILE", num_args = 1..)]
    check: Vec<PathBuf>,

    /// Show stand-ins in the place of addresses, names, paths and values, so that the output can be shared
    #[arg(long)]
    redact: bool,

    #[command(flatten)]
    given: Given,
}

impl Formats {
    /// Whether names are not to be shown.
    pub(super) fn redacts(&self) -> bool {
        self.redact
    }
}

/// Runs the command.
pub(super) fn run(arguments: &Formats, style: Style, stop: &Arc<AtomicBool>) -> anyhow::Result<ExitCode> {
    let formats = arguments.given.formats()?;
    let out = io::BufWriter::new(io::stdout().lock());
    if arguments.check.is_empty() {
        list(out, style, &formats)?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings { explain: true, redact: arguments.redact, ..Settings::plain(formats, 0) };
    let mut pass = Pass::new(&settings, Box::new(Check::new(out, style, &settings.formats)));
    batch::run(&mut pass, Expanded::of(&arguments.check, stop), stop)?;
    let report = pass.finish(false)?;
    let code = ending(None, &report);
    let unfit = report.lines.rejected + report.unread.iter().map(|group| group.count).sum::<u64>();
    // A format that was given is to be tried out: lines that it does not fit are what was asked for.
    Ok(if settings.formats.has_given() && unfit > 0 { ExitCode::from(TROUBLE) } else { code })
}

/// Each format with a line of its own.
fn list(mut out: impl Write, style: Style, formats: &format::Formats) -> anyhow::Result<()> {
    let files = format::files()?;
    for format in formats.list() {
        writeln!(out, "{}\n  {}", format.name, format.summary)?;
        let sample = files.iter().find(|file| file.name == format.name).and_then(|file| file.sample.first());
        if let Some(sample) = sample {
            let shown: String = sample.line.chars().take(style.width.saturating_sub(2).max(40)).collect();
            writeln!(out, "  {shown}")?;
        }
    }
    out.flush()?;
    Ok(())
}
