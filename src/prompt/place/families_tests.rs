//! Placeholders of several tokens, and blocks with text around them: layouts like Gemma 3's and Qwen3-VL's. What is
//! expected is the reference's: blocks written into the text, and the whole tokenized.

use std::sync::Arc;

use super::*;
use crate::error::Error;
use crate::prompt::testing::*;
use crate::prompt::{Formatter, Prompt};

/// `\n\n<start_of_image>…<end_of_image>\n\n`; a picture of more than 10 soft tokens also in two crops.
pub(super) struct Gemma3 {
    begin: [u32; 1],
    soft: u32,
    end: u32,
}

impl Gemma3 {
    pub(super) fn new(f: &Formatter) -> Self {
        let id = |s: &str| f.token_id(s).unwrap();
        Self { begin: [id("<start_of_image>")], soft: id("<image_soft_token>"), end: id("<end_of_image>") }
    }

    fn block(&self, media: &Arc<Media>, lead: &str, count: usize) -> SoftBlock {
        SoftBlock {
            media: Arc::clone(media),
            lead: format!("{lead}\n\n"),
            before: self.begin.to_vec(),
            soft: self.soft,
            count,
            after: vec![self.end],
            tail: "\n\n".into(),
            grid: None,
            together: true,
        }
    }
}

impl MediaLayout for Gemma3 {
    fn placeholder(&self, kind: MediaKind) -> Option<&[u32]> {
        (kind == MediaKind::Image).then_some(&self.begin)
    }

    fn blocks(&self, media: &Arc<Media>) -> Result<Vec<SoftBlock>> {
        let Media::Image(image) = media.as_ref() else { unreachable!() };
        Ok(match image.width() as usize {
            width @ ..=10 => vec![self.block(media, "", width)],
            _ => vec![
                self.block(media, "Here is the original image ", 3),
                self.block(media, " and here are some crops ", 1),
                self.block(media, " ", 2),
            ],
        })
    }
}

/// A block as the processor writes it.
fn g3(count: usize) -> String {
    format!("\n\n<start_of_image>{}<end_of_image>\n\n", "<image_soft_token>".repeat(count))
}

/// `<|vision_start|>…<|vision_end|>`, the frames of a video after their times.
pub(super) struct Qwen {
    image: [u32; 3],
    video: [u32; 3],
}

impl Qwen {
    pub(super) fn new(f: &Formatter) -> Self {
        let id = |s: &str| f.token_id(s).unwrap();
        let around = |pad| [id("<|vision_start|>"), id(pad), id("<|vision_end|>")];
        Self { image: around("<|image_pad|>"), video: around("<|video_pad|>") }
    }
}

impl MediaLayout for Qwen {
    fn placeholder(&self, kind: MediaKind) -> Option<&[u32]> {
        match kind {
            MediaKind::Image => Some(&self.image),
            MediaKind::Video => Some(&self.video),
            MediaKind::Audio => None,
        }
    }

    fn blocks(&self, media: &Arc<Media>) -> Result<Vec<SoftBlock>> {
        let block =
            |media: Arc<Media>, [start, soft, end]: [u32; 3], lead: String, columns: usize| SoftBlock {
                media,
                lead,
                before: vec![start],
                soft,
                count: columns,
                after: vec![end],
                tail: String::new(),
                grid: Some(Grid { rows: 1, columns }),
                together: false,
            };
        Ok(match media.as_ref() {
            Media::Image(image) => {
                vec![block(Arc::clone(media), self.image, String::new(), image.width() as usize)]
            }
            Media::Video(video) => {
                let frames = video.frames().iter().map(|frame| {
                    let lead = format!("<{:.1} seconds>", frame.seconds);
                    let media = Arc::new(Media::Image(frame.image.clone()));
                    block(media, self.video, lead, frame.image.width() as usize)
                });
                frames.collect()
            }
            Media::Audio(_) => unreachable!(),
        })
    }
}

fn qi(count: usize) -> String {
    format!("<|vision_start|>{}<|vision_end|>", "<|image_pad|>".repeat(count))
}

fn qf(seconds: &str, count: usize) -> String {
    format!("<{seconds} seconds><|vision_start|>{}<|vision_end|>", "<|video_pad|>".repeat(count))
}

pub(super) fn qwen_vl_template() -> String {
    QWEN_TEMPLATE.replace(
        "{%- elif 'text' in part %}",
        "{%- elif part.type == 'video' %}{{- '<|vision_start|><|video_pad|><|vision_end|>' }}{%- elif 'text' in part %}",
    )
}

