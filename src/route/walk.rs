//! The way of a connection with everything that decided it: what was asked, who won, who lost and why.
//!
//! It is made from the very steps of [`Router::answer`], so that what is explained is what is counted.

use serde::Serialize;

use super::addresses::{How, Landing, canonical, wildcard};
use super::answer::{Answer, End};
use super::behind::{Behind, Known, Owner, pod};
use super::chains::ChainAt;
use super::http::Table;
use super::lost::{Lost, called, lost, takes};
use super::question::{Bytes, Question};
use super::router::{Exit, Router};
use super::seen::Wire;
use super::table::is_catch_all;
use super::upstream;
use super::words::{in_words, routed, said, says, sends, shown, why};
use crate::field::value::Micros;
use crate::mesh::{self, Address, Inspector};

/// A connection's way through a proxy.
#[derive(Clone, Debug, Serialize)]
pub struct Walk {
    /// The proxy's pod with its namespace.
    pub pod: String,
    /// When its configuration was taken, RFC 3339.
    pub taken: Option<String>,
    /// `outbound` or `inbound`.
    pub direction: &'static str,
    /// Address and port.
    pub destination: String,
    /// Who has the address.
    pub owners: Vec<Owner>,
    /// Clusters of this proxy that have the address as an endpoint.
    pub endpoint_of: Vec<String>,
    /// Where a listener was looked for, in order.
    pub tried: Vec<Tried>,
    /// The listener; none if there is none.
    pub listener: Option<Step>,
    /// What may become of the connection.
    pub branches: Vec<Branch>,
    /// Whether all of it ends the same.
    pub certain: bool,
    /// What is not known, and what else to keep in mind.
    pub notes: Vec<String>,
}

/// A place where a listener was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// An address, or the name of the listener that iptables sends to.
    pub place: String,
    /// What was found there.
    pub found: String,
}

/// What won a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name, or for a chain its place: `#2`.
    pub name: String,
    /// Why this one.
    pub why: String,
    /// The object that made it, if the dump says so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub made_by: String,
    /// When the proxy got it, RFC 3339.
    pub updated: Option<String>,
}

/// A chain that may take the connection, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// What the client must send for it; empty if that makes no difference.
    pub when: Vec<String>,
    /// The chain; none if no chain takes it.
    pub chain: Option<Step>,
    /// What the chain takes; empty for everything.
    pub takes: Vec<String>,
    /// Those that lost; left out in the branches behind the first few dozen.
    pub lost: Vec<Lost>,
    /// Where it leads.
    pub goes: Vec<Goes>,
}

/// An end of a way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Goes {
    /// `cluster`, `no-listener`, `no-chain`, `no-route`, `direct-response`, `redirect`, `closed`, `not-tls`, `not-http`, `open`.
    pub end: &'static str,
    /// In words.
    pub says: String,
    /// The response flags that it leaves in the log, if any.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub flags: &'static str,
    /// The route that led there, step by step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// The cluster; none for other ends.
    pub cluster: Option<Target>,
}

/// A cluster at the end of a way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// How it finds its endpoints; empty if it was not given.
    pub kind: String,
    /// Its endpoints: address, and what there is to say.
    pub endpoints: Vec<(String, String)>,
    /// The TLS that the server sees.
    pub tls: String,
    /// The SNI of it, if the proxy sends one.
    pub sni: Option<String>,
    /// Objects behind it.
    pub behind: Vec<Behind>,
    /// The object that shaped it, if the dump says so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub made_by: String,
    /// When the proxy got it.
    pub updated: Option<String>,
}

impl<'m> Router<'m> {
    /// Where a connection goes, and why.
    pub fn walk(&self, question: &Question<'_>, known: &Known<'m>) -> Walk {
        let to = canonical(question.to);
        let proxy = self.proxy;
        let behind = |cluster: &mesh::Cluster| {
            let at = upstream::endpoints(proxy, cluster)?.iter().any(|end| end.address == Address::Ip(to));
            (at && !upstream::goes_on(&cluster.name, Some(cluster))).then(|| cluster.name.to_string())
        };
        let mut walk = Walk {
            pod: pod(proxy),
            taken: proxy.taken.and_then(Micros::shown),
            direction: match question.direction {
                mesh::Direction::Outbound => "outbound",
                mesh::Direction::Inbound => "inbound",
            },
            destination: to.to_string(),
            owners: known.owners(to.ip()).to_vec(),
            endpoint_of: proxy.clusters.values().filter_map(behind).collect(),
            tried: Vec::new(),
            listener: None,
            branches: Vec::new(),
            certain: false,
            notes: Vec::new(),
        };
        if let Some(landing) = self.landing(question) {
            self.through(question, landing, known, &mut walk);
        } else {
            let exit = Exit { end: self.nobody(), weight: None, hit: None };
            let goes = vec![self.goes(&exit, None, known)];
            walk.branches.push(Branch { when: Vec::new(), chain: None, takes: Vec::new(), lost: Vec::new(), goes });
        }
        let answer = self.answer(question);
        walk.certain = answer.certain().is_some() && !answer.is_open();
        self.notes(question, &answer, &mut walk);
        walk
    }

