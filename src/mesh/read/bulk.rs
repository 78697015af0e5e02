//! How much the messages of a file say. Empty ones would need a hundred times the file's size as values, so a file of
//! almost nothing else is not read on.

use super::node::Node;

/// So many messages may say what they like.
const FREE: u64 = 10_000;
/// Behind those, values a message: a range of addresses has itself and two members, and nothing shorter is written in great
/// numbers.
const LEAST: u64 = 3;

/// Messages and values, counted over a file.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    /// Parts, and objects in lists.
    messages: u64,
    /// All values, these objects among them.
    values: u64,
}

impl Bulk {
    /// Counts a part too; whether the file still says something.
    pub(super) fn takes(&mut self, part: &Node) -> bool {
        self.messages += 1;
        self.count(part);
        self.values >= LEAST * self.messages.saturating_sub(FREE)
    }

    fn count(&mut self, node: &Node) {
        self.values += 1;
        match node {
            Node::List(items) => {
                self.messages += items.iter().filter(|item| item.is_table()).count() as u64;
                for item in items {
                    self.count(item);
                }
            }
            Node::Table(members) => {
                for (_, member) in members {
                    self.count(member);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeSeed;

    use super::super::part::Part;
    use super::*;

    fn node(json: &str) -> Node {
        Part::new().deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap()
    }

    fn takes(item: &str, count: usize) -> bool {
        let part = node(&format!(r#"{{"filter_chains":[{}]}}"#, vec![item; count].join(",")));
        Bulk::default().takes(&part)
    }

    #[test]
    fn many_messages_must_say_something() {
        assert!(takes("{}", 14_000) && !takes("{}", 16_000) && !takes(r#"{"name":"a"}"#, 40_000));
        assert!(takes(r#"{"address_prefix":"10.0.0.1","prefix_len":32}"#, 20_000));
        assert!(takes(r#"{"endpoint":{"address":{"socket_address":{"address":"10.0.0.1"}}}}"#, 20_000));
    }

    #[test]
    fn many_parts_count_as_well() {
        let mut bulk = Bulk::default();
        let part = node(r#"{"name":"a"}"#);
        assert_eq!((0..40_000).filter(|_| bulk.takes(&part)).count(), 30_000);
    }
}
