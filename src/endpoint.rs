//! `Endpoint`: an address and port in eight bytes, comparable and hashable as a number.
//!
//! IPv4 lives in the number itself; IPv6 addresses, unix paths and Envoy's internal listeners are
//! names. `envoy://connect_originate/10.244.0.32:9080` is the endpoint behind its last slash, which is
//! what the connection reaches. Source: Envoy's `network/address_impl.cc`.

mod recent;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

pub use recent::Recent;

use crate::names::{Names, Sym};

/// Layout: kind in bits 56 to 63, address or name in bits 16 to 47, port in bits 0 to 15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint(u64);

/// An endpoint without its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ip(u64);

const KIND: u32 = 56;
const V4: u64 = 1;
const V6: u64 = 2;
const NAMED: u64 = 3;

impl Endpoint {
    /// No address: the line prints `-`.
    pub const NONE: Endpoint = Endpoint(0);

    /// Reads one address as Envoy prints it. `-` and the empty text are [`Endpoint::NONE`].
    pub fn read(text: &[u8], names: &mut Names) -> Endpoint {
        if let Some(endpoint) = v4(text) {
            return endpoint;
        }
        if text.is_empty() || text == b"-" {
            return Endpoint::NONE;
        }
        if let Some(internal) = text.strip_prefix(b"envoy://") {
            let behind = internal.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            if let Some(endpoint) = v4(behind).or_else(|| v6(behind, names)) {
                return endpoint;
            }
        }
        v6(text, names).unwrap_or_else(|| Endpoint::named(text, names))
    }

    fn new(kind: u64, address: u32, port: u16) -> Endpoint {
        Endpoint(kind << KIND | u64::from(address) << 16 | u64::from(port))
    }

    fn named(text: &[u8], names: &mut Names) -> Endpoint {
        Endpoint::new(NAMED, names.intern(text).0, 0)
    }

    /// Whether there is no address.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The port; 0 where there is none, and where the address came from x-forwarded-for.
    pub const fn port(self) -> u16 {
        self.0 as u16
    }

    /// The address alone.
    pub const fn ip(self) -> Ip {
        Ip(self.0 & !0xffff)
    }

    /// The number behind it, unique for one set of names.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Whether the number is that of a name, and means nothing without its set of names.
    #[inline]
    pub const fn has_name(self) -> bool {
        matches!(self.0 >> KIND, V6 | NAMED)
    }

    /// The same endpoint where names have other numbers. A name that became none takes the endpoint along.
    #[must_use]
    #[inline]
    pub fn renamed(self, mut rename: impl FnMut(Sym) -> Sym) -> Endpoint {
        match self.0 >> KIND {
            kind @ (V6 | NAMED) => match rename(Sym(self.ip().payload())) {
                Sym::NONE => Endpoint::NONE,
                name => Endpoint::new(kind, name.0, self.port()),
            },
            _ => self,
        }
    }

    /// Text of the address for people and reports, `-` if there is none.
    pub fn show(self, names: &Names) -> Shown<'_> {
        Shown(self, names)
    }
}

impl Ip {
    /// No address.
    pub const NONE: Ip = Ip(0);
    /// Some address or other: there were too many to tell apart.
    pub const UNTOLD: Ip = Ip((NAMED + 1) << KIND);

    /// Whether there is no address.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// With a port again.
    #[must_use]
    pub const fn with_port(self, port: u16) -> Endpoint {
        Endpoint(self.0 | port as u64)
    }

