//! The language of Envoy's format strings: `[%START_TIME%] "%REQ(:METHOD)%" ...` becomes tokens.
//!
//! One command is `%NAME%`, `%NAME(ARGUMENT)%`, either with `:LIMIT` before the closing sign; `%%` is
//! one percent sign; everything else is literal. Source: Envoy's `substitution_formatter.cc`. A wrong
//! string is an error that points at its place.

use std::fmt;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::{opt, recognize, verify};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// One piece of a format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Text that every line has in this place.
    Literal(String),
    /// A command.
    Operator {
        /// `START_TIME`, `REQ`, ...
        name: String,
        /// What stands in its brackets.
        argument: Option<String>,
    },
}

/// What is wrong with a format string, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// The whole format string.
    pub format: String,
    /// Byte offset of the place.
    pub at: usize,
    /// What was expected there, or why it cannot be.
    pub why: &'static str,
}

impl std::error::Error for FormatError {}

impl fmt::Display for FormatError {
    /// The message, then an excerpt with a marker under the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const AROUND: usize = 30;
        let floor = self.format.floor_char_boundary(self.at.saturating_sub(AROUND));
        let ceiling = self.format.ceil_char_boundary((self.at + AROUND).min(self.format.len()));
        let place = self.format.floor_char_boundary(self.at.min(self.format.len()));
        let shown = self.format[floor..ceiling].replace(['\n', '\r', '\t'], " ");
        let before = self.format[floor..place].chars().count();
        write!(f, "{} at byte {}\n  {shown}\n  {:before$}^", self.why, self.at, "")
    }
}

/// Cuts a format string into tokens. Line ends at its end are dropped: lines come without them.
pub fn tokens(format: &str) -> Result<Vec<Token>, FormatError> {
    let body = format.trim_end_matches(['\n', '\r']);
    let error = |rest: &str, why| FormatError { format: body.to_owned(), at: body.len() - rest.len(), why };
    let mut found: Vec<Token> = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (after, token) = token(rest)
            .map_err(|_| error(rest, "expected a command such as %START_TIME%, or %% for a percent sign"))?;
        match (found.last_mut(), token) {
            (Some(Token::Literal(before)), Token::Literal(more)) => before.push_str(&more),
            // What PROTOCOL prints tells where it begins: Istio 1.0 left out the blank before it.
            (Some(Token::Operator { .. }), Token::Operator { name, .. }) if name != "PROTOCOL" => {
                return Err(error(
                    rest,
                    "two commands need some text between them, or nothing tells their values apart",
                ));
            }
            (_, token) => found.push(token),
        }
        rest = after;
    }
    if found.iter().any(|token| matches!(token, Token::Operator { .. })) {
        Ok(found)
    } else {
        Err(error(body, "a format needs at least one command such as %START_TIME%"))
    }
}

fn token(input: &str) -> IResult<&str, Token> {
    alt((
        tag("%%").map(|_| Token::Literal("%".to_owned())),
        operator,
        take_while1(|letter| letter != '%').map(|text: &str| Token::Literal(text.to_owned())),
    ))
    .parse(input)
}

fn operator(input: &str) -> IResult<&str, Token> {
    let name = take_while1(|letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_');
    let bare = terminated(opt(argument), end);
    let (rest, (name, argument)) = preceded(char('%'), (name, bare)).parse(input)?;
    Ok((rest, Token::Operator { name: name.to_owned(), argument: argument.map(str::to_owned) }))
}

/// `(...)` up to the first bracket after which the command ends.
fn argument(input: &str) -> IResult<&str, &str> {
    let closing = |close: usize| end(&input[close + 1..]).is_ok();
    let close = input.match_indices(')').map(|(at, _)| at).find(|close| closing(*close));
    let (rest, whole) = match close {
        Some(close) => nom::bytes::complete::take(close + 1).parse(input)?,
        None => verify(nom::combinator::rest, |_: &str| false).parse(input)?,
    };
    let (_, inner) = delimited(char('('), nom::bytes::complete::take(whole.len() - 2), char(')')).parse(whole)?;
    Ok((rest, inner))
}

fn end(input: &str) -> IResult<&str, &str> {
    recognize((opt((char(':'), digit1)), char('%'))).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator_of(name: &str, argument: Option<&str>) -> Token {
        Token::Operator { name: name.to_owned(), argument: argument.map(str::to_owned) }
    }

    #[test]
    fn commands_arguments_limits_and_percent_signs_are_told_apart() {
        let found = tokens("[%START_TIME(%s.%3f)%] 100%% %REQ(X?Y):12% %PROTOCOL%\n").unwrap();
        assert_eq!(
            found,
            vec![
                Token::Literal("[".into()),
                operator_of("START_TIME", Some("%s.%3f")),
                Token::Literal("] 100% ".into()),
                operator_of("REQ", Some("X?Y")),
                Token::Literal(" ".into()),
                operator_of("PROTOCOL", None),
            ]
        );
    }

    #[test]
    fn an_error_points_at_its_place() {
        for (format, at) in
            [("a %foo% b", 2), ("%PROTOCOL% %REQ(X", 11), ("%A%%B%", 3), ("plain", 0), ("", 0), ("é %", 3)]
        {
            let error = tokens(format).unwrap_err();
            assert_eq!(error.at, at, "{error}");
            assert!(error.to_string().ends_with('^'));
        }
    }
}
