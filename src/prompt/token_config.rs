//! `tokenizer_config.json` (and `special_tokens_map.json`): special tokens by name, and flags that
//! `tokenizer.json` may lack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer};

use crate::error::{Error, Result};
use crate::files;

/// What the configuration says of tokens.
#[derive(Debug, Default)]
pub(super) struct TokenConfig {
    /// `bos_token`, `image_token`, …: spelling by name, in the form templates get them.
    variables: BTreeMap<String, Value>,
    /// Everything that is named as a special token anywhere.
    special: BTreeSet<String>,
    /// `added_tokens_decoder`, ascending by id.
    added: BTreeMap<u32, AddedToken>,
    /// The `chat_template` key as it is.
    chat_template: Option<Value>,
}

/// Keys whose values are groups of special tokens: a list, or a map from name to spelling.
const GROUPS: [&str; 3] =
    ["additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens"];

/// What transformers' processors make a special token of whatever the files say, if the vocabulary has it.
const MADE_SPECIAL: &str = "<|video|>";

/// Reads a JSON file of the snapshot; `None` where it does not exist.
pub(super) fn read_json(dir: &Path, name: &str) -> Result<Option<Value>> {
    files::read_optional_json(&dir.join(name)).map_err(|e| e.with("file", name))
}

/// Whether a spelling looks like markup rather than like a word or whitespace.
pub(super) fn is_markup(spelling: &str) -> bool {
    spelling.len() > 2 && spelling.starts_with(['<', '[']) && spelling.ends_with(['>', ']'])
}

impl TokenConfig {
    pub fn load(dir: &Path) -> Result<Self> {
        let mut config = read_json(dir, "tokenizer_config.json")?.unwrap_or_default();
        // The older file of names; the newer one wins.
        if let (Some(Value::Object(map)), Value::Null | Value::Object(_)) =
            (read_json(dir, "special_tokens_map.json")?, &config)
        {
            if config.is_null() {
                config = Value::Object(Default::default());
            }
            for (name, value) in map {
                let slot = &mut config[name];
                if slot.is_null() {
                    *slot = value;
                }
            }
        }
        Ok(Self::from_json(&config))
    }

    pub fn from_json(config: &Value) -> Self {
        let mut out = Self { chat_template: config.get("chat_template").cloned(), ..Self::default() };
        let Some(map) = config.as_object() else { return out };
        for (name, value) in map {
            if GROUPS.contains(&name.as_str()) {
                out.read_group(name, value);
            } else if let (true, Some(text)) = (name.ends_with("_token"), spelling_of(value)) {
                out.name(name, text);
            }
        }
        for (id, value) in map.get("added_tokens_decoder").and_then(Value::as_object).into_iter().flatten() {
            if let (Ok(id), Some(token)) = (id.parse(), added_token(value)) {
                out.added.insert(id, token);
            }
        }
        out
    }

    fn name(&mut self, name: &str, text: &str) {
        self.variables.insert(name.to_owned(), Value::from(text));
        self.special.insert(text.to_owned());
    }

    fn read_group(&mut self, group: &str, value: &Value) {
        if let Some(list) = value.as_array() {
            let texts: Vec<&str> = list.iter().filter_map(spelling_of).collect();
            self.special.extend(texts.iter().map(|t| (*t).to_owned()));
            self.variables.insert(group.to_owned(), Value::from(texts));
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            if let Some(text) = spelling_of(value) {
                self.name(name, text);
            }
        }
    }

    pub fn variables(&self) -> &BTreeMap<String, Value> {
        &self.variables
    }

    pub fn chat_template(&self) -> Option<&Value> {
        self.chat_template.as_ref()
    }

    /// Whether some file of the snapshot calls this spelling a special token.
    pub fn names_special(&self, spelling: &str) -> bool {
        self.special.contains(spelling)
    }

    /// Teaches `tokenizer` the added tokens and special flags that only the configuration has, as transformers
    /// does, but never gives a token an id that no file gives it.
    pub fn add_missing_tokens(&self, tokenizer: &mut Tokenizer) -> Result<()> {
        let known = tokenizer.get_added_tokens_decoder();
        let mut missing = Vec::new();
        let mut next =
            known.keys().max().map_or(0, |max| max + 1).max(tokenizer.get_vocab_size(false) as u32);
        for (&id, token) in &self.added {
            match known.get(&id) {
                Some(old) if old.content == token.content && old.special == token.special => {}
                Some(old) if old.content != token.content => {}
                _ if tokenizer.token_to_id(&token.content) == Some(id) => missing.push(token.clone()),
                None if id == next && tokenizer.token_to_id(&token.content).is_none() => {
                    missing.push(token.clone());
                    next += 1;
                }
                _ => {}
            }
        }
        let listed: BTreeSet<String> = self.added.values().map(|t| t.content.clone()).collect();
        let named = self.special.difference(&listed).map(String::as_str);
        for spelling in named.chain((!self.special.contains(MADE_SPECIAL)).then_some(MADE_SPECIAL)) {
            let id = tokenizer.token_to_id(spelling);
            let flagged = id.and_then(|id| known.get(&id)).is_some_and(|t| t.special);
            if id.is_some() && !flagged {
                missing.push(AddedToken::from(spelling, true));
            }
        }
        if !missing.is_empty() {
            let refused =
                |e| Error::snapshot(format!("tokenizer.json takes no token of tokenizer_config.json: {e}"));
            tokenizer.add_tokens(missing).map_err(|e| refused(e).with("file", "tokenizer_config.json"))?;
        }
        Ok(())
    }
}

/// A token is written as its text, or as an object with `content`.
fn spelling_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str()).filter(|s| !s.is_empty())
}

fn added_token(value: &Value) -> Option<AddedToken> {
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    Some(
        AddedToken::from(spelling_of(value)?, special)
            .lstrip(flag("lstrip").unwrap_or(false))
            .rstrip(flag("rstrip").unwrap_or(false))
            .single_word(flag("single_word").unwrap_or(false))
            .normalized(flag("normalized").unwrap_or(!special)),
    )
}
