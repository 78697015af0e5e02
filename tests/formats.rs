//! Every sample line in every grammar file, and the hostile lines.

use logscan::field::Field;
use logscan::format::{self, Format, Formats};
use logscan::record::{Record, Spans};
use serde_json::Value;

use crate::tool::path;

/// What a record says of a field, as samples write it: `-` for absent.
fn said(record: &Record<'_>, field: Field) -> String {
    record.text(field).map_or("-".to_owned(), |text| String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn every_sample_yields_what_its_file_says() {
    for file in format::files().unwrap() {
        let compiled = Format::compile(&file).unwrap();
        assert!(!file.sample.is_empty(), "{} has no sample", file.name);
        for sample in &file.sample {
            let mut spans = Spans::default();
            compiled
                .read(sample.line.as_bytes(), &mut spans)
                .unwrap_or_else(|misfit| panic!("{}: {misfit:?}", sample.line));
            let record = Record { line: sample.line.as_bytes(), spans: &spans };
            for (key, value) in &sample.expect {
                let field = Field::of_key(key).unwrap_or_else(|| panic!("{}: no field {key}", file.name));
                assert_eq!(&said(&record, field), value, "{} of {}", key, sample.line);
            }
            assert!(record.time(Field::StartTime).is_some());
        }
    }
}

#[test]
fn a_sample_fits_its_own_format_and_no_other_whatever_is_tried_first() {
    let formats = Formats::built_in().unwrap();
    for (own, file) in format::files().unwrap().iter().enumerate() {
        for sample in &file.sample {
            for first in 0..formats.list().len() {
                let (mut hint, mut spans) = (first, Spans::default());
                formats.read(sample.line.as_bytes(), &mut hint, &mut spans).unwrap();
                assert_eq!(hint, own, "{} read by {}", sample.line, formats.list()[hint].name);
            }
        }
    }
}

#[test]
fn what_a_format_writes_it_reads_back() {
    let values = ["-", "a", "a b", "2026-03-01T10:00:00.001Z", "42", "10.0.0.1:80", "UF,URX", "HTTP/1.1"];
    for format in Formats::built_in().unwrap().list() {
        for seed in 0..200usize {
            let value = |slot: u8| -> Option<&'static [u8]> {
                let field = Field::ALL[slot as usize];
                let choice = (seed * 7 + slot as usize * 13) % 5;
                let text = match (field, choice) {
                    (Field::StartTime, _) => values[3],
                    (Field::ResponseFlags, 0) => values[6],
                    (Field::Protocol, 0) => values[7],
                    (_, 1) => return None,
                    (Field::UserAgent | Field::Path | Field::UpstreamTransportFailureReason, 2) => values[2],
                    _ => match field.kind() {
                        logscan::field::Kind::Integer | logscan::field::Kind::Millis => values[4],
                        logscan::field::Kind::Address => values[5],
                        logscan::field::Kind::Flags => values[0],
                        _ if field == Field::Protocol => values[0],
                        _ => values[1],
                    },
                };
                Some(text.as_bytes())
            };
            let mut line = Vec::new();
            format.write(value, &mut line);
            let mut spans = Spans::default();
            let shown = String::from_utf8_lossy(&line).into_owned();
            format.read(&line, &mut spans).unwrap_or_else(|misfit| panic!("{misfit:?}: {shown}"));
            let record = Record { line: &line, spans: &spans };
            for slot in format.slots() {
                let field = Field::ALL[slot as usize];
                let expected = value(slot).filter(|text| *text != b"-");
                assert_eq!(record.text(field).as_deref(), expected, "{} of {shown}", field.key());
            }
        }
    }
}

#[test]
fn hostile_headers_move_nothing_that_envoy_writes() {
    let formats = Formats::built_in().unwrap();
    let log = std::fs::read(path("samples/hostile/hostile.log")).unwrap();
    let expected = std::fs::read_to_string(path("samples/hostile/hostile.expect.jsonl")).unwrap();
    let mut count = 0;
    for (line, expected) in log.split(|byte| *byte == b'\n').zip(expected.lines()) {
        let start = logscan::envelope::message_start(line, logscan::envelope::begins_access).unwrap();
        let (message, mut spans) = (&line[start..], Spans::default());
        formats.read(message, &mut 0, &mut spans).unwrap();
        let record = Record { line: message, spans: &spans };
        let expected: serde_json::Map<String, Value> = serde_json::from_str(expected).unwrap();
        for (key, value) in &expected {
            assert_eq!(
                said(&record, Field::of_key(key).unwrap()),
                value.as_str().unwrap(),
                "{key} of {}",
                String::from_utf8_lossy(line)
            );
        }
        count += 1;
    }
    assert_eq!(count, 19);
}

/// Real lines that people published, where the folder is at hand. They are not part of the project.
#[test]
fn published_lines_of_the_known_formats_read() {
    let Ok(corpus) = std::fs::read_to_string(path("../shared/corpus/public.jsonl")) else {
        eprintln!("skipped: no corpus of published lines beside the project");
        return;
    };
    let formats = Formats::built_in().unwrap();
    let keys = [
        ("start_time", Field::StartTime),
        ("upstream_cluster", Field::UpstreamCluster),
        ("downstream_remote", Field::DownstreamRemoteAddress),
        ("response_flags", Field::ResponseFlags),
        ("upstream_local", Field::UpstreamLocalAddress),
        ("authority", Field::Authority),
        ("path", Field::Path),
        ("user_agent", Field::UserAgent),
    ];
    let (mut read, mut wrong) = (0, Vec::new());
    for line in corpus.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let (Some(text), Some(truth)) = (entry["line"].as_str(), entry["truth"].as_object()) else {
            continue;
        };
        if entry["envelope"] != "none" || !truth.contains_key("start_time") {
            continue;
        }
        let mut spans = Spans::default();
        let message = text.trim_end();
        if formats.read(message.as_bytes(), &mut 0, &mut spans).is_err() {
            continue;
        }
        read += 1;
        let record = Record { line: message.as_bytes(), spans: &spans };
        for (key, field) in keys {
            let told = truth.get(key).and_then(Value::as_str).unwrap_or("-").trim_end_matches(';');
            if said(&record, field).trim_end_matches(';') != told {
                wrong.push(format!("{key}: {} is not {told}: {text}", said(&record, field)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read > 100, "only {read} lines were read");
}
