//! What one file tells: takes its parts as they come and makes values of them.

use super::bulk::Bulk;
use super::document::{Step, Take, shown};
use super::node::{Node, Read};
use super::notes::Notes;
use super::section::section;
use super::status::{self, Live};
use super::ztunnel::{self, Ztunnel};
use super::{cluster, config_map, endpoint, kube, listener, registry, route, table, whose};
use crate::mesh::objects::{Objects, Service};
use crate::mesh::{Cluster, Proxy, RouteConfig};

/// What was read of one file.
#[derive(Default)]
pub(super) struct Parts {
    /// Its part of a proxy's configuration.
    pub(super) proxy: Proxy,
    /// Endpoints as the proxy sees them.
    pub(super) live: Live,
    /// Objects of its cluster.
    pub(super) objects: Objects,
    /// Services as istiod knows them.
    pub(super) registry: Vec<Service>,
    /// What a ztunnel knows.
    pub(super) ztunnel: Ztunnel,
    /// It is a ztunnel's dump.
    is_ztunnel: bool,
    /// Items of a List that leave their kind to it, which may stand behind them.
    waiting: Vec<(Vec<Step>, Node)>,
    /// How much its messages say.
    bulk: Bulk,
    /// What was not used.
    pub(super) notes: Notes,
    /// How many parts were known: a file without one is nothing that we know.
    pub(super) known: u64,
}

impl Take for Parts {
    fn opens(&mut self, place: &[Step]) {
        match place {
            [Step::Key(top)] if matches!(&**top, "cluster_statuses" | "clusterStatuses") => {
                self.proxy.has.endpoints = true;
                self.known += 1;
            }
            [Step::Key(top)] if &**top == "workloads" => {
                self.is_ztunnel = true;
                self.known += 1;
            }
            [Step::Key(_), Step::Item(_), Step::Key(list)] => self.has(section(list)),
            _ => {}
        }
    }

    fn is_known(&self) -> bool {
        self.known > 0
    }

    fn part(&mut self, place: &[Step], part: Node) {
        // Templates leave documents behind that are empty but for a comment.
        if place.is_empty() && matches!(part, Node::Nothing) {
            return;
        }
        if !self.bulk.takes(&part) {
            self.wrong(place, "", "almost all of the file's messages are empty".to_owned());
            return;
        }
        let done = match place {
            [Step::Key(configs), Step::Item(_), Step::Key(member), ..] if &**configs == "configs" => {
                self.of_section(place, member, &part)
            }
            [Step::Key(top), Step::Item(_)] if matches!(&**top, "cluster_statuses" | "clusterStatuses") => {
                self.status(&part)
            }
            [Step::Key(items), Step::Item(_)] if &**items == "items" && part.has("metadata") && !part.has("kind") => {
                self.waiting.push((place.to_vec(), part));
                return;
            }
            [Step::Key(list)] if &**list == "certificates" => {
                self.notes.unknown(shown(place), "secrets are never read");
                return;
            }
            [Step::Key(list), _] => self.of_list(place, list, &part),
            [] => self.top(place, &part),
            _ => self.whole(place, &part),
        };
        if let Err(wrong) = done {
            let (inner, why) = wrong.within(&part);
            self.wrong(place, &inner, why);
        }
    }
}

impl Parts {
    /// Of a cluster in two states the active one counts, and what became of the other is told with it.
    pub(super) fn clusters(&mut self, cluster: Cluster) {
        let clusters = &mut self.proxy.clusters;
        match clusters.get_mut(&cluster.name) {
            Some(known) if known.active && !cluster.active => known.error = known.error.take().or(cluster.error),
            _ => {
                clusters.insert(cluster.name.clone(), cluster);
            }
        }
    }

    /// Route configurations that are written into listeners have a name only by chance: the first one stays.
    pub(super) fn routes(&mut self, config: RouteConfig) {
        self.proxy.routes.entry(config.name.clone()).or_insert(config);
    }

