//! Words by their tables: rules, flags, fields and operators, clusters, details, ports, the words of reports, formats.

use super::{Entry, line};
use crate::cluster::{self, Cluster, Direction};
use crate::field::detail::{self, Place};
use crate::field::flag::{self, Flag, Flags};
use crate::field::{Field, Kind, operator, outcome, reserved};
use crate::finding::{Grade, Meta, Severity};
use crate::format::{self, FileKind, Formats, grammar};
use crate::leg::Side;
use crate::lint::CHECKS;
use crate::pair::Match;
use crate::rules::RULES;
use crate::topology::Alone;

/// Everything that a word is.
pub(super) fn entries(word: &str, formats: &Formats) -> Vec<Entry> {
    let word = word.trim_matches(['"', '\'', '`', ',']);
    let mut found = documented(word);
    found.extend(flags(word));
    found.extend(field(word));
    found.extend(cluster(word));
    found.extend(details(word));
    found.extend(reserved_word(word));
    found.extend(reserved::of_name(word).map(|(name, kind, meaning)| Entry::new(name, kind).row("Means", meaning)));
    found.extend(reserved::of_listener(word).map(|meaning| Entry::new(word, "listener").row("Means", meaning)));
    found.extend(report_word(word));
    found.extend(format(word, formats));
    if found.is_empty() {
        found.extend(key(word));
    }
    found
}

/// Every word that can be asked for.
pub(super) fn known(formats: &Formats) -> Vec<(&'static str, Vec<String>)> {
    let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<String>>();
    let of = |places: &[Place]| {
        let rows = detail::TABLE.iter().filter(|detail| places.contains(&detail.place));
        owned(rows.map(|detail| detail.text).collect())
    };
    let operators = Field::ALL.iter().filter(|field| !is_ambient(**field)).flat_map(|field| field.operators()).copied();
    vec![
        ("Rules", owned(RULES.iter().map(|rule| rule.meta.name).collect())),
        ("Their codes", owned(RULES.iter().map(|rule| rule.meta.code).collect())),
        ("Checks", owned(CHECKS.iter().map(|check| check.meta.name).collect())),
        ("Checks' codes", owned(CHECKS.iter().map(|check| check.meta.code).collect())),
        ("Response flags", owned(flag::TABLE.iter().map(|flag| flag.short).collect())),
        ("The same, long", owned(flag::TABLE.iter().map(|flag| flag.long).collect())),
        ("Fields", owned(Field::ALL.iter().map(|field| field.key()).collect())),
        ("Operators", owned(operators.chain(operator::names()).collect())),
        ("Clusters", owned(cluster::SPECIAL.iter().map(|special| special.name).collect())),
        ("Status details", of(&[Place::Status, Place::Refusal, Place::Termination])),
        ("Reset reasons", of(&[Place::Reset, Place::Close])),
        ("Transport failures", of(&[Place::Transport, Place::Tls, Place::Errno])),
        ("ztunnel's errors", of(&[Place::Tunnel])),
        ("Routes", of(&[Place::Route])),
        ("Istio's names", owned(reserved::NAMES.iter().map(|(name, ..)| *name).collect())),
        ("Ports", reserved::PORTS.iter().map(|port| port.number.to_string()).collect()),
        ("matched_by", owned(Match::ALL.iter().map(|by| by.name()).collect())),
        ("unpaired", owned(Alone::ALL.iter().map(|alone| alone.name()).collect())),
        ("Severities", owned(Severity::ALL.iter().map(|severity| severity.name()).collect())),
        ("Grades", owned(Grade::ALL.iter().map(|grade| grade.name()).collect())),
        ("Sides", owned(Side::ALL.iter().map(|side| side.name()).collect())),
        ("Formats", formats.list().iter().map(|format| format.name.clone()).collect()),
    ]
}

