//! A module imports only from modules that `lib.rs` lists before it.

use std::path::{Path, PathBuf};

use crate::tool::path;

fn modules() -> Vec<String> {
    let lib = std::fs::read_to_string(path("src/lib.rs")).unwrap();
    lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).map(str::to_owned).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            sources(&entry.path(), found);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            found.push(entry.path());
        }
    }
}

/// The first word of every `crate::word` in the code of a file, tests left out.
fn imports(file: &Path) -> Vec<String> {
    let code = std::fs::read_to_string(file).unwrap();
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let words = lines.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>());
    words.map(|rest| rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()).collect()
}

#[test]
fn imports_follow_the_river() {
    let modules = modules();
    assert!(modules.len() > 15);
    let mut files = Vec::new();
    sources(&path("src"), &mut files);
    for file in files {
        let below = file.strip_prefix(path("src")).unwrap();
        let module =
            below.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        let Some(place) = modules.iter().position(|known| *known == module) else {
            assert!(module == "lib" || module == "main", "{module} is not in lib.rs");
            continue;
        };
        if below.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        for import in imports(&file) {
            let other = modules.iter().position(|known| *known == import);
            assert!(
                other.is_some_and(|other| other <= place),
                "{} imports {import}, which lib.rs lists behind it",
                below.display()
            );
        }
    }
}

#[test]
fn right_of_the_border_nothing_borrows_from_a_line() {
    let modules = modules();
    let border = modules.iter().position(|module| module == "scan").unwrap();
    for module in &modules[border + 1..] {
        let (file, folder) = (path(&format!("src/{module}.rs")), path(&format!("src/{module}")));
        let mut files = if file.exists() { vec![file] } else { Vec::new() };
        if folder.exists() {
            sources(&folder, &mut files);
        }
        for file in files {
            let code = std::fs::read_to_string(&file).unwrap();
            // The one place where a record comes back: the JSON of a leg that was kept.
            let allowed = file.ends_with("sinks/json.rs");
            assert!(allowed || !code.contains("Record<"), "{} knows records", file.display());
        }
    }
}
