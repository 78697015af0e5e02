//! The mesh's configuration: the ConfigMap `istio`, or istiod's `debug/mesh`.
//!
//! Source: istio/api `mesh/v1alpha1/config.proto`.

use serde::de::DeserializeSeed;

use super::kube::text;
use super::node::{Node, Read, Wrong};
use super::part::Part;
use super::yaml;

/// What a mesh does with unknown destinations if it does not say. Source: the same, since Istio 1.3.
const DEFAULT: &str = "ALLOW_ANY";

/// `outboundTrafficPolicy.mode` of a ConfigMap that holds the mesh's configuration; none for others.
pub(super) fn outbound_policy(config_map: &Node) -> Read<'_, Option<Box<str>>> {
    let Some(written) = config_map.path(&["data", "mesh"])? else { return Ok(None) };
    let told = yaml::part(&written.as_text()?, |yaml| Part::new().deserialize(yaml));
    let config = told.map_err(|syntax| Wrong::new(written, format!("is no YAML: {}", syntax.what)))?;
    let mode = text(&config, &["outbound_traffic_policy", "mode"]).map_err(|wrong| {
        let (place, why) = wrong.within(&config);
        Wrong::new(written, format!("{place} {why}"))
    })?;
    Ok(Some(or_default(mode)))
}

/// Whether a part is the mesh's configuration.
pub(super) fn is_mesh_config(node: &Node) -> bool {
    ["outbound_traffic_policy", "default_config", "proxy_listen_port", "enable_auto_mtls"]
        .iter()
        .any(|name| node.has(name))
}

/// `outboundTrafficPolicy.mode` of the mesh's configuration.
pub(super) fn of_mesh_config(node: &Node) -> Read<'_, Box<str>> {
    text(node, &["outbound_traffic_policy", "mode"]).map(or_default)
}

fn or_default(mode: Box<str>) -> Box<str> {
    if mode.is_empty() { DEFAULT.into() } else { mode }
}
