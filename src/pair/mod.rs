//! `Pairer`: outbound and inbound legs of one connection meet here.
//!
//! Legs are collected in groups: those with a request id by that id, all others by the client's end on the
//! wire, which both proxies see. What a group means is decided by `resolve`, a pure function, when the group is
//! closed. Groups in which every leg has its exact partner close when log time has left them behind: nothing that
//! comes later can change them. The others wait until the input ends, or until more than `Options::hold` legs
//! wait; then those go that log time has left behind. So an input of ordinary size is resolved as a whole,
//! whatever the order of its lines, and memory does not grow with the input as long as time moves on.

mod late;
mod pieces;
mod resolve;
mod store;

use std::io;

use late::Late;
use serde::{Deserialize, Serialize};
use store::Store;

use crate::field::value::Micros;
use crate::leg::{Leg, Protocol, Side};

/// By what two legs were found to be one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Match {
    /// Both ends on the wire agree, and the times overlap.
    Tuple,
    /// Both ends on the wire and the request id agree.
    TupleAndRequest,
    /// The request id and the server agree; the client's port is hidden or translated.
    RequestId,
    /// Both ends on the wire agree and the request lies inside of the other; there is no request id.
    TupleAndTime,
    /// The addresses inside of the tunnel and the bytes agree, and the times overlap: ztunnels share connections.
    Bytes,
    /// Only the client's end on the wire agrees; the destinations do not.
    Source,
}

impl Match {
    /// Every way to match.
    pub const ALL: [Match; 6] =
        [Match::Tuple, Match::TupleAndRequest, Match::RequestId, Match::TupleAndTime, Match::Bytes, Match::Source];

    /// The word in `matched_by`.
    pub const fn name(self) -> &'static str {
        match self {
            Match::Tuple => "tuple",
            Match::TupleAndRequest => "tuple+request-id",
            Match::RequestId => "request-id",
            Match::TupleAndTime => "tuple+time",
            Match::Bytes => "addresses+bytes",
            Match::Source => "source",
        }
    }

    /// What it means, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Match::Tuple => "both ends on the wire agree and the times overlap",
            Match::TupleAndRequest => "both ends on the wire and the request id agree (HTTP)",
            Match::RequestId => {
                "request id and server agree; the client's port is hidden by x-forwarded-for or translated"
            }
            Match::TupleAndTime => "both ends agree, there is no request id, one request lies inside of the other",
            Match::Bytes => {
                "ztunnels share connections: the client, the server inside of the tunnel, the bytes and the times agree"
            }
            Match::Source => "only the client's end agrees, the destinations do not: the weaker pairing",
        }
    }
}

/// A connection (on HTTP, a request) as far as the proxies' lines show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The client's leg.
    pub outbound: Option<Leg>,
    /// The server's leg.
    pub inbound: Option<Leg>,
    /// By what they met; none for a leg that is alone.
    pub matched: Option<Match>,
}

impl Connection {
    /// One of which only this leg is known.
    pub fn alone(leg: Leg) -> Connection {
        let (outbound, inbound) = if leg.side == Side::Inbound { (None, Some(leg)) } else { (Some(leg), None) };
        Connection { outbound, inbound, matched: None }
    }

    /// One of which both legs are known.
    #[inline]
    fn of(out: &Leg, inn: &Leg, matched: Match) -> Connection {
        Connection { outbound: Some(*out), inbound: Some(*inn), matched: Some(matched) }
    }

    /// The leg that leads: the client's, else the server's.
    pub fn leading(&self) -> Option<&Leg> {
        self.outbound.as_ref().or(self.inbound.as_ref())
    }
}

/// How long legs wait for each other.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// So many legs may wait for their partners without anyone asking for how long.
    pub hold: usize,
    /// Past so many, the older half of those that wait is closed whatever its time.
    pub most: usize,
    /// Groups that are whole close when their last leg ended so many milliseconds of log time ago.
    pub settled: i64,
    /// The others close after so many, once too many legs wait.
    pub window: i64,
    /// Of legs whose partner did not come in its time so many stay in memory; the others lie in a temporary file.
    pub at_hand: usize,
}

impl Default for Options {
    /// 128 Ki legs are about 15 MB. Proxies flush their logs every second (ten in old releases), and clocks are some
    /// hundred milliseconds apart: a minute is plenty for a partner to come, and a connection that is whole only waits
    /// for its port's next life or its proxy's next line, neither of which comes within seconds.
    fn default() -> Self {
        Self { hold: 128 << 10, most: 1 << 20, settled: 5_000, window: 60_000, at_hand: usize::MAX }
    }
}

