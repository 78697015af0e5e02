//! tar and zip: members are unpacked side by side into one file without a name, so that the logs of many pods can be read
//! in the order of log time. Archives in archives are unpacked too, compressed members as well.
//!
//! Sources: POSIX ustar, APPNOTE.TXT of zip.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::compressed::{Bytes, DEPTH, Growth, peek, plain_within};
use super::expand::Expanded;
use super::{Content, Source};

/// The kinds of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tar,
    Zip,
}

/// How many first bytes tell an archive.
pub(super) const HEAD: usize = 512;
/// Members of all archives of one input; what has more is no log archive.
const MOST_MEMBERS: usize = 100_000;

impl Kind {
    /// Told by the first bytes: zip by its signature, tar by the sum of its header.
    pub(super) fn of(head: &[u8]) -> Option<Kind> {
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return Some(Kind::Zip);
        }
        let header: &[u8; HEAD] = head.first_chunk()?;
        let digits = header[148..156].trim_ascii_start();
        let digits = &digits[..digits.iter().take_while(|byte| (b'0'..=b'7').contains(byte)).count()];
        let stored = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?;
        let sum = |part: &[u8]| part.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let counted = sum(&header[..148]) + 8 * u32::from(b' ') + sum(&header[156..]);
        (header[0] != 0 && counted == stored).then_some(Kind::Tar)
    }
}

/// Unpacks one input.
pub(super) struct Unpacker<'e> {
    out: &'e mut Expanded,
    stop: &'e AtomicBool,
    spool: BufWriter<File>,
    /// The file again, for those who read it.
    file: Arc<File>,
    at: u64,
    members: usize,
    /// What the members took up, whatever their archives say of their sizes, and however often they share bytes.
    growth: Growth,
    /// What compressed members grew to.
    unpacked: Growth,
}

/// A file without a name, gone with whoever holds it.
fn spool() -> io::Result<File> {
    tempfile::tempfile().map_err(|error| {
        let folder = std::env::temp_dir();
        io::Error::new(error.kind(), format!("unpacking needs a temporary file in {}: {error}", folder.display()))
    })
}

