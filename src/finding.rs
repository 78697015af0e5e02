//! `Finding`: what the tool is for. A cause with its count, its evidence, why it is one and what to do.

use serde::{Serialize, Serializer};

use crate::field::value::Micros;
use crate::ledger::Evidence;
use crate::remedy::Remedy;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Works, but outside of the mesh's protection, or about to break.
    Warning,
    /// Traffic is broken or goes to the wrong place.
    Error,
}

impl Severity {
    /// Every severity, the mildest first.
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Error];

    /// The word in reports and for `--fail-on`.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }

    /// What it means, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Severity::Info => "worth knowing",
            Severity::Warning => "works, but outside of the mesh's protection, or about to break",
            Severity::Error => "traffic is broken or goes to the wrong place",
        }
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// The lines fit, and could mean something else.
    Suspect,
    /// The lines of one side say so.
    Likely,
    /// Both sides' lines say so.
    Proven,
}

impl Grade {
    /// Every grade, the weakest first.
    pub const ALL: [Grade; 3] = [Grade::Suspect, Grade::Likely, Grade::Proven];

    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Grade::Suspect => "suspect",
            Grade::Likely => "likely",
            Grade::Proven => "proven",
        }
    }

    /// What it means, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Grade::Suspect => "the lines fit, and could mean something else",
            Grade::Likely => "the lines of one side say so",
            Grade::Proven => "both sides' lines say so, or the proxy's configuration does",
        }
    }
}

impl Serialize for Grade {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a rule is, apart from its code: from here come help, reports and the rules' page.
#[derive(Debug)]
pub struct Meta {
    /// Stable code, `R301`.
    pub code: &'static str,
    /// Stable name, `unexpected-cluster`; its file's name with underscores.
    pub name: &'static str,
    /// How bad its findings are.
    pub severity: Severity,
    /// One line.
    pub summary: &'static str,
    /// The rule's documentation.
    pub doc: &'static str,
}

impl Meta {
    /// The documentation by its headings: heading and text, lines as they stand in the code.
    pub fn sections(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.doc.split("## ").skip(1).filter_map(|section| {
            let (heading, text) = section.split_once('\n')?;
            Some((heading.trim(), text.trim()))
        })
    }
}

/// One cause.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule that found it.
    pub meta: &'static Meta,
    /// How sure it is.
    pub grade: Grade,
    /// What it is about: a cluster, a service, an address.
    pub subject: String,
    /// How many connections it shows in.
    pub count: u64,
    /// Start of the first of them.
    pub first: Micros,
    /// Start of the last of them.
    pub last: Micros,
    /// The earliest lines that show it.
    pub evidence: Vec<Evidence>,
    /// One sentence: why this is a finding.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// What would settle it; empty if nothing is open.
    pub check: String,
    /// Ways out, ready to apply, where configuration shows the cause; the best first.
    pub remedies: Vec<Remedy>,
    /// The ways that it shows in, by number.
    pub ways: Vec<u32>,
}
