//! One part of a document (a listener, a cluster, an object) as a tree, read by names.
//!
//! A part lives as a tree only until its value is made, so a document of any size needs the memory of its largest part.
//! Names are given in snake_case and found in camelCase too, because Envoy writes one and `istioctl` the other. What is
//! absent and what is null is the same; what is there and of another kind is [`Wrong`].

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::field::value::{self, Micros};

/// A value.
#[derive(Debug)]
pub(super) enum Node {
    Nothing,
    Flag(bool),
    Whole(i64),
    Fraction(f64),
    Text(Box<str>),
    List(Vec<Node>),
    Table(Vec<(Box<str>, Node)>),
}

/// A value that is not what its place asks for.
#[derive(Debug)]
pub(super) struct Wrong<'n> {
    node: &'n Node,
    why: String,
}

/// What reading gives.
pub(super) type Read<'n, T> = Result<T, Wrong<'n>>;

impl<'n> Wrong<'n> {
    pub(super) fn new(node: &'n Node, why: impl Into<String>) -> Wrong<'n> {
        Wrong { node, why: why.into() }
    }

    /// Where in `root` it is, to be written behind the place of `root`, and why it is wrong.
    pub(super) fn within(self, root: &Node) -> (String, String) {
        let mut place = String::new();
        root.find(self.node, &mut place);
        (place, self.why)
    }
}

impl Node {
    /// Its kind, for people.
    fn kind(&self) -> &'static str {
        match self {
            Node::Nothing => "null",
            Node::Flag(_) => "true or false",
            Node::Whole(_) | Node::Fraction(_) => "a number",
            Node::Text(_) => "a text",
            Node::List(_) => "a list",
            Node::Table(_) => "an object",
        }
    }

    /// That it is not `wanted`.
    pub(super) fn is_not<'n>(&'n self, wanted: &str) -> Wrong<'n> {
        Wrong::new(self, format!("is {}, not {wanted}", self.kind()))
    }

    /// Writes the way to `wanted`, which is told by where it lies in memory.
    fn find(&self, wanted: &Node, place: &mut String) -> bool {
        if std::ptr::eq(self, wanted) {
            return true;
        }
        let before = place.len();
        let mut within = |step: fmt::Arguments<'_>, inner: &Node| {
            place.truncate(before);
            fmt::Write::write_fmt(place, step).is_ok() && inner.find(wanted, place)
        };
        let found = match self {
            Node::List(items) => items.iter().enumerate().any(|(at, inner)| within(format_args!("[{at}]"), inner)),
            Node::Table(members) => members.iter().any(|(key, inner)| within(format_args!(".{key}"), inner)),
            _ => false,
        };
        if !found {
            place.truncate(before);
        }
        found
    }

    /// The member of this name, written in snake_case here and either way there.
    pub(super) fn get(&self, name: &str) -> Read<'_, Option<&Node>> {
        Ok(self
            .members()?
            .iter()
            .rev()
            .find(|(key, _)| is(key, name))
            .map(|(_, node)| node)
            .filter(|node| node.is_there()))
    }

    /// The member behind these names, one in the other.
    pub(super) fn path(&self, names: &[&str]) -> Read<'_, Option<&Node>> {
        let mut at = self;
        for name in names {
            match at.get(name)? {
                Some(inner) => at = inner,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The first of these names that is there.
    pub(super) fn any(&self, names: &[&str]) -> Read<'_, Option<&Node>> {
        for name in names {
            if let Some(found) = self.get(name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether it is an object that has this member.
    pub(super) fn has(&self, name: &str) -> bool {
        self.is_table() && matches!(self.get(name), Ok(Some(_)))
    }

    /// Whether it is an object.
    pub(super) fn is_table(&self) -> bool {
        matches!(self, Node::Table(_))
    }

    fn is_there(&self) -> bool {
        !matches!(self, Node::Nothing)
    }

    /// All members, names as they are written: somebody's own, or a table of unknown ones.
    pub(super) fn members(&self) -> Read<'_, &[(Box<str>, Node)]> {
        match self {
            Node::Table(members) => Ok(members),
            _ => Err(self.is_not("an object")),
        }
    }

    /// The items of a list; none where it is absent.
    pub(super) fn list(&self, name: &str) -> Read<'_, &[Node]> {
        match self.get(name)? {
            None => Ok(&[]),
            Some(Node::List(items)) => Ok(items),
            Some(other) => Err(other.is_not("a list")),
        }
    }

    /// A text; empty where it is absent.
    pub(super) fn text(&self, name: &str) -> Read<'_, Cow<'_, str>> {
        self.get(name)?.map_or(Ok(Cow::Borrowed("")), Node::as_text)
    }

    /// This value as a text: YAML leaves the quotes of names like `8080` out.
    pub(super) fn as_text(&self) -> Read<'_, Cow<'_, str>> {
        match self {
            Node::Text(text) => Ok(Cow::Borrowed(text)),
            Node::Whole(number) => Ok(Cow::Owned(number.to_string())),
            Node::Fraction(number) => Ok(Cow::Owned(number.to_string())),
            Node::Flag(flag) => Ok(Cow::Borrowed(if *flag { "true" } else { "false" })),
            _ => Err(self.is_not("a text")),
        }
    }

    /// All texts of a list.
    pub(super) fn texts(&self, name: &str) -> Read<'_, Vec<Box<str>>> {
        self.list(name)?.iter().map(|item| Ok(item.as_text()?.into())).collect()
    }

    /// A whole number, which JSON may hold as a text if it has 64 bits; none where it is absent.
    pub(super) fn number<N: TryFrom<i64>>(&self, name: &str) -> Read<'_, Option<N>> {
        self.get(name)?.map(Node::as_number).transpose()
    }

    /// This value as a whole number.
    pub(super) fn as_number<N: TryFrom<i64>>(&self) -> Read<'_, N> {
        let number = match self {
            Node::Whole(number) => Some(*number),
            Node::Text(text) => text.parse().ok(),
            #[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number of 53 bits")]
            Node::Fraction(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => Some(*number as i64),
            _ => None,
        };
        let number = number.ok_or_else(|| self.is_not("a whole number"))?;
        N::try_from(number).map_err(|_| Wrong::new(self, "is a number out of range"))
    }

    /// True or false; false where it is absent.
    pub(super) fn flag(&self, name: &str) -> Read<'_, bool> {
        Ok(self.get(name)?.map(Node::as_flag).transpose()?.unwrap_or(false))
    }

    /// This value as true or false; metadata hold them as texts.
    pub(super) fn as_flag(&self) -> Read<'_, bool> {
        match self {
            Node::Flag(flag) => Ok(*flag),
            Node::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Node::Text(text) if text.eq_ignore_ascii_case("false") || text.is_empty() => Ok(false),
            _ => Err(self.is_not("true or false")),
        }
    }

    /// A duration in protobuf's JSON (`1s`, `0.250s`), in milliseconds; none where it is absent.
    pub(super) fn millis(&self, name: &str) -> Read<'_, Option<u64>> {
        let Some(node) = self.get(name)? else { return Ok(None) };
        let text = node.as_text()?;
        let millis = text.strip_suffix('s').and_then(|seconds| {
            let (whole, part) = seconds.split_once('.').unwrap_or((seconds, ""));
            let part: String = part.chars().chain("000".chars()).take(3).collect();
            whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part.parse().ok()?)
        });
        millis.map(Some).ok_or_else(|| Wrong::new(node, "is not a duration in seconds"))
    }

    /// A time; none where it is absent or not one.
    pub(super) fn time(&self, name: &str) -> Option<Micros> {
        match self.get(name) {
            Ok(Some(Node::Text(text))) => value::time(text.as_bytes()),
            _ => None,
        }
    }

    /// This value as an address without a port.
    pub(super) fn as_ip(&self) -> Read<'_, IpAddr> {
        self.as_text()?.parse().map_err(|_| Wrong::new(self, "is not an IP address"))
    }
}

