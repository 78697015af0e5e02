//! How a connection ended, as far as flags, bytes and durations tell together.
//!
//! Flags mean something else in company, and on TCP something else than on HTTP. Where a TCP connection failed after it
//! was made there is no flag at all, and only the bytes tell. Sources: Envoy `source/common/tcp_proxy/tcp_proxy.cc` and
//! `source/common/router/router.cc`; Istio `pilot/pkg/networking/core/route/retry/retry.go`.

use super::flag::Flags;

/// What a set of flags means on TCP and on HTTP; empty where it is not known to occur.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    /// Short names.
    pub flags: &'static [&'static str],
    /// On TCP.
    pub tcp: &'static str,
    /// On HTTP.
    pub http: &'static str,
}

/// Sets that mean more than their members.
pub const SETS: &[Set] = &[
    Set {
        flags: &["UF", "URX"],
        tcp: "one attempt to connect failed (refused, timed out, or TLS) and was not repeated: URX only says that the limit \
              of attempts, 1 by default, is reached",
        http: "the connect failed, and so did every retry (Istio retries twice by default): the usual picture of an \
               unreachable service on the client's side",
    },
    Set {
        flags: &["UF"],
        tcp: "the client gave up while the proxy was still connecting",
        http: "the connect failed and was not retried; usual on the server's side, which has no retries",
    },
    Set {
        flags: &["URX"],
        tcp: "the connect failed in this proxy itself: no route, no free port, an address that cannot be bound, or a full pool",
        http: "every retry was used up",
    },
    Set {
        flags: &["UH"],
        tcp: "nothing was dialled: with BlackHoleCluster the destination is blocked, else the service has no healthy endpoint",
        http: "the service has no healthy endpoint; a blocked host gives 502 direct_response and no flag",
    },
    Set {
        flags: &["UO"],
        tcp: "a limit of connections is reached: failed at once, nothing was dialled",
        http: "a limit of connections or requests is reached: failed at once",
    },
    Set {
        flags: &["NR"],
        tcp: "a listener's own line: no filter chain takes the connection, most often plaintext that meets STRICT mTLS",
        http: "no virtual host or no route matches: 404",
    },
    Set {
        flags: &["NC"],
        tcp: "the listener names a cluster that the proxy does not have",
        http: "the route names a cluster that the proxy does not have: a subset without DestinationRule, a host without service",
    },
    Set {
        flags: &["DC"],
        tcp: "",
        http: "the client went away before the response was complete; durations on a round number are its timeout",
    },
    Set {
        flags: &["UC"],
        tcp: "",
        http: "connected, then closed by the upstream before it had answered: a kept connection that the server had closed, \
               a crash, or plaintext that met STRICT mTLS",
    },
    Set { flags: &["UC", "URX"], tcp: "", http: "the upstream closed the connection, and so it did on every retry" },
    Set { flags: &["UR", "URX"], tcp: "", http: "the upstream reset the stream, and so it did on every retry" },
    Set { flags: &["UT", "URX"], tcp: "", http: "no attempt was answered within its timeout" },
];

/// What the set of flags means together on TCP (else on HTTP), if that is known.
pub fn together(flags: Flags, tcp: bool) -> Option<&'static str> {
    let set = SETS.iter().find(|set| Flags::of(set.flags) == flags)?;
    Some(if tcp { set.tcp } else { set.http }).filter(|text| !text.is_empty())
}

/// A connect that failed faster than this was answered: refused, or reset.
const AT_ONCE: u64 = 100;
/// One that took longer waited for an answer.
const WAITED: u64 = 500;

/// What the duration tells of a connect that failed.
pub fn connecting(millis: u64) -> Option<&'static str> {
    match millis {
        ..AT_ONCE => Some("failed at once: refused or reset, somebody answered"),
        WAITED.. => Some(
            "as long as a connect timeout (Istio's default is 10 s): a dead address, a firewall or a NetworkPolicy",
        ),
        _ => None,
    }
}

/// What bytes and duration tell of a TCP connection without a flag: `received` from the client, `sent` to it.
pub fn unflagged(received: u64, sent: u64, millis: u64) -> &'static str {
    match (received, sent) {
        (0, 0) if millis < WAITED => "nobody sent anything: a port check, a load balancer's probe, a scan",
        (0, 0) => {
            "nobody sent anything for long: both sides waited, or an idle timeout; is it a protocol in which the server speaks first?"
        }
        (0, _) => "the server spoke first and the client left without a word",
        (_, 0) => {
            "the client sent and nothing came back: taken, then closed without an answer (mTLS that does not fit, a policy, another protocol)"
        }
        _ => "both sides sent: nothing that Envoy calls a failure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_known_flags_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for set in SETS {
            let flags = Flags::of(set.flags);
            assert!(!flags.any(Flags::UNKNOWN) && seen.insert(flags) && !set.http.is_empty());
        }
    }

    #[test]
    fn the_same_set_means_something_else_on_tcp_and_http() {
        let flags = Flags::of(&["URX", "UF"]);
        assert!(together(flags, true).is_some_and(|text| text.contains("not repeated")));
        assert!(together(flags, false).is_some_and(|text| text.contains("every retry")));
        assert_eq!(together(Flags::of(&["UC"]), true), None);
        assert_eq!(together(Flags::of(&["LH", "DI"]), false), None);
    }
}
