//! Services without an address on one port: only one of them gets a listener.

use std::collections::{BTreeMap, BTreeSet};

use super::check;

use super::finding::{Finding, Place, called};
use super::service_entry_without_addresses::is_bare;
use super::view::{Lint, by_port, has_all_clusters, has_all_routes, place, used};
use crate::claims::list;
use crate::cluster::{Cluster, Direction};
use crate::finding::Grade;
use crate::mesh::objects::Service;
use crate::remedy::ALIAS;

check! {
    /// ## What it finds
    /// Several services without an address (ExternalName Services up to Istio 1.20, ServiceEntries) that take TCP on one
    /// port: their listener would be the same, so all but one are dropped. In a dump: a cluster that is resolved by name
    /// to which no listener and no route leads, on a port that another one catches.
    ///
    /// ## When it is silent
    /// HTTP and TLS ports, which are told apart by host and SNI. Services that no namespace sees together. The same host
    /// declared twice.
    ///
    /// ## How sure
    /// Proven by a dump; likely by objects with times; suspect if they do not say when they were made.
    ///
    /// ## Why it matters
    /// Whoever calls the one that was dropped is connected to the other one. istiod only counts it; `istioctl analyze`
    /// looks at one host at a time.
    ///
    /// ## Example
    /// `db-a.example` and `db-b.example`, both TCP 3306 without addresses in two namespaces: the older one has both.
    ///
    /// ## What to do
    /// Give them addresses, or DNS capture, or ports of their own, or keep each to its namespace with exportTo.
    ///
    /// ## Source
    /// Istio `pilot/pkg/networking/core/listener.go` (conflicts), `pilot/pkg/model/push_context.go` (private before public,
    /// then by age); istio #6695, #5991.
    "L304", "dropped-service", Error, "of several services without an address on one port only one gets a listener"
}

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let shown = in_dumps(lint, found);
    in_objects(lint, &shown, found);
}

/// Hosts that have lost, by port.
type Lost = BTreeSet<(u16, String)>;

fn in_dumps(lint: &Lint<'_>, found: &mut Vec<Finding>) -> Lost {
    /// The clusters that have the port, and where that is so.
    type Shown<'m> = (BTreeSet<&'m str>, Vec<Place>);
    let mut causes: BTreeMap<(u16, String), Shown<'_>> = BTreeMap::new();
    for (number, router) in lint.routers.iter().enumerate() {
        let proxy = router.proxy;
        if !has_all_clusters(proxy) || !has_all_routes(proxy) {
            continue;
        }
        let named = used(proxy);
        for (name, cluster) in proxy.clusters.iter().filter(|(name, _)| !named.contains_key(&***name)) {
            let read = Cluster::read(name.as_bytes());
            let by_name = matches!(&*cluster.kind, "STRICT_DNS" | "LOGICAL_DNS");
            let (Some(port), true, b"") = (read.port, by_name && read.direction == Direction::Outbound, read.subset)
            else {
                continue;
            };
            let winner = lint.catches.iter().find(|catch| catch.router == number && catch.address.port() == port);
            if let Some(winner) = winner {
                let host = String::from_utf8_lossy(read.host).into_owned();
                let (winners, places) = causes.entry((port, host)).or_default();
                winners.insert(winner.cluster);
                places.push(place(proxy, format!("cluster {name}")));
            }
        }
    }
    let mut lost = Lost::new();
    for ((port, host), (winners, places)) in causes {
        let mut finding = Finding::new(&META, Grade::Proven, format!("{host} on port {port}"));
        finding.why = format!(
            "it has a cluster to which no listener and no route leads, and everything on port {port} goes to {}: its callers \
             are connected to that",
            list(winners.into_iter().map(str::to_owned))
        );
        finding.fix = FIX.into();
        finding.places = places;
        found.push(finding);
        lost.insert((port, host));
    }
    lost
}

