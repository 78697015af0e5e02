//! `Expectations`: what a file says of who may call what, through which clusters, and how a call compares with it.
//!
//! A file comes in as text (`read`), TOML or YAML; `write` gives the same file back. Nothing in here knows ways or
//! logs: `claims` asks with the words that reports use for a caller and a destination.

mod pattern;
mod read;
mod tree;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub use read::Error;

use pattern::Pattern;

/// The cluster of traffic that the proxy has no service for.
const PASSTHROUGH: &str = "PassthroughCluster";

/// Who calls, in the words of reports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// `manager.manager`; the address where no workload is known.
    pub name: String,
    /// Whether the name ends with a namespace.
    pub namespaced: bool,
    /// Its address, where that is known.
    pub address: Option<IpAddr>,
}

/// A call as it can be compared with rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Who called.
    pub from: Party,
    /// What the destination may be called, as reports do first: services, then the workload of its pod. At least one.
    pub to: Vec<String>,
    /// The address that was dialled.
    pub address: Option<IpAddr>,
    /// The address is one of those that pods and services have, and the log does not say whose it is.
    pub nameless: bool,
    /// The port that was dialled; none where only the server's own port is known.
    pub port: Option<u16>,
    /// The cluster that the client's proxy chose; none where it wrote no line.
    pub cluster: Option<String>,
}

impl Call {
    /// The destination as reports print it.
    pub fn destination(&self) -> &str {
        self.to.first().map_or("-", String::as_str)
    }

    fn passes(&self) -> bool {
        self.cluster.as_deref() == Some(PASSTHROUGH)
    }
}

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A call that is expected.
    Call,
    /// A use of `PassthroughCluster` that is accepted.
    Passthrough,
}

/// One row of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    kind: Kind,
    from: Pattern,
    to: Pattern,
    /// Ports that may be dialled; empty for any.
    ports: BTreeSet<u16>,
    /// Clusters that may be chosen; empty for any.
    clusters: BTreeSet<String>,
    /// What a person wrote about it.
    why: String,
}

impl Row {
    fn reaches(&self, call: &Call) -> bool {
        let to = call.to.iter().any(|name| self.to.names(name)) || self.to.holds(call.address);
        let port = self.ports.is_empty() || call.port.is_none_or(|port| self.ports.contains(&port));
        // Accepted passthrough says nothing about calls on other clusters.
        to && port && (self.kind == Kind::Call || call.passes())
    }

    fn allows(&self, call: &Call) -> bool {
        let known = |cluster: &String| self.clusters.is_empty() || self.clusters.contains(cluster);
        call.cluster.as_ref().is_none_or(known)
    }

    /// Whether it lets this caller dial the pods behind a name, on the port of the call.
    fn dials_pods(&self, call: &Call) -> bool {
        let name = matches!(self.to, Pattern::Name(_) | Pattern::Behind(_));
        let port = self.ports.is_empty() || call.port.is_some_and(|port| self.ports.contains(&port));
        name && port && self.clusters.contains(PASSTHROUGH) && self.from.means(&call.from)
    }

    /// `manager.manager to 203.0.113.0/24 port 443`
    fn shown(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        let ports = if ports.is_empty() { String::new() } else { format!(" port {}", ports.join(", ")) };
        format!("{} to {}{ports}", self.from, self.to)
    }
}

/// Clusters by port.
type ByPort = BTreeMap<Option<u16>, BTreeSet<String>>;

/// What a file says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is expected.
    Expected,
    /// It goes through `PassthroughCluster`, and that is accepted.
    Accepted,
    /// It is expected, and not on its cluster.
    Changed {
        /// The destination as the rows have it.
        to: BTreeSet<String>,
        /// The clusters that they list.
        clusters: BTreeSet<String>,
    },
    /// These are expected to make such a call, and its caller is not.
    NewCaller(BTreeSet<String>),
    /// Nobody is expected to call that.
    NewDestination,
}

/// The rows of a file.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    rows: Vec<Row>,
    /// Rows by the one name or address that they lead to: a file may have thousands.
    exact: BTreeMap<String, Vec<usize>>,
    /// All others.
    wide: Vec<usize>,
}

