//! The language of filters: tests of columns, joined by `and`, `or`, `not` and brackets.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, multispace0};
use nom::combinator::{map, recognize};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use super::{Node, Order, Test, Value, Wrong, moment};
use crate::field::value::Micros;
use crate::table::{Column, Kind, Table};

/// How deep brackets and `not` may go.
const DEPTH: usize = 64;

pub(super) fn read(text: &str, table: Table, now: Micros) -> Result<Node, Wrong> {
    let mut reader = Reader { text, rest: text, columns: table.columns(), table, now, depth: 0 };
    let node = reader.any()?;
    if reader.rest.trim().is_empty() { Ok(node) } else { Err(reader.wrong("expected `and`, `or` or the end")) }
}

struct Reader<'t> {
    text: &'t str,
    rest: &'t str,
    columns: Vec<Column>,
    table: Table,
    now: Micros,
    depth: usize,
}

type Parsed<'t, T> = IResult<&'t str, T>;

/// A word without quotes. `!` may stand inside, as in cluster names, but not before `=`.
fn word(text: &str) -> Parsed<'_, &str> {
    take_while1(|letter: char| !letter.is_whitespace() && !"()\"'=<>!,".contains(letter)).parse(text)
}

/// A value: quoted, or a word. Lists with commas in a word are one value: `UF,URX`.
fn value(text: &str) -> Parsed<'_, &str> {
    let quoted = |quote: char| {
        map(
            delimited(char(quote), nom::combinator::opt(take_while1(move |letter| letter != quote)), char(quote)),
            Option::unwrap_or_default,
        )
    };
    let bare = recognize(take_while1(|letter: char| !letter.is_whitespace() && !"()\"'".contains(letter)));
    preceded(multispace0, alt((quoted('"'), quoted('\''), bare))).parse(text)
}

fn order(text: &str) -> Parsed<'_, Order> {
    let of = |sign: &'static str, order: Order| map(tag(sign), move |_| order);
    alt((
        of("==", Order::Equal),
        of("=", Order::Equal),
        of("!=", Order::Unequal),
        of("<=", Order::AtMost),
        of("<", Order::Less),
        of(">=", Order::AtLeast),
        of(">", Order::More),
    ))
    .parse(text)
}

impl<'t> Reader<'t> {
    fn wrong(&self, what: impl Into<String>) -> Wrong {
        let before = self.text.len() - self.rest.trim_start().len();
        // On one line, so that the mark stands under the place.
        let text = self.text.replace(char::is_control, " ");
        Wrong { what: what.into(), text, at: self.text[..before].chars().count() }
    }

