//! What pairing must get right, in legs made by hand.

use super::*;
use crate::endpoint::Endpoint;
use crate::leg::Protocol;
use crate::names::Names;
use crate::source::{Origin, SourceId};

/// A mesh of two kinds of legs, outbound 0 and inbound 1, and whatever a test adds.
struct Mesh {
    names: Names,
    kinds: Vec<Kind>,
    lines: u64,
}

#[derive(Clone, Copy)]
struct Kind {
    side: Side,
    protocol: Protocol,
    server: Endpoint,
    refused: bool,
}

const SERVER: &str = "10.0.0.2:5701";
const CLIENT: &str = "10.0.0.1:51100";

impl Mesh {
    fn new() -> Mesh {
        let mut mesh = Mesh { names: Names::default(), kinds: Vec::new(), lines: 0 };
        mesh.way(Side::Outbound, Protocol::Tcp, SERVER, "10.9.9.9:5701");
        mesh.way(Side::Inbound, Protocol::Tcp, "127.0.0.1:5701", SERVER);
        mesh
    }

    fn way(&mut self, side: Side, protocol: Protocol, host: &str, dest: &str) -> u32 {
        let server = self.at(if side.is_client() { host } else { dest });
        self.kinds.push(Kind { side, protocol, server, refused: false });
        self.kinds.len() as u32 - 1
    }

    fn at(&mut self, text: &str) -> Endpoint {
        Endpoint::read(text.as_bytes(), &mut self.names)
    }

    /// A leg whose end on the wire is `wire`, from `start` to `end` in milliseconds.
    fn leg(&mut self, way: u32, wire: &str, start: i64, end: i64, request: u64) -> Leg {
        let Kind { side, protocol, server, refused } = self.kinds[way as usize];
        let (wire, app) = (self.at(wire), self.at("10.0.0.1:40000"));
        self.lines += 1;
        Leg {
            start: Micros(0).plus_millis(start),
            duration: u32::try_from(end - start).unwrap(),
            way,
            wire: if wire.port() == 0 { Endpoint::NONE } else { wire },
            server,
            peer: if side.is_client() { app } else { wire },
            request,
            origin: Origin { source: SourceId(0), line: self.lines },
            side,
            protocol,
            refused,
            ..Leg::PLAIN
        }
    }

