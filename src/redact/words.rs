//! The vocabulary: words that may stay, because Envoy, Istio, Kubernetes, collectors or logscan itself wrote them.
//!
//! A word that is missing here is replaced, which costs a reader something and gives nothing away. Sources: the tables of
//! `field`, Envoy's response code details page and `source/common`, BoringSSL's `err_data`, istio-agent, ztunnel.

use std::collections::BTreeSet;

use crate::field::Field;
use crate::field::flag::Flags;

/// Names that every mesh has; they stay, because they say something and tell nobody from another.
pub(super) const WELL_KNOWN: &[&str] = &[
    "default",
    "istio-system",
    "kube-system",
    "kube-public",
    "kubernetes",
    "istiod",
    "istio-proxy",
    "istio-init",
    "ztunnel",
    "istio-ingressgateway",
    "istio-egressgateway",
    "cluster.local",
    "localhost",
];

/// The pieces of text between the names in the sentences of rules, one a line. A test writes them.
const SENTENCES: &str = include_str!("sentences.txt");

/// Messages of proxies and agents that are longer than a word, so that a name that is a word of them is no riddle.
const MESSAGES: &[&str] = &[
    "Envoy proxy is NOT ready",
    "Envoy proxy is ready",
    "config not received from XDS server (is Istiod running?)",
    "Proxy role",
    "Agent draining Proxy for termination",
    "Agent draining Proxy",
    "starting main dispatch loop",
    "generated new workload certificate",
    "listener established",
    "connection complete",
    "connection opened",
    "connection failed",
    "connection closed due to policy rejection: allow policies exist, but none allowed",
    "connection closed due to policy rejection",
    "explicitly denied by",
    "Error adding/updating listener(s)",
    "Error adding/updating cluster(s)",
    "error adding listener",
    "filter chain",
    "has the same matching rules defined as",
    "delta config for",
    "gRPC config for",
    "gRPC config stream closed",
    "StreamAggregatedResources",
    "cds updates",
    "lds updates",
    "no such file or directory",
    "No such file or directory",
    "Permission denied",
    "Is a directory",
    "no file matches",
    "no file in it",
    "no log in it",
    "files of other kinds were left out",
    "is not open",
    "the list of members is damaged",
    "archives in each other",
    "io error",
    "Connection refused",
    "Connection reset by peer",
    "connection timed out",
    "No route to host",
    "Broken pipe",
    "os error",
    "TLS error",
    "deadline has elapsed",
    "standard input can be read only once",
    "TLS_error_end",
];

