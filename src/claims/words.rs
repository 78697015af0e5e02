//! The words in which rules name things: who called, what was dialled, how it ended.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{Claims, Seen, durations, when};
use crate::cluster::Direction;
use crate::endpoint::{Endpoint, Ip};
use crate::field::flag::Flags;
use crate::history::Caller;
use crate::ledger::Ledger;
use crate::leg::{Protocol, Side, Way};
use crate::measure::{Span, duration};
use crate::names::{Sym, shown, workload};
use crate::topology::{Tenant, Topology};

impl Claims<'_> {
    /// The cluster of a connection that could not be made; the address where that says more.
    pub(crate) fn subject(&self, seen: &Seen<'_>) -> String {
        match seen.cluster.direction {
            Direction::Passthrough if self.topology.virtual_services(seen.way.dest).next().is_some() => {
                self.owner_of(seen)
            }
            Direction::Passthrough => self.scattered.get(&(Caller::of(seen.way), seen.way.dest.port())).map_or_else(
                || self.show(seen.way.dest),
                |count| {
                    format!("{count} addresses that {} dials on port {}", self.proxy(seen.way), seen.way.dest.port())
                },
            ),
            _ if seen.way.cluster.is_none() => self.show(seen.way.host),
            _ => self.ledger.show(seen.way.cluster).into_owned(),
        }
    }

    /// Who serves a way: on the client's side its cluster's service, else whose address it is.
    pub(crate) fn served_by(&self, seen: &Seen<'_>) -> String {
        match seen.cluster.direction {
            Direction::Outbound if !seen.cluster.host.is_empty() => shown(seen.cluster.host).into_owned(),
            _ => self.owner_of(seen),
        }
    }

    /// The endpoints that were chosen.
    pub(crate) fn hosts(&self, ways: &[Seen<'_>]) -> String {
        self.addresses(ways.iter().map(|seen| seen.way.host))
    }

    /// The service or pod that an endpoint belongs to, in one word; else its address.
    pub(crate) fn owner(&self, endpoint: Endpoint) -> String {
        if endpoint.is_none() {
            return "a server that the lines do not name".to_owned();
        }
        self.owners(endpoint).first().cloned().unwrap_or_else(|| self.show(endpoint))
    }

    /// Who the endpoint belongs to: its services, else those whose virtual address it is, else its pod, by name.
    pub(crate) fn owners(&self, endpoint: Endpoint) -> Rc<[String]> {
        let known = self.owners.borrow().get(&endpoint).map(Rc::clone);
        known.unwrap_or_else(|| {
            let owners: Rc<[String]> = self.find_owners(endpoint).into();
            self.owners.borrow_mut().insert(endpoint, Rc::clone(&owners));
            owners
        })
    }

    /// Who the destination of a way belonged to at its time.
    pub(crate) fn owners_of(&self, seen: &Seen<'_>) -> Rc<[String]> {
        self.owners_at(seen.way.dest, &seen.span())
    }

    /// The first of them, in one word; else the address.
    pub(crate) fn owner_of(&self, seen: &Seen<'_>) -> String {
        self.owner_at(seen.way.dest, &seen.span())
    }

    /// The service or pod that an endpoint belonged to all through a time, in one word; else its address.
    pub(crate) fn owner_at(&self, endpoint: Endpoint, time: &Span) -> String {
        if self.topology.tenants(endpoint.ip()).is_empty() {
            return self.owner(endpoint);
        }
        self.owners_at(endpoint, time).first().cloned().unwrap_or_else(|| self.show(endpoint))
    }

    fn owners_at(&self, endpoint: Endpoint, time: &Span) -> Rc<[String]> {
        if self.topology.tenants(endpoint.ip()).is_empty() {
            return self.owners(endpoint);
        }
        let services = self.topology.services_at(endpoint, time);
        let hosts = services.iter().map(|(service, _)| self.topology.host(*service));
        let mut owners: Vec<String> = hosts.filter(|host| !self.thieves.contains(host)).collect();
        if owners.is_empty() {
            let workload = self.workload_at(endpoint.ip(), time);
            owners.extend(workload.map(|workload| format!("pods of {workload}")));
        }
        owners.into()
    }

    /// The workload that had an address all through a time.
    pub(crate) fn workload_at(&self, ip: Ip, time: &Span) -> Option<String> {
        let told = self.topology.tenant_at(ip, time);
        let named = told.map(|(namespace, workload)| qualified(self.ledger, namespace, &self.ledger.show(workload)));
        named.or_else(|| self.workload(ip))
    }

    /// The pod that wrote a server's way, by name; where others had its address too, the workload.
    pub(crate) fn server_pod(&self, server: u32) -> Option<String> {
        let way = &self.ledger.ways()[server as usize];
        if self.topology.tenants(way.dest.ip()).is_empty() {
            return self.pod(way.dest.ip());
        }
        Some(format!("a pod of {}", qualified(self.ledger, way.namespace, &self.ledger.show(way.workload))))
    }

    /// Whose an address was before, where somebody else has it by the end of a time: callers may still hold it.
    pub(crate) fn moved(&self, ip: Ip, time: &Span) -> String {
        let tenants = self.topology.tenants(ip);
        let named = |tenant: &Tenant| {
            let (namespace, workload) = tenant.workload;
            qualified(self.ledger, namespace, &self.ledger.show(workload))
        };
        let pair = tenants.windows(2).rev().find(|pair| pair[1].span.first <= time.last);
        pair.map_or(String::new(), |pair| {
            let (before, now) = (&pair[0], &pair[1]);
            format!(
                "; the address was {}'s until {}, and is {}'s since {}: callers may still hold it",
                named(before),
                before.span.last,
                named(now),
                now.span.first
            )
        })
    }

    fn find_owners(&self, endpoint: Endpoint) -> Vec<String> {
        let mut services: Vec<String> =
            self.topology.services(endpoint).iter().map(|(service, _)| self.topology.host(*service)).collect();
        if services.is_empty() {
            services = self.topology.virtual_services(endpoint).map(|service| self.topology.host(service)).collect();
        }
        services.retain(|host| !self.thieves.contains(host));
        if services.is_empty() {
            self.workload(endpoint.ip()).map(|workload| format!("pods of {workload}")).into_iter().collect()
        } else {
            services
        }
    }

    /// The cluster of a way if it has one, else its destination.
    pub(crate) fn target(&self, way: &Way) -> String {
        if way.cluster.is_none() { self.show(way.dest) } else { self.ledger.show(way.cluster).into_owned() }
    }

    /// Names, each once, in order; absent ones are left out.
    pub(crate) fn names(&self, names: impl Iterator<Item = Sym>) -> std::vec::IntoIter<String> {
        let names: BTreeSet<String> =
            names.filter(|name| !name.is_none()).map(|name| self.ledger.show(name).into_owned()).collect();
        names.into_iter().collect::<Vec<_>>().into_iter()
    }

    /// The pods (else the addresses) that answered for a cluster.
    pub(crate) fn answering(&self, cluster: Sym) -> Vec<String> {
        let hosts = self.ledger.answers().filter(|(named, ..)| *named == cluster);
        hosts.map(|(_, host, _)| self.pod(host.ip()).unwrap_or_else(|| self.show(host))).collect()
    }

    /// One pod of a group, `POD -n NAMESPACE`, for a command to run.
    pub(crate) fn one_pod(&self, ways: &[Seen<'_>]) -> String {
        let shown = |(namespace, pod): (Sym, Sym)| {
            let pod = self.ledger.show(pod).into_owned();
            if namespace.is_none() { pod } else { format!("{pod} -n {}", self.ledger.show(namespace)) }
        };
        let named = |way: &Way| {
            let own = if way.side == Side::Inbound { way.dest.ip() } else { way.client };
            let told = Some((way.namespace, way.pod)).filter(|(_, pod)| !pod.is_none());
            let sibling = || self.topology.pod_of_workload(way.namespace, way.workload);
            told.or_else(|| self.topology.pod_of(own)).or_else(sibling)
        };
        // Where ways do not tell pods apart, the ledger may.
        let clients = ways.iter().flat_map(|seen| self.index.clients.of(seen.number));
        let used = clients.filter_map(|(client, _)| self.topology.pod_of(*client)).map(shown).min();
        let told = || ways.iter().filter_map(|seen| named(seen.way)).map(shown).min();
        used.or_else(told).unwrap_or_else(|| "POD -n NAMESPACE".to_owned())
    }

    /// The workload of the pod with an address.
    pub(crate) fn workload(&self, ip: Ip) -> Option<String> {
        workload_at(self.ledger, self.topology, ip)
    }

    /// Name of the pod with an address.
    pub(crate) fn pod(&self, ip: Ip) -> Option<String> {
        self.topology.pod_of(ip).map(|(_, pod)| self.ledger.show(pod).into_owned())
    }

    /// Name of the pod with an address, else the address.
    pub(crate) fn pod_or_address(&self, ip: Ip) -> String {
        self.pod(ip).unwrap_or_else(|| ip.show(&self.ledger.names).to_string())
    }

    /// Who wrote the line: the workload of its pod, else its address, else its input.
    pub(crate) fn proxy(&self, way: &Way) -> String {
        source(self.ledger, self.topology, way)
    }

    /// The proxies of a group, sorted, as one phrase.
    pub(crate) fn proxies(&self, ways: &[Seen<'_>]) -> String {
        let names: BTreeSet<String> = ways.iter().map(|seen| self.proxy(seen.way)).collect();
        list(names)
    }

    /// The clients of a group, sorted, as one phrase.
    pub(crate) fn callers(&self, ways: &[Seen<'_>]) -> String {
        let clients: Vec<Seen<'_>> = ways.iter().filter(|seen| seen.way.side != Side::Inbound).copied().collect();
        if clients.is_empty() { "its callers".to_owned() } else { self.proxies(&clients) }
    }

    /// The destinations of a group, sorted, as one phrase.
    pub(crate) fn destinations(&self, ways: &[Seen<'_>]) -> String {
        self.addresses(ways.iter().map(|seen| seen.way.dest))
    }

    /// Addresses, each once, sorted by their text, as one phrase.
    fn addresses(&self, endpoints: impl Iterator<Item = Endpoint>) -> String {
        let distinct: BTreeSet<Endpoint> = endpoints.collect();
        let names: BTreeSet<String> = distinct.into_iter().map(|endpoint| self.show(endpoint)).collect();
        list(names)
    }

    /// Every flag of a group, as the log prints them.
    pub(crate) fn flags(&self, ways: &[Seen<'_>]) -> String {
        flags(self.ledger, ways.iter().map(|seen| seen.way))
    }

    /// What the transport sockets of a group said, as one phrase in brackets, or nothing.
    pub(crate) fn transport(&self, ways: &[Seen<'_>]) -> String {
        let reasons: BTreeSet<String> = ways
            .iter()
            .filter(|seen| !seen.way.transport.is_none())
            .map(|seen| self.ledger.show(seen.way.transport).replace('_', " "))
            .collect();
        if reasons.is_empty() { String::new() } else { format!(" ({})", list(reasons)) }
    }

    /// The text of an address.
    pub(crate) fn show(&self, endpoint: Endpoint) -> String {
        endpoint.show(&self.ledger.names).to_string()
    }

    /// `; endpoints answered until ... and again from ... on`, as far as connections of the same clusters tell.
    pub(crate) fn answered_around(&self, ways: &[Seen<'_>]) -> String {
        let clusters: BTreeSet<Sym> = ways.iter().map(|seen| seen.way.cluster).collect();
        self.around("endpoints answered", when(ways), |cluster, _| clusters.contains(&cluster))
    }

    /// The same of plaintext: what clients reached at these servers' addresses around the mesh.
    pub(crate) fn plaintext_around(&self, servers: &[Seen<'_>]) -> String {
        let hosts: BTreeSet<Endpoint> = servers.iter().map(|seen| seen.way.dest).collect();
        let passed = |cluster| Direction::of(self.ledger.names.get(cluster)) == Direction::Passthrough;
        self.around("plaintext was accepted", when(servers), |cluster, host| passed(cluster) && hosts.contains(&host))
    }

    fn around(&self, what: &str, time: Span, of: impl Fn(Sym, Endpoint) -> bool) -> String {
        let good = || self.ledger.answers().filter(|(cluster, host, _)| of(*cluster, *host));
        let before = good().filter_map(|(.., answers)| answers.times.before(time.first)).max();
        let after = good().filter_map(|(.., answers)| answers.times.after(time.last)).min();
        match (before, after) {
            (Some(before), Some(after)) => format!("; {what} until {before}, and again from {after} on"),
            (Some(before), None) => format!("; {what} until {before}"),
            (None, Some(after)) => format!("; {what} from {after} on"),
            (None, None) => String::new(),
        }
    }

    /// Whether a ztunnel wrote the lines: it says why in words of its own, with blanks, which Envoy does not write.
    pub(crate) fn is_ambient(&self, ways: &[Seen<'_>]) -> bool {
        let said = |way: &Way| way.transport == way.termination && self.ledger.show(way.transport).contains(' ');
        ways.iter().any(|seen| said(seen.way))
    }

    /// Whether a pod dials its own address.
    pub(crate) fn dials_itself(&self, way: &Way) -> bool {
        let own = way.dest.ip();
        !own.is_none() && (way.client == own || self.topology.is_own(own, way))
    }
}

/// The workload that a proxy belongs to: by its pod's name, by the pod of its address, else the address itself.
pub fn source(ledger: &Ledger, topology: &Topology, way: &Way) -> String {
    if !way.workload.is_none() {
        return qualified(ledger, way.namespace, &ledger.show(way.workload));
    }
    let address = if way.side == Side::Inbound { way.dest.ip() } else { way.client };
    workload_at(ledger, topology, address).unwrap_or_else(|| address.show(&ledger.names).to_string())
}

/// The workload of the pod with an address.
pub fn workload_at(ledger: &Ledger, topology: &Topology, ip: Ip) -> Option<String> {
    let (namespace, pod) = topology.pod_of(ip)?;
    Some(qualified(ledger, namespace, &shown(workload(ledger.names.get(pod)))))
}

fn qualified(ledger: &Ledger, namespace: Sym, name: &str) -> String {
    if namespace.is_none() { name.to_owned() } else { format!("{name}.{}", ledger.show(namespace)) }
}

/// Every flag of some ways, unknown ones too, as the log prints them.
pub fn flags<'w>(ledger: &Ledger, ways: impl Iterator<Item = &'w Way>) -> String {
    let mut names: Vec<String> = Vec::new();
    for way in ways {
        let unknown = ledger.show(way.unknown_flags).into_owned();
        let known = way.flags.names().into_iter().map(str::to_owned);
        for name in known.chain(unknown.split(',').map(str::to_owned)) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.sort_by_key(|name| (Flags::of(&[name]), name.clone()));
    names.join(",")
}

/// `a`, `a and b`, `a, b, c and 4 more`.
pub(crate) fn list(names: impl IntoIterator<Item = String>) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<String> = names.into_iter().collect();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    if more > 0 {
        return format!("{} and {more} more", names.join(", "));
    }
    match (names.pop(), names.is_empty()) {
        (Some(last), false) => format!("{} and {last}", names.join(", ")),
        (last, _) => last.unwrap_or_default(),
    }
}

/// The ports of a group's destinations, sorted, as one phrase.
pub(crate) fn ports(ways: &[Seen<'_>]) -> String {
    let ports: BTreeSet<u16> = ways.iter().map(|seen| seen.way.dest.port()).collect();
    list(ports.into_iter().map(|port| port.to_string()))
}

/// `requests` or `connections`.
pub(crate) fn noun(ways: &[Seen<'_>]) -> &'static str {
    if ways.iter().all(|seen| seen.way.protocol == Protocol::Http) { "requests" } else { "connections" }
}

/// `, each after 1000 ms` if they nearly all took the same, long time.
pub(crate) fn after(ways: &[Seen<'_>]) -> String {
    durations(ways).constant(500).map_or(String::new(), |millis| format!(", each after about {}", duration(millis)))
}

/// What to do where a ztunnel could not connect.
pub(crate) const AMBIENT: &str = "check that a NetworkPolicy lets the tunnel's port 15008 through, that a ztunnel runs on \
                                  the server's node, and that the application listens";
