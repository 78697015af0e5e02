//! What configuration was given, and how the log compares with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Gathered;
use crate::claims;
use crate::field::value::Micros;
use crate::mesh::LeftOut;
use crate::replay::{Replayed, Then, Verdict, Why};
use crate::whatif::Planned;

/// The configuration and the comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Mesh {
    /// Whose dumps there are, by namespace and pod.
    pub proxies: Vec<Proxy>,
    /// The configuration lay beside the logs, in a bug report or must-gather, and was not given with `--mesh`.
    pub beside_logs: bool,
    /// Parts of the files that were not used.
    pub left_out: Vec<LeftOut>,
    /// Lines by how they compare.
    pub compared: Compared,
    /// Where the log and the configuration differ, the most lines first.
    pub differences: Vec<Difference>,
    /// What would go elsewhere by the configuration of `--mesh-after`, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
}

/// A dump.
#[derive(Clone, Debug, Serialize)]
pub struct Proxy {
    /// The pod; empty if the dump does not say.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// When it was taken.
    pub taken: Option<String>,
    /// Istio's release; empty if the dump does not say.
    pub version: String,
    /// The files that it comes from.
    pub files: Vec<String>,
    /// How many listeners it has.
    pub listeners: usize,
    /// How many clusters.
    pub clusters: usize,
    /// How many endpoints.
    pub endpoints: usize,
}

/// Lines by how they compare with the configuration of the proxy that wrote them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Compared {
    /// They went where the configuration sends them, whatever the client sent.
    pub explained: u64,
    /// They went one of the ways that the configuration has, by what the client sent.
    pub possible: u64,
    /// The configuration sends them elsewhere: it is not the one that they met.
    pub differs: u64,
    /// The configuration leads on in a way that is not followed.
    pub open: u64,
    /// They could not be asked, by reason.
    pub not_asked: BTreeMap<&'static str, u64>,
}

/// Lines that went another way than the configuration has.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The workload that wrote the lines, else its address.
    pub source: String,
    /// What was dialled.
    pub destination: String,
    /// The cluster in the log; empty if it names none.
    pub logged: String,
    /// Where the configuration sends them.
    pub predicted: Vec<String>,
    /// When the dump was taken.
    pub taken: Option<String>,
    /// Start of the first line.
    pub first: Option<String>,
    /// Start of the last one.
    pub last: Option<String>,
    /// How many lines.
    pub lines: u64,
}

/// What another configuration would change.
#[derive(Clone, Debug, Default, Serialize)]
pub struct After {
    /// Lines that it was asked of; of manifests those that the configuration before them explains.
    pub asked: u64,
    /// Of those, the ones that would go elsewhere.
    pub elsewhere: u64,
    /// Those that may, by what the client sent or which pod it was: something may become of them that could not before.
    pub may: u64,
    /// Which would, the most first.
    pub moves: Vec<Move>,
    /// What the manifests change, a sentence each; empty where dumps were given.
    pub changes: Vec<String>,
    /// What was not worked out of them, a sentence each; empty where dumps were given.
    pub open: Vec<String>,
}

/// Lines that would go elsewhere.
#[derive(Clone, Debug, Serialize)]
pub struct Move {
    /// The workload that wrote them, else its address.
    pub source: String,
    /// What was dialled.
    pub destination: String,
    /// Where they went.
    pub from: String,
    /// Where they would go.
    pub to: Vec<String>,
    /// How many.
    pub lines: u64,
}

/// The comparison, if configuration was given.
pub(super) fn mesh(gathered: &Gathered<'_>) -> Option<Mesh> {
    let replayed = gathered.replayed?;
    let proxies = replayed.mesh.proxies.iter().map(|proxy| Proxy {
        pod: proxy.node.pod.to_string(),
        namespace: proxy.node.namespace.to_string(),
        taken: proxy.taken.and_then(Micros::shown),
        version: proxy.node.version.to_string(),
        files: proxy.files.iter().map(ToString::to_string).collect(),
        listeners: proxy.listeners.len(),
        clusters: proxy.clusters.len(),
        endpoints: proxy.endpoints.values().map(Vec::len).sum(),
    });
    Some(Mesh {
        proxies: proxies.collect(),
        beside_logs: replayed.mesh.beside_logs,
        left_out: replayed.mesh.left_out.clone(),
        compared: compared(gathered, replayed),
        differences: differences(gathered, replayed),
        after: replayed.planned().map(|planned| after(gathered, replayed, planned)),
    })
}

