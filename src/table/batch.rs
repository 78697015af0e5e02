//! `Batch`: rows as columns of values. What exports are made of, a few ten thousand rows at a time.

use super::{Cell, Kind, Texts};
use crate::field::value::Micros;

/// The values of a column.
#[derive(Clone, Debug)]
pub enum Values {
    /// Texts.
    Text(Texts),
    /// Numbers, and instants in microseconds; 0 where there is none.
    Number(Vec<i64>),
    /// True or false; false where there is none.
    Truth(Vec<bool>),
}

/// A column. Most columns of most logs are empty, so what is absent at the end is not written down: it is as long as the
/// last row that has a value.
#[derive(Clone, Debug)]
struct Column {
    values: Values,
    /// Which of the values are there.
    there: Vec<bool>,
}

/// After so many rows it is looked at which texts repeat.
const LOOKS: usize = 512;

/// Rows of a table.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    columns: Vec<Column>,
    rows: usize,
}

impl Column {
    fn new(kind: Kind) -> Column {
        let values = match kind {
            Kind::Text => Values::Text(Texts::default()),
            Kind::Whole | Kind::Small | Kind::Time => Values::Number(Vec::new()),
            Kind::Truth => Values::Truth(Vec::new()),
        };
        Column { values, there: Vec::new() }
    }

    /// Writes down what is absent, up to a row.
    #[inline]
    fn fill(&mut self, rows: usize) {
        if self.there.len() < rows {
            self.grow(rows);
        }
    }

    #[inline(never)]
    fn grow(&mut self, rows: usize) {
        self.there.resize(rows, false);
        match &mut self.values {
            Values::Text(texts) => texts.pad(rows),
            Values::Number(numbers) => numbers.resize(rows, 0),
            Values::Truth(truths) => truths.resize(rows, false),
        }
    }

    /// Adds all values of another column of the same kind, behind `rows` rows.
    fn extend(&mut self, from: &Column, rows: usize) {
        if from.there.is_empty() {
            return;
        }
        self.fill(rows);
        self.there.extend_from_slice(&from.there);
        match (&mut self.values, &from.values) {
            (Values::Text(to), Values::Text(texts)) => to.append(texts, &from.there),
            (Values::Number(to), Values::Number(from)) => to.extend_from_slice(from),
            (Values::Truth(to), Values::Truth(from)) => to.extend_from_slice(from),
            _ => debug_assert!(false, "columns of different kinds"),
        }
        self.spread();
    }

    /// Adds some rows of another column of the same kind, behind `rows` rows.
    fn take(&mut self, from: &Column, taken: &[usize], rows: usize) {
        let is_there = |row: &usize| from.there.get(*row).copied().unwrap_or_default();
        let Some(last) = taken.iter().rposition(is_there) else { return };
        let taken = &taken[..=last];
        self.fill(rows);
        self.there.extend(taken.iter().map(is_there));
        match (&mut self.values, &from.values) {
            (Values::Text(to), Values::Text(texts)) => to.take(texts, taken.iter().copied(), &from.there),
            (Values::Number(to), Values::Number(from)) => {
                to.extend(taken.iter().map(|row| from.get(*row).unwrap_or(&0)));
            }
            (Values::Truth(to), Values::Truth(from)) => {
                to.extend(taken.iter().map(|row| from.get(*row).unwrap_or(&false)));
            }
            _ => debug_assert!(false, "columns of different kinds"),
        }
        self.spread();
    }

    /// Lets texts go without numbers where these are of no use.
    fn spread(&mut self) {
        if let Values::Text(texts) = &mut self.values
            && texts.are_scattered(&self.there)
        {
            *texts = texts.spread(&self.there);
        }
    }

    /// Adds a value behind `rows` rows.
    fn put(&mut self, cell: Cell<'_>, rows: usize) {
        self.fill(rows);
        match (&mut self.values, cell) {
            (Values::Text(texts), Cell::Text(value)) => texts.push(&value),
            (Values::Number(numbers), Cell::Number(number)) => numbers.push(number),
            (Values::Number(numbers), Cell::Time(at)) => numbers.push(at.0),
            (Values::Truth(truths), Cell::Truth(truth)) => truths.push(truth),
            _ => return,
        }
        self.there.push(true);
    }

