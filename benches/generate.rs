//! Makes the access log of a busy mesh that does not exist, for measuring logscan, and a truth file
//! that says what an analyser has to find in it.
//!
//! ```sh
//! cargo bench --bench generate -- --bytes 500000000 --format istio-1.9 --envelope stern --seed 42 \
//!     --out /tmp/mesh.log --truth /tmp/mesh.json
//! ```
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `--bytes N` | the file ends with the lines of the connection that reaches N bytes | 10000000 |
//! | `--format F` | `istio-1.3` (21 columns), `istio-1.8` (20), `istio-1.9` (22), `envoy` (13), `istio-json` | `istio-1.9` |
//! | `--envelope E` | `none`, `stern` (`POD istio-proxy LINE`) or `cri` (`TIME stdout F LINE`) | `none` |
//! | `--seed N` | the same arguments give the same bytes | 42 |
//! | `--pods N`, `--services N` | size of the mesh | 600, 150 |
//! | `--rate N` | connections and HTTP sessions begun per simulated second, at most 10 per pod | 400 |
//! | `--out FILE` | the log; `-` is standard output; without it the lines are thrown away | |
//! | `--truth FILE` | the truth as JSON; without it, it goes to standard error | |
//!
//! What happens in the mesh: TCP by service address (mutual TLS), TCP by pod address
//! (`PassthroughCluster`), HTTP over kept connections, partly behind an ingress gateway; failed and
//! blocked connects; lost and cut lines, noise. From 40 % to 60 % of the starting times, a catch-all
//! listener on port 5701 steals what is dialled by pod address: the story logscan was written for.
//!
//! How to read the truth: `lines` = `access_lines` + `noise` + `corrupt`; all other counts are about
//! access lines only. A pair has both of its lines in the file, whole. `http_forwarded_pairs` are
//! the HTTP pairs that only the request id joins, because the inbound line shows the client of
//! X-Forwarded-For. `uf_urx_lines` includes the hijacked connections that failed, `hijacked_lines`
//! also those that silently reached a stranger (`hijacked_silent`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fmt::{self, Display, Formatter, Write as _};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse(std::env::args().skip(1));
    let done = options.and_then(|options| run(&options).map_err(|error| error.to_string()));
    let Err(reason) = done else {
        return ExitCode::SUCCESS;
    };
    // Nobody is left to tell when standard error is gone as well.
    let _ = writeln!(io::stderr(), "generate: {reason}");
    ExitCode::FAILURE
}

fn run(options: &Options) -> io::Result<()> {
    let out: Box<dyn Write> = match options.out.as_deref() {
        None => Box::new(io::sink()),
        Some("-") => Box::new(io::stdout()),
        Some(path) => {
            Box::new(File::create(path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?)
        }
    };
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let mut rng = Rng(options.seed);
    let mesh = Mesh::new(options, &mut rng);
    let mut log = Log::new(options, &mesh, rng);
    while log.truth.bytes < options.bytes {
        let tenths = log.truth.bytes * 10 / options.bytes;
        log.begin((4..6).contains(&tenths));
        log.write_until(log.now(), &mut out)?;
    }
    log.write_until(u64::MAX, &mut out)?;
    out.flush()?;
    let truth = log.truth.json(&options.given);
    match &options.truth {
        Some(path) => fs::write(path, truth),
        None => io::stderr().write_all(truth.as_bytes()),
    }
}

// ---- Options ------------------------------------------------------------------------------------

struct Options {
    /// The arguments, for the truth file: numbers of different inputs must not be mixed up.
    given: String,
    bytes: u64,
    seed: u64,
    pods: u64,
    services: u64,
    rate: u64,
    format: Format,
    envelope: String,
    out: Option<String>,
    truth: Option<String>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        // cargo adds `--bench`.
        let arguments: Vec<String> = arguments.filter(|name| name != "--bench").collect();
        let mut left = BTreeMap::new();
        for pair in arguments.chunks(2) {
            let value = pair.get(1).ok_or(format!("{} lacks its value", pair[0]))?;
            left.insert(pair[0].as_str(), value.clone());
        }
        let format = left.remove("--format").unwrap_or("istio-1.9".into());
        let mut number = |name, default| match left.remove(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|e| format!("{name} {text}: {e}")),
        };
        let options = Self {
            given: arguments.join(" "),
            bytes: number("--bytes", 10_000_000)?,
            seed: number("--seed", 42)?,
            pods: number("--pods", 600)?,
            services: number("--services", 150)?,
            rate: number("--rate", 400)?,
            format: Format::new(&format).ok_or(format!("--format {format}: no such format"))?,
            envelope: left.remove("--envelope").unwrap_or("none".into()),
            out: left.remove("--out"),
            truth: left.remove("--truth"),
        };
        if let Some(name) = left.keys().next() {
            return Err(format!("{name}: no such option"));
        }
        if !matches!(options.envelope.as_str(), "none" | "stern" | "cri") {
            return Err("--envelope: need none, stern or cri".into());
        }
        // Ten services are the least that have every kind, 50,000 pods what the address plan holds;
        // a higher rate would use up the ports of the busiest pod.
        if options.services < 10 || options.pods < options.services || options.pods > 50_000 {
            return Err("need 10 <= --services <= --pods <= 50000".into());
        }
        if options.rate == 0 || options.rate > options.pods * 10 {
            return Err("need 1 <= --rate <= 10 * --pods".into());
        }
        Ok(options)
    }
}

