//! `File`: a grammar file as it is written, and the list of those that are built in.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The built-in formats: adding one is a file and a line. Of JSON formats, the one that stands first wins.
const BUILT_IN: &[(&str, &str)] = &[
    ("istio-1.9", include_str!("../../grammar/formats/istio-1.9.toml")),
    ("istio-1.8", include_str!("../../grammar/formats/istio-1.8.toml")),
    ("istio-1.3", include_str!("../../grammar/formats/istio-1.3.toml")),
    ("istio-1.2", include_str!("../../grammar/formats/istio-1.2.toml")),
    ("istio-1.1", include_str!("../../grammar/formats/istio-1.1.toml")),
    ("istio-1.0-http", include_str!("../../grammar/formats/istio-1.0-http.toml")),
    ("istio-1.0-tcp", include_str!("../../grammar/formats/istio-1.0-tcp.toml")),
    ("maistra-0.7", include_str!("../../grammar/formats/maistra-0.7.toml")),
    ("envoy", include_str!("../../grammar/formats/envoy.toml")),
    ("emissary", include_str!("../../grammar/formats/emissary.toml")),
    ("kuma-tcp", include_str!("../../grammar/formats/kuma-tcp.toml")),
    ("kuma-http", include_str!("../../grammar/formats/kuma-http.toml")),
    ("ztunnel", include_str!("../../grammar/formats/ztunnel.toml")),
    ("envoy-gateway-text", include_str!("../../grammar/formats/envoy-gateway-text.toml")),
    ("istio-json", include_str!("../../grammar/formats/istio-json.toml")),
    ("envoy-gateway-json", include_str!("../../grammar/formats/envoy-gateway-json.toml")),
    ("contour-json", include_str!("../../grammar/formats/contour-json.toml")),
    ("ztunnel-json", include_str!("../../grammar/formats/ztunnel-json.toml")),
    ("json", include_str!("../../grammar/formats/json.toml")),
];

/// A grammar file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name, the file's stem.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Where the format is documented.
    pub source: String,
    /// `text`, `json` or `pairs`.
    pub kind: FileKind,
    /// Text formats: Envoy's format string.
    pub format: Option<String>,
    /// The others: each key with the command that fills it, or with a field's key.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// JSON formats: sets of keys; an object that has all of one set is an access record of this format.
    #[serde(default)]
    pub needed: Vec<Vec<String>>,
    /// Real lines and what they yield.
    #[serde(default)]
    pub sample: Vec<Sample>,
}

/// How the lines of a format are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Columns.
    Text,
    /// One object a line.
    Json,
    /// `key=value`.
    Pairs,
}

/// One sample line of a grammar file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The access line.
    pub line: String,
    /// Values of fields by their key; `-` says that the field is absent.
    pub expect: BTreeMap<String, String>,
}

/// The grammar files that are built in.
pub fn files() -> Result<Vec<File>, toml::de::Error> {
    BUILT_IN.iter().map(|(_, text)| toml::from_str(text)).collect()
}

/// Their names, as the list has them.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}
