//! Sections of a `/config_dump`: what their lists hold, and in which state each entry is.
//!
//! Source: `envoy.admin.v3.*ConfigDump`, `envoy.admin.v2alpha`.

use super::document::{Step, shown};
use super::node::{Node, Read};
use super::parts::Parts;
use super::{cluster, listener, route, whose};
use crate::field::value::{self, Micros};
use crate::mesh::{Cluster, Listener, Refused, RouteConfig};

/// What a list of a dump's section holds.
#[derive(Clone, Copy)]
pub(super) enum Section {
    /// A listener in each state that it is in.
    ListenerStates,
    /// A listener, active or not.
    Listeners(bool),
    Clusters(bool),
    Routes,
    Endpoints,
    /// Not ours: what it is.
    Unused(&'static str),
}

/// The lists of a dump's sections.
pub(super) fn section(list: &str) -> Option<Section> {
    Some(match list {
        "dynamic_listeners" | "dynamicListeners" => Section::ListenerStates,
        "static_listeners" | "staticListeners" | "dynamic_active_listeners" | "dynamicActiveListeners" => {
            Section::Listeners(true)
        }
        "dynamic_warming_listeners"
        | "dynamicWarmingListeners"
        | "dynamic_draining_listeners"
        | "dynamicDrainingListeners" => Section::Listeners(false),
        "static_clusters" | "staticClusters" | "dynamic_active_clusters" | "dynamicActiveClusters" => {
            Section::Clusters(true)
        }
        "dynamic_warming_clusters" | "dynamicWarmingClusters" => Section::Clusters(false),
        "static_route_configs" | "staticRouteConfigs" | "dynamic_route_configs" | "dynamicRouteConfigs" => {
            Section::Routes
        }
        "static_endpoint_configs" | "staticEndpointConfigs" | "dynamic_endpoint_configs" | "dynamicEndpointConfigs" => {
            Section::Endpoints
        }
        "inline_scoped_route_configs"
        | "inlineScopedRouteConfigs"
        | "dynamic_scoped_route_configs"
        | "dynamicScopedRouteConfigs" => Section::Unused("scoped routes are not followed"),
        "ecds_filters" | "ecdsFilters" => Section::Unused("filters given on their own (ECDS) are not followed"),
        _ if list.ends_with("secrets") || list.ends_with("Secrets") => Section::Unused("secrets are never read"),
        _ => return None,
    })
}

impl Parts {
    pub(super) fn has(&mut self, section: Option<Section>) {
        let has = &mut self.proxy.has;
        match section {
            Some(Section::ListenerStates | Section::Listeners(_)) => has.listeners = true,
            Some(Section::Clusters(_)) => has.clusters = true,
            Some(Section::Routes) => has.routes = true,
            Some(Section::Endpoints) => has.endpoints = true,
            Some(Section::Unused(_)) | None => return,
        }
        self.known += 1;
    }

