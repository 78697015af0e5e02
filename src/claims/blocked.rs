//! Where a proxy may send on only what is registered: what says so, what is missing, and the ways out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use super::by_address::{Unlisted, hides, push, registered, sidecar_of};
use super::{Claims, Seen};
use crate::cluster::Direction;
use crate::mesh::objects::Objects;
use crate::mesh::scope::{self, pod_at, service_with, services_at};
use crate::mesh::{Mesh, Proxy};
use crate::remedy::{self, Remedy, allow_any};
use crate::replay::{Replayed, Shown};
use crate::route::End;

/// `outboundTrafficPolicy` under which what is not registered is blocked.
const REGISTRY_ONLY: &str = "REGISTRY_ONLY";

impl<'w> Claims<'w> {
    /// What blocks these connections, as the end of a text, and the ways out.
    pub(super) fn blocked(
        &self,
        replayed: &Replayed<'_>,
        shown: &Shown<'_, '_>,
        ways: &[Seen<'w>],
    ) -> (String, Vec<Remedy>) {
        let (mesh, caller) = (replayed.mesh, shown.router.proxy);
        // Up to Istio 1.5 a proxy black-holes its own address, whatever the policy.
        if caller.node.addresses.contains(&shown.to.ip()) {
            return (String::new(), Vec::new());
        }
        let sidecar = sidecar_of(mesh, caller);
        let own = sidecar.filter(|sidecar| !sidecar.outbound_policy.is_empty());
        let policy = own.map_or(&mesh.objects.outbound_policy, |sidecar| &sidecar.outbound_policy);
        let mut why = String::new();
        if &**policy == REGISTRY_ONLY {
            let place = own.map_or("the mesh".to_owned(), |sidecar| {
                format!("the Sidecar {} in namespace {}", sidecar.meta.name, sidecar.meta.namespace)
            });
            let _ = write!(why, ". The outboundTrafficPolicy of {place} is {REGISTRY_ONLY}");
        }
        let service = service_with(&mesh.objects, shown.to.ip());
        let hidden = sidecar.zip(service).filter(|(sidecar, service)| hides(sidecar, &caller.node.namespace, service));
        if let Some((sidecar, service)) = hidden {
            let _ = write!(
                why,
                ". The Sidecar {} in namespace {} does not list {}, so its proxies do not know it",
                sidecar.meta.name, sidecar.meta.namespace, service.host
            );
        }
        let mut found = self.missing(replayed, ways);
        if &**policy == REGISTRY_ONLY {
            found.extend(allow_any(own));
        }
        (why, found)
    }

    /// What would have to be registered.
    fn missing(&self, replayed: &Replayed<'_>, ways: &[Seen<'w>]) -> Vec<Remedy> {
        let (mesh, objects) = (replayed.mesh, &replayed.mesh.objects);
        let (mut found, mut pods) = (Vec::new(), Unlisted::default());
        let mut outside: BTreeMap<(u16, &str), BTreeSet<IpAddr>> = BTreeMap::new();
        for seen in ways {
            let Some(way) = replayed.shown(seen.number, seen.way, &self.ledger.names) else { continue };
            let (caller, to) = (way.router.proxy, way.to);
            if !is_black_hole(way.outcome.end) || caller.node.addresses.contains(&to.ip()) {
                continue;
            }
            if service_with(objects, to.ip()).is_some() {
                found.extend(registered(mesh, caller, to, seen));
            } else if pod_at(objects, to.ip()).is_some() || !services_at(objects, to.ip()).is_empty() {
                self.unlisted(mesh, Some(caller), to, seen, &mut pods);
            } else if self.owners_of(seen).is_empty() && self.is_outside(objects, seen) && sees_its_own(mesh, caller) {
                outside.entry((to.port(), &*caller.node.namespace)).or_default().insert(to.ip());
            }
        }
        let entries = outside.iter().filter_map(|((port, home), all)| remedy::registered(all, *port, home));
        let mut all = Vec::new();
        for way in found.into_iter().chain(pods.ways_out()).chain(entries) {
            push(&mut all, way);
        }
        all
    }

    /// Whether a destination is none of the cluster's: a public address, or a private one that no object has, where Services
    /// and what is behind them were given.
    fn is_outside(&self, objects: &Objects, seen: &Seen<'_>) -> bool {
        let behind = !objects.pods.is_empty() || !objects.endpoints.is_empty();
        behind && !objects.services.is_empty() || !seen.way.dest.ip().is_private(&self.ledger.names)
    }
}

fn is_black_hole(end: End<'_>) -> bool {
    matches!(end, End::Cluster { name, .. } if Direction::of(name.as_bytes()) == Direction::BlackHole)
}

/// Whether a proxy knows what is registered in its own namespace: a Sidecar may keep it from that.
fn sees_its_own(mesh: &Mesh, caller: &Proxy) -> bool {
    let namespace = &caller.node.namespace;
    sidecar_of(mesh, caller).is_none_or(|sidecar| !scope::hides(sidecar, namespace, namespace, ""))
}
