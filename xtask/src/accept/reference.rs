//! mlx-vlm and transformers on the same machine, where a Python has them: the same ids, and the same greedy tokens as far
//! as the numbers are clear.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::driver::Found;
use super::outcome::{Check, Outcome};
use crate::{paths, process};

/// Greedy tokens have to agree as long as both hold the token for likelier than the next by so much, in nats. A logit
/// between 16 and 32 is known to 0.125 in bf16, so that rounding alone moves the difference of two by some of these.
pub const MARGIN: f64 = 0.5;

/// What a reference answered, by the question's id.
pub struct Answers {
    answers: BTreeMap<String, Value>,
    versions: Value,
}

/// Both, or why one is not at hand.
pub struct Reference {
    mlx_vlm: Result<Answers, Absent>,
    transformers: Result<Answers, Absent>,
}

pub enum Absent {
    NotInstalled(String),
    Broken(String),
}

impl Answers {
    pub fn new<'a>(answers: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let answers = answers.into_iter().map(|(id, answer)| (id.to_owned(), answer)).collect();
        Self { answers, versions: Value::Null }
    }

    pub fn text(&self, id: &str) -> Option<&str> {
        self.answers.get(id)?["text"].as_str()
    }

    fn read(printed: &str) -> Result<Self> {
        let mut read = Self::new([]);
        for line in printed.lines().filter(|line| line.starts_with('{')) {
            let value: Value = serde_json::from_str(line)?;
            match value["id"].as_str() {
                Some(id) => drop(read.answers.insert(id.to_owned(), value)),
                None => read.versions = value["packages"].clone(),
            }
        }
        Ok(read)
    }
}

impl Reference {
    pub fn ask(python: Option<&Path>, model: &Path, questions: &Path) -> Self {
        let of = |package, module| answers(python, package, module, model, questions);
        Self { mlx_vlm: of("mlx-vlm", "mlx_vlm"), transformers: of("transformers", "transformers") }
    }

    pub fn mlx_vlm(&self) -> Option<&Answers> {
        self.mlx_vlm.as_ref().ok()
    }

    pub fn checks(&self, found: &Found) -> Vec<Check> {
        let checks: [(_, _, _, Judge); 3] = [
            ("mlx-vlm-ids", "the prompts' ids are mlx-vlm's", &self.mlx_vlm, ids_but_for_soft_tokens),
            ("mlx-vlm-tokens", "greedy tokens are mlx-vlm's", &self.mlx_vlm, tokens),
            ("transformers-ids", "the prompts' ids are transformers'", &self.transformers, ids),
        ];
        checks
            .map(|(id, name, answers, judge)| check(id, name, answers, |answers| judge(found, answers)))
            .into()
    }
}

fn answers(
    python: Option<&Path>,
    package: &str,
    module: &str,
    model: &Path,
    questions: &Path,
) -> Result<Answers, Absent> {
    let python = python.ok_or_else(|| Absent::NotInstalled("no Python was named (--python)".into()))?;
    let last = |text: &str| text.trim().lines().last().unwrap_or_default().to_owned();
    let broken = |error: anyhow::Error| Absent::Broken(format!("{error:#}"));
    let import = process::output(Command::new(python).args(["-c", &format!("import {module}")]));
    let import = import.map_err(broken)?;
    if !import.status.success() {
        let said = last(&process::text(&import));
        return Err(Absent::NotInstalled(format!(
            "{package} is not installed in {}: {said}",
            python.display()
        )));
    }
    println!("asking {package}");
    let mut ask = Command::new(python);
    ask.arg(paths::root().join("tools/accept/reference.py")).args(["--with", package]);
    ask.arg("--model").arg(model).arg("--questions").arg(questions);
    let output = process::output(&mut ask).map_err(broken)?;
    if !output.status.success() {
        return Err(Absent::Broken(format!("{package} failed: {}", last(&process::text(&output)))));
    }
    Answers::read(&String::from_utf8_lossy(&output.stdout)).map_err(broken)
}

type Judge = fn(&Found, &Answers) -> Verdict;

/// How a comparison went: what differs, what differs and may, and what could not be compared.
#[derive(Default)]
struct Verdict {
    compared: usize,
    wrong: Vec<String>,
    unclear: Vec<String>,
    differences: Vec<Value>,
}

