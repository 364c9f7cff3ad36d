//! A snapshot's tokenizer and chat template together: conversations to ids, ids to text.

use std::path::Path;

use super::content::Forms;
use super::decoder::TextDecoder;
use super::escape::remove_marks;
use super::exact::Generated;
use super::message::Prompt;
use super::place::{MediaLayout, Placed, Placer, TurnMarkers};
use super::rendering::{Chat, Rendering, special_variables};
use super::template::{Template, parsed_spellings};
use super::template_source::{Source, Sources};
use super::token_config::TokenConfig;
use super::tokenizer::TextTokenizer;
use crate::error::Result;

/// Tokenizer, compiled template and turn markers of one snapshot.
pub struct Formatter {
    pub(super) tokenizer: TextTokenizer,
    pub(super) markers: TurnMarkers,
    chat: Option<Chat>,
    /// A template of its own for conversations with tools, where the snapshot has one.
    tool_chat: Option<Chat>,
    /// Of the templates' texts.
    template_hash: [u8; 32],
}

impl Formatter {
    /// Reads `tokenizer.json`, `tokenizer_config.json` and the chat template of a snapshot folder; or takes the `given`
    /// template.
    pub fn load(dir: &Path, given: Option<&str>) -> Result<Formatter> {
        let config = TokenConfig::load(dir)?;
        let sources = given.map_or_else(|| Sources::find(dir, &config), |text| Ok(Sources::given(text)))?;
        let texts: Vec<&str> = sources.all().map(|s| s.text.as_str()).collect();
        let tokenizer = TextTokenizer::load(dir, config, &texts.concat())?;
        Self::new(tokenizer, sources)
    }

    /// An error for a snapshot whose tokenizer is not there, or not the file itself, without reading it.
    pub fn require_files(dir: &Path) -> Result<()> {
        TextTokenizer::require_file(dir)
    }

    fn new(tokenizer: TextTokenizer, sources: Sources) -> Result<Formatter> {
        let markers = TurnMarkers::resolve(&tokenizer);
        let chat = |source: Option<Source>| source.map(|s| compile(s, &tokenizer, &markers)).transpose();
        let template_hash = sources.hash();
        let (chat, tool_chat) = (chat(sources.default)?, chat(sources.tool_use)?);
        Ok(Self { chat, tool_chat, tokenizer, markers, template_hash })
    }

    /// Tells chat templates apart, wherever their texts came from.
    pub fn template_hash(&self) -> &[u8; 32] {
        &self.template_hash
    }

    /// Whether the snapshot has a chat template.
    pub fn has_template(&self) -> bool {
        self.chat.is_some()
    }

    /// The text that the model is shown, media as the template's placeholders.
    ///
    /// Special spellings that a user typed stand in it as they were typed; [`Self::place`] gives their ids as text.
    pub fn render(&self, prompt: &Prompt, add_generation_prompt: bool) -> Result<String> {
        prompt.validate()?;
        if let Some(tokens) = &prompt.tokens {
            return self.decode(tokens, false);
        }
        let rendering = self.rendering(prompt, add_generation_prompt);
        let (text, _) = remove_marks(&rendering.plain()?, rendering.mark());
        let bos = if self.has_template() { None } else { self.canonical_bos() };
        Ok(bos.and_then(|id| self.token_text(id)).unwrap_or_default() + &text)
    }

    /// Renders, encodes and puts every medium in its place.
    ///
    /// The template writes BOS itself; a snapshot without a template gets the canonical one before its texts. The
    /// generation prompt is added unless `template_vars["add_generation_prompt"]` is false.
    pub fn place(&self, prompt: &Prompt, layout: &dyn MediaLayout) -> Result<Placed> {
        self.place_after(prompt, layout, None)
    }

