//! Small snapshots for the tests: a SentencePiece-like and a byte-level tokenizer, templates in the structure of the
//! published ones, and media layouts.

use std::sync::Arc;

use serde_json::{Value, json};

pub use super::template::RENDERS;
use super::*;
use crate::error::Result;
use crate::media::{Audio, Image, Media, MediaKind, PixelDesc, PixelFormat, Video, VideoFrame};

/// Special tokens of the Gemma-like tokenizer, ids from 0.
pub const GEMMA_SPECIALS: [&str; 15] = [
    "<pad>",
    "<eos>",
    "<bos>",
    "<unk>",
    "<|turn>",
    "<turn|>",
    "<|channel>",
    "<channel|>",
    "<|image>",
    "<|image|>",
    "<image|>",
    "<|audio>",
    "<|audio|>",
    "<audio|>",
    "<|video|>",
];

/// Merges as lists of results; every prefix pair of a word is merged from the left.
const GEMMA_WORDS: [&str; 6] = ["user", "model", "▁the", "▁a", "\n\n\n\n\n", "<table>"];

/// BPE over characters with byte fallback, spaces as `▁`, no added prefix.
pub fn gemma_tokenizer() -> Value {
    let mut vocab: Vec<String> = GEMMA_SPECIALS.map(String::from).to_vec();
    vocab.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    vocab.extend((' '..='~').map(String::from).filter(|c| c != " "));
    vocab.extend(["▁", "\n", "é", "ü"].map(String::from));
    let mut merges = Vec::new();
    for word in GEMMA_WORDS {
        let chars: Vec<String> = word.chars().map(String::from).collect();
        for end in 2..=chars.len() {
            let pair = json!([chars[..end - 1].concat(), chars[end - 1]]);
            if !merges.contains(&pair) {
                merges.push(pair);
                vocab.push(chars[..end].concat());
            }
        }
    }
    let id = |s: &str| vocab.iter().position(|v| v == s).unwrap();
    let mut added: Vec<Value> = GEMMA_SPECIALS.iter().map(|s| added_token(id(s), s, true)).collect();
    added.push(added_token(id("<table>"), "<table>", false));
    added.extend(["\n\n", "\n\n\n", "\n\n\n\n", "\n\n\n\n\n"].map(|s| added_token(id(s), s, false)));
    let vocab: serde_json::Map<String, Value> =
        vocab.iter().enumerate().map(|(id, s)| (s.clone(), json!(id))).collect();
    json!({
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": null, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false},
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocab, "merges": merges},
    })
}

pub const QWEN_SPECIALS: [&str; 7] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
];
/// Added behind the vocabulary, but not special.
pub const QWEN_MARKUP: [&str; 4] = ["<tool_call>", "</tool_call>", "<think>", "</think>"];

/// Byte-level BPE with NFC, as Qwen's.
pub fn qwen_tokenizer() -> Value {
    let itself = |b: &u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut alphabet: Vec<String> = (0..=255u8).filter(itself).map(|b| char::from(b).to_string()).collect();
    alphabet.extend(('\u{100}'..).take(68).map(String::from));
    let mut vocab = alphabet;
    let mut merges = Vec::new();
    for word in ["user", "Ġthe", "âĢ", "ðŁ", "ĊĊ"] {
        let chars: Vec<String> = word.chars().map(String::from).collect();
        for end in 2..=chars.len() {
            merges.push(json!([chars[..end - 1].concat(), chars[end - 1]]));
            vocab.push(chars[..end].concat());
        }
    }
    let vocab_len = vocab.len();
    let special = QWEN_SPECIALS.iter().map(|s| (s, true)).chain(QWEN_MARKUP.iter().map(|s| (s, false)));
    let added: Vec<Value> =
        special.enumerate().map(|(i, (s, flag))| added_token(vocab_len + i, s, flag)).collect();
    let vocab: serde_json::Map<String, Value> =
        vocab.iter().enumerate().map(|(id, s)| (s.clone(), json!(id))).collect();
    let split = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}]},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges},
    })
}

fn added_token(id: usize, content: &str, special: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": special})
}

