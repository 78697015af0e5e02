//! `logscan export` as its user meets it: every table in every form, read back, filtered, parted, interrupted, damaged.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::tool::{json, logscan, run, run_with, sample_logs, text};

const STORY: &str = "samples/story/story.log";
const FORMS: [&str; 3] = ["parquet", "arrow", "arrows"];

fn name(folder: &TempDir, file: &str) -> String {
    folder.path().join(file).display().to_string()
}

/// Runs it, and expects that it works.
fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text(&output)
}

/// The rows of a table.
fn rows(arguments: &[&str]) -> Vec<Value> {
    let printed = done(&[&["export", "--to", "-", "--export-format", "ndjson"], arguments].concat());
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a report says, without the places of lines: they are others in another file.
fn said(report: &Value) -> Value {
    let mut said = serde_json::Map::new();
    for key in ["first", "last", "connections", "traffic", "services", "addresses", "findings"] {
        said.insert(key.to_owned(), report[key].clone());
    }
    for finding in said["findings"].as_array_mut().unwrap() {
        finding.as_object_mut().unwrap().remove("evidence");
    }
    said.into()
}

#[test]
fn what_is_exported_is_read_again_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for log in sample_logs() {
        let whole = run(&["-o", "json", &log]);
        for form in FORMS {
            let to = name(&folder, &format!("{form}/{log}"));
            std::fs::create_dir_all(&to).unwrap();
            run(&[
                "export",
                "--table",
                "legs",
                "--table",
                "events",
                "--to",
                &to,
                "--export-format",
                match form {
                    "parquet" => "parquet",
                    "arrow" => "arrow",
                    _ => "arrow-stream",
                },
                &log,
            ]);
            let again = run(&["-o", "json", &to]);
            assert_eq!(said(&json(&whole)), said(&json(&again)), "{log} as {form}");
        }
    }
}

#[test]
fn legs_of_a_table_say_what_those_of_the_log_say() {
    let folder = tempfile::tempdir().unwrap();
    let to = name(&folder, "legs.parquet");
    let mut plaintext = 0;
    for log in sample_logs() {
        done(&["export", "--table", "legs", "--to", &to, &log]);
        let [of_log, again] = [&log, &to].map(|input| rows(&["--table", "legs", input]));
        assert_eq!(of_log.len(), again.len(), "{log}");
        for (mut one, mut other) in of_log.into_iter().zip(again) {
            plaintext += usize::from(one["mtls"] == false);
            // It is another file, of JSON, in which no header can be cut in two ways.
            for column in ["source", "line", "format", "doubtful"] {
                one.as_object_mut().unwrap().remove(column);
                other.as_object_mut().unwrap().remove(column);
            }
            assert_eq!(one, other, "{log}");
        }
    }
    assert!(plaintext > 0);
}

#[test]
fn a_stream_of_tables_is_read_as_it_comes() {
    let log = std::fs::read("samples/hazelcast-lab/istio-1.9.log").unwrap();
    let stream = run_with(&["export", "--table", "legs", "--to", "-", "--export-format", "arrow-stream"], &log);
    let paired = run_with(&["pair", "--to", "-", "--export-format", "ndjson"], &stream.stdout);
    let of_log = run_with(&["export", "--to", "-", "--export-format", "ndjson"], &log);
    // Of a stream a row has the findings and names that are known when it closes, which is a matter of time.
    let key = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        ["start_time", "pairing", "matched_by", "outbound_upstream_cluster", "inbound_community_id"]
            .map(|column| row[column].to_string())
    };
    let keys = |output: &std::process::Output| {
        let mut keys: Vec<_> = text(output).lines().map(key).collect();
        keys.sort();
        keys
    };
    assert!(keys(&of_log).len() > 50);
    assert_eq!(keys(&paired), keys(&of_log));
}

