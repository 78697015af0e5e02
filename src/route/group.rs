//! Proxies that agree: told once.

use serde::Serialize;

use super::walk::{Branch, Goes, Step, Walk};

/// Proxies that agree: one walk for all of them.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// The proxies' pods.
    pub pods: Vec<String>,
    /// The way through the first of them.
    pub walk: Walk,
}

/// Gathers walks that are the same but for the pod, in the order of the first.
pub fn group(walks: Vec<Walk>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for walk in walks {
        match groups.iter_mut().find(|group| group.walk.says_the_same(&walk)) {
            Some(group) => group.pods.push(walk.pod),
            None => groups.push(Group { pods: vec![walk.pod.clone()], walk }),
        }
    }
    groups
}

impl Walk {
    /// Whether another proxy's walk goes the same way: listener, chain, cluster and TLS. Times, counts and what lost
    /// (which names the pod's own address) may differ.
    fn says_the_same(&self, other: &Walk) -> bool {
        let name = |step: &Option<Step>| step.as_ref().map(|step| (step.name.clone(), step.why.clone()));
        let goes = |goes: &Goes| {
            let target = goes.cluster.as_ref().map(|target| (target.tls.clone(), target.sni.clone()));
            (goes.says.clone(), goes.by.clone(), target)
        };
        let branch = |branch: &Branch| {
            (branch.when.clone(), name(&branch.chain), branch.goes.iter().map(goes).collect::<Vec<_>>())
        };
        let branches = |walk: &Walk| walk.branches.iter().map(branch).collect::<Vec<_>>();
        self.direction == other.direction
            && name(&self.listener) == name(&other.listener)
            && branches(self) == branches(other)
    }
}
