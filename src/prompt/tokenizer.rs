//! The snapshot's tokenizer: text to ids and back, and which spellings carry structure.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokenizers::{AddedToken, Model as _, PreTokenizedString, PreTokenizer as _, Tokenizer};
use tokenizers::{NormalizedString, Normalizer as _, OffsetType, Token, normalizer::Range};

use super::decoder::{Decoding, TextDecoder};
use super::spellings::{Match, Spelled, Spellings};
use super::token_config::{self, TokenConfig};
use crate::error::{Code, Error, Result};
use crate::{files, json};

/// Which control spellings of a text are only text.
pub(super) enum Plain<'a> {
    /// Those with one of these byte offsets strictly inside them.
    Broken(&'a [usize]),
    /// All of them.
    Everything,
}

impl Plain<'_> {
    fn covers(&self, hit: &Match) -> bool {
        match self {
            Plain::Everything => true,
            Plain::Broken(at) => {
                let next = at.partition_point(|&p| p <= hit.start);
                at.get(next).is_some_and(|&p| p < hit.end)
            }
        }
    }
}

/// Text ⇄ token ids of one snapshot.
pub(super) struct TextTokenizer {
    inner: Arc<Tokenizer>,
    decoding: Arc<Decoding>,
    config: TokenConfig,
    /// Added tokens that are matched in the text as it is, and those matched after the normalizer.
    raw: Spellings,
    normalized: Spellings,
    control_ids: HashSet<u32>,
    special_ids: HashSet<u32>,
}

const FILE: &str = "tokenizer.json";

fn absent() -> Error {
    Error::new(Code::NotFound, format!("the snapshot has no {FILE}")).with("file", FILE)
}

impl TextTokenizer {
    /// Reads `tokenizer.json`, and `tokenizer_config.json` where there is one.
    ///
    /// `template` is the source of the chat templates: spellings that they write carry structure.
    pub fn load(dir: &Path, config: TokenConfig, template: &str) -> Result<Self> {
        let bytes = files::read_optional(&dir.join(FILE)).map_err(|e| e.with("file", FILE))?;
        let bytes = bytes.ok_or_else(absent)?;
        let invalid = |why: String| Error::snapshot(format!("{FILE} is not valid: {why}")).with("file", FILE);
        if json::is_deep(&bytes) {
            return Err(invalid(json::too_deep()));
        }
        let inner = Tokenizer::from_bytes(bytes).map_err(|e| invalid(e.to_string()))?;
        Self::new(inner, config, template)
    }

    /// An error if [`load`](Self::load) would not find the file itself.
    pub fn require_file(dir: &Path) -> Result<()> {
        let is_there = files::is_there(&dir.join(FILE)).map_err(|e| e.with("file", FILE))?;
        if is_there { Ok(()) } else { Err(absent()) }
    }

