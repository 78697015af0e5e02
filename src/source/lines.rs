//! `Lines`: makes one line of one record where a source spreads it over several: JSON documents (`document`) and what a
//! container runtime cut (`runtime`). Told by the first of a source's first lines that is of these; everything else passes
//! through untouched.

use std::io::{self, Cursor, Read};

use super::document::Document;
use super::runtime::Runtime;

/// A reader that gives out whole records.
pub struct Lines<R> {
    reader: R,
    layout: Layout,
    /// What was read and could not be told yet.
    rest: Vec<u8>,
    /// What is ready to be given out.
    ready: Cursor<Vec<u8>>,
    ended: bool,
}

enum Layout {
    /// Not yet told, though so many lines and bytes were passed on.
    Unknown {
        lines: usize,
        bytes: usize,
    },
    /// A record a line.
    Plain,
    Document(Document),
    Runtime(Runtime),
}

/// A layout shows in so many lines, in so many bytes: what comes before it are notes, and what is left of a record whose
/// start was cut off.
const LINES: usize = 100;
const NEAR: usize = 64 << 10;

/// What some editors and shells put before the first line.
const MARK: &[u8] = b"\xef\xbb\xbf";

impl<R: Read> Lines<R> {
    /// Reads from `reader`.
    pub fn new(reader: R) -> Lines<R> {
        let layout = Layout::Unknown { lines: 0, bytes: 0 };
        Lines { reader, layout, rest: Vec::new(), ready: Cursor::default(), ended: false }
    }

    /// Passes lines on until one tells the layout. A whole line is never held back, unless it ends with the bracket of an
    /// object: whoever writes to a pipe may write the next one much later.
    fn tell(&mut self) {
        let mut from = 0;
        while let Layout::Unknown { lines, bytes } = self.layout {
            let rest = &self.rest[from..];
            if bytes == 0 && from == 0 && MARK.starts_with(&rest[..rest.len().min(MARK.len())]) {
                if rest.len() < MARK.len() && !self.ended {
                    return;
                }
                from = if rest.len() < MARK.len() { 0 } else { MARK.len() };
            }
            let rest = &self.rest[from..];
            let line = memchr::memchr(b'\n', rest).map(|end| end + 1);
            let blank = line.is_some_and(|end| rest[..end].trim_ascii().is_empty());
            if !blank && Document::begins(rest) {
                self.layout = Layout::Document(Document::default());
                break;
            }
            if !blank && Runtime::begins(rest) {
                self.layout = Layout::Runtime(Runtime::default());
                break;
            }
            let open = !blank && Document::may_begin(rest);
            if !self.ended && rest.len() < NEAR && (line.is_none() || open) {
                break;
            }
            let Some(end) = line.filter(|_| lines < LINES && bytes < NEAR) else {
                self.layout = Layout::Plain;
                break;
            };
            self.ready.get_mut().extend_from_slice(&rest[..end]);
            from += end;
            self.layout = Layout::Unknown { lines: lines + 1, bytes: bytes + end };
        }
        self.rest.drain(..from);
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = vec![0; 64 << 10];
        let read = self.reader.read(&mut piece)?;
        piece.truncate(read);
        self.ended = read == 0;
        if let Layout::Unknown { .. } = self.layout {
            self.rest.append(&mut piece);
            self.tell();
            if let Layout::Unknown { .. } = self.layout {
                return Ok(());
            }
            piece = std::mem::take(&mut self.rest);
        }
        match &mut self.layout {
            Layout::Unknown { .. } | Layout::Plain => self.ready.get_mut().append(&mut piece),
            Layout::Document(document) => document.push(&piece, self.ended, self.ready.get_mut()),
            Layout::Runtime(runtime) => runtime.push(&piece, self.ended, self.ready.get_mut()),
        }
        Ok(())
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let given = self.ready.read(into)?;
            if given > 0 || into.is_empty() {
                return Ok(given);
            }
            if matches!(self.layout, Layout::Plain) {
                // What told the layout is given out: hundreds of files would keep room for it.
                self.ready = Cursor::default();
                return self.reader.read(into);
            }
            if self.ended {
                return Ok(0);
            }
            self.ready.get_mut().clear();
            self.ready.set_position(0);
            self.fill()?;
        }
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

    #[test]
    fn what_stands_before_a_layout_does_not_hide_it() {
        let piece = "2026-03-01T10:00:00.1Z stdout P a\n2026-03-01T10:00:00.2Z stdout F b\n";
        let joined_piece = " +\n2026-03-01T10:00:00.2Z stdout F ab\n";
        let object = "{\n  \"a\": 1\n}\n";
        for before in
            ["\n", "  \n\n", "========= Previous log =========\n", "  \"cut\": 2\n}\n", "[2026-03-01T10:00:00.1Z] x\n"]
        {
            assert_eq!(joined(&format!("{before}{piece}")), format!("{before}{joined_piece}"));
            assert_eq!(joined(&format!("{before}{object}")), format!("{before}{{\"a\":1}}\n"));
            assert_eq!(joined(&format!("\u{feff}{before}{object}")), format!("{before}{{\"a\":1}}\n"));
        }
        assert_eq!(joined(&format!("\u{feff}{piece}")), joined_piece);
        let far = "note\n".repeat(LINES + 1);
        assert_eq!(joined(&format!("{far}{object}")), format!("{far}{object}"));
    }

    #[test]
    fn a_whole_first_line_does_not_wait_for_the_next() {
        /// Gives one line, and panics when it is asked for more.
        struct Live(Option<&'static [u8]>);
        impl Read for Live {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let line = self.0.take().expect("there is only one line yet");
                into[..line.len()].copy_from_slice(line);
                Ok(line.len())
            }
        }
        for line in ["\n", "[2026-03-01T10:00:00.1Z] x\n", "2026-03-01T10:00:00.1Z s x\n", "{\"a\":1}\n"] {
            let mut into = [0; 100];
            assert_eq!(Lines::new(Live(Some(line.as_bytes()))).read(&mut into).unwrap(), line.len());
        }
    }
}
