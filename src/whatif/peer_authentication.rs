//! PeerAuthentications that are changed or new: which bytes a server's ports take.
//!
//! Source: Istio `pilot/pkg/networking/core/listener_inbound.go`, `filterchain_options.go`. An application's own TLS is not
//! told apart from the mesh's here.

use std::collections::BTreeSet;

use super::listeners::is_inbound;
use super::{Plan, Told};
use crate::mesh::objects::PeerAuthentication;
use crate::mesh::policy::{self, selects};
use crate::mesh::scope;
use crate::mesh::{Chain, Listener, Proxy, To};

/// Where iptables sends what comes to a pod: no service has this port.
const INBOUND_PORT: u16 = 15006;
/// Where PeerAuthentications are for the whole mesh.
const ROOT: &str = "istio-system";

/// Does to a proxy what the PeerAuthentications among the manifests do.
pub(super) fn change(plan: &Plan<'_>, proxy: &mut Proxy, told: &mut Told) {
    let given = &plan.given.peer_authentications;
    let labels = scope::labels(plan.after, proxy);
    let here = |policy: &&PeerAuthentication| {
        policy.meta.namespace == proxy.node.namespace || (&*policy.meta.namespace == ROOT && policy.selector.is_empty())
    };
    for policy in given.iter().filter(|_| proxy.node.namespace.is_empty()) {
        told.homeless(&policy.meta);
    }
    for policy in given.iter().filter(here) {
        if labels.is_none() && !policy.selector.is_empty() {
            told.not(&policy.meta, "whether it is for a pod is not known without the pod's labels");
            continue;
        }
        let none = std::collections::BTreeMap::new();
        let labels = labels.unwrap_or(&none);
        if !selects(&policy.selector, labels) {
            continue;
        }
        if !policy.mode.is_empty() {
            told.not(&policy.meta, "what it does on ports that no Service lists is not worked out");
        }
        for port in declared(proxy) {
            let mode = policy::mode(plan.after, &proxy.node.namespace, labels, port);
            let mut changed = false;
            for listener in proxy.listeners.iter_mut().filter(|listener| is_inbound(listener)) {
                changed |= set(listener, port, mode);
            }
            if changed {
                told.done(&policy.meta, proxy, &format!("port {port} is {mode}"));
            } else if policy::mode(plan.before, &proxy.node.namespace, labels, port) != mode {
                told.not(
                    &policy.meta,
                    &format!("port {port}: its dump has no chains of which {mode} would leave some"),
                );
            }
        }
    }
}

/// The ports of the pod that have chains of their own.
fn declared(proxy: &Proxy) -> BTreeSet<u16> {
    let chains = proxy.listeners.iter().filter(|listener| is_inbound(listener)).flat_map(|listener| &listener.chains);
    chains.filter_map(|chain| chain.takes.port).filter(|port| *port != INBOUND_PORT).collect()
}

/// Makes a port's chains take what a mode lets in. Gives whether that changed anything.
fn set(listener: &mut Listener, port: u16, mode: &str) -> bool {
    let of_port = |chain: &Chain| chain.takes.port == Some(port);
    let plain = |chain: &Chain| chain.tls.is_none();
    let count =
        |fits: &dyn Fn(&Chain) -> bool| listener.chains.iter().filter(|chain| of_port(chain) && fits(chain)).count();
    let (tls, raw) = (count(&|chain| !plain(chain)), count(&|chain| plain(chain)));
    if tls + raw == 0 {
        return false;
    }
    match mode {
        "STRICT" if tls > 0 && raw > 0 => listener.chains.retain(|chain| !of_port(chain) || !plain(chain)),
        "DISABLE" if tls > 0 && raw > 0 => listener.chains.retain(|chain| !of_port(chain) || plain(chain)),
        "PERMISSIVE" | "DISABLE" if raw == 0 => {
            let tcp = |chain: &&Chain| matches!(chain.to, To::Tcp(_));
            let own = || listener.chains.iter().filter(|chain| of_port(chain));
            let Some(like) = own().find(tcp).or_else(|| own().next()) else { return false };
            let mut open = Chain { tls: None, ..like.clone() };
            open.takes.transport = "raw_buffer".into();
            open.takes.application_protocols.clear();
            if mode == "DISABLE" {
                listener.chains.retain(|chain| !of_port(chain));
            }
            listener.chains.push(open);
        }
        // A port that takes plaintext only has no chain from which the others could be made.
        _ => return false,
    }
    true
}
