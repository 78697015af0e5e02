//! `Texts`: the texts of a column. What repeats is stored once, and rows have its number.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// With so many texts, of which most stand in one row only, numbers cost more than they save. A block has some hundred rows.
const MANY: usize = 512;

/// How many of the texts that came last are found without their hash.
const RECENT: usize = 256;

/// A text for every row; where a row has none, it may have any.
#[derive(Clone, Debug)]
pub struct Texts {
    /// All texts behind each other.
    text: String,
    /// Where the first of them begins, and each of them ends.
    offsets: Vec<usize>,
    /// The number of each row's text; none of that if every row has a text of its own.
    numbers: Option<Vec<u32>>,
    /// How many rows were there before each text came, of those that have a number.
    first: Vec<u32>,
    /// The numbers of texts that came lately, each in the place of its bytes; empty until one came. A number that another text
    /// has by now is no harm: texts are compared.
    recent: Vec<u16>,
    /// The numbers of texts, with their hashes.
    seen: HashTable<(u32, u32)>,
    hasher: RandomState,
}

impl Default for Texts {
    fn default() -> Texts {
        Texts {
            text: String::new(),
            offsets: vec![0],
            numbers: Some(Vec::new()),
            first: Vec::new(),
            recent: Vec::new(),
            seen: HashTable::new(),
            hasher: RandomState::default(),
        }
    }
}

impl Texts {
    /// How many rows.
    pub(super) fn rows(&self) -> usize {
        self.numbers.as_ref().map_or_else(|| self.len(), Vec::len)
    }

