//! The lab's recordings against what the clients and servers of the lab saw themselves.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::tool::{objects, path, run};

/// Log and truth of each recording, and whether calls carry the client's socket in the log.
const RECORDINGS: [(&str, &str); 5] = [
    ("samples/hazelcast-lab/istio-1.6.log", "samples/hazelcast-lab/istio-1.6.truth.json"),
    ("samples/hazelcast-lab/istio-1.9.log", "samples/hazelcast-lab/istio-1.9.truth.json"),
    ("samples/hazelcast-lab/json.log", "samples/hazelcast-lab/json.truth.json"),
    ("samples/http-pool/http.log", "samples/http-pool/truth.json"),
    ("samples/strict-nr/strict.log", "samples/strict-nr/truth.json"),
];

struct Recording {
    truth: Value,
    /// Connections by the client's own socket.
    by_client: BTreeMap<String, Vec<Value>>,
    findings: Vec<Value>,
}

fn record(log: &str, truth: &str) -> Recording {
    let output = run(&["-o", "ndjson", "--connections", log]);
    let mut by_client: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for connection in objects(&output, "connection") {
        if let Some(client) = connection["outbound"]["downstream_remote_address"].as_str() {
            by_client.entry(client.to_owned()).or_default().push(connection);
        }
    }
    let truth = serde_json::from_slice(&std::fs::read(path(truth)).unwrap()).unwrap();
    Recording { truth, by_client, findings: objects(&output, "finding") }
}

fn calls(truth: &Value) -> impl Iterator<Item = &Value> {
    truth["calls"].as_array().unwrap().iter()
}

#[test]
fn every_call_that_reached_a_sidecar_is_paired_with_the_right_leg_and_no_other() {
    for (log, truth) in RECORDINGS {
        let Recording { truth, by_client, .. } = record(log, truth);
        let mut checked = 0;
        for call in calls(&truth) {
            let Some(client) = call["local"].as_str() else {
                continue;
            };
            let served = call["served_by"].as_array().unwrap();
            let meshed = |served: &&Value| truth["pods"][served["pod"].as_str().unwrap()]["sidecar"] == true;
            let mut expected: Vec<(String, String)> = served
                .iter()
                .filter(meshed)
                .map(|served| (served["pod"].as_str().unwrap().to_owned(), served["peer"].as_str().unwrap().to_owned()))
                .collect();
            let Some(connections) = by_client.get(client) else {
                continue;
            };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let refused = |leg: &Value| leg["response_flags"] == "NR";
            let mut found: Vec<(String, String)> = connections
                .iter()
                .filter(|connection| !connection["inbound"].is_null() && !refused(&connection["inbound"]))
                .map(|connection| {
                    (text(&connection["inbound"]["pod"]), text(&connection["inbound"]["upstream_local_address"]))
                })
                .collect();
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{log}: {call}");
            checked += expected.len();
        }
        assert!(checked > 15, "{log}: only {checked} calls were checked");
    }
}

#[test]
fn every_call_that_failed_is_reported() {
    for (log, truth) in RECORDINGS {
        let Recording { truth, by_client, .. } = record(log, truth);
        for call in calls(&truth).filter(|call| call.get("error").is_some()) {
            let Some(connections) = call["local"].as_str().and_then(|client| by_client.get(client)) else {
                continue;
            };
            for connection in connections {
                assert!(!connection["findings"].as_array().unwrap().is_empty(), "{log}: {call}");
            }
        }
    }
}

#[test]
fn stolen_connections_are_found_and_no_others() {
    for (log, truth) in &RECORDINGS[..3] {
        let Recording { truth, by_client, findings } = record(log, truth);
        let mut stolen = 0;
        for call in calls(&truth) {
            let unexpected = |connection: &Value| {
                connection["findings"].as_array().unwrap().contains(&Value::from("unexpected-cluster"))
            };
            let connections = &by_client[call["local"].as_str().unwrap()];
            // The same listener black-holes the calls of pods to themselves.
            let is_stolen = |connection: &Value| {
                let cluster = connection["outbound"]["upstream_cluster"].as_str().unwrap();
                cluster.contains("app-ext") || cluster == "BlackHoleCluster"
            };
            for connection in connections {
                assert_eq!(
                    unexpected(connection),
                    call["phase"] == "externalname" && is_stolen(connection),
                    "{log}: {call}"
                );
                stolen += u64::from(unexpected(connection));
            }
        }
        assert_eq!(stolen, 18 + 3, "{log}");
        let finding = findings.iter().find(|finding| finding["name"] == "unexpected-cluster").unwrap();
        assert_eq!(finding["count"], stolen, "{log}: one cause, one finding");
    }
}
