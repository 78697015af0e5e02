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
    /// The latest end of a connection that this source told of.
    reached: Option<Micros>,
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
            }),
            Err(error) => pass.troubles.push(format!("{}: {error}", source.name())),
        }
    }
    let threads = pass.settings.threads;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
    let mut spare: Vec<Vec<u8>> = Vec::new();
    while !open.is_empty() && !stop.load(Ordering::Relaxed) {
        let wave = next_wave(&mut open, &mut spare, &mut pass.troubles);
        let (formats, options) = (&pass.settings.formats, pass.scanning());
        let scan = |block: &Block| scan::scan(block, formats, options);
        // One thread absorbs each block while it is still in the cache.
        let ahead: Vec<Scanned> = if pool.current_num_threads() == 1 {
            Vec::new()
        } else {
            pool.install(|| wave.par_iter().map(scan).collect())
        };
        let mut ahead = ahead.into_iter();
        for block in &wave {
            let scanned = ahead.next().unwrap_or_else(|| scan(block));
            absorb(pass, &mut open, scanned, block)?;
        }
        spare.extend(wave.into_iter().map(|block| block.bytes));
    }
    Ok(())
}

fn absorb(pass: &mut Pass<'_>, open: &mut [Open], scanned: Scanned, block: &Block) -> io::Result<()> {
    let reached = scan::reached(&scanned);
    if let Some(source) = open.iter_mut().find(|source| source.blocks.source() == block.origin.source) {
        source.reached = source.reached.max(reached);
    }
    pass.absorb(scanned, block)?;
    // Log time is where the slowest source is; one that has told nothing yet holds it back.
    if let Some(now) = open.iter().map(|source| source.reached).min().flatten() {
        pass.advance(now);
    }
    Ok(())
}

/// Reads the next blocks. Sources that ended or failed leave `open`.
fn next_wave(open: &mut Vec<Open>, spare: &mut Vec<Vec<u8>>, troubles: &mut Vec<String>) -> Vec<Block> {
    open.sort_by_key(|source| (source.reached, source.blocks.source()));
    let chosen = open.len().min(WAVE);
    let each = WAVE / chosen.max(1);
    let mut wave = Vec::with_capacity(WAVE);
    let mut ended = Vec::new();
    for source in open.iter_mut().take(chosen) {
        for _ in 0..each {
            match source.blocks.next(spare.pop().unwrap_or_default()) {
                Ok(Some(block)) => wave.push(block),
                Ok(None) => {
                    ended.push(source.blocks.source());
                    break;
                }
                Err(error) => troubles.push(format!("{}: {error}", source.name)),
            }
        }
    }
    open.retain(|source| !ended.contains(&source.blocks.source()));
    wave
}