const FIX: &str = "give both addresses (or DNS capture, so that they get some), or ports of their own, or keep each to its \
                   namespace with exportTo \".\"";

fn in_objects(lint: &Lint<'_>, shown: &Lost, found: &mut Vec<Finding>) {
    let without_address = lint.mesh.objects.services.iter().filter(|service| is_without_address(lint, service));
    for (port, mut services) in by_port(without_address) {
        services.sort_by_key(|service| (service.meta.created, &service.meta.name, &service.meta.namespace));
        for (loser, by) in losers(&services) {
            let loser = services[loser];
            if !shown.contains(&(port, loser.host.to_string())) {
                found.push(finding(port, loser, &by));
            }
        }
    }
}

/// An object that has no address in at least one proxy's eyes.
fn is_without_address(lint: &Lint<'_>, service: &Service) -> bool {
    let alias = || lint.releases().first().is_some_and(|oldest| *oldest >= ALIAS);
    is_bare(lint, service) || !service.external_name.is_empty() && !alias()
}

/// Those that get no listener, by place, each with who has it and where. What is exported to some namespaces only comes
/// before what all see.
fn losers<'s>(services: &[&'s Service]) -> BTreeMap<usize, Vec<(&'s Service, String)>> {
    let mut lost: BTreeMap<usize, Vec<(&Service, String)>> = BTreeMap::new();
    let public: Vec<usize> = (0..services.len()).filter(|place| namespaces(services[*place]).is_none()).collect();
    if let Some((winner, others)) = public.split_first() {
        for place in others.iter().filter(|place| services[**place].host != services[*winner].host) {
            lost.entry(*place).or_default().push((services[*winner], String::new()));
        }
    }
    let mut private: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, service) in services.iter().enumerate() {
        for namespace in namespaces(service).unwrap_or_default() {
            private.entry(namespace).or_default().push(place);
        }
    }
    for (namespace, places) in private {
        let winner = services[places[0]];
        for place in places[1..].iter().chain(public.first()).filter(|place| services[**place].host != winner.host) {
            lost.entry(*place).or_default().push((winner, namespace.to_owned()));
        }
    }
    lost
}

/// The only namespaces that see a service; none if all do.
fn namespaces(service: &Service) -> Option<Vec<&str>> {
    let all = service.export_to.is_empty() || service.export_to.iter().any(|to| &**to == "*");
    let own = |to| if to == "." { &*service.meta.namespace } else { to };
    (!all).then(|| service.export_to.iter().map(|to| own(&**to)).filter(|to| *to != "~").collect())
}

