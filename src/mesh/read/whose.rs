//! Whose a file is: from the proxy's node id, else from the file's path.
//!
//! Sources: istio/istio `pilot/pkg/model/context.go` (node id and metadata), `tools/bug-report/pkg` and openshift/oc
//! `pkg/cli/admin/inspect` (paths).

use std::net::IpAddr;

use super::node::{Node, Read};
use crate::mesh;
use crate::names;

/// Where a file belongs. Files of one proxy and time share both.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The folder, or the archive with its folder.
    pub(super) folder: Box<str>,
    /// Namespace, if the path has one.
    pub(super) namespace: Box<str>,
    /// Pod, if the path has one.
    pub(super) pod: Box<str>,
}

/// Words in names of files that say what is in them and not whose it is.
const WORDS: &[&str] = &[
    "all",
    "bootstrap",
    "bz2",
    "cluster",
    "clusters",
    "config",
    "configdump",
    "dump",
    "eds",
    "endpoint",
    "endpoints",
    "envoy",
    "gz",
    "include",
    "json",
    "listener",
    "listeners",
    "log",
    "lz4",
    "min",
    "pc",
    "proxy",
    "route",
    "routes",
    "text",
    "txt",
    "xz",
    "yaml",
    "yml",
    "zst",
];

impl Place {
    /// Reads a path; `/` and `!` divide it.
    pub(super) fn of(path: &str) -> Place {
        let end = path.rfind(['/', '!']).map_or(0, |at| at + 1);
        let (folder, file) = path.split_at(end);
        let folders: Vec<&str> = folder.split(['/', '!']).filter(|part| !part.is_empty()).collect();
        let place =
            |namespace: &str, pod: &str| Place { folder: folder.into(), namespace: namespace.into(), pod: pod.into() };
        match &folders[..] {
            [.., "proxies", namespace, pod] | [.., "namespaces", namespace, "pods", pod] => place(namespace, pod),
            _ => match named(file) {
                (_, "") => match folders.last() {
                    Some(last) if names::is_replica(last.as_bytes()) => place("", last),
                    _ => place("", ""),
                },
                (namespace, pod) => place(namespace, pod),
            },
        }
    }
}

/// Namespace and pod in a file's name: `POD.json`, `POD.clusters.json`, `POD.NS.json`, `NS_POD.listeners.yaml`.
fn named(file: &str) -> (&str, &str) {
    let is_word = |part: &str| part.split(['_', '-', '?', '=']).all(|word| word.is_empty() || WORDS.contains(&word));
    let mut parts = file.split('.').filter(|part| !is_word(part));
    let Some(first) = parts.next() else { return ("", "") };
    let second = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
    // A pod's name has no underscore; what follows a second one says what the file holds.
    let mut words = first.split('_').filter(|part| !is_word(part));
    match (words.next(), words.next()) {
        (Some(namespace), Some(pod)) => (namespace, pod),
        (Some(pod), None) => (second.unwrap_or(""), pod),
        _ => ("", ""),
    }
}

/// Reads the node of a bootstrap: `sidecar~10.1.2.3~pod.ns~ns.svc.cluster.local`.
pub(super) fn node(bootstrap: &Node) -> Read<'_, mesh::Node> {
    let Some(node) = bootstrap.get("node")? else { return Ok(mesh::Node::default()) };
    let id = node.text("id")?;
    let mut found = mesh::Node { id: id.as_ref().into(), ..mesh::Node::default() };
    if let [kind, address, pod, _domain] = id.split('~').collect::<Vec<_>>()[..] {
        let (pod, namespace) = pod.rsplit_once('.').unwrap_or((pod, ""));
        (found.kind, found.pod, found.namespace) = (kind.into(), pod.into(), namespace.into());
        found.addresses.extend(address.parse::<IpAddr>().ok());
    }
    let Some(metadata) = node.get("metadata")? else { return Ok(found) };
    found.version = metadata.text("ISTIO_VERSION")?.into();
    if found.pod.is_empty() {
        found.pod = metadata.text("NAME")?.into();
        found.namespace = metadata.text("NAMESPACE")?.into();
    }
    for address in metadata.text("INSTANCE_IPS")?.split(',').filter_map(|address| address.trim().parse().ok()) {
        if !found.addresses.contains(&address) {
            found.addresses.push(address);
        }
    }
    let environment = metadata.path(&["PROXY_CONFIG", "proxy_metadata", "ISTIO_META_DNS_CAPTURE"])?;
    let told = metadata.get("DNS_CAPTURE")?.or(environment);
    found.dns_capture = told.map(Node::as_flag).transpose()?.unwrap_or(false);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_whose_a_file_is() {
        for (path, namespace, pod) in [
            ("r.tgz!bug-report/proxies/shop/web-0/config_dump?include_eds", "shop", "web-0"),
            ("bug-report/proxies/shop/web-0/clusters", "shop", "web-0"),
            ("must-gather/x/namespaces/shop/pods/web-0/config_dump_proxy.json", "shop", "web-0"),
            ("mesh/monday/pg-0.json", "", "pg-0"),
            ("mesh/monday/pg-0.clusters.json", "", "pg-0"),
            ("web-0.shop.json", "shop", "web-0"),
            ("web-0.shop.clusters.txt.gz", "shop", "web-0"),
            ("shop_web-0.listeners.yaml", "shop", "web-0"),
            ("shop_web-0_listeners.json", "shop", "web-0"),
            ("web-0_listeners.json", "", "web-0"),
            ("web-0.pc-listeners.min.json", "", "web-0"),
            ("dumps/web-7d4f9c8b66-x2x9l/config_dump.json", "", "web-7d4f9c8b66-x2x9l"),
            ("config_dump", "", ""),
            ("all/config_dump?include_eds", "", ""),
            ("", "", ""),
        ] {
            let place = Place::of(path);
            assert_eq!((&*place.namespace, &*place.pod), (namespace, pod), "{path}");
        }
        assert_eq!(Place::of("mesh/monday/pg-0.json"), Place::of("mesh/monday/pg-0.clusters.json"));
    }
}
