//! Where a route table sends a request: virtual host, then route.
//!
//! Source: Envoy `source/common/router/config_impl.cc` (`findVirtualHost`, `getRouteFromEntries`); the documentation of
//! `VirtualHost.domains` in `route_components.proto`.

use std::collections::BTreeMap;

use super::seen::lower;
use crate::mesh::{PathMatch, Route, RouteConfig, RouteTo, VirtualHost};

/// A route configuration, ready to be asked.
#[derive(Debug)]
pub(super) struct Table<'m> {
    pub(super) config: &'m RouteConfig,
    exact: BTreeMap<&'m str, usize>,
    /// `*.suffix` by its suffix, for each length, the longest first.
    suffixes: Vec<(usize, BTreeMap<&'m str, usize>)>,
    /// `prefix.*` likewise.
    prefixes: Vec<(usize, BTreeMap<&'m str, usize>)>,
    any: Option<usize>,
    /// Whether a route asks for more of a path than that there is one.
    pub(super) by_path: bool,
}

/// What a request may come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hits {
    /// Virtual hosts and routes by place, the domain that fits, and whether the route is sure to take it.
    pub(super) routes: Vec<Hit>,
    /// Whether there may be no virtual host or no route.
    pub(super) none: bool,
}

/// A route that may take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) host: usize,
    pub(super) route: usize,
}

impl<'m> Table<'m> {
    /// Reads a configuration. Of two hosts with the same domain the first counts; Envoy refuses such tables.
    pub(super) fn of(config: &'m RouteConfig) -> Table<'m> {
        let mut table = Table {
            config,
            exact: BTreeMap::new(),
            suffixes: Vec::new(),
            prefixes: Vec::new(),
            any: None,
            by_path: false,
        };
        for (host, config) in config.hosts.iter().enumerate() {
            table.by_path |= config.routes.iter().any(|route| !takes_all(&route.path));
            for domain in &config.domains {
                let domain = &**domain;
                if domain == "*" {
                    table.any.get_or_insert(host);
                } else if let Some(suffix) = domain.strip_prefix('*') {
                    by_length(&mut table.suffixes, suffix, host);
                } else if let Some(prefix) = domain.strip_suffix('*') {
                    by_length(&mut table.prefixes, prefix, host);
                } else {
                    table.exact.entry(domain).or_insert(host);
                }
            }
        }
        table
    }

    /// Whether a route puts another host in the place of the one that a request names.
    pub(super) fn rewrites_host(&self) -> bool {
        self.config.hosts.iter().flat_map(|host| &host.routes).any(|route| route.rewrites_host)
    }

    /// The virtual host for an authority.
    pub(super) fn host(&self, authority: &str) -> Option<usize> {
        let authority = lower(authority);
        let mut name = &*authority;
        if self.config.ignore_port_in_host {
            name = without_port(name);
        }
        if let Some(host) = self.exact.get(name) {
            return Some(*host);
        }
        // A wildcard stands for at least one letter.
        let shorter = |length: &usize| *length < name.len();
        let suffix = |(length, all): &(usize, BTreeMap<&str, usize>)| {
            let from = name.len() - length;
            name.is_char_boundary(from).then(|| all.get(&name[from..]).copied()).flatten()
        };
        let prefix = |(length, all): &(usize, BTreeMap<&str, usize>)| {
            name.is_char_boundary(*length).then(|| all.get(&name[..*length]).copied()).flatten()
        };
        self.suffixes
            .iter()
            .filter(|(length, _)| shorter(length))
            .find_map(suffix)
            .or_else(|| self.prefixes.iter().filter(|(length, _)| shorter(length)).find_map(prefix))
            .or(self.any)
    }

    /// Every route that a request may take; without an authority those of all hosts.
    pub(super) fn hits(&self, authority: Option<&str>, path: Option<&str>) -> Hits {
        let mut hits = Hits::default();
        if let Some(authority) = authority {
            match self.host(authority) {
                Some(host) => self.in_host(host, path, &mut hits),
                None => hits.none = true,
            }
            return hits;
        }
        hits.none = self.any.is_none();
        for host in 0..self.config.hosts.len() {
            self.in_host(host, path, &mut hits);
        }
        hits
    }

    /// The first route that is sure to take the path, and those before it that may.
    fn in_host(&self, host: usize, path: Option<&str>, hits: &mut Hits) {
        for (route, config) in self.config.hosts[host].routes.iter().enumerate() {
            match fits(config, path) {
                Fit::No => {}
                Fit::Maybe => hits.routes.push(Hit { host, route }),
                Fit::Yes => {
                    hits.routes.push(Hit { host, route });
                    return;
                }
            }
        }
        hits.none = true;
    }

    /// The host and the route of a hit.
    pub(super) fn at(&self, hit: Hit) -> (&'m VirtualHost, &'m Route) {
        let host = &self.config.hosts[hit.host];
        (host, &host.routes[hit.route])
    }
}

/// Whether a route takes a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    No,
    Maybe,
    Yes,
}

