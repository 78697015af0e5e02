//! ServiceEntries without addresses that list TCP ports.

use super::check;
use super::finding::{Finding, Place};
use super::view::{Lint, Shape};
use crate::claims::list;
use crate::finding::{Grade, Severity};
use crate::mesh::objects::{Port, Resolution, Service};
use crate::mesh::protocol::Speaks;
use crate::remedy::{Hijack, hijack};

check! {
    /// ## What it finds
    /// ServiceEntries without `addresses` whose ports are TCP or have no protocol: each such port makes a listener that
    /// catches it for every proxy that sees the ServiceEntry. Also those to which istiod allocated addresses
    /// (`status.addresses`), as long as a proxy has no DNS capture and so does not use them.
    ///
    /// ## When it is silent
    /// Ports that a dump shows to be caught already: see `catch-all`. Ports that a dump shows not to be. HTTP ports, and
    /// TLS ports, which take their own SNI only. Allocated addresses where every proxy has DNS capture.
    ///
    /// ## How sure
    /// Likely; suspect if addresses were allocated and no dump says whether proxies use them.
    ///
    /// ## Why it matters
    /// Every connection to an unknown address on that port ends at this host. `istioctl analyze` (IST0134) is silent as
    /// soon as addresses were allocated, and on ports of MONGO, REDIS and MYSQL.
    ///
    /// ## Example
    /// Two databases outside of the mesh, each a ServiceEntry with TCP port 3306 and no address: one gets the calls of both.
    ///
    /// ## What to do
    /// Give it addresses, turn on DNS capture, or declare TLS if the clients speak it.
    ///
    /// ## Source
    /// Istio documentation, DNS Proxying and Traffic Routing; `pilot/pkg/model/service.go`;
    /// `pkg/config/analysis/analyzers/serviceentry/protocoladdresses.go`; istio #8462, #9784.
    "L303", "service-entry-without-addresses", Warning, "a ServiceEntry without addresses lists TCP ports, which it catches whole"
}

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    // An object with several hosts is one cause.
    let entries: Vec<&Service> = lint.mesh.objects.services.iter().filter(|service| is_bare(lint, service)).collect();
    for hosts in entries
        .chunk_by(|one, other| (&one.meta.namespace, &one.meta.name) == (&other.meta.namespace, &other.meta.name))
    {
        let Some(service) = hosts.first() else { continue };
        let catches = |port: &&Port| {
            let unseen = hosts.iter().any(|host| lint.shape(&host.host, port.number) == Shape::Unseen);
            Speaks::of(service, port).goes_by_address() && unseen
        };
        let ports: Vec<&Port> = service.ports.iter().filter(catches).collect();
        if !ports.is_empty() {
            found.push(finding(lint, hosts, service, &ports));
        }
    }
}

/// A ServiceEntry that has no address that all proxies use.
pub(super) fn is_bare(lint: &Lint<'_>, service: &Service) -> bool {
    let resolved = !matches!(service.resolution, Resolution::Alias | Resolution::DynamicDns);
    &*service.meta.kind == "ServiceEntry"
        && service.addresses.is_empty()
        && resolved
        && (service.allocated.is_empty() || uses_allocated(lint) != Some(true))
}

/// Whether all proxies use allocated addresses; none if there are no dumps that could say so.
fn uses_allocated(lint: &Lint<'_>) -> Option<bool> {
    let mut told = lint.routers.iter().map(|router| &router.proxy.node).filter(|node| !node.id.is_empty()).peekable();
    told.peek()?;
    Some(told.all(|node| node.dns_capture))
}

