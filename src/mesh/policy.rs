//! Which mTLS a pod asks of its callers, and which rule tells the callers what to speak.
//!
//! Sources: Istio documentation, PeerAuthentication and DestinationRule; `pilot/pkg/security/authn/policy_applier.go`,
//! `pkg/config/host`.

use std::collections::BTreeMap;

use super::objects::{DestinationRule, Objects, PeerAuthentication, Pod, Service};

/// Where PeerAuthentications are for the whole mesh, as long as nobody moved it (`rootNamespace`).
const ROOT: &str = "istio-system";
/// What is so where no object says anything.
const DEFAULT: &str = "PERMISSIVE";

/// What decides the mode of a port.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'o> {
    /// The object.
    pub by: &'o PeerAuthentication,
    /// `STRICT`, `PERMISSIVE`, `DISABLE`.
    pub mode: &'o str,
    /// For whom it says so.
    pub scope: Scope,
}

/// For whom a PeerAuthentication says something, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One port of the pods that it selects.
    Port,
    /// The pods that it selects.
    Workload,
    /// Its namespace.
    Namespace,
    /// The whole mesh.
    Mesh,
}

/// The mode of a port of pods with these labels; what is so by default where no object says anything.
pub fn mode<'o>(objects: &'o Objects, namespace: &str, labels: &BTreeMap<Box<str>, Box<str>>, port: u16) -> &'o str {
    decided(objects, namespace, labels, port).map_or(DEFAULT, |decided| decided.mode)
}

/// What is said for the port, for the workload, for its namespace, for the mesh, whichever comes first. Of several objects
/// of one scope the oldest counts. None where no object says anything.
pub fn decided<'o>(
    objects: &'o Objects,
    namespace: &str,
    labels: &BTreeMap<Box<str>, Box<str>>,
    port: u16,
) -> Option<Decided<'o>> {
    let workload = for_workload(objects, namespace, labels);
    let wide = |scope: &str| oldest(objects, scope, |policy| policy.selector.is_empty());
    let own = wide(namespace).filter(|_| namespace != ROOT);
    let said = [
        workload.and_then(|by| Some((by, by.ports.get(&port)?, Scope::Port))),
        workload.map(|by| (by, &by.mode, Scope::Workload)),
        own.map(|by| (by, &by.mode, Scope::Namespace)),
        wide(ROOT).map(|by| (by, &by.mode, Scope::Mesh)),
    ];
    let mut said = said.into_iter().flatten().filter(|(_, mode, _)| !mode.is_empty());
    said.next().map(|(by, mode, scope)| Decided { by, mode, scope })
}

/// The object that selects pods with these labels.
pub fn for_workload<'o>(
    objects: &'o Objects,
    namespace: &str,
    labels: &BTreeMap<Box<str>, Box<str>>,
) -> Option<&'o PeerAuthentication> {
    oldest(objects, namespace, |policy| !policy.selector.is_empty() && selects(&policy.selector, labels))
}

fn oldest<'o>(
    objects: &'o Objects,
    namespace: &str,
    fits: impl Fn(&PeerAuthentication) -> bool,
) -> Option<&'o PeerAuthentication> {
    let own = objects.peer_authentications.iter().filter(|policy| *policy.meta.namespace == *namespace);
    own.filter(|policy| fits(policy)).min_by_key(|policy| (policy.meta.created, &policy.meta.name))
}

/// The pods behind a service.
pub fn pods<'o>(objects: &'o Objects, service: &Service) -> Vec<&'o Pod> {
    let lives = |pod: &&Pod| !matches!(&*pod.phase, "Succeeded" | "Failed");
    let own = objects.pods.iter().filter(lives).filter(|pod| pod.meta.namespace == service.meta.namespace);
    own.filter(|pod| !service.selector.is_empty() && selects(&service.selector, &pod.meta.labels)).collect()
}

