//! JSON Schema's `pattern`, which may stand anywhere in a text, as an expression of the whole text.

const ANY: &str = "(?s:.*)";

/// The body of a terminal of the grammar, between its slashes.
pub(super) fn of_whole_text(pattern: &str) -> String {
    let whole: Vec<String> = alternatives(pattern).into_iter().map(whole).collect();
    match &whole[..] {
        [one] => one.clone(),
        _ => format!("(?:{})", whole.join("|")),
    }
}

/// The parts that a `|` outside of all brackets divides.
fn alternatives(pattern: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut class, mut escaped) = (Vec::new(), 0, 0usize, false, false);
    for (at, c) in pattern.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            _ if class => {}
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                parts.push(&pattern[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&pattern[from..]);
    parts
}

fn whole(part: &str) -> String {
    let (before, part) = part.strip_prefix('^').map_or((ANY, part), |rest| ("", rest));
    let slashes = |text: &str| text.chars().rev().take_while(|c| *c == '\\').count();
    let (part, after) = match part.strip_suffix('$').filter(|rest| slashes(rest) % 2 == 0) {
        Some(rest) => (rest, ""),
        None => (part, ANY),
    };
    format!("{before}{}{after}", spelled(part))
}

/// Digits and letters of words as JSON Schema's expressions mean them, and nothing that ends the terminal.
fn spelled(part: &str) -> String {
    let mut out = String::new();
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '/' => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_anchored_may_stand_anywhere() {
        for (pattern, whole) in [
            ("^ab$", "ab"),
            ("ab", "(?s:.*)ab(?s:.*)"),
            ("^a|b$", "(?:a(?s:.*)|(?s:.*)b)"),
            ("^(a|b)[|)]$", "(a|b)[|)]"),
            (r"^a\$", r"a\$(?s:.*)"),
            (r"^a\\$", r"a\\"),
            (r"^\d/\w\|[\d-]$", r"[0-9]\/[0-9A-Za-z_]\|[[0-9]-]"),
        ] {
            assert_eq!(of_whole_text(pattern), whole, "{pattern}");
        }
    }
}
