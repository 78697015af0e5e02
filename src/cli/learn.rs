//! `logscan learn`: a file of expectations from a healthy log.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use super::merge::join;
use super::{Given, INTERRUPTED, TROUBLE, ending, notice};
use crate::learn::Learned;
use crate::report::Report;
use crate::run::{Pass, Settings, batch};
use crate::sinks::Sink;
use crate::source::expand::Expanded;

/// Writes a file for `--expect` from a healthy log: who calls what, through which clusters.
#[derive(Debug, clap::Args)]
pub(super) struct Learn {
    /// Logs to learn from: files, folders, archives, patterns; standard input if there are none
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Where to write: TOML, or YAML if the name ends with .yaml or .yml; standard output without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Learn from what `logscan --save` has saved, too
    #[arg(long, value_name = "STATE")]
    state: Vec<PathBuf>,

    #[command(flatten)]
    given: Given,

    /// Threads that read files, 0 for one a core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
}

/// Shows nothing: what was learned is in the report.
struct Nothing;

impl Sink for Nothing {
    fn finish(&mut self, _: &Report) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs the command.
pub(super) fn run(arguments: &Learn, stop: &Arc<AtomicBool>) -> anyhow::Result<ExitCode> {
    let stdin = [PathBuf::from("-")];
    let none = arguments.files.is_empty() && arguments.state.is_empty();
    let files = if none { &stdin[..] } else { &arguments.files };
    if none && io::stdin().is_terminal() {
        anyhow::bail!("no log to learn from: name files, or pipe one in");
    }
    let settings = Settings { learn: true, ..Settings::plain(arguments.given.formats()?, arguments.threads) };
    let mut pass = Pass::new(&settings, Box::new(Nothing));
    batch::run(&mut pass, Expanded::of(files, stop), stop)?;
    join(&mut pass, &arguments.state)?;
    let report = pass.finish(stop.load(Ordering::Relaxed))?;
    let code = ending(None, &report);
    // Half of a log would make a file by which the other half deviates.
    if report.interrupted {
        notice("interrupted: nothing was written");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let Some(learned) = report.learned.as_ref().filter(|learned| !learned.expect.is_empty()) else {
        if report.lines.access > 0 {
            notice("nothing was written: the log has no call that went well and says who called what");
        }
        return Ok(ExitCode::from(TROUBLE));
    };
    write(learned, arguments.output.as_deref())?;
    if let Some(text) = left_out(learned) {
        notice(&text);
    }
    Ok(code)
}

fn write(learned: &Learned, output: Option<&Path>) -> anyhow::Result<()> {
    let mut comments = vec![
        format!(
            "What may call what, learned by logscan {}. For logscan --expect; edit it as you like.",
            env!("CARGO_PKG_VERSION")
        ),
        "A row without ports or clusters means any; a passthrough row accepts the use of PassthroughCluster."
            .to_owned(),
    ];
    comments.extend(left_out(learned));
    let extension = output.and_then(Path::extension).and_then(|extension| extension.to_str());
    let yaml = extension.is_some_and(|extension| ["yaml", "yml"].contains(&extension));
    let text = if yaml { learned.expect.to_yaml(&comments) } else { learned.expect.to_toml(&comments) };
    match output {
        Some(file) => std::fs::write(file, text).with_context(|| file.display().to_string()),
        None => Ok(io::stdout().lock().write_all(text.as_bytes())?),
    }
}

/// What was not learned, and why, if there is something.
fn left_out(learned: &Learned) -> Option<String> {
    let reasons: Vec<String> = learned.left_out.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let some = !reasons.is_empty();
    some.then(|| format!("connections left out, because they did not go well: {}", reasons.join(", ")))
}
