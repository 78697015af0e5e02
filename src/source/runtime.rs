//! What a container runtime cut into several records becomes one line again.
//!
//! containerd and CRI-O mark all records of a line but the last with `P`; Docker's json-file driver cuts after 16 KiB and
//! leaves the line end out. Where a piece stood a line stays, so that numbers of lines remain those of the file; the
//! whole line stands where its last piece did. Sources: Kubernetes' CRI logging, moby `daemon/logger/copier.go`.

use crate::field::value::is_stamp;

/// Pieces of more bytes than this are given up and passed on as they are.
const LONGEST: usize = 16 << 20;
/// Docker cuts lines after so many bytes, and for no other reason.
const DOCKER: usize = 16 << 10;
/// Stands where a piece stood: it begins like a line that continues another.
const PIECE: &[u8] = b" +\n";

/// The state between two lines.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    /// The start of a line whose end has not come.
    rest: Vec<u8>,
    /// Pieces of the standard output, of the standard error.
    pending: [Vec<u8>; 2],
}

/// A record of a runtime.
struct Piece<'a> {
    /// What stands before the text, the text, and what stands behind it.
    parts: [&'a [u8]; 3],
    /// Standard error.
    stream: usize,
    /// The line goes on.
    open: bool,
}

impl Runtime {
    /// Whether a runtime wrote this, from the start of a line on.
    pub(super) fn begins(head: &[u8]) -> bool {
        head.starts_with(b"{\"log\":\"") || cri(head).is_some()
    }

    /// Takes the next bytes; whole lines go to `out`.
    pub(super) fn push(&mut self, bytes: &[u8], ended: bool, out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end + 1);
            if self.rest.is_empty() {
                self.line(line, out);
            } else {
                self.rest.extend_from_slice(line);
                let line = std::mem::take(&mut self.rest);
                self.line(&line, out);
            }
            rest = behind;
        }
        self.rest.extend_from_slice(rest);
        if ended || self.rest.len() > LONGEST {
            let line = std::mem::take(&mut self.rest);
            self.line(&line, out);
        }
        if ended {
            for pieces in &mut self.pending {
                out.append(pieces);
            }
        }
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(Piece { parts: [before, text, behind], stream, open }) = cri(line).or_else(|| docker(line)) else {
            return out.extend_from_slice(line);
        };
        let pending = &mut self.pending[stream];
        if !open && pending.is_empty() {
            return out.extend_from_slice(line);
        }
        if open {
            // What is before the text stays, in case that nothing follows.
            if pending.is_empty() {
                pending.extend_from_slice(before);
            }
            pending.extend_from_slice(text);
            if pending.len() > LONGEST {
                out.append(pending);
                out.push(b'\n');
            } else {
                out.extend_from_slice(PIECE);
            }
            return;
        }
        let head = if before.first() == Some(&b'{') { before.len() } else { head(pending) };
        out.extend_from_slice(before);
        out.extend_from_slice(&pending[head..]);
        out.extend_from_slice(text);
        out.extend_from_slice(behind);
        pending.clear();
    }
}

/// `TIME stdout|stderr P|F[:TAG] `: how many bytes.
fn head(line: &[u8]) -> usize {
    let mut blanks = memchr::memchr_iter(b' ', line);
    blanks.nth(2).map_or(0, |at| at + 1)
}

fn cri(line: &[u8]) -> Option<Piece<'_>> {
    if !is_stamp(line, b'T') {
        return None;
    }
    let (before, text) = line.split_at(head(line));
    let mut words = before.split(|byte| *byte == b' ').skip(1);
    let stream = match words.next()? {
        b"stdout" => 0,
        b"stderr" => 1,
        _ => return None,
    };
    let open = match words.next()? {
        [b'P'] | [b'P', b':', ..] => true,
        [b'F'] | [b'F', b':', ..] => false,
        _ => return None,
    };
    let text = if open { text.strip_suffix(b"\n").unwrap_or(text) } else { text };
    Some(Piece { parts: [before, text, b""], stream, open })
}

/// `{"log":"TEXT","stream":"stdout","time":"..."}`, where only a whole line's text ends with `\n`.
fn docker(line: &[u8]) -> Option<Piece<'_>> {
    const KEY: &[u8] = b"{\"log\":\"";
    let rest = line.strip_prefix(KEY)?;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', rest.get(at..)?)?;
        if rest[at] == b'"' {
            break;
        }
        at += 2;
    }
    let (text, behind) = rest.split_at(at);
    let stream = usize::from(memchr::memmem::find(behind, b"\"stream\":\"stderr\"").is_some());
    let open = text.len() >= DOCKER && !text.ends_with(b"\\n");
    Some(Piece { parts: [KEY, text, behind], stream, open })
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::joined;
    use super::*;

    #[test]
    fn partial_records_become_one_line_where_the_last_of_them_was() {
        let input = "2026-03-01T10:00:00.1Z stdout F one\n2026-03-01T10:00:00.2Z stdout P a\n2026-03-01T10:00:00.2Z stderr P x\n\
                     2026-03-01T10:00:00.3Z stdout P:t b \n2026-03-01T10:00:00.3Z stderr F y\n2026-03-01T10:00:00.4Z stdout F c\nother\n";
        let expected = "2026-03-01T10:00:00.1Z stdout F one\n +\n +\n +\n2026-03-01T10:00:00.3Z stderr F xy\n\
                        2026-03-01T10:00:00.4Z stdout F ab c\nother\n";
        assert_eq!(joined(input), expected);
    }

    #[test]
    fn pieces_without_an_end_are_not_lost() {
        let input = "2026-03-01T10:00:00.2Z stdout P a\n2026-03-01T10:00:00.3Z stdout P b\n";
        assert_eq!(joined(input), " +\n +\n2026-03-01T10:00:00.2Z stdout P ab");
    }

    #[test]
    fn what_docker_cut_is_joined() {
        let long = "x\\\"".repeat(DOCKER / 2);
        let piece = |text: &str| format!("{{\"log\":\"{text}\",\"stream\":\"stdout\",\"time\":\"t\"}}\n");
        let input = [piece("one\\n"), piece(&long), piece("two\\n"), piece("no end"), piece("three\\n")].concat();
        let whole =
            [piece("one\\n"), " +\n".to_owned(), piece(&format!("{long}two\\n")), piece("no end"), piece("three\\n")];
        assert_eq!(joined(&input), whole.concat());
    }
}
