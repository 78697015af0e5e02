//! From files to [`Mesh`]: configuration dumps and objects, told by what is in them.

mod address;
mod bulk;
mod chain;
mod cluster;
mod config_map;
mod document;
mod endpoint;
mod file;
mod inventory;
mod json;
mod kube;
mod listener;
mod merge;
mod node;
mod notes;
mod part;
mod parts;
mod pod;
mod policy;
mod registry;
mod route;
mod section;
mod service;
mod status;
mod table;
mod tls;
mod typed;
mod whose;
mod yaml;
mod ztunnel;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{LeftOut, Mesh};
use crate::source::Source;
use crate::source::expand::{self, Expanded, Wanted};
use parts::Parts;

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

/// What is looked for in folders and archives, told by paths; most is told by content later.
const WANTED: Wanted = Wanted { name: "configuration", leaves_out };

/// The same beside logs: only what no one reads as a log.
const BESIDE: Wanted = Wanted { name: "configuration", leaves_out: |path| leaves_out(path).or(is_log(path)) };

fn is_log(path: &str) -> Option<&'static str> {
    (!expand::is_configuration(path)).then_some("logs")
}

/// Files that are large, many, or secret.
fn leaves_out(path: &str) -> Option<&'static str> {
    // Where an archive lies says nothing of what it holds.
    let path = path.split_once('!').map_or(path, |(_, member)| member).to_lowercase();
    let file = path.rsplit(['/', '!']).next().unwrap_or_default();
    let under = |folder: &str| path.split(['/', '!']).any(|part| part == folder);
    if file.contains(".log") || under("logs") || under("pod_logs") {
        return Some("logs");
    }
    if matches!(file, "certs" | "secrets" | "memory" | "netstat" | "server_info" | "runtime" | "metrics") {
        return Some("state of other kinds");
    }
    if under("stats") || under("cores") || under(".git") {
        return Some("state of other kinds");
    }
    let endings = [".png", ".jpg", ".svg", ".html", ".pdf", ".so", ".exe", ".md", ".pem", ".key", ".crt"];
    endings.iter().any(|ending| file.ends_with(ending)).then_some("files of other kinds")
}

/// For the deepest document that is allowed: the reader of YAML takes up to 30 KB a level in builds for tests.
const STACK: usize = 8 << 20;

/// Reads files, folders and archives: what a file is, is seen from its content. Fails if something that was named
/// cannot be read or holds nothing that we know; single files in folders and archives are left out then.
pub fn paths(paths: &[PathBuf]) -> Result<Mesh, Trouble> {
    let expanded = Expanded::wanting(WANTED, paths, &AtomicBool::new(false));
    let mut mesh = Mesh::default();
    let named: BTreeSet<String> = paths.iter().map(|path| expand::name(path)).collect();
    for trouble in expanded.troubles {
        // Of an archive that is damaged, what came before the damage is there; of a folder, what is beside a broken link.
        let of = |source: &Source| trouble.starts_with(source.name.split('!').next().unwrap_or_default());
        let within = |path: &PathBuf| path.is_dir() && Path::new(&trouble).starts_with(path);
        if !expanded.sources.iter().any(of) && !paths.iter().any(within) {
            return Err(Trouble::Unreadable(trouble));
        }
        mesh.left_out.push(LeftOut { file: Box::default(), place: Box::default(), why: trouble.into(), wrong: true });
    }
    mesh.skipped(expanded.skipped);
    let known = choose(all(expanded.sources)?, &named, &mut mesh.left_out)?;
    if let Some(empty) = paths.iter().find(|path| path.exists() && !holds(path, &known)) {
        return Err(Trouble::Unknown(empty.display().to_string()));
    }
    mesh.of(known);
    Ok(mesh)
}

