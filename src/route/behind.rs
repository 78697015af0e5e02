//! Whose an address is, and which object of the cluster stands behind a name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::cluster;
use crate::mesh::objects::{Objects, Resolution, Service};
use crate::mesh::{Mesh, Proxy};

/// An object behind a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// `Service`, `ServiceEntry`.
    pub kind: String,
    /// Its name and namespace: `web.shop`.
    pub name: String,
    /// When it was made, RFC 3339; none if nothing says.
    pub created: Option<String>,
    /// The name that an ExternalName points to; empty for others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_name: String,
    /// What is special about it: `headless`, `resolved by name`; empty if nothing is.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub special: &'static str,
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Owner {
    /// `Pod`, `Service`, `ServiceEntry`, `Endpoints`.
    pub kind: String,
    /// Its name and namespace.
    pub name: String,
}

/// What a mesh knows of names and addresses.
#[derive(Debug, Default)]
pub struct Known<'m> {
    owners: BTreeMap<IpAddr, Vec<Owner>>,
    by_host: BTreeMap<&'m str, Vec<&'m Service>>,
}

impl<'m> Known<'m> {
    /// Reads the objects, and whose dumps there are.
    pub fn of(mesh: &'m Mesh) -> Known<'m> {
        let mut known = Known::default();
        for service in &mesh.objects.services {
            known.by_host.entry(&service.host).or_default().push(service);
            let whole =
                |prefix: &&crate::mesh::Prefix| prefix.length == if prefix.address.is_ipv4() { 32 } else { 128 };
            let own = service.addresses.iter().filter(whole).map(|prefix| prefix.address);
            for address in own.chain(service.allocated.iter().copied()) {
                known.own(address, &service.meta.kind, &named(&service.meta.name, &service.meta.namespace));
            }
        }
        known.pods(&mesh.objects);
        for proxy in &mesh.proxies {
            for address in &proxy.node.addresses {
                known.own(*address, "Pod", &pod(proxy));
            }
        }
        for owners in known.owners.values_mut() {
            owners.sort();
            owners.dedup();
        }
        known
    }

    fn pods(&mut self, objects: &Objects) {
        for pod in &objects.pods {
            for address in &pod.addresses {
                self.own(*address, "Pod", &named(&pod.meta.name, &pod.meta.namespace));
            }
        }
        for slice in &objects.endpoints {
            for (address, _, pod) in &slice.addresses {
                if !pod.is_empty() {
                    self.own(*address, "Pod", &named(pod, &slice.meta.namespace));
                }
            }
        }
    }

    fn own(&mut self, address: IpAddr, kind: &str, name: &str) {
        self.owners.entry(address).or_default().push(Owner { kind: kind.into(), name: name.into() });
    }

    /// Who has an address, as far as that is known.
    pub fn owners(&self, address: IpAddr) -> &[Owner] {
        self.owners.get(&address.to_canonical()).map_or(&[], Vec::as_slice)
    }

    /// The objects behind a cluster: by its host; without objects by what the cluster itself says.
    pub fn behind(&self, proxy: &Proxy, name: &str) -> Vec<Behind> {
        let host = std::str::from_utf8(cluster::Cluster::read(name.as_bytes()).host).unwrap_or_default();
        if let Some(services) = self.by_host.get(host).filter(|_| !host.is_empty()) {
            return services.iter().map(|service| of_service(service)).collect();
        }
        let said = proxy.clusters.get(name).map_or(&[][..], |cluster| &cluster.services);
        let bare = |(namespace, service): &(Box<str>, Box<str>)| Behind {
            kind: "Service".into(),
            name: named(service, namespace),
            created: None,
            external_name: String::new(),
            special: "",
        };
        said.iter().map(bare).collect()
    }
}

fn of_service(service: &Service) -> Behind {
    let special = match service.resolution {
        _ if service.headless => "headless",
        Resolution::Dns | Resolution::DnsRoundRobin if service.external_name.is_empty() => "resolved by name",
        Resolution::Passthrough => "to where it was sent",
        Resolution::Alias => "another name of a service",
        Resolution::DynamicDns => "resolved by the name that is asked for",
        _ if service.addresses.is_empty() && service.external_name.is_empty() => "without an address of its own",
        _ => "",
    };
    Behind {
        kind: service.meta.kind.to_string(),
        name: named(&service.meta.name, &service.meta.namespace),
        created: service.meta.created.and_then(crate::field::value::Micros::shown),
        external_name: service.external_name.to_string(),
        special,
    }
}

/// `web.shop`, or the name alone.
fn named(name: &str, namespace: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{name}.{namespace}") }
}

/// A proxy by its pod: `web-0.shop`; by its file if the dump does not say whose it is.
pub fn pod(proxy: &Proxy) -> String {
    match (&*proxy.node.pod, proxy.files.first()) {
        ("", Some(file)) => file.to_string(),
        (pod, _) => named(pod, &proxy.node.namespace),
    }
}
