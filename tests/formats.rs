//! Every sample line in every grammar file, and the hostile lines.

use logscan::field::{Field, Kind};
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
            assert!(record.time(Field::StartTime).or(record.time(Field::EmitTime)).is_some());
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

/// A value that a slot can have, chosen by a number; none where it is absent.
fn value_of(format: &Format, slot: u8, seed: usize) -> Option<&'static [u8]> {
    let Some(field) = Field::ALL.get(slot as usize) else { return seed.is_multiple_of(2).then_some(b"extra") };
    let choice = (seed * 7 + slot as usize * 13) % 5;
    let ambient = format.name.starts_with("ztunnel");
    Some(match (field, choice) {
        (Field::StartTime | Field::EmitTime, _) => b"2026-03-01T10:00:00.001Z",
        (Field::Protocol, _) if format.name == "istio-1.0-http" => b"HTTP/1.1",
        (Field::Event, _) => b"connection complete",
        (Field::Direction, _) => [&b"inbound"[..], b"outbound"][seed % 2],
        (Field::UpstreamHost | Field::TunnelAddress | Field::DownstreamLocalAddress, _) if ambient => b"10.0.0.1:80",
        (_, 1) => return None,
        (Field::ResponseFlags, 0) => b"UF,URX",
        (Field::Protocol, 0) => b"HTTP/2",
        (Field::UserAgent | Field::Path | Field::UpstreamTransportFailureReason, 2) => b"a b",
        _ => match field.kind() {
            Kind::Integer => b"42",
            Kind::Millis => b"1003",
            Kind::Address => b"[2001:db8::1]:80",
            Kind::Flags => return None,
            _ if *field == Field::Protocol => return None,
            _ => b"a",
        },
    })
}

#[test]
fn what_a_format_writes_it_reads_back() {
    for format in Formats::built_in().unwrap().list() {
        for seed in 0..200 {
            let value = |slot: u8| value_of(format, slot, seed);
            let mut line = Vec::new();
            format.write(value, &mut line);
            if line.is_empty() {
                assert_eq!(format.name, "by-shape");
                continue;
            }
            let mut spans = Spans::default();
            let shown = String::from_utf8_lossy(&line).into_owned();
            format.read(&line, &mut spans).unwrap_or_else(|misfit| panic!("{misfit:?}: {shown}"));
            let record = Record { line: &line, spans: &spans };
            let inbound = value(Field::Direction as u8) == Some(b"inbound");
            for slot in format.slots() {
                let Some(field) = Field::ALL.get(slot as usize) else { continue };
                let field = match field {
                    // What ztunnel prints of the server is the destination on the server's side.
                    Field::UpstreamHost if inbound && format.name.starts_with("ztunnel") => {
                        Field::DownstreamLocalAddress
                    }
                    Field::StartTime if format.name.starts_with("ztunnel") => Field::EmitTime,
                    field => *field,
                };
                assert_eq!(record.text(field).as_deref(), value(field as u8), "{} of {shown}", field.key());
            }
            for (number, name) in format.extras.iter().enumerate() {
                let expected = value((Field::COUNT + number) as u8);
                assert_eq!(record.extra(number).as_deref(), expected, "{name} of {shown}");
            }
        }
    }
}

