//! Compressed bytes, told by their first ones and not by a name; one around the other as well. Text in UTF-16 is told and
//! taken off in the same way.
//!
//! Sources: RFC 1952 (gzip), RFC 8878 (Zstandard), the bzip2, xz and LZ4 frame formats.

use std::io::{self, BufReader, Chain, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::utf16::Utf16;

/// Any bytes.
pub type Bytes = Box<dyn Read + Send>;

/// How many compressions may lie around each other, and archives in archives.
pub const DEPTH: usize = 4;
/// How many times its size a compressed input may grow to, once it has grown past `ALWAYS`.
pub const EXPANSION: u64 = 250;
/// Up to here any ratio is believed.
const ALWAYS: u64 = 1 << 30;
/// The largest window of a zstd frame, as a power of two: what `zstd --long=31` writes would take 2 GiB.
const WINDOW: u32 = 27;

/// How large the decoders' steps are: what a step has read when it meets damage is lost.
const STEP: usize = 8 << 10;

/// What an input was and what became of it: stops what grows out of all proportion. Clones count together.
#[derive(Clone, Debug)]
pub struct Growth {
    read: Arc<AtomicU64>,
    grown: Arc<AtomicU64>,
    always: u64,
}

impl Default for Growth {
    /// Of an input of which nothing was read yet.
    fn default() -> Growth {
        Growth::within(ALWAYS)
    }
}

impl Growth {
    /// The same; up to `always` bytes any expansion is believed.
    pub(super) fn within(always: u64) -> Growth {
        Growth { read: Arc::default(), grown: Arc::default(), always }
    }

    /// Another way of growing of the same input: what is unpacked in steps is not counted twice.
    #[must_use]
    pub fn apart(&self) -> Growth {
        Growth { grown: Arc::default(), ..self.clone() }
    }

    /// The input, counted.
    pub fn input<R: Read>(&self, reader: R) -> impl Read + use<R> {
        Counted { reader, read: Arc::clone(&self.read) }
    }

    /// Counts what came out; an error names the cap if it was hit.
    pub fn add(&self, bytes: usize) -> io::Result<()> {
        self.grown.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.is_spent() {
            let grown = self.grown.load(Ordering::Relaxed);
            let why = format!("expands to more than {EXPANSION} times its size: read up to {grown} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(())
    }

    /// Whether the cap was hit.
    pub fn is_spent(&self) -> bool {
        let grown = self.grown.load(Ordering::Relaxed);
        grown > self.always && grown / EXPANSION > self.read.load(Ordering::Relaxed)
    }
}

/// Takes off what is compressed; gives the plain bytes, from the first one on, and whether there was anything to take off.
pub fn plain(reader: impl Read + Send + 'static) -> io::Result<(Bytes, bool)> {
    let growth = Growth::default();
    plain_within(growth.input(reader), &growth)
}

/// The same of a part of an input that has grown already.
pub fn plain_within(reader: impl Read + Send + 'static, growth: &Growth) -> io::Result<(Bytes, bool)> {
    let mut bytes: Bytes = Box::new(reader);
    for depth in 0..=DEPTH {
        let (head, whole) = peek(bytes, MAGIC)?;
        let Some(decoder) = decoder(&head) else {
            return Ok((whole, depth > 0));
        };
        let whole = BufReader::with_capacity(64 << 10, whole);
        bytes = Box::new(Limited { reader: decoder(whole)?, growth: growth.clone() });
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("compressed more than {DEPTH} times over")))
}

/// How many bytes tell a compression.
const MAGIC: usize = 6;

type Decoder = fn(BufReader<Bytes>) -> io::Result<Bytes>;

/// The compressions: adding one is a line.
fn decoder(head: &[u8]) -> Option<Decoder> {
    match head {
        [0x1f, 0x8b, ..] => Some(|bytes| Ok(Box::new(flate2::bufread::MultiGzDecoder::new(bytes)))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(|bytes| {
            let mut decoder = zstd::Decoder::with_buffer(bytes)?;
            decoder.window_log_max(WINDOW)?;
            Ok(Box::new(decoder))
        }),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => {
            Some(|bytes| Ok(Box::new(bzip2::bufread::MultiBzDecoder::new(bytes))))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(|bytes| {
            // 256 MiB serve every level of xz.
            let stream = liblzma::stream::Stream::new_stream_decoder(256 << 20, liblzma::stream::CONCATENATED)?;
            Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(bytes, stream)))
        }),
        [0xff, 0xfe, ..] => Some(|bytes| Ok(Box::new(Utf16::new(bytes, u16::from_le_bytes)))),
        [0xfe, 0xff, ..] => Some(|bytes| Ok(Box::new(Utf16::new(bytes, u16::from_be_bytes)))),
        [0x04, 0x22, 0x4d, 0x18, ..] => Some(|bytes| Ok(Box::new(Frames(lz4_flex::frame::FrameDecoder::new(bytes))))),
        _ => table(head),
    }
}

/// The readers of tables that are stored as such: what comes out are lines, too.
#[cfg(feature = "export")]
fn table(head: &[u8]) -> Option<Decoder> {
    match head {
        [b'P', b'A', b'R', b'1', ..] => Some(super::rows::parquet),
        b"ARROW1" => Some(super::rows::arrow),
        [0xff, 0xff, 0xff, 0xff, ..] => Some(super::rows::stream),
        _ => None,
    }
}

/// Without them such a file would be a log of damaged lines.
#[cfg(not(feature = "export"))]
fn table(head: &[u8]) -> Option<Decoder> {
    let is_table = head.starts_with(b"PAR1") || head == b"ARROW1" || head.starts_with(&[0xff; 4]);
    is_table.then_some(|_| Err(io::Error::other("is a table, which a build without the feature `export` cannot read")))
}

/// Whether a file begins like a table.
pub(super) fn is_table(head: &[u8]) -> bool {
    table(head.get(..MAGIC).unwrap_or(head)).is_some()
}

/// The first `most` bytes, or all that there are, and the reader as if nothing had been read.
pub fn peek<R: Read>(mut reader: R, most: usize) -> io::Result<(Vec<u8>, Bytes)>
where
    Chain<Cursor<Vec<u8>>, R>: Send + 'static,
{
    let mut head = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match reader.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // A line and no zero: text. A pipe's first line may be short, and the next one far off.
        if filled >= MAGIC && head[..filled].contains(&b'\n') && !head[..filled].contains(&0) {
            break;
        }
    }
    head.truncate(filled);
    let whole = Cursor::new(head.clone()).chain(reader);
    Ok((head, Box::new(whole)))
}

/// LZ4 frames behind each other: the decoder ends with the first one.
struct Frames(lz4_flex::frame::FrameDecoder<BufReader<Bytes>>);

impl Read for Frames {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // After the end of a frame the next call begins another, or finds the end of the input.
        match self.0.read(into)? {
            0 if !into.is_empty() => self.0.read(into),
            read => Ok(read),
        }
    }
}