    /// The same, with the conversation up to a message as it was generated, where what comes after it can be told.
    pub(crate) fn place_after(
        &self,
        prompt: &Prompt,
        layout: &dyn MediaLayout,
        generated: Option<(usize, &Generated)>,
    ) -> Result<Placed> {
        prompt.validate()?;
        let placer = Placer::new(&self.tokenizer, &self.markers, prompt, layout)?;
        if let Some(tokens) = &prompt.tokens {
            return placer.place_raw(tokens);
        }
        let rendering = self.rendering(prompt, true).escaping(placer.spellings());
        match self.has_template() {
            true => placer.place(&rendering, generated),
            false => placer.place_without_template(&rendering),
        }
    }

    pub(super) fn rendering<'a>(&'a self, prompt: &'a Prompt, add_generation_prompt: bool) -> Rendering<'a> {
        let tools = prompt.tools.as_ref().and_then(|t| t.as_array()).is_some_and(|t| !t.is_empty());
        let chat = self.tool_chat.as_ref().filter(|_| tools).or(self.chat.as_ref());
        Rendering::new(chat, &self.tokenizer, prompt, add_generation_prompt)
    }

    /// Ids of a text; never adds BOS. Without `parse_special`, special spellings are plain text.
    pub fn encode(&self, text: &str, parse_special: bool) -> Result<Vec<u32>> {
        self.tokenizer.encode(text, parse_special)
    }

    /// The text of ids, without special tokens if so asked; unknown ids have no text.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        self.tokenizer.decode(ids, skip_special)
    }

    /// The id of a spelling that is one token.
    pub fn token_id(&self, spelling: &str) -> Option<u32> {
        self.tokenizer.token_id(spelling)
    }

    /// A token as the vocabulary spells it.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.tokenizer.token_text(id)
    }

    /// The bytes that a token adds to a text; `None` for ids that are none. `UNSUPPORTED` where only a token's
    /// neighbours tell.
    pub fn token_bytes(&self, id: u32) -> Result<Option<Vec<u8>>> {
        self.tokenizer.token_bytes(id)
    }

    /// Whether a token is structure, and never part of a text.
    pub fn is_control(&self, id: u32) -> bool {
        self.tokenizer.is_control(id)
    }

    /// The tokens that a decoder leaves out.
    pub fn special_ids(&self) -> impl Iterator<Item = u32> {
        self.tokenizer.special_ids()
    }

    /// Ids are below this.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.vocab_size()
    }

    /// The tokens that end the model's turn: of the known ends of turns, and of these `others`, those that the template
    /// writes.
    pub fn turn_ends(&self, others: &[&'static str]) -> Vec<u32> {
        let chats = [&self.chat, &self.tool_chat];
        let sources: Vec<&str> =
            chats.into_iter().flatten().map(|chat| chat.template.source().text.as_str()).collect();
        let ends = self.markers.ends().chain(others.iter().copied());
        let written = ends.filter(|end| sources.iter().any(|source| source.contains(end)));
        written.filter_map(|end| self.tokenizer.control_id(end)).collect()
    }

    /// Positions of the turns' opening tokens; the last turn of a rendered prompt is the one that the model is to write.
    pub fn turn_starts(&self, ids: &[u32]) -> Vec<usize> {
        self.markers.starts(ids)
    }

    /// The token to begin a bare text with: the first that exists of the configured `bos_token`, `<bos>`,
    /// `<|im_start|>`, the configured `eos_token` and `<|endoftext|>`.
    pub fn canonical_bos(&self) -> Option<u32> {
        self.tokenizer.canonical_bos()
    }

    /// A streaming decoder that leaves special tokens out, for what a model generates.
    pub fn text_decoder(&self) -> TextDecoder {
        self.tokenizer.text_decoder(true)
    }

    /// A streaming decoder that writes special tokens as they are spelled.
    pub fn text_decoder_with_special(&self) -> TextDecoder {
        self.tokenizer.text_decoder(false)
    }
}

fn compile(source: Source, tokenizer: &TextTokenizer, markers: &TurnMarkers) -> Result<Chat> {
    let kept = kept_in_model_turns(&source.text, tokenizer, markers);
    let template = Template::compile(source)?;
    let forms = Forms::of(&template, &special_variables(tokenizer));
    Ok(Chat { template, forms, kept })
}

