//! What the filter chains get to see: the listener's inspectors look at the first bytes, and only what they find exists.
//!
//! Source: Envoy `source/extensions/filters/listener/tls_inspector`, `http_inspector/http_inspector.cc`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::question::{Bytes, MESH_HTTP, MESH_TCP, Question, Sni, Version};
use crate::mesh::{Inspector, Listener};

/// What a client may send, spelled out: one of the ways in which a question can be meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wire<'a> {
    /// Plaintext that is no HTTP.
    Tcp,
    /// Plaintext HTTP, by what the inspector calls it.
    Http(&'static str),
    /// TLS.
    Tls {
        /// Lower case; empty for none.
        sni: Cow<'a, str>,
        /// In the client's order.
        alpn: Vec<Cow<'a, str>>,
        /// Whether it is another sidecar's.
        mesh: bool,
    },
}

/// What steps 3 to 5 of the choice go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen<'w> {
    /// Empty where nobody looked, or there is none.
    pub(super) sni: &'w str,
    /// `raw_buffer` or `tls`.
    pub(super) transport: &'static str,
    /// Empty as above.
    pub(super) alpn: Vec<&'w str>,
}

/// A listener's inspectors for one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Eyes {
    pub(super) tls: bool,
    pub(super) http: bool,
    /// A condition decides that we cannot follow; both are taken as there.
    pub(super) doubtful: bool,
}

impl Eyes {
    /// Those of the listener, and of the one that handed on to it: what was found stays with the connection.
    pub(super) fn of(listener: &Listener, before: Option<&Listener>, port: u16) -> Eyes {
        let mut eyes = Eyes { tls: false, http: false, doubtful: false };
        for listener in before.into_iter().chain([listener]) {
            let mut looks = |inspector: &Inspector| match inspector {
                Inspector::Absent => false,
                Inspector::ExceptPorts(ranges) => !ranges.iter().any(|(start, end)| (*start..*end).contains(&port)),
                Inspector::Unknown => {
                    eyes.doubtful = true;
                    true
                }
            };
            let (tls, http) = (looks(&listener.tls_inspector), looks(&listener.http_inspector));
            eyes.tls |= tls;
            eyes.http |= http;
        }
        eyes
    }

    /// What the chains see of a client's first bytes.
    pub(super) fn see<'w>(self, wire: &'w Wire<'_>) -> Seen<'w> {
        match wire {
            Wire::Http(version) if self.http => Seen { sni: "", transport: "raw_buffer", alpn: vec![version] },
            Wire::Tls { sni, alpn, .. } if self.tls => {
                Seen { sni, transport: "tls", alpn: alpn.iter().map(|offered| &**offered).collect() }
            }
            _ => Seen { sni: "", transport: "raw_buffer", alpn: Vec::new() },
        }
    }
}

/// Every way in which a question can be meant, as far as the listener's chains tell ways apart; the likely ones first.
pub(super) fn wires<'a>(question: &'a Question<'_>, names: &Names<'a>) -> Vec<Wire<'a>> {
    let plain = [Version::Http11, Version::Http2, Version::Http10];
    match &question.bytes {
        Bytes::Tcp => vec![Wire::Tcp],
        Bytes::Http(version) => vec![Wire::Http(called(*version))],
        Bytes::Tls(offered) => tls(question, names, offered.as_deref()),
        Bytes::Mtls => mesh(question, names),
        Bytes::Unknown => {
            let mut all = Vec::new();
            if !matches!(question.sni, Sni::Name(_)) {
                if question.http.is_none() {
                    all.push(Wire::Tcp);
                }
                all.extend(plain.map(|version| Wire::Http(called(version))));
            }
            if question.is_mesh_sni() {
                all.extend(mesh(question, names));
            } else {
                all.extend(tls(question, names, None));
            }
            all
        }
    }
}

/// What a listener's chains ask of a TLS hello.
#[derive(Clone, Debug, Default)]
pub(super) struct Names<'m> {
    /// Server names, `*.suffix` as it is written.
    pub(super) server: BTreeSet<&'m str>,
    /// Protocols.
    pub(super) alpn: BTreeSet<&'m str>,
}

impl<'m> Names<'m> {
    pub(super) fn of(listener: &'m Listener) -> Names<'m> {
        let mut names = Names::default();
        for chain in &listener.chains {
            names.server.extend(chain.takes.server_names.iter().map(|name| &**name));
            names.alpn.extend(chain.takes.application_protocols.iter().map(|protocol| &**protocol));
        }
        names
    }
}

/// TLS with the offers that are known, or every offer that makes a difference: of a list the first protocol that a chain
/// names decides, so one at a time is all there is.
fn tls<'a>(question: &'a Question<'_>, names: &Names<'a>, offered: Option<&'a [Cow<'_, str>]>) -> Vec<Wire<'a>> {
    let offers: Vec<Vec<Cow<'a, str>>> = match offered {
        Some(offered) => vec![offered.iter().map(|one| Cow::Borrowed(&**one)).collect()],
        None => std::iter::once(Vec::new())
            .chain(names.alpn.iter().map(|protocol| vec![Cow::Borrowed(*protocol)]))
            .collect(),
    };
    // All of them begin so, and nobody else's do.
    let is_mesh = |offer: &[Cow<'_, str>]| offer.iter().any(|one| one.starts_with("istio"));
    let mut all = Vec::new();
    for sni in snis(question, names) {
        for alpn in &offers {
            all.push(Wire::Tls { sni: sni.clone(), alpn: alpn.clone(), mesh: is_mesh(alpn) });
        }
    }
    all
}

/// mTLS of another sidecar: for TCP one offer, for HTTP one a version.
fn mesh<'a>(question: &'a Question<'_>, names: &Names<'a>) -> Vec<Wire<'a>> {
    let tcp = question.http.is_none().then_some(MESH_TCP);
    let offers: Vec<Vec<Cow<'a, str>>> =
        tcp.into_iter().chain(MESH_HTTP).map(|offer| offer.iter().map(|one| Cow::Borrowed(*one)).collect()).collect();
    let mut all = Vec::new();
    for sni in snis(question, names) {
        for alpn in &offers {
            all.push(Wire::Tls { sni: sni.clone(), alpn: alpn.clone(), mesh: true });
        }
    }
    all
}

/// The SNI, or every one that makes a difference. A name that no chain knows goes the way of no name.
fn snis<'a>(question: &'a Question<'_>, names: &Names<'a>) -> Vec<Cow<'a, str>> {
    match &question.sni {
        Sni::Name(name) => vec![lower(name)],
        Sni::Absent => vec![Cow::Borrowed("")],
        Sni::Unknown => {
            let known = names.server.iter().map(|name| match name.strip_prefix('*') {
                Some(suffix) => Cow::Owned(format!("any{suffix}")),
                None => Cow::Borrowed(*name),
            });
            std::iter::once(Cow::Borrowed("")).chain(known).collect()
        }
    }
}

/// In lower case, as the inspector has it.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// What the inspector calls a version.
const fn called(version: Version) -> &'static str {
    match version {
        Version::Http10 => "http/1.0",
        Version::Http11 => "http/1.1",
        Version::Http2 => "h2c",
    }
}
