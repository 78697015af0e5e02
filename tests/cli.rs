//! The program as its user meets it: exit codes, pipes, signals, damage.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tool::{json, logscan, objects, path, run, run_with, text};

const STORY: &str = "samples/story/story.log";

fn story() -> Vec<u8> {
    std::fs::read(path(STORY)).unwrap()
}

#[test]
fn findings_exit_with_1_only_when_asked() {
    assert_eq!(run(&[STORY]).status.code(), Some(0));
    assert_eq!(run(&["--fail-on", "error", STORY]).status.code(), Some(1));
    assert_eq!(run(&["--fail-on", "error", "samples/envelopes/plain.log"]).status.code(), Some(1));
    let healthy = b"a-1 istio-proxy [2020-07-23T14:26:27.081Z] \"- - -\" 0 - \"-\" \"-\" 6 0 506 - \"-\" \"-\" \"-\" \"-\" \"10.12.0.11:5701\" outbound|5701||m.m.svc.cluster.local 10.12.0.11:51100 10.0.23.154:5701 10.12.0.11:47316 - -\n";
    assert_eq!(run_with(&["--fail-on", "info"], healthy).status.code(), Some(0));
}

#[test]
fn trouble_exits_with_2_and_names_the_place() {
    let output = run(&["no-such.log", STORY]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such.log: "));
    assert!(text(&output).contains("unexpected-cluster"), "the other input is still read");
    let output = run(&["no-such-*.log"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-*.log: no file matches"));
}

#[test]
fn input_in_which_nothing_is_recognised_exits_with_2() {
    for input in ["", "\n\n", "hello\nworld\n", "\u{feff}", "{\"level\":\"info\"}\n", "\0\0\0"] {
        let output = run_with(&[], input.as_bytes());
        assert_eq!(output.status.code(), Some(2), "{input:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_wrong_flag_exits_with_2() {
    assert_eq!(run(&["--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(&["-", "-"]).status.code(), Some(2));
}

#[test]
fn memory_has_a_ceiling_and_what_it_cost_is_said() {
    // Clients' sides only, all at one time: nothing tells that a server's side will not come.
    let line = |number: usize| {
        format!(
            "a-1 istio-proxy [2020-07-23T14:26:27.081Z] \"- - -\" 0 - \"-\" \"-\" 6 0 506 - \"-\" \"-\" \"-\" \"-\" \"10.12.0.11:5701\" outbound|5701||m.m.svc.cluster.local 10.12.{}.11:{} 10.0.23.154:5701 10.12.0.11:47316 - -\n",
            number / 10_000,
            1024 + number % 10_000
        )
    };
    let log: String = (0..20_000).map(line).collect();
    let early = |arguments: &[&str]| {
        let connections = &json(&run_with(&[&["-o", "json"], arguments].concat(), log.as_bytes()))["connections"];
        assert_eq!(connections["total"], 20_000);
        connections["closed_early"].as_u64().unwrap()
    };
    assert_eq!(early(&[]), 0);
    assert!(early(&["--memory", "1"]) > 10_000);
}

#[test]
fn a_closed_pipe_is_success() {
    for arguments in [&["-o", "ndjson", "--connections"][..], &["-o", "text"], &["-o", "json"]] {
        let mut child = logscan(arguments)
            .args(std::iter::repeat_n("samples/hazelcast-lab/json.log", 40))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn a_live_finding_appears_at_once_and_the_summary_at_the_end() {
    let mut child = logscan(&["-o", "ndjson"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    stdin.write_all(&story()).unwrap();
    stdin.flush().unwrap();
    let started = Instant::now();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("\"type\":\"finding\""), "{first}");
    assert!(started.elapsed() < Duration::from_secs(1), "took {:?}", started.elapsed());
    // The same again is counted, not repeated.
    stdin.write_all(&story()).unwrap();
    drop(stdin);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let name = |line: &String| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().map(str::to_owned);
    let told: Vec<String> = std::iter::once(&first).chain(&rest).filter_map(name).collect();
    assert_eq!(told, ["unexpected-cluster", "passthrough-to-service", "slow-connect"]);
    assert!(rest.last().unwrap().contains("\"type\":\"summary\""));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_interrupt_prints_the_summary() {
    let mut child = logscan(&["-o", "ndjson"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&story()).unwrap();
    stdin.flush().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"type\":\"summary\"") && rest.contains("\"interrupted\":true"), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdin);
}

#[test]
fn damage_of_every_kind_is_survived() {
    let mut input = b"\xef\xbb\xbf".to_vec();
    input.extend(story());
    input.extend(b"\x1b[96mpod\x1b[0m \xff\xfe\0\0 [2020-07-23T14:26:27.081Z] \"- - -\"\n");
    input.extend(b"p c [2020-07-23T14:26:27.081Z] \"- - -\" 0 UF,URX \"-\" \"-\" 0 0 10\n");
    input.extend(b"p c [2020-99-23T14:26:27.081Z] \"- - -\" 0 UF,URX \"-\" \"-\" 0 0 1000 - \"-\" \"-\" \"-\" \"-\" \"10.0.23.221:5701\" c - 10.12.1.6:5701 10.12.0.12:52852 - -\n");
    input.extend(std::iter::repeat_n(b'x', 1 << 20));
    input.extend(b"\r\n{\"start_time\":\"2020\",\"response_flags\":\n");
    input.extend(b"last line without an end [2020");
    let report = json(&run_with(&["-o", "json"], &input));
    assert_eq!(report["connections"]["paired"], 3);
    assert_eq!(report["lines"]["access"], 7);
    let total = report["lines"]["total"].as_u64().unwrap();
    let others: u64 = report["lines"]["other"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(total, 7 + others + report["lines"]["rejected"].as_u64().unwrap(), "every line is counted once");
    assert_eq!(total, 13);
    let reasons: Vec<&str> =
        report["rejects"].as_array().unwrap().iter().map(|group| group["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["cut", "bad-time"]);
}

#[test]
fn line_ends_of_every_kind_give_the_same() {
    let unix = json(&run_with(&["-o", "json"], &story()));
    let windows = String::from_utf8(story()).unwrap().replace('\n', "\r\n");
    let cut = windows.trim_end().to_owned();
    for input in [windows, cut] {
        let report = json(&run_with(&["-o", "json"], input.as_bytes()));
        assert_eq!(report["connections"], unix["connections"]);
        assert_eq!(report["findings"], unix["findings"]);
    }
}

#[test]
fn log_text_reaches_no_terminal_with_its_control_characters() {
    let line = "p c [2020-07-23T14:47:24.040Z] \"GET /\u{1b}]0;x\u{7} HTTP/1.1\" 503 UF,URX \"-\" \"-\" 0 0 1000 - \"-\" \"a\u{1b}[2Jb\u{9b}31m\u{202e}\" \"-\" \"-\" \"10.0.23.221:80\" outbound|80||a\u{8}b.c.svc.cluster.local - 10.12.1.6:80 10.12.0.12:52852 - -\n";
    for arguments in [&["--color", "never"][..], &["--color", "never", "--connections"]] {
        let shown = text(&run_with(arguments, line.as_bytes()));
        assert!(shown.contains("UF,URX"));
        let acts = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
        assert!(!shown.contains(acts), "{shown:?}");
    }
}

#[test]
fn colours_are_for_terminals_only() {
    assert!(!text(&run(&[STORY])).contains('\u{1b}'));
    assert!(text(&run(&["--color", "always", STORY])).contains('\u{1b}'));
}

#[test]
fn standard_input_can_be_a_file_or_a_dash() {
    let file = std::fs::File::open(path(STORY)).unwrap();
    let redirected = json(&logscan(&["-o", "json"]).stdin(file).output().unwrap());
    let piped = json(&run_with(&["-o", "json", "-"], &story()));
    assert_eq!(redirected["findings"], piped["findings"]);
    assert_eq!(redirected["connections"], piped["connections"]);
}

#[test]
fn connections_show_both_legs_with_istios_keys() {
    let output = run(&["-o", "ndjson", "--connections", STORY]);
    let connections = objects(&output, "connection");
    assert_eq!(connections.len(), 4);
    let stolen = connections.iter().find(|connection| connection["unpaired"] == "failed-before-connecting").unwrap();
    assert_eq!(stolen["outbound"]["response_flags"], "UF,URX");
    assert_eq!(stolen["outbound"]["upstream_cluster"], "outbound|5701||app-ext.app.svc.cluster.local");
    assert_eq!(stolen["outbound"]["pod"], "manager-7948dffbdd-p44xx");
    assert_eq!(stolen["outbound"]["line"], 7);
    assert_eq!(stolen["outbound"]["source"], STORY);
    assert!(stolen["outbound"]["upstream_local_address"].is_null() && stolen["inbound"].is_null());
    assert_eq!(stolen["findings"], serde_json::json!(["unexpected-cluster"]));
    let weak: Vec<_> = connections.iter().filter(|connection| connection["matched_by"] == "source").collect();
    assert_eq!(weak.len(), 1);
    assert_eq!(weak[0]["inbound"]["pod"], "manager-7948dffbdd-sh7rx");
    assert_eq!(weak[0]["outbound"]["duration"], 521);
}

#[test]
fn the_same_log_given_twice_through_two_envelopes_counts_once() {
    let once = json(&run(&["-o", "json", "samples/envelopes/stern.log"]));
    let files =
        ["stern", "kubectl-timestamps", "docker-json", "plain"].map(|name| format!("samples/envelopes/{name}.log"));
    let twice = json(&run(&[&["-o", "json"][..], &files.each_ref().map(String::as_str)].concat()));
    assert_eq!(twice["lines"]["access"], 12);
    assert_eq!(twice["lines"]["repeated"], 9);
    assert_eq!(twice["connections"], once["connections"]);
    assert_eq!(twice["traffic"], once["traffic"]);
    let told = |report: &Value| -> Vec<Value> {
        let findings = report["findings"].as_array().unwrap().iter();
        findings
            .map(|told| {
                serde_json::json!([
                    told["name"],
                    told["count"],
                    told["why"],
                    told["evidence"].as_array().unwrap().len()
                ])
            })
            .collect()
    };
    assert_eq!(told(&twice), told(&once));
    // In one stream, as after a connection that was lost.
    let log = story();
    let repeated = json(&run_with(&["-o", "json", "--connections"], &[&log[..], &log[log.len() / 2..], &log].concat()));
    assert_eq!(repeated["connections"], json(&run_with(&["-o", "json"], &log))["connections"]);
    assert_eq!(repeated["connection_list"].as_array().unwrap().len(), 4);
}

/// A log of `count` connections, a second apart, each with both legs ten lines apart.
fn long_log(count: u64, wrong_clock: bool) -> Vec<u8> {
    let mut lines = Vec::new();
    for number in 0..count {
        let at = |extra: u64| {
            let second = number + extra;
            format!(
                "2026-03-{:02}T{:02}:{:02}:{:02}.000Z",
                1 + second / 86_400,
                second / 3600 % 24,
                second / 60 % 60,
                second % 60
            )
        };
        let port = 32_768 + number % 28_000;
        lines.push((number * 10, format!("a-0 istio-proxy [{}] \"- - -\" 0 - - - \"-\" 1 2 3 - \"-\" \"-\" \"-\" \"-\" \"10.0.0.2:80\" outbound|80||b.b.svc.cluster.local 10.0.0.1:{port} 10.9.9.9:80 10.0.0.1:{} - -\n", at(0), port + 1)));
        lines.push((number * 10 + 105, format!("b-0 istio-proxy [{}] \"- - -\" 0 - - - \"-\" 1 2 3 - \"-\" \"-\" \"-\" \"-\" \"10.0.0.2:80\" inbound|80|| 127.0.0.6:1 10.0.0.2:80 10.0.0.1:{port} - -\n", at(0))));
    }
    if wrong_clock {
        let line = String::from_utf8(story()).unwrap().lines().next().unwrap().replace("2020-07-23", "2099-07-23");
        lines.push((50, line + "\n"));
    }
    lines.sort();
    lines.into_iter().flat_map(|(_, line)| line.into_bytes()).collect()
}

#[test]
fn one_line_with_a_wrong_clock_loses_no_pair() {
    let report = json(&run_with(&["-o", "json"], &long_log(20_000, true)));
    assert_eq!(report["connections"]["paired"], 20_000);
}

/// A TCP leg of a client's sidecar in Istio 1.9's format.
fn outbound(second: u32, host: &str, cluster: &str, local: &str, dest: &str) -> String {
    format!(
        "a-0 istio-proxy [2026-03-01T10:00:{second:02}.000Z] \"- - -\" 0 - - - \"-\" 1 2 3 - \"-\" \"-\" \"-\" \"-\" \"{host}\" {cluster} {local} {dest} 10.0.0.1:4{second:04} - -\n"
    )
}

fn names_of_findings(log: &str) -> Vec<String> {
    let report = json(&run_with(&["-o", "json"], log.as_bytes()));
    report["findings"].as_array().unwrap().iter().map(|finding| finding["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_virtual_address_that_another_name_points_at_is_not_stolen() {
    // `ext` resolves to the virtual address of `idle`, which other clients dial as such.
    let ext = outbound(1, "10.9.0.221:80", "outbound|80||ext.app.svc.cluster.local", "10.0.0.1:30001", "10.9.0.50:80");
    let idle = outbound(2, "10.0.0.9:80", "outbound|80||idle.m.svc.cluster.local", "10.0.0.1:30002", "10.9.0.221:80");
    assert!(names_of_findings(&format!("{ext}{idle}")).is_empty());
}

#[test]
fn a_server_without_a_sidecar_can_be_stolen_from() {
    // `db` has an endpoint without a proxy; then a catch-all of `ext` takes what is dialled on its port.
    let known =
        outbound(1, "10.0.0.7:5432", "outbound|5432||db.d.svc.cluster.local", "10.0.0.1:30001", "10.9.0.7:5432");
    let stolen =
        outbound(2, "10.0.0.9:5432", "outbound|5432||ext.app.svc.cluster.local", "10.0.0.1:30002", "10.0.0.7:5432");
    let other =
        outbound(3, "10.0.0.9:5432", "outbound|5432||ext.app.svc.cluster.local", "10.0.0.1:30003", "10.0.0.8:5432");
    assert_eq!(names_of_findings(&format!("{known}{stolen}{other}")), ["unexpected-cluster"]);
}

#[test]
fn two_lines_without_a_line_end_between_them_are_damage() {
    let http = |second: u32| {
        format!(
            r#"[2026-03-01T10:00:0{second}.000Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 1 2 3 "-" "curl/8" "-" "a.b" "10.0.0.9:80" outbound|80||a.b.svc.cluster.local 10.0.0.1:4000{second} 10.0.0.9:80 10.0.0.1:3000{second} - default"#
        )
    };
    let tcp =
        |second| outbound(second, "10.0.0.9:80", "outbound|80||a.b.svc.cluster.local", "10.0.0.1:40000", "10.0.0.9:80");
    let whole = |second| tcp(second).trim_end().to_owned();
    let tcp = |second| whole(second).trim_start_matches("a-0 istio-proxy ").to_owned();
    for (first, other) in
        [(tcp(1), tcp(2)), (whole(1), whole(2)), (http(1), http(2)), (tcp(1), http(2)), (http(1), tcp(2))]
    {
        let report = json(&run_with(&["-o", "json"], format!("{first}{other}\n{}\n", http(3)).as_bytes()));
        assert_eq!(
            (&report["lines"]["access"], &report["lines"]["rejected"]),
            (&1.into(), &1.into()),
            "{first}{other}"
        );
        assert_eq!(
            report["rejects"][0]["lines"][0]["text"].as_str().map(|text| text.contains(&other[..20])),
            Some(true)
        );
    }
}

#[test]
fn what_an_agent_says_in_json_is_an_event() {
    let time = "2024-08-07T09:34:15.747065Z";
    for line in [
        format!(r#"{{"level":"info","time":"{time}","msg":"Envoy proxy is ready"}}"#),
        format!(r#"{{"severity":"INFO","timestamp":"{time}","logger":"","message":"Envoy proxy is ready"}}"#),
    ] {
        let report = json(&run_with(&["-o", "json"], format!("{line}\n").as_bytes()));
        assert_eq!(report["lines"]["other"]["agent"], 1, "{line}");
        assert_eq!(report["events"][0]["lines"][0]["at"], time, "{line}");
    }
}