/// The documentation of a rule, or of a check of configuration, one paragraph a heading. A name may be both.
fn documented(word: &str) -> Vec<Entry> {
    let name = word.replace('_', "-");
    let rules = RULES.iter().map(|rule| ("rule", rule.meta));
    let checks = CHECKS.iter().map(|check| ("check of logscan lint", check.meta));
    let named = |(_, meta): &(&str, &Meta)| meta.name == name || meta.code.eq_ignore_ascii_case(word);
    let entry = |(what, meta): (&str, &'static Meta)| {
        let kind = format!("{what}, {}: {}", meta.severity.name(), meta.severity.meaning());
        let entry = Entry::new(format!("{} {}", meta.code, meta.name), kind).row("Summary", meta.summary);
        meta.sections().fold(entry, |entry, (heading, text)| entry.row(heading, flat(text)))
    };
    rules.chain(checks).filter(named).map(entry).collect()
}

/// The rules whose documentation names a word of the log among what they find.
pub(super) fn rules_that_name(word: &str) -> String {
    let named = |text: &str| {
        text.match_indices(word).any(|(at, _)| {
            let joins = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
            !joins(text[..at].chars().next_back()) && !joins(text[at + word.len()..].chars().next())
        })
    };
    let finds = |meta: &Meta| meta.sections().any(|(heading, text)| heading == "What it finds" && named(text));
    let metas = RULES.iter().map(|rule| rule.meta).filter(|meta| finds(meta));
    metas.map(|meta| format!("{} {}", meta.code, meta.name)).collect::<Vec<_>>().join(", ")
}

/// A text of many lines as one.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The row of a flag in any spelling.
fn flag_of(token: &str) -> Option<&'static Flag> {
    let is = |name: &str| name.eq_ignore_ascii_case(token);
    flag::TABLE.iter().find(|flag| is(flag.short) || is(flag.long))
}

/// A comma list of flags: what they mean together, then each; nothing if none of them is known.
fn flags(word: &str) -> Vec<Entry> {
    let tokens: Vec<&str> = word.split(',').map(str::trim).filter(|token| !token.is_empty()).collect();
    let Some(set) = set_of(word) else { return Vec::new() };
    let mut found = Vec::new();
    if tokens.len() > 1 {
        let entry = Entry::new(tokens.join(","), "response flags, as a set: their order means nothing");
        found.push(in_company(entry, set));
    }
    for token in tokens {
        let Some(flag) = flag_of(token) else {
            let meaning = "not a flag that logscan knows: one of an extension, or of a release to come";
            found.push(Entry::new(token, "unknown response flag").row("Means", meaning).row("Rules", rules_of(token)));
            continue;
        };
        let entry =
            Entry::new(format!("{} {}", flag.short, flag.long), format!("response flag, {}", flag.scope.meaning()))
                .row("Means", flag.meaning)
                .row("Class", flag.class.meaning());
        let alone = Flags::of(&[flag.short]);
        let entry = if alone == set { in_company(entry, set) } else { entry };
        let since = if flag.since.is_empty() { String::new() } else { format!("Envoy {}", flag.since) };
        found.push(entry.row("Status", flag.status).row("Since", since).row("Rules", rules_of(flag.short)));
    }
    found
}

/// The set of a comma list; nothing if no member is known, or one is no name at all.
fn set_of(word: &str) -> Option<Flags> {
    let tokens = || word.split(',').map(str::trim).filter(|token| !token.is_empty());
    let name = |token: &str| token.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let known: Vec<&str> = tokens().filter_map(flag_of).map(|flag| flag.short).collect();
    (!known.is_empty() && tokens().all(name)).then(|| {
        let unknown = known.len() < tokens().count();
        Flags::of(&[&known[..], if unknown { &["?"] } else { &[] }].concat())
    })
}

