//! JSON documents that spread a record over several lines, or many records over one: each record becomes a line.
//!
//! Objects that are printed over several lines (stern's `ppextjson`, `jq .`), arrays of them (`gcloud logging read
//! --format=json`), and answers of APIs with an array inside: CloudWatch's `events`, Loki's `result` (whose lines stand in
//! `values`, with the labels of all of them beside), OpenSearch's `hits`. The number of a line is then the record's.
//! Sources: the documentation of these tools.

use serde_json::{Value, json};

use crate::field::value::is_stamp;

/// Arrays under these keys hold records, if no record has begun.
const RECORDS: [&[u8]; 7] = [b"events", b"entries", b"result", b"streams", b"hits", b"logs", b"Records"];
/// Documents of one line begin like this, without blanks; other objects of one line are records.
const STARTS: [&[u8]; 9] = [
    b"{\"events\":[",
    b"{\"entries\":[",
    b"{\"status\":\"success\",\"data\":{",
    b"{\"data\":{\"resultType\"",
    b"{\"streams\":[",
    b"{\"hits\":{",
    b"{\"took\":",
    b"{\"searchedLogStreams\":[",
    b"{\"Records\":[",
];
/// A record of more bytes than this is passed on as it is, in pieces.
const LONGEST: usize = 64 << 20;
/// So many blanks behind a bracket and it is none of a document.
const MOST_BLANKS: usize = 4096;
/// How deep brackets are followed.
const DEEPEST: usize = 512;
/// An open array of records.
const HOLDER: u8 = b'r';

/// The state between two bytes.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// What is open: `{`, `[`, or an array of records.
    open: Vec<u8>,
    /// How deep the record lies that is being read.
    record: Option<usize>,
    /// What was read of it, or of the outermost value, without the blanks between its parts.
    text: Vec<u8>,
    /// Inside of a string: whether the next byte is escaped.
    string: Option<bool>,
    /// Where in `text` the last string lies, its quotes included.
    last: (usize, usize),
    /// The outermost value holds an array of records, so it is none itself.
    holder: bool,
    /// Between documents, in a line of somebody else.
    foreign: bool,
    /// An outermost bracket of which what follows tells whether it opens anything, and the blanks behind it.
    held: Vec<u8>,
}

impl Document {
    /// Whether such a document begins here, at the start of a line.
    pub(super) fn begins(head: &[u8]) -> bool {
        let head = head.trim_ascii_start();
        let behind = head.get(1..).unwrap_or_default();
        let first = behind.trim_ascii_start();
        let spread = behind[..behind.len() - first.len()].contains(&b'\n');
        match (head.first(), first.first()) {
            (Some(b'['), Some(b'{')) => true,
            (Some(b'{'), Some(b'"')) if spread => true,
            (Some(b'{'), Some(b'"')) => {
                let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
                let start: Vec<u8> = line.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(64).collect();
                STARTS.iter().any(|known| start.starts_with(known))
            }
            _ => matches!(behind_stamp(head).map(<[u8]>::trim_ascii_start), Some([b'"', ..])),
        }
    }

    /// Whether more has to be seen to know: so far there is only a bracket at the end of a line.
    pub(super) fn may_begin(head: &[u8]) -> bool {
        let blank = |text: &[u8]| text.trim_ascii().is_empty();
        matches!(head.trim_ascii(), [b'[' | b'{']) || behind_stamp(head).is_some_and(blank)
    }

