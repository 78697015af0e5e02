//! What is measured of connections: when they began, how long they took. All of it adds up in any order.

use serde::{Deserialize, Serialize};

use crate::field::value::Micros;

/// How many of something, the first and the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Start of the first; [`Micros::NONE`] if no line said when.
    pub first: Micros,
    /// Start of the last.
    pub last: Micros,
    /// How many.
    pub count: u64,
}

impl Span {
    /// Counts one more.
    pub fn add(&mut self, at: Micros) {
        self.join(&Span { first: at, last: at, count: 1 });
    }

    /// Whether two spans overlap, or are no more than so many milliseconds apart.
    pub fn is_near(&self, other: &Span, millis: i64) -> bool {
        self.first <= other.last.plus_millis(millis) && other.first <= self.last.plus_millis(millis)
    }

    /// Takes another's counts.
    pub fn join(&mut self, other: &Span) {
        let known = |at: Micros| at != Micros::NONE;
        self.first = match (known(self.first), known(other.first)) {
            (true, true) => self.first.min(other.first),
            (true, false) => self.first,
            (false, _) => other.first,
        };
        self.last = self.last.max(other.last);
        self.count += other.count;
    }
}

/// When connections began: spans of log time, the earliest first, each inside of a step of equal width. Steps are as
/// narrow as their number allows, so what two timelines say of each other is exact at the edges of their spans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    doublings: u8,
    spans: Vec<Span>,
}

impl Timeline {
    /// Spans of one timeline at most.
    const MOST: usize = 16;
    /// The narrowest step: 131 ms.
    const NARROWEST: u8 = 17;

    /// Counts a connection that began then.
    pub fn add(&mut self, at: Micros) {
        if at == Micros::NONE {
            return;
        }
        self.put(Span { first: at, last: at, count: 1 });
    }

    /// Takes another's counts. As many moments need as wide steps, whoever counted them, so this gives what adding them one by
    /// one would.
    pub fn join(&mut self, other: &Timeline) {
        while self.doublings < other.doublings {
            self.widen();
        }
        other.spans.iter().for_each(|span| self.put(*span));
    }

    /// Counts what began inside of one step.
    fn put(&mut self, span: Span) {
        let step = self.step(span.first);
        let place = self.spans.iter().rposition(|known| self.step(known.first) <= step);
        match place {
            Some(place) if self.step(self.spans[place].first) == step => self.spans[place].join(&span),
            place => {
                // No more room than for spans that are there: a hundred thousand timelines have one or two.
                self.spans.reserve_exact(1);
                self.spans.insert(place.map_or(0, |place| place + 1), span);
                while self.spans.len() > Self::MOST {
                    self.widen();
                }
            }
        }
    }

    fn step(&self, at: Micros) -> i64 {
        at.0 >> (Self::NARROWEST + self.doublings)
    }

    fn widen(&mut self) {
        self.doublings += 1;
        let spans = std::mem::take(&mut self.spans);
        for span in spans {
            match self.spans.last().map(|last| self.step(last.first)) {
                Some(step) if step == self.step(span.first) => {
                    let last = self.spans.len() - 1;
                    self.spans[last].join(&span);
                }
                _ => self.spans.push(span),
            }
        }
    }

    /// Whether it can have come about by counting: one that was read from a file may not.
    pub fn is_sound(&self) -> bool {
        let steps = self.doublings < 64 - Self::NARROWEST;
        steps && self.spans.len() <= Self::MOST && self.spans.is_sorted_by_key(|span| (span.first, span.last))
    }

    /// The spans, the earliest first.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.spans.iter().map(|span| span.count).sum()
    }

    /// The last moment before `at` at which a connection is known to have begun.
    pub fn before(&self, at: Micros) -> Option<Micros> {
        moments(&self.spans).filter(|moment| *moment < at).max()
    }

    /// The first moment after `at` at which a connection is known to have begun.
    pub fn after(&self, at: Micros) -> Option<Micros> {
        moments(&self.spans).filter(|moment| *moment > at).min()
    }
}

/// The moments at which connections are known to have begun.
pub fn moments(spans: &[Span]) -> impl Iterator<Item = Micros> {
    spans.iter().flat_map(|span| [span.first, span.last])
}

/// Whether a connection is known to have begun between two moments, these included.
pub fn has_between(spans: &[Span], from: Micros, to: Micros) -> bool {
    moments(spans).any(|moment| from <= moment && moment <= to)
}

/// How long things took, in milliseconds to two digits: 1003 and 1047 are both 1000. Only the extremes are exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Length, how often, and the sum of what was counted under it, the shortest first.
    lengths: Vec<(u32, u64, u64)>,
    /// Shortest and longest.
    range: Option<(u32, u32)>,
}

impl Spread {
    /// Counts one.
    pub fn add(&mut self, millis: u32) {
        let mut unit = 1;
        while millis / unit >= 100 {
            unit *= 10;
        }
        self.widen((millis, millis));
        self.put(millis / unit * unit, 1, millis.into());
    }

    fn put(&mut self, length: u32, count: u64, sum: u64) {
        match self.lengths.binary_search_by_key(&length, |(length, ..)| *length) {
            Ok(place) => {
                let (_, known, total) = &mut self.lengths[place];
                (*known, *total) = (*known + count, *total + sum);
            }
            Err(place) => {
                self.lengths.reserve_exact(1);
                self.lengths.insert(place, (length, count, sum));
            }
        }
    }

    fn widen(&mut self, (low, high): (u32, u32)) {
        self.range = Some(self.range.map_or((low, high), |(shortest, longest)| (shortest.min(low), longest.max(high))));
    }

