//! Parquet's hybrid of runs and packed bits: numbers of a dictionary, and which values are there.
//!
//! Source: Encodings of the Parquet format, "Run Length Encoding / Bit-Packing Hybrid".

/// Numbers are packed in groups of so many.
const GROUP: usize = 8;
/// With fewer groups of equal numbers in a row, what a run says before and behind it takes more than their bits.
const RUN: usize = 4;

/// Adds numbers that have at most `width` bits each, from 1 to 32.
pub(super) fn encode<T: Copy + PartialEq + Into<u32>>(numbers: &[T], width: u32, out: &mut Vec<u8>) {
    let (groups, rest) = numbers.as_chunks::<GROUP>();
    let (mut at, mut packed) = (0, 0);
    while let Some(group) = groups.get(at) {
        let first = group[0];
        let run = groups[at..].iter().take_while(|group| group.iter().all(|number| *number == first)).count();
        if run >= RUN {
            pack(&numbers[GROUP * packed..GROUP * at], width, out);
            let all = at + run == groups.len() && rest.iter().all(|number| *number == first);
            let length = GROUP * run + if all { rest.len() } else { 0 };
            head(length << 1, out);
            out.extend_from_slice(&first.into().to_le_bytes()[..width.div_ceil(8) as usize]);
            if all {
                return;
            }
            packed = at + run;
        }
        at += run.max(1);
    }
    pack(&numbers[GROUP * packed..], width, out);
}

/// Adds groups of numbers, the last of which may be short: it ends in zeros.
fn pack<T: Copy + Into<u32>>(numbers: &[T], width: u32, out: &mut Vec<u8>) {
    if numbers.is_empty() {
        return;
    }
    let groups = numbers.len().div_ceil(GROUP);
    head(groups << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    let (mut bits, mut count) = (0_u64, 0);
    for number in numbers {
        bits |= u64::from((*number).into()) << count;
        count += width;
        if count >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            count -= 32;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes());
    out.resize(end, 0);
}

/// Adds a number in as few bytes as it needs, seven bits each.
fn head(mut number: usize, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads numbers as the format says they are to be read.
    fn decode(bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let (mut at, mut numbers) = (0, Vec::new());
        while numbers.len() < count {
            let (mut head, mut shift) = (0_usize, 0);
            loop {
                let byte = bytes[at];
                at += 1;
                head |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            if head & 1 == 0 {
                let size = width.div_ceil(8) as usize;
                let number = (0..size).fold(0, |number, byte| number | u32::from(bytes[at + byte]) << (8 * byte));
                at += size;
                numbers.extend(std::iter::repeat_n(number, head >> 1));
            } else {
                let packed = &bytes[at..at + (head >> 1) * width as usize];
                let bit = |bit: usize| u32::from(packed[bit / 8] >> (bit % 8) & 1);
                for number in 0..(head >> 1) * GROUP {
                    let at = number * width as usize;
                    numbers.push((0..width as usize).fold(0, |value, place| value | bit(at + place) << place));
                }
                at += packed.len();
            }
        }
        assert_eq!(at, bytes.len());
        // Only the last group may be longer than what was asked for.
        assert!(numbers[count..].len() < GROUP && numbers[count..].iter().all(|number| *number == 0));
        numbers.truncate(count);
        numbers
    }

    #[test]
    fn numbers_come_back_however_they_repeat() {
        for width in [1, 2, 7, 8, 9, 17, 31, 32] {
            let most = u32::MAX >> (32 - width);
            for repeat in [1, 3, 8, 31, 32, 33, 64, 200] {
                for count in [0, 1, 7, 8, 9, 31, 32, 33, 40, 63, 64, 65, 500, 5000] {
                    let numbers: Vec<u32> =
                        (0..count as u32).map(|place| (place / repeat).wrapping_mul(0x9e37_79b9) & most).collect();
                    let mut bytes = Vec::new();
                    encode(&numbers, width, &mut bytes);
                    assert_eq!(decode(&bytes, width, count), numbers, "{count} of {width} bits, {repeat} alike");
                }
            }
        }
    }

    #[test]
    fn what_is_all_the_same_is_one_run() {
        let mut bytes = Vec::new();
        encode(&[true; 1003], 1, &mut bytes);
        assert_eq!(bytes, [0xd6, 0x0f, 1]);
    }
}