    pub(super) fn endpoints<'n>(&mut self, assigned: &'n Node) -> Read<'n, ()> {
        let found = endpoint::assignment(assigned)?;
        self.proxy.endpoints.entry(assigned.text("cluster_name")?.into()).or_default().extend(found);
        Ok(())
    }

    fn status<'n>(&mut self, node: &'n Node) -> Read<'n, ()> {
        let (name, endpoints) = status::status(node)?;
        self.live.entry(name).or_default().extend(endpoints);
        Ok(())
    }

    /// All of `/clusters` as text.
    pub(super) fn status_text(&mut self, text: &str) {
        self.proxy.has.endpoints = true;
        self.known += 1;
        let unread = status::text(text, &mut self.live);
        if unread > 0 {
            self.notes
                .unknown(String::new(), format!("{unread} lines are not of the form CLUSTER::ADDRESS::NAME::VALUE"));
        }
    }

    /// A table of listeners.
    pub(super) fn table(&mut self, head: &str, lines: &mut dyn Iterator<Item = &str>) {
        (self.proxy.has.listeners, self.proxy.has.only_table) = (true, true);
        self.known += 1;
        let unread = table::read(head, lines, &mut self.proxy.listeners);
        if unread > 0 {
            self.notes.unknown(String::new(), format!("{unread} lines are none of the table"));
        }
    }

    /// An item of a long list, or a member of a long table.
    fn of_list<'n>(&mut self, place: &[Step], list: &str, part: &'n Node) -> Read<'n, ()> {
        match list {
            "workloads" if ztunnel::is_workload(part) => self.ztunnel.workload(part)?,
            "services" if ztunnel::is_service(part) => self.ztunnel.service(part)?,
            "policies" if part.has("action") => self.objects.authorization_policies.push(ztunnel::policy(part)?),
            _ => return self.whole(place, part),
        }
        self.known += 1;
        Ok(())
    }

    /// What is left of an object at the top, when its long lists are read.
    fn top<'n>(&mut self, place: &[Step], node: &'n Node) -> Read<'n, ()> {
        let kind = node.text("kind")?;
        if let Some(kind) = kind.strip_suffix("List") {
            self.known += 1;
            for (place, item) in std::mem::take(&mut self.waiting) {
                if let Err(wrong) = self.object(&place, &item, kind) {
                    let (inner, why) = wrong.within(&item);
                    self.wrong(&place, &inner, why);
                }
            }
            return Ok(());
        }
        // A ztunnel says more than what it routes by.
        if self.is_ztunnel {
            if node.has("workload_state") {
                self.notes.unknown("workloadState".to_owned(), "connections of a ztunnel are not used");
            }
            return Ok(());
        }
        self.whole(place, node)
    }

    fn object<'n>(&mut self, place: &[Step], node: &'n Node, kind: &str) -> Read<'n, ()> {
        self.known += 1;
        if let Some(why) = kube::object(node, kind, &mut self.objects)? {
            self.notes.unknown(shown(place), why);
        }
        Ok(())
    }

    /// Something that stands alone: its members tell what it is.
    fn whole<'n>(&mut self, place: &[Step], node: &'n Node) -> Read<'n, ()> {
        let has = |names: &[&str]| names.iter().any(|name| node.has(name));
        if !node.is_table() {
            self.notes.unknown(shown(place), "is nothing that we know");
            return Ok(());
        }
        if kube::is_object(node) {
            return self.object(place, node, &node.text("kind")?);
        }
        if let Some(bootstrap) = node.get("bootstrap").unwrap_or_default() {
            self.proxy.node = whose::node(bootstrap)?;
        } else if has(&["host_statuses", "added_via_api"]) {
            self.proxy.has.endpoints = true;
            self.status(node)?;
        } else if registry::is_service(node) {
            self.registry.push(registry::service(node)?);
        } else if ztunnel::is_service(node) {
            self.ztunnel.service(node)?;
        } else if ztunnel::is_workload(node) {
            self.ztunnel.workload(node)?;
        } else if ztunnel::is_connections(node) {
            self.notes.unknown(shown(place), "connections of a ztunnel are not used");
        } else if config_map::is_mesh_config(node) {
            self.objects.outbound_policy = config_map::of_mesh_config(node)?;
        } else if !self.resource(node)? {
            self.notes.unknown(shown(place), "is nothing that we know");
            return Ok(());
        }
        self.known += 1;
        Ok(())
    }

    /// A resource of Envoy's without the section around it, as `istioctl` prints it; whether it is one.
    fn resource<'n>(&mut self, node: &'n Node) -> Read<'n, bool> {
        let has = |names: &[&str]| names.iter().any(|name| node.has(name));
        let told = &mut self.proxy.has;
        if has(&["filter_chains", "default_filter_chain", "listener_filters", "use_original_dst", "traffic_direction"])
        {
            told.listeners = true;
            self.proxy.listeners.push(listener::listener(node)?);
        } else if has(&["connect_timeout", "lb_policy", "eds_cluster_config", "load_assignment", "cluster_type"]) {
            told.clusters = true;
            self.clusters(cluster::cluster(node)?);
        } else if has(&["virtual_hosts"]) {
            told.routes = true;
            self.routes(route::config(node)?);
        } else if has(&["cluster_name"]) {
            told.endpoints = true;
            self.endpoints(node)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// `inner` is where in the part at `place` it is.
    fn wrong(&mut self, place: &[Step], inner: &str, why: String) {
        let place = shown(place) + inner;
        self.notes.wrong(place.trim_start_matches('.').to_owned(), why);
    }
}
