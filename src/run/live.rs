//! The pump for a pipe: what arrives is scanned at once, and what is new is shown within a tick.
//!
//! A thread reads, so that a pipe that falls silent does not keep findings back. The clock decides when things
//! are shown, never what is found.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::Pass;
use crate::scan::Scanned;
use crate::source::block::{Block, Blocks};
use crate::source::{Source, SourceId};

/// How long a finding may wait to be shown.
const TICK: Duration = Duration::from_millis(50);
/// How many blocks may wait to be scanned before the reader waits.
const QUEUE: usize = 16;

/// Reads `source` to its end, or until `stop` is set. Errors are those of the output.
pub fn run(pass: &mut Pass<'_>, source: &Source, stop: &AtomicBool) -> io::Result<()> {
    let input = match source.open() {
        Ok(input) => input,
        Err(error) => {
            pass.troubles.push(format!("{}: {error}", source.name()));
            return Ok(());
        }
    };
    let (blocks, arriving) = sync_channel(QUEUE);
    // The thread ends with the input, or with the process: a read that waits cannot be called back.
    std::thread::Builder::new().name("reader".to_owned()).spawn(move || read(input, &blocks))?;
    pump(pass, &arriving, stop, &source.name())
}

fn read(input: impl Read, blocks: &SyncSender<io::Result<Block>>) {
    let mut cutter = Blocks::new(input, SourceId(0), 1);
    loop {
        let (block, failed) = match cutter.next(Vec::new()) {
            Ok(Some(block)) => (Ok(block), false),
            Ok(None) => return,
            Err(error) => (Err(error), true),
        };
        // Nobody listens any more: the run is over. After an error the next call gives what is left.
        if blocks.send(block).is_err() && !failed {
            return;
        }
    }
}

fn pump(pass: &mut Pass<'_>, arriving: &Receiver<io::Result<Block>>, stop: &AtomicBool, name: &str) -> io::Result<()> {
    let mut ticked = now();
    let (mut fresh, mut pause) = (false, TICK);
    let (mut scanner, mut result) = (pass.scanner(0), Scanned::default());
    while !stop.load(Ordering::Relaxed) {
        match arriving.recv_timeout(TICK) {
            Ok(Ok(block)) => {
                result = scanner.scan(&block, result);
                pass.absorb(&mut result, &block)?;
                if let Some(reached) = result.reached {
                    pass.advance(reached);
                }
                fresh = true;
            }
            Ok(Err(error)) => pass.troubles.push(format!("{name}: {error}")),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if fresh && ticked.elapsed() >= pause {
            let started = now();
            pass.tick()?;
            ticked = now();
            fresh = false;
            // In a mesh so large that the rules take their time, reading goes first.
            pause = TICK.max(started.elapsed() * 8);
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one clock: it paces what is shown, not what is found")]
fn now() -> Instant {
    Instant::now()
}
