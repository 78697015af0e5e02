//! `Plan`: a text format compiled into steps; reads a line into spans, and writes one back.
//!
//! Envoy escapes nothing, so a header can hold quotes and even a whole forged line end. Therefore a plan
//! has three parts: `left`, read from the line's start; `middle`, the headers, of which nothing is
//! believed; `right`, what Envoy writes after them, found from the line's end. A forged tail stays inside
//! of the middle. Where the middle cuts in more than one way, the record is marked doubtful.

mod bars;
mod columns;
mod middle;
mod request;
mod step;

use memchr::{memchr, memmem, memrchr};
use nom::error::{Error, ErrorKind, ParseError};
use nom::{Err, IResult, Mode, OutputMode, PResult, Parser};

use columns::Columns;
use middle::cut;
pub(super) use middle::is_uuid;
use request::Run;
use step::{Step, begins, rfind};

use super::grammar::Token;
use crate::field::layout::Layout;
use crate::field::{Field, Kind, Writer, operator};
use crate::record::{Span, Spans};

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
    #[inline]
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

#[cfg(test)]
mod tests;
