//! A log and the configuration of the proxies that wrote it: what is predicted is what was logged, and findings are proven.

use serde_json::Value;

use crate::tool::{json, path, run, text};

const LOG: &str = "samples/proof/proof.log";

fn mesh(which: &str) -> String {
    format!("samples/proof/{which}")
}

fn report(arguments: &[&str]) -> Value {
    json(&run(&[&["-o", "json", LOG], arguments].concat()))
}

fn stolen(report: &Value) -> &Value {
    report["findings"].as_array().unwrap().iter().find(|finding| finding["name"] == "unexpected-cluster").unwrap()
}

#[test]
fn every_line_went_where_the_configuration_of_its_time_sends_it() {
    let report = report(&["--mesh", &mesh("mesh")]);
    let compared = &report["mesh"]["compared"];
    assert_eq!(compared["explained"], report["lines"]["access"], "{compared}");
    assert_eq!(report["mesh"]["differences"], Value::Array(Vec::new()));
    assert_eq!(report["mesh"]["proxies"].as_array().unwrap().len(), 12, "four pods in three phases");
}

#[test]
fn the_hijack_is_proven_down_to_the_chain_and_the_object() {
    let report = report(&["--mesh", &mesh("mesh"), "--mesh", &mesh("objects.yaml")]);
    let finding = stolen(&report);
    assert_eq!((&finding["grade"], &finding["check"]), (&"proven".into(), &"".into()));
    let why = finding["why"].as_str().unwrap();
    for part in [
        "0.0.0.0_5701, which takes every address of the port",
        "filter chain 2 of 2 leads to outbound|5701||app-ext.app.svc.cluster.local",
        "ExternalName Service (for idle.manager.svc.cluster.local) app-ext in namespace app, created 2026-11-25T22:05:20.000Z, 2719 ms before",
        "no exportTo, so every namespace sees it",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let ways: Vec<&str> =
        finding["remedies"].as_array().unwrap().iter().map(|way| way["apply"].as_str().unwrap()).collect();
    let patch = r#"kubectl patch service app-ext -n app --type=json -p='[{"op":"remove","path":"/spec/ports/1"}]'"#;
    assert!(ways[0].starts_with(patch), "{ways:?}");
    assert!(ways.iter().any(|way| way.contains("clusterIP: None") && way.contains("app: \"manager\"")), "{ways:?}");
}

#[test]
fn another_configuration_says_what_would_go_elsewhere() {
    let after = |phase: &str| {
        let report = report(&["--mesh", &mesh("mesh"), "--mesh-after", &mesh(phase)]);
        let after = &report["mesh"]["after"];
        (after["asked"].as_u64().unwrap(), after["elsewhere"].as_u64().unwrap())
    };
    // 18 stolen connections and 3 that were black-holed are not any more.
    assert_eq!(after("mesh/fixed"), (183, 21));
    // In the phase of the incident all calls to pods' addresses would be stolen: 12 in each of the other two phases.
    assert_eq!(after("mesh/externalname"), (183, 24));
}

/// The ExternalName Service of the story, with this port list and annotation.
fn app_ext(folder: &std::path::Path, annotations: &str, ports: &str) -> String {
    let manifest = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: app-ext, namespace: app, annotations: {{{annotations}}}}}\n\
         spec:\n  type: ExternalName\n  externalName: idle.manager.svc.cluster.local\n  \
         ports: [{{name: http, port: 8080, targetPort: 8080, protocol: TCP}}{ports}]\n"
    );
    let file = folder.join("app-ext.yaml");
    std::fs::write(&file, manifest).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_manifest_says_the_same_as_the_dumps_that_were_taken_after_it_was_applied() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = app_ext(folder.path(), "", "");
    let given = ["--mesh", &mesh("mesh"), "--mesh", &mesh("objects.yaml"), "--mesh-after"].map(str::to_owned);
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let translated = report(&[&given[..], &[&manifest]].concat());
    let (dumped, after) = (report(&[&given[..], &[&mesh("mesh/fixed")]].concat()), &translated["mesh"]["after"]);
    assert_eq!(after["moves"], dumped["mesh"]["after"]["moves"]);
    assert_eq!((&after["asked"], &after["elsewhere"]), (&183.into(), &21.into()));
    let said = "Service app-ext in namespace app: no listener or route leads to its port 5701 any more, at 4 proxies";
    assert_eq!(after["changes"], Value::Array(vec![said.into()]));
    assert_eq!(after["open"], Value::Array(Vec::new()));
    let shown = text(&run(&[&[LOG][..], &given, &[&manifest]].concat()));
    assert!(shown.contains("By     Service app-ext in namespace app: no listener or route"), "{shown}");
    let shown = text(&run(&[&["--redact", "-o", "json", LOG][..], &given, &[&manifest]].concat()));
    assert!(shown.contains("not shown") && !shown.contains("app-ext"), "{shown}");
}

