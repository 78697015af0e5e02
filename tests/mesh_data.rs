//! Published dumps of real proxies: where connections go in them. Skipped with a word where they are not at hand.

use std::net::SocketAddr;
use std::path::PathBuf;

use logscan::mesh::{self, Direction, To};
use logscan::route::{Bytes, ChainAt, End, Question, Router, Sni, Version, chain_of};
use serde_json::Value;

use crate::tool::path;

/// The first bytes that a case is told with.
fn bytes(name: &str) -> Bytes<'static> {
    let tls = |alpn: &[&'static str]| Bytes::Tls(Some(alpn.iter().map(|one| (*one).into()).collect()));
    match name {
        "tcp" => Bytes::Tcp,
        "http" => Bytes::Http(Version::Http11),
        "tls" => tls(&[]),
        "mtls" => tls(&["istio-peer-exchange", "istio"]),
        "mtls-http" => tls(&["istio-http/1.1"]),
        other => panic!("{other} is new"),
    }
}

#[test]
fn connections_go_where_a_reading_of_the_dumps_by_eye_says() {
    let folder = std::env::var_os("MESH_DUMPS").map_or_else(|| path("../shared/mesh-data"), PathBuf::from);
    let Ok(cases) = std::fs::read_to_string(folder.join("expected-matches.json")) else {
        eprintln!("skipped: no published dumps beside the project");
        return;
    };
    let cases: Value = serde_json::from_str(&cases).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let mesh = mesh::read::paths(&[folder.join(case["file"].as_str().unwrap())]).unwrap();
        let proxy = &mesh.proxies[0];
        let to: SocketAddr = case["dst"].as_str().unwrap().parse().unwrap();
        let question = Question {
            direction: if case["direction"] == "outbound" { Direction::Outbound } else { Direction::Inbound },
            sni: case["sni"].as_str().map_or(Sni::Absent, |name| Sni::Name(name.into())),
            bytes: bytes(case["first_bytes"].as_str().unwrap()),
            ..Question::outbound(to)
        };
        let answer = Router::new(proxy).answer(&question);
        let outcome = &answer.outcomes[0];
        let listener = &proxy.listeners[answer.landing.unwrap().listener];
        assert_eq!(&*listener.name, case["listener"], "{case}");
        let chain = chain_of(proxy, &answer, outcome);
        // What the cases call a chain without a name.
        let is_default = outcome.chain == Some(ChainAt::Default);
        let unnamed = if is_default { "default" } else { "unnamed" };
        let name = chain.map(|chain| if chain.name.is_empty() { unnamed } else { &*chain.name });
        assert_eq!(name, case["filter_chain"].as_str(), "{case}");
        assert_eq!(is_default, case["is_default_chain"].as_bool().unwrap(), "{case}");
        let target = match chain.map(|chain| &chain.to) {
            Some(To::Tcp(clusters)) => clusters[0].0.to_string(),
            Some(To::Rds(name)) => format!("RDS:{name}"),
            Some(To::Inline(config)) => format!("INLINE:{}", config.name),
            None if outcome.end == End::NoChain => "NR filter_chain_not_found".into(),
            other => panic!("{other:?}: {case}"),
        };
        assert_eq!(target, case["target"], "{case}");
    }
}
