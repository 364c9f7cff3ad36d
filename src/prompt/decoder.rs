//! Token ids back to text, one at a time and always in whole characters.
//!
//! The decoders of the published tokenizers map every token to bytes by itself: byte-level ones through GPT-2's
//! table, SentencePiece-like ones by `▁` → space and `<0x..>` → byte. So text is the tokens' bytes read as UTF-8,
//! the same for a stream and for a whole list, and one token costs what its own bytes cost. Broken UTF-8 becomes
//! U+FFFD as in `String::from_utf8_lossy` (Hugging Face's ByteFallback writes one per byte of the whole run instead,
//! which a stream cannot know in time). Any other decoder goes through a short window of tokens.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokenizers::Tokenizer;

use super::tokenizer::tokenizer_error;
use crate::error::Result;

/// Tokens that an unfinished character may be spread over, in the windowed way.
const LONGEST_HELD: usize = 16;

/// How a token becomes bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Decoding {
    /// GPT-2's byte alphabet.
    ByteLevel,
    /// Replacements in each token's text, bytes for `<0x..>`, and characters stripped from the very start.
    Pieces { replace: Vec<(String, String)>, byte_fallback: bool, strip: Option<(char, usize)> },
    /// As pieces, but the replaced characters of the first token vanish (SentencePiece's added prefix).
    Metaspace { replacement: char, prefix: bool },
    /// Known only to the tokenizer.
    Other,
}

impl Decoding {
    pub fn of(tokenizer: &Tokenizer) -> Self {
        let decoder = tokenizer.get_decoder().and_then(|d| serde_json::to_value(d).ok()).unwrap_or_default();
        Self::from_json(&decoder).unwrap_or(Decoding::Other)
    }

    fn from_json(decoder: &Value) -> Option<Self> {
        match decoder["type"].as_str()? {
            "ByteLevel" => Some(Decoding::ByteLevel),
            "Metaspace" => Some(Decoding::Metaspace {
                replacement: decoder["replacement"].as_str()?.chars().next()?,
                prefix: decoder["prepend_scheme"].as_str() != Some("never"),
            }),
            "Sequence" => match decoder["decoders"].as_array()?.as_slice() {
                [only] => Self::from_json(only),
                steps => Self::pieces(steps),
            },
            _ => Self::pieces(std::slice::from_ref(decoder)),
        }
    }

    /// Replace*, ByteFallback?, Fuse?, Strip at the start?: the order that lets each token stand alone.
    fn pieces(steps: &[Value]) -> Option<Self> {
        let (mut replace, mut byte_fallback, mut fused, mut strip) = (Vec::new(), false, false, None);
        for step in steps {
            match step["type"].as_str()? {
                "Replace" if !byte_fallback && !fused => {
                    let pattern = step["pattern"]["String"].as_str()?;
                    replace.push((pattern.to_owned(), step["content"].as_str()?.to_owned()));
                }
                "ByteFallback" if !fused => byte_fallback = true,
                "Fuse" => fused = true,
                "Strip" if fused && strip.is_none() && step["stop"].as_u64() == Some(0) => {
                    strip =
                        Some((step["content"].as_str()?.chars().next()?, step["start"].as_u64()? as usize));
                }
                _ => return None,
            }
        }
        Some(Decoding::Pieces { replace, byte_fallback, strip })
    }
}

impl Decoding {
    /// The bytes that a token writes inside of a text; `None` where only its neighbours tell.
    pub fn bytes_of(&self, token: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Decoding::ByteLevel => match token.chars().map(byte_of).collect::<Option<Vec<u8>>>() {
                Some(mapped) => bytes.extend(mapped),
                None => bytes.extend_from_slice(token.as_bytes()),
            },
            Decoding::Pieces { replace, byte_fallback, .. } => {
                if let (true, Some(byte)) = (*byte_fallback, fallback_byte(token)) {
                    return Some(vec![byte]);
                }
                let mut text = std::borrow::Cow::Borrowed(token);
                for (from, to) in replace.iter().filter(|(from, _)| !from.is_empty()) {
                    if text.contains(from.as_str()) {
                        text = text.replace(from.as_str(), to).into();
                    }
                }
                bytes.extend_from_slice(text.as_bytes());
            }
            Decoding::Metaspace { replacement, .. } => {
                bytes.extend_from_slice(token.replace(*replacement, " ").as_bytes());
            }
            Decoding::Other => return None,
        }
        Some(bytes)
    }
}

/// Streaming decoder: give it ids, get text.
pub struct TextDecoder {
    tokenizer: Arc<Tokenizer>,
    decoding: Arc<Decoding>,
    skip_special: bool,
    /// Bytes of a character that is not complete yet; at most three.
    held: Vec<u8>,
    /// Whether a token has been read, and characters still to be stripped at the start.
    started: bool,
    strip_left: usize,
    window: Window,
}

/// For decoders that need neighbours: tokens already given out, and tokens waiting.
#[derive(Default)]
struct Window {
    given: Vec<u32>,
    waiting: VecDeque<u32>,
}

