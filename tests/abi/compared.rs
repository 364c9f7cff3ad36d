//! A model's answers beside those of the reference implementation.

use crate::answers::{Options, Session};
use crate::fixtures::{Case, Results, TOLERANCE, distance, snapshots};
use crate::harness::Model;

/// Every conversation of the folder's kind, with a model of it.
pub fn answers_like_the_reference(model: &Model, folder: &str) {
    let (kind, name) = &snapshots()[folder];
    let mut compared = 0;
    let mut failures = Vec::new();
    for case in Case::of(kind) {
        let Some(results) = case.results.get(name) else { continue };
        compared += 1;
        failures.extend(differences(model, &case, name, results).err());
    }
    assert!(compared >= 4, "{compared} cases");
    assert!(failures.is_empty(), "{folder}:\n{}", failures.join("\n"));
}

/// What differs from the reference in one conversation.
fn differences(model: &Model, case: &Case, name: &str, results: &Results) -> Result<(), String> {
    let prompt = case.prompt();
    let text = model.render(&prompt).map_err(|e| format!("{}: {e:?}", case.name))?;
    if text != case.prompt_text {
        return Err(format!("{}: the template gave {text:?}", case.name));
    }
    let session = Session::new(model);
    let answer = session.answer(&prompt, &Options::endless(results.greedy_ids.len()));
    let ids = session.prompt_tokens().expect("prompt ids");
    if ids != case.prompt_ids {
        return Err(format!("{}: prompt ids {ids:?}, not {:?}", case.name, case.prompt_ids));
    }
    let media: usize = case.media.iter().map(|medium| medium.soft_tokens).sum();
    assert_eq!(session.stats().media_tokens, media as u64, "{}", case.name);
    let off = distance(&answer.first_row, &case.tensor(&format!("{name}/logits")), results.sigma);
    if off > TOLERANCE {
        return Err(format!("{}: logits are off by {off} standard deviations", case.name));
    }
    results.compare(answer.tokens()).map(|_| ()).map_err(|e| format!("{}: {e}", case.name))
}
