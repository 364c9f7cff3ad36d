//! Counts and times of a session's last submit.

/// Counts are of tokens unless the name says otherwise; times are milliseconds of wall clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Positions of the last prompt, soft tokens included.
    pub prompt_tokens: u64,
    /// How many of them were already held and not evaluated again.
    pub reused_tokens: u64,
    /// Tokens of the answer so far.
    pub generated_tokens: u64,
    /// Soft tokens of the prompt's images and audio.
    pub media_tokens: u64,
    /// Positions held now.
    pub held_tokens: u64,
    /// Bytes of the KV cache.
    pub cache_bytes: u64,
    /// Decoding, placement and tokenization on the host.
    pub prepare_ms: f64,
    /// Image and audio encoders.
    pub encode_ms: f64,
    /// Prompt evaluation, up to the first token.
    pub prefill_ms: f64,
    /// From submit to the first token.
    pub first_token_ms: f64,
    /// From the first to the last token.
    pub decode_ms: f64,
    /// Images, sounds and frames that went through an encoder: neither held by the session nor kept by the model.
    pub encoded_media: u64,
    /// Bytes of the states of earlier positions that are kept to come back to; forks share them.
    pub checkpoint_bytes: u64,
    /// Messages of the conversation that were left out: the oldest that are not the system's.
    pub dropped_messages: u64,
    /// Drafts that were evaluated: see [`Speculate`](super::Speculate).
    pub drafted_tokens: u64,
    /// Tokens of the answer that were such drafts, and took no pass of their own.
    pub accepted_tokens: u64,
}
