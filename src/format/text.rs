//! `Plan`: a text format compiled into steps; reads a line into spans, and writes one back.
//!
//! Envoy escapes nothing, so a header can hold quotes and even a whole forged line end. Therefore a plan
//! has three parts: `left`, read from the line's start; `middle`, the headers, of which nothing is
//! believed; `right`, what Envoy writes after them, found from the line's end. A forged tail stays inside
//! of the middle. Where the middle cuts in more than one way, the record is marked doubtful.

mod bars;
mod columns;
mod middle;

use memchr::{memchr, memmem, memrchr};
use nom::error::{Error, ErrorKind, ParseError};
use nom::{Err, IResult, Mode, OutputMode, PResult, Parser};

use columns::Columns;
use middle::cut;
pub(super) use middle::is_uuid;

use super::grammar::Token;
use crate::field::layout::Layout;
use crate::field::{Field, Kind, Writer, operator};
use crate::record::{Span, Spans};

/// One field and the text that ends it.
#[derive(Clone, Debug)]
struct Step {
    slot: u8,
    kind: Kind,
    writer: Writer,
    /// Whether the value stands in quotes, so that a quote in it would not be Envoy's.
    quoted: bool,
    /// How long a value is at least: where absent ones are left out, nothing may stand in their place.
    least: usize,
    /// The literal behind the value; empty only for the last step.
    after: Box<[u8]>,
    /// How a time is printed, where the format says so.
    layout: Option<Box<Layout>>,
    /// How much of the literal belongs to the next value: all of it, where the format has nothing between the two.
    shared: usize,
}

/// Where a line stopped to fit, and at which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The slot of the field that could not be read.
    pub slot: u8,
    /// Byte offset in the access line.
    pub at: u32,
}

/// A compiled text format.
#[derive(Clone, Debug)]
pub struct Plan {
    lead: Box<[u8]>,
    left: Vec<Step>,
    middle: Vec<Step>,
    right: Vec<Step>,
    /// The middle of a line on which every header is absent, TCP above all: `-" "-" "-" "-" "`.
    absent: Box<[u8]>,
    /// The same for the run of headers in the left part and the value behind it: `- - -" `.
    absent_request: Box<[u8]>,
    /// What a second head in a line would have in it.
    protocol: memmem::Finder<'static>,
    /// The quick way, where the format has one.
    columns: Option<Columns>,
}

impl Plan {
    /// Compiles tokens; `slot` says where an operator's value goes.
    pub fn new(tokens: &[Token], mut slot: impl FnMut(&str, Option<&str>) -> u8) -> Plan {
        let mut lead = Box::default();
        let mut steps: Vec<Step> = Vec::new();
        for token in tokens {
            match token {
                Token::Literal(text) => match steps.last_mut() {
                    Some(step) => step.after = text.as_bytes().into(),
                    None => lead = text.as_bytes().into(),
                },
                Token::Operator { name, argument } => {
                    let before = steps.last().map_or(&lead, |step: &Step| &step.after);
                    let quoted = before.last() == Some(&b'"');
                    if let Some(glued) = steps.last_mut().filter(|step| step.after.is_empty()) {
                        (glued.after, glued.shared) = (Box::from(&b"HTTP/"[..]), 5);
                    }
                    let slot = slot(name, argument.as_deref());
                    let field = Field::ALL.get(slot as usize);
                    let foreign = if operator::is_foreign(name) { Writer::Peer } else { Writer::Envoy };
                    let kind = field.map_or(operator::kind(name), |field| field.kind());
                    let layout = argument.as_deref().filter(|_| kind == Kind::Time).and_then(Layout::compile);
                    steps.push(Step {
                        slot,
                        kind,
                        writer: field.map_or(foreign, |field| field.writer()),
                        quoted,
                        least: 1,
                        layout: layout.map(Box::new),
                        after: Box::default(),
                        shared: 0,
                    });
                }
            }
        }
        // The middle is the last run of headers; what follows it is found from the end of the line.
        let last = steps.iter().rposition(|step| step.writer == Writer::Peer);
        let end = last.map_or(steps.len(), |last| last + 1);
        let start = steps[..end].iter().rposition(|step| step.writer == Writer::Envoy).map_or(0, |at| at + 1);
        let start = if last.is_some() { start } else { end };
        let right = steps.split_off(end);
        let middle = steps.split_off(start);
        let absent = middle.iter().flat_map(|step| [b"-", step.between()].concat()).collect();
        let first = steps.iter().position(|step| step.writer == Writer::Peer).unwrap_or(steps.len());
        let run = steps[first..].iter().take_while(|step| step.writer == Writer::Peer).count();
        let behind = steps.iter().skip(first).take(run + 1);
        let absent_request = behind.flat_map(|step| [b"-", step.between()].concat()).collect();
        let protocol = memmem::Finder::new(b"HTTP/");
        let plan = Plan { lead, left: steps, middle, right, absent, absent_request, protocol, columns: None };
        Plan { columns: Columns::of(&plan), ..plan }
    }

