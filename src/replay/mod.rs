//! `Replayed`: every way of the log, asked again of the configuration of the proxy that logged it.
//!
//! A way is asked of each dump that was in force at its time: those of its pod, or of all pods of its workload where it
//! does not tell them apart. If one of the answers is what the log says, the configuration explains the way; if none is,
//! it is not the configuration that the proxy had. A way does not keep the host and path of a request, so HTTP is only
//! as certain as its routes allow.

mod dumps;
mod prediction;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::field::flag::Flags;
use crate::ledger::Ledger;
use crate::leg::{Protocol, Side, Way};
use crate::measure::Span;
use crate::mesh::{Direction, Mesh, To};
use crate::names::Names;
use crate::route::{Answer, Bytes, End, Fate, Landing, Outcome, Question, Replay, Request, Router, Sni, chain_of};
use crate::topology::Topology;
use crate::whatif::Planned;
use dumps::Dumps;
pub use prediction::Prediction;

/// How a way and the configuration go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Whatever the client sent, this is where it goes.
    Explained,
    /// One of the ways that it may go, by what the client sent.
    Possible,
    /// It goes elsewhere: the clusters, or what else becomes of it.
    Differs(BTreeSet<String>),
    /// The configuration leads on in a way that is not followed.
    Open,
    /// It could not be asked.
    NotAsked(Why),
}

/// Why a way could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// No dump is of the proxy that logged it.
    NoDump,
    /// The line does not say what was dialled.
    NoDestination,
    /// The line does not say which side wrote it.
    SideUnknown,
    /// The line names neither a cluster nor how it ended.
    NothingSaid,
}

impl Why {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Why::NoDump => "no-dump-of-the-proxy",
            Why::NoDestination => "no-destination",
            Why::SideUnknown => "side-unknown",
            Why::NothingSaid => "no-cluster-logged",
        }
    }
}

/// What becomes of a way's connections by the configuration that may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// What became of them before.
    Same,
    /// That, or something else that could not become of them before: by what the client sent, or which pod it was.
    May,
    /// Something else: the clusters, or what else becomes of them.
    Elsewhere(BTreeSet<String>),
}

/// What one way came to.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How it compares.
    pub verdict: Verdict,
    /// The dump that says so, by its place among the proxies; of those that agree the first.
    pub dump: Option<usize>,
    /// Where that dump sends it, in the word of reports, if it went there.
    pub end: Option<Box<str>>,
    /// What becomes of its connections by the configuration that may come; they stay without such.
    pub after: Then,
}

/// A configuration, and the ways of a log as they compare with it.
#[derive(Debug)]
pub struct Replayed<'m> {
    /// What was given.
    pub mesh: &'m Mesh,
    now: State<'m>,
    /// The configuration that may come, and how it is asked.
    after: Option<(&'m Planned, State<'m>)>,
    /// By the number of the way.
    asked: Vec<Asked>,
}

/// A way as a dump has it: the outcome that the log shows.
#[derive(Debug)]
pub struct Shown<'r, 'm> {
    /// The proxy, ready to be asked more.
    pub router: &'r Router<'m>,
    /// What was dialled.
    pub to: SocketAddr,
    /// The listener; none if no listener takes the connection.
    pub landing: Option<Landing>,
    /// The chain, and how it ends.
    pub outcome: Outcome<'m>,
}

/// What may become of a way.
#[derive(Debug, Default)]
struct Ends {
    /// The clusters, and what else.
    all: BTreeSet<String>,
    /// What was logged is among them, or nobody can say.
    stays: bool,
    /// What was logged is among them without mTLS, whose clients in the mesh always send a name, for a line without one.
    stays_plain: bool,
}

/// One state of a mesh, as it is asked.
#[derive(Debug)]
struct State<'m> {
    mesh: &'m Mesh,
    replays: Vec<Replay<'m>>,
}

