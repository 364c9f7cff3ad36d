//! The smoke probe.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use super::boundary::{call, required};
use super::model::rmlx_model;
use super::status::{rmlx_error, rmlx_status};
use super::string::hand_over;

/// Asks the model "What is the capital of France?" and judges the answer: a quick look whether a
/// snapshot works at all, on this machine. It makes a session of its own, and takes as long as a short
/// answer.
///
/// - `out_json`: gets a JSON object for you to release with rmlx_string_release. "verdict" is "Ok",
///   "BrokenNan" (logits that are no numbers), "BrokenLoop" (the same token over and over) or
///   "Inconclusive"; "text" and "tokens" are the answer; "image_changes_logits" says whether a model
///   that sees does see. "backend" is what is known of MLX on the model's device: whether all is
///   "correct", and for each operation and storage in "checks" how far it was from plain arithmetic
///   ("worst", in units of the root mean square) or its "failure".
///
/// Errors: those of rmlx_session_submit; BACKEND; OUT_OF_MEMORY. A broken model is no error.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_probe(
    model: Option<&rmlx_model>,
    out_json: Option<&mut MaybeUninit<*mut c_char>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        let out = required(out_json, "out_json")?;
        out.write(hand_over(&model.probe()?.to_string())?);
        Ok(())
    })
}
