//! Texts that templates leave out, and templates that write something else when texts have tags.

use serde_json::json;

use super::{Lost, LostKind, Placed};
use crate::error::{Code, Error, Result};
use crate::prompt::testing::*;
use crate::prompt::{Formatter, Prompt};

fn place(f: &Formatter, p: &Prompt) -> Result<Placed> {
    f.place(p, &Layout::gemma(f))
}

#[track_caller]
fn kept(f: &Formatter, p: &Prompt) -> Vec<Lost> {
    place(f, p).unwrap_or_else(|e| panic!("{e}")).lost
}

#[track_caller]
fn refused(f: &Formatter, p: &Prompt) -> Error {
    place(f, p).expect_err("an error")
}

/// Messages of text.
fn talk<const N: usize>(messages: [(&str, &str); N]) -> Prompt {
    prompt(messages.map(|(role, said)| (role, vec![text(said)])))
}

#[test]
fn a_message_that_the_template_leaves_out_is_named() {
    let f = gemma_with(Some(&GEMMA_TEXT_TEMPLATE.replace("for m in messages", "for m in messages[-1:]")));
    let e = refused(&f, &talk([("user", "first"), ("assistant", "ok"), ("user", "second")]));
    assert_eq!((e.code(), &e.details()["message_index"]), (Code::InvalidPrompt, &json!(0)));
    assert_eq!(e.message(), "the template leaves out the text of message 0 (role 'user')");
    assert_eq!(kept(&f, &talk([("user", " \n"), ("assistant", ""), ("user", "second")])), []);
    // The one that is kept says the same as the one that is not.
    let e = refused(&f, &talk([("user", "same"), ("assistant", "same"), ("user", "same")]));
    assert_eq!(e.details()["message_index"], 0);
}

#[test]
fn a_template_that_writes_no_message_names_the_first() {
    for template in
        ["{{ bos_token }}Say something.", "{{ bos_token }}{{ messages | length }}", "{# nothing #}"]
    {
        let f = gemma_with(Some(template));
        let e = refused(&f, &talk([("system", "s"), ("user", "q")]));
        assert_eq!(
            e.message(),
            "the template leaves out the text of message 0 (role 'system')",
            "{template}"
        );
        assert_eq!(refused(&f, &prompt([("user", vec![image(1), text("q")])])).details()["message_index"], 0);
    }
}

#[test]
fn a_tool_result_that_no_branch_takes_is_named() {
    let only = "{{ bos_token }}{% for m in messages %}{% if m.role in ['user', 'assistant'] %}\
        {{ '<|turn>' + m.role + '\n' + m.content + '<turn|>\n' }}{% endif %}{% endfor %}";
    let f = gemma_with(Some(only));
    let e = refused(&f, &talk([("user", "weather?"), ("assistant", "call"), ("tool", "sunny")]));
    assert!(e.message().contains("the tool result of message 2"), "{e}");
}

#[test]
fn trimming_and_cutting_thoughts_is_no_loss() {
    let f = gemma();
    for answer in [
        "<|channel>thought\nhm<channel|>yes",
        "<|channel>thought\nhm<channel|>\n\n yes ",
        "<|channel>thought\nhm<channel|>",
        "<|channel>thought\nhm",
        "  yes\n",
    ] {
        assert_eq!(kept(&f, &talk([("user", "  q \n"), ("assistant", answer), ("user", "r")])), []);
    }
    let f = qwen();
    for answer in ["<think>\nhm\n</think>\n\nyes", "<think>\nhm\n</think>\n\n", "yes"] {
        let p = talk([("user", "q"), ("assistant", answer), ("user", "r")]);
        assert_eq!(f.place(&p, &Layout::qwen(&f)).unwrap_or_else(|e| panic!("{e}")).lost, []);
    }
}

