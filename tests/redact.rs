//! What `--redact` shows holds no name of the input, and says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;

use crate::tool::{json, objects, path, run, run_with, sample_logs, text};

/// The pieces between the placeholders of every text in the code of rules, claims and reports.
fn sentences() -> String {
    let mut files: Vec<_> = ["src/rules", "src/claims", "src/report"]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(path(folder)).unwrap().flatten().map(|file| file.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    // Of the ways out only what they do is shown; words of manifests stay nobody's.
    let ways_out = ["egress", "hijack", "port", "strict"].map(|file| path(&format!("src/remedy/{file}.rs")));
    files.extend(ways_out.iter().cloned());
    files.extend(["src/field/flag.rs", "src/measure.rs", "src/topology/alone.rs"].map(path));
    let mut pieces = BTreeSet::new();
    for file in files {
        let code = std::fs::read_to_string(&file).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap();
        let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for text in literals(&lines.join("\n")) {
            // What is between braces is put in, and is somebody's name as like as not.
            let outside = text.split('{').enumerate().map(|(number, piece)| match number {
                0 => piece,
                _ => piece.split_once('}').map_or(piece, |(_, rest)| rest),
            });
            let outside = outside.map(|piece| piece.trim_matches([' ', '.', ':', ',', ';']).to_owned());
            let prose = |piece: &String| piece.contains(' ') && !piece.contains(['=', '/', '"', '_']);
            pieces.extend(outside.filter(|piece| !ways_out.contains(&file) || prose(piece)));
        }
    }
    pieces.retain(|piece| piece.contains(|letter: char| letter.is_alphabetic()) && !piece.contains('\n'));
    pieces.into_iter().collect::<Vec<_>>().join("\n") + "\n"
}

/// The string literals of some code.
fn literals(code: &str) -> Vec<String> {
    let (mut found, mut letters) = (Vec::new(), code.chars().peekable());
    while let Some(letter) = letters.next() {
        if letter == '\'' && letters.peek() == Some(&'"') {
            letters.next();
        } else if letter == '"' {
            let mut text = String::new();
            while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
                match letter {
                    '\\' if letters.peek() == Some(&'\n') => {
                        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
                    }
                    '\\' => text.extend(letters.next()),
                    letter => text.push(letter),
                }
            }
            found.push(text);
        }
    }
    found
}

#[test]
fn the_sentences_that_may_stay_are_those_of_the_code() {
    let (file, sentences) = (path("src/redact/sentences.txt"), sentences());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file, sentences).unwrap();
        return;
    }
    let known = std::fs::read_to_string(file).unwrap_or_default();
    let known: BTreeSet<&str> = known.lines().collect();
    for sentence in sentences.lines() {
        assert!(known.contains(sentence), "UPDATE_DOCS=1 cargo test: what rules say has changed: {sentence}");
    }
    assert_eq!(known.len(), sentences.lines().count(), "UPDATE_DOCS=1 cargo test: rules say less than before");
}

/// Keys of a leg whose values are the field's own and stay.
const STAY: [&str; 25] = [
    "start_time",
    "emit_time",
    "arrived",
    "method",
    "protocol",
    "response_code",
    "response_flags",
    "response_code_details",
    "connection_termination_details",
    "upstream_transport_failure_reason",
    "bytes_received",
    "bytes_sent",
    "duration",
    "upstream_service_time",
    "istio_policy_status",
    "event",
    "error",
    "direction",
    "side",
    "line",
    "container",
    "type",
    "matched_by",
    "unpaired",
    "findings",
];

/// Values that say something of every mesh and of none.
fn is_common(value: &str) -> bool {
    let common = [
        "example",
        "default",
        "allow_any",
        "istio-proxy",
        "cluster.local",
        "svc",
        "-",
        "/",
        "http",
        "outbound",
        "inbound",
    ];
    let bare = value.trim_start_matches("inbound").trim_start_matches("outbound");
    value.len() < 2
        || common.contains(&value)
        || value.starts_with("127.0.0.")
        || value.starts_with("[::1]")
        || !bare.contains(|letter: char| letter.is_alphabetic() || letter == '.' || letter == ':')
        // A version's end is a number like any other.
        || bare.parse::<f64>().is_ok()
        || value.ends_with("Cluster")
        // A forged line in a header has a time.
        || value.starts_with("2031-01-01T")
}

