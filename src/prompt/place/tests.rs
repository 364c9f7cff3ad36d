//! Where media end up, through the whole of [`Formatter::place`].

use serde_json::json;

use crate::error::Code;
use crate::media::MediaKind;
use crate::prompt::testing::*;
use crate::prompt::*;

fn placed(formatter: &Formatter, prompt: &Prompt) -> String {
    let layout = Layout::gemma(formatter);
    let placed = formatter.place(prompt, &layout).unwrap_or_else(|e| panic!("{e}"));
    for medium in &placed.media {
        let soft = formatter.token_text(placed.ids[medium.tokens.start]).unwrap();
        let is_frame = medium.media.kind() == MediaKind::Image && soft == "<|video|>";
        assert!(is_frame || soft == format!("<|{}|>", medium.media.kind().name()), "{soft}");
        let ids = &placed.ids[medium.tokens.clone()];
        assert!(ids.iter().all(|id| *id == ids[0]));
        assert_ne!(placed.ids[medium.tokens.end], ids[0], "the range is the whole run");
    }
    shown(formatter, &placed.ids)
}

fn failure(formatter: &Formatter, prompt: &Prompt) -> crate::Error {
    formatter.place(prompt, &Layout::gemma(formatter)).expect_err("an error")
}

const I2: &str = "<|image><|image|><|image|><image|>";
const I1: &str = "<|image><|image|><image|>";
const A: &str = "<|audio><|audio|><|audio|><|audio|><audio|>";

#[test]
fn placeholders_of_the_template_are_expanded_where_they_are() {
    let p = prompt([
        ("user", vec![text("see"), image(2), text("hear"), audio()]),
        ("assistant", vec![text("yes")]),
        ("user", vec![image(1), text("and")]),
    ]);
    let expected = format!(
        "<bos><|turn>user\nsee{I2}hear{A}<turn|>\n<|turn>model\nyes<turn|>\n<|turn>user\n{I1}and<turn|>\n<|turn>model\n"
    );
    let f = gemma();
    assert_eq!(placed(&f, &p), expected);
    let media = f.place(&p, &Layout::gemma(&f)).unwrap_or_else(|e| panic!("{e}")).media;
    assert_eq!(media.iter().map(|m| m.tokens.len()).collect::<Vec<_>>(), [2, 3, 1]);
}

#[test]
fn a_template_that_writes_the_keys_of_parts_as_plain_text_keeps_the_places() {
    let told = "{{- bos_token -}}{{- 'Call: {\"type\": \"function\", \"text\": \"x\"}' -}}{{- \" {'type': 'text'}\\n\" -}}";
    let template = GEMMA_TEMPLATE.replace("{{- bos_token -}}", told);
    let p = prompt([("user", vec![text("see"), image(2), text("and"), audio(), text("so")])]);
    let expected = format!(
        "<bos>Call: {{\"type\": \"function\", \"text\": \"x\"}} {{'type': 'text'}}\n<|turn>user\nsee{I2}and{A}so<turn|>\n\
         <|turn>model\n"
    );
    assert_eq!(placed(&gemma_with(Some(&template)), &p), expected);
}

#[test]
fn an_image_of_the_first_of_two_turns_stays_there() {
    let p = prompt([
        ("user", vec![text("first"), image(2)]),
        ("assistant", vec![text("ok")]),
        ("user", vec![text("second")]),
    ]);
    let end = "<|turn>model\nok<turn|>\n<|turn>user\nsecond<turn|>\n<|turn>model\n";
    let by_template = format!("<bos><|turn>user\nfirst{I2}<turn|>\n{end}");
    assert_eq!(placed(&gemma(), &p), by_template);
    let by_opener = format!("<bos><|turn>user\n{I2}first<turn|>\n{end}");
    assert_eq!(placed(&gemma_with(Some(GEMMA_TEXT_TEMPLATE)), &p), by_opener);
}

#[test]
fn without_placeholders_images_open_their_turn_and_audio_ends_it() {
    let p = prompt([
        ("user", vec![audio(), text("one"), image(1), image(2)]),
        ("assistant", vec![text("ok")]),
        ("user", vec![audio(), image(1)]),
    ]);
    let expected = format!(
        "<bos><|turn>user\n{I1}{I2}one{A}<turn|>\n<|turn>model\nok<turn|>\n<|turn>user\n{I1}{A}<turn|>\n<|turn>model\n"
    );
    assert_eq!(placed(&gemma_with(Some(GEMMA_TEXT_TEMPLATE)), &p), expected);
}

#[test]
fn audio_never_lands_in_the_models_turn() {
    let f = gemma_with(Some(GEMMA_TEXT_TEMPLATE));
    let shown = placed(&f, &prompt([("user", vec![text("hear"), audio()])]));
    assert_eq!(shown, format!("<bos><|turn>user\nhear{A}<turn|>\n<|turn>model\n"));
    let in_answer = prompt([("user", vec![text("a")]), ("assistant", vec![text("b"), audio()])]);
    let e = failure(&f, &in_answer);
    assert_eq!((e.code(), &e.details()["message_index"]), (Code::InvalidPrompt, &json!(1)));
}