    pub fn new(mut inner: Tokenizer, config: TokenConfig, template: &str) -> Result<Self> {
        // The host's prompt is encoded as it is: a tokenizer.json may carry its trainer's length limits.
        inner.with_padding(None);
        let _ = inner.with_truncation(None);
        config.add_missing_tokens(&mut inner)?;
        let added = sorted_added_tokens(&inner);
        let written = markup_in(template, &added);
        let is_control = |id: u32, token: &AddedToken| {
            token.special
                || inner.get_model().id_to_token(id).is_none()
                || config.names_special(&token.content)
                || written.contains(&id)
        };
        let entries: Vec<(&AddedToken, Spelled)> =
            added.iter().map(|(id, token)| (token, spelled(*id, token, is_control(*id, token)))).collect();
        let control_ids = entries.iter().filter(|(_, s)| s.control).map(|(_, s)| s.id).collect();
        // Control spellings are looked for in the raw text whatever their flag says, where marks still have places.
        let (late, early): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(token, s)| token.normalized && !s.control);
        let raw = Spellings::new(early.into_iter().map(|(token, s)| (token.content.clone(), s)));
        let late = late.into_iter().map(|(token, s)| Ok((normalize(&inner, &token.content)?, s)));
        let normalized = Spellings::new(late.collect::<Result<Vec<_>>>()?);
        let special_ids = added.iter().filter(|(_, t)| t.special).map(|(id, _)| *id).collect();
        let decoding = Arc::new(Decoding::of(&inner));
        Ok(Self { inner: Arc::new(inner), decoding, config, raw, normalized, control_ids, special_ids })
    }

    /// Names of special tokens that templates use as variables: `bos_token`, `eos_token`, ….
    pub fn variables(&self) -> &BTreeMap<String, Value> {
        self.config.variables()
    }

    /// All added spellings; the control ones among them carry structure.
    pub fn spellings(&self) -> &Spellings {
        &self.raw
    }

    /// Ids of `text`. With `parse_special` exactly what Hugging Face's `tokenizer(text, add_special_tokens=False)`
    /// gives; without, control spellings are plain text.
    pub fn encode(&self, text: &str, parse_special: bool) -> Result<Vec<u32>> {
        let plain = |m: &Match| m.spelled.control;
        if !parse_special && !self.raw.find_all(text, plain).is_empty() {
            return self.encode_plain(text, &Plain::Everything);
        }
        let encoding = self.inner.encode_fast(text, false).map_err(tokenizer_error)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids of `text` with some control spellings taken as plain text, otherwise as [`Self::encode`].
    ///
    /// The steps are the tokenizer's own, with the added tokens found by us instead of by it.
    pub fn encode_plain(&self, text: &str, plain: &Plain) -> Result<Vec<u32>> {
        let mut pieces = PreTokenizedString::from(text);
        let accept = |m: &Match| !(m.spelled.control && plain.covers(m));
        pieces.split(|_, piece| Ok(cut(piece, &self.raw, accept))).map_err(tokenizer_error)?;
        pieces
            .split(|_, mut piece| {
                if let Some(normalizer) = self.inner.get_normalizer() {
                    normalizer.normalize(&mut piece)?;
                }
                Ok(cut(piece, &self.normalized, |_| true))
            })
            .map_err(tokenizer_error)?;
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces).map_err(tokenizer_error)?;
        }
        pieces.tokenize(|piece| self.tokenize_plain(piece.get())).map_err(tokenizer_error)?;
        let encoding = pieces.into_encoding(None, 0, OffsetType::None).map_err(tokenizer_error)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The control spellings of a text that become tokens, in order.
    pub fn control_in(&self, text: &str, plain: &Plain) -> Vec<Match<'_>> {
        let mut hits = self.raw.find_all(text, |m| !(m.spelled.control && plain.covers(m)));
        hits.retain(|hit| hit.spelled.control);
        hits
    }

    /// Bytes of the canonical BOS that a text begins with, if any.
    pub fn leading_bos(&self, text: &str) -> usize {
        let Some(bos) = self.canonical_bos() else { return 0 };
        let first = self.raw.longest_at(text, 0, |_| true);
        first.filter(|hit| hit.spelled.id == bos).map_or(0, |hit| hit.end)
    }

    /// A model may know a control spelling as one word; then the piece goes character by character.
    fn tokenize_plain(&self, piece: &str) -> tokenizers::Result<Vec<Token>> {
        let model = self.inner.get_model();
        let tokens = model.tokenize(piece)?;
        if !tokens.iter().any(|t| self.control_ids.contains(&t.id)) {
            return Ok(tokens);
        }
        let mut buffer = [0; 4];
        let single = piece.chars().map(|c| model.tokenize(c.encode_utf8(&mut buffer)));
        Ok(single.collect::<tokenizers::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        let mut decoder = self.text_decoder(skip_special);
        let mut text = String::new();
        for &id in ids {
            text.push_str(&decoder.push(id)?);
        }
        text.push_str(&decoder.finish());
        Ok(text)
    }

    pub fn text_decoder(&self, skip_special: bool) -> TextDecoder {
        TextDecoder::new(Arc::clone(&self.inner), Arc::clone(&self.decoding), skip_special)
    }

    pub fn token_id(&self, spelling: &str) -> Option<u32> {
        self.inner.token_to_id(spelling)
    }

    /// The id of a spelling that is one control token, such as a turn marker.
    pub fn control_id(&self, spelling: &str) -> Option<u32> {
        self.raw.get(spelling).filter(|s| s.control).map(|s| s.id)
    }

    pub fn is_control(&self, id: u32) -> bool {
        self.control_ids.contains(&id)
    }

    /// The token as the vocabulary spells it (`▁the`, `Ġthe`, `<0x0A>`), added tokens as they are written.
    pub fn token_text(&self, id: u32) -> Option<String> {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder().get(&id);
        added.map(|t| t.content.clone()).or_else(|| self.inner.id_to_token(id))
    }

    /// The bytes that a token adds to a text; `None` for ids that are none. `UNSUPPORTED` where only a token's
    /// neighbours tell.
    pub fn token_bytes(&self, id: u32) -> Result<Option<Vec<u8>>> {
        let Some(token) = self.inner.id_to_token(id) else { return Ok(None) };
        match self.decoding.bytes_of(&token) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(Error::unsupported("this tokenizer's decoder does not say what one token writes")),
        }
    }

    pub fn is_special(&self, id: u32) -> bool {
        self.special_ids.contains(&id)
    }

    pub fn special_ids(&self) -> impl Iterator<Item = u32> {
        self.special_ids.iter().copied()
    }

    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The first that exists of: the configured `bos_token`, `<bos>`, `<|im_start|>`, the configured `eos_token`,
    /// `<|endoftext|>`. Never an id that the tokenizer does not have.
    pub fn canonical_bos(&self) -> Option<u32> {
        let named = |name: &str| self.variables().get(name).and_then(Value::as_str);
        let order = [
            named("bos_token"),
            Some("<bos>"),
            Some("<|im_start|>"),
            named("eos_token"),
            Some("<|endoftext|>"),
        ];
        order.into_iter().flatten().find_map(|spelling| self.token_id(spelling))
    }
}

