//! What a snapshot says of its tokenizer and how it writes a conversation: read, compiled, and run once.

use std::fs;
use std::sync::{LazyLock, Mutex, PoisonError};

use arbitrary::Unstructured;
use rmlx::prompt::{Formatter, Message, Part, Prompt, ToolCall};
use serde_json::json;

use super::edits::file;
use super::folder::Folder;
use super::sound;

static FOLDERS: LazyLock<Mutex<Vec<Folder>>> =
    LazyLock::new(|| Mutex::new(["unified-mixed-affine", "qwen3vl-mixed"].map(Folder::of).into()));

/// Pieces that make programs, some of them hungry for time or memory.
const PIECES: [&str; 30] = [
    "{{ messages }}",
    "{{ messages[0].content }}",
    "{% for m in messages %}",
    "{% endfor %}",
    "{% if tools %}",
    "{% else %}",
    "{% endif %}",
    "{{ m.role }}{{ m.content | trim }}",
    "{% set x = 'ab' %}",
    "{% set x = x + x %}",
    "{% set x = x ~ x %}",
    "{% set ns = namespace(a=[]) %}",
    "{% set ns.a = ns.a + [ns.a] %}",
    "{% for i in range(999) %}",
    "{{ x * 99999 }}",
    "{{ 'a'.rjust(99999) }}",
    "{{ '%99999d' | format(1) }}",
    "{{ x | replace('a', x) }}",
    "{% macro f(a) %}{{ f(a) }}{% endmacro %}",
    "{{ f(1) }}",
    "{{ tools | tojson(indent=9) }}",
    "{{ raise_exception('no') }}",
    "{{ strftime_now('%Y') }}",
    "{{ bos_token }}",
    "{{ messages | map(attribute='content') | list }}",
    "{{ x.split('a') | join(x) }}",
    "{% generation %}",
    "{% set a = messages[::-1] %}",
    "{{ (1).__class__ }}",
    "{{- x[999999999999] -}}",
];

pub fn templates(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(at) = input.choose_index(folders.len()) else { return };
    let _ = try_folder(&folders[at], &mut input);
}

fn try_folder(folder: &Folder, input: &mut Unstructured) -> arbitrary::Result<()> {
    let (name, template) = ("tokenizer_config.json", "chat_template.jinja");
    let (config, source) = (folder.json(name), fs::read(folder.path().join(template)).expect("a template"));
    if input.ratio(1, 3)? {
        folder.write(name, &file(&config, input)?);
    }
    let given = match input.ratio(1, 2)? {
        true => program(input)?,
        false => damaged(&source, input)?,
    };
    folder.write(template, &given);
    if let Some(formatter) = sound(Formatter::load(folder.path(), None)) {
        for prompt in [plain(), with_tools()] {
            if let Some(text) = sound(formatter.render(&prompt, true)) {
                assert!(text.len() <= 256 << 20, "{} bytes", text.len());
            }
        }
    }
    folder.write(name, config.to_string().as_bytes());
    folder.write(template, &source);
    Ok(())
}

/// Pieces in a row.
fn program(input: &mut Unstructured) -> arbitrary::Result<Vec<u8>> {
    let mut made = String::new();
    for _ in 0..input.int_in_range(1..=16)? {
        made.push_str(PIECES[input.choose_index(PIECES.len())?]);
    }
    Ok(made.into_bytes())
}

/// The snapshot's own template, with something else in one place.
fn damaged(source: &[u8], input: &mut Unstructured) -> arbitrary::Result<Vec<u8>> {
    let mut damaged = source.to_vec();
    for _ in 0..input.int_in_range(1..=3)? {
        let at = input.int_in_range(0..=damaged.len())?;
        let end = input.int_in_range(at..=damaged.len().min(at + 40))?;
        let put = match input.ratio(1, 2)? {
            true => PIECES[input.choose_index(PIECES.len())?].as_bytes(),
            false => {
                let length = input.int_in_range(0..=8)?.min(input.len());
                input.bytes(length)?
            }
        };
        damaged.splice(at..end, put.iter().copied());
    }
    Ok(damaged)
}

fn plain() -> Prompt {
    Prompt {
        messages: vec![Message::text("system", "Be brief."), Message::text("user", "ab")],
        ..Prompt::default()
    }
}

fn with_tools() -> Prompt {
    let call = ToolCall { id: None, name: "f".to_owned(), arguments: Default::default() };
    let asked = Message { tool_calls: vec![call], ..Message::text("assistant", "") };
    let result =
        Message { name: Some("f".to_owned()), ..Message::new("tool", vec![Part::Json(json!({"a": [1]}))]) };
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    Prompt {
        messages: vec![Message::text("user", "ab"), asked, result],
        tools: Some(tools),
        ..Prompt::default()
    }
}
