//! Loki's `logcli query`: `TIME {label="value", ...} LINE`. Source: grafana/loki `pkg/logcli/output/default.go`.

use super::{Peeled, Words, is_time};

/// Takes a time and the labels, which are one word.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    let [time, labels] = words else { return None };
    let labels = labels.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let label = |name: &[u8]| label(labels, name);
    is_time(time).then(|| Peeled {
        namespace: label(b"namespace"),
        pod: label(b"pod").or_else(|| label(b"pod_name")),
        container: label(b"container").or_else(|| label(b"container_name")),
        node: label(b"node_name").or_else(|| label(b"host")),
        time: Some(time),
        ..Peeled::new("logcli")
    })
}

/// The value of `name="value"`.
fn label<'a>(labels: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let pattern = [name, b"=\""].concat();
    let at = memchr::memmem::find_iter(labels, &pattern)
        .find(|at| at.checked_sub(1).is_none_or(|before| b" ,".contains(&labels[before])))?;
    let value = &labels[at + pattern.len()..];
    Some(&value[..memchr::memchr(b'"', value)?]).filter(|value| !value.is_empty())
}
