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
fn each_connection_says_where_the_configuration_sends_it() {
    let count = |report: &Value| {
        let mut said = std::collections::BTreeMap::<String, u64>::new();
        for connection in report["connection_list"].as_array().unwrap() {
            let leg =
                [&connection["outbound"], &connection["inbound"]].into_iter().find(|leg| leg.is_object()).unwrap();
            let logged = leg["upstream_cluster"].as_str().unwrap_or_default();
            let predicted = connection["predicted_cluster"].as_str();
            let prediction = connection["prediction"].as_str().unwrap();
            match prediction {
                // Of a connection that no listener took, the log names no cluster.
                "agrees" => assert!(logged.is_empty() || predicted == Some(logged), "{connection}"),
                "differs" => assert!(predicted.is_some_and(|predicted| predicted != logged), "{connection}"),
                _ => assert_eq!((predicted, prediction), (None, "not-covered"), "{connection}"),
            }
            let why = connection["prediction_why"].as_str().unwrap_or_default();
            assert_eq!(connection["prediction_taken"].is_string(), prediction != "not-covered", "{connection}");
            *said.entry(format!("{prediction} {why}")).or_default() += 1;
        }
        said.into_iter().map(|(said, count)| format!("{said} {count}")).collect::<Vec<_>>()
    };
    assert_eq!(count(&report(&["--connections", "--mesh", &mesh("mesh")])), ["agrees  105"]);
    assert_eq!(count(&report(&["--connections", "--mesh", &mesh("mesh/healthy")])), ["agrees  84", "differs  21"]);
    let one = mesh("mesh/healthy/manager-7948dffbdd-p44xx.json");
    assert_eq!(
        count(&report(&["--connections", "--mesh", &one])),
        ["agrees  72", "differs  21", "not-covered no-dump-of-the-proxy 12"]
    );
    let without = report(&["--connections"]);
    assert!(without["connection_list"][0].get("prediction").is_none(), "nothing was asked");
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
fn a_dump_that_powershell_wrote_is_read() {
    let name = "manager-7948dffbdd-p44xx.json";
    let folder = tempfile::tempdir().unwrap();
    let plain = std::fs::read_to_string(path(&mesh("mesh/healthy")).join(name)).unwrap();
    let wide: Vec<u8> = format!("\u{feff}{plain}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = folder.path().join(name);
    std::fs::write(&file, wide).unwrap();
    let compared = |file: &str| report(&["--mesh", file])["mesh"]["compared"].clone();
    assert_eq!(compared(file.to_str().unwrap()), compared(&mesh(&format!("mesh/healthy/{name}"))));
    assert_eq!(compared(file.to_str().unwrap())["explained"], 123);
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

/// A dump of one pod, whose port 80 goes by host.
fn routed(folder: &std::path::Path, name: &str, hosts: &[(&str, &str)]) -> String {
    let host = |(host, cluster): &(&str, &str)| serde_json::json!({"name": host, "domains": [host], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]});
    let hosts: Vec<Value> = hosts.iter().map(host).collect();
    let manager = serde_json::json!({"@type": "x.HttpConnectionManager", "rds": {"route_config_name": "80"}});
    let dump = serde_json::json!({"configs": [
        {"bootstrap": {"node": {"id": "sidecar~10.0.0.1~web-0.shop~shop.svc.cluster.local"}}},
        {"dynamic_listeners": [{"name": "0.0.0.0_80", "active_state": {"listener": {
            "name": "0.0.0.0_80",
            "address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}},
            "traffic_direction": "OUTBOUND",
            "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}}}]},
        {"dynamic_route_configs": [{"route_config": {"name": "80", "virtual_hosts": hosts}}]}]});
    let file = folder.join(name);
    std::fs::write(&file, dump.to_string()).unwrap();
    file.display().to_string()
}

#[test]
fn requests_go_by_the_host_that_they_name() {
    let folder = tempfile::tempdir().unwrap();
    let (cart, stock) = ("outbound|80||cart.shop.svc.cluster.local", "outbound|80||stock.shop.svc.cluster.local");
    let line = |host: &str, cluster: &str| {
        format!(
            "web-0 istio-proxy [2026-01-01T00:00:00.000Z] \"GET /x HTTP/1.1\" 200 - via_upstream - \"-\" 0 5 3 2 \"-\" \
             \"curl\" \"{host}-1\" \"{host}\" \"10.0.0.9:80\" {cluster} 10.0.0.1:40000 10.1.0.1:80 10.0.0.1:39000 - default\n"
        )
    };
    let log = folder.path().join("web.log");
    // The last one names a host that something put in the place of another.
    std::fs::write(&log, line("cart", cart) + &line("stock", stock) + &line("inner.example.com", stock)).unwrap();
    let before = routed(folder.path(), "before.json", &[("cart", cart), ("stock", stock)]);
    let after = routed(folder.path(), "after.json", &[("cart", stock), ("stock", stock)]);
    let report = json(&run(&["-o", "json", log.to_str().unwrap(), "--mesh", &before, "--mesh-after", &after]));
    let compared = &report["mesh"]["compared"];
    assert_eq!((&compared["explained"], &compared["possible"]), (&2.into(), &1.into()), "{compared}");
    let moves = report["mesh"]["after"]["moves"].as_array().unwrap();
    assert_eq!(moves.len(), 1, "{moves:?}");
    assert_eq!((&moves[0]["from"], &moves[0]["to"][0], &moves[0]["lines"]), (&cart.into(), &stock.into(), &1.into()));
    // Where routes are known to rewrite it, no host is believed.
    let rewriting =
        std::fs::read_to_string(&before).unwrap().replace("\"cluster\":", "\"auto_host_rewrite\":true,\"cluster\":");
    std::fs::write(&before, rewriting).unwrap();
    let report = json(&run(&["-o", "json", log.to_str().unwrap(), "--mesh", &before, "--mesh-after", &after]));
    assert_eq!(report["mesh"]["compared"]["possible"], 3);
    assert_eq!(report["mesh"]["after"]["elsewhere"], 1, "no route leads to cart any more");
}

const WAYS_OUT: &str = "samples/ways-out/ways-out.log";
const DUMPS: &str = "samples/ways-out/mesh";
const OBJECTS: &str = "samples/ways-out/objects.yaml";

/// The reason of a finding and what its ways out apply, by code and subject.
fn told(report: &Value, code: &str, subject: &str) -> (String, Vec<String>) {
    let mut findings = report["findings"].as_array().unwrap().iter();
    let finding = findings.find(|finding| finding["code"] == code && finding["subject"] == subject).unwrap();
    let ways = finding["remedies"].as_array().into_iter().flatten();
    (finding["why"].as_str().unwrap().into(), ways.map(|way| way["apply"].as_str().unwrap().into()).collect())
}

#[test]
fn each_cause_that_objects_show_has_its_ways_out_with_real_names() {
    let report = json(&run(&["-o", "json", WAYS_OUT, "--mesh", DUMPS, "--mesh", OBJECTS]));
    let expected: [(&str, &str, &str, &[&[&str]]); 5] = [
        (
            "R101",
            "cache.data.svc.cluster.local",
            "leads to PassthroughCluster",
            &[
                &["clusterIP: None", "namespace: data", "app: \"cache\"", "targetPort: 6379"],
                &["# cache.data.svc.cluster.local:6379 in the place of 10.1.0.20:6379"],
            ],
        ),
        (
            "R401",
            "pods of ledger",
            "with mTLS it would be taken. The PeerAuthentication only-mtls in namespace bank makes it STRICT, for all of its \
             namespace, created 2026-03-01T09:59:00.000Z, 62 s before the first",
            &[
                &["kubectl patch deployment old-report -n legacy", "sidecar.istio.io/inject"],
                &["clusterIP: None", "namespace: bank", "targetPort: 5432"],
                &["kind: PeerAuthentication", "namespace: bank", "app: \"ledger\"", "5432:\n      mode: PERMISSIVE"],
            ],
        ),
        (
            "R103",
            "cache-0 port 9121",
            "leads to InboundPassthroughCluster",
            &[
                &["kubectl patch service cache -n data", "{\"name\":\"tcp-9121\",\"port\":9121,\"targetPort\":9121}"],
                &["clusterIP: None", "namespace: data", "targetPort: 9121"],
            ],
        ),
        (
            "R201",
            "unregistered destinations of runner",
            "The outboundTrafficPolicy of the Sidecar narrow in namespace jobs is REGISTRY_ONLY",
            &[
                &["kind: ServiceEntry", "namespace: jobs", "- \"203.0.113.25\"", "number: 443"],
                &["kubectl patch sidecar narrow -n jobs", "ALLOW_ANY"],
            ],
        ),
        (
            "R201",
            "cache.data.svc.cluster.local",
            "The Sidecar narrow in namespace jobs does not list cache.data.svc.cluster.local",
            &[
                &[
                    "kubectl patch sidecar narrow -n jobs",
                    "/spec/egress/0/hosts/-",
                    "data/cache.data.svc.cluster.local",
                ],
                &["ALLOW_ANY"],
            ],
        ),
    ];
    for (code, subject, said, ways) in expected {
        let (why, found) = told(&report, code, subject);
        assert!(why.contains(said), "{code} {subject}: {why}");
        assert_eq!(found.len(), ways.len(), "{code} {subject}: {found:?}");
        for (parts, way) in ways.iter().zip(&found) {
            assert!(parts.iter().all(|part| way.contains(part)), "{code} {subject}: {parts:?}: {way}");
        }
    }
}

#[test]
fn without_objects_only_what_dumps_show_has_ways_out() {
    let report = json(&run(&["-o", "json", WAYS_OUT, "--mesh", DUMPS]));
    assert_eq!(told(&report, "R103", "cache-0 port 9121").1, Vec::<String>::new());
    assert_eq!(
        told(&report, "R201", "cache.data.svc.cluster.local").1,
        Vec::<String>::new(),
        "who hides it is not known"
    );
    let public = told(&report, "R201", "unregistered destinations of runner").1;
    assert!(public.len() == 1 && public[0].contains("kind: ServiceEntry"), "{public:?}");
    assert!(!told(&report, "R401", "pods of ledger").0.contains("PeerAuthentication"));
}

#[test]
fn endpoints_are_told_with_their_states() {
    let stock = "stock.shop.svc.cluster.local";
    let (why, ways) = told(&json(&run(&["-o", "json", WAYS_OUT, "--mesh", DUMPS, "--mesh", OBJECTS])), "U203", stock);
    let said = "none of its 3 endpoints is healthy (1 DRAINING and 2 UNHEALTHY). The EndpointSlices of stock in namespace shop \
                have 0 ready of 2 addresses, and no pod has the labels that it selects, app=stock";
    assert!(why.contains(said) && ways.is_empty(), "{why}");
}

#[test]
fn a_dump_in_which_endpoints_are_healthy_proves_no_lack_of_them() {
    let folder = std::env::temp_dir().join(format!("logscan-proof-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let dump = std::fs::read_to_string(path(DUMPS).join("web-6c8d7b9f5-bb4bb.json")).unwrap();
    std::fs::write(folder.join("web-6c8d7b9f5-bb4bb.json"), dump.replacen("\"UNHEALTHY\"", "\"HEALTHY\"", 1)).unwrap();
    let report = json(&run(&["-o", "json", WAYS_OUT, "--mesh", folder.to_str().unwrap()]));
    std::fs::remove_dir_all(&folder).unwrap();
    let finding = report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "U203").unwrap();
    assert!(finding["why"].as_str().unwrap().contains("its endpoints are healthy there (1 of 3)"), "{finding}");
    assert_eq!(finding["grade"], "likely");
}
