//! ExternalName Services that list TCP ports.

use super::check;
use super::finding::{Finding, Place, called};
use super::view::{Lint, Shape};
use crate::claims::list;
use crate::finding::{Grade, Severity};
use crate::mesh::objects::{Port, Service};
use crate::mesh::protocol::Speaks;
use crate::remedy::{ALIAS, Hijack, hijack};

check! {
    /// ## What it finds
    /// ExternalName Services with ports that are not HTTP or TLS, whatever the ports are called: up to Istio 1.20 each
    /// such port makes a listener that catches it for every proxy that sees the Service.
    ///
    /// ## When it is silent
    /// Ports that a dump shows to be caught already: see `catch-all`. Ports that a dump shows not to be. HTTP and TLS ports.
    ///
    /// ## How sure
    /// Likely if the dumps are of 1.20 or older, suspect if no release is known. From 1.21 on such Services are other names
    /// of their targets unless that is switched off (worth knowing), from 1.24 on always: the ports mean nothing then.
    ///
    /// ## Why it matters
    /// The ports are useless to Kubernetes, which answers the name and looks at no port, and break strangers: every
    /// connection to an unknown address on that port ends at the name's target. `istioctl analyze` (IST0150) does not warn
    /// where the port is called `tcp-...`.
    ///
    /// ## Example
    /// `app-ext.app`, ExternalName for `idle.manager.svc.cluster.local`, with the port `tcp-hazelcast` 5701.
    ///
    /// ## What to do
    /// Take the ports off the Service.
    ///
    /// ## Source
    /// Istio documentation, Traffic Routing; Istio `pilot/pkg/features` (ENABLE_EXTERNAL_NAME_ALIAS), release notes of 1.20
    /// to 1.24; `pkg/config/analysis/analyzers/service/portname.go`.
    "L302", "external-name-ports", Warning, "an ExternalName Service lists TCP ports, which catch whole ports up to Istio 1.20"
}

/// From this release on they never have.
const ALWAYS_ALIAS: (u32, u32) = (1, 24);

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    for service in lint.mesh.objects.services.iter().filter(|service| !service.external_name.is_empty()) {
        let unseen = |port: &&Port| {
            Speaks::of(service, port).goes_by_address() && lint.shape(&service.host, port.number) == Shape::Unseen
        };
        let ports: Vec<&Port> = service.ports.iter().filter(unseen).collect();
        if !ports.is_empty() {
            found.push(finding(lint, service, &ports));
        }
    }
}

fn finding(lint: &Lint<'_>, service: &Service, ports: &[&Port]) -> Finding {
    let releases = lint.releases();
    let oldest = releases.first().copied();
    let (severity, grade, what) = match oldest {
        Some(oldest) if oldest < ALIAS => (
            Severity::Warning,
            Grade::Likely,
            format!(
                "in Istio {}.{}, which a proxy here has, each makes a listener on every address of the port, which takes what \
                 has no listener of its own",
                oldest.0, oldest.1
            ),
        ),
        Some(oldest) if oldest < ALWAYS_ALIAS => (
            Severity::Info,
            Grade::Likely,
            "Istio 1.21 to 1.23, which a proxy here has, take it for another name of its target and ignore the ports, unless \
             ENABLE_EXTERNAL_NAME_ALIAS=false makes them catch their whole port again"
                .to_owned(),
        ),
        Some(_) => (
            Severity::Info,
            Grade::Likely,
            "Istio 1.24 and later, which all proxies here have, take it for another name of its target and ignore the ports: \
             they are harmless and say nothing"
                .to_owned(),
        ),
        None => (
            Severity::Warning,
            Grade::Suspect,
            "up to Istio 1.20 each makes a listener on every address of the port, which takes what has no listener of its own; \
             from 1.21 on they are ignored. No dump says which release it is"
                .to_owned(),
        ),
    };
    let named = list(ports.iter().map(|port| match &*port.name {
        "" => port.number.to_string(),
        name => format!("{} ({name})", port.number),
    }));
    let mut finding = Finding::new(&META, grade, called(&service.meta));
    finding.severity = severity;
    finding.why = format!("it is an ExternalName for {} with ports {named}; {what}", service.external_name);
    for port in ports {
        let ways = hijack(&Hijack {
            catcher: service,
            port: port.number,
            victims: Vec::new(),
            version: oldest,
            dns_capture: false,
        });
        // What is harmless needs no other way than to be tidied.
        let most = if severity == Severity::Info { 1 } else { ways.len() };
        finding.add(ways.into_iter().take(most));
    }
    finding.fix = "take the ports off: Kubernetes ignores them too".into();
    finding.places =
        ports.iter().map(|port| Place::of_object(&service.meta, format!("port {}", port.number))).collect();
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::objects::{Meta, Objects};
    use crate::mesh::{Mesh, Node, Proxy};

    fn mesh(name: &str, version: &str) -> Mesh {
        let service = Service {
            meta: Meta { kind: "Service".into(), namespace: "app".into(), name: "app-ext".into(), ..Meta::default() },
            host: "app-ext.app.svc.cluster.local".into(),
            external_name: "idle.manager.svc.cluster.local".into(),
            ports: vec![Port { number: 5701, name: name.into(), protocol: "TCP".into(), ..Port::default() }],
            ..Service::default()
        };
        let node = Node { version: version.into(), ..Node::default() };
        let proxies = if version.is_empty() { Vec::new() } else { vec![Proxy { node, ..Proxy::default() }] };
        Mesh { proxies, objects: Objects { services: vec![service], ..Objects::default() }, ..Mesh::default() }
    }

    fn told(name: &str, version: &str) -> Option<(Severity, Grade)> {
        let report = lint(&mesh(name, version));
        report.findings.iter().find(|told| told.code == META.code).map(|told| (told.severity, told.grade))
    }

    #[test]
    fn a_tcp_port_counts_whatever_it_is_called_and_what_it_does_depends_on_the_release() {
        assert_eq!(told("tcp-hazelcast", "1.20.3"), Some((Severity::Warning, Grade::Likely)));
        assert_eq!(told("hazelcast", "1.6.2"), Some((Severity::Warning, Grade::Likely)));
        assert_eq!(told("tcp", "1.22.0"), Some((Severity::Info, Grade::Likely)));
        assert_eq!(told("tcp", "1.25.0"), Some((Severity::Info, Grade::Likely)));
        assert_eq!(told("tcp", ""), Some((Severity::Warning, Grade::Suspect)));
    }

    #[test]
    fn http_and_tls_ports_catch_nothing() {
        assert_eq!(told("http-web", "1.6.2"), None);
        assert_eq!(told("https", "1.6.2"), None);
    }
}