    /// A member of a section, or an item of one of its lists.
    pub(super) fn of_section<'n>(&mut self, place: &[Step], member: &str, part: &'n Node) -> Read<'n, ()> {
        match member {
            "@type" => self.kind_of_section(place, &part.as_text()?),
            "bootstrap" => {
                self.known += 1;
                self.proxy.node = whose::node(part)?;
            }
            "version_info" | "versionInfo" => self.saw(version(&part.as_text()?)),
            "last_updated" | "lastUpdated" => self.saw(value::time(part.as_text()?.as_bytes())),
            _ => match section(member) {
                Some(kind) => self.entry(place, kind, part)?,
                None => self.notes.unknown(shown(place), format!("{member} of a section is not known")),
            },
        }
        Ok(())
    }

    /// An empty section has nothing but its type.
    fn kind_of_section(&mut self, place: &[Step], kind: &str) {
        let kind = kind.rsplit(['.', '/']).next().unwrap_or_default();
        match kind {
            "ListenersConfigDump" => self.has(Some(Section::ListenerStates)),
            "ClustersConfigDump" => self.has(Some(Section::Clusters(true))),
            "RoutesConfigDump" => self.has(Some(Section::Routes)),
            "EndpointsConfigDump" => self.has(Some(Section::Endpoints)),
            // What is in these is told when it comes.
            "BootstrapConfigDump" | "SecretsConfigDump" | "ScopedRoutesConfigDump" | "EcdsConfigDump" => {
                self.known += 1;
            }
            _ => self.notes.unknown(shown(&place[..2]), format!("sections of the type {kind} are not known")),
        }
    }

    fn entry<'n>(&mut self, place: &[Step], kind: Section, entry: &'n Node) -> Read<'n, ()> {
        match kind {
            Section::ListenerStates => self.listener_states(entry)?,
            Section::Listeners(active) => {
                let listener = self.listener(entry, active)?;
                self.proxy.listeners.extend(listener);
            }
            Section::Clusters(active) => self.cluster(entry, active)?,
            Section::Routes => {
                let refused = self.refused(entry)?;
                let updated = self.updated(entry)?;
                if let Some(config) = entry.get("route_config")? {
                    let config = route::config(config)?;
                    self.routes(RouteConfig { updated, error: refused, ..config });
                }
            }
            Section::Endpoints => {
                self.updated(entry)?;
                if let Some(assigned) = entry.get("endpoint_config")? {
                    self.endpoints(assigned)?;
                }
            }
            Section::Unused(why) => self.notes.unknown(shown(place), why),
        }
        Ok(())
    }

    /// A listener that changes is there in two states at once.
    fn listener_states<'n>(&mut self, entry: &'n Node) -> Read<'n, ()> {
        let name = entry.text("name")?;
        let mut error = self.refused(entry)?;
        let mut any = false;
        for (state, active) in [("active_state", true), ("warming_state", false), ("draining_state", false)] {
            let Some(state) = entry.get(state)? else { continue };
            let Some(mut listener) = self.listener(state, active)? else { continue };
            if listener.name.is_empty() {
                listener.name = name.as_ref().into();
            }
            any = true;
            listener.error = error.take();
            self.proxy.listeners.push(listener);
        }
        if !any && error.is_none() && name.is_empty() {
            return Err(entry.is_not("a listener: it has neither a name nor a state"));
        }
        if error.is_some() || !any {
            self.proxy.listeners.push(Listener { name: name.into(), error, ..Listener::default() });
        }
        Ok(())
    }

    fn listener<'n>(&mut self, state: &'n Node, active: bool) -> Read<'n, Option<Listener>> {
        let updated = self.updated(state)?;
        let Some(node) = state.get("listener")? else { return Ok(None) };
        Ok(Some(Listener { active, updated, ..listener::listener(node)? }))
    }

    fn cluster<'n>(&mut self, entry: &'n Node, active: bool) -> Read<'n, ()> {
        let (updated, error) = (self.updated(entry)?, self.refused(entry)?);
        if let Some(node) = entry.get("cluster")? {
            self.clusters(Cluster { active, error, updated, ..cluster::cluster(node)? });
        }
        Ok(())
    }

    fn saw(&mut self, time: Option<Micros>) {
        self.proxy.taken = self.proxy.taken.max(time);
    }

    /// When something was given to the proxy.
    fn updated<'n>(&mut self, entry: &'n Node) -> Read<'n, Option<Micros>> {
        self.saw(version(&entry.text("version_info")?));
        let updated = entry.time("last_updated");
        self.saw(updated);
        Ok(updated)
    }

    fn refused<'n>(&mut self, entry: &'n Node) -> Read<'n, Option<Refused>> {
        let Some(error) = entry.get("error_state")? else { return Ok(None) };
        let at = error.time("last_update_attempt");
        self.saw(at);
        Ok(Some(Refused { details: error.text("details")?.into(), at }))
    }
}

/// Istio's versions begin with a time: `2026-01-01T00:00:00Z/7`.
fn version(text: &str) -> Option<Micros> {
    text.split_once('/').and_then(|(time, _)| value::time(time.as_bytes()))
}