#[test]
fn values_that_are_left_out_are_absent() {
    let formats = Formats::built_in().unwrap();
    for (own, file) in format::files().unwrap().iter().enumerate() {
        let format = &formats.list()[own];
        if file.kind != format::FileKind::Text || file.format.as_ref().is_some_and(|format| format.starts_with('{')) {
            continue;
        }
        for sample in &file.sample {
            let mut spans = Spans::default();
            format.read(sample.line.as_bytes(), &mut spans).unwrap();
            let whole = Record { line: sample.line.as_bytes(), spans: &spans };
            let value = |slot: u8| match Field::ALL.get(slot as usize) {
                Some(field) => whole.raw(*field).filter(|text| *text != b"-").unwrap_or_default(),
                None => b"",
            };
            let mut line = Vec::new();
            format.write(|slot| Some(value(slot)), &mut line);
            let shown = String::from_utf8_lossy(&line);
            for first in [own, 0] {
                let (mut hint, mut spans) = (first, Spans::default());
                formats.read(&line, &mut hint, &mut spans).unwrap_or_else(|misfit| panic!("{misfit:?}: {shown}"));
                assert_eq!(hint, own, "{shown} read by {}", formats.list()[hint].name);
                let record = Record { line: &line, spans: &spans };
                for field in Field::ALL {
                    assert_eq!(said(&record, *field), said(&whole, *field), "{} of {shown}", field.key());
                }
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
        let start = logscan::envelope::access_start(line).unwrap();
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
fn published_lines_read_as_they_were_read_by_others() {
    let Ok(corpus) = std::fs::read_to_string(path("../shared/corpus/public.jsonl")) else {
        eprintln!("skipped: no corpus of published lines beside the project");
        return;
    };
    let formats = Formats::built_in().unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in corpus.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let (Some(text), Some(truth)) = (entry["line"].as_str(), entry["truth"].as_object()) else {
            continue;
        };
        count += 1;
        let text = text.trim_end_matches(['\r', '\n']);
        let Some(start) = logscan::envelope::access_start(text.as_bytes()) else {
            wrong.push(format!("{}: not recognised: {text}", entry["id"]));
            continue;
        };
        let (message, mut spans) = (&text[start..], Spans::default());
        if formats.read(message.as_bytes(), &mut 0, &mut spans).is_err() {
            wrong.push(format!("{}: not read: {text}", entry["id"]));
            continue;
        }
        let record = Record { line: message.as_bytes(), spans: &spans };
        for (key, told) in truth {
            let Some(said) = in_their_words(&record, key) else { continue };
            let told = match told {
                Value::Null => "-".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if said != told.trim_end_matches(';') {
                wrong.push(format!("{} {key}: {said} is not {told}: {text}", entry["id"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 300, "only {count} lines");
}

/// What a record says under the names that the published truth uses.
fn in_their_words(record: &Record<'_>, key: &str) -> Option<String> {
    let outbound = said(record, Field::Direction) == "outbound";
    let server = if outbound { Field::UpstreamHost } else { Field::DownstreamLocalAddress };
    let field = match key {
        "details" => Field::ResponseCodeDetails,
        "failure_reason" => Field::UpstreamTransportFailureReason,
        "duration_ms" => Field::Duration,
        "x_request_id" => Field::RequestId,
        "upstream_local" => Field::UpstreamLocalAddress,
        "downstream_local" => Field::DownstreamLocalAddress,
        "sni" => Field::RequestedServerName,
        "mixer_status" => Field::PolicyStatus,
        "message" => Field::Event,
        "time" => Field::EmitTime,
        "downstream_remote" | "src.addr" => Field::DownstreamRemoteAddress,
        "src.workload" => Field::SourceWorkload,
        "src.namespace" => Field::SourceNamespace,
        "src.identity" => Field::SourceIdentity,
        "dst.addr" => Field::TunnelAddress,
        "dst.hbone_addr" => server,
        "dst.service" => Field::DestinationService,
        "dst.workload" => Field::DestinationWorkload,
        "dst.namespace" => Field::DestinationNamespace,
        "dst.identity" => Field::DestinationIdentity,
        "bytes_recv" => {
            if outbound {
                Field::BytesSent
            } else {
                Field::BytesReceived
            }
        }
        "bytes_sent" if outbound => Field::BytesReceived,
        "duration" => return Some(format!("{}ms", said(record, Field::Duration))),
        "host" => Field::Authority,
        // The level says nothing that the error does not; what else stands behind a line is passed over.
        "level" | "scope" | "extra" => return None,
        key => Field::of_key(key).unwrap_or_else(|| panic!("no field {key}")),
    };
    let said = said(record, field);
    let number = matches!(field.kind(), Kind::Integer | Kind::Millis);
    Some(match record.integer(field) {
        Some(integer) if number => integer.to_string(),
        _ => said.trim_end_matches(';').to_owned(),
    })
}
