//! `Source`: one input by its name; `Origin`: where in it a line stands.

pub mod block;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The number of an input, in the order in which they were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// Where a line stands: its input and its number there, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The input.
    pub source: SourceId,
    /// The line.
    pub line: u64,
}

/// What an input is called, and whether it is standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file, a pipe or a device by its path.
    File(PathBuf),
}

impl Source {
    /// `-` is standard input, everything else a path.
    pub fn of_argument(argument: &Path) -> Source {
        if argument.as_os_str() == "-" { Source::Stdin } else { Source::File(argument.to_owned()) }
    }

    /// The name in reports.
    pub fn name(&self) -> String {
        match self {
            Source::Stdin => "stdin".to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }

    /// Opens it for reading. A regular file is opened anew for every read, so that any number of files can
    /// be read side by side; a directory is an error that says so.
    pub fn open(&self) -> io::Result<Input> {
        match self {
            Source::Stdin => Ok(Input::Stream(Box::new(io::stdin()))),
            Source::File(path) => {
                let file = File::open(path)?;
                let kind = file.metadata()?.file_type();
                if kind.is_dir() {
                    return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
                }
                Ok(if kind.is_file() {
                    Input::Regular { path: path.clone(), at: 0 }
                } else {
                    Input::Stream(Box::new(file))
                })
            }
        }
    }
}

/// An opened source.
pub enum Input {
    /// A pipe, a device, standard input.
    Stream(Box<dyn Read + Send>),
    /// A regular file and how far it was read.
    Regular {
        /// Where it is.
        path: PathBuf,
        /// The offset of the next byte.
        at: u64,
    },
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Input::Stream(_) => f.write_str("Stream"),
            Input::Regular { path, at } => f.debug_struct("Regular").field("path", path).field("at", at).finish(),
        }
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::Stream(reader) => reader.read(into),
            Input::Regular { path, at } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*at))?;
                let mut read = 0;
                // One opening should serve a whole block.
                while read < into.len() {
                    match file.read(&mut into[read..]) {
                        Ok(0) => break,
                        Ok(more) => read += more,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                *at += read as u64;
                Ok(read)
            }
        }
    }
}
