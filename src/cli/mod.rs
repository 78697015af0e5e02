//! The command line: arguments become settings, a run, an exit code.

mod explain;
#[cfg(feature = "export")]
mod export;
mod formats;
mod input;
mod learn;
mod lint;
mod merge;
mod route;
mod schema;
mod wanted;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::{CommandFactory, Parser, ValueEnum};

use crate::expect::Expectations;
use crate::finding::Severity;
use crate::format::{Formats, custom};
use crate::mesh::{self, Mesh};
use crate::pair;
use crate::redact::Redactor;
use crate::report::Report;
use crate::run::{Pass, Settings};
use crate::sinks::{self, Output, Style};
use crate::state;
use crate::table::Table;
use crate::whatif::Planned;
use input::Input;
use wanted::Wanted;

/// Reads Envoy and Istio access logs, pairs both legs of every connection, and says which connections went
/// where they should not, and why.
///
/// Formats, envelopes (stern, kubectl, CRI, collectors' JSON), compression and archives are recognised by themselves.
#[derive(Debug, Parser)]
#[command(name = "logscan", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Logs to read: files, folders, archives, patterns, `-` for standard input; standard input if there are none
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    asked: Asked,

    /// Show every connection too, with both legs
    #[arg(long)]
    connections: bool,

    #[command(flatten)]
    given: Given,

    #[command(flatten)]
    wanted: Wanted,

    /// Threads that read files, 0 for one a core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,

    /// Memory for connections of which one side was read, in MiB: past it the oldest are closed without the other side, and
    /// the report says how many. The rest of the program takes 40 to 120, by the size of the mesh
    #[arg(long, default_value_t = 168, value_name = "MIB")]
    memory: usize,
}

/// What is asked of logs, and of what was saved of them.
#[derive(Debug, clap::Args)]
struct Asked {
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Show stand-ins in the place of addresses, names, paths and values, so that the output can be shared
    #[arg(long)]
    redact: bool,

    /// Save what is learned, with real names and lines: `logscan merge` makes reports of such states
    #[arg(long, value_name = "STATE", conflicts_with = "redact")]
    save: Option<PathBuf>,

    /// A file that says what may call what (TOML or YAML): what deviates is a finding. `logscan learn` writes one
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// The mesh's configuration, to prove findings with: files, folders, bug reports with config dumps of proxies
    /// (`istioctl proxy-config all POD -o json`), objects of the cluster (`kubectl get svc,pods,... -A -o yaml`)
    #[arg(long, value_name = "PATH")]
    mesh: Vec<PathBuf>,

    /// The configuration that may come, as dumps or as manifests: says which of the connections would go elsewhere
    #[arg(long, value_name = "PATH")]
    mesh_after: Vec<PathBuf>,

    /// Exit with 1 if there is a finding of this severity or worse
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,

    /// When to use colours
    #[arg(long, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,
}

impl Asked {
    /// What a run is made of that reads lines in these formats.
    fn settings(&self, formats: Formats) -> anyhow::Result<Settings> {
        if let Some(file) = &self.save {
            state::check(file).with_context(|| file.display().to_string())?;
        }
        Ok(Settings {
            redact: self.redact,
            expect: self.expect.as_deref().map(expectations).transpose()?,
            save: self.save.is_some(),
            mesh: configuration(&self.mesh)?,
            ..Settings::plain(formats, 0)
        })
    }

    /// What may come after a mesh; none if nobody asks for it.
    fn planned(&self, mesh: Option<&Mesh>) -> anyhow::Result<Option<Planned>> {
        let Some(after) = configuration(&self.mesh_after)? else { return Ok(None) };
        let before = mesh.context("--mesh-after needs the configuration before it: --mesh PATH")?;
        Ok(Some(Planned::of(before, after)))
    }

    /// Saves what a run has learned, if that was asked for. A failure is a trouble: the report is still worth showing.
    fn save(&self, pass: &mut Pass<'_>, interrupted: bool) {
        let Some(file) = &self.save else { return };
        if let Err(error) = pass.state(interrupted).and_then(|state| state::write(file, &state)) {
            pass.troubles.push(format!("{}: {error}", file.display()));
        }
    }
}

/// Formats of the user's own.
#[derive(Debug, clap::Args)]
struct Given {
    /// A format of your own, as Envoy's configuration has it: '[%START_TIME%] %RESPONSE_CODE% ...' or a JSON object
    #[arg(long, value_name = "FORMAT")]
    format: Vec<String>,

    /// A file that holds one: a format string, a grammar file, or the YAML of MeshConfig, Telemetry, EnvoyFilter,
    /// EnvoyProxy
    #[arg(long, value_name = "FILE")]
    format_file: Vec<PathBuf>,
}

impl Given {
    /// The built-in formats, and before them these.
    fn formats(&self) -> anyhow::Result<Formats> {
        let mut given = Vec::new();
        for text in &self.format {
            given.extend(custom::of_string(text).context("--format")?);
        }
        for file in &self.format_file {
            let text = read_small(file, "a file that holds a format").with_context(|| file.display().to_string())?;
            given.extend(custom::of_file(&text).with_context(|| file.display().to_string())?);
        }
        Formats::with(given).context("a grammar file that is built in does not compile")
    }
}