fn fits(route: &Route, path: Option<&str>) -> Fit {
    let fit = if takes_all(&route.path) {
        Fit::Yes
    } else if let Some(path) = path {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let same = |one: &str, other: &str| one == other || route.ignore_case && one.eq_ignore_ascii_case(other);
        let begins = |prefix: &str| path.get(..prefix.len()).is_some_and(|begin| same(begin, prefix));
        let surely = match &route.path {
            PathMatch::Prefix(prefix) => begins(prefix),
            PathMatch::Exact(exact) => same(path, exact),
            PathMatch::SegmentPrefix(prefix) => {
                begins(prefix) && (path.len() == prefix.len() || path[prefix.len()..].starts_with('/'))
            }
            // Told by an engine of Envoy's own, or in a way that is not followed.
            PathMatch::Regex(_) | PathMatch::Other(_) => return Fit::Maybe,
        };
        if surely { Fit::Yes } else { Fit::No }
    } else {
        Fit::Maybe
    };
    // What a log does not show may be so or not.
    if fit == Fit::Yes && !route.conditions.is_empty() { Fit::Maybe } else { fit }
}

/// Whether a route takes every path.
fn takes_all(path: &PathMatch) -> bool {
    match path {
        PathMatch::Prefix(prefix) => prefix.is_empty() || &**prefix == "/",
        PathMatch::Regex(regex) => &**regex == ".*" || &**regex == "/.*",
        _ => false,
    }
}

/// `host` of `host:80` and `[::1]` of `[::1]:80`.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => {
            if host.contains(':') && !host.ends_with(']') { authority } else { host }
        }
        _ => authority,
    }
}

fn by_length<'m>(all: &mut Vec<(usize, BTreeMap<&'m str, usize>)>, text: &'m str, host: usize) {
    let place = match all.binary_search_by(|(length, _)| text.len().cmp(length)) {
        Ok(place) => place,
        Err(place) => {
            all.insert(place, (text.len(), BTreeMap::new()));
            place
        }
    };
    all[place].1.entry(text).or_insert(host);
}