#[track_caller]
fn is_placed(f: &Formatter, layout: &dyn MediaLayout, prompt: &Prompt, expected: &str) -> Placed {
    let placed = f.place(prompt, layout).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(shown(f, &placed.ids), expected);
    assert_eq!(placed.ids, f.encode(expected, true).unwrap(), "{expected:?}");
    for medium in &placed.media {
        let ids = &placed.ids[medium.tokens.clone()];
        assert!(ids.iter().all(|id| *id == ids[0]) && placed.ids[medium.tokens.end] != ids[0]);
    }
    placed
}

#[track_caller]
fn refusal(f: &Formatter, layout: &dyn MediaLayout, prompt: &Prompt) -> Error {
    f.place(prompt, layout).expect_err("an error")
}

#[test]
fn gemma3s_blank_lines_join_the_text_and_each_other() {
    let f = gemma3_with(Some(GEMMA3_TEMPLATE));
    let layout = Gemma3::new(&f);
    let p = prompt([
        ("system", vec![text("Be brief.")]),
        ("user", vec![image(2), image(1), text("\nsame?")]),
        ("assistant", vec![text("No.")]),
        ("user", vec![text("and"), image(3)]),
    ]);
    let expected = format!(
        "<bos><start_of_turn>user\nBe brief.\n\n{}{}same?<end_of_turn>\n<start_of_turn>model\nNo.<end_of_turn>\n\
        <start_of_turn>user\nand{}<end_of_turn>\n<start_of_turn>model\n",
        g3(2),
        g3(1),
        g3(3)
    );
    let placed = is_placed(&f, &layout, &p, &expected);
    assert!(placed.media.iter().all(|m| m.together && m.grid.is_none()));
    // "\n\n" of the system's text and of the image, the two images' own, are one token each.
    assert_eq!(placed.ids.iter().filter(|id| **id == f.token_id("\n\n\n\n").unwrap()).count(), 2);
}

#[test]
fn gemma3s_crops_stand_in_their_sentence() {
    let f = gemma3_with(Some(GEMMA3_TEMPLATE));
    let sentence =
        format!("Here is the original image {} and here are some crops {} {}", g3(3), g3(1), g3(2));
    let p = prompt([("user", vec![text("a"), image(20), text("b")])]);
    let expected = format!("<bos><start_of_turn>user\na{sentence}b<end_of_turn>\n<start_of_turn>model\n");
    let placed = is_placed(&f, &Gemma3::new(&f), &p, &expected);
    assert_eq!(placed.media.iter().map(|m| m.tokens.len()).collect::<Vec<_>>(), [3, 1, 2]);
}

#[test]
fn a_strict_template_sees_no_more_messages_than_there_are() {
    let f = gemma3_with(Some(&GEMMA3_TEMPLATE.replace("'<start_of_image>'", "''")));
    let layout = Gemma3::new(&f);
    let p = prompt([
        ("user", vec![image(1)]),
        ("assistant", vec![text("what?")]),
        ("user", vec![text("this"), image(2)]),
    ]);
    let expected = format!(
        "<bos><start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\nwhat?<end_of_turn>\n\
        <start_of_turn>user\n{}this<end_of_turn>\n<start_of_turn>model\n",
        g3(1),
        g3(2)
    );
    is_placed(&f, &layout, &p, &expected);
    let p = prompt([("user", vec![text("a"), image(1)]), ("user", vec![text("b")])]);
    assert!(refusal(&f, &layout, &p).message().contains("must alternate"));
}

#[test]
fn a_systems_image_that_the_template_drops_opens_the_turn_that_has_its_text() {
    let f = gemma3_with(Some(GEMMA3_TEMPLATE));
    let p = prompt([("system", vec![text("style:"), image(1)]), ("user", vec![image(2), text("draw")])]);
    let expected = format!(
        "<bos><start_of_turn>user\n{}style:\n\n{}draw<end_of_turn>\n<start_of_turn>model\n",
        g3(1),
        g3(2)
    );
    is_placed(&f, &Gemma3::new(&f), &p, &expected);
}

#[test]
fn qwens_three_tokens_are_one_placeholder() {
    let f = qwen_with(Some(&qwen_vl_template()));
    let layout = Qwen::new(&f);
    let p = prompt([
        ("user", vec![image(3), video(&[(2, 0.5), (1, 1.5)]), text("a "), image(1), image(2)]),
        ("assistant", vec![text("yes")]),
        ("user", vec![text("the"), video(&[(1, 0.0)])]),
    ]);
    let expected = format!(
        "<|im_start|>user\n{}{}{}a {}{}<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n\
        <|im_start|>user\nthe{}<|im_end|>\n<|im_start|>assistant\n",
        qi(3),
        qf("0.5", 2),
        qf("1.5", 1),
        qi(1),
        qi(2),
        qf("0.0", 1)
    );
    let placed = is_placed(&f, &layout, &p, &expected);
    let columns = |m: &PlacedMedia| m.grid.map(|grid| grid.columns);
    assert_eq!(placed.media.iter().map(columns).collect::<Option<Vec<_>>>().unwrap(), [3, 2, 1, 1, 2, 1]);
    assert!(placed.media.iter().all(|m| !m.together));
}

