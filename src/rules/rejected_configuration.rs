//! A proxy that refused a part of its configuration.

use std::collections::BTreeMap;

use super::rule;
use crate::claims::{Claims, Verdict};
use crate::event::{Event, Kind};
use crate::finding::Grade;

rule! {
    /// ## What it finds
    /// Lines of Envoy or the agent which say that a listener, cluster or route of the new configuration was rejected;
    /// one finding for each proxy.
    ///
    /// ## When it is silent
    /// A stream to the control plane that closed and opened again is an event of the report, not a finding.
    ///
    /// ## How sure
    /// Proven: the proxy itself says so.
    ///
    /// ## Why it matters
    /// The proxy goes on with what it had, or without the part: connections that should have a listener have none,
    /// although the control plane believes all is well.
    ///
    /// ## Example
    /// `gRPC config for type.googleapis.com/envoy.config.listener.v3.Listener rejected: Error adding/updating listener(s) virtualInbound: ...`
    ///
    /// ## What to do
    /// Read the reason in the line; most often an EnvoyFilter, a Lua script, or two matches that are the same.
    ///
    /// ## Source
    /// Envoy `source/extensions/config_subscription/grpc`; istio/istio `pilot/pkg/xds`.
    "S102", "rejected-configuration", Error, "a proxy refused its configuration"
}

pub(super) fn judge(claims: &mut Claims<'_>) {
    let mut by_proxy: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for (_, _, events) in claims.events.iter().filter(|(kind, ..)| *kind == Kind::ConfigRejected) {
        for event in events {
            let pod = String::from_utf8_lossy(&event.pod).into_owned();
            let pod = if pod.is_empty() { "a proxy".to_owned() } else { pod };
            by_proxy.entry(pod).or_default().push(event.clone());
        }
    }
    for (pod, events) in by_proxy {
        let said = String::from_utf8_lossy(&events[0].text).into_owned();
        let verdict = Verdict {
            grade: Grade::Proven,
            why: format!("{pod} refused new configuration and goes on with what it had: {said}"),
            fix: "look for the object that the line names; EnvoyFilters first".to_owned(),
            check: format!("istioctl proxy-status; the error_state in the config dump of {pod}"),
        };
        claims.events(pod, &events, verdict);
    }
}