/// What a set means on TCP and on HTTP.
fn in_company(entry: Entry, set: Flags) -> Entry {
    let text = |tcp| outcome::together(set, tcp).unwrap_or_default();
    let unknown = text(true).is_empty() && text(false).is_empty() && set.rows().count() > 1;
    let unknown = if unknown { "nothing more is known than what each of them means" } else { "" };
    entry.row("On TCP", text(true)).row("On HTTP", text(false)).row("Together", unknown)
}

fn rules_of(flag: &str) -> String {
    let named = rules_that_name(flag);
    if !named.is_empty() {
        return named;
    }
    if !Flags::of(&[flag]).is_failure() {
        return "none: it is no failure".to_owned();
    }
    // The one that takes what no other rule explains.
    let rest = RULES.iter().map(|rule| rule.meta).find(|meta| meta.name == "flagged");
    rest.map_or(String::new(), |meta| format!("{} {}", meta.code, meta.name))
}

/// What flags and a cluster among some words mean together.
pub(super) fn beside(words: &[String]) -> Vec<Entry> {
    let sets: Vec<(&String, Flags)> = words.iter().filter_map(|word| Some((word, set_of(word)?))).collect();
    let mut found = Vec::new();
    for (word, set) in &sets {
        for name in words {
            let direction = Direction::of(name.as_bytes());
            if let Some(ending) = direction.ending(*set) {
                found.push(Entry::new(format!("{word} on {name}"), "together").row("Means", ending));
            }
        }
    }
    found
}

/// A field by its key, an operator or a header; an operator that no field stands for.
fn field(word: &str) -> Option<Entry> {
    let plain = word.trim_start_matches('%').trim_end_matches('%');
    let header = || {
        let name = plain.to_ascii_uppercase();
        Field::of_operator("REQ", Some(&name)).or_else(|| Field::of_operator("RESP", Some(&name)))
    };
    let (name, argument) = operator_of(plain).unwrap_or_default();
    let of_table = Field::of_key(plain).or_else(|| Field::of_operator(&name, argument.as_deref())).or_else(header);
    if let Some(field) = of_table {
        return Some(field_entry(word, field));
    }
    let known = operator::names().any(|known| known == name);
    known.then(|| {
        let writer = if operator::is_foreign(&name) { crate::field::Writer::Peer } else { crate::field::Writer::Envoy };
        Entry::new(word, "operator that no field stands for: a column of its own in --connections")
            .row("Kind", operator::kind(&name).meaning())
            .row("Written by", writer.meaning())
    })
}

fn operator_of(plain: &str) -> Option<(String, Option<String>)> {
    match grammar::tokens(&format!("%{plain}%")).ok()?.pop()? {
        grammar::Token::Operator { name, argument } => Some((name, argument)),
        grammar::Token::Literal(_) => None,
    }
}

/// Whether the field is one that only ztunnel prints: its words are no operators of Envoy's.
fn is_ambient(field: Field) -> bool {
    field.operators().iter().any(|name| name.starts_with("ztunnel."))
}

fn field_entry(word: &str, field: Field) -> Entry {
    let title = if word == field.key() { word.to_owned() } else { format!("{word}: {}", field.key()) };
    let operators: Vec<String> = field.operators().iter().map(|name| format!("%{name}%")).collect();
    let entry = Entry::new(title, "field")
        .row("Means", field.meaning())
        .row("Kind", field.kind().meaning())
        .row("Written by", field.writer().meaning())
        .row("Absent", field.absence())
        .row("Printed by", if is_ambient(field) { "ztunnel".to_owned() } else { operators.join(", ") });
    line::ENDS
        .iter()
        .filter(|end| end.field == field)
        .fold(entry, |entry, end| entry.row("Client's side", end.client).row("Server's side", end.server))
}

