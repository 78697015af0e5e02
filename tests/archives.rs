//! Logs as people have them: compressed, in archives, in folders, damaged.

use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

use crate::tool::{json, path, run, run_with, text};

/// A folder of a test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("logscan-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let file = self.0.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, bytes).unwrap();
        file.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The three lines of the story that every envelope has.
fn lines() -> Vec<String> {
    let text = std::fs::read_to_string(path("samples/envelopes/plain.log")).unwrap();
    text.lines().map(|line| line.to_owned() + "\n").collect()
}

const CLIENT: &str = "manager-7948dffbdd-p44xx";
const SERVER: &str = "manager-7948dffbdd-sh7rx";

/// What `istioctl bug-report` writes: the client's container was started again, so its older log stands behind the newer.
fn bug_report() -> Vec<(String, Vec<u8>)> {
    let lines = lines();
    let restarted = format!(
        "========= Previous log present (appended at the end) =========\n\n{}\n\n========= Previous log =========\n\n{}",
        lines[2], lines[0]
    );
    [
        (format!("bug-report/proxies/manager/{CLIENT}/istio-proxy.log"), restarted),
        (format!("bug-report/proxies/manager/{SERVER}/istio-proxy.log"), lines[1].clone()),
        (format!("bug-report/proxies/manager/{SERVER}/config_dump"), "{}".to_owned()),
        ("bug-report/istio/istio-system/istiod-1/discovery.log".to_owned(), lines.concat()),
        ("bug-report/cluster/k8s-resources".to_owned(), lines.concat()),
        ("bug-report/versions".to_owned(), "1.9.0\n".to_owned()),
    ]
    .map(|(name, text)| (name, text.into_bytes()))
    .to_vec()
}

fn must_gather() -> Vec<(String, Vec<u8>)> {
    let lines = lines();
    let logs = |pod: &str| format!("must-gather.local/quay/namespaces/manager/pods/{pod}/istio-proxy/istio-proxy/logs");
    let stamp = |line: &str| format!("2020-07-23T14:47:50.123456789Z {line}");
    [
        (format!("{}/previous.log", logs(CLIENT)), stamp(&lines[0])),
        (format!("{}/current.log", logs(CLIENT)), stamp(&lines[2])),
        (format!("{}/current.log", logs(SERVER)), stamp(&lines[1])),
        (format!("must-gather.local/quay/namespaces/manager/pods/{SERVER}/{SERVER}.yaml"), "kind: Pod\n".to_owned()),
        ("must-gather.local/quay/namespaces/manager/core/events.yaml".to_owned(), "kind: List\n".to_owned()),
    ]
    .map(|(name, text)| (name, text.into_bytes()))
    .to_vec()
}

fn tar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zip(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 3);
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// Connections, pairs, and whose legs they are.
fn told(report: &Value) -> Value {
    let legs: Vec<String> = report["connection_list"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|connection| [&connection["outbound"], &connection["inbound"]])
        .filter(|leg| !leg.is_null())
        .map(|leg| format!("{} {} {}", leg["namespace"], leg["pod"], leg["container"]))
        .collect();
    serde_json::json!([report["lines"]["access"], report["connections"]["paired"], legs])
}

fn expected() -> Value {
    let leg = |pod: &str| format!("\"manager\" \"{pod}\" \"istio-proxy\"");
    serde_json::json!([3, 1, [leg(CLIENT), leg(SERVER), leg(CLIENT)]])
}

const ARGUMENTS: [&str; 3] = ["-o", "json", "--connections"];

#[test]
fn reports_of_a_cluster_read_as_they_are() {
    let folder = Folder::new("reports");
    for (name, members) in [("bug-report", bug_report()), ("must-gather", must_gather())] {
        let packed = [
            ("tar", tar(&members)),
            ("tar.gz", gzip(&tar(&members))),
            ("tar.xz", xz(&tar(&members))),
            ("zip", zip(&members)),
            ("outer.tar", tar(&[("inner.tgz".to_owned(), gzip(&tar(&members)))])),
            ("outer.zip", zip(&[("inner.zip".to_owned(), zip(&members))])),
        ];
        for (ending, bytes) in packed {
            // Names say nothing.
            let file = folder.file(&format!("{name}-{}", ending.replace('.', "-")), &bytes);
            for output in [run(&[&ARGUMENTS[..], &[&file]].concat()), run_with(&ARGUMENTS, &bytes)] {
                let report = json(&output);
                assert_eq!(told(&report), expected(), "{name}.{ending}");
                assert_eq!(output.status.code(), Some(0), "{name}.{ending}");
                assert!(!report["skipped"].as_object().unwrap().is_empty());
            }
        }
        for (member, bytes) in &members {
            folder.file(&format!("{name}/{member}"), bytes);
        }
        let report = json(&run(&[&ARGUMENTS[..], &[&folder.0.join(name).display().to_string()]].concat()));
        assert_eq!(told(&report), expected(), "{name} as a folder");
    }
}