    const fn payload(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The same address where names have other numbers.
    #[must_use]
    pub fn renamed(self, rename: impl FnMut(Sym) -> Sym) -> Ip {
        Endpoint(self.0).renamed(rename).ip()
    }

    /// Whether the address can only be this host: `127.0.0.0/8` or `::1`, `::6`.
    #[inline]
    pub fn is_loopback(self, names: &Names) -> bool {
        match self.0 >> KIND {
            V4 => self.payload() >> 24 == 127,
            V6 => matches!(names.get(Sym(self.payload())), b"::1" | b"::6"),
            _ => false,
        }
    }

    /// Whether the address belongs to a private, shared, link-local or unique-local range, where pods
    /// and services live. RFC 1918, 6598, 3927, 4193, and 240.0.0.0/4, from which Istio allocates.
    pub fn is_private(self, names: &Names) -> bool {
        match self.0 >> KIND {
            V4 => {
                let ip = Ipv4Addr::from(self.payload());
                let [first, second, ..] = ip.octets();
                ip.is_private()
                    || ip.is_loopback()
                    || ip.is_link_local()
                    || first >= 240
                    || (first == 100 && second & 0xc0 == 64)
            }
            V6 => std::str::from_utf8(names.get(Sym(self.payload())))
                .ok()
                .and_then(|text| text.parse::<Ipv6Addr>().ok())
                .is_some_and(|ip| {
                    ip.is_loopback()
                        || ip.is_unique_local()
                        || ip.is_unicast_link_local()
                        || ip.segments()[..3] == [0x2001, 2, 0]
                }),
            _ => true,
        }
    }

    /// Whether two addresses share the first half of what tells hosts apart, as pods of a cluster mostly do: 16 bits of
    /// an IPv4 address, 64 of an IPv6 one.
    pub fn is_near(self, other: Ip, names: &Names) -> bool {
        let prefix = |ip: Ip| std::str::from_utf8(names.get(Sym(ip.payload()))).ok()?.parse::<Ipv6Addr>().ok();
        match (self.0 >> KIND, other.0 >> KIND) {
            (V4, V4) => self.payload() >> 16 == other.payload() >> 16,
            (V6, V6) => match (prefix(self), prefix(other)) {
                (Some(one), Some(two)) => one.segments()[..4] == two.segments()[..4],
                _ => false,
            },
            _ => false,
        }
    }

    /// The same for every line's use: of IPv6 addresses it is not looked up.
    #[inline]
    pub fn may_be_near(self, other: Ip) -> bool {
        match (self.0 >> KIND, other.0 >> KIND) {
            (V4, V4) => self.payload() >> 16 == other.payload() >> 16,
            (one, two) => one == V6 && two == V6,
        }
    }

    /// Whether it is an IPv6 address.
    pub const fn is_v6(self) -> bool {
        self.0 >> KIND == V6
    }

    /// The address as a number that networks are compared with; none for names.
    pub fn address(self, names: &Names) -> Option<IpAddr> {
        match self.0 >> KIND {
            V4 => Some(Ipv4Addr::from(self.payload()).into()),
            V6 => std::str::from_utf8(names.get(Sym(self.payload()))).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// Text of the address, without brackets.
    pub fn show(self, names: &Names) -> Shown<'_> {
        Shown(Endpoint(self.0), names)
    }
}

/// `a.b.c.d:port`, strictly: no signs, no blanks, octets up to 255.
fn v4(text: &[u8]) -> Option<Endpoint> {
    let (mut ip, mut rest) = octet(text)?;
    for _ in 0..3 {
        let (next, behind) = octet(rest.strip_prefix(b".")?)?;
        (ip, rest) = (ip << 8 | next, behind);
    }
    match rest {
        [] => Some(Endpoint::new(V4, ip, 0)),
        [b':', digits @ ..] => Some(Endpoint::new(V4, ip, port(digits)?)),
        _ => None,
    }
}

/// The number up to 255 at the start of a text, and what is behind it.
#[inline]
fn octet(text: &[u8]) -> Option<(u32, &[u8])> {
    let digit = |byte: &u8| u32::from(byte.wrapping_sub(b'0'));
    let (octet, rest) = match text {
        [a, b, c, rest @ ..] if digit(b) < 10 && digit(c) < 10 => (digit(a) * 100 + digit(b) * 10 + digit(c), rest),
        [a, b, rest @ ..] if digit(b) < 10 => (digit(a) * 10 + digit(b), rest),
        [a, rest @ ..] => (digit(a), rest),
        [] => return None,
    };
    (digit(&text[0]) < 10 && octet < 256).then_some((octet, rest))
}

fn port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 {
        return None;
    }
    let mut port: u32 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        port = port * 10 + u32::from(digit);
    }
    u16::try_from(port).ok()
}

/// `[2001:db8::1]:80`, or without brackets and port. An IPv4 address in IPv6 clothes is IPv4.
fn v6(text: &[u8], names: &mut Names) -> Option<Endpoint> {
    let (address, number) = match text.strip_prefix(b"[") {
        Some(rest) => {
            let close = memchr::memchr(b']', rest)?;
            (&rest[..close], port(rest[close + 1..].strip_prefix(b":")?)?)
        }
        None => (text, 0),
    };
    let ip: Ipv6Addr = std::str::from_utf8(address).ok()?.parse().ok()?;
    match ip.to_ipv4_mapped() {
        Some(mapped) => Some(Endpoint::new(V4, mapped.into(), number)),
        None => Some(Endpoint::new(V6, names.intern(ip.to_string().as_bytes()).0, number)),
    }
}