    /// The same format as Envoy writes it with `omit_empty_values`: nothing stands where a `-` would. Times, the code and
    /// the bytes are never absent. Source: Envoy's `SubstitutionFormatString`.
    #[must_use]
    pub fn omitting(&self) -> Plan {
        const ALWAYS: [Field; 3] = [Field::ResponseCode, Field::BytesReceived, Field::BytesSent];
        let mut plan = self.clone();
        for step in plan.left.iter_mut().chain(&mut plan.middle).chain(&mut plan.right) {
            let always = step.kind == Kind::Time || ALWAYS.iter().any(|field| *field as u8 == step.slot);
            step.least = usize::from(always);
        }
        plan
    }

    /// Fills `spans` (which the caller has cleared) from one access line without its line end.
    pub fn read(&self, line: &[u8], spans: &mut Spans) -> Result<(), Fault> {
        if let Some(columns) = &self.columns {
            if columns.read(line, spans) {
                return Ok(());
            }
            spans.clear();
        }
        self.read_closely(line, spans)
    }

    /// The same, where a header may hold what looks like a separator.
    fn read_closely(&self, line: &[u8], spans: &mut Spans) -> Result<(), Fault> {
        let first = self.left.first().or(self.middle.first()).map_or(0, |step| step.slot);
        if !line.starts_with(&self.lead) {
            return Err(Fault { slot: first, at: 0 });
        }
        let mut at = self.lead.len();
        let mut number = 0;
        while let Some(step) = self.left.get(number) {
            if step.writer == Writer::Envoy {
                at = step.read(line, at, spans)?;
                number += 1;
            } else {
                let run = self.left[number..].iter().take_while(|step| step.writer == Writer::Peer).count();
                let (run, next) = self.left[number..].split_at(run);
                if self.is_absent_run(line, at) {
                    for step in run {
                        spans.set(step.slot, Span::new(at, at + 1));
                        at += 1 + step.between().len();
                    }
                    number += run.len();
                    continue;
                }
                let behind = next.iter().take_while(|step| step.writer == Writer::Envoy).count();
                at = Run { line, at, headers: run, behind: &next[..behind] }.read(&self.protocol, spans)?;
                number += run.len() + behind;
            }
        }
        if self.middle.is_empty() {
            return self.forward(line, at, spans);
        }
        if line[at..].starts_with(&self.absent) && !self.right.is_empty() {
            for step in &self.middle {
                spans.set(step.slot, Span::new(at, at + 1));
                at += 1 + step.between().len();
            }
            return self.forward(line, at, spans);
        }
        let fault = Fault { slot: self.middle[0].slot, at: at as u32 };
        let right = self.right_start(line).ok_or(fault)?;
        let end = right.checked_sub(self.last_literal().len()).filter(|end| *end >= at).ok_or(fault)?;
        cut(line, at, end, &self.middle, spans);
        self.forward(line, right, spans)
    }

    /// Whether the request column is that of a TCP line, `- - -"`: nothing to search for then.
    fn is_absent_run(&self, line: &[u8], at: usize) -> bool {
        !self.absent_request.is_empty() && begins(&line[at..], &self.absent_request)
    }

    /// The literal between the middle and the right part, or behind the middle at the line's end.
    fn last_literal(&self) -> &[u8] {
        self.middle.last().map_or(&[], |step| &step.after)
    }

    /// Where the right part begins, looked for from the end of the line: at the last quote where the part
    /// has quotes, because nothing that Envoy writes behind it can hold one; else at its last literals.
    fn right_start(&self, line: &[u8]) -> Option<usize> {
        let (mut end, mut steps) = (line.len(), self.right.len());
        if steps == 0 {
            return line.ends_with(self.last_literal()).then_some(end);
        }
        if let Some(anchor) = self.right.iter().rposition(|step| step.after.contains(&b'"')) {
            let literal = &self.right[anchor].after;
            let in_literal = memrchr(b'"', literal)?;
            end = memrchr(b'"', line)?.checked_sub(in_literal)?;
            if !line[end..].starts_with(literal) {
                return None;
            }
            steps = anchor + 1;
        }
        for number in (0..steps).rev() {
            let before = if number == 0 { self.last_literal() } else { &self.right[number - 1].after };
            let mut found = rfind(&line[..end], before)?;
            if before.last() == Some(&b'|') {
                found = bars::start(line, found, end, before);
            }
            if number == 0 {
                return Some(found + before.len());
            }
            end = found;
        }
        None
    }

