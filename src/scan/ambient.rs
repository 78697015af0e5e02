//! What a ztunnel line says beyond Envoy's fields: whose line it is, the service, the outcome.
//!
//! ztunnel has no clusters and no flags. The names that Envoy's proxies would use for the same are made up here, so
//! that rules, topology and the traffic table need to know one language only; the leg's own fields stay as printed.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::unwrap::Wrapped;
use super::way::Ends;
use crate::field::Field;
use crate::field::flag::Flags;
use crate::format::ambient;
use crate::names::{Names, workload};
use crate::record::Record;

/// A ztunnel line in Envoy's words.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The pod whose connection it is: the log is ztunnel's own.
    pub(super) wrapped: Wrapped,
    /// `outbound|PORT||SERVICE`, `inbound|PORT||SERVICE` or `PassthroughCluster`.
    pub(super) cluster: Vec<u8>,
    /// The flag that Envoy has for the error.
    pub(super) flags: Flags,
    /// What both sides know of the connection, as a number: tunnels share their ports, so addresses do not tell.
    pub(super) key: u64,
}

/// Reads what only a ztunnel says; `None` for everybody else's lines.
#[inline]
pub(super) fn read(record: &Record<'_>, wrapped: &Wrapped, ends: &mut Ends, names: &mut Names) -> Option<Told> {
    record.raw(Field::Direction).map(|_| told(record, wrapped, ends, names))
}

fn told(record: &Record<'_>, wrapped: &Wrapped, ends: &mut Ends, names: &mut Names) -> Told {
    let inbound = record.plain(Field::Direction) == b"inbound";
    let (pod, namespace, server) = if inbound {
        (Field::DestinationWorkload, Field::DestinationNamespace, ends.dest)
    } else {
        (Field::SourceWorkload, Field::SourceNamespace, ends.host)
    };
    let pod = record.plain(pod);
    let own = Wrapped {
        namespace: names.intern(record.plain(namespace)),
        workload: names.intern(workload(pod)),
        pod: names.intern(pod),
        ..*wrapped
    };
    let service = record.plain(Field::DestinationService);
    let known = !service.is_empty() || !record.plain(Field::DestinationWorkload).is_empty();
    let cluster = match (inbound, known) {
        (true, _) => [b"inbound|", server.port().to_string().as_bytes(), b"||", service].concat(),
        (false, true) => [b"outbound|", server.port().to_string().as_bytes(), b"||", service].concat(),
        (false, false) => {
            // Nothing was chosen, so what was dialled is what was connected.
            ends.dest = ends.host;
            b"PassthroughCluster".to_vec()
        }
    };
    let bytes = (record.raw(Field::BytesReceived), record.raw(Field::BytesSent));
    let key = FixedState::with_seed(1).hash_one((
        ends.peer.ip().show(names).to_string(),
        // Without its port: old releases print the tunnel's on the client's side.
        server.ip().show(names).to_string(),
        bytes,
    ));
    Told { wrapped: own, cluster, flags: Flags::read(ambient::flags(record.plain(Field::Error))), key: key.max(1) }
}
