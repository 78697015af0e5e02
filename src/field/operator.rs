//! What the operators print that no field stands for: a column of its own, with a type.
//!
//! An operator that is in neither table is text. Source: Envoy's substitution formatter documentation and
//! `source/common/formatter`, up to release 1.39.

use super::Kind;

/// Operators that print numbers.
const INTEGERS: &[&str] = &[
    "UPSTREAM_WIRE_BYTES_SENT",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "REQUEST_HEADERS_BYTES",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "BYTES_RETRANSMITTED",
    "PACKETS_RETRANSMITTED",
    "GRPC_STATUS_NUMBER",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "CONNECTION_ID",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_REMOTE_PORT",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_DIRECT_LOCAL_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
];

/// Operators that print durations.
const DURATIONS: &[&str] = &[
    "REQUEST_DURATION",
    "REQUEST_TX_DURATION",
    "RESPONSE_DURATION",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "COMMON_DURATION",
    "DOWNSTREAM_CX_RTT",
];

/// Operators that print addresses.
const ADDRESSES: &[&str] = &[
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
];

/// Operators that print instants.
const TIMES: &[&str] = &[
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_CERT_V_END",
    "UPSTREAM_PEER_CERT_V_START",
    "UPSTREAM_PEER_CERT_V_END",
];

/// Operators that print what a client or a server sent, or what an administrator wrote: anything can be in it.
const PEERS: &[&str] = &[
    "REQ",
    "REQUEST_HEADER",
    "RESP",
    "RESPONSE_HEADER",
    "TRAILER",
    "RESPONSE_TRAILER",
    "REQ_WITHOUT_QUERY",
    "PATH",
    "QUERY_PARAM",
    "QUERY_PARAMS",
    "COALESCE",
    "CEL",
    "TYPED_CEL",
    "LOCAL_REPLY_BODY",
    "DYNAMIC_METADATA",
    "FILTER_STATE",
];

/// Every operator of these tables.
pub fn names() -> impl Iterator<Item = &'static str> {
    [INTEGERS, DURATIONS, ADDRESSES, TIMES, PEERS].into_iter().flatten().copied()
}

/// How the text of an operator is to be read.
pub fn kind(name: &str) -> Kind {
    [(INTEGERS, Kind::Integer), (DURATIONS, Kind::Millis), (ADDRESSES, Kind::Address), (TIMES, Kind::Time)]
        .into_iter()
        .find(|(names, _)| names.contains(&name))
        .map_or(Kind::Text, |(_, kind)| kind)
}

/// Whether Envoy has an operator of this name, apart from the fields'.
pub fn is_known(name: &str) -> bool {
    [INTEGERS, DURATIONS, ADDRESSES, TIMES].concat().contains(&name)
}

/// Whether somebody else than Envoy chooses its bytes.
pub fn is_foreign(name: &str) -> bool {
    PEERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Field;

    #[test]
    fn no_operator_has_two_types() {
        let mut seen = std::collections::BTreeSet::new();
        for name in [INTEGERS, DURATIONS, ADDRESSES, TIMES].concat() {
            assert!(seen.insert(name), "{name} twice");
            assert_eq!(Field::of_operator(name, None), None, "{name} is a field");
        }
        assert_eq!(kind("CONNECTION_ID"), Kind::Integer);
        assert_eq!(kind("SOMETHING_NEW"), Kind::Text);
        assert!(is_foreign("REQ") && !is_foreign("HOSTNAME"));
    }
}