    fn through(&self, question: &Question<'_>, landing: Landing, known: &Known<'m>, walk: &mut Walk) {
        let listener = &self.proxy.listeners[landing.listener];
        walk.tried = self.tried(question, landing);
        walk.listener = Some(Step {
            name: listener.name.to_string(),
            why: why(landing.how, question).to_owned(),
            made_by: listener.made_by.to_string(),
            updated: listener.updated.and_then(Micros::shown),
        });
        let ways = self.ways(question, landing);
        // One branch a chain and what comes of it; what the client sends is gathered.
        let mut seen: Vec<(Option<ChainAt>, Vec<Exit<'m>>)> = Vec::new();
        for way in &ways {
            for chain in &way.chains {
                let exits = self.exits(question, landing, &way.wire, *chain);
                let place = seen.iter().position(|(at, other)| at == chain && *other == exits);
                let place = place.unwrap_or_else(|| {
                    let mut branch = self.branch(landing, *chain, &exits, known);
                    if walk.branches.len() < TOLD {
                        branch.lost = lost(listener, &way.found, canonical(question.to), sni_of(&way.wire));
                    }
                    walk.branches.push(branch);
                    seen.push((*chain, exits));
                    seen.len() - 1
                });
                walk.branches[place].when.push(sends(&way.wire));
            }
        }
        if let [only] = &mut walk.branches[..] {
            only.when.clear();
        }
    }

    fn branch(&self, landing: Landing, at: Option<ChainAt>, exits: &[Exit<'m>], known: &Known<'m>) -> Branch {
        let listener = &self.proxy.listeners[landing.listener];
        let chain = at.and_then(|at| at.of(listener));
        let asks = chain.map_or_else(Vec::new, |chain| takes(&chain.takes));
        let table = at.and_then(|at| self.table(landing.listener, at));
        let step = |chain: &mesh::Chain| Step {
            name: match at {
                Some(ChainAt::Place(place)) => called(place, chain),
                _ if chain.name.is_empty() => "default chain".into(),
                _ => chain.name.to_string(),
            },
            why: match at {
                Some(ChainAt::Default) if listener.chains.is_empty() => "the only one".into(),
                Some(ChainAt::Default) => "the listener's default, as no other takes the connection".into(),
                _ if asks.is_empty() && listener.chains.len() == 1 => "takes everything".into(),
                _ if asks.is_empty() => "takes what no other does".into(),
                _ => "takes ".to_owned() + &asks.join(", "),
            },
            made_by: chain.made_by.to_string(),
            updated: None,
        };
        Branch {
            when: Vec::new(),
            chain: chain.map(step),
            lost: Vec::new(),
            goes: exits.iter().map(|exit| self.goes(exit, table, known)).collect(),
            takes: asks,
        }
    }

    fn goes(&self, exit: &Exit<'m>, table: Option<&Table<'m>>, known: &Known<'m>) -> Goes {
        let (end, says, flags) = said(exit.end);
        let mut by = match (table, exit.hit) {
            (Some(table), Some(hit)) => routed(table, hit),
            _ => Vec::new(),
        };
        if let Some((weight, sum)) = exit.weight {
            by.push(format!("weight {weight} of {sum}"));
        }
        let cluster = match exit.end {
            End::Cluster { name, .. } => Some(self.target(name, known)),
            _ => None,
        };
        Goes { end, says, flags, by, cluster }
    }

    fn target(&self, name: &str, known: &Known<'m>) -> Target {
        let cluster = self.proxy.clusters.get(name);
        let tls = self.tls(name, None);
        let endpoints = cluster.and_then(|cluster| Some((cluster, upstream::endpoints(self.proxy, cluster)?)));
        let goes_on = upstream::goes_on(name, cluster);
        let said = |(cluster, all): (&'m mesh::Cluster, &'m [mesh::Endpoint])| {
            all.iter().map(|endpoint| (shown(&endpoint.address), says(cluster, endpoint, &tls))).collect()
        };
        Target {
            name: name.to_owned(),
            kind: cluster.map_or_else(String::new, |cluster| cluster.kind.to_string()),
            // Of ORIGINAL_DST a dump has the addresses that were used lately, which say nothing of this connection.
            endpoints: endpoints.filter(|_| !goes_on).map_or_else(Vec::new, said),
            tls: in_words(&tls, goes_on).to_owned(),
            sni: tls.sni().map(str::to_owned),
            behind: known.behind(self.proxy, name),
            made_by: cluster.map_or_else(String::new, |cluster| cluster.made_by.to_string()),
            updated: cluster.and_then(|cluster| cluster.updated).and_then(Micros::shown),
        }
    }

    /// Where a listener was looked for before there was one.
    fn tried(&self, question: &Question<'_>, landing: Landing) -> Vec<Tried> {
        let to = canonical(question.to);
        let name = |place: usize| self.proxy.listeners[place].name.to_string();
        let mut tried = Vec::new();
        if let Some(first) = landing.accepted_by {
            tried.push(Tried { place: name(first), found: "accepted it and handed it on".into() });
        }
        let asleep = |address| {
            let sleeping = self.proxy.listeners.iter().find(|l| !l.active && l.addresses.contains(&address));
            sleeping.map_or("no listener".to_owned(), |listener| format!("only {}, which is not active", listener.name))
        };
        let nobody = |address: std::net::SocketAddr| Tried { place: address.to_string(), found: asleep(address) };
        match landing.how {
            How::Exact | How::Bound | How::Accepting => {}
            How::Wildcard | How::Ipv4Compat => tried.push(nobody(to)),
            How::Kept => tried.extend([nobody(to), nobody(wildcard(to))]),
        }
        tried
    }

    /// What decides and is not known, and what else a person should keep in mind.
    fn notes(&self, question: &Question<'_>, answer: &Answer<'m>, walk: &mut Walk) {
        let Some(landing) = answer.landing else {
            return walk.notes.extend(self.proxy.listeners.is_empty().then(|| "no listeners were given".to_owned()));
        };
        let listener = &self.proxy.listeners[landing.listener];
        let eyes = self.eyes(landing, question.to.port());
        let notes = &mut walk.notes;
        if let Some(refused) = &listener.error {
            notes.push(format!("the proxy refused the last update of {}: {}", listener.name, refused.details));
        }
        if landing.accepted_by.is_some() && listener.addresses.iter().any(|at| is_catch_all(listener, *at)) {
            notes.push(format!(
                "{} is a catch-all: it takes every address on the port that no other has",
                listener.name
            ));
        }
        if answer.certain().is_none() && walk.branches.len() > 1 {
            notes.push("what the client sends first decides: say it with --bytes, --sni or --http".into());
        }
        if walk.branches.iter().flat_map(|branch| &branch.goes).any(|goes| goes.by.iter().any(|by| is_weight(by))) {
            notes.push("weights choose, connection by connection".into());
        }
        for filter in &listener.other_filters {
            notes.push(format!("the listener filter {filter} is not followed: chains may see other values"));
        }
        if eyes.doubtful {
            notes.push("whether the inspectors look at this port is not known; it was taken that they do".into());
        }
        let waits = listener.inspection_timeout.filter(|_| eyes.tls || eyes.http);
        if let Some(millis) = waits.filter(|millis| *millis > 0) {
            notes.push(format!("a client that waits for the server's first bytes is let through after {millis} ms"));
        } else if waits == Some(0) {
            notes.push("a client that waits for the server's first bytes waits for ever, as the inspectors do".into());
        }
        let chains = || answer.outcomes.iter().filter_map(|outcome| outcome.chain?.of(listener));
        let filters: Vec<&str> = chains().flat_map(|chain| chain.filters.iter().map(|filter| &**filter)).collect();
        if let Some(filter) = filters.iter().find(|filter| filter.contains("rbac") || filter.contains("ext_authz")) {
            notes.push(format!("{filter} may refuse the connection before it goes on"));
        }
        let certified = chains().any(|chain| chain.tls.is_some_and(|tls| tls.requires_client_certificate));
        if certified && question.bytes != Bytes::Mtls {
            notes.push(
                "a chain with mTLS refuses whoever has no certificate of the mesh, TLS of the client's own too".into(),
            );
        }
        if !self.proxy.has.clusters {
            notes.push("no clusters were given: whether they are there and have endpoints is not known".into());
        }
        if self.proxy.has.only_table {
            notes.push("only a table of istioctl was given: inspectors and filters are not in it".into());
        }
        if listener.inspection_timeout.is_none() && eyes.tls && listener.tls_inspector == Inspector::Absent {
            notes.push("the listener that accepts looks for TLS, this one does not".into());
        }
    }
}

/// So many branches tell what lost: a listener of a thousand server names has a thousand branches, and in each of them
/// all the others lost.
const TOLD: usize = 32;

/// The server name that a client sends; empty for none.
fn sni_of<'w>(wire: &'w Wire<'_>) -> &'w str {
    match wire {
        Wire::Tls { sni, .. } => sni,
        _ => "",
    }
}

fn is_weight(by: &str) -> bool {
    by.starts_with("weight ")
}
