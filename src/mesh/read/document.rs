//! Takes a document apart while it is read: whoever listens gets one part after the other, each with its place.
//!
//! Parts are what a list at the top holds, or the lists of an object at the top that are known to be long: the sections
//! of a dump, the items of a List. Everything else of an object at the top is one part, the last.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::node::Node;
use super::part::Part;

/// One step of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A member of an object.
    Key(Box<str>),
    /// An item of a list, counted from 0.
    Item(usize),
}

/// Takes what a document holds.
pub(super) trait Take {
    /// A list or an object begins whose parts come one by one.
    fn opens(&mut self, place: &[Step]);
    /// A part.
    fn part(&mut self, place: &[Step], part: Node);
    /// Whether there was anything known.
    fn is_known(&self) -> bool;
}

/// A place for people: `configs[3].dynamic_listeners[7]`.
pub(super) fn shown(place: &[Step]) -> String {
    let mut text = String::new();
    for step in place {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Item(number) => text.extend(["[", &number.to_string(), "]"]),
        }
    }
    text
}

/// Reads a document.
pub(super) struct Document<'t> {
    pub(super) take: &'t mut dyn Take,
    place: Vec<Step>,
}

impl<'t> Document<'t> {
    pub(super) fn new(take: &'t mut dyn Take) -> Document<'t> {
        Document { take, place: Vec::new() }
    }

    fn within<T>(&mut self, step: Step, read: impl FnOnce(&mut Self) -> T) -> T {
        self.place.push(step);
        let done = read(self);
        self.place.pop();
        done
    }
}

/// What is read next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The document.
    Top,
    /// A list of sections.
    Sections,
    /// A section.
    Section,
    /// A long list, or an object with many members.
    Members,
    /// One part.
    Whole,
    /// What is not to be kept: secrets are not even held for a moment.
    Unseen,
}

impl Level {
    /// What a member of an object is; none where it is one of a part.
    fn of_member(self, key: &str) -> Option<Level> {
        match (self, key) {
            (Level::Top, "configs") => Some(Level::Sections),
            // `/clusters`, `kubectl`, and the rest is ztunnel's.
            (Level::Top, "cluster_statuses" | "clusterStatuses" | "items" | "workloads" | "services" | "policies") => {
                Some(Level::Members)
            }
            (Level::Top, "certificates") => Some(Level::Unseen),
            (Level::Top, _) => None,
            (Level::Section, _) if key.ends_with("secrets") || key.ends_with("Secrets") => Some(Level::Unseen),
            (Level::Section, _) if key != "bootstrap" => Some(Level::Members),
            (Level::Section | Level::Sections | Level::Members | Level::Whole | Level::Unseen, _) => Some(Level::Whole),
        }
    }

    /// What the items of a list are.
    fn of_items(self) -> Level {
        if self == Level::Sections { Level::Section } else { Level::Whole }
    }
}

/// The document and where in it the reader is.
struct At<'d, 't> {
    document: &'d mut Document<'t>,
    level: Level,
}

impl<'de> DeserializeSeed<'de> for &mut Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.place.clear();
        At { document: self, level: Level::Top }.deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for At<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let part = match self.level {
            Level::Whole => Part::new().deserialize(deserializer)?,
            Level::Unseen => IgnoredAny::deserialize(deserializer).map(|_| Node::Nothing)?,
            Level::Top | Level::Sections | Level::Section | Level::Members => {
                return deserializer.deserialize_any(self);
            }
        };
        self.takes(part);
        Ok(())
    }
}

impl At<'_, '_> {
    fn takes(self, part: Node) {
        self.document.take.part(&self.document.place, part);
    }
}

impl<'de> Visitor<'de> for At<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.takes(Node::Flag(flag));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.takes(Node::Whole(number));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.takes(Node::Fraction(number as f64));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.takes(Node::Fraction(number));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.takes(Node::Text(text.into()));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.takes(Node::Nothing);
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        self.takes(Node::Nothing);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.document.take.opens(&self.document.place);
        let level = self.level.of_items();
        for number in 0.. {
            let step = Step::Item(number);
            let more = self.document.within(step, |document| items.next_element_seed(At { document, level }))?;
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.document.take.opens(&self.document.place);
        let (mut rest, mut values) = (Vec::new(), Part::new());
        while let Some(key) = members.next_key::<Box<str>>()? {
            match self.level.of_member(&key) {
                Some(level) => {
                    let read = |document: &mut Document<'_>| members.next_value_seed(At { document, level });
                    self.document.within(Step::Key(key), read)?;
                }
                None => rest.push((key, members.next_value_seed(&mut values)?)),
            }
        }
        if !rest.is_empty() {
            self.document.take.part(&self.document.place, Node::Table(rest));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Take for Seen {
        fn opens(&mut self, _: &[Step]) {}

        fn is_known(&self) -> bool {
            true
        }

        fn part(&mut self, place: &[Step], part: Node) {
            let kind = match part {
                Node::Nothing => "nothing",
                Node::Table(_) => "object",
                Node::List(_) => "list",
                _ => "scalar",
            };
            self.0.push(format!("{} {kind}", shown(place)));
        }
    }

    fn parts(json: &str) -> Vec<String> {
        let mut seen = Seen::default();
        Document::new(&mut seen).deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap();
        seen.0
    }

    #[test]
    fn long_lists_come_part_by_part_and_secrets_not_at_all() {
        let dump = r#"{"configs":[{"dynamic_listeners":[{"a":{}},{}],"@type":"x","static_secrets":[{"s":1}]},
            {"bootstrap":{"node":{"id":"x"}}}]}"#;
        assert_eq!(
            parts(dump),
            [
                "configs[0].dynamic_listeners[0] object",
                "configs[0].dynamic_listeners[1] object",
                "configs[0].@type scalar",
                "configs[0].static_secrets nothing",
                "configs[1].bootstrap object",
            ]
        );
        assert_eq!(parts(r#"[{"name":"a"},1]"#), ["[0] object", "[1] scalar"]);
        assert_eq!(parts(r#"{"kind":"Service","metadata":{}}"#), [" object"]);
        assert_eq!(parts(r#"{"kind":"List","items":[{}],"x":[{}]}"#), ["items[0] object", " object"]);
        assert_eq!(
            parts(r#"{"workloads":{"n/1":{}},"services":[{}]}"#),
            ["workloads.n/1 object", "services[0] object"]
        );
        assert_eq!(parts("3"), [" scalar"]);
    }
}
