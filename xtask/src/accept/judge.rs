//! Whether an answer has what was expected in it. `AcceptanceJudge.swift` judges in the same way; both are tested with
//! `tools/accept/judging.json`.

use serde_json::{Value, json};

use super::checks::{ContentCheck, Question};
use super::driver::Found;
use super::outcome::{Check, Outcome};
use super::reference::Answers;

/// Characters of an answer in a reason; the whole answer is beside the question.
const SHOWN: usize = 80;

/// Judges the answers to all questions of a check. Where the reference answers wrongly, too, the model is at fault.
pub fn check(check: &ContentCheck, found: &Found, reference: Option<&Answers>) -> Check {
    if let Err(reason) = found.takes(&check.needs) {
        return Check::new(&check.id, &check.name, Outcome::NotApplicable, reason);
    }
    let judged: Vec<_> = check
        .questions
        .iter()
        .map(|question| {
            let (outcome, reason) = judge(check, question, found.answer(&question.id), reference);
            (question, outcome, reason)
        })
        .collect();
    let of = |wanted| judged.iter().find(|(_, outcome, _)| *outcome == wanted);
    let worst = of(Outcome::Failed).or_else(|| of(Outcome::Inconclusive));
    let (outcome, reason) =
        worst.map_or((Outcome::Ok, String::new()), |(_, outcome, reason)| (*outcome, reason.clone()));
    let right = judged.iter().filter(|(_, outcome, _)| *outcome == Outcome::Ok).count();
    let mut line = Check::new(&check.id, &check.name, outcome, reason)
        .number("right", right)
        .number("questions", judged.len());
    line.questions = judged
        .iter()
        .map(|(question, outcome, reason)| described(question, found.answer(&question.id), *outcome, reason))
        .collect();
    line
}

fn described(question: &Question, answer: &Value, outcome: Outcome, reason: &str) -> Value {
    json!({
        "id": question.id,
        "messages": question.messages,
        "answer": answer["text"],
        "reasoning": answer["reasoning"],
        "finish": answer["finish"],
        "expect": question.expect,
        "outcome": outcome.name(),
        "reason": reason,
        "first_token_ms": answer["first_token_ms"],
    })
}

fn judge(
    check: &ContentCheck,
    question: &Question,
    answer: &Value,
    reference: Option<&Answers>,
) -> (Outcome, String) {
    if let Some(message) = answer["error"]["message"].as_str() {
        // A context that holds no picture is the snapshot's, and says nothing of what the model sees.
        let too_small = answer["error"]["code"] == "ContextFull";
        let outcome = if too_small { Outcome::Inconclusive } else { Outcome::Failed };
        return (outcome, message.to_owned());
    }
    let Some(text) = answer["text"].as_str() else {
        return (Outcome::Failed, "the driver ended before it had an answer".into());
    };
    if text.is_empty() && answer["reasoning"] != "" && answer["finish"] == "max_tokens" {
        return (Outcome::Inconclusive, "it was still thinking when its tokens were used up".into());
    }
    let Err(wrong) = expected(&question.expect, text) else { return (Outcome::Ok, String::new()) };
    if let Some(reason) = &check.not_counted {
        return (Outcome::Inconclusive, format!("{wrong}; not counted: {reason}"));
    }
    let theirs = reference.and_then(|answers| answers.text(&question.id));
    match theirs {
        Some(theirs) if expected(&question.expect, theirs).is_err() => {
            (Outcome::Inconclusive, format!("{wrong}; mlx-vlm is wrong, too: {}", shown(theirs)))
        }
        _ => (Outcome::Failed, wrong),
    }
}

