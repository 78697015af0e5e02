//! The tables: unique, documented, listed, one file each.

use std::collections::BTreeSet;

use logscan::finding::Meta;
use logscan::format;
use logscan::lint::CHECKS;
use logscan::rules::RULES;

use crate::tool::path;

const HEADINGS: [&str; 7] =
    ["What it finds", "When it is silent", "How sure", "Why it matters", "Example", "What to do", "Source"];

fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(path(folder)).unwrap().flatten().map(|file| file.path());
    files
        .filter(|file| file.extension().is_some_and(|other| other == extension))
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|stem| stem != "mod")
        .collect()
}

/// Codes and documentation, of rules or of checks.
fn are_documented(metas: &[&'static Meta], codes: &mut BTreeSet<&str>) {
    let mut names = BTreeSet::new();
    for meta in metas {
        assert!(codes.insert(meta.code) && names.insert(meta.name), "{} twice", meta.code);
        assert!(meta.code.len() == 4 && meta.code.starts_with(|letter: char| letter.is_ascii_uppercase()));
        assert!(!meta.summary.is_empty() && !meta.summary.ends_with('.'));
        let headings: Vec<&str> = meta.sections().map(|(heading, _)| heading).collect();
        assert_eq!(headings, HEADINGS, "{}", meta.name);
        for (heading, text) in meta.sections() {
            assert!(text.len() > 10, "{}: {heading} is empty", meta.name);
        }
    }
}

#[test]
fn every_rule_and_check_has_a_code_a_name_a_file_and_its_headings() {
    let rules: Vec<&Meta> = RULES.iter().map(|rule| rule.meta).collect();
    let checks: Vec<&Meta> = CHECKS.iter().map(|check| check.meta).collect();
    let mut codes = BTreeSet::new();
    are_documented(&rules, &mut codes);
    are_documented(&checks, &mut codes);
    assert!(checks.is_sorted_by_key(|meta| meta.code), "checks stand by code");
    for (folder, word, metas) in [("src/rules", "rule! {", rules), ("src/lint", "check! {", checks)] {
        let declares = |stem: &String| {
            let code = std::fs::read_to_string(path(&format!("{folder}/{stem}.rs"))).unwrap();
            code.contains(&format!("\n{word}"))
        };
        let files: BTreeSet<String> = stems(folder, "rs").into_iter().filter(declares).collect();
        let named: BTreeSet<String> = metas.iter().map(|meta| meta.name.replace('-', "_")).collect();
        assert_eq!(files, named, "a rule or check is a file named after it");
    }
}

#[test]
fn every_grammar_file_is_listed_and_named_after_itself() {
    let listed: BTreeSet<String> = format::names().map(str::to_owned).collect();
    assert_eq!(stems("grammar/formats", "toml"), listed);
    for (name, file) in format::names().zip(format::files().unwrap()) {
        assert_eq!(name, file.name);
        assert!(!file.summary.is_empty() && !file.source.is_empty());
    }
}

/// A text of the documentation as a cell of a table.
fn cell(meta: &Meta, heading: &str) -> String {
    let text = meta.sections().find(|(known, _)| *known == heading).unwrap().1;
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// Compares a page with its file, or writes it.
fn is_current(file: &str, page: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path(file), page).unwrap();
    }
    let current = std::fs::read_to_string(path(file)).unwrap_or_default() == page;
    assert!(current, "{file} is stale: UPDATE_DOCS=1 cargo test writes it anew");
}

#[test]
fn the_page_of_all_checks_is_current() {
    use std::fmt::Write;

    let mut page = String::from(
        "# Checks of configuration\n\nMade from the checks' own documentation by `UPDATE_DOCS=1 cargo test`; `logscan \
         explain NAME` prints one of them.\n\n\
         | Check | Severity | What it finds | When it is silent | How sure | Source |\n|---|---|---|---|---|---|\n",
    );
    for meta in CHECKS.iter().map(|check| check.meta) {
        let link = format!("{} [{}]({}.rs)", meta.code, meta.name, meta.name.replace('-', "_"));
        let cells = ["What it finds", "When it is silent", "How sure", "Source"].map(|heading| cell(meta, heading));
        writeln!(page, "| {link} | {} | {} |", meta.severity.name(), cells.join(" | ")).unwrap();
    }
    is_current("src/lint/README.md", &page);
}

/// The page of all rules, made from their documentation. With `UPDATE_DOCS=1` it is written anew.
fn page_is_current(samples: &std::collections::BTreeMap<&str, &str>) {
    use std::fmt::Write;

    let mut page = String::from(
        "# Rules\n\nMade from the rules' own documentation by `UPDATE_DOCS=1 cargo test`; `logscan explain NAME` prints \
         one of them.\n\n\
         | Rule | Severity | What fires it | What must not fire it | Grade | A sample | Source |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for rule in RULES {
        let meta = rule.meta;
        let cell = |heading: &str| cell(meta, heading);
        let sample = samples.get(meta.name).unwrap_or_else(|| panic!("{} fires on no sample", meta.name));
        writeln!(
            page,
            "| {} [{}]({}.rs) | {} | {} | {} | {} | [{sample}](../../samples/{sample}) | {} |",
            meta.code,
            meta.name,
            meta.name.replace('-', "_"),
            meta.severity.name(),
            cell("What it finds"),
            cell("When it is silent"),
            cell("How sure"),
            cell("Source"),
        )
        .unwrap();
    }
    is_current("src/rules/README.md", &page);
}

#[test]
fn every_rule_fires_on_a_sample_and_stays_silent_on_another() {
    let mut fired: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let mut logs = crate::tool::sample_logs();
    // Some rules only speak with a file of expectations, which lies beside the log then; the others have logs of their own.
    let expect = |log: &str| format!("{}/expect.toml", log.rsplit_once('/').unwrap().0);
    logs.sort_by_key(|log| path(&expect(log)).exists());
    let mut first: std::collections::BTreeMap<&str, &str> = std::collections::BTreeMap::new();
    for log in &logs {
        let expect = expect(log);
        let mut runs = vec![vec!["-o", "json", log]];
        if path(&expect).exists() {
            runs.push(vec!["-o", "json", "--expect", &expect, log]);
        }
        let reports = runs.iter().map(|arguments| crate::tool::json(&crate::tool::run(arguments)));
        let names: BTreeSet<String> = reports
            .flat_map(|report| report["findings"].as_array().unwrap().clone())
            .map(|finding| finding["name"].as_str().unwrap().to_owned())
            .collect();
        for rule in RULES {
            *fired.entry(rule.meta.name).or_default() += usize::from(names.contains(rule.meta.name));
            // The one in the rule's own folder, else the first that there is.
            let better = names.contains(rule.meta.name) && !log.contains("envelopes");
            if better && (log.contains(rule.meta.name) || !first.contains_key(rule.meta.name)) {
                first.insert(rule.meta.name, log.split('/').nth(1).unwrap());
            }
        }
    }
    page_is_current(&first);
    for (name, count) in fired {
        assert!(count > 0 && count < logs.len(), "{name} fires on {count} of {} samples", logs.len());
    }
}
