//! What a host can choose: at load, for a session, and for one generation.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mlx_rs::Dtype;

use super::group::GroupOptions;
use crate::error::{Error, Result};
use crate::sampling::{Dry, GenerationDefaults, Grammar, LoopDetection, Repeats, Settings};

/// A flag that any thread may raise to stop an operation that watches it.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag. It stays raised. Safe in a signal handler.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
        // A load may be pausing.
        super::worker::ring();
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// `CANCELLED` once the flag is raised.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }
}

/// Which device a model runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The GPU where this build of MLX has one, else the CPU.
    #[default]
    Auto,
    /// The processor, on any platform.
    Cpu,
    /// MLX's GPU: Metal or CUDA. `UNSUPPORTED` where there is none.
    Gpu,
}

/// Where weights are that stay as they are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightsChoice {
    /// On iOS as `Mapped`, else as `Read`.
    #[default]
    Auto,
    /// Read into memory of the process.
    Read,
    /// In the pages of their files where the device takes them from there, which is on Metal; read elsewhere.
    Mapped,
}

/// What keys and values of sessions are kept as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheType {
    /// As the activations are computed: 32 bits on the CPU, the snapshot's type on a GPU.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats with 10 bits of fraction: nothing above 65,504.
    F16,
    /// The upper 16 bits of 32-bit floats, with 7 bits of fraction.
    Bf16,
}

impl CacheType {
    pub(crate) fn dtype(self) -> Option<Dtype> {
        match self {
            CacheType::Auto => None,
            CacheType::F32 => Some(Dtype::Float32),
            CacheType::F16 => Some(Dtype::Float16),
            CacheType::Bf16 => Some(Dtype::Bfloat16),
        }
    }
}

/// Called on the thread that loads, with the share done in `0.0..=1.0`.
pub type ProgressFn = Box<dyn Fn(f32) + Send + Sync>;

/// How a model is loaded.
#[derive(Default)]
pub struct LoadOptions {
    /// Where the model is to be.
    pub device: DeviceChoice,
    /// Whether weights are left in the pages of their files.
    pub weights: WeightsChoice,
    /// What keys and values of the model's sessions are kept as.
    pub cache_type: CacheType,
    /// Told how far the load has come.
    pub progress: Option<ProgressFn>,
    /// Ends the load once it is raised.
    pub cancel: Option<CancelToken>,
    /// Bytes for the model and one session of it: a load that needs more is refused with `OUT_OF_MEMORY`, and the default
    /// context and prefill chunk are what fits.
    pub memory_limit: Option<u64>,
    /// Load, and evaluate, even where the system seems to have less memory than is needed.
    pub ignore_system_memory: bool,
    /// Upper bound of positions for every session of this model; the snapshot's own bound otherwise.
    pub context_length: Option<usize>,
    /// Bytes of encoded media that the model keeps for other prompts and sessions; 64 MiB otherwise, 0 for none.
    pub media_cache_bytes: Option<u64>,
    /// A chat template in Jinja in the place of the snapshot's own, with tools and without.
    pub chat_template: Option<String>,
    /// The processes that run the model together, of which this one is a rank.
    pub group: Option<GroupOptions>,
}

/// How a session is made.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// Upper bound of positions; the model's own bound otherwise, which it cannot exceed.
    pub context_length: Option<usize>,
    /// Prompt tokens evaluated at once; otherwise 512, or fewer where the load had a memory limit and on iOS. An image
    /// whose tokens see each other is never split.
    pub prefill_chunk: Option<usize>,
    /// States of earlier positions that are kept for models whose windows forget them, so that an edit of an older turn
    /// does not evaluate everything again; otherwise 8, or fewer where the load had a memory limit and on iOS. 1 keeps
    /// the last turn's only.
    pub checkpoints: Option<usize>,
    /// Leave out the oldest turns of a conversation that does not fit into the context, but not the system's messages nor
    /// so many of the last turns, of which 1 is the least. Without it such a conversation is refused.
    pub keep_turns: Option<usize>,
}

/// Which tools the model may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// It decides; a call that it begins follows the schemas of the declared tools.
    #[default]
    Auto,
    /// It calls none.
    None,
    /// It calls at least one.
    Required,
    /// It calls this one, once.
    Named(String),
}

