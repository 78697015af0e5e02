//! `aws logs tail`: `TIME STREAM LINE`; CloudWatch's Container Insights names its streams after the node's files,
//! `...containers.POD_NAMESPACE_CONTAINER-ID.log`. Source: aws-cli `awscli/customizations/logs/tail.py`.

use super::{Peeled, Words, is_time};
use crate::source::place::container_file;

/// Takes a time and a stream.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    let [time, stream] = words else { return None };
    // A word of prose has none of these.
    let looks = stream.iter().any(|byte| b"/_-".contains(byte) || byte.is_ascii_digit()) && !stream.contains(&b'"');
    if !is_time(time) || !looks {
        return None;
    }
    let file = memchr::memmem::rfind(stream, b"containers.").map(|at| &stream[at + "containers.".len()..]);
    let [pod, namespace, container] = file.and_then(container_file).map_or([None; 3], |names| names.map(Some));
    Some(Peeled { namespace, pod, container, time: Some(time), ..Peeled::new("cloudwatch") })
}
