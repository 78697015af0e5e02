//! `Usual`: what a destination was called on its last line. The next line mostly calls it the same, which is compared more quickly than
//! it is looked up.

use crate::cluster::Direction;
use crate::endpoint::Endpoint;
use crate::names::{Names, Sym};

/// A power of two, more than most meshes have destinations and clients' sides of them.
const PLACES: usize = 2048;

/// Names by the destination on whose lines they stood, with the direction that a cluster of that name has.
#[derive(Debug)]
pub(super) struct Usual(Box<[(Sym, Direction)]>);

impl Default for Usual {
    fn default() -> Usual {
        Usual(vec![(Sym::NONE, Direction::of(b"")); PLACES].into())
    }
}

impl Usual {
    /// The number of a text on a line of this destination; the same as [`Names::intern`], which must be the same names always.
    #[inline]
    pub(super) fn intern(&mut self, text: &[u8], dest: Endpoint, names: &mut Names) -> Sym {
        self.cluster(text, dest, names).0
    }

    /// The same of a cluster's name, with its direction.
    #[inline]
    pub(super) fn cluster(&mut self, text: &[u8], dest: Endpoint, names: &mut Names) -> (Sym, Direction) {
        // Fibonacci's multiplier spreads neighbouring addresses.
        let slot = (dest.number().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % PLACES;
        let usual = &mut self.0[slot];
        if names.get(usual.0) != text {
            *usual = (names.intern(text), Direction::of(text));
        }
        *usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_number_whatever_the_destination_was_called_before() {
        let (mut usual, mut names) = (Usual::default(), Names::default());
        for round in 0..3 {
            for number in 0..6000u32 {
                let text = format!("outbound|80||service-{}", number % 700 + round % 2);
                let dest = Endpoint::read(format!("10.0.{}.{}:80", number >> 8, number & 0xff).as_bytes(), &mut names);
                let text = if number % 10 == 0 { "" } else { &text };
                let (name, direction) = usual.cluster(text.as_bytes(), dest, &mut names);
                assert_eq!((name, direction), (names.intern(text.as_bytes()), Direction::of(text.as_bytes())));
            }
        }
    }
}
