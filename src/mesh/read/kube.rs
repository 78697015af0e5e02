//! Objects of Kubernetes: which kind each is, and what all have in common.
//!
//! Source: `kubectl get ... -o json|yaml`, `istioctl bug-report` and must-gather, which hold the same; istiod's `configz`.

use std::collections::BTreeMap;

use super::node::{Node, Read, Wrong};
use super::{config_map, pod, policy, service};
use crate::mesh::objects::{Meta, Namespace, Objects};

/// Kinds that are kept by name only.
const BY_NAME: &[&str] = &[
    "VirtualService",
    "Gateway",
    "EnvoyFilter",
    "WorkloadEntry",
    "WorkloadGroup",
    "ProxyConfig",
    "RequestAuthentication",
    "Telemetry",
    "WasmPlugin",
    "NetworkPolicy",
    "HTTPRoute",
    "GRPCRoute",
    "TCPRoute",
    "TLSRoute",
    "UDPRoute",
    "GatewayClass",
    "ReferenceGrant",
    "BackendTLSPolicy",
    "ServiceImport",
    "ServiceExport",
];

/// Whether a part is an object: it says its kind, and its name in its metadata.
pub(super) fn is_object(node: &Node) -> bool {
    node.has("metadata") && node.has("kind")
}

/// Takes an object of this kind. Gives why it was not used, if it was not.
pub(super) fn object<'n>(node: &'n Node, kind: &str, found: &mut Objects) -> Read<'n, Option<String>> {
    let meta = || meta(node, kind);
    let version = node.text("api_version")?;
    if kind == "Service" && !matches!(&*version, "" | "v1") {
        return Ok(Some(format!("a Service of {version} is not used")));
    }
    match kind {
        "Service" => found.services.push(service::service(node, meta()?)?),
        "ServiceEntry" => found.services.extend(service::entry(node, &meta()?)?),
        "EndpointSlice" => found.endpoints.push(service::slice(node, meta()?)?),
        "Endpoints" => found.endpoints.push(service::endpoints(node, meta()?)?),
        "Pod" => found.pods.push(pod::pod(node, meta()?)?),
        "PeerAuthentication" => found.peer_authentications.push(policy::peer_authentication(node, meta()?)?),
        "Sidecar" => found.sidecars.push(policy::sidecar(node, meta()?)?),
        "DestinationRule" => found.destination_rules.push(policy::destination_rule(node, meta()?)?),
        "AuthorizationPolicy" => found.authorization_policies.push(policy::authorization_policy(node, meta()?)?),
        "Namespace" => found.namespaces.push(Namespace { meta: meta()? }),
        "ConfigMap" => {
            let Some(policy) = config_map::outbound_policy(node)? else {
                return Ok(Some("a ConfigMap without the mesh's configuration is not used".to_owned()));
            };
            found.outbound_policy = policy;
        }
        _ if BY_NAME.contains(&kind) => found.others.push(meta()?),
        "Secret" => return Ok(Some("secrets are never read".to_owned())),
        _ => return Ok(Some(format!("objects of the kind {kind} are not used"))),
    }
    Ok(None)
}

fn meta<'n>(node: &'n Node, kind: &str) -> Read<'n, Meta> {
    let meta = node.get("metadata")?.ok_or_else(|| Wrong::new(node, "has no metadata"))?;
    Ok(Meta {
        kind: kind.into(),
        namespace: meta.text("namespace")?.into(),
        name: meta.text("name")?.into(),
        created: meta.time("creation_timestamp"),
        labels: meta.get("labels")?.map(texts).transpose()?.unwrap_or_default(),
        // A number in every cluster there is, though it is written as a text.
        version: meta.number("resource_version").unwrap_or_default().unwrap_or(0),
        file: Box::default(),
    })
}

/// A table of texts: labels, selectors.
pub(super) fn texts(node: &Node) -> Read<'_, BTreeMap<Box<str>, Box<str>>> {
    node.members()?.iter().map(|(key, value)| Ok((key.clone(), value.as_text()?.into()))).collect()
}

/// A table of texts below these names; empty where it is absent.
pub(super) fn labels<'n>(node: &'n Node, names: &[&str]) -> Read<'n, BTreeMap<Box<str>, Box<str>>> {
    Ok(node.path(names)?.map(texts).transpose()?.unwrap_or_default())
}

/// The text below these names; empty where it is absent.
pub(super) fn text<'n>(node: &'n Node, names: &[&str]) -> Read<'n, Box<str>> {
    Ok(node.path(names)?.map(Node::as_text).transpose()?.unwrap_or_default().into())
}
