//! The names that the run met, by what they are: learned from the ledger, asked for wherever a bare word stands.

use std::collections::BTreeSet;

use crate::cluster::{Cluster, Direction};
use crate::event::Events;
use crate::ledger::Ledger;
use crate::leg::Fact;
use crate::names::{Sym, workload};

/// Names of the mesh.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) apps: BTreeSet<String>,
    pub(super) namespaces: BTreeSet<String>,
    pub(super) services: BTreeSet<String>,
    pub(super) nodes: BTreeSet<String>,
    /// How many ways and facts were looked at: both only grow.
    looked: (usize, usize),
}

impl Known {
    /// Takes over what is new.
    pub(super) fn learn(&mut self, ledger: &Ledger, events: &Events) {
        let (ways, facts) = (ledger.ways(), ledger.facts());
        let name = |name: Sym| ledger.show(name);
        for way in &ways[self.looked.0.min(ways.len())..] {
            self.app(&name(way.pod));
            self.app(&name(way.workload));
            self.namespace(&name(way.namespace));
            self.cluster(ledger.names.get(way.cluster));
            self.cluster(ledger.names.get(way.sni));
        }
        for fact in &facts[self.looked.1.min(facts.len())..] {
            match *fact {
                Fact::Own { namespace, pod, .. } => {
                    self.app(&name(pod));
                    self.namespace(&name(namespace));
                }
                Fact::Answered { cluster, .. } => self.cluster(ledger.names.get(cluster)),
                Fact::Serves { cluster, sni, .. } => {
                    self.cluster(ledger.names.get(cluster));
                    self.cluster(ledger.names.get(sni));
                }
            }
        }
        self.looked = (ways.len(), facts.len());
        for (_, _, events) in events.iter() {
            for event in events {
                self.app(&String::from_utf8_lossy(&event.pod));
                self.namespace(&String::from_utf8_lossy(&event.namespace));
            }
        }
    }

    /// A pod or a workload.
    pub(super) fn app(&mut self, name: &str) {
        if !name.is_empty() && !self.apps.contains(name) {
            self.apps.insert(name.to_owned());
            self.app(&String::from_utf8_lossy(workload(name.as_bytes())));
        }
    }

    /// A namespace.
    pub(super) fn namespace(&mut self, name: &str) {
        if !name.is_empty() && !self.namespaces.contains(name) {
            self.namespaces.insert(name.to_owned());
        }
    }

    /// A node.
    pub(super) fn node(&mut self, name: &str) {
        if !name.is_empty() && !self.nodes.contains(name) {
            self.nodes.insert(name.to_owned());
        }
    }

    /// Service and namespace out of the name of a cluster or a server.
    fn cluster(&mut self, name: &[u8]) {
        let cluster = Cluster::read(name);
        let host = if cluster.direction == Direction::Other { name } else { cluster.host };
        let host = String::from_utf8_lossy(host);
        let labels: Vec<&str> = host.split('.').collect();
        match &labels[..] {
            [service, namespace, "svc", ..] => {
                self.services.insert((*service).to_owned());
                self.namespace(namespace);
            }
            [single] if !single.is_empty() && cluster.direction != Direction::Other => {
                self.services.insert((*single).to_owned());
            }
            _ => {}
        }
    }
}
