//! Which dumps are of the proxy that logged a way, and which of them was in force at its time.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::ledger::Ledger;
use crate::leg::{Side, Way};
use crate::measure::Span;
use crate::mesh::Mesh;
use crate::names::{Sym, workload};
use crate::topology::Topology;

/// The dumps of a mesh by whom they are of.
#[derive(Debug, Default)]
pub(super) struct Dumps {
    /// By pod, each a list of dumps over time, the oldest first: start of its time, and place among the proxies.
    pods: Vec<Vec<(i64, usize)>>,
    by_name: BTreeMap<(Sym, Sym), usize>,
    by_workload: BTreeMap<(Sym, Sym), Vec<usize>>,
    by_address: BTreeMap<crate::endpoint::Ip, usize>,
}

impl Dumps {
    pub(super) fn of(mesh: &Mesh, ledger: &Ledger, topology: &Topology) -> Dumps {
        let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut dumps = Dumps::default();
        let mut addresses: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (number, proxy) in mesh.proxies.iter().enumerate() {
            let node = &proxy.node;
            let place = *places.entry((&node.namespace, &node.pod)).or_insert_with(|| {
                dumps.pods.push(Vec::new());
                dumps.pods.len() - 1
            });
            dumps.pods[place].push((proxy.taken.map_or(i64::MIN, |taken| taken.0), number));
            addresses.extend(node.addresses.iter().map(|address| (address.to_canonical(), place)));
        }
        for list in &mut dumps.pods {
            list.sort_unstable();
        }
        // Names of the log that are names of dumps; one of the two may not know the namespace.
        let pods = ledger.ways().iter().map(|way| (way.namespace, way.pod));
        let owned = topology.addresses().filter_map(|(ip, _)| topology.pod_of(ip));
        let mut by_pod: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
        for ((namespace, pod), place) in &places {
            by_pod.entry(pod).or_default().push((namespace, *place));
        }
        let text = |name: Sym| std::str::from_utf8(ledger.names.get(name)).unwrap_or_default();
        for (namespace, pod) in pods.chain(owned).filter(|(_, pod)| !pod.is_none()) {
            if dumps.by_name.contains_key(&(namespace, pod)) {
                continue;
            }
            let home = text(namespace);
            let known = by_pod.get(text(pod)).into_iter().flatten();
            let same = |(other, _): &&(&str, usize)| home.is_empty() || other.is_empty() || home == *other;
            if let Some((_, place)) = known.clone().find(same) {
                dumps.by_name.insert((namespace, pod), *place);
            }
        }
        // A way that tells no pod is asked of all pods of its workload.
        for way in ledger.ways().iter().filter(|way| !way.workload.is_none()) {
            let key = (way.namespace, way.workload);
            if dumps.by_workload.contains_key(&key) {
                continue;
            }
            let (home, name) = (text(way.namespace), ledger.names.get(way.workload));
            let of = |(namespace, pod): &(&str, &str)| {
                workload(pod.as_bytes()) == name && (home.is_empty() || namespace.is_empty() || *namespace == home)
            };
            let found = places.iter().filter(|(key, _)| of(key)).map(|(_, place)| *place).collect();
            dumps.by_workload.insert(key, found);
        }
        for ip in ledger.ways().iter().flat_map(|way| [way.client, way.dest.ip()]) {
            if let Some(place) = ip.address(&ledger.names).and_then(|address| addresses.get(&address.to_canonical())) {
                dumps.by_address.insert(ip, *place);
            }
        }
        for (ip, _) in topology.addresses() {
            let named = topology.pod_of(ip).and_then(|pod| dumps.by_name.get(&pod).copied());
            if let Some(place) = named {
                dumps.by_address.entry(ip).or_insert(place);
            }
        }
        dumps
    }

    /// The dumps that a way is to be asked of: of every pod that it may be of, those in force from its first line to its
    /// last.
    pub(super) fn in_force(&self, way: &Way, time: &Span) -> Vec<usize> {
        let mut found: Vec<usize> =
            self.pods_of(way).into_iter().flat_map(|place| in_time(&self.pods[place], time)).collect();
        found.sort_unstable();
        found
    }

    /// The last dump of every pod that a way may be of.
    pub(super) fn latest(&self, way: &Way) -> Vec<usize> {
        let last = |place: usize| self.pods[place].last().map(|(_, number)| *number);
        self.pods_of(way).into_iter().filter_map(last).collect()
    }

    fn pods_of(&self, way: &Way) -> Vec<usize> {
        let own = if way.side == Side::Inbound { way.dest.ip() } else { way.client };
        let named = (!way.pod.is_none()).then(|| self.by_name.get(&(way.namespace, way.pod))).flatten();
        let one = named.or_else(|| self.by_address.get(&own).filter(|_| !own.is_none()));
        if let Some(place) = one {
            return vec![*place];
        }
        self.by_workload
            .get(&(way.namespace, way.workload))
            .filter(|_| !way.workload.is_none())
            .cloned()
            .unwrap_or_default()
    }
}

/// Those of a list that were in force in a time: one that was taken before its end and not followed by another before its
/// beginning; the first one, if all were taken later.
fn in_time(list: &[(i64, usize)], time: &Span) -> Vec<usize> {
    let upto = |moment: i64| list.iter().rposition(|(taken, _)| *taken <= moment).unwrap_or(0);
    if list.is_empty() {
        return Vec::new();
    }
    // A dump's time is that of the last thing that it was given. What is taken away leaves no time, so of several dumps
    // with one time any may have been in force.
    let first = list[upto(time.first.0)].0;
    let same = list.partition_point(|(taken, _)| *taken < first);
    list[same..=upto(time.last.0)].iter().map(|(_, number)| *number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::value::Micros;

    #[test]
    fn a_dump_is_in_force_until_the_next_one() {
        let list = [(10, 0), (20, 1), (30, 2)];
        let time = |first, last| Span { first: Micros(first), last: Micros(last), count: 2 };
        assert_eq!(in_time(&list, &time(12, 15)), [0]);
        assert_eq!(in_time(&list, &time(12, 25)), [0, 1]);
        assert_eq!(in_time(&list, &time(31, 40)), [2]);
        assert_eq!(in_time(&list, &time(1, 5)), [0], "nothing older is known");
        assert_eq!(in_time(&[(10, 0), (20, 1), (20, 2)], &time(25, 26)), [1, 2], "which came first is not known");
        assert!(in_time(&[], &time(1, 5)).is_empty());
    }
}