#[test]
fn a_system_text_in_a_turn_is_no_loss_and_a_part_of_it_that_is_lost_is_told() {
    let f = gemma3_with(Some(GEMMA3_TEMPLATE));
    let place = |p: &Prompt| f.place(p, &NoMedia).unwrap_or_else(|e| panic!("{e}")).lost;
    assert_eq!(place(&talk([("system", "s"), ("user", "q")])), []);
    let p = prompt([("system", vec![text("a"), text("b")]), ("user", vec![text("q")])]);
    assert_eq!(place(&p), [Lost { message: 0, part: 1, kind: LostKind::Text }]);
}

#[test]
fn a_text_that_stands_for_itself_in_no_letter_but_matters_is_no_loss() {
    let answers =
        "{{ bos_token }}{% for m in messages %}{{ 'Y' if m.content == 'yes' else 'N' }}{% endfor %}";
    let f = gemma_with(Some(answers));
    assert_eq!(kept(&f, &talk([("user", "yes")])), []);
    assert_eq!(refused(&f, &talk([("user", "no")])).details()["message_index"], 0);
}

const CUT: &str = "{{ bos_token }}{% for m in messages %}{{ '<|turn>' + m.role + '\n' + m.content[:9] + '<turn|>\n' }}\
    {% endfor %}";

#[test]
fn what_is_left_of_a_text_is_a_trace() {
    let f = gemma_with(Some(CUT));
    assert_eq!(kept(&f, &talk([("user", "a text that is cut"), ("assistant", "an answer that is cut")])), []);
    let p = prompt([
        ("user", vec![text("a text that is cut"), image(1)]),
        ("assistant", vec![text("an answer that is cut")]),
        ("user", vec![image(2), text("more that is cut")]),
    ]);
    let placed = place(&f, &p).unwrap_or_else(|e| panic!("{e}"));
    let expected = "<bos><|turn>user\n<|image><|image|><image|>a text th<turn|>\n<|turn>assistant\nan answer<turn|>\n\
        <|turn>user\n<|image><|image|><|image|><image|>more that<turn|>\n";
    assert_eq!(shown(&f, &placed.ids), expected);
}

#[test]
fn a_template_that_refuses_tags_still_takes_texts() {
    let strict = GEMMA_TEXT_TEMPLATE.replace(
        "{{ '<|turn>'",
        "{% if m.content | length > 3 %}{{ raise_exception('long') }}{% endif %}{{ '<|turn>'",
    );
    let f = gemma_with(Some(&strict));
    assert_eq!(kept(&f, &talk([("user", "abc"), ("assistant", "ok")])), []);
    let e = refused(&f, &prompt([("user", vec![text("abc"), image(1)])]));
    assert!(e.message().contains("the image of message 0 cannot be placed"), "{e}");
    assert_eq!((&e.details()["message_index"], &e.details()["part_index"]), (&json!(0), &json!(1)));
}

#[test]
fn only_messages_with_media_have_tags_where_the_others_must_not() {
    let strict = GEMMA_TEXT_TEMPLATE.replace(
        "{{ '<|turn>'",
        "{% if m.role == 'assistant' and m.content != 'ok' %}{{ raise_exception('no') }}{% endif %}{{ '<|turn>'",
    );
    let f = gemma_with(Some(&strict));
    let p = prompt([
        ("user", vec![text("a"), image(1)]),
        ("assistant", vec![text("ok")]),
        ("user", vec![text("b")]),
    ]);
    let placed = place(&f, &p).unwrap_or_else(|e| panic!("{e}"));
    let expected = "<bos><|turn>user\n<|image><|image|><image|>a<turn|>\n<|turn>model\nok<turn|>\n<|turn>user\nb<turn|>\n\
        <|turn>model\n";
    assert_eq!(shown(&f, &placed.ids), expected);
}

