//! kubetail: `[POD]`, `[POD CONTAINER]`, with `-p` a number before the pod: `[1:POD]`. Source: johanhaleby/kubetail.

use super::{Peeled, Words, is_name};

/// Takes one or two words in brackets.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    let (pod, container) = match words {
        [only] => (only.strip_prefix(b"[")?.strip_suffix(b"]")?, None),
        [pod, container] => (pod.strip_prefix(b"[")?, Some(container.strip_suffix(b"]")?)),
        _ => return None,
    };
    let number = pod.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let pod = pod[number..].strip_prefix(b":").unwrap_or(pod);
    (is_name(pod) && container.is_none_or(is_name)).then_some(Peeled {
        pod: Some(pod),
        container,
        ..Peeled::new("kubetail")
    })
}
