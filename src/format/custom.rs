//! Formats that a user gives: a format string, a grammar file of ours, or the YAML of the mesh that holds one.
//!
//! YAML is searched for the keys under which MeshConfig, Telemetry's providers, EnvoyFilter, EnvoyProxy and Envoy's own
//! configuration keep a format, however deep they stand; a string that is YAML itself (the mesh ConfigMap) is
//! searched too. Source: Istio's MeshConfig reference, Envoy's access log API, Envoy Gateway's EnvoyProxy reference.

use serde_json::Value;

use super::text::Plan;
use super::{Error, File, Format, Reader, Slots, grammar, json};
use crate::field::Field;

/// Keys whose text is a format string.
const TEXT: [&str; 7] =
    ["accessLogFormat", "inline_string", "inlineString", "text_format", "textFormat", "text", "format"];
/// Keys whose object is a dictionary of commands.
const DICTIONARIES: [&str; 8] = [
    "json_format",
    "jsonFormat",
    "typed_json_format",
    "typedJsonFormat",
    "labels",
    "json",
    "accessLogFormat",
    "typed_struct_format",
];
/// How deep YAML may be nested, and YAML in strings of YAML.
const DEPTH: usize = 64;
const STRINGS: usize = 3;
/// A file of more bytes holds no access log format.
const LONGEST: usize = 16 << 20;

/// The formats that a `--format` argument means: a text, and if it is a JSON object, the same as JSON.
pub fn of_string(text: &str) -> Result<Vec<Format>, Error> {
    let object = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    let mut found = vec![if object.is_some() { of_text(text)? } else { of_text(&unquoted(text))? }];
    found.extend(object.map(|object| of_object(&object)).transpose()?);
    Ok(named(found))
}

/// The formats that a file holds.
pub fn of_file(text: &str) -> Result<Vec<Format>, Error> {
    if text.len() > LONGEST {
        return Err(Error::Nothing);
    }
    let text = text.trim_start_matches('\u{feff}');
    if text.lines().any(|line| line.trim_start().starts_with("kind = ")) {
        return Ok(vec![Format::compile(&toml::from_str::<File>(text)?)?]);
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    // A format string begins with a command, a bracket around one, or a quote; YAML with a key.
    let looks_like_yaml = ["apiVersion", "kind:", "---", "- "].iter().any(|start| first.starts_with(start))
        || first.split_once(':').is_some_and(|(key, _)| !key.contains(['%', '"', ' ', '[']));
    let mut found = Vec::new();
    let whole_object = first.starts_with('{') && !text.contains("accessLogFormat") && !text.contains("json_format");
    if looks_like_yaml || first.starts_with('{') && !whole_object {
        for document in serde_saphyr::from_multiple::<Value>(text).map_err(|error| Error::Yaml(error.to_string()))? {
            search(&document, DEPTH, STRINGS, &mut found)?;
        }
        return if found.is_empty() { Err(Error::Nothing) } else { Ok(named(found)) };
    }
    of_string(text.trim())
}

/// A format as it comes out of a quoted string of YAML or JSON, escapes and all: Envoy prints no backslash of its own.
fn unquoted(text: &str) -> String {
    let text = text.trim_matches(['\r', '\n']);
    let inner = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    // A quote that begins a format may be its own; inside of a quoted one none stands without a backslash.
    let inner = inner.filter(|inner| !inner.replace("\\\"", "").contains(['"', '\'']));
    let text = inner.unwrap_or(text);
    let ended = ["\\r\\n", "\\n"].into_iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
    ended.replace("\\t", "\t").replace("\\\"", "\"")
}

fn named(mut found: Vec<Format>) -> Vec<Format> {
    for (number, format) in found.iter_mut().enumerate() {
        format.name = if number == 0 { "given".to_owned() } else { format!("given-{}", number + 1) };
    }
    found
}

fn of_text(text: &str) -> Result<Format, Error> {
    let mut slots = Slots::default();
    let reader = Format::plan(text, &mut slots)?;
    given(reader, slots)
}

fn given(reader: Reader, slots: Slots) -> Result<Format, Error> {
    let (extras, layouts) = slots.done()?;
    Ok(Format { name: String::new(), summary: "given by the user".to_owned(), extras, layouts, reader })
}

fn of_object(object: &Value) -> Result<Format, Error> {
    let (mut slots, mut shape) = (Slots::default(), json::Shape::default());
    collect(object, "", DEPTH, &mut slots, &mut shape)?;
    if shape.keys.is_empty() {
        return Err(Error::Empty);
    }
    // Envoy can leave absent values out, but never the time.
    let is_time = |slot: u8| slot == Field::StartTime as u8;
    let times = shape.keys.iter().filter(|(_, slot)| is_time(*slot)).map(|(key, _)| key);
    let mixed = shape.mixed.iter().filter(|(_, plan)| plan.slots().any(is_time)).map(|(key, _)| key);
    let mut needed: Vec<Vec<String>> = times.chain(mixed).map(|key| vec![key.clone()]).collect();
    if needed.is_empty() {
        needed.push(shape.keys.iter().map(|(key, _)| key.clone()).collect());
    }
    given(Format::keys(json::Shape { needed, ..shape }), slots)
}

/// Keys of an object and of the objects in it, `outer.inner`, with the slots of their commands. A value that mixes
/// text and commands is a column of its own, and a plan reads what is in it; one without a command is none.
fn collect(object: &Value, path: &str, depth: usize, slots: &mut Slots, shape: &mut json::Shape) -> Result<(), Error> {
    for (key, value) in object.as_object().into_iter().flatten() {
        let key = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::String(text) if text.contains('%') => match &grammar::tokens(text)?[..] {
                [grammar::Token::Operator { name, argument }] => {
                    shape.keys.push((key, slots.of(name, argument.as_deref())));
                }
                tokens => {
                    let plan = Plan::new(tokens, |name, argument| slots.of(name, argument));
                    shape.keys.push((key.clone(), slots.extra(&key)));
                    shape.mixed.push((key, plan));
                }
            },
            Value::Object(_) if depth > 0 => collect(value, &key, depth - 1, slots, shape)?,
            _ => {}
        }
    }
    Ok(())
}

