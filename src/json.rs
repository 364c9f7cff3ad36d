//! JSON of others: parsed only where it is not nested deeply. Parsing, copying and dropping recurse, and the thread of a
//! host may have a small stack.

use serde::de::Error as _;
use serde_json::{Error, Value};

/// Deeper than any configuration, tool or conversation is nested.
pub const MAX_DEPTH: usize = 64;

/// The value of a text; the error says where it is none, or that it is nested more than [`MAX_DEPTH`] levels deep.
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    if is_deep(text) {
        return Err(Error::custom(format!("it is nested deeper than {MAX_DEPTH} levels")));
    }
    serde_json::from_slice(text)
}

/// Whether brackets outside of strings are nested too deeply.
fn is_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deeply_is_refused_before_it_is_parsed() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        for depth in [MAX_DEPTH + 1, 120, 1_000_000] {
            let error = parse(nested(depth).as_bytes()).unwrap_err().to_string();
            assert!(error.contains("nested deeper than 64 levels"), "{error}");
        }
        let brackets = format!("[\"\\\"{}\", \"\\\\\"]", "[".repeat(100));
        assert!(parse(brackets.as_bytes()).is_ok());
        let beside = format!("[{}1]", "[],".repeat(100));
        assert!(parse(beside.as_bytes()).is_ok());
        assert!(parse(b"{").unwrap_err().to_string().contains("EOF"));
    }
}
