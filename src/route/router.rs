//! A proxy's configuration, ready to be asked where connections go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::addresses::{Addresses, Landing, canonical};
use super::answer::{Answer, End, Open, Outcome};
use super::chains::{ChainAt, Chains, Found};
use super::http::{Hit, Table, clusters};
use super::question::{Question, Request};
use super::seen::{Eyes, Names, Wire, wires};
use super::upstream::{self, Fate, Tls};
use crate::mesh::{Chain, Endpoint, Proxy, Route, RouteTo, To};

/// Follows connections through one proxy. Made once; a question costs microseconds, a repeated one of a [`Replay`] a
/// look into a table.
#[derive(Debug)]
pub struct Router<'m> {
    /// The proxy.
    pub proxy: &'m Proxy,
    addresses: Addresses,
    listeners: Vec<Listening<'m>>,
    /// Route configurations by name.
    tables: BTreeMap<&'m str, Table<'m>>,
    by_source: bool,
    by_path: bool,
    rewrites_host: bool,
}

/// A listener, ready to be asked.
#[derive(Debug)]
struct Listening<'m> {
    chains: Chains<'m>,
    names: Names<'m>,
    /// Route configurations that are written into chains.
    inline: BTreeMap<ChainAt, Table<'m>>,
}

/// A way that a connection may take, as far as the chain.
#[derive(Debug)]
pub(super) struct Way<'a, 'm> {
    /// What the client was taken to send.
    pub(super) wire: Wire<'a>,
    /// How the chain was found.
    pub(super) found: Found<'m>,
    /// The chains that it may be; none stands for no chain.
    pub(super) chains: Vec<Option<ChainAt>>,
}

/// An end, and the route that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit<'m> {
    pub(super) end: End<'m>,
    /// The part of the connections that weights give it; none where there are no weights.
    pub(super) weight: Option<(u64, u64)>,
    pub(super) hit: Option<Hit>,
}

impl<'m> Router<'m> {
    /// Reads a proxy's configuration.
    pub fn new(proxy: &'m Proxy) -> Router<'m> {
        let listeners: Vec<Listening<'m>> = proxy
            .listeners
            .iter()
            .map(|listener| {
                let places = (0..listener.chains.len()).map(ChainAt::Place).chain([ChainAt::Default]);
                let inline = places.filter_map(|at| match &at.of(listener)?.to {
                    To::Inline(config) => Some((at, Table::of(config))),
                    _ => None,
                });
                Listening { chains: Chains::of(&listener.chains), names: Names::of(listener), inline: inline.collect() }
            })
            .collect();
        let tables: BTreeMap<&str, Table<'m>> =
            proxy.routes.iter().map(|(name, config)| (&**name, Table::of(config))).collect();
        let every_table = || tables.values().chain(listeners.iter().flat_map(|listener| listener.inline.values()));
        Router {
            proxy,
            addresses: Addresses::of(proxy),
            by_source: listeners.iter().any(|listener| listener.chains.by_source),
            by_path: every_table().any(|table| table.by_path),
            rewrites_host: every_table().any(Table::rewrites_host),
            listeners,
            tables,
        }
    }

    /// Where a connection goes.
    pub fn answer(&self, question: &Question<'_>) -> Answer<'m> {
        let Some(landing) = self.landing(question) else {
            return Answer { landing: None, outcomes: vec![Outcome { chain: None, end: self.nobody() }] };
        };
        let (mut outcomes, mut met) = (Vec::new(), HashSet::new());
        for way in self.ways(question, landing) {
            for chain in &way.chains {
                for exit in self.exits(question, landing, &way.wire, *chain) {
                    let outcome = Outcome { chain: *chain, end: exit.end };
                    if met.insert(outcome) {
                        outcomes.push(outcome);
                    }
                }
            }
        }
        Answer { landing: Some(landing), outcomes }
    }

    /// What the server's side gets to see of a connection to a cluster: to one of its endpoints, or to all.
    pub fn tls(&self, cluster: &str, endpoint: Option<SocketAddr>) -> Tls<'m> {
        upstream::tls(self.proxy, cluster, endpoint)
    }

    /// The endpoints of a cluster; none if there is no such cluster, or what was given does not have them.
    pub fn endpoints(&self, cluster: &str) -> Option<&'m [Endpoint]> {
        upstream::endpoints(self.proxy, self.proxy.clusters.get(cluster)?)
    }