/// Control spellings that a model's earlier answer may carry as tokens: those that the template cuts out of it
/// (reasoning), and those that are not special, which detokenizing therefore shows as text (`<tool_call>` of Qwen).
/// Everything else in an answer, above all turn markers and media placeholders, is text that somebody made the
/// model write.
fn kept_in_model_turns(template: &str, tokenizer: &TextTokenizer, markers: &TurnMarkers) -> Vec<String> {
    let all = tokenizer.spellings().control();
    let visible = |s: &&String| {
        let special = tokenizer.token_id(s).is_none_or(|id| tokenizer.is_special(id));
        !special && !markers.is_marker(s)
    };
    let mut kept = parsed_spellings(template, all);
    kept.retain(|s| !markers.is_marker(s));
    kept.extend(all.iter().filter(visible).cloned());
    kept
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gemma_tokenizer, load};
    use super::*;
    use crate::error::{Code, Error};
    use crate::prompt::Message;
    use serde_json::json;

    fn one_message() -> Prompt {
        Prompt { messages: vec![Message::text("user", "x")], ..Prompt::default() }
    }

    #[test]
    fn a_formatter_goes_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Formatter>();
    }

    #[test]
    fn broken_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = |e: Option<Error>| e.unwrap().details()["file"].as_str().unwrap().to_owned();
        assert_eq!(file(Formatter::load(dir.path(), None).err()), "tokenizer.json");
        assert_eq!(file(load(&json!({"model": 3}), json!({}), None).err()), "tokenizer.json");
        let e = load(&gemma_tokenizer(), json!({}), Some("{% for %}")).err().unwrap();
        assert_eq!((e.code(), &e.details()["line"]), (Code::InvalidSnapshot, &json!(1)));
        std::fs::write(dir.path().join("tokenizer_config.json"), "[").unwrap();
        assert_eq!(file(Formatter::load(dir.path(), None).err()), "tokenizer_config.json");
    }

    #[test]
    fn a_template_for_tools_is_used_with_tools_only() {
        let templates = json!([{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]);
        let f = load(&gemma_tokenizer(), json!({"chat_template": templates}), None).unwrap();
        let mut prompt = one_message();
        assert_eq!(f.render(&prompt, true).unwrap(), "D");
        prompt.tools = Some(json!([]));
        assert_eq!(f.render(&prompt, true).unwrap(), "D");
        prompt.tools = Some(json!([{}]));
        assert_eq!(f.render(&prompt, true).unwrap(), "T");
    }

    #[test]
    fn a_given_template_takes_the_place_of_all_others_and_its_errors_name_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), gemma_tokenizer().to_string()).unwrap();
        let templates =
            json!([{"name": "default", "template": "D"}, {"name": "tool_use", "template": "{% for %}"}]);
        let config = json!({ "chat_template": templates }).to_string();
        std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
        let f = Formatter::load(dir.path(), Some("G{{ messages[0].content }}")).unwrap();
        assert_eq!(f.render(&Prompt { tools: Some(json!([{}])), ..one_message() }, true).unwrap(), "Gx");
        let e = Formatter::load(dir.path(), Some("ok\n{% if %}")).err().unwrap();
        assert_eq!(e.code(), Code::InvalidArgument);
        assert_eq!((&e.details()["option"], &e.details()["line"]), (&json!("chat_template"), &json!(2)));
        assert!(e.message().starts_with("the chat template of the load options, line 2: "), "{e}");
    }

    #[test]
    fn a_looping_template_is_an_error_at_render_and_does_not_hold_up_the_load() {
        let template = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        let f = load(&gemma_tokenizer(), json!({}), Some(template)).unwrap();
        assert_eq!(f.render(&one_message(), true).unwrap_err().code(), Code::InvalidPrompt);
    }

    #[test]
    fn the_last_turn_is_the_models() {
        let f = super::super::testing::gemma();
        let ids = f.encode(&f.render(&one_message(), true).unwrap(), true).unwrap();
        let starts = f.turn_starts(&ids);
        assert_eq!(starts.len(), 2);
        assert_eq!(f.decode(&ids[starts[1]..], false).unwrap(), "<|turn>model\n");
    }
}
