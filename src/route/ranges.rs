//! Longest-prefix lookup: of all ranges that hold an address the narrowest one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::mesh::Prefix;

/// Values by range. A range is there once: what is said of it twice is one value.
///
/// For each family the lengths that occur, the longest first, and under each the ranges by their bits. Listeners have
/// one to three lengths, so this is as many lookups. Most hold one range: values lie apart, because tables have room for many.
#[derive(Debug)]
pub(super) struct Ranges<N> {
    v4: Vec<(u8, BTreeMap<u128, Box<N>>)>,
    v6: Vec<(u8, BTreeMap<u128, Box<N>>)>,
}

impl<N> Default for Ranges<N> {
    fn default() -> Ranges<N> {
        Ranges { v4: Vec::new(), v6: Vec::new() }
    }
}

impl<N: Default> Ranges<N> {
    /// The value of a range, made if it is new.
    pub(super) fn at(&mut self, prefix: Prefix) -> &mut N {
        let bits = masked(prefix.address, prefix.length);
        let family = if prefix.address.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        let place = match family.binary_search_by(|(length, _)| prefix.length.cmp(length)) {
            Ok(place) => place,
            Err(place) => {
                family.reserve_exact(1);
                family.insert(place, (prefix.length, BTreeMap::new()));
                place
            }
        };
        family[place].1.entry(bits).or_default()
    }
}

impl<N> Ranges<N> {
    /// The narrowest range that holds an address, and its value.
    pub(super) fn get(&self, address: IpAddr) -> Option<(Prefix, &N)> {
        let family = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        family.iter().find_map(|(length, ranges)| {
            let value = ranges.get(&masked(address, *length))?;
            Some((Prefix { address: unmasked(address, *length), length: *length }, &**value))
        })
    }

    /// Every value of a family, the narrowest ranges first.
    pub(super) fn values(&self, ipv4: bool) -> impl Iterator<Item = &N> {
        let family = if ipv4 { &self.v4 } else { &self.v6 };
        family.iter().flat_map(|(_, ranges)| ranges.values().map(|value| &**value))
    }

    /// Whether every address of a family is in some range.
    pub(super) fn is_whole(&self, ipv4: bool) -> bool {
        let family = if ipv4 { &self.v4 } else { &self.v6 };
        family.last().is_some_and(|(length, _)| *length == 0)
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// Everything of a family.
pub(super) const EVERYTHING: [Prefix; 2] = [
    Prefix { address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), length: 0 },
    Prefix { address: IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), length: 0 },
];

/// Ranges of a condition: one that has none takes everything, which is the same as saying so.
pub(super) fn or_everything(prefixes: &[Prefix]) -> &[Prefix] {
    if prefixes.is_empty() { &EVERYTHING } else { prefixes }
}

/// Whether a range holds an address.
pub(super) fn holds(prefix: Prefix, address: IpAddr) -> bool {
    prefix.address.is_ipv4() == address.is_ipv4()
        && masked(prefix.address, prefix.length) == masked(address, prefix.length)
}

/// The first bits of an address, at the upper end of its family's width.
fn masked(address: IpAddr, length: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let rest = width - u32::from(length).min(width);
    bits.checked_shr(rest).unwrap_or(0)
}

/// An address whose bits behind the length are 0.
fn unmasked(address: IpAddr, length: u8) -> IpAddr {
    let first = masked(address, length);
    match address {
        IpAddr::V4(_) => {
            let rest = 32 - u32::from(length).min(32);
            IpAddr::V4(u32::try_from(first).unwrap_or(0).checked_shl(rest).unwrap_or(0).into())
        }
        IpAddr::V6(_) => {
            let rest = 128 - u32::from(length).min(128);
            IpAddr::V6(first.checked_shl(rest).unwrap_or(0).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').unwrap();
        Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
    }

    #[test]
    fn the_narrowest_range_wins_and_families_are_apart() {
        let mut ranges: Ranges<u32> = Ranges::default();
        for (text, value) in [("0.0.0.0/0", 1), ("10.0.0.0/8", 2), ("10.1.2.3/32", 3), ("::/0", 4), ("fd00::/8", 5)] {
            *ranges.at(prefix(text)) = value;
        }
        let ask = |address: &str| ranges.get(address.parse().unwrap()).map(|(range, value)| (range, *value));
        assert_eq!(ask("10.1.2.3"), Some((prefix("10.1.2.3/32"), 3)));
        assert_eq!(ask("10.9.9.9"), Some((prefix("10.0.0.0/8"), 2)));
        assert_eq!(ask("11.0.0.1"), Some((prefix("0.0.0.0/0"), 1)));
        assert_eq!(ask("fd00::1"), Some((prefix("fd00::/8"), 5)));
        assert_eq!(ask("fe80::1"), Some((prefix("::/0"), 4)));
    }

    #[test]
    fn a_length_beyond_the_family_counts_as_the_whole_address() {
        let mut ranges: Ranges<u32> = Ranges::default();
        *ranges.at(Prefix { address: "10.1.2.3".parse().unwrap(), length: 64 }) = 1;
        assert!(ranges.get("10.1.2.3".parse().unwrap()).is_some());
        assert!(ranges.get("10.1.2.4".parse().unwrap()).is_none());
    }
}
