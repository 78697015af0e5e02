//! Ways out where pods are dialled on a port that no listener knows: Services that list it.

use std::collections::BTreeSet;

use super::Remedy;
use super::hijack::Victim;
use super::manifest::{headless, is_plain, kubectl};
use crate::mesh::objects::Service;

/// A headless Service, named after the first port, since the same pods may need others: each pod behind it gets listeners of its own, which outrank one that catches the port.
pub fn members(victim: &Victim, ports: &BTreeSet<u16>) -> Option<Remedy> {
    let (name, first) = (victim.host.split('.').next()?, ports.first()?);
    if !is_plain(name) || !is_plain(&victim.namespace) {
        return None;
    }
    let open = if victim.selector.is_empty() { ". Nothing that was given says its selector" } else { "" };
    Some(Remedy::new(
        format!(
            "give the pods of {} a headless Service that lists the port: each gets a listener of its own, and mTLS",
            victim.host
        ),
        format!("mTLS is all or nothing there: every pod behind it needs a sidecar. Works since Istio 1.4{open}"),
        headless(&format!("{name}-members-{first}"), &victim.namespace, &victim.selector, ports),
    ))
}

/// The port, in a Service that is there; `protocol` is the first part of its name, `tcp` or `http`. None where another port
/// of it has no name: Kubernetes then takes no second one.
pub fn listed(service: &Service, port: u16, protocol: &str) -> Option<Remedy> {
    let meta = &service.meta;
    let named = service.ports.iter().all(|port| !port.name.is_empty());
    if !named || !is_plain(&meta.name) || !is_plain(&meta.namespace) {
        return None;
    }
    let value = format!("{{\"name\":\"{protocol}-{port}\",\"port\":{port},\"targetPort\":{port}}}");
    // A list that is not there cannot be added to.
    let (end, value) = if service.ports.is_empty() { ("", format!("[{value}]")) } else { ("/-", value) };
    let patch = format!("--type=json -p='[{{\"op\":\"add\",\"path\":\"/spec/ports{end}\",\"value\":{value}}}]'");
    let (what, cost) = if service.headless {
        ("headless Service", "mTLS is all or nothing there: every pod behind it needs a sidecar")
    } else {
        ("Service", "the pods have to listen on that port; clients that dial them by address still go around the mesh")
    };
    Some(Remedy::new(
        format!(
            "list port {port} in the {what} {} of namespace {}, with its protocol in its name",
            meta.name, meta.namespace
        ),
        cost,
        kubectl("patch", "service", &meta.name, &meta.namespace, &patch),
    ))
}

/// The service's name in the place of pods' addresses, which are one phrase.
pub fn by_name(host: &str, port: u16, dialled: &str) -> Option<Remedy> {
    is_plain(host).then(|| {
        Remedy::new(
            "let clients call the service by its name",
            "a change of the clients; a name leads to any of the pods, so members of a cluster cannot find each other so",
            format!("# {host}:{port} in the place of {dialled}\n"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::objects::{Meta, Port};

    fn service(ports: &[&str]) -> Service {
        let port = |name: &&str| Port { number: 80, name: (*name).into(), ..Port::default() };
        Service {
            meta: Meta { namespace: "data".into(), name: "db".into(), ..Meta::default() },
            ports: ports.iter().map(port).collect(),
            ..Service::default()
        }
    }

    #[test]
    fn a_port_is_added_where_kubernetes_takes_it() {
        let added = listed(&service(&["http"]), 9404, "tcp").map(|way| way.apply);
        assert_eq!(
            added.as_deref(),
            Some(
                "kubectl patch service db -n data --type=json -p='[{\"op\":\"add\",\"path\":\"/spec/ports/-\",\"value\":\
                 {\"name\":\"tcp-9404\",\"port\":9404,\"targetPort\":9404}}]'\n"
            )
        );
        assert!(listed(&service(&[]), 9404, "tcp").unwrap().apply.contains("\"/spec/ports\",\"value\":[{"));
        assert!(listed(&service(&[""]), 9404, "tcp").is_none(), "a single port without a name");
    }

    #[test]
    fn names_that_are_none_are_not_printed() {
        let mut odd = service(&["http"]);
        odd.meta.name = "x; reboot".into();
        assert!(listed(&odd, 1, "tcp").is_none() && by_name("x y", 1, "10.0.0.1:1").is_none());
        let victim = Victim { host: "x y".into(), namespace: "data".into(), ..Victim::default() };
        assert!(members(&victim, &BTreeSet::from([1])).is_none());
    }
}
