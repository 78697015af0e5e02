//! Makes the tree of one part, from JSON or YAML.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::node::Node;

/// Values in one part; the largest listeners of large meshes have some hundred thousand.
const MOST: usize = 4_000_000;

/// Members that no reader looks at and that are most of a dump: they are passed over.
const PASSED_OVER: &[&str] =
    &["access_log", "accessLog", "http_filters", "httpFilters", "managed_fields", "managedFields"];

/// Reads one part, up to a number of values.
pub(super) struct Part {
    left: usize,
}

impl Part {
    pub(super) fn new() -> Part {
        Part { left: MOST }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Part {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom("too many values in one part"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Part {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(i64::try_from(number).map_or(Node::Fraction(number as f64), Node::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(&mut *self)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut table = Vec::new();
        while let Some(key) = members.next_key::<Box<str>>()? {
            if PASSED_OVER.contains(&&*key) {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            table.push((key, members.next_value_seed(&mut *self)?));
        }
        Ok(Node::Table(table))
    }
}
