//! A model's tokens as the compiler of grammars sees them.

use std::sync::Arc;

use llguidance::toktrie::{INVALID_TOKEN, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

/// What a token writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenForm {
    /// Bytes of text.
    Text(Vec<u8>),
    /// Structure, by its spelling: a grammar may name it, and no text contains it.
    Control(String),
    /// Nothing that could be said.
    Nothing,
}

type Encode = Box<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// All tokens of a model by id, the ones that end a turn, and how the tokenizer writes a text without control tokens.
pub(crate) struct Vocabulary {
    pub forms: Vec<TokenForm>,
    pub ends: Vec<u32>,
    pub encode: Encode,
}

impl Vocabulary {
    pub(super) fn environment(self) -> TokEnv {
        let count = self.forms.len();
        let marker = TokTrie::SPECIAL_TOKEN_MARKER;
        let word = |form: TokenForm| match form {
            // This byte begins no text, and would look like the marker.
            TokenForm::Text(bytes) if bytes.first() == Some(&marker) => Vec::new(),
            TokenForm::Text(bytes) => bytes,
            TokenForm::Control(spelling) => [&[marker], spelling.as_bytes()].concat(),
            TokenForm::Nothing => Vec::new(),
        };
        let words: Vec<Vec<u8>> = self.forms.into_iter().map(word).collect();
        let ends: Vec<u32> = self.ends.into_iter().filter(|id| (*id as usize) < count).collect();
        let end = ends.first().copied().unwrap_or(INVALID_TOKEN);
        let mut trie = TokTrie::from(&TokRxInfo::new(count as u32, end), &words);
        if !ends.is_empty() {
            trie = trie.with_eos_tokens(&ends);
        }
        let mut tokens = Tokens { trie, encode: self.encode, canonical: false };
        // A tokenizer that adds blanks of its own does not write a text's middle as the text's middle.
        tokens.canonical =
            ["{\"name\": \"", "a", " b", "1, "].iter().all(|text| tokens.exactly(text).is_some());
        Arc::new(tokens)
    }
}

struct Tokens {
    trie: TokTrie,
    encode: Encode,
    canonical: bool,
}

impl Tokens {
    /// The tokenizer's ids, if they write exactly the text.
    fn exactly(&self, text: &str) -> Option<Vec<TokenId>> {
        let ids = (self.encode)(text);
        let known = ids.iter().all(|id| (*id as usize) < self.trie.vocab_size());
        (known && self.trie.decode_raw(&ids) == text.as_bytes()).then_some(ids)
    }
}

impl TokenizerEnv for Tokens {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            self.exactly(text).unwrap_or_else(|| self.trie.greedy_tokenize(text.as_bytes()))
        })
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.canonical
    }
}
