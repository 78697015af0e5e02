//! `Socket`: an address with a port, taken apart.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An address with a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Socket<'a> {
    /// The address, without brackets.
    pub(super) ip: &'a str,
    pub(super) port: u16,
    /// The same as a number, if it is an IPv4 address.
    v4: Option<Ipv4Addr>,
}

impl<'a> Socket<'a> {
    /// Takes `10.0.0.1:80` or `[2001:db8::1]:80` apart.
    pub(super) fn read(text: &'a str) -> Option<Socket<'a>> {
        let (ip, digits) = text.rsplit_once(':')?;
        if digits.is_empty() || digits.len() > 5 {
            return None;
        }
        let port = u16::try_from(digits.bytes().try_fold(0, |port, byte| digit(byte).map(|digit| 10 * port + digit))?);
        let (port, v4) = (port.ok()?, v4(ip.as_bytes()));
        let plain = v4.is_some() || is_four_numbers(ip);
        let ip = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
        if !plain {
            ip.parse::<IpAddr>().ok()?;
        }
        Some(Socket { ip, port, v4 })
    }

    /// Both in numbers; nothing if the port is 0 or they are none.
    pub(super) fn address(&self, text: &str) -> Option<SocketAddr> {
        let address = match self.v4 {
            Some(v4) => SocketAddr::from((v4, self.port)),
            None => text.parse().ok()?,
        };
        (self.port > 0).then_some(address)
    }
}

fn digit(byte: u8) -> Option<u32> {
    let digit = u32::from(byte.wrapping_sub(b'0'));
    (digit < 10).then_some(digit)
}

/// Four numbers up to 255 with dots between them, none with a zero before it.
fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut ip, mut octet, mut digits, mut dots) = (0, 0, 0, 0);
    for byte in text {
        if *byte == b'.' && digits > 0 {
            (ip, octet, digits, dots) = (ip << 8 | octet, 0, 0, dots + 1);
            continue;
        }
        if digits > 0 && octet == 0 {
            return None;
        }
        (octet, digits) = (10 * octet + digit(*byte)?, digits + 1);
        if octet > 255 {
            return None;
        }
    }
    (dots == 3 && digits > 0).then(|| Ipv4Addr::from_bits(ip << 8 | octet))
}

/// Three dots among digits are an address at a glance.
fn is_four_numbers(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 3
        && text.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, expected) in [
            ("10.0.0.1:80", Some(("10.0.0.1", 80))),
            ("255.255.255.255:65535", Some(("255.255.255.255", 65535))),
            ("[2001:db8::1]:443", Some(("2001:db8::1", 443))),
            ("2001:db8::1:443", Some(("2001:db8::1", 443))),
            ("10.0.0.1:65536", None),
            ("10.0.0.1:", None),
            ("10.0.0.1:8x", None),
            ("10.0.0.1", None),
            ("example.com:80", None),
            ("", None),
        ] {
            assert_eq!(Socket::read(text).map(|socket| (socket.ip, socket.port)), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_those_that_the_standard_library_reads() {
        for text in [
            "10.0.0.1:80",
            "0.0.0.0:1",
            "255.255.255.255:65535",
            "[::1]:80",
            "[2001:db8::1]:443",
            "010.0.0.1:80",
            "10.0.0.01:80",
            "256.0.0.1:80",
            "1.2.3:80",
            "1.2.3.4.5:80",
            "1..2.3:80",
            ".1.2.3:80",
            "1.2.3.:80",
            "4294967306.0.0.1:80",
            "::1:80",
        ] {
            let address = Socket::read(text).and_then(|socket| socket.address(text));
            assert_eq!(address, text.parse().ok(), "{text}");
        }
        assert_eq!(Socket::read("10.0.0.1:0").unwrap().address("10.0.0.1:0"), None);
    }
}
