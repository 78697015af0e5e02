//! Which services a proxy is told of: exportTo, and the Sidecar that is for it.
//!
//! Source: Istio `pilot/pkg/model/sidecar.go`; documentation, Sidecar.

use std::collections::BTreeMap;

use crate::mesh::Proxy;
use crate::mesh::objects::{Objects, Service, Sidecar};

/// The namespace whose Sidecar is for all that have none of their own, as long as nobody moved it (`rootNamespace`).
const ROOT: &str = "istio-system";

/// The labels of a proxy's pod, if its object is there.
pub(crate) fn labels<'o>(objects: &'o Objects, proxy: &Proxy) -> Option<&'o BTreeMap<Box<str>, Box<str>>> {
    let node = &proxy.node;
    let own = objects.pods.iter().find(|pod| pod.meta.name == node.pod && pod.meta.namespace == node.namespace);
    own.map(|pod| &pod.meta.labels)
}

/// Whether labels have all that a selector asks for.
pub(crate) fn selects(selector: &BTreeMap<Box<str>, Box<str>>, labels: &BTreeMap<Box<str>, Box<str>>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// The Sidecar of a proxy: the one that selects its pod, else its namespace's, else the mesh's. An error if one may
/// select it and nobody knows the pod's labels or namespace.
pub(crate) fn sidecar<'o>(objects: &'o Objects, proxy: &Proxy) -> Result<Option<&'o Sidecar>, ()> {
    if proxy.node.namespace.is_empty() && !objects.sidecars.is_empty() {
        return Err(());
    }
    let own = objects.sidecars.iter().filter(|sidecar| sidecar.meta.namespace == proxy.node.namespace);
    let (wide, selecting): (Vec<&Sidecar>, Vec<&Sidecar>) = own.partition(|sidecar| sidecar.selector.is_empty());
    if !selecting.is_empty() {
        let labels = labels(objects, proxy).ok_or(())?;
        if let Some(found) = selecting.into_iter().find(|sidecar| selects(&sidecar.selector, labels)) {
            return Ok(Some(found));
        }
    }
    let of_root = |sidecar: &&Sidecar| &*sidecar.meta.namespace == ROOT && sidecar.selector.is_empty();
    Ok(wide.first().copied().or_else(|| objects.sidecars.iter().find(of_root)))
}

/// Whether a Sidecar keeps a host of a namespace from a proxy of another: no egress listener lists it.
pub(crate) fn hides(sidecar: &Sidecar, proxy: &Proxy, namespace: &str, host: &str) -> bool {
    let lists = |pattern: &str| {
        let Some((scope, name)) = pattern.split_once('/') else { return true };
        let home = match scope {
            "*" => true,
            "." => *namespace == *proxy.node.namespace,
            scope => scope == namespace,
        };
        home && name.strip_prefix('*').map_or(name == host, |suffix| host.ends_with(suffix))
    };
    !sidecar.egress_hosts.is_empty() && !sidecar.egress_hosts.iter().any(|pattern| lists(pattern))
}

/// Whether a service is exported to a proxy's namespace. What it does not say is every namespace.
pub(crate) fn is_exported(service: &Service, proxy: &Proxy) -> bool {
    let to = |to: &str| match to {
        "*" => true,
        "." => service.meta.namespace == proxy.node.namespace,
        to => to == &*proxy.node.namespace,
    };
    service.export_to.is_empty() || service.export_to.iter().any(|namespace| to(namespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Node;
    use crate::mesh::objects::Meta;

    fn proxy(namespace: &str) -> Proxy {
        Proxy { node: Node { namespace: namespace.into(), pod: "web-0".into(), ..Node::default() }, ..Proxy::default() }
    }

    #[test]
    fn hosts_are_listed_by_namespace_and_name() {
        let hidden = |hosts: &[&str], namespace: &str| {
            let sidecar =
                Sidecar { egress_hosts: hosts.iter().map(|host| (*host).into()).collect(), ..Sidecar::default() };
            hides(&sidecar, &proxy(namespace), "data", "db.data.svc.cluster.local")
        };
        assert!(!hidden(&["./*"], "data") && hidden(&["./*"], "shop"));
        assert!(!hidden(&["data/*"], "shop") && !hidden(&["*/db.data.svc.cluster.local"], "shop"));
        assert!(hidden(&["data/web.data.svc.cluster.local", "~/*"], "shop"));
        assert!(!hidden(&["*/*.svc.cluster.local"], "shop") && !hidden(&[], "shop"));
    }

    #[test]
    fn without_labels_a_sidecar_that_selects_leaves_it_open() {
        let selecting = Sidecar {
            meta: Meta { namespace: "shop".into(), ..Meta::default() },
            selector: [("app".into(), "web".into())].into(),
            ..Sidecar::default()
        };
        let objects = Objects { sidecars: vec![selecting], ..Objects::default() };
        assert!(sidecar(&objects, &proxy("shop")).is_err());
        assert_eq!(sidecar(&objects, &proxy("other")), Ok(None));
    }

    #[test]
    fn what_is_exported_nowhere_else_is_seen_at_home() {
        let service = |to: &[&str]| Service {
            meta: Meta { namespace: "data".into(), ..Meta::default() },
            export_to: to.iter().map(|to| (*to).into()).collect(),
            ..Service::default()
        };
        assert!(is_exported(&service(&[]), &proxy("shop")) && is_exported(&service(&["shop"]), &proxy("shop")));
        assert!(is_exported(&service(&["."]), &proxy("data")) && !is_exported(&service(&["."]), &proxy("shop")));
        assert!(!is_exported(&service(&["~"]), &proxy("data")));
    }
}