/// A key of a format that is no key of Istio's: `src.addr`, `bytes_recv`.
fn key(word: &str) -> Vec<Entry> {
    let mut found: Vec<(Field, Vec<String>)> = Vec::new();
    for file in format::files().unwrap_or_default() {
        let Some(value) = file.keys.get(word) else { continue };
        let operator = operator_of(value.trim_matches('%'));
        let of_operator = || operator.and_then(|(name, argument)| Field::of_operator(&name, argument.as_deref()));
        let Some(field) = Field::of_key(value).or_else(of_operator) else { continue };
        match found.iter_mut().find(|(known, _)| *known == field) {
            Some((_, formats)) => formats.push(file.name),
            None => found.push((field, vec![file.name])),
        }
    }
    found.into_iter().map(|(field, formats)| field_entry(word, field).row("Key in", formats.join(", "))).collect()
}

/// A special cluster, a service's cluster, or an SNI that is one.
fn cluster(word: &str) -> Option<Entry> {
    if let Some(special) = cluster::special_of(word) {
        let entry = Entry::new(special.name, "cluster")
            .row("Means", special.meaning)
            .row("Istio", special.releases)
            .row("Rules", rules_that_name(special.name));
        let direction = Direction::of(word.as_bytes());
        let ending = |flags: &'static [&str]| direction.ending(Flags::of(flags)).unwrap_or_default();
        return Some(entry.row("With UF or URX", ending(&["UF"])).row("With UH", ending(&["UH"])));
    }
    let read = Cluster::read(word.as_bytes());
    let port = read.port?;
    let sni = Cluster::of_sni(word.as_bytes()).is_some();
    let kind = if sni { "SNI between sidecars, and cluster of a gateway that passes on by it" } else { "cluster" };
    let entry = Entry::new(word, kind).row("Means", read.direction.meaning());
    Some(parts(&read, port).into_iter().fold(entry, |entry, (label, text)| entry.row(label, text)))
}

/// Port, subset and host of a service's cluster.
fn parts(cluster: &Cluster<'_>, port: u16) -> [(&'static str, String); 3] {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let inbound = cluster.direction == Direction::Inbound;
    let whose = match (inbound, cluster.host.is_empty()) {
        (true, true) => "the container's (in Istio 1.8.0 the service's)",
        _ => "the service's",
    };
    let subset = match (inbound, cluster.subset.is_empty()) {
        (true, false) => format!("{}, the port's name: Istio 1.1 to 1.7, or a waypoint", text(cluster.subset)),
        (false, false) => format!("{}, of a DestinationRule", text(cluster.subset)),
        _ => "none".to_owned(),
    };
    let host = match (inbound, cluster.host.is_empty()) {
        (true, true) => "not named: since Istio 1.8 on the server's side".to_owned(),
        (_, true) => "none".to_owned(),
        (..) => text(cluster.host),
    };
    [("Port", format!("{port}, {whose}")), ("Subset", subset), ("Host", host)]
}

/// Details, reasons, errors: each part of the text by itself.
fn details(word: &str) -> Vec<Entry> {
    let parts = detail::read(word);
    let mut found: Vec<Entry> = Vec::new();
    for part in &parts {
        let Some(detail) = part.detail else { continue };
        let as_envoy = match detail.place {
            Place::Tunnel => Flags::read(format::ambient::flags(word.as_bytes())),
            _ => Flags::NONE,
        };
        let flags = as_envoy.rows().map(|flag| format!("{}, {}", flag.short, flag.meaning)).collect::<Vec<_>>();
        found.push(
            Entry::new(part.text, detail.place.name())
                .row("Means", detail.meaning)
                .row("As Envoy", flags.join(", "))
                .row(
                    "Rules",
                    rules_that_name(detail.text.split('[').next().unwrap_or_default().trim_end_matches(['.', ':'])),
                )
                .row("Source", detail.place.source()),
        );
    }
    if !found.is_empty() {
        found.extend(parts.iter().filter(|part| part.detail.is_none()).map(|part| {
            Entry::new(part.text, "a part that logscan does not know")
                .row("Means", "see Envoy's documentation of its release")
        }));
    }
    found
}

