//! From what a person named to sources: files, patterns, folders, archives, standard input.
//!
//! What somebody names is read. What lies in a folder or an archive is read unless its path says that it is no proxy's
//! log (`SKIPPED`) or its bytes are no text. Sources of the paths: Istio `tools/bug-report/pkg`, openshift/oc
//! `pkg/cli/admin/inspect`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::archive::{HEAD, Kind, Unpacker, is_binary};
use super::compressed::{Growth, is_table, peek, plain_within};
use super::{Content, Source};

/// What is looked for in folders and archives. What somebody names is taken, whatever it is.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// What it is called.
    pub name: &'static str,
    /// Why a path in a folder or an archive is left out, if it is.
    pub leaves_out: fn(&str) -> Option<&'static str>,
}

impl Default for Wanted {
    /// Logs.
    fn default() -> Self {
        Wanted { name: "log", leaves_out: skip }
    }
}

/// The sources of a run.
#[derive(Debug, Default)]
pub struct Expanded {
    /// What is looked for.
    pub(super) wanted: Wanted,
    /// In the order of the arguments, members and files by name.
    pub sources: Vec<Source>,
    /// What could not be opened or is damaged.
    pub troubles: Vec<String>,
    /// Files that were left out, by the reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Files by device and number: a link to a file is the file.
    seen: BTreeSet<(u64, u64)>,
}

/// What lies beside proxies' logs: reason, and what tells the path (in small letters).
const SKIPPED: &[(&str, Tells)] = &[
    ("istiod", |parts| parts.file == "discovery.log" || parts.under("istio") && parts.in_bug_report),
    ("cni", |parts| parts.file == "cni.log" || parts.under("cni") && parts.in_bug_report),
    ("operator", |parts| parts.under("operator") && parts.in_bug_report),
    ("cluster state", |parts| parts.in_bug_report && (parts.under("cluster") || parts.under("analyze"))),
    ("bug report's own", |parts| matches!(parts.file, "bug-report.log" | "versions" | "analyze.log")),
    ("proxy state", |parts| parts.in_bug_report && parts.under("proxies") && !parts.file.contains(".log")),
    ("cluster state", |parts| parts.under("namespaces") && !parts.under("logs") && !parts.file.contains(".log")),
    ("configuration", |parts| parts.ends_with(&[".yaml", ".yml", ".toml", ".ini", ".conf", ".cfg"])),
    ("picture or program", |parts| parts.ends_with(&[".png", ".jpg", ".svg", ".html", ".pdf", ".so", ".exe", ".md"])),
];

/// The reasons above that say what a mesh was told.
const CONFIGURATION: [&str; 3] = ["proxy state", "cluster state", "configuration"];

type Tells = fn(&Parts<'_>) -> bool;

/// A path in parts.
struct Parts<'p> {
    folders: Vec<&'p str>,
    file: &'p str,
    in_bug_report: bool,
}

impl Parts<'_> {
    fn under(&self, folder: &str) -> bool {
        self.folders.contains(&folder)
    }

    fn ends_with(&self, endings: &[&str]) -> bool {
        endings.iter().any(|ending| self.file.ends_with(ending))
    }
}

/// Why a file in a folder or an archive is no log, if its path tells.
fn skip(path: &str) -> Option<&'static str> {
    let lower = path.to_lowercase();
    let mut folders: Vec<&str> = lower.split(['/', '!']).filter(|part| !part.is_empty()).collect();
    let file = folders.pop().unwrap_or_default();
    // In a report itself the folders have their meaning only below its root.
    let root = folders.iter().rposition(|folder| folder.starts_with("bug-report") && !folder.contains('.'));
    let folders = root.map_or(folders.clone(), |root| folders[root + 1..].to_vec());
    let parts = Parts { folders, file, in_bug_report: root.is_some() };
    SKIPPED.iter().find(|(_, tells)| tells(&parts)).map(|(reason, _)| *reason)
}

