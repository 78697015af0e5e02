//! `Filter`: which rows are wanted, by what stands in their columns; `Window`: by their time.
//!
//! Text is compared as it is, flags and findings as sets. An absent value equals nothing, so `!=` and `not` take its row, and
//! every other comparison leaves it out. In a filter of connections, a column of legs means that of either leg.

mod moment;
mod read;

pub use moment::moment;

use crate::field::value::Micros;
use crate::table::{Cell, Row, Table};

/// Which rows are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Of which table.
    pub table: Table,
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test { column: usize, list: bool, test: Test },
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Absent,
    Is(Order, Value),
    In(Vec<Value>),
    Contains(String),
    Starts(String),
    Ends(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// What a cell is compared with; of the column's own kind.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
    Time(Micros),
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}\n{text}\n{:>at$}", "^", at = at + 1)]
pub struct Wrong {
    /// What was expected, or is not known.
    pub what: String,
    /// The filter.
    pub text: String,
    /// How many characters stand before the place.
    pub at: usize,
}

impl Filter {
    /// Reads a filter over the columns of a table; `now` is what `2h ago` is reckoned from.
    pub fn read(text: &str, table: Table, now: Micros) -> Result<Filter, Wrong> {
        read::read(text, table, now).map(|root| Filter { table, root })
    }

    /// Whether a row is wanted.
    pub fn takes(&self, row: &impl Row) -> bool {
        takes(&self.root, row)
    }
}

fn takes(node: &Node, row: &impl Row) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|node| takes(node, row)),
        Node::Any(nodes) => nodes.iter().any(|node| takes(node, row)),
        Node::Not(node) => !takes(node, row),
        Node::Test { column, list, test } => test.holds(&row.cell(*column), *list),
    }
}

impl Test {
    fn holds(&self, cell: &Cell<'_>, list: bool) -> bool {
        let text = match cell {
            Cell::Text(text) => Some(&**text),
            _ => None,
        };
        match self {
            Test::Absent => *cell == Cell::Absent,
            Test::Is(Order::Equal, value) => value.is(cell, list),
            Test::Is(order, value) => value.compared(cell).is_some_and(|found| match order {
                Order::Less => found.is_lt(),
                Order::AtMost => found.is_le(),
                Order::More => found.is_gt(),
                _ => found.is_ge(),
            }),
            Test::In(values) => values.iter().any(|value| value.is(cell, list)),
            Test::Contains(part) if list => text.is_some_and(|text| text.split(',').any(|item| item == part)),
            Test::Contains(part) => text.is_some_and(|text| text.contains(part)),
            Test::Starts(part) => text.is_some_and(|text| text.starts_with(part)),
            Test::Ends(part) => text.is_some_and(|text| text.ends_with(part)),
        }
    }
}

impl Value {
    fn is(&self, cell: &Cell<'_>, list: bool) -> bool {
        match (self, cell) {
            (Value::Text(own), Cell::Text(text)) if list => sorted(own) == sorted(text),
            _ => self.compared(cell).is_some_and(std::cmp::Ordering::is_eq),
        }
    }

    /// How the cell stands to the value.
    fn compared(&self, cell: &Cell<'_>) -> Option<std::cmp::Ordering> {
        match (self, cell) {
            (Value::Text(own), Cell::Text(text)) => Some((**text).cmp(own)),
            (Value::Number(own), Cell::Number(number)) => Some(number.cmp(own)),
            (Value::Truth(own), Cell::Truth(truth)) => Some(truth.cmp(own)),
            (Value::Time(own), Cell::Time(at)) => Some(at.cmp(own)),
            _ => None,
        }
    }
}

fn sorted(list: &str) -> Vec<&str> {
    let mut items: Vec<&str> = list.split(',').collect();
    items.sort_unstable();
    items
}

/// A stretch of log time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// What ended before is left out.
    pub since: Option<Micros>,
    /// What began at that time or later is left out.
    pub until: Option<Micros>,
}

impl Window {
    /// Whether a connection touches it. One whose line says no time is taken only if nothing is left out.
    pub fn takes(self, start: Micros, end: Micros) -> bool {
        if start == Micros::NONE {
            return self == Window::default();
        }
        self.since.is_none_or(|since| end >= since) && self.until.is_none_or(|until| start < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of the traffic table: source, destination, cluster, connections, failures, bytes.
    struct Traffic([Cell<'static>; 6]);

    impl Row for Traffic {
        fn cell(&self, column: usize) -> Cell<'_> {
            self.0[column].clone()
        }
    }

    fn row() -> Traffic {
        let text = |text: &'static str| Cell::Text(text.into());
        Traffic([
            text("web"),
            Cell::Absent,
            text("outbound|80||api.shop"),
            Cell::Number(12),
            Cell::Number(0),
            Cell::Number(9),
        ])
    }

    #[test]
    fn filters_hold_as_they_read() {
        for (text, expected) in [
            ("source = web", true),
            ("source == 'web' and connections > 11", true),
            ("source=web and connections>12", false),
            ("connections >= 12 and connections <= 12 and not connections < 12", true),
            ("upstream_cluster starts with \"outbound|80|\" and upstream_cluster ends with shop", true),
            ("upstream_cluster contains outbound|80||api", true),
            ("source in (api, web)", true),
            ("source in (api)", false),
            ("destination is absent", true),
            ("destination is not absent", false),
            ("destination = web", false),
            ("destination != web", true),
            ("not destination = web", true),
            ("destination < web or destination > web", false),
            ("source = api or source = web and connections = 1", false),
            ("(source = api or source = web) and connections = 12", true),
        ] {
            let filter = Filter::read(text, Table::Traffic, Micros(0)).unwrap_or_else(|wrong| panic!("{wrong}"));
            assert_eq!(filter.takes(&row()), expected, "{text}");
        }
    }

    #[test]
    fn flags_are_a_set() {
        struct Flags(usize, &'static str);
        impl Row for Flags {
            fn cell(&self, column: usize) -> Cell<'_> {
                if column == self.0 { Cell::Text(self.1.into()) } else { Cell::Absent }
            }
        }
        let column = Table::Legs.columns().iter().position(|column| column.name == "response_flags").unwrap();
        for (text, expected) in [
            ("response_flags contains UF", true),
            ("response_flags contains UR", false),
            ("response_flags = URX,UF", true),
            ("response_flags = UF", false),
        ] {
            let filter = Filter::read(text, Table::Legs, Micros(0)).unwrap();
            assert_eq!(filter.takes(&Flags(column, "UF,URX")), expected, "{text}");
        }
    }

    #[test]
    fn a_window_takes_what_touches_it() {
        let window = Window { since: Some(Micros(100)), until: Some(Micros(200)) };
        for (start, end, expected) in
            [(50, 99, false), (50, 100, true), (150, 150, true), (199, 900, true), (200, 201, false), (0, 0, false)]
        {
            assert_eq!(window.takes(Micros(start), Micros(end)), expected, "{start}-{end}");
        }
        assert!(Window::default().takes(Micros::NONE, Micros::NONE));
    }
}
