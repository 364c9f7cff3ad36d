//! Where in a grammar's text an error of the compiler points.

/// Counted from one, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
}

/// `2(7): …` or `at 2(7): …`: the place, and what is wrong there. `at EOF: …` is the end of the text.
pub(super) fn in_lark(text: &str, why: &str) -> (Option<Place>, String) {
    // The drawing of the lines says no more.
    let is_drawing = |line: &str| {
        line.split_once(" | ").is_some_and(|(number, _)| number.trim_start().parse::<usize>().is_ok())
    };
    let said: Vec<&str> = why.lines().take_while(|line| !is_drawing(line)).collect();
    let said = said.join("\n");
    let rest = said.strip_prefix("at ").unwrap_or(&said);
    if let Some(why) = rest.strip_prefix("EOF: ") {
        let last = text.lines().last().unwrap_or_default();
        let place = Place { line: text.lines().count().max(1), column: last.chars().count() + 1 };
        return (Some(place), why.to_owned());
    }
    let numbers = || {
        let (line, rest) = rest.split_once('(')?;
        let (column, why) = rest.split_once("): ")?;
        Some((Place { line: line.parse().ok()?, column: column.parse().ok()? }, why.to_owned()))
    };
    match numbers() {
        Some((place, why)) => (Some(place), why),
        None => (None, said),
    }
}

/// The caret under the expression, and what is wrong there.
pub(super) fn in_regex(text: &str, why: &str) -> (Option<Place>, String) {
    let reason = why.lines().find_map(|line| line.strip_prefix("error: "));
    let Some(reason) = reason else {
        // Without a drawing: a boundary of words, or an anchor within the expression.
        let at = ["\\b", "\\B"].iter().filter_map(|boundary| text.find(boundary)).min();
        let place = at.map(|at| place(text, text[..at].chars().count()));
        let why = "boundaries of words, and anchors inside of the expression, are not supported";
        return (place, why.to_owned());
    };
    let lines: Vec<&str> = why.lines().collect();
    let is_caret = |line: &&str| line.contains('^') && line.chars().all(|c| c == '^' || c == ' ');
    // The first: the drawing of the grammar that the expression was put into comes behind it.
    let drawn = lines.iter().position(is_caret).filter(|at| *at > 0).map(|at| (lines[at - 1], lines[at]));
    let place = drawn.and_then(|(shown, carets)| {
        let column = carets.find('^')?.checked_sub(LEAD.len())?;
        let shown = shown.strip_prefix(LEAD)?;
        [true, false].into_iter().find_map(|slashes| shown_at(text, slashes, shown, column))
    });
    (place, reason.to_owned())
}

/// Before the expression in a drawing.
const LEAD: &str = "    ";

/// The place in the text of a column of what the compiler shows: the text on one line, with slashes escaped or without.
fn shown_at(text: &str, slashes: bool, shown: &str, column: usize) -> Option<Place> {
    let (mut drawn, mut sources) = (String::new(), Vec::new());
    for (index, c) in text.chars().enumerate() {
        let before = drawn.chars().count();
        match c {
            '\n' => drawn.push_str("\\n"),
            '\r' => drawn.push_str("\\r"),
            '\t' => drawn.push_str("\\t"),
            '/' if slashes => drawn.push_str("\\/"),
            c => drawn.push(c),
        }
        sources.extend(std::iter::repeat_n(index, drawn.chars().count() - before));
    }
    sources.push(text.chars().count());
    (drawn == shown).then(|| sources.get(column).map(|index| place(text, *index))).flatten()
}

/// Of a character of the text.
fn place(text: &str, index: usize) -> Place {
    let before: String = text.chars().take(index).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Place { line, column }
}
