//! `Source`: one input by its name; `Origin`: where in it a line stands.
//!
//! What a person names becomes sources in `expand`: a file is one, an archive or a folder as many as it has logs. A
//! source is read through `compressed` and `lines`, so that what comes out are lines, whatever it was stored as.

pub mod archive;
pub mod block;
pub mod compressed;
mod document;
pub mod expand;
pub mod lines;
pub mod place;
#[cfg(feature = "export")]
mod rows;
mod runtime;
mod utf16;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use compressed::{Bytes, Growth};
use lines::Lines;
use place::Place;

/// The number of an input, in the order in which they were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceId(pub u32);

/// Where a line stands: its input and its number there, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The input.
    pub source: SourceId,
    /// The line.
    pub line: u64,
}

/// One log.
pub struct Source {
    /// What reports call it: a path, `ARCHIVE!MEMBER`, `stdin`.
    pub name: String,
    /// Whose log it is, as far as the path says.
    pub place: Place,
    /// The number of its first line.
    pub first_line: u64,
    content: Content,
}

enum Content {
    /// A file from one byte to another.
    File { path: PathBuf, from: u64, to: u64 },
    /// A part of the unpacked archives.
    Part { file: Arc<File>, from: u64, to: u64, growth: Growth },
    /// What can be read once.
    Stream(Bytes),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Source {
    fn new(name: String, content: Content) -> Source {
        Source { place: Place::of(&name), name, first_line: 1, content }
    }

    /// A file that can be read again from any place.
    fn file(path: &Path) -> Source {
        Source::new(path.display().to_string(), Content::File { path: path.to_owned(), from: 0, to: u64::MAX })
    }

    /// Something that can be read once, from its first byte on.
    fn stream(name: String, bytes: Bytes) -> Source {
        Source::new(name, Content::Stream(bytes))
    }

    /// Opens it for reading once, from the first byte to the last, with compression taken off.
    pub fn bytes(self) -> io::Result<Bytes> {
        self.opened(true)
    }

    /// Opens it for reading lines. With `hold` a file stays open; without, it is opened anew for every read, so that any
    /// number of files can be read side by side.
    pub fn open(self, hold: bool) -> io::Result<Lines<Bytes>> {
        self.opened(hold).map(Lines::new)
    }

    fn opened(self, hold: bool) -> io::Result<Bytes> {
        let (bytes, _) = match self.content {
            Content::Stream(bytes) => (bytes, false),
            Content::Part { file, from, to, growth } => compressed::plain_within(Part { file, at: from, to }, &growth)?,
            Content::File { path, from, to } => compressed::plain(Regular::open(path, from, to, hold)?)?,
        };
        Ok(bytes)
    }
}

/// A part of a file that others read too.
struct Part {
    file: Arc<File>,
    at: u64,
    to: u64,
}

impl Read for Part {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.to - self.at).unwrap_or(usize::MAX).min(into.len());
        let read = self.file.read_at(&mut into[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A regular file.
struct Regular {
    path: PathBuf,
    /// Device and number: a file that was replaced must not be read on as if it were the same.
    identity: (u64, u64),
    file: Option<File>,
    at: u64,
    to: u64,
}

impl Regular {
    fn open(path: PathBuf, from: u64, to: u64, hold: bool) -> io::Result<Regular> {
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::Start(from))?;
        let identity = identity(&file)?;
        Ok(Regular { path, identity, file: hold.then_some(file), at: from, to })
    }

    fn again(&self) -> io::Result<File> {
        let mut file = File::open(&self.path)?;
        if identity(&file)? != self.identity {
            return Err(io::Error::other("was replaced by another file while it was read"));
        }
        file.seek(SeekFrom::Start(self.at))?;
        Ok(file)
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let meta = file.metadata()?;
    Ok((meta.dev(), meta.ino()))
}

impl Read for Regular {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.to - self.at).unwrap_or(usize::MAX).min(into.len());
        let mut other = if self.file.is_none() { Some(self.again()?) } else { None };
        let Some(file) = self.file.as_mut().or(other.as_mut()) else { return Ok(0) };
        let mut read = 0;
        // One opening should serve a whole block.
        while read < most {
            match file.read(&mut into[read..most]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.at += read as u64;
        Ok(read)
    }
}
