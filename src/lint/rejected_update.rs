//! Updates that proxies refused, and sidecars that have no inbound listener.

use std::collections::BTreeMap;

use super::check;
use super::finding::{Finding, Place};
use super::view::{Lint, place};
use crate::claims::list;
use crate::finding::Grade;
use crate::mesh::{Proxy, Refused};

check! {
    /// ## What it finds
    /// Listeners, clusters and route configurations whose last update the proxy refused (`error_state`), with its words;
    /// and sidecars that have `virtualOutbound` and no active `virtualInbound`.
    ///
    /// ## When it is silent
    /// Dumps without such states: `istioctl proxy-config` leaves them out, `config_dump` has them. Files in which only
    /// some listeners are.
    ///
    /// ## How sure
    /// Proven: the proxy says so itself.
    ///
    /// ## Why it matters
    /// The proxy goes on with what it had before, or with nothing, while istiod shows it as synced. Without
    /// `virtualInbound` nobody reaches the pod.
    ///
    /// ## Example
    /// A Lua filter of an EnvoyFilter that does not compile: `virtualInbound` was refused, and callers are refused too.
    ///
    /// ## What to do
    /// Correct what made the update, mostly an EnvoyFilter; restart the pod if it has no older state.
    ///
    /// ## Source
    /// Envoy `envoy/admin/v3/config_dump_shared.proto` (`UpdateFailureState`); Istio documentation, Debugging Envoy.
    "L305", "rejected-update", Error, "a proxy refused a part of its configuration"
}

/// So many letters of a proxy's words are shown: they may quote whole configurations.
const SHOWN: usize = 400;

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    refused(lint, found);
    deaf(lint, found);
}

/// One update that was refused for one reason, wherever that was.
struct Cause {
    /// When, where that is known.
    times: Vec<String>,
    /// Something older is in use, in all of the proxies.
    has_older: bool,
    places: Vec<Place>,
}

