//! Headless services some of whose pods have a sidecar and some have none.

use super::check;
use super::finding::{Finding, Place, called};
use super::view::Lint;
use crate::claims::list;
use crate::finding::{Grade, Severity};
use crate::mesh::objects::{Pod, Service};
use crate::mesh::policy::{mode, pods, rule_for};
use crate::mesh::protocol::Speaks;

check! {
    /// ## What it finds
    /// Headless Services of which some pods are in the mesh and some are not: proxies speak plaintext to all of them then.
    ///
    /// ## When it is silent
    /// Services whose pods are all in the mesh, or none of them. Pods of which nothing says it, and pods that have ended.
    ///
    /// ## How sure
    /// Likely: a cluster that sends on to the address that was dialled has one TLS setting for all. An error if the pods in
    /// the mesh ask for mTLS (STRICT), since they refuse their callers then.
    ///
    /// ## Why it matters
    /// One pod without a sidecar takes the encryption and the identity from the calls of all the others, and no object says
    /// so.
    ///
    /// ## Example
    /// A StatefulSet whose first pod was started before the namespace was labelled for injection.
    ///
    /// ## What to do
    /// Start the pods without a sidecar again, so that they get one; or say in a DestinationRule what the callers do.
    ///
    /// ## Source
    /// Istio `pilot/pkg/model/push_context.go` (BestEffortInferServiceMTLSMode), `pilot/pkg/networking/core/cluster_tls.go`;
    /// istio #21964.
    "L310", "mixed-headless-mtls", Error, "a headless Service has pods with and without a sidecar: plaintext for all of them"
}

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let objects = &lint.mesh.objects;
    for service in objects.services.iter().filter(|service| service.headless) {
        let running: Vec<&Pod> =
            pods(objects, service).into_iter().filter(|pod| !matches!(&*pod.phase, "Succeeded" | "Failed")).collect();
        let part = |meshed: bool| running.iter().copied().filter(move |pod| pod.meshed == Some(meshed));
        let (Some(inside), true) = (part(true).next(), part(false).next().is_some()) else { continue };
        // HTTP ports have no listener for each pod.
        let by_address =
            |service: &Service| service.ports.iter().any(|port| Speaks::of(service, port).goes_by_address());
        if !by_address(service) || has_rule(lint, service) {
            continue;
        }
        let strict = service.ports.iter().any(|port| {
            let target = port.target.parse().unwrap_or(port.number);
            mode(objects, &service.meta.namespace, &inside.meta.labels, target) == "STRICT"
        });
        let mut finding = Finding::new(&META, Grade::Likely, called(&service.meta));
        finding.severity = if strict { Severity::Error } else { Severity::Warning };
        let refused = if strict { "; those with one ask for mTLS (STRICT) and refuse these calls" } else { "" };
        finding.why = format!(
            "{} of its pods have a sidecar, and {} have none ({}): proxies speak plaintext to all of them{refused}",
            part(true).count(),
            part(false).count(),
            list(part(false).map(|pod| pod.meta.name.to_string()))
        );
        finding.fix = "let the pods without a sidecar be started again with one".into();
        let without = part(false).map(|pod| Place::of_object(&pod.meta, "has no sidecar"));
        finding.places = std::iter::once(Place::of_object(&service.meta, "")).chain(without).collect();
        found.push(finding);
    }
}

/// Whether a DestinationRule says which TLS the callers use.
fn has_rule(lint: &Lint<'_>, service: &Service) -> bool {
    rule_for(&lint.mesh.objects, &service.host).is_some_and(|rule| !rule.tls_mode.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::Mesh;
    use crate::mesh::objects::{DestinationRule, Meta, Objects, PeerAuthentication, Port};

    fn mesh(meshed: &[Option<bool>], strict: bool) -> Mesh {
        let meta = |kind: &str, name: &str| Meta {
            kind: kind.into(),
            namespace: "data".into(),
            name: name.into(),
            labels: [("app".into(), "db".into())].into(),
            ..Meta::default()
        };
        let pod = |(number, meshed): (usize, &Option<bool>)| Pod {
            meta: meta("Pod", &format!("db-{number}")),
            meshed: *meshed,
            ..Pod::default()
        };
        let service = Service {
            meta: meta("Service", "db"),
            host: "db.data.svc.cluster.local".into(),
            headless: true,
            selector: [("app".into(), "db".into())].into(),
            ports: vec![Port { number: 6379, name: "tcp".into(), protocol: "TCP".into(), ..Port::default() }],
            ..Service::default()
        };
        let policy = PeerAuthentication {
            meta: meta("PeerAuthentication", "default"),
            mode: "STRICT".into(),
            ..PeerAuthentication::default()
        };
        let objects = Objects {
            services: vec![service],
            pods: meshed.iter().enumerate().map(pod).collect(),
            peer_authentications: if strict { vec![policy] } else { Vec::new() },
            ..Objects::default()
        };
        Mesh { objects, ..Mesh::default() }
    }

    fn told(mesh: &Mesh) -> Option<Finding> {
        lint(mesh).findings.into_iter().find(|finding| finding.code == META.code)
    }

    #[test]
    fn one_pod_without_a_sidecar_is_a_warning_and_an_error_under_strict() {
        let found = told(&mesh(&[Some(true), Some(false)], false)).unwrap();
        assert!(found.severity == Severity::Warning && found.why.contains("db-1"), "{}", found.why);
        assert_eq!(told(&mesh(&[Some(true), Some(false)], true)).unwrap().severity, Severity::Error);
    }

    #[test]
    fn all_or_none_of_them_or_nobody_knows_is_no_mixture() {
        for pods in [&[Some(true), Some(true)][..], &[Some(false)], &[Some(true), None]] {
            assert!(told(&mesh(pods, true)).is_none());
        }
        let mut ruled = mesh(&[Some(true), Some(false)], false);
        let host = "db.data.svc.cluster.local".into();
        ruled.objects.destination_rules =
            vec![DestinationRule { host, tls_mode: "DISABLE".into(), ..DestinationRule::default() }];
        assert!(told(&ruled).is_none());
    }
}
