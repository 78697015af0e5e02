//! Parts that were read apart, saved and merged say what the whole says; a damaged state says nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use logscan::claims::AlreadyTold;
use logscan::event::Events;
use logscan::field::value::Micros;
use logscan::finding::Finding;
use logscan::format::Formats;
use logscan::ledger::Ledger;
use logscan::report::Report;
use logscan::rules;
use logscan::run::{Pass, Settings};
use logscan::scan::Scanned;
use logscan::sinks::Sink;
use logscan::source::SourceId;
use logscan::source::block::Block;
use logscan::source::expand::Expanded;
use logscan::state::{self, State};
use logscan::topology::Topology;
use proptest::prelude::*;
use serde_json::Value;

use crate::tool::{cut, json, path, run, run_with, sample_logs, text};

struct Nothing;

impl Sink for Nothing {
    fn finish(&mut self, _: &Report) -> std::io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn settings() -> Settings {
    Settings { learn: true, save: true, ..Settings::plain(Formats::built_in().unwrap(), 1) }
}

/// A pass that has read these lines of the logs.
fn pass<'s, 'b>(settings: &'s Settings, logs: &[PathBuf], lines: impl Iterator<Item = &'b Block>) -> Pass<'s> {
    let mut pass = Pass::new(settings, Box::new(Nothing));
    pass.take(Expanded::of(logs, &AtomicBool::new(false)));
    let mut scanner = pass.scanner(0);
    for block in lines {
        let mut read = scanner.scan(block, Scanned::default());
        let now = read.reached;
        pass.absorb(&mut read, block, now).unwrap();
    }
    pass
}

/// What a pass says at its end, and what it saves.
fn told(mut pass: Pass<'_>) -> (Value, Vec<u8>) {
    let state = pass.state(false).unwrap().to_bytes().unwrap();
    let report = pass.finish(false).unwrap();
    let learned = format!("{:?}", report.learned);
    (serde_json::json!([report, learned]), state)
}

/// The first place where two reports differ, and what they say there.
fn difference(one: &Value, other: &Value) -> Option<String> {
    let inside = |at: &dyn std::fmt::Display, one: &Value, other: &Value| {
        difference(one, other).map(|there| format!("{at}.{there}"))
    };
    match (one, other) {
        _ if one == other => None,
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, value)| inside(key, value, &b[key]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(at, (one, other))| inside(&at, one, other))
        }
        _ => Some(format!(" {one} and {other}")),
    }
}

/// Logs that were read as a whole and in parts, with the states of the parts.
struct Apart {
    logs: Vec<PathBuf>,
    settings: Settings,
    whole: (Value, Vec<u8>),
    parts: Vec<Vec<u8>>,
}

impl Apart {
    fn new(logs: &[PathBuf], parts: usize) -> Apart {
        let settings = settings();
        let lines = cut(&settings.formats, logs, parts);
        let whole = told(pass(&settings, logs, lines.iter().map(|(_, block)| block)));
        let part = |part| {
            let lines = lines.iter().filter(|(of, _)| *of == part).map(|(_, block)| block);
            told(pass(&settings, logs, lines)).1
        };
        let parts = (0..parts).map(part).collect();
        Apart { logs: logs.to_vec(), whole, parts, settings }
    }

    fn merged(&self, states: &[&[u8]]) -> (Value, Vec<u8>) {
        let mut pass = Pass::new(&self.settings, Box::new(Nothing));
        for state in states {
            pass.join(State::from_bytes(state).unwrap()).unwrap();
        }
        told(pass)
    }

    /// Parts merged, one after the other and in two steps, say what the whole says.
    fn says_the_same_in(&self, order: &[usize]) {
        let states: Vec<&[u8]> = order.iter().map(|part| &self.parts[*part][..]).collect();
        let merged = self.merged(&states);
        assert_eq!(difference(&merged.0, &self.whole.0), None, "{:?} {order:?}", self.logs);
        assert!(merged.1 == self.whole.1, "{:?} {order:?}: other states", self.logs);
        let (first, rest) = states.split_at(order.len() / 2);
        let (_, first) = self.merged(first);
        assert!(self.merged(&[rest, &[&first]].concat()) == self.whole, "{:?} {order:?}: in two steps", self.logs);
    }
}

