//! Where proxies send connections: a recording of real Envoys with their own dumps.

use std::collections::BTreeMap;

use logscan::field::value::{Micros, time};
use logscan::mesh::{self, Direction, Proxy};
use logscan::route::{Bytes, End, Fate, Question, Replay, Request, Sni, Version};
use serde_json::Value;

use crate::tool::{objects, path, run};

const LOG: &str = "samples/routes/routes.log";
const MESH: &str = "samples/routes/mesh";

/// What a leg asks: everything that a line says, and that a line without SNI is no TLS.
fn question(leg: &Value, direction: Direction) -> Question<'_> {
    let sni = leg["requested_server_name"].as_str();
    let http =
        leg["authority"].as_str().map(|host| Request { host: host.into(), path: leg["path"].as_str().map(Into::into) });
    Question {
        direction,
        to: leg["downstream_local_address"].as_str().unwrap().parse().unwrap(),
        sni: sni.map_or(Sni::Absent, |name| Sni::Name(name.into())),
        bytes: match (sni, &http) {
            (None, None) => Bytes::Tcp,
            (None, Some(_)) => Bytes::Http(Version::Http11),
            (Some(_), _) => Bytes::Unknown,
        },
        from: leg["downstream_remote_address"].as_str().unwrap().parse().ok(),
        http,
    }
}

/// The dump that a pod's proxy went by: the last that was there.
fn dump_at<'m>(proxies: &'m [Proxy], pod: &str, at: Micros) -> (usize, &'m Proxy) {
    let in_time = |proxy: &Proxy| *proxy.node.pod == *pod && proxy.taken.unwrap() <= at;
    proxies.iter().enumerate().rfind(|(_, proxy)| in_time(proxy)).expect("a dump of the pod")
}

#[test]
fn real_proxies_sent_every_connection_where_their_dumps_say() {
    let mesh = mesh::read::paths(&[path(MESH)]).unwrap();
    let mut replays: BTreeMap<usize, Replay<'_>> = BTreeMap::new();
    let (mut legs, mut refused, mut pairs, mut mutual) = (0, 0, 0, 0);
    for connection in objects(&run(&["-o", "ndjson", "--connections", LOG]), "connection") {
        for (side, direction) in [("outbound", Direction::Outbound), ("inbound", Direction::Inbound)] {
            let leg = &connection[side];
            let Some(pod) = leg["pod"].as_str() else { continue };
            let at = time(leg["start_time"].as_str().unwrap().as_bytes()).unwrap();
            let (place, proxy) = dump_at(&mesh.proxies, pod, at);
            let replay = replays.entry(place).or_insert_with(|| Replay::new(proxy));
            let answer = replay.ask(&question(leg, direction));
            let flags = leg["response_flags"].as_str().unwrap_or_default();
            legs += 1;
            match answer.certain() {
                Some(End::Cluster { name, fate }) => {
                    assert_eq!(Some(name), leg["upstream_cluster"].as_str(), "{leg}");
                    assert_eq!(fate == Fate::NoEndpoint, flags.contains("UH"), "{leg}");
                }
                Some(End::NoChain) => {
                    assert_eq!(flags, "NR", "{leg}");
                    refused += 1;
                }
                other => panic!("{other:?}: {leg}"),
            }
            // What the client's proxy is said to send is what the server's proxy saw.
            let server = &connection["inbound"];
            if direction == Direction::Outbound && server["pod"].is_string() {
                let (cluster, host) =
                    (leg["upstream_cluster"].as_str().unwrap(), leg["upstream_host"].as_str().unwrap());
                let tls = replay.router().tls(cluster, host.parse().ok());
                assert_eq!(tls.sni(), server["requested_server_name"].as_str(), "{connection}");
                pairs += 1;
                mutual += u32::from(tls.is_mutual() == Some(true));
            }
        }
    }
    assert_eq!((legs, refused, pairs, mutual), (102, 18, 48, 18));
}
