//! `Index`: what rules look up of a ledger, made once for all of them.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::cluster::Cluster;
use crate::endpoint::Ip;
use crate::ledger::{ByWay, Ledger};
use crate::measure::Span;
use crate::names::Sym;

/// Tables of a ledger by what rules ask for.
#[derive(Debug)]
pub struct Index<'w> {
    /// On which server's ways a client's way was answered, how often, of those that failed or led straight there.
    pub links: ByWay<(u32, u64)>,
    /// Which clients' addresses used a way, and when, where the ledger tells.
    pub clients: ByWay<(Ip, &'w [Span])>,
    /// The clusters' names taken apart: a thousand of them stand in a hundred thousand ways.
    clusters: HashMap<Sym, Cluster<'w>, RandomState>,
}

impl<'w> Index<'w> {
    /// Makes them.
    pub fn of(ledger: &'w Ledger) -> Index<'w> {
        let mut clusters: HashMap<Sym, Cluster<'w>, RandomState> = HashMap::default();
        for way in ledger.ways() {
            clusters.entry(way.cluster).or_insert_with(|| Cluster::read(ledger.names.get(way.cluster)));
        }
        Index { links: ledger.links(), clients: ledger.clients(), clusters }
    }

    /// A way's cluster.
    pub(super) fn cluster(&self, name: Sym) -> &Cluster<'w> {
        &self.clusters[&name]
    }
}
