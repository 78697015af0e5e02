//! Clusters that something leads to and that the proxy does not have.

use std::collections::BTreeMap;

use super::check;
use super::finding::{Finding, Place};
use super::view::{Lint, has_all_clusters, place, used};
use crate::cluster::Cluster;
use crate::finding::Grade;

check! {
    /// ## What it finds
    /// Filter chains and routes of active listeners that name a cluster which the proxy does not have, or has and does not
    /// use yet (warming).
    ///
    /// ## When it is silent
    /// Dumps without clusters, or with only some of them. Clusters with the weight 0. Route configurations that no
    /// listener goes by.
    ///
    /// ## How sure
    /// Proven, at the time of the dump. While a configuration is being pushed it may be so for a moment.
    ///
    /// ## Why it matters
    /// What takes such a chain or route fails: `NC`, on HTTP with 503.
    ///
    /// ## Example
    /// A VirtualService routes to the subset `v3` of a host whose DestinationRule has `v1` and `v2`.
    ///
    /// ## What to do
    /// Correct host, port or subset of the VirtualService, or make what it names visible to the proxy.
    ///
    /// ## Source
    /// Envoy documentation, response flags (NC); istio #30730, #31925.
    "L308", "missing-cluster", Error, "a listener or route leads to a cluster that the proxy does not have"
}

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let mut causes: BTreeMap<(&str, bool), Vec<Place>> = BTreeMap::new();
    for proxy in lint.routers.iter().map(|router| router.proxy).filter(|proxy| has_all_clusters(proxy)) {
        for (name, at) in used(proxy) {
            let known = proxy.clusters.get(name);
            if known.is_none_or(|cluster| !cluster.active) {
                causes.entry((name, known.is_some())).or_default().push(place(proxy, at));
            }
        }
    }
    for ((name, warming), places) in causes {
        let cluster = Cluster::read(name.as_bytes());
        let subset = String::from_utf8_lossy(cluster.subset).into_owned();
        let mut finding = Finding::new(&META, Grade::Proven, name);
        let at = places.first().map_or("", |place| &place.part);
        finding.why = if warming {
            format!("{at} leads to it, and the proxy does not use it yet: it is warming, and connections fail with NC")
        } else {
            format!("{at} leads to it, and the proxy has no such cluster: connections fail with NC")
        };
        finding.fix = match (warming, subset.is_empty()) {
            (true, _) => {
                "look at what it waits for: endpoints (EDS) or a certificate (SDS) that istiod does not deliver".into()
            }
            (false, false) => format!(
                "declare the subset {subset} in a DestinationRule for {} that the proxy sees, or correct the VirtualService",
                String::from_utf8_lossy(cluster.host)
            ),
            (false, true) => {
                "correct host and port in the VirtualService, or make the service visible to the proxy (exportTo, \
                              the egress hosts of a Sidecar)"
                    .into()
            }
        };
        finding.places = places;
        found.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::{self, Chain, Has, Listener, Mesh, Proxy, To};

    fn told(clusters: &[(&str, bool)], to: &[(&str, u64)]) -> Vec<Finding> {
        let cluster = |(name, active): &(&str, bool)| {
            ((*name).into(), mesh::Cluster { name: (*name).into(), active: *active, ..Default::default() })
        };
        let to = To::Tcp(to.iter().map(|(name, weight)| ((*name).into(), *weight)).collect());
        let proxy = Proxy {
            has: Has { clusters: true, listeners: true, ..Has::default() },
            listeners: vec![Listener {
                name: "10.0.0.9_80".into(),
                active: true,
                chains: vec![Chain { to, ..Chain::default() }],
                ..Listener::default()
            }],
            clusters: clusters.iter().map(cluster).collect(),
            ..Proxy::default()
        };
        let report = lint(&Mesh { proxies: vec![proxy], ..Mesh::default() });
        report.findings.into_iter().filter(|finding| finding.code == META.code).collect()
    }

    const PASS: (&str, bool) = ("PassthroughCluster", true);

    #[test]
    fn what_is_named_and_not_there_fails() {
        let found = told(&[PASS], &[("outbound|80|v3|web.shop.svc.cluster.local", 1)]);
        assert!(found[0].fix.contains("subset v3"), "{found:?}");
        let found = told(&[PASS, ("outbound|80||web", false)], &[("outbound|80||web", 1)]);
        assert!(found[0].why.contains("warming"), "{found:?}");
    }

    #[test]
    fn what_is_there_or_was_not_asked_for_or_gets_nothing_is_none() {
        assert!(told(&[PASS, ("outbound|80||web", true)], &[("outbound|80||web", 1)]).is_empty());
        assert!(told(&[("outbound|80||other", true)], &[("outbound|80||web", 1)]).is_empty(), "a part of the clusters");
        let weights = [("outbound|80||web", 100), ("outbound|80|v3|web", 0)];
        assert!(told(&[PASS, ("outbound|80||web", true)], &weights).is_empty());
    }
}
