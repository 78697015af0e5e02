//! UTF-16, as PowerShell's `>` writes it: becomes UTF-8. Told by its byte order mark, which is left out.

use std::io::{self, BufReader, Cursor, Read};

use super::compressed::Bytes;

/// A reader of text in UTF-16.
pub(super) struct Utf16 {
    reader: BufReader<Bytes>,
    /// Makes a unit of two bytes in the order of the text.
    unit: fn([u8; 2]) -> u16,
    /// The byte of a unit, and the units of a character, of which the rest has not come yet.
    odd: Option<u8>,
    high: Option<u16>,
    /// What is ready to be given out.
    ready: Cursor<Vec<u8>>,
}

impl Utf16 {
    pub(super) fn new(reader: BufReader<Bytes>, unit: fn([u8; 2]) -> u16) -> Utf16 {
        Utf16 { reader, unit, odd: None, high: None, ready: Cursor::default() }
    }

    /// Takes one unit; halves of characters that stand alone become U+FFFD.
    fn take(&mut self, unit: u16) {
        let mut put =
            |character: char| self.ready.get_mut().extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        if let Some(high) = self.high.take() {
            if let Some(Ok(character)) = char::decode_utf16([high, unit]).next() {
                return put(character);
            }
            put(char::REPLACEMENT_CHARACTER);
        }
        match unit {
            0xd800..0xdc00 => self.high = Some(unit),
            0xfeff => {}
            _ => put(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }
}

impl Read for Utf16 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut piece = [0; 4 << 10];
        loop {
            let given = self.ready.read(into)?;
            if given > 0 || into.is_empty() {
                return Ok(given);
            }
            self.ready.get_mut().clear();
            self.ready.set_position(0);
            let read = self.reader.read(&mut piece)?;
            if read == 0 {
                return Ok(0);
            }
            for byte in &piece[..read] {
                match self.odd.take() {
                    None => self.odd = Some(*byte),
                    Some(first) => self.take((self.unit)([first, *byte])),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_become_utf8_and_lone_halves_are_replaced() {
        let text = "\u{feff}pod \u{203a} \u{1f600}\r\n";
        let mut units: Vec<u16> = text.encode_utf16().collect();
        units.extend([0xd83d, u16::from(b'x'), 0xde00]);
        for (bytes, unit) in [
            (
                units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>(),
                u16::from_le_bytes as fn([u8; 2]) -> u16,
            ),
            (units.iter().flat_map(|unit| unit.to_be_bytes()).collect(), u16::from_be_bytes),
        ] {
            let mut out = String::new();
            let bytes: Bytes = Box::new(io::Cursor::new(bytes));
            Utf16::new(BufReader::with_capacity(3, bytes), unit).read_to_string(&mut out).unwrap();
            assert_eq!(out, "pod \u{203a} \u{1f600}\r\n\u{fffd}x\u{fffd}");
        }
    }
}