/// Single words, by who writes them.
const WORDS: &str = "
    outbound inbound inbound-vip outbound_ inbound_ PassthroughCluster BlackHoleCluster InboundPassthroughCluster
    InboundPassthroughClusterIpv4 InboundPassthroughClusterIpv6 virtualInbound virtualOutbound connect_originate
    internal_client_address allow_any block_all xds-grpc sds-grpc prometheus_stats zipkin agent
    GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH HTTP/1.0 HTTP/1.1 HTTP/2 HTTP/3 HTTP TCP UDP TLS mTLS http https tcp
    tls grpc grpc-web http2 mysql mongo redis udp HBONE hbone h2 hbone_addr addr src dst recv
    via upstream direct response downstream remote local disconnect reset before started connection termination failure
    delayed connect error Connection refused transport timeout timed out overflow healthy no not found route cluster filter
    chain request rate limited rbac access denied matched policy none ns rule id missing host rejected invalid path
    absolute internal redirect max duration stream idle per try maintenance mode protocol codec http1.codec_error
    http2.codec_error http1.invalid_header http2.too_many_headers low version retry limit exceeded too many headers body
    large payload premature early ext authz denied fault abort jwt authn cluster_not_found strict host header unsupported
    websocket upgrade socket reached exceeds exceeded attempts attempt half open setup response_payload_too_large
    request_headers_timeout detected bad URL length payload-too-large unknown upstream_per_try_timeout admin manager load shed drop destination original dns resolution failed peer closed close
    TLS_error SSL routines OPENSSL internal WRONG VERSION NUMBER CERTIFICATE VERIFY FAILED EXPIRED UNKNOWN CA SSLV3 TLSV1
    ALERT HANDSHAKE REQUIRED HTTP_REQUEST PACKET LENGTH TOO LONG SELF SIGNED IN CERT CHAIN san match certificate verify
    verification end unexpected eof
    trace debug info warn warning error critical fatal off main config runtime upstream filter conn_handler misc init
    secret grpc stats cache envoy xdsproxy sds wasm dns nameservice ads proxy access external assert health hc lua jwt
    pool connection router http http2 quic udp caught ENVOY_SIGTERM SIGTERM SIGINT signal terminated aborted segmentation
    fault thread successful updates cds lds eds rds rejected duplicate type sidecar router ips domain component transparent
    proxy::inbound proxy::outbound established listener listeners address readiness drain shutdown initiated received
    message msg log stream stdout stderr F P time timestamp ts level scope logger caller severity ingestionTime eventId
    kubernetes docker pod pod_name pod_id pod_ip podName namespace namespace_name pod_namespace labels annotations app
    name container container_name containerName container_id docker_id container_image host hostname nodeName node
    pod_node_name pod_labels node_labels source_type file insertId logName receiveTimestamp resource project_id location
    textPayload jsonPayload trace_id span_id MESSAGE _HOSTNAME __REALTIME_TIMESTAMP SYSLOG_IDENTIFIER _p log_type
    application infrastructure _source _index _id hits null true false POD NAMESPACE
    src.addr src.workload src.namespace src.identity src.cluster dst.addr dst.hbone_addr dst.service dst.workload
    dst.namespace dst.identity dst.cluster @timestamp structured cluster_name project logs k8s-pod/app stdout INFO
    k8s_container ingestionTimestamp status Unauthorized kubernetes_logs _time _SYSTEMD_UNIT tag
    workload service identity direction bytes_sent bytes_recv bytes duration method protocol spiffe sa start_time
    Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec Mon Tue Wed Thu Fri Sat Sun UTC Z
    stdin - the a an and or of to in at is are was from for with by as more member members after
";

/// The words and phrases that may stay.
#[derive(Debug)]
pub(super) struct Vocabulary {
    words: BTreeSet<&'static str>,
    /// By their first byte, the longest first.
    phrases: Vec<Vec<&'static str>>,
}

impl Vocabulary {
    /// All of it.
    pub(super) fn new() -> Vocabulary {
        let pieces = || SENTENCES.lines().chain(MESSAGES.iter().copied());
        let mut words: BTreeSet<&str> = WORDS.split_whitespace().chain(WELL_KNOWN.iter().copied()).collect();
        words.extend(Field::ALL.iter().map(|field| field.key()));
        words.extend(pieces().filter(|piece| !piece.contains(' ')));
        let mut phrases = vec![Vec::new(); 256];
        for phrase in pieces().filter(|piece| piece.contains(' ')) {
            phrases[usize::from(phrase.as_bytes()[0])].push(phrase);
        }
        for of in &mut phrases {
            of.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
        }
        Vocabulary { words, phrases }
    }

    /// The longest phrase that a text begins with, and that ends where a word ends.
    pub(super) fn phrase<'t>(&self, text: &'t str) -> Option<&'t str> {
        let first = usize::from(*text.as_bytes().first()?);
        let ends = |phrase: &&&str| {
            let edge = phrase.ends_with(|letter: char| letter.is_alphanumeric());
            let more = text[phrase.len()..].starts_with(|letter: char| letter.is_alphanumeric() || letter == '-');
            !(edge && more)
        };
        let found = self.phrases[first].iter().filter(|phrase| text.starts_with(**phrase)).find(ends)?;
        Some(&text[..found.len()])
    }

    /// Whether a word may stay: in any letters, or a list of flags.
    pub(super) fn has(&self, word: &str) -> bool {
        self.words.contains(word)
            || self.words.contains(word.to_lowercase().as_str())
            || Flags::unknown_tokens(word.as_bytes()).is_empty()
    }
}
