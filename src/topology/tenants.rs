//! `Tenants`: who had an address when, where pods of several workloads had it one after the other.
//!
//! Kubernetes gives a pod's address to another pod once it is free. What a server's proxy wrote says from when to when
//! an address was a workload's; what nobody says is taken to last until the next one is seen.

use std::collections::BTreeMap;

use crate::cluster::{Cluster, Direction};
use crate::endpoint::{Endpoint, Ip};
use crate::field::value::Micros;
use crate::ledger::Ledger;
use crate::leg::Side;
use crate::measure::Span;
use crate::names::Sym;

/// A workload that had an address for a time.
#[derive(Clone, Copy, Debug)]
pub struct Tenant {
    /// Namespace and workload.
    pub workload: (Sym, Sym),
    /// The lines that its proxy wrote with this address as its own.
    pub span: Span,
}

/// All addresses that had more than one tenant.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    /// One after the other, the earliest first.
    by_address: BTreeMap<Ip, Vec<Tenant>>,
    /// When an endpoint there was seen to serve a cluster's host, or what an SNI called.
    served: BTreeMap<(Endpoint, Box<[u8]>), Vec<Span>>,
}

impl Tenants {
    pub(super) fn learn(ledger: &Ledger) -> Tenants {
        let mut seen: BTreeMap<Ip, BTreeMap<(Sym, Sym), Span>> = BTreeMap::new();
        for (_, way, entry) in ledger.iter().filter(|(_, way, _)| way.side == Side::Inbound && !way.workload.is_none())
        {
            let counts = &entry.counts;
            if !way.dest.is_none() && counts.first != Micros::NONE {
                let span = Span { first: counts.first, last: counts.last, count: counts.legs };
                seen.entry(way.dest.ip()).or_default().entry((way.namespace, way.workload)).or_default().join(&span);
            }
        }
        let mut tenants = Tenants::default();
        for (ip, workloads) in seen.into_iter().filter(|(_, workloads)| workloads.len() > 1) {
            let mut list: Vec<Tenant> =
                workloads.into_iter().map(|(workload, span)| Tenant { workload, span }).collect();
            list.sort_by_key(|tenant| tenant.span.first);
            // At the same time: pods on the network of their machine share its address.
            if list.windows(2).all(|pair| pair[0].span.last < pair[1].span.first) {
                tenants.by_address.insert(ip, list);
            }
        }
        if !tenants.by_address.is_empty() {
            tenants.learn_services(ledger);
        }
        tenants
    }

    fn learn_services(&mut self, ledger: &Ledger) {
        for (_, way, entry) in ledger.iter().filter(|(_, way, _)| way.side == Side::Inbound) {
            let counts = &entry.counts;
            let span = Span { first: counts.first, last: counts.last, count: counts.legs };
            let cluster = Cluster::read(ledger.names.get(way.cluster));
            self.serve(way.dest, cluster.host, span);
            self.serve(way.dest, Cluster::of_sni(ledger.names.get(way.sni)).map_or(b"", |called| called.host), span);
        }
        for (cluster, host, answers) in ledger.answers() {
            let cluster = Cluster::read(ledger.names.get(cluster));
            if cluster.direction == Direction::Outbound {
                answers.times.spans().iter().for_each(|span| self.serve(host, cluster.host, *span));
            }
        }
    }

    fn serve(&mut self, endpoint: Endpoint, host: &[u8], span: Span) {
        if !host.is_empty() && self.by_address.contains_key(&endpoint.ip()) {
            self.served.entry((endpoint, host.into())).or_default().push(span);
        }
    }

    /// Every tenant of an address; none if it had one at most.
    pub(super) fn of(&self, ip: Ip) -> &[Tenant] {
        self.by_address.get(&ip).map_or(&[], Vec::as_slice)
    }

    /// The tenant in whose time all of `time` lies, if it is one alone.
    pub(super) fn at(&self, ip: Ip, time: &Span) -> Option<&Tenant> {
        let mut there = self.periods(ip).filter(|(_, from, to)| time.first < *to && *from <= time.last);
        there.next().map(|(tenant, ..)| tenant).filter(|_| there.next().is_none())
    }

    /// Whether an endpoint served a host in the time of the tenant that had it all through `time`.
    pub(super) fn served(&self, endpoint: Endpoint, host: &[u8], time: &Span) -> bool {
        let Some(tenant) = self.at(endpoint.ip(), time) else { return true };
        let period = self.periods(endpoint.ip()).find(|(known, ..)| known.workload == tenant.workload);
        let spans = self.served.get(&(endpoint, host.into())).into_iter().flatten();
        period.is_some_and(|(_, from, to)| spans.clone().any(|span| span.first < to && from <= span.last))
    }

    /// Tenants with the time that is theirs: the end is the next one's beginning.
    fn periods(&self, ip: Ip) -> impl Iterator<Item = (&Tenant, Micros, Micros)> {
        let list = self.of(ip);
        list.iter().enumerate().map(|(place, tenant)| {
            let from = if place == 0 { Micros(i64::MIN) } else { tenant.span.first };
            (tenant, from, list.get(place + 1).map_or(Micros(i64::MAX), |next| next.span.first))
        })
    }
}
