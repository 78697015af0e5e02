//! `Lines`: makes one line of one record where a source spreads it over several: JSON documents (`document`) and what a
//! container runtime cut (`runtime`). Told by the source's first bytes; everything else passes through untouched.

use std::io::{self, Read};

use super::document::Document;
use super::runtime::Runtime;

/// A reader that gives out whole records.
pub struct Lines<R> {
    reader: R,
    layout: Layout,
    /// What is ready to be given out, and how far it was.
    ready: Vec<u8>,
    given: usize,
    ended: bool,
}

enum Layout {
    /// Not yet told.
    Unknown,
    /// A record a line.
    Plain,
    Document(Document),
    Runtime(Runtime),
}

/// The first bytes of a source say enough by here.
const HEAD: usize = 128;

impl<R: Read> Lines<R> {
    /// Reads from `reader`.
    pub fn new(reader: R) -> Lines<R> {
        Lines { reader, layout: Layout::Unknown, ready: Vec::new(), given: 0, ended: false }
    }

    /// What the first bytes tell; none as long as they tell nothing.
    fn told(head: &[u8], ended: bool) -> Option<Layout> {
        if Document::begins(head) {
            return Some(Layout::Document(Document::default()));
        }
        if Runtime::begins(head) {
            return Some(Layout::Runtime(Runtime::default()));
        }
        // `[` or `{` alone on its line: what follows decides.
        let open = matches!(head.trim_ascii(), [] | [b'[' | b'{'] | b"\xef" | b"\xef\xbb" | b"\xef\xbb\xbf");
        let line = head.trim_ascii_start().contains(&b'\n');
        (ended || head.len() >= HEAD || !open && line).then_some(Layout::Plain)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = vec![0; 64 << 10];
        let read = self.reader.read(&mut piece)?;
        piece.truncate(read);
        self.ended = read == 0;
        if let Layout::Unknown = self.layout {
            self.ready.append(&mut piece);
            let Some(layout) = Self::told(&self.ready, self.ended) else { return Ok(()) };
            self.layout = layout;
            piece = std::mem::take(&mut self.ready);
        }
        match &mut self.layout {
            Layout::Unknown | Layout::Plain => self.ready.append(&mut piece),
            Layout::Document(document) => document.push(&piece, self.ended, &mut self.ready),
            Layout::Runtime(runtime) => runtime.push(&piece, self.ended, &mut self.ready),
        }
        Ok(())
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() || matches!(self.layout, Layout::Unknown) {
            if matches!(self.layout, Layout::Plain) {
                return self.reader.read(into);
            }
            if self.ended {
                return Ok(0);
            }
            if self.given == self.ready.len() {
                self.ready.clear();
                self.given = 0;
            }
            self.fill()?;
        }
        let ready = &self.ready[self.given..];
        let count = ready.len().min(into.len());
        into[..count].copy_from_slice(&ready[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What comes out of `input` if it arrives in pieces of `size`.
    pub(in super::super) fn lines(input: &[u8], size: usize) -> String {
        struct Drip<'a>(&'a [u8], usize);
        impl Read for Drip<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let count = self.1.min(self.0.len()).min(into.len());
                into[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
        let mut out = Vec::new();
        Lines::new(Drip(input, size)).read_to_end(&mut out).unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The same however it arrives.
    pub(in super::super) fn joined(input: &str) -> String {
        let whole = lines(input.as_bytes(), usize::MAX);
        for size in [1, 2, 3, 7, 50, 1000] {
            assert_eq!(lines(input.as_bytes(), size), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn lines_pass_untouched() {
        for input in
            ["", "\n", "a\nb", "[2020-07-23T14:26:27.081Z] x\n{\"a\":1}\n", "{\"a\":1}\n[1]\n", "[", "{", "  \n \n"]
        {
            assert_eq!(joined(input), input);
        }
    }
}
