//! The pump for files: while one wave of blocks is absorbed, in order, the next one is read and scanned side by side.
//!
//! The next blocks always come from the sources that are furthest behind in log time, so that the archives of
//! many pods are read as one stream, whatever their sizes. How blocks are chosen does not depend on threads.

use std::collections::VecDeque;
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
const WAVE: usize = 16;
/// The largest block, and the smallest where there are many sources. A block and what is made of it fit a core's
/// cache, and leave room there for what legs are paired and counted in: 4 MiB took a tenth more time.
const BLOCK: usize = 128 << 10;
const SMALLEST: usize = 16 << 10;

/// How many files stay open. Those behind them are opened for every read: some systems allow just 256 at a time.
const HELD: usize = 128;

/// A source that is read. Each has a lock of its own, so that several are decompressed at a time.
struct Open {
    blocks: Blocks<Lines<Bytes>>,
    name: String,
    ended: bool,
    /// How many blocks of it this wave has.
    read: usize,
    troubles: Vec<String>,
}

impl Open {
    /// The next block, and its place among those of the wave. An error is a trouble, and what came before it is in the block
    /// after.
    fn read(&mut self, mut spare: Vec<u8>) -> Option<(usize, Block)> {
        while !self.ended {
            match self.blocks.next(std::mem::take(&mut spare)) {
                Ok(Some(block)) => {
                    self.read += 1;
                    return Some((self.read, block));
                }
                Ok(None) => self.ended = true,
                Err(error) => self.troubles.push(format!("{}: {error}", self.name)),
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
    /// Its place in the wave: that of its source, and which of its blocks it is.
    place: (usize, usize),
    /// Whose it is, as a place in the list of open sources.
    turn: usize,
    block: Block,
    result: Scanned,
}

/// Gives out the turns of a wave; buffers that were used go round.
#[derive(Default)]
struct Feed {
    /// Whose turn it is, and the place of that source in the wave.
    turns: VecDeque<(usize, usize)>,
    spare: Vec<Vec<u8>>,
    used: Vec<Scanned>,
    done: Vec<Done>,
}

/// Reads every source to its end, or until `stop` is set. A source that cannot be opened or read is a trouble of
/// the pass, and the others go on. Errors are those of the output.
pub fn run(pass: &mut Pass<'_>, expanded: Expanded, stop: &AtomicBool) -> io::Result<()> {
    let sources = pass.take(expanded);
    let size = (64 * BLOCK / sources.len().max(1)).clamp(SMALLEST, BLOCK);
    let (mut open, mut feed) = (Vec::new(), Feed::default());
    for (number, source) in sources.into_iter().enumerate() {
        let (name, first_line) = (source.name.clone(), source.first_line);
        match source.open(number < HELD) {
            Ok(input) => open.push(Mutex::new(Open {
                blocks: Blocks::new(input, SourceId(number as u32), size).from_line(first_line),
                name,
                ended: false,
                read: 0,
                troubles: Vec::new(),
            })),
            Err(error) => pass.troubles.push(format!("{name}: {error}")),
        }
    }
    let mut progress = vec![Progress::default(); open.len()];
    // More threads than blocks in a wave would have nothing to do. A thread that is one of a pool shares it.
    let own = if rayon::current_thread_index().is_some() {
        None
    } else {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(pass.settings.threads.min(WAVE));
        Some(threads.build().map_err(io::Error::other)?)
    };
    let threads = own.as_ref().map_or_else(rayon::current_num_threads, rayon::ThreadPool::current_num_threads);
    let mut scanners: Vec<Scanner<'_>> = (0..threads.min(WAVE)).map(|number| pass.scanner(number)).collect();
    let Some((first, others)) = scanners.split_first_mut() else { return Ok(()) };
    let mut wave = Vec::new();
    // By what the next turns are chosen: what has been absorbed before the wave that is scanned now.
    let mut before = progress.clone();
    loop {
        let sources: Vec<&mut Open> =
            open.iter_mut().map(|source| source.get_mut().unwrap_or_else(PoisonError::into_inner)).collect();
        feed.turns = turns(&sources, if others.is_empty() { &before } else { &progress });
        let ended: Vec<bool> = sources.iter().map(|source| source.ended).collect();
        for source in sources {
            source.read = 0;
            pass.troubles.append(&mut source.troubles);
        }
        if stop.load(Ordering::Relaxed) || feed.turns.is_empty() && wave.is_empty() {
            return Ok(());
        }
        if others.is_empty() {
            before.clone_from(&progress);
            end(&mut progress, &ended);
            alone(pass, first, &open, &mut progress, &mut feed)?;
            continue;
        }
        let shared = Mutex::new(feed);
        let absorbed = in_scope(own.as_ref(), |scope| {
            for scanner in others.iter_mut() {
                scope.spawn(|_| work(scanner, &open, &shared));
            }
            let absorbed: io::Result<()> = wave.drain(..).try_for_each(|done: Done| {
                let (bytes, used) = absorb(pass, &mut progress, done.turn, done.block, done.result)?;
                let mut feed = lock(&shared);
                feed.spare.push(bytes);
                feed.used.push(used);
                Ok(())
            });
            work(first, &open, &shared);
            absorbed
        });
        end(&mut progress, &ended);
        feed = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        absorbed?;
        std::mem::swap(&mut wave, &mut feed.done);
        wave.sort_unstable_by_key(|done| done.place);
    }
}

/// Runs a scope in a pool, or in the one that this thread is of.
fn in_scope<'s, R>(pool: Option<&rayon::ThreadPool>, work: impl FnOnce(&rayon::Scope<'s>) -> R) -> R {
    match pool {
        Some(pool) => pool.in_place_scope(work),
        None => rayon::in_place_scope(work),
    }
}

/// Scans blocks as long as the wave has some.
fn work(scanner: &mut Scanner<'_>, open: &[Mutex<Open>], feed: &Mutex<Feed>) {
    loop {
        let mut shared = lock(feed);
        let Some((turn, place)) = shared.turns.pop_front() else { return };
        let spare = shared.spare.pop().unwrap_or_default();
        drop(shared);
        let Some((number, block)) = lock(&open[turn]).read(spare) else { continue };
        let used = lock(feed).used.pop().unwrap_or_default();
        let result = scanner.scan(&block, used);
        lock(feed).done.push(Done { place: (place, number), turn, block, result });
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose blocks are read next: of those that are furthest behind, as far as was absorbed.
fn turns(open: &[&mut Open], progress: &[Progress]) -> VecDeque<(usize, usize)> {
    let mut order: Vec<usize> = (0..open.len()).filter(|source| !open[*source].ended).collect();
    order.sort_by_key(|source| (progress[*source].reached, open[*source].blocks.source()));
    order.truncate(WAVE);
    let each = WAVE / order.len().max(1);
    order.into_iter().enumerate().flat_map(|(place, turn)| std::iter::repeat_n((turn, place), each)).collect()
}

/// Scans the blocks of a wave and absorbs each at once, while the only thread there is has it in its cache. They are the same
/// blocks in the same order.
fn alone(
    pass: &mut Pass<'_>,
    scanner: &mut Scanner<'_>,
    open: &[Mutex<Open>],
    progress: &mut [Progress],
    feed: &mut Feed,
) -> io::Result<()> {
    while let Some((turn, _)) = feed.turns.pop_front() {
        let Some((_, block)) = lock(&open[turn]).read(feed.spare.pop().unwrap_or_default()) else { continue };
        let result = scanner.scan(&block, feed.used.pop().unwrap_or_default());
        let (bytes, used) = absorb(pass, progress, turn, block, result)?;
        feed.spare.push(bytes);
        feed.used.push(used);
    }
    Ok(())
}

/// Notes which sources had ended before a wave was read.
fn end(progress: &mut [Progress], ended: &[bool]) {
    for (source, ended) in progress.iter_mut().zip(ended) {
        source.ended = *ended;
    }
}

/// Hands a block on to the pass; gives its buffers back.
fn absorb(
    pass: &mut Pass<'_>,
    progress: &mut [Progress],
    turn: usize,
    block: Block,
    mut result: Scanned,
) -> io::Result<(Vec<u8>, Scanned)> {
    progress[turn].reached = progress[turn].reached.max(result.reached);
    // Log time is where the slowest source is; one that has told nothing yet holds it back.
    let now = progress.iter().filter(|source| !source.ended).map(|source| source.reached).min().flatten();
    pass.absorb(&mut result, &block, now)?;
    Ok((block.bytes, result))
}
