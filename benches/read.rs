//! How fast each format reads: `cargo bench --bench read`. Lines are the samples of the grammar files, over and over;
//! all fields are found and those that a run needs are made numbers. JSON also through a tree, for comparison.
//!
//! How fast a log is read, without pairs and report: `cargo bench --bench read -- LOG`. Its bytes come out of the page cache
//! each time; one thread.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a program that measures"
)]

use std::fs::File;
use std::hint::black_box;
use std::time::Instant;

use logscan::envelope;
use logscan::field::Field;
use logscan::format::{self, Formats};
use logscan::record::{Record, Spans};
use logscan::scan::{Options, Scanned, Scanner};
use logscan::source::SourceId;
use logscan::source::block::{Block, Blocks};

/// How much is read for one measurement.
const BYTES: usize = 32 << 20;
/// How often; the median counts.
const RUNS: usize = 7;

/// What a run asks of a record.
fn touch(record: &Record<'_>) -> u64 {
    let numbers = [Field::ResponseCode, Field::BytesReceived, Field::BytesSent, Field::Duration];
    let texts = [Field::UpstreamCluster, Field::UpstreamHost, Field::DownstreamRemoteAddress, Field::RequestId];
    let sum: u64 = numbers.into_iter().filter_map(|field| record.integer(field)).sum();
    let time = record.time(Field::StartTime).map_or(0, |time| time.0.cast_unsigned());
    sum + time + texts.into_iter().map(|field| record.plain(field).len() as u64).sum::<u64>()
}

/// The same of a tree.
fn touch_tree(line: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    let text = |key: &str| value.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let number = |key: &str| value.get(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
    let sum: u64 = ["response_code", "bytes_received", "bytes_sent", "duration"].into_iter().map(number).sum();
    let time = logscan::field::value::time(text("start_time").as_bytes()).map_or(0, |time| time.0.cast_unsigned());
    let texts = ["upstream_cluster", "upstream_host", "downstream_remote_address", "request_id"];
    sum + time + texts.into_iter().map(|key| text(key).len() as u64).sum::<u64>()
}

/// Median seconds of a pass over all lines, and their bytes.
fn measure(lines: &[&str], mut read: impl FnMut(&str) -> u64) -> (f64, usize, usize) {
    let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
    let rounds = BYTES / bytes + 1;
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..rounds {
                for line in lines {
                    black_box(read(black_box(line)));
                }
            }
            started.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[RUNS / 2], rounds * bytes, rounds * lines.len())
}

/// Median seconds of a pass over a log.
fn pass(log: &str, mut each: impl FnMut(&Block)) -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            let mut blocks = Blocks::new(File::open(log).unwrap(), SourceId(0), 128 << 10);
            let mut spare = Vec::new();
            while let Some(block) = blocks.next(spare).unwrap() {
                each(&block);
                spare = block.bytes;
            }
            started.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

/// How long a log takes: cut into blocks, all fields found, all of them made values.
fn log(formats: &Formats, log: &str) {
    let bytes = std::fs::metadata(log).unwrap().len() as f64;
    let row = |what: &str, time: f64| println!("| {what} | {time:.3} | {:.0} |", bytes / time / 1e6);
    println!("| {log} | s | MB/s |\n|---|---:|---:|");
    row("lines counted", pass(log, |block| _ = black_box(block)));
    let (mut hint, mut spans) = (0, Spans::default());
    let found = pass(log, |block| {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', &block.bytes) {
            let line = &block.bytes[from..end];
            from = end + 1;
            if let Some(start) = envelope::access_start(line) {
                _ = black_box(formats.read(&line[start..], &mut hint, &mut spans));
            }
        }
    });
    row("fields found", found);
    let mut scanner = Scanner::new(formats, Options::default(), 0);
    let mut legs = Scanned::default();
    row(
        "times, numbers, addresses, flags and names as values",
        pass(log, |block| {
            legs = black_box(scanner.scan(block, std::mem::take(&mut legs)));
        }),
    );
}

fn main() {
    let formats = Formats::built_in().unwrap();
    // Cargo adds an option of its own.
    if let Some(path) = std::env::args().skip(1).find(|argument| argument != "--bench") {
        return log(&formats, &path);
    }
    println!("| format | bytes a line | ns a line | MB/s |\n|---|---:|---:|---:|");
    let row = |name: &str, (time, bytes, lines): (f64, usize, usize)| {
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} |",
            bytes as f64 / lines as f64,
            time * 1e9 / lines as f64,
            bytes as f64 / time / 1e6
        );
    };
    for file in format::files().unwrap() {
        let lines: Vec<&str> = file.sample.iter().map(|sample| sample.line.as_str()).collect();
        let (mut hint, mut spans) = (0, Spans::default());
        let read = |line: &str| {
            formats.read(line.as_bytes(), &mut hint, &mut spans).unwrap();
            touch(&Record { line: line.as_bytes(), spans: &spans })
        };
        row(&file.name, measure(&lines, read));
        if file.name == "istio-json" {
            row("istio-json as a serde_json::Value", measure(&lines, touch_tree));
        }
    }
}
