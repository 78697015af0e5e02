//! `logscan route`: where proxies send a connection, by their own configuration.

use std::borrow::Cow;
use std::io::{self, BufWriter};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::json;

use super::notice;
use crate::field::value::{Micros, time};
use crate::mesh::{Direction, Mesh, Proxy, read};
use crate::route::{self, Bytes, Known, Question, Request, Router, Sni, Version};
use crate::sinks::route::{self as sink, Table};
use crate::sinks::{Style, clean};

/// Says where proxies send a connection and why: which listener takes it, which filter chain, which cluster, with which
/// endpoints, and what lost.
///
/// Dumps are read as they are: `/config_dump` and `/clusters` of Envoy's admin interface, `istioctl proxy-config`, a bug
/// report. What is not known of a connection is tried in every way that makes a difference.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::doc_markdown, reason = "the help for people")]
pub(super) struct Route {
    /// What is dialled: an address and a port, 10.12.1.6:5701 or [fd00::1]:80
    #[arg(value_name = "ADDRESS")]
    to: Option<String>,

    /// Configuration dumps, and objects of the cluster: files, folders, archives
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    mesh: Vec<PathBuf>,

    /// The same of an earlier time: shows for which destinations the route is another one now
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["all", "at"])]
    before: Vec<PathBuf>,

    /// The proxy's pod: POD, POD.NAMESPACE or NAMESPACE/POD; without it all proxies answer, those that agree together
    #[arg(long)]
    pod: Option<String>,

    /// Whose proxy is asked: the one that the client dials through, or the one before the server. Without it the server's
    /// for a pod's own address, else the client's
    #[arg(long, value_enum, value_name = "SIDE")]
    from: Option<Side>,

    /// The SNI of the client's TLS hello
    #[arg(long)]
    sni: Option<String>,

    /// An HTTP request: its host, and its path if that is known
    #[arg(long, value_name = "HOST[/PATH]")]
    http: Option<String>,

    /// What the client sends first
    #[arg(long, value_enum)]
    bytes: Option<First>,

    /// Where the connection comes from, for the few chains that ask for it
    #[arg(long, value_name = "ADDRESS")]
    source: Option<SocketAddr>,

    /// Of several dumps of a pod the one in use at this time (RFC 3339), not the last
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// Every address at which there is a listener, and where it leads
    #[arg(long, conflicts_with_all = ["to", "before"])]
    all: bool,

    /// What to print
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

const EXAMPLES: &str = "\
Examples:
  logscan route --mesh config_dump.json 10.12.1.6:5701
  logscan route --mesh bug-report.tar.gz --pod web-0.shop --http api.shop/v1 10.0.3.4:80
  logscan route --mesh dumps/ --from server --sni outbound_.80_._.web.shop.svc.cluster.local 10.12.1.6:8080
  logscan route --mesh dumps/ --all
  logscan route --mesh tuesday/ --before monday/