fn finding(lint: &Lint<'_>, hosts: &[&Service], service: &Service, ports: &[&Port]) -> Finding {
    let uses = uses_allocated(lint);
    let grade = if !service.allocated.is_empty() && uses.is_none() { Grade::Suspect } else { Grade::Likely };
    let mut finding = Finding::new(&META, grade, super::finding::called(&service.meta));
    let names = list(hosts.iter().map(|host| host.host.to_string()));
    let numbers = list(ports.iter().map(|port| port.number.to_string()));
    let allocated = match (service.allocated.first(), uses) {
        (Some(address), Some(_)) => format!(
            " istiod allocated {address} to it, but a proxy here has no DNS capture, and such proxies ignore that address."
        ),
        (Some(address), None) => format!(
            " istiod allocated {address} to it, which only proxies with DNS capture use; no dump says whether they have it."
        ),
        (None, _) => String::new(),
    };
    finding.why = format!(
        "{names} has no address, so its TCP port {numbers} makes a listener on every address of the port, which takes what has \
         no listener of its own.{allocated} {}",
        seen(service)
    );
    if service.resolution == Resolution::Passthrough {
        finding.severity = Severity::Info;
        finding.why.push_str("; with the resolution NONE connections go on to where they were going, under its name");
    }
    for port in ports {
        finding.add(hijack(&Hijack {
            catcher: service,
            port: port.number,
            victims: Vec::new(),
            version: lint.releases().first().copied(),
            dns_capture: uses == Some(true),
        }));
    }
    finding.fix =
        "give it addresses, or let all proxies answer names themselves (DNS capture), or declare TLS if clients \
                   speak it"
            .into();
    finding.places =
        ports.iter().map(|port| Place::of_object(&service.meta, format!("port {}", port.number))).collect();
    finding
}

/// Who sees it, as a sentence.
fn seen(service: &Service) -> String {
    match &service.export_to[..] {
        [] => "It has no exportTo, so every namespace sees it".to_owned(),
        to if to.iter().any(|to| &**to == "*") => "Every namespace sees it".to_owned(),
        [only] if &**only == "." => format!("Only namespace {} sees it", service.meta.namespace),
        to => format!("It is exported to {}", list(to.iter().map(ToString::to_string))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::objects::{Meta, Objects};
    use crate::mesh::{Mesh, Node, Proxy};

    fn entry(protocol: &str) -> Service {
        Service {
            meta: Meta {
                kind: "ServiceEntry".into(),
                namespace: "db".into(),
                name: "db-ext".into(),
                ..Meta::default()
            },
            host: "db.example.com".into(),
            resolution: Resolution::Dns,
            ports: vec![Port { number: 3306, name: "db".into(), protocol: protocol.into(), ..Port::default() }],
            ..Service::default()
        }
    }

    fn told(service: Service, capture: Option<bool>) -> Option<Finding> {
        let node = |dns_capture| Node { id: "sidecar~10.0.0.1~a.b~b.svc".into(), dns_capture, ..Node::default() };
        let proxies = capture.map(|capture| Proxy { node: node(capture), ..Proxy::default() }).into_iter().collect();
        let objects = Objects { services: vec![service], ..Objects::default() };
        let report = lint(&Mesh { proxies, objects, ..Mesh::default() });
        report.findings.into_iter().find(|finding| finding.code == META.code)
    }

    #[test]
    fn tcp_without_an_address_catches_its_port_and_http_or_tls_do_not() {
        for protocol in ["TCP", "", "MYSQL"] {
            assert!(told(entry(protocol), None).is_some(), "{protocol}");
        }
        for protocol in ["HTTP", "TLS", "HTTPS", "GRPC"] {
            assert!(told(entry(protocol), None).is_none(), "{protocol}");
        }
        let mut addressed = entry("TCP");
        addressed.addresses.push(crate::mesh::Prefix { address: [203, 0, 113, 7].into(), length: 32 });
        assert!(told(addressed, None).is_none());
    }

    #[test]
    fn allocated_addresses_help_only_proxies_with_dns_capture() {
        let allocated = || Service { allocated: vec![[240, 240, 0, 5].into()], ..entry("TCP") };
        assert!(told(allocated(), Some(true)).is_none());
        let ignored = told(allocated(), Some(false)).unwrap();
        assert!(ignored.grade == Grade::Likely && ignored.why.contains("ignore that address"), "{}", ignored.why);
        assert_eq!(told(allocated(), None).unwrap().grade, Grade::Suspect);
    }
}
