//! Where a proxy sends a connection, and why: Envoy's decisions, made again from its configuration.
//!
//! A [`Question`] is a connection as far as it is known. A [`Router`] is a proxy's configuration, indexed; it takes the
//! decisions one by one, each in a file of its own: `addresses` (which listener), `seen` (what its inspectors find),
//! `chains` (which filter chain), `http` (which route), `upstream` (which endpoints, which TLS). What is not known is
//! tried in every way that makes a difference, so an [`Answer`] is a set; if all of it ends in one cluster that is
//! certain. [`Replay`] keeps answers for whole logs. A [`Walk`] is the same way with everything that lost and why, for
//! people; [`table`] is all of a proxy's addresses at once, [`compare`] two states of a mesh.

mod addresses;
mod answer;
mod behind;
mod chains;
mod compare;
mod endpoints;
mod group;
mod http;
mod lost;
mod question;
mod ranges;
mod router;
mod seen;
mod table;
#[cfg(test)]
mod tests;
mod upstream;
mod walk;
mod words;

pub use addresses::{How, Landing};
pub use answer::{Answer, End, Open, Outcome};
pub use behind::{Behind, Known, Owner, pod};
pub use chains::{CRITERIA, ChainAt, Criterion};
pub use compare::{Change, compare};
pub use endpoints::{Endpoints, endpoints, every as every_endpoint};
pub use group::{Group, group};
pub use lost::Lost;
pub use question::{Bytes, MESH_HTTP, MESH_TCP, Question, Request, Sni, Version};
pub use router::{Replay, Router, chain_of};
pub use table::{Leads, Row, catching, table};
pub use upstream::{Fate, Tls};
pub use walk::{Branch, Goes, Step, Target, Tried, Walk};
