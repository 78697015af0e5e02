//! Manifests and commands as text. Names come from dumps and logs, and may be anything: what is no name of Kubernetes' is
//! never printed into one. Istio's objects are `v1beta1`: that is served since Istio 1.5, `v1` only since 1.22.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

/// Whether a text can stand in a manifest as it is: a name, namespace, host or label value of Kubernetes.
pub(super) fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    !text.is_empty() && text.len() <= 253 && text.bytes().all(plain) && text.as_bytes()[0].is_ascii_alphanumeric()
}

/// `kubectl VERB KIND NAME -n NAMESPACE REST`.
pub(super) fn kubectl(verb: &str, kind: &str, name: &str, namespace: &str, rest: &str) -> String {
    format!("kubectl {verb} {kind} {name} -n {namespace} {rest}\n")
}

/// A Service without an address, which gives each pod behind it listeners of its own.
pub(super) fn headless(
    name: &str,
    namespace: &str,
    selector: &BTreeMap<Box<str>, Box<str>>,
    ports: &BTreeSet<u16>,
) -> String {
    let mut labels = labels(selector, "    ");
    if labels.is_empty() {
        labels.push_str("    app: LABEL-OF-THE-PODS\n");
    }
    let mut listed = String::new();
    for port in ports {
        let _ = writeln!(listed, "  - name: tcp-{port}\n    port: {port}\n    targetPort: {port}");
    }
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n  clusterIP: None\n  \
         publishNotReadyAddresses: true\n  selector:\n{labels}  ports:\n{listed}"
    )
}

/// Labels, a line each.
fn labels(selector: &BTreeMap<Box<str>, Box<str>>, indent: &str) -> String {
    let mut labels = String::new();
    for (key, value) in selector.iter().filter(|(key, value)| is_plain(key) && is_plain(value)) {
        let _ = writeln!(labels, "{indent}{key}: \"{value}\"");
    }
    labels
}

/// A PeerAuthentication that is STRICT but for one port of the pods.
pub(super) fn exception(name: &str, namespace: &str, selector: &BTreeMap<Box<str>, Box<str>>, port: u16) -> String {
    let labels = labels(selector, "      ");
    format!(
        "apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata:\n  name: {name}\n  namespace: \
         {namespace}\nspec:\n  selector:\n    matchLabels:\n{labels}  mtls:\n    mode: STRICT\n  portLevelMtls:\n    \
         {port}:\n      mode: PERMISSIVE\n"
    )
}

/// A ServiceEntry for addresses outside of the mesh, to which connections go on as they are.
pub(super) fn external(name: &str, namespace: &str, addresses: &BTreeSet<IpAddr>, port: u16) -> String {
    let mut list = String::new();
    for address in addresses {
        let _ = writeln!(list, "  - \"{address}\"");
    }
    format!(
        "apiVersion: networking.istio.io/v1beta1\nkind: ServiceEntry\nmetadata:\n  name: {name}\n  namespace: \
         {namespace}\nspec:\n  hosts:\n  - {name}.external\n  addresses:\n{list}  ports:\n  - name: tcp-{port}\n    \
         number: {port}\n    protocol: TCP\n  location: MESH_EXTERNAL\n  resolution: NONE\n"
    )
}

/// A Sidecar that lets a namespace's proxies know some hosts only.
pub(super) fn sidecar(namespace: &str, hosts: &[String]) -> String {
    let mut list = String::new();
    for host in hosts {
        let _ = writeln!(list, "    - \"{host}\"");
    }
    format!(
        "apiVersion: networking.istio.io/v1beta1\nkind: Sidecar\nmetadata:\n  name: default\n  namespace: {namespace}\nspec:\n  \
         egress:\n  - hosts:\n{list}"
    )
}

/// A ServiceEntry for a name, with addresses so that its listener takes these only.
pub(super) fn entry(name: &str, namespace: &str, host: &str, port: (&str, u16), to: &str) -> String {
    let (port_name, port) = port;
    format!(
        "apiVersion: networking.istio.io/v1beta1\nkind: ServiceEntry\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n  \
         hosts:\n  - {host}\n  addresses:\n  - ADDRESS-THAT-CLIENTS-RESOLVE-IT-TO\n  ports:\n  - name: {port_name}\n    \
         number: {port}\n    protocol: TCP\n  resolution: DNS\n  endpoints:\n  - address: {to}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_plain() {
        assert!(is_plain("app-ext") && is_plain("app.kubernetes.io/name") && is_plain("v1.2"));
        for text in ["", "a b", "a\nb", "a: b", "-n", "$(reboot)", "a;b", "\"", "{}"] {
            assert!(!is_plain(text), "{text:?}");
        }
    }

    #[test]
    fn manifests_are_yaml() {
        let selector = BTreeMap::from([("app".into(), "db".into()), ("x y".into(), "z".into())]);
        for text in [
            headless("db-members", "data", &selector, &BTreeSet::from([6379, 16379])),
            headless("db-members", "data", &BTreeMap::new(), &BTreeSet::from([6379])),
            exception("db-port-6379", "data", &selector, 6379),
            external("external-1", "data", &BTreeSet::from(["2001:db8::7".parse().unwrap()]), 443),
            sidecar("data", &["./*".to_owned(), "istio-system/*".to_owned()]),
            entry("ext", "data", "ext.data.svc.cluster.local", ("tcp", 80), "example.com"),
        ] {
            let read: serde_json::Value =
                serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert!(
                read["kind"].is_string() && read["metadata"]["namespace"] == "data" && !text.contains("x y"),
                "{text}"
            );
        }
    }
}