impl Expectations {
    fn of(rows: Vec<Row>) -> Expectations {
        let (mut exact, mut wide) = (BTreeMap::<String, Vec<usize>>::new(), Vec::new());
        for (number, row) in rows.iter().enumerate() {
            if row.to.is_exact() {
                exact.entry(row.to.to_string()).or_default().push(number);
            } else {
                wide.push(number);
            }
        }
        Expectations { rows, exact, wide }
    }

    /// Rows with the calls that a log showed, sorted. What is said of one caller and destination on several ports is one
    /// row, unless the ports lead to different clusters. Calls to public addresses through `PassthroughCluster` become
    /// rows that accept them.
    pub fn learned(calls: &BTreeSet<(Call, bool)>) -> Expectations {
        let mut clusters: BTreeMap<(Kind, Pattern, Pattern), ByPort> = BTreeMap::new();
        for (call, public) in calls {
            let ends = (Pattern::read(&call.from.name), Pattern::read(call.destination()));
            // Names come out of logs: one that a file would read in another sense is not written into it.
            let (Ok(from), Ok(to)) = ends else { continue };
            if !from.is_exact() || !to.is_exact() {
                continue;
            }
            let kind = if *public && call.passes() { Kind::Passthrough } else { Kind::Call };
            let ports = clusters.entry((kind, from, to)).or_default().entry(call.port).or_default();
            ports.extend(call.cluster.clone().filter(|_| kind == Kind::Call));
        }
        let mut rows = BTreeSet::new();
        for ((kind, from, to), ports) in clusters {
            let known = ports.keys().any(Option::is_some);
            let mut together: BTreeMap<BTreeSet<String>, BTreeSet<u16>> = BTreeMap::new();
            // What only the server's proxy saw says less than what the client's did.
            for (port, clusters) in ports.into_iter().filter(|(port, _)| port.is_some() || !known) {
                together.entry(clusters).or_default().extend(port);
            }
            for (clusters, ports) in together {
                let (from, to) = (from.clone(), to.clone());
                rows.insert(Row { kind, from, to, ports, clusters, why: String::new() });
            }
        }
        Expectations::of(rows.into_iter().collect())
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows that lead to the destination of a call, whoever makes it.
    fn towards<'e>(&'e self, call: &Call) -> Vec<(usize, &'e Row)> {
        let address = call.address.map(|address| address.to_string());
        let names = call.to.iter().chain(&address);
        let exact = names.filter_map(|name| self.exact.get(name)).flatten();
        let numbers: BTreeSet<usize> = exact.chain(&self.wide).copied().collect();
        let rows = numbers.into_iter().map(|number| (number, &self.rows[number]));
        rows.filter(|(_, row)| row.reaches(call)).collect()
    }

    /// Compares a call with the rows.
    pub fn answer(&self, call: &Call) -> Answer {
        let rows = self.towards(call);
        let ours = || rows.iter().map(|(_, row)| *row).filter(|row| row.from.means(&call.from));
        if ours().any(|row| row.kind == Kind::Passthrough) {
            return Answer::Accepted;
        }
        if ours().any(|row| row.allows(call)) {
            return Answer::Expected;
        }
        let clusters: BTreeSet<String> = ours().flat_map(|row| row.clusters.iter().cloned()).collect();
        if !clusters.is_empty() {
            return Answer::Changed { to: ours().map(|row| row.to.to_string()).collect(), clusters };
        }
        // Whoever dials pods by their addresses may have done so here, and the log lacks the line that tells whose it is.
        if call.nameless && call.passes() && self.rows.iter().any(|row| row.dials_pods(call)) {
            return Answer::Expected;
        }
        // A row to anything names no destination, so that others may call it says nothing about this one.
        let others = rows.iter().filter(|(_, row)| row.to != Pattern::Any).map(|(_, row)| row.from.to_string());
        let others: BTreeSet<String> = others.collect();
        if others.is_empty() { Answer::NewDestination } else { Answer::NewCaller(others) }
    }

    /// The rows that a call is an example of, by number.
    pub fn shows<'e>(&'e self, call: &'e Call) -> impl Iterator<Item = usize> + 'e {
        let rows = self.towards(call).into_iter();
        rows.filter(|(_, row)| row.from.means(&call.from) && row.allows(call)).map(|(number, _)| number)
    }