// ---- Chance -------------------------------------------------------------------------------------

/// Splitmix64. Integers only: another system's mathematics library must not change the bytes.
struct Rng(u64);

impl Rng {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(limit)) >> 64) as u64
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Prefers the front of the list, as meshes have a few busy services and many quiet ones.
    fn favour<T: Copy>(&mut self, from: &[T]) -> T {
        let reach = self.below(from.len() as u64) + 1;
        from[self.below(reach) as usize]
    }

    /// Draws from a bell curve of powers of two, 2^`middle` most often and at most 2^`spread` times
    /// more or less.
    fn skewed(&mut self, middle: u64, spread: u64) -> u64 {
        let sum: u64 = (0..4).map(|_| self.below(spread * 128 + 1)).sum();
        let power = (middle * 256 + sum).saturating_sub(spread * 256);
        (((256 + power % 256) << (power / 256)) >> 8) - 1
    }
}

/// Scrambles without collisions: different numbers stay different, which request ids rely on.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

// ---- The mesh -----------------------------------------------------------------------------------

#[derive(Clone, Copy)]
struct Address(u32, u16);

const fn address(ip: [u8; 4], port: u16) -> Address {
    Address(u32::from_be_bytes(ip), port)
}

/// The port that two services share, and on which the catch-all listener of `THIEF` appears.
const SHARED_PORT: u16 = 5701;
const SHARED_BY: [u32; 2] = [0, 5];
const THIEF: &str = "outbound|5701||ext.other.svc.cluster.local";
/// Where the thief's name leads: a service without anybody on the port, or a machine elsewhere.
const IDLE: Address = address([10, 96, 255, 221], SHARED_PORT);
const STRANGER: Address = address([172, 20, 5, 9], SHARED_PORT);
const BLOCKED: Address = address([178, 170, 196, 65], 9092);
const PUBLIC_NAME: &str = "shop.example.com";

const HTTP_PORTS: [u16; 4] = [80, 8080, 8000, 9080];
const TCP_PORTS: [u16; 8] = [6379, 5432, 3306, 9092, 9042, 27017, 11211, 5672];
const SPACES: [&str; 6] = ["shop", "pay", "search", "media", "data", "ml"];
const ROLES: [&str; 5] = ["api", "store", "worker", "cache", "sync"];
const WORDS: [&str; 7] = ["cart", "order", "price", "session", "invoice", "catalog", "user"];

struct Service {
    name: String,
    vip: Address,
    target_port: u16,
    sidecar: bool,
    pods: Vec<u32>,
    authority: String,
    outbound: String,
    inbound: String,
    sni: String,
}

impl Service {
    /// Makes the service of that number: three in five are TCP, one in twenty has no sidecar, and
    /// only those of `SHARED_BY` listen on `SHARED_PORT`.
    fn new(id: u32, options: &Options) -> Self {
        let i = id as usize;
        let tcp_port = TCP_PORTS[i % 8] + (id / 40 % 100) as u16;
        let (port_name, port, target_port) = match id % 5 {
            3.. => ("http", HTTP_PORTS[i % 4], 8080 + id as u16 % 3),
            _ if SHARED_BY.contains(&id) => ("tcp-hazelcast", SHARED_PORT, SHARED_PORT),
            _ => ("tcp-main", tcp_port, tcp_port),
        };
        let name = format!("{}-{}-{id}", WORDS[i % 7], ROLES[i / 7 % 5]);
        let short = format!("{name}.{}", SPACES[i % 6]);
        let host = format!("{short}.svc.cluster.local");
        Self {
            name,
            vip: Address(nth_ip([10, 96, 0, 1], id), port),
            target_port,
            sidecar: !matches!(id % 40, 7 | 29),
            pods: Vec::new(),
            authority: format!("{short}:{port}"),
            outbound: format!("outbound|{port}||{host}"),
            inbound: if options.format.names_ports {
                format!("inbound|{port}|{port_name}|{host}")
            } else {
                format!("inbound|{target_port}||")
            },
            sni: format!("outbound_.{port}_._.{host}"),
        }
    }
}

