//! The tokenizers of the families, and ids back to text one at a time.

use std::sync::LazyLock;

use arbitrary::Unstructured;
use rmlx::prompt::Formatter;

use super::edits::text;
use super::{fixture, sound};

static FORMATTERS: LazyLock<Vec<Formatter>> = LazyLock::new(|| {
    ["unified-bf16-mlx", "qwen3vl-mixed", "gemma3-mixed"]
        .map(|name| Formatter::load(&fixture(name), None).expect("a formatter"))
        .into()
});

pub fn tokens(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(at) = input.choose_index(FORMATTERS.len()) else { return };
    let formatter = &FORMATTERS[at];
    let _ = match input.ratio(1, 2) {
        Ok(true) => texts(formatter, &mut input),
        _ => ids(formatter, &mut input),
    };
}

/// No token of what a user typed has a meaning of its own, and what it is as text again has the same tokens. It is the very
/// text where no tokenizer brings letters and their accents together.
fn texts(formatter: &Formatter, input: &mut Unstructured) -> arbitrary::Result<()> {
    let mut typed = String::new();
    while !input.is_empty() && typed.len() < 400 {
        typed.push_str(&text(input)?);
    }
    // What SentencePiece writes for a space comes back as one.
    let typed = typed.replace('\u{2581}', " ");
    let Some(ids) = sound(formatter.encode(&typed, false)) else { return Ok(()) };
    assert!(!ids.iter().any(|id| formatter.is_control(*id)), "{typed:?}: {ids:?}");
    let back = formatter.decode(&ids, false).expect("ids of the tokenizer");
    assert!(back == typed || !typed.is_ascii(), "{back:?} of {typed:?}");
    assert_eq!(sound(formatter.encode(&back, false)).as_ref(), Some(&ids), "{back:?} of {typed:?}");
    streamed(formatter, &ids, false);
    if let Some(ids) = sound(formatter.encode(&typed, true)) {
        streamed(formatter, &ids, true);
    }
    Ok(())
}

/// Any ids, those that are none too.
fn ids(formatter: &Formatter, input: &mut Unstructured) -> arbitrary::Result<()> {
    let mut ids = Vec::new();
    while !input.is_empty() && ids.len() < 200 {
        let most = formatter.vocab_size() as u32 + 3;
        ids.push(if input.ratio(1, 64)? { input.arbitrary()? } else { input.int_in_range(0..=most)? });
    }
    streamed(formatter, &ids, true);
    streamed(formatter, &ids, false);
    Ok(())
}

/// One at a time, ids give the text that they give together. That each piece is valid UTF-8 is its type's promise.
fn streamed(formatter: &Formatter, ids: &[u32], skip_special: bool) {
    let mut decoder =
        if skip_special { formatter.text_decoder() } else { formatter.text_decoder_with_special() };
    let mut pieces = String::new();
    for id in ids {
        let Some(piece) = sound(decoder.push(*id)) else { return };
        pieces.push_str(&piece);
    }
    pieces.push_str(&decoder.finish());
    if let Some(whole) = sound(formatter.decode(ids, skip_special)) {
        assert_eq!(pieces, whole, "{ids:?}");
    }
}