/// In the structure of Gemma 4's.
pub const GEMMA_TEMPLATE: &str = r#"
{%- macro clean(text) -%}
    {%- set ns = namespace(out='') -%}
    {%- for part in text.split('<channel|>') -%}
        {%- set ns.out = ns.out + part.split('<|channel>')[0] -%}
    {%- endfor -%}
    {{- ns.out | trim -}}
{%- endmacro -%}
{{- bos_token -}}
{%- for message in messages -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{- '<|turn>' + role + '\n' -}}
    {%- if message['content'] is string -%}
        {{- clean(message['content']) if role == 'model' else message['content'] | trim -}}
    {%- else -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'text' -%}
                {{- clean(item['text']) if role == 'model' else item['text'] | trim -}}
            {%- elif item['type'] in ['image', 'audio', 'video'] -%}
                {{- '<|' + item['type'] + '|>' -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- '<turn|>\n' -}}
{%- endfor -%}
{%- if tools -%}{{- tools | tojson -}}{%- endif -%}
{%- if add_generation_prompt -%}{{- '<|turn>model\n' -}}{%- endif -%}
"#;

/// As the above, for a text-only model: strings, and no placeholders.
pub const GEMMA_TEXT_TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}{{ '<|turn>' + \
    ('model' if m.role == 'assistant' else m.role) + '\n' + (m.content | trim) + '<turn|>\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|turn>model\n' }}{% endif %}";

