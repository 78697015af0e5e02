//! `logscan export`: tables for notebooks and databases.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use super::input::Input;
use super::wanted::Wanted;
use super::{Given, INTERRUPTED, configuration, ending, expectations, notice};
use crate::export::{Form, Key, Place, Wish};
use crate::run::{Pass, Settings};
use crate::table::{Selection, Table};

/// Writes tables of what a log says: CSV, Parquet, Arrow or JSON lines, row by row while it is read.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Logs to read: files, folders, archives, patterns, `-` for standard input; standard input if there are none
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Which tables; connections if none is named
    #[arg(long, value_enum, value_name = "TABLE")]
    table: Vec<Table>,

    /// Where to: a file (.csv, .parquet, .arrow, .arrows, .ndjson), a folder for a file a table, `-` for standard output
    #[arg(long, value_name = "PATH")]
    to: PathBuf,

    /// The form, if the name does not say it; parquet in folders
    #[arg(long = "export-format", value_enum, value_name = "FORM")]
    form: Option<Form>,

    /// Only these columns, in this order (see logscan schema)
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    columns: Vec<String>,

    #[command(flatten)]
    wanted: Wanted,

    /// One folder a value, as Hive has them: date, hour (of start_time, in UTC), or a column of text
    #[arg(long, value_name = "KEY,...", value_delimiter = ',')]
    partition_by: Vec<String>,

    /// In CSV, put an apostrophe before text that a spreadsheet would take for a formula
    #[arg(long)]
    csv_safe: bool,

    /// Refused, because tables keep nothing back
    #[arg(long, hide = true)]
    redact: bool,

    /// A file that says what may call what: what deviates is a finding
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// The mesh's configuration, to prove findings with
    #[arg(long, value_name = "PATH")]
    mesh: Vec<PathBuf>,

    #[command(flatten)]
    given: Given,

    /// Threads that read files, 0 for one a core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
}

/// Runs the command.
pub(super) fn run(arguments: &Export, stop: &Arc<AtomicBool>) -> anyhow::Result<ExitCode> {
    if arguments.files.is_empty() && io::stdin().is_terminal() {
        anyhow::bail!("no log to export: name files, or pipe one in");
    }
    if arguments.redact {
        anyhow::bail!(
            "tables have real names and addresses; for connections with stand-ins: logscan --redact -o ndjson --connections"
        );
    }
    // Lines are read, and rows and columns made, by the same threads, this one among them: every thread more keeps memory for itself.
    // Where that cannot be, because it was done already, it costs no more than that.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).use_current_thread().build_global();
    let wishes = wishes(arguments)?;
    let mut settings = Settings {
        expect: arguments.expect.as_deref().map(expectations).transpose()?,
        mesh: configuration(&arguments.mesh)?,
        window: arguments.wanted.window()?,
        // Lines of legs are chosen where they are read.
        filter: wishes.iter().find(|wish| wish.selection.table == Table::Legs).and_then(|wish| wish.filter.clone()),
        ..Settings::plain(arguments.given.formats()?, arguments.threads)
    };
    let in_folder =
        |wish: &Wish| wish.parts.is_empty() && matches!(&wish.to, Place::Path(path) if *path != arguments.to);
    if wishes.iter().any(in_folder) {
        std::fs::create_dir_all(&arguments.to).with_context(|| arguments.to.display().to_string())?;
    }
    let export = crate::export::Export::open(wishes)?;
    let input = Input::open(&arguments.files, stop)?;
    settings.mesh = settings.mesh.or_else(|| input.configuration(&arguments.files, stop));
    let mut pass = Pass::new(&settings, Box::new(export));
    input.read(&mut pass, stop)?;
    let report = pass.finish(stop.load(Ordering::Relaxed))?;
    let code = ending(None, &report);
    // What goes to a pipe is out already.
    let to_file =
        arguments.to.as_os_str() != "-" && arguments.to.metadata().map_or(true, |to| to.is_file() || to.is_dir());
    if report.interrupted && to_file {
        notice("interrupted: nothing was written");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(code)
}

/// What is asked for, checked before anything is read or made.
fn wishes(arguments: &Export) -> anyhow::Result<Vec<Wish>> {
    let mut tables = arguments.table.clone();
    if tables.is_empty() {
        tables.push(Table::Connections);
    }
    tables.sort_unstable();
    tables.dedup();
    let form = arguments.form.or_else(|| Form::of(&arguments.to));
    let folder = !arguments.partition_by.is_empty() || arguments.to.is_dir() || form.is_none() && tables.len() > 1;
    let to_stdout = arguments.to.as_os_str() == "-";
    anyhow::ensure!(tables.len() == 1 || folder && !to_stdout, "several tables need a folder: --to FOLDER");
    let form = match form {
        Some(form) => form,
        None if folder => Form::Parquet,
        None => anyhow::bail!("--to {}: the name does not say the form; use --export-format", arguments.to.display()),
    };
    anyhow::ensure!(!arguments.csv_safe || form == Form::Csv, "--csv-safe is for CSV");
    let parts: Vec<Key> = arguments.partition_by.iter().map(|name| Key::of(name)).collect();
    let several = tables.len() > 1;
    let wish = |table: Table| {
        let selection = if arguments.columns.is_empty() {
            Selection::all(table)
        } else {
            Selection::of(table, &arguments.columns).map_err(|name| {
                let table = table.name();
                anyhow::anyhow!("--columns: {table} have no column {name:?} (logscan schema --table {table})")
            })?
        };
        Ok(Wish {
            selection,
            filter: arguments.wanted.filter(table)?,
            to: place(&arguments.to, table, form, folder, !parts.is_empty(), several),
            form,
            parts: parts.clone(),
            csv_safe: arguments.csv_safe,
        })
    };
    tables.into_iter().map(wish).collect()
}

fn place(to: &Path, table: Table, form: Form, folder: bool, parted: bool, several: bool) -> Place {
    if to.as_os_str() == "-" {
        return Place::Stdout;
    }
    Place::Path(match (folder, parted) {
        (true, false) => to.join(format!("{}.{}", table.name(), form.ending())),
        (true, true) if several => to.join(table.name()),
        (false, _) | (true, true) => to.to_owned(),
    })
}