/// Whether a file that lies beside logs holds what the mesh was told, as far as its path says.
pub(crate) fn is_configuration(path: &str) -> bool {
    skip(path).is_some_and(|reason| CONFIGURATION.contains(&reason))
}

/// Why a file is left out that is read under another name.
pub(crate) const AGAIN: &str = "the same file again";

/// Standard input's name in reports.
pub const STDIN: &str = "stdin";

/// Whether an argument is a stream that may go on for ever.
pub fn is_stream(argument: &Path) -> bool {
    if argument.as_os_str() == "-" {
        return !stdin_file().is_some_and(|file| file.metadata().is_ok_and(|meta| meta.is_file()));
    }
    argument.metadata().is_ok_and(|meta| {
        let kind = meta.file_type();
        kind.is_fifo() || kind.is_char_device() || kind.is_socket()
    })
}

/// What an argument is called in reports, before it is known what it holds.
pub fn name(argument: &Path) -> String {
    if argument.as_os_str() == "-" { STDIN.to_owned() } else { argument.display().to_string() }
}

fn stdin_file() -> Option<File> {
    use std::os::fd::AsFd;
    io::stdin().as_fd().try_clone_to_owned().ok().map(File::from)
}

impl Expanded {
    /// Finds the logs that `arguments` mean; ends early when `stop` is set. Reads streams up to their first bytes.
    pub fn of(arguments: &[PathBuf], stop: &AtomicBool) -> Expanded {
        Expanded::wanting(Wanted::default(), arguments, stop)
    }

    /// The same for something else than logs.
    pub fn wanting(wanted: Wanted, arguments: &[PathBuf], stop: &AtomicBool) -> Expanded {
        let mut found = Expanded { wanted, ..Expanded::default() };
        for argument in arguments {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if let Err(error) = found.argument(argument, stop) {
                found.troubles.push(format!("{}: {error}", name(argument)));
            }
        }
        found
    }

    /// Whether there is configuration among what was left out.
    pub fn has_configuration(&self) -> bool {
        self.skipped.keys().any(|reason| CONFIGURATION.contains(reason))
    }

    /// The one source that can be read only once, if that is all there is. Its name and place stay behind.
    pub fn only_stream(&mut self) -> Option<Source> {
        match &mut self.sources[..] {
            [Source { content: content @ Content::Stream(_), name, .. }] => {
                let content = std::mem::replace(content, Content::Stream(Box::new(io::empty())));
                Some(Source::new(name.clone(), content))
            }
            _ => None,
        }
    }

    fn argument(&mut self, argument: &Path, stop: &AtomicBool) -> io::Result<()> {
        if argument.as_os_str() == "-" {
            return match stdin_file() {
                Some(file) => self.stream(STDIN, file, stop),
                None => Err(io::Error::other("is not open")),
            };
        }
        let meta = match argument.metadata() {
            Ok(meta) => meta,
            Err(error) => return self.pattern(argument, error, stop),
        };
        if meta.is_dir() {
            return self.folder(argument, stop);
        }
        if meta.is_file() {
            return self.file(argument, &meta, false, stop);
        }
        self.stream(&name(argument), File::open(argument)?, stop)
    }

    /// A pattern that no shell has seen, if it is one.
    fn pattern(&mut self, argument: &Path, error: io::Error, stop: &AtomicBool) -> io::Result<()> {
        let text = argument.to_str().filter(|text| text.contains(['*', '?', '['])).ok_or(error)?;
        let paths = glob::glob(text).map_err(io::Error::other)?;
        let mut any = false;
        for path in paths.flatten() {
            any = true;
            if let Err(error) = self.argument(&path, stop) {
                self.troubles.push(format!("{}: {error}", path.display()));
            }
        }
        if any { Ok(()) } else { Err(io::Error::new(io::ErrorKind::NotFound, "no file matches")) }
    }