#[test]
fn every_sample_in_three_parts_says_what_it_says_as_a_whole() {
    for log in sample_logs() {
        let apart = Apart::new(&[path(&log)], 3);
        let program = json(&run(&["-o", "json", path(&log).to_str().unwrap()]));
        assert_eq!(apart.whole.0[0], program, "{log}");
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            apart.says_the_same_in(&order);
        }
    }
}

/// What a live run passes over, because it was told already, changes nothing about the rest.
#[test]
fn findings_that_were_told_are_left_out_and_no_others() {
    let (settings, mut found) = (settings(), 0);
    for log in sample_logs() {
        let lines = cut(&settings.formats, &[path(&log)], 1);
        let state = pass(&settings, &[path(&log)], lines.iter().map(|(_, block)| block)).state(false).unwrap();
        let (mut ledger, sources) = (Ledger::default(), (0..state.run.inputs.len() as u32).map(SourceId));
        ledger.join(&state.ledger, &sources.collect::<Vec<_>>()).unwrap();
        let topology = Topology::learn(&ledger);
        let judge = |told: &AlreadyTold| rules::judge(&ledger, &topology, &Events::default(), None, None, told);
        let all = judge(&AlreadyTold::new());
        found += all.len();
        for told in [0, 1] {
            let (told, rest): (Vec<_>, Vec<_>) = (0..).zip(&all).partition(|(number, _)| number % 2 == told);
            let told = told.into_iter().map(|(_, finding)| (finding.meta.code, finding.subject.clone())).collect();
            let rest: Vec<&Finding> = rest.into_iter().map(|(_, finding)| finding).collect();
            assert_eq!(format!("{:?}", judge(&told)), format!("{rest:?}"), "{log}");
        }
    }
    assert!(found > 50, "{found}");
}

