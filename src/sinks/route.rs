//! Routes for people and for programs: one way, all addresses of a proxy, what changed.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style as Ansi};
use serde::Serialize;

use super::clean::{Harmless, clean, wrap};
use super::{Page, Style};
use crate::explain::{Entry, Row};
use crate::route::{self, Behind, Branch, CRITERIA, Change, Goes, Group, Lost, Target};

/// So many chains that lost, endpoints, ways to mean a question and places are shown; JSON has all.
const SHOWN: usize = 6;
/// So many branches are.
const BRANCHES: usize = 12;

/// One proxy's table, or that of several which are the same.
#[derive(Debug, Serialize)]
pub struct Table {
    /// The proxies' pods.
    pub pods: Vec<String>,
    /// Their addresses.
    pub rows: Vec<route::Row>,
}

/// Anything, as one JSON document.
pub fn json<W: Write>(mut out: W, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(Harmless(&mut out), value)?;
    writeln!(out)?;
    out.flush()
}

/// Ways of a connection, one page each.
pub fn walks<W: Write>(out: W, style: Style, groups: &[Group]) -> io::Result<()> {
    let mut page = Page::new(out, style);
    for group in groups {
        page.entry(&walk(group))?;
    }
    page.flush()
}

/// What changed, one page a group of destinations.
pub fn changes<W: Write>(out: W, style: Style, changes: &[Change]) -> io::Result<()> {
    let mut page = Page::new(out, style);
    for change in changes {
        let count = change.destinations.len();
        let verb = if count == 1 { "1 destination goes" } else { &format!("{count} destinations go") };
        let side = if change.direction == "outbound" { "from" } else { "at" };
        let title = format!("{verb} another way {side} {}", listed(&change.pods, ", "));
        let mut rows = Vec::new();
        push(&mut rows, "to", shortened(&change.destinations));
        for (label, ends) in [("before", &change.before), ("after", &change.after)] {
            let end = |(when, end): &(String, String)| match when.as_str() {
                "" => end.clone(),
                when => format!("{when}: {end}"),
            };
            push(&mut rows, label, ends.iter().map(end).collect());
        }
        page.entry(&Entry { title, kind: change.direction.to_owned(), rows })?;
    }
    page.flush()
}

/// Every address of proxies.
pub fn tables<W: Write>(mut out: W, style: Style, tables: &[Table]) -> io::Result<()> {
    let width = style.width.clamp(40, 200);
    for (number, table) in tables.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let caught = table.rows.iter().filter(|row| row.catch_all).count();
        let title = format!("{}: {} addresses, {caught} catch all", listed(&table.pods, ", "), table.rows.len());
        for line in wrap(&clean(&title), width) {
            writeln!(out, "{}", style.paint(&line, Ansi::new().bold()))?;
        }
        for row in &table.rows {
            let mark = AnsiColor::Red.on_default().bold();
            let mark = if row.catch_all { style.paint("  CATCH-ALL", mark) } else { String::new() };
            if let ([only], "") = (&row.leads[..], mark.as_str())
                && only.takes.is_empty()
            {
                two(&mut out, width, &row.address, 22, &only.to)?;
                continue;
            }
            let name = if row.listener.starts_with("virtual") { format!("  {}", row.listener) } else { String::new() };
            writeln!(out, "{}{}{mark}", clean(&row.address), clean(&name))?;
            for leads in &row.leads {
                let takes = match (&leads.takes[..], row.leads.len()) {
                    ([], 1) => "everything".to_owned(),
                    ([], _) => "everything else".to_owned(),
                    (takes, _) => takes.join(", "),
                };
                two(&mut out, width, &format!("  {takes}"), 40, &leads.to)?;
            }
        }
    }
    out.flush()
}

