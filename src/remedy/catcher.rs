//! What makes a listener that catches a port: the object behind its cluster.

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::mesh::objects::{Meta, Port, Resolution, Service};
use crate::mesh::{Address, Mesh, Proxy};

/// The object behind a cluster; without objects, what the dump and the cluster's name say of it. Of a service, that is one without an
/// address: others catch nothing.
pub fn catcher(mesh: &Mesh, proxy: &Proxy, cluster: &str) -> Service {
    let host = Cluster::read(cluster.as_bytes()).host;
    let named = String::from_utf8_lossy(host).into_owned();
    if let Some(known) = mesh.objects.services.iter().find(|service| *service.host == *named) {
        return known.clone();
    }
    let config = proxy.clusters.get(cluster);
    let kind = config.map_or("", |config| &*config.kind);
    // Without an address, a Service is found by name or goes on to where it was dialled; a list of endpoints is a
    // ServiceEntry's, whatever its host is called.
    let internal = named.contains(".svc") && kind != "EDS";
    let target = config.and_then(|config| {
        config.endpoints.iter().find_map(|endpoint| match &endpoint.address {
            Address::Host(target, _) => Some(target.clone()),
            _ => None,
        })
    });
    let by_name = || {
        let mut labels = named.split('.').map(Box::from);
        let name = labels.next().unwrap_or_default();
        (labels.next().unwrap_or_default(), name)
    };
    let said = config.and_then(|config| config.services.first()).cloned();
    let (namespace, name) = said.unwrap_or_else(by_name);
    // Every port has a cluster of its own.
    let of_host = |name: &str| {
        let other = Cluster::read(name.as_bytes());
        other.port.filter(|_| other.host == host)
    };
    let ports: BTreeSet<u16> = proxy.clusters.keys().filter_map(|name| of_host(name)).collect();
    let goes_on = kind == "ORIGINAL_DST";
    Service {
        meta: Meta {
            kind: if internal { "Service" } else { "ServiceEntry" }.into(),
            namespace,
            name,
            ..Meta::default()
        },
        external_name: target.filter(|_| internal).unwrap_or_default(),
        headless: internal && goes_on,
        resolution: if goes_on { Resolution::Passthrough } else { Resolution::Dns },
        ports: ports.into_iter().map(|number| Port { number, ..Port::default() }).collect(),
        host: named.into(),
        ..Service::default()
    }
}

/// What it is, for people: `ExternalName Service (for db.example) db in namespace shop`.
pub fn called(service: &Service) -> String {
    let meta = &service.meta;
    let what = match (&*meta.kind, &*service.external_name) {
        ("Service", _) if service.headless => "headless Service".to_owned(),
        ("Service", "") => "ExternalName Service".to_owned(),
        ("Service", target) => format!("ExternalName Service (for {target})"),
        (kind, _) => format!("{kind} without addresses"),
    };
    let namespace = if meta.namespace.is_empty() { String::new() } else { format!(" in namespace {}", meta.namespace) };
    format!("{what} {}{namespace}", meta.name)
}

/// The two first numbers of a release: 1 and 20 of `1.20.3`; none for what is no release.
pub fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_objects_the_name_and_the_dump_say_what_it_is() {
        let proxy = Proxy {
            clusters: [
                "outbound|80||ext.shop.svc.cluster.local",
                "outbound|81||ext.shop.svc.cluster.local",
                "outbound|82||other",
            ]
            .map(|name| (name.into(), crate::mesh::Cluster::default()))
            .into(),
            ..Proxy::default()
        };
        let found = catcher(&Mesh::default(), &proxy, "outbound|80||ext.shop.svc.cluster.local");
        assert_eq!(called(&found), "ExternalName Service ext in namespace shop");
        assert_eq!(found.ports.iter().map(|port| port.number).collect::<Vec<_>>(), [80, 81]);
        let found = catcher(&Mesh::default(), &proxy, "outbound|443||www.example.com");
        assert_eq!(&*found.meta.kind, "ServiceEntry");
        assert_eq!((release("1.20.3"), release("dev")), (Some((1, 20)), None));
    }
}