/// Counts what was read.
struct Counted<R> {
    reader: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A decoder that is stopped when too much comes out of it.
struct Limited {
    reader: Bytes,
    growth: Growth,
}

impl Read for Limited {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let step = into.len().min(STEP);
        let read = self.reader.read(&mut into[..step]).map_err(damaged)?;
        self.growth.add(read)?;
        Ok(read)
    }
}

/// A decoder's word for damage, with what it means.
fn damaged(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::Interrupted => error,
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the compressed data ends too early"),
        kind => io::Error::new(kind, format!("damaged compressed data: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &[u8] = b"one\ntwo\n";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn lz4(bytes: &[u8]) -> Vec<u8> {
        let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn all(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        plain(Cursor::new(bytes))?.0.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_compression_is_told_by_its_first_bytes_and_members_follow_each_other() {
        let bzip2 = || {
            let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            writer.write_all(TEXT).unwrap();
            writer.finish().unwrap()
        };
        let xz = || {
            let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
            writer.write_all(TEXT).unwrap();
            writer.finish().unwrap()
        };
        let zstd = || zstd::encode_all(TEXT, 1).unwrap();
        for packed in [gzip(TEXT), bzip2(), xz(), zstd(), lz4(TEXT)] {
            assert_eq!(all(packed.clone()).unwrap(), TEXT, "{packed:x?}");
            assert_eq!(all([packed.clone(), packed.clone()].concat()).unwrap(), TEXT.repeat(2), "{packed:x?}");
            assert_eq!(all(gzip(&packed)).unwrap(), TEXT);
            let cut = all(packed[..packed.len() - 3].to_vec());
            assert!(cut.is_err() || packed[0] == 4, "{packed:x?}");
        }
        let wide: Vec<u8> = "\u{feff}one\ntwo\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(all(gzip(&wide)).unwrap(), TEXT);
        assert_eq!(all(TEXT.to_vec()).unwrap(), TEXT);
        assert_eq!(all(Vec::new()).unwrap(), b"");
    }

    #[test]
    fn a_bomb_is_cut_off_by_a_cap_that_names_itself() {
        let packed = gzip(&gzip(&b" ".repeat(8 << 20)));
        let mut out = Vec::new();
        let growth = Growth::within(1 << 20);
        let bytes = plain_within(growth.input(Cursor::new(packed.clone())), &growth).unwrap().0;
        let error = { bytes }.read_to_end(&mut out).unwrap_err();
        assert!(error.to_string().contains("more than 250 times its size"), "{error}");
        assert!(out.len() >= 1 << 19);
        assert_eq!(all(packed).unwrap().len(), 8 << 20);
    }

    #[test]
    fn what_comes_before_damage_is_read() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        let mut packed = gzip(&text);
        let middle = packed.len() / 2;
        packed[middle..middle + 64].fill(0xff);
        let (mut out, mut bytes) = (Vec::new(), plain(Cursor::new(packed)).unwrap().0);
        let mut piece = vec![0; 256 << 10];
        while let Ok(read @ 1..) = bytes.read(&mut piece) {
            out.extend_from_slice(&piece[..read]);
        }
        assert!(
            out.len() > text.len() / 3 && text.starts_with(&out[..text.len() / 3]),
            "{} of {}",
            out.len(),
            text.len()
        );
    }

    #[test]
    fn what_is_packed_too_often_is_refused() {
        let packed = (0..6).fold(TEXT.to_vec(), |bytes, _| gzip(&bytes));
        assert!(all(packed).unwrap_err().to_string().contains("more than 4 times"));
    }
}
