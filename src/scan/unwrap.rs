//! From a line to its access record: envelopes come off, one after the other, and what they say is kept.

use std::hash::BuildHasher;

use super::known::Mark;
use super::{Line, Scanner};
use crate::envelope::json::{self, Payload};
use crate::envelope::{self, Peeled, access_start, begins_access, is_plain, message_start, peel, quoted, word_starts};
use crate::event;
use crate::field::Field;
use crate::field::value::{self, Micros};
use crate::format::Misfit;
use crate::names::{Sym, workload};
use crate::other::Other;
use crate::record::{Record, Spans, unescape};
use crate::reject::Reason;

/// What the envelopes of a line say, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrapped {
    pub(super) namespace: Sym,
    pub(super) workload: Sym,
    pub(super) pod: Sym,
    pub(super) container: Sym,
    pub(super) node: Sym,
    /// When a collector got the line.
    pub(super) arrived: Option<Micros>,
    /// The number of the envelope's name in `Scanner::envelopes`.
    pub(super) envelope: usize,
    pub(super) partial: bool,
}

impl Wrapped {
    /// No envelope that knows anything. `none` is the first name that a scanner counts.
    pub(super) const NOTHING: Wrapped = Wrapped {
        namespace: Sym::NONE,
        workload: Sym::NONE,
        pod: Sym::NONE,
        container: Sym::NONE,
        node: Sym::NONE,
        arrived: None,
        envelope: 0,
        partial: false,
    };

    /// What this envelope says, else the one around it.
    fn inside(self, outer: Wrapped) -> Wrapped {
        let or = |own: Sym, other: Sym| if own.is_none() { other } else { own };
        let (pod, workload) = if self.pod.is_none() { (outer.pod, outer.workload) } else { (self.pod, self.workload) };
        Wrapped {
            namespace: or(self.namespace, outer.namespace),
            workload,
            pod,
            container: or(self.container, outer.container),
            node: or(self.node, outer.node),
            arrived: self.arrived.or(outer.arrived),
            envelope: if self.envelope == 0 { outer.envelope } else { self.envelope },
            partial: self.partial || outer.partial,
        }
    }
}

/// What stands before an access line, as it was met before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    /// None if no collector writes it.
    pub(super) wrapped: Option<Wrapped>,
    /// No access line can begin in it, whatever stands behind it.
    pub(super) plain: bool,
}

/// The envelopes that came off already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) wrapped: Wrapped,
    /// How many objects.
    depth: usize,
    /// One of them is of no known collector: without an access line in it, it was none.
    unknown: bool,
    /// The runtime ended the line here without a line end: the rest may be in the next object.
    open: bool,
    /// There are none, and nothing else is known: most lines need not be told what is around them.
    nothing: bool,
}

impl Around {
    pub(super) fn new(wrapped: Wrapped) -> Around {
        Around { wrapped, depth: 0, unknown: false, open: false, nothing: wrapped == Wrapped::NOTHING }
    }
}

