//! `Place`: what the path of a log file says about its lines: namespace, pod, container.
//!
//! Sources: Kubernetes' kubelet (`/var/log/pods`, `/var/log/containers`), Istio `tools/bug-report/pkg`, openshift/oc
//! `pkg/cli/admin/inspect/pod.go`.

use crate::names;

/// Whose log a file is, as far as its path says; what it does not say is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Container.
    pub container: String,
}

/// The layouts: the last folders of a path and its file, to what they say.
const LAYOUTS: &[Layout] = &[kubelet, runtime, bug_report, must_gather, named];

/// Namespace, pod and container.
type Layout = fn(&[&str]) -> Option<[String; 3]>;

impl Place {
    /// Reads a path, in an archive or not. `/` and `!` divide it.
    pub fn of(path: &str) -> Place {
        let parts: Vec<&str> = path.split(['/', '!']).filter(|part| !part.is_empty()).collect();
        let told = LAYOUTS.iter().find_map(|layout| layout(&parts));
        told.map_or_else(Place::default, |[namespace, pod, container]| Place { namespace, pod, container })
    }
}

/// `.../NAMESPACE_POD_UID/CONTAINER/N.log`, rotated `N.log.20060102-150405`, packed `.gz`.
fn kubelet(parts: &[&str]) -> Option<[String; 3]> {
    let [.., folder, container, file] = parts else { return None };
    let number = file.split('.').next()?;
    let mut names = folder.split('_');
    let (namespace, pod, uid) = (names.next()?, names.next()?, names.next()?);
    let fits = file.contains(".log") && number.bytes().all(|byte| byte.is_ascii_digit()) && uid.len() >= 32;
    (fits && names.next().is_none()).then(|| [namespace, pod, container].map(str::to_owned))
}

/// `POD_NAMESPACE_CONTAINER-ID.log`
fn runtime(parts: &[&str]) -> Option<[String; 3]> {
    let [pod, namespace, container] = container_file(parts.last()?.as_bytes())?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some([text(namespace), text(pod), text(container)])
}

/// Pod, namespace and container in a file's name of `/var/log/containers`: `POD_NAMESPACE_CONTAINER-ID.log`, where the ID
/// has 64 hexadecimal digits.
pub fn container_file(name: &[u8]) -> Option<[&[u8]; 3]> {
    let end = memchr::memmem::find(name, b".log")?;
    let id = end.checked_sub(64).filter(|at| name[*at..end].iter().all(u8::is_ascii_hexdigit))?;
    let mut parts = name[..id].strip_suffix(b"-")?.split(|byte| *byte == b'_');
    let found = [parts.next()?, parts.next()?, parts.next()?];
    (parts.next().is_none() && found.iter().all(|part| !part.is_empty())).then_some(found)
}

/// `.../proxies/NAMESPACE/POD/istio-proxy.log`
fn bug_report(parts: &[&str]) -> Option<[String; 3]> {
    let [.., "proxies", namespace, pod, file] = parts else { return None };
    Some([(*namespace).to_owned(), (*pod).to_owned(), file.split('.').next()?.to_owned()])
}

/// `.../namespaces/NAMESPACE/pods/POD/CONTAINER/CONTAINER/logs/current.log`
fn must_gather(parts: &[&str]) -> Option<[String; 3]> {
    let [.., "namespaces", namespace, "pods", pod, container, _, "logs", _] = parts else { return None };
    Some([*namespace, *pod, *container].map(str::to_owned))
}

/// `POD.log`, as people save them: a name that only a Deployment's pod has.
fn named(parts: &[&str]) -> Option<[String; 3]> {
    let pod = parts.last()?.split('.').next()?;
    names::is_replica(pod.as_bytes()).then(|| [String::new(), pod.to_owned(), String::new()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_whose_log_it_is() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            "/var/log/pods/shop_web-7d4f-x2x9l_b3c1e0de-1111-2222-3333-444455556666/istio-proxy/0.log",
            "node.tar!var/log/pods/shop_web-7d4f-x2x9l_b3c1e0de111122223333444455556666/istio-proxy/1.log.20260301-100000.gz",
            &format!("/var/log/containers/web-7d4f-x2x9l_shop_istio-proxy-{id}.log"),
            "bug-report.tar.gz!bug-report/proxies/shop/web-7d4f-x2x9l/istio-proxy.log",
            "must-gather/quay-io-x/namespaces/shop/pods/web-7d4f-x2x9l/istio-proxy/istio-proxy/logs/current.log",
        ] {
            let place = Place::of(path);
            let told = [&place.namespace[..], &place.pod, &place.container];
            assert_eq!(told, ["shop", "web-7d4f-x2x9l", "istio-proxy"], "{path}");
        }
        let pod = |path: &str| Place::of(path).pod;
        assert_eq!(pod("out/web-7d4f9c8b66-x2x9l.log.gz"), "web-7d4f9c8b66-x2x9l");
        for path in [
            "web.log",
            "part-1.log",
            "logs-20260301-1000.log",
            "/tmp/a_b/c/0.log",
            "x/y_z.log",
            "",
            "-",
            "a_b_c-xyz.log",
        ] {
            assert_eq!(Place::of(path), Place::default(), "{path}");
        }
    }
}
