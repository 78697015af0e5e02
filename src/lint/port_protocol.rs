//! Ports of Services that do not say their protocol.

use super::check;
use super::finding::{Finding, Place, called};
use super::view::Lint;
use crate::claims::list;
use crate::finding::Grade;
use crate::mesh::objects::{Port, Service};
use crate::mesh::protocol::Speaks;

check! {
    /// ## What it finds
    /// Services with ports that have neither an `appProtocol` that Istio knows nor a name that begins with a protocol.
    ///
    /// ## When it is silent
    /// Ports 25, 53, 3306 and 27017, which are TCP without a name. UDP and SCTP. ExternalName Services and ServiceEntries,
    /// of which other checks speak; Services of `kube-system` and without a selector, such as `kubernetes`.
    ///
    /// ## How sure
    /// Likely: Istio's reading of names is the same in every release. Whether it hurts depends on who speaks first.
    ///
    /// ## Why it matters
    /// Proxies look at the first bytes of every connection instead. A server that speaks first waits for a client that
    /// waits for it; TCP that looks like HTTP is taken for HTTP; policies for HTTP may not apply.
    ///
    /// ## Example
    /// Port `web-http`: the protocol stands first, `http-web`, or it is no protocol.
    ///
    /// ## What to do
    /// Call the port `tcp-...`, `http-...`, `grpc-...` or set `appProtocol`.
    ///
    /// ## Source
    /// Istio documentation, Protocol Selection and Application Requirements (Server First Protocols); istio #19966.
    "L307", "port-protocol", Info, "a port's name does not say its protocol"
}

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    for service in lint.mesh.objects.services.iter().filter(|service| is_judged(service)) {
        let ports: Vec<&Port> = service.ports.iter().filter(|port| Speaks::of(service, port) == Speaks::Auto).collect();
        if ports.is_empty() {
            continue;
        }
        let mut finding = Finding::new(&META, Grade::Likely, called(&service.meta));
        let named = |port: &&Port| match (&*port.name, &*port.app_protocol) {
            ("", "") => format!("{} without a name", port.number),
            (name, "") => format!("{} ({name})", port.number),
            (_, told) => format!("{} (appProtocol {told})", port.number),
        };
        let late: Vec<String> = ports.iter().filter_map(|port| turned(port)).collect();
        let late = if late.is_empty() {
            String::new()
        } else {
            format!(". The protocol stands first in a name: {}", list(late))
        };
        finding.why = format!(
            "nothing says what ports {} speak, so proxies look at the first bytes: a server that speaks first waits for ever, \
             and TCP may be taken for HTTP{late}",
            list(ports.iter().map(named))
        );
        finding.fix =
            "begin the port's name with its protocol (tcp-..., http-..., grpc-...), or set appProtocol".into();
        finding.places =
            ports.iter().map(|port| Place::of_object(&service.meta, format!("port {}", port.number))).collect();
        found.push(finding);
    }
}

fn is_judged(service: &Service) -> bool {
    &*service.meta.kind == "Service"
        && service.external_name.is_empty()
        && &*service.meta.namespace != "kube-system"
        && !service.selector.is_empty()
}

/// A name that has its protocol at its end, and how it should be.
fn turned(port: &Port) -> Option<String> {
    let (rest, last) = port.name.rsplit_once('-').filter(|_| port.app_protocol.is_empty())?;
    let known = ["http", "http2", "grpc", "tcp", "tls", "https", "mongo", "redis", "mysql"].contains(&last);
    known.then(|| format!("{last}-{rest} in the place of {}", port.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::Mesh;
    use crate::mesh::objects::{Meta, Objects};

    fn told(number: u16, name: &str, app_protocol: &str) -> Option<Finding> {
        let port = Port {
            number,
            name: name.into(),
            protocol: "TCP".into(),
            app_protocol: app_protocol.into(),
            ..Port::default()
        };
        let service = Service {
            meta: Meta { kind: "Service".into(), namespace: "shop".into(), name: "web".into(), ..Meta::default() },
            selector: [("app".into(), "web".into())].into(),
            ports: vec![port],
            ..Service::default()
        };
        let objects = Objects { services: vec![service], ..Objects::default() };
        lint(&Mesh { objects, ..Mesh::default() }).findings.into_iter().find(|finding| finding.code == META.code)
    }

    #[test]
    fn a_name_that_begins_with_no_protocol_says_none() {
        assert!(told(5701, "hazelcast", "").is_some() && told(5701, "", "").is_some());
        let turned = told(80, "web-http", "").unwrap();
        assert!(turned.why.contains("http-web in the place of web-http"), "{}", turned.why);
        assert!(told(80, "http", "example.com/own").is_some());
    }

    #[test]
    fn names_app_protocols_and_ports_that_are_known_say_it() {
        assert!(told(5701, "tcp-hazelcast", "").is_none());
        assert!(told(80, "x", "http").is_none());
        assert!(told(3306, "", "").is_none());
    }
}