    /// Reads the right part from `at` to the end of the line.
    fn forward(&self, line: &[u8], mut at: usize, spans: &mut Spans) -> Result<(), Fault> {
        let mut slot = self.left.last().map_or(0, |step| step.slot);
        for (number, step) in self.right.iter().enumerate() {
            // An SNI is what a client sent. Old Envoys print it raw: take all but the last column for it.
            if step.slot == Field::RequestedServerName as u8 && number + 2 == self.right.len() && *step.after == *b" " {
                let (rest, route) = (&line[at..], &self.right[number + 1]);
                let blank = memchr(b' ', rest).ok_or(Fault { slot: step.slot, at: at as u32 })?;
                if rest[blank + 1..].contains(&b' ') {
                    return self.odd_end(line, at, number, spans);
                }
                let (sni, name) = rest.split_at(blank);
                if !step.accepts(sni) || !route.accepts(&name[1..]) {
                    return Err(Fault { slot: step.slot, at: at as u32 });
                }
                spans.set(step.slot, Span::new(at, at + blank));
                spans.set(route.slot, Span::new(at + blank + 1, line.len()));
                return Ok(());
            }
            at = step.read(line, at, spans)?;
            slot = step.slot;
        }
        if at == line.len() { Ok(()) } else { Err(Fault { slot, at: at as u32 }) }
    }

    /// The end of a line with more columns than the format: further ones that are absent or quoted, seen where a
    /// platform or a person adds some, are passed over; anything else belongs to an SNI with blanks.
    fn odd_end(&self, line: &[u8], at: usize, number: usize, spans: &mut Spans) -> Result<(), Fault> {
        let (sni, route) = (&self.right[number], &self.right[number + 1]);
        let rest = &line[at..];
        let columns = rest.split(|byte| *byte == b' ');
        let mut added = columns.clone().skip(2).peekable();
        let quoted = added.peek().is_some_and(|column| column.first() == Some(&b'"'));
        if (quoted || added.all(|column| column == b"-")) && rest.len() > 2 {
            spans.doubtful |= quoted;
            let mut ends = columns.take(2).scan(at, |from, column| {
                let span = Span::new(*from, *from + column.len());
                *from += column.len() + 1;
                Some(span)
            });
            spans.set(sni.slot, ends.next().unwrap_or(Span::NONE));
            spans.set(route.slot, ends.next().unwrap_or(Span::NONE));
            spans.tolerated = true;
            return Ok(());
        }
        let blank = memrchr(b' ', rest).ok_or(Fault { slot: sni.slot, at: at as u32 })?;
        spans.set(sni.slot, Span::new(at, at + blank));
        spans.set(route.slot, Span::new(at + blank + 1, line.len()));
        spans.doubtful = true;
        Ok(())
    }

    /// Writes a line: `value` gives the bytes of a slot, `-` stands where it gives none.
    pub fn write<'v>(&self, value: impl Fn(u8) -> Option<&'v [u8]>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lead);
        for step in self.left.iter().chain(&self.middle).chain(&self.right) {
            out.extend_from_slice(value(step.slot).unwrap_or(b"-"));
            out.extend_from_slice(step.between());
        }
    }

    /// What every line begins with.
    pub fn lead(&self) -> &[u8] {
        &self.lead
    }

    /// The slots that the plan fills, in the order of the line.
    pub fn slots(&self) -> impl Iterator<Item = u8> {
        self.left.iter().chain(&self.middle).chain(&self.right).map(|step| step.slot)
    }
}

/// To nom, a plan is a parser that takes a whole line.
impl<'a> Parser<&'a [u8]> for &Plan {
    type Output = Spans;
    type Error = Error<&'a [u8]>;

