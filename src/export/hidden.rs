//! `Hidden`: a folder for files that are not whole yet, beside their places. It goes with its run; one whose run was killed outright goes
//! when the next run makes one there.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::TempDir;

/// What their names begin with; six letters follow.
const PREFIX: &str = ".logscan-";
const LETTERS: usize = 6;

/// A folder that is removed with what is in it.
#[derive(Debug)]
pub(super) struct Hidden {
    folder: TempDir,
    /// Tells other runs that this one lives: the system lets go of it, however the run ends.
    _lock: File,
}

impl Hidden {
    /// Makes one in a folder, and removes those that are there and nobody's.
    pub(super) fn create(beside: &Path) -> io::Result<Hidden> {
        sweep(beside);
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).rand_bytes(LETTERS).tempdir_in(beside)?;
            // Until it is locked another run may take it for nobody's.
            let lock = match File::open(folder.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock?,
            };
            // Where nothing can be locked, nothing is removed.
            if !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) && folder.path().is_dir() {
                return Ok(Hidden { folder, _lock: lock });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of runs that live no more. What cannot be removed does no harm.
fn sweep(beside: &Path) {
    for entry in std::fs::read_dir(beside).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)).is_some_and(|rest| rest.len() == LETTERS);
        let is_folder = || entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_ours
            && is_folder()
            && let Ok(lock) = File::open(entry.path())
            && lock.try_lock().is_ok()
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_run_goes_and_what_lives_or_is_no_run_s_stays() {
        let beside = tempfile::tempdir().unwrap();
        let path = |name: &str| beside.path().join(name);
        std::fs::create_dir_all(path(".logscan-abc123/date=2026-03-01")).unwrap();
        std::fs::write(path(".logscan-abc123/date=2026-03-01/part-0.csv"), "half").unwrap();
        std::fs::create_dir(path(".logscan-of-somebody")).unwrap();
        std::fs::create_dir(path("elsewhere")).unwrap();
        std::fs::write(path(".logscan-abc124"), "a file").unwrap();
        std::os::unix::fs::symlink(path("elsewhere"), path(".logscan-abc125")).unwrap();
        let one = Hidden::create(beside.path()).unwrap();
        assert!(!path(".logscan-abc123").exists());
        for stays in [".logscan-of-somebody", "elsewhere", ".logscan-abc124", ".logscan-abc125"] {
            assert!(path(stays).exists(), "{stays}");
        }
        let other = Hidden::create(beside.path()).unwrap();
        assert!(one.path().is_dir() && other.path().is_dir());
        let gone = one.path().to_owned();
        drop(one);
        assert!(!gone.exists() && other.path().is_dir());
    }

    #[test]
    fn runs_that_begin_together_do_not_take_each_other_s() {
        let beside = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let hidden = Hidden::create(beside.path()).unwrap();
                        std::fs::write(hidden.path().join("part"), "whole").unwrap();
                        std::thread::yield_now();
                        assert_eq!(std::fs::read(hidden.path().join("part")).unwrap(), b"whole");
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(beside.path()).unwrap().count(), 0);
    }
}
