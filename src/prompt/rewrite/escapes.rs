//! The escapes of texts in tags.

use crate::prompt::pycompat::escaped;

/// What Python's `unicode-escape` makes of the inside of a text; what it does not know stays as it is.
pub(super) fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = one(&rest[at + 1..], &mut out)?;
    }
    out.push_str(rest);
    Ok(out)
}

/// Writes what the escape stands for that begins behind a backslash; the text behind it.
fn one<'t>(rest: &'t str, out: &mut String) -> Result<&'t str, String> {
    let mut chars = rest.chars();
    let Some(c) = chars.next() else {
        out.push('\\');
        return Ok(rest);
    };
    let after = chars.as_str();
    match c {
        '\n' => {}
        '\\' | '\'' | '"' => out.push(c),
        'a' => out.push('\u{7}'),
        'b' => out.push('\u{8}'),
        'f' => out.push('\u{C}'),
        'n' => out.push('\n'),
        'r' => out.push('\r'),
        't' => out.push('\t'),
        'v' => out.push('\u{B}'),
        '0'..='7' => {
            let len = rest.bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
            let code = u32::from_str_radix(&rest[..len], 8).unwrap_or(0);
            out.extend(char::from_u32(code));
            return Ok(&rest[len..]);
        }
        'x' => return code(after, 2, out),
        'u' => return code(after, 4, out),
        'U' => return code(after, 8, out),
        'N' => return Err("names of characters (\\N{…}) are not supported in texts".to_owned()),
        // Python writes such characters as escapes first, and then takes the backslash for an escaped one.
        _ if !c.is_ascii() => out.push_str(&escaped(c)),
        _ => out.extend(['\\', c]),
    }
    Ok(after)
}

/// A character by its number in so many hexadecimal digits; two halves of a surrogate pair are one.
fn code<'t>(rest: &'t str, len: usize, out: &mut String) -> Result<&'t str, String> {
    let (mut number, mut rest) = hexadecimal(rest, len)?;
    if (0xD800..0xDC00).contains(&number)
        && let Some(after) = rest.strip_prefix("\\u")
        && let (low @ 0xDC00..0xE000, behind) = hexadecimal(after, 4)?
    {
        number = 0x10000 + ((number - 0xD800) << 10) + (low - 0xDC00);
        rest = behind;
    }
    match char::from_u32(number) {
        Some(c) => out.push(c),
        None => return Err(format!("{number:#x} is the number of no character")),
    }
    Ok(rest)
}

fn hexadecimal(rest: &str, len: usize) -> Result<(u32, &str), String> {
    let digits = rest.get(..len).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match number {
        Some(number) => Ok((number, &rest[len..])),
        None => Err(format!("an escape in a text wants {len} hexadecimal digits")),
    }
}
