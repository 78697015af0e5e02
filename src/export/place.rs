//! Where a table goes: standard output, or a file that appears under its name when it is whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::hidden::Hidden;

/// Where a table goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Standard output.
    Stdout,
    /// A file, or a folder for what is parted.
    Path(PathBuf),
}

/// An output that is being written.
#[derive(Debug)]
pub(super) enum Opened {
    Stdout(io::Stdout),
    /// What is no regular file: a pipe, a terminal.
    Device(File),
    /// A file that has no name, so that nothing is left of it if the process dies.
    Nameless(File, PathBuf),
    /// Where the file system knows no such files: one in a hidden folder, to be moved.
    Named(File, Hidden, PathBuf),
}

/// An error that says where.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl Opened {
    pub(super) fn create(place: &Place) -> io::Result<Opened> {
        let path = match place {
            Place::Stdout => return Ok(Opened::Stdout(io::stdout())),
            Place::Path(path) => path,
        };
        if let Ok(meta) = path.metadata()
            && !meta.is_file()
        {
            if meta.is_dir() {
                return Err(at(path)(io::Error::other("is a folder")));
            }
            return OpenOptions::new().write(true).open(path).map(Opened::Device).map_err(at(path));
        }
        let folder = folder(path);
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::openat(CWD, folder, flags, Mode::from_raw_mode(0o666)) {
            return Ok(Opened::Nameless(file.into(), path.clone()));
        }
        Opened::named(path).map_err(at(path))
    }

    fn named(path: &Path) -> io::Result<Opened> {
        let hidden = Hidden::create(folder(path))?;
        let file = File::create(hidden.path().join(WHOLE))?;
        Ok(Opened::Named(file, hidden, path.to_owned()))
    }

    /// Whether what was written can be read at once.
    pub(super) fn is_read_along(&self) -> bool {
        matches!(self, Opened::Stdout(_) | Opened::Device(_))
    }

    /// Gives a file its name, all at once; what had the name is gone then.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        match self {
            Opened::Stdout(_) | Opened::Device(_) => Ok(()),
            Opened::Nameless(file, path) => file.sync_all().and_then(|()| link(&file, &path)).map_err(at(&path)),
            Opened::Named(file, hidden, path) => {
                let named = file.sync_all().and_then(|()| std::fs::rename(hidden.path().join(WHOLE), &path));
                named.map_err(at(&path))
            }
        }
    }
}

/// The folder that a file lies in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a file is called in a hidden folder.
const WHOLE: &str = "whole";

/// Names a nameless file. A name that is taken cannot be linked to, so the file gets another one first, and is moved.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    let named = |name: &Path| rustix::fs::linkat(CWD, &open, CWD, name, AtFlags::SYMLINK_FOLLOW);
    match named(path) {
        Err(rustix::io::Errno::EXIST) => {}
        other => return Ok(other?),
    }
    let hidden = Hidden::create(folder(path))?;
    let whole = hidden.path().join(WHOLE);
    named(&whole)?;
    std::fs::rename(whole, path)
}

#[expect(clippy::disallowed_methods, reason = "it is what `write` is made of")]
impl Write for Opened {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Opened::Stdout(out) => out.write(bytes),
            Opened::Device(file) | Opened::Nameless(file, _) | Opened::Named(file, ..) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Opened::Stdout(out) => out.flush(),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        for text in ["one", "two"] {
            let before = std::fs::read(&path).ok();
            let mut opened = Opened::create(&Place::Path(path.clone())).unwrap();
            opened.write_all(text.as_bytes()).unwrap();
            assert_eq!(std::fs::read(&path).ok(), before);
            opened.finish().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(names(folder.path()), ["t.csv"]);
        }
        drop(Opened::create(&Place::Path(folder.path().join("u.csv"))).unwrap());
        assert_eq!(names(folder.path()), ["t.csv"]);
    }

    #[test]
    fn the_same_where_there_are_no_nameless_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        for text in ["one", "two"] {
            let mut opened = Opened::named(&path).unwrap();
            opened.write_all(text.as_bytes()).unwrap();
            assert!(std::fs::read(&path).map_or(true, |before| before != text.as_bytes()));
            opened.finish().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        drop(Opened::named(&path).unwrap());
        assert_eq!((names(folder.path()), &*std::fs::read(&path).unwrap()), (vec!["t.csv".to_owned()], &b"two"[..]));
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let error = Opened::create(&Place::Path("/nowhere/at/all/t.csv".into())).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/at/all/t.csv: "), "{error}");
        let error = Opened::create(&Place::Path("/".into())).unwrap_err().to_string();
        assert_eq!(error, "/: is a folder");
    }
}
