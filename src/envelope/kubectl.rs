//! `kubectl logs`: `[pod/NAME/CONTAINER]` with `--prefix`, an RFC 3339 time with `--timestamps`, or both.
//! Source: kubectl `pkg/cmd/logs/logs.go`.

use nom::bytes::complete::{tag, take_until1, take_while1};
use nom::character::complete::char;
use nom::combinator::all_consuming;
use nom::sequence::{delimited, preceded, terminated};
use nom::{AsChar, IResult, Parser};

use super::{Found, Words, is_time};

/// Takes the bracketed word, a time, or the one and then the other.
pub(super) fn read(words: Words<'_, '_>) -> Option<Found> {
    let prefixed = Found { pod: Some(0), bracketed: true, ..Found::new("kubectl") };
    match words {
        [time] if is_time(time) => Some(Found::new("kubectl")),
        [word] if pod(word).is_some() => Some(prefixed),
        [word, time] if pod(word).is_some() && is_time(time) => Some(prefixed),
        _ => None,
    }
}

/// The pod in `[pod/NAME/CONTAINER]`.
pub(super) fn pod(word: &[u8]) -> Option<&[u8]> {
    let name = preceded(tag(&b"pod/"[..]), take_until1(&b"/"[..]));
    let container = preceded(char('/'), take_while1(|byte: u8| byte.is_alphanum() || b"-.".contains(&byte)));
    let mut whole = all_consuming(delimited(char('['), terminated(name, container), char(']')));
    let parsed: IResult<&[u8], &[u8]> = whole.parse(word);
    parsed.ok().map(|(_, name)| name)
}
