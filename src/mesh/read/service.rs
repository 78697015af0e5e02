//! Services, ServiceEntries and the addresses behind them.
//!
//! Sources: Kubernetes' `core/v1`, `discovery.k8s.io/v1`; istio/api `networking/v1/service_entry.proto`; what istiod makes
//! of them is in `pilot/pkg/serviceregistry/kube/conversion.go` and `serviceentry/conversion.go`.

use std::net::IpAddr;

use super::address::range;
use super::kube::{labels, text};
use super::node::{Node, Read, Wrong};
use crate::mesh::objects::{EndpointSlice, Meta, Port, Resolution, Service};

/// A Service.
pub(super) fn service(node: &Node, meta: Meta) -> Read<'_, Service> {
    let spec = node.get("spec")?.ok_or_else(|| Wrong::new(node, "has no spec"))?;
    let mut written = spec.texts("clusterIPs")?;
    if written.is_empty() {
        written.push(spec.text("clusterIP")?.into());
    }
    let external = spec.text("type")? == "ExternalName";
    let headless = !external && written.iter().any(|address| &**address == "None");
    let annotated = node.get("metadata")?.map_or(Ok(None), |meta| meta.get("annotations"))?;
    let exported = annotated.map(|told| told.text("networking.istio.io/exportTo")).transpose()?.unwrap_or_default();
    Ok(Service {
        host: format!("{}.{}.svc.cluster.local", meta.name, meta.namespace).into(),
        addresses: written.iter().filter_map(|address| range(address)).collect(),
        headless,
        external_name: if external { spec.text("externalName")?.into() } else { Box::default() },
        resolution: match (external, headless) {
            (true, _) => Resolution::Dns,
            (_, true) => Resolution::Passthrough,
            _ => Resolution::Static,
        },
        ports: spec.list("ports")?.iter().map(service_port).collect::<Result<_, _>>()?,
        selector: labels(spec, &["selector"])?,
        export_to: exported.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Box::from).collect(),
        external,
        meta,
        ..Service::default()
    })
}

fn service_port(node: &Node) -> Read<'_, Port> {
    let protocol = node.text("protocol")?;
    Ok(Port {
        number: node.number("port")?.unwrap_or(0),
        name: node.text("name")?.into(),
        protocol: if protocol.is_empty() { "TCP".into() } else { protocol.into() },
        app_protocol: node.text("appProtocol")?.into(),
        target: node.text("targetPort")?.into(),
    })
}

/// How many ports, addresses and endpoints the hosts of a ServiceEntry may have together.
const MOST: usize = 1 << 18;

/// A ServiceEntry: a service for each of its hosts.
pub(super) fn entry<'n>(node: &'n Node, meta: &Meta) -> Read<'n, Vec<Service>> {
    let spec = node.get("spec")?.ok_or_else(|| Wrong::new(node, "has no spec"))?;
    let resolution = match &*spec.text("resolution")? {
        "STATIC" => Resolution::Static,
        "DNS" => Resolution::Dns,
        "DNS_ROUND_ROBIN" => Resolution::DnsRoundRobin,
        "DYNAMIC_DNS" => Resolution::DynamicDns,
        _ => Resolution::Passthrough,
    };
    let addresses = spec.texts("addresses")?.iter().filter_map(|address| range(address)).collect::<Vec<_>>();
    let ports = spec.list("ports")?.iter().map(entry_port).collect::<Read<'_, Vec<Port>>>()?;
    let endpoints = spec.list("endpoints")?.iter().map(|endpoint| Ok(endpoint.text("address")?.into()));
    let written_endpoints = endpoints.collect::<Read<'_, Vec<Box<str>>>>()?;
    let selector = labels(spec, &["workload_selector", "labels"])?;
    let export_to = spec.texts("export_to")?;
    let external = spec.text("location")? != "MESH_INTERNAL";
    let status = node.get("status")?.map_or(Ok(&[][..]), |status| status.list("addresses"))?;
    let hosts = spec.texts("hosts")?;
    // Each host gets all the rest, so two long lists would be a product.
    let rest =
        addresses.len() + ports.len() + written_endpoints.len() + selector.len() + export_to.len() + status.len();
    if hosts.len().saturating_mul(rest + meta.labels.len() + 1) > MOST {
        return Err(Wrong::new(spec, "has more hosts than its ports, addresses and endpoints leave room for"));
    }
    let mut found = Vec::new();
    for host in hosts {
        // An address is for one host, or for all.
        let mut allocated = Vec::new();
        for told in status {
            if matches!(&*told.text("host")?, "" | "*") || *told.text("host")? == *host {
                allocated.extend(told.text("value")?.parse::<IpAddr>().ok());
            }
        }
        found.push(Service {
            meta: meta.clone(),
            host,
            addresses: addresses.clone(),
            allocated,
            resolution,
            ports: ports.clone(),
            selector: selector.clone(),
            written_endpoints: written_endpoints.clone(),
            export_to: export_to.clone(),
            external,
            ..Service::default()
        });
    }
    Ok(found)
}

fn entry_port(node: &Node) -> Read<'_, Port> {
    Ok(Port {
        number: node.number("number")?.unwrap_or(0),
        name: node.text("name")?.into(),
        protocol: node.text("protocol")?.to_uppercase().into(),
        app_protocol: Box::default(),
        target: node.text("target_port")?.into(),
    })
}

/// An EndpointSlice.
pub(super) fn slice(node: &Node, meta: Meta) -> Read<'_, EndpointSlice> {
    let mut addresses = Vec::new();
    for endpoint in node.list("endpoints")? {
        let ready = match endpoint.path(&["conditions", "ready"])? {
            Some(ready) => ready.as_flag()?,
            None => true,
        };
        let pod = pod_of(endpoint, "targetRef")?;
        for address in endpoint.texts("addresses")? {
            addresses.extend(address.parse::<IpAddr>().ok().map(|ip| (ip, ready, pod.clone())));
        }
    }
    let service = meta.labels.get("kubernetes.io/service-name").cloned().unwrap_or_default();
    Ok(EndpointSlice { service, addresses, ports: ports(node)?, meta })
}

/// Endpoints, which older clusters have instead.
pub(super) fn endpoints(node: &Node, meta: Meta) -> Read<'_, EndpointSlice> {
    let mut found = EndpointSlice { service: meta.name.clone(), meta, ..EndpointSlice::default() };
    for subset in node.list("subsets")? {
        for (list, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            for address in subset.list(list)? {
                let ip = address.text("ip")?.parse::<IpAddr>().ok();
                let pod = pod_of(address, "targetRef")?;
                found.addresses.extend(ip.map(|ip| (ip, ready, pod)));
            }
        }
        found.ports.extend(ports(subset)?);
    }
    Ok(found)
}

fn pod_of<'n>(node: &'n Node, reference: &str) -> Read<'n, Box<str>> {
    match node.get(reference)? {
        Some(target) if matches!(&*target.text("kind")?, "" | "Pod") => text(target, &["name"]),
        _ => Ok(Box::default()),
    }
}

fn ports(node: &Node) -> Read<'_, Vec<u16>> {
    let numbers = node.list("ports")?.iter().map(|port| port.number("port"));
    Ok(numbers.collect::<Read<'_, Vec<_>>>()?.into_iter().flatten().collect())
}
