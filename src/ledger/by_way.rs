//! `ByWay`: rows that are found by the number of their way. There are more of them than ways, so they are one sorted list.

/// Rows by the number of their way.
#[derive(Clone, Debug)]
pub struct ByWay<T>(Vec<(u32, T)>);

impl<T: Ord> ByWay<T> {
    /// These rows.
    pub fn new(mut rows: Vec<(u32, T)>) -> ByWay<T> {
        rows.sort_unstable();
        ByWay(rows)
    }
}

impl<T> ByWay<T> {
    /// The rows of a way, in order.
    pub fn of(&self, way: u32) -> impl Iterator<Item = &T> {
        let first = self.0.partition_point(|(number, _)| *number < way);
        self.0[first..].iter().take_while(move |(number, _)| *number == way).map(|(_, row)| row)
    }

    /// Whether a way has any.
    pub fn has(&self, way: u32) -> bool {
        self.of(way).next().is_some()
    }

    /// All rows, by way.
    pub fn iter(&self) -> impl Iterator<Item = &(u32, T)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_has_its_rows_and_no_others() {
        let rows = ByWay::new(vec![(7, 'c'), (2, 'x'), (7, 'a'), (9, 'y'), (7, 'b')]);
        assert_eq!(rows.of(7).collect::<String>(), "abc");
        assert_eq!([0, 2, 8, 9, 10].map(|way| rows.of(way).count()), [0, 1, 0, 1, 0]);
        assert!(rows.has(2) && !rows.has(3));
    }
}
