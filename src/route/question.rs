//! What is asked: one connection, as far as it is known.
//!
//! Texts are borrowed, so that a log can be replayed without a copy; [`Question::kept`] is the copy for a table.

use std::borrow::Cow;
use std::net::SocketAddr;

use crate::cluster::Cluster;
use crate::mesh::Direction;

/// A connection whose way is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question<'a> {
    /// From the pod, or to it.
    pub direction: Direction,
    /// The original destination: what the client dialled, `%DOWNSTREAM_LOCAL_ADDRESS%` in a log.
    pub to: SocketAddr,
    /// The server name of the client's TLS hello.
    pub sni: Sni<'a>,
    /// What the client sends first.
    pub bytes: Bytes<'a>,
    /// Where it comes from; none if that is unknown.
    pub from: Option<SocketAddr>,
    /// What an HTTP request asks for; none if it is no HTTP, or unknown.
    pub http: Option<Request<'a>>,
}

/// A server name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sni<'a> {
    /// Nobody knows whether there is one.
    #[default]
    Unknown,
    /// None.
    Absent,
    /// This one, in any case of letters.
    Name(Cow<'a, str>),
}

/// What the first bytes of a client are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bytes<'a> {
    /// Anything.
    #[default]
    Unknown,
    /// Plaintext that is no HTTP.
    Tcp,
    /// Plaintext HTTP.
    Http(Version),
    /// TLS, with the protocols that the client offers (ALPN); none if they are unknown.
    Tls(Option<Vec<Cow<'a, str>>>),
    /// TLS of another sidecar, with the protocols that Istio offers.
    Mtls,
}

/// Versions of HTTP that can be told by the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2 without TLS.
    Http2,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request<'a> {
    /// The authority, as it was sent: with or without port.
    pub host: Cow<'a, str>,
    /// The path; none if it is unknown.
    pub path: Option<Cow<'a, str>>,
}

/// Offered by Istio's sidecars for TCP. Source: Istio `pilot/pkg/networking/util/util.go`, `ALPNInMesh*`.
pub const MESH_TCP: &[&str] = &["istio-peer-exchange", "istio"];
/// Offered by Istio's sidecars for HTTP, by version. Source: Istio `pilot/pkg/xds/filters/filters.go`, `mtlsHTTP*ALPN`.
pub const MESH_HTTP: [&[&str]; 3] =
    [&["istio-http/1.1", "istio", "http/1.1"], &["istio-h2", "istio", "h2"], &["istio-http/1.0", "istio", "http/1.0"]];

impl<'a> Question<'a> {
    /// A connection from the pod of which only the destination is known.
    pub fn outbound(to: SocketAddr) -> Question<'a> {
        Question { direction: Direction::Outbound, ..Question::inbound(to) }
    }

    /// A connection to the pod of which only the destination is known.
    pub fn inbound(to: SocketAddr) -> Question<'a> {
        Question { direction: Direction::Inbound, to, sni: Sni::Unknown, bytes: Bytes::Unknown, from: None, http: None }
    }

    /// The same question with texts of its own.
    pub fn kept(&self) -> Question<'static> {
        let own = |text: &Cow<'a, str>| Cow::Owned(text.clone().into_owned());
        Question {
            direction: self.direction,
            to: self.to,
            sni: match &self.sni {
                Sni::Unknown => Sni::Unknown,
                Sni::Absent => Sni::Absent,
                Sni::Name(name) => Sni::Name(own(name)),
            },
            bytes: match &self.bytes {
                Bytes::Unknown => Bytes::Unknown,
                Bytes::Tcp => Bytes::Tcp,
                Bytes::Http(version) => Bytes::Http(*version),
                Bytes::Tls(offered) => Bytes::Tls(offered.as_ref().map(|all| all.iter().map(own).collect())),
                Bytes::Mtls => Bytes::Mtls,
            },
            from: self.from,
            http: self
                .http
                .as_ref()
                .map(|request| Request { host: own(&request.host), path: request.path.as_ref().map(own) }),
        }
    }

    /// Whether the SNI is one that sidecars use among themselves, which says that it is mTLS.
    pub(super) fn is_mesh_sni(&self) -> bool {
        matches!(&self.sni, Sni::Name(name) if Cluster::of_sni(name.as_bytes()).is_some())
    }
}
