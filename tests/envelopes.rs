//! The same three lines in every envelope: the same connections, and the names that the envelope knows.

use serde_json::Value;

use crate::tool::{json, objects, path, run};

/// What an envelope knows: `p`od, `n`amespace, `c`ontainer, node (`h`ost), `t`ime of arrival.
const KNOWN: &[(&str, &str)] = &[
    ("aws-logs-tail.log", "pnct"),
    ("cloudwatch-events.json", "pnc"),
    ("cloudwatch-insights.log", "pncht"),
    ("compose.log", "p"),
    ("cri-partial.log", "t"),
    ("cri.log", "t"),
    ("docker-json.log", "t"),
    ("docker.log", "t"),
    ("fluent-bit-merged.log", "pnch"),
    ("fluent-bit-processed.log", "pncht"),
    ("fluent-bit.log", "pncht"),
    ("fluentd-file.log", "pncht"),
    ("fluentd.log", "pnch"),
    ("google-cloud-payload.log", "pnct"),
    ("google-cloud.json", "pnct"),
    ("google-cloud.log", "pnct"),
    ("grep.log", ""),
    ("istio-json-pretty.json", ""),
    ("journal.log", "h"),
    ("kail-json.log", "pnc"),
    ("kail.log", "pnc"),
    ("kubectl-prefix-timestamps.log", "pct"),
    ("kubectl-prefix.log", "pc"),
    ("kubectl-timestamps.log", "t"),
    ("kubetail-container.log", "pc"),
    ("kubetail.log", "p"),
    ("logcli-jsonl.log", "pnct"),
    ("logcli.log", "pnct"),
    ("loki-api.json", "pnc"),
    ("nested-fluent-cri.log", "pncht"),
    ("nested-kubectl-vector.log", "pncht"),
    ("nested-stern-cri.log", "pnct"),
    ("opensearch.json", "pnch"),
    ("openshift-structured.log", "pncht"),
    ("openshift.log", "pncht"),
    ("plain.log", ""),
    ("pod.log", "p"),
    ("stern-all-namespaces.log", "pnc"),
    ("stern-colour.log", "pc"),
    ("stern-extjson-object.log", "pnc"),
    ("stern-extjson.log", "pnc"),
    ("stern-highlight.log", "pc"),
    ("stern-json-timestamps.log", "pncht"),
    ("stern-json.log", "pnch"),
    ("stern-ppextjson.json", "pnc"),
    ("stern-timestamps-short.log", "pc"),
    ("stern-timestamps.log", "pct"),
    ("stern.log", "pc"),
    ("syslog-5424.log", "ht"),
    ("syslog.log", "h"),
    ("table.csv", ""),
    ("vector.log", "pncht"),
];

#[test]
fn every_envelope_gives_the_same_connections_and_its_names() {
    let mut files: Vec<String> = std::fs::read_dir(path("samples/envelopes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name != "README.md")
        .collect();
    files.sort();
    assert_eq!(files, KNOWN.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, known) in KNOWN {
        let file = format!("samples/envelopes/{name}");
        let output = run(&["-o", "ndjson", "--connections", &file]);
        let legs: Vec<Value> = objects(&output, "connection")
            .iter()
            .flat_map(|connection| [connection["outbound"].clone(), connection["inbound"].clone()])
            .filter(|leg| !leg.is_null())
            .collect();
        assert_eq!(legs.len(), 3, "{name}");
        let summary = &objects(&output, "summary")[0];
        assert_eq!(summary["connections"]["paired"], 1, "{name}");
        assert_eq!(summary["connections"]["failures"]["UF,URX"], 1, "{name}");
        assert_eq!(summary["lines"]["rejected"], 0, "{name}");
        for leg in &legs {
            let other = leg["pod"].as_str().is_some_and(|pod| pod.contains("sh7rx"));
            let pod = if other { "manager-7948dffbdd-sh7rx" } else { "manager-7948dffbdd-p44xx" };
            for (letter, key, value) in [
                ('p', "pod", pod),
                ('n', "namespace", "manager"),
                ('c', "container", "istio-proxy"),
                ('h', "node", "node-1"),
                ('t', "arrived", "2020-07-23T14:"),
            ] {
                let said = leg[key].as_str().unwrap_or_default();
                if known.contains(letter) {
                    assert!(said.starts_with(value), "{name}: {key} is {}", leg[key]);
                } else {
                    assert!(leg[key].is_null(), "{name}: {key} is {}", leg[key]);
                }
            }
        }
    }
}

#[test]
fn an_envelope_is_named_in_the_report() {
    for (file, name) in [("vector.log", "vector"), ("nested-kubectl-vector.log", "vector"), ("compose.log", "compose")]
    {
        let report = json(&run(&["-o", "json", &format!("samples/envelopes/{file}")]));
        assert_eq!(report["lines"]["envelopes"], serde_json::json!({ name: 3 }), "{file}");
    }
}