    /// Takes the next bytes; whole records go to `out`, each with a line end.
    pub(super) fn push(&mut self, bytes: &[u8], ended: bool, out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let [byte, behind @ ..] = rest {
            if self.string.is_some() {
                rest = self.quoted(rest);
            } else {
                self.byte(*byte, out);
                rest = behind;
            }
            if self.text.len() > LONGEST {
                self.give(out);
            }
        }
        if ended && !self.text.is_empty() && (self.record.is_some() || !self.holder) {
            self.give(out);
        }
        if ended {
            out.append(&mut self.held);
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            if byte.is_ascii_whitespace() && self.held.len() < MOST_BLANKS {
                return self.held.push(byte);
            }
            self.settle(byte, out);
        }
        if self.foreign {
            if byte == b'{' {
                return self.held.push(byte);
            }
            self.foreign = byte != b'\n';
            return out.push(byte);
        }
        match byte {
            _ if byte.is_ascii_whitespace() => {}
            b'{' | b'[' if self.open.is_empty() => self.held.push(byte),
            b'{' | b'[' => self.begin(byte, out),
            _ if self.open.is_empty() && byte != b',' => {
                self.foreign = true;
                out.push(byte);
            }
            b'}' | b']' => self.end(byte, out),
            b',' if self.open.last().is_none_or(|top| *top == HOLDER) => self.text.clear(),
            b'"' => {
                self.last.0 = self.text.len();
                self.text.push(byte);
                self.string = Some(false);
            }
            _ => self.text.push(byte),
        }
    }

    /// Whether the bracket that was held opens something is told by the byte behind it: a text line begins with one too.
    /// Behind words an object begins only where they end their line with it, as `aws logs tail --format json` prints them.
    fn settle(&mut self, next: u8, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let spread = held.contains(&b'\n');
        let opens = match (held[0], next) {
            (b'{', b'"') => !self.foreign || spread,
            (b'{', b'}') | (b'[', b'{' | b'[' | b'"' | b']') => !self.foreign,
            _ => false,
        };
        if opens {
            self.foreign = false;
            return self.begin(held[0], out);
        }
        self.foreign = !spread;
        out.extend_from_slice(&held);
    }

    fn begin(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.open.len() == DEEPEST {
            self.give(out);
            *self = Document { foreign: true, ..Document::default() };
            return;
        }
        let key = self.text.strip_suffix(b"\":").and_then(|text| text.get(self.last.0 + 1..)).unwrap_or_default();
        // Answers hold their records at most three objects deep.
        let outside = self.record.is_none() && self.open.len() <= 3 && self.open.iter().all(|open| *open == b'{');
        let holds = byte == b'[' && outside && (self.open.is_empty() || RECORDS.contains(&key));
        if byte == b'{' && self.open.last() == Some(&HOLDER) {
            self.record = Some(self.open.len());
            self.text.clear();
        }
        self.holder |= holds;
        self.open.push(if holds { HOLDER } else { byte });
        self.text.push(byte);
    }

    fn end(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.text.push(byte);
        self.open.pop();
        if self.record == Some(self.open.len()) {
            self.record = None;
            self.give(out);
        } else if self.open.is_empty() {
            if !self.holder {
                self.give(out);
            }
            self.holder = false;
            self.text.clear();
        }
    }

    /// Inside of a string: takes it up to its end, or all there is; gives back what follows.
    fn quoted<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut at = usize::from(self.string == Some(true));
        let mut escaped = false;
        let end = loop {
            let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) else { break None };
            at += found;
            if bytes[at] == b'"' {
                break Some(at + 1);
            }
            escaped = at + 1 == bytes.len();
            at += 2;
        };
        let (taken, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        // A line end does not belong into a string; one that is there must not cut the record.
        self.text.extend(taken.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
        self.string = end.is_none().then_some(escaped);
        self.last.1 = self.text.len();
        rest
    }

    /// Passes the record on, as a line or as one for each of its lines.
    fn give(&mut self, out: &mut Vec<u8>) {
        let text = std::mem::take(&mut self.text);
        let has = |key: &[u8]| memchr::memmem::find(&text, key).is_some();
        let value = (has(b"\"values\":[[") || has(b"\"_source\":{"))
            .then(|| serde_json::from_slice::<Value>(&text).ok())
            .flatten();
        let mut line = |line: &[u8]| {
            out.extend_from_slice(line);
            out.push(b'\n');
        };
        match value {
            Some(Value::Object(mut record)) if record.contains_key("_source") => {
                line(record.remove("_source").unwrap_or_default().to_string().as_bytes());
            }
            Some(Value::Object(record)) if record.contains_key("stream") => {
                for value in record.get("values").and_then(Value::as_array).into_iter().flatten() {
                    let one = json!({ "labels": record["stream"], "line": value.get(1), "timestamp": value.get(0) });
                    line(one.to_string().as_bytes());
                }
            }
            _ => line(&text),
        }
    }
}

