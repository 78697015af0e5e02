//! Every address at which a proxy listens, and where each leads: what there is before anybody asks.

use std::net::SocketAddr;

use serde::Serialize;

use super::chains::ChainAt;
use super::lost::{leads, takes};
use super::ranges::or_everything;
use crate::cluster::Direction;
use crate::mesh::{Chain, Listener, Match, Proxy, To};

/// An address of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Address and port.
    pub address: String,
    /// The listener.
    pub listener: String,
    /// It takes what is meant for any address on this port and is no HTTP to one service's cluster.
    pub catch_all: bool,
    /// Its chains in the order of the dump, the default chain last.
    pub leads: Vec<Leads>,
}

/// A chain of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leads {
    /// What it takes; empty for everything, or for what no other chain takes.
    pub takes: Vec<String>,
    /// Where it leads.
    pub to: String,
}

/// Every address of active listeners, by port and address.
pub fn table(proxy: &Proxy) -> Vec<Row> {
    let mut rows: Vec<(SocketAddr, Row)> = Vec::new();
    for listener in proxy.listeners.iter().filter(|listener| listener.active) {
        for address in &listener.addresses {
            let row = Row {
                address: address.to_string(),
                listener: listener.name.to_string(),
                catch_all: is_catch_all(listener, *address),
                leads: listener.chains.iter().chain(&listener.default_chain).map(leads_of).collect(),
            };
            rows.push((*address, row));
        }
    }
    rows.sort_by(|(one, first), (other, second)| {
        (one.port(), one.ip(), &first.listener).cmp(&(other.port(), other.ip(), &second.listener))
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

fn leads_of(chain: &Chain) -> Leads {
    Leads { takes: takes(&chain.takes), to: leads(chain) }
}

/// Whether a listener at every address sends all that nobody else takes to a service: then pods' addresses and those
/// outside of the mesh go there too.
pub(super) fn is_catch_all(listener: &Listener, address: SocketAddr) -> bool {
    catching(listener, address).is_some()
}

/// The chain by which a listener at every address sends all that nobody else takes to a service; none if it does not. A
/// listener that is bound to its port is meant for who dials the proxy itself.
pub fn catching(listener: &Listener, address: SocketAddr) -> Option<&Chain> {
    let service = |chain: &Chain| match &chain.to {
        To::Tcp(clusters) => clusters.iter().any(|(name, _)| Direction::of(name.as_bytes()) == Direction::Outbound),
        _ => false,
    };
    let of_all =
        |(at, chain): &(ChainAt, &Chain)| (*at == ChainAt::Default || takes_all(&chain.takes)) && service(chain);
    let places = listener.chains.iter().enumerate().map(|(place, chain)| (ChainAt::Place(place), chain));
    let default = listener.default_chain.iter().map(|chain| (ChainAt::Default, chain));
    let meant = address.ip().is_unspecified() && !listener.bound && !listener.use_original_dst && !listener.has_matcher;
    places.chain(default).filter(|_| meant).find(of_all).map(|(_, chain)| chain)
}

/// Whether a match has no condition, or none that says anything.
fn takes_all(takes: &Match) -> bool {
    let whole = or_everything(&takes.prefixes).iter().any(|prefix| prefix.length == 0);
    whole && Match { prefixes: Vec::new(), ..takes.clone() } == Match::default()
}
