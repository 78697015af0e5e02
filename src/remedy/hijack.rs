//! Ways out where a Service or ServiceEntry without an address catches a whole TCP port.

use std::collections::{BTreeMap, BTreeSet};

use super::Remedy;
use super::manifest::{entry, is_plain, kubectl, sidecar};
use super::port::members;
use crate::mesh::objects::{Pod, Resolution, Service};

/// A catch-all listener, and whom it hurts.
#[derive(Clone, Debug)]
pub struct Hijack<'m> {
    /// What made it.
    pub catcher: &'m Service,
    /// The port that it catches.
    pub port: u16,
    /// Whose connections it takes.
    pub victims: Vec<Victim>,
    /// Istio's release at the callers, if they say it: 1 and 20 of `1.20.3`.
    pub version: Option<(u32, u32)>,
    /// The callers' proxies answer names themselves, so that allocated addresses are used.
    pub dns_capture: bool,
}

/// A service whose pods are dialled by address.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Victim {
    /// Its host; empty if nobody knows whose the addresses are.
    pub host: String,
    /// Its namespace; empty likewise.
    pub namespace: String,
    /// Labels of its pods; empty if its object was not given.
    pub selector: BTreeMap<Box<str>, Box<str>>,
    /// The namespaces of the callers.
    pub callers: BTreeSet<String>,
}

impl Victim {
    /// The service with this host, or nobody known where the host is none of a cluster's.
    pub fn of(host: &str, services: &[Service], callers: BTreeSet<String>) -> Victim {
        let namespace = host.split('.').nth(1).filter(|_| host.contains(".svc")).unwrap_or_default().to_owned();
        let known = services.iter().find(|service| *service.host == *host);
        Victim {
            host: if namespace.is_empty() { String::new() } else { host.to_owned() },
            namespace,
            selector: known.map(|service| service.selector.clone()).unwrap_or_default(),
            callers,
        }
    }

    /// A pod that no Service selects, by the label that says what it is; none if it has none.
    pub fn of_pod(pod: &Pod) -> Option<Victim> {
        let known = ["app.kubernetes.io/name", "app"];
        let label = known.into_iter().find_map(|key| pod.meta.labels.get_key_value(key));
        label.map(|(key, value)| Victim {
            host: value.to_string(),
            namespace: pod.meta.namespace.to_string(),
            selector: [(key.clone(), value.clone())].into(),
            callers: BTreeSet::new(),
        })
    }
}

/// From this release on ExternalName Services have no listeners of their own unless that is switched off.
pub const ALIAS: (u32, u32) = (1, 21);
/// In this one it can be switched on.
const ALIAS_OPTION: (u32, u32) = (1, 20);
/// From this release on istiod allocates addresses without being told to.
const ALLOCATES: (u32, u32) = (1, 25);

/// The ways out, those first that change least for others.
pub fn hijack(of: &Hijack<'_>) -> Vec<Remedy> {
    let meta = &of.catcher.meta;
    if !is_plain(&meta.name) || !is_plain(&meta.namespace) {
        return Vec::new();
    }
    let mut ways = Vec::new();
    // A Service that has no address and is not headless is an ExternalName, also where its target is not known.
    let external_name = &*meta.kind == "Service";
    if external_name {
        ways.extend(for_external_name(of));
    } else {
        ways.extend(for_service_entry(of));
    }
    ways.push(export_to(of));
    ways.extend(of.victims.iter().filter_map(|victim| members(victim, &BTreeSet::from([of.port]))));
    ways.extend(scopes(of));
    if external_name {
        ways.extend(replace(of));
    }
    ways
}

