//! Text lines of an unknown layout that are Envoy's all the same: told by their shape.
//!
//! People add a column, leave one out, put quotes around the cluster or a label before a value, and paste lines
//! without their time. The head (time, request, code, flags), the four numbers and the five quoted values behind them
//! are told by what they are; what does not fit is left out, never guessed from its place. All plans are tried
//! before this reader. Source of the shapes: the layouts that Envoy's and Istio's releases share.

use memchr::{memchr, memchr2, memmem};

use super::text::Fault;
use crate::field::Field;
use crate::field::value::{is_stamp, time};
use crate::record::{Span, Spans};

/// A column: where it lies, quotes and label left out.
#[derive(Clone, Copy, Debug)]
struct Column {
    from: usize,
    to: usize,
    quoted: bool,
}

/// Whether a line of Envoy's may begin here although it is damaged: a blank behind the bracket, a lost bracket, or
/// a lost time, so that the request comes first.
pub fn begins(text: &[u8]) -> bool {
    match text.first() {
        Some(b'[') => text.get(1) == Some(&b' ') && is_stamp(text[1..].trim_ascii_start(), b'T'),
        Some(b'"') => request(text, 0).is_some(),
        Some(first) if first.is_ascii_digit() && is_stamp(text, b'T') => memchr2(b' ', b'\t', text)
            .is_some_and(|end| text[..end].ends_with(b"]") && request(text, end + 1).is_some()),
        _ => false,
    }
}

/// Fills `spans` (which the caller has cleared) from one line.
pub fn read(line: &[u8], spans: &mut Spans) -> Result<(), Fault> {
    let fault = |field: Field, at: usize| Fault { slot: field as u8, at: at as u32 };
    let at = start(line, spans).ok_or(fault(Field::StartTime, 0))?;
    let (at, head) = request(line, at).ok_or(fault(Field::Method, at))?;
    head.fill(line, spans);
    let columns = columns(line, at).map_err(|at| fault(Field::XForwardedFor, at))?;
    spans.doubtful = true;
    let numbers = numbers(line, &columns).ok_or(fault(Field::BytesReceived, line.len()))?;
    let (before, rest) = columns.split_at(numbers);
    let quoted = rest[4..].iter().take_while(|column| column.quoted).count();
    let (values, tail) = rest[4..].split_at(quoted);
    let fits = values.len() >= 5 && is_address(values[4].of(line)) && before.iter().filter(|c| c.quoted).count() <= 2;
    if !fits {
        // A line that ends among the first quoted values was cut, and so was one that begins like a known layout.
        let plain = before.iter().filter(|column| !column.quoted).count();
        let known = matches!((plain, before.len() - plain), (0, _) | (2, 1));
        if values.len() < 5 && (known || tail.is_empty()) {
            return Err(fault(Field::XForwardedFor, line.len()));
        }
        loose(line, &columns, spans);
        return said_enough(spans).ok_or(fault(Field::UpstreamHost, line.len()));
    }
    let tail = if values.len() > 5 { &rest[9..] } else { tail };
    let bare = tail.iter().take_while(|column| !column.quoted).count();
    // A layout that is known has these columns: a line that lacks them was cut.
    let known = before.len() == 3 && before[2].quoted;
    if known && bare < 5 && !tail.first().is_some_and(|first| first.quoted) {
        return Err(fault(Field::UpstreamCluster, line.len()));
    }
    lead(before, bare, spans);
    let names = [
        Field::BytesReceived,
        Field::BytesSent,
        Field::Duration,
        Field::UpstreamServiceTime,
        Field::XForwardedFor,
        Field::UserAgent,
        Field::RequestId,
        Field::Authority,
        Field::UpstreamHost,
    ];
    for (field, column) in names.into_iter().zip(rest) {
        spans.set(field as u8, column.span());
    }
    trail(line, tail, before.iter().all(|column| column.quoted), spans);
    said_enough(spans).ok_or(fault(Field::UpstreamHost, line.len()))
}

/// A line without a time has addresses at least, or it may be anybody's.
fn said_enough(spans: &Spans) -> Option<()> {
    let said = [Field::StartTime, Field::UpstreamHost, Field::DownstreamRemoteAddress];
    said.iter().any(|field| !spans.get(*field).is_none()).then_some(())
}

