//! `Detail`: what Envoy and ztunnel say in words, as one table: details of a status, reasons of a close or of a failed
//! connect, errors of a tunnel, names of routes.
//!
//! Words are put together: `upstream_reset_before_response_started{connection_failure,delayed_connect_error:_111}` is
//! three of them. [`read`] takes a text apart and finds the row of each part. Envoy prints blanks as underscores in most
//! releases, so both are the same here.

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `response_code_details`.
    Status,
    /// `response_code_details` on HTTP, `connection_termination_details` on TCP.
    Refusal,
    /// `connection_termination_details`.
    Termination,
    /// Why a stream was reset, in the braces of a detail.
    Reset,
    /// Why this proxy closed the client's connection, in the brackets of a detail.
    Close,
    /// `upstream_transport_failure_reason`.
    Transport,
    /// What the TLS library said, in a transport failure reason.
    Tls,
    /// What the kernel said of a connect.
    Errno,
    /// ztunnel's `error`.
    Tunnel,
    /// `route_name`.
    Route,
}

impl Place {
    /// Every place.
    pub const ALL: [Place; 10] = [
        Place::Status,
        Place::Refusal,
        Place::Termination,
        Place::Reset,
        Place::Close,
        Place::Transport,
        Place::Tls,
        Place::Errno,
        Place::Tunnel,
        Place::Route,
    ];

    /// What stands there, one phrase.
    pub const fn name(self) -> &'static str {
        match self {
            Place::Status => "response code detail",
            Place::Refusal => "response code detail on HTTP, connection termination detail on TCP",
            Place::Termination => "connection termination detail",
            Place::Reset => "reset reason, in the braces of a response code detail",
            Place::Close => "local close reason, in a response code detail",
            Place::Transport => "upstream transport failure reason",
            Place::Tls => "reason of the TLS library, in a transport failure reason",
            Place::Errno => "the kernel's answer to a connect",
            Place::Tunnel => "error of a ztunnel",
            Place::Route => "route name",
        }
    }

    /// Where its words are documented.
    pub const fn source(self) -> &'static str {
        match self {
            Place::Status => "Envoy documentation, response code details; Envoy envoy/stream_info/stream_info.h",
            Place::Refusal => "Envoy source/extensions/filters/common/rbac, source/extensions/filters/network/rbac",
            Place::Termination | Place::Close => "Envoy envoy/stream_info/stream_info.h",
            Place::Reset => "Envoy source/common/http/utility.cc",
            Place::Transport => "Envoy source/common/network/connection_impl.cc, source/common/tls/ssl_socket.cc",
            Place::Tls => "Envoy documentation, TLS; BoringSSL ssl/errors",
            Place::Errno => "Linux errno(3)",
            Place::Tunnel => "istio/ztunnel src/proxy.rs",
            Place::Route => "Istio pilot/pkg/networking/core/route",
        }
    }
}

/// How a text is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is the whole part.
    Whole,
    /// The part begins with it; what follows differs.
    Start,
    /// It stands somewhere behind another one.
    Within,
}

/// One text and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Detail {
    /// Where it stands.
    pub place: Place,
    /// How it is found.
    pub how: How,
    /// As the log prints it.
    pub text: &'static str,
    /// What it means and usually tells, one phrase.
    pub meaning: &'static str,
}

macro_rules! details {
    ($($place:ident { $($how:ident $text:literal $meaning:literal;)+ })+) => {
        /// Every text that is known, by the place where it stands.
        pub const TABLE: &[Detail] = &[$($(
            Detail { place: Place::$place, how: How::$how, text: $text, meaning: $meaning },
        )+)+];
    };
}

