//! `Chunk`: a column of a row group as Parquet stores it: pages of its values, compressed, and what the file says of them.
//!
//! Texts that repeat have numbers already, which become those of a dictionary as they are. Source: Data Pages and Encodings of the
//! Parquet format, its first version, which every reader knows.

use polars_parquet::parquet::encoding::hybrid_rle;
use polars_parquet::parquet::error::ParquetError;
use polars_parquet_format::thrift::protocol::TCompactOutputProtocol;
use polars_parquet_format::{
    ColumnMetaData, CompressionCodec, DataPageHeader, DictionaryPageHeader, Encoding, PageHeader, PageType, Statistics,
    Type,
};
use zstd::bulk::Compressor;

use crate::table::{Kind, Texts, Values};

/// As small as with the usual level, 3, in half of the time.
const LEVEL: i32 = 1;
/// Texts of more bytes make another page: readers take pages whole.
const PAGE: usize = 1 << 20;
/// A dictionary is worth its room if so many rows share an entry. Most small numbers are ports, and those that a system chooses
/// hardly repeat.
const SHARE: usize = 8;

/// A column of a row group.
pub(super) struct Chunk {
    /// Its pages, one behind the other.
    pub(super) pages: Box<[u8]>,
    /// What is said of them by a file that begins with them; not what the column is called.
    pub(super) said: ColumnMetaData,
}

/// Pages that are being made.
struct Pages {
    bytes: Vec<u8>,
    said: ColumnMetaData,
    /// What the next page holds.
    plain: Vec<u8>,
    compressor: Compressor<'static>,
}

type Result<T> = std::result::Result<T, ParquetError>;

impl Chunk {
    /// A column of so many rows; `there` tells which have a value, and is empty if none has.
    pub(super) fn of(kind: Kind, values: &Values, there: &[bool], rows: usize) -> Result<Chunk> {
        let mut pages = Pages::new(kind, rows)?;
        match values {
            _ if there.is_empty() => pages.data(&vec![false; rows], Encoding::PLAIN, |_| ())?,
            Values::Text(texts) => pages.texts(texts, there)?,
            Values::Number(numbers) if kind == Kind::Small => pages.small(numbers, there)?,
            Values::Number(numbers) => pages.large(numbers, there)?,
            Values::Truth(truths) => pages.truths(truths, there)?,
        }
        Ok(Chunk { pages: pages.bytes.into(), said: pages.said })
    }
}

impl Pages {
    fn new(kind: Kind, rows: usize) -> Result<Pages> {
        let kind = match kind {
            Kind::Text => Type::BYTE_ARRAY,
            Kind::Whole | Kind::Time => Type::INT64,
            Kind::Small => Type::INT32,
            Kind::Truth => Type::BOOLEAN,
        };
        let statistics = Statistics::new(None, None, size(rows), None, None, None, None, None);
        let said = ColumnMetaData {
            type_: kind,
            encodings: vec![Encoding::PLAIN, Encoding::RLE],
            path_in_schema: Vec::new(),
            codec: CompressionCodec::ZSTD,
            num_values: size(rows),
            total_uncompressed_size: 0,
            total_compressed_size: 0,
            key_value_metadata: None,
            data_page_offset: 0,
            index_page_offset: None,
            dictionary_page_offset: None,
            statistics: Some(statistics),
            encoding_stats: None,
            bloom_filter_offset: None,
            bloom_filter_length: None,
            size_statistics: None,
        };
        Ok(Pages { bytes: Vec::new(), said, plain: Vec::new(), compressor: Compressor::new(LEVEL)? })
    }

    fn texts(&mut self, texts: &Texts, there: &[bool]) -> Result<()> {
        let (text, offsets, numbers) = texts.parts();
        let text = |number: usize| &text.as_bytes()[offsets[number]..offsets[number + 1]];
        let put = |number: usize, out: &mut Vec<u8>| {
            out.extend((text(number).len() as u32).to_le_bytes());
            out.extend_from_slice(text(number));
        };
        if let Some(numbers) = numbers {
            let entries = offsets.len() - 1;
            self.range(|| (0..entries).map(text), there, <[u8]>::to_vec);
            self.dictionary(entries, |out| (0..entries).for_each(|number| put(number, out)))?;
            return self.numbers(there, &some(numbers, there).collect::<Vec<u32>>(), entries);
        }
        self.range(|| (0..there.len()).filter(|row| there[*row]).map(text), there, <[u8]>::to_vec);
        let mut begin = 0;
        while begin < there.len() {
            let end = (begin + 1..there.len()).find(|row| offsets[*row] - offsets[begin] >= PAGE);
            let rows = begin..end.unwrap_or(there.len());
            begin = rows.end;
            self.data(&there[rows.clone()], Encoding::PLAIN, |out| {
                rows.filter(|row| there[*row]).for_each(|row| put(row, out));
            })?;
        }
        Ok(())
    }

    /// Numbers of 64 bits.
    fn large(&mut self, numbers: &[i64], there: &[bool]) -> Result<()> {
        let numbers = || some(numbers, there);
        self.range(numbers, there, |number| number.to_le_bytes().to_vec());
        self.data(there, Encoding::PLAIN, |out| numbers().for_each(|number| out.extend(number.to_le_bytes())))
    }

