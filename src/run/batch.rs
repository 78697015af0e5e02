//! The pump for files: while one wave of blocks is absorbed, in order, the next one is read and scanned side by side.
//!
//! The next blocks always come from the sources that are furthest behind in log time, so that the archives of
//! many pods are read as one stream, whatever their sizes. How blocks are chosen does not depend on threads.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Pass;
use crate::field::value::Micros;
use crate::scan::{Scanned, Scanner};
use crate::source::SourceId;
use crate::source::block::{Block, Blocks};
use crate::source::compressed::Bytes;
use crate::source::expand::Expanded;
use crate::source::lines::Lines;

/// Blocks in flight at a time. Fixed, so that the choice of blocks does not depend on the number of cores.
const WAVE: usize = 8;
/// The largest block, and the smallest where there are many sources. A block and what is made of it fit a core's
/// cache: 4 MiB took a tenth more time.
const BLOCK: usize = 512 << 10;
const SMALLEST: usize = 64 << 10;

/// How many files stay open. Those behind them are opened for every read: some systems allow just 256 at a time.
const HELD: usize = 128;

struct Open {
    blocks: Blocks<Lines<Bytes>>,
    name: String,
    ended: bool,
}

impl Open {
    /// The next block. An error is a trouble, and what came before it is in the block after.
    fn read(&mut self, spare: &mut Vec<Vec<u8>>, troubles: &mut Vec<String>) -> Option<Block> {
        while !self.ended {
            match self.blocks.next(spare.pop().unwrap_or_default()) {
                Ok(Some(block)) => return Some(block),
                Ok(None) => self.ended = true,
                Err(error) => troubles.push(format!("{}: {error}", self.name)),
            }
        }
        None
    }
}

/// How far a source has come, as far as it was absorbed.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    reached: Option<Micros>,
    ended: bool,
}

/// A block that was scanned.
struct Done {
    /// Its place in the wave.
    number: usize,
    /// Whose it is, as a place in the list of open sources.
    turn: usize,
    block: Block,
    result: Scanned,
}

/// Gives out the blocks of a wave; buffers that were used go round.
#[derive(Default)]
struct Feed {
    open: Vec<Open>,
    turns: Vec<usize>,
    number: usize,
    spare: Vec<Vec<u8>>,
    used: Vec<Scanned>,
    done: Vec<Done>,
    troubles: Vec<String>,
}

impl Feed {
    fn next(&mut self) -> Option<(usize, usize, Block, Scanned)> {
        while let Some(turn) = self.turns.get(self.number).copied() {
            self.number += 1;
            if let Some(block) = self.open[turn].read(&mut self.spare, &mut self.troubles) {
                return Some((self.number, turn, block, self.used.pop().unwrap_or_default()));
            }
        }
        None
    }
}

/// Reads every source to its end, or until `stop` is set. A source that cannot be opened or read is a trouble of
/// the pass, and the others go on. Errors are those of the output.
pub fn run(pass: &mut Pass<'_>, expanded: Expanded, stop: &AtomicBool) -> io::Result<()> {
    let sources = pass.take(expanded);
    let size = (16 * BLOCK / sources.len().max(1)).clamp(SMALLEST, BLOCK);
    let mut feed = Feed::default();
    for (number, source) in sources.into_iter().enumerate() {
        let (name, first_line) = (source.name.clone(), source.first_line);
        match source.open(number < HELD) {
            Ok(input) => feed.open.push(Open {
                blocks: Blocks::new(input, SourceId(number as u32), size).from_line(first_line),
                name,
                ended: false,
            }),
            Err(error) => pass.troubles.push(format!("{name}: {error}")),
        }
    }
    let mut progress = vec![Progress::default(); feed.open.len()];
    // More threads than blocks in a wave would have nothing to do.
    let threads = pass.settings.threads.min(WAVE);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
    let mut scanners: Vec<Scanner<'_>> =
        (0..pool.current_num_threads().min(WAVE)).map(|number| pass.scanner(number)).collect();
    let Some((own, others)) = scanners.split_first_mut() else { return Ok(()) };
    let mut wave = Vec::new();
    loop {
        (feed.turns, feed.number) = (turns(&feed.open, &progress), 0);
        let ended: Vec<bool> = feed.open.iter().map(|source| source.ended).collect();
        if stop.load(Ordering::Relaxed) || feed.turns.is_empty() && wave.is_empty() {
            pass.troubles.append(&mut feed.troubles);
            return Ok(());
        }
        let shared = Mutex::new(feed);
        let absorbed = pool.in_place_scope(|scope| {
            for scanner in others.iter_mut() {
                scope.spawn(|_| work(scanner, &shared));
            }
            let absorbed = wave.drain(..).try_for_each(|done| absorb(pass, &mut progress, done, &shared));
            work(own, &shared);
            absorbed
        });
        for (source, ended) in progress.iter_mut().zip(ended) {
            source.ended = ended;
        }
        feed = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        absorbed?;
        std::mem::swap(&mut wave, &mut feed.done);
        wave.sort_unstable_by_key(|done| done.number);
    }
}

/// Scans blocks as long as the wave has some.
fn work(scanner: &mut Scanner<'_>, feed: &Mutex<Feed>) {
    while let Some((number, turn, block, spare)) = { lock(feed).next() } {
        let result = scanner.scan(&block, spare);
        lock(feed).done.push(Done { number, turn, block, result });
    }
}

fn lock(feed: &Mutex<Feed>) -> MutexGuard<'_, Feed> {
    feed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose blocks are read next: of those that are furthest behind, as far as was absorbed.
fn turns(open: &[Open], progress: &[Progress]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..open.len()).filter(|source| !open[*source].ended).collect();
    order.sort_by_key(|source| (progress[*source].reached, open[*source].blocks.source()));
    order.truncate(WAVE);
    let each = WAVE / order.len().max(1);
    order.into_iter().flat_map(|turn| std::iter::repeat_n(turn, each)).collect()
}

fn absorb(pass: &mut Pass<'_>, progress: &mut [Progress], done: Done, feed: &Mutex<Feed>) -> io::Result<()> {
    let Done { turn, block, mut result, .. } = done;
    progress[turn].reached = progress[turn].reached.max(result.reached);
    pass.absorb(&mut result, &block)?;
    let mut feed = lock(feed);
    feed.spare.push(block.bytes);
    feed.used.push(result);
    drop(feed);
    // Log time is where the slowest source is; one that has told nothing yet holds it back.
    if let Some(now) = progress.iter().filter(|source| !source.ended).map(|source| source.reached).min().flatten() {
        pass.advance(now);
    }
    Ok(())
}