    fn folder(&mut self, folder: &Path, stop: &AtomicBool) -> io::Result<()> {
        let before = self.sources.len();
        let skipped: u64 = self.skipped.values().sum();
        let again = self.again();
        for entry in walkdir::WalkDir::new(folder).follow_links(true).sort_by_file_name() {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.troubles.push(broken(&error));
                    continue;
                }
            };
            let Ok(meta) = entry.metadata() else { continue };
            if !meta.is_file() {
                continue;
            }
            let path = entry.path();
            if let Err(error) = self.file(path, &meta, true, stop) {
                self.troubles.push(format!("{}: {error}", path.display()));
            }
        }
        let left_out = self.skipped.values().sum::<u64>() - skipped;
        match (self.sources.len() - before, left_out) {
            // `/var/log/pods` was named before `/var/log/containers`, where there are only links to it.
            (0, _) if self.again() > again => Ok(()),
            (0, 0) => Err(io::Error::other("no file in it")),
            (0, _) => {
                let wanted = self.wanted.name;
                Err(io::Error::other(format!("no {wanted} in it: {left_out} files of other kinds were left out")))
            }
            _ => Ok(()),
        }
    }

    /// How many files were left out because they are read already.
    fn again(&self) -> u64 {
        self.skipped.get(AGAIN).copied().unwrap_or_default()
    }

    /// A regular file: a log or an archive. With `choose` it was not named itself and may be left out.
    fn file(&mut self, path: &Path, meta: &std::fs::Metadata, choose: bool, stop: &AtomicBool) -> io::Result<()> {
        let name = path.display().to_string();
        let identity = (meta.dev(), meta.ino());
        let reason = if choose { (self.wanted.leaves_out)(&name) } else { None };
        if let Some(reason) = reason.or_else(|| self.seen.contains(&identity).then_some(AGAIN)) {
            *self.skipped.entry(reason).or_default() += 1;
            return Ok(());
        }
        // A table is copied to be read, so it is not opened only to see what it is.
        let mut begins = [0; 6];
        if File::open(path)?.read_exact(&mut begins).is_ok() && is_table(&begins) {
            self.seen.insert(identity);
            self.sources.push(Source::file(path));
            return Ok(());
        }
        let growth = Growth::default();
        let (bytes, packed) = plain_within(growth.input(File::open(path)?), &growth)?;
        let (head, bytes) = peek(bytes, HEAD)?;
        if let Some(kind) = Kind::of(&head) {
            self.seen.insert(identity);
            let mut unpacker = Unpacker::new(self, stop, &growth)?;
            unpacker.archive(&name, kind, bytes, 1);
            return Ok(());
        }
        if choose && is_binary(&head) {
            *self.skipped.entry("binary").or_default() += 1;
            return Ok(());
        }
        self.seen.insert(identity);
        self.add(Source::file(path), packed);
        Ok(())
    }

    /// Something that can be read once.
    fn stream(&mut self, name: &str, file: File, stop: &AtomicBool) -> io::Result<()> {
        let growth = Growth::default();
        let (bytes, _) = plain_within(growth.input(file), &growth)?;
        let (head, bytes) = peek(bytes, HEAD)?;
        match Kind::of(&head) {
            Some(kind) => {
                let mut unpacker = Unpacker::new(self, stop, &growth)?;
                unpacker.archive(name, kind, bytes, 1);
            }
            None => self.sources.push(Source::stream(name.to_owned(), bytes)),
        }
        Ok(())
    }

    /// Adds a log; where a bug report appended the log of the container's former run, that is one of its own, and older.
    pub(super) fn add(&mut self, source: Source, packed: bool) {
        match (!packed).then(|| previous(&source)).flatten() {
            None => self.sources.push(source),
            Some((at, lines)) => {
                let (newer, older) = source.split(at, lines);
                self.sources.extend([older, newer]);
            }
        }
    }
}

