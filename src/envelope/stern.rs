//! stern's default layouts: `POD CONTAINER`, with `--all-namespaces` `NAMESPACE POD CONTAINER`, with `-t` a
//! time behind them. Source: stern `cmd/cmd.go`.

use super::{Found, Words, is_name, is_time};

/// Takes two or three names, a time may follow.
pub(super) fn read(words: Words<'_, '_>) -> Option<Found> {
    let names = match words {
        [names @ .., last] if is_time(last) => names,
        names => names,
    };
    if !names.iter().all(|word| is_name(word)) {
        return None;
    }
    match names.len() {
        2 => Some(Found { pod: Some(0), ..Found::new("stern") }),
        3 => Some(Found { namespace: Some(0), pod: Some(1), ..Found::new("stern") }),
        _ => None,
    }
}
