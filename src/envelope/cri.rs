//! The container runtime's files: `TIME stdout|stderr F|P[:TAG...] MESSAGE`; `P` is a partial record.
//! Source: Kubernetes' CRI logging, kubelet `logs` reader.

use super::{Peeled, Words, is_time};

/// Takes a time, a stream and a tag. Older kubelets write a second time where they joined partial records.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    match words {
        [time, b"stdout" | b"stderr", tag] if is_time(time) => {
            let partial = match tag.split(|byte| *byte == b':').next() {
                Some(b"F") => false,
                Some(b"P") => true,
                _ => return None,
            };
            Some(Peeled { time: Some(time), partial, ..Peeled::new("cri") })
        }
        _ => None,
    }
}
