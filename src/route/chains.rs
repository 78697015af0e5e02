//! Which filter chain takes a connection: nine lookups, one behind the other.
//!
//! Each step takes the chains that name the value; only if none does, those that do not ask for it. There is no way back:
//! a chain that loses at a step is gone, even if the winner of that step loses later. Source: Envoy
//! `source/common/listener_manager/filter_chain_manager_impl.cc`, `listener_components.proto` (`FilterChainMatch`).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::ranges::{EVERYTHING, Ranges, or_everything};
use super::seen::Seen;
use crate::mesh::{Chain, Listener, Match, Prefix, SourceType};

/// A chain of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChainAt {
    /// By its place among the chains.
    Place(usize),
    /// The one that takes what no other takes.
    Default,
}

impl ChainAt {
    /// The chain itself.
    pub fn of(self, listener: &Listener) -> Option<&Chain> {
        match self {
            ChainAt::Place(place) => listener.chains.get(place),
            ChainAt::Default => listener.default_chain.as_ref(),
        }
    }
}

/// What a step of the choice asks for, in Envoy's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Criterion {
    /// Destination port.
    Port,
    /// Destination address, the longest prefix.
    Address,
    /// SNI, the longest wildcard.
    ServerName,
    /// `raw_buffer` or `tls`.
    Transport,
    /// ALPN.
    Protocol,
    /// Address of the peer on the wire.
    DirectSource,
    /// Own machine, or elsewhere.
    SourceType,
    /// Address of the source.
    Source,
    /// Port of the source.
    SourcePort,
}

/// All of them, in order.
pub const CRITERIA: [Criterion; 9] = [
    Criterion::Port,
    Criterion::Address,
    Criterion::ServerName,
    Criterion::Transport,
    Criterion::Protocol,
    Criterion::DirectSource,
    Criterion::SourceType,
    Criterion::Source,
    Criterion::SourcePort,
];

/// What won at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'m> {
    /// Chains that do not ask for it.
    Any,
    Port(u16),
    Range(Prefix),
    Text(&'m str),
    Type(SourceType),
}

/// The way through the steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found<'m> {
    /// The chain that took it; more if the source would have to be known; none if none did.
    pub(super) chains: Vec<usize>,
    /// For a source that is unknown: whether one may come for which there is no chain.
    pub(super) maybe_none: bool,
    /// What won at each step, as far as it came.
    pub(super) won: Vec<Key<'m>>,
}

/// A lookup with one level of fallback.
#[derive(Debug)]
struct Step<K, N> {
    named: BTreeMap<K, N>,
    any: Option<N>,
}

impl<K, N> Default for Step<K, N> {
    fn default() -> Step<K, N> {
        Step { named: BTreeMap::new(), any: None }
    }
}

impl<K: Ord, N: Default> Step<K, N> {
    fn at(&mut self, key: Option<K>) -> &mut N {
        match key {
            Some(key) => self.named.entry(key).or_default(),
            None => self.any.get_or_insert_default(),
        }
    }
}

type Names<'m> = Step<&'m str, Transports<'m>>;
type Transports<'m> = Step<&'m str, Protocols<'m>>;
type Protocols<'m> = Step<&'m str, Sources>;
type SourcePorts = Step<u16, Option<usize>>;

/// The last four steps. Few listeners have a chain that takes any of them.
#[derive(Debug, Default)]
struct Sources {
    /// As long as no chain asks for the source, the first one.
    only: Option<usize>,
    asked: Option<Box<Ranges<SourceTypes>>>,
}

impl Sources {
    fn insert(&mut self, place: usize, takes: &Match) {
        if self.asked.is_none() && !looks_at_source(takes) {
            self.only.get_or_insert(place);
            return;
        }
        let asked = self.asked.get_or_insert_default();
        if let Some(only) = self.only.take() {
            asked.insert(only, &Match::default());
        }
        asked.insert(place, takes);
    }
}

