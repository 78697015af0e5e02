//! Cases that people published with their cause: the cause is among the findings, and nothing is found where all was
//! well. Skipped with a word where the corpus is not at hand.

use serde_json::Value;

use crate::tool::{json, path, run_with};

/// The causes of the corpus, and what a report calls them. Without a name: all was well, nothing worse than info.
const CAUSES: &[(&str, &[&str])] = &[
    ("blackhole-missing-serviceentry", &["black-hole"]),
    ("blackhole-registry-only", &["black-hole"]),
    // What the host's conntrack did no proxy can know.
    ("conntrack-out-of-window-rst", &["upstream-reset"]),
    ("egress-connect-timeout", &["connect-timeout"]),
    ("externalname-0.0.0.0-listener", &["unexpected-cluster"]),
    ("gateway-not-configured", &["app-not-listening"]),
    ("network-policy-blocks-15008", &["connect-failed"]),
    ("no-endpoints", &["no-healthy-upstream"]),
    ("ok-ambient-both-ends", &[]),
    ("ok-both-legs", &[]),
    ("ok-passthrough-then-serviceentry", &["route-changed"]),
    ("ok-service-vip", &[]),
    ("open-and-close-of-one", &[]),
    ("passthrough-pod-ip", &["passthrough-to-service", "passthrough-to-unknown"]),
    ("plaintext-to-strict-mtls", &["no-filter-chain"]),
    ("sidecar-scope-blackhole", &["black-hole"]),
    ("ztunnel-authz-deny", &["access-denied"]),
    ("ztunnel-strict-denies-probe", &["access-denied"]),
];

#[test]
fn the_cause_that_a_source_describes_is_among_the_findings() {
    let Ok(corpus) = std::fs::read_to_string(path("../shared/corpus/pairs-public.jsonl")) else {
        eprintln!("skipped: no corpus of published cases beside the project");
        return;
    };
    for line in corpus.lines() {
        let published: Value = serde_json::from_str(line).unwrap();
        let lines: Vec<&str> =
            published["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        let report = json(&run_with(&["-o", "json"], (lines.join("\n") + "\n").as_bytes()));
        let cause = published["expect"]["cause"].as_str().unwrap();
        let names = CAUSES.iter().find(|(known, _)| *known == cause).unwrap_or_else(|| panic!("{cause} is new")).1;
        let findings = report["findings"].as_array().unwrap();
        let found = |name: &&str| findings.iter().any(|finding| finding["name"] == *name);
        let alarms = findings.iter().any(|finding| finding["severity"] != "info");
        assert!(names.iter().any(found) || names.is_empty() && !alarms, "{cause}: {findings:#?}");
        let pairs = published["expect"]["pairs"].as_array().unwrap().len();
        assert_eq!(report["connections"]["paired"], pairs, "{cause}: {lines:#?}");
    }
}
