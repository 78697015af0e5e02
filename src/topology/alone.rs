//! `Alone`: why a connection has one leg only, as far as the topology tells.

use super::{Service, Topology, is_external};
use crate::cluster::Cluster;
use crate::endpoint::Ip;
use crate::leg::{Side, Way};
use crate::names::{Names, Sym};

/// Why a leg is alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alone {
    /// No connection came about, so there is no other leg.
    FailedBeforeConnecting,
    /// The other side's proxy has lines in the input, but none of this connection.
    NoLineInPeerLog,
    /// The other side has a proxy, but its log is not in the input.
    PeerLogNotInInput,
    /// The other side is a gateway, which goes on with a leg of its own.
    GatewayHop,
    /// Nothing shows that the other side has a proxy.
    NoSidecarSeen,
    /// The other side is not in the mesh.
    OutsideMesh,
    /// The line does not tell which side wrote it.
    SideUnknown,
}

impl Alone {
    /// Every reason.
    pub const ALL: [Alone; 7] = [
        Alone::FailedBeforeConnecting,
        Alone::NoLineInPeerLog,
        Alone::PeerLogNotInInput,
        Alone::GatewayHop,
        Alone::NoSidecarSeen,
        Alone::OutsideMesh,
        Alone::SideUnknown,
    ];

    /// The word in `unpaired`.
    pub const fn name(self) -> &'static str {
        match self {
            Alone::FailedBeforeConnecting => "failed-before-connecting",
            Alone::NoLineInPeerLog => "no-line-in-peer-log",
            Alone::PeerLogNotInInput => "peer-log-not-in-input",
            Alone::GatewayHop => "gateway-hop",
            Alone::NoSidecarSeen => "no-sidecar-seen",
            Alone::OutsideMesh => "outside-mesh",
            Alone::SideUnknown => "side-unknown",
        }
    }

    /// What it means, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Alone::FailedBeforeConnecting => "failed before connecting: there is no other side",
            Alone::NoLineInPeerLog => "the other proxy's log is there, but has no line of it",
            Alone::PeerLogNotInInput => "the other side has a proxy, its log is not in the input",
            Alone::GatewayHop => "the other side is a gateway, which goes on with a leg of its own",
            Alone::NoSidecarSeen => "no sidecar seen on the other side",
            Alone::OutsideMesh => "the other side is outside of the mesh",
            Alone::SideUnknown => "the format does not tell which side wrote the line",
        }
    }
}

impl Topology {
    /// Why connections of this way, whose other side has the address `other`, have no other leg.
    pub fn why_alone(&self, way: &Way, other: Ip, names: &Names) -> Alone {
        let public = !other.is_none() && !other.is_private(names);
        if way.side == Side::Unknown {
            return Alone::SideUnknown;
        }
        if way.side == Side::Inbound {
            return if self.logging.contains(&other) {
                Alone::NoLineInPeerLog
            } else if Cluster::of_sni(names.get(way.sni)).is_some() || other.is_none() {
                Alone::PeerLogNotInInput
            } else if public {
                Alone::OutsideMesh
            } else {
                Alone::NoSidecarSeen
            };
        }
        self.why_unanswered(way.cluster, if way.failed_to_connect() { Ip::NONE } else { other }, names)
    }

    /// Why clients' connections that went to this cluster, to the address `other` (none if there was no connection), have no other leg.
    pub fn why_unanswered(&self, cluster: Sym, other: Ip, names: &Names) -> Alone {
        let public = !other.is_none() && !other.is_private(names);
        let cluster = Cluster::read(names.get(cluster));
        let service = self.hosts.find(cluster.host).map(Service);
        if other.is_none() {
            Alone::FailedBeforeConnecting
        } else if self.is_gateway(other) {
            Alone::GatewayHop
        } else if self.logging.contains(&other) {
            Alone::NoLineInPeerLog
        } else if public || is_external(cluster.host) {
            Alone::OutsideMesh
        } else if service.is_some_and(|service| self.meshed.contains(&service)) {
            Alone::PeerLogNotInInput
        } else {
            Alone::NoSidecarSeen
        }
    }
}