/// Words are compared without case and punctuation, as whole words. `Err` says what is missing, or should not be there.
///
/// - `words`: a list of alternatives each; a phrase's words have to follow each other
/// - `least`: how many of them are enough; all otherwise
/// - `in_order`: each has to come after the one before
/// - `whole`: nothing else may be in the answer
/// - `without`: none of these may be in it
pub fn expected(expect: &Value, text: &str) -> Result<(), String> {
    let said = words(text);
    let in_order = expect["in_order"] == true;
    let (mut missing, mut from, mut count) = (Vec::new(), 0, 0);
    let wanted = expect["words"].as_array().map_or(&[][..], Vec::as_slice);
    for alternatives in wanted {
        let phrases: Vec<_> = strings(alternatives).map(words).collect();
        let start = if in_order { from } else { 0 };
        match phrases.iter().filter_map(|phrase| position(&said, phrase, start)).min() {
            Some(end) => {
                from = end;
                count += phrases.first().map_or(0, Vec::len);
            }
            None => missing.push(strings(alternatives).next().unwrap_or_default()),
        }
    }
    let text = shown(text);
    let least = expect["least"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(wanted.len());
    let forbidden: Vec<_> =
        strings(&expect["without"]).filter(|word| position(&said, &words(word), 0).is_some()).collect();
    if wanted.len() - missing.len() < least {
        let order = if in_order { ", in this order" } else { "" };
        return Err(format!("{text} lacks {}{order}", missing.join(", ")));
    }
    if !forbidden.is_empty() {
        return Err(format!("{text} has {}", forbidden.join(", ")));
    }
    if expect["whole"] == true && said.len() != count {
        return Err(format!("{text} has more than was expected"));
    }
    Ok(())
}

/// The beginning of an answer, quoted.
fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN).collect();
    if beginning == text { format!("{text:?}") } else { format!("{beginning:?}...") }
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// The index after the first place, from `start`, where the phrase is.
fn position(said: &[String], phrase: &[String], start: usize) -> Option<usize> {
    let place = said.get(start..)?.windows(phrase.len().max(1)).position(|window| window == phrase)?;
    Some(start + place + phrase.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::checks::Question;
    use crate::paths;

    #[test]
    fn the_shared_cases_are_judged_as_they_say() {
        let file = paths::root().join("tools/accept/judging.json");
        let cases: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("file")).expect("JSON");
        let cases = cases.as_array().expect("cases");
        assert!(!cases.is_empty());
        for case in cases {
            for (list, right) in [("right", true), ("wrong", false)] {
                for text in strings(&case[list]) {
                    assert_eq!(expected(&case["expect"], text).is_ok(), right, "{} {text:?}", case["expect"]);
                }
            }
        }
    }

    fn colour(not_counted: Option<&str>) -> ContentCheck {
        let question = Question {
            id: "colour/1".into(),
            messages: json!([]),
            expect: json!({ "words": [["red"]] }),
            max_tokens: 8,
        };
        ContentCheck {
            id: "colour".into(),
            name: "a colour".into(),
            needs: vec!["image"],
            not_counted: not_counted.map(str::to_owned),
            questions: vec![question],
        }
    }

    fn found(modalities: Value, answer: Value) -> Found {
        let mut answer = answer;
        answer["stage"] = json!("answer");
        answer["id"] = json!("colour/1");
        let load = json!({ "stage": "load", "value": { "modalities": modalities, "chat_template": true } });
        Found::read(&format!("{load}\n{answer}")).expect("lines")
    }

    fn outcome(not_counted: Option<&str>, answer: Value, theirs: Option<&str>) -> Outcome {
        let answers = theirs.map(|text| Answers::new([("colour/1", json!({ "text": text }))]));
        let found = found(json!(["text", "image"]), answer);
        check(&colour(not_counted), &found, answers.as_ref()).outcome
    }

    #[test]
    fn a_wrong_answer_fails_unless_something_excuses_it() {
        let wrong = json!({ "text": "blue" });
        assert_eq!(outcome(None, json!({ "text": "Red" }), None), Outcome::Ok);
        assert_eq!(outcome(None, wrong.clone(), None), Outcome::Failed);
        assert_eq!(outcome(Some("not trained for it"), wrong.clone(), None), Outcome::Inconclusive);
        assert_eq!(outcome(None, wrong.clone(), Some("red")), Outcome::Failed);
        assert_eq!(outcome(None, wrong, Some("green")), Outcome::Inconclusive);
    }

    #[test]
    fn an_error_fails_whatever_excuses_answers() {
        let error = |code: &str| json!({ "error": { "code": code, "message": "no" } });
        assert_eq!(outcome(Some("not trained for it"), error("Backend"), None), Outcome::Failed);
        assert_eq!(outcome(None, error("ContextFull"), None), Outcome::Inconclusive);
        assert_eq!(outcome(None, json!({}), None), Outcome::Failed);
        let thinking = |finish: &str| json!({ "text": "", "reasoning": "Hm.", "finish": finish });
        assert_eq!(outcome(None, thinking("max_tokens"), None), Outcome::Inconclusive);
        assert_eq!(outcome(None, thinking("end_of_turn"), None), Outcome::Failed);
    }

    #[test]
    fn what_the_model_does_not_take_is_not_applicable() {
        let check = check(&colour(None), &found(json!(["text"]), json!({ "text": "blue" })), None);
        assert_eq!(check.outcome, Outcome::NotApplicable);
        assert!(check.reason.contains("image"), "{}", check.reason);
    }
}
