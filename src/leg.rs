//! `Leg`: what one proxy said about one connection. `Way`: all of it that names something.
//!
//! A mesh sends millions of connections on a few thousand ways: the same pod, cluster, destination, endpoint
//! and outcome again and again. What repeats is the way, stored once; a leg is the rest, a small `Copy` value
//! of numbers. Nothing in here borrows from a line.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::endpoint::{Endpoint, Ip};
use crate::field::flag::{Class, Flags};
use crate::field::value::Micros;
use crate::names::Sym;
use crate::source::{Origin, SourceId};

/// Which end of a connection a proxy stood at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// The client's sidecar.
    Outbound,
    /// A gateway: it was dialled itself and goes on to a service.
    Gateway,
    /// The server's sidecar.
    Inbound,
    /// The line does not tell.
    Unknown,
}

impl Side {
    /// Every side.
    pub const ALL: [Side; 4] = [Side::Outbound, Side::Gateway, Side::Inbound, Side::Unknown];

    /// Who wrote the line, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Side::Outbound => "the client's proxy wrote the line",
            Side::Gateway => "a gateway wrote the line: it was dialled itself and goes on to a service",
            Side::Inbound => "the server's proxy wrote the line",
            Side::Unknown => "the line does not tell which side wrote it",
        }
    }

    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Outbound => "outbound",
            Side::Gateway => "gateway",
            Side::Inbound => "inbound",
            Side::Unknown => "unknown",
        }
    }

    /// Whether the leg goes on to an upstream that another proxy may have logged.
    pub const fn is_client(self) -> bool {
        matches!(self, Side::Outbound | Side::Gateway)
    }
}

/// What was spoken, as far as the proxy knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// One line a connection.
    Tcp,
    /// One line a request.
    Http,
}

/// What all connections of one kind have in common, on one workload.
///
/// Where nothing went wrong, the fields marked *told apart* are absent: which pod of the workload called which
/// endpoint would make as many ways as there are pairs of pods, and no rule asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Way {
    /// Which end.
    pub side: Side,
    /// TCP or HTTP.
    pub protocol: Protocol,
    /// The endpoint that was chosen is the destination that was dialled.
    pub direct: bool,
    /// A client's TCP connections without a flag on which something was sent and nothing came back.
    pub silent: bool,
    /// HTTP status, 0 on TCP.
    pub status: u16,
    /// Response flags.
    pub flags: Flags,
    /// Flags that the table does not know, joined by commas.
    pub unknown_flags: Sym,
    /// Namespace of the proxy, as far as the envelope says.
    pub namespace: Sym,
    /// Workload of the proxy: its pod's name without the random parts.
    pub workload: Sym,
    /// Pod of the proxy, told apart.
    pub pod: Sym,
    /// The input, where no pod is known: two files are two proxies.
    pub source: SourceId,
    /// The cluster that was chosen.
    pub cluster: Sym,
    /// Downstream local address: the original destination, or the server's own address.
    pub dest: Endpoint,
    /// Upstream host: the chosen endpoint, told apart.
    pub host: Endpoint,
    /// Address of the downstream peer, told apart; a client's own address where its pod is not known.
    pub client: Ip,
    /// Requested server name; on the client's side told apart.
    pub sni: Sym,
    /// The host that a client's HTTP request named, where a run asks for it ([`crate::scan::Options::authorities`]): that is what
    /// routes go by. None of requests that went through PassthroughCluster: any host may.
    pub authority: Sym,
    /// Response code details, told apart.
    pub details: Sym,
    /// Connection termination details, told apart.
    pub termination: Sym,
    /// Upstream transport failure reason, told apart.
    pub transport: Sym,
}

impl Way {
    /// A way of which nothing is said.
    pub const NOTHING: Way = Way {
        side: Side::Unknown,
        protocol: Protocol::Tcp,
        direct: false,
        silent: false,
        status: 0,
        flags: Flags::NONE,
        unknown_flags: Sym::NONE,
        namespace: Sym::NONE,
        workload: Sym::NONE,
        pod: Sym::NONE,
        source: SourceId(0),
        cluster: Sym::NONE,
        dest: Endpoint::NONE,
        host: Endpoint::NONE,
        client: Ip::NONE,
        sni: Sym::NONE,
        authority: Sym::NONE,
        details: Sym::NONE,
        termination: Sym::NONE,
        transport: Sym::NONE,
    };