/// Whether `key` is `name`, which is in snake_case, in that or in camelCase.
fn is(key: &str, name: &str) -> bool {
    if key == name {
        return true;
    }
    let mut letters = key.bytes();
    let mut begins = false;
    for expected in name.bytes() {
        if expected == b'_' {
            begins = true;
            continue;
        }
        let expected = if begins { expected.to_ascii_uppercase() } else { expected };
        begins = false;
        if letters.next() != Some(expected) {
            return false;
        }
    }
    letters.next().is_none()
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeSeed;

    use super::super::part::Part;
    use super::*;

    pub(super) fn tree(json: &str) -> Node {
        Part::new().deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap()
    }

    #[test]
    fn names_are_found_in_both_spellings_and_null_is_absent() {
        let node = tree(r#"{"filter_chain_match":{"portValue":"80"},"useOriginalDst":true,"x":null,"name":8080}"#);
        let matched = node.get("filter_chain_match").unwrap().unwrap();
        assert_eq!(matched.number::<u16>("port_value").unwrap(), Some(80));
        assert!(node.flag("use_original_dst").unwrap());
        assert!(node.get("x").unwrap().is_none() && node.get("use_original_ds").unwrap().is_none());
        assert_eq!(node.text("name").unwrap(), "8080");
        assert_eq!(node.text("other").unwrap(), "");
    }

    #[test]
    fn durations_are_milliseconds() {
        let node = tree(r#"{"a":"1s","b":"0.250s","c":"0s","d":"0.000001s","e":"fast","f":5}"#);
        for (name, millis) in [("a", 1000), ("b", 250), ("c", 0), ("d", 0)] {
            assert_eq!(node.millis(name).unwrap(), Some(millis), "{name}");
        }
        assert_eq!(node.millis("x").unwrap(), None);
        assert!(node.millis("e").is_err() && node.millis("f").is_err());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let node = tree(r#"{"a":[{"b":1},{"b":{"port":70000,"list":7}}]}"#);
        let inner = node.list("a").unwrap()[1].get("b").unwrap().unwrap();
        let (place, why) = inner.number::<u16>("port").unwrap_err().within(&node);
        assert_eq!((&place[..], &why[..]), (".a[1].b.port", "is a number out of range"));
        let (place, why) = inner.list("list").unwrap_err().within(&node);
        assert_eq!((&place[..], &why[..]), (".a[1].b.list", "is a number, not a list"));
        assert_eq!(
            node.list("a").unwrap()[0].get("b").unwrap().unwrap().get("c").unwrap_err().within(&node).0,
            ".a[0].b"
        );
    }
}
