//! The container runtime's files: `TIME stdout|stderr F|P[:TAG...] MESSAGE`; `P` is a partial record.
//! Source: Kubernetes' CRI logging, kubelet `logs` reader.

use super::{Found, Words, is_time};

/// Takes a time, a stream and a tag.
pub(super) fn read(words: Words<'_, '_>) -> Option<Found> {
    match words {
        [time, b"stdout" | b"stderr", tag] if is_time(time) => {
            let partial = match tag.split(|byte| *byte == b':').next() {
                Some(b"F") => false,
                Some(b"P") => true,
                _ => return None,
            };
            Some(Found { partial, ..Found::new("cri") })
        }
        _ => None,
    }
}