#[test]
fn rows_say_what_the_json_output_says() {
    for log in sample_logs() {
        let report = json(&run(&["-o", "json", "--connections", &log]));
        let mut expected: Vec<&Value> = report["connection_list"].as_array().unwrap().iter().collect();
        let printed = run(&["export", "--to", "-", "--export-format", "ndjson", &log]);
        let rows: Vec<Value> = text(&printed).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), expected.len(), "{log}");
        for row in &rows {
            let connection = expected.remove(0);
            assert_eq!(row["matched_by"], connection["matched_by"], "{log}");
            assert_eq!(row["unpaired"], connection["unpaired"], "{log}");
            for side in ["outbound", "inbound"] {
                let Some(leg) = connection[side].as_object() else {
                    assert_eq!(row[format!("{side}_line")], Value::Null);
                    continue;
                };
                for (key, value) in leg {
                    let cell = &row[format!("{side}_{key}")];
                    let zero = key.starts_with("bytes_") && value.is_null() && *cell == 0;
                    // A ztunnel says when it wrote a line, from which the start follows.
                    let reckoned = key == "start_time" && value.is_null();
                    let same_time = || {
                        let time = |value: &Value| logscan::field::value::time(value.as_str()?.as_bytes());
                        (key.ends_with("_time") || key == "arrived")
                            && time(cell).is_some()
                            && time(cell) == time(value)
                    };
                    // Operators of a format's own are in `extra`.
                    let extra = || row[format!("{side}_extra")].as_str().is_some_and(|extra| extra.contains(key));
                    assert!(
                        cell == value
                            || zero
                            || reckoned
                            || same_time()
                            || extra()
                            || row.get(format!("{side}_{key}")).is_none() && value.is_null(),
                        "{log} {side} {key}: {cell} {value}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_same_bytes_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen: Vec<Vec<Vec<u8>>> = Vec::new();
    for threads in ["1", "2", "8"] {
        let to = name(&folder, threads);
        let tables = ["--table", "legs", "--table", "connections", "--table", "findings", "--table", "traffic"];
        done(
            &[
                &["export", "--threads", threads, "--to", &to],
                &tables[..],
                &["samples/hazelcast-lab/json.log", "samples/hazelcast-lab/istio-1.9.log"],
            ]
            .concat(),
        );
        let file = |table: &str| std::fs::read(Path::new(&to).join(format!("{table}.parquet"))).unwrap();
        seen.push(["legs", "connections", "findings", "traffic"].map(file).to_vec());
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[test]
fn columns_rows_and_times_can_be_chosen() {
    let all = rows(&["--table", "legs", STORY]);
    let failed = rows(&[
        "--table",
        "legs",
        "--where",
        "response_flags contains UF",
        "--columns",
        "upstream_cluster,response_flags",
        STORY,
    ]);
    assert!(!failed.is_empty() && failed.len() < all.len());
    let chosen = ["--table", "legs", "--columns", "upstream_cluster,response_flags", STORY];
    let csv = done(&[&["export", "--to", "-", "--export-format", "csv"], &chosen[..]].concat());
    assert!(csv.starts_with("upstream_cluster,response_flags\r\noutbound|"), "{csv}");
    for row in &failed {
        assert!(row["response_flags"].as_str().unwrap().split(',').any(|flag| flag == "UF"));
    }
    // A connection is taken if either of its legs is; columns of connections can be asked as well.
    let either = rows(&["--where", "mtls = true and side = inbound", STORY]);
    assert!(!either.is_empty());
    assert!(either.iter().all(|row| row["pairing"] != "outbound-only"));
    let starts: Vec<&str> = all.iter().map(|row| row["start_time"].as_str().unwrap()).collect();
    let middle = starts[starts.len() / 2];
    let (before, after) =
        (rows(&["--table", "legs", "--until", middle, STORY]), rows(&["--table", "legs", "--since", middle, STORY]));
    assert!(!before.is_empty() && !after.is_empty());
    assert!(before.iter().all(|row| row["start_time"].as_str().unwrap() < middle));
    assert!(after.iter().all(|row| row["end_time"].as_str().unwrap() >= middle));
}

#[test]
fn a_report_can_be_of_a_part_of_a_log() {
    let whole = json(&run(&["-o", "json", "samples/hazelcast-lab/istio-1.9.log"]));
    let part =
        json(&run(&["-o", "json", "--where", "response_flags contains UF", "samples/hazelcast-lab/istio-1.9.log"]));
    let total = |report: &Value| report["connections"]["total"].as_u64().unwrap();
    assert!(total(&part) > 0 && total(&part) < total(&whole));
    assert_eq!(total(&part) + part["connections"]["left_out"].as_u64().unwrap(), total(&whole));
    // What is known of the mesh is learned from all lines, so the cause is still found.
    let names = |report: &Value| -> Vec<String> {
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(names(&part).contains(&"unexpected-cluster".to_owned()), "{:?}", names(&part));
    assert!(part["findings"].as_array().unwrap().iter().all(|finding| finding["count"].as_u64() > Some(0)));
    let first = whole["first"].as_str().unwrap();
    let none = json(&run(&["-o", "json", "--until", first, "samples/hazelcast-lab/istio-1.9.log"]));
    assert_eq!(none["lines"]["outside"], none["lines"]["access"]);
}

#[test]
fn parts_lie_in_folders_and_many_of_them_are_no_trouble() {
    let folder = tempfile::tempdir().unwrap();
    // More parts than files are open at a time, in an order that keeps closing them.
    let mut log = String::new();
    for round in 0..3 {
        for hour in 0..150 {
            let (day, hour) = (1 + hour / 24, hour % 24);
            let line = format!(
                "[2026-03-{day:02}T{hour:02}:00:0{round}.000Z] \"- - -\" 0 - - - \"-\" 5 7 1 - \"-\" \"-\" \"-\" \"-\" \"10.0.0.9:80\" \
                 outbound|80||a{round}.b.svc.cluster.local 10.0.0.1:4{hour:04} 10.1.0.1:80 10.0.0.1:3{hour:04} - -\n"
            );
            log.push_str(&line);
        }
    }
    let (input, to) = (name(&folder, "in.log"), name(&folder, "out"));
    std::fs::write(&input, log).unwrap();
    done(&["export", "--table", "legs", "--partition-by", "date,hour,cluster_host", "--to", &to, &input]);
    let one = Path::new(&to).join("date=2026-03-02/hour=05/cluster_host=a1.b.svc.cluster.local/part-0.parquet");
    assert!(one.is_file());
    let hidden = std::fs::read_dir(&to)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0);
    let (parted, whole) = (json(&run(&["-o", "json", &to])), json(&run(&["-o", "json", &input])));
    assert_eq!(parted["inputs"].as_array().unwrap().len(), 450);
    assert_eq!(said(&parted)["connections"], said(&whole)["connections"]);
    // Older parts are not mixed with newer ones.
    let again = run(&["export", "--table", "legs", "--partition-by", "date,hour,cluster_host", "--to", &to, &input]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
}

#[test]
fn csv_is_quoted_and_can_be_disarmed() {
    let folder = tempfile::tempdir().unwrap();
    let input = name(&folder, "in.log");
    let line = r#"{"start_time":"2026-03-01T10:00:00Z","method":"GET","path":"/a,\"b\"\nc","user_agent":"=cmd|' /C calc'!A0","authority":"@x","response_code":200,"response_flags":"-","bytes_sent":1,"bytes_received":2,"duration":3,"downstream_remote_address":"10.0.0.1:1","upstream_cluster":"outbound|80||a.b"}"#;
    std::fs::write(&input, format!("{line}\n")).unwrap();
    let of = |safe: &[&str]| {
        done(
            &[
                &[
                    "export",
                    "--table",
                    "legs",
                    "--to",
                    "-",
                    "--export-format",
                    "csv",
                    "--columns",
                    "path,user_agent,authority,response_code",
                    &input,
                ],
                safe,
            ]
            .concat(),
        )
    };
    assert_eq!(of(&[]), "path,user_agent,authority,response_code\r\n\"/a,\"\"b\"\"\nc\",=cmd|' /C calc'!A0,@x,200\r\n");
    assert_eq!(
        of(&["--csv-safe"]),
        "path,user_agent,authority,response_code\r\n\"/a,\"\"b\"\"\nc\",'=cmd|' /C calc'!A0,'@x,200\r\n"
    );
}

#[test]
fn what_cannot_be_done_is_said_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let to = name(&folder, "t.parquet");
    for (arguments, expected) in [
        (&["--columns", "cluster"][..], "connections have no column \"cluster\""),
        (&["--where", "cluster = x"], "have no column cluster"),
        (&["--table", "legs", "--table", "findings"], "several tables need a folder"),
        (&["--export-format", "csv", "--partition-by", "nothing"], "there is no column nothing"),
        (&["--csv-safe"], "--csv-safe is for CSV"),
        (&["--since", "tomorrow"], "--since: \"tomorrow\" is no time"),
        (&["--since", "2026-03-02", "--until", "2026-03-01"], "is not after"),
        (&["--redact"], "logscan --redact -o ndjson --connections"),
    ] {
        let output = run(&[&["export", "--to", &to, STORY], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    let output = run(&["export", "--to", &name(&folder, "nowhere/t.parquet"), STORY]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(&["export", "--to", &name(&folder, "t.xyz"), STORY]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--export-format"));
    assert!(!Path::new(&to).is_file(), "{to}");
    // Neither is a folder made, not even for the tables that could be written.
    let parts = name(&folder, "parts");
    for arguments in [
        &["--partition-by", "nothing"][..],
        &["--table", "traffic", "--partition-by", "namespace"],
        &["--table", "traffic", "--since", "tomorrow"],
    ] {
        let output = run(&[&["export", "--table", "legs", "--to", &parts, STORY], arguments].concat());
        assert_eq!((output.status.code(), Path::new(&parts).exists()), (Some(2), false), "{arguments:?}");
    }
    for form in ["csv", "parquet", "arrow", "arrow-stream", "ndjson"] {
        let full = run(&["export", "--to", "/dev/full", "--export-format", form, STORY]);
        let stderr = String::from_utf8_lossy(&full.stderr).into_owned();
        assert_eq!(full.status.code(), Some(2), "{form}");
        assert!(stderr.contains("/dev/full: No space left on device"), "{form}: {stderr}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    for form in ["csv", "parquet", "arrow", "arrow-stream", "ndjson"] {
        let mut child = logscan(&["export", "--to", "-", "--export-format", form])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let story = std::fs::read(crate::tool::path(STORY)).unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &story).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{form}");
    }
}

#[test]
fn a_run_that_is_killed_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let story = std::fs::read(STORY).unwrap();
    for (signal, code) in [("TERM", Some(130)), ("INT", Some(130)), ("KILL", None)] {
        for arguments in [&["--to", "t.parquet"][..], &["--table", "legs", "--partition-by", "date", "--to", "parts"]] {
            let mut child = logscan(&[&["export"], arguments].concat())
                .current_dir(folder.path())
                .stdin(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // The pipe stays open, so the run cannot end by itself.
            std::io::Write::write_all(child.stdin.as_mut().unwrap(), &story).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(400));
            let kill = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
            assert!(kill.unwrap().success());
            assert_eq!(child.wait().unwrap().code(), code, "{signal}");
            // Of a run that is killed outright a hidden folder is left, without a file, until the next one comes.
            let left: Vec<_> = walkdir::WalkDir::new(folder.path()).into_iter().flatten().collect();
            assert!(left.iter().all(|entry| entry.file_type().is_dir()), "{signal} {arguments:?}: {left:?}");
            let hidden =
                left.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with(".logscan-")).count();
            let parted = arguments.contains(&"parts");
            assert_eq!(hidden, usize::from(parted && signal == "KILL"), "{signal} {arguments:?}: {left:?}");
        }
    }
    let parts = name(&folder, "parts");
    done(&["export", "--table", "legs", "--partition-by", "date", "--to", &parts, STORY]);
    let names = std::fs::read_dir(parts).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["date=2020-07-23"]);
}

#[test]
fn damaged_tables_are_troubles_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    for form in FORMS {
        let to = name(&folder, &format!("legs.{form}"));
        done(&["export", "--table", "legs", "--to", &to, "samples/hazelcast-lab/istio-1.9.log"]);
        let whole = std::fs::read(&to).unwrap();
        let cuts = (0..24).map(|part| whole[..whole.len() * part / 24].to_vec());
        let flips = (0..60).map(|number| {
            let mut bytes = whole.clone();
            // Spread over the file, most of them where headers and footers are.
            let at = if number % 2 == 0 { whole.len() * number / 60 } else { whole.len() - 1 - number * 37 % 2000 };
            bytes[at] ^= 1 << (number % 8);
            bytes
        });
        for (number, bytes) in cuts.chain(flips).enumerate() {
            std::fs::write(&to, bytes).unwrap();
            let output = run(&["-o", "json", &to]);
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!stderr.contains("panicked"), "{form} {number}: {stderr}");
            assert!(matches!(output.status.code(), Some(0 | 2)), "{form} {number}: {:?} {stderr}", output.status);
        }
    }
}

#[test]
fn every_column_is_in_the_schema_and_in_the_page() {
    let schema: Value = serde_json::from_str(&done(&["schema", "--json"])).unwrap();
    for table in ["legs", "connections", "findings", "traffic"] {
        let columns = schema["tables"][table].as_array().unwrap();
        let names: Vec<&str> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
        let csv = done(&["export", "--table", table, "--to", "-", "--export-format", "csv", STORY]);
        assert_eq!(csv.split("\r\n").next().unwrap().split(',').collect::<Vec<_>>(), names);
        // What is never absent is never null.
        for row in rows(&["--table", table, STORY]) {
            for column in columns.iter().filter(|column| column["absent"] == "") {
                assert!(!row[column["name"].as_str().unwrap()].is_null(), "{table} {}", column["name"]);
            }
        }
    }
}

#[test]
fn connections_of_a_stream_are_written_before_it_ends() {
    use std::io::{BufRead, BufReader, Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let fifo = name(&folder, "fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for to in ["-", &fifo] {
        let mut child = logscan(&["export", "--to", to, "--export-format", "ndjson"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&std::fs::read(crate::tool::path(STORY)).unwrap()).unwrap();
        let (told, tells) = std::sync::mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let path = (to != "-").then(|| fifo.clone());
        std::thread::spawn(move || {
            let output: Box<dyn Read> = if path.is_none() {
                Box::new(stdout)
            } else {
                Box::new(std::fs::File::open(path.unwrap_or_default()).unwrap())
            };
            let mut line = String::new();
            let _ = BufReader::new(output).read_line(&mut line);
            let _ = told.send(line);
        });
        let line = tells.recv_timeout(std::time::Duration::from_mins(1));
        drop(input);
        child.wait().unwrap();
        assert!(line.unwrap().contains("\"pairing\""), "{to}");
    }
}

#[test]
fn what_waits_for_long_goes_to_a_file_and_comes_back() {
    use std::fmt::Write;
    // Requests of which one in a thousand is answered by a line that comes much later; the others have none.
    let (mut log, mut pairs) = (String::new(), 0);
    let agent = "x".repeat(300);
    for number in 0..18_000 {
        let time = |number: u32| {
            let seconds = number / 200;
            format!("2026-03-01T10:{:02}:{:02}.{:03}Z", seconds / 60, seconds % 60, number % 200 * 5)
        };
        let line = |log: &mut String, number: u32, ends: &str, end: &str| {
            let (time, id) = (time(number), format!("{number:08x}-0000-4000-8000-000000000000"));
            let request = r#""GET /a HTTP/1.1" 200 - via_upstream - "-" 0 24 2 2 "-""#;
            writeln!(log, r#"[{time}] {request} "{agent}" "{id}" "api:80" {ends} 10.0.0.1:{end} default"#).unwrap();
        };
        let port = 20_000 + number;
        let (ends, end) =
            (format!("\"10.0.0.2:80\" outbound|80||api.shop.svc.cluster.local 10.0.0.1:{port} 10.9.9.9:80"), "50000 -");
        line(&mut log, number, &ends, end);
        if number > 5000 && number % 1000 == 0 {
            let first = number - 3000;
            let ends = "\"127.0.0.1:80\" inbound|80|| 127.0.0.1:60000 10.0.0.2:80";
            line(&mut log, first, ends, &format!("{} -", 20_000 + first));
            pairs += 1;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = name(&folder, "waits.log");
    std::fs::write(&path, &log).unwrap();
    let columns = "outbound_line,outbound_request_id,outbound_user_agent,inbound_line,inbound_request_id";
    let arguments = ["export", "--to", "-", "--export-format", "csv", "--columns", columns, &path];
    let csv = done(&arguments);
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|row| row.split(',').collect()).collect();
    let mut seen: Vec<usize> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    seen.extend(rows.iter().filter_map(|row| row[3].parse::<usize>().ok()));
    seen.sort_unstable();
    assert_eq!(seen, (1..=log.lines().count()).collect::<Vec<_>>());
    assert_eq!(rows.iter().filter(|row| !row[3].is_empty() && row[1] == row[4]).count(), pairs);
    let lines: Vec<&str> = log.lines().collect();
    for row in &rows {
        assert!(lines[row[0].parse::<usize>().unwrap() - 1].contains(row[1]) && row[2] == agent);
    }
    // Where no file can be made, all of it stays in memory, and that is a trouble.
    let output = logscan(&arguments).env("TMPDIR", "/nowhere/at/all").output().unwrap();
    assert_eq!(text(&output), csv);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("lines wait in memory, for want of a temporary file in /nowhere/at/all: "), "{said}");
}
