//! Runs the real program, and finds the project's files.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::AtomicBool;

use logscan::format::Formats;
use logscan::leg::Leg;
use logscan::scan::{Options, Scanned, Scanner};
use logscan::source::block::{Block, Blocks};
use logscan::source::expand::Expanded;
use logscan::source::{Origin, SourceId};
use serde_json::Value;

/// A path from the project's root.
pub(crate) fn path(from_root: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(from_root)
}

/// The program with the project's root as its directory, so that names in reports are short.
pub(crate) fn logscan(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logscan"));
    command.args(arguments).current_dir(path("")).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    logscan(arguments).output().expect("the program starts")
}

/// Runs it with bytes on a pipe.
pub(crate) fn run_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = logscan(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe was asked for");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // The program may end before it has read everything; that is its business.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer does not panic");
    output
}

/// Standard output as text.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("reports are UTF-8")
}

/// Standard output as one JSON document.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The objects of one `type` of an NDJSON output.
pub(crate) fn objects(output: &Output, of_type: &str) -> Vec<Value> {
    let all = text(output);
    let objects = all.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is an object"));
    objects.filter(|object| object["type"] == of_type).collect()
}

/// Every log among the samples, as paths from the root, sorted.
pub(crate) fn sample_logs() -> Vec<String> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(path("samples")).expect("samples are there").flatten() {
        for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let name = file.path();
            if name.extension().is_some_and(|extension| extension == "log") {
                found.push(name.strip_prefix(path("")).expect("below the root").display().to_string());
            }
        }
    }
    found.sort();
    assert!(found.len() > 10, "samples are missing");
    found
}

/// The lines of some logs, each a block at its own place, with the number of the part that it belongs to. Both legs of a connection
/// belong to one part: they share the client's end on the wire, or the request id.
pub(crate) fn cut(formats: &Formats, logs: &[PathBuf], parts: usize) -> Vec<(usize, Block)> {
    let mut scanner = Scanner::new(formats, Options::default(), 0);
    let (mut lines, mut groups) = (Vec::new(), Groups::default());
    for (number, source) in Expanded::of(logs, &AtomicBool::new(false)).sources.into_iter().enumerate() {
        let (id, first) = (SourceId(number as u32), source.first_line);
        let mut blocks = Blocks::new(source.open(true).unwrap(), id, 1 << 20).from_line(first);
        while let Some(block) = blocks.next(Vec::new()).unwrap() {
            for (line, bytes) in (block.origin.line..).zip(block.bytes.split_inclusive(|byte| *byte == b'\n')) {
                let alone = Block { bytes: bytes.to_vec(), origin: Origin { source: id, line }, torn: false };
                let read = scanner.scan(&alone, Scanned::default());
                let keys = read.legs.first().map(keys).unwrap_or_default();
                lines.push((groups.add(&keys), alone));
            }
        }
    }
    lines.into_iter().map(|(group, block)| (groups.first(group) % parts, block)).collect()
}

/// What legs of one connection may have in common.
fn keys(leg: &Leg) -> Vec<(&'static str, u64)> {
    let end = if leg.wire.is_none() { ("peer", leg.peer.number()) } else { ("wire", leg.wire.number()) };
    let request = (leg.request != 0).then_some(("request", leg.request));
    request.into_iter().chain([end]).collect()
}

/// Lines that share a key, or a line that shares one with each, are one group.
#[derive(Default)]
struct Groups {
    by_key: BTreeMap<(&'static str, u64), usize>,
    /// By group, one that it became a part of; else itself.
    joined: Vec<usize>,
}

impl Groups {
    fn add(&mut self, keys: &[(&'static str, u64)]) -> usize {
        let new = self.joined.len();
        self.joined.push(new);
        for key in keys {
            let known = *self.by_key.entry(*key).or_insert(new);
            let (known, own) = (self.first(known), self.first(new));
            self.joined[known.max(own)] = known.min(own);
        }
        new
    }

    fn first(&self, mut group: usize) -> usize {
        while self.joined[group] != group {
            group = self.joined[group];
        }
        group
    }
}
