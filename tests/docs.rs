//! The README's commands do what it says. With `UPDATE_DOCS=1` what is printed there is written anew.

use logscan::table::Table;

use crate::tool::{path, run, text};

#[test]
fn the_report_in_the_readme_is_the_programs() {
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    let shown = readme.split("```text\n").nth(1).expect("a report is shown").split("```").next().unwrap();
    let report = text(&run(&["samples/story/story.log"]));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path("README.md"), readme.replace(shown, &report)).unwrap();
        return;
    }
    assert_eq!(shown.trim_end(), report.trim_end());
}

#[test]
fn the_help_in_the_readme_is_the_programs() {
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    let help = text(&run(&["--help"]));
    for line in help.lines().filter(|line| line.trim_start().starts_with("--") || line.trim_start().starts_with("-o")) {
        let flag = line.split_whitespace().find(|word| word.starts_with("--")).unwrap().trim_end_matches(',');
        assert!(readme.contains(flag) || ["--help", "--version"].contains(&flag), "README.md does not name {flag}");
    }
}

/// Compares a table of the README with what it is made from, or writes it anew.
fn table_is_current(head: &str, metas: impl Iterator<Item = &'static logscan::finding::Meta>) {
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    let shown = readme.split(head).nth(1).expect("the table is there").split("\n\n").next().unwrap();
    let rows =
        metas.map(|meta| format!("| {} | `{}` | {} | {} |", meta.code, meta.name, meta.severity.name(), meta.summary));
    let rows = rows.collect::<Vec<_>>().join("\n");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path("README.md"), readme.replace(&format!("{head}{shown}"), &format!("{head}{rows}"))).unwrap();
        return;
    }
    assert_eq!(shown, rows);
}

#[test]
fn the_findings_in_the_readme_are_the_rules_and_the_checks() {
    let rules = logscan::rules::RULES.iter().map(|rule| rule.meta);
    table_is_current("| code | name | severity | says |\n|---|---|---|---|\n", rules);
    let checks = logscan::lint::CHECKS.iter().map(|check| check.meta);
    table_is_current("| check | name | severity | says |\n|---|---|---|---|\n", checks);
}

#[test]
fn the_ways_to_match_in_the_readme_are_the_pairers() {
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    for by in logscan::pair::Match::ALL {
        let row = format!("| `{}` | {} |", by.name(), by.meaning());
        assert!(readme.contains(&row), "README.md lacks {row}");
    }
}

/// A table's columns as a table of Markdown.
fn columns(table: Table) -> String {
    let mut shown = format!("{}.\n\n", table.meaning());
    // A connection has the columns of its legs twice.
    let twice =
        |name: &str| table == Table::Connections && (name.starts_with("outbound_") || name.starts_with("inbound_"));
    shown.push_str("| column | type | meaning | absent if | from |\n|---|---|---|---|---|\n");
    for column in table.columns().iter().filter(|column| !twice(&column.name)) {
        let unit = if column.unit.is_empty() { String::new() } else { format!(", {}", column.unit) };
        let cells = [
            &format!("`{}`", column.name),
            &format!("{}{unit}", column.kind.name()),
            &*column.meaning,
            column.absent,
            &column.source,
        ];
        let row = format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
        shown.push_str(&row);
    }
    if table == Table::Connections {
        shown.push_str(
            "\nThen every column of legs twice: `outbound_...` for the client's leg, `inbound_...` for the server's.\n",
        );
    }
    shown
}

#[test]
fn the_page_of_tables_is_the_schema() {
    let page = std::fs::read_to_string(path("TABLES.md")).unwrap();
    let mut parts = page.split("\n## ");
    let mut made = parts.next().unwrap().to_owned();
    for part in parts {
        let (head, _) = part.split_once('\n').unwrap();
        let table = Table::ALL.into_iter().find(|table| table.name() == head);
        made.push_str("\n## ");
        match table {
            Some(table) => made.extend([head, "\n\n", &columns(table)]),
            None => made.push_str(part),
        }
    }
    assert!(Table::ALL.iter().all(|table| made.contains(&format!("\n## {}\n", table.name()))));
    assert!(made.contains(&format!("its version is {}, ", logscan::table::VERSION)));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path("TABLES.md"), made).unwrap();
        return;
    }
    assert_eq!(page, made);
}
