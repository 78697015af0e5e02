//! Addresses as Envoy writes them: sockets, names, pipes, ranges.
//!
//! Source: `envoy.config.core.v3.Address`, `CidrRange`.

use std::net::{IpAddr, SocketAddr};

use super::node::{Node, Read, Wrong};
use crate::mesh::{Address, Prefix};

/// An `Address`; none where the member is not there or empty.
pub(super) fn address(node: &Node) -> Read<'_, Option<Address>> {
    if let Some(socket) = node.get("socket_address")? {
        return socket_address(socket).map(Some);
    }
    if let Some(pipe) = node.get("pipe")? {
        return Ok(Some(Address::Other(pipe.text("path")?.into())));
    }
    if let Some(internal) = node.get("envoy_internal_address")? {
        let name = internal.text("server_listener_name")?;
        let id = internal.text("endpoint_id")?;
        let name = if id.is_empty() { name.into() } else { format!("{name}/{id}").into() };
        return Ok(Some(Address::Other(name)));
    }
    Ok(None)
}

fn socket_address(socket: &Node) -> Read<'_, Address> {
    let host = socket.text("address")?;
    let named = socket.text("named_port")?;
    if !named.is_empty() {
        return Ok(Address::Other(format!("{host}:{named}").into()));
    }
    let port = socket.number("port_value")?.unwrap_or(0);
    Ok(match host.parse::<IpAddr>() {
        Ok(ip) => Address::Ip(SocketAddr::new(ip, port)),
        Err(_) => Address::Host(host.into(), port),
    })
}

/// A range; none where the address is one that no IP connection has.
pub(super) fn prefix(node: &Node) -> Read<'_, Prefix> {
    let written = node.get("address_prefix")?.ok_or_else(|| Wrong::new(node, "has no address_prefix"))?;
    let address = written.as_ip()?;
    let length = node.number("prefix_len")?.unwrap_or(0);
    masked(address, length).ok_or_else(|| Wrong::new(node, "has a prefix_len that is longer than its address"))
}

/// The range of so many bits; none where an address has not so many.
pub(super) fn masked(address: IpAddr, length: u8) -> Option<Prefix> {
    let address = match address {
        IpAddr::V4(v4) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
        _ => return None,
    };
    Some(Prefix { address, length })
}

/// `10.0.0.0/8`, or one address.
pub(super) fn range(text: &str) -> Option<Prefix> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    masked(address, length.map_or(Some(all), |length| length.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_keep_only_the_bits_that_count() {
        let shown = |text| range(text).map(|prefix| format!("{}/{}", prefix.address, prefix.length));
        assert_eq!(shown("10.1.2.3/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(shown("10.1.2.3/0").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(shown("10.1.2.3").as_deref(), Some("10.1.2.3/32"));
        assert_eq!(shown("2001:db8::1/32").as_deref(), Some("2001:db8::/32"));
        assert_eq!(shown("::1/0").as_deref(), Some("::/0"));
        for wrong in ["10.1.2.3/33", "::1/129", "10.1.2/8", "x", "10.0.0.0/x", ""] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }
}