impl<'m> Replayed<'m> {
    /// Nothing asked yet; `after` is the configuration that may come.
    pub fn new(mesh: &'m Mesh, after: Option<&'m Planned>) -> Replayed<'m> {
        let after = after.map(|planned| (planned, State::of(&planned.mesh)));
        Replayed { mesh, now: State::of(mesh), after, asked: Vec::new() }
    }

    /// Asks every way of a ledger, as it is now.
    pub fn compare(&mut self, ledger: &Ledger, topology: &Topology) {
        let dumps = Dumps::of(self.mesh, ledger, topology);
        let later = self.after.as_ref().map(|(_, state)| Dumps::of(state.mesh, ledger, topology));
        self.asked.clear();
        for (_, way, entry) in ledger.iter() {
            let time = Span { first: entry.counts.first, last: entry.counts.last, count: entry.counts.legs };
            let asked = self.now.ask(way, &dumps.in_force(way, &time), &ledger.names);
            let coming = self.after.as_mut().zip(later.as_ref());
            let after = coming.map_or(Then::Same, |((planned, state), later)| {
                let known = matches!(asked.verdict, Verdict::Explained | Verdict::Possible);
                // What manifests change is only known of what the configuration before them explains.
                let later = match planned.from_manifests {
                    true if !known => return Then::Same,
                    true => later.in_force(way, &time),
                    false => later.latest(way),
                };
                let believed = asked.verdict == Verdict::Explained;
                let then = state.ends(way, &later, &ledger.names, believed);
                if !then.stays && !then.all.is_empty() {
                    return Then::Elsewhere(then.all);
                }
                let before = self.now.ends(way, &dumps.in_force(way, &time), &ledger.names, believed);
                let lost = before.stays_plain && !then.stays_plain;
                if known && (lost || !then.all.is_subset(&before.all)) { Then::May } else { Then::Same }
            });
            self.asked.push(Asked { after, ..asked });
        }
    }

    /// What a way came to.
    pub fn way(&self, number: u32) -> Option<&Asked> {
        self.asked.get(number as usize)
    }

    /// A way as the dump has it that explains it; none where none does.
    pub fn shown(&self, number: u32, way: &Way, names: &Names) -> Option<Shown<'_, 'm>> {
        let asked = self.way(number)?;
        if !matches!(asked.verdict, Verdict::Explained | Verdict::Possible) {
            return None;
        }
        let (router, question) = (self.router(asked.dump?), question(way, names).ok()?);
        let answer = router.answer(&question);
        let logged = names.show(way.cluster);
        let outcome = spoken(router, &answer, way).into_iter().find(|outcome| fits(outcome.end, &logged, way))?;
        Some(Shown { router, to: question.to, landing: answer.landing, outcome })
    }

    /// The router of a dump.
    pub fn router(&self, dump: usize) -> &Router<'m> {
        self.now.replays[dump].router()
    }

    /// The configuration that may come, if there is one.
    pub fn planned(&self) -> Option<&'m Planned> {
        self.after.as_ref().map(|(planned, _)| *planned)
    }
}

impl<'m> State<'m> {
    fn of(mesh: &'m Mesh) -> State<'m> {
        State { mesh, replays: mesh.proxies.iter().map(Replay::new).collect() }
    }

    /// How a way compares with these dumps, and the one that says so.
    fn ask(&mut self, way: &Way, dumps: &[usize], names: &Names) -> Asked {
        let asked = |verdict, dump, end| Asked { verdict, dump, end, after: Then::Same };
        let not = |why| asked(Verdict::NotAsked(why), None, None);
        let question = match question(way, names) {
            Ok(question) => question,
            Err(why) => return not(why),
        };
        let logged = names.show(way.cluster);
        if logged.is_empty() && way.flags.is_empty() && way.status == 0 {
            return not(Why::NothingSaid);
        }
        let (mut explained, mut possible, mut open) = (None, None, None);
        let mut others = BTreeSet::new();
        for dump in dumps {
            let (mut router, mut answer) = self.answer(*dump, &question);
            let mut outcomes = spoken(router, &answer, way);
            // A route may rewrite the host, and the log has what it made of it.
            let rewritten = question.http.is_some() && !outcomes.iter().any(|outcome| fits(outcome.end, &logged, way));
            if rewritten {
                (router, answer) = self.answer(*dump, &Question { http: None, ..question.clone() });
                outcomes = spoken(router, &answer, way);
            }
            let fits = outcomes.iter().filter(|outcome| fits(outcome.end, &logged, way));
            let end: Option<Box<str>> = fits.clone().next().map(|outcome| outcome.end.word().into());
            let fitting = fits.count();
            // A line that names a cluster rules out the ends that have none.
            let at_cluster = |end: End<'_>| matches!(end, End::Cluster { .. } | End::Open(_));
            // One that no chain took and that has no name rules out mTLS, whose clients always send one.
            let nameless = question.sni == Sni::Absent && way.flags.any(Flags::of(&["NR"]));
            let ruled_out = |outcome: &&Outcome<'m>| {
                (!logged.is_empty() && !at_cluster(outcome.end))
                    || (nameless && asks_for_certificate(router, &answer, outcome))
            };
            let left = outcomes.iter().filter(|outcome| !ruled_out(outcome)).count();
            let known = if fitting > 0 && fitting == left && !rewritten {
                &mut explained
            } else if fitting > 0 {
                &mut possible
            } else if answer.is_open() {
                &mut open
            } else {
                others.extend(ends(&outcomes));
                continue;
            };
            known.get_or_insert((*dump, end));
        }
        match (explained, possible, open) {
            // Of several pods, or dumps, some may not be those that were asked.
            (Some((dump, end)), ..) => asked(Verdict::Explained, Some(dump), end),
            (None, Some((dump, end)), _) => asked(Verdict::Possible, Some(dump), end),
            (None, None, Some((dump, _))) => asked(Verdict::Open, Some(dump), None),
            (None, None, None) if dumps.is_empty() => not(Why::NoDump),
            (None, None, None) => asked(Verdict::Differs(others), dumps.last().copied(), None),
        }
    }

    fn answer(&mut self, dump: usize, question: &Question<'_>) -> (&Router<'m>, Arc<Answer<'m>>) {
        let answer = self.replays[dump].ask(question);
        (self.replays[dump].router(), answer)
    }