    fn process<OM: OutputMode>(&mut self, input: &'a [u8]) -> PResult<OM, &'a [u8], Spans, Self::Error> {
        let mut spans = Spans::default();
        match self.read(input, &mut spans) {
            Ok(()) => Ok((&input[input.len()..], OM::Output::bind(|| spans))),
            Err(fault) => {
                let place = input.get(fault.at as usize..).unwrap_or_default();
                Err(Err::Error(OM::Error::bind(|| Error::from_error_kind(place, ErrorKind::Verify))))
            }
        }
    }

    fn parse(&mut self, input: &'a [u8]) -> IResult<&'a [u8], Spans, Self::Error> {
        self.process::<nom::OutputM<nom::Emit, nom::Emit, nom::Complete>>(input)
    }
}

impl Step {
    /// What stands between the value and the next one.
    fn between(&self) -> &[u8] {
        &self.after[..self.after.len() - self.shared]
    }

    /// Reads one value of Envoy's from `at`; gives the place behind the literal that ends it.
    #[inline]
    fn read(&self, line: &[u8], at: usize, spans: &mut Spans) -> Result<usize, Fault> {
        let fault = Fault { slot: self.slot, at: at as u32 };
        let len = self.len(line.get(at..).ok_or(fault)?).ok_or(fault)?;
        spans.set(self.slot, Span::new(at, at + len));
        Ok(at + len + self.after.len())
    }

    /// The length of the value at the start of `rest`, if it is one that this step can have.
    #[inline]
    fn len(&self, rest: &[u8]) -> Option<usize> {
        let len = match self.kind {
            // What a number is and where it ends are one question.
            Kind::Integer | Kind::Millis => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let len = digits.max(usize::from(rest.first() == Some(&b'-')));
                return (len >= self.least && self.ends(rest, len)).then_some(len);
            }
            // Envoy's default layout has one length.
            Kind::Time if rest.get(23) == Some(&b'Z') && self.ends(rest, 24) => 24,
            Kind::Time if self.layout.is_some() => {
                let len = self.layout.as_ref()?.len(rest)?;
                return self.ends(rest, len).then_some(len);
            }
            _ => match &*self.after {
                // The last column: what Envoy writes there has no blanks.
                [] if self.quoted || memchr(b' ', rest).is_none() => rest.len(),
                [] => return None,
                literal @ [b'|', ..] => bars::end(rest, literal)?,
                [byte] => find_byte(rest, *byte)?,
                literal => find(rest, literal)?,
            },
        };
        self.accepts(&rest[..len]).then_some(len)
    }

    /// Whether the literal behind the value, or the end of the line, stands at `len`.
    #[inline]
    fn ends(&self, rest: &[u8], len: usize) -> bool {
        if self.after.is_empty() { rest.len() == len } else { begins(&rest[len..], &self.after) }
    }

    /// Whether bytes can be a value of this step at all: what tells one format from another.
    #[inline]
    fn accepts(&self, value: &[u8]) -> bool {
        match self.kind {
            Kind::Integer | Kind::Millis => {
                value.len() >= self.least && value.iter().all(u8::is_ascii_digit) || is_absent(value)
            }
            Kind::Address => {
                // Without a port an IPv6 address can end in a letter.
                let last = |last: &u8| last.is_ascii_digit() || *last == b'-';
                let bare =
                    |value: &[u8]| value.last().is_some_and(u8::is_ascii_hexdigit) && memchr(b':', value).is_some();
                value.last().is_some_and(last)
                    || bare(value)
                    || matches!(value, [b'/' | b'@' | b'e', ..])
                    || ((self.quoted || self.least == 0) && value.is_empty())
            }
            Kind::Time => value.first().is_some_and(u8::is_ascii_digit),
            Kind::Flags => {
                is_absent(value) || value.len() >= self.least && value.iter().all(|byte| !matches!(byte, b'"' | b' '))
            }
            Kind::Text if self.slot == Field::Protocol as u8 => {
                is_absent(value) || value.len() <= 8 && begins(value, b"HTTP") || self.least == 0 && value.is_empty()
            }
            Kind::Text => self.quoted || value.first().map_or(self.least == 0, |first| *first != b'"'),
        }
    }
}

/// The first place of a byte. Most values are so short that a call to memchr costs more than the search, and
/// so different in length that a loop over them is mispredicted: 32 bytes are looked at without a branch.
#[inline]
fn find_byte(rest: &[u8], byte: u8) -> Option<usize> {
    let Some(near) = rest.first_chunk::<32>() else { return rest.iter().position(|other| *other == byte) };
    let mut found = 0u64;
    for (number, word) in near.as_chunks::<8>().0.iter().enumerate() {
        found |= matches(u64::from_le_bytes(*word), byte) << (number * 8);
    }
    if found != 0 {
        return Some(found.trailing_zeros() as usize);
    }
    memchr(byte, &rest[32..]).map(|at| 32 + at)
}

/// One bit for each of the eight bytes that is `byte`. Exact up to the first one, and that is the one that counts.
#[inline]
fn matches(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Moves the top bits of the bytes, one to a place, into the top byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let differs = word ^ (ONES * u64::from(byte));
    let zeros = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
    (zeros >> 7).wrapping_mul(GATHER) >> 56
}

fn find(rest: &[u8], literal: &[u8]) -> Option<usize> {
    let (first, mut from) = (*literal.first()?, 0);
    loop {
        let at = from + find_byte(&rest[from..], first)?;
        if begins(&rest[at..], literal) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// `starts_with` for literals of a few bytes, without a call.
#[inline]
fn begins(text: &[u8], literal: &[u8]) -> bool {
    text.len() >= literal.len() && text.iter().zip(literal).all(|(a, b)| a == b)
}

fn rfind(text: &[u8], literal: &[u8]) -> Option<usize> {
    let (first, mut end) = (*literal.first()?, text.len());
    loop {
        let at = memrchr(first, &text[..end])?;
        if begins(&text[at..], literal) {
            return Some(at);
        }
        end = at;
    }
}

#[inline]
fn is_absent(value: &[u8]) -> bool {
    matches!(value, b"-")
}

/// A run of headers before the middle (the request column), and what Envoy writes behind it.
struct Run<'r> {
    line: &'r [u8],
    at: usize,
    headers: &'r [Step],
    behind: &'r [Step],
}

impl Run<'_> {
    /// Reads both; gives the place behind them. The run ends at the first place behind which everything is what it
    /// must be. A path or a header can hold a forged head; then there are two such places and the record is doubtful:
    /// a reading without a flag wins, because nobody shall be able to forge a failure.
    fn read(&self, protocol: &memmem::Finder<'_>, spans: &mut Spans) -> Result<usize, Fault> {
        let (mut end, mut place) = self.next(self.at, spans)?;
        // Nearly every line has one protocol only.
        if protocol.find(&self.line[place..]).is_some() {
            let clean = |spans: &Spans| spans.get(Field::ResponseFlags).of(self.line) == Some(b"-");
            let (mut trial, mut from) = (spans.clone(), end + 1);
            while let Ok((other, behind)) = self.next(from, &mut trial) {
                trial.doubtful = true;
                if clean(&trial) && !clean(spans) {
                    spans.clone_from(&trial);
                    (end, place) = (other, behind);
                }
                spans.doubtful = true;
                from = other + 1;
            }
        }
        cut(self.line, self.at, end, self.headers, spans);
        Ok(place)
    }

    /// The first end of the run from `from` on, and the place behind what Envoy writes there; else how far the best
    /// one got.
    fn next(&self, mut from: usize, spans: &mut Spans) -> Result<(usize, usize), Fault> {
        let slot = self.headers.first().map_or(0, |step| step.slot);
        let mut furthest = Fault { slot, at: self.at as u32 };
        let Some(last) = self.headers.last() else { return Err(furthest) };
        while let Some(len) = self.line.get(from..).and_then(|rest| find(rest, &last.after)) {
            let end = from + len;
            if self.has_all(end) {
                match self.behind(end + last.between().len(), spans) {
                    Ok(place) => return Ok((end, place)),
                    Err(fault) if fault.at > furthest.at => furthest = fault,
                    Err(_) => {}
                }
            }
            from = end + 1;
        }
        Err(furthest)
    }

    /// Reads what Envoy writes behind the run. No value of its own without quotes around it has one in it.
    fn behind(&self, mut at: usize, spans: &mut Spans) -> Result<usize, Fault> {
        for step in self.behind {
            let from = at;
            at = step.read(self.line, at, spans)?;
            let quotes = || memchr(b'"', &self.line[from..at - step.between().len()]).is_some();
            if step.kind == Kind::Text && !step.quoted && quotes() {
                return Err(Fault { slot: step.slot, at: from as u32 });
            }
        }
        Ok(at)
    }

    /// Whether every value of the run has its place before `end`.
    fn has_all(&self, end: usize) -> bool {
        let mut first = self.headers[..self.headers.len() - 1].iter();
        let behind = |from: usize, step: &Step| {
            find(self.line.get(from..end)?, &step.after).map(|len| from + len + step.between().len())
        };
        first.try_fold(self.at, behind).is_some()
    }
}

#[cfg(test)]
mod tests;
