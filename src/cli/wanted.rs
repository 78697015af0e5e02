//! Which part of a log is wanted: `--since`, `--until`, `--where`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

use crate::field::value::Micros;
use crate::filter::{Filter, Window, moment};
use crate::table::Table;

/// Which part of a log is wanted.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// Leave out what ended before: 2026-03-01T10:00:00Z, '2026-03-01 10:00', 2026-03-01 (UTC), '2h ago'
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Leave out what began then or later
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Only these, by columns (see logscan schema): 'response_flags contains UF and upstream_cluster starts with
    /// "outbound|5701"'. A connection is taken if a line of it is
    #[arg(long, value_name = "FILTER")]
    r#where: Option<String>,
}

impl Wanted {
    /// The time.
    pub(super) fn window(&self) -> anyhow::Result<Window> {
        let now = now();
        let read = |text: &Option<String>, option: &str| match text {
            None => Ok(None),
            Some(text) => moment(text, now).map(Some).with_context(|| {
                format!("{option}: {text:?} is no time; write 2026-03-01T10:00:00Z, 2026-03-01 or '2h ago'")
            }),
        };
        let window = Window { since: read(&self.since, "--since")?, until: read(&self.until, "--until")? };
        if let (Some(since), Some(until)) = (window.since, window.until) {
            anyhow::ensure!(since < until, "--until {until} is not after --since {since}");
        }
        Ok(window)
    }

    /// The filter over a table's columns.
    pub(super) fn filter(&self, table: Table) -> anyhow::Result<Option<Filter>> {
        let read = |text: &String| Filter::read(text, table, now());
        self.r#where.as_ref().map(read).transpose().context("--where")
    }
}

/// What people mean by now; nothing else asks for it.
#[expect(clippy::disallowed_methods, reason = "`2h ago` is reckoned from the time at which it was typed")]
fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
