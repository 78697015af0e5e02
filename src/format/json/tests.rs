use super::*;
use crate::field::Field;
use crate::record::{Record, Room, SLOTS};

fn keys() -> Keys {
    let keys = [
        ("start_time", Field::StartTime),
        ("user_agent", Field::UserAgent),
        ("duration", Field::Duration),
        ("request.id", Field::RequestId),
    ];
    let keys = keys.into_iter().map(|(key, field)| (key.to_owned(), field as u8)).collect();
    Keys::new(&[Shape { keys, needed: vec![vec!["start_time".to_owned()]], mixed: Vec::new() }])
}

fn read(line: &str) -> Result<Vec<Option<String>>, Broken> {
    let mut spans = Spans::default();
    keys().read(line.as_bytes(), &mut spans)?;
    let record = Record { line: line.as_bytes(), spans: &spans };
    let text = |field| record.text(field).map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok(vec![text(Field::StartTime), text(Field::UserAgent), text(Field::Duration)])
}

#[test]
fn any_order_types_nulls_and_nested_values_read() {
    let line = r#" {"x":{"a":["}"]} , "duration":1e+05,"user_agent":"a \"b\"","start_time":"t"} "#;
    assert_eq!(read(line).unwrap(), [Some("t".into()), Some("a \"b\"".into()), Some("1e+05".into())]);
    assert_eq!(read(r#"{"start_time":"t","user_agent":null,"duration":"-"}"#).unwrap()[1..], [None, None]);
}

#[test]
fn keys_lead_into_nested_objects() {
    let line = br#"{"start_time":"t","request":{"x":1,"id":"a\u0041"},"other":{"id":"no"}}"#;
    let mut spans = Spans::default();
    keys().read(line, &mut spans).unwrap();
    let record = Record { line, spans: &spans };
    assert_eq!(record.text(Field::RequestId).as_deref(), Some(&b"aA"[..]));
}

/// Lines of every JSON format, and the same with pieces of JSON put anywhere, each read by what the line before left and anew.
#[test]
fn what_is_read_as_the_object_before_is_what_is_read_anew() {
    let (mut again, mut all) = (0, 0);
    let mut one = Spans::default();
    for file in crate::format::files().unwrap().into_iter().filter(|file| file.kind == crate::format::FileKind::Json) {
        let mut slots = crate::format::Slots::default();
        let keys = file.keys.iter().map(|(key, value)| (key.clone(), slots.of_value(key, value).unwrap())).collect();
        let keys = Keys::new(&[Shape { keys, needed: file.needed.clone(), mixed: Vec::new() }]);
        for sample in &file.sample {
            let line = sample.line.as_bytes();
            let pieces: [&[u8]; 12] =
                [b"", b" ", b"\"", b"\\", b"\\\"", b",", b"}", b"null", b"1e+05", b"-", b"{\"a\":1}", b"\"a\":1,"];
            for (at, piece, cut) in (0..=line.len())
                .step_by(3)
                .flat_map(|at| pieces.iter().flat_map(move |piece| [0, 2].map(|cut| (at, *piece, cut))))
            {
                let changed = [&line[..at], piece, &line[(at + cut).min(line.len())..]].concat();
                one.clear();
                keys.read(line, &mut one).unwrap();
                let mut room = Room::default();
                let framed = room.mark_strings(&changed).is_some_and(|marked| {
                    one.frames[0].read(keys.number, &changed, marked, &mut [Span::NONE; SLOTS]).is_some()
                });
                (all, again) = (all + 1, again + u32::from(framed));
                let mut other = Spans::default();
                let expected = keys.read(&changed, &mut other);
                one.clear();
                let shown = String::from_utf8_lossy(&changed);
                assert_eq!(keys.read(&changed, &mut one), expected, "{}: {shown}", file.name);
                let marks = |spans: &Spans| (spans.slots, spans.strange, spans.doubtful);
                assert!(expected.is_err() || marks(&one) == marks(&other), "{}: {shown}", file.name);
            }
        }
    }
    assert!(again > all / 5 && again < all, "{again} of {all}");
}

#[test]
fn damage_and_foreign_objects_are_told_apart() {
    assert!(read(r#"{"level":"info"}"#).unwrap_err().foreign);
    for line in ["{", r#"{"a""#, r#"{"a":"b\"#, r#"{"start_time":}"#, r#"{"start_time":"t"} x"#, "[]", ""] {
        assert!(!read(line).unwrap_err().foreign, "{line}");
    }
    let deep = format!("{{\"x\":{}", "[".repeat(200_000));
    assert!(!read(&deep).unwrap_err().foreign);
}
