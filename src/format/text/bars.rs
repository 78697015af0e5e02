//! Values that hold bars of their own, in a format that has bars between its columns: `outbound|80||host`, the details
//! and reasons of failures. What they look like tells which bars are theirs.

use memchr::{memchr, memmem};

use super::step::{find, rfind};

/// How cluster names begin that have three bars. Source: Istio `pilot/pkg/model/service.go`.
const CLUSTERS: [&[u8]; 3] = [b"outbound|", b"inbound|", b"inbound-vip|"];
/// The bars of such a name.
const BARS: usize = 3;

/// Where the value at the start of `rest` ends, before `literal`, which begins with a bar.
pub(super) fn end(rest: &[u8], literal: &[u8]) -> Option<usize> {
    let own = held(rest);
    find(&rest[own..], literal).map(|len| own + len)
}

/// Where the literal before the value that ends at `end` begins; the last one was found at `found`, which may be inside of a
/// cluster's name.
pub(super) fn start(line: &[u8], found: usize, end: usize, literal: &[u8]) -> usize {
    let mut at = found;
    for _ in 0..BARS {
        let Some(before) = rfind(&line[..at], literal) else { break };
        at = before;
        let value = &line[at + literal.len()..end];
        if CLUSTERS.iter().any(|start| value.starts_with(start)) && held(value) > 0 {
            return at;
        }
    }
    found
}

/// How much of a text belongs to its first value, whatever bars are in it.
fn held(text: &[u8]) -> usize {
    if CLUSTERS.iter().any(|start| text.starts_with(start)) {
        let third = memchr::memchr_iter(b'|', text).nth(BARS - 1);
        return third.map_or(0, |at| at + 1);
    }
    // `TLS_error:|268435581:SSL_routines:...:TLS_error_end`
    if text.starts_with(b"TLS_error:|") {
        const END: &[u8] = b":TLS_error_end";
        return memmem::find(text, END).map_or(0, |at| at + END.len());
    }
    // `upstream_reset_before_response_started{connection_timeout|...}`
    let word = text.iter().take_while(|byte| byte.is_ascii_lowercase() || **byte == b'_').count();
    if word > 0 && text.get(word) == Some(&b'{') {
        return memchr(b'}', text).map_or(0, |at| at + 1);
    }
    0
}
