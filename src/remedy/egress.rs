//! Ways out where a proxy is told to send on only what is registered, and does not know what was dialled.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Remedy;
use super::manifest::{external, is_plain, kubectl};
use crate::mesh::objects::{Service, Sidecar};

/// What lies outside of the mesh, registered by its addresses; one for each port.
pub fn registered(addresses: &BTreeSet<IpAddr>, port: u16, namespace: &str) -> Option<Remedy> {
    let first = addresses.first().filter(|_| is_plain(namespace))?.to_string().replace(['.', ':'], "-");
    let name = format!("external-{first}-{port}");
    Some(Remedy::new(
        format!("register what was dialled on port {port} with a ServiceEntry of namespace {namespace}"),
        "addresses that change have to be kept up to date. The host is made up: TCP goes by the address; where clients speak \
         TLS to a host with a name, name it in hosts, with protocol TLS and without addresses",
        external(&name, namespace, addresses, port),
    ))
}

/// A host, for the proxies of a Sidecar that does not list it.
pub fn shown(sidecar: &Sidecar, service: &Service) -> Option<Remedy> {
    let (meta, home, place) = (&sidecar.meta, &service.meta.namespace, sidecar.every_port?);
    let plain = [&meta.name, &meta.namespace, home, &service.host].into_iter().all(|name| is_plain(name));
    let patch = format!(
        "--type=json -p='[{{\"op\":\"add\",\"path\":\"/spec/egress/{place}/hosts/-\",\"value\":\"{home}/{}\"}}]'",
        service.host
    );
    plain.then(|| {
        Remedy::new(
            format!("list {} in the Sidecar {} of namespace {}", service.host, meta.name, meta.namespace),
            "every proxy of that Sidecar knows it then",
            kubectl("patch", "sidecar", &meta.name, &meta.namespace, &patch),
        )
    })
}

/// Everything, registered or not: for the proxies of the Sidecar that forbids it, else for the mesh.
pub fn allow_any(sidecar: Option<&Sidecar>) -> Option<Remedy> {
    let what = "let everything go on that is not registered, as Istio does by default";
    let Some(sidecar) = sidecar else {
        let manifest = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  meshConfig:\n    \
                        outboundTrafficPolicy:\n      mode: ALLOW_ANY\n";
        return Some(Remedy::new(what, "nothing that leaves any pod is blocked any more", manifest.to_owned()));
    };
    let meta = &sidecar.meta;
    let patch = "--type=merge -p='{\"spec\":{\"outboundTrafficPolicy\":{\"mode\":\"ALLOW_ANY\"}}}'";
    (is_plain(&meta.name) && is_plain(&meta.namespace)).then(|| {
        Remedy::new(
            what,
            "nothing that leaves the pods of this Sidecar is blocked any more",
            kubectl("patch", "sidecar", &meta.name, &meta.namespace, patch),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::objects::Meta;

    fn sidecar(every_port: Option<usize>) -> Sidecar {
        let meta = Meta { namespace: "shop".into(), name: "default".into(), ..Meta::default() };
        Sidecar { meta, every_port, ..Sidecar::default() }
    }

    #[test]
    fn a_host_goes_into_the_listener_that_is_for_every_port() {
        let service = Service {
            meta: Meta { namespace: "data".into(), name: "db".into(), ..Meta::default() },
            host: "db.data.svc.cluster.local".into(),
            ..Service::default()
        };
        assert_eq!(
            shown(&sidecar(Some(1)), &service).map(|way| way.apply).as_deref(),
            Some(
                "kubectl patch sidecar default -n shop --type=json -p='[{\"op\":\"add\",\"path\":\"/spec/egress/1/hosts/-\",\
                 \"value\":\"data/db.data.svc.cluster.local\"}]'\n"
            )
        );
        assert!(shown(&sidecar(None), &service).is_none(), "where to put it is open");
    }

    #[test]
    fn what_is_outside_is_registered_by_address() {
        let addresses = BTreeSet::from([[203, 0, 113, 25].into(), "2001:db8::7".parse().unwrap()]);
        let made = registered(&addresses, 443, "hr").unwrap().apply;
        assert!(made.contains("name: external-203-0-113-25-443\n") && made.contains("- \"2001:db8::7\""), "{made}");
        assert!(registered(&addresses, 443, "").is_none() && registered(&BTreeSet::new(), 443, "hr").is_none());
    }

    #[test]
    fn the_policy_is_changed_where_it_was_made() {
        assert!(allow_any(None).unwrap().apply.contains("meshConfig"));
        assert!(allow_any(Some(&sidecar(None))).unwrap().apply.starts_with("kubectl patch sidecar default -n shop "));
    }
}