#[test]
fn a_template_that_makes_other_turns_of_longer_texts_places_nothing_wrongly() {
    let split = GEMMA_TEXT_TEMPLATE.replace(
        "{{ '<|turn>'",
        "{% if m.content | length > 5 %}{{ '<|turn>note\nlong<turn|>\n' }}{% endif %}{{ '<|turn>'",
    );
    let f = gemma_with(Some(&split));
    assert_eq!(kept(&f, &talk([("user", "abcd"), ("assistant", "ok")])), []);
    let e = refused(&f, &prompt([("user", vec![text("abcd"), image(1)])]));
    assert!(e.message().contains("where it puts the message cannot be told"), "{e}");
    // Placeholders that it writes need no turn.
    let split = GEMMA_TEMPLATE.replace(
        "{{- '<|turn>' + role",
        "{%- if message['content'] | length > 1 -%}{{- '<|turn>note\nlong<turn|>\n' -}}{%- endif -%}{{- '<|turn>' + role",
    );
    let f = gemma_with(Some(&split));
    let placed = place(&f, &prompt([("user", vec![image(1)])])).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(shown(&f, &placed.ids), "<bos><|turn>user\n<|image><|image|><image|><turn|>\n<|turn>model\n");
}

#[test]
fn a_long_conversation_is_rendered_twice() {
    let last_only = GEMMA_TEMPLATE
        .replace("{%- set role =", "{%- set is_last = loop.last -%}{%- set role =")
        .replace("item['type'] in", "is_last and item['type'] in");
    for (template, written) in [(GEMMA_TEMPLATE, true), (GEMMA_TEXT_TEMPLATE, false), (&last_only, false)] {
        let f = gemma_with(Some(template));
        let message = |i: usize| match i % 2 {
            0 => ("user", vec![text(&format!("look at {i}")), image(1), text("and"), image(2)]),
            _ => ("assistant", vec![text("ok")]),
        };
        let p: [_; 4_001] = std::array::from_fn(message);
        let p = prompt(p);
        let before = RENDERS.get();
        let placed = place(&f, &p).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(RENDERS.get() - before, 2);
        assert_eq!((placed.media.len(), placed.lost.len()), (2 * 2_001, 0));
        let before = |medium: usize| placed.ids[placed.media[medium].tokens.start - 2];
        assert_eq!(before(2_000) == f.token_id("\n").unwrap(), !written);
    }
}

/// Renderings that placing a prompt takes.
fn renders(f: &Formatter, p: &Prompt) -> usize {
    let before = RENDERS.get();
    assert_eq!(kept(f, p), []);
    RENDERS.get() - before
}

#[test]
fn texts_that_are_there_without_a_doubt_are_rendered_once() {
    let f = gemma_with(Some(GEMMA_TEXT_TEMPLATE));
    let long =
        ["What is the colour of the sky?", " It is blue, most of the time.\n", "And <|turn> at night?"];
    let said = |middle| talk([("user", long[0]), ("assistant", middle), ("user", long[2])]);
    assert_eq!(renders(&f, &said(long[1])), 1);
    assert_eq!(renders(&f, &said(" \n")), 1);
    // One that is short, one that the template or another part of the prompt may have written.
    assert_eq!(renders(&f, &said("blue")), 2);
    assert_eq!(renders(&f, &said(&GEMMA_TEXT_TEMPLATE[..20])), 2);
    let variable = |mut p: Prompt| {
        p.template_vars.insert("note".into(), json!({"said": [long[1]]}));
        p
    };
    assert_eq!(renders(&f, &variable(said(long[1]))), 2);
}

#[test]
fn a_long_text_that_another_repeats_is_not_taken_for_it() {
    let without_first = GEMMA_TEXT_TEMPLATE.replace("for m in messages", "for m in messages[1:]");
    let f = gemma_with(Some(&without_first));
    let long = "What is the colour of the sky?";
    let quoted = format!("You asked: {long} It is blue.");
    for messages in [
        [("user", long), ("assistant", long), ("user", long)],
        [("user", long), ("assistant", &quoted), ("user", &quoted)],
        [("user", &quoted), ("assistant", long), ("user", &quoted)],
    ] {
        assert_eq!(refused(&f, &talk(messages)).details()["message_index"], 0, "{messages:?}");
    }
}
