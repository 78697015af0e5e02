//! Whose the addresses are, with what that rests on.

use serde::Serialize;

use crate::ledger::Ledger;
use crate::names::Sym;
use crate::topology::{self, Topology};

/// An address that the lines tell something of.
#[derive(Clone, Debug, Serialize)]
pub struct Address {
    /// The address, without a port.
    pub address: String,
    /// `pod`: a proxy said that it is its own. `gateway`: a proxy that is dialled itself and goes on from there. `virtual`: dialled
    /// to reach a service's endpoints. `endpoint`: answered for a service, no more is known of it.
    pub kind: &'static str,
    /// The pod, if an envelope named it.
    pub pod: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its workload: the pod's name without the random parts.
    pub workload: Option<String>,
    /// The workloads that had it one after the other, where pods of several had it; the fields above are of the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<Tenant>,
    /// The services that it serves or stands for, by port.
    pub services: Vec<Belonging>,
}

/// A workload that had an address for a time.
#[derive(Clone, Debug, Serialize)]
pub struct Tenant {
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub workload: String,
    /// Start of the first line in which its proxy had the address as its own.
    pub first: Option<String>,
    /// Start of the last one.
    pub last: Option<String>,
}

/// What an address is to a service.
#[derive(Clone, Debug, Serialize)]
pub struct Belonging {
    /// The port.
    pub port: u16,
    /// The service's host.
    pub service: String,
    /// What this rests on: `inbound-cluster` and `server-name` are the server's own proxy's words, `answered` is a caller's,
    /// `sibling` is another pod of the same workload, `dialled` is what callers dialled to get there.
    pub by: &'static str,
}

/// The table of addresses, sorted.
pub(super) fn addresses(ledger: &Ledger, topology: &Topology) -> Vec<Address> {
    let mut found: Vec<Address> = topology
        .addresses()
        .map(|(ip, belongings)| {
            let pod = topology.pod_of(ip);
            let kind = if topology.is_gateway(ip) {
                "gateway"
            } else if topology.is_pod(ip) {
                "pod"
            } else if belongings.iter().any(|(.., proof)| proof.is_some()) {
                "endpoint"
            } else {
                "virtual"
            };
            let named = |name| ledger.show(name).into_owned();
            let present = |name: Sym| (!name.is_none()).then(|| named(name));
            let tenant = |tenant: &topology::Tenant| Tenant {
                namespace: present(tenant.workload.0),
                workload: named(tenant.workload.1),
                first: tenant.span.first.shown(),
                last: tenant.span.last.shown(),
            };
            let services = belongings.into_iter().map(|(port, service, proof)| Belonging {
                port,
                service: topology.host(service),
                by: proof.map_or("dialled", topology::Proof::name),
            });
            let mut services: Vec<Belonging> = services.collect();
            services.sort_by(|a, b| (a.port, &a.service, a.by).cmp(&(b.port, &b.service, b.by)));
            Address {
                address: ip.show(&ledger.names).to_string(),
                kind,
                pod: pod.map(|(_, pod)| named(pod)),
                namespace: pod.and_then(|(namespace, _)| present(namespace)),
                workload: topology.workload_of(ip).map(|(_, workload)| named(workload)),
                tenants: topology.tenants(ip).iter().map(tenant).collect(),
                services,
            }
        })
        .collect();
    found.sort_by(|a, b| a.address.cmp(&b.address));
    found
}
