//! Docker Compose: `SERVICE_1  | LINE`, as wide as the longest name. Source: docker/compose `cmd/formatter/logs.go`.

use super::{Peeled, Words, is_time};

/// Takes a name and the bar; a time may follow (`--timestamps`). The container is the nearest there is to a pod.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    let (name, time) = match words {
        [name, b"|"] => (name, None),
        [name, b"|", time] if is_time(time) => (name, Some(*time)),
        _ => return None,
    };
    let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    is_name.then_some(Peeled { pod: Some(name), time, ..Peeled::new("compose") })
}
