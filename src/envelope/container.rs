//! One name before the line: a pod's or a proxy container's, as scripts around `kubectl logs` and templates print it,
//! plain, in brackets of their own or with a colon.

use super::{Peeled, Words, is_name, is_pod, is_proxy};

/// Takes the one word.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    let [word] = words else { return None };
    let name = word.strip_suffix(b":").unwrap_or(word);
    if is_proxy(name) {
        return Some(Peeled { container: Some(name), ..Peeled::new("named") });
    }
    // `NAMESPACE/POD`, `POD/CONTAINER`
    let mut parts = name.split(|byte| *byte == b'/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let peeled = match second {
        None if is_pod(first) => Peeled { pod: Some(first), ..Peeled::new("named") },
        Some(second) if is_proxy(second) && is_name(first) => {
            Peeled { pod: Some(first), container: Some(second), ..Peeled::new("named") }
        }
        Some(second) if is_pod(second) && is_name(first) => {
            Peeled { namespace: Some(first), pod: Some(second), ..Peeled::new("named") }
        }
        _ => return None,
    };
    parts.next().is_none().then_some(peeled)
}