/// Where a route leads, as far as it is followed.
pub(super) fn clusters(route: &Route) -> &[(Box<str>, u64)] {
    match &route.to {
        RouteTo::Clusters(clusters) => clusters,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: PathMatch, cluster: &str) -> Route {
        Route { path, to: RouteTo::Clusters(vec![(cluster.into(), 1)]), ..Route::default() }
    }

    fn host(domains: &[&str], routes: Vec<Route>) -> VirtualHost {
        VirtualHost {
            name: domains[0].into(),
            domains: domains.iter().map(|domain| (*domain).into()).collect(),
            routes,
            ..VirtualHost::default()
        }
    }

    fn names(config: &RouteConfig, authority: Option<&str>, path: Option<&str>) -> (Vec<String>, bool) {
        let table = Table::of(config);
        let hits = table.hits(authority, path);
        let of = |hit: &Hit| clusters(table.at(*hit).1)[0].0.to_string();
        (hits.routes.iter().map(of).collect(), hits.none)
    }

    #[test]
    fn case_counts_unless_a_route_ignores_it() {
        let config = |ignore_case| RouteConfig {
            hosts: vec![host(
                &["*"],
                vec![
                    Route { ignore_case, ..route(PathMatch::Prefix("/API".into()), "a") },
                    Route { ignore_case, ..route(PathMatch::SegmentPrefix("/Web".into()), "b") },
                    route(PathMatch::default(), "rest"),
                ],
            )],
            ..RouteConfig::default()
        };
        let first = |ignore_case, path| names(&config(ignore_case), Some("x"), Some(path)).0[0].clone();
        assert_eq!((&*first(true, "/api/1"), &*first(false, "/api/1"), &*first(false, "/API/1")), ("a", "rest", "a"));
        assert_eq!(
            (&*first(true, "/web/1"), &*first(true, "/webs"), &*first(true, "/ap\u{e9}")),
            ("b", "rest", "rest")
        );
    }

    #[test]
    fn exact_domains_come_before_the_longest_suffix_the_longest_prefix_and_the_star() {
        let all = |name| vec![route(PathMatch::default(), name)];
        let mut config = RouteConfig {
            hosts: vec![
                host(&["*"], all("any")),
                host(&["web.*"], all("prefix")),
                host(&["*.shop"], all("suffix")),
                host(&["*.eu.shop"], all("longer")),
                host(&["web.eu.shop", "web.eu.shop:80"], all("exact")),
            ],
            ..RouteConfig::default()
        };
        for (authority, expected) in [
            ("WEB.eu.shop", "exact"),
            ("web.eu.shop:80", "exact"),
            ("api.eu.shop", "longer"),
            ("web.shop", "suffix"),
            ("web.other", "prefix"),
            // A star stands for at least one letter.
            (".shop", "any"),
            ("web.", "any"),
            // The port is a part of the name, if it is not told to be left out.
            ("api.eu.shop:80", "any"),
        ] {
            assert_eq!(names(&config, Some(authority), None), (vec![expected.to_owned()], false), "{authority}");
        }
        config.ignore_port_in_host = true;
        assert_eq!(names(&config, Some("api.eu.shop:80"), None).0, ["longer"]);
        assert_eq!(without_port("[fd00::1]:80"), "[fd00::1]");
        assert_eq!(without_port("fd00::1"), "fd00::1");
    }

    #[test]
    fn the_first_route_that_fits_wins_and_conditions_leave_the_later_ones_open() {
        let mut canary = route(PathMatch::default(), "canary");
        canary.conditions.push("x-canary".into());
        let config = RouteConfig {
            hosts: vec![host(
                &["web"],
                vec![
                    route(PathMatch::Exact("/health".into()), "health"),
                    route(PathMatch::SegmentPrefix("/api".into()), "api"),
                    canary,
                    route(PathMatch::default(), "rest"),
                    route(PathMatch::default(), "never"),
                ],
            )],
            ..RouteConfig::default()
        };
        assert_eq!(names(&config, Some("web"), Some("/health?full")), (vec!["health".into()], false));
        assert_eq!(names(&config, Some("web"), Some("/api/v1")).0, ["api"]);
        assert_eq!(names(&config, Some("web"), Some("/apis")).0, ["canary", "rest"]);
        assert_eq!(names(&config, Some("web"), None).0, ["health", "api", "canary", "rest"]);
        assert_eq!(names(&config, Some("other"), None), (Vec::new(), true));
    }

    #[test]
    fn a_host_without_a_route_for_the_path_has_none() {
        let config = RouteConfig {
            hosts: vec![host(&["*"], vec![route(PathMatch::Prefix("/api".into()), "api")])],
            ..RouteConfig::default()
        };
        assert_eq!(names(&config, Some("web"), Some("/other")), (Vec::new(), true));
        assert_eq!(names(&config, None, None), (vec!["api".into()], true));
        let regex = RouteConfig {
            hosts: vec![host(&["*"], vec![route(PathMatch::Regex("/v[12]/.*".into()), "versions")])],
            ..RouteConfig::default()
        };
        assert_eq!(names(&regex, Some("web"), Some("/v1/x")), (vec!["versions".into()], true));
    }
}