impl Options {
    /// The same within so much memory for legs that wait. No less than what is read at a time is of use.
    #[must_use]
    pub fn within(bytes: usize) -> Options {
        let default = Options::default();
        let most = (bytes / store::LEG).max(SWEEP);
        Options { hold: default.hold.min(most / 2), most, ..default }
    }
}

/// How many legs come in before it is worth looking for groups that can close: few enough for a cache.
const SWEEP: usize = 8 << 10;

/// Where closed connections go, one by one: most of them are only counted, and never stored again.
pub trait Closed {
    /// A connection that nothing will change any more.
    fn connection(&mut self, connection: Connection);

    /// A line that told of a connection again (a periodic one): its leg went into another one.
    fn merged(&mut self, leg: Leg);

    /// A leg whose partner did not come in its time waits on.
    fn late(&mut self, leg: &Leg);
}

/// Collects legs until their groups close.
#[derive(Debug)]
pub struct Pairer {
    options: Options,
    /// Legs that came in lately. Small, so that it stays in a cache.
    fresh: Store,
    /// Legs whose partner did not come in its time; it may still come.
    late: Late,
    /// The log time that every open input has reached.
    now: Option<Micros>,
    sweep_at: usize,
    /// Legs that were given up before their time because memory was short.
    pub early: u64,
}

impl Pairer {
    /// An empty one.
    pub fn new(options: Options) -> Pairer {
        let sweep_at = SWEEP.min(options.hold);
        Pairer { options, fresh: Store::default(), late: Late::new(options.at_hand), now: None, sweep_at, early: 0 }
    }

    /// How many legs wait.
    pub fn waiting(&self) -> usize {
        self.fresh.len() + self.late.len()
    }

    /// Why legs are lost that lay in the file, if some could not be read again.
    pub fn lost(&mut self) -> Option<io::Error> {
        self.late.lost.take()
    }

    /// Why nothing goes to the file any more, if it could not be written: all stays in memory, and nothing is lost.
    pub fn trouble(&mut self) -> Option<io::Error> {
        self.late.trouble.take()
    }

    /// Says how far log time has come.
    pub fn advance(&mut self, now: Option<Micros>) {
        self.now = self.now.max(now);
    }

    /// Takes a leg. One that no other leg can join goes to `closed` at once.
    pub fn push(&mut self, leg: &Leg, closed: &mut dyn Closed) {
        match key(leg) {
            Some(key) => {
                self.fresh.insert(key, leg);
            }
            None => closed.connection(Connection::alone(*leg)),
        }
    }

    /// Closes what time has left behind and cannot change any more, and more if there is too much to hold.
    pub fn sweep(&mut self, closed: &mut dyn Closed) {
        if self.fresh.len() < self.sweep_at {
            return;
        }
        if let Some(now) = self.now {
            self.settle(now.plus_millis(-self.options.settled), closed);
            if self.waiting() > self.options.hold {
                self.close(now.plus_millis(-self.options.window), closed);
            }
        }
        let ceiling = self.options.most;
        if self.waiting() > ceiling {
            let before = self.waiting();
            let horizon = self.fresh.median_end().max(self.late.median_end());
            self.close(horizon, closed);
            self.early += (before - self.waiting()) as u64;
        }
        self.sweep_at = SWEEP.min(self.options.hold).max(self.fresh.len() * 2).min(ceiling + 1);
    }

    /// Closes everything.
    pub fn finish(&mut self, closed: &mut dyn Closed) {
        self.close(Micros(i64::MAX), closed);
    }

    /// Closes the groups that are whole. For live runs that show connections; groups with a leg that waits stay.
    pub fn close_whole(&mut self, closed: &mut dyn Closed) {
        self.fresh.take(|group| group.count > 1, |legs| close_if_exact(legs, closed));
    }

    /// Closes the whole ones of the groups that ended before `horizon`; the others become late, and meet there what
    /// was late before.
    fn settle(&mut self, horizon: Micros, closed: &mut dyn Closed) {
        let mut met = Vec::new();
        let ripe = self.fresh.ripe(|group| group.end < horizon);
        self.fresh.draw(&ripe, |key, legs| {
            if close_if_exact(legs, closed) {
                return;
            }
            for leg in legs {
                closed.late(leg);
                if self.late.insert(key, *leg) {
                    met.push(key);
                }
            }
        });
        for key in met {
            self.late.take_one(key, |legs| close_if_exact(legs, closed));
        }
    }

