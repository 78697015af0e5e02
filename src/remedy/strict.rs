//! Ways out where a server that asks for mTLS refuses plaintext: those that keep it STRICT first.

use std::collections::BTreeMap;

use super::Remedy;
use super::manifest::{exception, is_plain, kubectl};
use crate::mesh::objects::{DestinationRule, PeerAuthentication, Pod};

/// mTLS in the place of what a DestinationRule tells clients to speak.
pub fn mutual(rule: &DestinationRule) -> Option<Remedy> {
    let meta = &rule.meta;
    (is_plain(&meta.name) && is_plain(&meta.namespace)).then(|| {
        Remedy::new(
            format!(
                "let the DestinationRule {} of namespace {} ask for mTLS in the place of {}",
                meta.name, meta.namespace, rule.tls_mode
            ),
            "every pod of its host needs a sidecar",
            kubectl(
                "patch",
                "destinationrule",
                &meta.name,
                &meta.namespace,
                "--type=merge -p='{\"spec\":{\"trafficPolicy\":{\"tls\":{\"mode\":\"ISTIO_MUTUAL\"}}}}'",
            ),
        )
    })
}

/// A sidecar for a caller that has none; none where nothing shows what made its pod.
pub fn inject(pod: &Pod) -> Option<Remedy> {
    let (kind, name) = workload(pod)?;
    let namespace = &pod.meta.namespace;
    (is_plain(name) && is_plain(namespace)).then(|| {
        Remedy::new(
            format!("bring the caller into the mesh: {kind} {name} of namespace {namespace}"),
            "its pods start again, and all that they call goes through their proxies then. Works since Istio 1.10",
            kubectl(
                "patch",
                kind,
                name,
                namespace,
                "--type=merge -p='{\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"sidecar.istio.io/inject\":\"true\"}}}}}'",
            ),
        )
    })
}

/// What made a pod, by the labels that its maker leaves on it: a Deployment or a StatefulSet.
fn workload(pod: &Pod) -> Option<(&'static str, &str)> {
    let (name, labels) = (&*pod.meta.name, &pod.meta.labels);
    if let Some(hash) = labels.get("pod-template-hash") {
        let set = name.rsplit_once('-')?.0;
        return Some(("deployment", set.strip_suffix(&**hash)?.strip_suffix('-')?));
    }
    labels.get("statefulset.kubernetes.io/pod-name").and_then(|_| Some(("statefulset", name.rsplit_once('-')?.0)))
}

/// An exception for one port: in the object that selects the pods already, else in one of its own.
pub fn permissive(
    own: Option<&PeerAuthentication>,
    pods: &str,
    namespace: &str,
    selector: &BTreeMap<Box<str>, Box<str>>,
    port: u16,
) -> Option<Remedy> {
    let what = format!("accept plaintext on port {port} of these pods, as long as there are callers without mTLS");
    let cost = "whoever reaches the port is taken, without identity; policies that ask for one refuse them still";
    if let Some(own) = own {
        let meta = &own.meta;
        let patch =
            format!("--type=merge -p='{{\"spec\":{{\"portLevelMtls\":{{\"{port}\":{{\"mode\":\"PERMISSIVE\"}}}}}}}}'");
        return (is_plain(&meta.name) && is_plain(&meta.namespace)).then(|| {
            Remedy::new(what, cost, kubectl("patch", "peerauthentication", &meta.name, &meta.namespace, &patch))
        });
    }
    let selects = !selector.is_empty() && selector.iter().all(|(key, value)| is_plain(key) && is_plain(value));
    (selects && is_plain(pods) && is_plain(namespace))
        .then(|| Remedy::new(what, cost, exception(&format!("{pods}-port-{port}"), namespace, selector, port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::objects::Meta;

    fn labels(all: &[(&str, &str)]) -> BTreeMap<Box<str>, Box<str>> {
        all.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    fn meta(name: &str) -> Meta {
        Meta { namespace: "bank".into(), name: name.into(), ..Meta::default() }
    }

    #[test]
    fn the_object_that_selects_the_pods_gets_the_exception() {
        let selector = labels(&[("app", "vault")]);
        let own =
            PeerAuthentication { meta: meta("vault"), selector: selector.clone(), ..PeerAuthentication::default() };
        let patched = permissive(Some(&own), "vault", "bank", &selector, 5701).unwrap();
        assert_eq!(
            patched.apply,
            "kubectl patch peerauthentication vault -n bank --type=merge \
             -p='{\"spec\":{\"portLevelMtls\":{\"5701\":{\"mode\":\"PERMISSIVE\"}}}}'\n"
        );
        let made = permissive(None, "vault", "bank", &selector, 5701).unwrap();
        assert!(made.apply.contains("app: \"vault\"") && made.apply.contains("5701:\n      mode: PERMISSIVE"));
        assert!(permissive(None, "vault", "bank", &BTreeMap::new(), 5701).is_none(), "it would be for every pod");
        assert!(permissive(None, "vault", "bank", &labels(&[("a", "b\nc")]), 5701).is_none());
    }

    #[test]
    fn a_caller_is_injected_by_what_made_its_pod() {
        let pod = |name: &str, all: &[(&str, &str)]| Pod {
            meta: Meta { labels: labels(all), ..meta(name) },
            ..Pod::default()
        };
        let told = |pod: Pod| inject(&pod).map(|way| way.apply.split(" --").next().unwrap_or_default().to_owned());
        let deployed = pod("old-report-6c8d7b9f5-bb4bb", &[("pod-template-hash", "6c8d7b9f5")]);
        assert_eq!(told(deployed).as_deref(), Some("kubectl patch deployment old-report -n bank"));
        let member = pod("db-0", &[("statefulset.kubernetes.io/pod-name", "db-0")]);
        assert_eq!(told(member).as_deref(), Some("kubectl patch statefulset db -n bank"));
        assert_eq!(told(pod("bare", &[])), None);
    }
}
