//! Answers that stay as they were generated: what follows is all that a later submit evaluates.

use std::path::PathBuf;

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::session::rmlx_prompt_add_answer;

use crate::answers::{Answer, Options, Session};
use crate::harness::{Media, Model, Prompt, check};

const TOOLS: &str = r#"[{"type": "function", "function": {"name": "get_time", "description": "Tells the time in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The city."}}}}}]"#;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn demo() -> Model {
    Model::load(root().join("models/demo/bf16")).expect("the demo model")
}

fn exact(options: Options) -> Options {
    options.set(|o, e| rmlx_generation_options_set_exact_history(o, true, e))
}

fn thinking(options: Options) -> Options {
    options.set(|o, e| rmlx_generation_options_set_thinking(o, true, e))
}

fn add_answer(prompt: &mut Prompt, session: &Session) {
    // SAFETY: the session lives.
    check(|error| unsafe { rmlx_prompt_add_answer(prompt.raw_mut(), session.raw(), error) })
        .expect("an answer");
}

/// Answers and adds the answer. The ids of the prompt and the answer: all that is behind the conversation now.
fn answered(session: &Session, prompt: &mut Prompt, options: &Options) -> (Answer, Vec<u32>) {
    let answer = session.answer(prompt, options);
    let ids = [session.prompt_tokens().unwrap(), answer.tokens()].concat();
    add_answer(prompt, session);
    (answer, ids)
}

/// That the next answer begins with these ids and evaluates none of them again.
#[track_caller]
fn goes_on(session: &Session, prompt: &Prompt, options: &Options, before: &[u32], held: usize) -> Answer {
    let answer = session.answer(prompt, options);
    let ids = session.prompt_tokens().unwrap();
    assert_eq!(&ids[..before.len()], before);
    assert!(ids.len() > before.len());
    assert_eq!(session.stats().reused_tokens as usize, held);
    answer
}

#[test]
fn text_thoughts_calls_and_pictures_are_not_evaluated_again() {
    let model = demo();
    let image = Media::image(&std::fs::read(root().join("models/demo/example.png")).unwrap()).unwrap();
    let picture = || Prompt::new().message("user").media(&image).text("What colour is the circle?");
    let capital = || Prompt::user("What is the capital of France?");
    let asked: [(&str, Prompt, Options); 4] = [
        ("text", capital(), Options::greedy(32)),
        ("thought", capital(), thinking(Options::greedy(64))),
        ("picture", picture(), Options::greedy(32)),
        ("thought of a picture", picture(), thinking(Options::greedy(64))),
    ];
    for (name, mut prompt, options) in asked {
        let session = Session::new(&model);
        let options = exact(options);
        let (answer, ids) = answered(&session, &mut prompt, &options);
        assert_eq!(answer.finish(), RMLX_FINISH_END_OF_TURN, "{name}");
        let mut prompt = prompt.message("user").text("What is the capital of Italy?");
        let answer = goes_on(&session, &prompt, &options, &ids, ids.len());
        let all = [session.prompt_tokens().unwrap(), answer.tokens()].concat();
        add_answer(&mut prompt, &session);
        let prompt = prompt.message("user").media(&image).text("What colour is the circle?");
        let last = goes_on(&session, &prompt, &options, &all, all.len());
        assert!(last.text().ends_with("Red"), "{name}: {:?}", last.text());
    }
}

#[test]
fn a_copy_of_the_prompt_goes_on_with_a_fork() {
    let session = Session::new(&demo());
    let options = exact(thinking(Options::greedy(64)));
    let mut prompt = Prompt::user("What is the capital of France?");
    let (_, ids) = answered(&session, &mut prompt, &options);
    let (other, fork) = (prompt.copy(), session.fork().expect("a fork"));
    let prompt = prompt.message("user").text("What is the capital of Italy?");
    let here = goes_on(&session, &prompt, &options, &ids, ids.len());
    drop(prompt);
    let other = other.message("user").text("What is the capital of Spain?");
    let there = goes_on(&fork, &other, &options, &ids, ids.len());
    assert!(
        here.text().ends_with("Rome") && there.text().ends_with("Madrid"),
        "{:?}",
        [here.text(), there.text()]
    );
}

