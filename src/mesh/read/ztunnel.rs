//! What a ztunnel knows: workloads, services, policies. Older ones write tables by address, newer ones lists.
//!
//! Source: istio/ztunnel `src/state/workload.rs`, `service.rs`, `src/rbac.rs`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::address::range;
use super::kube::text;
use super::node::{Node, Read};
use crate::mesh::objects::{AuthorizationPolicy, EndpointSlice, Meta, Pod, Port, Service};

/// What one ztunnel's dump holds; endpoints name workloads, which may come later.
#[derive(Debug, Default)]
pub(super) struct Ztunnel {
    pub(super) workloads: Vec<Pod>,
    pub(super) services: Vec<Service>,
    /// Addresses of workloads by their `uid`.
    addresses: BTreeMap<Box<str>, Vec<IpAddr>>,
    /// Endpoints of services: the service, and each endpoint's workload, its own address and whether it is healthy.
    behind: Vec<(EndpointSlice, Vec<Behind>)>,
}

/// An endpoint.
type Behind = (Box<str>, Option<IpAddr>, bool);

/// Whether a part is a workload.
pub(super) fn is_workload(node: &Node) -> bool {
    node.has("protocol") && (node.has("workload_ips") || node.has("workload_ip") || node.has("uid"))
}

/// Whether a part is a service.
pub(super) fn is_service(node: &Node) -> bool {
    node.has("hostname") && node.has("vips")
}

/// Whether a part is what `istioctl ztunnel-config connections` prints.
pub(super) fn is_connections(node: &Node) -> bool {
    node.has("connections") && node.has("info")
}

impl Ztunnel {
    /// A workload: `CLUSTER/GROUP/KIND/NAMESPACE/NAME` is its `uid`.
    pub(super) fn workload<'n>(&mut self, node: &'n Node) -> Read<'n, ()> {
        let uid: Box<str> = node.text("uid")?.into();
        let kind = uid.split('/').nth(2).filter(|kind| !kind.is_empty()).unwrap_or("Pod");
        let mut addresses: Vec<IpAddr> = node.text("workload_ip")?.parse().into_iter().collect();
        for address in node.texts("workload_ips")? {
            addresses.extend(address.parse::<IpAddr>().ok());
        }
        let status = node.text("status")?;
        self.addresses.insert(uid.clone(), addresses.clone());
        self.workloads.push(Pod {
            meta: Meta {
                kind: kind.into(),
                namespace: node.text("namespace")?.into(),
                name: node.text("name")?.into(),
                ..Meta::default()
            },
            addresses,
            meshed: Some(node.text("protocol")? == "HBONE"),
            ready: (!status.is_empty()).then(|| status == "Healthy"),
            waypoint: waypoint(node)?,
            ..Pod::default()
        });
        Ok(())
    }

    /// A service.
    pub(super) fn service<'n>(&mut self, node: &'n Node) -> Read<'n, ()> {
        let meta = Meta {
            kind: "Service".into(),
            namespace: node.text("namespace")?.into(),
            name: node.text("name")?.into(),
            ..Meta::default()
        };
        let mut ports = Vec::new();
        let written = node.get("ports")?.map_or(Ok(&[][..]), Node::members)?;
        for (number, target) in written {
            if let Ok(number) = number.parse() {
                ports.push(Port { number, target: target.as_text()?.into(), ..Port::default() });
            }
        }
        let vips = node.texts("vips")?;
        let behind = EndpointSlice {
            meta: meta.clone(),
            service: meta.name.clone(),
            ports: ports.iter().filter_map(|port| port.target.parse().ok()).collect(),
            ..EndpointSlice::default()
        };
        self.behind.push((behind, endpoints(node)?));
        self.services.push(Service {
            host: node.text("hostname")?.into(),
            // `NETWORK/ADDRESS`
            addresses: vips.iter().filter_map(|vip| range(vip.rsplit('/').next()?)).collect(),
            ports,
            waypoint: waypoint(node)?,
            meta,
            ..Service::default()
        });
        Ok(())
    }

    /// Addresses behind services, once all workloads are known.
    pub(super) fn endpoints(&mut self) -> Vec<EndpointSlice> {
        let addresses = &self.addresses;
        let resolved = |(mut slice, behind): (EndpointSlice, Vec<Behind>)| {
            for (uid, own, healthy) in behind {
                let pod: Box<str> = uid.rsplit('/').next().unwrap_or_default().into();
                let known = addresses.get(&uid).map(Vec::as_slice).unwrap_or_default();
                let all = own.iter().chain(known.iter().filter(|known| Some(**known) != own));
                slice.addresses.extend(all.map(|address| (*address, healthy, pod.clone())));
            }
            slice
        };
        self.behind.drain(..).map(resolved).filter(|slice| !slice.addresses.is_empty()).collect()
    }
}

/// In a table or a list.
fn endpoints(service: &Node) -> Read<'_, Vec<Behind>> {
    let all: Vec<&Node> = match service.get("endpoints")? {
        Some(Node::List(items)) => items.iter().collect(),
        Some(table) => table.members()?.iter().map(|(_, endpoint)| endpoint).collect(),
        None => Vec::new(),
    };
    all.into_iter().map(behind).collect()
}

fn behind(endpoint: &Node) -> Read<'_, Behind> {
    let own = endpoint.text("address")?.rsplit('/').next().and_then(|address| address.parse().ok());
    let healthy = matches!(&*endpoint.text("status")?, "" | "Healthy");
    Ok((endpoint.text("workload_uid")?.into(), own, healthy))
}

/// `NAMESPACE/HOST` or an address, without its network.
fn waypoint(node: &Node) -> Read<'_, Box<str>> {
    let told = text(node, &["waypoint", "destination"])?;
    Ok(told.strip_prefix('/').map_or(told.clone(), Box::from))
}

/// A policy; where it has a scope, that is where it stands. Source: `src/rbac.rs`.
pub(super) fn policy(node: &Node) -> Read<'_, AuthorizationPolicy> {
    Ok(AuthorizationPolicy {
        meta: Meta {
            kind: "AuthorizationPolicy".into(),
            namespace: node.text("namespace")?.into(),
            name: node.text("name")?.into(),
            ..Meta::default()
        },
        action: node.text("action")?.to_uppercase().into(),
        rules: node.list("rules")?.len(),
        ..AuthorizationPolicy::default()
    })
}