    /// The same way where names have other numbers.
    #[must_use]
    pub fn renamed(&self, mut rename: impl FnMut(Sym) -> Sym) -> Way {
        Way {
            unknown_flags: rename(self.unknown_flags),
            namespace: rename(self.namespace),
            workload: rename(self.workload),
            pod: rename(self.pod),
            cluster: rename(self.cluster),
            dest: self.dest.renamed(&mut rename),
            host: self.host.renamed(&mut rename),
            client: self.client.renamed(&mut rename),
            sni: rename(self.sni),
            authority: rename(self.authority),
            details: rename(self.details),
            termination: rename(self.termination),
            transport: rename(self.transport),
            ..*self
        }
    }

    /// What is left of a way when there are too many: who, which cluster, how it ended.
    #[must_use]
    pub fn coarse(&self) -> Way {
        let Way { side, protocol, direct, silent, status, flags, namespace, workload, source, cluster, .. } = *self;
        Way { side, protocol, direct, silent, status, flags, namespace, workload, source, cluster, ..Way::NOTHING }
    }

    /// What is left when there are too many even of those: how it ended.
    #[must_use]
    pub fn nameless(&self) -> Way {
        let Way { side, protocol, status, flags, .. } = *self;
        Way { side, protocol, status, flags, ..Way::NOTHING }
    }

    /// Whether the connection never came about: nothing to pair it with.
    #[inline]
    pub fn failed_to_connect(&self) -> bool {
        self.flags.has(Class::Connect) || self.flags.has(Class::NoUpstream)
    }
}

/// Looked up for every line: a few whole words are a quarter of the work of seventeen small fields.
impl Hash for Way {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let two = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let small = u32::from(self.status) << 8
            | (self.side as u32) << 4
            | (self.protocol as u32) << 1
            | u32::from(self.silent) << 2
            | u32::from(self.direct);
        for word in [
            two(small, self.cluster.0),
            self.dest.number(),
            two(self.workload.0, self.sni.0),
            two(self.namespace.0, self.pod.0),
            two(self.source.0, self.details.0) ^ self.flags.bits(),
            self.host.number(),
            self.client.with_port(0).number()
                ^ two(self.transport.0 ^ self.authority.0, self.termination.0 ^ self.unknown_flags.0),
        ] {
            state.write_u64(word);
        }
    }
}

/// One thing that a line teaches about the mesh. Like ways, facts repeat and are stored once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fact {
    /// A proxy's own address.
    Own {
        /// Namespace of the pod.
        namespace: Sym,
        /// The pod, if the envelope says it.
        pod: Sym,
        /// The address.
        ip: Ip,
        /// Whether the proxy used the address itself; else it is its client's, who shares it in a sidecar's pod.
        sure: bool,
    },
    /// An endpoint that was connected for a cluster of a service.
    Answered {
        /// The cluster.
        cluster: Sym,
        /// The endpoint.
        host: Endpoint,
    },
    /// The server's proxy names the service of its address, in the cluster or by the SNI that it took.
    Serves {
        /// The server's address.
        dest: Endpoint,
        /// The inbound cluster.
        cluster: Sym,
        /// The SNI.
        sni: Sym,
    },
}

impl Fact {
    /// The fact as a number, unique for one set of names, and never 0.
    #[inline]
    pub fn number(&self) -> u128 {
        // An endpoint has room for this between its kind and its address.
        let told = |kind: u64, end: Endpoint, high: Sym, low: Sym| {
            u128::from(end.number() | kind << 48) << 64 | u128::from(high.0) << 32 | u128::from(low.0)
        };
        match *self {
            Fact::Own { namespace, pod, ip, sure } => told(1 + u64::from(sure), ip.with_port(0), namespace, pod),
            Fact::Answered { cluster, host } => told(3, host, cluster, Sym::NONE),
            Fact::Serves { dest, cluster, sni } => told(4, dest, cluster, sni),
        }
    }

