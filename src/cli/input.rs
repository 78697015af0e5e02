//! What a run reads: a stream as it comes, or files side by side, and the configuration that lies beside them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::mesh::{self, Mesh};
use crate::run::{Pass, batch, live};
use crate::source::expand::{self, Expanded};

/// What was named, or standard input if nothing was.
pub(super) enum Input {
    /// Read as it comes.
    Stream(PathBuf),
    /// Read side by side.
    Files(Expanded),
}

impl Input {
    /// Finds the logs that are meant.
    pub(super) fn open(files: &[PathBuf], stop: &AtomicBool) -> anyhow::Result<Input> {
        let stdin = [PathBuf::from("-")];
        let files = if files.is_empty() { &stdin[..] } else { files };
        if files.iter().filter(|file| file.as_os_str() == "-").count() > 1 {
            anyhow::bail!("standard input can be read only once");
        }
        Ok(match files {
            [only] if expand::is_stream(only) => Input::Stream(only.clone()),
            files => Input::Files(Expanded::of(files, stop)),
        })
    }

    /// The configuration that lies beside the logs of a bug report or must-gather, if there is any. What can be
    /// read only once is not looked at.
    pub(super) fn configuration(&self, files: &[PathBuf], stop: &AtomicBool) -> Option<Mesh> {
        let Input::Files(expanded) = self else { return None };
        let files: Vec<PathBuf> =
            files.iter().filter(|file| file.as_os_str() != "-" && !expand::is_stream(file)).cloned().collect();
        expanded.has_configuration().then(|| mesh::read::beside(&files, stop)).flatten()
    }

    /// Reads to the end, or until `stop` is set.
    pub(super) fn read(self, pass: &mut Pass<'_>, stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
        match self {
            Input::Stream(path) => live::run(pass, &path, stop)?,
            Input::Files(expanded) => batch::run(pass, expanded, stop)?,
        }
        Ok(())
    }
}
