//! What a question comes to: few words that can be compared and kept, for replays of whole logs.

use hashbrown::HashSet;

use super::addresses::Landing;
use super::chains::ChainAt;
use super::upstream::Fate;

/// Everything that may become of a connection. More than one outcome if something is not known that decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer<'m> {
    /// The listener; none if no listener takes the connection, or none is known.
    pub landing: Option<Landing>,
    /// What may become of it, each once, the likeliest first. Never empty.
    pub outcomes: Vec<Outcome<'m>>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outcome<'m> {
    /// The chain; none if none took it.
    pub chain: Option<ChainAt>,
    /// How it ends.
    pub end: End<'m>,
}

/// How a way through a proxy ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End<'m> {
    /// At a cluster.
    Cluster {
        /// Its name.
        name: &'m str,
        /// What becomes of it there.
        fate: Fate,
    },
    /// Nothing listens at the address.
    NoListener,
    /// No filter chain takes it: `NR filter_chain_not_found`.
    NoChain,
    /// No virtual host or no route takes the request: `404 NR route_not_found`.
    NoRoute,
    /// Answered by the proxy with this status.
    Direct(u16),
    /// Redirected by the proxy.
    Redirect,
    /// The chain has no filters: closed at once.
    Closed,
    /// The chain ends TLS, and the client speaks none.
    NotTls,
    /// The chain reads HTTP, and the client speaks something else: `400 DPE http1.codec_error`.
    NotHttp,
    /// It goes on in a way that is not followed.
    Open(Open<'m>),
}

/// Why a way cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Open<'m> {
    /// What was given has no listeners.
    NoListeners,
    /// The listener chooses its chain by a matcher tree.
    Matcher,
    /// The chain ends in a filter of this name.
    Filter(&'m str),
    /// All that is known are these words of a table that `istioctl` printed.
    Words(&'m str),
    /// The route configuration of this name was not given.
    Routes(&'m str),
    /// The cluster is named by this header of the request.
    Header(&'m str),
    /// The route of this name leads on in a way that is not followed.
    Route(&'m str),
}

impl<'m> Answer<'m> {
    /// The only end that there can be; none if there are more.
    pub fn certain(&self) -> Option<End<'m>> {
        let first = self.outcomes.first()?.end;
        self.outcomes.iter().all(|outcome| outcome.end == first).then_some(first)
    }

    /// The only cluster that there can be; none if there are more, or it may end elsewhere.
    pub fn cluster(&self) -> Option<&'m str> {
        match self.certain()? {
            End::Cluster { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Each cluster that there can be, once.
    pub fn clusters(&self) -> Vec<&'m str> {
        let mut met = HashSet::new();
        let name = |outcome: &Outcome<'m>| if let End::Cluster { name, .. } = outcome.end { Some(name) } else { None };
        self.outcomes.iter().filter_map(name).filter(|name| met.insert(*name)).collect()
    }

    /// Whether something stands open that is not followed.
    pub fn is_open(&self) -> bool {
        self.outcomes.iter().any(|outcome| matches!(outcome.end, End::Open(_)))
    }
}
