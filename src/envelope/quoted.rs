//! A line in quotes: a column of a table (`"[...] ""GET / ...` with each quote twice), a value of `key="value"` (`\"`), or as
//! it stands. Sources: RFC 4180, logfmt.

use memchr::{memchr, memchr2};

use crate::record::unescape;

/// The envelope's name in the summary.
pub const NAME: &str = "quoted";

/// Writes what stands in quotes to `out`; `text` begins behind the first of them.
pub fn open(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let Some(first) = memchr(b'"', text) else { return out.extend_from_slice(text) };
    if text[..first].last() == Some(&b'\\') {
        let mut at = first + 1;
        let end = loop {
            let Some(len) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else { break text.len() };
            at += len;
            if text[at] == b'"' {
                break at;
            }
            at += 2;
        };
        return unescape(&text[..end], out);
    }
    if text.get(first + 1) != Some(&b'"') {
        return out.extend_from_slice(text.strip_suffix(b"\"").unwrap_or(text));
    }
    let mut rest = text;
    while let Some(at) = memchr(b'"', rest) {
        out.extend_from_slice(&rest[..at]);
        match rest.get(at + 1) {
            Some(b'"') => out.push(b'"'),
            _ => return,
        }
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_quoting_is_undone() {
        for (text, plain) in [
            (r#"[t] "- - -" 0 "-" -""#, r#"[t] "- - -" 0 "-" -"#),
            (r#"[t] ""- - -"" 0 ""-"" -","next""#, r#"[t] "- - -" 0 "-" -"#),
            (r#"{""a"":""b""}""#, r#"{"a":"b"}"#),
            (r#"[t] \"- - -\" 0 -" level=info"#, r#"[t] "- - -" 0 -"#),
            (r#"{\"a\":\"b\\\"c\"}""#, r#"{"a":"b\"c"}"#),
            (r#"[t] \"cut"#, r#"[t] "cut"#),
            ("none", "none"),
        ] {
            let mut out = Vec::new();
            open(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), plain, "{text}");
        }
    }
}