/// Cases that people published, each a log; skipped with a word where the corpus is not at hand.
#[test]
fn published_cases_in_parts_say_what_they_say_as_a_whole() {
    let Ok(corpus) = std::fs::read_to_string(path("../shared/corpus/pairs-public.jsonl")) else {
        eprintln!("skipped: no corpus of published cases beside the project");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for published in corpus.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let log = folder.path().join("case.log");
        let lines: Vec<&str> = published["lines"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        Apart::new(&[log], 2).says_the_same_in(&[1, 0]);
    }
}

/// A connection of a generated log.
#[derive(Clone, Debug)]
struct Call {
    kind: u8,
    client: u8,
    server: u8,
    port: u16,
    /// Milliseconds.
    start: u64,
    took: u64,
    twice: bool,
}

fn call() -> impl Strategy<Value = Call> {
    let start = prop_oneof![0u64..20_000, 0u64..100_000_000];
    (0u8..8, 0u8..12, 0u8..4, 40_000u16..40_060, start, 0u64..3_000, prop::bool::weighted(0.1)).prop_map(
        |(kind, client, server, port, start, took, twice)| Call { kind, client, server, port, start, took, twice },
    )
}

impl Call {
    /// The lines of both sides, with their ends.
    fn lines(&self) -> Vec<(u64, String)> {
        let &Call { kind, client, server, port, start, took, twice } = self;
        let at = |millis: u64| Micros(1_595_500_000_000_000).plus_millis(i64::try_from(millis).unwrap()).to_string();
        let ip = |pod: u8| if pod < 8 { format!("10.12.0.{}", pod + 10) } else { format!("[fd00:12::{pod}]") };
        let (from, to) = (ip(client), format!("{}:80", ip(server)));
        let host = format!("app{server}.shop.svc.cluster.local");
        let cluster = format!("outbound|80||{host}");
        let app = format!("{from}:{}", port + 1000);
        let wire = format!("{from}:{port}");
        let who = format!("web-7948dffbdd-{client}44xx istio-proxy");
        let other = format!("app{server}-6c9f7d5b8-x2x7q istio-proxy");
        let out = |request: &str, code: &str, tail: &str| {
            format!("{who} [{}] {request} {code} {took} - \"-\" \"-\" {tail} - -", at(start))
        };
        let tcp = "\"- - -\" 0";
        let id = format!("0d7c7a9e-0000-4000-8000-{start:08}{client:02}{server:02}");
        let inbound = |start: u64, sni: &str| {
            format!(
                "{other} [{}] {tcp} - \"-\" \"-\" 7 9 {took} - \"-\" \"-\" \"-\" \"-\" \"127.0.0.1:80\" inbound|80|tcp|{host} 127.0.0.1:{port} {to} {wire} {sni} -",
                at(start)
            )
        };
        let sni = format!("outbound_.80_._.{host}");
        let none = "\"-\" \"-\"";
        let mut lines = match kind {
            0 | 1 => vec![
                out(tcp, "- \"-\" \"-\" 7 9", &format!("{none} \"{to}\" {cluster} {wire} 10.0.0.{server}:80 {app}")),
                inbound(start + took / 2, &sni),
            ],
            2 => vec![
                out(tcp, "- \"-\" \"-\" 7 9", &format!("{none} \"{to}\" PassthroughCluster {wire} {to} {app}")),
                inbound(start + 1, "-"),
            ],
            3 => vec![out(tcp, "UF,URX \"-\" \"-\" 0 0", &format!("{none} \"{to}\" {cluster} - {to} {app}"))],
            4 => vec![out(tcp, "Own \"-\" \"-\" 7 0", &format!("{none} \"{to}\" {cluster} {wire} {to} {app}"))],
            5 => {
                let side = |who: &str, cluster: &str, upstream: &str, local: &str, dest: &str, peer: &str| {
                    format!(
                        "{who} [{}] \"GET /x HTTP/1.1\" 503 - \"-\" \"-\" 0 9 {took} {took} \"-\" \"curl\" \"{id}\" \"{host}\" \"{upstream}\" {cluster} {local} {dest} {peer} - default",
                        at(start)
                    )
                };
                vec![
                    side(&who, &cluster, &to, &wire, &format!("10.0.0.{server}:80"), &app),
                    side(&other, "inbound|80||", "127.0.0.1:80", "127.0.0.1:9", &to, &format!("{from}:0")),
                ]
            }
            6 => vec![format!("{who} {} info Envoy proxy is ready", at(start)), format!("{who} some words")],
            // Of a pod that nobody knows, and one that is no whole line.
            _ => {
                let line = out(tcp, "- \"-\" \"-\" 7 9", &format!("{none} \"{to}\" {cluster} {wire} {to} {app}"));
                let bare = line.split_once(" istio-proxy ").unwrap().1.to_owned();
                vec![bare.clone(), bare[..bare.len() / 2].to_owned()]
            }
        };
        if twice {
            lines.push(lines[0].clone());
        }
        lines.into_iter().map(|line| (start + took, line)).collect()
    }
}

/// The same from the same: calls in the order of their ends, over one to three logs.
fn write(calls: &[Call], folder: &Path, logs: usize) -> Vec<PathBuf> {
    let mut lines: Vec<(u64, String)> = calls.iter().flat_map(Call::lines).collect();
    lines.sort();
    let files: Vec<PathBuf> = (0..logs).map(|log| folder.join(format!("{log}.log"))).collect();
    for (log, file) in files.iter().enumerate() {
        let lines = lines.iter().enumerate().filter(|(number, _)| number % logs == log).map(|(_, (_, line))| &line[..]);
        std::fs::write(file, lines.collect::<Vec<_>>().join("\n")).unwrap();
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn generated_logs_in_parts_say_what_they_say_as_a_whole(
        calls in prop::collection::vec(call(), 0..160),
        logs in 1usize..4,
        order in (1usize..5).prop_flat_map(|parts| Just((0..parts).collect::<Vec<usize>>()).prop_shuffle()),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let logs = write(&calls, folder.path(), logs);
        Apart::new(&logs, order.len()).says_the_same_in(&order);
    }
}

/// The state of these logs, as bytes.
fn state_of(logs: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    let output = run(&[&["--save", file.to_str().unwrap()], logs].concat());
    assert!(output.status.success(), "{output:?}");
    std::fs::read(file).unwrap()
}

/// Where the content begins.
const CONTENT: usize = 36;

/// A file with this content, of which every length and the checksum are right.
fn sealed(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut sum = flate2::Crc::new();
    sum.update(&[&length, &length, content].concat());
    [b"logscan state\n", &state::VERSION.to_le_bytes()[..], &sum.sum().to_le_bytes(), &length, &length, content]
        .concat()
}

/// What is in a file.
fn content(file: &[u8]) -> Vec<u8> {
    zstd::decode_all(&file[CONTENT..]).unwrap()
}

#[test]
fn a_state_that_is_cut_off_or_damaged_anywhere_is_refused() {
    let whole = state_of(&["samples/story/story.log"]);
    assert!(State::from_bytes(&whole).is_ok());
    for end in 0..whole.len() {
        assert!(State::from_bytes(&whole[..end]).is_err(), "cut off at {end}");
    }
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(State::from_bytes(&damaged).is_err(), "bit {bit}");
    }
    for (bytes, words) in [
        (&b""[..], "no state"),
        (b"logscan", "cut off: it ends at byte 7 of 36"),
        (b"[2020-07-23T14:47:24.040Z] \"- - -\" 0 UF,URX", "no state"),
        (b"logscan state\n\xff\x00 and more that nobody knows yet", "layout 255"),
        (&whole[..100], "ends at byte 100 of"),
        (&[&whole[..], b"x"].concat(), "goes on behind its end"),
        (&sealed(b""), "byte 0 of its content (inputs)"),
        (&sealed(&content(&whole)[..200]), "of its content (connections)"),
        (&sealed(&[&content(&whole)[..], b"x"].concat()), "something follows"),
    ] {
        let error = State::from_bytes(bytes).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(words), "{error}");
    }
    assert!(State::from_bytes(&sealed(&content(&whole))).is_ok(), "bare content is read, too");
}