/// An endpoint or address on its way to a text.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(Endpoint, &'a Names);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(endpoint, names) = *self;
        let (payload, port) = (endpoint.ip().payload(), endpoint.port());
        match endpoint.0 >> KIND {
            V4 => show_v4(payload, port, f),
            V6 if port == 0 => write!(f, "{}", names.show(Sym(payload))),
            V6 => write!(f, "[{}]:{port}", names.show(Sym(payload))),
            NAMED => write!(f, "{}", names.show(Sym(payload))),
            _ => write!(f, "-"),
        }
    }
}

/// Reports are full of these, and the general way to print numbers takes five times as long.
fn show_v4(address: u32, port: u16, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; "255.255.255.255:65535".len()];
    let mut at = text.len();
    let mut put = |mut number: u32, before: Option<u8>| {
        loop {
            at -= 1;
            text[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        if let Some(before) = before {
            at -= 1;
            text[at] = before;
        }
    };
    if port > 0 {
        put(port.into(), Some(b':'));
    }
    let [first, rest @ ..] = address.to_be_bytes();
    for part in rest.into_iter().rev() {
        put(part.into(), Some(b'.'));
    }
    put(first.into(), None);
    f.write_str(std::str::from_utf8(&text[at..]).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_address_reads_and_shows() {
        let mut names = Names::default();
        for text in [
            "10.12.0.11:51100",
            "10.12.0.11",
            "0.0.0.0:1",
            "255.255.255.255:65535",
            "[2001:2::f0f0:89b7]:10002",
            "2001:db8::1",
            "/var/run/app.sock",
            "@abstract",
            "envoy://internal_client_address/",
        ] {
            let endpoint = Endpoint::read(text.as_bytes(), &mut names);
            assert_eq!(endpoint.show(&names).to_string(), text);
        }
        assert_eq!(Endpoint::read(b"-", &mut names), Endpoint::NONE);
    }

    #[test]
    fn one_address_has_one_number_however_it_is_written() {
        let mut names = Names::default();
        let mut read = |text: &str| Endpoint::read(text.as_bytes(), &mut names);
        assert_eq!(read("[2001:DB8:0::1]:80"), read("[2001:db8::1]:80"));
        assert_eq!(read("[::ffff:10.0.0.1]:80"), read("10.0.0.1:80"));
        assert_eq!(read("envoy://connect_originate/10.244.0.32:9080"), read("10.244.0.32:9080"));
        assert_eq!(read("10.0.0.1:80").ip(), read("10.0.0.1:81").ip());
    }

    #[test]
    fn pods_of_a_cluster_are_near_each_other() {
        let mut names = Names::default();
        for (one, other, near) in [
            ("10.12.1.6", "10.12.0.12", true),
            ("10.0.23.221", "10.12.0.12", false),
            ("fd00:12::b20", "fd00:12::1", true),
            ("fd00:13::b20", "fd00:12::1", false),
            ("10.12.1.6", "fd00:12::1", false),
            ("-", "-", false),
        ] {
            let mut ip = |text: &str| Endpoint::read(text.as_bytes(), &mut names).ip();
            let (one, other) = (ip(one), ip(other));
            assert_eq!(one.is_near(other, &names), near, "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_is_no_address_stays_a_name() {
        let mut names = Names::default();
        for text in ["10.0.0.1:99999", "300.0.0.1:1", "1.2.3:4", "10.0.0.1:", "99999999999.1.1.1:1", "[::1:80"] {
            let endpoint = Endpoint::read(text.as_bytes(), &mut names);
            assert_eq!(endpoint.show(&names).to_string(), text);
            assert_eq!(endpoint.port(), 0);
        }
    }

    #[test]
    fn ranges_are_told_apart() {
        let mut names = Names::default();
        let mut ip = |text: &str| Endpoint::read(text.as_bytes(), &mut names).ip();
        let (pod, auto, public, v6, loop6) =
            (ip("10.0.0.1:1"), ip("240.240.0.1:1"), ip("8.8.8.8:53"), ip("[fd00::1]:1"), ip("[::6]:1"));
        assert!(pod.is_private(&names) && auto.is_private(&names) && v6.is_private(&names));
        assert!(!public.is_private(&names) && loop6.is_loopback(&names) && !pod.is_loopback(&names));
    }
}
