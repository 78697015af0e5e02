//! What it tells when a field is absent.
//!
//! Absent is `-` in text, `null` in JSON, no key at all with ztunnel, and nothing where values may be left out. Source:
//! Envoy's substitution formatter documentation and `source/common/formatter`; Istio's release history of both.

use super::{Field, Kind};

/// Fields whose absence says more than that there is nothing to say.
const TABLE: &[(Field, &str)] = &[
    (Field::Method, "TCP, or no request was read"),
    (Field::Path, "TCP, or no request was read"),
    (Field::Protocol, "TCP, or no request was read"),
    (Field::ResponseFlags, "no failure that Envoy knows of; on TCP a close or a reset after the connect has no flag"),
    (Field::ResponseCodeDetails, "TCP, except for a listener's own line; formats older than Istio 1.9 do not print it"),
    (Field::ConnectionTerminationDetails, "Envoy did not close the connection for a reason of its own at layer 4"),
    (
        Field::UpstreamTransportFailureReason,
        "no failed connect or TLS handshake, a connect timeout, or TCP before Istio 1.15, which never prints it",
    ),
    (Field::Duration, "a periodic line of a connection that goes on, before Istio 1.18"),
    (Field::UpstreamServiceTime, "TCP, or the upstream did not answer"),
    (Field::RequestId, "TCP, or the application dropped the header: the legs meet by their addresses alone"),
    (Field::Authority, "TCP, or no request was read"),
    (Field::UpstreamHost, "no endpoint was chosen: nothing was dialled"),
    (
        Field::UpstreamCluster,
        "no cluster was chosen: a listener's own line, an answer of the proxy's own; up to Istio 1.9 every UH, UO and NC",
    ),
    (
        Field::UpstreamLocalAddress,
        "no connection to the upstream came about, so no other leg exists; HTTP up to Istio 1.4 never prints it",
    ),
    (
        Field::RequestedServerName,
        "no TLS, or a listener that does not look for it; on the server's side: came in plaintext",
    ),
    (Field::RouteName, "TCP, or no route matched"),
    (Field::SourceIdentity, "the client came without mTLS"),
    (Field::DestinationService, "no service was called: a pod by its address, or outside of the mesh"),
    (Field::DestinationWorkload, "outside of the mesh: what PassthroughCluster is with sidecars"),
    (Field::DestinationIdentity, "no mTLS to the server"),
    (Field::TunnelAddress, "ztunnel did not get as far as an address"),
    (Field::Error, "the connection did not fail"),
];

impl Field {
    /// What it tells when the field is absent, one phrase.
    pub fn absence(self) -> &'static str {
        let told = TABLE.iter().find(|(field, _)| *field == self).map(|(_, told)| *told);
        told.unwrap_or(match self.kind() {
            // Envoy prints 0 where it has no number, the documentation of RESPONSE_CODE notwithstanding.
            Kind::Integer => "the format does not have it; Envoy prints 0 where it has no number",
            _ => "there is nothing to say, or the format does not have it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_one_row() {
        let mut seen = std::collections::BTreeSet::new();
        for (field, told) in TABLE {
            assert!(seen.insert(field) && !told.is_empty(), "{} twice", field.key());
            assert_eq!(field.absence(), *told);
        }
        assert!(Field::ALL.iter().all(|field| !field.absence().is_empty()));
    }
}