details! {
    Status {
        Whole "via_upstream" "the upstream answered: the status is its own, not the proxy's";
        Whole "direct_response" "the route itself has the answer; with 502, route block_all and no cluster the host is blocked by REGISTRY_ONLY";
        Whole "route_not_found" "no virtual host or no route matches the host and path";
        Whole "route_configuration_not_found" "the listener's routes have not arrived from istiod";
        Whole "cluster_not_found" "the route names a cluster that the proxy does not have";
        Whole "no_healthy_upstream" "the cluster has no endpoint, or none that is healthy";
        Whole "filter_chain_not_found" "the listener has no filter chain for the connection: most often plaintext that meets STRICT mTLS, or a TLS name that no server has";
        Whole "maintenance_mode" "the cluster is in maintenance mode by a runtime setting";
        Whole "drop_overload" "dropped by the cluster's overload policy";
        Whole "unconditional_drop_overload" "dropped by the cluster's overload policy, all of it";
        Start "upstream_reset_before_response_started" "the stream to the upstream was reset before it had answered; the braces say why";
        Start "upstream_reset_after_response_started" "the stream to the upstream was reset in the middle of the answer; the braces say why";
        Whole "response_timeout" "the upstream did not answer within the route's timeout";
        Whole "upstream_response_timeout" "the upstream did not answer within the route's timeout";
        Whole "upstream_per_try_timeout" "the last attempt was not answered within perTryTimeout";
        Whole "upstream_per_try_idle_timeout" "the last attempt was idle for too long";
        Whole "upstream_max_stream_duration_reached" "the longest stream duration of the route is over";
        Whole "early_connect_data" "the client sent data before its CONNECT was accepted";
        Start "dns_resolution_failure" "the name of the upstream did not resolve";
        Whole "downstream_remote_disconnect" "the client closed the connection before the response was complete";
        Start "downstream_local_disconnect" "this proxy closed the client's connection; the brackets say why";
        Whole "duration_timeout" "the longest duration of a connection is over";
        Whole "downstream_header_timeout" "the client took too long to send its headers";
        Whole "stream_idle_timeout" "no bytes in either direction for the idle time of the stream";
        Whole "max_duration_timeout" "the longest duration of a stream is over";
        Whole "request_overall_timeout" "the client took too long to send its request";
        Whole "request_header_timeout" "the client took too long to send its headers";
        Whole "low_version" "HTTP/1.0 or older, which the proxy does not accept: nginx's proxy_pass speaks it unless told otherwise";
        Whole "missing_host_header" "the request has no host";
        Whole "missing_path_rejected" "the request has no path";
        Whole "invalid_path" "the path holds what is not allowed in it";
        Whole "absolute_path_rejected" "the path is a whole URL, which is not allowed here";
        Whole "path_normalization_failed" "the path could not be normalised";
        Whole "upgrade_failed" "the client asked for an upgrade that is not allowed here";
        Whole "websocket_handshake_unsuccessful" "the upstream refused the upgrade to a WebSocket";
        Whole "request_headers_failed_strict_check" "an x-envoy header of the request has no valid value";
        Whole "request_payload_too_large" "the request is larger than a filter's buffer";
        Whole "response_payload_too_large" "the response is larger than a filter's buffer";
        Whole "request_payload_exceeded_retry_buffer_limit" "the request is too large to be kept for a retry";
        Whole "http1.codec_error" "the bytes are no HTTP/1: TLS, HTTP/2 or a protocol of its own on a port that is taken for HTTP";
        Whole "http2.remote_reset" "the other side reset the HTTP/2 stream";
        Whole "http2.remote_refuse" "the other side refused the HTTP/2 stream";
        Start "http1." "the HTTP/1 codec refused what came";
        Start "http2." "the HTTP/2 codec refused what came";
        Start "http3." "the HTTP/3 codec refused what came";
        Whole "ext_authz_denied" "the external authorization service refused";
        Whole "ext_authz_error" "the external authorization service failed or could not be reached";
        Whole "fault_filter_abort" "a fault was injected on purpose (VirtualService fault.abort)";
        Whole "request_rate_limited" "refused by a rate limit";
        Whole "rate_limiter_error" "the rate limit service failed or could not be reached";
        Whole "overload" "the overload manager refused: the proxy is short of memory or connections";
        Whole "admin_filter_response" "an answer of Envoy's admin interface";
        Whole "internal_redirect" "Envoy followed a redirect itself";
        Start "filter_removed_required_" "a filter took away a header that is needed: an EnvoyFilter, Lua or Wasm";
        Start "filter_added_invalid_" "a filter made a header that is not valid: an EnvoyFilter, Lua or Wasm";
        Whole "rejecting_because_detection_failed" "the client's original address could not be told, and is required";
    }
    Refusal {
        Whole "rbac_access_denied_matched_policy[none]" "ALLOW policies exist and none matched: the caller is not listed, or came in plaintext and so has no identity";
        Start "rbac_access_denied_matched_policy[" "a DENY policy matched, the one in the brackets: ns[NAMESPACE]-policy[NAME]-rule[NUMBER]";
    }
    Termination {
        Whole "transport socket timeout was reached" "the client connected and did not finish its TLS handshake in time; the one value with blanks in a column without quotes";
    }
    Reset {
        Whole "connection_failure" "the upstream could not be connected (up to Istio 1.18)";
        Whole "remote_connection_failure" "the upstream could not be connected: it refused, or nobody let the packets through";
        Whole "local_connection_failure" "the connect failed in this proxy: no route, no free port, a bind that failed";
        Whole "connection_timeout" "the upstream did not answer until the connect timeout";
        Whole "connection_termination" "the upstream closed the connection: a kept one that it had given up, a crash, or plaintext that met STRICT mTLS";
        Whole "local_reset" "this proxy reset the stream";
        Whole "local_refused_stream_reset" "this proxy refused the stream";
        Whole "overflow" "a circuit breaker is open: too many connections, or too many requests wait";
        Whole "remote_reset" "the upstream reset the stream";
        Whole "remote_refused_stream_reset" "the upstream refused the stream; it is safe to try again";
        Whole "remote_error_with_CONNECT_request" "the upstream failed on a CONNECT";
        Whole "protocol_error" "the upstream broke the protocol: HTTP/2 to a server that speaks HTTP/1, or the reverse";
        Whole "overload_manager_reset" "this proxy's overload manager reset the stream";
        Whole "HTTP/1_premature_upstream_half_close" "the upstream closed its half in the middle of a message";
    }
    Close {
        Within "deferred_close_on_drained_connection" "the connection was drained";
        Within "on_idle_timeout" "the connection was idle for too long";
        Within "close_for_connect_request_or_tcp_tunneling" "a CONNECT or a TCP tunnel ended";
        Within "http2_ping_timeout" "the other side did not answer HTTP/2 pings";
        Within "http2_connection_protocol_violation" "the other side broke HTTP/2";
        Within "transport_socket_timeout" "the TLS handshake did not end in time";
        Within "triggered_delayed_close_timeout" "the other side did not close in time";
        Within "tcp_initializion_failure" "no connection to the upstream came about (Envoy spells it so)";
        Within "tcp_session_idle_timeout" "no bytes for the idle time of TCP, 1 h unless idleTimeout says otherwise";
        Within "max_connection_duration_reached" "the longest duration of a connection is over";
        Within "closing_upstream_tcp_connection_due_to_downstream_remote_close" "the client closed first";
        Within "closing_upstream_tcp_connection_due_to_downstream_local_close" "this proxy closed the client's connection first";
        Within "closing_upstream_tcp_connection_due_to_downstream_reset_close" "the client reset the connection";
        Within "non_pooled_tcp_connection_host_health_failure" "the endpoint got unhealthy";
    }
    Transport {
        Start "delayed_connect_error" "the connect was answered with a failure, by the endpoint or on the way (since Istio 1.12)";
        Start "immediate_connect_error" "the kernel of this proxy's own pod refused to connect (since Istio 1.23)";
        Start "failed_to_bind_to" "this proxy could not use the source address that it was told to use";
        Whole "socket_creation_failure" "this proxy could not open a socket: out of file descriptors";
        Whole "connect_timeout" "the upstream did not answer until the connect timeout";
        Start "TLS_error" "the TCP connection came about and the TLS handshake in it failed";
    }
    Tls {
        Within "WRONG_VERSION_NUMBER" "the other side speaks plaintext, this one TLS: no sidecar there, its port is not captured, or TLS on top of TLS";
        Within "PACKET_LENGTH_TOO_LONG" "the other side speaks plaintext, this one TLS";
        Within "HTTP_REQUEST" "plaintext HTTP came where TLS was due";
        Within "CERTIFICATE_VERIFY_FAILED" "the other side's certificate was not accepted: another root or trust domain, expired, or a name that is not in it";
        Within "SSLV3_ALERT_CERTIFICATE_EXPIRED" "the other side says that this one's certificate is expired";
        Within "SSLV3_ALERT_CERTIFICATE_UNKNOWN" "the other side does not accept this one's certificate";
        Within "SSLV3_ALERT_HANDSHAKE_FAILURE" "the other side found no common settings, or wants a certificate and got none";
        Within "TLSV1_ALERT_PROTOCOL_VERSION" "the two sides have no TLS version in common";
        Within "TLSV1_ALERT_UNKNOWN_CA" "the other side does not know this one's root";
        Within "TLSV1_CERTIFICATE_REQUIRED" "the other side wants a client's certificate";
        Within "PARSE_TLSEXT" "the other side could not read what the handshake offers";
        Within "verify_cert_failed:_SAN_matcher" "no name in the certificate is one that is expected: another server answered, or subjectAltNames is wrong";
        Within "verify_SAN_list" "no name in the certificate is one that is expected";
        Within "cert_hash_and_spki" "the certificate is not the one that is pinned";
        Within "X509_verify_cert" "the chain of certificates does not lead to a root that is trusted";
        Within "Secret_is_not_supplied_by_SDS" "the proxy has no workload certificate yet: it is starting, or istiod does not sign";
    }
    Errno {
        Whole "111" "connection refused: nothing listens on that port";
        Within "Connection refused" "nothing listens on that port (errno 111)";
        Whole "113" "no route to host: a firewall that rejects, a node that is gone";
        Within "No route to host" "a firewall that rejects, a node that is gone (errno 113)";
        Whole "110" "timed out: packets get lost, a firewall that drops, an address that nobody has";
        Within "Connection timed out" "packets get lost, a firewall that drops, an address that nobody has (errno 110)";
        Whole "104" "connection reset by peer: it was there and closed hard";
        Within "Connection reset by peer" "the other side was there and closed hard (errno 104)";
        Whole "101" "network unreachable: no route to that network, IPv6 on a pod without IPv6 for example";
        Within "Network is unreachable" "no route to that network, IPv6 on a pod without IPv6 for example (errno 101)";
        Whole "99" "cannot assign requested address: no free port, or an address that is not the pod's";
        Within "Cannot assign requested address" "no free port, or an address that is not the pod's (errno 99)";
    }
    Tunnel {
        Start "connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008" "port 15008 of the other side's pod or node does not answer: a NetworkPolicy without 15008";
        Start "connection closed due to policy rejection" "an AuthorizationPolicy refused the connection";
        Within "allow policies exist, but none allowed" "ALLOW policies exist and none matched; also where traffic misses the waypoint whose identity is allowed";
        Within "explicitly denied by" "a DENY policy, the one that is named";
        Within "workload not found" "ztunnel does not know the pod that was dialled";
        Within "workload mismatch" "the address belongs to another pod than the one that was meant";
        Whole "connection closed due to policy change" "a policy changed while the connection was open, and does not allow it any more";
        Whole "connection closed due to connection drain" "the ztunnel or the pod is going away: a rollout, as expected";
        Whole "connection failed to drain within the timeout" "the ztunnel went away before the connection had ended";
        Whole "pool draining" "the tunnel is going away: a rollout, as expected";
        Whole "connection closed: peer certificate revoked by CRL" "the other side's certificate is revoked";
        Start "http status" "the other side's ztunnel or waypoint refused the tunnel: look at its line of the same instant";
        Start "no healthy upstream" "the service has no endpoint";
        Start "io error" "the TCP connection failed: the application's port is closed, or the other side's node has no ztunnel";
        Start "connection failed" "no connection came about: the application's port is closed, or the other side's node has no ztunnel";
        Whole "connection tracking failed" "ztunnel could not take the connection into its books";
        Whole "destination disconnected before all data was written" "the server went away in the middle";
        Whole "client disconnected before all data was written" "the client went away in the middle";
        Start "while closing connection" "the connection broke while it was closed";
        Start "receive:" "reading from the connection failed";
        Start "send:" "writing to the connection failed";
        Start "failed to bind to address" "ztunnel could not use its own or the client's address";
        Start "unknown waypoint" "the label names a waypoint that is not there";
        Start "unknown network gateway" "the other network has no gateway that ztunnel knows";
        Start "no gateway address" "the gateway of the other network has no address";
        Start "no service or workload for hostname" "a waypoint or a gateway is named that ztunnel does not know";
        Start "no endpoints for workload" "the workload has no address";
        Start "no valid authority pseudo header" "the request for a tunnel names no address";
        Start "no valid service port in authority header" "the request for a tunnel names no port of the service";
        Start "no valid target port for workload" "the service's port leads to no port of the pod";
        Start "no valid routing destination for workload" "nothing is known of where the pod is reached";
        Start "no ip addresses were resolved for workload" "the workload's name did not resolve";
        Start "no service for target address" "nobody has the address that was dialled";
        Start "failed to fetch information about local workload" "ztunnel does not know the client's pod yet: configuration is late, or the pod is on the host's network";
        Start "http2 handshake failed" "the tunnel's HTTP/2 did not come about";
        Start "h2 failed" "the tunnel's HTTP/2 broke";
        Start "expected method CONNECT" "somebody who speaks no HBONE called on port 15008";
        Start "invalid CONNECT address" "the request for a tunnel names no valid address";
        Start "tls error" "the mTLS handshake with the other side failed";
        Start "identity error" "ztunnel has no certificate for the pod: look at its certificates and at istiod";
        Whole "attempted recursive call to ourselves" "the address that was dialled is ztunnel's own";
        Start "unsupported feature" "the configuration asks for what ztunnel cannot do";
        Start "ip mismatch" "the tunnel was asked for another address than it came to";
        Start "dns" "a name did not resolve";
    }
    Route {
        Whole "allow_any" "no known host matched, and any is allowed: goes through PassthroughCluster";
        Whole "block_all" "no known host matched, and none but known ones are allowed (REGISTRY_ONLY): answered with 502";
        Whole "allow_any_dynamic_dns" "no known host matched: the host's name is resolved by the proxy";
        Whole "default" "the route that Istio makes for a known service, without a VirtualService's name";
        Whole "PassthroughFilterChain" "the default chain of a listener: no other chain matched, so it goes where unknown traffic goes";
    }
}

