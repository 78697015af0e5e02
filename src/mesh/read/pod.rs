//! Pods.
//!
//! Source: Kubernetes' `core/v1`; the sidecar's name is Istio's (`istio-proxy`).

use std::net::IpAddr;

use super::kube::text;
use super::node::{Node, Read};
use crate::mesh::objects::{Meta, Pod};

/// The sidecar, among containers or, as a native one, among those that start before them.
const SIDECAR: &str = "istio-proxy";

/// A Pod.
pub(super) fn pod(node: &Node, meta: Meta) -> Read<'_, Pod> {
    let mut found = Pod { deleted: None, meta, ..Pod::default() };
    if let Some(meta) = node.get("metadata")? {
        found.deleted = meta.time("deletionTimestamp");
        found.meshed = match meta.path(&["annotations", "ambient.istio.io/redirection"])? {
            Some(redirected) => Some(redirected.as_text()? == "enabled"),
            None => None,
        };
    }
    if let Some(spec) = node.get("spec")? {
        let mut sidecar = false;
        for list in ["containers", "initContainers"] {
            for container in spec.list(list)? {
                sidecar |= container.text("name")? == SIDECAR;
                for port in container.list("ports")? {
                    found.ports.extend(port.number::<u16>("containerPort")?);
                }
            }
        }
        found.meshed = Some(sidecar || found.meshed == Some(true));
    }
    if let Some(status) = node.get("status")? {
        status_of(status, &mut found)?;
    }
    Ok(found)
}

fn status_of<'n>(status: &'n Node, found: &mut Pod) -> Read<'n, ()> {
    found.phase = status.text("phase")?.into();
    found.started = status.time("startTime");
    let mut addresses = vec![text(status, &["podIP"])?];
    for address in status.list("podIPs")? {
        addresses.push(address.text("ip")?.into());
    }
    for address in addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok()) {
        if !found.addresses.contains(&address) {
            found.addresses.push(address);
        }
    }
    for container in status.list("containerStatuses")? {
        found.ready = Some(found.ready.unwrap_or(true) && container.flag("ready")?);
        found.restarts += container.number::<u64>("restartCount")?.unwrap_or(0);
    }
    for container in status.list("initContainerStatuses")? {
        if container.text("name")? == SIDECAR {
            found.restarts += container.number::<u64>("restartCount")?.unwrap_or(0);
        }
    }
    Ok(())
}
