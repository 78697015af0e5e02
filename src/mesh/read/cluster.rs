//! A cluster.
//!
//! Source: `envoy.config.cluster.v3.Cluster`.

use super::node::{Node, Read};
use super::{address, endpoint, tls, typed};
use crate::mesh::{Cluster, Endpoint};

/// Reads a `Cluster`.
pub(super) fn cluster(node: &Node) -> Read<'_, Cluster> {
    let eds = node.get("eds_cluster_config")?;
    Ok(Cluster {
        name: node.text("name")?.into(),
        kind: kind(node)?,
        active: true,
        service_name: eds.map(|eds| eds.text("service_name")).transpose()?.unwrap_or_default().into(),
        endpoints: endpoints(node)?,
        connect_timeout: node.millis("connect_timeout")?,
        max_connections: max_connections(node)?,
        tls: tls::upstream(node)?,
        tls_matches: tls::matches(node)?,
        services: services(node)?,
        made_by: typed::made_by(node)?,
        ..Cluster::default()
    })
}

/// `STATIC` is what protobuf leaves out.
fn kind(node: &Node) -> Read<'_, Box<str>> {
    let extension = node.get("cluster_type")?.map(|kind| kind.text("name")).transpose()?.unwrap_or_default();
    let written = node.text("type")?;
    Ok(match (&*extension, &*written) {
        ("", "") => "STATIC".into(),
        ("", written) => written.into(),
        (extension, _) => extension.into(),
    })
}

fn endpoints(node: &Node) -> Read<'_, Vec<Endpoint>> {
    if let Some(assigned) = node.get("load_assignment")? {
        return endpoint::assignment(assigned);
    }
    // v2: a list of addresses.
    let mut found = Vec::new();
    for host in node.list("hosts")? {
        found.extend(address::address(host)?.map(endpoint::plain));
    }
    Ok(found)
}

/// Of connections that have no priority of their own.
fn max_connections(node: &Node) -> Read<'_, Option<u64>> {
    let Some(breakers) = node.get("circuit_breakers")? else { return Ok(None) };
    for threshold in breakers.list("thresholds")? {
        if matches!(&*threshold.text("priority")?, "" | "DEFAULT") {
            return threshold.number("max_connections");
        }
    }
    Ok(None)
}

fn services(node: &Node) -> Read<'_, Vec<(Box<str>, Box<str>)>> {
    let Some(istio) = node.path(&["metadata", "filter_metadata", "istio"])? else { return Ok(Vec::new()) };
    let service = |service| Ok((Node::text(service, "namespace")?.into(), service.text("name")?.into()));
    istio.list("services")?.iter().map(service).collect()
}
