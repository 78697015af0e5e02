//! Files of expectations: what is learned, what deviates, what is refused.

use std::path::PathBuf;

use serde_json::Value;

use crate::tool::{json, path, run, run_with, sample_logs, text};

const LAB: &str = "samples/hazelcast-lab/istio-1.9.log";
const FILE: &str = "samples/expect/expect.toml";
const LOG: &str = "samples/expect/deviates.log";

/// A folder for files of one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("logscan-expect-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let file = self.0.join(name);
        std::fs::write(&file, content).unwrap();
        file.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Names and subjects of the findings of a family of codes.
fn findings(report: &Value, family: &str) -> Vec<(String, String)> {
    let all = report["findings"].as_array().unwrap().iter();
    let told = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    all.filter(|finding| told(finding, "code").starts_with(family))
        .map(|finding| (told(finding, "name"), told(finding, "subject")))
        .collect()
}

/// The lines of the lab's log up to the moment when somebody broke it.
fn healthy() -> String {
    let log = std::fs::read_to_string(path(LAB)).unwrap();
    let time = |line: &str| line.split('[').nth(1).map(|rest| rest[..23].replace(' ', "T")).unwrap_or_default();
    let broken =
        log.lines().filter(|line| line.contains("app-ext") || line.contains("BlackHole")).map(time).min().unwrap();
    log.lines().filter(|line| time(line) < broken).flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn the_sample_deviates_as_its_readme_says() {
    let report = text(&run(&["--expect", FILE, LOG]));
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => path("tests/snapshots"), omit_expression => true }, {
        insta::assert_snapshot!("expect--deviates.log--expected", report);
    });
    let report = json(&run(&["-o", "json", "--expect", FILE, LOG]));
    assert_eq!(findings(&report, "E").len(), 4);
    assert!(findings(&report, "R").is_empty() && findings(&report, "C").is_empty());
    let expected = serde_json::json!({ "rows": 5, "matched": 4, "unused": ["* to 10.96.0.10 port 53"] });
    assert_eq!(report["expectations"], expected);
    assert!(json(&run(&["-o", "json", LOG])).get("expectations").is_none());
}

#[test]
fn live_and_any_number_of_threads_deviate_alike() {
    let log = std::fs::read(path(LOG)).unwrap();
    let one = json(&run(&["-o", "json", "--threads", "1", "--expect", FILE, LOG]));
    let four = json(&run(&["-o", "json", "--threads", "4", "--expect", FILE, LOG]));
    assert_eq!(one, four);
    let live = json(&run_with(&["-o", "json", "--expect", FILE], &log));
    assert_eq!(findings(&one, ""), findings(&live, ""));
    let yaml = json(&run(&["-o", "json", "--expect", "samples/expect/expect.yaml", LOG]));
    assert_eq!(one, yaml);
}

#[test]
fn the_order_of_lines_changes_no_deviation() {
    let log = std::fs::read_to_string(path(LOG)).unwrap();
    let essence = |log: &str| {
        let mut report = json(&run_with(&["-o", "json", "--expect", FILE], log.as_bytes()));
        for finding in report["findings"].as_array_mut().unwrap() {
            finding["evidence"] = Value::Null;
        }
        serde_json::json!([report["findings"], report["expectations"]])
    };
    let expected = essence(&log);
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    // Steps without a common factor with twelve lines meet each of them once.
    for step in [5, 7] {
        let mixed: String = (0..lines.len()).map(|at| lines[(at * step + 2) % lines.len()]).collect();
        assert_eq!(essence(&mixed), expected);
    }
    let back: String = lines.iter().rev().copied().collect();
    assert_eq!(essence(&back), expected);
}

#[test]
fn accepted_passthrough_is_silent_and_errors_are_not() {
    let folder = Folder::new("accepted");
    let rows = "[[call]]\nfrom = \"*\"\nto = \"*\"\n[[passthrough]]\nfrom = \"manager\"\nto = \"manager.manager.svc.cluster.local:5701\"\n";
    let file = folder.file("accepted.toml", format!("version = 1\n{rows}").as_bytes());
    let names = |report: &Value| findings(report, "R").into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let before = names(&json(&run(&["-o", "json", LAB])));
    let after = names(&json(&run(&["-o", "json", "--expect", &file, LAB])));
    assert!(before.contains(&"passthrough-to-service".to_owned()) && before.contains(&"unexpected-cluster".to_owned()));
    let left: Vec<String> = before.into_iter().filter(|name| name != "passthrough-to-service").collect();
    assert_eq!(after, left);
}

