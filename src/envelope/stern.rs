//! stern's default layouts: `POD CONTAINER`, with `--all-namespaces` `NAMESPACE POD CONTAINER`, with `-t` a time
//! behind them, `--timestamps=short` as `01-02 15:04:05`. Source: stern `cmd/cmd.go`.

use super::{Peeled, Words, is_name, is_pod, is_proxy, is_time};

/// Takes two or three names, a time may follow. One of the names must look like what it is: a sentence of small
/// letters in front of a quoted line is no prefix.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    let (names, time) = match words {
        [names @ .., day, time] if is_short_day(day) && is_short_time(time) => (names, None),
        [names @ .., b"[missing", b"timestamp]"] => (names, None),
        [names @ .., last] if is_time(last) => (names, Some(*last)),
        names => (names, None),
    };
    let (namespace, pod, container) = match names {
        [pod, container] => (None, pod, container),
        [namespace, pod, container] => (Some(*namespace), pod, container),
        _ => return None,
    };
    let fits = names.iter().all(|word| is_name(word)) && (is_proxy(container) || is_pod(pod));
    fits.then_some(Peeled { namespace, pod: Some(pod), container: Some(container), time, ..Peeled::new("stern") })
}

/// `01-02`
pub(super) fn is_short_day(word: &[u8]) -> bool {
    is_like(word, b"00-00")
}

/// `15:04:05`
pub(super) fn is_short_time(word: &[u8]) -> bool {
    is_like(word, b"00:00:00")
}

/// Whether a word has digits where the layout has zeros, and the rest as it is.
fn is_like(word: &[u8], layout: &[u8]) -> bool {
    let fits = |(byte, like): (&u8, &u8)| if *like == b'0' { byte.is_ascii_digit() } else { byte == like };
    word.len() == layout.len() && word.iter().zip(layout).all(fits)
}