    /// How many texts.
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// About how many bytes of memory they take.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + 8 * self.len() + 4 * self.rows() + 8 * self.seen.len()
    }

    /// Whether a text is this one.
    fn is(&self, number: u32, text: &str) -> bool {
        let Some([begin, end]) = self.offsets.get(number as usize..).and_then(<[usize]>::first_chunk) else {
            return false;
        };
        self.text.as_bytes().get(*begin..*end).is_some_and(|own| are_equal(own, text.as_bytes()))
    }

    fn text(&self, number: usize) -> &str {
        &self.text[self.offsets[number]..self.offsets[number + 1]]
    }

    /// The text of a row that has one.
    pub(super) fn get(&self, row: usize) -> &str {
        self.text(self.numbers.as_ref().map_or(row, |numbers| numbers[row] as usize))
    }

    /// The first row with the text of the last one, if there was one before it and texts are numbered.
    pub(super) fn before(&self) -> Option<usize> {
        let numbers = self.numbers.as_ref()?;
        let (last, others) = numbers.split_last()?;
        let first = *self.first.get(*last as usize)? as usize;
        (others.get(first) == Some(last)).then_some(first)
    }

    /// Adds a row with the text of another one.
    pub(super) fn repeat(&mut self, row: usize) {
        if let Some(numbers) = &mut self.numbers {
            return numbers.push(numbers[row]);
        }
        self.text.extend_from_within(self.offsets[row]..self.offsets[row + 1]);
        self.offsets.push(self.text.len());
    }

    /// Adds rows that have no text, up to so many rows.
    pub(super) fn pad(&mut self, rows: usize) {
        match &mut self.numbers {
            Some(numbers) => numbers.resize(rows, 0),
            None => self.offsets.resize(rows + 1, self.text.len()),
        }
    }

    /// Adds a row.
    #[inline]
    pub(super) fn push(&mut self, text: &str) {
        if self.numbers.is_none() {
            return self.add(text);
        }
        let number = self.number(text);
        self.numbers.get_or_insert_default().push(number);
    }

    fn add(&mut self, text: &str) {
        self.text.push_str(text);
        self.offsets.push(self.text.len());
    }

    /// The number of a text, which is new if the text is.
    #[inline]
    fn number(&mut self, text: &str) -> u32 {
        let place = place(text.as_bytes());
        // Most texts of most columns are few.
        if let Some(recent) =
            self.recent.get(place).map(|recent| u32::from(*recent)).filter(|recent| self.is(*recent, text))
        {
            return recent;
        }
        let number = self.search(text);
        if let Ok(recent) = u16::try_from(number) {
            self.recent.resize(RECENT, recent);
            self.recent[place] = recent;
        }
        number
    }

    #[inline(never)]
    fn search(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text) as u32;
        let found = self.seen.find(wide(hash), |(other, number)| *other == hash && self.is(*number, text));
        if let Some((_, number)) = found {
            return *number;
        }
        let number = self.len() as u32;
        self.first.push(self.rows() as u32);
        self.add(text);
        self.seen.insert_unique(wide(hash), (hash, number), |(hash, _)| wide(*hash));
        number
    }

    /// Adds the rows of other texts, of which `there` tells which have a text.
    pub(super) fn append(&mut self, other: &Texts, there: &[bool]) {
        match (&self.numbers, &other.numbers) {
            (None, None) => {
                let begin = self.text.len();
                self.text.push_str(&other.text);
                self.offsets.extend(other.offsets[1..].iter().map(|end| begin + end));
            }
            (Some(_), Some(numbers)) => {
                let ours: Vec<u32> = (0..other.len()).map(|number| self.number(other.text(number))).collect();
                let ours = numbers.iter().map(|number| ours.get(*number as usize).copied().unwrap_or_default());
                self.numbers.get_or_insert_default().extend(ours);
            }
            _ => self.take(other, 0..there.len(), there),
        }
    }

    /// Adds some rows of other texts.
    pub(super) fn take(&mut self, other: &Texts, rows: impl Iterator<Item = usize>, there: &[bool]) {
        /// No text of ours yet.
        const NONE: u32 = u32::MAX;
        let mut ours = vec![NONE; if other.numbers.is_some() { other.len() } else { 0 }];
        for row in rows {
            if !there.get(row).copied().unwrap_or_default() {
                self.pad(self.rows() + 1);
                continue;
            }
            match (&other.numbers, &mut self.numbers) {
                (Some(numbers), Some(own)) => {
                    let number = numbers[row] as usize;
                    if ours[number] != NONE {
                        own.push(ours[number]);
                        continue;
                    }
                    ours[number] = self.number(other.text(number));
                    self.numbers.get_or_insert_default().push(ours[number]);
                }
                _ => self.push(other.get(row)),
            }
        }
    }

    /// Whether most rows that have a text have one of their own, so that numbers are of no use.
    pub(super) fn are_scattered(&self, there: &[bool]) -> bool {
        let some = || there.iter().filter(|there| **there).count();
        self.numbers.is_some() && self.len() >= MANY && 2 * self.len() > some()
    }

    /// Other texts in their place.
    #[must_use]
    pub fn map(&self, other: impl Fn(&str) -> Cow<'_, str>) -> Texts {
        let mut texts = Texts { numbers: self.numbers.clone(), ..Texts::default() };
        (0..self.len()).for_each(|number| texts.add(&other(self.text(number))));
        texts
    }

    /// The same with a text of its own for every row; `there` tells which rows have one.
    #[must_use]
    pub fn spread(&self, there: &[bool]) -> Texts {
        let mut spread = Texts { numbers: None, ..Texts::default() };
        spread.text.reserve(self.text.len());
        for (row, there) in there.iter().enumerate() {
            spread.add(if *there { self.get(row) } else { "" });
        }
        spread
    }

    /// Forgets all rows and keeps the room. Texts of few rows that had one each will have so again; of many it is seen anew.
    pub(super) fn clear(&mut self) {
        if self.rows() >= 8 * MANY {
            self.numbers.get_or_insert_default();
        }
        self.text.clear();
        self.offsets.truncate(1);
        self.numbers.as_mut().map(Vec::clear);
        self.first.clear();
        self.seen.clear();
    }

    /// The texts, where the first of them begins and each of them ends, and the number of each row's text where texts repeat.
    pub fn parts(&self) -> (&str, &[usize], Option<&[u32]>) {
        (&self.text, &self.offsets, self.numbers.as_deref())
    }
}