/// The bug report of the proof: the log of one proxy holds those of all, and each pod has a dump of each phase.
fn bug_report_of_the_proof() -> Vec<(String, Vec<u8>)> {
    let read = |file: &str| std::fs::read(path(&format!("samples/proof/{file}"))).unwrap();
    let pods = ["manager-7948dffbdd-p44xx", "manager-7948dffbdd-sh7rx", "app-6c9f7d5b8-x2x7q", "idle-5f6d9c7b4-9k2lm"];
    let mut members = vec![("bug-report/proof.log".to_owned(), read("proof.log"))];
    for (phase, pod) in ["healthy", "externalname", "fixed"].iter().flat_map(|phase| pods.map(|pod| (phase, pod))) {
        let folder = format!("bug-report/proxies/{phase}/{pod}");
        members.push((format!("{folder}/config_dump"), read(&format!("mesh/{phase}/{pod}.json"))));
        members.push((format!("{folder}/clusters"), read(&format!("mesh/{phase}/{pod}.clusters.json"))));
    }
    members
}

#[test]
fn a_report_of_a_cluster_holds_its_own_configuration() {
    let folder = Folder::new("beside");
    let log = "samples/proof/proof.log";
    let given = json(&run(&["-o", "json", log, "--mesh", "samples/proof/mesh"]));
    assert_eq!((&given["mesh"]["compared"]["explained"], &given["mesh"]["beside_logs"]), (&183.into(), &false.into()));
    let mut members = bug_report_of_the_proof();
    for (name, bytes) in [("logs/r.tar.gz", gzip(&tar(&members))), ("logs/r.zip", zip(&members))] {
        let file = folder.file(name, &bytes);
        let output = run(&["-o", "json", &file]);
        let report = json(&output);
        assert_eq!(
            (&report["mesh"]["compared"], output.status.code()),
            (&given["mesh"]["compared"], Some(0)),
            "{name}"
        );
        assert_eq!(report["mesh"]["beside_logs"], true, "{name}");
        assert!(text(&run(&[&file])).contains("Mesh   12 dumps found beside the logs, 183 lines compared"), "{name}");
        // As `--mesh` it is the same, and what is given goes before what lies there.
        let report = json(&run(&["-o", "json", log, "--mesh", &file]));
        assert_eq!(report["mesh"]["compared"], given["mesh"]["compared"], "{name}");
        let report = json(&run(&["-o", "json", &file, "--mesh", "samples/proof/mesh/healthy"]));
        assert_eq!(
            (&report["mesh"]["compared"]["differs"], &report["mesh"]["beside_logs"]),
            (&21.into(), &false.into())
        );
    }
    for (name, bytes) in &members {
        folder.file(name, bytes);
    }
    let report = json(&run(&["-o", "json", &folder.0.join("bug-report").display().to_string()]));
    assert_eq!(report["mesh"]["compared"], given["mesh"]["compared"]);
    // A dump that ends in its middle is left out, and the run is fine.
    for (name, bytes) in &mut members {
        if name.ends_with("config_dump") {
            bytes.truncate(bytes.len() * 9 / 10);
        }
    }
    let output = run(&["-o", "json", &folder.file("damaged.tar.gz", &gzip(&tar(&members)))]);
    let report = json(&output);
    assert_eq!((&report["mesh"]["compared"]["explained"], output.status.code()), (&0.into(), Some(0)));
    let wrong = report["mesh"]["left_out"].as_array().unwrap().iter().filter(|part| part["wrong"] == true);
    assert_eq!(wrong.filter(|part| part["why"].as_str().unwrap().contains("EOF")).count(), 12, "{}", report["mesh"]);
    // Without any there is no comparison.
    let report = json(&run(&["-o", "json", &folder.file("plain.tar", &tar(&members[..1]))]));
    assert!(report["mesh"].is_null(), "{}", report["mesh"]);
}

