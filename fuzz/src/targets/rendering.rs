//! Conversations of any shape through the families' own templates, and to their places in the prompt.

use std::sync::{Arc, LazyLock};

use arbitrary::Unstructured;
use rmlx::prompt::{Formatter, MediaLayout, SoftBlock};
use rmlx::{Error, Media, MediaKind, Message, Part, Prompt, ToolCall};
use serde_json::{Map, Value, json};

use super::edits::{scalar, text};
use super::{fixture, sound};

static FORMATTERS: LazyLock<Vec<Formatter>> = LazyLock::new(|| {
    ["unified-bf16-mlx", "qwen3vl-mixed", "gemma3-mixed"]
        .map(|name| Formatter::load(&fixture(name), None).expect("a formatter"))
        .into()
});

/// A model without pictures and sounds.
struct TextOnly;

impl MediaLayout for TextOnly {
    fn placeholder(&self, _: MediaKind) -> Option<&[u32]> {
        None
    }

    fn blocks(&self, _: &Arc<Media>) -> rmlx::Result<Vec<SoftBlock>> {
        Err(Error::new(rmlx::Code::Unsupported, "no media"))
    }
}

pub fn rendering(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(at) = input.choose_index(FORMATTERS.len()) else { return };
    let Ok(prompt) = prompt(&mut input) else { return };
    let rendered = sound(FORMATTERS[at].render(&prompt, true));
    if let Some(placed) = sound(FORMATTERS[at].place(&prompt, &TextOnly)) {
        assert!(rendered.is_some(), "what has its place can be rendered: {prompt:?}");
        // Blanks at the borders are the template's to take away; what stands between them is not.
        let shown = FORMATTERS[at].decode(&placed.ids, false).expect("ids of the tokenizer");
        for message in prompt.messages.iter().filter(|message| message.role == "user") {
            for part in &message.parts {
                // A tokenizer may bring letters and their accents together.
                if let Part::Text(typed) = part
                    && typed.is_ascii()
                {
                    assert!(
                        placed.lost.iter().any(|_| true) || shown.contains(typed.trim_matches(is_blank)),
                        "{typed:?}: {shown:?}"
                    );
                }
            }
        }
    }
    let spelled = String::from_utf8_lossy(data);
    sound(Prompt::from_json(&spelled, &[]));
    sound(Prompt::from_json(&conversation(&prompt).to_string(), &[]));
}

/// What Python's `strip` takes away, and so templates do.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn prompt(input: &mut Unstructured) -> arbitrary::Result<Prompt> {
    let mut messages = Vec::new();
    for _ in 0..input.int_in_range(1..=6)? {
        messages.push(message(input)?);
    }
    let tools = match input.int_in_range(0..=3)? {
        0 => Some(
            json!([{ "type": "function", "function": { "name": text(input)?, "parameters": scalar(input)? } }]),
        ),
        1 => Some(json!([scalar(input)?])),
        _ => None,
    };
    let mut template_vars = Map::new();
    // An input that has ended says yes to everything.
    for _ in 0..input.int_in_range(0..=2)? {
        let names = ["enable_thinking", "add_generation_prompt", "bos_token", "x"];
        template_vars.insert(names[input.choose_index(names.len())?].to_owned(), scalar(input)?);
    }
    let continue_final_message = input.ratio(1, 8)?;
    Ok(Prompt { messages, tools, template_vars, continue_final_message, tokens: None })
}

fn message(input: &mut Unstructured) -> arbitrary::Result<Message> {
    let roles = ["user", "user", "user", "assistant", "assistant", "system", "tool", "developer", ""];
    let role = roles[input.choose_index(roles.len())?];
    let mut parts = Vec::new();
    for _ in 0..input.int_in_range(0..=3)? {
        parts.push(match role == "tool" && input.ratio(1, 2)? {
            true => Part::Json(scalar(input)?),
            false => Part::Text(typed(input)?),
        });
    }
    let mut message = Message::new(role, parts);
    if input.ratio(1, 4)? {
        message.reasoning = Some(typed(input)?);
    }
    for _ in 0..input.int_in_range(0..=2)? {
        let arguments = Map::from_iter([(text(input)?, scalar(input)?)]);
        message.tool_calls.push(ToolCall { id: Some(text(input)?), name: text(input)?, arguments });
    }
    if role == "tool" {
        (message.tool_call_id, message.name) = (Some(text(input)?), Some(text(input)?));
    }
    Ok(message)
}

/// What somebody writes, spellings that mean something to the template included.
fn typed(input: &mut Unstructured) -> arbitrary::Result<String> {
    const PIECES: [&str; 12] = [
        "<|turn>",
        "<turn|>",
        "<|im_start|>",
        "<|im_end|>\n",
        "<start_of_turn>",
        "<think>",
        "</think>",
        "<|channel>",
        "<tool_call>",
        "<|image|>",
        " ",
        "word",
    ];
    let mut made = String::new();
    for _ in 0..input.int_in_range(0..=5)? {
        match input.ratio(1, 2)? {
            true => made.push_str(PIECES[input.choose_index(PIECES.len())?]),
            false => made.push_str(&text(input)?),
        }
    }
    Ok(made)
}

/// The same in OpenAI's shape.
fn conversation(prompt: &Prompt) -> Value {
    let message = |message: &Message| {
        let texts: String = message
            .parts
            .iter()
            .filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None })
            .collect();
        json!({ "role": message.role, "content": texts, "reasoning_content": message.reasoning, "name": message.name })
    };
    json!({ "messages": prompt.messages.iter().map(message).collect::<Vec<_>>(), "tools": prompt.tools })
}
