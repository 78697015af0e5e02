//! Objects of a cluster, from wherever they come.

use super::read;
use crate::mesh::objects::{Objects, Resolution};

const YAML: &str = "# kubectl get ... -o yaml
apiVersion: v1
kind: Service
metadata:
  annotations: {networking.istio.io/exportTo: \"., shop\"}
  creationTimestamp: \"2026-03-01T08:00:00Z\"
  labels: {app: db}
  name: db
  namespace: shop
  resourceVersion: \"12\"
spec:
  clusterIP: None
  clusterIPs: [None]
  ports:
  - {name: tcp-db, port: 5432, protocol: TCP, targetPort: pg}
  - {port: 80, appProtocol: http, targetPort: 8080}
  selector: {app: db}
---
apiVersion: v1
kind: Service
metadata: {name: app-ext, namespace: shop}
spec: {type: ExternalName, externalName: idle.manager.svc.cluster.local, ports: [{port: 5701}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext, namespace: shop}
spec:
  hosts: [a.example.com, b.example.com]
  addresses: [10.9.0.0/16]
  ports: [{number: 443, name: tls, protocol: tls, targetPort: 8443}]
  resolution: DNS
  location: MESH_INTERNAL
  endpoints: [{address: 1.2.3.4}]
  exportTo: [\"*\"]
status:
  addresses: [{host: a.example.com, value: 240.240.0.1}, {host: b.example.com, value: 240.240.0.2}]
---
kind: Secret
metadata: {name: s, namespace: shop}
data: {key: c2VjcmV0}
";

fn objects(files: &[(&str, &str)]) -> Objects {
    read(files).unwrap().objects
}

#[test]
fn services_and_entries_say_who_has_which_address() {
    let found = objects(&[("svc.yaml", YAML)]);
    let hosts: Vec<&str> = found.services.iter().map(|service| &*service.host).collect();
    assert_eq!(
        hosts,
        ["app-ext.shop.svc.cluster.local", "db.shop.svc.cluster.local", "a.example.com", "b.example.com"]
    );
    let [named, headless, entry, other] = &found.services[..] else { panic!() };
    assert!(named.external && named.resolution == Resolution::Dns && named.addresses.is_empty());
    assert_eq!(&*named.external_name, "idle.manager.svc.cluster.local");
    assert!(headless.headless && headless.resolution == Resolution::Passthrough);
    assert_eq!(headless.export_to, [".".into(), "shop".into()]);
    assert_eq!((&*headless.ports[0].target, &*headless.ports[1].target), ("pg", "8080"));
    assert_eq!((&*headless.ports[1].protocol, &*headless.ports[1].app_protocol), ("TCP", "http"));
    assert_eq!(headless.meta.created.unwrap().to_string(), "2026-03-01T08:00:00.000Z");
    assert!(headless.meta.file.ends_with("svc.yaml"));
    assert_eq!((entry.allocated.len(), entry.allocated[0].to_string()), (1, "240.240.0.1".to_owned()));
    assert_eq!(other.allocated[0].to_string(), "240.240.0.2");
    assert_eq!((entry.addresses[0].length, entry.external, &*entry.ports[0].protocol), (16, false, "TLS"));
    assert_eq!(entry.written_endpoints, ["1.2.3.4".into()]);
    assert!(!format!("{:?}", read(&[("svc.yaml", YAML)]).unwrap()).contains("c2VjcmV0"));
}

#[test]
fn pods_slices_and_policies_are_read_from_a_list() {
    let list = r#"{"apiVersion":"v1","items":[
      {"kind":"Pod","metadata":{"name":"db-0","namespace":"shop","deletionTimestamp":"2026-03-01T09:00:00Z"},
       "spec":{"containers":[{"name":"db","ports":[{"containerPort":5432}]}],"initContainers":[{"name":"istio-proxy"}]},
       "status":{"phase":"Running","podIP":"10.1.0.4","podIPs":[{"ip":"10.1.0.4"},{"ip":"fd00::4"}],
        "startTime":"2026-03-01T08:00:00Z","containerStatuses":[{"name":"db","ready":true,"restartCount":2}]}},
      {"kind":"Pod","metadata":{"name":"old","namespace":"shop","annotations":{"ambient.istio.io/redirection":"enabled"}},
       "spec":{"containers":[{"name":"x"}]}},
      {"kind":"EndpointSlice","metadata":{"name":"db-x","namespace":"shop","labels":{"kubernetes.io/service-name":"db"}},
       "endpoints":[{"addresses":["10.1.0.4"],"targetRef":{"kind":"Pod","name":"db-0"}},
                    {"addresses":["10.1.0.5"],"conditions":{"ready":false}}],"ports":[{"port":5432}]},
      {"kind":"Endpoints","metadata":{"name":"web","namespace":"shop"},"subsets":[{"addresses":[{"ip":"10.1.0.6"}],
        "notReadyAddresses":[{"ip":"10.1.0.7","targetRef":{"kind":"Pod","name":"web-1"}}],"ports":[{"port":80}]}]},
      {"kind":"PeerAuthentication","metadata":{"name":"default","namespace":"shop"},"spec":{"mtls":{"mode":"STRICT"},
        "selector":{"matchLabels":{"app":"db"}},"portLevelMtls":{"5432":{"mode":"DISABLE"},"80":{"mode":"UNSET"}}}},
      {"kind":"Sidecar","metadata":{"name":"s","namespace":"shop"},"spec":{"egress":[{"hosts":["./*","istio-system/*"],"port":{"number":9}}],
        "outboundTrafficPolicy":{"mode":"REGISTRY_ONLY"},"ingress":[{"port":{"number":80}}]}},
      {"kind":"DestinationRule","metadata":{"name":"d","namespace":"shop"},"spec":{"host":"db","subsets":[{"name":"v1"}],
        "trafficPolicy":{"tls":{"mode":"ISTIO_MUTUAL"}},"exportTo":["."]}},
      {"kind":"AuthorizationPolicy","metadata":{"name":"none","namespace":"shop"},"spec":{}},
      {"kind":"AuthorizationPolicy","metadata":{"name":"some","namespace":"shop"},"spec":{"action":"DENY","rules":[{},{}]}},
      {"kind":"Namespace","metadata":{"name":"shop","labels":{"istio-injection":"enabled"}}},
      {"kind":"VirtualService","metadata":{"name":"v","namespace":"shop"},"spec":{}},
      {"kind":"Deployment","metadata":{"name":"x"}},{"kind":"Deployment","metadata":{"name":"y"}}],"kind":"List"}"#;
    let mesh = read(&[("all.json", list)]).unwrap();
    let found = &mesh.objects;
    let [db, old] = &found.pods[..] else { panic!() };
    assert_eq!((db.meshed, old.meshed, db.ready, db.restarts), (Some(true), Some(true), Some(true), 2));
    assert_eq!((db.addresses.len(), &db.ports[..], db.deleted.is_some()), (2, &[5432][..], true));
    let [db, web] = &found.endpoints[..] else { panic!() };
    assert_eq!(
        db.addresses.iter().map(|(_, ready, pod)| (*ready, &**pod)).collect::<Vec<_>>(),
        [(true, "db-0"), (false, "")]
    );
    assert_eq!((web.addresses.len(), &*web.service, &web.ports[..]), (2, "web", &[80][..]));
    let strict = &found.peer_authentications[0];
    assert_eq!((&*strict.mode, &*strict.ports[&5432], &*strict.ports[&80]), ("STRICT", "DISABLE", ""));
    let sidecar = &found.sidecars[0];
    assert!(
        sidecar.has_ingress
            && sidecar.binds_egress
            && sidecar.egress_hosts.len() == 2
            && &*sidecar.outbound_policy == "REGISTRY_ONLY"
    );
    let rule = &found.destination_rules[0];
    assert_eq!((&*rule.host, &*rule.tls_mode, rule.subsets.len()), ("db", "ISTIO_MUTUAL", 1));
    let policies: Vec<_> = found.authorization_policies.iter().map(|policy| (&*policy.action, policy.rules)).collect();
    assert_eq!(policies, [("ALLOW", 0), ("DENY", 2)]);
    assert_eq!((found.namespaces.len(), found.others.len()), (1, 1));
    assert_eq!(&*mesh.left_out[0].why, "objects of the kind Deployment are not used; 1 more like it");
    assert_eq!(&*mesh.left_out[0].place, "items[11]");
}

#[test]
fn lists_may_say_the_kind_of_their_items_behind_them() {
    let list = r#"{"items":[{"metadata":{"name":"db","namespace":"shop"},"spec":{"clusterIP":"10.96.0.1"}}],"kind":"ServiceList"}"#;
    assert_eq!(objects(&[("x", list)]).services[0].addresses[0].length, 32);
    let lines = "{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\"}}\n{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"b\"}}\n";
    assert_eq!(objects(&[("x", lines)]).namespaces.len(), 2);
}

const REGISTRY: &str = r#"[{"Attributes":{"ServiceRegistry":"Kubernetes","Name":"db","Namespace":"shop","ExportTo":{".":{}},
    "LabelSelectors":{"app":"db"}},"ports":[{"name":"tcp","port":5432,"protocol":"TCP"}],
    "creationTime":"2026-02-01T08:00:00Z","hostname":"db.shop.svc.cluster.local",
    "clusterVIPs":{"Addresses":{"c1":["10.96.0.1"]}},"defaultAddress":"10.96.0.1","Resolution":0,"MeshExternal":false},
    {"Attributes":{"ServiceRegistry":"External","Name":"a.example.com","Namespace":"shop","ExportTo":null},"ports":[],
    "hostname":"a.example.com","clusterVIPs":{"Addresses":null},"defaultAddress":"0.0.0.0",
    "autoAllocatedIPv4Address":"240.240.0.1","autoAllocatedIPv6Address":"2001:2::f0f0:1","Resolution":1,"MeshExternal":true}]"#;