/// A part of a text, and its row if it has one.
#[derive(Clone, Debug)]
pub struct Part<'t> {
    /// The part as it stands.
    pub text: &'t str,
    /// What is known of it.
    pub detail: Option<&'static Detail>,
}

/// Takes a text apart: what stands before braces, the reason in them, what the transport socket added to it, what the
/// TLS library or the kernel said. Nothing for an empty text; one part without a row for a text that is not known.
pub fn read(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (head, inside) = text.split_once('{').unwrap_or((text, ""));
    part(head, &mut parts);
    // A TLS error may hold the separators itself: the first one counts.
    let inside = inside.strip_suffix('}').unwrap_or(inside);
    let (reason, transport) = inside.split_once([',', '|']).unwrap_or((inside, ""));
    part(reason, &mut parts);
    part(transport, &mut parts);
    parts
}

fn part<'t>(text: &'t str, parts: &mut Vec<Part<'t>>) {
    let text = text.trim();
    if text.is_empty() || text == "-" {
        return;
    }
    let (plain, before) = (spaced(text), parts.len());
    // Envoy and ztunnel spell some the same but for the blanks: the very spelling counts first.
    let same = |detail: &&Detail| detail.how != How::Start && spaced(detail.text).eq_ignore_ascii_case(&plain);
    let whole = TABLE.iter().find(|detail| detail.text == text).or_else(|| TABLE.iter().find(same));
    let start = || {
        let starts = TABLE.iter().filter(|detail| detail.how == How::Start && plain.starts_with(&spaced(detail.text)));
        starts.max_by_key(|detail| detail.text.len())
    };
    if let Some(detail) = whole.or_else(start) {
        parts.push(Part { text, detail: Some(detail) });
    }
    if whole.is_some() {
        return;
    }
    for detail in TABLE.iter().filter(|detail| detail.how == How::Within && holds(&plain, &spaced(detail.text))) {
        parts.push(Part { text: detail.text, detail: Some(detail) });
    }
    let number = text.rsplit([':', '_', ' ']).next().unwrap_or_default();
    let errno = TABLE.iter().find(|detail| detail.place == Place::Errno && detail.text == number);
    if parts.len() > before && errno.is_some() {
        parts.push(Part { text: number, detail: errno });
    }
    if parts.len() == before {
        parts.push(Part { text, detail: None });
    }
}

