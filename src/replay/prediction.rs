//! `Prediction`: what configuration says of one connection, in the words of outputs.

use serde::Serialize;

use super::{Replayed, Verdict};
use crate::field::value::Micros;

/// What the configuration of a proxy says of a connection that it logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// Where the configuration sends it: a cluster, or the word of another end (`no-chain`), several joined by commas.
    /// None if it could not be asked.
    pub predicted_cluster: Option<String>,
    /// `agrees`: it went there, whatever the client sent; `possible`: that is one of the ways it may go; `differs`: it
    /// went elsewhere; `not-covered`: nothing is predicted.
    pub prediction: &'static str,
    /// Why nothing is predicted.
    pub prediction_why: Option<&'static str>,
    /// When the dump that says so was taken; none if it does not tell.
    pub prediction_taken: Option<String>,
}

impl Replayed<'_> {
    /// What the configuration says of connections of this way.
    pub fn prediction(&self, number: u32) -> Option<Prediction> {
        let asked = self.way(number)?;
        let (prediction, why) = match &asked.verdict {
            Verdict::Explained => ("agrees", None),
            Verdict::Possible => ("possible", None),
            Verdict::Differs(_) => ("differs", None),
            Verdict::Open => ("not-covered", Some("leads-on-unfollowed")),
            Verdict::NotAsked(why) => ("not-covered", Some(why.name())),
        };
        let predicted = match &asked.verdict {
            Verdict::Differs(ends) => Some(ends.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
            _ => asked.end.as_deref().map(str::to_owned),
        };
        let taken = asked.dump.and_then(|dump| self.mesh.proxies[dump].taken);
        Some(Prediction {
            predicted_cluster: predicted,
            prediction,
            prediction_why: why,
            prediction_taken: taken.and_then(Micros::shown),
        })
    }
}