#[test]
fn the_registry_is_read_and_gives_way_to_objects() {
    let found = objects(&[("registryz", REGISTRY)]);
    let [db, entry] = &found.services[..] else { panic!() };
    assert_eq!((&*db.meta.kind, db.addresses.len(), db.meta.created.is_some()), ("Service", 1, true));
    assert_eq!((&*entry.meta.kind, entry.addresses.len(), entry.allocated.len()), ("ServiceEntry", 0, 2));
    assert!(entry.external && entry.resolution == Resolution::Dns);
    let found = objects(&[("registryz", REGISTRY), ("svc.yaml", YAML)]);
    assert_eq!(found.services.len(), 4);
    let db = found.services.iter().find(|service| &*service.meta.name == "db").unwrap();
    assert!(db.headless, "what the object says counts");
}

#[test]
fn both_generations_of_ztunnel_say_who_is_meshed() {
    let older = r#"{"workloads":{"n/10.1.0.4":{"workloadIps":["10.1.0.4"],"waypoint":{"destination":"/10.96.0.9","port":15008},
        "protocol":"HBONE","uid":"c//Pod/shop/db-0","name":"db-0","namespace":"shop","status":"Healthy"}},
        "services":{"/10.96.0.1":{"name":"db","namespace":"shop","hostname":"db.shop.svc.cluster.local","vips":["/10.96.0.1"],
        "ports":{"5432":5433},"endpoints":{"x":{"workloadUid":"c//Pod/shop/db-0","address":"/10.1.0.4","port":{}}}}},
        "policies":[{"action":"Deny","name":"p","namespace":"shop","rules":[[]],"scope":"Namespace"}],
        "certificates":[{"pem":"SECRET"}]}"#;
    let newer = r#"{"config":{},"certificates":[],"policies":[],"version":{},"workloadState":{},
        "services":[{"name":"db","namespace":"shop","hostname":"db.shop.svc.cluster.local","vips":["n/10.96.0.1"],
        "ports":{"5432":5433},"endpoints":{"c//Pod/shop/db-0":{"workloadUid":"c//Pod/shop/db-0","port":{},"status":"Healthy"}},
        "waypoint":{"destination":"shop/wp.shop.svc.cluster.local"}}],
        "workloads":[{"workloadIps":["10.1.0.4"],"protocol":"HBONE","uid":"c//Pod/shop/db-0","name":"db-0","namespace":"shop",
        "status":"Unhealthy"},{"workloadIps":["10.1.0.5"],"protocol":"TCP","uid":"c//Pod/shop/x","name":"x","namespace":"shop"}]}"#;
    let found = objects(&[("zt", older)]);
    assert_eq!(
        (found.pods[0].meshed, found.pods[0].ready, &*found.pods[0].waypoint),
        (Some(true), Some(true), "10.96.0.9")
    );
    assert_eq!((&*found.services[0].ports[0].target, found.services[0].addresses.len()), ("5433", 1));
    assert_eq!(&*found.authorization_policies[0].action, "DENY");
    assert_eq!(found.endpoints[0].addresses, [("10.1.0.4".parse().unwrap(), true, "db-0".into())]);
    let found = objects(&[("zt", newer)]);
    assert_eq!(found.pods.iter().map(|pod| pod.meshed).collect::<Vec<_>>(), [Some(true), Some(false)]);
    assert_eq!(found.pods[0].ready, Some(false));
    assert_eq!(&*found.services[0].waypoint, "shop/wp.shop.svc.cluster.local");
    assert_eq!(found.endpoints[0].addresses.len(), 1);
    let pod = r#"{"kind":"Pod","metadata":{"name":"db-0","namespace":"shop"},"status":{"podIP":"10.1.0.4"}}"#;
    let found = objects(&[("zt", newer), ("pod", pod)]);
    assert_eq!((found.pods.len(), found.pods[0].meshed, !found.pods[0].meta.file.is_empty()), (2, Some(true), true));
}