/// What stands behind a line that begins with a time and ends with a bracket, `TIME STREAM {`.
fn behind_stamp(head: &[u8]) -> Option<&[u8]> {
    let (line, behind) = head.split_at(memchr::memchr(b'\n', head)?);
    (is_stamp(head, b'T') && line.trim_ascii_end().ends_with(b" {")).then_some(behind)
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::joined;

    #[test]
    fn objects_over_several_lines_become_lines() {
        let input =
            "{\n  \"a\": \"x \\\" }\",\n  \"b\": [1, {\"events\": [{\"c\":2}]}]\n}\n{\n  \"a\": 2\n}\nnote: {\n{\n}";
        assert_eq!(joined(input), "{\"a\":\"x \\\" }\",\"b\":[1,{\"events\":[{\"c\":2}]}]}\n{\"a\":2}\nnote: {\n{}\n");
    }

    #[test]
    fn arrays_and_answers_give_their_records() {
        assert_eq!(joined("[\n  {\"a\": 1},\n  {\"a\": [2]}\n]\n"), "{\"a\":1}\n{\"a\":[2]}\n");
        assert_eq!(
            joined("{\"events\": [{\"message\":\"x\"},{\"message\":\"y\"}], \"n\": \"t\"}"),
            "{\"message\":\"x\"}\n{\"message\":\"y\"}\n"
        );
        let loki = r#"{"status":"success","data":{"resultType":"streams","result":[{"stream":{"pod":"p"},"values":[["1","x"],["2","y \"z\""]]}],"stats":{"result":[{"a":1}]}}}"#;
        let lines = "{\"labels\":{\"pod\":\"p\"},\"line\":\"x\",\"timestamp\":\"1\"}\n{\"labels\":{\"pod\":\"p\"},\"line\":\"y \\\"z\\\"\",\"timestamp\":\"2\"}\n{\"a\":1}\n";
        assert_eq!(joined(loki), lines);
        assert_eq!(
            joined(r#"{"took":1,"hits":{"total":1,"hits":[{"_id":"i","_source":{"message":"x"}}]}}"#),
            "{\"message\":\"x\"}\n"
        );
    }

    #[test]
    fn words_before_an_object_stay_before_it() {
        const TIME: &str = "2024-08-07T09:34:15.747000+00:00 a/b";
        let object = "{\n    \"a\": 1,\n    \"b\": \"{\"\n}\n";
        let line = "{\"a\":1,\"b\":\"{\"}\n";
        assert_eq!(
            joined(&format!("{TIME} {object}{TIME} text {{ x\n{TIME} {object}")),
            format!("{TIME} {line}{TIME} text {{ x\n{TIME} {line}")
        );
    }

    #[test]
    fn lines_of_text_among_objects_stay_as_they_are() {
        let text = "[2026-03-01T10:00:00.001Z] \"- - -\" 0 UF\n{web-1} x [ 1\n[a] {\n+ b\n";
        assert_eq!(
            joined(&format!("{{\n \"a\": 1\n}}\n{text}[\n{{\"b\": 2}}]\n{text}")),
            format!("{{\"a\":1}}\n{text}{{\"b\":2}}\n{text}")
        );
    }

    #[test]
    fn what_is_cut_or_no_document_is_passed_on() {
        assert_eq!(joined("[{\"a\": 1}, {\"a\": \"b"), "{\"a\":1}\n{\"a\":\"b\n");
        assert_eq!(joined("{\n \"a\": \"x\ny\\"), "{\"a\":\"x y\\\n");
        assert_eq!(joined("{\"status\":\"200\"}\n{\"a\" : 1}\n"), "{\"status\":\"200\"}\n{\"a\" : 1}\n");
        assert_eq!(joined("]}{\n"), "]}{\n");
        let deep = format!("[{{\"a\":{}", "[".repeat(2000));
        assert!(joined(&deep).len() > 1500);
    }
}