#[test]
fn only_the_connections_of_the_caller_are_marked() {
    let output = run(&["-o", "ndjson", "--connections", "--expect", FILE, LOG]);
    let connections = crate::tool::objects(&output, "connection");
    let marked = connections.iter().filter(|connection| connection["findings"].to_string().contains("new-caller"));
    let from = |connection: &Value| {
        let client = connection["outbound"]["downstream_remote_address"].as_str();
        client.or(connection["inbound"]["downstream_remote_address"].as_str()).unwrap().to_owned()
    };
    assert_eq!(marked.map(from).collect::<Vec<_>>(), ["10.244.1.12:51240", "10.244.7.77:38110"]);
    // A second caller without a sidecar, who is expected: the way of both is nobody's alone.
    let log = std::fs::read_to_string(path(LOG)).unwrap();
    let other = log.lines().last().unwrap().replace("10.244.7.77:38110", "10.244.8.8:38111").replace("09:25", "09:26");
    let folder = Folder::new("two");
    let row = "[[call]]\nfrom = \"10.244.8.0/24\"\nto = \"ledger.bank.svc.cluster.local\"\n";
    let file = std::fs::read_to_string(path(FILE)).unwrap() + row;
    let report =
        run_with(&["-o", "json", "--expect", &folder.file("two.toml", file.as_bytes())], (log + &other).as_bytes());
    let report = json(&report);
    let finding =
        report["findings"].as_array().unwrap().iter().find(|f| f["subject"].to_string().contains("10.244.7.77"));
    let finding = finding.expect("it is still a new caller");
    assert_eq!((&finding["count"], &finding["first"]), (&serde_json::json!(1), &Value::Null));
    assert_eq!(finding["evidence"], serde_json::json!([]));
}

