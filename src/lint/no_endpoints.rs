//! Services that proxies send to and that have no endpoint.

use std::collections::BTreeMap;

use super::check;
use super::finding::{Finding, Place};
use super::view::{Lint, place, used};
use crate::cluster::Direction;
use crate::finding::Grade;
use crate::route::Fate;

check! {
    /// ## What it finds
    /// Clusters of services to which a listener or a route leads and that have no endpoint, or none that is healthy.
    ///
    /// ## When it is silent
    /// Dumps without endpoints. `BlackHoleCluster`, which has none on purpose. Clusters that send on to the address that
    /// was dialled.
    ///
    /// ## How sure
    /// Proven, at the time of the dump; likely where endpoints are there and none is healthy, as a proxy may panic and
    /// use them all the same. Whether anybody calls the service, only a log says.
    ///
    /// ## Why it matters
    /// Calls fail with `UH`.
    ///
    /// ## Example
    /// A Service whose selector matches no pod, a Deployment with no replicas, a subset whose labels nobody has.
    ///
    /// ## What to do
    /// Compare the selector (and the subset's labels) with the pods' labels, and see whether the pods are ready.
    ///
    /// ## Source
    /// Envoy documentation, response flags (UH); istio #50075.
    "L309", "no-endpoints", Warning, "a service that proxies send to has no healthy endpoint"
}

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let mut causes: BTreeMap<(&str, Fate), Vec<Place>> = BTreeMap::new();
    for router in lint.routers.iter().filter(|router| !router.proxy.endpoints.is_empty()) {
        for (name, at) in used(router.proxy) {
            let fate = router.fate(name);
            let none = matches!(fate, Fate::NoEndpoint | Fate::NoneHealthy);
            if none && Direction::of(name.as_bytes()) == Direction::Outbound {
                causes.entry((name, fate)).or_default().push(place(router.proxy, at));
            }
        }
    }
    for ((name, fate), places) in causes {
        let (grade, what) = match fate {
            Fate::NoEndpoint => (Grade::Proven, "it has no endpoint"),
            _ => (Grade::Likely, "none of its endpoints is healthy"),
        };
        let at = places.first().map_or("", |place| &place.part);
        let mut finding = Finding::new(&META, grade, name);
        finding.why = format!("{at} leads to it, and {what}: calls fail with UH");
        finding.fix =
            "compare the Service's selector, or the subset's labels, with the labels of the pods, and see whether \
                       they are ready; a host that is resolved by name has to resolve"
                .into();
        finding.places = places;
        found.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::{Address, Chain, Cluster, Endpoint, Has, Listener, Mesh, Proxy, To};

    fn told(name: &str, kind: &str, endpoints: &[bool]) -> Vec<Finding> {
        let endpoint = |healthy: &bool| Endpoint {
            address: Address::Ip("10.0.0.1:80".parse().unwrap()),
            healthy: *healthy,
            state: "".into(),
            tls_mode: "".into(),
            workload: ("".into(), "".into()),
            connect_failures: None,
        };
        let cluster = Cluster { name: name.into(), kind: kind.into(), active: true, ..Cluster::default() };
        let to = To::Tcp(vec![(name.into(), 1)]);
        let proxy = Proxy {
            has: Has { clusters: true, listeners: true, endpoints: true, ..Has::default() },
            listeners: vec![Listener {
                active: true,
                chains: vec![Chain { to, ..Chain::default() }],
                ..Listener::default()
            }],
            clusters: [(name.into(), cluster)].into(),
            endpoints: [
                (name.into(), endpoints.iter().map(endpoint).collect()),
                ("outbound|1||other".into(), vec![endpoint(&true)]),
            ]
            .into(),
            ..Proxy::default()
        };
        let report = lint(&Mesh { proxies: vec![proxy], ..Mesh::default() });
        report.findings.into_iter().filter(|finding| finding.code == META.code).collect()
    }

    #[test]
    fn a_service_without_a_healthy_endpoint_is_told() {
        assert_eq!(told("outbound|80||web", "EDS", &[])[0].grade, Grade::Proven);
        assert_eq!(told("outbound|80||web", "EDS", &[false, false])[0].grade, Grade::Likely);
    }

    #[test]
    fn one_that_is_healthy_or_none_on_purpose_is_enough() {
        assert!(told("outbound|80||web", "EDS", &[true, false]).is_empty());
        assert!(told("outbound|80||web", "ORIGINAL_DST", &[]).is_empty());
        assert!(told("BlackHoleCluster", "STATIC", &[]).is_empty());
    }
}
