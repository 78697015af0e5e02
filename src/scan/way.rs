//! From a record to its way: which end wrote the line, over which addresses, and how it ended.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::ambient::Told;
use super::unwrap::Wrapped;
use super::usual::Usual;
use crate::cluster::{self, Direction};
use crate::endpoint::{Endpoint, Ip, Recent};
use crate::field::Field;
use crate::field::flag::Flags;
use crate::leg::{Protocol, Side, Way};
use crate::names::{Names, Sym};
use crate::record::Record;
use crate::source::SourceId;

/// The four addresses of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) peer: Endpoint,
    pub(super) local: Endpoint,
    pub(super) dest: Endpoint,
    pub(super) host: Endpoint,
}

impl Ends {
    pub(super) fn read(record: &Record<'_>, recent: &mut Recent, names: &mut Names) -> Ends {
        let mut read = |field: Field| {
            let (rest, len) = record.from(field);
            recent.read(rest, len, names)
        };
        Ends {
            peer: read(Field::DownstreamRemoteAddress),
            local: read(Field::UpstreamLocalAddress),
            dest: read(Field::DownstreamLocalAddress),
            host: read(Field::UpstreamHost),
        }
    }
}

/// What else a line says of its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'l> {
    pub(super) wrapped: &'l Wrapped,
    pub(super) source: SourceId,
    pub(super) ends: &'l Ends,
    /// From the client, and to it.
    pub(super) bytes: [u64; 2],
    pub(super) told: Option<&'l Told>,
}

/// Makes `way` that of a line: where nothing went wrong, without what only tells single endpoints apart. It is made where it stays,
/// because a copy of so many small fields waits for every one of them.
pub(super) fn fill(way: &mut Way, record: &Record<'_>, said: &Said<'_>, usual: &mut [Usual; 2], names: &mut Names) {
    let &Said { wrapped, source, ends, bytes, told } = said;
    let flags = told.map_or_else(|| record.flags(), |told| told.flags);
    let name = told.map_or_else(|| cluster::trimmed(record.plain(Field::UpstreamCluster)), |told| &told.cluster);
    let status = record.integer(Field::ResponseCode).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let tcp = status == 0 && record.plain(Field::Method).is_empty() && record.plain(Field::Protocol).is_empty();
    let protocol = if tcp { Protocol::Tcp } else { Protocol::Http };
    let client = if ends.peer.port() == 0 { Ip::NONE } else { ends.peer.ip() };
    let (cluster, direction) = usual[0].cluster(name, ends.dest, names);
    let mut side = side(record, direction, flags, protocol, ends, names);
    // A gateway is dialled on its own address by somebody else.
    let own = ends.local.ip();
    if side == Side::Outbound && !own.is_none() && ends.dest.ip() == own && client != own && !client.is_loopback(names)
    {
        side = Side::Gateway;
    }
    // A gateway's clients are the world.
    let client = if side == Side::Gateway { Ip::NONE } else { client };
    // A ztunnel has one text for why it closed, or could not connect.
    let (termination, transport) = match told {
        Some(_) => (Field::Error, Field::Error),
        None => (Field::ConnectionTerminationDetails, Field::UpstreamTransportFailureReason),
    };
    let termination = record.plain(termination);
    way.side = side;
    way.protocol = protocol;
    way.direct = ends.dest == ends.host;
    way.silent = side.is_client() && tcp && flags.is_empty() && bytes[0] > 0 && bytes[1] == 0;
    way.status = status;
    way.flags = flags;
    way.unknown_flags = Sym::NONE;
    way.namespace = wrapped.namespace;
    way.workload = wrapped.workload;
    way.pod = Sym::NONE;
    way.source = if wrapped.pod.is_none() { source } else { SourceId(0) };
    way.cluster = cluster;
    way.dest = ends.dest;
    way.host = Endpoint::NONE;
    way.client = if wrapped.pod.is_none() && side == Side::Outbound { client } else { Ip::NONE };
    way.sni = match side {
        Side::Inbound => usual[1].intern(record.plain(Field::RequestedServerName), ends.dest, names),
        _ => Sym::NONE,
    };
    way.authority = Sym::NONE;
    way.details = Sym::NONE;
    way.termination = Sym::NONE;
    way.transport = Sym::NONE;
    if flags.is_empty() && status < 400 && termination.is_empty() {
        return;
    }
    let mut intern = |field: Field| names.intern(record.plain(field));
    way.pod = wrapped.pod;
    way.host = ends.host;
    way.client = client;
    way.sni = intern(Field::RequestedServerName);
    way.details = intern(Field::ResponseCodeDetails);
    way.transport = intern(transport);
    way.termination = names.intern(termination);
    if flags.any(Flags::UNKNOWN) {
        way.unknown_flags = names.intern(&Flags::unknown_tokens(record.plain(Field::ResponseFlags)));
    }
}

/// Tells a way apart by the host that a client's request names. Around the mesh any host may be named, and the world that a
/// gateway serves names what it likes where there is no route for it.
pub(super) fn add_authority(way: &mut Way, record: &Record<'_>, names: &mut Names) {
    let direction = Direction::of(names.get(way.cluster));
    let is_routed = match way.side {
        Side::Outbound => direction != Direction::Passthrough,
        Side::Gateway => direction == Direction::Outbound,
        Side::Inbound | Side::Unknown => false,
    };
    if is_routed && way.protocol == Protocol::Http && !record.spans.doubtful {
        way.authority = names.intern(record.plain(Field::Authority));
    }
}

/// Which end of the connection wrote the line. Source of the rules for lines without a telling cluster: what
/// Istio's proxies print when no cluster was chosen.
fn side(
    record: &Record<'_>,
    direction: Direction,
    flags: Flags,
    protocol: Protocol,
    ends: &Ends,
    names: &Names,
) -> Side {
    if direction.is_inbound() {
        return Side::Inbound;
    }
    if direction.is_outbound() {
        return Side::Outbound;
    }
    if ends.local.ip().is_loopback(names) || ends.host.ip().is_loopback(names) {
        return Side::Inbound;
    }
    let chosen = direction == Direction::Other && !record.plain(Field::UpstreamCluster).is_empty();
    if chosen || record.plain(Field::RouteName) == b"block_all" || flags.any_of(&["UH"]) {
        return Side::Outbound;
    }
    // The listener's own line: no filter chain took the connection. Only server-side listeners have no default.
    if flags.any_of(&["NR"]) && protocol == Protocol::Tcp {
        return Side::Inbound;
    }
    Side::Unknown
}

/// The request id as a number, the same on any thread and in any block; 0 without one, and where a header was cut in one
/// of several ways: nobody shall choose with whom his request is paired.
#[inline]
pub(super) fn request(record: &Record<'_>) -> u64 {
    if record.spans.doubtful {
        return 0;
    }
    record.text(Field::RequestId).map_or(0, |id| FixedState::with_seed(0).hash_one(&*id).max(1))
}
