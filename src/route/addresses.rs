//! Which listener takes a connection: the first of Envoy's decisions.
//!
//! Source: Envoy `source/common/listener_manager/active_tcp_socket.cc` (`newConnection`) and
//! `connection_handler_impl.cc` (`getBalancedHandlerByAddress`). There is no port 0 and no range at this level.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hashbrown::HashMap;

use crate::mesh::{self, Listener, Proxy};

/// All addresses at which active listeners are, and the listeners that iptables sends to.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    at: HashMap<SocketAddr, Entry>,
    outbound: Option<usize>,
    inbound: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    listener: usize,
    /// The listener's address is of IPv6, and answers for IPv4 too.
    compat: bool,
}

/// Where a connection lands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landing {
    /// The listener whose chains decide, by its place.
    pub listener: usize,
    /// The one that iptables sent it to, if that handed it on.
    pub accepted_by: Option<usize>,
    /// Why this one.
    pub how: How,
}

/// Why a listener has a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It listens at just this address and port.
    Exact,
    /// It listens at every address of the family on this port.
    Wildcard,
    /// It listens at every IPv6 address on this port, and answers for IPv4 too.
    Ipv4Compat,
    /// No listener has the address, so the one that accepted it keeps it.
    Kept,
    /// It accepts for all addresses and hands nothing on.
    Accepting,
    /// Nothing is redirected here: it is bound to the port.
    Bound,
}

/// Ports that iptables leaves alone towards the pod, so that a listener bound there is reached. Source: Istio
/// `tools/istio-iptables`, `excludeInboundPorts` as the injector sets it.
const NOT_REDIRECTED: [u16; 3] = [15020, 15021, 15090];
/// Where iptables sends what comes to a pod.
const INBOUND_PORT: u16 = 15006;

impl Addresses {
    /// Reads a proxy's listeners. Where two claim an address the first has it, as Envoy refuses the second.
    pub(super) fn of(proxy: &Proxy) -> Addresses {
        let mut all = Addresses::default();
        let active = || proxy.listeners.iter().enumerate().filter(|(_, listener)| listener.active);
        for (listener, config) in active() {
            for address in &config.addresses {
                all.at.entry(*address).or_insert(Entry { listener, compat: false });
            }
        }
        for (listener, config) in active().filter(|(_, listener)| listener.ipv4_compat) {
            for address in &config.addresses {
                if let Some(v4) = as_ipv4(*address) {
                    all.at.entry(v4).or_insert(Entry { listener, compat: true });
                }
            }
        }
        let named = |name: &str| active().find(|(_, listener)| &*listener.name == name).map(|(place, _)| place);
        let by = |fits: &dyn Fn(&Listener) -> bool| active().find(|(_, listener)| fits(listener)).map(|(at, _)| at);
        all.outbound = named("virtualOutbound").or_else(|| named("virtual")).or_else(|| {
            by(&|listener| listener.use_original_dst && listener.direction != Some(mesh::Direction::Inbound))
        });
        all.inbound = named("virtualInbound").or_else(|| named("virtual")).or_else(|| {
            by(&|listener| {
                listener.bound
                    && listener.direction == Some(mesh::Direction::Inbound)
                    && listener.addresses.iter().any(|address| address.port() == INBOUND_PORT)
            })
        });
        all
    }

    /// The listener that a connection lands at; none if there is none.
    pub(super) fn landing(&self, proxy: &Proxy, direction: mesh::Direction, to: SocketAddr) -> Option<Landing> {
        let to = canonical(to);
        let bound = || {
            let found = self.lookup(to).filter(|(listener, _)| proxy.listeners[*listener].bound);
            found.map(|(listener, _)| Landing { listener, accepted_by: None, how: How::Bound })
        };
        let accepting = match direction {
            mesh::Direction::Outbound => self.outbound,
            mesh::Direction::Inbound => self.inbound,
        };
        if direction == mesh::Direction::Inbound
            && NOT_REDIRECTED.contains(&to.port())
            && let Some(landing) = bound()
        {
            return Some(landing);
        }
        let Some(accepting) = accepting else { return bound() };
        if !hands_on(proxy, accepting) {
            return Some(Landing { listener: accepting, accepted_by: None, how: How::Accepting });
        }
        match self.lookup(to) {
            Some((listener, how)) if listener != accepting => {
                Some(Landing { listener, accepted_by: Some(accepting), how })
            }
            _ => Some(Landing { listener: accepting, accepted_by: None, how: How::Kept }),
        }
    }

    /// Exact address, then the wildcard of its family.
    fn lookup(&self, to: SocketAddr) -> Option<(usize, How)> {
        if let Some(entry) = self.at.get(&to) {
            let how = if entry.compat { How::Ipv4Compat } else { How::Exact };
            return Some((entry.listener, how));
        }
        let entry = self.at.get(&wildcard(to))?;
        Some((entry.listener, if entry.compat { How::Ipv4Compat } else { How::Wildcard }))
    }
}

/// Whether a listener looks for the listener of the original destination. A table of `istioctl` does not say; there it
/// goes by the name.
pub(super) fn hands_on(proxy: &Proxy, listener: usize) -> bool {
    let listener = &proxy.listeners[listener];
    listener.use_original_dst || proxy.has.only_table && &*listener.name == "virtualOutbound"
}

/// The address of the wildcard that is asked second.
pub(super) fn wildcard(to: SocketAddr) -> SocketAddr {
    let every = if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    SocketAddr::new(every, to.port())
}

/// IPv4 inside of IPv6 is IPv4: a socket of both families has such addresses.
pub(super) fn canonical(to: SocketAddr) -> SocketAddr {
    SocketAddr::new(to.ip().to_canonical(), to.port())
}

/// What an IPv6 address that answers for IPv4 answers for.
fn as_ipv4(address: SocketAddr) -> Option<SocketAddr> {
    let IpAddr::V6(v6) = address.ip() else { return None };
    let v4 = if v6.is_unspecified() { Ipv4Addr::UNSPECIFIED } else { v6.to_ipv4_mapped()? };
    Some(SocketAddr::new(v4.into(), address.port()))
}