#[test]
fn a_template_that_writes_only_the_last_turns_images_gets_the_others_by_turn() {
    let template = GEMMA_TEMPLATE
        .replace(
            "item['type'] in ['image', 'audio', 'video']",
            "loop_last and item['type'] in ['image', 'audio', 'video']",
        )
        .replace("{%- set role =", "{%- set loop_last = loop.last -%}{%- set role =");
    let p = prompt([
        ("user", vec![text("first"), image(2)]),
        ("assistant", vec![text("ok")]),
        ("user", vec![text("second"), image(1)]),
    ]);
    let expected = format!(
        "<bos><|turn>user\n{I2}first<turn|>\n<|turn>model\nok<turn|>\n<|turn>user\nsecond{I1}<turn|>\n<|turn>model\n"
    );
    assert_eq!(placed(&gemma_with(Some(&template)), &p), expected);
}

#[test]
fn a_template_that_writes_some_of_a_messages_images_is_an_error_that_names_it() {
    let template = GEMMA_TEMPLATE
        .replace("item['type'] in ['image', 'audio', 'video']", "item['type'] == 'image' and loop.first");
    let p = prompt([
        ("user", vec![text("x")]),
        ("assistant", vec![text("y")]),
        ("user", vec![image(1), image(1)]),
    ]);
    let e = failure(&gemma_with(Some(&template)), &p);
    assert_eq!(e.details()["message_index"], 2);
    assert!(e.message().contains("1 of the 2 image"), "{e}");
}

#[test]
fn the_end_of_turn_is_whichever_token_there_is() {
    let mut tokenizer = gemma_tokenizer().to_string();
    for (from, to) in [("<turn|>", "<end_of_turn>"), ("<|turn>", "<start_of_turn>")] {
        tokenizer = tokenizer.replace(from, to);
    }
    let template =
        GEMMA_TEXT_TEMPLATE.replace("<turn|>", "<end_of_turn>").replace("<|turn>", "<start_of_turn>");
    let tokenizer = serde_json::from_str(&tokenizer).unwrap();
    let f = load(&tokenizer, json!({"bos_token": "<bos>"}), Some(&template)).unwrap();
    let shown = placed(&f, &prompt([("user", vec![text("x"), image(1), audio()])]));
    assert_eq!(shown, format!("<bos><start_of_turn>user\n{I1}x{A}<end_of_turn>\n<start_of_turn>model\n"));
    assert!(
        placed(&gemma_with(Some(GEMMA_TEXT_TEMPLATE)), &prompt([("user", vec![audio()])]))
            .contains("<audio|><turn|>")
    );
}

#[test]
fn bos_is_not_doubled() {
    let f = gemma();
    let ids = f
        .place(&prompt([("user", vec![text("x")])]), &Layout::gemma(&f))
        .unwrap_or_else(|e| panic!("{e}"))
        .ids;
    let bos = f.token_id("<bos>").unwrap();
    assert_eq!(ids.iter().filter(|id| **id == bos).count(), 1);
    assert_eq!(ids[0], bos);
}

#[test]
fn without_a_template_images_follow_bos_and_audio_precedes_the_last_token() {
    let f = gemma_with(None);
    let p = prompt([("user", vec![text("ab"), audio(), image(1), text("cd"), image(2)])]);
    assert_eq!(placed(&f, &p), format!("<bos>{I1}{I2}abc{A}d"));
    assert_eq!(f.render(&p, true).unwrap(), "<bos>abcd");
    assert_eq!(placed(&f, &prompt([("user", vec![audio(), image(1)])])), format!("<bos>{I1}{A}"));
}

#[test]
fn a_template_without_known_turns_takes_media_as_a_base_model_does() {
    let f = gemma_with(Some("{{ bos_token }}{% for m in messages %}[{{ m.content }}]{% endfor %}"));
    assert_eq!(
        placed(&f, &prompt([("user", vec![text("ab"), audio(), image(1)])])),
        format!("<bos>{I1}[ab{A}]")
    );
}

#[test]
fn a_modality_that_the_model_lacks_is_unsupported() {
    let f = gemma();
    let layout = Layout { audio: None, ..Layout::gemma(&f) };
    let e = f.place(&prompt([("user", vec![text("x"), audio()])]), &layout).err().unwrap();
    assert_eq!((e.code(), &e.details()["message_index"]), (Code::Unsupported, &json!(0)));
}

#[test]
fn a_message_that_the_template_leaves_out_cannot_hold_media() {
    let template = GEMMA_TEXT_TEMPLATE.replace("for m in messages", "for m in messages[-1:]");
    let p = prompt([("user", vec![image(1)]), ("assistant", vec![text("a")]), ("user", vec![text("b")])]);
    let e = failure(&gemma_with(Some(&template)), &p);
    assert_eq!(e.details()["message_index"], 0);
}

