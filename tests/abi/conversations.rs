//! Conversations with tools and thoughts, with the demo model: calls come as events, answers go back as messages.

use std::path::Path;

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::prompt::rmlx_prompt_set_continue_final_message;
use rmlx::ffi::session::rmlx_prompt_add_answer;
use rmlx::ffi::status::{RMLX_ERROR_BUSY, RMLX_ERROR_INVALID_ARGUMENT};
use serde_json::{Value, json};

use crate::answers::{Answer, Options, Session};
use crate::harness::{Model, Outcome, Prompt, check};
use crate::scratch::Scratch;

const TOOLS: &str = r#"[{"type": "function", "function": {"name": "get_time", "description": "Tells the time in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The city."}}}}}]"#;

fn demo() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/bf16")
}

fn model() -> Model {
    Model::load(demo()).expect("the demo model")
}

fn add_answer(prompt: &mut Prompt, session: &Session) -> Outcome<()> {
    // SAFETY: the session lives.
    check(|error| unsafe { rmlx_prompt_add_answer(prompt.raw_mut(), session.raw(), error) })
}

fn calls(answer: &Answer) -> Vec<[String; 3]> {
    answer.events.iter().filter_map(|event| event.call.clone()).collect()
}

fn said(answer: &Answer, kind: rmlx_event_type) -> String {
    answer.events.iter().filter(|event| event.kind == kind).map(|event| event.text.as_str()).collect()
}

