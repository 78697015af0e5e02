//! The tables: unique, documented, listed, one file each.

use std::collections::BTreeSet;

use logscan::format;
use logscan::rules::RULES;

use crate::tool::path;

fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(path(folder)).unwrap().flatten().map(|file| file.path());
    files
        .filter(|file| file.extension().is_some_and(|other| other == extension))
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|stem| stem != "mod")
        .collect()
}

#[test]
fn every_rule_has_a_code_a_name_a_file_and_its_five_headings() {
    let mut seen = BTreeSet::new();
    for rule in RULES {
        let meta = rule.meta;
        assert!(seen.insert(meta.code) && seen.insert(meta.name), "{} twice", meta.code);
        assert!(meta.code.len() == 4 && meta.code.starts_with(|letter: char| letter.is_ascii_uppercase()));
        assert!(!meta.summary.is_empty() && !meta.summary.ends_with('.'));
        for heading in ["What it finds", "Why it matters", "Example", "What to do", "Source"] {
            let text = meta
                .doc
                .split(&format!("## {heading}"))
                .nth(1)
                .unwrap_or_else(|| panic!("{} has no {heading}", meta.name));
            assert!(text.split("##").next().unwrap().trim().len() > 20, "{}: {heading} is empty", meta.name);
        }
    }
    let files = stems("src/rules", "rs");
    let rules: BTreeSet<String> = RULES.iter().map(|rule| rule.meta.name.replace('-', "_")).collect();
    assert_eq!(files, rules, "a rule is a file named after it");
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

#[test]
fn every_rule_fires_on_a_sample_and_stays_silent_on_another() {
    let mut fired: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let logs = crate::tool::sample_logs();
    for log in &logs {
        let report = crate::tool::json(&crate::tool::run(&["-o", "json", log]));
        let names: BTreeSet<String> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["name"].as_str().unwrap().to_owned())
            .collect();
        for rule in RULES {
            *fired.entry(rule.meta.name).or_default() += usize::from(names.contains(rule.meta.name));
        }
    }
    for (name, count) in fired {
        assert!(count > 0 && count < logs.len(), "{name} fires on {count} of {} samples", logs.len());
    }
}
