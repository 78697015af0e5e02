//! TLS that a proxy ends or begins: transport sockets, and `tls_context` of older dumps.
//!
//! Source: `envoy.extensions.transport_sockets.tls.v3`. Keys and certificates are never looked at.

use super::node::{Node, Read};
use super::typed;
use crate::mesh::{DownstreamTls, TlsMatch, UpstreamTls};

/// The TLS context of a chain, a cluster or a match, if it has one.
fn context(of: &Node) -> Read<'_, Option<&Node>> {
    if let Some(context) = of.get("tls_context")? {
        return Ok(Some(context));
    }
    let Some(socket) = of.get("transport_socket")? else { return Ok(None) };
    inner(socket)
}

/// The context of a transport socket; sockets that wrap others (tap, QUIC, proxy protocol) hold theirs inside.
fn inner(socket: &Node) -> Read<'_, Option<&Node>> {
    let Some(config) = typed::config(socket)? else {
        return Ok(socket.text("name")?.ends_with("tls").then_some(socket));
    };
    if let Some(context) = config.any(&["downstream_tls_context", "upstream_tls_context"])? {
        return Ok(Some(context));
    }
    if let Some(wrapped) = config.get("transport_socket")? {
        return inner(wrapped);
    }
    let is_tls = typed::is(socket, "TlsContext")? || socket.text("name")?.ends_with("tls");
    Ok(is_tls.then_some(config))
}

/// TLS that a filter chain ends.
pub(super) fn downstream(chain: &Node) -> Read<'_, Option<DownstreamTls>> {
    let Some(context) = context(chain)? else { return Ok(None) };
    Ok(Some(DownstreamTls { requires_client_certificate: context.flag("require_client_certificate")? }))
}

/// TLS that a cluster, or a line of its matches, begins.
pub(super) fn upstream(of: &Node) -> Read<'_, Option<UpstreamTls>> {
    let Some(context) = context(of)? else { return Ok(None) };
    let common = context.get("common_tls_context")?;
    let has = |name: &str| common.is_some_and(|common| common.has(name));
    let shows = [
        "tls_certificates",
        "tls_certificate_sds_secret_configs",
        "tls_certificate_provider_instance",
        "tls_certificate_certificate_provider_instance",
        "combined_validation_context_with_certificate",
        "custom_tls_certificate_selector",
    ];
    Ok(Some(UpstreamTls {
        sni: context.text("sni")?.into(),
        alpn: common.map_or(Ok(Vec::new()), |common| common.texts("alpn_protocols"))?,
        mutual: shows.iter().any(|name| has(name)),
    }))
}

/// The lines of `transport_socket_matches`.
pub(super) fn matches(cluster: &Node) -> Read<'_, Vec<TlsMatch>> {
    let line = |node| {
        let mut found =
            TlsMatch { name: Node::text(node, "name")?.into(), tls: upstream(node)?, ..TlsMatch::default() };
        let asked = node.get("match")?.map_or(Ok(&[][..]), Node::members)?;
        for (key, value) in asked {
            match (&**key, value) {
                ("tlsMode", Node::Text(mode)) => found.mode.clone_from(mode),
                _ => found.has_more = true,
            }
        }
        Ok(found)
    };
    cluster.list("transport_socket_matches")?.iter().map(line).collect()
}
