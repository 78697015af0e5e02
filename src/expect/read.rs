//! A file of expectations, read strictly: what is not understood is an error that names the line and the key.
//!
//! A row that is silently left out would make a call a deviation, or hide one.

use std::collections::BTreeSet;

use super::pattern::Pattern;
use super::tree::{self, Key, Node, Value};
use super::{Expectations, Kind, Row};

/// The version of the file's structure.
const VERSION: i64 = 1;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It does not look like a file of expectations at all.
    #[error("line {line}: neither TOML nor YAML; is it a log?")]
    Neither {
        /// The first line that is no comment.
        line: usize,
    },
    /// TOML or YAML do not allow it; a key that is there twice, for example.
    #[error("line {line}: {what}")]
    Syntax {
        /// Where.
        line: usize,
        /// What their readers say.
        what: String,
    },
    /// A key that the structure does not have.
    #[error("line {line}: unknown key {key:?}; there is {known}")]
    Unknown {
        /// Where.
        line: usize,
        /// The key.
        key: String,
        /// Those that may stand there.
        known: String,
    },
    /// A key that must be there.
    #[error("line {line}: {key:?} is missing")]
    Missing {
        /// Where it should be.
        line: usize,
        /// The key.
        key: &'static str,
    },
    /// A value that cannot be one of its key.
    #[error("line {line}: {key}: {what}")]
    Wrong {
        /// Where.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// No row is in it.
    #[error("the file expects nothing: it has neither a call nor a passthrough")]
    Nothing,
}

type Members = Vec<(Key, Node)>;

impl Expectations {
    /// Reads a file.
    pub fn read(text: &str) -> Result<Expectations, Error> {
        let root = tree::read(text.strip_prefix('\u{feff}').unwrap_or(text))?;
        let members = table(root, "the file")?;
        known(&members, &["version", "call", "passthrough"])?;
        let (mut rows, mut version) = (Vec::new(), None);
        for (Key { name, .. }, node) in members {
            match name.as_str() {
                "version" => match node.value {
                    Value::Number(VERSION) => version = Some(VERSION),
                    other => {
                        return Err(wrong(node.line, "version", format!("it is {VERSION}, not {}", shown(&other))));
                    }
                },
                "call" => rows_of(Kind::Call, node, &mut rows)?,
                _ => rows_of(Kind::Passthrough, node, &mut rows)?,
            }
        }
        if version.is_none() {
            return Err(Error::Missing { line: 1, key: "version" });
        }
        if rows.is_empty() { Err(Error::Nothing) } else { Ok(Expectations::of(rows)) }
    }
}

fn rows_of(kind: Kind, node: Node, rows: &mut Vec<Row>) -> Result<(), Error> {
    let (name, keys) = match kind {
        Kind::Call => ("call", &["from", "to", "ports", "clusters", "why"][..]),
        Kind::Passthrough => ("passthrough", &["from", "to", "ports", "why"][..]),
    };
    let Value::List(items) = node.value else {
        return Err(wrong(node.line, name, format!("a list of tables is needed, not {}", node.value.kind())));
    };
    for item in items {
        let line = item.line;
        let members = table(item, name)?;
        known(&members, keys)?;
        rows.push(row(kind, line, members)?);
    }
    Ok(())
}

fn row(kind: Kind, line: usize, members: Members) -> Result<Row, Error> {
    let (mut from, mut to, mut port) = (None, None, None);
    let mut row = (BTreeSet::new(), BTreeSet::new(), String::new());
    for (Key { name, .. }, node) in members {
        let at = node.line;
        let error = |what| wrong(at, &name, what);
        match name.as_str() {
            "from" => from = Some(Pattern::read(&text(node, &name)?).map_err(error)?),
            "to" => {
                let (pattern, known) = Pattern::read_with_port(&text(node, &name)?).map_err(error)?;
                to = Some(pattern);
                port = known.map(|port| (port, at));
            }
            "ports" => row.0 = items(node, &name, port_of)?,
            "clusters" => row.1 = items(node, &name, cluster_of)?,
            _ => row.2 = text(node, &name)?,
        }
    }
    let (mut ports, clusters, why) = row;
    if let Some((port, at)) = port {
        if !ports.is_empty() {
            return Err(wrong(at, "to", "it has a port, and so has \"ports\"; one of both is enough".to_owned()));
        }
        ports.insert(port);
    }
    let from = from.ok_or(Error::Missing { line, key: "from" })?;
    let to = to.ok_or(Error::Missing { line, key: "to" })?;
    Ok(Row { kind, from, to, ports, clusters, why })
}

fn port_of(value: &Value) -> Result<u16, String> {
    let port = if let Value::Number(number) = value { u16::try_from(*number).ok() } else { None };
    port.filter(|port| *port > 0).ok_or_else(|| format!("{} is no port: 1 to 65535", shown(value)))
}

fn cluster_of(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(name) if !name.trim().is_empty() => Ok(name.clone()),
        other => Err(format!("{} is no name of a cluster", shown(other))),
    }
}

/// The values of a list, which must have some: who means any leaves the key out.
fn items<T: Ord>(node: Node, key: &str, one: fn(&Value) -> Result<T, String>) -> Result<BTreeSet<T>, Error> {
    let Value::List(items) = node.value else {
        return Err(wrong(node.line, key, format!("a list is needed, not {}", node.value.kind())));
    };
    if items.is_empty() {
        return Err(wrong(node.line, key, "the list is empty; without the key, any will do".to_owned()));
    }
    items.iter().map(|item| one(&item.value).map_err(|what| wrong(item.line, key, what))).collect()
}

fn table(node: Node, key: &str) -> Result<Members, Error> {
    match node.value {
        Value::Table(members) => Ok(members),
        other => Err(wrong(node.line, key, format!("a table is needed, not {}", other.kind()))),
    }
}

fn text(node: Node, key: &str) -> Result<String, Error> {
    match node.value {
        Value::Text(text) => Ok(text),
        other => Err(wrong(node.line, key, format!("a text is needed, not {}", shown(&other)))),
    }
}

fn known(members: &Members, keys: &[&str]) -> Result<(), Error> {
    // TOML hands keys over by name: the first in the file is the one to tell.
    let strange = members.iter().map(|(key, _)| key).filter(|key| !keys.contains(&key.name.as_str()));
    match strange.min_by_key(|key| key.line) {
        Some(Key { line, name }) => {
            Err(Error::Unknown { line: *line, key: name.clone(), known: format!("\"{}\"", keys.join("\", \"")) })
        }
        None => Ok(()),
    }
}

fn wrong(line: usize, key: &str, what: String) -> Error {
    Error::Wrong { line, key: key.to_owned(), what }
}

/// A value for people: what it is, where it is not short itself.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
        other => other.kind().to_owned(),
    }
}
