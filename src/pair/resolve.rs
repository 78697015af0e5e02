//! `group`: legs that may belong together become connections. Pure: the same legs in any order give the same.
//!
//! First, lines that tell of one connection again (periodic ones) become one leg. Then every outbound leg and
//! every inbound leg that fit each other are a candidate, and the best candidates win: the stronger match first,
//! then the nearest in time, one to one. Bytes of Envoy's legs are never compared: mTLS between sidecars adds some
//! hundred on the server's side. (ztunnels count what is inside of the tunnel; there they are part of the key.)

use super::{Closed, Connection, Match};
use crate::field::value::Micros;
use crate::leg::{Leg, Protocol, Side};
use crate::source::Origin;

/// How far the clocks of two nodes may be apart, milliseconds. A port comes back after a minute at the least
/// (`TIME_WAIT`), so this leaves no doubt which of its connections is meant.
const SKEW: i64 = 2_000;

/// Groups with more candidates than this are hostile or broken: only neighbours in time are looked at.
const MANY: usize = 4096;
/// How many neighbours on each side.
const NEIGHBOURS: usize = 16;

/// The port of ztunnels' tunnels, which the first of them printed instead of the one inside.
const TUNNEL: u16 = 15008;

/// What became of a group.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) connections: Vec<Connection>,
    pub(super) merged: Vec<Leg>,
    pub(super) left: Vec<Leg>,
}

impl Resolved {
    /// Gives away what is settled.
    pub(super) fn hand_over(&mut self, closed: &mut dyn Closed) {
        for connection in self.connections.drain(..) {
            closed.connection(connection);
        }
        for leg in self.merged.drain(..) {
            closed.merged(leg);
        }
    }
}

/// Two legs as the client's and the server's, and by what they meet, if they are the two ends of one connection.
#[inline]
pub(super) fn couple<'l>(one: &'l Leg, other: &'l Leg) -> Option<(&'l Leg, &'l Leg, Match)> {
    let (out, inn) = if one.side.is_client() { (one, other) } else { (other, one) };
    if !out.side.is_client() || inn.side != Side::Inbound {
        return None;
    }
    Some((out, inn, fit(out, inn)?))
}

/// Resolves one group. Legs that found no partner are in `left`.
pub(super) fn group(legs: &mut Vec<Leg>, out: &mut Resolved) {
    if let [only] = legs[..] {
        out.left.push(only);
        return;
    }
    merge(legs, &mut out.merged);
    legs.sort_unstable_by_key(Leg::order);
    let (outbound, inbound): (Vec<Leg>, Vec<Leg>) = legs.iter().partition(|leg| leg.side.is_client());
    let mut taken = (vec![false; outbound.len()], vec![false; inbound.len()]);
    for candidate in candidates(&outbound, &inbound) {
        let (o, i) = (candidate.outbound, candidate.inbound);
        if !taken.0[o] && !taken.1[i] {
            (taken.0[o], taken.1[i]) = (true, true);
            out.connections.push(Connection::of(&outbound[o], &inbound[i], candidate.matched));
        }
    }
    let alone =
        |legs: Vec<Leg>, taken: Vec<bool>| legs.into_iter().zip(taken).filter(|(_, taken)| !taken).map(|(leg, _)| leg);
    out.left.extend(alone(outbound, taken.0));
    out.left.extend(alone(inbound, taken.1));
}

/// Lines of one TCP connection share its start and both downstream addresses; the last of them tells all.
fn merge(legs: &mut Vec<Leg>, merged: &mut Vec<Leg>) {
    let same = |leg: &Leg| (leg.side, leg.start, leg.peer, leg.wire);
    let last = |leg: &Leg| (leg.duration, leg.bytes, leg.origin);
    legs.sort_unstable_by(|a, b| same(a).cmp(&same(b)).then(last(b).cmp(&last(a))));
    legs.dedup_by(|later, first| {
        let again = later.protocol == Protocol::Tcp && first.protocol == Protocol::Tcp && same(later) == same(first);
        if again {
            merged.push(*later);
        }
        again
    });
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    matched: Match,
    starts_apart: u64,
    ends_apart: u64,
    order: [(Micros, Micros, Origin); 2],
    outbound: usize,
    inbound: usize,
}

fn candidates(outbound: &[Leg], inbound: &[Leg]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let many = outbound.len().saturating_mul(inbound.len()) > MANY;
    for (o, out) in outbound.iter().enumerate() {
        let near = inbound.partition_point(|leg| leg.start < out.start);
        let range =
            if many { near.saturating_sub(NEIGHBOURS)..inbound.len().min(near + NEIGHBOURS) } else { 0..inbound.len() };
        for i in range {
            let inn = &inbound[i];
            if let Some(matched) = fit(out, inn) {
                found.push(Candidate {
                    matched,
                    starts_apart: out.start.0.abs_diff(inn.start.0),
                    ends_apart: out.end().0.abs_diff(inn.end().0),
                    order: [out.order(), inn.order()],
                    outbound: o,
                    inbound: i,
                });
            }
        }
    }
    found.sort_unstable();
    found
}

/// Whether two legs can be one connection, and by what.
fn fit(out: &Leg, inn: &Leg) -> Option<Match> {
    let same_wire = !out.wire.is_none() && out.wire == inn.wire;
    let same_server = !out.server.is_none() && out.server == inn.server;
    let overlap = inn.start <= out.end().plus_millis(SKEW) && out.start <= inn.end().plus_millis(SKEW);
    if !overlap {
        return None;
    }
    match (out.protocol, inn.protocol) {
        (Protocol::Tcp, Protocol::Tcp) if same_wire => Some(if same_server { Match::Tuple } else { Match::Source }),
        // Only ztunnels give TCP connections a key.
        (Protocol::Tcp, Protocol::Tcp) if out.request != 0 && out.request == inn.request => {
            let tunnelled = out.server.port() == TUNNEL && out.server.ip() == inn.server.ip();
            (same_server || tunnelled).then_some(Match::Bytes)
        }
        (Protocol::Http, Protocol::Http) if out.request != 0 && out.request == inn.request => {
            match (same_wire, same_server) {
                (true, true) => Some(Match::TupleAndRequest),
                (true, false) => Some(Match::Source),
                (false, true) => Some(Match::RequestId),
                (false, false) => None,
            }
        }
        // Many requests share a connection: without an id only one that lies inside of the other is the same.
        (Protocol::Http, Protocol::Http) if (out.request == 0 || inn.request == 0) && same_wire && same_server => {
            let inside = inn.start.plus_millis(SKEW) >= out.start && inn.end() <= out.end().plus_millis(SKEW);
            inside.then_some(Match::TupleAndTime)
        }
        // The listener refused the connection that the request was to go over.
        (Protocol::Http, Protocol::Tcp) if same_wire && same_server && inn.refused && inn.side == Side::Inbound => {
            Some(Match::Tuple)
        }
        // The client took for TCP what the server read as HTTP: the first request stands for the connection.
        (Protocol::Tcp, Protocol::Http) if same_wire && same_server => Some(Match::Tuple),
        _ => None,
    }
}
