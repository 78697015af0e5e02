//! Lines that are no access lines, by kind. They are counted, and are no errors.
//!
//! Sources: istio-agent `pkg/log`, Envoy's default log pattern, stern's and kubectl's notes.

use serde::{Deserialize, Serialize};

use crate::envelope::message_start;
use crate::field::value::is_stamp;
use crate::format::json::members;
use crate::record::Span;

/// What a line is that is no access line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Other {
    /// Nothing but blanks.
    Blank,
    /// Envoy's own log, written by Envoy or handed on by the agent.
    Envoy,
    /// The agent's log, and ztunnel's.
    Agent,
    /// What stern and kubectl say about themselves.
    Note,
    /// A JSON object that is no access record.
    Json,
    /// A line that begins with blanks: the line before goes on.
    Continuation,
    /// Anything else, an application's lines most often.
    Application,
}

impl Other {
    /// Every kind, in the order of the summary.
    pub const ALL: [Other; 7] =
        [Other::Envoy, Other::Agent, Other::Note, Other::Json, Other::Continuation, Other::Application, Other::Blank];

    /// The word in the summary.
    pub const fn name(self) -> &'static str {
        match self {
            Other::Blank => "blank",
            Other::Envoy => "envoy",
            Other::Agent => "agent",
            Other::Note => "note",
            Other::Json => "json",
            Other::Continuation => "continuation",
            Other::Application => "application",
        }
    }

    /// The kind of a whole line, envelope included.
    pub fn of(line: &[u8]) -> Other {
        let plain = line.trim_ascii();
        if plain.is_empty() {
            return Other::Blank;
        }
        if message_start(plain, begins_envoy).is_some() {
            return Other::Envoy;
        }
        if let Some(at) = message_start(plain, begins_agent) {
            let mut columns = columns(&plain[at..]);
            return if columns.nth(2).is_some_and(|scope| scope.starts_with(b"envoy")) {
                Other::Envoy
            } else {
                Other::Agent
            };
        }
        if is_note(plain) {
            return Other::Note;
        }
        match line.first() {
            Some(b'{') => object(plain),
            Some(b' ' | b'\t') => Other::Continuation,
            _ => Other::Application,
        }
    }
}

/// What wrote a JSON object: the agent and ztunnel name a scope, Envoy's is `envoy config` or, in old releases, `config`.
/// Without a scope the agent is told by its keys and its times, which have six digits behind the point; other loggers share
/// the keys.
fn object(text: &[u8]) -> Other {
    const KEYS: [&str; 8] = ["level", "time", "msg", "message", "scope", "severity", "timestamp", "logger"];
    let mut spans = [Span::NONE; KEYS.len()];
    let whole = members(text, |key, span| {
        if let Some(number) = KEYS.iter().position(|known| known.as_bytes() == key) {
            spans[number] = span;
        }
    });
    if whole.is_err() {
        return Other::Json;
    }
    let [level, time, msg, message, scope, severity, timestamp, logger] = spans.map(|span| span.of(text));
    let precise = |time: &[u8]| is_stamp(time, b'T') && time.len() == 27 && time.ends_with(b"Z");
    let named = [level, time, msg.or(message)].iter().flatten().count();
    let scope = match scope {
        Some(scope) if named >= 2 => scope,
        None if level.is_some() && msg.is_some() && time.is_some_and(precise) => b"",
        // Google's layout, `--log_stackdriver`.
        None if severity.is_some() && message.is_some() && timestamp.is_some_and(precise) && logger.is_some() => {
            logger.unwrap_or_default()
        }
        _ => return Other::Json,
    };
    if scope.starts_with(b"envoy") || scope == b"config" { Other::Envoy } else { Other::Agent }
}

fn columns(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| b" \t".contains(byte)).filter(|column| !column.is_empty())
}

/// `[2019-09-11 10:00:00.123][12][warning]...`, or the same behind `[Envoy (Epoch 0)]`.
fn begins_envoy(text: &[u8]) -> bool {
    text.strip_prefix(b"[").is_some_and(|rest| is_stamp(rest, b' ') || rest.starts_with(b"Envoy (Epoch "))
}

/// `2024-08-07T09:34:15.747065Z<blank>level<blank>...`
fn begins_agent(text: &[u8]) -> bool {
    const LEVELS: [&[u8]; 9] =
        [b"trace", b"debug", b"info", b"warn", b"warning", b"error", b"critical", b"fatal", b"none"];
    is_stamp(text, b'T')
        && columns(text).nth(1).is_some_and(|level| LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known)))
}

fn is_note(line: &[u8]) -> bool {
    let arrow = memchr::memmem::find(line, "›".as_bytes()).is_some();
    let kubectl: [&[u8]; 7] = [
        b"Defaulted container ",
        b"Defaulting container name ",
        b"Found ",
        b"error: ",
        b"Error from server",
        b"Common labels: {",
        b"========= Previous log",
    ];
    matches!(line, [b'+' | b'-', b' ', ..] if arrow) || kubectl.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_shape_with_and_without_an_envelope() {
        for (line, kind) in [
            ("  ", Other::Blank),
            ("[2019-09-11 10:00:00.123][12][warning][config] [file.cc:86] message", Other::Envoy),
            ("web-1 istio-proxy [2026-11-23 23:07:13.857][2757][warning][main] text", Other::Envoy),
            ("[Envoy (Epoch 0)] [2019-09-11 10:00:00.123][12][warning] x", Other::Envoy),
            ("2024-08-07T09:34:15.747065Z\twarning\tenvoy config external/x.cc:1\tmessage\tthread=12", Other::Envoy),
            ("2024-08-07T09:34:15.747065Z\tinfo\tcache\tgenerated new workload certificate", Other::Agent),
            ("web-1 istio-proxy 2024-08-07T09:34:15.747065Z info Envoy proxy is ready", Other::Agent),
            ("+ web-1 › istio-proxy", Other::Note),
            ("Defaulted container \"app\" out of: app, istio-proxy", Other::Note),
            ("{\"level\":\"info\"}", Other::Json),
            (r#"{"level":"info","time":"2024-08-07T09:34:15Z","scope":"cache","msg":"x"}"#, Other::Agent),
            (r#"{"level":"warning","time":"2024-08-07T09:34:15Z","scope":"envoy config","msg":"x"}"#, Other::Envoy),
            (r#"{"level":"info","time":"2024-08-07T09:34:15.747065Z","msg":"Envoy proxy is ready"}"#, Other::Agent),
            (
                r#"{"severity":"INFO","timestamp":"2024-08-07T09:34:15.747065Z","logger":"","message":"Envoy proxy is ready"}"#,
                Other::Agent,
            ),
            (
                r#"{"severity":"WARNING","timestamp":"2024-08-07T09:34:15.747065Z","logger":"envoy config","message":"x"}"#,
                Other::Envoy,
            ),
            (r#"{"level":"info","time":"2024-08-07T09:34:15Z","msg":"started"}"#, Other::Json),
            (r#"{"severity":"INFO","timestamp":"2024-08-07T09:34:15.747065Z","message":"x"}"#, Other::Json),
            ("    at com.example.Main(Main.java:1)", Other::Continuation),
            ("GET / 200", Other::Application),
        ] {
            assert_eq!(Other::of(line.as_bytes()), kind, "{line}");
        }
    }
}
