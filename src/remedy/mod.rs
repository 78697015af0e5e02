//! `Remedy`: a way out of a cause that configuration made, with the manifest or command that takes it. Never applied: printed.
//!
//! Which ways there are, what each costs and from which release on it works is Istio's; which come first is a matter of
//! how much else they change. Sources: Istio documentation, Traffic Routing, DNS Proxying and Sidecar; Istio
//! `pilot/pkg/features` (ENABLE_EXTERNAL_NAME_ALIAS, PILOT_ENABLE_IP_AUTOALLOCATE); Tetrate, "Understanding Istio and TCP
//! services".

mod catcher;
mod egress;
mod hijack;
mod manifest;
mod port;
mod strict;

use serde::Serialize;

pub use catcher::{called, catcher, release};
pub use egress::{allow_any, registered, shown};
pub use hijack::{ALIAS, Hijack, Victim, hijack};
pub use port::{by_name, listed, members};
pub use strict::{inject, mutual, permissive};

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// What it does, as one phrase.
    pub what: String,
    /// What it costs, or what has to be so for it to help.
    pub cost: String,
    /// A command, or a manifest in YAML. Ends with a line end.
    pub apply: String,
}

impl Remedy {
    fn new(what: impl Into<String>, cost: impl Into<String>, apply: String) -> Remedy {
        Remedy { what: what.into(), cost: cost.into(), apply }
    }
}
