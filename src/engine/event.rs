//! What a session hands to its host, one at a time.

use crate::dialect::{Call, Draft};
use crate::error::Error;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// One generated token of the answer; its text may be empty.
    Text,
    /// One generated token of the model's reasoning; its text may be empty.
    Reasoning,
    /// One generated token of what may be a tool call, with [`Event::tool_draft`] once its name is known; the one that
    /// completes it has [`Event::tool_call`], and its text is the whole call as the model spelled it.
    ToolCall,
    /// Part of the prompt has been evaluated.
    Progress,
    /// The last event of a submit.
    Finish,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended its turn.
    EndOfTurn,
    /// The model ended its turn, in which it called tools.
    ToolCalls,
    /// `max_tokens` were generated.
    MaxTokens,
    /// A stop string appeared.
    StopString,
    /// A token of [`GenerationOptions::stop_tokens`](super::GenerationOptions::stop_tokens) appeared.
    StopToken,
    /// The host cancelled.
    Cancelled,
    /// No position is left.
    ContextFull,
    /// A limit came before the answer was whole by its constraint.
    ConstraintCut,
    /// It went round in a circle: see [`GenerationOptions::loop_detection`](super::GenerationOptions::loop_detection).
    Loop,
    /// The prompt has been evaluated, and no answer was asked for.
    Prefilled,
    /// See [`Event::error`].
    Error,
}

/// One of the likeliest tokens at a position.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    /// Its id.
    pub token: u32,
    /// Natural logarithm of the probability before any processor.
    pub logprob: f32,
    /// What it spells.
    pub text: String,
}

/// One step of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What it tells.
    pub kind: EventKind,
    /// Valid UTF-8. Held-back characters arrive with a later event.
    pub text: String,
    /// The tool call that this token completes.
    pub tool_call: Option<Call>,
    /// What the token adds to a tool call, which counts only once it is whole.
    pub tool_draft: Option<Draft>,
    /// The generated token of a TEXT, REASONING or TOOL_CALL event.
    pub token: Option<u32>,
    /// Log-probability of `token` before any processor, if logprobs were asked for.
    pub logprob: Option<f32>,
    /// The likeliest tokens at this place, the likeliest first, if they were asked for.
    pub top_logprobs: Vec<TokenLogprob>,
    /// Set on FINISH.
    pub finish: Option<FinishReason>,
    /// Set on a FINISH whose reason is [`FinishReason::Error`].
    pub error: Option<Error>,
    /// Prompt tokens evaluated and in all, set on PROGRESS.
    pub progress: Option<(usize, usize)>,
    /// Which logits row belongs to the token.
    pub(crate) row: Option<u64>,
}

impl Event {
    fn new(kind: EventKind) -> Self {
        Self {
            kind,
            text: String::new(),
            tool_call: None,
            tool_draft: None,
            token: None,
            logprob: None,
            top_logprobs: Vec::new(),
            finish: None,
            error: None,
            progress: None,
            row: None,
        }
    }

    pub(crate) fn token(kind: EventKind, token: u32, text: String, row: Option<u64>) -> Self {
        Self { token: Some(token), text, row, ..Self::new(kind) }
    }

    pub(crate) fn progress(done: usize, total: usize) -> Self {
        Self { progress: Some((done, total)), ..Self::new(EventKind::Progress) }
    }

    pub(crate) fn finish(reason: FinishReason) -> Self {
        Self { finish: Some(reason), ..Self::new(EventKind::Finish) }
    }

    pub(crate) fn failed(error: Error) -> Self {
        Self { error: Some(error), ..Self::finish(FinishReason::Error) }
    }
}
