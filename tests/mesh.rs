//! Real configuration dumps: every one is read, and what is in it is counted a second time, from a plain tree.
//! Skipped with a word where they are not at hand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use logscan::mesh::read::paths;
use logscan::mesh::{Mesh, Proxy};
use serde_json::Value;

use crate::tool::path;

/// Where dumps are: in the folder that `MESH_DUMPS` names, else beside the project.
fn folder() -> PathBuf {
    std::env::var_os("MESH_DUMPS").map_or_else(|| path("../shared/mesh-data"), PathBuf::from)
}

/// The dumps that others published.
fn dumps() -> Vec<PathBuf> {
    files_in(&folder())
}

/// The dumps in a folder, without the files that are about them.
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(folder) = std::fs::read_dir(folder) else {
        eprintln!("skipped: no dumps in {}", folder.display());
        return Vec::new();
    };
    let is_dump = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name != "SOURCES.md" && name != "expected-matches.json"
    };
    let mut found: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).filter(is_dump).collect();
    found.sort();
    found
}

fn tree(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| serde_saphyr::from_str(&text).unwrap())
}

/// All values behind a key of this name, in either spelling, at any depth; not within what was found.
fn all<'v>(value: &'v Value, names: &[&str], found: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| all(item, names, found)),
        Value::Object(members) => {
            for (key, inner) in members {
                if names.contains(&&**key) {
                    found.push(inner);
                } else {
                    all(inner, names, found);
                }
            }
        }
        _ => {}
    }
}

fn found<'v>(value: &'v Value, names: &[&str]) -> Vec<&'v Value> {
    let mut list = Vec::new();
    all(value, names, &mut list);
    list
}

fn items(value: &Value, names: &[&str]) -> usize {
    found(value, names).iter().map(|list| list.as_array().map_or(0, Vec::len)).sum()
}

/// What a tree says of listeners, chains, clusters, routes and endpoints.
fn counted(value: &Value) -> [usize; 5] {
    let is_list = |key: &[&str]| {
        value.as_array().is_some_and(|list| list.iter().any(|item| key.iter().any(|key| item.get(key).is_some())))
    };
    let sections = ["dynamic_listeners", "static_listeners"];
    let listeners: Vec<&Value> = if is_list(&["filterChains"]) {
        value.as_array().unwrap().iter().collect()
    } else {
        let entries: Vec<&Value> = found(value, &sections).into_iter().filter_map(Value::as_array).flatten().collect();
        let old = found(value, &["dynamic_active_listeners"]).into_iter().filter_map(Value::as_array).flatten();
        entries.into_iter().chain(old).flat_map(|entry| found(entry, &["listener"])).collect()
    };
    let chains = listeners.iter().map(|listener| items(listener, &["filter_chains", "filterChains"])).sum();
    let clusters = found(value, &["static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"]);
    let clusters = clusters.iter().map(|list| list.as_array().unwrap().len()).sum();
    let routes: Vec<&Value> = found(value, &["static_route_configs", "dynamic_route_configs"]);
    let names = routes.iter().flat_map(|list| found(list, &["route_config"])).map(|config| config["name"].to_string());
    let routes = names.collect::<BTreeSet<String>>().len();
    let of_eds: Vec<&Value> = found(value, &["dynamic_endpoint_configs", "static_endpoint_configs"]);
    let of_eds: usize = of_eds.iter().map(|list| items(list, &["lb_endpoints"])).sum();
    let alive = items(value, &["host_statuses", "hostStatuses"]);
    [listeners.len(), chains, clusters, routes, of_eds + alive]
}

fn read(proxies: &[Proxy]) -> [usize; 5] {
    let sum = |count: fn(&Proxy) -> usize| proxies.iter().map(count).sum::<usize>();
    [
        sum(|proxy| proxy.listeners.len()),
        sum(|proxy| proxy.listeners.iter().map(|listener| listener.chains.len()).sum()),
        sum(|proxy| proxy.clusters.len()),
        sum(|proxy| proxy.routes.len()),
        sum(|proxy| proxy.endpoints.values().map(Vec::len).sum()),
    ]
}

#[test]
fn every_published_dump_is_read_and_nothing_is_lost_unsaid() {
    for file in dumps() {
        let mesh = paths(std::slice::from_ref(&file)).unwrap_or_else(|trouble| panic!("{trouble}"));
        let value = tree(&file);
        assert_eq!(read(&mesh.proxies), counted(&value), "{}", file.display());
        assert!(mesh.left_out.iter().all(|left| !left.wrong), "{:#?}", mesh.left_out);
        let objects = &mesh.objects;
        let size = |key: &str| value.get(key).map_or(0, |list| list.as_object().map_or(0, serde_json::Map::len));
        assert_eq!(
            (objects.pods.len(), objects.services.len()),
            (size("workloads"), size("services")),
            "{}",
            file.display()
        );
    }
}

#[test]
fn a_folder_is_what_its_files_are_and_their_order_does_not_matter() {
    for folder in [path("samples/proof/mesh/healthy"), folder()] {
        let files = files_in(&folder);
        if !files.is_empty() {
            a_folder_is_its_files(&folder, &files);
        }
    }
}

fn a_folder_is_its_files(folder: &Path, files: &[PathBuf]) {
    let told = |mesh: Mesh| format!("{mesh:?}");
    let forward = told(paths(files).unwrap());
    let backward: Vec<PathBuf> = files.iter().rev().cloned().collect();
    assert_eq!(forward, told(paths(&backward).unwrap()));
    let twice: Vec<PathBuf> = files.iter().chain(files).cloned().collect();
    assert_eq!(forward, told(paths(&twice).unwrap()));
    let whole = paths(&[folder.to_owned()]).unwrap();
    assert_eq!(whole.proxies.len(), paths(files).unwrap().proxies.len());
}

#[test]
fn one_proxy_at_two_times_is_two_values_and_shows_what_came() {
    let mesh = paths(&[path("samples/mesh")]).unwrap();
    let [healthy, incident] = &mesh.proxies[..] else { panic!("{:#?}", mesh.proxies) };
    assert_eq!((&*healthy.node.pod, &*incident.node.pod), ("nats-0", "nats-0"));
    assert!(healthy.taken < incident.taken);
    let names =
        |proxy: &Proxy| proxy.listeners.iter().map(|listener| listener.name.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(names(incident).difference(&names(healthy)).collect::<Vec<_>>(), ["0.0.0.0_6222"]);
    for (proxy, phase) in [(healthy, "healthy"), (incident, "incident")] {
        let value = tree(&path(&format!("samples/mesh/{phase}/nats-0.json")));
        assert_eq!(read(std::slice::from_ref(proxy)), counted(&value), "{phase}");
        let endpoints: Vec<_> = proxy.endpoints.values().flatten().collect();
        assert!(endpoints.iter().any(|endpoint| endpoint.connect_failures.is_some()), "{endpoints:#?}");
        let lines = &proxy.clusters["outbound|6222||nats.stream.svc.cluster.local"].tls_matches;
        assert_eq!(
            lines.iter().map(|line| line.tls.as_ref().is_some_and(|tls| tls.mutual)).collect::<Vec<_>>(),
            [true, false]
        );
        let inbound = proxy.listeners.iter().find(|listener| &*listener.name == "virtualInbound").unwrap();
        assert!(inbound.chains[0].tls.is_some_and(|tls| tls.requires_client_certificate));
    }
    assert!(mesh.left_out.is_empty(), "{:#?}", mesh.left_out);
}
