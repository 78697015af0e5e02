//! The pump for files: waves of blocks are scanned side by side and absorbed in order.
//!
//! The next blocks always come from the sources that are furthest behind in log time, so that the archives of
//! many pods are read as one stream, whatever their sizes. How blocks are chosen does not depend on threads.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::Pass;
use crate::field::value::Micros;
use crate::scan::{self, Scanned};
use crate::source::block::{Block, Blocks};
use crate::source::{Input, Source, SourceId};

/// Blocks in flight at a time. Fixed, so that the choice of blocks does not depend on the number of cores.
const WAVE: usize = 4;
/// The largest block, and the smallest where there are many sources. Names and ways are looked up once a block, so
/// that large ones are cheaper: 4 MiB took a fifth less time than 1 MiB.
const BLOCK: usize = 4 << 20;
const SMALLEST: usize = 64 << 10;

struct Open {
    blocks: Blocks<Input>,
    name: String,
    /// How far this source has come in log time.
    reached: Option<Micros>,
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

/// Reads every source to its end, or until `stop` is set. A source that cannot be opened or read is a trouble of
/// the pass, and the others go on. Errors are those of the output.
pub fn run(pass: &mut Pass<'_>, sources: &[Source], stop: &AtomicBool) -> io::Result<()> {
    let size = (16 * BLOCK / sources.len().max(1)).clamp(SMALLEST, BLOCK);
    let mut open = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        match source.open() {
            Ok(input) => open.push(Open {
                blocks: Blocks::new(input, SourceId(number as u32), size),
                name: source.name(),
                reached: None,
                ended: false,
            }),
            Err(error) => pass.troubles.push(format!("{}: {error}", source.name())),
        }
    }
    let threads = pass.settings.threads;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
    let (mut spare, mut used) = (Vec::<Vec<u8>>::new(), Vec::<Scanned>::new());
    while !open.is_empty() && !stop.load(Ordering::Relaxed) {
        let turns = turns(&mut open);
        if pool.current_num_threads() == 1 {
            // Each block is used up while it is still in the cache.
            for turn in turns {
                let Some(block) = open[turn].read(&mut spare, &mut pass.troubles) else { continue };
                let mut scanned = pass.scan(&block, used.pop().unwrap_or_default());
                absorb(pass, &mut open, turn, &mut scanned, &block)?;
                spare.push(block.bytes);
                used.push(scanned);
            }
        } else {
            let read = |turn: usize| {
                let block = open[turn].read(&mut spare, &mut pass.troubles)?;
                Some((turn, block, used.pop().unwrap_or_default()))
            };
            let mut wave: Vec<(usize, Block, Scanned)> = turns.into_iter().filter_map(read).collect();
            let (formats, options) = (&pass.settings.formats, pass.scanning());
            let scan = |(_, block, scanned): &mut (usize, Block, Scanned)| {
                *scanned = scan::scan(block, formats, options, std::mem::take(scanned));
            };
            pool.install(|| wave.par_iter_mut().for_each(scan));
            for (turn, block, mut scanned) in wave {
                absorb(pass, &mut open, turn, &mut scanned, &block)?;
                spare.push(block.bytes);
                used.push(scanned);
            }
        }
        open.retain(|source| !source.ended);
    }
    Ok(())
}

/// Whose blocks are read next, as places in `open`, which is put in the order of log time.
fn turns(open: &mut [Open]) -> Vec<usize> {
    open.sort_by_key(|source| (source.reached, source.blocks.source()));
    let chosen = open.len().min(WAVE);
    (0..chosen).flat_map(|turn| std::iter::repeat_n(turn, WAVE / chosen)).collect()
}

fn absorb(pass: &mut Pass<'_>, open: &mut [Open], turn: usize, scanned: &mut Scanned, block: &Block) -> io::Result<()> {
    open[turn].reached = open[turn].reached.max(scanned.reached);
    pass.absorb(scanned, block)?;
    // Log time is where the slowest source is; one that has told nothing yet holds it back.
    if let Some(now) = open.iter().filter(|source| !source.ended).map(|source| source.reached).min().flatten() {
        pass.advance(now);
    }
    Ok(())
}
