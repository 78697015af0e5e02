//! `Field`: what a proxy can say about a connection, as one table.
//!
//! Each row names a field by its key in Istio's JSON encoding and lists the Envoy operators that
//! print it. Formats are compiled against this table; an operator that is not in it keeps a slot of
//! its own and never fails a format. Source of names and meanings: Envoy's substitution formatter
//! documentation, Istio's access log task.

pub mod absence;
pub mod detail;
pub mod flag;
pub mod layout;
pub mod operator;
pub mod outcome;
pub mod reserved;
pub mod value;

/// How the text of a field is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any bytes.
    Text,
    /// A decimal number, no sign.
    Integer,
    /// Milliseconds, a decimal number.
    Millis,
    /// An instant; Envoy's default layout is `2024-08-07T09:34:15.747Z`.
    Time,
    /// `ip:port`, `[ipv6]:port`, a unix path or `envoy://...`.
    Address,
    /// A comma list of response flags; order means nothing.
    Flags,
}

impl Kind {
    /// What it is, with its unit, one phrase.
    pub const fn meaning(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Integer => "a number",
            Kind::Millis => "a duration in milliseconds",
            Kind::Time => "an instant, 2024-08-07T09:34:15.747Z unless the format has a layout of its own",
            Kind::Address => "an address: ip:port, [ipv6]:port, a path, or envoy://... inside of the proxy",
            Kind::Flags => "a comma list of response flags whose order means nothing",
        }
    }
}

/// Who chose the bytes of a field, and so how far they may be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Envoy itself: no quotes, and no blanks where the format has none.
    Envoy,
    /// A client or a server, through a header: anything but CR, LF and NUL, quotes included.
    Peer,
}

impl Writer {
    /// Who that is, one phrase.
    pub const fn meaning(self) -> &'static str {
        match self {
            Writer::Envoy => "the proxy",
            Writer::Peer => "a client or a server, through a header: not to be trusted, and never escaped",
        }
    }
}

macro_rules! fields {
    ($($variant:ident, $key:literal, $kind:ident, $writer:ident, [$($operator:literal),+], $meaning:literal;)+) => {
        /// One thing that a line can say. The order is that of Istio's text format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Field { $(#[doc = $meaning] $variant),+ }

        impl Field {
            /// Every field, in the order of the table.
            pub const ALL: &'static [Field] = &[$(Field::$variant),+];

            /// The key of the field in Istio's JSON encoding, and its column name everywhere.
            pub const fn key(self) -> &'static str { match self { $(Field::$variant => $key),+ } }

            /// How its text is read.
            pub const fn kind(self) -> Kind { match self { $(Field::$variant => Kind::$kind),+ } }

            /// Who chose its bytes.
            pub const fn writer(self) -> Writer { match self { $(Field::$variant => Writer::$writer),+ } }

            /// What it means, one phrase.
            pub const fn meaning(self) -> &'static str { match self { $(Field::$variant => $meaning),+ } }

            /// The operators that print it, arguments included, without a length limit.
            pub const fn operators(self) -> &'static [&'static str] { match self { $(Field::$variant => &[$($operator),+]),+ } }
        }
    };
}