    /// Adds the value of another row behind `rows` rows.
    fn repeat(&mut self, row: usize, rows: usize) {
        if !self.there.get(row).copied().unwrap_or_default() {
            return;
        }
        self.fill(rows);
        match &mut self.values {
            Values::Text(texts) => texts.repeat(row),
            Values::Number(numbers) => numbers.push(numbers[row]),
            Values::Truth(truths) => truths.push(truths[row]),
        }
        self.there.push(true);
    }

    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        self.there.len()
            + match &self.values {
                Values::Text(texts) => texts.bytes(),
                Values::Number(numbers) => 8 * numbers.len(),
                Values::Truth(truths) => truths.len(),
            }
    }
}

impl Batch {
    /// Empty, with columns of these kinds.
    pub fn new(kinds: impl Iterator<Item = Kind>) -> Batch {
        Batch { columns: kinds.map(Column::new).collect(), rows: 0 }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Sets the cell of a column in the next row. A cell of another kind than the column's is absent.
    #[inline]
    pub(super) fn put(&mut self, column: usize, cell: Cell<'_>) {
        if !matches!(cell, Cell::Absent) {
            self.columns[column].put(cell, self.rows);
        }
    }

    /// Sets the cell of a column in the next row, which follows from that of another column there; `cell` is asked for it if no row
    /// before has it.
    pub(super) fn follow<'c>(&mut self, column: usize, base: usize, cell: impl FnOnce() -> Cell<'c>) {
        let Column { values, there } = &self.columns[base];
        if there.len() <= self.rows {
            return;
        }
        let before = if let Values::Text(texts) = values { texts.before() } else { None };
        // Where batches were appended, that row may be one without a text.
        match before.filter(|row| there[*row]) {
            Some(row) => self.columns[column].repeat(row, self.rows),
            None => self.put(column, cell()),
        }
    }

    /// All columns have their cell.
    pub(super) fn end_row(&mut self) {
        self.rows += 1;
        // Whether texts repeat is seen after some hundred of them.
        if self.rows.is_multiple_of(LOOKS) {
            self.columns.iter_mut().for_each(Column::spread);
        }
    }