/// Finds every format in a document.
fn search(value: &Value, depth: usize, strings: usize, found: &mut Vec<Format>) -> Result<(), Error> {
    if depth == 0 {
        return Ok(());
    }
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if TEXT.contains(&key.as_str()) && text.contains('%') => {
                        found.extend(of_string(text.trim_end())?);
                    }
                    Value::Object(_) if DICTIONARIES.contains(&key.as_str()) && value.to_string().contains('%') => {
                        found.push(of_object(value)?);
                    }
                    Value::String(text) if strings > 0 && text.contains('%') && text.contains(':') => {
                        for document in serde_saphyr::from_multiple::<Value>(text).unwrap_or_default() {
                            search(&document, depth - 1, strings - 1, found)?;
                        }
                    }
                    _ => search(value, depth - 1, strings, found)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| search(item, depth - 1, strings, found)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Formats;
    use crate::record::{Record, Spans};

    fn read(formats: Vec<Format>, line: &str) -> (String, Vec<Option<String>>) {
        let formats = Formats::with(formats).unwrap();
        let (mut spans, mut hint) = (Spans::default(), 0);
        formats.read(line.as_bytes(), &mut hint, &mut spans).unwrap_or_else(|misfit| panic!("{misfit:?}: {line}"));
        let record = Record { line: line.as_bytes(), spans: &spans };
        let text = |field| record.text(field).map(|text| String::from_utf8_lossy(&text).into_owned());
        let fields = [Field::StartTime, Field::ResponseCode, Field::UpstreamCluster, Field::Authority];
        (formats.list()[hint].name.clone(), fields.map(text).to_vec())
    }

    const TEXT_LINE: &str = "2026-03-01T10:00:00.001Z 503 [outbound|80||a.b] app.app";
    const FORMAT: &str = "%START_TIME% %RESPONSE_CODE% [%UPSTREAM_CLUSTER%] %REQ(:AUTHORITY)%";

    fn expected() -> Vec<Option<String>> {
        ["2026-03-01T10:00:00.001Z", "503", "outbound|80||a.b", "app.app"].map(|text| Some(text.to_owned())).to_vec()
    }

    #[test]
    fn a_format_is_found_wherever_a_mesh_keeps_it() {
        let json = r#"{"start":"%START_TIME%","response":{"code":"%RESPONSE_CODE%"},"c":"%UPSTREAM_CLUSTER%","h":"%REQ(:AUTHORITY)%","l":"x"}"#;
        let json_line = r#"{"c":"outbound|80||a.b","h":"app.app","l":"x","response":{"code":503},"start":"2026-03-01T10:00:00.001Z"}"#;
        let grammar =
            format!("name = \"mine\"\nsummary = \"s\"\nsource = \"s\"\nkind = \"text\"\nformat = '''{FORMAT}'''\n");
        let mesh = format!(
            "apiVersion: install.istio.io/v1alpha1\nspec:\n  meshConfig:\n    accessLogFormat: |\n      {FORMAT}\n"
        );
        let map = format!(
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  mesh: |-\n    accessLogFormat: \"{FORMAT}\"\n    enableTracing: true\n"
        );
        let filter = format!(
            "---\nconfigPatches:\n- patch:\n    value:\n      log_format:\n        text_format_source:\n          inline_string: \"{FORMAT}\\n\"\n"
        );
        let provider = format!(
            "extensionProviders:\n- name: x\n  envoyFileAccessLog:\n    logFormat:\n      text: \"{FORMAT}\"\n"
        );
        let gateway = format!(
            "kind: EnvoyProxy\nspec:\n  telemetry:\n    accessLog:\n      settings:\n      - format:\n          type: Text\n          text: |\n            {FORMAT}\n"
        );
        for text in [FORMAT, &grammar, &mesh, &map, &filter, &provider, &gateway] {
            assert_eq!(read(of_file(text).unwrap(), TEXT_LINE).1, expected(), "{text}");
        }
        let labels = format!("meshConfig:\n  x:\n  - envoyFileAccessLog:\n      logFormat:\n        labels: {json}\n");
        let filter = format!("a:\n  log_format:\n    json_format: {json}\n");
        let string = format!("accessLogFormat: '{json}'\n");
        for text in [json, &labels, &filter, &string] {
            assert_eq!(read(of_file(text).unwrap(), json_line).1, expected(), "{text}");
        }
    }

    #[test]
    fn what_holds_no_format_is_an_error_that_says_so() {
        assert!(matches!(of_file("kind: Service\nspec: {}\n"), Err(Error::Nothing)));
        assert!(matches!(of_file("kind: x\n  - a: [\n"), Err(Error::Yaml(_))));
        assert!(matches!(of_string("%START_TIME"), Err(Error::Format(_))));
        assert!(matches!(of_file("accessLogFormat: \"%FOO% %(\"\n"), Err(Error::Format(_))));
        assert!(matches!(of_file(""), Err(Error::Format(_))));
    }

    #[test]
    fn a_given_format_comes_first_and_unknown_commands_are_columns() {
        let formats = of_string("[%START_TIME%] %NEW_THING% %RESPONSE_CODE% %UPSTREAM_WIRE_BYTES_SENT%").unwrap();
        assert_eq!(formats[0].extras, ["NEW_THING", "UPSTREAM_WIRE_BYTES_SENT"]);
        let (name, said) = read(formats, "[2026-03-01T10:00:00.001Z] x 200 17");
        assert_eq!((name.as_str(), said[1].as_deref()), ("given", Some("200")));
    }

    #[test]
    fn a_value_that_mixes_text_and_commands_gives_what_is_in_it() {
        let format =
            r#"{"at":"<%START_TIME%>","way":"to %REQ(:AUTHORITY)% by %UPSTREAM_CLUSTER%","c":"%RESPONSE_CODE%"}"#;
        let line = r#"{"at":"<2026-03-01T10:00:00.001Z>","c":503,"way":"to app\"app by outbound|80||a.b"}"#;
        let expected =
            ["2026-03-01T10:00:00.001Z", "503", "outbound|80||a.b", "app\"app"].map(|text| Some(text.to_owned()));
        assert_eq!(read(of_string(format).unwrap(), line).1, expected);
    }

    #[test]
    fn what_surrounds_a_format_is_no_part_of_it() {
        for text in [
            format!("\u{feff}{FORMAT}\r\n"),
            format!("{FORMAT}\\n"),
            format!("\n{FORMAT}\\r\\n\n"),
            format!("\"{FORMAT}\\n\"\n"),
            format!("'{FORMAT}'"),
        ] {
            assert_eq!(read(of_file(&text).unwrap(), TEXT_LINE).1, expected(), "{text}");
        }
        let quoted = r#"%START_TIME%\t\"%RESPONSE_CODE%\" %UPSTREAM_CLUSTER%"#;
        let said = read(of_string(quoted).unwrap(), "2026-03-01T10:00:00.001Z\t\"503\" c").1;
        assert_eq!((said[1].as_deref(), said[2].as_deref()), (Some("503"), Some("c")));
    }

    #[test]
    fn times_are_printed_as_the_format_says() {
        let format =
            "%START_TIME(%b %d %Y %H:%M:%S)% %RESPONSE_CODE% %DOWNSTREAM_PEER_CERT_V_END(%b %d)% %UPSTREAM_CLUSTER%";
        let (name, said) = read(of_string(format).unwrap(), "Mar 01 2026 10:00:00 503 Apr 02 c");
        assert_eq!(name, "given");
        let expected = [Some("Mar 01 2026 10:00:00"), Some("503"), Some("c"), None];
        assert_eq!(said.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
        let error = of_string("%START_TIME(%H:%M:%S)% %RESPONSE_CODE%").unwrap_err();
        assert!(error.to_string().contains("`%H:%M:%S` needs a date with its year"), "{error}");
    }

    #[test]
    fn absent_values_may_be_left_out() {
        let formats = of_string("%START_TIME% %RESPONSE_CODE% [%UPSTREAM_CLUSTER%] %REQ(:AUTHORITY)%").unwrap();
        let (name, said) = read(formats, "2026-03-01T10:00:00.001Z 503 [] app.app");
        assert_eq!((name.as_str(), said[2].as_deref(), said[3].as_deref()), ("given", None, Some("app.app")));
    }
}