/// How tokens are proposed that several may come of one pass: those that are right need no pass of their own. An answer is
/// what it would be without, also of a seed, as far as rows of one pass are computed as those of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speculate {
    /// What followed the last time that the last few tokens stood in prompt or answer.
    PromptLookup {
        /// Tokens proposed at once, at most; of those as many as pay, measured on the answer. From 1 to
        /// [`Speculate::MOST`].
        most: usize,
    },
}

impl Speculate {
    /// Tokens that may be proposed at once.
    pub const MOST: usize = 8;
}

/// A host's own processor of logits.
///
/// It gets the ids of prompt and answer and the row of the next token, `f32 [vocabulary]`, to change; minus infinity
/// forbids a token. An error ends the answer with it. It runs inside [`Session::step`](super::Session::step), on the
/// thread that steps, before all other processors.
#[derive(Clone)]
pub struct LogitsProcessor(Arc<ProcessRow>);

type ProcessRow = dyn Fn(&[u32], &mut [f32]) -> Result<()> + Send + Sync;

impl LogitsProcessor {
    /// Called on the thread that steps.
    pub fn new(process: impl Fn(&[u32], &mut [f32]) -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(process))
    }

    pub(super) fn process(&self, ids: &[u32], row: &mut [f32]) -> Result<()> {
        self.0(ids, row)
    }
}

impl fmt::Debug for LogitsProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogitsProcessor")
    }
}

/// How DRY penalizes tokens that would lengthen a run of tokens which stands in prompt or answer already.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DryOptions {
    /// A token that would lengthen a run of `allowed_length` tokens loses this.
    pub multiplier: f32,
    /// With each more token of the run, so many times as much.
    pub base: f32,
    /// Shorter runs are free.
    pub allowed_length: usize,
    /// How many of the last tokens are looked at; 0 for all.
    pub last_n: usize,
}

impl DryOptions {
    /// What runs do not reach over where [`GenerationOptions::dry_breakers`] is empty.
    pub const BREAKERS: [&str; 4] = ["\n", ":", "\"", "*"];
}

/// How one answer is generated. A field that is `None` takes the snapshot's `generation_config.json`.
#[derive(Clone, Debug, Default)]
pub struct GenerationOptions {
    /// Tokens to generate at most; until the context is full otherwise.
    pub max_tokens: Option<usize>,
    /// 0 is greedy.
    pub temperature: Option<f32>,
    /// Keep the k likeliest tokens; 0 keeps all.
    pub top_k: Option<u32>,
    /// Keep the smallest set of tokens whose probabilities reach this sum; 1 keeps all.
    pub top_p: Option<f32>,
    /// Drop tokens less likely than this share of the likeliest one; 0 keeps all.
    pub min_p: Option<f32>,
    /// Divides positive and multiplies negative logits of tokens already in prompt or answer; 1 is off.
    pub repetition_penalty: Option<f32>,
    /// Subtracted once from the logit of each token already in the answer; 0 is off.
    pub presence_penalty: Option<f32>,
    /// Subtracted per occurrence from the logit of each token already in the answer; 0 is off.
    pub frequency_penalty: Option<f32>,
    /// DRY; off where it is `None`.
    pub dry: Option<DryOptions>,
    /// Texts that runs of DRY do not reach over, each by the token that it ends with behind a letter;
    /// [`DryOptions::BREAKERS`] if there is none.
    pub dry_breakers: Vec<String>,
    /// No run of so many tokens comes twice, in prompt and answer together; 0 is off.
    pub no_repeat_ngram: usize,
    /// Ends the answer with [`FinishReason::Loop`](super::FinishReason::Loop) once it goes round in a circle.
    pub loop_detection: Option<LoopDetection>,
    /// The host's own change of the logits.
    pub logits_processor: Option<LogitsProcessor>,
    /// Seeds the sampler: same seed, prompt and options give the same answer. Random otherwise.
    pub seed: Option<u64>,
    /// The answer ends before the first of these; none of them is ever handed out.
    pub stop: Vec<String>,
    /// The answer ends with the first of these.
    pub stop_tokens: Vec<u32>,
    /// Added to the logits of single tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// How many of the likeliest tokens each event lists; 0 is off.
    pub top_logprobs: usize,
    /// Sets the template's `enable_thinking`; the template's own default otherwise.
    pub thinking: Option<bool>,
    /// Tokens of thinking after which the thought is ended and the answer begins; no bound otherwise.
    pub thinking_budget: Option<usize>,
    /// Keep answers that [`Session::add_answer`](super::Session::add_answer) adds as they were generated, where the submits
    /// before and after them both say so; otherwise they are what the template makes of them.
    pub exact_history: bool,
    /// Go on past end-of-turn tokens.
    pub ignore_eos: bool,
    /// What the answer, thoughts apart, is held to.
    pub constraint: Option<Grammar>,
    /// Which tools the model may call.
    pub tool_choice: ToolChoice,
    /// Propose tokens, where the session answers alone.
    pub speculate: Option<Speculate>,
    /// Emit PROGRESS events while the prompt is evaluated.
    pub progress_events: bool,
}