    /// About how many bytes of memory the rows take.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Column::bytes).sum()
    }

    /// The columns: the values of all rows, and which of them are there; nothing if none is.
    pub fn columns(&mut self) -> impl Iterator<Item = (&Values, &[bool])> {
        let some = |column: &&mut Column| !column.there.is_empty();
        self.columns.iter_mut().filter(some).for_each(|column| column.fill(self.rows));
        self.columns.iter().map(|column| (&column.values, &column.there[..]))
    }

    /// Adds the rows of another batch with the same columns, for which `keep` says so.
    pub fn append(&mut self, other: &Batch, keep: impl Fn(usize) -> bool) {
        let kept: Vec<usize> = (0..other.rows).filter(|row| keep(*row)).collect();
        if kept.len() < other.rows {
            return self.take(other, &kept, |number| number);
        }
        for (own, from) in self.columns.iter_mut().zip(&other.columns) {
            own.extend(from, self.rows);
        }
        self.rows += other.rows;
    }

    /// Adds some rows of another batch; `from` tells in which of its columns the values of one of ours stand.
    pub fn take(&mut self, other: &Batch, rows: &[usize], from: impl Fn(usize) -> usize) {
        for (number, own) in self.columns.iter_mut().enumerate() {
            own.take(&other.columns[from(number)], rows, self.rows);
        }
        self.rows += rows.len();
    }

    /// A cell, as it was put.
    pub fn cell(&self, column: usize, row: usize, kind: Kind) -> Cell<'_> {
        let Column { values, there } = &self.columns[column];
        if !there.get(row).copied().unwrap_or_default() {
            return Cell::Absent;
        }
        match values {
            Values::Text(texts) => Cell::Text(texts.get(row).into()),
            Values::Number(numbers) if kind == Kind::Time => Cell::Time(Micros(numbers[row])),
            Values::Number(numbers) => Cell::Number(numbers[row]),
            Values::Truth(truths) => Cell::Truth(truths[row]),
        }
    }

    /// Forgets all rows and keeps the room.
    pub fn clear(&mut self) {
        for Column { values, there } in &mut self.columns {
            there.clear();
            match values {
                Values::Text(texts) => texts.clear(),
                Values::Number(numbers) => numbers.clear(),
                Values::Truth(truths) => truths.clear(),
            }
        }
        self.rows = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 4] = [Kind::Text, Kind::Whole, Kind::Truth, Kind::Time];

    fn batch() -> Batch {
        let mut batch = Batch::new(KINDS.into_iter());
        for number in 0..5 {
            batch.put(0, if number == 2 { Cell::Absent } else { Cell::Text(format!("t{number}").into()) });
            batch.put(1, if number == 3 { Cell::Text("no number".into()) } else { Cell::Number(number) });
            batch.put(2, Cell::Truth(number % 2 == 0));
            batch.put(3, Cell::Time(Micros(number)));
            batch.end_row();
        }
        batch
    }

    fn row(batch: &Batch, row: usize) -> Vec<Cell<'_>> {
        KINDS.iter().enumerate().map(|(column, kind)| batch.cell(column, row, *kind)).collect()
    }

    #[test]
    fn what_was_put_comes_out() {
        let batch = batch();
        assert_eq!(
            row(&batch, 1),
            [Cell::Text("t1".into()), Cell::Number(1), Cell::Truth(false), Cell::Time(Micros(1))]
        );
        assert_eq!(row(&batch, 2)[0], Cell::Absent);
        assert_eq!(row(&batch, 3)[1], Cell::Absent);
    }

    #[test]
    fn cells_that_follow_are_asked_for_once_a_text() {
        let mut batch = Batch::new([Kind::Text, Kind::Whole].into_iter());
        let mut asked = 0;
        for text in [Some("a"), Some("b"), None, Some("a"), Some("b")] {
            batch.put(0, text.map_or(Cell::Absent, Cell::text));
            batch.follow(1, 0, || {
                asked += 1;
                if text == Some("a") { Cell::Number(7) } else { Cell::Absent }
            });
            batch.end_row();
        }
        let cells: Vec<Cell<'_>> = (0..5).map(|row| batch.cell(1, row, Kind::Whole)).collect();
        assert_eq!(cells, [Cell::Number(7), Cell::Absent, Cell::Absent, Cell::Number(7), Cell::Absent]);
        assert_eq!(asked, 2);
    }

    #[test]
    fn cells_follow_from_rows_that_have_the_text() {
        let rows = |batch: &mut Batch, texts: &[Option<&'static str>]| {
            for text in texts {
                batch.put(0, text.map_or(Cell::Absent, Cell::text));
                batch.follow(1, 0, || Cell::Number(7));
                batch.end_row();
            }
        };
        let mut batches = [0, 1].map(|_| Batch::new([Kind::Text, Kind::Whole].into_iter()));
        let [sum, other] = &mut batches;
        rows(other, &[None, Some("a")]);
        sum.append(other, |_| true);
        rows(sum, &[Some("a")]);
        let cells: Vec<Cell<'_>> = (0..3).map(|row| sum.cell(1, row, Kind::Whole)).collect();
        assert_eq!(cells, [Cell::Absent, Cell::Number(7), Cell::Number(7)]);
    }

    #[test]
    fn rows_are_appended_whole_or_in_part() {
        let one = batch();
        let mut sum = batch();
        sum.append(&one, |row| row % 2 == 1);
        assert_eq!(sum.rows(), 7);
        assert_eq!(row(&sum, 5), row(&one, 1));
        assert_eq!(row(&sum, 6), row(&one, 3));
        sum.append(&one, |_| true);
        assert_eq!(row(&sum, 7 + 4), row(&one, 4));
        sum.clear();
        sum.append(&one, |_| true);
        assert_eq!((sum.rows(), row(&sum, 1)), (5, row(&one, 1)));
    }
}