/// Whether a chain asks where a connection comes from.
fn looks_at_source(takes: &Match) -> bool {
    !takes.direct_source_prefixes.is_empty()
        || !takes.source_prefixes.is_empty()
        || !takes.source_ports.is_empty()
        || takes.source_type != SourceType::Any
}

#[derive(Debug, Default)]
struct SourceTypes {
    any: Ranges<SourcePorts>,
    same: Ranges<SourcePorts>,
    external: Ranges<SourcePorts>,
}

impl SourceTypes {
    /// Those for the own machine or for elsewhere if there are any, else those for both.
    fn pick(&self, same: bool) -> Option<(&Ranges<SourcePorts>, Key<'static>)> {
        let own = (&self.same, SourceType::SameIpOrLoopback);
        let (asked, kind) = if same { own } else { (&self.external, SourceType::External) };
        match (asked.is_empty(), self.any.is_empty()) {
            (false, _) => Some((asked, Key::Type(kind))),
            (true, false) => Some((&self.any, Key::Any)),
            (true, true) => None,
        }
    }
}

impl Ranges<SourceTypes> {
    fn insert(&mut self, place: usize, takes: &Match) {
        for prefix in or_everything(&takes.direct_source_prefixes) {
            let types = self.at(*prefix);
            let sources = match takes.source_type {
                SourceType::Any => &mut types.any,
                SourceType::SameIpOrLoopback => &mut types.same,
                SourceType::External => &mut types.external,
            };
            for prefix in or_everything(&takes.source_prefixes) {
                let ports = sources.at(*prefix);
                let asked = takes.source_ports.iter().copied().map(Some);
                let none = takes.source_ports.is_empty().then_some(None);
                for port in asked.chain(none) {
                    ports.at(port).get_or_insert(place);
                }
            }
        }
    }
}

/// A listener's chains, ready to be asked.
#[derive(Debug)]
pub(super) struct Chains<'m> {
    ports: Step<u16, Ranges<Names<'m>>>,
    /// Whether any chain looks at the source.
    pub(super) by_source: bool,
}

