//! kail: `NAMESPACE/POD[CONTAINER]: LINE`. Source: boz/kail `writer.go`.

use nom::bytes::complete::{tag, take_until1};
use nom::combinator::all_consuming;
use nom::sequence::terminated;
use nom::{IResult, Parser};

use super::{Peeled, Words, is_name};

/// Takes the one word.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    let [word] = words else { return None };
    let (_, [namespace, pod, container]) = names(word).ok()?;
    [namespace, pod, container].iter().all(|name| is_name(name)).then_some(Peeled {
        namespace: Some(namespace),
        pod: Some(pod),
        container: Some(container),
        ..Peeled::new("kail")
    })
}

/// Namespace, pod and container in the word.
fn names(word: &[u8]) -> IResult<&[u8], [&[u8]; 3]> {
    let part = |end: &'static [u8]| terminated(take_until1(end), tag(end));
    all_consuming((part(b"/"), part(b"["), part(b"]:")))
        .map(|(first, second, third)| [first, second, third])
        .parse(word)
}
