//! Several Sidecars or PeerAuthentications that are for the same pods, of which one counts.

use std::collections::{BTreeMap, BTreeSet};

use super::check;
use super::finding::{Finding, Place, called};
use super::view::Lint;
use crate::claims::list;
use crate::finding::Grade;
use crate::mesh::objects::{Meta, Objects};
use crate::mesh::policy::selects;

check! {
    /// ## What it finds
    /// Two or more Sidecars, or PeerAuthentications, that are for the same pods: several without a selector in one namespace,
    /// or several whose selectors choose one pod.
    ///
    /// ## When it is silent
    /// One without a selector beside those that have one: the nearer one counts, as it should. Selectors that may choose the
    /// same pods and do not.
    ///
    /// ## How sure
    /// Likely: of Sidecars Istio does not say which counts, of PeerAuthentications it is the oldest.
    ///
    /// ## Why it matters
    /// One of the objects does nothing, and which one may change when another is made again.
    ///
    /// ## Example
    /// `default` and `sidecar` in one namespace, both without a workloadSelector, each with other egress hosts.
    ///
    /// ## What to do
    /// Put them together, or let each choose its own pods.
    ///
    /// ## Source
    /// Istio documentation, Sidecar and PeerAuthentication; `istioctl analyze` IST0110, IST0111.
    "L313", "several-for-one", Warning, "several Sidecars or PeerAuthentications are for the same pods, and one counts"
}

type Selector = BTreeMap<Box<str>, Box<str>>;

pub(super) fn judge(lint: &Lint<'_>, found: &mut Vec<Finding>) {
    let objects = &lint.mesh.objects;
    let sidecars: Vec<_> = objects.sidecars.iter().map(|one| (&one.meta, &one.selector)).collect();
    let policies: Vec<_> = objects.peer_authentications.iter().map(|one| (&one.meta, &one.selector)).collect();
    told(objects, &sidecars, "Istio does not say which of them counts", found);
    told(objects, &policies, "only the oldest of them counts", found);
}

fn told(objects: &Objects, all: &[(&Meta, &Selector)], which: &str, found: &mut Vec<Finding>) {
    // By the places of the objects in the list, who is meant.
    let mut groups: BTreeMap<Vec<usize>, Vec<String>> = BTreeMap::new();
    let mut add = |group: Vec<usize>, whom: String| {
        if group.len() > 1 {
            groups.entry(group).or_default().push(whom);
        }
    };
    let namespaces: BTreeSet<&str> = all.iter().map(|(meta, _)| &*meta.namespace).collect();
    for namespace in namespaces {
        let of = |fits: &dyn Fn(&Selector) -> bool| -> Vec<usize> {
            let own =
                |(_, (meta, selector)): &(usize, &(&Meta, &Selector))| *meta.namespace == *namespace && fits(selector);
            all.iter().enumerate().filter(own).map(|(place, _)| place).collect()
        };
        add(of(&|selector| selector.is_empty()), format!("all pods of namespace {namespace}"));
        for pod in objects.pods.iter().filter(|pod| *pod.meta.namespace == *namespace) {
            let chosen = of(&|selector| !selector.is_empty() && selects(selector, &pod.meta.labels));
            add(chosen, format!("pod {}", pod.meta.name));
        }
    }
    for (places, whom) in groups {
        let group: Vec<&Meta> = places.into_iter().map(|place| all[place].0).collect();
        let mut finding = Finding::new(&META, Grade::Likely, called(group[0]));
        let names = list(group.iter().map(|meta| meta.name.to_string()));
        finding.why = format!("{names} are for {}: {which}", list(whom));
        finding.fix = "put them together, or let each choose its own pods by labels".into();
        finding.places = group.into_iter().map(|meta| Place::of_object(meta, "")).collect();
        found.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::mesh::Mesh;
    use crate::mesh::objects::{PeerAuthentication, Pod, Sidecar};

    fn meta(kind: &str, name: &str, app: &str) -> Meta {
        Meta { kind: kind.into(), namespace: "shop".into(), name: name.into(), labels: labels(app), ..Meta::default() }
    }

    fn labels(app: &str) -> Selector {
        if app.is_empty() { Selector::new() } else { [("app".into(), app.into())].into() }
    }

    fn found(sidecars: &[(&str, &str)], policies: &[(&str, &str)]) -> Vec<Finding> {
        let sidecar = |(name, app): &(&str, &str)| Sidecar {
            meta: meta("Sidecar", name, ""),
            selector: labels(app),
            ..Sidecar::default()
        };
        let policy = |(name, app): &(&str, &str)| PeerAuthentication {
            meta: meta("PeerAuthentication", name, ""),
            selector: labels(app),
            ..PeerAuthentication::default()
        };
        let pod = |name: &str| Pod { meta: meta("Pod", name, "web"), ..Pod::default() };
        let objects = Objects {
            sidecars: sidecars.iter().map(sidecar).collect(),
            peer_authentications: policies.iter().map(policy).collect(),
            pods: vec![pod("web-0"), pod("web-1")],
            ..Objects::default()
        };
        let report = lint(&Mesh { objects, ..Mesh::default() });
        report.findings.into_iter().filter(|finding| finding.code == META.code).collect()
    }

    #[test]
    fn two_for_the_same_pods_are_one_finding() {
        let wide = found(&[("default", ""), ("narrow", "")], &[]);
        assert_eq!((wide.len(), wide[0].places.len()), (1, 2));
        assert!(wide[0].why.starts_with("default and narrow are for all pods of namespace shop"), "{}", wide[0].why);
        let chosen = found(&[], &[("a", "web"), ("b", "web")]);
        assert_eq!(chosen.len(), 1, "{chosen:?}");
        assert!(chosen[0].why.contains("pod web-0 and pod web-1: only the oldest"), "{}", chosen[0].why);
    }

    #[test]
    fn one_for_all_beside_one_for_some_is_as_it_should_be() {
        assert!(found(&[("default", ""), ("web", "web"), ("db", "db")], &[("default", ""), ("web", "web")]).is_empty());
    }
}