fn for_external_name(of: &Hijack<'_>) -> Vec<Remedy> {
    let (catcher, meta) = (of.catcher, &of.catcher.meta);
    let place = catcher.ports.iter().position(|port| port.number == of.port);
    let (item, all) = match place {
        Some(place) if catcher.ports.len() > 1 => (format!("/spec/ports/{place}"), false),
        _ => ("/spec/ports".to_owned(), true),
    };
    let what =
        if all { "take the ports off the ExternalName Service" } else { "take that port off the ExternalName Service" };
    let patch = format!("--type=json -p='[{{\"op\":\"remove\",\"path\":\"{item}\"}}]'");
    let mut ways = vec![Remedy::new(
        what,
        "Kubernetes itself ignores ports of an ExternalName; its own callers by name go through PassthroughCluster then, to \
         what the name resolves to",
        kubectl("patch", "service", &meta.name, &meta.namespace, &patch),
    )];
    if of.version == Some(ALIAS_OPTION) {
        ways.push(Remedy::new(
            "let istiod treat ExternalName Services as other names of their targets, as it does by default from 1.21 on",
            "changes every ExternalName Service of the mesh",
            "kubectl set env deployment/istiod -n istio-system ENABLE_EXTERNAL_NAME_ALIAS=true\n".to_owned(),
        ));
    } else if of.version.is_some_and(|version| version < ALIAS) {
        ways.push(Remedy::new(
            "upgrade Istio to 1.21 or later, where an ExternalName Service makes no listener of its own",
            "an upgrade; clients need nothing else",
            "istioctl x precheck\n".to_owned(),
        ));
    }
    ways
}

fn for_service_entry(of: &Hijack<'_>) -> Vec<Remedy> {
    let meta = &of.catcher.meta;
    let mut ways = vec![Remedy::new(
        "give the ServiceEntry the addresses that clients resolve its host to: then its listener takes those only",
        "addresses that change have to be kept up to date",
        kubectl(
            "patch",
            "serviceentry",
            &meta.name,
            &meta.namespace,
            "--type=merge -p='{\"spec\":{\"addresses\":[\"ADDRESS\"]}}'",
        ),
    )];
    if !of.dns_capture && of.catcher.resolution != Resolution::Passthrough {
        let allocates = of.version.is_some_and(|version| version >= ALLOCATES);
        let more = if allocates { "" } else { "        ISTIO_META_DNS_AUTO_ALLOCATE: \"true\"\n" };
        ways.push(Remedy::new(
            "let the proxies answer names themselves, so that the host gets an address of its own",
            "takes effect when pods are started again; their DNS goes through the proxy then",
            format!(
                "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  meshConfig:\n    defaultConfig:\n      \
                 proxyMetadata:\n        ISTIO_META_DNS_CAPTURE: \"true\"\n{more}"
            ),
        ));
    }
    ways.push(Remedy::new(
        "if clients speak TLS on that port, declare it as TLS: then only connections with its SNI are taken",
        "plaintext clients of the port find no route any more",
        kubectl("edit", "serviceentry", &meta.name, &meta.namespace, "# protocol: TLS"),
    ));
    ways
}

fn export_to(of: &Hijack<'_>) -> Remedy {
    let meta = &of.catcher.meta;
    let cost = "other namespaces do not know the name any more; callers in its own are still caught";
    let what = format!("keep it inside of its namespace, {}", meta.namespace);
    if &*meta.kind == "ServiceEntry" {
        let patch = "--type=merge -p='{\"spec\":{\"exportTo\":[\".\"]}}'";
        return Remedy::new(what, cost, kubectl("patch", "serviceentry", &meta.name, &meta.namespace, patch));
    }
    let annotation = "networking.istio.io/exportTo=.";
    Remedy::new(what, cost, kubectl("annotate", "service", &meta.name, &meta.namespace, annotation))
}

/// Sidecars for the callers' namespaces.
fn scopes(of: &Hijack<'_>) -> Vec<Remedy> {
    let callers: BTreeSet<&String> = of.victims.iter().flat_map(|victim| &victim.callers).collect();
    let apart =
        callers.into_iter().filter(|namespace| is_plain(namespace) && ***namespace != *of.catcher.meta.namespace);
    let scope = |namespace: &String| {
        let known: BTreeSet<String> = of
            .victims
            .iter()
            .filter(|victim| victim.callers.contains(namespace) && is_plain(&victim.namespace))
            .filter(|victim| victim.namespace != *namespace && victim.namespace != *of.catcher.meta.namespace)
            .map(|victim| format!("{}/*", victim.namespace))
            .collect();
        let hosts: Vec<String> =
            ["./*".to_owned()].into_iter().chain(known).chain(["istio-system/*".to_owned()]).collect();
        Remedy::new(
            format!("let the proxies of {namespace} know only what they call"),
            "everything else that they call has to be listed too, or it becomes unknown traffic",
            sidecar(namespace, &hosts),
        )
    };
    apart.map(scope).collect()
}