fn nth_ip(first: [u8; 4], n: u32) -> u32 {
    u32::from_be_bytes(first) + n / 250 * 256 + n % 250
}

struct Pod {
    name: String,
    ip: u32,
    /// How far the clock of its node is from true time, in milliseconds.
    skew: i64,
}

impl Pod {
    fn new(id: u32, owner: &str, skews: &[i64], rng: &mut Rng) -> Self {
        // The alphabet of Kubernetes, which spells no words.
        let mut letter = |_| char::from(rng.pick(b"bcdfghjklmnpqrstvwxz2456789"));
        let set: String = (0..10).map(&mut letter).collect();
        let tail: String = (0..5).map(&mut letter).collect();
        Self { name: format!("{owner}-{set}-{tail}"), ip: nth_ip([10, 12, 0, 2], id), skew: rng.pick(skews) }
    }

    fn clock(&self, millis: u64) -> u64 {
        millis.saturating_add_signed(self.skew)
    }
}

struct Mesh {
    services: Vec<Service>,
    pods: Vec<Pod>,
    tcp: Vec<u32>,
    http: Vec<u32>,
    /// Pods whose sidecar logs what they call.
    clients: Vec<u32>,
    gateways: Vec<u32>,
}

impl Mesh {
    fn new(options: &Options, rng: &mut Rng) -> Self {
        let (services, pods) = (options.services as u32, options.pods as u32);
        let (http, tcp) = (0..services).partition(|id| id % 5 >= 3);
        let mut mesh = Self {
            services: (0..services).map(|id| Service::new(id, options)).collect(),
            pods: Vec::new(),
            tcp,
            http,
            clients: Vec::new(),
            gateways: (pods..=pods + pods / 100 + 1).collect(),
        };
        // 100 ms each way: two nodes differ by 200 ms at most. A node has about 20 pods.
        let skew = |_| 100 - i64::from(rng.below(201) as u32);
        let skews: Vec<i64> = (0..=pods / 20).map(skew).collect();
        for id in 0..pods {
            // One pod for each service first, then wherever chance puts it.
            let chance = rng.below(options.services) as u32;
            let owner = if id < services { id } else { chance };
            let service = &mut mesh.services[owner as usize];
            mesh.pods.push(Pod::new(id, &service.name, &skews, rng));
            service.pods.push(id);
            if service.sidecar {
                mesh.clients.push(id);
            }
        }
        for &id in &mesh.gateways {
            mesh.pods.push(Pod::new(id, "istio-ingressgateway", &skews, rng));
        }
        mesh
    }
}

// ---- Truth --------------------------------------------------------------------------------------

macro_rules! truth {
    ($($count:ident),*) => {
        #[derive(Default)]
        struct Truth { $($count: u64),* }

        impl Truth {
            fn json(&self, given: &str) -> String {
                let rows = [$(format!(",\n  \"{}\": {}", stringify!($count), self.$count)),*];
                format!("{{\n  \"arguments\": {given:?}{}\n}}\n", rows.concat())
            }
        }
    };
}

truth! {
    bytes, lines, access_lines, noise, corrupt, outbound_lines, inbound_lines,
    tcp_pairs, http_pairs, http_forwarded_pairs, outbound_unpaired, inbound_unpaired,
    passthrough_lines, uf_urx_lines, hijacked_lines, hijacked_silent, blackhole_lines
}

impl Truth {
    /// Counts an exchange by what of it stands in the file.
    fn count(&mut self, leg: &Leg, outbound: bool, inbound: bool) {
        self.access_lines += u64::from(outbound) + u64::from(inbound);
        self.outbound_lines += u64::from(outbound);
        self.inbound_lines += u64::from(inbound);
        match (outbound, inbound, leg.request) {
            (true, true, 0) => self.tcp_pairs += 1,
            (true, true, _) => self.http_pairs += 1,
            _ => {
                self.outbound_unpaired += u64::from(outbound);
                self.inbound_unpaired += u64::from(inbound);
            }
        }
        let of = |kinds: &[Kind]| u64::from(outbound && kinds.contains(&leg.kind));
        self.http_forwarded_pairs += of(&[Kind::Gateway]) * u64::from(inbound);
        self.passthrough_lines += of(&[Kind::PodAddress]);
        self.uf_urx_lines += of(&[Kind::Refused, Kind::Hijacked]);
        self.hijacked_lines += of(&[Kind::Hijacked, Kind::Strayed]);
        self.hijacked_silent += of(&[Kind::Strayed]);
        self.blackhole_lines += of(&[Kind::Blocked]);
    }
}

