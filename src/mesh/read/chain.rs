//! A filter chain: what it takes and where its connections go.
//!
//! Source: `envoy.config.listener.v3.FilterChain`, `FilterChainMatch`.

use super::address::prefix;
use super::node::{Node, Read, Wrong};
use super::{route, tls, typed};
use crate::mesh::{Chain, Match, Prefix, SourceType, To};

/// Reads a `FilterChain`.
pub(super) fn chain(node: &Node) -> Read<'_, Chain> {
    let filters = node.list("filters")?;
    let (last, before) = filters.split_last().map_or((None, &[][..]), |(last, before)| (Some(last), before));
    Ok(Chain {
        name: node.text("name")?.into(),
        takes: node.get("filter_chain_match")?.map(takes).transpose()?.unwrap_or_default(),
        to: last.map(to).transpose()?.unwrap_or_default(),
        tls: tls::downstream(node)?,
        filters: before.iter().map(|filter| Ok(filter.text("name")?.into())).collect::<Result<_, _>>()?,
        made_by: typed::made_by(node)?,
    })
}

/// So many combinations of conditions a chain may have, and so many more for each of its values: every one is looked up by its own
/// key. Proxies are told one to three values of all but one kind.
const COMBINATIONS: usize = 1024;
const FOR_EACH: usize = 4;

fn takes(node: &Node) -> Read<'_, Match> {
    let takes = conditions(node)?;
    let counts = [
        takes.prefixes.len(),
        takes.server_names.len(),
        takes.application_protocols.len(),
        takes.direct_source_prefixes.len(),
        takes.source_prefixes.len(),
        takes.source_ports.len(),
    ];
    let all = counts.iter().fold(1usize, |all, count| all.saturating_mul(*count.max(&1)));
    if all > COMBINATIONS + FOR_EACH * counts.iter().sum::<usize>() {
        return Err(Wrong::new(node, format!("has {all} combinations of conditions, more than any proxy is told")));
    }
    Ok(takes)
}

fn conditions(node: &Node) -> Read<'_, Match> {
    let prefixes = |name| node.list(name)?.iter().map(prefix).collect::<Read<'_, Vec<Prefix>>>();
    let lower = |name: Box<str>| name.to_lowercase().into();
    Ok(Match {
        port: node.number("destination_port")?,
        prefixes: prefixes("prefix_ranges")?,
        server_names: node.texts("server_names")?.into_iter().map(lower).collect(),
        transport: node.text("transport_protocol")?.into(),
        application_protocols: node.texts("application_protocols")?,
        direct_source_prefixes: prefixes("direct_source_prefix_ranges")?,
        source_type: node.get("source_type")?.map(source_type).transpose()?.unwrap_or_default(),
        source_prefixes: prefixes("source_prefix_ranges")?,
        source_ports: node.list("source_ports")?.iter().map(Node::as_number).collect::<Result<_, _>>()?,
    })
}

fn source_type(node: &Node) -> Read<'_, SourceType> {
    match &*node.as_text()? {
        "ANY" => Ok(SourceType::Any),
        "SAME_IP_OR_LOOPBACK" | "LOCAL" => Ok(SourceType::SameIpOrLoopback),
        "EXTERNAL" => Ok(SourceType::External),
        _ => Err(Wrong::new(node, "is no source type")),
    }
}

/// Where the last filter sends connections.
fn to(filter: &Node) -> Read<'_, To> {
    let name = filter.text("name")?;
    let config = typed::config(filter)?;
    let is = |kind: &str, ending: &str| Ok(typed::is(filter, kind)? || name.ends_with(ending));
    if let Some(config) = config {
        if is(".TcpProxy", "tcp_proxy")? {
            return tcp(config);
        }
        if is(".HttpConnectionManager", "http_connection_manager")? {
            return http(config);
        }
    }
    Ok(To::Other(name.into()))
}

fn tcp(config: &Node) -> Read<'_, To> {
    if let Some(weighted) = config.get("weighted_clusters")? {
        return route::weights(weighted).map(To::Tcp);
    }
    if let Some(cluster) = config.get("cluster")? {
        return Ok(To::Tcp(vec![(cluster.as_text()?.into(), 1)]));
    }
    // The first releases kept routes by address in the filter; Istio's had one that takes everything.
    let routes = config.path(&["deprecated_v1", "routes"])?.or(config.path(&["route_config", "routes"])?);
    if let Some(Node::List(routes)) = routes
        && let [route] = &routes[..]
    {
        return Ok(To::Tcp(vec![(route.text("cluster")?.into(), 1)]));
    }
    Ok(To::Other("tcp_proxy".into()))
}

fn http(config: &Node) -> Read<'_, To> {
    if let Some(rds) = config.get("rds")? {
        return Ok(To::Rds(rds.text("route_config_name")?.into()));
    }
    if let Some(written) = config.get("route_config")? {
        return Ok(To::Inline(Box::new(route::config(written)?)));
    }
    Ok(To::Other("scoped_routes".into()))
}