/// The place of a text among the recent ones, by its length and some of its bytes.
fn place(text: &[u8]) -> usize {
    let word = |at: usize| text.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_le_bytes(*word));
    let some = match text.len().checked_sub(8) {
        Some(last) => word(0) ^ word(last).rotate_left(24) ^ word(last / 2).rotate_left(40),
        None => text.iter().fold(0, |some, byte| some << 8 | u64::from(*byte)),
    };
    let mixed = (some ^ text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize % RECENT
}

/// The same as `==`, which is a call that most texts are too short for.
fn are_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() || !(8..=32).contains(&one.len()) {
        return one == other;
    }
    let last = one.len() - 8;
    let differs = |at: usize| {
        let word =
            |text: &[u8]| text.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_le_bytes(*word));
        word(one) ^ word(other)
    };
    // Words may lap over each other.
    differs(0) | differs(last) | differs(last.min(8)) | differs(last.saturating_sub(8)) == 0
}

/// Tables look at both ends of a hash.
fn wide(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &Texts) -> Vec<&str> {
        (0..texts.rows()).map(|row| texts.get(row)).collect()
    }

    #[test]
    fn what_repeats_is_stored_once() {
        let mut texts = Texts::default();
        for text in ["a", "bc", "bc", "", "a"] {
            texts.push(text);
        }
        assert_eq!(rows(&texts), ["a", "bc", "bc", "", "a"]);
        assert_eq!(texts.parts(), ("abc", &[0, 1, 3, 3][..], Some(&[0, 1, 1, 2, 0][..])));
    }

    #[test]
    fn texts_are_told_apart_wherever_they_differ() {
        for length in 0..48 {
            let text = vec![b'a'; length];
            assert!(are_equal(&text, &text.clone()) && !are_equal(&text, &vec![b'a'; length + 1]));
            for at in 0..length {
                let mut other = text.clone();
                other[at] = b'b';
                assert!(!are_equal(&text, &other), "{at} of {length}");
            }
        }
    }

    #[test]
    fn a_column_that_is_filled_again_knows_nothing_of_before() {
        let mut texts = Texts::default();
        for text in ["a", "bc", "a"] {
            texts.push(text);
        }
        assert_eq!(texts.before(), Some(0));
        texts.clear();
        for text in ["bc", "def", "a"] {
            texts.push(text);
            assert_eq!(texts.before(), None);
        }
        texts.repeat(1);
        assert_eq!((rows(&texts), texts.before()), (vec!["bc", "def", "a", "def"], Some(1)));
    }

    #[test]
    fn rows_come_from_others_whichever_way_they_are_stored() {
        let mut by_number = Texts::default();
        for text in ["x", "y", "x"] {
            by_number.push(text);
        }
        let spread = by_number.spread(&[true; 3]);
        for other in [&by_number, &spread] {
            for own in [&by_number, &spread] {
                let mut sum = own.clone();
                sum.take(other, [2, 1, 1].into_iter(), &[true, false, true]);
                sum.append(other, &[true; 3]);
                assert_eq!(sum.rows(), 9);
                assert_eq!((sum.get(3), &rows(&sum)[6..]), ("x", &["x", "y", "x"][..]));
            }
        }
    }

    #[test]
    fn texts_of_which_each_is_there_once_lose_their_numbers() {
        let mut texts = Texts::default();
        (0..MANY).for_each(|number| texts.push(&number.to_string()));
        assert!(texts.are_scattered(&[true; MANY]));
        let mut there = vec![true; MANY];
        there[3] = false;
        let mut texts = texts.spread(&there);
        assert_eq!((texts.rows(), texts.get(2), texts.get(3), texts.get(MANY - 1)), (MANY, "2", "", "511"));
        (0..MANY).for_each(|_| texts.push("again"));
        assert_eq!((texts.rows(), texts.get(2 * MANY - 1)), (2 * MANY, "again"));
        assert!(!texts.are_scattered(&[true; 2 * MANY]));
        texts.clear();
        assert_eq!(texts.rows(), 0);
    }
}
