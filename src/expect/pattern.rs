//! Whom a row means: anybody, a name, all names behind a star, an address or a network.

use std::net::IpAddr;

use super::Party;

/// One end of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pattern {
    /// `*`
    Any,
    /// A workload or service, as reports print it.
    Name(String),
    /// `*.shop`: every name that ends so, kept without the star.
    Behind(String),
    /// `203.0.113.0/24`; one address is a network of its own.
    Net(IpAddr, u8),
}

impl Pattern {
    /// Reads what stands in a file; an error says what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Pattern, String> {
        if text == "*" {
            return Ok(Pattern::Any);
        }
        if text.is_empty() || text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return Err(format!("{text:?} is no name and no address"));
        }
        if let Some(found) = network(text) {
            return found;
        }
        match text.strip_prefix('*') {
            Some(rest) if rest.len() > 1 && rest.starts_with('.') && !rest.contains('*') => {
                Ok(Pattern::Behind(rest.to_owned()))
            }
            None if !text.contains('*') => Ok(Pattern::Name(text.to_owned())),
            _ => Err(format!("{text:?}: a star stands alone or at the start, as in \"*.shop\"")),
        }
    }

    /// Reads a destination, behind which a port may stand.
    pub(super) fn read_with_port(text: &str) -> Result<(Pattern, Option<u16>), String> {
        let (place, digits) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((inner, ""))) => (inner, None),
            Some(Some((inner, behind))) if behind.starts_with(':') => (inner, Some(&behind[1..])),
            Some(_) => return Err(format!("{text:?} is no address")),
            None => match text.split_once(':') {
                Some((place, digits)) if is_number(digits) => (place, Some(digits)),
                _ => (text, None),
            },
        };
        let bad = |digits: &str| format!("{digits:?} is no port: 1 to 65535");
        let port = digits.map(|digits| digits.parse().ok().filter(|port| *port > 0).ok_or_else(|| bad(digits)));
        Ok((Pattern::read(place)?, port.transpose()?))
    }

    /// Whether it means one name or address, and no other.
    pub(super) fn is_exact(&self) -> bool {
        match self {
            Pattern::Any | Pattern::Behind(_) => false,
            Pattern::Name(_) => true,
            Pattern::Net(ip, bits) => *bits == width(*ip),
        }
    }

    /// Whether it means a name.
    pub(super) fn names(&self, name: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Name(known) => known == name,
            Pattern::Behind(end) => name.ends_with(end.as_str()),
            Pattern::Net(..) => false,
        }
    }

    /// Whether it means an address.
    pub(super) fn holds(&self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Pattern::Any, _) => true,
            (Pattern::Net(net, bits), Some(address)) => {
                width(*net) == width(address) && prefix(address, *bits) == prefix(*net, *bits)
            }
            _ => false,
        }
    }

    /// Whether it means a caller. Logs do not always say the namespace, and neither need files: what one of both
    /// leaves out is no difference.
    pub(super) fn means(&self, caller: &Party) -> bool {
        if self.names(&caller.name) || self.holds(caller.address) {
            return true;
        }
        let Pattern::Name(known) = self else { return false };
        match (caller.namespaced, known.rsplit_once('.'), caller.name.rsplit_once('.')) {
            (false, Some((workload, _)), _) => workload == caller.name,
            (true, None, Some((workload, _))) => workload == known,
            _ => false,
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pattern::Any => write!(f, "*"),
            Pattern::Name(name) => write!(f, "{name}"),
            Pattern::Behind(end) => write!(f, "*{end}"),
            Pattern::Net(ip, bits) if *bits == width(*ip) => write!(f, "{ip}"),
            Pattern::Net(ip, bits) => write!(f, "{ip}/{bits}"),
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The address or network that a text is or was meant to be; none if it is a name.
fn network(text: &str) -> Option<Result<Pattern, String>> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(ip) = address.parse::<IpAddr>() else {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:/".contains(&byte));
        let decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let meant = text.starts_with(|letter: char| letter.is_ascii_digit()) || text.contains("::");
        let wrong = digits && meant && (decimal || text.contains([':', '/']));
        return wrong.then(|| Err(format!("{text:?} is no address and no network")));
    };
    let ip = ip.to_canonical();
    let Some(bits) = bits else { return Some(Ok(Pattern::Net(ip, width(ip)))) };
    let Some(bits) = bits.parse::<u8>().ok().filter(|bits| *bits <= width(ip)) else {
        return Some(Err(format!("{text:?}: the length of the network is not between 0 and {}", width(ip))));
    };
    if prefix(ip, bits) == number(ip) {
        return Some(Ok(Pattern::Net(ip, bits)));
    }
    Some(Err(format!("{text:?} is an address within a network of that length, not the network")))
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The first bits of an address, the others zero.
fn prefix(ip: IpAddr, bits: u8) -> u128 {
    let rest = u32::from(width(ip) - bits);
    number(ip).checked_shr(rest).unwrap_or(0).checked_shl(rest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reads_and_shows() {
        for text in ["*", "manager.manager", "*.shop", "10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "::/0", "0.0.0.0/0"] {
            assert_eq!(Pattern::read(text).unwrap().to_string(), text);
        }
        for text in ["a.b:80", "10.0.0.1:80", "10.0.0.0/8:80", "[2001:db8::1]:80", "[2001:db8::/32]:80"] {
            assert_eq!(Pattern::read_with_port(text).unwrap().1, Some(80), "{text}");
        }
        for text in ["/run/app.sock", "envoy://internal_client_address/", "2001:db8::1", "[2001:db8::1]"] {
            assert_eq!(Pattern::read_with_port(text).unwrap().1, None, "{text}");
        }
    }

    #[test]
    fn what_was_meant_as_an_address_and_is_none_is_an_error() {
        for text in [
            "",
            " ",
            "10.0.0.300",
            "10.0.0.0/33",
            "10.0.0.1/24",
            "10.0.0.0/x",
            "10.0.0",
            "2001:db8:::1",
            "a*",
            "*.*",
            "*a",
        ] {
            assert!(Pattern::read(text).is_err(), "{text}");
        }
        for text in ["10.0.0.1:0", "10.0.0.1:65536", "[2001:db8::1", "[2001:db8::1]80", "a.b:99999"] {
            assert!(Pattern::read_with_port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_namespace_that_one_side_leaves_out_is_no_difference() {
        let caller = |name: &str, namespaced| Party { name: name.to_owned(), namespaced, address: None };
        let means = |pattern: &str, caller: &Party| Pattern::read(pattern).unwrap().means(caller);
        assert!(means("manager.shop", &caller("manager", false)) && means("manager", &caller("manager.shop", true)));
        assert!(means("*.shop", &caller("manager.shop", true)) && !means("*.shop", &caller("manager.bank", true)));
        assert!(!means("manager.shop", &caller("manager.bank", true)) && !means("app", &caller("manager", false)));
    }
}
