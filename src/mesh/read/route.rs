//! A route configuration.
//!
//! Source: `envoy.config.route.v3`.

use super::node::{Node, Read};
use super::typed::made_by;
use crate::mesh::{PathMatch, Route, RouteConfig, RouteTo, VirtualHost};

/// Reads a `RouteConfiguration`.
pub(super) fn config(node: &Node) -> Read<'_, RouteConfig> {
    Ok(RouteConfig {
        name: node.text("name")?.into(),
        hosts: node.list("virtual_hosts")?.iter().map(host).collect::<Result<_, _>>()?,
        ignore_port_in_host: node.flag("ignore_port_in_host_matching")?,
        ..RouteConfig::default()
    })
}

fn host(node: &Node) -> Read<'_, VirtualHost> {
    let lower = |domain: Box<str>| domain.to_lowercase().into();
    Ok(VirtualHost {
        name: node.text("name")?.into(),
        domains: node.texts("domains")?.into_iter().map(lower).collect(),
        routes: node.list("routes")?.iter().map(route).collect::<Result<_, _>>()?,
        requires_tls: node.text("require_tls")? == "ALL",
    })
}

/// What puts another host in the place of a request's.
const REWRITES: [&str; 5] =
    ["host_rewrite", "host_rewrite_literal", "host_rewrite_header", "host_rewrite_path_regex", "auto_host_rewrite"];

fn route(node: &Node) -> Read<'_, Route> {
    let matched = node.get("match")?;
    Ok(Route {
        name: node.text("name")?.into(),
        path: matched.map(path).transpose()?.unwrap_or_default(),
        ignore_case: matched.map(ignores_case).transpose()?.unwrap_or(false),
        conditions: matched.map(conditions).transpose()?.unwrap_or_default(),
        to: to(node)?,
        rewrites_host: node.get("route")?.is_some_and(|action| REWRITES.iter().any(|name| action.has(name))),
        made_by: made_by(node)?,
    })
}

fn path(node: &Node) -> Read<'_, PathMatch> {
    type Make = fn(Box<str>) -> PathMatch;
    let plain: [(&str, Make); 4] = [
        ("prefix", PathMatch::Prefix),
        ("path", PathMatch::Exact),
        ("path_separated_prefix", PathMatch::SegmentPrefix),
        ("regex", PathMatch::Regex),
    ];
    for (name, make) in plain {
        if let Some(found) = node.get(name)? {
            return Ok(make(found.as_text()?.into()));
        }
    }
    if let Some(regex) = node.get("safe_regex")? {
        return Ok(PathMatch::Regex(regex.text("regex")?.into()));
    }
    for name in ["connect_matcher", "path_match_policy"] {
        if node.has(name) {
            return Ok(PathMatch::Other(name.into()));
        }
    }
    Ok(PathMatch::default())
}

fn ignores_case(node: &Node) -> Read<'_, bool> {
    Ok(node.get("case_sensitive")?.map(Node::as_flag).transpose()? == Some(false))
}

/// Everything beside the path, by name.
fn conditions(node: &Node) -> Read<'_, Vec<Box<str>>> {
    let mut names = Vec::new();
    for list in ["headers", "query_parameters", "cookies"] {
        for condition in node.list(list)? {
            names.push(condition.text("name")?.into());
        }
    }
    let others = ["runtime_fraction", "grpc", "tls_context", "dynamic_metadata", "filter_state"];
    names.extend(others.into_iter().filter(|name| node.has(name)).map(Box::from));
    Ok(names)
}

fn to(node: &Node) -> Read<'_, RouteTo> {
    if let Some(action) = node.get("route")? {
        if let Some(cluster) = action.get("cluster")? {
            return Ok(RouteTo::Clusters(vec![(cluster.as_text()?.into(), 1)]));
        }
        if let Some(weighted) = action.get("weighted_clusters")? {
            return weights(weighted).map(RouteTo::Clusters);
        }
        let header = action.text("cluster_header")?;
        return Ok(if header.is_empty() { RouteTo::Other } else { RouteTo::ClusterHeader(header.into()) });
    }
    if let Some(direct) = node.get("direct_response")? {
        return Ok(RouteTo::Direct(direct.number("status")?.unwrap_or(0)));
    }
    Ok(if node.has("redirect") { RouteTo::Redirect } else { RouteTo::Other })
}

/// `weighted_clusters`: names and weights; a line without a weight gets nothing.
pub(super) fn weights(weighted: &Node) -> Read<'_, Vec<(Box<str>, u64)>> {
    let line = |line| Ok((Node::text(line, "name")?.into(), line.number("weight")?.unwrap_or(0)));
    weighted.list("clusters")?.iter().map(line).collect()
}