/// The time in its brackets, as far as it is there; gives where the request begins.
fn start(line: &[u8], spans: &mut Spans) -> Option<usize> {
    if line.first() == Some(&b'"') {
        return Some(0);
    }
    let from = line.iter().take_while(|byte| matches!(byte, b'[' | b' ')).count();
    let close = from + memchr(b']', &line[from..])?;
    let text = line[from..close].trim_ascii_end();
    time(text)?;
    spans.set(Field::StartTime as u8, Span::new(from, from + text.len()));
    (line.get(close + 1) == Some(&b' ')).then_some(close + 2)
}

/// The request column, code and flags: what every layout begins with.
struct Head {
    request: (usize, usize),
    code: (usize, usize),
    flags: (usize, usize),
}

/// Reads the head at `at`; gives where the columns behind it begin.
fn request(line: &[u8], at: usize) -> Option<(usize, Head)> {
    let rest = line.get(at..)?.strip_prefix(b"\"")?;
    for end in memmem::find_iter(rest, b"\" ") {
        let code = at + 1 + end + 2;
        let digits = memchr(b' ', &line[code..])?;
        let number = &line[code..code + digits];
        if !(number == b"0" || number.len() == 3 && number.iter().all(u8::is_ascii_digit)) {
            continue;
        }
        let flags = code + digits + 1;
        let len = memchr(b' ', &line[flags..]).unwrap_or(line.len() - flags);
        let is_request = memchr(b' ', &rest[..end]).is_some();
        if is_request && is_flags(&line[flags..flags + len]) {
            let head =
                Head { request: (at + 1, at + 1 + end), code: (code, code + digits), flags: (flags, flags + len) };
            return Some(((flags + len + 1).min(line.len()), head));
        }
    }
    None
}

fn is_flags(text: &[u8]) -> bool {
    let flag = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'_');
    text == b"-" || text.first().is_some_and(u8::is_ascii_uppercase) && text.iter().all(flag)
}

impl Head {
    /// Method is the first word, protocol the last one: a path may hold blanks.
    fn fill(&self, line: &[u8], spans: &mut Spans) {
        let (from, to) = self.request;
        let text = &line[from..to];
        let method = memchr(b' ', text).unwrap_or(text.len());
        let protocol = memchr::memrchr(b' ', text).filter(|at| *at > method);
        spans.set(Field::Method as u8, Span::new(from, from + method));
        if let Some(protocol) = protocol {
            spans.set(Field::Path as u8, Span::new(from + method + 1, from + protocol));
            spans.set(Field::Protocol as u8, Span::new(from + protocol + 1, to));
        }
        spans.set(Field::ResponseCode as u8, Span::new(self.code.0, self.code.1));
        spans.set(Field::ResponseFlags as u8, Span::new(self.flags.0, self.flags.1));
    }
}

/// Cuts the rest of a line at its blanks; quotes hold a column together, `NAME="value"` is the value. `Err` is where a
/// quoted column begins that does not end.
fn columns(line: &[u8], mut at: usize) -> Result<Vec<Column>, usize> {
    let mut found = Vec::new();
    while at < line.len() {
        let rest = &line[at..];
        let label = rest.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'_').count();
        let skip = if label > 0 && rest[label..].starts_with(b"=\"") { label + 1 } else { 0 };
        if rest.get(skip) == Some(&b'"') {
            let from = at + skip + 1;
            let last = || line[from..].len().checked_sub(1).filter(|_| line.ends_with(b"\""));
            let end = memmem::find(&line[from..], b"\" ").or_else(last).ok_or(at)?;
            found.push(Column { from, to: from + end, quoted: true });
            at = from + end + 2;
        } else {
            let end = memchr(b' ', rest).unwrap_or(rest.len());
            if end > 0 {
                found.push(Column { from: at, to: at + end, quoted: false });
            }
            at += end + 1;
        }
    }
    Ok(found)
}

impl Column {
    fn span(self) -> Span {
        Span::new(self.from, self.to)
    }

    fn of(self, line: &[u8]) -> &[u8] {
        &line[self.from..self.to]
    }
}

