//! Files become proxies: what belongs to one proxy and time is one value.

use std::collections::BTreeMap;

use super::parts::Parts;
use super::status::{Live, join};
use super::whose::Place;
use crate::mesh::{Has, Proxy};

/// Makes proxies of what files told, sorted by pod and time. Files come sorted by name.
pub(super) fn proxies(files: Vec<(Box<str>, Parts)>) -> Vec<Proxy> {
    let mut places: BTreeMap<Place, Vec<(Proxy, Live)>> = BTreeMap::new();
    for (file, parts) in files {
        let Parts { mut proxy, live, .. } = parts;
        // Objects of a cluster are no proxy's.
        if proxy.has == Has::default() && proxy.node.id.is_empty() {
            continue;
        }
        proxy.files = vec![file.clone()];
        let there = places.entry(Place::of(&file)).or_default();
        // What is there twice is told by two dumps, of two times.
        match there.iter_mut().find(|(known, alive)| fits(known, alive, &proxy, &live)) {
            Some((known, alive)) => {
                absorb(known, proxy);
                alive.extend(live);
            }
            None => there.push((proxy, live)),
        }
    }
    let mut all = Vec::new();
    for (place, proxies) in places {
        for (mut proxy, live) in proxies {
            for (cluster, endpoints) in live {
                let name = proxy.clusters.get(&cluster).map(|cluster| &cluster.service_name);
                let name = name.filter(|name| !name.is_empty()).unwrap_or(&cluster).clone();
                join(proxy.endpoints.entry(name).or_default(), endpoints);
            }
            if proxy.node.pod.is_empty() {
                proxy.node.pod = place.pod.clone();
            }
            if proxy.node.namespace.is_empty() {
                proxy.node.namespace = place.namespace.clone();
            }
            all.push(proxy);
        }
    }
    let key = |proxy: &Proxy| {
        (proxy.node.namespace.clone(), proxy.node.pod.clone(), proxy.node.id.clone(), proxy.taken, proxy.files.clone())
    };
    all.sort_by_cached_key(key);
    all
}

/// Whether two files of one place can tell of the same time: no part is in both.
fn fits(known: &Proxy, alive: &Live, proxy: &Proxy, live: &Live) -> bool {
    let both = |part: fn(&Proxy) -> bool| part(known) && part(proxy);
    let same_node = known.node.id.is_empty() || proxy.node.id.is_empty() || known.node.id == proxy.node.id;
    let twice = both(|proxy| proxy.has.listeners)
        || both(|proxy| proxy.has.clusters)
        || both(|proxy| proxy.has.routes)
        || both(|proxy| !proxy.endpoints.is_empty())
        || !alive.is_empty() && !live.is_empty();
    same_node && !twice
}

fn absorb(known: &mut Proxy, other: Proxy) {
    if known.node.id.is_empty() && !other.node.id.is_empty() {
        known.node = other.node;
    }
    known.taken = known.taken.max(other.taken);
    known.files.extend(other.files);
    known.has = Has {
        listeners: known.has.listeners || other.has.listeners,
        clusters: known.has.clusters || other.has.clusters,
        routes: known.has.routes || other.has.routes,
        endpoints: known.has.endpoints || other.has.endpoints,
        only_table: known.has.only_table && !other.has.listeners || other.has.only_table && !known.has.listeners,
    };
    known.listeners.extend(other.listeners);
    known.clusters.extend(other.clusters);
    known.routes.extend(other.routes);
    known.endpoints.extend(other.endpoints);
}
