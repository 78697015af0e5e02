//! Damaged, foreign and malicious files: an error with a place, never a crash.

use proptest::prelude::*;

use super::super::STACK;
use super::super::file::file;
use super::super::parts::Parts;
use super::{DUMP, read};

/// What is said of a file.
fn said(content: impl AsRef<[u8]>) -> String {
    let bytes = std::io::Cursor::new(content.as_ref().to_vec());
    let read = move || {
        let mut parts = Parts::default();
        match file("x", Box::new(bytes), &mut parts) {
            Ok(()) => format!("fine, {} known", parts.known),
            Err(trouble) => trouble.to_string(),
        }
    };
    std::thread::Builder::new().stack_size(STACK).spawn(read).unwrap().join().unwrap()
}

#[test]
fn nesting_ends_with_a_word_and_not_with_the_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = open.repeat(100_000) + &close.repeat(100_000);
        assert!(said(&deep).contains("recursion limit"), "{}", said(&deep));
        let yaml = format!("a: {deep}");
        assert!(said(&yaml).starts_with("x:1:"), "{}", said(&yaml));
        let allowed = format!("{{\"configs\": {}{}}}", open.repeat(100), "1".to_owned() + &close.repeat(100));
        assert!(!said(&allowed).contains("recursion"), "{}", said(&allowed));
        assert!(said(format!("a: {}1{}", open.repeat(60), close.repeat(60))).starts_with("fine"), "{open}");
    }
    let block = |depth: usize| (0..depth).map(|depth| " ".repeat(depth) + "a:\n").collect::<String>();
    assert!(said(block(2000)).starts_with("x:"), "{}", said(block(2000)));
    assert!(said(block(60)).starts_with("fine"), "{}", said(block(60)));
    assert!(said("- ".repeat(100_000)).starts_with("x:"), "{}", said("- ".repeat(100_000)));
}

#[test]
fn aliases_cannot_blow_a_file_up() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.extend(["a", &level.to_string(), ": &a", &level.to_string(), " [", &before, "]\n"]);
    }
    assert!(said(&laughs).starts_with("x:"), "{}", said(&laughs));
    assert!(said("a: &a [*a]\n").starts_with("x:1:"), "{}", said("a: &a [*a]\n"));
    assert!(said("a: *nothing\n").starts_with("x:1:"), "{}", said("a: *nothing\n"));
    let shared = "- &one {name: a, connectTimeout: 1s}\n- *one\n";
    assert_eq!(said(shared), "fine, 2 known");
}

