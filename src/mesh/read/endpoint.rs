//! Endpoints as a cluster has them written down or is told by EDS.
//!
//! Source: `envoy.config.endpoint.v3.ClusterLoadAssignment`.

use super::address::address;
use super::node::{Node, Read};
use crate::mesh::{Address, Endpoint};

/// All endpoints of a `ClusterLoadAssignment`, in its order.
pub(super) fn assignment(node: &Node) -> Read<'_, Vec<Endpoint>> {
    let mut found = Vec::new();
    for locality in node.list("endpoints")? {
        for endpoint in locality.list("lb_endpoints")? {
            lb_endpoint(endpoint, &mut found)?;
        }
    }
    Ok(found)
}

/// Further addresses of an endpoint (dual stack) are endpoints of their own here: each of them may show in a log.
fn lb_endpoint<'n>(node: &'n Node, found: &mut Vec<Endpoint>) -> Read<'n, ()> {
    let Some(endpoint) = node.get("endpoint")? else { return Ok(()) };
    let state = node.text("health_status")?;
    // Degraded ones get connections where there are not enough others.
    let healthy = !matches!(&*state, "UNHEALTHY" | "DRAINING" | "TIMEOUT");
    let metadata = node.path(&["metadata", "filter_metadata"])?;
    let one = |address: Address| -> Read<'n, Endpoint> {
        Ok(Endpoint {
            address,
            healthy,
            state: if healthy { Box::default() } else { state.as_ref().into() },
            tls_mode: metadata.map(tls_mode).transpose()?.unwrap_or_default(),
            workload: metadata.map(workload).transpose()?.unwrap_or_default(),
            connect_failures: None,
        })
    };
    let more = endpoint.list("additional_addresses")?.iter().map(|more| more.get("address"));
    for written in std::iter::once(endpoint.get("address")).chain(more) {
        if let Some(address) = written?.map(address).transpose()?.flatten() {
            found.push(one(address)?);
        }
    }
    Ok(())
}

fn tls_mode(metadata: &Node) -> Read<'_, Box<str>> {
    let told = metadata.get("envoy.transport_socket_match")?;
    Ok(told.map(|told| told.text("tlsMode")).transpose()?.unwrap_or_default().into())
}

/// `workload;namespace;canonical name;revision;cluster`
fn workload(metadata: &Node) -> Read<'_, (Box<str>, Box<str>)> {
    let told = metadata.get("istio")?.map(|istio| istio.text("workload")).transpose()?.unwrap_or_default();
    let mut parts = told.split(';');
    let mut next = || parts.next().unwrap_or_default().into();
    Ok((next(), next()))
}

/// An endpoint of which only the address is known.
pub(super) fn plain(address: Address) -> Endpoint {
    Endpoint {
        address,
        healthy: true,
        state: Box::default(),
        tls_mode: Box::default(),
        workload: Default::default(),
        connect_failures: None,
    }
}