    fn any(&mut self) -> Result<Node, Wrong> {
        let mut nodes = vec![self.all()?];
        while self.keyword("or") {
            nodes.push(self.all()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) })
    }

    fn all(&mut self) -> Result<Node, Wrong> {
        let mut nodes = vec![self.one()?];
        while self.keyword("and") {
            nodes.push(self.one()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) })
    }

    fn one(&mut self) -> Result<Node, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.wrong(format!("brackets go more than {DEPTH} deep")));
        }
        let node = if self.keyword("not") {
            Node::Not(Box::new(self.one()?))
        } else if self.sign("(") {
            let node = self.any()?;
            if !self.sign(")") {
                return Err(self.wrong("expected `)`"));
            }
            node
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn test(&mut self) -> Result<Node, Wrong> {
        let start = self.rest;
        let Ok((rest, name)) = preceded(multispace0, word).parse(start) else {
            return Err(self.wrong("expected the name of a column"));
        };
        let find = |name: &str| self.columns.iter().position(|column| column.name == name);
        // Of a connection, a leg's column is that of either leg.
        let legs = || Some(vec![find(&format!("outbound_{name}"))?, find(&format!("inbound_{name}"))?]);
        let numbers: Option<Vec<usize>> = find(name).map(|number| vec![number]).or_else(legs);
        let Some(numbers) = numbers else {
            let near = self.near(name).map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let table = self.table.name();
            return Err(self.wrong(format!("{table} have no column {name}{near} (logscan schema --table {table})")));
        };
        self.rest = rest;
        let column = self.columns[numbers[0]].clone();
        let (holds, test) = self.comparison(&column)?;
        let list = column.is_list();
        let mut tests: Vec<Node> =
            numbers.into_iter().map(|column| Node::Test { column, list, test: test.clone() }).collect();
        let any = if tests.len() == 1 { tests.remove(0) } else { Node::Any(tests) };
        Ok(if holds { any } else { Node::Not(Box::new(any)) })
    }

    /// A comparison, and whether it is to hold.
    fn comparison(&mut self, column: &Column) -> Result<(bool, Test), Wrong> {
        if self.keyword("is") {
            let holds = !self.keyword("not");
            if self.keyword("absent") || self.keyword("null") {
                return Ok((holds, Test::Absent));
            }
            return Err(self.wrong("expected `absent`"));
        }
        let part: Option<fn(String) -> Test> = if self.keyword("contains") {
            Some(Test::Contains)
        } else if self.keyword("starts") && self.keyword("with") {
            Some(Test::Starts)
        } else if self.keyword("ends") && self.keyword("with") {
            Some(Test::Ends)
        } else {
            None
        };
        if let Some(part) = part {
            if column.kind != Kind::Text {
                return Err(self.wrong(format!("{} is no text", column.name)));
            }
            return Ok((true, part(self.text_value()?.to_owned())));
        }
        if self.keyword("in") {
            return self.members(column).map(|values| (true, Test::In(values)));
        }
        let Ok((rest, order)) = preceded(multispace0, order).parse(self.rest) else {
            return Err(self.wrong(
                "expected one of = != < <= > >=, `contains`, `starts with`, `ends with`, `in (...)`, `is absent`",
            ));
        };
        self.rest = rest;
        let value = self.typed(column)?;
        Ok((order != Order::Unequal, Test::Is(if order == Order::Unequal { Order::Equal } else { order }, value)))
    }

    fn members(&mut self, column: &Column) -> Result<Vec<Value>, Wrong> {
        if !self.sign("(") {
            return Err(self.wrong("expected `(`"));
        }
        let mut values = Vec::new();
        loop {
            // A bare word ends at a comma here.
            let quoted = self.rest.trim_start().starts_with(['"', '\'']);
            let before = self.rest;
            let text = if quoted {
                self.text_value()?
            } else {
                let found = preceded(multispace0, word).parse(self.rest);
                let (rest, text) = found.map_err(|_| self.wrong("expected a value"))?;
                self.rest = rest;
                text
            };
            values.push(self.value_of(text, column, before)?);
            if self.sign(")") {
                return Ok(values);
            }
            if !self.sign(",") {
                return Err(self.wrong("expected `,` or `)`"));
            }
        }
    }

    fn text_value(&mut self) -> Result<&'t str, Wrong> {
        let (rest, text) = value(self.rest).map_err(|_| self.wrong("expected a value"))?;
        self.rest = rest;
        Ok(text)
    }

    fn typed(&mut self, column: &Column) -> Result<Value, Wrong> {
        let before = self.rest;
        let text = self.text_value()?;
        self.value_of(text, column, before)
    }

    fn value_of(&mut self, text: &str, column: &Column, before: &'t str) -> Result<Value, Wrong> {
        let value = match column.kind {
            Kind::Text => Some(Value::Text(text.to_owned())),
            Kind::Whole | Kind::Small => text.parse().ok().map(Value::Number),
            Kind::Truth => text.parse().ok().map(Value::Truth),
            Kind::Time => moment(text, self.now).map(Value::Time),
        };
        value.ok_or_else(|| {
            self.rest = before;
            let expected = match column.kind {
                Kind::Time => "an instant such as 2026-03-01T10:00:00Z, a day, or \"2h ago\"",
                Kind::Truth => "true or false",
                _ => "a number",
            };
            self.wrong(format!("{} needs {expected}", column.name))
        })
    }

    /// Passes a word over, if it comes next.
    fn keyword(&mut self, keyword: &str) -> bool {
        match preceded(multispace0, word).parse(self.rest) {
            Ok((rest, found)) if found.eq_ignore_ascii_case(keyword) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn sign(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The column whose name begins or ends like a word that is none.
    fn near(&self, name: &str) -> Option<&str> {
        let names = self.columns.iter().map(|column| &*column.name);
        names
            .clone()
            .find(|column| column.ends_with(name))
            .or_else(|| names.clone().find(|column| column.contains(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Filter;
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            ("", "expected the name of a column\n\n^"),
            (
                "cluster = x",
                "traffic have no column cluster; did you mean upstream_cluster? (logscan schema --table traffic)\ncluster = x\n^",
            ),
            ("source", "expected one of"),
            ("source = web web", "expected `and`, `or` or the end\nsource = web web\n             ^"),
            ("(source = web", "expected `)`\n(source = web\n             ^"),
            ("connections = many", "connections needs a number\nconnections = many\n              ^"),
            ("connections contains 1", "connections is no text\nconnections contains 1\n                     ^"),
            ("source in (a b)", "expected `,` or `)`\nsource in (a b)\n             ^"),
            ("source = 'web", "expected a value\nsource = 'web\n         ^"),
        ] {
            let wrong = Filter::read(text, Table::Traffic, Micros(0)).unwrap_err().to_string();
            assert!(wrong.starts_with(expected), "{wrong}");
        }
        let deep = "not ".repeat(10_000) + "source = web";
        assert!(Filter::read(&deep, Table::Traffic, Micros(0)).is_err());
    }

    #[test]
    fn times_are_instants() {
        let filter = |text: &str| Filter::read(text, Table::Legs, Micros(7_200_000_000));
        assert_eq!(filter("start_time > '2h ago'"), filter("start_time > \"1970-01-01T00:00:00Z\""));
        assert!(filter("start_time > yesterday").is_err());
    }
}