/// A port, or an address that begins like one of Istio's own.
fn reserved_word(word: &str) -> Option<Entry> {
    if let Some(port) = word.trim_start_matches(':').parse().ok().and_then(reserved::of_port) {
        let plumbing = if port.plumbing { "yes: a proxy that dials it is no finding" } else { "" };
        let entry = Entry::new(port.number.to_string(), "port of the mesh").row("Means", port.meaning);
        return Some(entry.row("Plumbing", plumbing));
    }
    reserved::of_address(word).map(|meaning| Entry::new(word, "address").row("Means", meaning))
}

/// What reports say: how legs met, why one is alone, severities, grades, sides.
fn report_word(word: &str) -> Vec<Entry> {
    let pairs = Match::ALL.iter().map(|by| (by.name(), "matched_by: by what two legs met", by.meaning()));
    let alone = Alone::ALL.iter().map(|alone| (alone.name(), "unpaired: why there is no other leg", alone.meaning()));
    let severities =
        Severity::ALL.iter().map(|severity| (severity.name(), "severity of a finding", severity.meaning()));
    let grades = Grade::ALL.iter().map(|grade| (grade.name(), "grade of a finding: how sure it is", grade.meaning()));
    let sides = Side::ALL.iter().map(|side| (side.name(), "side of a leg", side.meaning()));
    let all = pairs.chain(alone).chain(severities).chain(grades).chain(sides);
    all.filter(|(name, ..)| *name == word).map(|(name, kind, text)| Entry::new(name, kind).row("Means", text)).collect()
}

/// A format by its name: where it comes from, its format string or keys, a line.
fn format(word: &str, formats: &Formats) -> Option<Entry> {
    let format = formats.list().iter().find(|format| format.name == word)?;
    let entry = Entry::new(&format.name, "format").row("Means", &format.summary);
    let Some(file) = format::files().ok()?.into_iter().find(|file| file.name == word) else { return Some(entry) };
    let kind = match file.kind {
        FileKind::Text => "text, columns",
        FileKind::Json => "one JSON object a line",
        FileKind::Pairs => "key=value",
    };
    let keys: Vec<&str> = file.keys.keys().map(String::as_str).collect();
    let sample = file.sample.first().map_or(String::new(), |sample| sample.line.replace('\t', " "));
    let entry = entry.row("Kind", kind).row("Source", &file.source);
    let entry = entry.row("Format", file.format.as_deref().unwrap_or_default().trim_end());
    Some(entry.row("Keys", keys.join(", ")).row("Line", sample))
}

/// What the text of a field tells by itself.
pub(super) fn notes(field: Field, text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    match field {
        Field::UpstreamCluster => match cluster::special_of(text) {
            Some(special) => notes.push(special.meaning.to_owned()),
            None => notes.extend(spelled(&Cluster::read(text.as_bytes()))),
        },
        Field::RequestedServerName => {
            notes.extend(Cluster::of_sni(text.as_bytes()).and_then(|called| spelled(&called)));
        }
        Field::ResponseCodeDetails
        | Field::ConnectionTerminationDetails
        | Field::UpstreamTransportFailureReason
        | Field::RouteName
        | Field::Error => {
            let known =
                |part: &detail::Part<'_>| part.detail.map(|detail| format!("{}: {}", detail.text, detail.meaning));
            notes.extend(detail::read(text).iter().filter_map(known));
        }
        _ if field.kind() == Kind::Address => {
            notes.extend(reserved::of_address(text).map(str::to_owned));
            let port = text.rsplit_once(':').and_then(|(_, port)| reserved::of_port(port.parse().ok()?));
            notes.extend(port.map(|port| format!("{}: {}", port.number, port.meaning)));
        }
        _ => {}
    }
    notes
}

/// A service's cluster as one phrase.
fn spelled(cluster: &Cluster<'_>) -> Option<String> {
    let [(_, port), (_, subset), (_, host)] = parts(cluster, cluster.port?);
    Some(format!("{}; port {port}; subset {subset}; host {host}", cluster.direction.meaning()))
}
