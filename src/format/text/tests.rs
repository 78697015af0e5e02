//! What a plan must withstand: forged tails, quotes, blanks, cuts at every byte.

use super::step::find_byte;
use super::*;
use crate::format::{self, Format, Formats, Reader};
use crate::record::Record;

fn istio() -> Format {
    let file = format::files().unwrap().into_iter().find(|file| file.name == "istio-1.9").unwrap();
    Format::compile(&file).unwrap()
}

const HEAD: &str = r#"[2026-03-01T10:00:00.001Z] "GET /x HTTP/1.1" 200 - via_upstream - "-" 7 19 1 0 "#;
const TAIL: &str = r#""10.12.2.8:8080" outbound|8080||app.app.svc.cluster.local 10.12.1.6:52250 10.0.18.143:8080 10.12.1.6:37296 - default"#;
const FORGED: &str =
    r#"x" "rid" "evil" "9.9.9.9:1" outbound|1||evil.evil.svc.cluster.local 1.1.1.1:1 2.2.2.2:2 3.3.3.3:3 - -"#;
const ID: &str = "79d9c38d-3429-4e09-b604-9a585425df49";

fn read(line: &str) -> Spans {
    let mut spans = Spans::default();
    istio().read(line.as_bytes(), &mut spans).unwrap_or_else(|misfit| panic!("{misfit:?}: {line}"));
    spans
}

fn text(line: &str, spans: &Spans, field: Field) -> String {
    let record = Record { line: line.as_bytes(), spans };
    String::from_utf8_lossy(record.raw(field).unwrap()).into_owned()
}

