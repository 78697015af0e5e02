//! Where proxies send connections: a recording of real Envoys with their own dumps, and `logscan route` as its user meets
//! it.

use std::collections::BTreeMap;

use logscan::field::value::{Micros, time};
use logscan::mesh::{self, Direction, Proxy};
use logscan::route::{Bytes, End, Fate, Question, Replay, Request, Sni, Version};
use serde_json::Value;

use crate::tool::{json, objects, path, run, text};

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

#[test]
fn one_question_is_answered_by_all_proxies_those_that_agree_together() {
    let routes = json(&run(&["route", "--mesh", MESH, "-o", "json", "10.12.245.20:9094"]));
    let routes = routes["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 2);
    assert_eq!(routes[0]["pods"].as_array().unwrap().len(), 4);
    assert_eq!(routes[1]["walk"]["listener"]["name"], "0.0.0.0_9094");
    assert_eq!(routes[1]["walk"]["branches"][0]["lost"][0]["by"], "destination address");
    // The address behind --mesh, a pod, an earlier time.
    let early = ["route", "--mesh", MESH, "--pod", "cons-6c8d7b9f5-cc5cc", "--at", "2026-11-25T17:09:30Z"];
    let shown = text(&run(&[&early[..], &["--from", "client", "10.12.245.20:9094"]].concat()));
    assert!(shown.contains("goes to    PassthroughCluster"), "{shown}");
}

#[test]
fn a_walk_is_readable_at_three_in_the_morning() {
    let shown = text(&run(&["route", "--mesh", MESH, "--pod", "cons-6c8d7b9f5-cc5cc", "10.12.245.20:9094"]));
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => path("tests/snapshots"), omit_expression => true }, {
        insta::assert_snapshot!("route--walk", shown);
    });
    let strict = run(&[
        "route",
        "--mesh",
        "samples/routes/mesh/both",
        "--pod",
        "broker-0",
        "--from",
        "server",
        "10.12.245.20:9094",
    ]);
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => path("tests/snapshots"), omit_expression => true }, {
        insta::assert_snapshot!("route--strict", text(&strict));
    });
    for line in shown.lines().chain(text(&strict).lines()) {
        assert!(line.chars().count() <= 80 && !line.contains('\u{1b}'), "{line}");
    }
}

#[test]
fn all_addresses_are_listed_and_catch_alls_marked() {
    let shown = text(&run(&["route", "--mesh", "samples/routes/mesh/both", "--all"]));
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => path("tests/snapshots"), omit_expression => true }, {
        insta::assert_snapshot!("route--all", shown);
    });
    assert_eq!(shown.matches("CATCH-ALL").count(), 1);
}

#[test]
fn two_states_are_compared_by_destination() {
    let arguments = ["route", "--mesh", "samples/routes/mesh/both", "--before", "samples/routes/mesh/ok"];
    let shown = text(&run(&arguments));
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => path("tests/snapshots"), omit_expression => true }, {
        insta::assert_snapshot!("route--before", shown);
    });
    let same = run(&["route", "--mesh", "samples/routes/mesh/ok", "--before", "samples/routes/mesh/ok"]);
    assert_eq!((same.status.code(), text(&same)), (Some(0), String::new()));
    let one = json(&run(&[&arguments[..], &["-o", "json", "10.12.245.20:9094"]].concat()));
    assert_eq!(one["changes"][0]["pods"], serde_json::json!(["cons-6c8d7b9f5-cc5cc"]));
}

#[test]
fn trouble_exits_with_2_and_names_what_there_is() {
    let trouble = |arguments: &[&str]| {
        let output = run(&[&["route", "--mesh"][..], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let unknown = trouble(&[MESH, "--pod", "nobody", "10.0.0.1:80"]);
    assert!(unknown.contains("broker-0, broker-1, cons-"), "{unknown}");
    assert!(trouble(&[MESH]).contains("name an address"));
    assert!(trouble(&["no-such-folder", "--all"]).contains("no-such-folder"));
    assert!(trouble(&[MESH, "--pod", "broker-0", "web:http"]).contains("no address with a port"));
    assert!(trouble(&[MESH, "--at", "yesterday", "--pod", "broker-0", "10.0.0.1:80"]).contains("yesterday"));
}
