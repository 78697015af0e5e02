//! Extensions: what stands in `typed_config`, or in `config` of older dumps, and which extension it is.
//!
//! Sources: `google.protobuf.Any` in JSON; `xds.type.v3.TypedStruct`, whose fields are one level further in.

use super::node::{Node, Read};

/// The configuration of an extension, if there is any.
pub(super) fn config(extension: &Node) -> Read<'_, Option<&Node>> {
    let Some(config) = extension.any(&["typed_config", "config"])? else { return Ok(None) };
    if is_struct(config)? {
        return Ok(Some(config.get("value")?.unwrap_or(config)));
    }
    Ok(Some(config))
}

fn is_struct(config: &Node) -> Read<'_, bool> {
    Ok(config.text("@type")?.ends_with("TypedStruct"))
}

/// Whether an extension's type ends so: names can be chosen freely, types cannot.
pub(super) fn is<'n>(extension: &'n Node, kind: &str) -> Read<'n, bool> {
    let Some(config) = extension.any(&["typed_config", "config"])? else { return Ok(false) };
    let written = if is_struct(config)? { config.text("type_url")? } else { config.text("@type")? };
    Ok(written.ends_with(kind))
}

/// The object that made something: `filter_metadata.istio.config`.
pub(super) fn made_by(of: &Node) -> Read<'_, Box<str>> {
    let istio = of.path(&["metadata", "filter_metadata", "istio"])?;
    Ok(istio.map(|istio| istio.text("config")).transpose()?.unwrap_or_default().into())
}