    /// Takes another's counts.
    pub fn join(&mut self, other: &Spread) {
        if let Some(range) = other.range {
            self.widen(range);
        }
        for (length, count, sum) in &other.lengths {
            self.put(*length, *count, *sum);
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.lengths.iter().map(|(_, count, _)| count).sum()
    }

    /// Whether it can have come about by counting: one that was read from a file may not.
    pub fn is_sound(&self) -> bool {
        self.lengths.is_sorted_by(|one, other| one.0 < other.0) && self.lengths.iter().all(|(_, count, _)| *count > 0)
    }

    /// Everything that was counted in it, to see whether it can be added up.
    pub fn sums(&self) -> impl Iterator<Item = u64> {
        self.lengths.iter().flat_map(|(_, count, sum)| [*count, *sum])
    }

    /// How many took at least so long.
    pub fn at_least(&self, millis: u32) -> u64 {
        self.lengths.iter().filter(|(length, ..)| *length >= millis).map(|(_, count, _)| count).sum()
    }

    /// Shortest and longest.
    pub fn range(&self) -> Option<(u32, u32)> {
        self.range
    }

    /// The length that nearly all (nine of ten, and two at least) of those from `least` on have, give or take a
    /// twentieth: a timeout shows as one. It is their mean.
    pub fn constant(&self, least: u32) -> Option<u32> {
        let long = || self.lengths.iter().filter(|(length, ..)| *length >= least);
        let total: u64 = long().map(|(_, count, _)| count).sum();
        let (most, ..) = long().max_by_key(|(length, count, _)| (*count, std::cmp::Reverse(*length)))?;
        let near = |other: u32| u64::from(other.abs_diff(*most)) * 20 <= u64::from(*most);
        let (there, sum) = long()
            .filter(|(length, ..)| near(*length))
            .fold((0, 0), |(count, sum), (_, more, length)| (count + more, sum + length));
        (there >= 2 && there * 10 >= total * 9).then_some(u32::try_from(sum / there).unwrap_or(u32::MAX))
    }
}

/// Milliseconds for people: `1003 ms`, `10 s`, `1 h`.
pub fn duration(millis: u32) -> String {
    // The longest unit in which the number is at least ten, or whole to one part in a thousand.
    for (unit, name) in [(3_600_000, "h"), (60_000, "min"), (1000, "s")] {
        let count = millis / unit + u32::from(millis % unit >= unit / 2);
        if count >= 10 || count > 0 && millis.abs_diff(count * unit) <= millis / 1000 {
            return format!("{count} {name}");
        }
    }
    format!("{millis} ms")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timeline(seconds: impl Iterator<Item = i64>) -> Timeline {
        let mut timeline = Timeline::default();
        seconds.for_each(|second| timeline.add(Micros(1_700_000_000_000_000 + second * 1_000_000)));
        timeline
    }

    #[test]
    fn a_timeline_does_not_depend_on_the_order() {
        let seconds = || (0..5_000).map(|number| number * 7919 % 86_400);
        let mut sorted: Vec<i64> = seconds().collect();
        sorted.sort_unstable();
        let (one, other) = (timeline(seconds()), timeline(sorted.into_iter()));
        assert_eq!(one.spans(), other.spans());
        assert!(one.spans().len() <= Timeline::MOST && one.spans().len() > Timeline::MOST / 2 - 1);
        assert_eq!(one.spans().iter().map(|span| span.count).sum::<u64>(), 5_000);
    }

    proptest! {
        #[test]
        fn what_is_counted_apart_adds_up_in_any_order(
            moments in prop::collection::vec((0usize..4, prop_oneof![0i64..100_000_000, 0i64..1 << 45, Just(0)], 0u32..200_000), 0..80),
            order in Just([0, 1, 2, 3]).prop_shuffle(),
        ) {
            let (mut whole, mut parts) = (<(Timeline, Spread)>::default(), <[(Timeline, Spread); 4]>::default());
            for (part, at, millis) in moments {
                for (timeline, spread) in [&mut whole, &mut parts[part]] {
                    timeline.add(Micros(at));
                    spread.add(millis);
                }
            }
            let mut sum = <(Timeline, Spread)>::default();
            for (timeline, spread) in order.map(|part| &parts[part]) {
                sum.0.join(timeline);
                sum.1.join(spread);
            }
            prop_assert_eq!(&sum, &whole);
            prop_assert!(sum.0.is_sound() && sum.1.is_sound());
        }
    }

    #[test]
    fn a_timeline_knows_what_came_before_and_after() {
        let timeline = timeline([10, 12, 50].into_iter());
        let at = |second: i64| Micros(1_700_000_000_000_000 + second * 1_000_000);
        assert_eq!(timeline.before(at(40)), Some(at(12)));
        assert_eq!(timeline.after(at(40)), Some(at(50)));
        assert_eq!((timeline.before(at(10)), timeline.after(at(50))), (None, None));
    }

    #[test]
    fn a_constant_is_what_nearly_all_have() {
        let mut spread = Spread::default();
        for millis in [1001, 1003, 1000, 999, 2, 0] {
            spread.add(millis);
        }
        assert_eq!(spread.constant(100), Some(1000), "their mean");
        assert_eq!((spread.at_least(900), spread.count(), spread.range()), (4, 6, Some((0, 1003))));
        spread.add(400);
        assert_eq!(spread.constant(100), None);
        assert_eq!(Spread::default().constant(0), None);
    }

    #[test]
    fn durations_are_told_in_the_unit_that_fits() {
        for (millis, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (1003, "1003 ms"),
            (9_995, "10 s"),
            (90_000, "90 s"),
            (120_000, "2 min"),
            (3_599_998, "1 h"),
            (u32::MAX, "1193 h"),
        ] {
            assert_eq!(duration(millis), shown);
        }
    }
}
