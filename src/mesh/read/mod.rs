//! From files to [`Mesh`]: configuration dumps and objects, told by what is in them.

mod address;
mod chain;
mod cluster;
mod document;
mod endpoint;
mod file;
mod json;
mod listener;
mod merge;
mod node;
mod notes;
mod parts;
mod route;
mod status;
mod tls;
mod typed;
mod whose;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::Mesh;
use crate::source::expand::{self, Expanded};

/// What cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A file or folder that cannot be opened; the text names it.
    #[error("{0}")]
    Unreadable(String),
    /// A file that stopped being readable.
    #[error("{file}: {error}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// Text that is not what it begins as.
    #[error("{file}:{line}:{column}: {what}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1; 0 at the end of a line.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// A file that was named and holds nothing that we know.
    #[error("{0}: holds no configuration that is known here: neither a proxy's dump nor objects of a cluster")]
    Unknown(String),
}

/// Reads files, folders and archives: what a file is, is seen from its content. Fails if something that was named
/// cannot be read or holds nothing that we know; files in folders and archives are left out then.
pub fn paths(paths: &[PathBuf]) -> Result<Mesh, Trouble> {
    let expanded = Expanded::of(paths, &AtomicBool::new(false));
    if let Some(trouble) = expanded.troubles.into_iter().next() {
        return Err(Trouble::Unreadable(trouble));
    }
    let named: Vec<String> = paths.iter().map(|path| expand::name(path)).collect();
    let mut files = Vec::new();
    for source in expanded.sources {
        let name = source.name.clone();
        let bytes = source.bytes().map_err(|error| Trouble::Io { file: name.clone(), error })?;
        files.push((name.clone(), file::file(&name, bytes)?));
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    files.dedup_by(|one, other| one.0 == other.0);
    let mut mesh = Mesh::default();
    let mut known = Vec::new();
    for (name, mut parts) in files {
        if parts.known == 0 && named.contains(&name) {
            return Err(Trouble::Unknown(name));
        }
        mesh.left_out.extend(std::mem::take(&mut parts.notes).into_left_out(&name));
        if parts.known > 0 {
            known.push((name.into(), parts));
        }
    }
    mesh.proxies = merge::proxies(known);
    Ok(mesh)
}

#[cfg(test)]
mod tests;