    /// The first decision.
    pub(super) fn landing(&self, question: &Question<'_>) -> Option<Landing> {
        self.addresses.landing(self.proxy, question.direction, question.to)
    }

    /// What is so where no listener takes a connection.
    pub(super) fn nobody(&self) -> End<'m> {
        if self.proxy.listeners.is_empty() { End::Open(Open::NoListeners) } else { End::NoListener }
    }

    /// The inspectors that look at a connection.
    pub(super) fn eyes(&self, landing: Landing, port: u16) -> Eyes {
        let before = landing.accepted_by.map(|place| &self.proxy.listeners[place]);
        Eyes::of(&self.proxy.listeners[landing.listener], before, port)
    }

    /// The second decision: every chain that a connection may get, once for each thing that its client may send.
    pub(super) fn ways<'a>(&'a self, question: &'a Question<'_>, landing: Landing) -> Vec<Way<'a, 'm>> {
        let (listener, listening) = (&self.proxy.listeners[landing.listener], &self.listeners[landing.listener]);
        let eyes = self.eyes(landing, question.to.port());
        let to = canonical(question.to);
        let from = question.from.map(canonical);
        let default = listener.default_chain.as_ref().map(|_| ChainAt::Default);
        let way = |wire: Wire<'a>| {
            let found = listening.chains.find(&eyes.see(&wire), to, from);
            let mut chains: Vec<Option<ChainAt>> =
                found.chains.iter().map(|place| Some(ChainAt::Place(*place))).collect();
            if found.maybe_none || chains.is_empty() {
                chains.push(default);
            }
            Way { wire, found, chains }
        };
        wires(question, &listening.names).into_iter().map(way).collect()
    }

    /// The third decision: where a chain sends a connection.
    pub(super) fn exits(
        &self,
        question: &Question<'_>,
        landing: Landing,
        wire: &Wire<'_>,
        chain: Option<ChainAt>,
    ) -> Vec<Exit<'m>> {
        let listener = &self.proxy.listeners[landing.listener];
        let only = |end| vec![Exit { end, weight: None, hit: None }];
        if listener.has_matcher {
            return only(End::Open(Open::Matcher));
        }
        let Some((at, config)) = chain.and_then(|at| at.of(listener).map(|config| (at, config))) else {
            return only(End::NoChain);
        };
        let is_tls = matches!(wire, Wire::Tls { .. });
        if config.tls.is_some() && !is_tls {
            return only(End::NotTls);
        }
        match &config.to {
            To::Tcp(clusters) => match config.filters.iter().find(|filter| filter.ends_with("sni_cluster")) {
                Some(filter) => only(End::Open(Open::Filter(filter))),
                None => self.weighted(clusters, None),
            },
            To::Rds(_) | To::Inline(_) if *wire == Wire::Tcp || is_tls && config.tls.is_none() => only(End::NotHttp),
            To::Rds(name) => match self.tables.get(&**name) {
                Some(table) => self.by_route(table, question.http.as_ref(), is_tls),
                None if self.proxy.has.routes => only(End::NoRoute),
                None => only(End::Open(Open::Routes(name))),
            },
            To::Inline(_) => match self.table(landing.listener, at) {
                Some(table) => self.by_route(table, question.http.as_ref(), is_tls),
                None => only(End::NoRoute),
            },
            To::Other(name) => only(End::Open(Open::Filter(name))),
            To::Words(words) => only(of_words(words)),
            To::Nowhere => only(End::Closed),
        }
    }

    /// The route table of a chain, if it has one that is known.
    pub(super) fn table(&self, listener: usize, at: ChainAt) -> Option<&Table<'m>> {
        match &at.of(&self.proxy.listeners[listener])?.to {
            To::Rds(name) => self.tables.get(&**name),
            To::Inline(_) => self.listeners[listener].inline.get(&at),
            _ => None,
        }
    }

    fn by_route(&self, table: &Table<'m>, request: Option<&Request<'_>>, is_tls: bool) -> Vec<Exit<'m>> {
        let authority = request.map(|request| &*request.host);
        let hits = table.hits(authority, request.and_then(|request| request.path.as_deref()));
        let mut exits = Vec::new();
        for hit in hits.routes {
            let (host, route) = table.at(hit);
            if host.requires_tls && !is_tls {
                exits.push(Exit { end: End::Redirect, weight: None, hit: Some(hit) });
            } else {
                exits.extend(self.by_hit(route, hit));
            }
        }
        if hits.none {
            exits.push(Exit { end: End::NoRoute, weight: None, hit: None });
        }
        exits
    }

    fn by_hit(&self, route: &'m Route, hit: Hit) -> Vec<Exit<'m>> {
        let end = match &route.to {
            RouteTo::Clusters(_) => return self.weighted(clusters(route), Some(hit)),
            RouteTo::ClusterHeader(header) => End::Open(Open::Header(header)),
            RouteTo::Direct(status) => End::Direct(*status),
            RouteTo::Redirect => End::Redirect,
            RouteTo::Other => End::Open(Open::Route(&route.name)),
        };
        vec![Exit { end, weight: None, hit: Some(hit) }]
    }

    fn weighted(&self, clusters: &'m [(Box<str>, u64)], hit: Option<Hit>) -> Vec<Exit<'m>> {
        let sum: u64 = clusters.iter().map(|(_, weight)| weight).fold(0, |sum, weight| sum.saturating_add(*weight));
        let taken = clusters.iter().filter(|(_, weight)| *weight > 0 || clusters.len() == 1);
        let exits = taken.map(|(name, weight)| Exit {
            end: End::Cluster { name, fate: self.fate(name) },
            weight: (clusters.len() > 1).then_some((*weight, sum)),
            hit,
        });
        exits.collect()
    }

    /// What becomes of connections to a cluster.
    pub fn fate(&self, cluster: &str) -> Fate {
        upstream::fate(self.proxy, cluster)
    }

    /// The same question without what this proxy does not look at.
    fn asked<'q>(&self, question: &'q Question<'q>) -> Question<'q> {
        let mut asked = question.clone();
        if !self.by_source {
            asked.from = None;
        }
        // A log has what a route made of the host.
        if self.rewrites_host {
            asked.http = None;
        }
        if !self.by_path
            && let Some(request) = &mut asked.http
        {
            request.path = None;
        }
        asked
    }
}

/// What a table that `istioctl` printed says of a chain: `Cluster: NAME`, `PassthroughCluster`, `Route: NAME`.
fn of_words(words: &str) -> End<'_> {
    let name = words.strip_prefix("Cluster: ").unwrap_or(words).trim();
    if !name.is_empty() && !name.contains(' ') && (words != name || name.ends_with("Cluster")) {
        return End::Cluster { name, fate: Fate::Unknown };
    }
    End::Open(Open::Words(words))
}