fn check(
    id: &str,
    name: &str,
    answers: &Result<Answers, Absent>,
    judge: impl FnOnce(&Answers) -> Verdict,
) -> Check {
    let answers = match answers {
        Ok(answers) => answers,
        Err(Absent::NotInstalled(reason)) => return Check::new(id, name, Outcome::NotApplicable, reason),
        Err(Absent::Broken(reason)) => return Check::new(id, name, Outcome::Inconclusive, reason),
    };
    let verdict = judge(answers);
    let outcome = match (verdict.wrong.is_empty(), verdict.unclear.is_empty(), verdict.compared) {
        (false, ..) => Outcome::Failed,
        (true, false, _) | (true, true, 0) => Outcome::Inconclusive,
        (true, true, _) => Outcome::Ok,
    };
    let reasons = [verdict.wrong, verdict.unclear].concat();
    let reason = if reasons.is_empty() && verdict.compared == 0 {
        "nothing could be compared".to_owned()
    } else {
        reasons.join("; ")
    };
    Check::new(id, name, outcome, reason)
        .number("compared", verdict.compared)
        .number("versions", answers.versions.clone())
        .number("differences", verdict.differences)
}

/// The pairs of answers that both have; what the other could not answer goes to `unclear`.
fn pairs<'a>(
    found: &'a Found,
    answers: &'a Answers,
    verdict: &mut Verdict,
) -> Vec<(&'a str, &'a Value, &'a Value)> {
    let mut pairs = Vec::new();
    for (id, ours) in found.answers().filter(|(_, ours)| ours["prompt_ids"].is_array()) {
        match answers.answers.get(id) {
            Some(theirs) if theirs["error"].is_string() => {
                verdict.unclear.push(format!("{id}: {}", theirs["error"].as_str().unwrap_or_default()));
            }
            Some(theirs) => pairs.push((id.as_str(), ours, theirs)),
            None => verdict.unclear.push(format!("{id}: not answered")),
        }
    }
    pairs
}

fn ids(found: &Found, answers: &Answers) -> Verdict {
    let mut verdict = Verdict::default();
    for (id, ours, theirs) in pairs(found, answers, &mut verdict) {
        verdict.compared += 1;
        let (ours, theirs) = (numbers(&ours["prompt_ids"]), numbers(&theirs["prompt_ids"]));
        if let Some(place) = first_difference(&ours, &theirs) {
            verdict.wrong.push(different_ids(id, &ours, &theirs, place));
        }
    }
    verdict
}

/// mlx-vlm counts some soft tokens otherwise, such as those of sounds; what surrounds them has to agree.
fn ids_but_for_soft_tokens(found: &Found, answers: &Answers) -> Verdict {
    let mut verdict = Verdict::default();
    for (id, ours, theirs) in pairs(found, answers, &mut verdict) {
        verdict.compared += 1;
        let soft = soft_ids(ours);
        let (ours, theirs) = (numbers(&ours["prompt_ids"]), numbers(&theirs["prompt_ids"]));
        let Some(place) = first_difference(&ours, &theirs) else { continue };
        let texts = [&ours, &theirs]
            .map(|ids| ids.iter().filter(|id| !soft.contains(id)).copied().collect::<Vec<_>>());
        let list = if texts[0] == texts[1] { &mut verdict.unclear } else { &mut verdict.wrong };
        list.push(different_ids(id, &ours, &theirs, place));
    }
    verdict
}

fn different_ids(id: &str, ours: &[f64], theirs: &[f64], place: usize) -> String {
    let at = |ids: &[f64]| ids.get(place).map_or("the end".to_owned(), f64::to_string);
    format!(
        "{id}: the ids differ at position {place}, {} here and {} there ({} and {} in all)",
        at(ours),
        at(theirs),
        ours.len(),
        theirs.len()
    )
}

/// The ids that stand for media in a prompt.
fn soft_ids(answer: &Value) -> Vec<f64> {
    let ids = numbers(&answer["prompt_ids"]);
    let runs = answer["outline"].as_array().into_iter().flatten().filter_map(|piece| piece["start"].as_u64());
    runs.filter_map(|start| ids.get(usize::try_from(start).ok()?).copied()).collect()
}

fn tokens(found: &Found, answers: &Answers) -> Verdict {
    let mut verdict = Verdict::default();
    for (id, ours, theirs) in pairs(found, answers, &mut verdict) {
        if ours["prompt_ids"] != theirs["prompt_ids"] {
            continue;
        }
        verdict.compared += 1;
        let Some((place, margin)) = parting(ours, theirs) else { continue };
        verdict.differences.push(json!({ "id": id, "token": place, "margin": margin }));
        if margin >= MARGIN {
            let text =
                format!("{id}: the answers part at token {place}, where the margin is {margin:.2} nats");
            // mlx-vlm sees pictures otherwise in some models (its masks); what it says of texts alone is evidence.
            let list = if soft_ids(ours).is_empty() { &mut verdict.wrong } else { &mut verdict.unclear };
            list.push(text);
        }
    }
    verdict
}