// ---- Traffic ------------------------------------------------------------------------------------

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// By service address: found and encrypted by the mesh.
    Service,
    /// From outside, through the ingress gateway.
    Gateway,
    /// By pod address, which no listener knows.
    PodAddress,
    /// By service address, but nobody accepts.
    Refused,
    /// By pod address, sent to `THIEF`, which fails.
    Hijacked,
    /// The same, but somebody else answers.
    Strayed,
    /// To an address that the mesh forbids.
    Blocked,
}

/// What one proxy sees of a TCP connection or of a request.
#[derive(Clone, Copy)]
struct Leg<'a> {
    kind: Kind,
    service: &'a Service,
    server: &'a Pod,
    /// Whose proxy this is: the client or the server.
    writer: &'a Pod,
    inbound: bool,
    /// Number of the HTTP request, 0 for TCP.
    request: u64,
    /// Random, the same for all requests of an HTTP session.
    session: u64,
    start: u64,
    duration: u64,
    received: u64,
    sent: u64,
    host: Option<Address>,
    cluster: Option<&'a str>,
    upstream_local: Option<Address>,
    local: Address,
    remote: Address,
    sni: Option<&'a str>,
}

const FIRST_PORT: u64 = 32_768;
const LAST_PORT: u64 = 60_999;
/// How long Linux keeps a closed port (`TIME_WAIT`), in milliseconds. It also keeps two uses of an
/// address pair apart in the log.
const PORT_REST: u64 = 60_000;

struct Log<'a> {
    options: &'a Options,
    mesh: &'a Mesh,
    rng: Rng,
    truth: Truth,
    micros: u64,
    requests: u64,
    /// The ephemeral port that each pod took last.
    last_ports: Vec<u64>,
    /// When a pod may use a port again.
    free_from: HashMap<(u32, u16), u64>,
    /// Lines by the time at which they are written, then by number.
    pending: BinaryHeap<Reverse<(u64, u64, Vec<u8>)>>,
}

impl<'a> Log<'a> {
    fn new(options: &'a Options, mesh: &'a Mesh, mut rng: Rng) -> Self {
        let port = |_| rng.between(FIRST_PORT, LAST_PORT);
        Self {
            options,
            mesh,
            last_ports: mesh.pods.iter().map(port).collect(),
            rng,
            truth: Truth::default(),
            micros: 1_716_940_200_000_000, // 2024-05-28T23:50:00Z: midnight passes early
            requests: 0,
            free_from: HashMap::new(),
            pending: BinaryHeap::new(),
        }
    }

    fn now(&self) -> u64 {
        self.micros / 1000
    }

    fn begin(&mut self, hijack: bool) {
        self.micros += self.rng.below(2_000_000 / self.options.rate);
        // A session has five requests on average, so that 8 % sessions make 30 % of the lines.
        if self.rng.below(1000) < 79 {
            self.begin_http();
        } else {
            self.begin_tcp(hijack);
        }
    }

    fn begin_tcp(&mut self, hijack: bool) {
        let mut kind = match self.rng.below(1000) {
            0 => Kind::Blocked,
            1..6 => Kind::Refused,
            6..76 => Kind::PodAddress,
            _ => Kind::Service,
        };
        // Clustered stores dial their peers by pod address, hence the many calls to that port.
        let service = match kind {
            Kind::PodAddress if self.rng.below(100) < 40 => self.rng.pick(&SHARED_BY),
            _ => self.rng.favour(&self.mesh.tcp),
        };
        if kind == Kind::PodAddress && hijack && SHARED_BY.contains(&service) {
            let stray = self.rng.below(10) == 0;
            kind = if stray { Kind::Strayed } else { Kind::Hijacked };
        }
        // Istio's default connect timeout rose from one second to ten.
        let timeout = if self.options.format.modern { 10_000 } else { 1000 };
        let duration = match (kind, self.rng.below(100)) {
            (Kind::Blocked, _) | (Kind::Refused, 0..70) => self.rng.below(4),
            (Kind::Refused | Kind::Hijacked, _) => self.rng.between(timeout - 2, timeout + 15),
            // Most connections last milliseconds, one in ten seconds, one in a hundred longer.
            (_, 0) => self.rng.skewed(20, 4),
            (_, 1..10) => self.rng.skewed(14, 5),
            _ => self.rng.skewed(5, 7),
        };
        let mut leg = self.connect(kind, service, self.now() + duration);
        leg.duration = duration;
        if leg.upstream_local.is_some() {
            leg.received = self.rng.skewed(9, 9);
            leg.sent = self.rng.skewed(10, 12);
        }
        self.finish(&leg);
    }