/// Added tokens in the order of their ids.
fn sorted_added_tokens(inner: &Tokenizer) -> Vec<(u32, AddedToken)> {
    let mut added: Vec<_> = inner.get_added_tokens_decoder().into_iter().collect();
    added.sort_unstable_by_key(|(id, _)| *id);
    added
}

/// The added tokens that a template writes, as far as they look like markup.
fn markup_in(template: &str, added: &[(u32, AddedToken)]) -> HashSet<u32> {
    let markup = added.iter().filter(|(_, token)| token_config::is_markup(&token.content));
    let markup = Spellings::new(markup.map(|(id, token)| (token.content.clone(), spelled(*id, token, true))));
    markup.find_all(template, |_| true).iter().map(|m| m.spelled.id).collect()
}

fn spelled(id: u32, token: &AddedToken, control: bool) -> Spelled {
    Spelled { id, control, lstrip: token.lstrip, rstrip: token.rstrip, single_word: token.single_word }
}

fn normalize(inner: &Tokenizer, text: &str) -> Result<String> {
    let mut normalized = NormalizedString::from(text);
    if let Some(normalizer) = inner.get_normalizer() {
        normalizer.normalize(&mut normalized).map_err(tokenizer_error)?;
    }
    Ok(normalized.get().to_owned())
}

/// Cuts a piece of text at the spellings in it; these become tokens, what is between stays text.
fn cut(
    piece: NormalizedString,
    spellings: &Spellings,
    accept: impl Fn(&Match) -> bool,
) -> Vec<(NormalizedString, Option<Vec<Token>>)> {
    let mut out = Vec::new();
    let mut push = |range: std::ops::Range<usize>, id: Option<u32>| {
        if let Some(slice) = piece.slice(Range::Normalized(range)) {
            let token = id.map(|id| vec![Token::new(id, slice.get().to_owned(), (0, slice.get().len()))]);
            out.push((slice, token));
        }
    };
    let mut from = 0;
    for hit in spellings.find_all(piece.get(), accept) {
        if from < hit.start {
            push(from..hit.start, None);
        }
        push(hit.start..hit.end, Some(hit.spelled.id));
        from = hit.end;
    }
    if from < piece.get().len() {
        push(from..piece.get().len(), None);
    }
    out
}