/// Whether words stand in a text, and do not begin in the middle of a word.
fn holds(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| !text[..at].ends_with(|letter: char| letter.is_ascii_alphanumeric()))
}

/// The text with blanks where Envoy prints underscores.
fn spaced(text: &str) -> String {
    text.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        read(text).iter().map(|part| part.detail.map_or("?", |detail| detail.text)).collect()
    }

    #[test]
    fn every_row_is_unique_has_a_meaning_and_is_found_by_its_text() {
        let mut seen = std::collections::BTreeSet::new();
        for detail in TABLE {
            assert!(seen.insert(detail.text) && !detail.meaning.is_empty(), "{} twice", detail.text);
            assert_eq!(found(detail.text)[0], detail.text);
        }
        for place in Place::ALL {
            assert!(TABLE.iter().any(|detail| detail.place == place) && !place.source().is_empty());
        }
    }

    #[test]
    fn texts_are_taken_apart_in_the_spelling_of_every_release() {
        for (text, parts) in [
            ("via_upstream", &["via_upstream"][..]),
            (
                "upstream_reset_before_response_started{connection_termination}",
                &["upstream_reset_before_response_started", "connection_termination"],
            ),
            (
                "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
                &[
                    "upstream_reset_before_response_started",
                    "remote_connection_failure",
                    "delayed_connect_error",
                    "Connection refused",
                ],
            ),
            ("delayed connect error: 111", &["delayed_connect_error", "111"]),
            (
                "TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end",
                &["TLS_error", "WRONG_VERSION_NUMBER"],
            ),
            ("rbac_access_denied_matched_policy[none]", &["rbac_access_denied_matched_policy[none]"]),
            ("rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]]", &["rbac_access_denied_matched_policy["]),
            (
                "downstream_local_disconnect(tcp_session_idle_timeout)",
                &["downstream_local_disconnect", "tcp_session_idle_timeout"],
            ),
            ("io error: Connection refused (os error 111)", &["io error", "Connection refused"]),
            (
                "connection closed due to policy rejection: explicitly denied by: ns/name",
                &["connection closed due to policy rejection", "explicitly denied by"],
            ),
            ("my_own_words{and more}", &["?", "?"]),
            ("-", &[]),
            ("", &[]),
        ] {
            assert_eq!(found(text), parts, "{text}");
        }
    }
}
