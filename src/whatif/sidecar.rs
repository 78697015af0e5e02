//! Sidecars that are changed or new: what their proxies are told of.

use std::collections::BTreeSet;

use super::listeners::{PortOf, Ports, heir, is_caught, release};
use super::{Plan, Told, service};
use crate::cluster::{Cluster, Direction};
use crate::mesh::Proxy;
use crate::mesh::objects::Sidecar;
use crate::mesh::scope;

/// Does to a proxy what a Sidecar among the manifests does.
pub(super) fn change(plan: &Plan<'_>, proxy: &mut Proxy, told: &mut Told) {
    if plan.given.sidecars.is_empty() {
        return;
    }
    let Ok(Some(sidecar)) = scope::sidecar(plan.after, proxy) else {
        let here = |sidecar: &&Sidecar| sidecar.meta.namespace == proxy.node.namespace;
        for sidecar in plan.given.sidecars.iter().filter(here) {
            told.not(&sidecar.meta, "whether it is for a pod is not known without the pod's labels");
        }
        for sidecar in plan.given.sidecars.iter().filter(|_| proxy.node.namespace.is_empty()) {
            told.homeless(&sidecar.meta);
        }
        return;
    };
    if !plan.given.sidecars.iter().any(|given| given.meta == sidecar.meta) {
        return;
    }
    let old = scope::sidecar(plan.before, proxy).ok().flatten();
    if sidecar.has_ingress || old.is_some_and(|old| old.has_ingress) {
        told.not(&sidecar.meta, "its ingress listeners are not followed");
    }
    if *sidecar.outbound_policy != *old.map_or("", |old| &old.outbound_policy) {
        told.not(&sidecar.meta, "its outboundTrafficPolicy is not followed");
    }
    if sidecar.binds_egress || old.is_some_and(|old| old.binds_egress) {
        told.not(&sidecar.meta, "egress listeners with a port or address of their own are not followed");
        return;
    }
    if sidecar.egress_hosts.is_empty() {
        told.not(&sidecar.meta, "it lists no hosts, and what its proxies would know then is not worked out");
        return;
    }
    let known = known(proxy);
    let mut hidden = Ports::new();
    for (host, port) in &known {
        match namespace(plan, proxy, host, *port) {
            Some(namespace) if scope::hides(sidecar, &proxy.node.namespace, &namespace, host) => {
                let of = PortOf { host, port: *port };
                if is_caught(proxy, of)
                    && let Some(heir) = heir(proxy, of)
                {
                    told.not(&sidecar.meta, &format!("port {port} may go to {heir} then, which has no listener yet"));
                    continue;
                }
                hidden.insert((host, *port));
                let what = format!("no listener or route leads to {host} on port {port} any more");
                told.done(&sidecar.meta, proxy, &what);
            }
            Some(_) => {}
            None => told.not(&sidecar.meta, &format!("whose {host} is, is not known")),
        }
    }
    release(proxy, &hidden);
    // What the old one hid and this one does not.
    let Some(old) = old else { return };
    for shown in &plan.after.services {
        let hidden = |sidecar| scope::hides(sidecar, &proxy.node.namespace, &shown.meta.namespace, &shown.host);
        if hidden(old) && !hidden(sidecar) && scope::is_exported(shown, &proxy.node.namespace) {
            for port in &shown.ports {
                service::listen(plan, proxy, shown, port, false, told);
            }
        }
    }
}

/// The hosts and ports to which a proxy can send.
fn known(proxy: &Proxy) -> BTreeSet<(String, u16)> {
    let of = |name: &str| {
        let read = Cluster::read(name.as_bytes());
        let host = String::from_utf8_lossy(read.host).into_owned();
        read.port.filter(|_| read.direction == Direction::Outbound).map(|port| (host, port))
    };
    proxy.clusters.keys().filter_map(|name| of(name)).collect()
}

/// The namespace of the service with this host: by its object, by the proxy's own words, by its name.
fn namespace(plan: &Plan<'_>, proxy: &Proxy, host: &str, port: u16) -> Option<Box<str>> {
    if let Some(service) = plan.hosts.get(host) {
        return Some(service.meta.namespace.clone());
    }
    let cluster = proxy.clusters.get(&*PortOf { host, port }.cluster());
    if let Some((namespace, _)) = cluster.and_then(|cluster| cluster.services.first()) {
        return Some(namespace.clone());
    }
    host.split('.').nth(1).filter(|_| host.contains(".svc")).map(Box::from)
}