impl TextDecoder {
    pub(super) fn new(tokenizer: Arc<Tokenizer>, decoding: Arc<Decoding>, skip_special: bool) -> Self {
        let strip_left = match &*decoding {
            Decoding::Pieces { strip: Some((_, count)), .. } => *count,
            _ => 0,
        };
        let window = Window::default();
        Self { tokenizer, decoding, skip_special, held: Vec::new(), started: false, strip_left, window }
    }

    /// The text that `id` completes; empty while a character is unfinished, and for ids without text.
    pub fn push(&mut self, id: u32) -> Result<String> {
        if *self.decoding == Decoding::Other {
            return self.push_windowed(id);
        }
        let added = self.tokenizer.get_added_vocabulary();
        let Some(token) = self.tokenizer.id_to_token(id) else { return Ok(String::new()) };
        if self.skip_special && added.is_special_token(&token) {
            return Ok(String::new());
        }
        let mut bytes = std::mem::take(&mut self.held);
        self.append_bytes(&token, &mut bytes);
        self.started = true;
        let text = self.take_characters(bytes);
        Ok(self.strip_start(text))
    }

    /// What is left: U+FFFD for a character that never got complete. The decoder is as new afterwards.
    pub fn finish(&mut self) -> String {
        let rest = match *self.decoding {
            Decoding::Other => self.finish_windowed(),
            _ => String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned(),
        };
        *self = Self::new(Arc::clone(&self.tokenizer), Arc::clone(&self.decoding), self.skip_special);
        rest
    }

    fn append_bytes(&self, token: &str, bytes: &mut Vec<u8>) {
        match &*self.decoding {
            Decoding::Metaspace { replacement, prefix: true } if !self.started => {
                bytes.extend_from_slice(token.replace(*replacement, "").as_bytes());
            }
            decoding => bytes.extend(decoding.bytes_of(token).unwrap_or_default()),
        }
    }

    /// Gives out the complete characters of `bytes`, and holds an unfinished last one.
    fn take_characters(&mut self, bytes: Vec<u8>) -> String {
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => return text,
            Err(e) => e.into_bytes(),
        };
        let mut text = String::new();
        let mut rest = bytes.as_slice();
        while let Some(chunk) = rest.utf8_chunks().next() {
            text.push_str(chunk.valid());
            let broken = chunk.invalid();
            let after = &rest[chunk.valid().len() + broken.len()..];
            let unfinished =
                after.is_empty() && std::str::from_utf8(broken).is_err_and(|e| e.error_len().is_none());
            if unfinished {
                self.held = broken.to_vec();
            } else if !broken.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            rest = after;
        }
        text
    }

    fn strip_start(&mut self, text: String) -> String {
        let Decoding::Pieces { strip: Some((stripped, _)), .. } = &*self.decoding else { return text };
        let mut rest = text.as_str();
        while self.strip_left > 0 && !rest.is_empty() {
            match rest.strip_prefix(*stripped) {
                Some(shorter) => (rest, self.strip_left) = (shorter, self.strip_left - 1),
                None => self.strip_left = 0,
            }
        }
        rest.to_owned()
    }

    fn push_windowed(&mut self, id: u32) -> Result<String> {
        self.window.waiting.push_back(id);
        let text = self.window_text()?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) && self.window.waiting.len() < LONGEST_HELD {
            return Ok(String::new());
        }
        if !text.is_empty() {
            self.window.given.clear();
        }
        self.window.given.extend(self.window.waiting.drain(..));
        let surplus = self.window.given.len().saturating_sub(LONGEST_HELD);
        self.window.given.drain(..surplus);
        Ok(text)
    }

    fn finish_windowed(&mut self) -> String {
        self.window_text().unwrap_or_default()
    }

    /// The text that the waiting tokens add to those given out before.
    fn window_text(&self) -> Result<String> {
        let decode = |ids: &[u32]| self.tokenizer.decode(ids, self.skip_special).map_err(tokenizer_error);
        let before = decode(&self.window.given)?;
        let all: Vec<u32> = self.window.given.iter().chain(&self.window.waiting).copied().collect();
        let mut text = decode(&all)?;
        let same =
            before.chars().zip(text.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
        Ok(text.split_off(same))
    }
}

fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// GPT-2's byte alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 and up in order.
fn byte_of(c: char) -> Option<u8> {
    static TABLE: OnceLock<Vec<(char, u8)>> = OnceLock::new();
    let itself = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if let Ok(byte) = u8::try_from(u32::from(c)) {
        return itself(byte).then_some(byte);
    }
    let table = TABLE.get_or_init(|| {
        let others = (0..=255u8).filter(|b| !itself(*b));
        ('\u{100}'..).zip(others).collect()
    });
    let index = (u32::from(c) - 0x100) as usize;
    table.get(index).map(|(_, byte)| *byte)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gemma, gemma_tokenizer, load, qwen};
    use super::super::{Formatter, TextDecoder};
    use super::*;
    use serde_json::json;

    fn pieces(decoder: &mut TextDecoder, ids: &[u32]) -> Vec<String> {
        let mut out: Vec<String> = ids.iter().map(|id| decoder.push(*id).unwrap()).collect();
        out.push(decoder.finish());
        out
    }

    fn with_decoder(decoder: Value) -> Formatter {
        let mut tokenizer = gemma_tokenizer();
        tokenizer["decoder"] = decoder;
        load(&tokenizer, json!({}), None).unwrap()
    }

    fn reference(json: &Value, ids: &[u32], skip: bool) -> String {
        Tokenizer::from_bytes(json.to_string()).unwrap().decode(ids, skip).unwrap()
    }

    #[test]
    fn characters_come_whole_and_at_their_last_token() {
        for f in [gemma(), qwen()] {
            let ids = f.encode("a🙂é", true).unwrap();
            let got = pieces(&mut f.text_decoder(), &ids);
            assert_eq!(got.concat(), "a🙂é");
            assert_eq!(got.iter().filter(|p| !p.is_empty()).collect::<Vec<_>>(), ["a", "🙂", "é"]);
        }
    }

    #[test]
    fn broken_bytes_become_one_replacement_character() {
        let f = gemma();
        let byte = |b: u8| f.token_id(&format!("<0x{b:02X}>")).unwrap();
        let cut = [byte(0xF0), byte(0x9F), byte(0x98)];
        assert_eq!(pieces(&mut f.text_decoder(), &cut), ["", "", "", "\u{FFFD}"]);
        let wrong = [byte(0xE2), byte(0x82), byte(b'x'), byte(0xFF)];
        assert_eq!(pieces(&mut f.text_decoder(), &wrong), ["", "", "\u{FFFD}x", "\u{FFFD}", ""]);
    }

    #[test]
    fn special_tokens_are_left_out_only_if_asked() {
        let f = gemma();
        let ids = f.encode("a<turn|>b", true).unwrap();
        assert_eq!(f.decode(&ids, true).unwrap(), "ab");
        assert_eq!(f.decode(&ids, false).unwrap(), "a<turn|>b");
        assert_eq!(pieces(&mut f.text_decoder_with_special(), &ids).concat(), "a<turn|>b");
        assert_eq!(f.decode(&[9_999_999], false).unwrap(), "");
    }

    #[test]
    fn pieces_add_up_to_the_whole_for_random_ids() {
        let mut seed = 7u64;
        for f in [gemma(), qwen()] {
            for round in 0..200 {
                let ids: Vec<u32> = (0..round % 40)
                    .map(|_| {
                        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        ((seed >> 33) % f.vocab_size() as u64) as u32
                    })
                    .collect();
                let mut decoder = f.text_decoder();
                assert_eq!(pieces(&mut decoder, &ids).concat(), f.decode(&ids, true).unwrap());
                assert_eq!(pieces(&mut decoder, &ids).concat(), f.decode(&ids, true).unwrap(), "used again");
            }
        }
    }

    #[test]
    fn valid_text_decodes_as_by_the_tokenizer_itself() {
        let json = gemma_tokenizer();
        let f = gemma();
        for text in ["", " the  a\n\n\n🙂 東京 é<turn|> x", "   ", "<0x41>"] {
            let ids = f.encode(text, true).unwrap();
            assert_eq!(f.decode(&ids, true).unwrap(), reference(&json, &ids, true), "{text:?}");
            assert_eq!(f.decode(&ids, false).unwrap(), reference(&json, &ids, false), "{text:?}");
        }
    }

    #[test]
    fn an_added_prefix_space_is_stripped_once_at_the_start() {
        let strip = json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
        let metaspace =
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false});
        for decoder in [strip, metaspace] {
            let f = with_decoder(decoder);
            let ids = f.encode(" the the", true).unwrap();
            assert_eq!(pieces(&mut f.text_decoder(), &ids), ["the", " the", ""]);
            assert_eq!(f.decode(&ids, false).unwrap(), "the the");
        }
    }

    #[test]
    fn decoders_that_need_neighbours_go_through_a_window() {
        let json = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
        let f = with_decoder(json.clone());
        let ids = f.encode("usermodeluser", true).unwrap();
        let got = pieces(&mut f.text_decoder(), &ids);
        assert_eq!(got, ["user", " model", " user", ""]);
        let mut tokenizer = gemma_tokenizer();
        tokenizer["decoder"] = json;
        assert_eq!(got.concat(), reference(&tokenizer, &ids, true));
    }

    #[test]
    fn the_byte_alphabet_is_gpt2s() {
        let all: Vec<u8> = (0..0x180u32).filter_map(|c| byte_of(char::from_u32(c)?)).collect();
        let distinct: std::collections::HashSet<u8> = all.iter().copied().collect();
        assert_eq!((all.len(), distinct.len()), (256, 256));
        assert_eq!(
            (byte_of('Ġ'), byte_of('Ċ'), byte_of('a'), byte_of('东')),
            (Some(b' '), Some(b'\n'), Some(b'a'), None)
        );
    }
}