#[test]
fn raw_tokens_keep_their_ids_and_take_media_at_their_placeholders() {
    let f = gemma();
    let raw = |s: &str| Some(f.encode(s, true).unwrap());
    let media = |parts| Prompt { tokens: None, ..prompt([("user", parts)]) };
    let p =
        Prompt { tokens: raw("x<|image|>y<|image|><|audio|>"), ..media(vec![image(2), audio(), image(1)]) };
    assert_eq!(placed(&f, &p), format!("x{I2}y{I1}{A}"));
    assert_eq!(f.render(&p, true).unwrap(), "x<|image|>y<|image|><|audio|>");
    let p = Prompt { tokens: raw("<|turn>user\nx<turn|>"), ..media(vec![image(2)]) };
    assert!(failure(&f, &p).message().contains("0 image placeholders"));
    let p = Prompt { tokens: raw("<bos>xy"), ..media(vec![image(1), audio()]) };
    assert_eq!(placed(&f, &p), format!("<bos>{I1}x{A}y"));
    let p = Prompt { tokens: raw("a<|image|><|image|>"), ..media(vec![image(2)]) };
    assert!(failure(&f, &p).message().contains("2 image placeholders"));
}

#[test]
fn ordinary_text_around_a_block_joins_the_text_around_it() {
    // Gemma 3's blocks begin and end with a blank line; "\n" + "\n\n" is one token there.
    let f = gemma();
    let id = |s: &str| f.token_id(s).unwrap();
    let layout = Layout {
        image: Some((vec![id("\n\n"), id("<|image>")], id("<|image|>"), vec![id("<image|>"), id("\n\n")])),
        image_placeholder: Some(id("<|image>")),
        audio: None,
        video: None,
    };
    for template in [GEMMA_TEXT_TEMPLATE.to_owned(), GEMMA_TEMPLATE.replace("'|>' -}}", "'>' -}}")] {
        let f = gemma_with(Some(&template));
        let p = prompt([("user", vec![image(2), text("x")])]);
        let ids = f.place(&p, &layout).unwrap_or_else(|e| panic!("{e}")).ids;
        let text = "<bos><|turn>user\n\n\n<|image><|image|><|image|><image|>\n\nx<turn|>\n<|turn>model\n";
        assert_eq!(ids, f.encode(text, true).unwrap());
        assert!(ids.contains(&id("\n\n\n")));
    }
}

#[test]
fn qwen_placeholders_are_repeated_between_the_templates_own_markers() {
    let f = qwen();
    let p = prompt([("user", vec![image(3), text("Describe.")])]);
    let ids = f.place(&p, &Layout::qwen(&f)).unwrap_or_else(|e| panic!("{e}")).ids;
    let expected = "<|im_start|>user\n<|vision_start|><|image_pad|><|image_pad|><|image_pad|><|vision_end|>Describe.\
        <|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(shown(&f, &ids), expected);
}

const V: &str = "00:00 <|image><|video|><|video|><image|> 00:01 <|image><|video|><image|>";

#[test]
fn a_video_is_its_frames_with_their_times() {
    let p = prompt([
        ("user", vec![text("see"), video(&[(2, 0.0), (1, 1.0)]), text("and"), image(1)]),
        ("assistant", vec![text("yes")]),
        ("user", vec![video(&[(2, 0.0), (1, 1.0)])]),
    ]);
    let expected = format!(
        "<bos><|turn>user\nsee{V}and{I1}<turn|>\n<|turn>model\nyes<turn|>\n<|turn>user\n{V}<turn|>\n<|turn>model\n"
    );
    let f = gemma();
    assert_eq!(placed(&f, &p), expected);
    // The reference writes the times into the text and tokenizes the whole.
    let media = f.place(&p, &Layout::gemma(&f)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(media.ids, f.encode(&expected, true).unwrap());
    let lengths: Vec<usize> = media.media.iter().map(|m| m.tokens.len()).collect();
    assert_eq!(lengths, [2, 1, 1, 2, 1]);
}

#[test]
fn a_video_without_a_placeholder_opens_its_turn_and_joins_the_text_before_it() {
    let p = prompt([("user", vec![text("what"), video(&[(2, 0.0), (1, 1.0)]), audio()])]);
    let f = gemma_with(Some(GEMMA_TEXT_TEMPLATE));
    let expected = format!("<bos><|turn>user\n{V}what{A}<turn|>\n<|turn>model\n");
    assert_eq!(placed(&f, &p), expected);
    let f = gemma_with(None);
    assert_eq!(placed(&f, &p), format!("<bos>{V}wha{A}t"));
    let raw = Prompt {
        tokens: Some(f.encode("x<|video|>y", true).unwrap()),
        ..prompt([("user", vec![video(&[(2, 0.0), (1, 1.0)])])])
    };
    assert_eq!(placed(&f, &raw), format!("x{V}y"));
}