fn finding(port: u16, loser: &Service, by: &[(&Service, String)]) -> Finding {
    let known = loser.meta.created.is_some() && by.iter().all(|(winner, _)| winner.meta.created.is_some());
    let mut finding = Finding::new(
        &META,
        if known { Grade::Likely } else { Grade::Suspect },
        format!("{} on port {port}", loser.host),
    );
    let winners = by.iter().map(|(winner, namespace)| {
        let created = winner.meta.created.map_or(String::new(), |at| format!(", created {at}"));
        let place = if namespace.is_empty() { "" } else { " for the proxies of namespace " };
        format!("{} ({}{created}){place}{namespace}", winner.host, called(&winner.meta))
    });
    let created = loser.meta.created.map_or(String::new(), |at| format!(", created {at},"));
    let unsure = if known { "" } else { ". Nothing says which is older, so it may be the other way round" };
    finding.why = format!(
        "{}{created} has no address, and neither has {}: for TCP on port {port} both need the same listener, which the other \
         one gets, and with it the connections that are meant for this one{unsure}",
        called(&loser.meta),
        list(winners)
    );
    finding.fix = FIX.into();
    let metas = std::iter::once(&loser.meta).chain(by.iter().map(|(winner, _)| &winner.meta));
    finding.places = metas.map(|meta| Place::of_object(meta, format!("port {port}"))).collect();
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::value::Micros;
    use crate::lint::lint;
    use crate::mesh::objects::{Meta, Objects, Port, Resolution};
    use crate::mesh::{Chain, Has, Listener, Mesh, Proxy, To};

    fn entry(name: &str, namespace: &str, created: Option<i64>, export_to: &[&str]) -> Service {
        Service {
            meta: Meta {
                kind: "ServiceEntry".into(),
                namespace: namespace.into(),
                name: name.into(),
                created: created.map(Micros),
                ..Meta::default()
            },
            host: format!("{name}.example").into(),
            resolution: Resolution::Dns,
            ports: vec![Port { number: 3306, protocol: "TCP".into(), ..Port::default() }],
            export_to: export_to.iter().map(|to| (*to).into()).collect(),
            ..Service::default()
        }
    }

    fn told(services: Vec<Service>) -> Vec<Finding> {
        let objects = Objects { services, ..Objects::default() };
        let report = lint(&Mesh { objects, ..Mesh::default() });
        report.findings.into_iter().filter(|finding| finding.code == META.code).collect()
    }

    #[test]
    fn the_older_of_two_public_ones_has_the_port() {
        let found = told(vec![entry("a", "x", Some(2), &[]), entry("b", "y", Some(1), &[])]);
        let [only] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&*only.subject, only.grade), ("a.example on port 3306", Grade::Likely));
        assert!(only.why.contains("b.example (ServiceEntry b in namespace y"), "{}", only.why);
        assert_eq!(told(vec![entry("a", "x", None, &[]), entry("b", "y", None, &[])])[0].grade, Grade::Suspect);
    }

    #[test]
    fn a_private_one_comes_before_a_public_one_whatever_their_age() {
        let found = told(vec![entry("a", "x", Some(1), &["*"]), entry("b", "y", Some(2), &["."])]);
        let [only] = &found[..] else { panic!("{found:?}") };
        assert_eq!(only.subject, "a.example on port 3306");
        assert!(only.why.contains("for the proxies of namespace y"), "{}", only.why);
    }

    #[test]
    fn those_that_never_meet_or_have_one_host_lose_nothing() {
        assert!(told(vec![entry("a", "x", Some(1), &["."]), entry("b", "y", Some(2), &["."])]).is_empty());
        assert!(told(vec![entry("a", "x", Some(1), &[]), entry("a", "y", Some(2), &[])]).is_empty());
        assert!(told(vec![entry("a", "x", Some(1), &[])]).is_empty());
    }

    #[test]
    fn a_dump_shows_the_cluster_that_nothing_leads_to() {
        let cluster = |name: &str| {
            let kind = if name.starts_with("outbound") { "STRICT_DNS" } else { "ORIGINAL_DST" };
            (
                name.into(),
                crate::mesh::Cluster { name: name.into(), kind: kind.into(), active: true, ..Default::default() },
            )
        };
        let to = To::Tcp(vec![("outbound|3306||b.example".into(), 1)]);
        let proxy = Proxy {
            has: Has { listeners: true, clusters: true, ..Has::default() },
            listeners: vec![Listener {
                name: "0.0.0.0_3306".into(),
                addresses: vec!["0.0.0.0:3306".parse().unwrap()],
                active: true,
                chains: vec![Chain { to, ..Chain::default() }],
                ..Listener::default()
            }],
            clusters: ["outbound|3306||a.example", "outbound|3306||b.example", "PassthroughCluster"]
                .map(cluster)
                .into(),
            ..Proxy::default()
        };
        let report = lint(&Mesh { proxies: vec![proxy], ..Mesh::default() });
        let found: Vec<_> = report.findings.iter().filter(|finding| finding.code == META.code).collect();
        assert_eq!(found.len(), 1);
        assert_eq!((&*found[0].subject, found[0].grade), ("a.example on port 3306", Grade::Proven));
    }
}