impl<'m> Chains<'m> {
    /// Sorts chains in. Of two with the same conditions the first counts; Envoy refuses such listeners.
    pub(super) fn of(chains: &'m [Chain]) -> Chains<'m> {
        let mut all = Chains { ports: Step::default(), by_source: false };
        for (place, chain) in chains.iter().enumerate() {
            all.insert(place, chain);
        }
        all
    }

    fn insert(&mut self, place: usize, chain: &'m Chain) {
        let takes = &chain.takes;
        self.by_source |= looks_at_source(takes);
        let transport = (!takes.transport.is_empty()).then_some(&*takes.transport);
        for prefix in or_everything(&takes.prefixes) {
            let names = self.ports.at(takes.port).at(*prefix);
            for name in each(&takes.server_names) {
                let protocols = names.at(name.map(|name| name.strip_prefix('*').unwrap_or(name))).at(transport);
                for protocol in each(&takes.application_protocols) {
                    protocols.at(protocol).insert(place, takes);
                }
            }
        }
    }

    /// The chain for a connection, the default chain left out.
    pub(super) fn find(&self, seen: &Seen<'_>, to: SocketAddr, from: Option<SocketAddr>) -> Found<'m> {
        let mut found = Found { chains: Vec::new(), maybe_none: false, won: Vec::with_capacity(CRITERIA.len()) };
        self.walk(seen, to, from, &mut found);
        found
    }

    /// Fills `found` until a step has nothing; none then.
    fn walk(&self, seen: &Seen<'_>, to: SocketAddr, from: Option<SocketAddr>, found: &mut Found<'m>) -> Option<()> {
        let addresses = match self.ports.named.get(&to.port()) {
            Some(next) => took(found, Key::Port(to.port()), next),
            None => took(found, Key::Any, self.ports.any.as_ref()?),
        };
        let (range, names) = addresses.get(to.ip())?;
        found.won.push(Key::Range(range));
        let transports = server_name(names, seen.sni, found)?;
        let protocols = match transports.named.get_key_value(seen.transport) {
            Some((key, next)) => took(found, Key::Text(key), next),
            None => took(found, Key::Any, transports.any.as_ref()?),
        };
        let offered = seen.alpn.iter().find_map(|offered| protocols.named.get_key_value::<str>(offered));
        let sources = match offered {
            Some((key, next)) => took(found, Key::Text(key), next),
            None => took(found, Key::Any, protocols.any.as_ref()?),
        };
        let Some(direct) = &sources.asked else {
            found.chains.extend(sources.only);
            if let Some(from) = from {
                let range = EVERYTHING[usize::from(from.is_ipv6())];
                found.won.extend([Key::Range(range), Key::Any, Key::Range(range), Key::Any]);
            }
            return Some(());
        };
        let Some(from) = from else {
            every(direct, to.is_ipv4(), found);
            return Some(());
        };
        let (range, types) = direct.get(from.ip())?;
        found.won.push(Key::Range(range));
        let (sources, key) = types.pick(is_same(from.ip(), to.ip()))?;
        found.won.push(key);
        let (range, ports) = sources.get(from.ip())?;
        found.won.push(Key::Range(range));
        let place = match ports.named.get(&from.port()) {
            Some(place) => took(found, Key::Port(from.port()), place),
            None => took(found, Key::Any, ports.any.as_ref()?),
        };
        found.chains.extend(*place);
        Some(())
    }
}

/// Notes what won and goes on.
fn took<'t, 'm, N>(found: &mut Found<'m>, key: Key<'m>, next: &'t N) -> &'t N {
    found.won.push(key);
    next
}

/// Exact; then `*.b.c`, `*.c` of `a.b.c`; then chains without server names.
fn server_name<'t, 'm>(names: &'t Names<'m>, sni: &str, found: &mut Found<'m>) -> Option<&'t Transports<'m>> {
    if !sni.is_empty() {
        if let Some((key, next)) = names.named.get_key_value(sni) {
            return Some(took(found, Key::Text(key), next));
        }
        // A dot that begins or ends the name begins no wildcard.
        let dots = sni.bytes().enumerate().skip(1).filter(|(at, byte)| *byte == b'.' && at + 1 < sni.len());
        for (dot, _) in dots {
            if let Some((key, next)) = names.named.get_key_value(&sni[dot..]) {
                return Some(took(found, Key::Text(key), next));
            }
        }
    }
    let next = names.any.as_ref()?;
    Some(took(found, Key::Any, next))
}

/// Every chain that some source of a family would lead to.
fn every(direct: &Ranges<SourceTypes>, ipv4: bool, found: &mut Found<'_>) {
    found.maybe_none = !direct.is_whole(ipv4);
    for types in direct.values(ipv4) {
        for same in [true, false] {
            let Some((sources, _)) = types.pick(same) else {
                found.maybe_none = true;
                continue;
            };
            found.maybe_none |= !sources.is_whole(ipv4);
            for ports in sources.values(ipv4) {
                found.maybe_none |= ports.any.is_none();
                found.chains.extend(ports.named.values().chain(&ports.any).flatten());
            }
        }
    }
    found.chains.sort_unstable();
    found.chains.dedup();
}

/// Whether Envoy takes a source for the own machine's. Source: Envoy `network/utility.cc`, `isSameIpOrLoopback`.
fn is_same(from: IpAddr, to: IpAddr) -> bool {
    from.is_loopback() || from == to
}

/// Each value of a list, or that there is none.
fn each(values: &[Box<str>]) -> impl Iterator<Item = Option<&str>> {
    let none = values.is_empty().then_some(None);
    values.iter().map(|value| Some(&**value)).chain(none)
}
