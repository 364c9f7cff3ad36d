//! Numbers in the notations of C's `printf`, which Python's formats share.

use super::printing::float;

/// `inf` and `nan`, which have no digits.
fn unusual(x: f64) -> Option<String> {
    (!x.is_finite()).then(|| float(x))
}

/// `%f`
pub(super) fn fixed(x: f64, precision: usize, alternate: bool) -> String {
    unusual(x).unwrap_or_else(|| {
        let text = format!("{x:.precision$}");
        if alternate && precision == 0 { text + "." } else { text }
    })
}

/// `%e`
pub(super) fn scientific(x: f64, precision: usize, alternate: bool) -> String {
    unusual(x).unwrap_or_else(|| {
        let text = format!("{x:.precision$e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let dot = if alternate && precision == 0 { "." } else { "" };
        format!("{digits}{dot}{}", exponent_text(exponent.parse().unwrap_or(0)))
    })
}

fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.abs())
}

/// `%g`; with `point`, as `float.__format__` without a type does: with a digit after the point.
pub(super) fn general(x: f64, precision: usize, alternate: bool, point: bool) -> String {
    if let Some(text) = unusual(x) {
        return text;
    }
    let precision = precision.max(1);
    let rounded = format!("{x:.*e}", precision - 1);
    let exponent: i32 = rounded.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let most = i32::try_from(precision).unwrap_or(i32::MAX) - i32::from(point);
    let trimmed = |digits: String| {
        if alternate || !digits.contains('.') {
            return digits;
        }
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if exponent < -4 || exponent >= most {
        let digits = rounded.split_once('e').map_or(String::new(), |(digits, _)| digits.to_owned());
        let dot = if alternate && !digits.contains('.') { "." } else { "" };
        return trimmed(digits + dot) + &exponent_text(exponent);
    }
    let decimals = (i32::try_from(precision).unwrap_or(i32::MAX) - 1 - exponent).max(0) as usize;
    let text = trimmed(format!("{x:.decimals$}"));
    match text.contains('.') {
        false if point => text + ".0",
        false if alternate => text + ".",
        _ => text,
    }
}

/// The digits of an integer without its sign.
pub(super) fn integer(n: i128, radix: u32) -> String {
    let n = n.unsigned_abs();
    match radix {
        2 => format!("{n:b}"),
        8 => format!("{n:o}"),
        16 => format!("{n:x}"),
        _ => n.to_string(),
    }
}

/// Digits with a separator every few from the right, up to the point.
pub(super) fn grouped(text: &str, separator: char, every: usize) -> String {
    let whole = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (whole, rest) = match text[..whole].find('e') {
        Some(at) if every == 3 => text.split_at(at),
        _ => text.split_at(whole),
    };
    let mut out = String::new();
    for (index, c) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % every == 0 {
            out.push(separator);
        }
        out.push(c);
    }
    out + rest
}
