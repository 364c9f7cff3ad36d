//! JSON of others: parsed only where it is not nested deeply. Parsing, copying and dropping recurse, and the thread of a
//! host may have a stack of 64 KiB.

use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Error, Value};

/// Deeper than any configuration, tool or conversation is nested. A stack of 64 KiB takes some 48 levels.
pub const MAX_DEPTH: usize = 40;

/// What a text says; the error says where it is no JSON, or not of the type, or that it is nested more than [`MAX_DEPTH`]
/// levels deep, which has no line.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    if is_deep(text) {
        return Err(Error::custom(too_deep()));
    }
    serde_json::from_slice(text)
}

/// A text as JSON spells it, and as a literal of a Lark grammar: with nothing in it that a lexer stops at.
pub fn literal(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Why [`parse`] refuses a text that [`is_deep`].
pub fn too_deep() -> String {
    format!("it is nested deeper than {MAX_DEPTH} levels")
}

/// Whether brackets outside of strings are nested more than [`MAX_DEPTH`] levels deep.
pub fn is_deep(text: &[u8]) -> bool {
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

    fn parse(text: &[u8]) -> Result<Value, Error> {
        super::parse(text)
    }

    #[test]
    fn what_is_not_too_deep_is_read_and_written() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let text = format!("{}1{}", open.repeat(MAX_DEPTH), close.repeat(MAX_DEPTH));
            assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused_before_it_is_parsed() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        for depth in [MAX_DEPTH + 1, 120, 1_000_000] {
            let error = parse(nested(depth).as_bytes()).unwrap_err().to_string();
            assert!(error.contains("nested deeper than 40 levels"), "{error}");
        }
        let brackets = format!("[\"\\\"{}\", \"\\\\\"]", "[".repeat(100));
        assert!(parse(brackets.as_bytes()).is_ok());
        let beside = format!("[{}1]", "[],".repeat(100));
        assert!(parse(beside.as_bytes()).is_ok());
        assert!(parse(b"{").unwrap_err().to_string().contains("EOF"));
    }
}
