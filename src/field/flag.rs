//! `Flags`: Envoy's response flags as a set.
//!
//! The log prints a comma list whose order depends on the release (fixed up to Envoy 1.29, order of
//! insertion since), so only the set means something. Tokens that the table does not know are kept
//! by the caller as text. Source: Envoy's access log usage page and `stream_info/utility.cc`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a flag says about where the fault lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No connection to the upstream came about.
    Connect,
    /// There was no endpoint, route or cluster to connect to.
    NoUpstream,
    /// Broke after it was connected.
    Broken,
    /// Too slow.
    Timeout,
    /// A limit, a circuit breaker or an overload.
    Limit,
    /// The client's doing.
    Client,
    /// Refused by policy.
    Policy,
    /// On purpose, or no failure at all.
    Deliberate,
}

impl Class {
    /// What it means, one phrase.
    pub const fn meaning(self) -> &'static str {
        match self {
            Class::Connect => "no connection to the upstream came about",
            Class::NoUpstream => "there was nothing to connect to: no endpoint, route or cluster",
            Class::Broken => "broke after it was connected",
            Class::Timeout => "too slow",
            Class::Limit => "a limit, a circuit breaker or an overload",
            Class::Client => "the client's doing",
            Class::Policy => "refused by policy",
            Class::Deliberate => "on purpose, or no failure at all",
        }
    }
}

/// On which traffic a flag can be. Source: Envoy's access log usage page; its code for what extensions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// TCP and HTTP.
    Any,
    /// HTTP.
    Http,
    /// HTTP by the documentation, and TCP where a network filter sets it.
    Mostly,
}

impl Scope {
    /// What it means, one phrase.
    pub const fn meaning(self) -> &'static str {
        match self {
            Scope::Any => "TCP and HTTP",
            Scope::Http => "HTTP",
            Scope::Mostly => "HTTP; TCP where a network filter sets it",
        }
    }
}

/// One response flag.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// As `%RESPONSE_FLAGS%` prints it.
    pub short: &'static str,
    /// As `%RESPONSE_FLAGS_LONG%` prints it.
    pub long: &'static str,
    /// Where the fault lies.
    pub class: Class,
    /// On which traffic it can be.
    pub scope: Scope,
    /// The HTTP status that goes with it; empty if there is no usual one.
    pub status: &'static str,
    /// The Envoy release that brought it; empty if it was there before 1.8.
    pub since: &'static str,
    /// What it means, one phrase.
    pub meaning: &'static str,
}

macro_rules! flags {
    ($($short:literal, $long:literal, $class:ident, $scope:ident, $status:literal, $since:literal, $meaning:literal;)+) => {
        /// Every flag, in bit order.
        pub const TABLE: &[Flag] = &[$(Flag {
            short: $short,
            long: $long,
            class: Class::$class,
            scope: Scope::$scope,
            status: $status,
            since: $since,
            meaning: $meaning,
        }),+];
    };
}