    /// Pairs as `(outbound line, inbound line, by what)`, sorted; then how many legs were left alone.
    fn pairs(legs: &[Leg]) -> (Vec<(u64, u64, &'static str)>, usize) {
        Self::pairs_holding(legs, 1 << 20)
    }

    fn pairs_holding(legs: &[Leg], hold: usize) -> (Vec<(u64, u64, &'static str)>, usize) {
        let in_memory = Self::pairs_within(legs, hold, usize::MAX);
        assert_eq!(Self::pairs_within(legs, hold, 1), in_memory, "it does not matter where legs lie");
        in_memory
    }

    fn pairs_within(legs: &[Leg], hold: usize, at_hand: usize) -> (Vec<(u64, u64, &'static str)>, usize) {
        let mut pairer = Pairer::new(Options { hold, most: 1 << 20, settled: 5_000, window: 10_000, at_hand });
        let mut closed = Collected::default();
        for leg in legs {
            pairer.push(leg, &mut closed);
            pairer.advance(Some(leg.end()));
            pairer.sweep(&mut closed);
        }
        pairer.finish(&mut closed);
        assert_eq!(pairer.waiting(), 0);
        let mut pairs = Vec::new();
        let mut alone = 0;
        for connection in &closed.connections {
            match (connection.outbound, connection.inbound, connection.matched) {
                (Some(out), Some(inn), Some(by)) => {
                    pairs.push((out.origin.line, inn.origin.line, by.name()));
                }
                _ => alone += 1,
            }
        }
        pairs.sort_unstable();
        (pairs, alone)
    }
}

/// Everything that was closed.
#[derive(Default)]
struct Collected {
    connections: Vec<Connection>,
}

impl Closed for Collected {
    fn connection(&mut self, connection: Connection) {
        self.connections.push(connection);
    }

    fn merged(&mut self, _: Leg) {}

    fn late(&mut self, _: &Leg) {}
}

#[test]
fn the_tuple_joins_both_legs_in_either_order() {
    let mut mesh = Mesh::new();
    let (out, inn) = (mesh.leg(0, CLIENT, 0, 506, 0), mesh.leg(1, CLIENT, 2, 506, 0));
    assert_eq!(Mesh::pairs(&[out, inn]), (vec![(1, 2, "tuple")], 0));
    assert_eq!(Mesh::pairs(&[inn, out]), (vec![(1, 2, "tuple")], 0));
}

#[test]
fn destinations_that_disagree_are_the_weaker_match() {
    let mut mesh = Mesh::new();
    let elsewhere = mesh.way(Side::Inbound, Protocol::Tcp, "127.0.0.1:5701", "10.0.0.3:5701");
    let legs = [mesh.leg(0, CLIENT, 0, 500, 0), mesh.leg(elsewhere, CLIENT, 2, 500, 0)];
    assert_eq!(Mesh::pairs(&legs), (vec![(1, 2, "source")], 0));
    // Where both are there, the tuple wins.
    let legs = [legs[0], legs[1], mesh.leg(1, CLIENT, 3, 500, 0)];
    assert_eq!(Mesh::pairs(&legs), (vec![(1, 3, "tuple")], 1));
}

#[test]
fn a_port_that_comes_back_is_another_connection() {
    let mut mesh = Mesh::new();
    let first = (mesh.leg(0, CLIENT, 0, 100, 0), mesh.leg(1, CLIENT, 1, 101, 0));
    let second = (mesh.leg(0, CLIENT, 70_000, 70_100, 0), mesh.leg(1, CLIENT, 70_001, 70_101, 0));
    assert_eq!(Mesh::pairs(&[first.0, second.1, first.1, second.0]).0, [(1, 2, "tuple"), (3, 4, "tuple")]);
    // One leg of each lost: nothing is invented.
    assert_eq!(Mesh::pairs(&[first.0, second.1]), (vec![], 2));
}

#[test]
fn a_long_connection_is_ordered_by_its_end() {
    let mut mesh = Mesh::new();
    let hour = 3_600_000;
    let (out, inn) = (mesh.leg(0, CLIENT, 0, 2 * hour, 0), mesh.leg(1, CLIENT, 900, 2 * hour + 90, 0));
    // An outbound leg that outlives its inbound leg by the idle timeout is still the same connection.
    let half = (mesh.leg(0, "10.0.0.1:51101", 0, 2 * hour, 0), mesh.leg(1, "10.0.0.1:51101", 2, hour, 0));
    assert_eq!(Mesh::pairs(&[inn, out, half.1, half.0]).0, [(1, 2, "tuple"), (3, 4, "tuple")]);
}

#[test]
fn periodic_lines_become_one_leg() {
    let mut mesh = Mesh::new();
    let legs = [
        mesh.leg(0, CLIENT, 0, 0, 0),
        mesh.leg(0, CLIENT, 0, 5_000, 0),
        mesh.leg(0, CLIENT, 0, 9_000, 0),
        mesh.leg(1, CLIENT, 1, 9_001, 0),
    ];
    assert_eq!(Mesh::pairs(&legs), (vec![(3, 4, "tuple")], 0));
}

#[test]
fn requests_on_one_connection_pair_by_their_ids() {
    let mut mesh = Mesh::new();
    let (out, inn) = (
        mesh.way(Side::Outbound, Protocol::Http, SERVER, "10.9.9.9:80"),
        mesh.way(Side::Inbound, Protocol::Http, "127.0.0.1:80", SERVER),
    );
    let legs = [
        mesh.leg(out, CLIENT, 0, 5, 7),
        mesh.leg(out, CLIENT, 1, 6, 8),
        mesh.leg(inn, CLIENT, 1, 4, 8),
        mesh.leg(inn, CLIENT, 1, 4, 9),
    ];
    assert_eq!(Mesh::pairs(&legs), (vec![(2, 3, "tuple+request-id")], 2));
}

#[test]
fn behind_x_forwarded_for_the_request_id_and_the_server_join() {
    let mut mesh = Mesh::new();
    let (out, inn) = (
        mesh.way(Side::Gateway, Protocol::Http, SERVER, "10.0.0.1:8443"),
        mesh.way(Side::Inbound, Protocol::Http, "127.0.0.1:80", SERVER),
    );
    let next = mesh.way(Side::Inbound, Protocol::Http, "127.0.0.1:80", "10.0.0.7:80");
    let legs = [
        mesh.leg(out, CLIENT, 0, 5, 7),
        mesh.leg(inn, "203.0.113.9:0", 1, 4, 7),
        mesh.leg(next, "203.0.113.9:0", 2, 3, 7),
    ];
    assert_eq!(Mesh::pairs(&legs), (vec![(1, 2, "request-id")], 1));
}

#[test]
fn a_listener_line_joins_the_request_that_it_refused() {
    let mut mesh = Mesh::new();
    let out = mesh.way(Side::Outbound, Protocol::Http, SERVER, "10.9.9.9:80");
    let refused = mesh.way(Side::Inbound, Protocol::Tcp, "-", SERVER);
    mesh.kinds[refused as usize].refused = true;
    let legs = [mesh.leg(refused, CLIENT, 1, 1, 0), mesh.leg(out, CLIENT, 0, 5, 7)];
    assert_eq!(Mesh::pairs(&legs), (vec![(2, 1, "tuple")], 0));
    // Whichever of them is late, and where the other one waits when they close.
    for (first, second) in [(0, 1), (1, 0)] {
        for apart in 0..40 {
            let mut all = vec![legs[first]];
            let mut others = (0..40).map(|number| {
                let start = 200 * number;
                mesh.leg(out, &format!("10.0.0.9:{}", 40_000 + number), start, start, 100 + number.unsigned_abs())
            });
            all.extend(others.by_ref().take(apart));
            all.push(legs[second]);
            all.extend(others);
            assert_eq!(Mesh::pairs_holding(&all, 8), (vec![(2, 1, "tuple")], 40), "{apart} legs apart");
        }
    }
}

#[test]
fn time_that_moves_on_bounds_what_is_held_and_changes_no_pair() {
    let mut mesh = Mesh::new();
    let mut legs = Vec::new();
    for number in 0..2_000 {
        let wire = format!("10.0.0.1:{}", 32_768 + number % 100);
        let start = number * 1_000;
        legs.push(mesh.leg(0, &wire, start, start + 300, 0));
        if number % 10 != 0 {
            legs.push(mesh.leg(1, &wire, start + 1, start + 300, 0));
        }
    }
    assert_eq!(Mesh::pairs_holding(&legs, 64), Mesh::pairs(&legs));
}

#[test]
fn a_flood_on_one_endpoint_is_resolved_in_bounded_work() {
    let mut mesh = Mesh::new();
    let mut legs = Vec::new();
    for number in 0..3_000 {
        legs.push(mesh.leg(0, CLIENT, number, number + 1, 0));
        legs.push(mesh.leg(1, CLIENT, number, number + 1, 0));
    }
    assert_eq!(Mesh::pairs(&legs).0.len(), 3_000);
}

proptest::proptest! {
    #[test]
    fn any_order_of_legs_gives_the_same_pairs(
        spec in proptest::collection::vec((0u32..2, 0u16..3, 0i64..200, 0i64..120), 1..40),
        seed in proptest::prelude::any::<u64>(),
    ) {
        let mut mesh = Mesh::new();
        let mut legs: Vec<Leg> = spec
            .iter()
            .map(|(way, port, start, long)| mesh.leg(*way, &format!("10.0.0.1:{}", 50_000 + port), start * 500, (start + long) * 500, 0))
            .collect();
        let expected = Mesh::pairs(&legs);
        let mut state = seed;
        for at in (1..legs.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            legs.swap(at, (state >> 33) as usize % (at + 1));
        }
        proptest::prop_assert_eq!(Mesh::pairs(&legs), expected);
    }
}

#[test]
fn where_memory_is_short_the_oldest_legs_are_given_up_and_counted() {
    let mut mesh = Mesh::new();
    let mut pairer = Pairer::new(Options { hold: 8, most: 64, settled: 5_000, window: 10_000, at_hand: usize::MAX });
    let mut closed = Collected::default();
    // Log time stands still, as where one of many sources tells nothing.
    for number in 0..1000 {
        let leg = mesh.leg(0, &format!("10.0.{}.{}:51100", number / 250, number % 250), number, number, 0);
        pairer.push(&leg, &mut closed);
        pairer.sweep(&mut closed);
        assert!(pairer.waiting() <= 65);
    }
    let early = closed.connections.len() as u64;
    assert!(early > 900 && pairer.early == early);
    let given_up = closed.connections.iter().filter_map(Connection::leading).map(|leg| leg.start).max();
    pairer.finish(&mut closed);
    let kept = closed.connections[usize::try_from(early).unwrap()..].iter().filter_map(Connection::leading);
    assert!(kept.map(|leg| leg.start).min() > given_up, "the oldest first");
    assert_eq!((closed.connections.len(), pairer.early), (1000, early));
}

#[test]
fn memory_is_shared_by_legs() {
    // What the command line's default comes to.
    let usual = Options::within(168 << 20);
    assert_eq!((usual.hold, usual.most), (Options::default().hold, Options::default().most));
    assert_eq!(Options::within(usize::MAX).hold, usual.hold);
    let tight = Options::within(2 << 20);
    assert!(tight.most < 2 << 14 && tight.hold < tight.most);
    assert!(Options::within(0).hold > 0);
}