/// The chain that an answer names.
pub fn chain_of<'m>(proxy: &'m Proxy, answer: &Answer<'m>, outcome: &Outcome<'m>) -> Option<&'m Chain> {
    outcome.chain?.of(&proxy.listeners[answer.landing?.listener])
}

/// A router that remembers: of a million connections most ask what was asked before.
#[derive(Debug)]
pub struct Replay<'m> {
    router: Router<'m>,
    known: HashMap<Question<'static>, Arc<Answer<'m>>>,
}

/// So many questions are kept: past that a log asks something new each time, and keeping it helps nobody.
const KEPT: usize = 1 << 20;

impl<'m> Replay<'m> {
    /// Begins with nothing known.
    pub fn new(proxy: &'m Proxy) -> Replay<'m> {
        Replay { router: Router::new(proxy), known: HashMap::default() }
    }

    /// The router itself.
    pub fn router(&self) -> &Router<'m> {
        &self.router
    }

    /// Where a connection goes.
    pub fn ask(&mut self, question: &Question<'_>) -> Arc<Answer<'m>> {
        let asked = self.router.asked(question);
        if let Some(answer) = self.known.get(&asked) {
            return Arc::clone(answer);
        }
        let answer = Arc::new(self.router.answer(&asked));
        if self.known.len() < KEPT {
            self.known.insert(asked.kept(), Arc::clone(&answer));
        }
        answer
    }
}
