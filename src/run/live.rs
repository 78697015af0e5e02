//! The pump for a pipe: what arrives is scanned at once, and what is new is shown within a tick.
//!
//! A thread reads, so that a pipe that falls silent does not keep findings back. The clock decides when things
//! are shown, never what is found.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use super::{Pass, batch};
use crate::scan::Scanned;
use crate::source::SourceId;
use crate::source::block::{Block, Blocks};
use crate::source::expand::{self, Expanded};

/// How long a finding may wait to be shown.
const TICK: Duration = Duration::from_millis(20);
/// While more arrives than can be read, reading goes on for so many times as long as the rules took.
const REST: u32 = 10;
/// How many blocks may wait to be scanned before the reader waits.
const QUEUE: usize = 16;

/// What the reader brings.
enum Arrived {
    /// The stream turned out to be this; a log follows in blocks.
    Stream(Expanded),
    /// An archive came through the pipe: it is whole, and can be read as one.
    Archive(Expanded),
    Block(Block),
    Failed(io::Error),
}

/// Reads a stream to its end, or until `stop` is set. Errors are those of the output.
pub fn run(pass: &mut Pass<'_>, argument: &Path, stop: &Arc<AtomicBool>) -> io::Result<()> {
    let (arrived, arriving) = sync_channel(QUEUE);
    let (argument, name, stopped) = (argument.to_owned(), expand::name(argument), Arc::clone(stop));
    // The thread ends with the input, or with the process: a read that waits cannot be called back, and neither can
    // the opening of a pipe that nobody writes to.
    std::thread::Builder::new().name("reader".to_owned()).spawn(move || read(argument, &stopped, &arrived))?;
    pump(pass, &arriving, stop, &name)
}

fn read(argument: PathBuf, stop: &AtomicBool, arrived: &SyncSender<Arrived>) {
    let mut expanded = Expanded::of(&[argument], stop);
    let Some(source) = expanded.only_stream() else {
        let _ = arrived.send(Arrived::Archive(expanded));
        return;
    };
    let _ = arrived.send(Arrived::Stream(expanded));
    let mut cutter = match source.open(true) {
        Ok(input) => Blocks::new(input, SourceId(0), 1),
        Err(error) => {
            let _ = arrived.send(Arrived::Failed(error));
            return;
        }
    };
    loop {
        let (arrival, failed) = match cutter.next(Vec::new()) {
            Ok(Some(block)) => (Arrived::Block(block), false),
            Ok(None) => return,
            Err(error) => (Arrived::Failed(error), true),
        };
        // Nobody listens any more: the run is over. After an error the next call gives what is left.
        if arrived.send(arrival).is_err() && !failed {
            return;
        }
    }
}

impl Pass<'_> {
    /// Shows findings that are new, and whole connections.
    fn tick(&mut self) -> io::Result<()> {
        if !self.pairs {
            return self.sink.flush();
        }
        // Counts tell things too, such as an endpoint that died, so all ways are looked at.
        let topology = self.learn();
        let findings = self.ask(&topology, &self.told);
        self.check()?;
        if let Some(redactor) = &mut self.redactor {
            redactor.learn(&self.closing.ledger, &self.tally.events);
        }
        for finding in &findings {
            let told = self.inputs.told(finding);
            let told = match &mut self.redactor {
                Some(redactor) => redactor.told(told),
                None => told,
            };
            self.sink.finding(&told)?;
        }
        if self.closing.show {
            // Connections tell of every finding that they belong to.
            self.keep(topology, findings);
        } else {
            let told = findings.into_iter().map(|finding| (finding.meta.code, finding.subject));
            self.told.extend(told);
        }
        if self.closing.show {
            self.pairer.close_whole(&mut self.closing);
            self.closing.count();
            self.show()?;
        }
        self.sink.flush()
    }
}

fn pump(pass: &mut Pass<'_>, arriving: &Receiver<Arrived>, stop: &AtomicBool, name: &str) -> io::Result<()> {
    let mut ticked = now();
    let (mut fresh, mut pause, mut took) = (false, TICK, Duration::ZERO);
    let (mut scanner, mut result) = (pass.scanner(0), Scanned::default());
    while !stop.load(Ordering::Relaxed) {
        let arrived = arriving.try_recv().or_else(|error| match error {
            TryRecvError::Disconnected => Err(RecvTimeoutError::Disconnected),
            // All that has arrived is read, so there is time for the rules: half of it at most.
            TryRecvError::Empty => {
                pause = TICK.max(took);
                arriving.recv_timeout(if fresh { pause.saturating_sub(ticked.elapsed()) } else { TICK })
            }
        });
        match arrived {
            Ok(Arrived::Stream(expanded)) => {
                pass.take(expanded);
                scanner = pass.scanner(0);
            }
            Ok(Arrived::Archive(expanded)) => return batch::run(pass, expanded, stop),
            Ok(Arrived::Block(block)) => {
                result = scanner.scan(&block, result);
                let now = result.reached;
                pass.absorb(&mut result, &block, now)?;
                fresh = true;
            }
            Ok(Arrived::Failed(error)) => pass.troubles.push(format!("{name}: {error}")),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if fresh && ticked.elapsed() >= pause {
            let started = now();
            pass.tick()?;
            ticked = now();
            fresh = false;
            took = started.elapsed();
            pause = TICK.max(took * REST);
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one clock: it paces what is shown, not what is found")]
fn now() -> Instant {
    Instant::now()
}