#[test]
fn a_call_and_its_result_are_not_evaluated_again() {
    let model = demo();
    let session = Session::new(&model);
    let options = exact(Options::greedy(48));
    let mut prompt = Prompt::user("What time is it in Rome?").tools(TOOLS);
    let (answer, ids) = answered(&session, &mut prompt, &options);
    assert_eq!(answer.finish(), RMLX_FINISH_TOOL_CALLS);
    let [id, name, _] = answer.events.iter().find_map(|event| event.call.clone()).expect("a call");
    let prompt = prompt.result(&id, &name).text("10:30");
    let told = goes_on(&session, &prompt, &options, &ids, ids.len());
    assert_eq!(told.text(), "It is 10:30.");
    // The template opens a turn that it asks for with an empty thought, and leaves that out of the history.
    let exactly = session.prompt_tokens().unwrap();
    let plain = Session::new(&model);
    plain.answer(&prompt, &Options::greedy(48));
    let thought = model.tokenize("<|channel>thought\n<channel|>", true).unwrap();
    let at = ids.windows(thought.len()).rposition(|ids| ids == thought).expect("an empty thought");
    let without = [&exactly[..at], &exactly[at + thought.len()..]].concat();
    assert_eq!(plain.prompt_tokens().unwrap(), without);
}

#[test]
fn without_the_wish_the_history_is_the_templates() {
    let model = demo();
    let plainly = |options: &Options| {
        let session = Session::new(&model);
        let mut prompt = Prompt::user("What is the capital of France?");
        let (_, ids) = answered(&session, &mut prompt, options);
        let prompt = prompt.message("user").text("What is the capital of Italy?");
        session.answer(&prompt, &thinking(Options::greedy(4)));
        (ids, session.prompt_tokens().unwrap(), session.stats().reused_tokens as usize)
    };
    let (ids, plain, reused) = plainly(&thinking(Options::greedy(64)));
    assert!(reused < ids.len() && !plain.starts_with(&ids), "the template drops the thought");
    // Only one of the two submits says so.
    assert_eq!(plainly(&exact(thinking(Options::greedy(64)))).1, plain);
}

#[test]
fn another_model_wish_or_history_takes_the_templates() {
    let model = demo();
    let session = Session::new(&model);
    let options = exact(thinking(Options::greedy(64)));
    let mut prompt = Prompt::user("What is the capital of France?");
    let (_, ids) = answered(&session, &mut prompt, &options);
    let prompt = prompt.message("user").text("Why?");
    let ids_with = |model: &Model, prompt: &Prompt, options: &Options| {
        let session = Session::new(model);
        session.answer(prompt, options);
        session.prompt_tokens().unwrap()
    };
    assert!(ids_with(&model, &prompt, &options).starts_with(&ids));
    assert_eq!(
        ids_with(&demo(), &prompt, &options),
        ids_with(&demo(), &prompt, &thinking(Options::greedy(64)))
    );
    let quiet = || Options::greedy(4);
    assert_eq!(ids_with(&model, &prompt, &exact(quiet())), ids_with(&model, &prompt, &quiet()));
    let prompt = prompt.tools(TOOLS);
    assert!(!ids_with(&model, &prompt, &options).starts_with(&ids));
}

/// Random weights, so that the answers are any tokens at all; one that is cut off has no end of its turn.
#[test]
fn an_answer_of_any_tokens_is_kept_or_the_templates() {
    for name in ["qwen3vltied-bf16-hf", "unified-bf16-mlx", "gemma3-bf16-hf"] {
        let model = Model::load(root().join("tests/fixtures").join(name)).expect("a fixture");
        let mut kept = 0;
        for length in 1..24 {
            let session = Session::new(&model);
            let options = exact(Options::greedy(length));
            let mut prompt = Prompt::user(&format!("Say {length} things."));
            let (answer, ids) = answered(&session, &mut prompt, &options);
            let prompt = prompt.message("user").text("Go on.");
            if answer.text().trim().is_empty() {
                continue;
            }
            session.answer(&prompt, &options);
            let now = session.prompt_tokens().unwrap();
            if now.starts_with(&ids) {
                kept += 1;
                let evaluated = ids.len() - usize::from(answer.finish() == RMLX_FINISH_MAX_TOKENS);
                assert_eq!(session.stats().reused_tokens as usize, evaluated, "{name}, {length}");
            } else {
                let fresh = Session::new(&model);
                fresh.answer(&prompt, &Options::greedy(length));
                assert_eq!(now, fresh.prompt_tokens().unwrap(), "{name}, {length}");
            }
        }
        assert!(kept > 5, "{name}: {kept} answers were kept");
    }
}
