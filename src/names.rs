//! `Names`: each distinct text once, as a small number.
//!
//! An arena of bytes, the ends of its texts and a table from text to number. Every scanned block has
//! its own, and the ledger takes over what it needs of it. Numbers depend on the order of arrival, so
//! whoever shows names sorts by their text.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

/// A name's number. Zero is the empty text, which stands for "absent".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sym(pub u32);

impl Sym {
    /// Absent.
    pub const NONE: Sym = Sym(0);

    /// Whether it stands for nothing.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// A set of texts with their numbers.
#[derive(Clone, Debug)]
pub struct Names {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    table: HashTable<u32>,
    hasher: RandomState,
}

impl Default for Names {
    fn default() -> Self {
        Self { bytes: Vec::new(), ends: vec![0], table: HashTable::new(), hasher: RandomState::default() }
    }
}

impl Names {
    /// The number of a text, new or known. The empty text is [`Sym::NONE`].
    pub fn intern(&mut self, text: &[u8]) -> Sym {
        if text.is_empty() {
            return Sym::NONE;
        }
        let Self { bytes, ends, table, hasher } = self;
        let hash = hasher.hash_one(text);
        if let Some(known) = table.find(hash, |known| text_of(bytes, ends, *known) == text) {
            return Sym(*known);
        }
        let number = ends.len() as u32;
        table.insert_unique(hash, number, |known| hasher.hash_one(text_of(bytes, ends, *known)));
        bytes.extend_from_slice(text);
        ends.push(bytes.len());
        Sym(number)
    }

    /// The number of a text that is known already.
    pub fn find(&self, text: &[u8]) -> Option<Sym> {
        if text.is_empty() {
            return Some(Sym::NONE);
        }
        self.table.find(self.hasher.hash_one(text), |known| self.get(Sym(*known)) == text).map(|known| Sym(*known))
    }

    /// The text of a number of this set.
    pub fn get(&self, name: Sym) -> &[u8] {
        text_of(&self.bytes, &self.ends, name.0)
    }

    /// The text for people: lossy where the bytes are no UTF-8.
    pub fn show(&self, name: Sym) -> Cow<'_, str> {
        shown(self.get(name))
    }

    /// The place of each text among all, sorted, by its number.
    pub fn ranks(&self) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..self.len() as u32).collect();
        sorted.sort_unstable_by_key(|number| self.get(Sym(*number)));
        let mut ranks = vec![0; sorted.len()];
        for (rank, number) in (0..).zip(sorted) {
            ranks[number as usize] = rank;
        }
        ranks
    }

    /// How many texts there are, the empty one included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether only the empty text is in it.
    pub fn is_empty(&self) -> bool {
        self.ends.len() == 1
    }
}

fn text_of<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let number = number as usize;
    if number == 0 { b"" } else { &bytes[ends[number - 1]..ends[number]] }
}

/// A name for people: lossy where the bytes are no UTF-8, which is seldom and takes longer to look for.
pub fn shown(name: &[u8]) -> Cow<'_, str> {
    str::from_utf8(name).map_or_else(|_| String::from_utf8_lossy(name), Cow::Borrowed)
}

/// The workload of a pod: its name without what Deployments, `StatefulSets` and `DaemonSets` add.
///
/// A `ReplicaSet`'s hash and a pod's suffix are made of consonants and digits that spell no words
/// (Kubernetes `util/rand`), so names that people chose are left alone.
pub fn workload(pod: &[u8]) -> &[u8] {
    let random = |part: &[u8], len: std::ops::RangeInclusive<usize>| {
        len.contains(&part.len()) && part.iter().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(byte))
    };
    let Some((rest, last)) = rsplit(pod) else {
        return pod;
    };
    if !last.is_empty() && last.iter().all(u8::is_ascii_digit) {
        return rest;
    }
    match rsplit(rest) {
        // With a hash before it, whatever stands behind it is a pod's suffix.
        Some((name, hash)) if is_hash(hash) && is_suffix(last) || random(hash, 5..=10) && random(last, 5..=5) => name,
        _ if random(last, 5..=5) => rest,
        _ => pod,
    }
}

/// Whether a name can only be that of a Deployment's pod: it ends in a hash and a suffix.
pub fn is_replica(pod: &[u8]) -> bool {
    let parts = rsplit(pod).and_then(|(rest, last)| Some((rsplit(rest)?, last)));
    parts.is_some_and(|((name, hash), last)| !name.is_empty() && is_hash(hash) && is_suffix(last))
}

/// Whether a part of a name can only be a hash: eight to ten letters, digits among them. Names in examples and tests
/// have letters in them that Kubernetes leaves out.
fn is_hash(part: &[u8]) -> bool {
    let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
    let odd = |byte: &u8| byte.is_ascii_hexdigit() || b"bcdfghjklmnpqrstvwxz".contains(byte);
    (8..=10).contains(&part.len()) && digits > 1 && part.iter().all(odd)
}

fn is_suffix(part: &[u8]) -> bool {
    part.len() == 5 && part.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

fn rsplit(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let dash = memchr::memrchr(b'-', name)?;
    Some((&name[..dash], &name[dash + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number() {
        let mut names = Names::default();
        let app = names.intern(b"app");
        assert_eq!(names.intern(b"app"), app);
        assert_eq!(names.get(app), b"app");
        assert_eq!(names.intern(b""), Sym::NONE);
        assert_eq!(names.find(b"app"), Some(app));
        assert_eq!(names.find(b"nobody"), None);
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn ranks_are_the_order_of_texts() {
        let mut names = Names::default();
        let [b, a] = [b"b", b"a"].map(|name| names.intern(name));
        let ranks = names.ranks();
        assert!(ranks[0] < ranks[a.0 as usize] && ranks[a.0 as usize] < ranks[b.0 as usize]);
    }

    #[test]
    fn a_workload_is_the_pod_without_its_random_parts() {
        for (pod, name) in [
            ("manager-7948dffbdd-p44xx", "manager"),
            ("app-6c9f7d5b8-x2x7q", "app"),
            ("legacy-0", "legacy"),
            ("istio-cni-node-x8k2p", "istio-cni-node"),
            ("planner-84f6c9d7b5-gw3xn", "planner"),
            ("my-special-thing", "my-special-thing"),
            ("shop-database2-login", "shop-database2-login"),
            ("bare", "bare"),
        ] {
            assert_eq!(workload(pod.as_bytes()), name.as_bytes());
        }
    }
}
