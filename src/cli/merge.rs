//! `logscan merge`: one report from what several runs have saved.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::{Asked, ending, style};
use crate::format::Formats;
use crate::report::Report;
use crate::run::Pass;
use crate::sinks;
use crate::state;

/// Adds up what runs have saved with --save, and reports it as one run over all of their logs would.
///
/// Logs that were read apart must not cut connections apart: both legs belong into one part.
#[derive(Debug, clap::Args)]
pub(super) struct Merge {
    /// States to add up, each once
    #[arg(value_name = "STATE", required = true)]
    states: Vec<PathBuf>,

    #[command(flatten)]
    asked: Asked,
}

impl Merge {
    /// Whether names are not to be shown.
    pub(super) fn redacts(&self) -> bool {
        self.asked.redact
    }
}

/// Runs the command.
pub(super) fn run(arguments: &Merge) -> anyhow::Result<ExitCode> {
    let asked = &arguments.asked;
    let mut settings = asked.settings(Formats::built_in()?)?;
    settings.mesh_after = asked.planned(settings.mesh.as_ref())?;
    let out = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let mut pass = Pass::new(&settings, sinks::open(asked.output, out, false, style(asked.color)));
    join(&mut pass, &arguments.states)?;
    asked.save(&mut pass, false);
    let report = pass.finish(false)?;
    // Whatever was interrupted, this was not.
    Ok(ending(asked.fail_on, &Report { interrupted: false, ..report }))
}

/// Takes over what these files hold, one after the other.
pub(super) fn join(pass: &mut Pass<'_>, states: &[PathBuf]) -> anyhow::Result<()> {
    for file in states {
        let named = || file.display().to_string();
        pass.join(state::read(file).with_context(named)?).with_context(named)?;
    }
    Ok(())
}