/// What must not be shown: the values of legs, whole and in their parts.
fn secrets(connections: &[Value]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let legs = connections.iter().flat_map(|connection| [&connection["outbound"], &connection["inbound"]]);
    for (key, value) in legs.filter_map(Value::as_object).flatten() {
        let Some(text) = value.as_str().filter(|_| !STAY.contains(&key.as_str())) else { continue };
        found.insert(text.to_owned());
        // Words of a sample's path are words of the report too: the whole path is what counts.
        if key == "source" {
            continue;
        }
        let apart = |letter: char| " \"|/?=,;@()[]{}".contains(letter);
        found.extend(text.split(apart).map(|part| part.trim_matches(['.', '_', ':']).to_owned()));
        if key == "pod" || key.ends_with("workload") {
            found.insert(String::from_utf8_lossy(logscan::names::workload(text.as_bytes())).into_owned());
        }
        if ["upstream_cluster", "requested_server_name", "authority", "destination_service"].contains(&key.as_str()) {
            found.extend(
                text.split(['|', '.', ':']).filter(|part| *part != "local" && *part != "cluster").map(str::to_owned),
            );
        }
    }
    // A port stands behind most addresses; the address is what counts.
    let hosts: Vec<String> = found.iter().filter_map(|text| Some(text.rsplit_once(':')?.0.to_owned())).collect();
    found.extend(hosts);
    found.retain(|text| !is_common(text) && text.contains(|letter: char| letter.is_alphanumeric()));
    found
}

/// Whether a text has a word, and not as a part of a longer one.
fn has(text: &str, word: &str) -> bool {
    let inside = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word)
        .any(|(at, _)| !inside(text[..at].chars().next_back()) && !inside(text[at + word.len()..].chars().next()))
}

/// Words that may stay, which a name of a sample can be by chance.
fn ours(word: &str) -> bool {
    static OURS: LazyLock<String> = LazyLock::new(|| {
        let text = |file| std::fs::read_to_string(path(file)).unwrap();
        text("src/redact/sentences.txt") + &text("src/redact/words.rs")
    });
    let parts = || word.split(['_', ':', '/']).filter(|part| !part.is_empty());
    let joined = parts().count() > 1 && parts().all(ours);
    joined || has(&OURS, word) || logscan::field::Field::of_key(word).is_some()
}

#[test]
fn no_name_of_a_sample_is_shown_in_any_output() {
    for log in sample_logs() {
        let secrets = secrets(&objects(&run(&["-o", "ndjson", "--connections", &log]), "connection"));
        let secrets: Vec<&String> = secrets.iter().filter(|secret| !ours(secret)).collect();
        for arguments in [
            &["--redact", &log][..],
            &["--redact", "--connections", &log],
            &["--redact", "-o", "json", "--connections", &log],
            &["--redact", "-o", "ndjson", "--connections", &log],
            &["formats", "--redact", "--check", &log],
        ] {
            let output = run(arguments);
            let shown = text(&output) + &String::from_utf8_lossy(&output.stderr);
            // What is made up can look like what it stands for.
            let real = |secret: &&&String| has(&shown, secret) && !is_stand_in(secret);
            let leaks: Vec<_> = secrets.iter().filter(real).collect();
            assert!(leaks.is_empty(), "{log} {arguments:?}: {leaks:?}");
            assert!(!shown.contains(&log), "{log}: the file's name");
        }
    }
}

/// Whether a text is one that stand-ins have: addresses of the ranges that they are taken from.
fn is_stand_in(text: &str) -> bool {
    let start = ["10.0.0.", "203.0.113.", "2001:db8:", "fd00::"];
    start.iter().any(|start| text.starts_with(start)) || text.starts_with("00000000-0000-4000-8000-")
}