#[test]
fn a_healthy_log_teaches_what_the_hijack_deviates_from_and_it_is_told_once() {
    let folder = Folder::new("lab");
    let (log, file) = (folder.file("healthy.log", healthy().as_bytes()), folder.file("lab.toml", b""));
    let output = run(&["learn", "-o", &file, &log]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = json(&run(&["-o", "json", "--expect", &file, &log]));
    assert_eq!(findings(&report, "E"), []);
    assert_eq!(report["expectations"]["unused"], serde_json::json!([]));
    let report = json(&run(&["-o", "json", "--expect", &file, LAB]));
    let stolen = findings(&report, "R3");
    assert_eq!(stolen.len(), 1, "{stolen:?}");
    assert_eq!(stolen[0].0, "unexpected-cluster");
    // After the repair the application calls somebody new.
    let new = ("new-caller".to_owned(), "app to manager.manager.svc.cluster.local".to_owned());
    assert_eq!(findings(&report, "E"), [new]);
}

#[test]
fn pods_that_start_anew_deviate_from_nothing() {
    let folder = Folder::new("anew");
    let file = folder.file("lab.toml", b"");
    let log = healthy();
    run(&["learn", "-o", &file, &folder.file("before.log", log.as_bytes())]);
    let anew =
        log.replace("10.12.1.6:", "10.12.7.66:").replace("10.12.0.12:", "10.12.7.12:").replace("-sh7rx", "-k8w2z");
    assert_ne!(anew, log);
    let report = json(&run(&["-o", "json", "--expect", &file, &folder.file("after.log", anew.as_bytes())]));
    assert_eq!(findings(&report, "E"), []);
    assert_eq!(report["expectations"]["unused"], serde_json::json!([]));
}

#[test]
fn what_is_learned_does_not_depend_on_order_or_threads() {
    for log in [LAB, LOG, "samples/ipv6/ipv6.log", "samples/two-thieves/two-thieves.log"] {
        let expected = text(&run(&["learn", log]));
        assert!(expected.contains("[[call]]") && !expected.contains('\t'));
        for threads in ["1", "4"] {
            assert_eq!(text(&run(&["learn", "--threads", threads, log])), expected, "{log}");
        }
        let content = std::fs::read(path(log)).unwrap();
        let mut lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
        for seed in 1..4u64 {
            let mut state = seed;
            for at in (1..lines.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                lines.swap(at, (state >> 33) as usize % (at + 1));
            }
            assert_eq!(text(&run_with(&["learn"], &lines.concat())), expected, "{log}");
        }
    }
}

#[test]
fn what_a_sample_teaches_is_what_it_shows() {
    let folder = Folder::new("samples");
    for log in sample_logs() {
        for name in ["learned.toml", "learned.yaml"] {
            let file = folder.file(name, b"");
            let output = run(&["learn", "-o", &file, &log]);
            if output.status.code() == Some(2) {
                assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was written"), "{log}");
                continue;
            }
            let report = json(&run(&["-o", "json", "--expect", &file, &log]));
            let found = findings(&report, "E");
            // There the clients' lines say that the calls through PassthroughCluster failed: they are not learned.
            let failed = log.contains("silent-refusal") && found.iter().all(|(name, _)| name == "changed-cluster");
            assert!(found.is_empty() || failed, "{log}: {found:?}");
            assert_eq!(report["expectations"]["unused"], serde_json::json!([]), "{log}");
        }
    }
}

#[test]
fn toml_and_yaml_say_the_same() {
    let folder = Folder::new("forms");
    let (toml, yaml) = (folder.file("a.toml", b""), folder.file("a.yaml", b""));
    run(&["learn", "-o", &toml, LAB]);
    run(&["learn", "-o", &yaml, LAB]);
    assert_ne!(std::fs::read(&toml).unwrap(), std::fs::read(&yaml).unwrap());
    for log in [LAB, LOG] {
        let (one, other) = (run(&["-o", "json", "--expect", &toml, log]), run(&["-o", "json", "--expect", &yaml, log]));
        assert_eq!(json(&one), json(&other));
    }
}

#[test]
fn learning_says_what_it_left_out_and_writes_nothing_from_nothing() {
    let output = run(&["learn", LAB]);
    let said = "connections left out, because they did not go well: 21 unexpected-cluster";
    assert!(text(&output).contains(&format!("# {said}\n")), "{}", text(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains(said));
    assert!(!text(&output).contains("app-ext"));
    let folder = Folder::new("nothing");
    let file = folder.file("kept.toml", b"kept");
    for input in ["", "hello\n"] {
        let output = run_with(&["learn", "-o", &file], input.as_bytes());
        assert_eq!(output.status.code(), Some(2));
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"kept");
}

#[test]
fn a_name_out_of_a_log_cannot_break_the_file() {
    let line = "[2026-03-02T09:00:00.110Z] \"- - -\" 0 - - - \"-\" 1 2 3 - \"-\" \"-\" \"-\" \"-\" \"10.0.0.9:80\" outbound|80||a\"]\\u0007.svc 10.0.0.1:9 10.0.0.2:80 10.0.0.1:8 - -\n";
    let output = run_with(&["learn"], format!("*.shop-0 istio-proxy {line}\"x\\-0 istio-proxy {line}").as_bytes());
    let folder = Folder::new("hostile");
    let file = folder.file("hostile.toml", &output.stdout);
    assert_eq!(run_with(&["--expect", &file], line.as_bytes()).status.code(), Some(0), "{}", text(&output));
    assert!(!text(&output).contains("from = \"*"), "{}", text(&output));
}

#[test]
fn every_error_names_the_file_the_line_and_the_key() {
    let (version, row, yaml) =
        ("version = 1\n", "[[call]]\nfrom = \"a\"\nto = \"b\"\n", "version: 1\ncall:\n- from: a\n  to: b\n");
    let pass = "[[passthrough]]\nfrom = \"*\"\n";
    let cases = [
        (String::new(), "the file is empty"),
        ("# nothing\n\n".to_owned(), "the file is empty"),
        (version.to_owned(), "the file expects nothing"),
        (row.to_owned(), "line 1: \"version\" is missing"),
        (format!("version = 2\n{row}"), "line 1: version: it is 1, not 2"),
        (format!("{version}[[call]]\nfrom = \"a\"\n"), "line 2: \"to\" is missing"),
        (format!("{version}[[call]]\nto = \"a\"\n"), "line 2: \"from\" is missing"),
        (format!("{version}[[calls]]\nto = \"a\"\n"), "line 2: unknown key \"calls\"; there is \"version\", \"call\""),
        (format!("{version}{row}port = [1]\n"), "line 5: unknown key \"port\"; there is \"from\", \"to\", \"ports\""),
        (format!("{version}{row}ports = 80\n"), "line 5: ports: a list is needed, not a number"),
        (format!("{version}{row}ports = []\n"), "line 5: ports: the list is empty"),
        (format!("{version}{row}ports = [\n  80,\n  0]\n"), "line 7: ports: 0 is no port"),
        (format!("{version}{row}ports = [\"x\"]\n"), "line 5: ports: \"x\" is no port"),
        (format!("{version}{row}ports = [65536]\n"), "line 5: ports: 65536 is no port"),
        (format!("{version}{row}clusters = [7]\n"), "line 5: clusters: 7 is no name of a cluster"),
        (format!("{version}{row}why = 7\n"), "line 5: why: a text is needed, not 7"),
        (format!("{version}{row}to = \"c\"\n"), "line 5: duplicate key: to"),
        (format!("{version}[call]\nfrom = \"a\"\n"), "line 2: call: a list of tables is needed, not a table"),
        (format!("{version}call = [1]\n"), "line 2: call: a table is needed, not a number"),
        (format!("{version}{pass}to = \"x\"\nclusters = [\"y\"]\n"), "line 5: unknown key \"clusters\""),
        (format!("{version}{pass}to = \"10.0.0.0/33\"\n"), "line 4: to: \"10.0.0.0/33\": the length of the network"),
        (
            format!("{version}{pass}to = \"10.0.0.7/24\"\n"),
            "line 4: to: \"10.0.0.7/24\" is an address within a network",
        ),
        (format!("{version}{pass}to = \"10.0.0.300\"\n"), "line 4: to: \"10.0.0.300\" is no address"),
        (format!("{version}{pass}to = \"10.0.0.1:70000\"\n"), "line 4: to: \"70000\" is no port"),
        (format!("{version}{pass}to = \"10.0.0.1:80\"\nports = [80]\n"), "line 4: to: it has a port"),
        (format!("{version}{pass}to = \"a*\"\n"), "line 4: to: \"a*\": a star stands alone"),
        (format!("{version}[[call\n"), "line 2: unclosed array table"),
        (format!("{yaml}  port: [80]\n"), "line 5: unknown key \"port\""),
        (format!("{yaml}  ports:\n  - 80\n  - 70000\n"), "line 7: ports: 70000 is no port"),
        (format!("{yaml}  to: c\n"), "line 5: duplicate mapping key: to\n"),
        (format!("{yaml}---\n{yaml}"), "line 6: multiple YAML documents detected\n"),
        ("version: 1\ncall:\n- from: *\n  to: b\n".to_owned(), "line 3: while scanning an anchor or alias"),
        ("version: 1\ncall:\n- from: 5\n  to: b\n".to_owned(), "line 3: from: a text is needed, not 5"),
        (format!("a: {}1{}\n", "[".repeat(5000), "]".repeat(5000)), "line 1: recursion limit exceeded"),
        ("{\"start_time\":\"2026-03-02T09:00:00.110Z\"}\n".to_owned(), "line 1: unknown key \"start_time\""),
        (std::fs::read_to_string(path(LAB)).unwrap(), "line 1: neither TOML nor YAML; is it a log?"),
        ("a".repeat((16 << 20) + 1), "too large for a file of expectations; is it a log?"),
    ];
    let folder = Folder::new("errors");
    for (content, message) in cases {
        let file = folder.file("bad", content.as_bytes());
        let output = run(&["--expect", &file, LOG]);
        let said = String::from_utf8_lossy(&output.stderr);
        let start = &content[..content.len().min(200)];
        assert_eq!(output.status.code(), Some(2), "{start}");
        assert!(said.starts_with(&format!("logscan: {file}: {message}")), "{start}\n{said}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(run(&["--expect", "no-such.toml", LOG]).status.code(), Some(2));
}

#[test]
fn the_example_in_the_readme_reads() {
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    let example = readme.split("```toml\n").nth(1).expect("an example is shown").split("```").next().unwrap();
    let folder = Folder::new("readme");
    let file = folder.file("readme.toml", example.as_bytes());
    let report = json(&run(&["-o", "json", "--expect", &file, LAB]));
    assert_eq!(report["expectations"]["rows"], 2);
    assert_eq!(report["expectations"]["matched"], 1);
}