/// Where the four numbers stand (bytes twice, duration, upstream time) that a quoted value follows.
fn numbers(line: &[u8], columns: &[Column]) -> Option<usize> {
    let number = |column: &Column| !column.quoted && column.of(line).iter().all(u8::is_ascii_digit);
    let number_or_none = |column: &Column| number(column) || !column.quoted && column.of(line) == b"-";
    columns.windows(5).position(|five| {
        number(&five[0]) && number(&five[1]) && number_or_none(&five[2]) && number_or_none(&five[3]) && five[4].quoted
    })
}

fn is_address(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"tcp://").unwrap_or(text);
    let port = memchr::memrchr(b':', text)
        .is_some_and(|at| text[at + 1..].iter().all(u8::is_ascii_digit) && at + 1 < text.len());
    text == b"-" || port || text.starts_with(b"/") || text.starts_with(b"envoy://")
}

/// What stands between flags and numbers: details, termination (which may hold blanks), Mixer's status, and why the
/// transport failed. One quoted value is the status where five columns follow the host, as in Istio 1.1.
fn lead(before: &[Column], bare: usize, spans: &mut Spans) {
    let (plain, quoted): (Vec<&Column>, Vec<&Column>) = before.iter().partition(|column| !column.quoted);
    if let [details, rest @ ..] = &plain[..] {
        spans.set(Field::ResponseCodeDetails as u8, details.span());
        if let (Some(first), Some(last)) = (rest.first(), rest.last()) {
            spans.set(Field::ConnectionTerminationDetails as u8, Span::new(first.from, last.to));
        }
    }
    match &quoted[..] {
        [only] if plain.is_empty() && bare == 5 => spans.set(Field::PolicyStatus as u8, only.span()),
        [only] => spans.set(Field::UpstreamTransportFailureReason as u8, only.span()),
        [policy, reason, ..] => {
            spans.set(Field::PolicyStatus as u8, policy.span());
            spans.set(Field::UpstreamTransportFailureReason as u8, reason.span());
        }
        [] => {}
    }
}

/// The columns behind the host: the cluster, quoted or not, three addresses, SNI and route; others are passed over.
/// In an `old` layout without details nothing stands behind the SNI, which may hold blanks then.
fn trail(line: &[u8], tail: &[Column], old: bool, spans: &mut Spans) {
    let Some((cluster, rest)) = tail.split_first() else { return };
    if cluster.quoted && memchr(b'|', cluster.of(line)).is_none() {
        spans.tolerated = true;
        return;
    }
    spans.set(Field::UpstreamCluster as u8, cluster.span());
    let plain: Vec<&Column> = rest.iter().take_while(|column| !column.quoted).collect();
    let addresses = [Field::UpstreamLocalAddress, Field::DownstreamLocalAddress, Field::DownstreamRemoteAddress];
    if plain.len() < 3 || !plain[..3].iter().all(|column| is_address(column.of(line))) {
        spans.tolerated |= !rest.is_empty();
        return;
    }
    for (field, column) in addresses.into_iter().chain([Field::RequestedServerName, Field::RouteName]).zip(&plain) {
        spans.set(field as u8, column.span());
    }
    if old && plain.len() > 5 {
        spans.set(Field::RequestedServerName as u8, Span::new(plain[3].from, plain[plain.len() - 1].to));
        spans.set(Field::RouteName as u8, Span::NONE);
    } else {
        spans.tolerated |= rest.len() > 5;
    }
}

/// A layout that shares only the head: of the quoted values, those are taken that can be nothing else.
fn loose(line: &[u8], columns: &[Column], spans: &mut Spans) {
    for column in columns.iter().filter(|column| column.quoted) {
        let text = column.of(line);
        let field = if super::text::is_uuid(text) {
            Field::RequestId
        } else if is_product(text) {
            Field::UserAgent
        } else {
            continue;
        };
        if spans.get(field).is_none() {
            spans.set(field as u8, column.span());
        }
    }
}

