//! syslog and `journalctl`: RFC 3164 `Aug  7 09:34:15 HOST TAG[PID]:`, the same with an RFC 3339 time, RFC 5424
//! `<PRI>1 TIME HOST APP PROCID MSGID -`. Source: the RFCs; systemd `logs-show.c`.

use super::stern::is_short_time;
use super::{Peeled, Words, is_time};

/// Takes a time, a host and a tag.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    let known = |node: &'a [u8], time| Some(Peeled { node: Some(node), time, ..Peeled::new("syslog") });
    match words {
        [month, day, time, host, tag] if is_month(month) && is_number(day) && is_short_time(time) && is_tag(tag) => {
            known(host, None)
        }
        [time, host, tag] if is_time(time) && is_tag(tag) => known(host, Some(*time)),
        [version, time, host, _, _, _, b"-"] if is_version(version) && is_time(time) => known(host, Some(*time)),
        _ => None,
    }
}

/// `Aug`, behind a priority or not.
fn is_month(word: &[u8]) -> bool {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let name = memchr::memchr(b'>', word).filter(|_| word.starts_with(b"<")).map_or(word, |at| &word[at + 1..]);
    MONTHS.contains(&name)
}

fn is_number(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(u8::is_ascii_digit)
}

/// `envoy[123]:`
fn is_tag(word: &[u8]) -> bool {
    word.len() > 1 && word.ends_with(b":")
}

/// `<34>1`
fn is_version(word: &[u8]) -> bool {
    word.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">1")).is_some_and(is_number)
}