#[test]
fn a_small_file_does_not_grow_without_measure() {
    let plain = vec![0; 8 << 20];
    let packed = zstd::bulk::compress(&plain, 3).unwrap();
    let lengths = [packed.len() as u64, plain.len() as u64].map(u64::to_le_bytes).concat();
    let mut sum = flate2::Crc::new();
    sum.update(&[&lengths[..], &packed].concat());
    let head = [b"logscan state\n", &state::VERSION.to_le_bytes()[..], &sum.sum().to_le_bytes()].concat();
    let error = State::from_bytes(&[&head[..], &lengths, &packed].concat()).unwrap_err().to_string();
    assert!(error.contains("claims to grow"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// What a checksum does not keep out: content that somebody made.
    #[test]
    fn no_content_panics(
        sample in 0usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), prop::bool::ANY), 1..6),
    ) {
        static STATES: std::sync::LazyLock<[Vec<u8>; 3]> = std::sync::LazyLock::new(|| {
            ["samples/story/story.log", "samples/ipv6/ipv6.log", "samples/hostile/hostile.log"]
                .map(|log| content(&state_of(&[log])))
        });
        static SETTINGS: std::sync::LazyLock<Settings> = std::sync::LazyLock::new(settings);
        let mut content = STATES[sample].clone();
        for (place, byte, insert) in changes {
            let place = place.index(content.len());
            if insert { content.insert(place, byte) } else { content[place] = byte }
        }
        if let Ok(state) = State::from_bytes(&sealed(&content)) {
            let mut pass = Pass::new(&SETTINGS, Box::new(Nothing));
            if pass.join(state).is_ok() {
                pass.finish(false).unwrap();
            }
        }
    }
}

/// A state that was saved once, of lines that can be read and others. `UPDATE_DOCS=1` saves it anew, which is right where what is
/// counted has changed; where only its layout has, `state::VERSION` needs another number first.
#[test]
fn the_layout_of_a_state_is_what_its_version_says() {
    let logs = ["samples/hostile/hostile.log", "samples/rollout/rollout.log", "samples/ipv6/ipv6.log"];
    let (kept, now) = ("samples/state/three.state", state_of(&logs));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path(kept), now).unwrap();
        return;
    }
    let merged = run(&["merge", "-o", "json", kept]);
    assert_eq!(json(&merged), json(&run(&[&["-o", "json"], &logs[..]].concat())));
    assert!(content(&std::fs::read(path(kept)).unwrap()) == content(&now), "the same is not saved in the same way");
}