    /// Several requests, one after the other, over the same two connections.
    fn begin_http(&mut self) {
        let inside = Kind::Service;
        let kind = self.rng.pick(&[Kind::Gateway, inside, inside, inside]);
        let count = self.rng.between(1, 9);
        let uses: Vec<u64> = (0..count).map(|_| self.rng.skewed(4, 6)).collect();
        let pauses: Vec<u64> = (1..count).map(|_| self.rng.skewed(9, 6)).collect();
        let end = self.now() + uses.iter().chain(&pauses).sum::<u64>();
        let service = self.rng.favour(&self.mesh.http);
        let mut leg = self.connect(kind, service, end);
        leg.session = self.rng.draw();
        for (duration, pause) in uses.into_iter().zip(pauses.into_iter().chain([0])) {
            self.requests += 1;
            leg.request = self.requests;
            leg.duration = duration;
            leg.received = self.rng.skewed(8, 5) * (self.rng.below(4) / 3);
            leg.sent = self.rng.skewed(10, 7);
            self.finish(&leg);
            leg.start += duration + pause;
        }
    }

    /// The client's view of a connection that begins now and keeps its ports until `end`.
    fn connect(&mut self, kind: Kind, service: u32, end: u64) -> Leg<'a> {
        let (mesh, service) = (self.mesh, &self.mesh.services[service as usize]);
        let caller = match kind {
            Kind::Gateway => self.rng.pick(&mesh.gateways),
            _ => self.rng.favour(&mesh.clients),
        };
        let client = &mesh.pods[caller as usize];
        let server = &mesh.pods[self.rng.pick(&service.pods) as usize];
        let pod = Address(server.ip, service.target_port);
        let (own, modern) = (Some(&*service.outbound), self.options.format.modern);
        let (local, host, cluster) = match kind {
            Kind::Service | Kind::Refused => (service.vip, Some(pod), own),
            Kind::Gateway => (Address(client.ip, 8443), Some(pod), own),
            Kind::PodAddress => (pod, Some(pod), Some("PassthroughCluster")),
            Kind::Hijacked => (pod, Some(IDLE), Some(THIEF)),
            Kind::Strayed => (pod, Some(STRANGER), Some(THIEF)),
            // Older proxies took the name from the chosen host, and there is none.
            Kind::Blocked => (BLOCKED, None, modern.then_some("BlackHoleCluster")),
        };
        let fails = matches!(kind, Kind::Refused | Kind::Hijacked | Kind::Blocked);
        let visitor = nth_ip([81, 2, 0, 1], self.rng.below(50_000) as u32);
        let remote = match kind {
            Kind::Gateway => Address(visitor, self.rng.between(1024, LAST_PORT) as u16),
            _ => Address(client.ip, self.take_port(caller, end)),
        };
        Leg {
            kind,
            service,
            server,
            writer: client,
            inbound: false,
            request: 0,
            session: 0,
            start: self.now(),
            duration: 0,
            received: 0,
            sent: 0,
            host,
            cluster,
            upstream_local: (!fails).then(|| Address(client.ip, self.take_port(caller, end))),
            local,
            remote,
            sni: (kind == Kind::Gateway).then_some(PUBLIC_NAME),
        }
    }

    /// An ephemeral port of the pod. They come round again, but never while in use.
    fn take_port(&mut self, pod: u32, end: u64) -> u16 {
        let now = self.now();
        if self.free_from.len() == self.free_from.capacity() {
            // Forgets those that are free before the table would grow.
            self.free_from.retain(|_, from| *from > now);
            self.free_from.reserve(self.free_from.len().max(1000));
        }
        // Linux scatters ports too; steps of one would need hours to come round.
        let mut step = self.rng.between(1, 64);
        loop {
            let last = &mut self.last_ports[pod as usize];
            *last = FIRST_PORT + (*last - FIRST_PORT + step) % (LAST_PORT - FIRST_PORT + 1);
            let from = self.free_from.entry((pod, *last as u16)).or_default();
            if *from <= now {
                *from = end + PORT_REST;
                return *last as u16;
            }
            step = 1;
        }
    }

    /// Logs what both proxies saw.
    fn finish(&mut self, outbound: &Leg<'a>) {
        let near = self.log(outbound);
        let far = match outbound.kind {
            Kind::Refused | Kind::Hijacked | Kind::Strayed | Kind::Blocked => false,
            _ if !outbound.service.sidecar => false,
            _ => {
                let inbound = self.inbound(outbound);
                self.log(&inbound)
            }
        };
        self.truth.count(outbound, near, far);
    }

    /// The server's view of a client's leg.
    fn inbound(&mut self, outbound: &Leg<'a>) -> Leg<'a> {
        let (service, modern) = (outbound.service, self.options.format.modern);
        let late = outbound.duration.min(self.rng.below(4));
        let encrypted = outbound.kind != Kind::PodAddress;
        // The server also counts what the two proxies tell each other when mutual TLS begins.
        let talks = encrypted && outbound.request == 0;
        let talk = if talks { self.rng.between(680, 730) } else { 0 };
        let inner_port = self.rng.between(FIRST_PORT, LAST_PORT) as u16;
        let wire = outbound.upstream_local.expect("what reached a server has a source");
        let pod = Address(outbound.server.ip, service.target_port);
        let loopback = [127, 0, 0, if modern { 6 } else { 1 }];
        let old_host = address(loopback, pod.1);
        Leg {
            writer: outbound.server,
            inbound: true,
            start: outbound.start + late,
            duration: outbound.duration - late,
            received: outbound.received + talk,
            sent: outbound.sent + talk,
            host: Some(if modern { pod } else { old_host }),
            cluster: Some(&service.inbound),
            upstream_local: Some(address(loopback, inner_port)),
            local: pod,
            remote: match outbound.kind {
                // Taken from X-Forwarded-For, which knows no port.
                Kind::Gateway => Address(outbound.remote.0, 0),
                _ => wire,
            },
            sni: encrypted.then_some(&service.sni),
            ..*outbound
        }
    }

    /// Queues the line of a leg for its end or up to two seconds later, and says whether it gets
    /// into the file whole.
    fn log(&mut self, leg: &Leg) -> bool {
        let fate = self.rng.below(10_000);
        if (1..101).contains(&fate) {
            return false; // lost
        }
        let at = leg.start + leg.duration + self.rng.below(2001);
        if self.rng.below(200) == 0 {
            self.log_noise(at);
        }
        let mut line = self.envelope(leg.writer, at);
        let begin = line.len();
        for (text, field) in &self.options.format.layout {
            line += text;
            if let Some(value) = field.map(|field| leg.value(field, self.options.seed)) {
                value.print(&mut line, self.options.format.json);
            }
        }
        let mut line = line.into_bytes();
        if fate == 0 {
            // The addresses stand at the end of a text line, so nobody can pair what is left.
            let left = (line.len() - begin) * self.rng.between(15, 60) as usize / 100;
            line.truncate(begin + left);
            line.extend(self.rng.pick(&[&b""[..], b"\xff\xfe\x00"]));
            self.truth.corrupt += 1;
        }
        self.queue(at, line);
        fate != 0
    }

    /// What Envoy itself has to say, in between.
    fn log_noise(&mut self, at: u64) {
        let mesh = self.mesh;
        let pod = &mesh.pods[self.rng.below(mesh.pods.len() as u64) as usize];
        let (clock, rest, text) = (Clock(pod.clock(at)), mix(at) % 1000, self.rng.pick(&NOISE));
        let line = format!("{clock}{rest:03}Z\twarning\tenvoy config\t{text}");
        self.truth.noise += 1;
        self.queue(at, (self.envelope(pod, at) + &line).into_bytes());
    }

    fn envelope(&self, pod: &Pod, at: u64) -> String {
        let mut line = String::with_capacity(512);
        match self.options.envelope.as_str() {
            "stern" => line.extend([&pod.name, " istio-proxy "]),
            "cri" => {
                let (clock, rest) = (Clock(pod.clock(at)), mix(at) % 1_000_000);
                line.extend([format!("{clock}{rest:06}Z stdout F ")]);
            }
            _ => {}
        }
        line
    }

    fn queue(&mut self, at: u64, mut line: Vec<u8>) {
        line.push(b'\n');
        self.truth.lines += 1;
        self.truth.bytes += line.len() as u64;
        self.pending.push(Reverse((at, self.truth.lines, line)));
    }

    fn write_until(&mut self, time: u64, out: &mut impl Write) -> io::Result<()> {
        while let Some(Reverse((at, _, line))) = self.pending.peek()
            && *at <= time
        {
            out.write_all(line)?;
            self.pending.pop();
        }
        Ok(())
    }
}