/// `curl/8.1.2`, `Mozilla/5.0 (...)`: a name, a slash and a version.
fn is_product(text: &[u8]) -> bool {
    let name =
        text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')).count();
    name > 0
        && text[0].is_ascii_alphabetic()
        && text.get(name) == Some(&b'/')
        && text.get(name + 1).is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    const ID: &str = "79d9c38d-3429-4e09-b604-9a585425df49";

    fn said(line: &str, fields: &[Field]) -> Vec<String> {
        let mut spans = Spans::default();
        read(line.as_bytes(), &mut spans).unwrap_or_else(|fault| panic!("{fault:?}: {line}"));
        let record = Record { line: line.as_bytes(), spans: &spans };
        let text = |field: &Field| {
            record.text(*field).map_or("-".to_owned(), |text| String::from_utf8_lossy(&text).into_owned())
        };
        fields.iter().map(text).collect()
    }

    #[test]
    fn layouts_that_nobody_described_are_told_by_their_shape() {
        let fields = [
            Field::StartTime,
            Field::ResponseCodeDetails,
            Field::Duration,
            Field::RequestId,
            Field::UpstreamHost,
            Field::UpstreamCluster,
            Field::DownstreamRemoteAddress,
        ];
        let head = r#"[2026-03-01T10:00:00.001Z] "GET /x y HTTP/1.1" 503 UF"#;
        let quoted = format!(r#""-" "curl/8" "{ID}" "app.app""#);
        for (line, expected) in [
            // Details and nothing behind the host.
            (format!(r#"{head} gone 0 1 2 - {quoted} "10.0.0.1:80""#), ["gone", "10.0.0.1:80", "-", "-"]),
            // A label, and the cluster in quotes.
            (
                format!(r#"{head} gone - "-" 0 1 2 - {quoted} UPSTREAM_HOST="10.0.0.1:80" "outbound|80||a.b""#),
                ["gone", "10.0.0.1:80", "outbound|80||a.b", "-"],
            ),
            // More columns than anybody knows.
            (
                format!(r#"{head} gone 0 1 2 - {quoted} "-" c - 10.0.0.2:80 10.0.0.3:5 - default more "and more""#),
                ["gone", "-", "c", "10.0.0.3:5"],
            ),
        ] {
            let [details, host, cluster, remote] = expected;
            assert_eq!(said(&line, &fields), ["2026-03-01T10:00:00.001Z", details, "2", ID, host, cluster, remote]);
        }
    }

    #[test]
    fn a_lost_time_or_bracket_does_not_matter() {
        let rest = r#""- - -" 0 UH - - "-" 0 0 0 - "-" "-" "-" "-" "-" - - 10.0.0.2:80 10.0.0.3:5 - -"#;
        let fields = [Field::StartTime, Field::ResponseFlags, Field::DownstreamRemoteAddress];
        for (start, time) in [
            ("", "-"),
            ("2026-03-01T10:00:00.001Z] ", "2026-03-01T10:00:00.001Z"),
            ("[ 2026-03-01T10:00:00.001Z ] ", "2026-03-01T10:00:00.001Z"),
        ] {
            let line = format!("{start}{rest}");
            assert!(begins(line.as_bytes()), "{line}");
            assert_eq!(said(&line, &fields), [time, "UH", "10.0.0.3:5"]);
        }
    }

    #[test]
    fn what_is_cut_or_another_server_s_is_refused() {
        let whole = format!(
            r#"[2026-03-01T10:00:00.001Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 1 2 - "-" "curl/8" "{ID}" "app.app" "10.0.0.1:80" outbound|80||a.b - 10.0.0.2:80 10.0.0.3:5 - "#
        );
        let ends = memmem::find(whole.as_bytes(), b"10.0.0.3").unwrap();
        for end in 0..ends {
            assert!(read(&whole.as_bytes()[..end], &mut Spans::default()).is_err(), "{}", &whole[..end]);
        }
        for line in [
            r#"1.2.3.4 - - [10/Oct/2025:13:55:36 -0700] "GET / HTTP/1.1" 200 612 "-" "curl""#,
            r#""GET / HTTP/1.1" 200 612 "-" "curl/8""#,
            r#""GET" 200 - 1 2 3 4 "a""#,
            "[2026-03-01T10:00:00.001Z] \"- - -\" 0 - - - \"-\" 1 2 3 - \"-\" \"-\" \"-\" \"-\" \"10.0.0.1:80\"\u{fe}\0",
            "[2026-03-01T10:00:00.001Z] \"- - -\" 0 - - - \"-\" 1 2 3 - \"-\" \u{fe}\0",
        ] {
            assert!(read(line.as_bytes(), &mut Spans::default()).is_err(), "{line}");
        }
    }
}