/// Where two answers part, and the smaller of the two margins there. An end-of-turn token that only one of them hands
/// out is no difference.
fn parting(ours: &Value, theirs: &Value) -> Option<(usize, f64)> {
    let (our_tokens, their_tokens) = (numbers(&ours["tokens"]), numbers(&theirs["tokens"]));
    let place = first_difference(&our_tokens, &their_tokens)?;
    let shorter = our_tokens.len().min(their_tokens.len());
    if place == shorter && our_tokens.len().abs_diff(their_tokens.len()) <= 1 {
        return None;
    }
    let margins = [numbers(&ours["margins"]), numbers(&theirs["margins"])];
    let margin = margins.iter().filter_map(|list| list.get(place).copied()).fold(f64::INFINITY, f64::min);
    Some((place, if margin.is_finite() { margin } else { 0.0 }))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn first_difference(ours: &[f64], theirs: &[f64]) -> Option<usize> {
    let common = ours.iter().zip(theirs).take_while(|(our, their)| our == their).count();
    (common < ours.len() || common < theirs.len()).then_some(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(judge: fn(&Found, &Answers) -> Verdict, ours: Value, theirs: Value) -> (usize, usize) {
        let (mut line, load) = (ours, json!({ "stage": "load" }));
        line["stage"] = json!("answer");
        line["id"] = json!("a/1");
        let found = Found::read(&format!("{load}\n{line}")).expect("lines");
        let verdict = judge(&found, &Answers::new([("a/1", theirs)]));
        (verdict.wrong.len(), verdict.unclear.len())
    }

    fn answer(ids: &[u32], tokens: &[u32], margins: &[f64]) -> Value {
        let soft = ids.iter().position(|id| *id == 9);
        let outline = soft.map_or(json!(["text"]), |start| json!([{ "start": start, "count": 1 }]));
        json!({ "prompt_ids": ids, "tokens": tokens, "margins": margins, "outline": outline })
    }

    #[test]
    fn answers_may_part_only_where_the_margin_is_small() {
        let ours = || answer(&[1, 2], &[5, 6, 7], &[3.0, 0.3, 2.0]);
        let theirs = |tokens: &[u32]| answer(&[1, 2], tokens, &[3.0, 0.4, 2.0]);
        assert_eq!(compared(tokens, ours(), theirs(&[5, 6, 7])), (0, 0));
        assert_eq!(compared(tokens, ours(), theirs(&[5, 8, 7])), (0, 0));
        assert_eq!(compared(tokens, ours(), theirs(&[5, 6, 8])), (1, 0));
        assert_eq!(compared(tokens, ours(), theirs(&[4, 6, 7])), (1, 0));
        // One end-of-turn token more is no difference; two tokens more are.
        assert_eq!(compared(tokens, ours(), theirs(&[5, 6])), (0, 0));
        assert_eq!(compared(tokens, ours(), theirs(&[5])), (0, 0), "the margin there is small");
        // With a picture in the prompt, the difference is shown and not counted.
        let seen = |tokens: &[u32]| answer(&[1, 9, 2], tokens, &[3.0, 0.4, 2.0]);
        assert_eq!(compared(tokens, seen(&[5, 6, 7]), seen(&[4, 6, 7])), (0, 1));
    }

    #[test]
    fn ids_have_to_be_equal_but_for_the_number_of_soft_tokens() {
        let prompt = |ids: &[u32]| answer(ids, &[], &[]);
        assert_eq!(compared(ids_but_for_soft_tokens, prompt(&[1, 9, 9, 2]), prompt(&[1, 9, 9, 2])), (0, 0));
        assert_eq!(compared(ids_but_for_soft_tokens, prompt(&[1, 9, 9, 2]), prompt(&[1, 9, 2])), (0, 1));
        assert_eq!(
            compared(ids_but_for_soft_tokens, prompt(&[1, 9, 9, 2]), prompt(&[1, 3, 9, 9, 2])),
            (1, 0)
        );
        assert_eq!(compared(ids, prompt(&[1, 9, 9, 2]), prompt(&[1, 9, 2])), (1, 0));
    }

    #[test]
    fn what_is_not_installed_is_not_applicable() {
        let reference = Reference::ask(None, Path::new(""), Path::new(""));
        let found = Found::read(r#"{"stage": "load"}"#).expect("lines");
        let checks = reference.checks(&found);
        assert!(checks.iter().all(|check| check.outcome == Outcome::NotApplicable));
        assert!(checks.iter().all(|check| check.reason.contains("--python")));
    }
}