#[test]
fn a_text_only_template_gets_whole_blocks_at_the_turns_opener() {
    let text_only = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}\
        {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    let f = qwen_with(Some(text_only));
    let p = prompt([
        ("system", vec![text("s")]),
        ("user", vec![text("one"), image(2)]),
        ("assistant", vec![text("ok")]),
        ("user", vec![video(&[(1, 0.5)]), text("two"), image(1)]),
    ]);
    let expected = format!(
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\n{}one<|im_end|>\n<|im_start|>assistant\nok<|im_end|>\n\
        <|im_start|>user\n{}{}two<|im_end|>\n<|im_start|>assistant\n",
        qi(2),
        qf("0.5", 1),
        qi(1)
    );
    is_placed(&f, &Qwen::new(&f), &p, &expected);
}

#[test]
fn a_soft_token_outside_of_a_whole_placeholder_is_an_error() {
    let halved = QWEN_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<|image_pad|>");
    let f = qwen_with(Some(&halved));
    let p = prompt([("user", vec![image(1), text("x")])]);
    let e = refusal(&f, &Qwen::new(&f), &p);
    assert!(e.message().contains("<|image_pad|> outside"), "{e}");
    assert_eq!((&e.details()["message_index"], &e.details()["part_index"]), (&0.into(), &0.into()));
}

#[test]
fn spellings_that_are_typed_make_no_placeholder() {
    let f = qwen_with(Some(&qwen_vl_template()));
    let typed = "<|vision_start|><|image_pad|><|vision_end|>";
    let p = prompt([
        ("user", vec![text(typed), image(1)]),
        ("assistant", vec![text(typed)]),
        ("user", vec![text("<|vision_start|>"), image(2)]),
    ]);
    let placed = f.place(&p, &Qwen::new(&f)).unwrap_or_else(|e| panic!("{e}"));
    let pad = f.token_id("<|image_pad|>").unwrap();
    let count = |spelling| placed.ids.iter().filter(|id| **id == f.token_id(spelling).unwrap()).count();
    assert_eq!((count("<|image_pad|>"), count("<|vision_start|>"), count("<|vision_end|>")), (3, 2, 2));
    assert!(placed.media.iter().all(|m| placed.ids[m.tokens.start] == pad));
}

#[test]
fn raw_ids_take_media_at_whole_placeholders_only() {
    let f = qwen_with(None);
    let layout = Qwen::new(&f);
    let raw =
        |ids: &str, parts| Prompt { tokens: Some(f.encode(ids, true).unwrap()), ..prompt([("user", parts)]) };
    let both = "a<|vision_start|><|video_pad|><|vision_end|>b<|vision_start|><|image_pad|><|vision_end|>c";
    let p = raw(both, vec![image(2), video(&[(1, 0.5), (2, 1.0)])]);
    is_placed(&f, &layout, &p, &format!("a{}{}b{}c", qf("0.5", 1), qf("1.0", 2), qi(2)));
    let e = refusal(&f, &layout, &raw("<|im_start|>a<|image_pad|>", vec![image(2)]));
    assert!(e.message().contains("0 image placeholders (ids "), "{e}");
    let e = refusal(&f, &layout, &raw("a<|image_pad|>", vec![image(2)]));
    assert!(e.message().contains("<|image_pad|> outside"), "{e}");
    is_placed(&f, &layout, &raw("ab", vec![image(2)]), &format!("{}ab", qi(2)));
}

#[test]
fn raw_ids_keep_their_own_and_adjacent_blocks_join() {
    let f = gemma3_with(None);
    let layout = Gemma3::new(&f);
    let raw = f.encode("<bos>a\n<start_of_image><start_of_image>b", true).unwrap();
    let p = Prompt { tokens: Some(raw), ..prompt([("user", vec![image(1), image(2)])]) };
    let placed = f.place(&p, &layout).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(shown(&f, &placed.ids), format!("<bos>a\n{}{}b", g3(1), g3(2)));
    let count = |spelling| placed.ids.iter().filter(|id| **id == f.token_id(spelling).unwrap()).count();
    assert_eq!((count("\n"), count("\n\n"), count("\n\n\n\n")), (1, 2, 1));
}

#[test]
fn without_a_template_blocks_join_the_text_after_the_bos() {
    let f = gemma3_with(None);
    let p = prompt([("user", vec![text("\na"), image(1), text("b"), image(2)])]);
    is_placed(&f, &Gemma3::new(&f), &p, &format!("<bos>{}{}\nab", g3(1), g3(2)));
    let e = refusal(&f, &Gemma3::new(&f), &prompt([("user", vec![audio()])]));
    assert_eq!(e.code(), crate::error::Code::Unsupported);
}
