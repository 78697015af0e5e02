//! `logscan schema`: the columns of the tables.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

use crate::table::{Column, Table, VERSION};

/// Shows the columns of the tables that `logscan export` writes and `--where` asks for.
#[derive(Debug, clap::Args)]
pub(super) struct Schema {
    /// Only this table
    #[arg(long, value_enum)]
    table: Option<Table>,

    /// As a JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &Schema) -> anyhow::Result<ExitCode> {
    let tables = Table::ALL.into_iter().filter(|table| arguments.table.is_none_or(|wanted| wanted == *table));
    let mut out = io::BufWriter::new(io::stdout().lock());
    if arguments.json {
        let tables: serde_json::Map<String, serde_json::Value> =
            tables.map(|table| (table.name().to_owned(), table.columns().iter().map(object).collect())).collect();
        serde_json::to_writer_pretty(&mut out, &json!({ "schema_version": VERSION, "tables": tables }))?;
        writeln!(out)?;
    } else {
        for (number, table) in tables.enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            text(&mut out, table)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn object(column: &Column) -> serde_json::Value {
    json!({
        "name": column.name,
        "type": column.kind.name(),
        "unit": column.unit,
        "meaning": column.meaning,
        "absent": column.absent,
        "source": column.source,
    })
}

fn text(out: &mut impl Write, table: Table) -> io::Result<()> {
    writeln!(out, "{}: {}", table.name(), table.meaning())?;
    let columns = table.columns();
    let wide = columns.iter().map(|column| column.name.len()).max().unwrap_or_default();
    for column in columns {
        let unit = if column.unit.is_empty() { String::new() } else { format!(", {}", column.unit) };
        let absent = if column.absent.is_empty() { String::new() } else { format!("; absent: {}", column.absent) };
        writeln!(out, "  {:wide$}  {}{unit}  {}{absent}", column.name, column.kind.name(), column.meaning)?;
    }
    Ok(())
}