Exit codes: 0 answered, 2 trouble.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Side {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum First {
    /// Plaintext that is no HTTP
    Tcp,
    /// Plaintext HTTP/1.1
    Http,
    /// Plaintext HTTP/1.0
    Http10,
    /// Plaintext HTTP/2
    Http2,
    /// TLS of the client's own
    Tls,
    /// TLS of another sidecar
    Mtls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// So many names of pods, and of parts that could not be read, are told.
const NAMED: usize = 20;

/// Runs the command.
pub(super) fn run(arguments: &Route, style: Style) -> anyhow::Result<ExitCode> {
    let (paths, to) = arguments.paths_and_address()?;
    let mesh = arguments.read(&paths)?;
    let out = BufWriter::new(io::stdout().lock());
    let is_json = arguments.output == Form::Json;
    if !arguments.before.is_empty() {
        let before = arguments.read(&arguments.before)?;
        let changes = route::compare(&before, &mesh, to);
        if is_json {
            sink::json(out, &json!({ "changes": changes }))?;
        } else {
            sink::changes(out, style, &changes)?;
            if changes.is_empty() {
                notice("no route differs, as far as the proxies are the same ones");
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let proxies = arguments.in_use(&mesh)?;
    if arguments.all {
        let tables = tables(&proxies);
        if is_json {
            sink::json(out, &json!({ "proxies": tables }))?;
        } else {
            sink::tables(out, style, &tables)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(to) = to else { bail!("nothing to look for: name an address and a port, or say --all") };
    let known = Known::of(&mesh);
    let walks = proxies.iter().map(|proxy| Router::new(proxy).walk(&arguments.question(proxy, to), &known));
    let groups = route::group(walks.collect());
    if is_json {
        sink::json(out, &json!({ "routes": groups }))?;
    } else {
        sink::walks(out, style, &groups)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Route {
    /// What `--mesh` names, and the address: behind `--mesh` it is taken for one more path, unless it cannot be one.
    fn paths_and_address(&self) -> anyhow::Result<(Vec<PathBuf>, Option<SocketAddr>)> {
        let mut paths = self.mesh.clone();
        let mut to = self.to.clone();
        if to.is_none()
            && paths.len() > 1
            && let Some(last) = paths.pop_if(|last| !last.exists() && read_address(&last.to_string_lossy()).is_some())
        {
            to = Some(last.to_string_lossy().into_owned());
        }
        let Some(text) = to else { return Ok((paths, None)) };
        let address = read_address(&text)
            .with_context(|| format!("{text}: no address with a port, as 10.12.1.6:5701 or [fd00::1]:80"))?;
        Ok((paths, Some(address)))
    }

    /// Reads dumps, leaves out the proxies that are not asked for, and says what could not be read.
    fn read(&self, paths: &[PathBuf]) -> anyhow::Result<Mesh> {
        let mut mesh = read::paths(paths)?;
        let wrong: Vec<_> = mesh.left_out.iter().filter(|part| part.wrong).collect();
        for part in wrong.iter().take(NAMED) {
            notice(&format!("{}: {}: {}", part.file, part.place, part.why));
        }
        // A part for clusters alone, or a ztunnel: no listener to ask.
        if mesh.proxies.iter().any(|proxy| proxy.has.listeners) {
            mesh.proxies.retain(|proxy| proxy.has.listeners);
        }
        if mesh.proxies.is_empty() {
            bail!("no proxy's configuration was given, only objects of the cluster");
        }
        if let Some(pod) = &self.pod {
            if !mesh.proxies.iter().any(|proxy| is_named(proxy, pod)) {
                bail!("no proxy of the pod {pod}; there are: {}", names(&mesh));
            }
            // The others' addresses still tell whose a destination is, but nobody asks them.
            if !self.before.is_empty() {
                mesh.proxies.retain(|proxy| is_named(proxy, pod));
            }
        }
        Ok(mesh)
    }

    /// One dump of each proxy that is asked: the last, or the one in use at a time.
    fn in_use<'m>(&self, mesh: &'m Mesh) -> anyhow::Result<Vec<&'m Proxy>> {
        let at = match &self.at {
            Some(text) => Some(time(text.as_bytes()).with_context(|| format!("--at {text}: no RFC 3339 time"))?),
            None => None,
        };
        let mut chosen: Vec<&Proxy> = Vec::new();
        for proxy in &mesh.proxies {
            if self.pod.as_ref().is_some_and(|pod| !is_named(proxy, pod)) {
                continue;
            }
            let same = |other: &&mut &Proxy| !proxy.node.pod.is_empty() && other.node == proxy.node;
            match chosen.iter_mut().find(same) {
                // They stand in the order of time: a later one counts if it was there by then.
                Some(last) if is_in_time(proxy, at) => *last = proxy,
                Some(_) => {}
                None => chosen.push(proxy),
            }
        }
        for early in chosen.iter().filter(|proxy| !is_in_time(proxy, at)) {
            let taken = early.taken.and_then(Micros::shown).unwrap_or_default();
            notice(&format!("the first dump of {} is younger, of {taken}", early.node.pod));
        }
        Ok(chosen)
    }

    /// What is asked of one proxy.
    fn question(&self, proxy: &Proxy, to: SocketAddr) -> Question<'_> {
        let own = proxy.node.addresses.contains(&to.ip());
        let direction = match self.from {
            Some(Side::Server) => Direction::Inbound,
            None if own => Direction::Inbound,
            Some(Side::Client) | None => Direction::Outbound,
        };
        let http = self.http.as_deref().map(|request| {
            let (host, path) = match request.find('/') {
                Some(at) => (&request[..at], Some(Cow::Borrowed(&request[at..]))),
                None => (request, None),
            };
            Request { host: host.into(), path }
        });
        let bytes = match self.bytes {
            Some(First::Tcp) => Bytes::Tcp,
            Some(First::Http) => Bytes::Http(Version::Http11),
            Some(First::Http10) => Bytes::Http(Version::Http10),
            Some(First::Http2) => Bytes::Http(Version::Http2),
            Some(First::Tls) => Bytes::Tls(None),
            Some(First::Mtls) => Bytes::Mtls,
            // What a pod dials through its own proxy and is known as HTTP is plaintext there.
            None if http.is_some() && self.sni.is_none() && direction == Direction::Outbound => {
                Bytes::Http(Version::Http11)
            }
            None => Bytes::Unknown,
        };
        let sni = self.sni.as_deref().map_or(Sni::Unknown, |name| Sni::Name(name.into()));
        Question { direction, to, sni, bytes, from: self.source, http }
    }
}

/// The tables of proxies; those that are the same once.
fn tables(proxies: &[&Proxy]) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for proxy in proxies {
        let rows = route::table(proxy);
        match tables.iter_mut().find(|table| table.rows == rows) {
            Some(table) => table.pods.push(route::pod(proxy)),
            None => tables.push(Table { pods: vec![route::pod(proxy)], rows }),
        }
    }
    tables
}

fn read_address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// `web-0`, `web-0.shop` or `shop/web-0`.
fn is_named(proxy: &Proxy, name: &str) -> bool {
    let is = |pod: &str, namespace: &str| *proxy.node.pod == *pod && *proxy.node.namespace == *namespace;
    *proxy.node.pod == *name
        || name.split_once('/').is_some_and(|(namespace, pod)| is(pod, namespace))
        || name.rsplit_once('.').is_some_and(|(pod, namespace)| is(pod, namespace))
}

/// Whether a dump was there by a time.
fn is_in_time(proxy: &Proxy, at: Option<Micros>) -> bool {
    at.is_none_or(|at| proxy.taken.is_none_or(|taken| taken <= at))
}

fn names(mesh: &Mesh) -> String {
    let mut names: Vec<String> = mesh.proxies.iter().map(route::pod).collect();
    names.dedup();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let shown = clean(&names.join(", "));
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