flags! {
    "UH", "NoHealthyUpstream", NoUpstream, Any, "503", "", "no healthy host in the cluster";
    "UF", "UpstreamConnectionFailure", Connect, Any, "503", "", "the upstream could not be connected";
    "UO", "UpstreamOverflow", Limit, Any, "503", "", "a circuit breaker is open";
    "NR", "NoRouteFound", NoUpstream, Any, "404", "", "no route, or no filter chain matches the connection";
    "URX", "UpstreamRetryLimitExceeded", Connect, Any, "", "1.10", "the limit of connect attempts (TCP) or retries (HTTP) is reached";
    "NC", "NoClusterFound", NoUpstream, Any, "503", "1.18", "the route names a cluster that the proxy does not know";
    "DT", "DurationTimeout", Timeout, Any, "", "1.16", "the longest allowed duration is over";
    "DC", "DownstreamConnectionTermination", Client, Http, "0, or the status that was sent already", "1.9", "the client went away";
    "LH", "FailedLocalHealthCheck", Broken, Http, "503", "", "the local service failed its health check";
    "UT", "UpstreamRequestTimeout", Timeout, Http, "504", "", "the upstream did not answer in time";
    "LR", "LocalReset", Broken, Http, "503", "", "this proxy reset the connection";
    "UR", "UpstreamRemoteReset", Broken, Http, "503", "", "the upstream reset the stream";
    "UC", "UpstreamConnectionTermination", Broken, Http, "503", "", "the upstream closed the connection";
    "DI", "DelayInjected", Deliberate, Http, "", "", "a delay was injected";
    "FI", "FaultInjected", Deliberate, Http, "any", "", "a fault was injected";
    "RL", "RateLimited", Limit, Mostly, "429", "", "rate limited";
    "UAEX", "UnauthorizedExternalService", Policy, Mostly, "403", "", "an authorization service or policy refused";
    "RLSE", "RateLimitServiceError", Limit, Http, "500", "1.8", "the rate limit service failed";
    "IH", "InvalidEnvoyRequestHeaders", Client, Http, "400", "1.11", "a request header failed the strict check";
    "SI", "StreamIdleTimeout", Timeout, Http, "408 or 504", "1.10", "the stream was idle for too long";
    "DPE", "DownstreamProtocolError", Client, Http, "400", "1.12", "the client broke the HTTP protocol";
    "UPE", "UpstreamProtocolError", Broken, Http, "502", "1.18", "the upstream broke the HTTP protocol";
    "UMSDR", "UpstreamMaxStreamDurationReached", Timeout, Http, "504", "1.15", "the longest stream duration is over";
    "RFCF", "ResponseFromCacheFilter", Deliberate, Http, "", "1.15", "answered from the cache";
    "NFCF", "NoFilterConfigFound", NoUpstream, Http, "500", "1.16", "a filter waits for its configuration";
    "OM", "OverloadManagerTerminated", Limit, Mostly, "503", "1.19", "the overload manager closed it";
    "DF", "DnsResolutionFailed", NoUpstream, Mostly, "503", "1.22", "the name of the upstream did not resolve";
    "DO", "DropOverload", Limit, Http, "503", "1.29", "dropped by the cluster's overload policy";
    "DR", "DownstreamRemoteReset", Client, Http, "", "1.30", "the client reset the stream";
    "UDO", "UnconditionalDropOverload", Limit, Http, "503", "1.34", "dropped by the cluster's overload policy, all of it";
}

/// A set of response flags. `UNKNOWN` stands for any number of tokens outside of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flags(u64);

impl Flags {
    /// No flag at all.
    pub const NONE: Flags = Flags(0);
    /// The mark of tokens that the table does not know.
    pub const UNKNOWN: Flags = Flags(1 << 63);

    /// Reads `UF,URX`, long names too. `-`, an empty text and blanks give the empty set.
    #[inline]
    pub fn read(text: &[u8]) -> Flags {
        if matches!(text, b"-" | b"") { Flags::NONE } else { Flags::tokens(text) }
    }

    fn tokens(text: &[u8]) -> Flags {
        let mut set = 0;
        for token in text.split(|byte| *byte == b',') {
            set |= Self::one(token.trim_ascii()).0;
        }
        Flags(set)
    }

    fn one(token: &[u8]) -> Flags {
        if token.is_empty() || token == b"-" {
            return Flags::NONE;
        }
        let known = TABLE.iter().position(|flag| flag.short.as_bytes() == token || flag.long.as_bytes() == token);
        known.map_or(Flags::UNKNOWN, |bit| Flags(1 << bit))
    }

    /// A printed list with short names for the long ones that `RESPONSE_FLAGS_LONG` prints, in its own order; tokens that the
    /// table does not know stay.
    pub fn short(text: &[u8]) -> Vec<u8> {
        let short =
            |token: &[u8]| TABLE.iter().find(|flag| flag.long.as_bytes() == token).map(|flag| flag.short.as_bytes());
        let tokens: Vec<&[u8]> =
            text.split(|byte| *byte == b',').map(|token| short(token.trim_ascii()).unwrap_or(token)).collect();
        tokens.join(&b","[..])
    }