    fn truths(&mut self, truths: &[bool], there: &[bool]) -> Result<()> {
        let truths: Vec<bool> = some(truths, there).collect();
        self.range(|| truths.iter().copied(), there, |truth| vec![truth.into()]);
        let byte = |truths: &[bool]| truths.iter().rev().fold(0, |byte, truth| byte << 1 | u8::from(*truth));
        self.data(there, Encoding::PLAIN, |out| out.extend(truths.chunks(8).map(byte)))
    }

    /// Numbers of 32 bits. What is larger is not there.
    fn small(&mut self, numbers: &[i64], there: &[bool]) -> Result<()> {
        let fits = |(number, there): (&i64, &bool)| *there && i32::try_from(*number).is_ok();
        let there: Vec<bool> = numbers.iter().zip(there).map(fits).collect();
        let numbers: Vec<i32> = some(numbers, &there).map(|number| number as i32).collect();
        self.range(|| numbers.iter().copied(), &there, |number| number.to_le_bytes().to_vec());
        let put =
            |numbers: &[i32], out: &mut Vec<u8>| numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        let Some((entries, places)) = shared(&numbers) else {
            return self.data(&there, Encoding::PLAIN, |out| put(&numbers, out));
        };
        self.dictionary(entries.len(), |out| put(&entries, out))?;
        self.numbers(&there, &places, entries.len())
    }

    /// Says between which values the others are, and how many are not there.
    fn range<T: Ord, V: Iterator<Item = T>>(
        &mut self,
        values: impl Fn() -> V,
        there: &[bool],
        bytes: fn(T) -> Vec<u8>,
    ) {
        if let Some(said) = &mut self.said.statistics {
            said.null_count = Some(size(there.iter().filter(|there| !**there).count()));
            (said.min_value, said.max_value) = (values().min().map(bytes), values().max().map(bytes));
        }
    }

    /// Adds the page of a dictionary.
    fn dictionary(&mut self, entries: usize, put: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.said.encodings = vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
        self.said.dictionary_page_offset = Some(0);
        put(&mut self.plain);
        let header = DictionaryPageHeader::new(i32::try_from(entries)?, Encoding::PLAIN, false);
        self.page(PageType::DICTIONARY_PAGE, None, Some(header))?;
        self.said.data_page_offset = size(self.bytes.len());
        Ok(())
    }

    /// Adds a page of values that are numbers of a dictionary with so many entries.
    fn numbers(&mut self, there: &[bool], numbers: &[u32], entries: usize) -> Result<()> {
        let width = entries.saturating_sub(1).checked_ilog2().map_or(1, |bits| bits + 1);
        let mut places = vec![width as u8];
        hybrid_rle::encode(&mut places, numbers.iter().copied(), width)?;
        self.data(there, Encoding::RLE_DICTIONARY, |out| out.extend(places))
    }

    /// Adds a page of values; `put` adds those that are there.
    fn data(&mut self, there: &[bool], encoding: Encoding, put: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.plain.extend([0; 4]);
        hybrid_rle::encode(&mut self.plain, there.iter().copied(), 1)?;
        let levels = self.plain.len() - 4;
        self.plain[..4].copy_from_slice(&(levels as u32).to_le_bytes());
        put(&mut self.plain);
        let header = DataPageHeader::new(i32::try_from(there.len())?, encoding, Encoding::RLE, Encoding::RLE, None);
        self.page(PageType::DATA_PAGE, Some(header), None)
    }

    fn page(
        &mut self,
        kind: PageType,
        data: Option<DataPageHeader>,
        dictionary: Option<DictionaryPageHeader>,
    ) -> Result<()> {
        let compressed = self.compressor.compress(&self.plain)?;
        let sizes = (i32::try_from(self.plain.len())?, i32::try_from(compressed.len())?);
        let header = PageHeader::new(kind, sizes.0, sizes.1, None, data, None, dictionary, None);
        let head = header.write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut self.bytes))?;
        self.bytes.extend_from_slice(&compressed);
        self.said.total_uncompressed_size += size(head + self.plain.len());
        self.said.total_compressed_size = size(self.bytes.len());
        self.plain.clear();
        Ok(())
    }
}

/// The values that are there.
fn some<'v, T: Copy>(values: &'v [T], there: &'v [bool]) -> impl Iterator<Item = T> + 'v {
    values.iter().zip(there).filter(|(_, there)| **there).map(|(value, _)| *value)
}

/// Numbers that are few as the entries of a dictionary, and the place of each among them.
fn shared(numbers: &[i32]) -> Option<(Vec<i32>, Vec<u32>)> {
    const NONE: u32 = u32::MAX;
    let (mut entries, mut known) = (Vec::new(), vec![NONE; 1 << 16]);
    let place = |number: &i32| {
        let place = known.get_mut(usize::try_from(*number).ok()?)?;
        if *place == NONE {
            *place = entries.len() as u32;
            entries.push(*number);
        }
        (SHARE * entries.len() <= numbers.len()).then_some(*place)
    };
    let places = numbers.iter().map(place).collect::<Option<Vec<u32>>>()?;
    (!entries.is_empty()).then_some((entries, places))
}

/// A size as Parquet writes it.
pub(super) fn size(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
