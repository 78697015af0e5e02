//! `Finding`: one cause in the configuration; and `Report`, all of them as JSON has them.

use serde::Serialize;

use super::view::Lint;
use crate::finding::{Grade, Meta, Severity};
use crate::mesh::LeftOut;
use crate::mesh::objects::{self, Objects};
use crate::remedy::Remedy;

/// The version of [`Report`]'s keys.
pub const SCHEMA_VERSION: u32 = 1;

/// One cause.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The check's code, `L301`.
    pub code: &'static str,
    /// The check's name.
    pub name: &'static str,
    /// How bad it is: the check's, or milder.
    pub severity: Severity,
    /// How sure it is.
    pub grade: Grade,
    /// What it is about: a cluster, a service, a proxy.
    pub subject: String,
    /// Why it is a finding.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// Ways out, ready to apply, the best first; empty if none is known.
    pub remedies: Vec<Remedy>,
    /// Every place that shows it.
    pub places: Vec<Place>,
}

/// A part of what was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Whose it is: a proxy by its pod, an object by kind, name and namespace.
    pub whose: String,
    /// The files that tell of it, those of one dump.
    pub files: Vec<String>,
    /// The part of it: `listener 0.0.0.0_5701`, `port 5701`; empty for all of it.
    pub part: String,
}

impl Finding {
    /// One of a check, with its severity and nothing to say yet.
    pub(super) fn new(meta: &'static Meta, grade: Grade, subject: impl Into<String>) -> Finding {
        Finding {
            code: meta.code,
            name: meta.name,
            severity: meta.severity,
            grade,
            subject: subject.into(),
            why: String::new(),
            fix: String::new(),
            remedies: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Adds ways out that are not there yet.
    pub(super) fn add(&mut self, ways: impl IntoIterator<Item = Remedy>) {
        for way in ways {
            if self.remedies.iter().all(|known| known.apply != way.apply) {
                self.remedies.push(way);
            }
        }
    }
}

impl Place {
    /// A part of an object.
    pub(super) fn of_object(meta: &objects::Meta, part: impl Into<String>) -> Place {
        let files = Some(meta.file.to_string()).filter(|file| !file.is_empty());
        Place { whose: called(meta), files: files.into_iter().collect(), part: part.into() }
    }
}

/// An object by kind, name and namespace: `Service web in namespace shop`.
pub(super) fn called(meta: &objects::Meta) -> String {
    let namespace = if meta.namespace.is_empty() { String::new() } else { format!(" in namespace {}", meta.namespace) };
    format!("{} {}{namespace}", meta.kind, meta.name)
}

/// What was found, and in what.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// How many proxies' dumps were looked at: of several of one proxy the youngest.
    pub dumps: usize,
    /// How many objects.
    pub objects: usize,
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// Parts of files that were not used.
    pub left_out: Vec<LeftOut>,
}

impl Report {
    /// Puts it together.
    pub(super) fn of(lint: &Lint<'_>, findings: Vec<Finding>) -> Report {
        Report {
            schema_version: SCHEMA_VERSION,
            dumps: lint.routers.len(),
            objects: count(&lint.mesh.objects),
            findings,
            left_out: lint.mesh.left_out.clone(),
        }
    }

    /// The worst severity among the findings; none without any.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

/// How many objects there are. A ServiceEntry is one, however many hosts it has.
fn count(objects: &Objects) -> usize {
    let mut services: Vec<&objects::Meta> = objects.services.iter().map(|service| &service.meta).collect();
    services
        .dedup_by(|one, other| (&one.kind, &one.namespace, &one.name) == (&other.kind, &other.namespace, &other.name));
    services.len()
        + objects.pods.len()
        + objects.endpoints.len()
        + objects.peer_authentications.len()
        + objects.sidecars.len()
        + objects.destination_rules.len()
        + objects.authorization_policies.len()
        + objects.namespaces.len()
        + objects.others.len()
}