    /// The set of these short names; names outside of the table count as unknown.
    pub fn of(names: &[&str]) -> Flags {
        names.iter().fold(Flags::NONE, |set, name| Flags(set.0 | Self::one(name.as_bytes()).0))
    }

    /// The tokens of a printed list that the table does not know, sorted, joined by commas.
    pub fn unknown_tokens(text: &[u8]) -> Vec<u8> {
        let mut tokens: Vec<&[u8]> = text
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|token| Self::one(token) == Flags::UNKNOWN)
            .collect();
        tokens.sort_unstable();
        tokens.dedup();
        tokens.join(&b","[..])
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one of `other`'s flags is set.
    pub const fn any(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether one of these flags is set, by its short name. Most lines have none at all, so names are seldom looked up.
    pub fn any_of(self, names: &[&str]) -> bool {
        !self.is_empty() && self.any(Flags::of(names))
    }

    /// Whether a flag of this class is set.
    #[inline]
    pub fn has(self, class: Class) -> bool {
        !self.is_empty() && self.rows().any(|flag| flag.class == class)
    }

    /// Whether the flags, if any, say that something failed.
    pub fn is_failure(self) -> bool {
        !self.is_empty() && (self.any(Flags::UNKNOWN) || self.rows().any(|flag| flag.class != Class::Deliberate))
    }

    /// The set as a number.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The short names in table order, for example `["UF", "URX"]`.
    pub fn names(self) -> Vec<&'static str> {
        self.rows().map(|flag| flag.short).collect()
    }

    /// Short name and meaning of each flag that is set.
    pub fn meanings(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.rows().map(|flag| (flag.short, flag.meaning))
    }

    /// The flags that are set, in table order.
    pub fn rows(self) -> impl Iterator<Item = &'static Flag> {
        TABLE.iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, row)| row)
    }
}

/// By their words: the places of bits are this program's own.
impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut names = self.names();
        names.extend(self.any(Flags::UNKNOWN).then_some("?"));
        names.join(",").serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Flags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flags, D::Error> {
        String::deserialize(deserializer).map(|text| Flags::read(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_spelling_do_not_matter() {
        assert_eq!(Flags::read(b"URX,UF"), Flags::read(b"UF,URX"));
        assert_eq!(Flags::read(b"UpstreamConnectionFailure"), Flags::of(&["UF"]));
        assert_eq!(Flags::read(b"-"), Flags::NONE);
    }

    #[test]
    fn unknown_flags_are_kept() {
        let flags = Flags::read(b"UF,ZZ9,AA");
        assert!(flags.any(Flags::UNKNOWN) && flags.any(Flags::of(&["UF"])) && flags.is_failure());
        assert_eq!(Flags::unknown_tokens(b"UF,ZZ9,AA"), b"AA,ZZ9");
    }

    #[test]
    fn long_names_are_shown_as_short_ones() {
        for (text, shown) in [
            ("UpstreamConnectionFailure,UpstreamRetryLimitExceeded", "UF,URX"),
            ("URX,UF", "URX,UF"),
            ("NoRouteFound,Own", "NR,Own"),
            ("-", "-"),
        ] {
            assert_eq!(String::from_utf8_lossy(&Flags::short(text.as_bytes())), shown);
        }
    }

    #[test]
    fn a_set_is_written_by_its_words() {
        for (flags, text) in [
            (Flags::NONE, ""),
            (Flags::of(&["URX", "UF"]), "UF,URX"),
            (Flags::of(&["UH", "Own"]), "UH,?"),
            (Flags::UNKNOWN, "?"),
        ] {
            assert_eq!(serde_json::to_value(flags).unwrap(), text);
            assert_eq!(serde_json::from_value::<Flags>(text.into()).unwrap(), flags);
        }
    }

    #[test]
    fn the_table_is_unique_and_fits_the_set() {
        let mut seen = std::collections::BTreeSet::new();
        for flag in TABLE {
            assert!(seen.insert(flag.short) && seen.insert(flag.long) && !flag.meaning.is_empty());
        }
        assert!(TABLE.len() < 63);
    }
}
