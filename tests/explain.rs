//! `logscan explain`: every row of every table can be asked for, lines are read field by field, nothing acts.

use std::process::Output;

use logscan::cluster;
use logscan::field::{Field, detail, flag, outcome, reserved};
use logscan::finding::{Grade, Severity};
use logscan::format::{self, Formats};
use logscan::pair::Match;
use logscan::record::{Record, Spans};
use logscan::rules::RULES;
use logscan::topology::Alone;

use crate::tool::{path, run, run_with, text};

fn explain(words: &[&str]) -> Output {
    run(&[&["explain"], words].concat())
}

/// A text without blanks and line ends: what is too long for a line is cut where it must be.
fn flat(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Asks for all words at once; each must print what its table says.
#[track_caller]
fn all_say(rows: &[(&str, &str)]) {
    assert!(!rows.is_empty());
    let words: Vec<&str> = rows.iter().map(|(word, _)| *word).collect();
    let output = explain(&words);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let said = flat(&text(&output));
    for (word, meaning) in rows {
        assert!(said.contains(&flat(word)) && said.contains(&flat(meaning)), "{word}: {meaning}");
    }
}

#[test]
fn every_rule_is_explained_by_name_and_code_with_its_documentation() {
    for rule in RULES {
        let meta = rule.meta;
        let by_name = explain(&[meta.name]);
        let said = flat(&text(&by_name));
        assert!(said.contains(&flat(meta.summary)) && said.contains(&flat(meta.severity.name())));
        for (heading, section) in meta.sections() {
            assert!(said.contains(&flat(heading)) && said.contains(&flat(section)), "{}: {heading}", meta.name);
        }
        assert!(flat(&text(&explain(&[meta.code]))).contains(&flat(meta.summary)));
    }
}

#[test]
fn every_row_of_the_vocabulary_is_explained() {
    all_say(&flag::TABLE.iter().map(|flag| (flag.short, flag.meaning)).collect::<Vec<_>>());
    all_say(&flag::TABLE.iter().map(|flag| (flag.long, flag.class.meaning())).collect::<Vec<_>>());
    all_say(&Field::ALL.iter().map(|field| (field.key(), field.meaning())).collect::<Vec<_>>());
    all_say(&Field::ALL.iter().map(|field| (field.key(), field.absence())).collect::<Vec<_>>());
    all_say(&cluster::SPECIAL.iter().map(|special| (special.name, special.meaning)).collect::<Vec<_>>());
    all_say(&detail::TABLE.iter().map(|detail| (detail.text, detail.meaning)).collect::<Vec<_>>());
    all_say(&Match::ALL.iter().map(|by| (by.name(), by.meaning())).collect::<Vec<_>>());
    all_say(&Alone::ALL.iter().map(|alone| (alone.name(), alone.meaning())).collect::<Vec<_>>());
    all_say(&Severity::ALL.iter().map(|severity| (severity.name(), severity.meaning())).collect::<Vec<_>>());
    all_say(&Grade::ALL.iter().map(|grade| (grade.name(), grade.meaning())).collect::<Vec<_>>());
    let ports: Vec<String> = reserved::PORTS.iter().map(|port| port.number.to_string()).collect();
    let meanings = reserved::PORTS.iter().map(|port| port.meaning);
    all_say(&ports.iter().map(String::as_str).zip(meanings).collect::<Vec<_>>());
    let files = format::files().unwrap();
    all_say(&files.iter().map(|file| (&*file.name, &*file.source)).collect::<Vec<_>>());
}

#[test]
fn every_operator_of_a_field_is_explained() {
    for field in Field::ALL.iter().filter(|field| !field.operators()[0].starts_with("ztunnel")) {
        let operators: Vec<String> = field.operators().iter().map(|name| format!("%{name}%")).collect();
        all_say(&operators.iter().map(|name| (name.as_str(), field.key())).collect::<Vec<_>>());
    }
}

#[test]
fn a_set_of_flags_says_what_it_means_together_in_any_order() {
    for set in outcome::SETS {
        let mut flags = set.flags.to_vec();
        flags.reverse();
        let said = flat(&text(&explain(&[&flags.join(",")])));
        assert!(said.contains(&flat(set.tcp)) && said.contains(&flat(set.http)), "{flags:?}");
    }
    let said = flat(&text(&explain(&["UH,ZZ9", "BlackHoleCluster"])));
    assert!(said.contains(&flat("ZZ9 (unknown response flag)")) && said.contains(&flat("(REGISTRY_ONLY)")), "{said}");
    assert!(said.contains(&flat("U203 no-healthy-upstream")), "{said}");
}

#[test]
fn clusters_and_composed_details_are_taken_apart() {
    for (word, told) in [
        ("outbound|5701|v1|app-ext.app.svc.cluster.local", &["5701", "v1, of a DestinationRule", "app-ext.app"][..]),
        ("inbound|8080||", &["8080, the container's"]),
        ("outbound_.5701_._.manager.manager.svc.cluster.local", &["SNI between sidecars", "manager.manager.svc"]),
        ("upstream_reset_before_response_started{overflow}", &["the braces say why", "a circuit breaker is open"]),
        ("delayed_connect_error:_111", &["nothing listens on that port"]),
        (
            "TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end",
            &["speaks plaintext"],
        ),
        ("dst.hbone_addr", &["upstream_host", "ztunnel-json"]),
    ] {
        let said = flat(&text(&explain(&[word])));
        assert!(told.iter().all(|part| said.contains(&flat(part))), "{said}");
    }
    let without_quotes = explain(&["no", "healthy", "upstream"]);
    assert!(text(&without_quotes).contains("the service has no endpoint"));
}

#[test]
fn a_line_of_each_format_is_explained_field_by_field() {
    for file in format::files().unwrap() {
        let compiled = format::Format::compile(&file).unwrap();
        for sample in &file.sample {
            let output = explain(&["--", &sample.line]);
            assert_eq!(output.status.code(), Some(0), "{}", sample.line);
            let said = text(&output);
            assert!(said.starts_with(&format!("An access line ({}", file.name)), "{}: {said}", file.name);
            let (mut spans, said) = (Spans::default(), flat(&said));
            compiled.read(sample.line.as_bytes(), &mut spans).unwrap();
            let record = Record { line: sample.line.as_bytes(), spans: &spans };
            for field in Field::ALL {
                let Some(value) = record.text(*field) else { continue };
                let shown = format!("{} {}", field.key(), String::from_utf8_lossy(&value));
                assert!(said.contains(&flat(&shown)), "{shown}\n{said}");
            }
        }
    }
}

#[test]
fn a_line_says_who_wrote_it_how_it_ended_and_what_it_pairs_with() {
    let story = std::fs::read(path("samples/story/story.log")).unwrap();
    let lines: Vec<&[u8]> = story.split(|byte| *byte == b'\n').collect();
    let said = flat(&text(&run_with(&["explain", "-"], lines[6])));
    for part in [
        "istio-1.3, wrapped by stern",
        "pod manager-7948dffbdd-p44xx",
        "was not repeated",
        "10.12.1.6:5701 was dialled",
        "there is no other side",
    ] {
        assert!(said.contains(&flat(part)), "{part}: {said}");
    }
    let said = flat(&text(&run_with(&["explain", "-"], lines[4])));
    assert!(said.contains(&flat("server's line with downstream_remote_address 10.12.0.11:51428")), "{said}");
}

#[test]
fn an_unknown_word_exits_with_2_and_suggests_the_nearest() {
    let output = explain(&["PasthroughCluster"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean PassthroughCluster?"));
    let output = explain(&["UF", "nothing-of-the-kind"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("UpstreamConnectionFailure"), "the other word is still explained");
    let output = explain(&["[2020-07-23T14:47:24.040Z] \"- - -\" 0 UF,URX \"-\" \"-\" 0 0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not be read: cut"));
}

#[test]
fn without_a_word_it_lists_what_can_be_explained() {
    let output = run(&["explain"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0));
    for (group, words) in logscan::explain::known(&Formats::built_in().unwrap()) {
        assert!(said.contains(group) && words.iter().all(|word| said.contains(word.as_str())), "{group}");
    }
    assert!(said.lines().all(|line| line == line.trim_end()));
}

#[test]
fn what_a_stranger_sent_does_not_act_on_the_terminal() {
    let line = b"[2026-03-01T10:00:00.001Z] \"GET /\x1b]0;x\x07 HTTP/1.1\" 200 - via_upstream - \"-\" 0 19 1 0 \"-\" \"\xe2\x80\xae\x9b31m\" \"79d9c38d-3429-4e09-b604-9a585425df49\" \"app.app:8080\" \"10.12.2.8:8080\" outbound|8080||app.app.svc.cluster.local 10.12.1.6:52250 10.0.18.143:8080 10.12.1.6:37296 - default\n";
    let hostile: [&[u8]; 4] = [line, b"UF,\x1b[31mURX", b"outbound|80||\x1b[31m\xe2\x80\xaex", b"\x9b\xff\xfe\0"];
    for input in hostile {
        let output = run_with(&["explain", "-"], input);
        for stream in [&output.stdout, &output.stderr] {
            let shown = String::from_utf8(stream.clone()).unwrap();
            let acts = |letter: char| letter != '\n' && letter.is_control() || letter == '\u{202e}';
            assert!(!shown.chars().any(acts), "{shown:?}");
        }
    }
}