fields! {
    StartTime, "start_time", Time, Envoy, ["START_TIME"],
        "start of the request, or of the TCP connection";
    Method, "method", Text, Peer, ["REQ(:METHOD)"],
        "HTTP method; absent on TCP";
    Path, "path", Text, Peer, ["REQ(X-ENVOY-ORIGINAL-PATH?:PATH)", "REQ(:PATH)", "REQ(:PATH?X-ENVOY-ORIGINAL-PATH)", "REQ_WITHOUT_QUERY"],
        "HTTP path and query as the client sent them";
    Protocol, "protocol", Text, Envoy, ["PROTOCOL"],
        "HTTP version; absent on TCP";
    ResponseCode, "response_code", Integer, Envoy, ["RESPONSE_CODE"],
        "HTTP status; 0 on TCP, and when the client left before an answer";
    ResponseFlags, "response_flags", Flags, Envoy, ["RESPONSE_FLAGS", "RESPONSE_FLAGS_LONG"],
        "what went wrong, as a set of Envoy's response flags";
    ResponseCodeDetails, "response_code_details", Text, Envoy, ["RESPONSE_CODE_DETAILS"],
        "who set the status and why, blanks as underscores";
    ConnectionTerminationDetails, "connection_termination_details", Text, Envoy, ["CONNECTION_TERMINATION_DETAILS"],
        "why Envoy closed the connection at layer 4";
    UpstreamTransportFailureReason, "upstream_transport_failure_reason", Text, Envoy, ["UPSTREAM_TRANSPORT_FAILURE_REASON"],
        "what the transport socket said, a TLS error or a failed connect";
    BytesReceived, "bytes_received", Integer, Envoy, ["BYTES_RECEIVED"],
        "payload bytes from the downstream";
    BytesSent, "bytes_sent", Integer, Envoy, ["BYTES_SENT"],
        "payload bytes to the downstream";
    Duration, "duration", Millis, Envoy, ["DURATION"],
        "milliseconds from the start to the end; absent in some periodic lines";
    UpstreamServiceTime, "upstream_service_time", Millis, Envoy, ["RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)"],
        "milliseconds that the upstream took, as the router measured them";
    XForwardedFor, "x_forwarded_for", Text, Peer, ["REQ(X-FORWARDED-FOR)", "REQ(X-FORWARDED-FOR?X-REAL-IP)"],
        "the x-forwarded-for header";
    UserAgent, "user_agent", Text, Peer, ["REQ(USER-AGENT)"],
        "the user-agent header";
    RequestId, "request_id", Text, Peer, ["REQ(X-REQUEST-ID)"],
        "the x-request-id header, kept from hop to hop";
    Authority, "authority", Text, Peer, ["REQ(:AUTHORITY)"],
        "the host that the client asked for";
    UpstreamHost, "upstream_host", Address, Envoy, ["UPSTREAM_HOST", "UPSTREAM_REMOTE_ADDRESS"],
        "the endpoint that the load balancer chose";
    UpstreamCluster, "upstream_cluster", Text, Envoy, ["UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW"],
        "the cluster that the listener or the route chose";
    UpstreamLocalAddress, "upstream_local_address", Address, Envoy, ["UPSTREAM_LOCAL_ADDRESS"],
        "the proxy's own end of the upstream connection; absent when none was made";
    DownstreamLocalAddress, "downstream_local_address", Address, Envoy, ["DOWNSTREAM_LOCAL_ADDRESS"],
        "the original destination on the client's side, the pod's own address on the server's";
    DownstreamRemoteAddress, "downstream_remote_address", Address, Envoy, ["DOWNSTREAM_REMOTE_ADDRESS"],
        "the peer that connected; port 0 when it was taken from x-forwarded-for";
    RequestedServerName, "requested_server_name", Text, Envoy, ["REQUESTED_SERVER_NAME"],
        "the SNI; between sidecars it names port, subset and host of the service that was called";
    RouteName, "route_name", Text, Envoy, ["ROUTE_NAME"],
        "the route that matched";
    PolicyStatus, "istio_policy_status", Text, Envoy, ["DYNAMIC_METADATA(istio.mixer:status)"],
        "what Mixer decided, Istio 1.7 and older";
    EmitTime, "emit_time", Time, Envoy, ["EMIT_TIME"],
        "when the line was written; ztunnel prints this and no start";
    DirectRemoteAddress, "downstream_direct_remote_address", Address, Envoy, ["DOWNSTREAM_DIRECT_REMOTE_ADDRESS"],
        "the peer of the TCP connection, whatever x-forwarded-for says";
    Event, "event", Text, Envoy, ["ztunnel.message"],
        "what a ztunnel line tells of: connection complete, opened or failed";
    Direction, "direction", Text, Envoy, ["ztunnel.direction"],
        "which side a ztunnel stood at: outbound or inbound";
    SourceWorkload, "source_workload", Text, Envoy, ["ztunnel.src.workload"],
        "the client's pod, as ztunnel knows it";
    SourceNamespace, "source_namespace", Text, Envoy, ["ztunnel.src.namespace"],
        "the client's namespace";
    SourceIdentity, "source_identity", Text, Envoy, ["ztunnel.src.identity"],
        "the client's SPIFFE identity; absent without mTLS";
    SourceCluster, "source_cluster", Text, Envoy, ["ztunnel.src.cluster"],
        "the client's Kubernetes cluster";
    DestinationService, "destination_service", Text, Envoy, ["ztunnel.dst.service"],
        "the service that was called; absent outside of the mesh";
    DestinationWorkload, "destination_workload", Text, Envoy, ["ztunnel.dst.workload"],
        "the server's pod; absent outside of the mesh";
    DestinationNamespace, "destination_namespace", Text, Envoy, ["ztunnel.dst.namespace"],
        "the server's namespace";
    DestinationIdentity, "destination_identity", Text, Envoy, ["ztunnel.dst.identity"],
        "the server's SPIFFE identity; absent without mTLS";
    DestinationCluster, "destination_cluster", Text, Envoy, ["ztunnel.dst.cluster"],
        "the server's Kubernetes cluster";
    TunnelAddress, "tunnel_address", Address, Envoy, ["ztunnel.tunnel"],
        "the address that ztunnel connected or was connected on, port 15008 for HBONE";
    Error, "error", Text, Envoy, ["ztunnel.error"],
        "why a ztunnel connection failed, in its own words";
}

