//! A state as a file: written whole or not at all, read only if it is whole.
//!
//! `logscan state` and a line end, version (2 bytes), checksum of all that follows (CRC-32, 4), length of the packed and of the
//! plain content (8 each), numbers with the low byte first; then the content: `postcard` in a zstd frame, or bare if that is
//! as long as the plain one.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::State;

/// The version of the layout. The shapes of all types in a state, and the order of the words in their enums, are part of it.
pub const VERSION: u16 = 3;

const MAGIC: &[u8; 14] = b"logscan state\n";
/// Where the checksum stands, where what it is of begins, where the content does.
const SUM: usize = 16;
const SUMMED: usize = 20;
const CONTENT: usize = 36;
/// Content that packs better than this is not packed, so that a small file cannot fill the memory.
const TIGHTEST: u64 = 250;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("is no state that logscan saved")]
    Foreign,
    /// Another logscan wrote it.
    #[error("has layout {0}, this logscan reads layout {VERSION}")]
    Version(u16),
    /// Its end is missing.
    #[error("is cut off: it ends at byte {0} of {1}")]
    Cut(u64, u64),
    /// Something was written behind it.
    #[error("goes on behind its end at byte {0}")]
    Longer(u64),
    /// Some byte is not what was written.
    #[error("is damaged somewhere behind byte {SUM}: its checksum is {0:08x}, not {1:08x}")]
    Damaged(u32, u32),
    /// It is whole, and says what no run can have saved.
    #[error("makes no sense at byte {at} of its content ({part}): {what}")]
    Senseless {
        /// Byte in the unpacked content at which the part begins.
        at: usize,
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

/// Reads a state.
pub fn read(path: &Path) -> Result<State, Error> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::with_capacity(CONTENT);
    // A log that was given by mistake is not read to its end.
    Read::by_ref(&mut file).take(CONTENT as u64).read_to_end(&mut bytes)?;
    let packed = head(&bytes)?.packed;
    file.take(packed.saturating_add(1)).read_to_end(&mut bytes)?;
    State::from_bytes(&bytes)
}

/// Whether a state can be written there, as far as that can be told before the work is done.
pub fn check(path: &Path) -> io::Result<()> {
    let (folder, _) = place(path)?;
    let there = fs::metadata(&folder)?.is_dir();
    if there { Ok(()) } else { Err(io::Error::from(io::ErrorKind::NotADirectory)) }
}

/// Writes a state beside the file and puts it in its place when it is whole.
pub fn write(path: &Path, state: &State) -> io::Result<()> {
    let (folder, target) = place(path)?;
    let bytes = state.to_bytes()?;
    let usual = Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".logscan-").permissions(usual).tempfile_in(folder)?;
    file.write_all(&bytes)?;
    file.as_file().sync_all()?;
    file.persist(target)?;
    Ok(())
}

/// The folder and the path of a file that is to be written, links followed. Only a state is replaced, no log and no device.
fn place(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(there) = fs::metadata(&target) {
        let mut head = Vec::new();
        if there.is_file() {
            File::open(&target)?.take(MAGIC.len() as u64).read_to_end(&mut head)?;
        }
        if !there.is_file() || !head.is_empty() && head != MAGIC {
            return Err(io::Error::other("is there already and is no state: it will not be replaced"));
        }
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")).to_owned(), target))
}

impl State {
    /// A state from all bytes of a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<State, Error> {
        let Head { sum, packed, plain } = head(bytes)?;
        let (length, whole) = (bytes.len() as u64, packed.saturating_add(CONTENT as u64));
        if length < whole {
            return Err(Error::Cut(length, whole));
        }
        if length > whole {
            return Err(Error::Longer(whole));
        }
        let found = checksum(&[&bytes[SUMMED..]]);
        if found != sum {
            return Err(Error::Damaged(found, sum));
        }
        let content = &bytes[CONTENT..];
        if plain == packed {
            return parts(content);
        }
        let senseless = |what: String| Error::Senseless { at: 0, part: "all of it", what };
        if plain / TIGHTEST > packed {
            return Err(senseless(format!("it claims to grow to {plain} bytes")));
        }
        let unpacked = zstd::bulk::decompress(content, plain as usize).map_err(|error| senseless(error.to_string()))?;
        if unpacked.len() as u64 != plain {
            return Err(senseless(format!("it has {} bytes, not {plain}", unpacked.len())));
        }
        parts(&unpacked)
    }

    /// The bytes of a file with this state: the same for states that say the same.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let State { run, lines, ledger } = self;
        let bytes = postcard::to_extend(run, Vec::new());
        let bytes = bytes.and_then(|bytes| postcard::to_extend(lines, bytes));
        pack(&bytes.and_then(|bytes| postcard::to_extend(ledger, bytes)).map_err(io::Error::other)?)
    }
}

struct Head {
    sum: u32,
    packed: u64,
    plain: u64,
}

/// What stands before the content.
fn head(bytes: &[u8]) -> Result<Head, Error> {
    if !bytes.starts_with(&MAGIC[..MAGIC.len().min(bytes.len())]) || bytes.is_empty() {
        return Err(Error::Foreign);
    }
    let cut = || Error::Cut(bytes.len() as u64, CONTENT as u64);
    let (version, rest) = bytes.get(MAGIC.len()..).and_then(<[u8]>::split_first_chunk).ok_or_else(cut)?;
    let version = u16::from_le_bytes(*version);
    if version != VERSION {
        return Err(Error::Version(version));
    }
    let (sum, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let (packed, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let plain = rest.first_chunk().ok_or_else(cut)?;
    Ok(Head { sum: u32::from_le_bytes(*sum), packed: u64::from_le_bytes(*packed), plain: u64::from_le_bytes(*plain) })
}

/// The bytes of a file with this content.
fn pack(plain: &[u8]) -> io::Result<Vec<u8>> {
    let packed = zstd::bulk::compress(plain, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    let bare = packed.len() >= plain.len() || plain.len() as u64 / TIGHTEST > packed.len() as u64;
    let content = if bare { plain } else { &packed };
    let lengths = [content.len() as u64, plain.len() as u64].map(u64::to_le_bytes).concat();
    let sum = checksum(&[&lengths, content]);
    Ok([&MAGIC[..], &VERSION.to_le_bytes(), &sum.to_le_bytes(), &lengths, content].concat())
}

fn checksum(pieces: &[&[u8]]) -> u32 {
    let mut sum = flate2::Crc::new();
    for piece in pieces {
        sum.update(piece);
    }
    sum.sum()
}

/// What is in the content: the parts of a state, one behind the other.
fn parts(content: &[u8]) -> Result<State, Error> {
    let mut at = 0;
    let state = State {
        run: part(content, &mut at, "inputs")?,
        lines: part(content, &mut at, "lines")?,
        ledger: part(content, &mut at, "connections")?,
    };
    if at < content.len() {
        return Err(Error::Senseless { at, part: "end", what: "something follows".to_owned() });
    }
    Ok(state)
}

fn part<T: DeserializeOwned>(content: &[u8], at: &mut usize, part: &'static str) -> Result<T, Error> {
    let begin = *at;
    let read = postcard::take_from_bytes(&content[begin..]);
    let (value, rest) = read.map_err(|error| Error::Senseless { at: begin, part, what: error.to_string() })?;
    *at = content.len() - rest.len();
    Ok(value)
}