const NOISE: [&str; 3] = [
    "StreamAggregatedResources gRPC config stream closed: 14, connection error: desc = \"closing\"",
    "gRPC config for Listener rejected: duplicate listener 0.0.0.0_8080 found",
    "Unable to establish new stream to xds-grpc, PassthroughCluster is used meanwhile",
];

// ---- Fields and formats -------------------------------------------------------------------------

macro_rules! fields {
    ($($field:ident $key:literal,)*) => {
        #[derive(Clone, Copy)]
        enum Field { $($field),* }

        const FIELDS: &[(Field, &str)] = &[$((Field::$field, $key)),*];
    };
}

// Istio's JSON keys, sorted as Envoy sorts them. The text formats below go by the same names.
fields! {
    Authority "authority",
    Received "bytes_received",
    Sent "bytes_sent",
    Termination "connection_termination_details",
    Local "downstream_local_address",
    Remote "downstream_remote_address",
    Duration "duration",
    Method "method",
    Path "path",
    Protocol "protocol",
    RequestId "request_id",
    Sni "requested_server_name",
    Code "response_code",
    CodeDetails "response_code_details",
    Flags "response_flags",
    Route "route_name",
    Start "start_time",
    Cluster "upstream_cluster",
    Host "upstream_host",
    UpstreamLocal "upstream_local_address",
    ServiceTime "upstream_service_time",
    Failure "upstream_transport_failure_reason",
    UserAgent "user_agent",
    Forwarded "x_forwarded_for",
}

