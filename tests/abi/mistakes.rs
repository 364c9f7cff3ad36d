//! Golden cases beside the answers that known mistakes would give.

use crate::answers::{Answer, Options, Session};
use crate::fixtures::{Case, TOLERANCE, distance};
use crate::harness::Model;

/// How many tolerances a wrong answer is away at least.
const FAR: f32 = 20.0;

/// A case with its prompt ids and its answer.
pub type Answered = (Case, Vec<u32>, Answer);

/// Every golden case of a kind, answered by its dense snapshot.
pub fn answered(model: &Model, kind: &str) -> Vec<Answered> {
    let answered = |case| {
        let (ids, answer) = asked(model, &case);
        (case, ids, answer)
    };
    Case::of(kind).into_iter().map(answered).collect()
}

/// Prompt ids, and the answer, of a golden case.
pub fn asked(model: &Model, case: &Case) -> (Vec<u32>, Answer) {
    let session = Session::new(model);
    let answer = session.answer(&case.prompt(), &Options::endless(1));
    (session.prompt_tokens().expect("prompt ids"), answer)
}

/// Looks at the cases that know of a mistake, and sees that each answer is right and far from the mistaken one.
#[track_caller]
pub fn never_made(answered: &[Answered], mistake: &str) {
    let mut compared = 0;
    for (case, ids, answer) in answered {
        let Some(wrong) = case.wrong.get(mistake) else { continue };
        compared += 1;
        assert_ne!(Some(ids), wrong.prompt_ids.as_ref(), "{}: {mistake}", case.name);
        assert_eq!(ids, &case.prompt_ids, "{}", case.name);
        near_the_right_row(case, answer);
        let row = case.tensor(&format!("bf16/wrong/{mistake}"));
        let off = distance(&answer.first_row, &row, case.bf16().sigma);
        assert!(off > FAR * TOLERANCE, "{}: only {off} from {mistake}", case.name);
    }
    assert!(compared > 0, "no case knows of {mistake}");
}

#[track_caller]
pub fn near_the_right_row(case: &Case, answer: &Answer) {
    let off = distance(&answer.first_row, &case.tensor("bf16/logits"), case.bf16().sigma);
    assert!(off <= TOLERANCE, "{}: off by {off}", case.name);
}