/// Reads the configuration that lies beside logs in these folders and archives: a bug report has its proxies' dumps, a
/// must-gather the cluster's objects. None if there is nothing that we know, not even damaged; that is left out.
pub fn beside(logs: &[PathBuf], stop: &AtomicBool) -> Option<Mesh> {
    let mut expanded = Expanded::wanting(BESIDE, logs, stop);
    // Logs that were named themselves.
    expanded.sources.retain(|source| expand::is_configuration(&source.name));
    let mut mesh = Mesh { beside_logs: true, ..Mesh::default() };
    mesh.skipped(expanded.skipped);
    let known = choose(all(expanded.sources).ok()?, &BTreeSet::new(), &mut mesh.left_out).ok()?;
    if known.is_empty() && !mesh.left_out.iter().any(|part| part.wrong) {
        return None;
    }
    mesh.of(known);
    Some(mesh)
}

/// Reads files side by side.
fn all(sources: Vec<Source>) -> Result<Vec<One>, Trouble> {
    let threads = rayon::ThreadPoolBuilder::new().stack_size(STACK).build();
    let threads = threads.map_err(|error| Trouble::Unreadable(format!("no threads to read with: {error}")))?;
    Ok(threads.install(|| sources.into_par_iter().map(one).collect()))
}

/// One file, read up to its end or to what is wrong with it.
struct One {
    name: Box<str>,
    parts: Parts,
    trouble: Option<Trouble>,
}

fn one(source: Source) -> One {
    let name = source.name.clone();
    let mut parts = Parts::default();
    let bytes = source.bytes().map_err(|error| Trouble::Io { file: name.clone(), error });
    let trouble = bytes.and_then(|bytes| file::file(&name, bytes, &mut parts)).err();
    One { name: name.into(), parts, trouble }
}

/// The files that are used, sorted by name. Of a file that is damaged nothing is: half a dump would send connections
/// where the whole one does not.
fn choose(
    mut read: Vec<One>,
    named: &BTreeSet<String>,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<(Box<str>, Parts)>, Trouble> {
    read.sort_by(|one, other| one.name.cmp(&other.name));
    read.dedup_by(|one, other| one.name == other.name);
    let mut strange: Vec<Box<str>> = Vec::new();
    let mut known = Vec::new();
    for One { name, parts, trouble } in read {
        let is_named = named.contains(&*name);
        let is_known = parts.known > 0;
        match trouble {
            Some(trouble) if is_named => return Err(trouble),
            None if is_named && !is_known => return Err(Trouble::Unknown(name.into())),
            Some(trouble) if is_known => {
                left_out.push(LeftOut { place: Box::default(), why: trouble.within(&name), file: name, wrong: true });
            }
            _ if !is_known => strange.push(name),
            _ => known.push((name, parts)),
        }
    }
    if let Some(first) = strange.first() {
        let why = format!("no configuration that is known here: {} files, this is the first", strange.len()).into();
        left_out.push(LeftOut { file: first.clone(), place: Box::default(), why, wrong: false });
    }
    Ok(known)
}

/// Whether one of these files is this one, or in this folder or archive.
fn holds(path: &Path, known: &[(Box<str>, Parts)]) -> bool {
    let name = path.display().to_string();
    let name = name.trim_end_matches('/');
    known
        .iter()
        .any(|(file, _)| file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '!'])))
}

impl Mesh {
    /// Notes how many files of which kinds were not looked at. What is read once although it was named twice is not left out.
    fn skipped(&mut self, skipped: BTreeMap<&'static str, u64>) {
        for (what, count) in skipped.into_iter().filter(|(what, _)| *what != expand::AGAIN) {
            let why = format!("{what}: {count} files in folders and archives").into();
            self.left_out.push(LeftOut { file: Box::default(), place: Box::default(), why, wrong: false });
        }
    }

    fn of(&mut self, mut files: Vec<(Box<str>, Parts)>) {
        for (name, parts) in &mut files {
            self.left_out.extend(std::mem::take(&mut parts.notes).into_left_out(name));
        }
        self.objects = inventory::objects(&mut files, &mut self.left_out);
        self.proxies = merge::proxies(files);
    }
}

impl Trouble {
    /// Without the file, for where that is told beside it.
    fn within(&self, file: &str) -> Box<str> {
        let said = self.to_string();
        said.strip_prefix(file).map_or(&*said, |rest| rest.trim_start_matches([':', ' '])).into()
    }
}

#[cfg(test)]
mod tests;