impl GenerationOptions {
    /// `INVALID_ARGUMENT` that names the first field out of range.
    pub fn validate(&self, vocab_size: usize) -> Result<()> {
        range("temperature", self.temperature, 0.0, 100.0)?;
        range("top_p", self.top_p, 0.0, 1.0)?;
        range("min_p", self.min_p, 0.0, 1.0)?;
        range("repetition_penalty", self.repetition_penalty, 1e-3, 1e3)?;
        range("presence_penalty", self.presence_penalty, -100.0, 100.0)?;
        range("frequency_penalty", self.frequency_penalty, -100.0, 100.0)?;
        if self.max_tokens == Some(0) {
            return Err(Error::invalid_argument("max_tokens is 0, it must be at least 1")
                .with("option", "max_tokens"));
        }
        if self.constraint.is_some()
            && matches!(self.tool_choice, ToolChoice::Required | ToolChoice::Named(_))
        {
            return Err(Error::invalid_argument(
                "a constraint and a call that is required: an answer cannot be both; take one of them back",
            )
            .with("option", "tool_choice"));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::invalid_argument("a stop string is empty").with("option", "stop"));
        }
        if self.thinking_budget == Some(0) {
            return Err(Error::invalid_argument(
                "thinking_budget is 0, it must be at least 1; to have no thoughts, set thinking to false",
            )
            .with("option", "thinking_budget"));
        }
        self.validate_repeats()?;
        if let Some(token) = self.stop_tokens.iter().find(|token| **token as usize >= vocab_size) {
            let text = format!("stop token {token}: it must be below {vocab_size}");
            return Err(Error::invalid_argument(text).with("token", *token));
        }
        if self.top_logprobs > vocab_size {
            return Err(Error::invalid_argument(format!(
                "top_logprobs is {}, more than the vocabulary of {vocab_size}",
                self.top_logprobs
            )));
        }
        for &(token, bias) in &self.logit_bias {
            if token as usize >= vocab_size || bias.is_nan() || bias == f32::INFINITY {
                return Err(Error::invalid_argument(format!(
                    "logit bias {bias} for token {token}: the token must be below {vocab_size} and the bias a number or \
                     minus infinity"
                ))
                .with("token", token));
            }
        }
        Ok(())
    }

    fn validate_repeats(&self) -> Result<()> {
        range("dry.multiplier", self.dry.map(|dry| dry.multiplier), 0.0, 100.0)?;
        range("dry.base", self.dry.map(|dry| dry.base), 1.0, 100.0)?;
        if self.dry.is_some_and(|dry| dry.allowed_length == 0) {
            return Err(Error::invalid_argument("dry.allowed_length is 0, it must be at least 1")
                .with("option", "dry.allowed_length"));
        }
        if self.dry_breakers.iter().any(String::is_empty) {
            return Err(Error::invalid_argument("a breaker of DRY is empty").with("option", "dry_breakers"));
        }
        if let Some(Speculate::PromptLookup { most }) = self.speculate
            && !(1..=Speculate::MOST).contains(&most)
        {
            return Err(Error::invalid_argument(format!(
                "{most} tokens are to be proposed at once: it must be 1 to {}",
                Speculate::MOST
            ))
            .with("option", "speculate"));
        }
        let Some(LoopDetection { repeats, longest, least: _ }) = self.loop_detection else { return Ok(()) };
        if repeats < 2 || !(1..=LoopDetection::LONGEST).contains(&longest) {
            return Err(Error::invalid_argument(format!(
                "loop detection of {repeats} repeats of runs up to {longest} tokens: it must be at least 2 repeats, and \
                 runs of 1 to {} tokens",
                LoopDetection::LONGEST
            ))
            .with("option", "loop_detection"));
        }
        Ok(())
    }
}

