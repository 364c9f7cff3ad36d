//! Grammars in Lark that are nested without end: the compiler reads conditions recursively, and its stack is the host's.

use super::place::Place;
use crate::json::MAX_DEPTH;

/// What the next character is part of.
#[derive(Clone, Copy)]
enum At {
    Grammar,
    /// Up to this character.
    Quoted(char),
    Comment,
}

/// Where brackets outside of texts, regular expressions and comments are nested more than [`MAX_DEPTH`] levels deep.
pub(super) fn too_deep(text: &str) -> Option<Place> {
    let (mut at, mut depth, mut place) = (At::Grammar, 0usize, Place { line: 1, column: 0 });
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        place = step(place, c);
        match (at, c) {
            (At::Quoted(_), '\\') => {
                place = chars.next().map_or(place, |escaped| step(place, escaped));
            }
            (At::Quoted(end), c) if c == end => at = At::Grammar,
            (At::Comment, '\n') => at = At::Grammar,
            (At::Quoted(_) | At::Comment, _) => {}
            (At::Grammar, '#') => at = At::Comment,
            (At::Grammar, '/') if chars.peek() == Some(&'/') => at = At::Comment,
            (At::Grammar, '"' | '/') => at = At::Quoted(c),
            (At::Grammar, '<') => at = At::Quoted('>'),
            (At::Grammar, '(' | '[' | '{') => depth += 1,
            (At::Grammar, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (At::Grammar, _) => {}
        }
        if depth > MAX_DEPTH {
            return Some(place);
        }
    }
    None
}

fn step(Place { line, column }: Place, c: char) -> Place {
    if c == '\n' { Place { line: line + 1, column: 0 } } else { Place { line, column: column + 1 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_where_they_are_brackets() {
        let open = "(".repeat(100);
        for fine in [
            format!("start: \"{open}\" /\\/{}/ \"\\\"{open}\"", "[(]".repeat(100)),
            format!("start: \"a\" // {open}\n  | \"b\" # {open}\n"),
            "start: (\"a\")".repeat(100),
        ] {
            assert!(too_deep(&fine).is_none(), "{fine}");
        }
        let at = too_deep(&format!("start: \"a\" // \"\n  | {open}")).expect("too deep");
        assert_eq!((at.line, at.column), (2, 4 + MAX_DEPTH + 1));
    }
}
