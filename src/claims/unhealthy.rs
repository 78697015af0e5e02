//! Where no endpoint could be chosen: what the dump and the cluster's objects say of the endpoints.

use std::collections::BTreeMap;

use super::list;
use crate::cluster::Cluster;
use crate::mesh::objects::{Objects, Service};
use crate::mesh::policy::pods;
use crate::replay::{Replayed, Shown};
use crate::route::{End, Fate};

/// How many endpoints there are and why none was chosen, as the end of a text; and whether it is so in the dump as well.
pub(super) fn unhealthy(replayed: &Replayed<'_>, shown: &Shown<'_, '_>) -> (String, bool) {
    let End::Cluster { name, fate } = shown.outcome.end else { return (String::new(), false) };
    let all = shown.router.endpoints(name).unwrap_or_default();
    let healthy = all.iter().filter(|endpoint| endpoint.healthy).count();
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for endpoint in all.iter().filter(|endpoint| !endpoint.healthy) {
        *states.entry(&endpoint.state).or_default() += 1;
    }
    let states = list(states.into_iter().map(|(state, count)| format!("{count} {state}")));
    let count = all.len();
    let (dump, same) = match fate {
        Fate::Missing => ("; the proxy has no such cluster".to_owned(), true),
        Fate::NoEndpoint => ("; it has no endpoint".to_owned(), true),
        Fate::NoneHealthy => (format!("; none of its {count} endpoints is healthy ({states})"), true),
        Fate::Goes if count > 0 => {
            (format!("; its endpoints are healthy there ({healthy} of {count}), so it is of another moment"), false)
        }
        Fate::Goes | Fate::Unknown => (String::new(), false),
    };
    let host = Cluster::read(name.as_bytes()).host;
    let objects = &replayed.mesh.objects;
    let service = objects.services.iter().find(|service| service.host.as_bytes() == host);
    (dump + &service.map_or(String::new(), |service| listed(objects, service)), same)
}

/// What EndpointSlices have of a Service, as the end of a text; nothing where none were given.
fn listed(objects: &Objects, service: &Service) -> String {
    if objects.endpoints.is_empty() || service.selector.is_empty() {
        return String::new();
    }
    let meta = &service.meta;
    let own = objects.endpoints.iter().filter(|slice| slice.service == meta.name);
    let own = own.filter(|slice| slice.meta.namespace == meta.namespace);
    let ready: Vec<bool> = own.flat_map(|slice| slice.addresses.iter().map(|(_, ready, _)| *ready)).collect();
    let told = match (ready.iter().filter(|ready| **ready).count(), ready.len()) {
        (_, 0) => "have no address".to_owned(),
        (ready, count) => format!("have {ready} ready of {count} addresses"),
    };
    let labels = || list(service.selector.iter().map(|(key, value)| format!("{key}={value}")));
    let nobody = if objects.pods.is_empty() || !pods(objects, service).is_empty() {
        String::new()
    } else {
        format!(", and no pod has the labels that it selects, {}", labels())
    };
    format!(". The EndpointSlices of {} in namespace {} {told}{nobody}", meta.name, meta.namespace)
}