/// No file of a person's own is larger than this: a log given by mistake is refused before it fills the memory.
const SMALL: u64 = 16 << 20;

fn read_small(file: &Path, what: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(SMALL + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SMALL {
        return Err(io::Error::other(format!("too large for {what}; is it a log?")));
    }
    Ok(text)
}

fn expectations(file: &Path) -> anyhow::Result<Expectations> {
    let text = read_small(file, "a file of expectations").with_context(|| file.display().to_string())?;
    Expectations::read(&text).with_context(|| file.display().to_string())
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Formats(formats::Formats),
    Explain(explain::Explain),
    Learn(learn::Learn),
    Route(route::Route),
    Lint(lint::Lint),
    Merge(merge::Merge),
    Schema(schema::Schema),
    #[cfg(feature = "export")]
    #[command(visible_alias = "pair")]
    Export(export::Export),
}

const EXAMPLES: &str = "\
Examples:
  stern -n manager . -c istio-proxy | logscan
  logscan bug-report.tar.gz
  logscan /var/log/pods 'logs/*.gz' proxy-a.log
  logscan --output json archive.log | jq '.findings[].why'
  logscan --fail-on error --output ndjson - < archive.log
  logscan --save monday.state monday/ && logscan merge monday.state tuesday.state
  logscan learn -o expected.toml healthy.log && logscan --expect expected.toml today.log
  logscan route --mesh config_dump.json 10.12.1.6:5701
  logscan lint --mesh dumps/ --fail-on warning
  logscan export --table connections --to connections.parquet logs/

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
            let text = format!("{error:#}");
            notice(&if redacts(&arguments) { Redactor::default().trouble(&text) } else { text });
            ExitCode::from(TROUBLE)
        }
    }
}

/// Whether names are not to be shown, on standard error neither.
fn redacts(arguments: &Arguments) -> bool {
    match &arguments.command {
        Some(Command::Formats(formats)) => formats.redacts(),
        Some(Command::Merge(merge)) => merge.redacts(),
        Some(_) => false,
        None => arguments.asked.redact,
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Some(Command::Formats(arguments)) => return formats::run(arguments, style(Colour::Auto), &stop_signal()?),
        Some(Command::Explain(arguments)) => return explain::run(arguments, style(Colour::Auto)),
        Some(Command::Learn(arguments)) => return learn::run(arguments, &stop_signal()?),
        Some(Command::Route(arguments)) => return route::run(arguments, style(Colour::Auto)),
        Some(Command::Lint(arguments)) => return lint::run(arguments, style(Colour::Auto)),
        Some(Command::Merge(arguments)) => return merge::run(arguments),
        Some(Command::Schema(arguments)) => return schema::run(arguments),
        #[cfg(feature = "export")]
        Some(Command::Export(arguments)) => return export::run(arguments, &stop_signal()?),
        None => {}
    }
    if arguments.files.is_empty() && io::stdin().is_terminal() {
        Arguments::command().print_help()?;
        return Ok(ExitCode::from(TROUBLE));
    }
    let stop = stop_signal()?;
    let asked = &arguments.asked;
    let mut settings = Settings {
        pairing: pair::Options::within(arguments.memory.saturating_mul(1 << 20)),
        window: arguments.wanted.window()?,
        filter: arguments.wanted.filter(Table::Legs)?,
        threads: arguments.threads,
        ..asked.settings(arguments.given.formats()?)?
    };
    let input = Input::open(&arguments.files, &stop)?;
    settings.mesh = settings.mesh.or_else(|| input.configuration(&arguments.files, &stop));
    settings.mesh_after = asked.planned(settings.mesh.as_ref())?;
    let out = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let sink = sinks::open(asked.output, out, arguments.connections, style(asked.color));
    let mut pass = Pass::new(&settings, sink);
    input.read(&mut pass, &stop)?;
    let interrupted = stop.load(Ordering::Relaxed);
    asked.save(&mut pass, interrupted);
    let report = pass.finish(interrupted)?;
    Ok(ending(asked.fail_on, &report))
}

/// The mesh's configuration in some files, if there are any.
fn configuration(files: &[PathBuf]) -> anyhow::Result<Option<Mesh>> {
    if files.is_empty() {
        return Ok(None);
    }
    Ok(Some(mesh::read::paths(files)?))
}

/// Says what went wrong, and chooses the exit code.
fn ending(fail_on: Option<FailOn>, report: &Report) -> ExitCode {
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
    let failed = fail_on.is_some_and(|at_least| report.worst() >= Some(at_least.severity()));
    if failed {
        ExitCode::from(FOUND)
    } else if report.interrupted {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    }
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
    // A message may have a line with a mark under the place.
    let shown: Vec<String> = text.split('\n').map(sinks::clean).collect();
    let _ = writeln!(io::stderr(), "logscan: {}", shown.join("\n"));
}
