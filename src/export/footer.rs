//! The end of a Parquet file: what it says about its row groups, each of them encoded as soon as it is written.
//!
//! polars' writer keeps row groups as values until the file ends, 3 to 4 KB a column, so its memory grows with the file. Encoded they
//! are 80 to 90 bytes a column, and lie in a temporary file. Source: parquet.thrift of the Parquet format, Thrift's compact protocol.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use polars::prelude::PolarsResult;
use polars_parquet::parquet::PARQUET_MAGIC;
use polars_parquet::parquet::error::ParquetError;
use polars_parquet::write::ThriftFileMetadata;
use polars_parquet_format::thrift::Result;
use polars_parquet_format::thrift::protocol::{
    TCompactOutputProtocol, TFieldIdentifier, TListIdentifier, TOutputProtocol, TStructIdentifier, TType,
};
use polars_parquet_format::{ColumnChunk, ColumnMetaData, RowGroup};

/// How many bytes of row groups lie in memory.
const STAY: usize = 64 << 10;

/// What stands at the end of a file.
pub(super) struct Footer {
    /// All but the row groups.
    said: ThriftFileMetadata,
    /// The last row groups, encoded, one behind the other.
    groups: Vec<u8>,
    /// Those before them, and how many bytes these are.
    away: Option<(File, u64)>,
    /// How many all of them are.
    count: usize,
}

impl Footer {
    /// `said` is what a file without row groups says.
    pub(super) fn new(said: ThriftFileMetadata) -> Footer {
        Footer { said, groups: Vec::new(), away: None, count: 0 }
    }

    /// Adds a row group of so many rows that begins somewhere.
    pub(super) fn add(&mut self, columns: Vec<ColumnChunk>, rows: i64, begin: i64) -> PolarsResult<()> {
        let sum =
            |bytes: fn(&ColumnMetaData) -> i64| columns.iter().flat_map(|column| &column.meta_data).map(bytes).sum();
        let (plain, compressed) = (sum(|said| said.total_uncompressed_size), sum(|said| said.total_compressed_size));
        let ordinal = i16::try_from(self.count).ok();
        let group = RowGroup::new(columns, plain, rows, None, begin, compressed, ordinal);
        group.write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut self.groups)).map_err(ParquetError::from)?;
        self.said.num_rows += rows;
        self.count += 1;
        if self.groups.len() >= STAY {
            self.put_away();
        }
        Ok(())
    }

    /// Writes down the row groups that are in memory. If that cannot be they stay there, until the next ones come.
    fn put_away(&mut self) {
        if self.away.is_none() {
            self.away = tempfile::tempfile().ok().map(|file| (file, 0));
        }
        if let Some((file, length)) = &mut self.away
            && file.write_all_at(&self.groups, *length).is_ok()
        {
            *length += self.groups.len() as u64;
            self.groups.clear();
        }
    }

    /// Writes all of it, and the end of the file.
    pub(super) fn write(&self, out: &mut impl Write) -> PolarsResult<()> {
        let length = self.message(&mut TCompactOutputProtocol::new(&mut *out)).map_err(ParquetError::from)?;
        let length = u32::try_from(length).map_err(ParquetError::from)?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&PARQUET_MAGIC)?;
        Ok(())
    }

    /// `FileMetaData`, field by field; says how many bytes it takes.
    fn message(&self, out: &mut impl TOutputProtocol) -> Result<usize> {
        let said = &self.said;
        let mut length = out.write_struct_begin(&TStructIdentifier::new("FileMetaData"))?;
        length += field(out, 1, TType::I32)? + out.write_i32(said.version)?;
        length += list(out, 2, said.schema.len())?;
        for element in &said.schema {
            length += element.write_to_out_protocol(out)?;
        }
        length += field(out, 3, TType::I64)? + out.write_i64(said.num_rows)?;
        length += list(out, 4, self.count)?;
        let mut write = |bytes: &[u8]| -> Result<()> {
            for byte in bytes {
                length += out.write_byte(*byte)?;
            }
            Ok(())
        };
        if let Some((file, away)) = &self.away {
            let mut bytes = [0; 4 << 10];
            for at in (0..*away).step_by(bytes.len()) {
                let some = (*away - at).min(bytes.len() as u64) as usize;
                file.read_exact_at(&mut bytes[..some], at)?;
                write(&bytes[..some])?;
            }
        }
        write(&self.groups)?;
        if let Some(pairs) = &said.key_value_metadata {
            length += list(out, 5, pairs.len())?;
            for pair in pairs {
                length += pair.write_to_out_protocol(out)?;
            }
        }
        if let Some(by) = &said.created_by {
            length += field(out, 6, TType::String)? + out.write_string(by)?;
        }
        if let Some(orders) = &said.column_orders {
            length += list(out, 7, orders.len())?;
            for order in orders {
                length += order.write_to_out_protocol(out)?;
            }
        }
        Ok(length + out.write_field_stop()? + out.write_struct_end()?)
    }
}

fn field(out: &mut impl TOutputProtocol, id: i16, kind: TType) -> Result<usize> {
    out.write_field_begin(&TFieldIdentifier::new("", kind, id))
}

/// A field that is a list of so many structs, which follow.
fn list(out: &mut impl TOutputProtocol, id: i16, length: usize) -> Result<usize> {
    Ok(field(out, id, TType::List)? + out.write_list_begin(&TListIdentifier::new(TType::Struct, length.try_into()?))?)
}

#[cfg(test)]
mod tests {
    use polars_parquet_format::{ColumnOrder, KeyValue, SchemaElement, TypeDefinedOrder};

    use super::*;

    fn element(name: &str) -> SchemaElement {
        SchemaElement::new(None, None, None, name.to_owned(), Some(1), None, None, None, None, None)
    }

    #[test]
    fn it_is_what_the_formats_own_encoder_writes() {
        // The head of a list has another form from fifteen on.
        for groups in [0, 1, 14, 15, 300, 8000] {
            let said = ThriftFileMetadata::new(
                1,
                vec![element("schema"), element("pod")],
                0,
                Vec::new(),
                Some(vec![KeyValue::new("key".to_owned(), Some("value".to_owned()))]),
                Some("Polars".to_owned()),
                Some(vec![ColumnOrder::TYPEORDER(TypeDefinedOrder {})]),
                None,
                None,
            );
            let mut footer = Footer::new(said.clone());
            let mut own = said;
            for number in 0..groups {
                footer.add(Vec::new(), 7, 4 + number).unwrap();
                let ordinal = i16::try_from(number).ok();
                own.row_groups.push(RowGroup::new(Vec::new(), 0, 7, None, 4 + number, 0, ordinal));
            }
            own.num_rows = 7 * groups;
            let (mut expected, mut written) = (Vec::new(), Vec::new());
            let length = own.write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut expected)).unwrap();
            assert_eq!(length, expected.len());
            expected.extend(u32::try_from(length).unwrap().to_le_bytes());
            expected.extend(PARQUET_MAGIC);
            footer.write(&mut written).unwrap();
            assert_eq!(written, expected, "{groups} row groups");
        }
    }
}