const HEAD: &str = "[%start_time%] \"%method% %path% %protocol%\" %response_code% %response_flags% ";
/// Mixer's status, which nothing in this mesh sets.
const MIXER: &str = "\"-\" ";
const DETAILS: &str = "%response_code_details% %connection_termination_details% ";
const REASON: &str = "\"%upstream_transport_failure_reason%\" ";
const BODY: &str = "%bytes_received% %bytes_sent% %duration% %upstream_service_time% \
    \"%x_forwarded_for%\" \"%user_agent%\" \"%request_id%\" \"%authority%\" \"%upstream_host%\"";
const ROUTING: &str = " %upstream_cluster% %upstream_local_address% %downstream_local_address% \
    %downstream_remote_address% %requested_server_name% %route_name%";

struct Format {
    /// A line as literal texts, each followed by a field or by the end.
    layout: Vec<(String, Option<Field>)>,
    json: bool,
    /// Istio 1.10 or later: the inbound side shows other addresses, blocked lines have a cluster.
    modern: bool,
    /// Inbound clusters name service and port, as up to Istio 1.7.
    names_ports: bool,
}

impl Format {
    fn new(name: &str) -> Option<Self> {
        let pairs = FIELDS.iter().map(|(_, key)| format!("\"{key}\":%{key}%"));
        let text = match name {
            "istio-1.3" => [HEAD, MIXER, REASON, BODY, ROUTING].concat(),
            "istio-1.8" => [HEAD, REASON, BODY, ROUTING].concat(),
            "istio-1.9" => [HEAD, DETAILS, REASON, BODY, ROUTING].concat(),
            "envoy" => [HEAD, BODY].concat(),
            "istio-json" => format!("{{{}}}", pairs.collect::<Vec<_>>().join(",")),
            _ => return None,
        };
        let find = |key: &&str| FIELDS.iter().find(|row| row.1 == *key).map(|row| row.0);
        let parts: Vec<&str> = text.split('%').collect();
        let step = |step: &[&str]| (step[0].into(), step.get(1).and_then(find));
        Some(Self {
            layout: parts.chunks(2).map(step).collect(),
            json: name == "istio-json",
            modern: !matches!(name, "istio-1.3" | "istio-1.8"),
            names_ports: name == "istio-1.3",
        })
    }
}

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "GET"];
const PATHS: [&str; 7] = [
    "/api/v1/orders/",
    "/api/v2/users/",
    "/healthz?n=",
    "/search?q=shoes&page=",
    "/docs/PassthroughCluster/",
    "/v1/events/",
    "/img/thumb/",
];
const AGENTS: [&str; 6] = [
    "Go-http-client/1.1",
    "okhttp/4.9.3",
    "python-requests/2.31.0",
    "curl/8.5.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0",
    "axios/1.6.8",
];
/// Envoy prints quotes of a header as they are.
const QUOTED_AGENT: &str = "Probe/2.0 (the \"nightly\" build of \"shop\")";

