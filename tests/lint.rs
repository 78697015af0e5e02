//! `logscan lint` as its user meets it: what it says, its exit codes, and dumps of others.

use serde_json::{Value, json};

use crate::tool::{json, path, run, text};

const SAMPLE: &str = "samples/lint/manager.config_dump.json";

fn codes(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn the_sample_says_who_is_caught_and_what_was_refused() {
    let report = json(&run(&["lint", "--mesh", SAMPLE, "-o", "json"]));
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["dumps"], 1);
    assert_eq!(codes(&report), ["L301", "L305"]);
    let caught = &report["findings"][0];
    assert_eq!(caught["subject"], "app-ext.app.svc.cluster.local on port 5701");
    assert_eq!(caught["grade"], "proven");
    // The pod's own address is not among them: it dials itself without its proxy.
    assert!(caught["why"].as_str().unwrap().contains("one of 2 addresses of manager.manager.svc.cluster.local"));
    assert_eq!(caught["places"][0]["whose"], "manager-7948dffbdd-p44xx.manager");
    assert!(caught["remedies"].as_array().unwrap().len() > 3);
    assert!(report["findings"][1]["why"].as_str().unwrap().contains("script load error"));
}

#[test]
fn the_text_fits_a_terminal_and_has_no_control_letters() {
    let shown = text(&run(&["lint", "--mesh", SAMPLE]));
    assert!(shown.starts_with("2 findings in 1 dump and 0 objects: 2 error"), "{shown}");
    for line in shown.lines().filter(|line| !line.starts_with("         ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for label in ["  What  ", "  Where ", "  Why   ", "  Do    ", "Ways out of L301"] {
        assert!(shown.contains(label), "{label}");
    }
    let folder = tempfile::tempdir().unwrap();
    let hostile = std::fs::read_to_string(path(SAMPLE)).unwrap().replace("app-ext.app", "app-ext\\u001b[2J.\\u202eapp");
    let file = folder.path().join("hostile.json");
    std::fs::write(&file, hostile).unwrap();
    for output in ["text", "json"] {
        let shown = text(&run(&["lint", "--mesh", file.to_str().unwrap(), "-o", output]));
        assert!(shown.contains("app-ext") && !shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    }
}

#[test]
fn whom_proxies_sent_to_around_the_mesh_is_told_by_their_clusters() {
    let fixed = ["lint", "--mesh", "samples/proof/mesh/fixed", "-o", "json"];
    let report = json(&run(&fixed));
    let around: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == "L312").collect();
    let [only] = around[..] else { panic!("{around:?}") };
    assert_eq!(only["subject"], "manager.manager.svc.cluster.local on port 5701");
    assert!(only["why"].as_str().unwrap().contains("10.12.0.12:5701 and 10.12.1.6:5701"), "{only}");
    assert_eq!(only["places"].as_array().unwrap().len(), 2);
    // While the port is caught whole, that is what there is to say.
    let report = json(&run(&["lint", "--mesh", "samples/proof/mesh/externalname", "-o", "json"]));
    assert!(codes(&report).contains(&"L301") && !codes(&report).contains(&"L312"), "{report}");
}

#[test]
fn exit_codes_are_those_of_the_main_command() {
    let code = |arguments: &[&str]| run(&[&["lint", "--mesh"], arguments].concat()).status.code();
    assert_eq!(code(&[SAMPLE]), Some(0));
    assert_eq!(code(&[SAMPLE, "--fail-on", "error"]), Some(1));
    assert_eq!(code(&["no-such-file"]), Some(2));
    assert_eq!(code(&["README.md"]), Some(2), "nothing is recognised");
    assert_eq!(run(&["lint"]).status.code(), Some(2), "something has to be given");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(code(&[folder.path().to_str().unwrap()]), Some(2), "an empty folder");
    let quiet = json!({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump"}]});
    let file = folder.path().join("quiet.json");
    std::fs::write(&file, quiet.to_string()).unwrap();
    let output = run(&["lint", "--mesh", file.to_str().unwrap(), "--fail-on", "info"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output).trim_end(), "No findings in 1 dump and 0 objects");
}

/// A dump that others published, and the ports that are caught in it, by host.
type Caught = (&'static str, &'static [(&'static str, &'static [u16])]);

const CAUGHT: &[Caught] = &[
    (
        "istio-1.3-sidecar-productpage.config_dump.min.json",
        &[
            ("alpha-redis-headless.redis.svc.cluster.local", &[6379]),
            ("sleep2.default.svc.cluster.local", &[8888]),
            ("vmtest.default.svc.cluster.local", &[12345]),
        ],
    ),
    ("istio-2022-01-echo.pc-listeners.min.json", &[("fake.external.com", &[81, 7071, 9090, 9091, 9092, 9093, 9443])]),
];

#[test]
fn what_catches_ports_in_published_dumps_is_found() {
    for (file, caught) in CAUGHT {
        let file = path("../shared/mesh-data").join(file);
        if !file.exists() {
            eprintln!("skipped: no published dumps beside the project");
            return;
        }
        let report = json(&run(&["lint", "--mesh", file.to_str().unwrap(), "-o", "json"]));
        let mut found: Vec<(String, Vec<u16>)> = Vec::new();
        for finding in report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == "L301") {
            let host = finding["subject"].as_str().unwrap().split(' ').next().unwrap().to_owned();
            let parts = finding["places"].as_array().unwrap().iter().map(|place| place["part"].as_str().unwrap());
            let port = |part: &str| part.split([',', ' ']).nth(1).unwrap().rsplit('_').next().unwrap().parse().unwrap();
            let mut numbers: Vec<u16> = parts.map(port).collect();
            numbers.sort_unstable();
            found.push((host, numbers));
        }
        found.sort();
        let caught: Vec<(String, Vec<u16>)> =
            caught.iter().map(|(host, ports)| ((*host).to_owned(), ports.to_vec())).collect();
        assert_eq!(found, caught);
        assert!(!report["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == "L308"));
    }
}

#[test]
fn what_is_broken_in_a_folder_is_passed_over_and_what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("web.json");
    std::fs::copy(path("samples/proof/mesh/healthy/manager-7948dffbdd-p44xx.json"), &dump).unwrap();
    std::os::unix::fs::symlink("/nowhere/x.json", folder.path().join("gone.json")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
    let mesh = folder.path().to_str().unwrap();
    assert_eq!(run(&["lint", "--mesh", mesh]).status.code(), Some(0));
    let wrong = folder.path().join("wrong.json");
    std::fs::write(&wrong, r#"{"kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":700000}]}}"#).unwrap();
    let output = run(&["lint", "--mesh", wrong.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && told.contains("wrong.json at spec.ports[0].port"), "{told}");
}
