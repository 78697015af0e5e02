//! The one integration binary; each file is a theme.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "tests look at the clock")]

mod archives;
mod cli;
mod docs;
mod envelopes;
mod explain;
mod expect;
#[cfg(feature = "export")]
mod export;
mod formats;
mod layers;
mod mesh;
mod mesh_data;
mod proof;
mod lint;
mod merge;
mod properties;
mod published;
mod redact;
mod registry;
mod route;
mod samples;
mod tool;
mod truth;