/// The rule for a host: the one that names it, else the one with the longest `*.suffix`. Names without a dot are of the
/// rule's own namespace.
pub fn rule_for<'o>(objects: &'o Objects, host: &str) -> Option<&'o DestinationRule> {
    let fits = objects.destination_rules.iter().filter_map(|rule| {
        let own = format!("{}.{}.svc.cluster.local", rule.host, rule.meta.namespace);
        let exact = if rule.host.contains(['.', '*']) { *rule.host == *host } else { own == host };
        let wild = rule.host.strip_prefix('*').filter(|suffix| host.ends_with(suffix));
        if exact { Some((usize::MAX, rule)) } else { Some((wild?.len(), rule)) }
    });
    let mut best: Option<(usize, &DestinationRule)> = None;
    for (length, rule) in fits {
        if best.is_none_or(|(known, _)| length > known) {
            best = Some((length, rule));
        }
    }
    best.map(|(_, rule)| rule)
}

/// Whether labels have all that a selector asks for.
pub fn selects(selector: &BTreeMap<Box<str>, Box<str>>, labels: &BTreeMap<Box<str>, Box<str>>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::objects::Meta;

    fn policy(namespace: &str, app: &str, mode: &str, ports: &[(u16, &str)]) -> PeerAuthentication {
        PeerAuthentication {
            meta: Meta { namespace: namespace.into(), ..Meta::default() },
            selector: labels(app),
            mode: mode.into(),
            ports: ports.iter().map(|(port, mode)| (*port, (*mode).into())).collect(),
        }
    }

    fn labels(app: &str) -> BTreeMap<Box<str>, Box<str>> {
        if app.is_empty() { BTreeMap::new() } else { [("app".into(), app.into())].into() }
    }

    #[test]
    fn of_rules_the_one_that_names_the_host_counts() {
        let rule = |host: &str| DestinationRule {
            meta: Meta { namespace: "shop".into(), ..Meta::default() },
            host: host.into(),
            ..DestinationRule::default()
        };
        let objects = Objects {
            destination_rules: ["*", "*.shop.svc.cluster.local", "web", "db.data"].map(rule).into(),
            ..Objects::default()
        };
        let found = |host: &str| rule_for(&objects, host).map(|rule| &*rule.host);
        assert_eq!(found("web.shop.svc.cluster.local"), Some("web"));
        assert_eq!(found("cart.shop.svc.cluster.local"), Some("*.shop.svc.cluster.local"));
        assert_eq!(found("db.data.svc.cluster.local"), Some("*"));
    }

    #[test]
    fn the_nearest_that_says_something_counts() {
        let objects = Objects {
            peer_authentications: vec![
                policy("istio-system", "", "STRICT", &[]),
                policy("shop", "", "PERMISSIVE", &[]),
                policy("shop", "db", "", &[(6379, "DISABLE")]),
                policy("data", "", "", &[]),
            ],
            ..Objects::default()
        };
        assert_eq!(mode(&objects, "other", &labels("x"), 80), "STRICT");
        assert_eq!(mode(&objects, "istio-system", &labels("x"), 80), "STRICT");
        assert_eq!(mode(&objects, "data", &labels("x"), 80), "STRICT");
        assert_eq!(mode(&objects, "shop", &labels("x"), 80), "PERMISSIVE");
        assert_eq!(mode(&objects, "shop", &labels("db"), 6379), "DISABLE");
        assert_eq!(mode(&objects, "shop", &labels("db"), 80), "PERMISSIVE");
        assert_eq!(mode(&Objects::default(), "shop", &labels("db"), 80), "PERMISSIVE");
        let scope = |namespace, app| decided(&objects, namespace, &labels(app), 6379).map(|decided| decided.scope);
        assert_eq!(scope("shop", "db"), Some(Scope::Port));
        assert_eq!(scope("shop", "x"), Some(Scope::Namespace));
        assert_eq!(scope("data", "x"), Some(Scope::Mesh));
    }
}