fn refused(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let mut causes: BTreeMap<(&'static str, String, String), Cause> = BTreeMap::new();
    for router in &lint.routers {
        for (kind, name, error, has_older) in errors(router.proxy) {
            let key = (kind, name.to_owned(), error.details.to_string());
            let cause = causes.entry(key).or_insert(Cause { times: Vec::new(), has_older: true, places: Vec::new() });
            cause.times.extend(error.at.map(|at| at.to_string()));
            cause.has_older &= has_older;
            cause.places.push(place(router.proxy, format!("{kind} {name}")));
        }
    }
    for ((kind, name, details), mut cause) in causes {
        cause.times.sort();
        cause.times.dedup();
        let when = if cause.times.is_empty() { String::new() } else { format!(" at {}", list(cause.times)) };
        let words = match details.chars().count() {
            0 => "without a word".to_owned(),
            few if few <= SHOWN => format!("with: {details}"),
            _ => format!("with: {}…", details.chars().take(SHOWN).collect::<String>()),
        };
        let older = if cause.has_older {
            "what it had before stays in use, whatever istiod shows"
        } else {
            "nothing older is in use"
        };
        let mut finding = Finding::new(&META, Grade::Proven, format!("{kind} {name}"));
        finding.why = format!("the update{when} was refused {words}; {older}");
        finding.fix =
            "correct the object that makes it, mostly an EnvoyFilter, and see that istioctl proxy-status shows no \
                       NACK; restart the pod if nothing older is in use"
                .into();
        finding.places = cause.places;
        found.push(finding);
    }
}

/// Every refused update: kind, name, reason, and whether something older is in use.
fn errors(proxy: &Proxy) -> Vec<(&'static str, &str, &Refused, bool)> {
    let mut all = Vec::new();
    for listener in &proxy.listeners {
        let older = || proxy.listeners.iter().any(|other| other.active && other.name == listener.name);
        all.extend(listener.error.iter().map(|error| ("listener", &*listener.name, error, older())));
    }
    let clusters =
        proxy.clusters.iter().filter_map(|(name, cluster)| Some((name, cluster.error.as_ref()?, cluster.active)));
    all.extend(clusters.map(|(name, error, active)| ("cluster", &**name, error, active)));
    // A route configuration that is there at all is in use.
    let routes = proxy.routes.iter().filter_map(|(name, config)| Some((name, config.error.as_ref()?)));
    all.extend(routes.map(|(name, error)| ("route configuration", &**name, error, true)));
    all
}

/// Sidecars that nobody reaches.
fn deaf(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let active = |proxy: &Proxy, name: &str| proxy.listeners.iter().any(|other| other.active && *other.name == *name);
    let sidecars =
        lint.routers.iter().map(|router| router.proxy).filter(|proxy| matches!(&*proxy.node.kind, "" | "sidecar"));
    let places: Vec<Place> = sidecars
        // A list of listeners alone may be what somebody picked.
        .filter(|proxy| proxy.has.clusters || !proxy.node.id.is_empty())
        .filter(|proxy| active(proxy, "virtualOutbound") && !active(proxy, "virtualInbound"))
        .map(|proxy| place(proxy, "listeners"))
        .collect();
    if places.is_empty() {
        return;
    }
    let mut finding = Finding::new(&META, Grade::Proven, "virtualInbound is missing");
    finding.why =
        "the sidecar takes what its application sends and has no listener for what comes to the pod: iptables \
                   sends that to port 15006, where nobody listens, so callers are refused"
            .into();
    finding.fix =
        "look for a refused update of virtualInbound (istioctl proxy-status, the log of istiod) and correct the \
                   EnvoyFilter that it came from"
            .into();
    finding.places = places;
    found.push(finding);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::value::Micros;
    use crate::lint::lint;
    use crate::mesh::{Cluster, Listener, Mesh, Node};

    fn listener(name: &str, active: bool) -> Listener {
        Listener { name: name.into(), active, bound: true, ..Listener::default() }
    }

    fn proxy(pod: &str, listeners: Vec<Listener>) -> Proxy {
        Proxy { node: Node { pod: pod.into(), ..Node::default() }, listeners, ..Proxy::default() }
    }

    fn told(proxies: Vec<Proxy>) -> Vec<Finding> {
        let report = lint(&Mesh { proxies, ..Mesh::default() });
        report.findings.into_iter().filter(|finding| finding.code == META.code).collect()
    }

    #[test]
    fn one_reason_in_two_proxies_is_one_finding_with_its_words_and_time() {
        let with_error = |pod: &str| {
            let error = Some(Refused { details: "script load error".into(), at: Some(Micros(1_700_000_000_000_000)) });
            let refused = Listener { error, ..listener("virtualInbound", true) };
            proxy(pod, vec![listener("virtualOutbound", true), refused])
        };
        let found = told(vec![with_error("a"), with_error("b")]);
        let [only] = &found[..] else { panic!("{found:?}") };
        assert!(
            only.why.contains("script load error")
                && only.why.contains("2023-11-14")
                && only.why.contains("stays in use")
        );
        assert_eq!(only.places.len(), 2);
    }

    #[test]
    fn a_sidecar_without_an_inbound_listener_is_told() {
        let listeners = || vec![listener("virtualOutbound", true), listener("virtualInbound", false)];
        let mut whole = proxy("a", listeners());
        whole.node.id = "sidecar~10.0.0.1~a.b~b.svc.cluster.local".into();
        let found = told(vec![whole]);
        assert_eq!(found.len(), 1);
        assert!(told(vec![proxy("a", listeners())]).is_empty(), "what istioctl was asked for");
        assert_eq!(found[0].subject, "virtualInbound is missing");
        assert!(told(vec![proxy("a", vec![listener("0.0.0.0_80", true)])]).is_empty(), "a part of the listeners");
        assert!(
            told(vec![proxy("a", vec![listener("virtualOutbound", true), listener("virtualInbound", true)])])
                .is_empty()
        );
    }

    #[test]
    fn a_cluster_that_was_refused_and_is_not_there_has_nothing_older() {
        let error = Some(Refused::default());
        let mut refusing = proxy("a", Vec::new());
        refusing.clusters.insert("outbound|80||a".into(), Cluster { error, ..Cluster::default() });
        let found = told(vec![refusing]);
        assert!(found[0].why.contains("nothing older"), "{}", found[0].why);
    }
}
