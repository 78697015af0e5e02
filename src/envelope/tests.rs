//! Every prefix by its words, every object by its keys, and prose that is none of them.

use super::json::{ANY, Payload, beside, open};
use super::*;

/// Envelope, namespace, pod, container, node.
fn told(peeled: &Peeled<'_>) -> [String; 5] {
    let text = |bytes: Option<&[u8]>| bytes.map_or("-".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    [peeled.envelope.to_owned(), text(peeled.namespace), text(peeled.pod), text(peeled.container), text(peeled.node)]
}

#[test]
fn every_prefix_is_told_by_its_words() {
    const T: &str = "2024-08-07T09:34:15.747065123Z";
    let id = "0123456789abcdef".repeat(4);
    for (prefix, expected) in [
        (String::new(), ["none", "-", "-", "-", "-"]),
        ("web-1 istio-proxy ".into(), ["stern", "-", "web-1", "istio-proxy", "-"]),
        ("shop web-1 istio-proxy ".into(), ["stern", "shop", "web-1", "istio-proxy", "-"]),
        (format!("web-1 istio-proxy {T} "), ["stern", "-", "web-1", "istio-proxy", "-"]),
        ("web-1 istio-proxy 2024-08-07T11:34:15.747065123+02:00 ".into(), ["stern", "-", "web-1", "istio-proxy", "-"]),
        ("web-1 istio-proxy 08-07 11:34:15 ".into(), ["stern", "-", "web-1", "istio-proxy", "-"]),
        ("web istio-proxy [missing timestamp] ".into(), ["stern", "-", "web", "istio-proxy", "-"]),
        ("shop router-0 router ".into(), ["stern", "shop", "router-0", "router", "-"]),
        ("[pod/web-1/istio-proxy] ".into(), ["kubectl", "-", "web-1", "istio-proxy", "-"]),
        (format!("[pod/web-1/istio-proxy] {T} "), ["kubectl", "-", "web-1", "istio-proxy", "-"]),
        (format!("{T} "), ["kubectl", "-", "-", "-", "-"]),
        ("08-07 11:34:15 ".into(), ["kubectl", "-", "-", "-", "-"]),
        (format!("{T} stdout F "), ["cri", "-", "-", "-", "-"]),
        ("shop/web-1[istio-proxy]: ".into(), ["kail", "shop", "web-1", "istio-proxy", "-"]),
        ("[web-1] ".into(), ["kubetail", "-", "web-1", "-", "-"]),
        ("[2:web-1 istio-proxy] ".into(), ["kubetail", "-", "web-1", "istio-proxy", "-"]),
        (
            format!("{T} {{app=\"web\", container=\"istio-proxy\", namespace=\"shop\", pod=\"web-1\"}}   "),
            ["logcli", "shop", "web-1", "istio-proxy", "-"],
        ),
        ("front-envoy_1  | ".into(), ["compose", "-", "front-envoy_1", "-", "-"]),
        ("istio-proxy ".into(), ["named", "-", "-", "istio-proxy", "-"]),
        ("web-1: ".into(), ["named", "-", "web-1", "-", "-"]),
        ("shop/web-1 ".into(), ["named", "shop", "web-1", "-", "-"]),
        (
            format!("{T} node-1-application.var.log.containers.web-1_shop_istio-proxy-{id}.log "),
            ["cloudwatch", "shop", "web-1", "istio-proxy", "-"],
        ),
        ("2024-08-07T09:34:15 ecs/envoy/0f3a ".into(), ["cloudwatch", "-", "-", "-", "-"]),
        ("Aug  7 09:34:15 node-1 envoy[12]: ".into(), ["syslog", "-", "-", "-", "node-1"]),
        (format!("{T} node-1 envoy[12]: "), ["syslog", "-", "-", "-", "node-1"]),
        (format!("<34>1 {T} node-1 envoy 12 - - "), ["syslog", "-", "-", "-", "node-1"]),
        (format!("[pod/web-1/istio-proxy] {T} {T} stdout F "), ["cri", "-", "web-1", "istio-proxy", "-"]),
        (format!("collector-x1 vector {T} stdout F "), ["cri", "-", "collector-x1", "vector", "-"]),
        ("proxy.log:".into(), ["grep", "-", "-", "-", "-"]),
        ("12:".into(), ["grep", "-", "-", "-", "-"]),
        ("logs/web-7948dffbdd-p44xx.log-12-".into(), ["grep", "-", "web-7948dffbdd-p44xx", "-", "-"]),
        (format!("c/web-1_shop_istio-proxy-{id}.log:12:{T} stdout F "), ["cri", "shop", "web-1", "istio-proxy", "-"]),
        ("all.log:12:web-1 istio-proxy ".into(), ["stern", "-", "web-1", "istio-proxy", "-"]),
        (format!("web-1\tistio-proxy\t{T} "), ["stern", "-", "web-1", "istio-proxy", "-"]),
    ] {
        let peeled = peel(prefix.as_bytes()).unwrap_or_else(|| panic!("no envelope: {prefix}"));
        assert_eq!(told(&peeled), expected, "{prefix}");
    }
    assert!(peel(format!("{T} stderr P:x ").as_bytes()).unwrap().partial);
}

#[test]
fn prose_is_no_prefix() {
    for foreign in [
        "GET / HTTP/1.1 ",
        "a b c d e f ",
        "Hello World ",
        "[pod/x] ",
        "[pod//] ",
        "got line from peer ",
        "upstream said ",
        "copied access line ",
        "error: ",
        "2024-08-07T09:34:15Z received ",
        "2024-08-07T09:34:15Z info ",
        "{app=\"x\"} ",
        "msg=\"x\" ",
    ] {
        assert_eq!(peel(foreign.as_bytes()), None, "{foreign}");
    }
}

#[test]
fn every_object_is_told_by_its_keys() {
    let k8s = r#""kubernetes":{"pod_name":"web-1","namespace_name":"shop","container_name":"istio-proxy","host":"n1","labels":{"pod":"no"}}"#;
    for (object, expected) in [
        (r#"{"log":"L\n","stream":"stdout","time":"T"}"#.to_owned(), ["docker", "-", "-", "-", "-"]),
        (
            r#"{"message":"L","nodeName":"n1","namespace":"shop","podName":"web-1","containerName":"istio-proxy","labels":{"pod":"no","app":"web"},"annotations":{}}"#.into(),
            ["stern", "shop", "web-1", "istio-proxy", "n1"],
        ),
        (
            r#"{"namespace": "shop", "pod": "web-1", "container": "istio-proxy", "message": "L"}"#.into(),
            ["stern", "shop", "web-1", "istio-proxy", "-"],
        ),
        (
            r#"{"namespace":"shop","name":"web-1","container":"istio-proxy","message":"L"}"#.into(),
            ["kail", "shop", "web-1", "istio-proxy", "-"],
        ),
        (
            r#"{"labels":{"namespace":"shop","pod":"web-1","container":"istio-proxy"},"line":"L","timestamp":"T"}"#.into(),
            ["logcli", "shop", "web-1", "istio-proxy", "-"],
        ),
        (format!("{{\"log\":\"L\",\"stream\":\"stdout\",{k8s}}}"), ["fluent", "shop", "web-1", "istio-proxy", "n1"]),
        (format!("{{{k8s},\"message\":\"L\",\"@timestamp\":\"T\"}}"), ["openshift", "shop", "web-1", "istio-proxy", "n1"]),
        (
            r#"{"file":"/f","kubernetes":{"container_name":"istio-proxy","pod_labels":{"pod":"no"},"pod_name":"web-1","pod_namespace":"shop","pod_node_name":"n1"},"message":"L","source_type":"kubernetes_logs"}"#.into(),
            ["vector", "shop", "web-1", "istio-proxy", "n1"],
        ),
        (
            r#"{"insertId":"i","resource":{"type":"k8s_container","labels":{"pod_name":"web-1","namespace_name":"shop","container_name":"istio-proxy"}},"textPayload":"L","labels":{"k8s-pod/app":"x"}}"#.into(),
            ["google-cloud", "shop", "web-1", "istio-proxy", "-"],
        ),
        (r#"{"logStreamName":"s","timestamp":1,"message":"L","ingestionTime":2,"eventId":"e"}"#.into(), ["cloudwatch", "-", "-", "-", "-"]),
        (r#"{"severity":"INFO","message":"L"}"#.into(), [ANY, "-", "-", "-", "-"]),
    ] {
        let (peeled, payload) = open(object.as_bytes()).unwrap_or_else(|| panic!("no envelope: {object}"));
        assert_eq!(told(&peeled), expected, "{object}");
        let Payload::Text(span) = payload else { panic!("no text: {object}") };
        assert_eq!(span.of(object.as_bytes()).map(|line| &line[..1]), Some(&b"L"[..]), "{object}");
    }
    let object = br#"{"jsonPayload":{"start_time":"x"},"resource":{"labels":{"pod_name":"web-1"}}}"#;
    assert!(matches!(open(object), Some((peeled, Payload::Object(_))) if peeled.pod == Some(b"web-1")));
}

#[test]
fn objects_without_a_line_are_no_envelopes() {
    for object in [
        r#"{"level":"info","time":"T","scope":"cache","msg":"generated"}"#,
        r#"{"start_time":"x","path":"/"}"#,
        r#"{"message":7}"#,
        r#"{"log":"#,
        "{}",
    ] {
        assert_eq!(open(object.as_bytes()), None, "{object}");
    }
    let merged = br#"{"start_time":"x","kubernetes":{"pod_name":"web-1","namespace_name":"shop"},"path":"/"}"#;
    assert_eq!(beside(merged).map(|peeled| peeled.pod), Some(Some(&b"web-1"[..])));
    assert_eq!(beside(br#"{"labels":{"app":"x"},"start_time":"x"}"#), None);
}

#[test]
fn colour_is_taken_out_and_nothing_else() {
    let mut out = Vec::new();
    strip_colour(b"\x1b[96mpod\x1b[0m \x1b[1;92mc\x1b[0m a\x00b\x1b[", &mut out);
    assert_eq!(out, b"pod c a\x00b");
}