    /// A row for people.
    pub fn shown(&self, number: usize) -> String {
        self.rows.get(number).map(Row::shown).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
version = 1
[[call]]
from = "web.shop"
to = "pay.shop.svc.cluster.local"
ports = [80]
clusters = ["outbound|80||pay.shop.svc.cluster.local"]
[[call]]
from = "*"
to = "10.0.0.0/8:9090"
[[passthrough]]
from = "pay.shop"
to = "203.0.113.0/24"
ports = [443]
"#;

    fn call(from: &str, to: &[&str], address: &str, port: u16, cluster: &str) -> Call {
        Call {
            from: Party { name: from.to_owned(), namespaced: true, address: None },
            to: to.iter().map(|name| (*name).to_owned()).collect(),
            address: address.parse().ok(),
            nameless: false,
            port: (port > 0).then_some(port),
            cluster: (!cluster.is_empty()).then(|| cluster.to_owned()),
        }
    }

    #[test]
    fn a_call_is_compared_by_caller_destination_port_and_cluster() {
        let file = Expectations::read(FILE).unwrap();
        let set = |name: &str| BTreeSet::from([name.to_owned()]);
        let (pay, usual) = ("pay.shop.svc.cluster.local", "outbound|80||pay.shop.svc.cluster.local");
        let asked = |from: &str, to: &str, address: &str, port, cluster: &str| {
            file.answer(&call(from, &[to], address, port, cluster))
        };
        assert_eq!(asked("web.shop", pay, "10.9.0.1", 80, usual), Answer::Expected);
        assert_eq!(
            asked("web.shop", pay, "10.9.0.1", 80, PASSTHROUGH),
            Answer::Changed { to: set(pay), clusters: set(usual) }
        );
        assert_eq!(asked("web.shop", pay, "10.9.0.1", 81, usual), Answer::NewDestination);
        assert_eq!(asked("app.shop", pay, "10.9.0.1", 80, usual), Answer::NewCaller(set("web.shop")));
        assert_eq!(asked("web.shop", pay, "10.9.0.1", 0, ""), Answer::Expected);
        assert_eq!(asked("app.shop", "x", "10.9.0.1", 9090, "c"), Answer::Expected);
        assert_eq!(asked("pay.shop", "203.0.113.9", "203.0.113.9", 443, PASSTHROUGH), Answer::Accepted);
        assert_eq!(
            asked("web.shop", "203.0.113.9", "203.0.113.9", 443, PASSTHROUGH),
            Answer::NewCaller(set("pay.shop"))
        );
        assert_eq!(asked("pay.shop", "203.0.113.9", "203.0.113.9", 443, "outbound|443||x"), Answer::NewDestination);
    }

    #[test]
    fn an_address_that_the_log_cannot_name_may_be_a_pod_that_is_dialled() {
        let file = "version = 1\n[[call]]\nfrom = \"app.shop\"\nto = \"hz.shop.svc.cluster.local\"\nports = [5701]\nclusters = [\"PassthroughCluster\"]\n";
        let file = Expectations::read(file).unwrap();
        let nameless =
            |from: &str, port| Call { nameless: true, ..call(from, &["10.9.0.7"], "10.9.0.7", port, PASSTHROUGH) };
        assert_eq!(file.answer(&nameless("app.shop", 5701)), Answer::Expected);
        assert_eq!(file.answer(&nameless("app.shop", 5702)), Answer::NewDestination);
        assert_eq!(file.answer(&nameless("web.shop", 5701)), Answer::NewDestination);
    }

    #[test]
    fn every_name_of_a_destination_counts() {
        let file = Expectations::read(FILE).unwrap();
        let both = ["also.shop.svc.cluster.local", "pay.shop.svc.cluster.local"];
        let called = call("web.shop", &both, "10.9.0.1", 80, "outbound|80||pay.shop.svc.cluster.local");
        assert_eq!(file.answer(&called), Answer::Expected);
        assert_eq!(file.shows(&called).collect::<Vec<_>>(), [0]);
    }
}