impl GenerationOptions {
    /// The options over the snapshot's defaults; the breakers of DRY are texts, so they are not among them.
    pub(super) fn settings(&self, defaults: &GenerationDefaults) -> Settings {
        // A caller who names any sampling option wants sampling, whatever the snapshot says of do_sample.
        let asks = self.top_k.is_some() || self.top_p.is_some() || self.min_p.is_some();
        let sample = defaults.do_sample || asks;
        let temperature =
            self.temperature.unwrap_or(if sample { defaults.temperature.unwrap_or(1.0) } else { 0.0 });
        Settings {
            temperature,
            top_k: self.top_k.or(defaults.top_k).unwrap_or(0),
            top_p: self.top_p.or(defaults.top_p).unwrap_or(1.0),
            min_p: self.min_p.or(defaults.min_p).unwrap_or(0.0),
            repetition_penalty: self.repetition_penalty.or(defaults.repetition_penalty).unwrap_or(1.0),
            presence_penalty: self.presence_penalty.unwrap_or(0.0),
            frequency_penalty: self.frequency_penalty.unwrap_or(0.0),
            seed: self.seed.unwrap_or_else(random_seed),
            logit_bias: self.logit_bias.clone(),
            suppressed: defaults.suppressed.clone(),
            repeats: Repeats {
                dry: self.dry.filter(|dry| dry.multiplier > 0.0).map(|dry| Dry {
                    multiplier: dry.multiplier,
                    base: dry.base,
                    allowed_length: dry.allowed_length,
                    last_n: dry.last_n,
                    breakers: Default::default(),
                }),
                ngram: self.no_repeat_ngram,
            },
        }
    }

    pub(super) fn breakers(&self) -> Vec<&str> {
        match self.dry_breakers.is_empty() {
            true => DryOptions::BREAKERS.to_vec(),
            false => self.dry_breakers.iter().map(String::as_str).collect(),
        }
    }
}

/// Differs from run to run: the standard library keys its hash maps from the system's entropy.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn range(option: &str, value: Option<f32>, low: f32, high: f32) -> Result<()> {
    match value {
        Some(v) if !(low..=high).contains(&v) => {
            Err(Error::invalid_argument(format!("{option} is {v}, it must lie between {low} and {high}"))
                .with("option", option))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_option_out_of_range_is_named() {
        let refused = |options: GenerationOptions| options.validate(100).unwrap_err();
        assert!(
            refused(GenerationOptions { temperature: Some(-1.0), ..Default::default() })
                .message()
                .contains("temperature")
        );
        assert!(
            refused(GenerationOptions { top_p: Some(f32::NAN), ..Default::default() })
                .message()
                .contains("top_p")
        );
        assert!(
            refused(GenerationOptions { max_tokens: Some(0), ..Default::default() })
                .message()
                .contains("max_tokens")
        );
        assert!(
            refused(GenerationOptions { stop: vec![String::new()], ..Default::default() })
                .message()
                .contains("stop")
        );
        assert!(
            refused(GenerationOptions { logit_bias: vec![(100, 1.0)], ..Default::default() })
                .message()
                .contains("100")
        );
        assert!(GenerationOptions::default().validate(100).is_ok());
    }

    #[test]
    fn options_win_over_the_snapshots_defaults() {
        let generation =
            json!({"do_sample": true, "temperature": 0.7, "top_k": 64, "suppress_tokens": [7, 8]});
        let config = json!({"temperature": 2.0, "top_p": 0.9});
        let defaults = GenerationDefaults::read(Some(&generation), &config, &[]);
        let settings = GenerationOptions { top_k: Some(5), ..Default::default() }.settings(&defaults);
        assert_eq!((settings.temperature, settings.top_k, settings.top_p), (0.7, 5, 0.9));
        assert_eq!(settings.suppressed, [7, 8]);
    }

    #[test]
    fn without_do_sample_the_answer_is_greedy_unless_the_caller_samples() {
        let defaults = GenerationDefaults::read(None, &json!({}), &[3]);
        assert_eq!(GenerationOptions::default().settings(&defaults).temperature, 0.0);
        let options = GenerationOptions { top_p: Some(0.9), ..Default::default() };
        assert_eq!(options.settings(&defaults).temperature, 1.0);
    }
}