#[test]
fn a_tool_is_called_and_its_result_is_told() {
    let model = model();
    let session = Session::new(&model);
    let mut prompt = Prompt::user("What time is it in Rome?").tools(TOOLS);
    let answer = session.answer(&prompt, &Options::greedy(48));
    assert_eq!(answer.finish(), RMLX_FINISH_TOOL_CALLS);
    let [[id, name, arguments]] = calls(&answer).try_into().expect("one call");
    assert_eq!((name.as_str(), arguments.as_str()), ("get_time", r#"{"city":"Rome"}"#));
    assert!(id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
    assert_eq!(
        said(&answer, RMLX_EVENT_TOOL_CALL),
        "<|tool_call>call:get_time{city:<|\"|>Rome<|\"|>}<tool_call|>"
    );
    assert_eq!(said(&answer, RMLX_EVENT_TEXT), "");
    let deltas: Vec<_> = answer.events.iter().filter_map(|event| event.delta.clone()).collect();
    assert!(
        deltas.len() > 2 && deltas.iter().all(|[of, called, _]| *of == id && *called == name),
        "{deltas:?}"
    );
    assert_eq!(deltas.iter().map(|[_, _, added]| added.as_str()).collect::<String>(), arguments);
    let tokens = answer.events.iter().filter(|event| event.token.is_some()).count();
    assert_eq!(tokens, session.stats().generated_tokens as usize, "an event for each token");

    add_answer(&mut prompt, &session).expect("an answer");
    let prompt = prompt.result(&id, &name).text("10:30");
    let answer = session.answer(&prompt, &Options::greedy(48));
    assert_eq!((answer.text().as_str(), answer.finish()), ("It is 10:30.", RMLX_FINISH_END_OF_TURN));
    assert!(session.stats().reused_tokens > 0);

    // The same as one text of JSON, and by hand.
    let call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let whole = json!({"tools": serde_json::from_str::<Value>(TOOLS).unwrap(), "messages": [
        {"role": "user", "content": "What time is it in Rome?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id, "name": name, "content": "10:30"},
    ]});
    let by_hand = Prompt::user("What time is it in Rome?").tools(TOOLS).message("assistant");
    let by_hand = by_hand.call("get_time", r#"{"city": "Rome"}"#).result(&id, &name).text("10:30");
    let rendered = model.render(&prompt).unwrap();
    assert_eq!(model.render(&Prompt::from_json(&whole, &[]).unwrap()).unwrap(), rendered);
    assert_eq!(model.render(&by_hand).unwrap(), rendered);
}

#[test]
fn two_calls_in_one_turn_and_two_round_trips_are_told() {
    let model = model();
    let both = Prompt::user("What time is it in Rome and in Paris?").tools(TOOLS).message("assistant");
    let both = both.call("get_time", r#"{"city": "Rome"}"#).call("get_time", r#"{"city": "Paris"}"#);
    let both = both.result("a", "get_time").text("10:30").result("b", "get_time").text("10:30");
    let text = model.render(&both).unwrap();
    let called = |city: &str| format!("<|tool_call>call:get_time{{city:<|\"|>{city}<|\"|>}}<tool_call|>");
    let told = "<|tool_response>response:get_time{value:<|\"|>10:30<|\"|>}<tool_response|>";
    assert!(text.contains(&format!("{}{}{told}{told}", called("Rome"), called("Paris"))), "{text}");
    let answer = Session::new(&model).answer(&both, &Options::greedy(48));
    assert_eq!((answer.text().as_str(), answer.finish()), ("It is 10:30.", RMLX_FINISH_END_OF_TURN));

    let session = Session::new(&model);
    let mut prompt = Prompt::new().tools(TOOLS);
    for (question, told) in
        [("Tell me the time.", "{}"), ("What time is it in Paris?", r#"{"city":"Paris"}"#)]
    {
        prompt = prompt.message("user").text(question);
        let answer = session.answer(&prompt, &Options::greedy(48));
        let [[id, name, arguments]] = calls(&answer).try_into().expect("one call");
        assert_eq!(arguments, told);
        add_answer(&mut prompt, &session).expect("an answer");
        prompt = prompt.result(&id, &name).text("10:30");
        assert_eq!(session.answer(&prompt, &Options::greedy(48)).text(), "It is 10:30.");
        add_answer(&mut prompt, &session).expect("an answer");
    }
}

#[test]
fn an_answer_is_added_when_it_has_ended() {
    let model = model();
    let session = Session::new(&model);
    let mut prompt = Prompt::user("What time is it in Rome?").tools(TOOLS);
    let failure = add_answer(&mut prompt, &session).expect_err("no answer");
    assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT);
    session.submit(&prompt, &Options::greedy(4)).expect("an accepted prompt");
    assert_eq!(add_answer(&mut prompt, &session).expect_err("not yet").code, RMLX_ERROR_BUSY);
    session.rest();
    add_answer(&mut prompt, &session).expect("an answer");
    session.reset().expect("a reset");
    assert_eq!(add_answer(&mut prompt, &session).expect_err("forgotten").code, RMLX_ERROR_INVALID_ARGUMENT);
}

#[test]
fn what_is_cut_off_in_a_call_is_text_as_it_was_spelled() {
    let session = Session::new(&model());
    let answer = session.answer(&Prompt::user("What time is it in Rome?").tools(TOOLS), &Options::greedy(4));
    assert_eq!((answer.finish(), calls(&answer).len()), (RMLX_FINISH_MAX_TOKENS, 0));
    let text = said(&answer, RMLX_EVENT_TEXT);
    assert!(text.starts_with("<|tool_call>call"), "{text:?}");
    assert_eq!(said(&answer, RMLX_EVENT_TOOL_CALL), "");
}

#[test]
fn an_unfinished_answer_goes_on() {
    let model = model();
    let session = Session::new(&model);
    let asked = || Prompt::user("What is the capital of France?");
    let begun = "The capital";
    let mut prompt = asked().message("assistant").text(begun);
    check(|error| rmlx_prompt_set_continue_final_message(prompt.raw_mut(), true, error)).unwrap();
    assert!(model.render(&prompt).unwrap().ends_with(begun));
    let whole = begun.to_owned() + &session.answer(&prompt, &Options::greedy(16)).text();
    add_answer(&mut prompt, &session).expect("an answer");
    let finished = asked().message("assistant").text(&whole);
    assert_eq!(model.render(&prompt).unwrap(), model.render(&finished).unwrap());
}

#[test]
fn the_templates_own_ends_of_turns_end_an_answer() {
    let scratch = Scratch::copy(&demo());
    let scratch =
        scratch.json("generation_config.json", |config| drop(config.insert("eos_token_id".into(), json!(1))));
    let model = Model::load(scratch.path()).expect("the demo model");
    let answer = Session::new(&model)
        .answer(&Prompt::user("What time is it in Rome?").tools(TOOLS), &Options::greedy(48));
    assert_eq!((answer.finish(), calls(&answer).len()), (RMLX_FINISH_TOOL_CALLS, 1));
    let answer =
        Session::new(&model).answer(&Prompt::user("What is the capital of France?"), &Options::greedy(48));
    assert_eq!(answer.finish(), RMLX_FINISH_END_OF_TURN);
}

#[test]
fn stop_tokens_and_spelled_special_tokens_end_an_answer() {
    let model = model();
    let session = Session::new(&model);
    let asked = Prompt::user("What time is it in Rome?").tools(TOOLS);
    let call = model.tokenize("<|tool_call>", true).unwrap()[0];
    let options = Options::greedy(48).set(|o, e| rmlx_generation_options_add_stop_token(o, call, e));
    let answer = session.answer(&asked, &options);
    assert_eq!(
        (answer.finish(), answer.tokens(), answer.text()),
        (RMLX_FINISH_STOP_TOKEN, vec![call], String::new())
    );
    let answer = session.answer(&asked, &Options::greedy(48).stop("<|tool_call>"));
    assert_eq!(
        (answer.finish(), answer.tokens(), answer.text()),
        (RMLX_FINISH_STOP_STRING, vec![call], String::new())
    );
    let beyond = Options::greedy(1).set(|o, e| rmlx_generation_options_add_stop_token(o, u32::MAX, e));
    assert_eq!(session.submit(&asked, &beyond).expect_err("no such token").code, RMLX_ERROR_INVALID_ARGUMENT);
}

#[test]
fn a_budget_ends_a_thought_and_the_answer_begins() {
    let model = model();
    let session = Session::new(&model);
    let asked = Prompt::user("What is the capital of France?");
    let thinking = |max| Options::greedy(max).set(|o, e| rmlx_generation_options_set_thinking(o, true, e));
    let free = session.answer(&asked, &thinking(64));
    let thoughts = |answer: &Answer| answer.events.iter().filter(|e| e.kind == RMLX_EVENT_REASONING).count();
    assert!(thoughts(&free) > 4, "{:?}", free.events);
    let bounded = thinking(64).set(|o, e| rmlx_generation_options_set_thinking_budget(o, 4, e));
    let answer = session.answer(&asked, &bounded);
    let end = model.tokenize("<channel|>", true).unwrap()[0];
    let at = answer.tokens().iter().position(|token| *token == end).expect("an end of the thought");
    // The token that opens the thought, and the budget.
    assert!(at <= 5 && at < free.tokens().iter().position(|token| *token == end).unwrap(), "{at}");
    assert_ne!(said(&answer, RMLX_EVENT_TEXT), "");
    // What counting says is what is submitted.
    let count = session.prompt_tokens().unwrap().len();
    assert_eq!(model.count_with(&asked, &bounded).unwrap(), count);
    assert_ne!(model.count(&asked).unwrap(), count);
}

#[test]
fn penalties_count_the_token_that_ends_a_thought_and_not_the_one_that_was_drawn() {
    let model = model();
    let session = Session::new(&model);
    let asked = Prompt::user("What is the capital of France?");
    for budget in 1..=6 {
        let options = || {
            Options::greedy(40)
                .set(|o, e| rmlx_generation_options_set_thinking(o, true, e))
                .set(|o, e| rmlx_generation_options_set_thinking_budget(o, budget, e))
                .set(|o, e| rmlx_generation_options_set_frequency_penalty(o, 3.0, e))
        };
        // Where runs of tokens are looked for, each token is read before the next is drawn.
        let read = options().set(|o, e| rmlx_generation_options_set_no_repeat_ngram(o, 90, e));
        let (ahead, read) = (session.answer(&asked, &options()), session.answer(&asked, &read));
        assert_eq!(ahead.tokens(), read.tokens(), "a budget of {budget}");
    }
}

#[test]
fn a_tools_value_is_its_messages_one_part() {
    let mut user = Prompt::user("x");
    assert_eq!(user.json("{}").expect_err("no tool's").code, RMLX_ERROR_INVALID_ARGUMENT);
    let mut tool = Prompt::user("x").message("assistant").call("get_time", "").result("a", "get_time");
    assert!(tool.json("{").expect_err("no JSON").message.contains("`json`"));
    tool.json(r#"{"time": "10:30"}"#).unwrap();
    assert!(tool.json("{}").is_err() && tool.add_bytes(b"x").is_err());
    let text = model().render(&tool).unwrap();
    assert!(text.contains(r#"response:get_time{value:{time:<|"|>10:30<|"|>}}"#), "{text}");
}