/// Two columns; the second one below if there is no room beside.
fn two<W: Write>(out: &mut W, width: usize, first: &str, column: usize, second: &str) -> io::Result<()> {
    let (first, second) = (clean(first), clean(second));
    let (used, more) = (first.chars().count(), second.chars().count());
    if used < column && column + more <= width {
        return writeln!(out, "{first:<column$}{second}");
    }
    if used + 2 + more <= width {
        return writeln!(out, "{first}  {second}");
    }
    let indent = first.len() - first.trim_start().len();
    for line in wrap(first.trim_start(), width - indent) {
        writeln!(out, "{:indent$}{line}", "")?;
    }
    for line in wrap(&second, width - 4) {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}

fn walk(group: &Group) -> Entry {
    let walk = &group.walk;
    let side = if walk.direction == "outbound" { "from" } else { "at" };
    let title = format!("{} {side} {}", walk.destination, listed(&group.pods, ", "));
    let mut rows = Vec::new();
    push(&mut rows, "goes to", headline(walk));
    let owners = walk.owners.iter().map(|owner| format!("{} {}", owner.kind, owner.name));
    let behind = walk.endpoint_of.iter().map(|name| format!("an endpoint of {name}"));
    push(&mut rows, "address", shortened(&owners.chain(behind).collect::<Vec<_>>()));
    if let Some(listener) = &walk.listener {
        let mut lines = vec![format!("{}: {}", listener.name, listener.why)];
        lines.extend(walk.tried.iter().map(|tried| format!("{}: {}", tried.place, tried.found)));
        lines.extend(since(listener.updated.as_deref()));
        lines.extend(made_by(&listener.made_by));
        push(&mut rows, "listener", lines);
    }
    let several = walk.branches.len() > 1;
    for branch in walk.branches.iter().take(BRANCHES) {
        if several {
            push(&mut rows, "if it is", vec![listed(&branch.when, ", ")]);
        }
        of_branch(&mut rows, branch, several);
    }
    if let Some(more) = walk.branches.len().checked_sub(BRANCHES).filter(|more| *more > 0) {
        push(&mut rows, "and", vec![format!("{more} more ways: -o json has all")]);
    }
    push(&mut rows, "note", walk.notes.clone());
    push(&mut rows, "dump", walk.taken.iter().map(|taken| format!("of {taken}")).collect());
    Entry { title, kind: walk.direction.to_owned(), rows }
}

/// The answer in a line.
fn headline(walk: &route::Walk) -> Vec<String> {
    let mut ends: Vec<&str> = Vec::new();
    for goes in walk.branches.iter().flat_map(|branch| &branch.goes) {
        if !ends.contains(&goes.says.as_str()) {
            ends.push(&goes.says);
        }
    }
    let flags = walk.branches.iter().flat_map(|branch| &branch.goes).map(|goes| goes.flags).next();
    match &ends[..] {
        [only] => {
            let flags = flags.filter(|flags| !flags.is_empty()).map(|flags| format!("; flag {flags} in the log"));
            vec![format!("{only}{}", flags.unwrap_or_default())]
        }
        several => vec![format!("one of {}, see below", several.len())],
    }
}

fn of_branch(rows: &mut Vec<Row>, branch: &Branch, several: bool) {
    let mut lines = Vec::new();
    match &branch.chain {
        Some(chain) => {
            lines.push(format!("{}: {}", chain.name, chain.why));
            lines.extend(made_by(&chain.made_by));
        }
        None if branch.lost.is_empty() => {}
        None => lines.push("none".to_owned()),
    }
    let mut lost: Vec<&Lost> = branch.lost.iter().collect();
    // Those that came furthest tell most.
    lost.sort_by_key(|lost| std::cmp::Reverse(CRITERIA.iter().position(|by| by.name() == lost.by)));
    let told = lost.iter().take(if several { 2 } else { SHOWN }).map(|lost| {
        let takes = if lost.takes.is_empty() { "everything".into() } else { lost.takes.join(", ") };
        let why = if lost.less_specific { "less specific" } else { "another" };
        format!("lost: {} ({takes}) -> {}: {why} {}", lost.chain, lost.leads, lost.by)
    });
    lines.extend(told);
    let shown = if several { 2 } else { SHOWN };
    if lost.len() > shown {
        lines.push(format!("and {} more that lost", lost.len() - shown));
    }
    push(rows, "chain", lines);
    for goes in branch.goes.iter().take(SHOWN) {
        of_end(rows, goes, several || branch.goes.len() > 1);
    }
    if branch.goes.len() > SHOWN {
        push(rows, "and", vec![format!("{} more ends: -o json has all", branch.goes.len() - SHOWN)]);
    }
}

fn of_end(rows: &mut Vec<Row>, goes: &Goes, several: bool) {
    push(rows, "route", if goes.by.is_empty() { Vec::new() } else { vec![goes.by.join(", ")] });
    let Some(target) = &goes.cluster else {
        if several {
            push(rows, "end", vec![goes.says.clone()]);
        }
        return;
    };
    let mut lines = if several { vec![goes.says.clone()] } else { Vec::new() };
    let kind = Some(&target.kind).filter(|kind| !kind.is_empty()).map(|kind| format!("type {kind}"));
    lines.extend(
        kind.into_iter().chain(since(target.updated.as_deref())).reduce(|one, other| format!("{one}, {other}")),
    );
    lines.extend(made_by(&target.made_by));
    push(rows, "cluster", lines);
    push(rows, "endpoints", endpoints(target));
    let sni = target.sni.as_ref().map_or_else(String::new, |sni| format!(", SNI {sni}"));
    push(rows, "TLS", vec![format!("{}{sni}", target.tls)]);
    push(rows, "object", target.behind.iter().map(object).collect());
}

fn endpoints(target: &Target) -> Vec<String> {
    let one = |(address, says): &(String, String)| match says.as_str() {
        "" => address.clone(),
        says => format!("{address} ({says})"),
    };
    let all: Vec<String> = target.endpoints.iter().map(one).collect();
    match (&all[..], &*target.kind) {
        ([], "ORIGINAL_DST") => vec!["the destination itself".to_owned()],
        _ => shortened(&all),
    }
}

/// `ExternalName Service app-ext.app for idle.manager..., made 2020-07-23T14:40:00Z`.
fn object(behind: &Behind) -> String {
    let external = if behind.external_name.is_empty() { "" } else { "ExternalName " };
    let mut text = format!("{external}{} {}", behind.kind, behind.name);
    for (word, more) in [
        (" for ", behind.external_name.as_str()),
        (", ", behind.special),
        (", made ", behind.created.as_deref().unwrap_or_default()),
    ] {
        if !more.is_empty() {
            text.push_str(word);
            text.push_str(more);
        }
    }
    text
}

fn since(updated: Option<&str>) -> Option<String> {
    updated.map(|at| format!("since {at}"))
}

fn made_by(made_by: &str) -> Option<String> {
    (!made_by.is_empty()).then(|| format!("made by {made_by}"))
}

/// A row, and below it one without a label for each text more.
fn push(rows: &mut Vec<Row>, label: &str, texts: Vec<String>) {
    for (number, text) in texts.into_iter().enumerate() {
        let label = if number == 0 { label.to_owned() } else { String::new() };
        rows.push(Row { label, text, notes: Vec::new() });
    }
}

/// The first few, and how many more there are.
fn shortened(texts: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = texts.iter().take(SHOWN).cloned().collect();
    if texts.len() > SHOWN {
        shown.push(format!("and {} more", texts.len() - SHOWN));
    }
    shown
}

fn listed(texts: &[String], between: &str) -> String {
    shortened(texts).join(between)
}
