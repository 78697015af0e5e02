//! A file of expectations, written: sorted rows, one key a line, so that a change is a few lines in git.

use std::fmt::Write;

use super::{Expectations, Kind, Row};

impl Expectations {
    /// The file as TOML, below comments.
    pub fn to_toml(&self, comments: &[String]) -> String {
        let mut text = head(comments, "version = 1");
        for row in &self.rows {
            let name = if row.kind == Kind::Call { "call" } else { "passthrough" };
            let _ = write!(text, "\n[[{name}]]\n");
            for (key, value) in members(row) {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }

    /// The same file as YAML.
    pub fn to_yaml(&self, comments: &[String]) -> String {
        let mut text = head(comments, "version: 1");
        for (kind, name) in [(Kind::Call, "call"), (Kind::Passthrough, "passthrough")] {
            let mut rows = self.rows.iter().filter(|row| row.kind == kind).peekable();
            if rows.peek().is_some() {
                let _ = writeln!(text, "{name}:");
            }
            for row in rows {
                for (number, (key, value)) in members(row).into_iter().enumerate() {
                    let _ = writeln!(text, "{} {key}: {value}", if number == 0 { "-" } else { " " });
                }
            }
        }
        text
    }
}

fn head(comments: &[String], version: &str) -> String {
    let mut text = String::new();
    for comment in comments {
        let _ = writeln!(text, "# {comment}");
    }
    let _ = writeln!(text, "{version}");
    text
}

/// Keys and values as both languages write them; what means any is left out.
fn members(row: &Row) -> Vec<(&'static str, String)> {
    let ports: Vec<String> = row.ports.iter().map(u16::to_string).collect();
    let clusters: Vec<String> = row.clusters.iter().map(|cluster| quoted(cluster)).collect();
    let mut members = vec![("from", quoted(&row.from.to_string())), ("to", quoted(&row.to.to_string()))];
    if !ports.is_empty() {
        members.push(("ports", format!("[{}]", ports.join(", "))));
    }
    if !clusters.is_empty() {
        members.push(("clusters", format!("[{}]", clusters.join(", "))));
    }
    if !row.why.is_empty() {
        members.push(("why", quoted(&row.why)));
    }
    members
}

/// A text in quotes, which TOML and YAML read alike. Names come out of logs: what could end the line, or change how a
/// terminal or an editor shows the file, is written as a number.
fn quoted(text: &str) -> String {
    let mut shown = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => shown.extend(['\\', letter]),
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                let _ = write!(shown, "\\u{:04X}", u32::from(letter));
            }
            letter if letter.is_control() => {
                let _ = write!(shown, "\\u{:04X}", u32::from(letter));
            }
            letter => shown.push(letter),
        }
    }
    shown.push('"');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_from_both_languages() {
        let file = "version = 1\n[[call]]\nfrom = \"*\"\nto = \"a.b:80\"\nclusters = [\"x\\\"\\\\y\\u0007\\u202Ez\"]\n\
                    [[passthrough]]\nfrom = \"*.shop\"\nto = \"203.0.113.0/24\"\nports = [443, 80]\nwhy = \"pay: # it\"\n";
        let first = Expectations::read(file).unwrap();
        let (toml, yaml) = (first.to_toml(&["made by hand".to_owned()]), first.to_yaml(&[]));
        assert!(!toml.contains(['\u{7}', '\u{202e}']), "{toml}");
        assert_eq!(Expectations::read(&toml).unwrap().rows, first.rows, "{toml}");
        assert_eq!(Expectations::read(&yaml).unwrap().rows, first.rows, "{yaml}");
    }
}