    /// What may become of a way by these dumps. The host that it names is believed where it explains what was logged.
    fn ends(&mut self, way: &Way, dumps: &[usize], names: &Names, believed: bool) -> Ends {
        let mut found = Ends { stays: dumps.is_empty(), ..Ends::default() };
        let Ok(mut question) = question(way, names) else { return Ends { stays: true, ..found } };
        question.http = question.http.filter(|_| believed);
        let logged = names.show(way.cluster);
        for dump in dumps {
            let (router, answer) = self.answer(*dump, &question);
            let outcomes = spoken(router, &answer, way);
            found.stays |= answer.is_open();
            for outcome in outcomes.iter().filter(|outcome| fits(outcome.end, &logged, way)) {
                found.stays = true;
                found.stays_plain |= question.sni == Sni::Absent && !asks_for_certificate(router, &answer, outcome);
            }
            found.all.extend(ends(&outcomes));
        }
        found
    }
}

/// The question that a way asks of its proxy.
fn question<'n>(way: &Way, names: &'n Names) -> Result<Question<'n>, Why> {
    let direction = match way.side {
        Side::Outbound | Side::Gateway => Direction::Outbound,
        Side::Inbound => Direction::Inbound,
        Side::Unknown => return Err(Why::SideUnknown),
    };
    let to = address(way.dest, names).ok_or(Why::NoDestination)?;
    let name = names.get(way.sni);
    // Of clients' ways on which nothing went wrong the name is not kept.
    let told = direction == Direction::Inbound || !way.flags.is_empty();
    let sni = match std::str::from_utf8(name) {
        _ if !told => Sni::Unknown,
        Ok("") => Sni::Absent,
        Ok(name) => Sni::Name(name.into()),
        Err(_) => Sni::Unknown,
    };
    let question = match direction {
        Direction::Outbound => Question::outbound(to),
        Direction::Inbound => Question::inbound(to),
    };
    // A path may be any of very many, so it is not kept at all.
    let authority = names.get(way.authority);
    let host = std::str::from_utf8(authority).ok().filter(|host| !host.is_empty());
    let http = host.map(|host| Request { host: host.into(), path: None });
    Ok(Question { sni, bytes: Bytes::Unknown, http, ..question })
}

/// An endpoint as a socket has it.
fn address(endpoint: Endpoint, names: &Names) -> Option<SocketAddr> {
    Some(SocketAddr::new(endpoint.ip().address(names)?, endpoint.port())).filter(|address| address.port() != 0)
}

/// Whether an end is what the log says.
fn fits(end: End<'_>, logged: &str, way: &Way) -> bool {
    match end {
        End::Cluster { name, fate } if logged.is_empty() => {
            // Old releases leave the cluster out where nothing could be chosen from it.
            let lost = way.flags.any(Flags::of(&["UH", "NC", "UO"]));
            lost && (fate != Fate::Goes || way.flags.any(Flags::of(&["UO"]))) && !name.is_empty()
        }
        End::Cluster { name, .. } => name == logged,
        End::NoChain => logged.is_empty() && way.flags.any(Flags::of(&["NR"])),
        End::NoRoute => logged.is_empty() && way.protocol == Protocol::Http && way.status == 404,
        End::Direct(status) => logged.is_empty() && status == way.status,
        End::Redirect => logged.is_empty() && (300..400).contains(&way.status),
        End::NotHttp => logged.is_empty() && way.flags.any(Flags::of(&["DPE"])),
        End::NoListener | End::Closed | End::NotTls | End::Open(_) => false,
    }
}

/// The outcomes of an answer without those that the line rules out: on TCP no chain read HTTP, and the other way round; and
/// what a client sends whose requests were read is HTTP.
fn spoken<'m>(router: &Router<'m>, answer: &Answer<'m>, way: &Way) -> Vec<Outcome<'m>> {
    let broken = way.flags.any(Flags::of(&["DPE"]));
    let spoken = |outcome: &Outcome<'m>| match chain_of(router.proxy, answer, outcome).map(|chain| &chain.to) {
        Some(To::Tcp(_)) => way.protocol == Protocol::Tcp,
        Some(To::Rds(_) | To::Inline(_)) => way.protocol == Protocol::Http && (broken || outcome.end != End::NotHttp),
        _ => true,
    };
    let outcomes: Vec<Outcome<'m>> = answer.outcomes.iter().copied().filter(spoken).collect();
    if outcomes.is_empty() { answer.outcomes.clone() } else { outcomes }
}

/// Whether an outcome is that of a chain of mTLS.
fn asks_for_certificate(router: &Router<'_>, answer: &Answer<'_>, outcome: &Outcome<'_>) -> bool {
    let tls = chain_of(router.proxy, answer, outcome).and_then(|chain| chain.tls);
    tls.is_some_and(|tls| tls.requires_client_certificate)
}

/// What may become of a connection, in the words of reports.
fn ends(outcomes: &[Outcome<'_>]) -> BTreeSet<String> {
    outcomes.iter().map(|outcome| outcome.end.word().to_owned()).collect()
}
