//! `Speaks`: what Istio takes a port of a service for, from which everything follows that it builds for the port.
//!
//! Sources: Istio `pkg/config/kube/conversion.go`, `pkg/config/protocol/instance.go`; documentation, Protocol Selection.

use super::objects::{Port, Service};

/// What a port is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP: all services of a port number share one listener, and the request's host decides.
    Http,
    /// Bytes: the address decides.
    Tcp,
    /// TLS that the mesh does not end: the address decides, and where there is none the SNI.
    Tls,
    /// Nothing was declared: the first bytes decide.
    Auto,
    /// No TCP at all: no listener is built.
    Datagrams,
}

const HTTP: &[&str] = &["http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws"];
const TCP: &[&str] = &["tcp", "mongo", "redis", "mysql"];
const TLS: &[&str] = &["tls", "https", "kubernetes.io/wss"];
const DATAGRAMS: &[&str] = &["udp", "sctp"];
/// Ports whose servers speak first: SMTP, DNS, MySQL, MongoDB. Without a name that says otherwise they are TCP.
const SERVER_FIRST: [u16; 4] = [25, 53, 3306, 27017];

impl Speaks {
    /// What a port of a service is taken for: by its `appProtocol`, else by its name up to the first `-`; ports of
    /// ServiceEntries name their protocol.
    pub fn of(service: &Service, port: &Port) -> Speaks {
        let declared = port.protocol.to_ascii_lowercase();
        if DATAGRAMS.contains(&&*declared) {
            return Speaks::Datagrams;
        }
        if &*service.meta.kind == "ServiceEntry" {
            // A port's name says nothing there, and what is not said is looked for. Source: Istio `pkg/config/validation`.
            return word(&declared).unwrap_or(Speaks::Auto);
        }
        let told = if port.app_protocol.is_empty() { &port.name } else { &port.app_protocol };
        let told = told.to_ascii_lowercase();
        let first = told.split('-').next().unwrap_or_default();
        let known = word(&told).or_else(|| word(first));
        // A registry of istiod says what it made of the name.
        let known = known.or_else(|| word(&declared).filter(|known| *known != Speaks::Tcp));
        known.unwrap_or(if SERVER_FIRST.contains(&port.number) { Speaks::Tcp } else { Speaks::Auto })
    }

    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Speaks::Http => "HTTP",
            Speaks::Tcp => "TCP",
            Speaks::Tls => "TLS",
            Speaks::Auto => "no protocol",
            Speaks::Datagrams => "UDP or SCTP",
        }
    }

    /// Whether bytes that are no HTTP go by their address alone.
    pub fn goes_by_address(self) -> bool {
        matches!(self, Speaks::Tcp | Speaks::Auto)
    }
}

fn word(text: &str) -> Option<Speaks> {
    let kinds = [(HTTP, Speaks::Http), (TCP, Speaks::Tcp), (TLS, Speaks::Tls), (DATAGRAMS, Speaks::Datagrams)];
    kinds.into_iter().find(|(words, _)| words.contains(&text)).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::objects::Meta;

    fn of(kind: &str, number: u16, name: &str, protocol: &str, app_protocol: &str) -> Speaks {
        let service = Service { meta: Meta { kind: kind.into(), ..Meta::default() }, ..Service::default() };
        let port = Port {
            number,
            name: name.into(),
            protocol: protocol.into(),
            app_protocol: app_protocol.into(),
            target: "".into(),
        };
        Speaks::of(&service, &port)
    }

    #[test]
    fn the_first_part_of_a_name_decides_and_app_protocol_before_it() {
        for (name, app, speaks) in [
            ("http-web", "", Speaks::Http),
            ("web-http", "", Speaks::Auto),
            ("GRPC-web", "", Speaks::Http),
            ("tcp", "", Speaks::Tcp),
            ("tcp-hazelcast", "", Speaks::Tcp),
            ("https", "", Speaks::Tls),
            ("", "", Speaks::Auto),
            ("tcp", "http", Speaks::Http),
            ("http", "example.com/own", Speaks::Auto),
            ("x", "kubernetes.io/h2c", Speaks::Http),
        ] {
            assert_eq!(of("Service", 5701, name, "TCP", app), speaks, "{name} {app}");
        }
        assert_eq!(of("Service", 53, "dns", "UDP", ""), Speaks::Datagrams);
    }

    #[test]
    fn ports_whose_servers_speak_first_are_tcp_unless_they_say_otherwise() {
        assert_eq!(of("Service", 3306, "db", "TCP", ""), Speaks::Tcp);
        assert_eq!(of("Service", 3306, "http-db", "TCP", ""), Speaks::Http);
    }

    #[test]
    fn a_service_entry_says_it_in_words() {
        assert_eq!(of("ServiceEntry", 443, "https", "TCP", ""), Speaks::Tcp);
        assert_eq!(of("ServiceEntry", 443, "x", "TLS", ""), Speaks::Tls);
        assert_eq!(of("ServiceEntry", 6379, "http", "", ""), Speaks::Auto);
        assert_eq!(of("ServiceEntry", 80, "x", "HTTP", ""), Speaks::Http);
    }
}