fn compared(gathered: &Gathered<'_>, replayed: &Replayed<'_>) -> Compared {
    let mut sums = Compared::default();
    for (number, _, entry) in gathered.ledger.iter() {
        let count = entry.counts.legs;
        let Some(asked) = replayed.way(number).filter(|_| count > 0) else { continue };
        match &asked.verdict {
            Verdict::Explained => sums.explained += count,
            Verdict::Possible => sums.possible += count,
            Verdict::Differs(_) => sums.differs += count,
            Verdict::Open => sums.open += count,
            Verdict::NotAsked(why) => *sums.not_asked.entry(why.name()).or_default() += count,
        }
    }
    sums
}

fn differences(gathered: &Gathered<'_>, replayed: &Replayed<'_>) -> Vec<Difference> {
    let Gathered { ledger, topology, .. } = *gathered;
    let mut found: Vec<Difference> = Vec::new();
    for (number, way, entry) in ledger.iter().filter(|(_, _, entry)| entry.counts.legs > 0) {
        let Some(asked) = replayed.way(number) else { continue };
        let Verdict::Differs(ends) = &asked.verdict else { continue };
        found.push(Difference {
            source: claims::source(ledger, topology, way),
            destination: way.dest.show(&ledger.names).to_string(),
            logged: ledger.show(way.cluster).into_owned(),
            predicted: ends.iter().cloned().collect(),
            taken: asked.dump.and_then(|dump| replayed.router(dump).proxy.taken).and_then(Micros::shown),
            first: entry.counts.first.shown(),
            last: entry.counts.last.shown(),
            lines: entry.counts.legs,
        });
    }
    found.sort_by(|a, b| {
        let order =
            |row: &Difference| (row.source.clone(), row.destination.clone(), row.logged.clone(), row.first.clone());
        b.lines.cmp(&a.lines).then_with(|| order(a).cmp(&order(b)))
    });
    found
}

fn after(gathered: &Gathered<'_>, replayed: &Replayed<'_>, planned: &Planned) -> After {
    let Gathered { ledger, topology, .. } = *gathered;
    let mut all = After { changes: planned.changes.clone(), open: planned.open.clone(), ..After::default() };
    let mut moves: BTreeMap<(String, String, String, BTreeSet<String>), u64> = BTreeMap::new();
    for (number, way, entry) in ledger.iter().filter(|(_, _, entry)| entry.counts.legs > 0) {
        let Some(asked) = replayed.way(number) else { continue };
        if matches!(asked.verdict, Verdict::NotAsked(Why::NoDestination | Why::SideUnknown | Why::NothingSaid)) {
            continue;
        }
        if planned.from_manifests && !matches!(asked.verdict, Verdict::Explained | Verdict::Possible) {
            continue;
        }
        all.asked += entry.counts.legs;
        all.may += if asked.after == Then::May { entry.counts.legs } else { 0 };
        if let Then::Elsewhere(ends) = &asked.after {
            all.elsewhere += entry.counts.legs;
            let destination = way.dest.show(&ledger.names).to_string();
            let from = ledger.show(way.cluster).into_owned();
            *moves.entry((claims::source(ledger, topology, way), destination, from, ends.clone())).or_default() +=
                entry.counts.legs;
        }
    }
    all.moves = moves
        .into_iter()
        .map(|((source, destination, from, to), lines)| Move {
            source,
            destination,
            from,
            to: to.into_iter().collect(),
            lines,
        })
        .collect();
    all.moves.sort_by_key(|row| std::cmp::Reverse(row.lines));
    all
}