enum Value<'a> {
    Absent,
    Number(u64),
    Time(u64),
    Text(&'a str),
    /// A header that ends in a number, or is one.
    Header(&'a str, u64),
    Ip(u32),
    Address(Address),
    Uuid(u64, u64),
}

impl Value<'_> {
    /// Typed JSON has numbers as numbers, null for what is absent, and strings for all else.
    fn print(&self, line: &mut String, json: bool) {
        match *self {
            Self::Absent if json => line.push_str("null"),
            Self::Text(text) if json && text.contains('"') => {
                line.extend(["\"", &text.replace('"', "\\\""), "\""]);
            }
            Self::Absent | Self::Number(_) => self.print_plain(line),
            _ if json => {
                line.push('"');
                self.print_plain(line);
                line.push('"');
            }
            _ => self.print_plain(line),
        }
    }

    fn print_plain(&self, line: &mut String) {
        let done = match *self {
            Self::Absent => line.write_str("-"),
            Self::Text(text) => line.write_str(text),
            Self::Number(number) => write!(line, "{number}"),
            Self::Header(text, number) => write!(line, "{text}{number}"),
            Self::Time(millis) => write!(line, "{}Z", Clock(millis)),
            Self::Address(Address(ip, port)) => write!(line, "{}:{port}", Ipv4Addr::from_bits(ip)),
            Self::Ip(ip) => write!(line, "{}", Ipv4Addr::from_bits(ip)),
            // Envoy writes a 9 where the version stands when it does not trace the request.
            Self::Uuid(a, b) => write!(
                line,
                "{:08x}-{:04x}-9{:03x}-{:04x}-{:012x}",
                a >> 32,
                a >> 16 & 0xffff,
                a & 0xfff,
                b >> 48,
                b & 0xffff_ffff_ffff
            ),
        };
        done.expect("a string takes everything");
    }
}

/// Prints `2024-05-28T23:50:00.123`, without the zone, because envelopes add digits.
struct Clock(u64);

impl Display for Clock {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let (days, rest) = (self.0 / 86_400_000, self.0 % 86_400_000);
        // As in Howard Hinnant's `civil_from_days`: years begin in March, 400 of them are an era.
        let (era, day) = ((days + 719_468) / 146_097, (days + 719_468) % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let march = (5 * day + 2) / 153;
        let month = if march < 10 { march + 3 } else { march - 9 };
        let day = day - (153 * march + 2) / 5 + 1;
        let year = era * 400 + year + u64::from(month < 3);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, milli) = (rest / 1000 % 60, rest % 1000);
        write!(f, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}")
    }
}

fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Absent, Value::Text)
}

fn place(address: Option<Address>) -> Value<'static> {
    address.map_or(Value::Absent, Value::Address)
}

impl<'a> Leg<'a> {
    fn value(&self, field: Field, seed: u64) -> Value<'a> {
        match field {
            Field::Start => Value::Time(self.writer.clock(self.start)),
            Field::Duration => Value::Number(self.duration),
            Field::Received => Value::Number(self.received),
            Field::Sent => Value::Number(self.sent),
            Field::Cluster => text(self.cluster),
            Field::Host => place(self.host),
            Field::UpstreamLocal => place(self.upstream_local),
            Field::Local => place(Some(self.local)),
            Field::Remote => place(Some(self.remote)),
            Field::Sni => text(self.sni),
            Field::Flags => Value::Text(match self.kind {
                Kind::Refused | Kind::Hijacked => "UF,URX",
                Kind::Blocked => "UH",
                _ => "-",
            }),
            Field::Code if self.request == 0 => Value::Number(0),
            _ if self.request == 0 => Value::Absent,
            _ => self.http_value(field, seed),
        }
    }

    /// What only requests have. Most follows from their number, so both lines agree.
    fn http_value(&self, field: Field, seed: u64) -> Value<'a> {
        let dice = mix(self.request.wrapping_add(seed));
        let (pick, edge) = (dice as usize, self.kind == Kind::Gateway);
        match field {
            Field::Method => Value::Text(METHODS[pick % 4]),
            Field::Path => Value::Header(PATHS[pick % 7], dice >> 48),
            Field::Protocol if edge && !self.inbound => Value::Text("HTTP/2"),
            Field::Protocol => Value::Text("HTTP/1.1"),
            Field::Code => Value::Number(match pick / 8 % 100 {
                0 => 503,
                1..4 => 404,
                4..8 => 201,
                _ => 200,
            }),
            Field::CodeDetails => Value::Text("via_upstream"),
            Field::ServiceTime => Value::Header("", self.duration.saturating_sub(1)),
            Field::RequestId => Value::Uuid(mix(dice), dice),
            Field::UserAgent if self.session.is_multiple_of(150) => Value::Text(QUOTED_AGENT),
            Field::UserAgent => Value::Text(AGENTS[self.session as usize % 6]),
            Field::Authority if edge => Value::Text(PUBLIC_NAME),
            Field::Authority => Value::Text(&self.service.authority),
            Field::Forwarded if edge => Value::Ip(self.remote.0),
            Field::Route if self.inbound || !edge => Value::Text("default"),
            _ => Value::Absent,
        }
    }
}
