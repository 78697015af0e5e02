//! A service port whose name does not say its protocol.

use super::rule;
use crate::claims::{Claims, Seen, Verdict};
use crate::cluster::Direction;
use crate::finding::Grade;
use crate::leg::Side;

rule! {
    /// ## What it finds
    /// The port's name in an inbound cluster (Istio 1.1 to 1.7 print it) that does not begin with a protocol.
    ///
    /// ## When it is silent
    /// Newer releases, whose clusters have no port name; ports that Istio takes for TCP by their number (25, 53, 3306, 27017).
    ///
    /// ## How sure
    /// Likely: `appProtocol` may say what the name does not, the log does not show it.
    ///
    /// ## Why it matters
    /// Istio 1.2 and older take such a port for TCP; newer ones listen to the first bytes, which delays or hangs protocols in which
    /// the server speaks first.
    ///
    /// ## Example
    /// `inbound|5701|hazelcast|manager.manager.svc.cluster.local`
    ///
    /// ## What to do
    /// Name the port `tcp-hazelcast`, or set `appProtocol`.
    ///
    /// ## Source
    /// Istio documentation, Protocol Selection; Istio `pkg/config/kube/conversion.go`.
    "H102", "port-name", Info, "a port's name does not say its protocol"
}

/// What a name may begin with. Source: Istio `pkg/config/protocol/instance.go`.
const PROTOCOLS: [&str; 13] =
    ["http", "http2", "grpc", "grpc-web", "https", "tcp", "tls", "udp", "mongo", "redis", "mysql", "hbone", "mgmt"];
/// Ports that need no name. Source: Istio `pkg/config/kube/conversion.go`.
const KNOWN: [u16; 4] = [25, 53, 3306, 27017];

pub(super) fn judge(claims: &mut Claims<'_>) {
    claims.note(
        |claims, seen| {
            let vague = seen.way.side == Side::Inbound && is_vague(seen);
            vague.then(|| claims.ledger.show(seen.way.cluster).into_owned())
        },
        |claims, subject, ways: &[Seen<'_>]| {
            let verdict = Verdict {
                grade: Grade::Likely,
                why: format!("the port's name in {subject} does not say its protocol: the proxies guess it"),
                fix: "begin the name with the protocol (tcp-..., http-...), or set appProtocol".to_owned(),
                check: String::new(),
            };
            Some((claims.count(ways)?, verdict))
        },
    );
}

fn is_vague(seen: &Seen<'_>) -> bool {
    let cluster = &seen.cluster;
    let name = cluster.subset.to_ascii_lowercase();
    let says = PROTOCOLS.iter().any(|protocol| {
        let rest = name.strip_prefix(protocol.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-"))
    });
    let known = cluster.port.is_some_and(|port| KNOWN.contains(&port));
    cluster.direction == Direction::Inbound && !name.is_empty() && !cluster.host.is_empty() && !says && !known
}