#[test]
fn a_server_that_turns_strict_may_refuse_what_came_in_plaintext() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let pod = |name: &str| format!("---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: manager}}\n");
    let pods = write("pods.yaml", pod("manager-7948dffbdd-p44xx") + &pod("manager-7948dffbdd-sh7rx"));
    let kind = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n";
    let strict = format!("{kind}metadata: {{name: default, namespace: manager}}\nspec: {{mtls: {{mode: STRICT}}}}\n");
    let strict = write("strict.yaml", strict);
    let report = report(&["--mesh", &mesh("mesh"), "--mesh", &pods, "--mesh-after", &strict]);
    let after = &report["mesh"]["after"];
    // The managers' calls by pod address came through PassthroughCluster, in plaintext, to the other one's proxy.
    assert_eq!((&after["elsewhere"], &after["may"]), (&0.into(), &24.into()), "{after}");
}

#[test]
fn plaintext_that_a_strict_server_refused_is_explained_for_certain() {
    let report = json(&run(&["-o", "json", "samples/routes/routes.log", "--mesh", "samples/routes/mesh"]));
    let compared = &report["mesh"]["compared"];
    assert_eq!((&compared["explained"], &compared["possible"]), (&report["lines"]["access"], &0.into()), "{compared}");
    assert!(report["findings"].as_array().unwrap().iter().any(|finding| finding["name"] == "no-filter-chain"));
}

#[test]
fn what_depends_on_what_nobody_said_is_not_made_up() {
    let folder = tempfile::tempdir().unwrap();
    let hidden = app_ext(
        folder.path(),
        r#"networking.istio.io/exportTo: ".""#,
        ", {name: tcp-hazelcast, port: 5701, targetPort: 5701, protocol: TCP}",
    );
    // The lab's dumps do not say the namespaces of their pods.
    let after = report(&["--mesh", &mesh("mesh"), "--mesh", &mesh("objects.yaml"), "--mesh-after", &hidden]);
    let after = &after["mesh"]["after"];
    assert_eq!((&after["elsewhere"], &after["changes"]), (&0.into(), &Value::Array(Vec::new())));
    assert!(after["open"][0].as_str().unwrap().contains("namespaces of some pods are not known"), "{after}");
}

#[test]
fn a_configuration_that_is_not_the_one_of_the_log_is_said_to_be_another() {
    let report = report(&["--mesh", &mesh("mesh/healthy")]);
    let compared = &report["mesh"]["compared"];
    assert_eq!(compared["differs"], 21, "{compared}");
    let why = stolen(&report)["why"].as_str().unwrap();
    assert!(why.contains("it is not the one that they met"), "{why}");
    assert_ne!(stolen(&report)["grade"], "proven");
}

#[test]
fn the_text_shows_the_ways_out_and_the_comparison() {
    let shown = text(&run(&[LOG, "--mesh", &mesh("mesh"), "--mesh-after", &mesh("mesh/fixed")]));
    for part in [
        "Ways out of R301",
        "kubectl patch service app-ext -n app",
        "183 explained",
        "21 of 183 lines would go elsewhere",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(
        shown.lines().filter(|line| !line.starts_with("         ")).all(|line| line.chars().count() <= 80),
        "{shown}"
    );
}

#[test]
fn a_redacted_report_has_neither_names_nor_manifests() {
    let output = run(&["-o", "json", "--redact", LOG, "--mesh", &mesh("mesh"), "--mesh", &mesh("objects.yaml")]);
    let shown = text(&output);
    for name in ["app-ext", "10.12.", "idle.manager", "kubectl patch"] {
        assert!(!shown.contains(name), "{name}");
    }
    assert_eq!(json(&output)["mesh"]["compared"]["explained"], 183);
}

#[test]
fn configuration_that_cannot_be_read_is_trouble() {
    for (file, said) in [("samples/proof/none.json", "none.json"), (LOG, "proof.log")] {
        let output = run(&[LOG, "--mesh", file]);
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(said), "{told}");
    }
    assert!(path(LOG).exists());
}
