//! The command line: arguments become settings, a run, an exit code.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::{CommandFactory, Parser, ValueEnum};

use crate::finding::Severity;
use crate::format::Formats;
use crate::pair;
use crate::report::{Inputs, Report};
use crate::run::{Pass, Settings, batch, live};
use crate::sinks::{self, Output, Style};
use crate::source::Source;

/// Reads Envoy and Istio access logs, pairs both legs of every connection, and says which connections went
/// where they should not, and why.
///
/// Formats and envelopes (stern, kubectl, CRI, Docker) are recognised by themselves, line by line.
#[derive(Debug, Parser)]
#[command(name = "logscan", version, after_help = EXAMPLES)]
struct Arguments {
    /// Logs to read, `-` for standard input; standard input if there are none
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Show every connection too, with both legs
    #[arg(long)]
    connections: bool,

    /// Exit with 1 if there is a finding of this severity or worse
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,

    /// When to use colours
    #[arg(long, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,

    /// Threads that read files, 0 for one a core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
}

const EXAMPLES: &str = "\
Examples:
  stern -n manager . -c istio-proxy | logscan
  logscan proxy-a.log proxy-b.log
  logscan --output json archive.log | jq '.findings[].why'
  logscan --fail-on error --output ndjson - < archive.log

Exit codes: 0 done, 1 findings (with --fail-on), 2 trouble or nothing recognised, 130 interrupted.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FailOn {
    Info,
    Warning,
    Error,
}

impl FailOn {
    fn severity(self) -> Severity {
        match self {
            FailOn::Info => Severity::Info,
            FailOn::Warning => Severity::Warning,
            FailOn::Error => Severity::Error,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

const FOUND: u8 = 1;
const TROUBLE: u8 = 2;
const INTERRUPTED: u8 = 130;

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            notice(&format!("{error:#}"));
            ExitCode::from(TROUBLE)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let stdin = [PathBuf::from("-")];
    let files = if arguments.files.is_empty() { &stdin[..] } else { &arguments.files };
    if arguments.files.is_empty() && io::stdin().is_terminal() {
        Arguments::command().print_help()?;
        return Ok(ExitCode::from(TROUBLE));
    }
    let sources: Vec<Source> = files.iter().map(|file| Source::of_argument(file)).collect();
    if sources.iter().filter(|source| **source == Source::Stdin).count() > 1 {
        anyhow::bail!("standard input can be read only once");
    }
    let stop = stop_signal()?;
    let settings = Settings {
        formats: Formats::built_in().context("a grammar file that is built in does not compile")?,
        pairing: pair::Options::default(),
        threads: arguments.threads,
    };
    let out = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let sink = sinks::open(arguments.output, out, arguments.connections, style(arguments.color));
    let inputs = Inputs(sources.iter().map(Source::name).collect());
    let mut pass = Pass::new(&settings, inputs, sink);
    match &sources[..] {
        [only] if is_live(only) => live::run(&mut pass, only, &stop)?,
        _ => batch::run(&mut pass, &sources, &stop)?,
    }
    let interrupted = stop.load(Ordering::Relaxed);
    let report = pass.finish(interrupted)?;
    Ok(ending(arguments, &report))
}

/// Says what went wrong, and chooses the exit code.
fn ending(arguments: &Arguments, report: &Report) -> ExitCode {
    for trouble in &report.troubles {
        notice(trouble);
    }
    if report.lines.access == 0 && !report.interrupted && report.troubles.is_empty() {
        let total = report.lines.total;
        notice(&match total {
            0 => "the input is empty".to_owned(),
            _ => format!("no access line was recognised in {total} lines; is it the log of the istio-proxy container?"),
        });
        return ExitCode::from(TROUBLE);
    }
    if !report.troubles.is_empty() {
        return ExitCode::from(TROUBLE);
    }
    let failed = arguments.fail_on.is_some_and(|at_least| report.worst() >= Some(at_least.severity()));
    if failed {
        ExitCode::from(FOUND)
    } else if report.interrupted {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    }
}

/// Whether a source is a stream that may go on for ever.
fn is_live(source: &Source) -> bool {
    match source {
        Source::Stdin => !is_regular_stdin(),
        Source::File(path) => path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir()),
    }
}

/// `logscan < file` is an archive, not a stream.
fn is_regular_stdin() -> bool {
    use std::os::fd::AsFd;
    let stdin = io::stdin();
    let file = stdin.as_fd().try_clone_to_owned().map(std::fs::File::from);
    file.and_then(|file| file.metadata()).is_ok_and(|meta| meta.is_file())
}

/// The first Ctrl-C (or SIGTERM) ends the run with its report, the second one ends it at once.
fn stop_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn style(colour: Colour) -> Style {
    let terminal = io::stdout().is_terminal();
    let wanted = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let width = if terminal { terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into()) } else { 80 };
    let colour = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => wanted,
    };
    Style { width, colour }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| {
        let direct = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        direct.or(json) == Some(io::ErrorKind::BrokenPipe)
    };
    error.chain().any(io)
}

/// One line on standard error; if that is closed there is nobody to tell.
fn notice(text: &str) {
    let _ = writeln!(io::stderr(), "logscan: {text}");
}
