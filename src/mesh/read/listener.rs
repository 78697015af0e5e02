//! A listener.
//!
//! Source: `envoy.config.listener.v3.Listener`; states from `envoy.admin.v3.ListenersConfigDump`.

use super::address::address;
use super::chain::chain;
use super::node::{Node, Read};
use super::typed;
use crate::mesh::{Address, Direction, Inspector, Listener};

/// Reads a `Listener`.
pub(super) fn listener(node: &Node) -> Read<'_, Listener> {
    let mut found = Listener {
        name: node.text("name")?.into(),
        active: true,
        use_original_dst: node.flag("use_original_dst")?,
        bound: is_bound(node)?,
        direction: direction(node)?,
        inspection_timeout: node.millis("listener_filters_timeout")?,
        has_matcher: node.has("filter_chain_matcher"),
        chains: node.list("filter_chains")?.iter().map(chain).collect::<Result<_, _>>()?,
        default_chain: node.get("default_filter_chain")?.map(chain).transpose()?,
        made_by: typed::made_by(node)?,
        ..Listener::default()
    };
    addresses(node, &mut found)?;
    for filter in node.list("listener_filters")? {
        listener_filter(filter, &mut found)?;
    }
    Ok(found)
}

fn addresses<'n>(node: &'n Node, found: &mut Listener) -> Read<'n, ()> {
    let more = node.list("additional_addresses")?.iter().map(|more| more.get("address"));
    for written in std::iter::once(node.get("address")).chain(more) {
        let Some(written) = written? else { continue };
        let socket = written.get("socket_address")?;
        if socket.is_some_and(|socket| socket.text("protocol").is_ok_and(|protocol| protocol == "UDP")) {
            // It takes QUIC, no connection of TCP.
            continue;
        }
        if let Some(Address::Ip(ip)) = address(written)? {
            found.addresses.push(ip);
        }
        found.ipv4_compat |= socket.is_some_and(|socket| socket.flag("ipv4_compat").unwrap_or_default());
    }
    Ok(())
}

/// Bound unless it says otherwise, in either of two places.
fn is_bound(node: &Node) -> Read<'_, bool> {
    let told = node.get("bind_to_port")?.or(node.path(&["deprecated_v1", "bind_to_port"])?);
    Ok(told.map(Node::as_flag).transpose()?.unwrap_or(true))
}

fn direction(node: &Node) -> Read<'_, Option<Direction>> {
    Ok(match &*node.text("traffic_direction")? {
        "INBOUND" => Some(Direction::Inbound),
        "OUTBOUND" => Some(Direction::Outbound),
        _ => None,
    })
}

fn listener_filter<'n>(filter: &'n Node, found: &mut Listener) -> Read<'n, ()> {
    let name = filter.text("name")?;
    let is = |kind: &str, ending: &str| Ok(typed::is(filter, kind)? || name.ends_with(ending));
    if is(".TlsInspector", "tls_inspector")? {
        found.tls_inspector = inspector(filter)?;
    } else if is(".HttpInspector", "http_inspector")? {
        found.http_inspector = inspector(filter)?;
    } else if !(is(".OriginalDst", "original_dst")? || is(".OriginalSrc", "original_src")?) {
        // The original destination is what logs show; the original source changes who calls, not where to.
        found.other_filters.push(name.into());
    }
    Ok(())
}

/// For which ports an inspector works. Source: `envoy.config.listener.v3.ListenerFilterChainMatchPredicate`.
fn inspector(filter: &Node) -> Read<'_, Inspector> {
    let Some(disabled) = filter.get("filter_disabled")? else { return Ok(Inspector::ALWAYS) };
    let mut ports = Vec::new();
    Ok(match except(disabled, &mut ports)? {
        Some(Except::Always) => Inspector::Absent,
        Some(Except::Ports) => Inspector::ExceptPorts(ports),
        None => Inspector::Unknown,
    })
}

/// When a filter is switched off.
enum Except {
    Always,
    Ports,
}

/// None where it is a condition that we cannot follow.
fn except<'n>(node: &'n Node, ports: &mut Vec<(u16, u16)>) -> Read<'n, Option<Except>> {
    if node.flag("any_match")? {
        return Ok(Some(Except::Always));
    }
    if let Some(range) = node.get("destination_port_range")? {
        let start = range.number::<u16>("start")?.unwrap_or(0);
        // The end is not part of the range, and one behind the last port has no room in 16 bits.
        return Ok(match range.number::<u32>("end")?.unwrap_or(0).try_into() {
            Ok(end) => {
                ports.push((start, end));
                Some(Except::Ports)
            }
            Err(_) if start == 0 => Some(Except::Always),
            Err(_) => None,
        });
    }
    let Some(either) = node.get("or_match")? else { return Ok(None) };
    let mut found = Except::Ports;
    for rule in either.list("rules")? {
        match except(rule, ports)? {
            Some(Except::Ports) => {}
            Some(Except::Always) => found = Except::Always,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}