impl<'e> Unpacker<'e> {
    /// `growth` counts what was read of the input.
    pub(super) fn new(out: &'e mut Expanded, stop: &'e AtomicBool, growth: &Growth) -> io::Result<Unpacker<'e>> {
        let spool = spool()?;
        let file = Arc::new(spool.try_clone()?);
        let spool = BufWriter::with_capacity(1 << 20, spool);
        let (growth, unpacked) = (growth.apart(), growth.apart());
        Ok(Unpacker { out, stop, spool, file, at: 0, members: 0, growth, unpacked })
    }

    /// Unpacks an archive called `name`. What is damaged is a trouble, and what came before it stays.
    pub(super) fn archive(&mut self, name: &str, kind: Kind, bytes: Bytes, depth: usize) {
        let done = match kind {
            Kind::Tar => self.tar(name, bytes, depth),
            Kind::Zip => self.zip(name, bytes, depth),
        };
        if let Err(error) = done.and_then(|()| self.spool.flush()) {
            self.out.troubles.push(format!("{name}: {error}"));
        }
    }

    fn tar(&mut self, name: &str, bytes: Bytes, depth: usize) -> io::Result<()> {
        let mut archive = tar::Archive::new(bytes);
        for member in archive.entries()? {
            let member = member?;
            let path = String::from_utf8_lossy(&member.path_bytes()).into_owned();
            if !self.goes_on()? {
                break;
            }
            if member.header().entry_type().is_file() {
                self.member(name, &path, member, depth)?;
            }
        }
        Ok(())
    }

    fn zip(&mut self, name: &str, mut bytes: Bytes, depth: usize) -> io::Result<()> {
        // The list of members stands at the end, so the whole of it has to be at hand.
        let mut whole = spool()?;
        io::copy(&mut bytes, &mut whole)?;
        let mut archive = match zip::ZipArchive::new(whole.try_clone()?) {
            Ok(archive) => archive,
            Err(error) => {
                self.out.troubles.push(format!("{name}: the list of members is damaged: {error}"));
                return self.zip_without_list(name, whole, depth);
            }
        };
        for number in 0..archive.len() {
            if !self.goes_on()? {
                break;
            }
            let member = match archive.by_index(number) {
                Ok(member) => member,
                Err(error) => {
                    self.out.troubles.push(format!("{name}: member {}: {error}", number + 1));
                    continue;
                }
            };
            let path = member.name().map_or_else(|_| format!("member {}", number + 1), Cow::into_owned);
            if member.is_file() {
                self.member(name, &path, member, depth)?;
            }
        }
        Ok(())
    }

    /// A zip that was cut off: its members follow each other all the same.
    fn zip_without_list(&mut self, name: &str, mut whole: File, depth: usize) -> io::Result<()> {
        whole.seek(SeekFrom::Start(0))?;
        let mut whole = io::BufReader::new(whole);
        while let Ok(Some(member)) = zip::read::read_zipfile_from_stream(&mut whole) {
            if !self.goes_on()? {
                break;
            }
            let path = member.name().map_or_else(|_| "member".to_owned(), Cow::into_owned);
            if member.is_file() {
                self.member(name, &path, member, depth)?;
            }
        }
        Ok(())
    }

    /// Whether there is reason to look at one more member.
    fn goes_on(&mut self) -> io::Result<bool> {
        self.members += 1;
        if self.members > MOST_MEMBERS {
            return Err(io::Error::other(format!("more than {MOST_MEMBERS} members: the others were left out")));
        }
        Ok(!self.stop.load(Ordering::Relaxed) && !self.growth.is_spent())
    }

    fn member(&mut self, archive: &str, path: &str, member: impl Read, depth: usize) -> io::Result<()> {
        let name = format!("{archive}!{path}");
        if let Some(reason) = (self.out.wanted.leaves_out)(&name) {
            *self.out.skipped.entry(reason).or_default() += 1;
            return Ok(());
        }
        // A member borrows its archive, and decoders want bytes of their own: what it holds is copied as it is first.
        let start = self.at;
        if let Err(error) = self.copy(member) {
            self.out.troubles.push(format!("{name}: {error}"));
        }
        self.spool.flush()?;
        let raw = || super::Part { file: Arc::clone(&self.file), at: start, to: self.at };
        let (head, _) = peek(raw(), HEAD)?;
        let (bytes, packed) = match plain_within(raw(), &self.unpacked) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.out.troubles.push(format!("{name}: {error}"));
                return Ok(());
            }
        };
        let (inner, bytes) = if packed { peek(bytes, HEAD)? } else { (head, bytes) };
        if let Some(kind) = Kind::of(&inner) {
            if depth == DEPTH {
                self.out.troubles.push(format!("{name}: more than {DEPTH} archives in each other"));
            } else {
                self.archive(&name, kind, bytes, depth + 1);
            }
            return Ok(());
        }
        if is_binary(&inner) {
            *self.out.skipped.entry("binary").or_default() += 1;
            self.at = start;
            self.spool.seek(SeekFrom::Start(start))?;
            return Ok(());
        }
        let growth = self.unpacked.clone();
        let part = Content::Part { file: Arc::clone(&self.file), from: start, to: self.at, growth };
        self.out.add(Source::new(name, part), packed);
        Ok(())
    }

    fn copy(&mut self, mut member: impl Read) -> io::Result<()> {
        // What a step has unpacked when it meets damage is lost, so the steps are small.
        let mut piece = [0; 4 << 10];
        while !self.stop.load(Ordering::Relaxed) {
            let read = match member.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.spool.write_all(&piece[..read])?;
            self.at += read as u64;
            self.growth.add(read)?;
        }
        Ok(())
    }
}

/// Whether a file begins like no text does.
pub(super) fn is_binary(head: &[u8]) -> bool {
    let zeros = memchr::memchr_iter(0, head).count();
    // One zero may be damage in a log; a block of a disk that was lost is all zeros, and still a log.
    zeros > 0 && zeros < head.len() && zeros * 10 > head.len()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap().into_inner()
    }

    /// Troubles, and how many bytes were unpacked.
    fn unpacked(bytes: Vec<u8>) -> (Vec<String>, u64) {
        let (mut out, stop, growth) = (Expanded::default(), AtomicBool::new(false), Growth::within(1 << 20));
        let mut unpacker = Unpacker::new(&mut out, &stop, &growth).unwrap();
        let input = Box::new(growth.input(Cursor::new(bytes)));
        unpacker.archive("a.zip", Kind::Zip, input, 1);
        let at = unpacker.at;
        (out.troubles, at)
    }

    #[test]
    fn members_together_grow_as_far_as_a_stream() {
        let bomb = zip("web.log", &b"\n".repeat(8 << 20));
        let mut twice = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in ["one.zip", "two.zip"] {
            twice.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            twice.write_all(&bomb).unwrap();
        }
        for packed in [bomb.clone(), zip("inner.zip", &bomb), twice.finish().unwrap().into_inner()] {
            let most = (packed.len() as u64 * 250).max(1 << 20) + (64 << 10);
            let (troubles, at) = unpacked(packed);
            assert_eq!(troubles.len(), 1, "{troubles:?}");
            assert!(troubles[0].contains("more than 250 times its size") && at < most, "{troubles:?} {at}");
        }
        assert_eq!(unpacked(zip("web.log", &b"\n".repeat(1 << 20))), (Vec::new(), 1 << 20));
    }
}
