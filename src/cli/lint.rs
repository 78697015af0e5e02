//! `logscan lint`: what a mesh's configuration will break, without any log.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use super::{FOUND, FailOn, TROUBLE, notice};
use crate::lint::{Report, lint};
use crate::mesh;
use crate::sinks::{Style, Text, document};

/// Says what the mesh's configuration will break, before a log shows it: listeners that catch whole ports, objects that
/// make them, updates that proxies refused, ports that nobody can tell the protocol of.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Lint {
    /// Files, folders, archives: config dumps of proxies, objects of the cluster, bug reports
    #[arg(long, value_name = "PATH", required = true)]
    mesh: Vec<PathBuf>,

    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Exit with 1 if there is a finding of this severity or worse
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
}

const EXAMPLES: &str = "\
Examples:
  istioctl proxy-config all deploy/web -n shop -o json > web.json && logscan lint --mesh web.json
  logscan lint --mesh bug-report.tar.gz --fail-on error
  logscan lint --mesh dumps/ -o json | jq '.findings[].why'

Exit codes: 0 done, 1 findings (with --fail-on), 2 trouble or nothing recognised.";

/// Runs the command.
pub(super) fn run(arguments: &Lint, style: Style) -> anyhow::Result<ExitCode> {
    let mesh = mesh::read::paths(&arguments.mesh)?;
    let report = lint(&mesh);
    if is_empty(&report) {
        for part in mesh.left_out.iter().filter(|part| part.wrong) {
            notice(&format!("{} at {}: {}", part.file, part.place, part.why));
        }
        notice("nothing was recognised: neither a proxy's dump nor objects of a cluster");
        return Ok(ExitCode::from(TROUBLE));
    }
    let out = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
    match arguments.output {
        Output::Text => Text::new(out, false, style).lint(&report)?,
        Output::Json => document(out, &report)?,
    }
    let failed = arguments.fail_on.is_some_and(|at_least| report.worst() >= Some(at_least.severity()));
    Ok(if failed { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn is_empty(report: &Report) -> bool {
    report.dumps == 0 && report.objects == 0
}