/// What a value is replaced by, for each place at which both documents have one.
fn compare(place: &str, real: &Value, shown: &Value, map: &mut BTreeMap<(String, String), BTreeSet<String>>) {
    match (real, shown) {
        (Value::Object(real), Value::Object(shown)) => {
            assert_eq!(real.keys().collect::<Vec<_>>(), shown.keys().collect::<Vec<_>>(), "{place}");
            for (key, value) in real {
                compare(key, value, &shown[key], map);
            }
        }
        // These are sorted by what they show.
        (Value::Array(real), Value::Array(shown)) if place == "addresses" => assert_eq!(real.len(), shown.len()),
        (Value::Array(real), Value::Array(shown)) => {
            assert_eq!(real.len(), shown.len(), "{place}");
            real.iter().zip(shown).for_each(|(real, shown)| compare(place, real, shown, map));
        }
        (Value::String(real), Value::String(shown)) => {
            map.entry((kind(place), real.clone())).or_default().insert(shown.clone());
            let stays =
                STAY.contains(&place) || ["code", "name", "severity", "grade", "first", "last"].contains(&place);
            assert!(!stays || real == shown, "{place}: {real} became {shown}");
        }
        (real, shown) => assert!(real == shown || place == "redacted", "{place}: {real} became {shown}"),
    }
}

/// Places that hold the same kind of value.
fn kind(place: &str) -> String {
    match place {
        _ if place.ends_with("address") || place == "upstream_host" => "address",
        "inputs" | "source" => "source",
        other => other,
    }
    .to_owned()
}

#[test]
fn findings_numbers_times_and_pairs_are_the_same_and_equal_values_stay_equal() {
    for log in sample_logs() {
        let arguments = ["-o", "json", "--connections", &log];
        let real = json(&run(&arguments));
        let shown = json(&run(&[&["--redact"][..], &arguments].concat()));
        assert_eq!((&real["redacted"], &shown["redacted"]), (&false.into(), &true.into()));
        let mut map = BTreeMap::new();
        compare("", &real, &shown, &mut map);
        let mut back: BTreeMap<(String, String), String> = BTreeMap::new();
        for ((kind, value), shown) in map {
            // A row's source is a workload, an input's is a file.
            if kind == "source" || kind == "text" {
                continue;
            }
            assert_eq!(shown.len(), 1, "{log} {kind} {value}: {shown:?}");
            for shown in shown {
                // A port stays in its place.
                let port = |text: &str| text.rsplit_once(':').map(|(_, port)| port.to_owned());
                assert!(kind != "address" || port(&value) == port(&shown), "{log}: {value} became {shown}");
                let other = back.insert((kind.clone(), shown.clone()), value.clone());
                assert!(other.is_none(), "{log} {kind}: {value} and {other:?} became {shown}");
            }
        }
    }
}

#[test]
fn a_name_in_a_sentence_is_the_one_in_the_table_and_in_the_evidence() {
    let report = json(&run(&["--redact", "-o", "json", "samples/story/story.log"]));
    let finding = &report["findings"][0];
    let why = finding["why"].as_str().unwrap();
    let cluster = finding["subject"].as_str().unwrap();
    assert_eq!(
        why,
        format!(
            "app1 dialled 10.0.0.1:5701, which belongs to svc2.ns2.svc.cluster.local, and Envoy chose {cluster}: they fail with UF,URX"
        )
    );
    let line = finding["evidence"][0]["text"].as_str().unwrap();
    assert!(line.contains(cluster) && line.contains(" 10.0.0.1:5701 ") && line.starts_with("app1-"), "{line}");
    assert!(finding["fix"].as_str().unwrap().contains("listener 0.0.0.0_5701 made by svc1.ns1.svc.cluster.local"));
    let row = report["traffic"].as_array().unwrap().iter().find(|row| row["failures"] == 1).unwrap();
    assert_eq!((&row["source"], &row["cluster"]), (&"app1".into(), &cluster.into()));
    assert_eq!(row["destination"], "svc2.ns2.svc.cluster.local");
}

#[test]
fn no_sentence_of_ours_is_taken_for_a_name() {
    for log in sample_logs() {
        // One line is an agent's, with the name of a filter chain in it.
        let report = json(&run(&["--redact", "-o", "json", &log]));
        for finding in report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] != "S102") {
            for key in ["subject", "why", "fix", "check"] {
                let text = finding[key].as_str().unwrap();
                let value = text.split([' ', '|', '(', ',']).find(|word| word.starts_with("value"));
                assert_eq!(value, None, "{log}: {text}");
            }
        }
    }
}

#[test]
fn threads_change_nothing() {
    for log in sample_logs() {
        let shown = |threads| text(&run(&["--redact", "-o", "ndjson", "--connections", "--threads", threads, &log]));
        assert_eq!(shown("1"), shown("4"), "{log}");
    }
}

