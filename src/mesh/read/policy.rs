//! What says who may call whom, how, and what a proxy knows: Istio's own objects.
//!
//! Source: istio/api `security/v1`, `networking/v1`.

use super::kube::{labels, text};
use super::node::{Node, Read};
use crate::mesh::objects::{AuthorizationPolicy, DestinationRule, Meta, PeerAuthentication, Sidecar};

/// A PeerAuthentication. Without a spec it says nothing, and what stands above it counts.
pub(super) fn peer_authentication(node: &Node, meta: Meta) -> Read<'_, PeerAuthentication> {
    let mut found = PeerAuthentication {
        selector: labels(node, &["spec", "selector", "match_labels"])?,
        mode: mode(node, &["spec", "mtls", "mode"])?,
        meta,
        ..PeerAuthentication::default()
    };
    if let Some(ports) = node.path(&["spec", "port_level_mtls"])? {
        for (port, told) in ports.members()? {
            if let Ok(port) = port.parse() {
                found.ports.insert(port, mode(told, &["mode"])?);
            }
        }
    }
    Ok(found)
}

/// `UNSET` is what stands above it.
fn mode<'n>(node: &'n Node, names: &[&str]) -> Read<'n, Box<str>> {
    let mode = text(node, names)?;
    Ok(if &*mode == "UNSET" { Box::default() } else { mode })
}

/// A Sidecar.
pub(super) fn sidecar(node: &Node, meta: Meta) -> Read<'_, Sidecar> {
    let mut found = Sidecar {
        selector: labels(node, &["spec", "workload_selector", "labels"])?,
        outbound_policy: text(node, &["spec", "outbound_traffic_policy", "mode"])?,
        meta,
        ..Sidecar::default()
    };
    if let Some(spec) = node.get("spec")? {
        found.has_ingress = !spec.list("ingress")?.is_empty();
        for (place, egress) in spec.list("egress")?.iter().enumerate() {
            found.egress_hosts.extend(egress.texts("hosts")?);
            if found.every_port.is_none() && egress.get("port")?.is_none() {
                found.every_port = Some(place);
            }
            found.binds_egress |= egress.has("port") || egress.has("bind");
        }
    }
    Ok(found)
}

/// A DestinationRule.
pub(super) fn destination_rule(node: &Node, meta: Meta) -> Read<'_, DestinationRule> {
    let mut found = DestinationRule {
        host: text(node, &["spec", "host"])?,
        tls_mode: text(node, &["spec", "traffic_policy", "tls", "mode"])?,
        meta,
        ..DestinationRule::default()
    };
    if let Some(spec) = node.get("spec")? {
        for subset in spec.list("subsets")? {
            found.subsets.push(subset.text("name")?.into());
        }
        found.export_to = spec.texts("export_to")?;
    }
    Ok(found)
}

/// An AuthorizationPolicy; `ALLOW` is what it does not say.
pub(super) fn authorization_policy(node: &Node, meta: Meta) -> Read<'_, AuthorizationPolicy> {
    let action = text(node, &["spec", "action"])?;
    Ok(AuthorizationPolicy {
        action: if action.is_empty() { "ALLOW".into() } else { action },
        selector: labels(node, &["spec", "selector", "match_labels"])?,
        rules: node.get("spec")?.map_or(Ok(0), |spec| Ok(spec.list("rules")?.len()))?,
        meta,
    })
}
