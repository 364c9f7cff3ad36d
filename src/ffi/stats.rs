//! Numbers of a session.

use std::mem::{MaybeUninit, offset_of};
use std::ptr::NonNull;

use super::boundary::{call, shared};
use super::session::rmlx_session;
use super::sized::{Versioned, write_sized};
use super::status::{rmlx_error, rmlx_status};

/// Numbers of a session's last submit; they grow while it runs. Times are milliseconds of wall clock.
///
/// Set struct_size before the call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct rmlx_stats {
    /// sizeof(rmlx_stats)
    pub struct_size: usize,
    /// Positions of the prompt, those of its media included.
    pub prompt_tokens: u64,
    /// How many of them the session already held, and did not evaluate again.
    pub reused_tokens: u64,
    /// Tokens of the answer so far.
    pub generated_tokens: u64,
    /// Positions of the prompt's images and sounds.
    pub media_tokens: u64,
    /// Positions that the session holds now.
    pub held_tokens: u64,
    /// Bytes that it takes to hold them.
    pub cache_bytes: u64,
    /// Rendering, tokenizing and placing, on the thread that submitted.
    pub prepare_ms: f64,
    /// Image and sound encoders.
    pub encode_ms: f64,
    /// Evaluation of the prompt, up to the first token.
    pub prefill_ms: f64,
    /// From submit to the first token.
    pub first_token_ms: f64,
    /// From the first to the last token.
    pub decode_ms: f64,
    /// How many images, sounds and frames of the prompt were encoded. The others were held by the
    /// session, or kept by the model (see rmlx_load_options_set_media_cache).
    pub encoded_media: u64,
    /// Bytes of the states of earlier positions that are kept to come back to
    /// (rmlx_session_options_set_checkpoints), when the last submit had ended. Forks share them.
    pub checkpoint_bytes: u64,
    /// Messages of the conversation that were left out so that it fits
    /// (rmlx_session_options_set_keep_turns): the oldest of those that are not the system's.
    pub dropped_messages: u64,
    /// Tokens that were proposed and evaluated (rmlx_generation_options_set_speculation).
    pub drafted_tokens: u64,
    /// Tokens of the answer that had been proposed, and took no pass of their own.
    pub accepted_tokens: u64,
}

/// Fills in the numbers of a session's last submit. This never waits for a running answer.
///
/// - `inout_stats`: its struct_size set; the other fields are written
///
/// Errors: INVALID_ARGUMENT (wrong struct_size); POISONED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_stats(
    session: Option<NonNull<rmlx_session>>,
    inout_stats: *mut rmlx_stats,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let stats = unsafe { shared(session, "session") }?.session()?.stats();
        let stats = rmlx_stats {
            struct_size: size_of::<rmlx_stats>(),
            prompt_tokens: stats.prompt_tokens,
            reused_tokens: stats.reused_tokens,
            generated_tokens: stats.generated_tokens,
            media_tokens: stats.media_tokens,
            held_tokens: stats.held_tokens,
            cache_bytes: stats.cache_bytes,
            prepare_ms: stats.prepare_ms,
            encode_ms: stats.encode_ms,
            prefill_ms: stats.prefill_ms,
            first_token_ms: stats.first_token_ms,
            decode_ms: stats.decode_ms,
            encoded_media: stats.encoded_media,
            checkpoint_bytes: stats.checkpoint_bytes,
            dropped_messages: stats.dropped_messages,
            drafted_tokens: stats.drafted_tokens,
            accepted_tokens: stats.accepted_tokens,
        };
        // SAFETY: the caller passes a structure of as many bytes as its first field says.
        unsafe { write_sized(&stats, inout_stats, "inout_stats") }
    })
}

// SAFETY: repr(C), size first, numbers only.
unsafe impl Versioned for rmlx_stats {
    const FIRST_SIZE: usize = offset_of!(rmlx_stats, decode_ms) + size_of::<f64>();
}