#[test]
fn what_strangers_send_does_not_get_out() {
    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    let pod = "vault-7d4f9c6b88-x2x9l istio-proxy";
    let port = std::cell::Cell::new(41000);
    let line = |method: &str, path: &str, headers: &str| {
        format!(
            "{pod} [2026-03-01T10:00:00.000Z] \"{method} {path} HTTP/1.1\" 503 UF upstream_reset_before_response_started - \"-\" 0 98 3 - {headers} \"10.244.7.7:8080\" outbound|8080|gold|vault.treasury.svc.cluster.local - 10.96.7.7:8080 10.244.7.8:{} vault.corp.internal allow_bob\n",
            port.replace(port.get() + 1)
        )
    };
    let id = "\"5f0c1d52-8a41-4c0e-9f5e-0d7b3a1c2e01\" \"vault.treasury:8080\"";
    let log = [
        line("GET", "/accounts/4711?token=s3cr3t&mail=bob@corp.example", &format!("\"203.0.113.99,172.31.9.9\" \"agent of vault-7d4f9c6b88-x2x9l (bob)\" {id}")),
        line("GET", "/at/172.31.9.9/x", &format!("\"-\" \"{JWT}\" {id}")),
        line("PROPFIND", "/%62%6f%62", &format!("\"-\" \"Bearer\u{a0}tok€n and 4111111111111111\" {id}")),
        line("GET", "http://bob.corp.example/x?y=bobsecret", &format!("\"bob\" \"+49-170-1234567\" {id}")),
        line("GET", "/q?x=\"bobquoted\"&y=\\u0062ob", &format!("\"-\" \"\\\"bob\\\" 'bobs' `bobtick` <bobtag>\" {id}")),
        line("GET", "/x", "\"[fd12::beef]\" \"Mail bob@corp.example; 00:1b:63:84:45:e6\" \"bob-1\" \"bob.corp.example\""),
        "2026-03-01T10:00:02.000000Z\twarning\tenvoy config\tgRPC config for type.googleapis.com/envoy.config.listener.v3.Listener rejected: Error adding/updating listener(s) 10.96.7.7_8080: bobfilter in vault.treasury refused 'bobchain'\n".to_owned(),
        "{\"user\":\"bob\",\"card\":4111111111111111,\"account\":98765432} bob paid, call 0049 98765432\n".to_owned(),
        // Cut in the middle of an address and of a name.
        format!("{pod} [2026-03-01T10:00:03.000Z] \"GET /bobcut HTTP/1.1\" 503 UF - - \"-\" 0 98 3 - \"-\" \"-\" {id} \"172.31"),
    ]
    .concat();
    let secrets = [
        "bob",
        "corp",
        "s3cr3t",
        "4711",
        "vault",
        "treasury",
        "gold",
        "172.31",
        "10.244",
        "10.96",
        "203.0.113.99",
        "eyJ",
        "dozj",
        "4111111111111111",
        "98765432",
        "1234567",
        "tok",
        "fd12",
        "beef",
        "1b:63",
        "5f0c1d52",
        "x2x9l",
        "7d4f9c6b88",
        "%62",
        "Bearer",
        "PROPFIND",
    ];
    for arguments in [
        &["--redact"][..],
        &["--redact", "--connections"],
        &["--redact", "-o", "json", "--connections"],
        &["--redact", "-o", "ndjson", "--connections"],
        &["formats", "--redact", "--check", "-"],
    ] {
        let output = run_with(arguments, log.as_bytes());
        let shown = text(&output) + &String::from_utf8_lossy(&output.stderr);
        assert!(shown.contains("istio-1.9"), "{shown}");
        for secret in secrets {
            assert!(!shown.contains(secret), "{arguments:?} {secret}: {shown}");
        }
    }
}

#[test]
fn files_are_not_named_where_something_is_wrong_with_them() {
    let output = run(&["--redact", "secret-customer/access.log", "samples/story/story.log"]);
    let notices = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(notices.contains("file") && notices.contains("No such file or directory"), "{notices}");
    let output = run(&["--redact", "--format-file", "secret-customer.yaml", "samples/story/story.log"]);
    let other = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(other.contains("No such file or directory (os error 2)"), "{other}");
    for shown in [notices, other, text(&output)] {
        assert!(!shown.contains("secret") && !shown.contains("customer") && !shown.contains("story"), "{shown}");
    }
}
