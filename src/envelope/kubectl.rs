//! `kubectl logs`: `[pod/NAME/CONTAINER]` with `--prefix`, a time with `--timestamps`, or both. stern's `--output raw
//! -t` and Loki's `--no-labels` print the time alone too. Source: kubectl `pkg/cmd/logs/logs.go`.

use nom::bytes::complete::{tag, take_until1, take_while1};
use nom::character::complete::char;
use nom::combinator::all_consuming;
use nom::sequence::{delimited, preceded, separated_pair};
use nom::{AsChar, IResult, Parser};

use super::stern::{is_short_day, is_short_time};
use super::{Peeled, Words, is_time};

/// Takes the bracketed word, a time, or the one and then the other.
pub(super) fn read<'a>(words: Words<'_, 'a>) -> Option<Peeled<'a>> {
    let (pod, time) = match words {
        [time] if is_time(time) => (None, Some(*time)),
        [day, time] if is_short_day(day) && is_short_time(time) => (None, None),
        [word] => (Some(names(word)?), None),
        [word, time] if is_time(time) => (Some(names(word)?), Some(*time)),
        _ => return None,
    };
    let (pod, container) = pod.unzip();
    Some(Peeled { pod, container, time, ..Peeled::new("kubectl") })
}

/// Pod and container in `[pod/NAME/CONTAINER]`.
fn names(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let name = preceded(tag(&b"pod/"[..]), take_until1(&b"/"[..]));
    let container = take_while1(|byte: u8| byte.is_alphanum() || b"-.".contains(&byte));
    let mut whole = all_consuming(delimited(char('['), separated_pair(name, char('/'), container), char(']')));
    let parsed: IResult<&[u8], (&[u8], &[u8])> = whole.parse(word);
    parsed.ok().map(|(_, names)| names)
}