#[test]
fn the_log_of_a_former_run_is_older_and_keeps_its_line_numbers() {
    let folder = Folder::new("previous");
    let report = json(&run(&["-o", "json", "--connections", &folder.file("r.tar", &tar(&bug_report()))]));
    let places: Vec<String> = report["connection_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|connection| format!("{} {}", connection["outbound"]["start_time"], connection["outbound"]["line"]))
        .collect();
    assert_eq!(places, ["\"2020-07-23T14:39:12.587Z\" 8", "\"2020-07-23T14:47:24.040Z\" 3"]);
    let ends = report["inputs"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().contains(CLIENT));
    assert_eq!(ends.collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn folders_and_patterns_are_read_in_order_and_a_link_is_the_file() {
    let folder = Folder::new("folders");
    let uid = "b3c1e0de-1111-2222-3333-444455556666";
    let cri = |line: &str| format!("2020-07-23T14:47:50.123456789Z stdout F {line}");
    let lines = lines();
    let client = format!("pods/manager_{CLIENT}_{uid}/istio-proxy");
    folder.file(&format!("{client}/0.log.20200723-144000.gz"), &gzip(cri(&lines[0]).as_bytes()));
    let newest = folder.file(&format!("{client}/0.log"), cri(&lines[2]).as_bytes());
    folder.file(&format!("pods/manager_{SERVER}_{uid}/istio-proxy/0.log"), cri(&lines[1]).as_bytes());
    folder.file("pods/core.1234", &[0; 4096].map(|_: u8| 0).iter().copied().chain([1]).collect::<Vec<u8>>());
    std::fs::create_dir(folder.0.join("containers")).unwrap();
    let link = folder.0.join(format!("containers/{CLIENT}_manager_istio-proxy-{}.log", "0f3a".repeat(16)));
    std::os::unix::fs::symlink(&newest, link).unwrap();
    // A loop of links ends.
    std::os::unix::fs::symlink(&folder.0, folder.0.join("pods/loop")).unwrap();
    let report = json(&run(&[&ARGUMENTS[..], &[&folder.0.join("pods").display().to_string()]].concat()));
    assert_eq!(told(&report), expected());
    let pattern = folder.0.join("pods/*/*/*.log*").display().to_string();
    assert_eq!(told(&json(&run(&[&ARGUMENTS[..], &[&pattern]].concat()))), expected());
    // All that is in the second folder is read already.
    let second = folder.0.join("containers").display().to_string();
    let output = run(&[&ARGUMENTS[..], &[&pattern, &second, &newest]].concat());
    assert_eq!((told(&json(&output)), output.status.code()), (expected(), Some(0)));
    assert!(json(&output)["skipped"]["the same file again"].as_u64() >= Some(2));
}

#[test]
fn what_is_damaged_is_read_as_far_as_it_goes() {
    let folder = Folder::new("damaged");
    // Enough lines that a part of them is whole, whatever the compression.
    let line = &lines()[2];
    let many: String = (0..20_000).map(|number| line.replace(":52852", &format!(":{}", 10_000 + number))).collect();
    let member = [("a/proxies/n/p/istio-proxy.log".to_owned(), many.clone().into_bytes())];
    for (name, whole) in [
        ("log.gz", gzip(many.as_bytes())),
        ("log.xz", xz(many.as_bytes())),
        ("log.zst", zstd::encode_all(many.as_bytes(), 1).unwrap()),
        ("log.tgz", gzip(&tar(&member))),
        ("log.tar", tar(&member)),
        ("log.zip", zip(&member)),
    ] {
        let file = folder.file(name, &whole[..whole.len() * 3 / 4]);
        let output = run(&["-o", "json", &file]);
        let (report, said) = (json(&output), String::from_utf8_lossy(&output.stderr).into_owned());
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(&file), "{name}: {said}");
        let read = report["lines"]["access"].as_u64().unwrap();
        assert!(read > 5_000 && read < 20_000, "{name}: {read} lines: {said}");
    }
    let mut broken = zip(&member);
    let middle = broken.len() / 2;
    broken[middle..middle + 32].fill(0xff);
    let output = run(&["-o", "json", &folder.file("broken.zip", &broken)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(json(&output)["lines"]["access"].as_u64().unwrap() > 5_000);
}

#[test]
fn what_holds_no_log_says_so() {
    let folder = Folder::new("nothing");
    let empty = folder.file("empty/versions", b"1.9\n");
    for input in [
        empty.trim_end_matches("/versions").to_owned(),
        folder.file("e.tar", &tar(&[("bug-report/versions".to_owned(), b"x".to_vec())])),
        folder.file("e.gz", &gzip(b"")),
        folder.file("e", b""),
    ] {
        let output = run(&[&input]);
        assert_eq!(output.status.code(), Some(2), "{input}");
        assert!(!output.stderr.is_empty(), "{input}");
    }
}
