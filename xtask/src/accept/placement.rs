//! Whether every medium stands in the user's turn that it belongs to: the mistake that makes a model answer as if it saw
//! nothing.

use serde_json::Value;

use super::checks::{Checks, Question};
use super::driver::Found;
use super::outcome::{Check, Outcome};

/// Stands for a run of soft tokens.
const MARK: char = '\u{fffc}';
/// Words of templates that open turns.
const OPENINGS: [&str; 4] = ["user", "model", "assistant", "system"];

pub fn check(checks: &Checks, found: &Found) -> Check {
    let named = |outcome, reason: String| {
        Check::new("placement", "every medium stands in its user's turn, at its place", outcome, reason)
    };
    let (mut count, mut wrong) = (0, Vec::new());
    for check in checks.all().iter().filter(|check| found.takes(&check.needs).is_ok()) {
        for question in &check.questions {
            let answer = found.answer(&question.id);
            if answer["outline"].is_array() {
                count += 1;
                if let Err(reason) = question_is_right(question, answer) {
                    wrong.push(format!("{}: {reason}", question.id));
                }
            }
        }
    }
    let check = match (count, wrong.is_empty()) {
        (0, _) => named(Outcome::NotApplicable, "no prompt was evaluated".into()),
        (_, true) => named(Outcome::Ok, String::new()),
        (_, false) => named(Outcome::Failed, wrong.join("; ")),
    };
    check.number("prompts", count)
}

fn question_is_right(question: &Question, answer: &Value) -> Result<(), String> {
    let pieces = answer["outline"].as_array().map_or(&[][..], Vec::as_slice);
    let text: String =
        pieces.iter().map(|piece| piece.as_str().map_or(MARK.to_string(), str::to_owned)).collect();
    let media: Vec<_> = pieces.iter().filter(|piece| piece.is_object()).collect();
    let soft: u64 = media.iter().filter_map(|run| run["count"].as_u64()).sum();
    if answer["media_tokens"] != soft {
        return Err(format!("{soft} soft tokens are in the prompt, {} were counted", answer["media_tokens"]));
    }
    let kinds = walk(&question.messages, &text)?;
    let found: Vec<_> = media.iter().filter_map(|run| run["medium"].as_str()).collect();
    if kinds == found { Ok(()) } else { Err(format!("the media are {found:?}, not {kinds:?}")) }
}

/// Goes through the messages' parts along the rendered text; the kinds of their media in order.
fn walk(messages: &Value, text: &str) -> Result<Vec<&'static str>, String> {
    let mut kinds = Vec::new();
    let mut rest = text;
    for message in messages.as_array().into_iter().flatten() {
        let user = message["role"] == "user";
        for (index, part) in message["content"].as_array().into_iter().flatten().enumerate() {
            let kind = ["image", "audio"].into_iter().find(|kind| part[kind].is_string());
            let mark = MARK.to_string();
            let wanted = part["text"].as_str().unwrap_or(&mark);
            let (gap, after) = rest
                .split_once(wanted)
                .ok_or_else(|| format!("{} is not where it belongs", shown(wanted)))?;
            let opening = OPENINGS.iter().filter(|word| gap.contains(**word));
            if gap.contains(MARK) {
                return Err(format!("a medium stands before {}", shown(wanted)));
            } else if index > 0 && opening.clone().count() > 0 {
                return Err(format!("{} stands in another turn than the part before it", shown(wanted)));
            } else if index == 0 && user && !opening.clone().any(|word| *word == "user") {
                return Err(format!("{} does not stand in a user's turn", shown(wanted)));
            }
            rest = after;
            kinds.extend(kind);
        }
    }
    if rest.contains(MARK) {
        return Err("a medium stands after all messages".into());
    }
    Ok(kinds)
}

fn shown(wanted: &str) -> String {
    if wanted.starts_with(MARK) { "a medium".into() } else { format!("{wanted:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(outline: Value, media_tokens: u64) -> Result<(), String> {
        let messages = json!([
            { "role": "user", "content": [{ "image": "a.png" }, { "text": "Here it is." }] },
            { "role": "assistant", "content": [{ "text": "Yes?" }] },
            { "role": "user", "content": [{ "text": "What is it?" }] },
        ]);
        let question = Question { id: "x/1".into(), messages, expect: json!({}), max_tokens: 1 };
        question_is_right(&question, &json!({ "outline": outline, "media_tokens": media_tokens }))
    }

    #[test]
    fn a_medium_belongs_into_its_own_turn() {
        let run = || json!({ "medium": "image", "start": 4, "count": 9 });
        let end = "<end>\n<turn>model\nYes?<end>\n<turn>user\nWhat is it?<end>\n<turn>model\n";
        assert_eq!(
            judged(json!(["<turn>user\n<image>", run(), &format!("</image>Here it is.{end}")]), 9),
            Ok(())
        );
        // Before every turn, in a later turn, behind its text, nowhere, and fewer soft tokens than were counted.
        let wrong = [
            (json!([run(), &format!("<turn>user\nHere it is.{end}")]), 9),
            (json!(["<turn>user\nHere it is.<end><turn>model\nYes?<turn>user\n", run(), "What is it?"]), 9),
            (json!(["<turn>user\nHere it is.", run(), end]), 9),
            (json!([format!("<turn>user\nHere it is.{end}")]), 0),
            (json!(["<turn>user\n", run(), &format!("Here it is.{end}")]), 10),
        ];
        for (outline, tokens) in wrong {
            assert!(judged(outline.clone(), tokens).is_err(), "{outline}");
        }
    }
}