    /// Closes every group that ended before `horizon`. Requests first: what a request id did not join may still meet
    /// a listener's line, which has none.
    fn close(&mut self, horizon: Micros, closed: &mut dyn Closed) {
        let Pairer { fresh, late, .. } = self;
        // A hundred thousand may be late. Of most of them nothing came any more: they need not be among the fresh ones first.
        let is_ripe =
            |fresh: &Store, key: u64, legs: &[Leg]| !fresh.has(key) && legs.iter().all(|leg| leg.end() < horizon);
        let mut again = Vec::new();
        late.draw(is_request_key, |late, key, legs| {
            if is_ripe(fresh, key, legs) {
                close_requests(legs, closed, |wire| fresh.has(wire) || late.has(wire), &mut again);
            } else {
                fresh.extend(key, legs);
            }
        });
        let requests = fresh.ripe(|group| is_request_key(group.key) && group.end < horizon);
        fresh.draw(&requests, |_, legs| close_requests(legs, closed, |_| true, &mut again));
        for leg in again {
            fresh.insert(leg.wire.number(), &leg);
        }
        late.draw(
            |_| true,
            |_, key, legs| {
                if is_ripe(fresh, key, legs) {
                    close_others(legs, closed);
                } else {
                    fresh.extend(key, legs);
                }
            },
        );
        let others = fresh.ripe(|group| !is_request_key(group.key) && group.end < horizon);
        fresh.draw(&others, |_, legs| close_others(legs, closed));
    }
}

/// Closes a group of a request id. Clients' legs that found no partner go to `again`, if they have a wire on which somebody may wait.
fn close_requests(legs: &[Leg], closed: &mut dyn Closed, waits: impl Fn(u64) -> bool, again: &mut Vec<Leg>) {
    for leg in close(legs, closed) {
        // Lines of one TCP connection may still meet each other there.
        let may_meet = leg.protocol == Protocol::Tcp || waits(leg.wire.number());
        if leg.side.is_client() && !leg.wire.is_none() && may_meet {
            again.push(leg);
        } else {
            closed.connection(Connection::alone(leg));
        }
    }
}

/// Closes any other group.
fn close_others(legs: &[Leg], closed: &mut dyn Closed) {
    for leg in close(legs, closed) {
        closed.connection(Connection::alone(leg));
    }
}

/// Closes a group if each of its legs has its exact partner; says whether it did.
fn close_if_exact(legs: &[Leg], closed: &mut dyn Closed) -> bool {
    if legs.len() < 2 {
        return false;
    }
    // Nearly every group: its two legs, and nothing to choose.
    if let [one, other] = legs {
        let exact = resolve::couple(one, other).filter(|(_, _, matched)| is_exact(*matched));
        if let Some((out, inn, matched)) = exact {
            closed.connection(Connection::of(out, inn, matched));
        }
        return exact.is_some();
    }
    let mut resolved = resolve::Resolved::default();
    resolve::group(&mut legs.to_vec(), &mut resolved);
    if !resolved.left.is_empty()
        || !resolved.connections.iter().filter_map(|connection| connection.matched).all(is_exact)
    {
        return false;
    }
    resolved.hand_over(closed);
    true
}

fn is_exact(matched: Match) -> bool {
    matched != Match::Source
}

/// Closes a group; gives back the legs that found no partner.
fn close(legs: &[Leg], closed: &mut dyn Closed) -> Vec<Leg> {
    if let [one, other] = legs
        && let Some((out, inn, matched)) = resolve::couple(one, other)
    {
        closed.connection(Connection::of(out, inn, matched));
        return Vec::new();
    }
    let mut resolved = resolve::Resolved::default();
    resolve::group(&mut legs.to_vec(), &mut resolved);
    resolved.hand_over(closed);
    resolved.left
}

/// The group of a leg, `None` if nothing can join it.
fn key(leg: &Leg) -> Option<u64> {
    if leg.side == Side::Unknown {
        None
    } else if leg.request != 0 {
        Some(leg.request | REQUEST)
    } else if leg.wire.is_none() {
        None
    } else {
        Some(leg.wire.number())
    }
}

/// Set in the keys of request ids; an endpoint's number never has it.
const REQUEST: u64 = 1 << 63;

fn is_request_key(key: u64) -> bool {
    key & REQUEST != 0
}

#[cfg(test)]
mod tests;