pub(super) fn tokenizer_error(e: tokenizers::Error) -> Error {
    Error::prompt(format!("the tokenizer failed: {e}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gemma_tokenizer, qwen_tokenizer};
    use super::*;
    use serde_json::json;

    fn tokenizer(json: &Value, config: Value) -> TextTokenizer {
        let inner = Tokenizer::from_bytes(json.to_string()).unwrap();
        TextTokenizer::new(inner, TokenConfig::from_json(&config), "").ok().unwrap()
    }

    /// Cheap random numbers, the same in every run.
    fn random(seed: &mut u64) -> usize {
        *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*seed >> 33) as usize
    }

    #[test]
    fn the_videos_placeholder_is_special_though_no_file_says_so() {
        let mut json = gemma_tokenizer();
        let id = json["model"]["vocab"]["<|video|>"].as_u64().unwrap() as u32;
        json["added_tokens"].as_array_mut().unwrap().retain(|token| token["content"] != "<|video|>");
        let t = tokenizer(&json, json!({}));
        assert_eq!((t.control_id("<|video|>"), t.encode("a<|video|>", true).unwrap()[1]), (Some(id), id));
        json["model"]["vocab"].as_object_mut().unwrap().remove("<|video|>");
        assert_eq!(tokenizer(&json, json!({})).token_id("<|video|>"), None);
    }

    #[test]
    fn our_own_steps_give_what_the_tokenizer_gives() {
        let fragments = [
            "<|turn>",
            "<turn|>",
            "the",
            " ",
            "  ",
            "\n",
            "\n\n",
            "user",
            "<table>",
            "é",
            "e\u{301}",
            "東",
            "🙂",
            "<|im_start|>",
            "<think>",
            "<|image|>",
            "<",
            "|>",
            "'s",
            "12",
            "a",
            "<|im",
        ];
        let mut seed = 1;
        for json in [gemma_tokenizer(), qwen_tokenizer()] {
            let t = tokenizer(&json, json!({}));
            for _ in 0..400 {
                let length = random(&mut seed) % 12;
                let text: String =
                    (0..length).map(|_| fragments[random(&mut seed) % fragments.len()]).collect();
                let own = t.encode_plain(&text, &Plain::Broken(&[])).unwrap();
                assert_eq!(own, t.encode(&text, true).unwrap(), "{text:?}");
                let plain = t.encode(&text, false).unwrap();
                assert!(plain.iter().all(|id| !t.is_control(*id)), "{text:?}");
            }
        }
    }

    #[test]
    fn length_limits_of_the_file_do_not_apply() {
        let t = tokenizer(&gemma_tokenizer(), json!({}));
        assert_eq!(t.encode("abcdefghijklmnop", true).unwrap().len(), 16);
    }

    #[test]
    fn broken_spellings_are_text_where_they_are_broken_only() {
        let t = tokenizer(&gemma_tokenizer(), json!({}));
        let id = t.token_id("<eos>").unwrap();
        let ids = t.encode_plain("<eos>a<eos>", &Plain::Broken(&[1])).unwrap();
        assert_eq!(ids.iter().filter(|i| **i == id).count(), 1);
        assert_eq!(*ids.last().unwrap(), id);
        let ids = t.encode_plain("<eos>", &Plain::Broken(&[0, 5])).unwrap();
        assert_eq!(ids, [id], "marks at the edges break nothing");
    }

    #[test]
    fn a_model_that_knows_a_spelling_as_a_word_does_not_get_it_from_plain_text() {
        let mut json = gemma_tokenizer();
        json["model"]["ignore_merges"] = json!(true);
        let t = tokenizer(&json, json!({}));
        let ids = t.encode("<eos>", false).unwrap();
        assert_eq!(ids.len(), 5);
    }

    #[test]
    fn flags_of_the_configuration_count() {
        let mut json = qwen_tokenizer();
        let id = 3 + json["added_tokens"].as_array().unwrap()[0]["id"].as_u64().unwrap();
        json["added_tokens"][3]["special"] = json!(false);
        assert!(!tokenizer(&json, json!({})).is_special(id as u32));
        let entry = json!({"content": "<|vision_start|>", "special": true, "normalized": false});
        let by_id = json!({"added_tokens_decoder": {id.to_string(): entry}});
        assert!(tokenizer(&json, by_id).is_special(id as u32));
        let by_name = json!({"extra_special_tokens": {"vs_token": "<|vision_start|>"}});
        let t = tokenizer(&json, by_name);
        assert!(t.is_special(id as u32));
        assert_eq!(t.variables()["vs_token"], "<|vision_start|>");
    }

    #[test]
    fn tokens_of_the_configuration_get_their_own_id_or_none() {
        let json = qwen_tokenizer();
        let plain = tokenizer(&json, json!({}));
        let next = plain.vocab_size() as u64;
        let add = |id: u64| json!({"added_tokens_decoder": {id.to_string(): {"content": "<new>", "special": true}}, "bos_token": "<none>"});
        assert_eq!(tokenizer(&json, add(next)).token_id("<new>"), Some(next as u32));
        let t = tokenizer(&json, add(next + 5));
        assert_eq!((t.token_id("<new>"), t.token_id("<none>")), (None, None));
    }

    #[test]
    fn the_canonical_bos_follows_its_order_and_is_never_invented() {
        let named = |config| tokenizer(&gemma_tokenizer(), config).canonical_bos();
        let t = tokenizer(&gemma_tokenizer(), json!({}));
        assert_eq!(named(json!({"bos_token": "<pad>"})), t.token_id("<pad>"));
        assert_eq!(named(json!({"bos_token": {"content": "<eos>"}})), t.token_id("<eos>"));
        assert_eq!(named(json!({"bos_token": "<missing>"})), t.token_id("<bos>"));
        let q = tokenizer(&qwen_tokenizer(), json!({}));
        assert_eq!(q.canonical_bos(), q.token_id("<|im_start|>"));
        let without = |s: &str| {
            let json = serde_json::from_str(&qwen_tokenizer().to_string().replace(s, "<|x|>")).unwrap();
            tokenizer(&json, json!({"eos_token": "<|im_end|>"}))
        };
        let t = without("<|im_start|>");
        assert_eq!(t.canonical_bos(), t.token_id("<|im_end|>"));
    }

    #[test]
    fn tokens_have_texts() {
        let t = tokenizer(&gemma_tokenizer(), json!({}));
        let ids = t.encode(" the<turn|>\u{1}", true).unwrap();
        let texts: Vec<String> = ids.iter().map(|id| t.token_text(*id).unwrap()).collect();
        assert_eq!(texts, ["▁the", "<turn|>", "<0x01>"]);
        assert_eq!(t.token_text(9_999_999), None);
    }
}
