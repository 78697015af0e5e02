//! `Socket`: an address with a port, taken apart.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An address with a port, of a text that is not kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Socket {
    /// Where the address lies in the text, without brackets.
    ip: (usize, usize),
    pub(super) port: u16,
    /// The same as a number, if it is an IPv4 address.
    v4: Option<Ipv4Addr>,
}

impl Socket {
    /// Takes `10.0.0.1:80` or `[2001:db8::1]:80` apart.
    pub(super) fn read(text: &str) -> Option<Socket> {
        Socket::v4(text.as_bytes()).or_else(|| Socket::any(text))
    }

    /// Four numbers up to 255 with dots between them, none with a zero before it, and a port. Most addresses are that.
    fn v4(text: &[u8]) -> Option<Socket> {
        let (mut ip, mut at) = (0, 0);
        for end in [b'.', b'.', b'.', b':'] {
            let (octet, digits) = number(text.get(at..)?, 3);
            if digits == 0 || octet > 255 || digits > 1 && text[at] == b'0' || text.get(at + digits) != Some(&end) {
                return None;
            }
            (ip, at) = (ip << 8 | octet, at + digits + 1);
        }
        let (port, digits) = number(text.get(at..)?, 5);
        let port = u16::try_from(port).ok().filter(|_| digits > 0 && at + digits == text.len())?;
        Some(Socket { ip: (0, at - 1), port, v4: Some(Ipv4Addr::from_bits(ip)) })
    }

    fn any(text: &str) -> Option<Socket> {
        let (ip, port) = text.rsplit_once(':')?;
        let (number, digits) = number(port.as_bytes(), 5);
        let port = u16::try_from(number).ok().filter(|_| digits > 0 && digits == port.len())?;
        if is_four_numbers(ip) {
            return Some(Socket { ip: (0, ip.len()), port, v4: None });
        }
        let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        bare.unwrap_or(ip).parse::<IpAddr>().ok()?;
        let brackets = usize::from(bare.is_some());
        Some(Socket { ip: (brackets, ip.len() - brackets), port, v4: None })
    }

    /// The address in the text that was read.
    pub(super) fn ip<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.ip.0..self.ip.1).unwrap_or_default()
    }

    /// Both in numbers, of the text that was read; nothing if the port is 0 or they are none.
    pub(super) fn address(&self, text: &str) -> Option<SocketAddr> {
        let address = match self.v4 {
            Some(v4) => SocketAddr::from((v4, self.port)),
            None => text.parse().ok()?,
        };
        (self.port > 0).then_some(address)
    }
}

/// The number at the beginning of a text, of so many digits at most, and how many there are.
fn number(text: &[u8], most: usize) -> (u32, usize) {
    let (mut number, mut digits) = (0, 0);
    for byte in text.iter().take(most) {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            break;
        }
        (number, digits) = (10 * number + digit, digits + 1);
    }
    (number, digits)
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
            ("010.0.0.300:0080", Some(("010.0.0.300", 80))),
            ("10.0.0.1:000080", None),
            ("10.0.0.1:65536", None),
            ("10.0.0.1:", None),
            ("10.0.0.1:8x", None),
            ("10.0.0.1", None),
            ("example.com:80", None),
            ("", None),
        ] {
            assert_eq!(Socket::read(text).map(|socket| (socket.ip(text), socket.port)), expected, "{text}");
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
