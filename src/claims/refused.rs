//! Where a server asks for mTLS and plaintext came: the object that makes it STRICT, and the ways out.

use std::net::SocketAddr;

use super::by_address::{Unlisted, push};
use super::proof::created;
use super::{Claims, Seen};
use crate::cluster::{Cluster, Direction};
use crate::leg::Side;
use crate::mesh::objects::{Objects, Pod};
use crate::mesh::policy::{Decided, Scope, decided, for_workload, rule_for};
use crate::mesh::scope::{pod_at, services_at};
use crate::remedy::{Remedy, inject, mutual, permissive};
use crate::replay::{Replayed, Shown};
use crate::route::{Bytes, End, Question, Router, Sni, Version};

impl<'w> Claims<'w> {
    /// What makes the server refuse plaintext, as the end of a text, and the ways out: those that keep it STRICT first.
    pub(super) fn refused(
        &self,
        replayed: &Replayed<'_>,
        shown: &Shown<'_, '_>,
        ways: &[Seen<'w>],
    ) -> (String, Vec<Remedy>) {
        let (objects, to) = (&replayed.mesh.objects, shown.to);
        let servers: Vec<Seen<'w>> =
            ways.iter().filter(|seen| seen.way.side == Side::Inbound && seen.way.sni.is_none()).copied().collect();
        let is_servers = shown.outcome.end == End::NoChain;
        if servers.is_empty() || !is_servers || !asks_for_mtls(shown.router, to) {
            return (String::new(), Vec::new());
        }
        let pod = pod_at(objects, to.ip());
        let decided = pod.and_then(|pod| decided(objects, &pod.meta.namespace, &pod.meta.labels, to.port()));
        let strict = decided.filter(|decided| decided.mode == "STRICT");
        let why =
            format!("; with mTLS it would be taken{}", strict.map_or(String::new(), |strict| made(&strict, &servers)));
        let mut found = self.keeping(replayed, &servers);
        found.extend(exception(objects, to));
        (why, found)
    }

    /// The ways out by which the server stays STRICT.
    fn keeping(&self, replayed: &Replayed<'_>, servers: &[Seen<'w>]) -> Vec<Remedy> {
        let (objects, names) = (&replayed.mesh.objects, &self.ledger.names);
        let (mut pods, mut found) = (Unlisted::default(), Vec::new());
        for (client, _) in self.linked(servers) {
            let to = client.way.dest.ip().address(names).map(|ip| SocketAddr::new(ip, client.way.dest.port()));
            match client.cluster.direction {
                Direction::Passthrough => {
                    let caller = replayed.shown(client.number, client.way, names).map(|shown| shown.router.proxy);
                    if let Some(to) = to {
                        self.unlisted(replayed.mesh, caller, to, &client, &mut pods);
                    }
                }
                Direction::Outbound => {
                    let Cluster { host, .. } = client.cluster;
                    let rule = std::str::from_utf8(host).ok().and_then(|host| rule_for(objects, host));
                    let plain = rule.filter(|rule| &*rule.tls_mode == "DISABLE").and_then(mutual);
                    found.extend(plain);
                }
                _ => {}
            }
        }
        for seen in servers.iter().filter(|seen| seen.entry.counts.connections > 0) {
            let caller = seen.way.client.address(names).and_then(|ip| pod_at(objects, ip));
            found.extend(caller.filter(|pod| pod.meshed == Some(false)).and_then(inject));
        }
        let mut all = Vec::new();
        for way in found.into_iter().chain(pods.ways_out()) {
            push(&mut all, way);
        }
        all
    }
}

/// Whether a server's proxy takes mTLS at an address and no plaintext, whatever that holds.
fn asks_for_mtls(server: &Router<'_>, to: SocketAddr) -> bool {
    let ends = |bytes| server.answer(&Question { bytes, sni: Sni::Absent, ..Question::inbound(to) }).outcomes;
    let plain = [Bytes::Tcp, Bytes::Http(Version::Http11)];
    let refused = |end: End<'_>| matches!(end, End::NoChain | End::NotTls);
    plain.into_iter().all(|bytes| ends(bytes).iter().all(|outcome| refused(outcome.end)))
        && ends(Bytes::Mtls).iter().all(|outcome| matches!(outcome.end, End::Cluster { .. }))
}

/// The object that asks for mTLS, as the end of a text.
fn made(strict: &Decided<'_>, ways: &[Seen<'_>]) -> String {
    let meta = &strict.by.meta;
    let scope = match strict.scope {
        Scope::Port => "for this port of the pods that it selects",
        Scope::Workload => "for the pods that it selects",
        Scope::Namespace => "for all of its namespace",
        Scope::Mesh => "for the whole mesh",
    };
    format!(
        ". The PeerAuthentication {} in namespace {} makes it STRICT, {scope}{}",
        meta.name,
        meta.namespace,
        created(meta, ways)
    )
}

/// A PERMISSIVE port for the pods behind an address, by the labels of a Service that selects them.
fn exception(objects: &Objects, to: SocketAddr) -> Option<Remedy> {
    let service = services_at(objects, to.ip()).into_iter().find(|service| !service.selector.is_empty())?;
    let namespace = &service.meta.namespace;
    let own = pod_at(objects, to.ip()).and_then(|Pod { meta, .. }| for_workload(objects, namespace, &meta.labels));
    permissive(own, &service.meta.name, namespace, &service.selector, to.port())
}
