//! A service in istiod's `debug/registryz`.
//!
//! Source: Istio `pilot/pkg/model/service.go`, whose names are Go's where it has no tags.

use std::net::IpAddr;

use super::address::range;
use super::kube::text;
use super::node::{Node, Read};
use crate::mesh::Prefix;
use crate::mesh::objects::{Meta, Port, Resolution, Service};

/// Whether a part is a service of the registry.
pub(super) fn is_service(node: &Node) -> bool {
    node.has("hostname") && (node.has("Attributes") || node.has("Resolution"))
}

/// Reads it.
pub(super) fn service(node: &Node) -> Read<'_, Service> {
    let addresses = addresses(node)?;
    let resolution = node.number::<u8>("Resolution")?.unwrap_or(0);
    let external = node.flag("MeshExternal")?;
    let kubernetes = text(node, &["Attributes", "ServiceRegistry"])?.eq_ignore_ascii_case("kubernetes");
    Ok(Service {
        meta: Meta {
            kind: if kubernetes { "Service".into() } else { "ServiceEntry".into() },
            namespace: text(node, &["Attributes", "Namespace"])?,
            name: text(node, &["Attributes", "Name"])?,
            created: node.time("creationTime"),
            ..Meta::default()
        },
        host: node.text("hostname")?.into(),
        headless: kubernetes && resolution == 2,
        allocated: allocated(node)?,
        resolution: match resolution {
            0 => Resolution::Static,
            1 => Resolution::Dns,
            3 => Resolution::DnsRoundRobin,
            4 => Resolution::Alias,
            5 => Resolution::DynamicDns,
            _ => Resolution::Passthrough,
        },
        external_name: text(node, &["Attributes", "K8sAttributes", "ExternalName"])?,
        ports: node.list("ports")?.iter().map(port).collect::<Result<_, _>>()?,
        selector: super::kube::labels(node, &["Attributes", "LabelSelectors"])?,
        export_to: exported(node)?,
        external,
        addresses,
        ..Service::default()
    })
}

/// Of every cluster that has one; else the default, which is 0.0.0.0 where there is none.
fn addresses(node: &Node) -> Read<'_, Vec<Prefix>> {
    let mut found: Vec<Prefix> = Vec::new();
    let mut add = |text: &str| {
        let address = range(text).filter(|address| !address.address.is_unspecified() || address.length == 0);
        found.extend(address.filter(|address| !found.contains(address)));
    };
    if let Some(clusters) = node.path(&["clusterVIPs", "Addresses"])? {
        for (_, addresses) in clusters.members()? {
            if let Node::List(addresses) = addresses {
                for address in addresses {
                    add(&address.as_text()?);
                }
            }
        }
    }
    add(&node.text("defaultAddress")?);
    Ok(found)
}

fn allocated(node: &Node) -> Read<'_, Vec<IpAddr>> {
    let mut found = Vec::new();
    for name in ["autoAllocatedAddress", "autoAllocatedIPv4Address", "autoAllocatedIPv6Address"] {
        found.extend(node.text(name)?.parse::<IpAddr>().ok());
    }
    Ok(found)
}

fn port(node: &Node) -> Read<'_, Port> {
    Ok(Port {
        number: node.number("port")?.unwrap_or(0),
        name: node.text("name")?.into(),
        protocol: node.text("protocol")?.to_uppercase().into(),
        ..Port::default()
    })
}

/// A set in Go: its members are names with nothing behind them.
fn exported(node: &Node) -> Read<'_, Vec<Box<str>>> {
    match node.path(&["Attributes", "ExportTo"])? {
        Some(Node::Table(set)) => Ok(set.iter().map(|(name, _)| name.clone()).collect()),
        Some(Node::List(names)) => names.iter().map(|name| Ok(name.as_text()?.into())).collect(),
        _ => Ok(Vec::new()),
    }
}