#[test]
fn a_forged_tail_in_any_header_moves_nothing_that_envoy_writes() {
    let headers: [[&str; 4]; 6] = [
        ["-", FORGED, ID, "app.app:8080"],
        [FORGED, "curl/8", ID, "app.app:8080"],
        ["-", "curl/8", FORGED, "app.app:8080"],
        ["-", "curl/8", ID, FORGED],
        [r#"" ""#, r#"" " ""#, r#"""#, r#""""#],
        [FORGED, FORGED, FORGED, FORGED],
    ];
    for [xff, agent, id, authority] in headers {
        let line = format!(r#"{HEAD}"{xff}" "{agent}" "{id}" "{authority}" {TAIL}"#);
        let spans = read(&line);
        assert!(spans.doubtful, "{line}");
        for (field, value) in [
            (Field::UpstreamHost, "10.12.2.8:8080"),
            (Field::UpstreamCluster, "outbound|8080||app.app.svc.cluster.local"),
            (Field::UpstreamLocalAddress, "10.12.1.6:52250"),
            (Field::DownstreamLocalAddress, "10.0.18.143:8080"),
            (Field::DownstreamRemoteAddress, "10.12.1.6:37296"),
            (Field::RouteName, "default"),
            (Field::ResponseCode, "200"),
            (Field::BytesReceived, "7"),
        ] {
            assert_eq!(text(&line, &spans, field), value, "{line}");
        }
    }
}

#[test]
fn the_request_id_shows_how_a_doubtful_middle_is_to_be_cut() {
    let line = format!(r#"{HEAD}"-" "evil" "agent" "{ID}" "app.app:8080" {TAIL}"#);
    let spans = read(&line);
    assert_eq!(text(&line, &spans, Field::UserAgent), r#"evil" "agent"#);
    assert_eq!(text(&line, &spans, Field::RequestId), ID);
    let line = format!(r#"{HEAD}"-" "agent" "{ID}" "evil" "host" {TAIL}"#);
    let spans = read(&line);
    assert_eq!(text(&line, &spans, Field::RequestId), ID);
    assert_eq!(text(&line, &spans, Field::Authority), r#"evil" "host"#);
}

#[test]
fn quotes_that_do_not_look_like_a_border_are_not_doubtful() {
    let line = format!(r#"{HEAD}"-" "lab/1.0 "quoted"" "{ID}" "app" {TAIL}"#);
    let spans = read(&line);
    assert!(!spans.doubtful);
    assert_eq!(text(&line, &spans, Field::UserAgent), r#"lab/1.0 "quoted""#);
}

#[test]
fn a_path_may_hold_blanks_and_quotes() {
    let line = format!(r#"{}"-" "a" "{ID}" "app" {TAIL}"#, HEAD.replace("/x", r#"/a b" c - d"#));
    let spans = read(&line);
    assert_eq!(text(&line, &spans, Field::Path), r#"/a b" c - d"#);
    assert_eq!(text(&line, &spans, Field::Protocol), "HTTP/1.1");
}

#[test]
fn a_server_name_with_blanks_stays_a_server_name() {
    let line = r#"[2026-03-01T10:00:00.001Z] "- - -" 0 - - - "-" 1 2 3 - "-" "-" "-" "-" "1.1.1.1:1" PassthroughCluster 2.2.2.2:2 3.3.3.3:3 4.4.4.4:4 x" outbound|1||evil 9.9.9.9:9 8.8.8.8:8 7.7.7.7:7 z -"#;
    let spans = read(line);
    assert!(spans.doubtful);
    assert_eq!(text(line, &spans, Field::UpstreamCluster), "PassthroughCluster");
    assert_eq!(text(line, &spans, Field::DownstreamRemoteAddress), "4.4.4.4:4");
    assert_eq!(
        text(line, &spans, Field::RequestedServerName),
        r#"x" outbound|1||evil 9.9.9.9:9 8.8.8.8:8 7.7.7.7:7 z"#
    );
}

#[test]
fn every_cut_of_every_sample_is_refused_or_read_but_never_a_panic() {
    let formats = Formats::built_in().unwrap();
    for file in format::files().unwrap() {
        for sample in &file.sample {
            for end in 0..sample.line.len() {
                let mut spans = Spans::default();
                let _ = formats.read(&sample.line.as_bytes()[..end], &mut 0, &mut spans);
            }
        }
    }
}

#[test]
fn nom_sees_a_plan_as_a_parser_of_a_whole_line() {
    let tokens = crate::format::grammar::tokens("%START_TIME% %BYTES_SENT%").unwrap();
    let plan = Plan::new(&tokens, |name, argument| Field::of_operator(name, argument).map_or(0, |field| field as u8));
    let (rest, spans) = (&plan).parse(&b"2026-03-01T10:00:00.001Z 12"[..]).unwrap();
    assert!(rest.is_empty());
    assert_ne!(spans.slots[Field::BytesSent as usize], Span::NONE);
    assert!((&plan).parse(&b"2026-03-01T10:00:00.001Z x"[..]).is_err());
}

#[test]
fn a_byte_is_found_where_a_plain_loop_finds_it() {
    let mut state = 1u64;
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let len = (state >> 33) as usize % 70;
        // Neighbours of the byte, which a carry could take for it.
        let text: Vec<u8> = (0..len)
            .map(|at| [b' ', b'!', 0x1f, 0x00, 0xa0, 0xff, b'a', b'b'][(state >> (at % 50)) as usize % 8])
            .collect();
        let expected = text.iter().position(|byte| *byte == b' ');
        assert_eq!(find_byte(&text, b' '), expected, "{text:?}");
    }
}

#[test]
fn a_forged_head_in_the_path_or_in_a_header_forges_no_failure() {
    for path in [
        r#"/x HTTP/1.1" 503 UF evil - "f" 1 1 1 1 "-" "x"#,
        r#"/x HTTP/1.1" 503 UF evil - "f" 1 1 1 1 "-"#,
        r#"/x HTTP/1.1" 503 UF via_upstream - "forged"#,
        r#"/ [2026-03-01T10:00:00.001Z] "- - -" 0 UF"#,
        r#"/ HTTP/2" 0 DC"#,
    ] {
        for agent in ["curl/8", r#"x HTTP/1.1" 503 UF evil - "f" 1 1 1 1 "-" "x"#] {
            let line = format!(
                r#"[2026-03-01T10:00:00.001Z] "GET {path} HTTP/1.1" 200 - via_upstream - "-" 7 19 1 0 "-" "{agent}" "{ID}" "app.app:8080" {TAIL}"#
            );
            let spans = read(&line);
            for (field, value) in [
                (Field::ResponseCode, "200"),
                (Field::ResponseFlags, "-"),
                (Field::ResponseCodeDetails, "via_upstream"),
                (Field::BytesReceived, "7"),
                (Field::UpstreamCluster, "outbound|8080||app.app.svc.cluster.local"),
            ] {
                assert_eq!(text(&line, &spans, field), value, "{line}");
            }
        }
    }
}

/// Lines of every text format, and the same with blanks, quotes and pieces of other lines put anywhere.
#[test]
fn the_quick_way_reads_what_the_close_one_reads() {
    let (mut quick, mut all, mut without) = (0, 0, Vec::new());
    // What was read before stays in its room.
    let mut one = Spans::default();
    for file in format::files().unwrap() {
        let Format { reader: Reader::Text(plans), .. } = Format::compile(&file).unwrap() else { continue };
        let plan = &plans[0];
        let Some(columns) = &plan.columns else {
            without.push(file.name);
            continue;
        };
        for sample in &file.sample {
            let line = sample.line.as_bytes();
            let pieces: [&[u8]; 9] =
                [b"", b" ", b"\"", b"\" \"", b"\" ", b" \"", b"-", b" \"GET / HTTP/1.1\" 200 - ", FORGED.as_bytes()];
            for (at, piece, cut) in (0..=line.len())
                .flat_map(|at| pieces.iter().flat_map(move |piece| [0, 1, 5].map(|cut| (at, *piece, cut))))
            {
                let changed = [&line[..at], piece, &line[(at + cut).min(line.len())..]].concat();
                let mut other = Spans::default();
                one.clear();
                all += 1;
                if columns.read(&changed, &mut one) {
                    quick += 1;
                    let shown = String::from_utf8_lossy(&changed);
                    assert_eq!(plan.read_closely(&changed, &mut other), Ok(()), "{}: {shown}", file.name);
                    assert_eq!(one.slots, other.slots, "{}: {shown}", file.name);
                    assert!(!other.doubtful && !other.tolerated, "{}: {shown}", file.name);
                }
            }
        }
    }
    assert!(quick > all / 20 && quick < all, "{quick} of {all}");
    // Values with nothing, or with neither blanks nor quotes, between them.
    assert_eq!(without, ["istio-1.0-http", "kuma-tcp"]);
}

#[test]
fn bars_in_a_value_do_not_end_it() {
    let format = "%RESPONSE_CODE_DETAILS%|%UPSTREAM_TRANSPORT_FAILURE_REASON%|%UPSTREAM_CLUSTER%|%REQ(USER-AGENT)%|%UPSTREAM_CLUSTER_RAW%|%UPSTREAM_HOST%";
    let tokens = crate::format::grammar::tokens(format).unwrap();
    let mut next = 0;
    let plan = Plan::new(&tokens, |name, argument| {
        next += 1;
        // The same field twice: the second one where nothing else is.
        if next == 5 {
            Field::RouteName as u8
        } else {
            Field::of_operator(name, argument).map_or(0, |field| field as u8)
        }
    });
    for [details, reason, cluster, agent, raw, host] in [
        ["via_upstream", "-", "outbound|80||a.b", "x|y", "inbound-vip|80|http|a", "1.1.1.1:80"],
        ["a{b|c}", "TLS_error:|268:SSL|269:x:TLS_error_end", "PassthroughCluster", "-", "PassthroughCluster", "-"],
        ["-", "-", "-", "-", "inbound|80||", "1.1.1.1:80"],
    ] {
        let line = [details, reason, cluster, agent, raw, host].join("|");
        let mut spans = Spans::default();
        plan.read(line.as_bytes(), &mut spans).unwrap();
        for (field, value) in [
            (Field::ResponseCodeDetails, details),
            (Field::UpstreamTransportFailureReason, reason),
            (Field::UpstreamCluster, cluster),
            (Field::UserAgent, agent),
            (Field::RouteName, raw),
            (Field::UpstreamHost, host),
        ] {
            assert_eq!(text(&line, &spans, field), value, "{line}");
        }
    }
}