/// Files as they may be cut by hand: in each, the lines of other parts are empty, so that lines keep their numbers.
#[test]
fn the_program_merges_what_it_saved() {
    let log = "samples/hazelcast-lab/istio-1.9.log";
    let bytes = std::fs::read(path(log)).unwrap();
    let lines = cut(&Formats::built_in().unwrap(), &[path(log)], 2);
    let folder = tempfile::tempdir().unwrap();
    let states = ["0.state", "1.state", "both.state"].map(|name| folder.path().join(name).display().to_string());
    let [zero, one, both] = states.each_ref().map(String::as_str);
    for (part, state) in [zero, one].into_iter().enumerate() {
        let line = |(of, block): &(usize, Block)| if *of == part { block.bytes.clone() } else { b"\n".to_vec() };
        let bytes: Vec<u8> = lines.iter().flat_map(line).collect();
        assert!(run_with(&["--save", state], &bytes).status.success());
    }
    let merged = run(&["merge", "--save", both, zero, one]);
    assert!(text(&merged).contains("unexpected-cluster"));

    // What is asked of a log can be asked of its states.
    for options in [
        &[][..],
        &["--redact"],
        &["--expect", "samples/expect/expect.toml"],
        &["--mesh", "samples/proof/mesh"],
        &["--fail-on", "error"],
    ] {
        let whole = run_with(&[&["-o", "json"], options].concat(), &bytes);
        let mut expected = json(&whole);
        expected["lines"]["total"] = (2 * lines.len()).into();
        expected["lines"]["other"]["blank"] = lines.len().into();
        for states in [&[one, zero][..], &[both]] {
            let merged = run(&[&["merge", "-o", "json"], options, states].concat());
            assert_eq!(difference(&json(&merged), &expected), None, "{options:?}");
            assert_eq!(merged.status.code(), whole.status.code(), "{options:?}");
        }
    }
    let learned = |arguments: &[&str]| text(&run(&[&["learn"], arguments].concat()));
    assert!(learned(&[log]).contains("from"));
    assert_eq!(learned(&["--state", zero, "--state", one]), learned(&[log]));
}

#[test]
fn a_state_replaces_nothing_but_a_state() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (log, state, story) = (at("a.log"), at("a.state"), "samples/story/story.log");
    std::fs::copy(path(story), &log).unwrap();
    let missing = at("nowhere/a.state");
    for (target, words) in [(&log[..], "is no state"), ("/dev/null", "is no state"), (&missing, "No such file")] {
        let output = run(&["--save", target, story]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{error}");
        assert!(error.contains(target) && error.contains(words), "{error}");
    }
    assert_eq!(std::fs::read(&log).unwrap(), std::fs::read(path(story)).unwrap());
    for _ in 0..2 {
        assert!(run(&["--save", &state, story]).status.success());
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "a file was left behind");

    // A state is no log, a log is no state, and a person's names do not go where they are not to be shown.
    for arguments in [&["merge", story][..], &["merge", &missing], &["--redact", "--save", &state, story]] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let damaged = std::fs::read(&state).unwrap();
    std::fs::write(&state, &damaged[..100]).unwrap();
    let output = run(&["merge", &state]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && error.contains(&format!("{state}: is cut off")), "{error}");
}

/// What went wrong with an input, and that its end is missing, is said of what was saved as well.
#[test]
fn troubles_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (log, state) = (at("a.log.gz"), at("a.state"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut std::fs::File::open(path("samples/hazelcast-lab/istio-1.9.log")).unwrap(), &mut gzip).unwrap();
    let bytes = gzip.finish().unwrap();
    std::fs::write(&log, &bytes[..bytes.len() / 2]).unwrap();
    let (read, merged) = (run(&["-o", "json", "--save", &state, &log]), run(&["merge", "-o", "json", &state]));
    assert_eq!((read.status.code(), merged.status.code()), (Some(2), Some(2)));
    assert_eq!(json(&merged), json(&read));
    assert_eq!(json(&merged)["troubles"].as_array().unwrap().len(), 1);
}
