//! The README's commands do what it says.

use crate::tool::{path, run, text};

#[test]
fn the_report_in_the_readme_is_the_programs() {
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    let shown = readme.split("```text\n").nth(1).expect("a report is shown").split("```").next().unwrap();
    let report = text(&run(&["samples/story/story.log"]));
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