/// A proxy's log in a bug report begins with this line if there is more behind it.
const ANNOUNCED: &[u8] = b"========= Previous log present";
/// What separates them.
const PREVIOUS: &[u8] = b"\n========= Previous log =========\n";

/// Where the log of the container's former run begins, and the number of its first line.
fn previous(source: &Source) -> Option<(u64, u64)> {
    let opened;
    let (file, from, to) = match &source.content {
        Content::Stream(_) => return None,
        Content::Part { file, from, to, .. } => (&**file, *from, *to),
        Content::File { path, from, to } => {
            opened = File::open(path).ok()?;
            (&opened, *from, *to)
        }
    };
    let mut head = [0; 256];
    let most = usize::try_from(to - from).unwrap_or(usize::MAX).min(head.len());
    let read = file.read_at(&mut head[..most], from).ok()?;
    if !head[..read].trim_ascii_start().starts_with(ANNOUNCED) {
        return None;
    }
    // The separator may lie across two pieces, so each begins with the end of the one before.
    let (mut piece, mut at, mut lines) = (vec![0; 1 << 20], from, 1);
    loop {
        let most = usize::try_from(to - at).unwrap_or(usize::MAX).min(piece.len());
        let read = file.read_at(&mut piece[..most], at).ok()?;
        let read_on = &piece[..read];
        if let Some(found) = memchr::memmem::find(read_on, PREVIOUS) {
            let end = found + PREVIOUS.len();
            lines += memchr::memchr_iter(b'\n', &read_on[..end]).count() as u64;
            return Some((at + end as u64, lines));
        }
        let step = read.saturating_sub(PREVIOUS.len() - 1);
        if step == 0 {
            return None;
        }
        lines += memchr::memchr_iter(b'\n', &read_on[..step]).count() as u64;
        at += step as u64;
    }
}

impl Source {
    /// The part before `at`, and the part from there on, whose first line has the number `line`.
    fn split(self, at: u64, line: u64) -> (Source, Source) {
        let (newer, older) = match self.content {
            Content::File { path, from, to } => {
                (Content::File { path: path.clone(), from, to: at }, Content::File { path, from: at, to })
            }
            Content::Part { file, from, to, growth } => (
                Content::Part { file: file.clone(), from, to: at, growth: growth.clone() },
                Content::Part { file, from: at, to, growth },
            ),
            stream @ Content::Stream(_) => (stream, Content::Stream(Box::new(io::empty()))),
        };
        let older = Source { name: self.name.clone(), place: self.place.clone(), first_line: line, content: older };
        (Source { content: newer, ..self }, older)
    }
}

/// What cannot be walked into, the place first.
fn broken(error: &walkdir::Error) -> String {
    let why = match (error.io_error(), error.loop_ancestor()) {
        (Some(why), _) => why.to_string(),
        (None, Some(ancestor)) => format!("a link to {}, which it lies in", ancestor.display()),
        (None, None) => error.to_string(),
    };
    error.path().map_or(why.clone(), |path| format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_proxys_log_is_left_out_for_a_reason() {
        for (path, reason) in [
            ("r.tgz!bug-report/istio/istio-system/istiod-1/discovery.log", Some("istiod")),
            ("r.tgz!bug-report/proxies/shop/web-1/istio-proxy.log", None),
            ("r.tgz!bug-report/proxies/shop/web-1/config_dump", Some("proxy state")),
            ("bug-report/cluster/k8s-resources.json", Some("cluster state")),
            ("bug-report/versions", Some("bug report's own")),
            ("must-gather/x/namespaces/shop/pods/web-1/web-1.yaml", Some("cluster state")),
            ("must-gather/x/namespaces/shop/pods/web-1/istio-proxy/istio-proxy/logs/current.log", None),
            ("logs/istio/web.log", None),
            ("logs/proxies/web", None),
            ("logs/export.json", None),
            ("logs/values.yaml", Some("configuration")),
        ] {
            assert_eq!(skip(path), reason, "{path}");
        }
    }
}