    /// The same fact where names have other numbers.
    #[must_use]
    pub fn renamed(self, mut rename: impl FnMut(Sym) -> Sym) -> Fact {
        match self {
            Fact::Own { namespace, pod, ip, sure } => {
                Fact::Own { namespace: rename(namespace), pod: rename(pod), ip: ip.renamed(rename), sure }
            }
            Fact::Answered { cluster, host } => Fact::Answered { cluster: rename(cluster), host: host.renamed(rename) },
            Fact::Serves { dest, cluster, sni } => {
                Fact::Serves { cluster: rename(cluster), sni: rename(sni), dest: dest.renamed(rename) }
            }
        }
    }
}

/// One line, as numbers. Millions of them wait for each other, so every byte counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and no state of the others")]
pub struct Leg {
    /// Start of the connection or request.
    pub start: Micros,
    /// Duration in milliseconds; 0 where the line has none.
    pub duration: u32,
    /// The number of its way: of the block's ways before `Ledger::absorb`, of the ledger's after.
    pub way: u32,
    /// The client's end of the connection on the wire, which both proxies see: the outbound leg's upstream local
    /// address, the inbound leg's downstream remote address. None where the line does not know it.
    pub wire: Endpoint,
    /// The server's end: the outbound leg's upstream host, the inbound leg's downstream local address.
    pub server: Endpoint,
    /// Downstream remote address. Port 0 when it was taken from x-forwarded-for.
    pub peer: Endpoint,
    /// Hash of the request id, 0 without one.
    pub request: u64,
    /// Bytes in both directions.
    pub bytes: u64,
    /// Where the line stands.
    pub origin: Origin,
    /// The number of the kept record, [`Leg::NOT_KEPT`] without one.
    pub kept: u32,
    /// Which end; the way's, kept here because pairing asks for it all the time.
    pub side: Side,
    /// TCP or HTTP, for the same reason.
    pub protocol: Protocol,
    /// A listener's line: no filter chain took the connection.
    pub refused: bool,
    /// The endpoint that was chosen is the destination that was dialled.
    pub direct: bool,
    /// The line has a flag, or an HTTP status of failure.
    pub failed: bool,
    /// Bytes went back to the client.
    pub answered: bool,
    /// Milliseconds until the application behind a server's sidecar answered, [`Leg::UNTOLD`] if the line does not say.
    pub service_time: u32,
}

impl Leg {
    /// No such number on the line.
    pub const UNTOLD: u32 = u32::MAX;

    /// No record was kept.
    pub const NOT_KEPT: u32 = u32::MAX;

    /// Start plus duration.
    pub fn end(&self) -> Micros {
        self.start.plus_millis(self.duration.into())
    }

    /// The other side's address: the endpoint of a client's leg, the peer of a server's.
    pub fn other(&self) -> Ip {
        match self.side {
            Side::Inbound if self.peer.port() == 0 => Ip::NONE,
            Side::Inbound => self.peer.ip(),
            _ => self.server.ip(),
        }
    }

    /// Takes other numbers for names. Few legs have any.
    #[inline]
    pub fn rename(&mut self, mut rename: impl FnMut(Sym) -> Sym) {
        for endpoint in [&mut self.wire, &mut self.server, &mut self.peer] {
            if endpoint.has_name() {
                *endpoint = endpoint.renamed(&mut rename);
            }
        }
    }

    /// The order of legs where any order will do but it must be one: by time, then by place.
    pub fn order(&self) -> (Micros, Micros, Origin) {
        (self.start, self.end(), self.origin)
    }
}

#[cfg(test)]
impl Leg {
    /// A client's TCP connection of a millisecond, for tests that ask for little of it.
    pub(crate) const PLAIN: Leg = Leg {
        start: Micros(1),
        duration: 1,
        way: 0,
        wire: Endpoint::NONE,
        server: Endpoint::NONE,
        peer: Endpoint::NONE,
        request: 0,
        bytes: 0,
        origin: Origin { source: SourceId(0), line: 0 },
        kept: Leg::NOT_KEPT,
        side: Side::Outbound,
        protocol: Protocol::Tcp,
        refused: false,
        direct: false,
        failed: false,
        answered: true,
        service_time: Leg::UNTOLD,
    };
}