#[test]
fn hosts_of_an_entry_are_not_multiplied_without_end() {
    let list = |item: &str| vec![item; 2000].join(",");
    let entry = |hosts: &str| {
        let ports = list(r#"{"number":1}"#);
        let spec = format!(r#""spec":{{"hosts":[{hosts}],"ports":[{ports}]}}"#);
        let mesh = read(&[("x", &format!(r#"{{"kind":"ServiceEntry","metadata":{{"name":"a"}},{spec}}}"#))]).unwrap();
        (mesh.objects.services.len(), mesh.left_out.iter().any(|left| left.why.contains("more hosts than")))
    };
    assert_eq!(entry(r#""a","b""#), (2, false));
    assert_eq!(entry(&list(r#""a""#)), (0, true));
}

#[test]
fn what_is_no_text_or_cut_off_is_named_with_its_place() {
    for (content, expected) in [
        (&b"{\"configs\": [{\"a\xff\": 1}]}"[..], "x:1:17: "),
        (b"a: b\nc: \xff\n", "x:2:4: is not UTF-8"),
        (b"{\"configs\": [NaN]}", "x:1:14: expected value"),
        (b"{\"configs\": [1e999]}", "x:1:19: number out of range"),
        (b"{\"configs\": []} x", "x:1:17: expected value"),
        (b"kind: Service\nkind: Pod\n", "x:2:1: duplicate"),
        (b"kind: Service\n  metadata: x\n", "x:"),
        (b"[", "x:1:1: EOF"),
    ] {
        let said = said(content);
        assert!(said.starts_with(expected), "{said} instead of {expected}");
    }
    for nothing in
        ["", "\n", "#\n", "null", "3", "[]", "{}", "---\n", "hello", "\u{feff}", "{\"a\":[1,2,{\"b\":null}]}"]
    {
        assert_eq!(said(nothing), "fine, 0 known", "{nothing}");
    }
}

#[test]
fn kinds_that_do_not_fit_are_wrong_and_not_fatal() {
    let strange = r#"{"configs":[7,"x",null,[],{"dynamic_listeners":{"a":1},"static_clusters":7,"@type":7,"bootstrap":[],
        "dynamic_route_configs":[7],"static_listeners":[{"listener":7}],"version_info":{}}],"cluster_statuses":[7,{"host_statuses":7}]}"#;
    let mesh = read(&[("x", strange)]).unwrap();
    let wrong: Vec<String> = mesh.left_out.iter().map(|left| format!("{} {}", left.place, left.why)).collect();
    assert!(
        wrong.iter().any(|wrong| wrong == "configs[4].static_listeners[0].listener is a number, not an object"),
        "{wrong:#?}"
    );
    assert!(
        wrong.iter().any(|wrong| wrong == "cluster_statuses[1].host_statuses is a number, not a list"),
        "{wrong:#?}"
    );
}

/// Files of every shape, to be damaged.
const SEEDS: &[&str] = &[
    DUMP,
    "kind: Service\nmetadata: {name: a, namespace: &n b}\nspec:\n  clusterIP: None\n  ports: [{port: 1}]\n---\n- *n\n",
    "ADDRESS PORT MATCH DESTINATION\n10.0.0.1 80 SNI: a; Addr: 10.0.0.0/8:80 Cluster: x\n",
    "a|b||c::10.0.0.1:80::cx_connect_fail::1\na|b||c::[::1]:80::health_flags::/x\na::default_priority::max::1\n",
    r#"{"workloads":{"a":{"protocol":"HBONE","uid":"c//Pod/a/b"}},"services":[{"hostname":"a","vips":["/1.2.3.4"],"ports":{"1":2}}]}"#,
    r#"[{"hostname":"a","Resolution":1,"Attributes":{"Namespace":"b"},"clusterVIPs":{"Addresses":{"c":["1.2.3.4"]}}}]"#,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_never_a_crash(
        seed in 0..SEEDS.len(),
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() * 2).max(1));
        said(bytes);
    }

    #[test]
    fn any_text_is_never_a_crash(text in "[\\[\\]{}:,\"'&*a-c0-9 \n|>#%!?-]{0,200}") {
        said(text);
    }
}

#[test]
fn conditions_of_a_chain_are_not_multiplied_without_end() {
    let names: Vec<String> = (0..500).map(|number| format!("\"n{number}\"")).collect();
    let takes = |protocols: &[String]| {
        let (names, protocols) = (names.join(","), protocols.join(","));
        let takes = format!(r#"{{"server_names":[{names}],"application_protocols":[{protocols}]}}"#);
        let chains = format!(r#""filter_chains":[{{"filter_chain_match":{takes}}}]"#);
        format!(r#"{{"configs":[{{"static_listeners":[{{"listener":{{"name":"a",{chains}}}}}]}}]}}"#)
    };
    let listeners = |dump: &str| read(&[("x", dump)]).unwrap().proxies.first().map_or(0, |one| one.listeners.len());
    assert_eq!(listeners(&takes(&names[..4])), 1);
    assert_eq!(listeners(&takes(&names)), 0);
    let why = &read(&[("x", &takes(&names))]).unwrap().left_out[0].why;
    assert!(why.contains("has 250000 combinations of conditions"), "{why}");
}

#[test]
fn empty_messages_do_not_become_a_hundred_times_their_size() {
    let chains = vec!["{}"; 1_000_000].join(",");
    let dump =
        format!(r#"{{"configs":[{{"static_listeners":[{{"listener":{{"name":"a","filter_chains":[{chains}]}}}}]}}]}}"#);
    let mesh = read(&[("x", &dump)]).unwrap();
    assert!(mesh.proxies.iter().all(|proxy| proxy.listeners.is_empty()));
    assert_eq!(&*mesh.left_out[0].why, "almost all of the file's messages are empty");
    assert_eq!(&*mesh.left_out[0].place, "configs[0].static_listeners[0]");
}
