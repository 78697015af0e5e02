//! `Recent`: addresses by their text. A mesh has hundreds of them and prints them millions of times; to read one digit by digit
//! takes branches that no processor can predict.

use super::{Endpoint, V4, v4};
use crate::field::value::short_integer;
use crate::names::Names;

/// A power of two, more than most meshes have addresses.
const PLACES: usize = 2048;

/// The addresses that were read lately.
#[derive(Debug)]
pub struct Recent {
    /// The text of an IPv4 address with the colon before its port, in two words, and the address; by its text.
    places: Box<[([u64; 2], u32)]>,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent { places: vec![([0; 2], 0); PLACES].into() }
    }
}

impl Recent {
    /// The same as [`Endpoint::read`] of the first `len` bytes of `rest`.
    #[inline]
    pub fn read(&mut self, rest: &[u8], len: usize, names: &mut Names) -> Endpoint {
        self.known(rest, len).unwrap_or_else(|| Endpoint::read(&rest[..len], names))
    }

    /// An IPv4 address of eight letters and more with its port, if there is enough behind it to be looked at in one piece.
    #[inline]
    fn known(&mut self, rest: &[u8], len: usize) -> Option<Endpoint> {
        const ONES: u64 = u64::from_ne_bytes([1; 8]);
        let near: &[u8; 16] = rest.first_chunk()?;
        let both = u128::from_le_bytes(*near);
        let [first, second] = [both as u64, (both >> 64) as u64];
        let differs = second ^ (ONES * u64::from(b':'));
        // The top bit of each byte that is a colon; exact up to the first one, and that is the one that counts.
        let colons = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
        let colon = 8 + colons.trailing_zeros() as usize / 8;
        let digits = len.wrapping_sub(colon + 1);
        if !(1..=5).contains(&digits) || colons == 0 {
            return None;
        }
        let port = short_integer(*rest.get(colon + 1..)?.first_chunk()?, digits)?;
        // The colon is kept: without it, a NUL before it would be as good as nothing.
        let last = colons & colons.wrapping_neg();
        let words = [first, second & (last | (last - 1))];
        // Fibonacci's multiplier spreads neighbouring addresses.
        let spread = (words[0] ^ words[1].rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &mut self.places[(spread >> 48) as usize % PLACES];
        if place.0 != words {
            let ip = &near[..colon];
            *place = (words, v4(ip).filter(|_| !ip.contains(&b':'))?.ip().payload());
        }
        Some(Endpoint::new(V4, place.1, u16::try_from(port).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_reads_in_the_same_way() {
        let mut names = Names::default();
        let mut recent = Recent::default();
        let ips = [
            "10.12.0.11",
            "1.1.1.1",
            "255.255.255.255",
            "256.1.1.1",
            "01.1.1.1",
            "1.1.1",
            "10.12.0.1x",
            "10.12.0.11\0",
            "[fd00::1]",
            "",
        ];
        let ports = [":51100", ":1", ":65535", ":65536", ":00080", ":000080", ":", "", ":80x", ":8:0", ":1 "];
        for behind in
            [" outbound|80||a.b.c 10.0.0.1:80", "", "0", ":1 10.0.0.1:1 10.0.0.1:2", "\"", "12345678901234567890"]
        {
            for _ in 0..2 {
                for (ip, port) in ips.iter().flat_map(|ip| ports.map(|port| (ip, port))) {
                    let text = format!("{ip}{port}");
                    let line = format!("{text}{behind}");
                    let expected = Endpoint::read(text.as_bytes(), &mut names);
                    assert_eq!(recent.read(line.as_bytes(), text.len(), &mut names), expected, "{line}");
                }
            }
        }
        assert!(recent.known(b"10.12.0.11:51100 10.0.0.1:80", 16).is_some(), "the quick way is taken");
        assert!(recent.known(b"10.12.0.1x:51100 10.0.0.1:80", 16).is_none());
    }

    #[test]
    fn places_that_others_took_are_read_again() {
        let (mut names, mut recent) = (Names::default(), Recent::default());
        for round in 0..3 {
            for number in 0..20_000u32 {
                let text = format!("10.{}.{}.{}:{} -       ", round, number >> 8, number & 0xff, 1 + number);
                let len = text.find(' ').unwrap();
                assert_eq!(recent.read(text.as_bytes(), len, &mut names).show(&names).to_string(), text[..len]);
            }
        }
    }
}
