#![doc = include_str!("../ARCHITECTURE.md")]

// The modules in the order of the river: each imports only from those above it.

// vocabulary
pub mod field;
pub mod names;
pub mod endpoint;
pub mod cluster;

// bytes, blocks, lines, records: everything borrows
pub mod source;
pub mod record;
pub mod format;
pub mod envelope;

// values: nothing borrows
pub mod leg;
pub mod other;
pub mod event;
pub mod reject;

// rows: what tables hold, and which are wanted
pub mod table;
pub mod filter;

// the border
pub mod scan;

// meaning
pub mod repeat;
pub mod pair;
pub mod measure;
pub mod spool;
pub mod ledger;
pub mod state;
pub mod topology;
pub mod history;
pub mod mesh;
pub mod route;
pub mod whatif;
pub mod replay;
pub mod remedy;
pub mod finding;
pub mod expect;
pub mod claims;
pub mod rules;
pub mod learn;
pub mod lint;
pub mod report;
pub mod redact;
pub mod explain;

// shell
pub mod sinks;
#[cfg(feature = "export")]
pub mod export;
pub mod run;
pub mod cli;
