//! Docker's json-file driver: `{"log":"LINE\n","stream":"stdout","time":"..."}`. The line is the one thing that
//! has to be copied, because it is escaped. Source: Docker documentation, JSON File logging driver.

use crate::format::json::members;
use crate::record::{Span, unescape};

/// Writes the line inside of such an object to `out`; `None` if the object is something else. The second
/// value says whether the line ends here (long lines are split over several objects).
pub fn unwrap(object: &[u8], out: &mut Vec<u8>) -> Option<bool> {
    // The driver writes this key first: other objects cost one comparison.
    if !object.starts_with(b"{\"log\":\"") {
        return None;
    }
    let (mut inner, mut stream) = (Span::NONE, false);
    members(object, |key, span| match key {
        b"log" => inner = span,
        b"stream" | b"time" => stream = true,
        _ => {}
    })
    .ok()?;
    let inner = inner.of(object).filter(|_| stream)?;
    out.clear();
    unescape(inner, out);
    let whole = out.last() == Some(&b'\n');
    while out.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        out.pop();
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_comes_out_unescaped_and_other_objects_are_left() {
        let mut out = Vec::new();
        let object = br#"{"log":"[x] \"- - -\" \u003c1\n","stream":"stdout","time":"2024-08-07T09:34:15.747065123Z"}"#;
        assert_eq!(unwrap(object, &mut out), Some(true));
        assert_eq!(out, br#"[x] "- - -" <1"#);
        assert_eq!(unwrap(br#"{"log":"part","stream":"stdout"}"#, &mut out), Some(false));
        assert_eq!(unwrap(br#"{"log":"mine"}"#, &mut out), None);
        assert_eq!(unwrap(br#"{"start_time":"x"}"#, &mut out), None);
    }
}