#[test]
fn the_meshs_policy_is_in_a_config_map_or_in_istiods_answer() {
    let map = |mesh: &str| {
        format!("kind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |-\n    {mesh}\n")
    };
    assert_eq!(
        &*objects(&[("x", &map("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"))]).outbound_policy,
        "REGISTRY_ONLY"
    );
    assert_eq!(&*objects(&[("x", &map("trustDomain: a"))]).outbound_policy, "ALLOW_ANY");
    assert_eq!(&*objects(&[("x", "{\"defaultConfig\":{},\"outboundTrafficPolicy\":{}}")]).outbound_policy, "ALLOW_ANY");
    let mesh = read(&[("x", &map("a: [")), ("y", &map("trustDomain: a"))]).unwrap();
    assert!(mesh.left_out[0].wrong && &*mesh.left_out[0].place == "data.mesh", "{:?}", mesh.left_out);
    let both =
        read(&[("x", &map("outboundTrafficPolicy: {mode: REGISTRY_ONLY}")), ("y", &map("trustDomain: a"))]).unwrap();
    assert_eq!((&*both.objects.outbound_policy, both.left_out.len()), ("", 2));
}

#[test]
fn of_an_object_the_newest_state_counts_and_pods_keep_their_addresses() {
    let service = |version: u32, ip: &str| {
        format!(
            r#"{{"kind":"Service","metadata":{{"name":"db","namespace":"shop","resourceVersion":"{version}"}},"spec":{{"clusterIP":"{ip}"}}}}"#
        )
    };
    let (old, new) = (service(5, "10.96.0.1"), service(10, "10.96.0.2"));
    for files in [[("a", &*old), ("b", &*new)], [("a", &*new), ("b", &*old)]] {
        let mesh = read(&files).unwrap();
        assert_eq!(mesh.objects.services.len(), 1);
        assert_eq!(mesh.objects.services[0].addresses[0].address.to_string(), "10.96.0.2");
        assert_eq!(&*mesh.left_out[0].why, "older states of objects that another file has newer: 1");
    }
    let same = read(&[("a", &old), ("b", &old)]).unwrap();
    assert!(same.objects.services.len() == 1 && same.left_out.is_empty());
    let pod = |ip: &str| {
        format!(r#"{{"kind":"Pod","metadata":{{"name":"db-0","namespace":"shop"}},"status":{{"podIP":"{ip}"}}}}"#)
    };
    assert_eq!(objects(&[("a", &pod("10.0.0.1")), ("b", &pod("10.0.0.2"))]).pods.len(), 2);
}