impl Scanner<'_> {
    /// Reads `text`, the line or what was in its envelopes.
    pub(super) fn text(&mut self, line: Line<'_>, text: &[u8], around: Around, spans: &mut Spans) {
        let given = if self.formats.has_given() { self.given_start(text, spans) } else { None };
        let known = if given.is_none() { self.known_start(text) } else { None };
        let (mut start, mut wrapped) = if let Some(known) = known {
            known
        } else {
            let Some(start) = given.or_else(|| access_start(text)) else {
                return self.other(line, text, around, spans);
            };
            if given.is_none() && start > 0 && text[start - 1] == b'"' {
                return self.quoted(line, text, start, around, spans);
            }
            (start, self.wrapped(&text[..start]))
        };
        if given.is_none()
            && wrapped.is_none()
            && let Some(object) = memchr::memmem::find(&text[..start], b"{\"")
        {
            // What begins inside of an object's string is still escaped: the object is the line.
            start = object;
            wrapped = self.wrapped(&text[..start]);
        }
        let (_, message) = text.split_at(start);
        if !around.nothing {
            wrapped = wrapped.map(|inner| inner.inside(around.wrapped));
        }
        let outer = |wrapped: Option<Wrapped>| {
            let nothing = around.nothing && wrapped.is_none();
            Around { wrapped: wrapped.unwrap_or(around.wrapped), nothing, ..around }
        };
        // The runtime's objects are told by their first key: no need to look for an access record's keys.
        if given.is_none() && message.starts_with(b"{\"log\":\"") && self.object(line, message, outer(wrapped), spans) {
            return;
        }
        let read = self.formats.read(message, &mut self.hint, spans);
        match (read, wrapped) {
            (_, Some(Wrapped { partial: true, .. })) => {
                self.out.tally.rejects.add(Reason::Partial, line.origin, line.text, 0, None);
            }
            (Ok(()), wrapped) => {
                let wrapped = wrapped.unwrap_or_else(|| {
                    let envelope = self.envelope("other");
                    Wrapped { envelope, ..Wrapped::NOTHING }.inside(around.wrapped)
                });
                if (spans.doubtful || spans.tolerated)
                    && let Some(at) = self.second(message, has_more(message, spans))
                {
                    self.out.tally.rejects.add(Reason::Broken, line.origin, message, at, None);
                    return;
                }
                let wrapped = self.beside(message, wrapped, spans);
                self.record(Record { line: message, spans }, wrapped, line);
            }
            (Err(Misfit::Foreign), wrapped) if self.object(line, message, outer(wrapped), spans) => {}
            (Err(Misfit::At { slot, at }), Some(_)) if is_access(message) => {
                self.misfit(line, message, around.open, slot, at as usize);
            }
            // A word that looks like a time, in a line that no collector wrapped: not ours.
            (Err(_), _) => self.other(line, text, around, spans),
        }
    }

    /// Where a second line begins right behind a whole one: a line end was lost, or a client wrote what looks so. Reading both
    /// would let it forge a line, reading one would give the first one's start the other's end.
    /// Behind an envelope's words the first does not end where it should: then the other has to be whole.
    #[cold]
    fn second(&self, message: &[u8], more: bool) -> Option<usize> {
        /// More starts than this in one line are a client's.
        const MOST: usize = 8;
        let mut trial = Spans::default();
        let starts = memchr::memmem::find_iter(message, b"[2").filter(|at| *at > 0 && begins_access(&message[*at..]));
        let mut whole = |text: &[u8]| {
            let read = self.formats.read(text, &mut self.hint.clone(), &mut trial);
            read.is_ok() && !trial.doubtful && !trial.tolerated
        };
        starts.take(MOST).find(|at| whole(&message[..*at]) || more && whole(&message[*at..]))
    }

    /// Opens a collector's object and reads what is in it; says whether it was one.
    fn object(&mut self, line: Line<'_>, object: &[u8], outer: Around, spans: &mut Spans) -> bool {
        let Some((peeled, payload)) = (outer.depth < envelope::DEPTH).then(|| json::open(object)).flatten() else {
            return false;
        };
        let mut around = Around {
            wrapped: self.numbered(&peeled).inside(outer.wrapped),
            depth: outer.depth + 1,
            unknown: outer.unknown || peeled.envelope == json::ANY,
            open: false,
            nothing: false,
        };
        let mut plain = self.spare.pop().unwrap_or_default();
        plain.clear();
        match payload {
            Payload::Object(span) => plain.extend_from_slice(span.of(object).unwrap_or_default()),
            Payload::Text(span) => {
                unescape(span.of(object).unwrap_or_default(), &mut plain);
                around.open = peeled.envelope == "docker" && plain.last() != Some(&b'\n');
                // A blank at the end stands before a value that was left out.
                let ends = plain.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
                plain.truncate(plain.len() - ends);
                if plain.contains(&0x1b) {
                    let coloured = std::mem::take(&mut plain);
                    envelope::strip_colour(&coloured, &mut plain);
                }
                // The agent's own objects have the keys that collectors have.
                if peeled.envelope == json::ANY
                    && access_start(&plain).is_none()
                    && matches!(Other::of(object), Other::Agent | Other::Envoy)
                {
                    self.spare.push(plain);
                    self.other(line, object, outer, spans);
                    return true;
                }
            }
        }
        self.text(line, &plain, around, spans);
        self.spare.push(plain);
        true
    }

    /// Reads what stands in quotes from `start` on.
    fn quoted(&mut self, line: Line<'_>, text: &[u8], start: usize, outer: Around, spans: &mut Spans) {
        if outer.depth == envelope::DEPTH {
            return self.other(line, text, outer, spans);
        }
        let envelope = self.envelope(quoted::NAME);
        let wrapped = Wrapped { envelope, ..Wrapped::NOTHING }.inside(outer.wrapped);
        let mut plain = self.spare.pop().unwrap_or_default();
        quoted::open(&text[start..], &mut plain);
        self.text(line, &plain, Around { wrapped, depth: outer.depth + 1, nothing: false, ..outer }, spans);
        self.spare.push(plain);
    }

    /// Adds what a collector merged into the access record itself.
    fn beside(&mut self, message: &[u8], wrapped: Wrapped, spans: &Spans) -> Wrapped {
        if !spans.strange {
            return wrapped;
        }
        match json::beside(message) {
            Some(peeled) => self.numbered(&peeled).inside(wrapped),
            None => wrapped,
        }
    }

    /// Where a line of a format that a user gave begins: behind a prefix that some collector writes.
    fn given_start(&self, text: &[u8], spans: &mut Spans) -> Option<usize> {
        word_starts(text).find(|at| peel(&text[..*at]).is_some() && self.formats.is_given(&text[*at..], spans))
    }

    #[cold]
    fn misfit(&mut self, line: Line<'_>, message: &[u8], open: bool, slot: u8, at: usize) {
        let behind = message.get(at..).unwrap_or_default();
        let cut = memchr::memchr2(b'"', b' ', behind).is_none();
        let reason = match (open, cut) {
            (true, _) => Reason::Partial,
            (false, true) => Reason::Cut,
            (false, false) => Reason::Broken,
        };
        self.out.tally.rejects.add(reason, line.origin, message, at, Some(slot));
    }

    /// Counts a line that holds no access line.
    fn other(&mut self, line: Line<'_>, text: &[u8], around: Around, spans: &mut Spans) {
        let kind = if around.unknown { Other::Json } else { Other::of(text) };
        *self.out.tally.others.entry(kind).or_default() += 1;
        if matches!(kind, Other::Agent | Other::Envoy)
            && let Some(event) = event::Kind::of(text)
        {
            let start = message_start(text, |text| text.first().is_some_and(|first| b"[{2".contains(first)));
            let (prefix, message) = text.split_at(start.unwrap_or(0));
            let wrapped = self.wrapped(prefix).map_or(around.wrapped, |inner| inner.inside(around.wrapped));
            let name = |name| self.known.names.get(name);
            let (namespace, pod) = (name(wrapped.namespace), name(wrapped.pod));
            let event_line = event::Event::new(message, line.origin, namespace, pod, wrapped.arrived);
            self.out.tally.events.add(event, event_line);
        }
        if self.options.explain && matches!(kind, Other::Application | Other::Json) {
            let misfit = |start: usize| {
                self.formats.given_misfit(&text[start..], spans).map(|(slot, at)| (at, usize::MAX - start, slot))
            };
            let furthest = word_starts(text).filter_map(misfit).max();
            let (slot, at) = furthest.map_or((None, 0), |(at, start, slot)| (Some(slot), usize::MAX - start + at));
            self.out.tally.unread.add(Reason::Unlike, line.origin, text, at, slot);
        }
    }

    /// Where the access line begins and what stands before it says, if that was met before: most lines are of pods that wrote
    /// many. The same as [`access_start`] and [`Scanner::wrapped`] would find.
    fn known_start(&self, text: &[u8]) -> Option<(usize, Option<Wrapped>)> {
        let at = match text.first()? {
            b'[' => 0,
            b'a'..=b'z' => memchr::memchr(b'[', text)?,
            _ => return None,
        };
        let (prefix, message) = text.split_at(at);
        let known = if self.last.0 == prefix { self.last.1 } else { *self.find(self.hasher.hash_one(prefix))? };
        let at_once = || self.clock.is_in_minute(&message[1..]) && message.get(24..27) == Some(b"Z] ");
        (known.plain && (at_once() || begins_access(message))).then_some((at, known.wrapped))
    }

    /// What was met with a mark. Comparing the texts themselves would fetch one more piece of memory for each line.
    fn find(&self, mark: Mark) -> Option<&Prefix> {
        self.prefixes.find(mark, |(known, _)| *known == mark).map(|(_, prefix)| prefix)
    }

    /// What a prefix says; none if no collector writes it.
    fn wrapped(&mut self, prefix: &[u8]) -> Option<Wrapped> {
        if self.last.0 == prefix {
            return self.last.1.wrapped;
        }
        let mark = self.hasher.hash_one(prefix);
        let known = self.find(mark).copied().unwrap_or_else(|| {
            let wrapped = peel(prefix).map(|peeled| self.numbered(&peeled));
            let known = Prefix { wrapped, plain: is_plain(prefix) };
            // Times in prefixes make each of them new: remembering all would cost more than reading them.
            if self.prefixes.len() < 4096 {
                self.prefixes.insert_unique(mark, (mark, known), |(mark, _)| *mark);
            }
            known
        });
        self.last.0.clear();
        self.last.0.extend_from_slice(prefix);
        self.last.1 = known;
        known.wrapped
    }

    /// What the path of the block's source says.
    pub(super) fn place(&mut self) -> Wrapped {
        let Some(place) = self.places.get(self.source.0 as usize).cloned() else { return Wrapped::NOTHING };
        self.numbered(&Peeled {
            envelope: "none",
            namespace: Some(place.namespace.as_bytes()),
            pod: Some(place.pod.as_bytes()),
            container: Some(place.container.as_bytes()),
            ..Peeled::default()
        })
    }

    fn numbered(&mut self, peeled: &Peeled<'_>) -> Wrapped {
        let mut plain = Vec::new();
        let mut number = |name: Option<&[u8]>| {
            let name = name.unwrap_or_default();
            if !name.contains(&b'\\') {
                return self.known.names.intern(name);
            }
            // stern's JSON layouts print colours in names.
            let mut unescaped = Vec::new();
            unescape(name, &mut unescaped);
            envelope::strip_colour(&unescaped, &mut plain);
            self.known.names.intern(&plain)
        };
        let wrapped = Wrapped {
            namespace: number(peeled.namespace),
            workload: Sym::NONE,
            pod: number(peeled.pod),
            container: number(peeled.container),
            node: number(peeled.node),
            arrived: peeled.time.and_then(value::time),
            envelope: self.envelope(peeled.envelope),
            partial: peeled.partial,
        };
        let workload = workload(self.known.names.get(wrapped.pod)).to_owned();
        Wrapped { workload: self.known.names.intern(&workload), ..wrapped }
    }

    fn envelope(&mut self, name: &'static str) -> usize {
        self.envelopes.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.envelopes.push((name, 0));
            self.envelopes.len() - 1
        })
    }
}

/// Whether something stands behind the last column of a line that read, or a server's name took it in.
fn has_more(message: &[u8], spans: &Spans) -> bool {
    let name = spans.get(Field::RequestedServerName).of(message).unwrap_or_default();
    spans.tolerated || name.contains(&b' ')
}

/// Whether a line that did not read was an access line: an object by its keys, text by its time. A request alone may be any
/// server's.
fn is_access(message: &[u8]) -> bool {
    let has = |key: &[u8]| memchr::memmem::find(message, key).is_some();
    match message.first() {
        Some(b'{') => {
            has(b"\"response_flags\"") || has(b"\"downstream_remote_address\"") || has(b"\"upstream_cluster\"")
        }
        first => first != Some(&b'"'),
    }
}
