//! Every sample against its expected report, live and batch, in any order.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::tool::{json, objects, path, run, run_with, sample_logs, text};

#[test]
fn every_sample_gives_its_expected_report() {
    for log in sample_logs() {
        let report = text(&run(&[&log]));
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => path("tests/snapshots"), omit_expression => true }, {
            insta::assert_snapshot!(log.trim_start_matches("samples/").replace('/', "--"), report);
        });
    }
}

/// What a report says of connections, without line numbers: `outbound -> inbound: matched_by, unpaired`. Their findings are those that
/// are known when they are shown, which on a pipe depends on how fast it is.
fn connections(output: &std::process::Output) -> BTreeSet<String> {
    let leg = |leg: &Value| format!("{} {} {}", leg["start_time"], leg["pod"], leg["upstream_local_address"]);
    let one = |c: &Value| {
        format!(
            "{} -> {}: {} {} {}",
            leg(&c["outbound"]),
            leg(&c["inbound"]),
            c["matched_by"],
            c["unpaired"],
            c["outbound"]["downstream_remote_address"]
        )
    };
    let all: Vec<String> = objects(output, "connection").iter().map(one).collect();
    let set: BTreeSet<String> = all.iter().cloned().collect();
    assert!(!set.is_empty());
    set
}

/// The parts of a report that lines in another order must not change.
fn essence(report: &Value) -> Value {
    let mut report = report.clone();
    for finding in report["findings"].as_array_mut().unwrap() {
        finding["evidence"] = Value::Null;
    }
    serde_json::json!([
        report["findings"],
        report["connections"],
        report["traffic"],
        report["lines"],
        report["first"],
        report["last"]
    ])
}

#[test]
fn live_and_batch_give_the_same() {
    for log in sample_logs() {
        let bytes = std::fs::read(path(&log)).unwrap();
        let (batch, live) = (json(&run(&["-o", "json", &log])), json(&run_with(&["-o", "json"], &bytes)));
        assert_eq!(essence(&batch), essence(&live), "{log}");
        let arguments = ["-o", "ndjson", "--connections"];
        let batch = run(&[&arguments[..], &[&log]].concat());
        assert_eq!(connections(&batch), connections(&run_with(&arguments, &bytes)), "{log}");
    }
}

#[test]
fn the_order_of_lines_changes_nothing() {
    // Pieces of a line have an order.
    for log in sample_logs().into_iter().filter(|log| !log.contains("partial")) {
        let content = std::fs::read(path(&log)).unwrap();
        let mut lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
        if let Some(last) = lines.last_mut().filter(|line| !line.ends_with(b"\n")) {
            *last = b"\n";
        }
        let expected = run_with(&["-o", "ndjson", "--connections"], &lines.concat());
        for seed in 1..4u64 {
            let mut state = seed;
            for at in (1..lines.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                lines.swap(at, (state >> 33) as usize % (at + 1));
            }
            let shuffled = run_with(&["-o", "ndjson", "--connections"], &lines.concat());
            assert_eq!(connections(&shuffled), connections(&expected), "{log}");
            let summary = |output| essence(&objects(output, "summary")[0]);
            assert_eq!(summary(&shuffled), summary(&expected), "{log}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for log in sample_logs() {
        let one = run(&["-o", "json", "--connections", "--threads", "1", &log]);
        let four = run(&["-o", "json", "--connections", "--threads", "4", &log]);
        assert_eq!(text(&one), text(&four), "{log}");
    }
}

#[test]
fn one_file_a_pod_gives_what_one_stream_gives() {
    let log = std::fs::read_to_string(path("samples/hazelcast-lab/istio-1.9.log")).unwrap();
    let folder = std::env::temp_dir().join(format!("logscan-pods-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut files: std::collections::BTreeMap<&str, String> = std::collections::BTreeMap::new();
    for line in log.lines() {
        let file = files.entry(line.split(' ').next().unwrap()).or_default();
        file.push_str(line);
        file.push('\n');
    }
    let mut arguments = vec!["-o".to_owned(), "json".to_owned()];
    for (pod, lines) in &files {
        let file = folder.join(format!("{pod}.log"));
        std::fs::write(&file, lines).unwrap();
        arguments.push(file.display().to_string());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (apart, together) =
        (json(&run(&arguments)), json(&run(&["-o", "json", "samples/hazelcast-lab/istio-1.9.log"])));
    assert_eq!(essence(&apart), essence(&together));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_story_is_told_as_the_article_tells_it() {
    let report = json(&run(&["-o", "json", "samples/story/story.log"]));
    assert_eq!(report["connections"]["paired"], 3);
    assert_eq!(report["connections"]["matched_by"], serde_json::json!({ "source": 1, "tuple": 2 }));
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 3);
    let (stolen, passed, slow) = (&findings[0], &findings[1], &findings[2]);
    assert_eq!(stolen["name"], "unexpected-cluster");
    let why = stolen["why"].as_str().unwrap();
    for word in ["app-ext.app.svc.cluster.local", "10.12.1.6:5701", "UF,URX", "manager.manager.svc.cluster.local"] {
        assert!(why.contains(word), "{why}");
    }
    assert_eq!(stolen["evidence"][0]["line"], 7);
    assert_eq!(passed["name"], "passthrough-to-service");
    assert!(passed["why"].as_str().unwrap().contains("manager.manager.svc.cluster.local"));
    assert_eq!(slow["name"], "slow-connect");
    assert!(slow["why"].as_str().unwrap().contains("1003 ms"));
}