/// A ServiceEntry with addresses in the place of the ExternalName Service.
fn replace(of: &Hijack<'_>) -> Option<Remedy> {
    let (catcher, meta) = (of.catcher, &of.catcher.meta);
    if !is_plain(&catcher.external_name) || !is_plain(&catcher.host) {
        return None;
    }
    let name = catcher.ports.iter().find(|port| port.number == of.port).map_or("", |port| &*port.name);
    let name = if is_plain(name) { name } else { "tcp" };
    Some(Remedy::new(
        "replace it with a ServiceEntry that has addresses (a VirtualService may then route it)",
        "the name has to resolve to such an address",
        entry(&meta.name, &meta.namespace, &catcher.host, (name, of.port), &catcher.external_name),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::objects::{Meta, Port};

    fn external(ports: &[u16]) -> Service {
        Service {
            meta: Meta { kind: "Service".into(), namespace: "app".into(), name: "app-ext".into(), ..Meta::default() },
            host: "app-ext.app.svc.cluster.local".into(),
            external_name: "idle.manager.svc.cluster.local".into(),
            ports: ports.iter().map(|number| Port { number: *number, ..Port::default() }).collect(),
            ..Service::default()
        }
    }

    fn of(catcher: &Service, version: Option<(u32, u32)>) -> Hijack<'_> {
        let victim = Victim {
            host: "manager.manager.svc.cluster.local".into(),
            namespace: "manager".into(),
            selector: BTreeMap::from([("app".into(), "manager".into())]),
            callers: BTreeSet::from(["manager".to_owned()]),
        };
        Hijack { catcher, port: 5701, victims: vec![victim], version, dns_capture: false }
    }

    #[test]
    fn the_story_has_its_ways_out_with_real_names() {
        let catcher = external(&[8080, 5701]);
        let ways = hijack(&of(&catcher, Some((1, 6))));
        let all: Vec<&str> = ways.iter().map(|way| &*way.apply).collect();
        assert_eq!(
            all[0],
            "kubectl patch service app-ext -n app --type=json -p='[{\"op\":\"remove\",\"path\":\"/spec/ports/1\"}]'\n"
        );
        assert!(ways[1].what.contains("upgrade"));
        assert!(all.contains(&"kubectl annotate service app-ext -n app networking.istio.io/exportTo=.\n"));
        assert!(all.iter().any(|text| text.contains("clusterIP: None") && text.contains("app: \"manager\"")));
        assert!(all.iter().any(|text| text.contains("kind: Sidecar") && text.contains("namespace: manager")));
    }

    #[test]
    fn what_is_advised_depends_on_the_release_and_the_object() {
        let catcher = external(&[5701]);
        let switch = |version| hijack(&of(&catcher, version)).iter().any(|way| way.apply.contains("ALIAS=true"));
        assert!(switch(Some((1, 20))) && !switch(Some((1, 19))) && !switch(Some((1, 22))) && !switch(None));
        let mut declared = external(&[5701]);
        (declared.external_name, declared.meta.kind) = ("".into(), "ServiceEntry".into());
        let ways = hijack(&of(&declared, Some((1, 26))));
        assert!(ways[0].apply.contains("\"addresses\"") && ways[1].apply.contains("DNS_CAPTURE"));
        assert!(!ways[1].apply.contains("AUTO_ALLOCATE"), "istiod allocates by itself");
    }

    #[test]
    fn names_that_are_none_are_not_printed() {
        let mut catcher = external(&[5701]);
        catcher.meta.name = "x; reboot".into();
        assert!(hijack(&of(&catcher, None)).is_empty());
    }
}
