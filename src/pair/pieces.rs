//! `Pieces`: legs in the order in which they came, in pieces of one size. They leave nearly in that order, so a piece is soon empty
//! and used again, while it still lies in a core's cache; what is written and read next can be fetched before anybody asks for it.

use std::collections::VecDeque;

use crate::leg::Leg;

/// How many legs a piece has.
const PIECE: usize = 256;
/// How many empty pieces are kept to be used again.
const SPARE: usize = 64;

/// The place of a leg. Places go round once there are no more numbers.
pub(super) type Place = u32;

/// A leg, and the place of the one that its group got before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) leg: Leg,
    pub(super) before: Place,
}

#[derive(Debug)]
struct Piece {
    /// No room at all once all of it has been taken.
    nodes: Vec<Node>,
    /// How many were not taken yet.
    left: usize,
}

/// Legs by place.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    list: VecDeque<Piece>,
    /// The first place of the first piece.
    first: Place,
    len: usize,
    spare: Vec<Vec<Node>>,
}

impl Pieces {
    /// How many legs there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is not much more room than legs.
    pub(super) fn is_dense(&self) -> bool {
        self.list.len() * PIECE <= self.len + self.len / 4 + 16 * PIECE
    }

    /// Puts a leg behind the others.
    #[inline]
    pub(super) fn push(&mut self, node: Node) -> Place {
        if self.list.back().is_none_or(|piece| piece.nodes.len() == PIECE || piece.nodes.capacity() == 0) {
            let nodes = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(PIECE));
            self.list.push_back(Piece { nodes, left: 0 });
        }
        let before = (self.list.len() - 1) * PIECE;
        let Some(piece) = self.list.back_mut() else { return self.first };
        let place = before + piece.nodes.len();
        piece.nodes.push(node);
        piece.left += 1;
        self.len += 1;
        self.first.wrapping_add(place as Place)
    }

    /// Takes a leg out, which must be there.
    #[inline]
    pub(super) fn take(&mut self, place: Place) -> Node {
        let at = place.wrapping_sub(self.first) as usize;
        let piece = &mut self.list[at / PIECE];
        let node = piece.nodes[at % PIECE];
        piece.left -= 1;
        self.len -= 1;
        if piece.left == 0 && piece.nodes.len() == PIECE {
            let mut nodes = std::mem::take(&mut piece.nodes);
            nodes.clear();
            if self.spare.len() < SPARE {
                self.spare.push(nodes);
            }
            while self.list.front().is_some_and(|piece| piece.nodes.capacity() == 0) {
                self.list.pop_front();
                self.first = self.first.wrapping_add(PIECE as Place);
            }
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_are_where_they_were_put_however_many_were_taken() {
        let mut pieces = Pieces { first: Place::MAX - 700, ..Pieces::default() };
        let (mut known, mut bytes) = (VecDeque::new(), 0..);
        for round in 0..200 {
            for _ in 0..round * 7 % 400 {
                let leg = Leg { bytes: bytes.next().unwrap(), ..Leg::PLAIN };
                known.push_back((pieces.push(Node { leg, before: 0 }), leg.bytes));
            }
            // Not quite in the order in which they came.
            for number in 0..(round * 11 % 400).min(known.len()) {
                let (place, bytes) = known.remove(number % known.len().min(5)).unwrap();
                assert_eq!(pieces.take(place).leg.bytes, bytes);
            }
            assert_eq!(pieces.len(), known.len());
            assert!(pieces.is_dense(), "{} legs in {} pieces", known.len(), pieces.list.len());
        }
    }

    #[test]
    fn a_leg_that_stays_makes_them_sparse() {
        let mut pieces = Pieces::default();
        for number in 0..100 * PIECE {
            let place = pieces.push(Node { leg: Leg::PLAIN, before: 0 });
            if number % PIECE > 0 {
                pieces.take(place);
            }
        }
        assert!(!pieces.is_dense());
    }
}