/// In the structure of Qwen3-VL's, with the reasoning cut out of the history.
pub const QWEN_TEMPLATE: &str = r#"
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' }}
    {%- if message.content is string %}
        {%- set content = message.content %}
        {%- if message.role == 'assistant' and '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- content }}
    {%- else %}
        {%- for part in message.content %}
            {%- if part.type == 'image' or 'image' in part %}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' }}
            {%- elif 'text' in part %}
                {{- part.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"#;

/// In the structure of Gemma 3's: roles must alternate, the system's text goes into the user's turn.
pub const GEMMA3_TEMPLATE: &str = r#"
{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {%- if messages[0].content is string %}
        {%- set prefix = messages[0].content + '\n\n' %}
    {%- else %}
        {%- set prefix = messages[0].content[0].text + '\n\n' %}
    {%- endif %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set prefix = '' %}
    {%- set turns = messages %}
{%- endif %}
{%- for message in turns %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}
    {{- prefix if loop.first else '' }}
    {%- if message.content is string %}
        {{- message.content | trim }}
    {%- elif message.content is iterable %}
        {%- for item in message.content %}
            {%- if item.type == 'image' %}
                {{- '<start_of_image>' }}
            {%- elif item.type == 'text' %}
                {{- item.text | trim }}
            {%- endif %}
        {%- endfor %}
    {%- else %}
        {{- raise_exception('Invalid content type') }}
    {%- endif %}
    {{- '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<start_of_turn>model\n' }}
{%- endif %}
"#;

/// The Gemma-like tokenizer with Gemma 3's spellings.
pub fn gemma3_with(template: Option<&str>) -> Formatter {
    let mut tokenizer = gemma_tokenizer().to_string();
    for (from, to) in [
        ("<turn|>", "<end_of_turn>"),
        ("<|turn>", "<start_of_turn>"),
        ("<|image|>", "<image_soft_token>"),
        ("<image|>", "<end_of_image>"),
        ("<|image>", "<start_of_image>"),
    ] {
        tokenizer = tokenizer.replace(from, to);
    }
    let config = json!({"bos_token": "<bos>", "eos_token": "<eos>"});
    load(&serde_json::from_str(&tokenizer).unwrap(), config, template).unwrap()
}

/// A formatter over files written to a temporary folder.
pub fn load(tokenizer: &Value, config: Value, template: Option<&str>) -> Result<Formatter> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    if let Some(template) = template {
        std::fs::write(dir.path().join("chat_template.jinja"), template).unwrap();
    }
    Formatter::load(dir.path(), None)
}

pub fn gemma_with(template: Option<&str>) -> Formatter {
    load(&gemma_tokenizer(), json!({"bos_token": "<bos>", "eos_token": "<eos>"}), template).unwrap()
}

pub fn gemma() -> Formatter {
    gemma_with(Some(GEMMA_TEMPLATE))
}

pub fn qwen() -> Formatter {
    qwen_with(Some(QWEN_TEMPLATE))
}

pub fn qwen_with(template: Option<&str>) -> Formatter {
    let config = json!({"bos_token": null, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"});
    load(&qwen_tokenizer(), config, template).unwrap()
}

/// An image of this width; the test layouts give it as many soft tokens.
pub fn image(width: u32) -> Part {
    let desc = PixelDesc { width, height: 1, row_stride: 3 * width as usize, format: PixelFormat::Rgb8 };
    let pixels = vec![7; 3 * width as usize];
    Part::Media(Arc::new(Media::Image(Image::from_pixels(&desc, &pixels).unwrap())))
}

/// A video of frames of these widths, at these times.
pub fn video(frames: &[(u32, f64)]) -> Part {
    let frame = |&(width, seconds): &(u32, f64)| match image(width) {
        Part::Media(media) => match media.as_ref() {
            Media::Image(image) => VideoFrame { image: image.clone(), seconds },
            _ => unreachable!(),
        },
        Part::Text(_) | Part::Json(_) => unreachable!(),
    };
    Part::Media(Arc::new(Media::Video(Video::from_frames(frames.iter().map(frame).collect()).unwrap())))
}

/// A sound that the test layouts give three soft tokens.
pub fn audio() -> Part {
    Part::Media(Arc::new(Media::Audio(Audio::from_pcm_f32(&[0.5; 1600], 1, 16_000).unwrap())))
}

pub fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

/// A prompt of (role, parts).
pub fn prompt<const N: usize>(messages: [(&str, Vec<Part>); N]) -> Prompt {
    let messages = messages.into_iter().map(|(role, parts)| Message::new(role, parts)).collect();
    Prompt { messages, ..Prompt::default() }
}

/// begin, soft, end as single tokens, or whatever else `before` and `after` hold.
pub struct Layout {
    pub image: Option<(Vec<u32>, u32, Vec<u32>)>,
    /// Where it is not the soft token.
    pub image_placeholder: Option<u32>,
    pub audio: Option<(Vec<u32>, u32, Vec<u32>)>,
    pub video: Option<u32>,
}

impl Layout {
    pub fn gemma(formatter: &Formatter) -> Self {
        let id = |s: &str| formatter.token_id(s).unwrap();
        Self {
            image: Some((vec![id("<|image>")], id("<|image|>"), vec![id("<image|>")])),
            image_placeholder: None,
            audio: Some((vec![id("<|audio>")], id("<|audio|>"), vec![id("<audio|>")])),
            video: Some(id("<|video|>")),
        }
    }

    pub fn qwen(formatter: &Formatter) -> Self {
        let pad = formatter.token_id("<|image_pad|>").unwrap();
        Self { image: Some((vec![], pad, vec![])), image_placeholder: None, audio: None, video: None }
    }
}

impl MediaLayout for Layout {
    fn placeholder(&self, kind: MediaKind) -> Option<&[u32]> {
        let id = match kind {
            MediaKind::Image => {
                self.image_placeholder.as_ref().or(self.image.as_ref().map(|(_, soft, _)| soft))
            }
            MediaKind::Audio => self.audio.as_ref().map(|(_, soft, _)| soft),
            MediaKind::Video => self.video.as_ref(),
        };
        id.map(std::slice::from_ref)
    }

    fn blocks(&self, media: &Arc<Media>) -> Result<Vec<SoftBlock>> {
        let one = |media: &Arc<Media>, block: &Option<(Vec<u32>, u32, Vec<u32>)>, count| {
            let (before, soft, after) = block.clone().unwrap();
            let (lead, tail) = (String::new(), String::new());
            let media = Arc::clone(media);
            SoftBlock { media, lead, before, soft, count, after, tail, grid: None, together: false }
        };
        Ok(match media.as_ref() {
            Media::Image(image) => vec![one(media, &self.image, image.width() as usize)],
            Media::Audio(_) => vec![one(media, &self.audio, 3)],
            Media::Video(video) => {
                let frame = |(i, frame): (usize, &VideoFrame)| {
                    let image = Arc::new(Media::Image(frame.image.clone()));
                    let mut block = one(&image, &self.image, frame.image.width() as usize);
                    block.soft = self.video.unwrap();
                    block.lead = format!("{}00:0{} ", if i == 0 { "" } else { " " }, frame.seconds);
                    block
                };
                video.frames().iter().enumerate().map(frame).collect()
            }
        })
    }
}

/// A model that takes text only.
pub struct NoMedia;

impl MediaLayout for NoMedia {
    fn placeholder(&self, _: MediaKind) -> Option<&[u32]> {
        None
    }

    fn blocks(&self, _: &Arc<Media>) -> Result<Vec<SoftBlock>> {
        unreachable!()
    }
}

/// Every id as its token, one after the other: what the model is shown, for assertions.
pub fn shown(formatter: &Formatter, ids: &[u32]) -> String {
    let token = |id: &u32| formatter.token_text(*id).unwrap();
    ids.iter().map(token).collect::<String>().replace('▁', " ").replace('Ċ', "\n").replace('Ġ', " ")
}