impl Field {
    /// How many fields there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The field that an operator prints, or `None` for an operator that the table does not know.
    ///
    /// `name` and `argument` are as in the format string: `REQ`, `:AUTHORITY`. Newer spellings
    /// (`REQUEST_HEADER`) and any time layout are accepted.
    pub fn of_operator(name: &str, argument: Option<&str>) -> Option<Field> {
        let name = match name {
            "REQUEST_HEADER" => "REQ",
            "RESPONSE_HEADER" => "RESP",
            "START_TIME_LOCAL" => "START_TIME",
            "EMIT_TIME_LOCAL" => "EMIT_TIME",
            "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => "DOWNSTREAM_LOCAL_ADDRESS",
            "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => "UPSTREAM_HOST",
            "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => "UPSTREAM_LOCAL_ADDRESS",
            // Kuma's control plane fills the last two in.
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" | "KUMA_SOURCE_ADDRESS_WITHOUT_PORT" | "KUMA_SOURCE_ADDRESS" => {
                "DOWNSTREAM_REMOTE_ADDRESS"
            }
            "PATH" => "REQ_WITHOUT_QUERY",
            other => other,
        };
        let header = matches!(name, "REQ" | "RESP" | "DYNAMIC_METADATA");
        let printed = match argument {
            Some(argument) if header => format!("{name}({argument})"),
            _ => name.to_owned(),
        };
        Self::ALL
            .iter()
            .copied()
            .find(|field| field.operators().iter().any(|known| known.eq_ignore_ascii_case(&printed)))
    }

    /// The field with this key, or `None`.
    pub fn of_key(key: &str) -> Option<Field> {
        Self::ALL.iter().copied().find(|field| field.key() == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_operators_are_unique_and_every_field_has_a_meaning() {
        let mut seen = std::collections::BTreeSet::new();
        for field in Field::ALL {
            assert!(seen.insert(field.key()), "{} twice", field.key());
            assert!(!field.meaning().is_empty());
            for operator in field.operators() {
                assert!(seen.insert(operator), "{operator} twice");
            }
            assert_eq!(Field::of_key(field.key()), Some(*field));
        }
    }

    #[test]
    fn newer_spellings_and_time_layouts_name_the_same_field() {
        assert_eq!(Field::of_operator("REQUEST_HEADER", Some(":authority")), Some(Field::Authority));
        assert_eq!(Field::of_operator("START_TIME", Some("%s.%3f")), Some(Field::StartTime));
        assert_eq!(Field::of_operator("REQ", Some("X-TEAM")), None);
    }
}
